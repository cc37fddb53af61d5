"""What solved tasks are worth: on the exact model, against their proved bounds, and against each other."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from codesign.hardware.design import Design
from codesign.numerics.compilation import SELDOM, compiled
from codesign.physical.area import area
from codesign.search.audit import POINTS, TOLERANCE, differences
from codesign.search.batches import in_batches
from codesign.search.exact import FLEET_LIMITS, Fleet, design_of, fleet_of
from codesign.search.goals import Bound, Goal, bounds_exceeded, log_goals
from codesign.search.integers import Known, Search, Task
from codesign.search.placement import Placed, each_lane
from codesign.search.problem import Problems, integer_ranges
from codesign.search.program import HAIR
from codesign.search.relaxation import Wanted, fleet_at
from codesign.search.space import CONTINUOUS

SAME_PACE = 1e-9
"""Rounding of ln of a time per token that a weighting asks for."""

BINDING = 1e-4
"""A limit binds where ln(used/allowed) is above minus this."""


def check_exactly(search: Search, tasks: Sequence[Task], y: np.ndarray) -> Fleet:
    """Fleets of solved tasks on the exact model, leaves (tasks, …)."""

    def checked(rows: list[int]) -> Fleet:
        numbers = np.array([tasks[k].integers for k in rows], dtype=float)
        return exact_fleets(search.layout, search.placed, np.array([tasks[k].choice for k in rows]), numbers, y[rows])

    return in_batches(checked, range(len(tasks)))


@compiled(SELDOM, static_argnums=(0,))
def exact_fleets(structure: Any, problems: Placed, choices: jax.Array, integers: jax.Array, y: jax.Array) -> Fleet:
    """Fleets on the exact model; silicon beyond the sum of the parts becomes white silicon."""

    def fleet(problem: Problems, numbers: jax.Array, point: jax.Array) -> Fleet:
        values, designs = jnp.exp(point), []
        for p, space in enumerate(problem.spaces):
            kind = problem.kinds[p]
            first, silicon = structure.variable(CONTINUOUS[0], p), values[structure.variable("silicon", p)]
            chosen = values[first : first + len(CONTINUOUS)]
            bare = design_of(space, kind, chosen, numbers[p], jnp.zeros_like(silicon))
            bits = [problem.tables[j].compute_bits for j, step in enumerate(problem.steps) if step.kind == p]
            parts = area(bare, kind.technology, jnp.max(jnp.stack(bits))).total
            designs.append(dataclasses.replace(bare, white_silicon=jnp.maximum(silicon - parts, 0.0)))
        batches = numbers[structure.kinds : structure.kinds + len(problem.services)]
        return fleet_of(problem, tuple(designs), batches)

    return each_lane(fleet, problems, choices, integers, y)


class Judged(NamedTuple):
    """Solved tasks on the exact model."""

    fleet: Fleet
    logs: np.ndarray
    limits: np.ndarray  # (tasks, limits and bounds)
    gap: np.ndarray


def judge(known: Known, objectives: Sequence[Goal], bounds: Sequence[Bound], tasks: Sequence[Task]) -> Judged:
    """Exact values and gaps of solved tasks."""
    found = check_exactly(known.search, tasks, np.stack([known.done[task][2].y for task in tasks]))
    logs = log_goals(objectives, found.totals)
    limits = np.concatenate([found.limits - _hairs(known.search.problems, tasks), bounds_exceeded(bounds, found.totals)], axis=1)
    weights = known.weights[[task.weighting for task in tasks]]
    bound = np.array([known.done[task][1] for task in tasks])
    return Judged(found, logs, limits, (weights * logs).sum(axis=1) - bound)


def _hairs(problems: Problems, tasks: Sequence[Task]) -> np.ndarray:
    """What the limits on layers are relaxed by where a memory has one possible number of layers and stacks are free."""
    hairs = np.zeros((len(tasks), len(FLEET_LIMITS)))
    at = [FLEET_LIMITS.index(name) for name in ("layers_most", "layers_fewest")]
    for space, kind in zip(problems.spaces, problems.kinds, strict=True):
        memory = kind.technology.memory
        single = np.asarray(memory.max_layers <= memory.min_layers * (1.0 + 1e-9)) & (not space.buildable)
        hairs[:, at] = np.maximum(hairs[:, at], np.where(single[[task.choice for task in tasks]], HAIR, 0.0)[:, None])
    return hairs


def audited(search: Search, tasks: Sequence[Task]) -> np.ndarray:
    """Whether program and exact model agree at random points, for each task's choice, shape (tasks,) [bool]."""
    asked = [tasks[k] for k in np.linspace(0, len(tasks) - 1, POINTS).round().astype(int)]
    asked += {task.choice: task for task in tasks}.values()
    wrong = {task.choice for task, off in zip(asked, differences(search, asked, check_exactly), strict=True) if not off <= TOLERANCE}
    return np.array([task.choice not in wrong for task in tasks])


