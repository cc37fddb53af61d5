"""Second stage: integer chips and batch by descent over neighbours, each neighbour solved to a proved optimum.

For every weighting the relaxed search names a start; a pattern search with shrinking steps ends where none of the eight
neighbours (±1 chip, ±1 sequence) in the same choice is better. Every solve is convex and certified for its own integers.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from codesign.hardware.technology import Technology
from codesign.numerics.fields import Real
from codesign.performance.execution import Execution
from codesign.performance.plan import Plan
from codesign.performance.step import operator_names
from codesign.search.certificate import lower_bound
from codesign.search.choices import taken
from codesign.search.goals import Goals
from codesign.search.interior_point import Point, model_at, solve
from codesign.search.program import Program, build, shape
from codesign.search.space import Space
from codesign.workload.operators import OperatorTable
from codesign.workload.workload import Workload

LANES = 128
"""Problems solved in one call: fixed, so that one compiled program serves every round."""

FEASIBLE = 1e-9
"""Largest ln(used/allowed) that still counts as converged inside the limits; the exact model has the last word."""

STRIDES = (0.25, 0.08, 0.02, 0.0)
"""Relative steps of the pattern search, in turn; the last means ±1."""


class Task(NamedTuple):
    """One problem to solve: indices and integers."""

    weighting: int
    choice: int
    chips: int
    batch: int


class Solved(NamedTuple):
    """Solved problems; ``value`` is +∞ where no feasible point was found. Arrays of JAX inside, of numpy outside."""

    value: Any  # (lanes,)
    bound: Any  # (lanes,)
    point: Point


class Problems(eqx.Module):
    """What all problems of one search share."""

    space: Space
    plans: Plan
    dies: Any  # (choices,)
    table: OperatorTable
    workload: Workload
    technology: Technology
    execution: Execution


@jax.jit(static_argnums=(0,))
def _solve_lanes(count: int, problems: Problems, goals: Goals, weights: Real, choice: Any, chips: Real, batch: Real) -> Solved:
    exponents = shape(count)

    def problem(k: Any, n: Real, b: Real) -> Program:
        return build(
            problems.space, n, b, taken(problems.plans, k), problems.dies[k],
            problems.table, problems.workload, problems.technology, problems.execution,
        )  # fmt: skip

    def judged(program: Program, weighting: Real, point: Point) -> Solved:
        model = model_at(exponents, program, goals, weighting, point)
        feasible = (jnp.max(model.limits) <= FEASIBLE) & jnp.isfinite(model.value)
        return Solved(jnp.where(feasible, model.value, jnp.inf), lower_bound(program, point, model), point)

    programs = jax.vmap(problem)(choice, chips, batch)
    return jax.vmap(judged)(programs, weights, solve(exponents, programs, goals, weights))


def solve_tasks(problems: Problems, goals: Goals, weights: np.ndarray, tasks: list[Task]) -> Solved:
    """Solve problems in batches of ``LANES``; shapes (tasks, …), as numpy arrays."""
    done = []
    for first in range(0, len(tasks), LANES):
        batch = tasks[first : first + LANES]
        padded = np.array(batch + [batch[-1]] * (LANES - len(batch)))
        numbers = [jnp.asarray(padded[:, k], dtype=problems.space.low.dtype) for k in (2, 3)]
        lanes = _solve_lanes(
            len(operator_names(problems.table, problems.workload.phase)), problems, goals,
            jnp.asarray(weights[padded[:, 0]]), jnp.asarray(padded[:, 1]), *numbers,
        )  # fmt: skip
        count = len(batch)
        done.append(jax.tree.map(lambda leaf, count=count: np.asarray(leaf)[:count], lanes))
    return jax.tree.map(lambda *parts: np.concatenate(parts), *done)


def descend(
    problems: Problems,
    goals: Goals,
    weights: np.ndarray,
    starts: list[list[Task]],
    progress: Callable[[int, int], None],
) -> tuple[list[Task], Solved]:
    """For every weighting, the best integers that the pattern search reaches from its starts.

    Args:
        problems: what all share.
        goals: objectives.
        weights: shape (weightings, goals).
        starts: tasks from which each weighting starts.
        progress: told (strides done, strides in all).

    Returns:
        the best task of each weighting that has a feasible one, and its solution, shapes (weightings found, …).
    """
    known: dict[Task, tuple[float, float, Point]] = {}

    def learn(tasks: set[Task]) -> None:
        fresh = sorted(tasks - known.keys())
        if fresh:
            solved = solve_tasks(problems, goals, weights, fresh)
            for k, task in enumerate(fresh):
                point = jax.tree.map(lambda leaf, k=k: leaf[k], solved.point)
                known[task] = (float(solved.value[k]), float(solved.bound[k]), point)

    learn({task for tasks in starts for task in tasks})
    best = [min(tasks, key=lambda task: known[task][0]) for tasks in starts]
    for done, stride in enumerate(STRIDES):
        moving = set(range(len(best)))
        while moving:
            around = {k: neighbours(best[k], stride, problems.space) for k in moving}
            learn({task for tasks in around.values() for task in tasks})
            still = set()
            for k, tasks in around.items():
                candidate = min(tasks, key=lambda task: known[task][0], default=best[k])
                if known[candidate][0] < known[best[k]][0] - 1e-12:
                    best[k] = candidate
                    still.add(k)
            moving = still
        progress(done + 1, len(STRIDES))
    found = [task for task in best if np.isfinite(known[task][0])]
    rows = [known[task] for task in found]
    if not rows:
        return [], Solved(np.zeros(0), np.zeros(0), Point(*[np.zeros((0, 0))] * 5))
    points = jax.tree.map(lambda *leaves: np.stack(leaves), *[row[2] for row in rows])
    return found, Solved(np.array([row[0] for row in rows]), np.array([row[1] for row in rows]), points)


def neighbours(task: Task, stride: float, space: Space) -> list[Task]:
    """The eight tasks around one, ``stride`` away in relation and at least one, inside the ranges."""
    step_chips, step_batch = max(1, round(stride * task.chips)), max(1, round(stride * task.batch))
    around = []
    for chips in (task.chips - step_chips, task.chips, task.chips + step_chips):
        for batch in (task.batch - step_batch, task.batch, task.batch + step_batch):
            inside = space.chips[0] <= chips <= space.chips[1] and space.batch[0] <= batch <= space.batch[1]
            if inside and (chips, batch) != (task.chips, task.batch):
                around.append(task._replace(chips=chips, batch=batch))
    return around
