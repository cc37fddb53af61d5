"""First stage: chips and batch as real numbers, limits as penalties, many weightings and starts in one Optax search.

It finds where the good integers are; the interior point finishes, and only the exact model has the last word. Everything is in
logarithms; operators' maxima are smoothed with a temperature that falls while the penalty rises.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from codesign.evaluate import evaluate_table
from codesign.hardware.technology import Technology
from codesign.numerics.fields import Real
from codesign.outcome import Outcome, stack_limits
from codesign.performance.execution import Execution, Operatorwise
from codesign.performance.plan import Plan
from codesign.search.choices import Choice, plans_and_dies, taken
from codesign.search.goals import Goal, log_goals
from codesign.search.space import CONTINUOUS, Space, design_at
from codesign.workload.operators import OperatorTable
from codesign.workload.workload import Workload

STEPS = 120
FIRST_RATE, LAST_RATE = 0.15, 0.005  # of Adam, in log units
FIRST_TEMPERATURE, LAST_TEMPERATURE = 0.3, 0.01
FIRST_PENALTY, LAST_PENALTY = 1.0, 300.0
QUICK_COMPILATION = {"xla_backend_optimization_level": 0}
"""For programs that run once: compiling them well takes longer than running them badly."""

LEAST_WHITE_SILICON, MOST_WHITE_SILICON = 1e-9, 1e-3  # [m²]


class Relaxed(NamedTuple):
    """Where each lane ended: loss (before the last, tiny step), and the five quantities, chips, batch and white silicon (SI)."""

    loss: Any  # (weightings, choices, starts)
    end: Any  # (weightings, choices, starts, 8)


def box(space: Space) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of a lane's variables: the five quantities, chips, batch, white silicon; in logarithms, shapes (8,).

    In numpy, like all that prepares the search: every small JAX operation would be compiled before the large one.
    """
    low = np.concatenate([np.asarray(space.low), [space.chips[0], space.batch[0], LEAST_WHITE_SILICON]])
    high = np.concatenate([np.asarray(space.high), [space.chips[1], space.batch[1], MOST_WHITE_SILICON]])
    return np.log(low), np.log(high)


def relax(
    space: Space, choices: Sequence[Choice], table: OperatorTable, workload: Workload, technology: Technology,
    execution: Execution, objectives: Sequence[Goal], weights: Float[Array, "weightings goals"], *, starts: int, seed: int,
) -> Relaxed:  # fmt: skip
    """Search every weighting × choice × start at once.

    Args:
        space: box and base design.
        choices: discrete choices.
        table, workload, technology, execution: the exact model.
        objectives: what the weights weigh.
        weights: one weighting a row.
        starts: random starts per weighting and choice.
        seed: of the starts.
    """
    low, high = box(space)
    shape = (len(weights), len(choices), starts)
    unit = np.random.default_rng(seed).uniform(0.15, 0.85, (*shape, len(CONTINUOUS) + 3))
    begin = low + (high - low) * unit
    which = np.indices(shape).reshape(3, -1)
    plans, dies = plans_and_dies(choices)
    loss, end = _search(
        low, high, begin.reshape(-1, begin.shape[-1]), np.asarray(weights)[which[0]], which[1],
        plans, dies, space, table, workload, technology, execution, _GoalValues(tuple(objectives)),
    )  # fmt: skip
    return Relaxed(np.asarray(loss).reshape(shape), np.asarray(end).reshape(begin.shape))


class _GoalValues(eqx.Module):
    """Objectives as a static argument of the compiled search."""

    objectives: tuple[Goal, ...] = eqx.field(static=True)


def lane_loss(
    x: Float[Array, "8"], weights: Float[Array, "goals"], plan: Plan, dies: Real, temperature: Real, penalty: Real,
    space: Space, table: OperatorTable, workload: Workload, technology: Technology, execution: Execution, goals: _GoalValues,
) -> Real:  # fmt: skip
    """Weighted goals plus penalties of the broken limits, at temperature > 0 with smoothed maxima [1]."""
    softened = Operatorwise(temperature=temperature) if isinstance(execution, Operatorwise) else execution
    outcome = outcome_at(jnp.exp(x), plan, dies, space, table, workload, technology, softened)
    broken = jnp.maximum(stack_limits(outcome.limits), 0.0)
    return weights @ log_goals(goals.objectives, outcome) + penalty * jnp.sum(broken**2)


@functools.partial(jax.jit, compiler_options=QUICK_COMPILATION)
def _search(low, high, begin, weights, choice, plans, dies, space, table, workload, technology, execution, goals) -> Relaxed:
    """All lanes (leading axis) in one loop: Adam works element by element, so one optimiser serves them all."""
    optimiser = optax.adam(optax.cosine_decay_schedule(FIRST_RATE, STEPS, LAST_RATE / FIRST_RATE))

    def loss(x, weighting, k, temperature, penalty):
        plan, number = taken(plans, k), dies[k]
        return lane_loss(x, weighting, plan, number, temperature, penalty, space, table, workload, technology, execution, goals)

    losses_and_gradients = jax.vmap(jax.value_and_grad(loss), in_axes=(0, 0, 0, None, None))

    def body(carry, progress):
        x, state, _ = carry
        temperature = _geometric(FIRST_TEMPERATURE, LAST_TEMPERATURE, progress)
        penalty = _geometric(FIRST_PENALTY, LAST_PENALTY, progress)
        value, gradient = losses_and_gradients(x, weights, choice, temperature, penalty)
        updates, state = optimiser.update(jnp.where(jnp.isfinite(gradient), gradient, 0.0), state)
        return (optax.projections.projection_box(optax.apply_updates(x, updates), low, high), state, value), None

    start = (begin, optimiser.init(begin), jnp.zeros_like(begin[:, 0]))
    (end, _, value), _ = jax.lax.scan(body, start, jnp.linspace(0.0, 1.0, STEPS))
    return Relaxed(value, jnp.exp(end))


def outcome_at(
    values: Float[Array, "8"], plan: Plan, dies: Real,
    space: Space, table: OperatorTable, workload: Workload, technology: Technology, execution: Execution,
) -> Outcome:  # fmt: skip
    """The exact model at a lane's variables (SI)."""
    count = len(CONTINUOUS)
    design = design_at(space, values[:count], values[count], values[count + 2])
    design = eqx.tree_at(lambda d: d.dies, design, dies)
    work = eqx.tree_at(lambda w: w.phase.batch, workload, values[count + 1])
    return evaluate_table(design, table, work, plan, technology, execution)


def _geometric(first: float, last: float, progress: Real) -> Real:
    return first * (last / first) ** progress