def residuals(known: Known, wanted: Wanted, tasks: Sequence[Task], designs: tuple[Design, ...], proved: np.ndarray) -> np.ndarray:
    """Norm of Σ w ∇F + Σ λ ∇g of the exact model in logarithms of the free quantities, with the best λ ≥ 0 on what binds.

    NaN where proved: there the gap says more. At a tie of two resources the model has two slopes; JAX takes the one between.
    """
    from scipy.optimize import nnls

    problems = known.search.problems
    found = np.full(len(tasks), np.nan)
    for k in map(int, np.flatnonzero(~proved)):
        own = jax.tree.map(lambda leaf, k=k: leaf[k], designs)
        values = [
            np.array([*(float(getattr(design, name)) for name in CONTINUOUS), float(design.white_silicon), float(design.chips)])
            for design in own
        ]
        kinds = len(own)
        lane = np.log(np.maximum(np.concatenate([*values, tasks[k].integers[kinds : kinds + len(problems.services)]]), 1e-12))
        slope, used, slopes = (np.array(part) for part in _slopes(lane, tasks[k].choice, known.search.placed, wanted))
        used[-1] -= known.slowest[tasks[k].weighting]
        free = np.concatenate([np.r_[np.ones(len(CONTINUOUS) + 1, bool), False]] * kinds + [np.zeros(len(problems.services), bool)])
        binds = used > -BINDING
        target = -(known.weights[tasks[k].weighting] @ slope)[free]
        found[k] = nnls(slopes[binds][:, free].T, target)[1] if binds.any() else np.linalg.norm(target)
    return found


@compiled(SELDOM)
def _slopes(lane: jax.Array, choice: jax.Array, problems: Placed, wanted: Wanted) -> tuple[Any, Any, Any]:
    """Slopes of the goals; ln(used/allowed) of limits and bounds and ln of the time per token, with slopes."""

    def both(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        found = fleet_at(jnp.exp(x), problems.problem(problems.rows[choice]))
        used = jnp.maximum(jnp.concatenate([found.limits, bounds_exceeded(wanted.bounds, found.totals)]), -100.0)
        return log_goals(wanted.objectives, found.totals), jnp.append(used, jnp.log(found.totals.time_per_token))

    slopes = jax.jacfwd(both)(lane)
    return slopes[0], both(lane)[1], slopes[1]


def front_gaps(known: Known, logs: np.ndarray, paces: np.ndarray) -> np.ndarray:
    """How much all objectives together could still improve on each design, over all choices and integers [log]; NaN where none is proved.

    The least, over the weightings with a proved bound, of the weighted sum above its bound (convexity.md §3). A weighting that asks for
    a speed bounds what is at least as fast; so is all that improves on a design which is.

    Args:
        known: weightings and their bounds.
        logs: goals of the designs, shape (designs, goals).
        paces: their ln of the time per token, shape (designs,).
    """
    gaps = logs @ known.weights.T - known.bounds[None, :]
    least = np.min(np.where(paces[:, None] <= known.slowest + SAME_PACE, gaps, np.inf), axis=1)
    return np.where(np.isfinite(least), least, np.nan)


def convex(problems: Problems, tasks: Sequence[Task]) -> np.ndarray:
    """Whether the program is the exact model for each task, shape (tasks,) [bool].

    It is not where experts are exchanged beyond a scale-up domain: the slower of two networks then depends on the design.
    """
    choice = np.array([task.choice for task in tasks])
    integers = np.array([task.integers for task in tasks])
    sure = np.ones(len(tasks), bool)
    for k, step in enumerate(problems.steps):
        if problems.tables[k].has_experts:
            dealt = np.asarray(problems.plans[k].expert)[choice] > 1.0
            leaves = integers[:, step.kind] > np.asarray(problems.kinds[step.kind].scale_up_domain)[choice]
            sure &= ~(dealt & leaves)
    return sure


def always_convex(problems: Problems) -> bool:
    """Whether the program is the exact model for every choice and all integers (see ``convex``)."""
    most = integer_ranges(problems)[1]
    count = len(problems.kinds[0].dies)
    return bool(convex(problems, [Task(0, choice, tuple(map(int, most))) for choice in range(count)]).all())


def integer_bounds(problems: Problems, integers: np.ndarray) -> np.ndarray:
    low, high = integer_ranges(problems)
    count = len(problems.spaces) + len(problems.services)
    columns = []
    for k in range(count):
        # one chip or one sequence is a fact of life, not a bound of the box
        at = np.where((integers[:, k] == low[k]) & (low[k] > 1), -1, np.where(integers[:, k] == high[k], 1, 0))
        columns.append(at if high[k] > low[k] else np.zeros_like(at))
    return np.stack(columns, axis=1)


def non_dominated(logs: np.ndarray, tolerance: float = 1e-7) -> np.ndarray:
    """Indices of rows that are finite and that no other row beats or equals in every column; of equal rows, the first."""
    order = np.argsort(np.where(np.isfinite(logs).all(axis=1), logs.sum(axis=1), np.inf), kind="stable")
    kept: list[int] = []
    for k in order:  # a row can only be beaten by one with a smaller sum, up to the tolerance
        if not np.isfinite(logs[k]).all():
            break
        if not kept or not (logs[kept] <= logs[k] + tolerance).all(axis=1).any():
            kept.append(int(k))
    return np.array(sorted(kept), dtype=int)
