"""First stage: integers as real numbers, limits as penalties, many weightings and starts in one
Optax search.

It finds where the good integers are; the interior point finishes, and only the exact model has the
last word. Everything is in logarithms; operators' maxima are smoothed with a temperature that falls
while the penalty rises.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from codesign.numerics.compilation import SELDOM, compiled
from codesign.numerics.fields import IntArray, Real, RealArray
from codesign.search.solver.packing import PackedProblems, each_lane, pack
from codesign.search.statement.goals import Wanted, bounds_exceeded, log_goals
from codesign.search.statement.problem import ProblemBatch
from codesign.search.statement.relaxed_fleet import OWN, box, fleet_at

STEPS = 80
FIRST_RATE, LAST_RATE = 0.15, 0.005  # of Adam, in log units
FIRST_TEMPERATURE, LAST_TEMPERATURE = 0.3, 0.01
FIRST_PENALTY, LAST_PENALTY = 1.0, 300.0


class PenaltyOptima(NamedTuple):
    """Where each lane ended: loss (before the last, tiny step), and its variables in SI."""

    loss: RealArray  # (weightings, choices, starts)
    end: RealArray  # (weightings, choices, starts, variables)


class PenaltyLanes(NamedTuple):
    """Arguments of ``search_lanes``: every weighting × choice × start a lane."""

    low: RealArray  # (variables,) logarithms
    high: RealArray  # (variables,)
    begin: RealArray  # (lanes, variables)
    weights: RealArray  # (lanes, goals)
    choices: IntArray  # (lanes,)
    problems: PackedProblems
    wanted: Wanted


def search_by_penalty(arguments: PenaltyLanes, shape: tuple[int, int, int]) -> PenaltyOptima:
    """Search every weighting × choice × start at once; ``arguments`` are those of ``lanes``,
    ``shape`` the three counts."""
    loss, end = search_lanes(*arguments)
    return PenaltyOptima(np.asarray(loss).reshape(shape), np.asarray(end).reshape(*shape, -1))


def lanes(
    problems: ProblemBatch, wanted: Wanted, weights: np.ndarray, *, starts: int, seed: int
) -> PenaltyLanes:
    """Arguments of ``search_lanes``: every weighting × choice × start a lane.

    Args:
        problems: the exact model.
        wanted: what the weights weigh, and bounds.
        weights: one weighting a row.
        starts: random starts per weighting and choice.
        seed: of the starts.
    """
    low, high = box(problems)
    shape = (len(weights), problems.choices, starts)
    unit = np.random.default_rng(seed).uniform(0.15, 0.85, (*shape, len(low)))
    begin = low + (high - low) * unit
    which = np.indices(shape).reshape(3, -1)
    return PenaltyLanes(
        low,
        high,
        begin.reshape(-1, begin.shape[-1]),
        np.asarray(weights)[which[0]],
        which[1],
        pack(problems),
        wanted,
    )


def lane_loss(
    x: Float[Array, "variables"],
    weights: Float[Array, "goals"],
    temperature: Real,
    penalty: Real,
    problems: ProblemBatch,
    wanted: Wanted,
) -> Real:
    """Weighted goals plus penalties of the broken limits, at temperature > 0 with smoothed maxima
    [1]."""
    even = tuple(dataclasses.replace(plan, whole_parts=0.0) for plan in problems.plans)
    smooth = dataclasses.replace(problems, plans=even)
    found = fleet_at(jnp.exp(x), smooth, problems.execution.softened(temperature))
    used = jnp.concatenate(
        [found.limits, bounds_exceeded(wanted.bounds, found.totals, found.outcomes)]
    )
    broken = jnp.maximum(used, 0.0)
    logs = log_goals(wanted.objectives, found.totals, found.outcomes)
    return weights @ logs + penalty * jnp.sum(broken**2)


@compiled(SELDOM)
def search_lanes(
    low: Array,
    high: Array,
    begin: Array,
    weights: Array,
    choices: IntArray,
    problems: PackedProblems,
    wanted: Wanted,
) -> PenaltyOptima:
    """All lanes (leading axis) in one loop: Adam works element by element, so one optimiser serves
    them all."""
    optimiser = optax.adam(optax.cosine_decay_schedule(FIRST_RATE, STEPS, LAST_RATE / FIRST_RATE))

    def losses_and_gradients(lanes, temperature, penalty):
        def loss(problem, x, weighting):
            return jax.value_and_grad(lane_loss)(
                x, weighting, temperature, penalty, problem, wanted
            )

        return each_lane(loss, problems, choices, lanes, weights)

    def body(carry, progress):
        x, state, _ = carry
        temperature = _geometric(FIRST_TEMPERATURE, LAST_TEMPERATURE, progress)
        penalty = _geometric(FIRST_PENALTY, LAST_PENALTY, progress)
        value, gradient = losses_and_gradients(x, temperature, penalty)
        updates, state = optimiser.update(jnp.where(jnp.isfinite(gradient), gradient, 0.0), state)
        return (
            optax.projections.projection_box(
                optax.apply_updates(x, updates), low[None], high[None]
            ),
            state,
            value,
        ), None

    start = (begin, optimiser.init(begin), jnp.zeros_like(begin[:, 0]))
    (end, _, value), _ = jax.lax.scan(body, start, jnp.linspace(0.0, 1.0, STEPS))
    return PenaltyOptima(value, jnp.exp(end))


def _geometric(first: float, last: float, progress: Real) -> Real:
    return first * (last / first) ** progress


def first_integers(
    relaxed: PenaltyOptima, problems: ProblemBatch, ranges: tuple[np.ndarray, np.ndarray]
) -> Sequence[Sequence[tuple[int, ...]]]:
    """Integers around the best relaxed start of every choice, for each weighting; stacks and layers
    stay free (0)."""
    loss, end = np.asarray(relaxed.loss), np.asarray(relaxed.end)
    count = len(problems.spaces)
    found = []
    for k in range(loss.shape[0]):
        row = []
        for choice in range(loss.shape[1]):
            best = int(np.nanargmin(loss[k, choice])) if np.isfinite(loss[k, choice]).any() else 0
            values = end[k, choice, best]
            chips, batches = values[OWN - 1 : count * OWN : OWN], values[count * OWN :]
            low, high = (side[: count + len(batches)] for side in ranges)
            rounded = np.clip(np.round(np.concatenate([chips, batches])), low, high).astype(int)
            row.append((*map(int, rounded), *[0] * (2 * count)))
        found.append(row)
    return found
