"""Search by gradients alone, for what no geometric program says: a user's own execution, objective
or bound.

Chips and batches are real numbers at first (``penalty_search``); they and whole stacks and layers
are then rounded both ways, and at fixed integers every continuous quantity is polished by
sequential quadratic programming on exact gradients. Nothing is proved of what it finds.
"""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from codesign.numerics.compilation import SELDOM, compiled
from codesign.numerics.fields import IntArray, RealArray
from codesign.search.pareto.penalty_search import PenaltyOptima
from codesign.search.solver.packing import PackedProblems, each_lane, pack
from codesign.search.statement.fleet import Fleet
from codesign.search.statement.goals import Wanted, bounds_exceeded, log_goals
from codesign.search.statement.problem import ProblemBatch, integer_ranges, layer_steps
from codesign.search.statement.relaxed_fleet import OWN, box, fleet_at
from codesign.search.statement.space import CONTINUOUS

INSIDE = 1e-9
"""ln(used/allowed) below zero that the polish aims at."""

STEPS = 200
"""Most iterations of a polish."""

BROKEN = 100.0
"""What a limit counts as at most, in log units, where a quotient has no logarithm."""


class LocalOptimum(NamedTuple):
    """A polished design of one weighting."""

    weighting: int
    choice: int
    integers: tuple[int, ...]  # in the order of ``problem.integer_names``
    value: float  # weighted sum of the goals' logarithms, +∞ where a limit is broken
    point: np.ndarray  # (variables,) logarithms, in the order of ``relaxed_fleet.box``


def slopes_of(problem: ProblemBatch, wanted: Wanted, x: RealArray) -> tuple[RealArray, ...]:
    """Goals and ln(used/allowed) of limits and bounds at a point, and their slopes."""

    def both(point: RealArray) -> tuple[RealArray, RealArray]:
        found = fleet_at(jnp.exp(point), problem)
        exceeded = bounds_exceeded(wanted.bounds, found.totals, found.outcomes)
        used = jnp.concatenate([found.limits, exceeded])
        logs = log_goals(wanted.objectives, found.totals, found.outcomes)
        return logs, jnp.clip(used, -BROKEN, BROKEN)

    values, slopes = both(x), jax.jacfwd(both)(x)
    return (*values, *slopes)


@compiled(SELDOM)
def slopes_at(
    problems: PackedProblems, wanted: Wanted, choice: int | np.integer | IntArray, x: RealArray
) -> tuple[RealArray, ...]:
    """``slopes_of`` of a choice."""
    return slopes_of(problems.problem(problems.rows[choice]), wanted, x)


@compiled(SELDOM)
def fleets_at(problems: PackedProblems, choices: IntArray, points: RealArray) -> Fleet:
    """Fleets of choices at points in logarithms, leaves (lanes, …)."""
    return each_lane(lambda problem, x: fleet_at(jnp.exp(x), problem), problems, choices, points)


def local_optima(
    problems: ProblemBatch, wanted: Wanted, weights: np.ndarray, relaxed: PenaltyOptima
) -> list[LocalOptimum]:
    """Polish the best relaxed end of each weighting at the integers around it.

    Args:
        problems: the exact model.
        wanted: objectives and bounds.
        weights: one weighting a row.
        relaxed: where the penalty search ended.

    Returns:
        The best of each weighting that keeps every limit; none of a weighting that has none.
    """
    packed, found = pack(problems), []
    for weighting, losses in enumerate(relaxed.loss):
        if not np.isfinite(losses).any():
            continue
        choice, start = np.unravel_index(np.nanargmin(losses), losses.shape)
        end = np.log(relaxed.end[weighting, choice, start])
        tried = [
            _polished(problems, packed, wanted, weights[weighting], int(choice), integers, end)
            for integers in whole_numbers(problems, int(choice), end)
        ]
        best = min(tried, key=lambda one: one[0])
        if np.isfinite(best[0]):
            found.append(LocalOptimum(weighting, int(choice), best[1], best[0], best[2]))
    return found


def whole_numbers(
    problems: ProblemBatch, choice: int | np.integer | IntArray, x: np.ndarray
) -> list[tuple[int, ...]]:
    """Integers on both sides of a relaxed point, in the order of ``problem.integer_names``."""
    kinds, values = len(problems.spaces), np.exp(x)
    own = values[: kinds * OWN].reshape(kinds, OWN)
    counted = [*own[:, -1], *values[kinds * OWN :]]
    stacks, layers = [], []
    for p, space in enumerate(problems.spaces):
        if not space.buildable:
            stacks.append(0.0)
            layers.append(0.0)
            continue
        memory = jax.tree.map(lambda leaf: leaf[choice], problems.kinds[p].technology.memory)
        bandwidth, capacity = (
            own[p, CONTINUOUS.index(name)] for name in ("memory_bandwidth", "memory_capacity")
        )
        stacks.append(bandwidth / float(memory.stack_bandwidth))
        step = float(layer_steps(space, memory))
        layers.append(capacity / float(memory.layer_capacity) / max(stacks[-1], 1.0) / step)
    low, high = integer_ranges(problems)
    ways = [
        sorted({int(np.clip(side(value), low[k], high[k])) for side in (np.floor, np.ceil)})
        for k, value in enumerate([*counted, *stacks, *layers])
    ]
    return list(itertools.product(*ways))


def pinned(
    problems: ProblemBatch, choice: int, integers: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of a point's logarithms at fixed integers: chips, batches and whole memory are
    equal."""
    low, high = (side.copy() for side in box(problems))
    kinds, services = len(problems.spaces), len(problems.services)
    fixed: dict[int, float] = {p * OWN + OWN - 1: integers[p] for p in range(kinds)}
    fixed |= {kinds * OWN + s: integers[kinds + s] for s in range(services)}
    for p, space in enumerate(problems.spaces):
        if space.buildable:
            memory = jax.tree.map(lambda leaf: leaf[choice], problems.kinds[p].technology.memory)
            stacks, steps = (integers[(1 + k) * kinds + services + p] for k in (0, 1))
            layers = stacks * steps * float(layer_steps(space, memory))
            at = {name: p * OWN + CONTINUOUS.index(name) for name in CONTINUOUS}
            fixed[at["memory_bandwidth"]] = stacks * float(memory.stack_bandwidth)
            fixed[at["memory_capacity"]] = layers * float(memory.layer_capacity)
    for at, value in fixed.items():
        low[at] = high[at] = np.log(value)
    return low, high


def _polished(
    problems: ProblemBatch, packed: PackedProblems, wanted: Wanted, weights: np.ndarray,
    choice: int, integers: tuple[int, ...], start: np.ndarray,
) -> tuple[float, tuple[int, ...], np.ndarray]:  # fmt: skip
    """Value, integers and point of a design polished at fixed integers; the value is +∞ where it
    breaks a limit."""
    from scipy.optimize import minimize

    low, high = pinned(problems, choice, integers)
    free, x = high > low, np.clip(start, low, high)
    if np.any(high < low):
        return np.inf, integers, x
    last: dict[bytes, list[np.ndarray]] = {}

    def at(y: np.ndarray) -> list[np.ndarray]:
        if y.tobytes() not in last:
            point = x.copy()
            point[free] = y
            last.clear()
            last[y.tobytes()] = [np.asarray(v) for v in slopes_at(packed, wanted, choice, point)]
        return last[y.tobytes()]

    found = minimize(
        lambda y: float(weights @ at(y)[0]),
        x[free],
        jac=lambda y: weights @ at(y)[2][:, free],
        bounds=list(zip(low[free], high[free], strict=True)),
        method="SLSQP",
        constraints={
            "type": "ineq",
            "fun": lambda y: -INSIDE - at(y)[1],
            "jac": lambda y: -at(y)[3][:, free],
        },
        options={"maxiter": STEPS, "ftol": 1e-12},
    )
    x[free] = np.clip(found.x, low[free], high[free])
    logs, used = at(x[free])[:2]
    kept = np.isfinite(logs).all() and used.max() <= 0.0
    return (float(weights @ logs) if kept else np.inf), integers, x
