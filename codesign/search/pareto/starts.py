"""Where the integer search starts for each weighting, and where it looks again."""

from collections.abc import Callable, Sequence

import numpy as np

from codesign.search.integers.block_pattern_search import polished
from codesign.search.integers.formulation import Task
from codesign.search.integers.solution_pool import WORTHWHILE, Known
from codesign.search.pareto.dominance import non_dominated
from codesign.search.pareto.gaps import GAPS, asked_between, longest_gaps
from codesign.search.pareto.penalty_search import Relaxed, first_integers
from codesign.search.statement.goals import Goal, log_goals
from codesign.search.statement.problem import Problems
from codesign.search.verification.exact_check import check_exactly

OFFERS = 8
"""Weightings nearby whose integers are tried."""


def first_tasks(relaxed: Relaxed, problems: Problems, ranges: tuple[np.ndarray, np.ndarray]) -> list[list[Task]]:
    """Where the descent starts for each weighting: relaxed optima of every choice, and the same at the end of a scale-up domain.

    Communication jumps where a machine outgrows its domain, and a gradient does not see across.
    """
    starts = first_integers(relaxed, problems, ranges)
    found = []
    for k, row in enumerate(starts):
        tasks = {Task(k, choice, numbers) for choice, numbers in enumerate(row)}
        for p, kind in enumerate(problems.kinds):
            for task in list(tasks):
                edge = int(np.clip(np.asarray(kind.scale_up_domain)[task.choice], ranges[0][p], ranges[1][p]))
                tasks.add(task._replace(integers=(*task.integers[:p], edge, *task.integers[p + 1 :])))
        found.append(sorted(tasks))
    return found


def middle_starts(known: Known, ranges: tuple[np.ndarray, np.ndarray]) -> list[list[Task]]:
    """For each weighting the middle of the ranges in every choice, stacks and layers free."""
    counted = known.search.layout.counted
    middle = np.sqrt(np.maximum(ranges[0], 1) * np.maximum(ranges[1], 1)).round().astype(int)
    integers = tuple(int(v) if k < counted else 0 for k, v in enumerate(middle))
    choices = len(known.search.problems.kinds[0].dies)
    return [[Task(k, choice, integers) for choice in range(choices)] for k in range(len(known.weights))]


def completed(known: Known, tasks: Sequence[Task]) -> list[Task]:
    """The best known task of each weighting; where it has none, another's integers."""
    best: dict[int, Task] = {}
    for task in tasks:
        if task.weighting not in best or known.value(task) < known.value(best[task.weighting]):
            best[task.weighting] = task
    found = [best.get(k, tasks[0]._replace(weighting=k)) for k in range(len(known.weights))]
    known.learn(found)
    return found


def exchanged(known: Known, tasks: Sequence[Task]) -> list[Task]:
    """Tasks that took over the integers of a weighting nearby where these serve them better, and descended from there.

    A descent ends where no single step helps; what another weighting found is often several steps away.
    """
    best = {task.weighting: task for task in completed(known, tasks)}
    rows = sorted(best)
    far = np.linalg.norm(known.weights[rows][:, None, :] - known.weights[rows][None, :, :], axis=2)
    offers = {
        k: [best[rows[j]]._replace(weighting=k) for j in np.argsort(far[i], kind="stable")[1 : 1 + OFFERS]] for i, k in enumerate(rows)
    }
    known.learn(task for tasks in offers.values() for task in tasks)
    moved = []
    for k in rows:
        better = min(offers[k], key=known.value, default=best[k])
        if known.value(better) < known.value(best[k]) - WORTHWHILE:
            moved.append([better])
    found = {task.weighting: task for task in polished(known, moved)} if moved else {}
    return [found.get(k, best[k]) for k in rows if np.isfinite(known.value(found.get(k, best[k])))]


def adopted(known: Known, objectives: Sequence[Goal], tasks: list[Task]) -> list[Task]:
    """Tasks that took over the integers of any design that serves their weighting better than their own, and descended from there."""
    logs = log_goals(objectives, check_exactly(known.search, tasks, points(known, tasks)).totals)
    own = [task.weighting for task in tasks]
    fast_enough = paces(known, tasks)[None, :] <= known.slowest[own][:, None]
    worth = np.where(fast_enough & np.isfinite(logs).all(axis=1), known.weights[own] @ np.nan_to_num(logs).T, np.inf)  # (weighting, design)
    best = np.argmin(worth, axis=1)
    offers = {
        k: tasks[j]._replace(weighting=task.weighting)
        for k, (task, j) in enumerate(zip(tasks, best, strict=True))
        if worth[k, j] < known.value(task) - WORTHWHILE
    }
    known.learn(offers.values())
    better = [k for k, offer in offers.items() if known.value(offer) < known.value(tasks[k])]
    moved = polished(known, [[offers[k]] for k in better]) if better else []
    found = dict(zip(better, moved, strict=True))
    return [found.get(k, task) for k, task in enumerate(tasks)]


def refined(known: Known, objectives: Sequence[Goal], tasks: list[Task], settle: Callable[[list[list[Task]]], list[Task]]) -> list[Task]:
    """More designs, between those that are farthest apart on the front.

    Args:
        known: solves so far.
        objectives: what the front is of.
        tasks: designs so far.
        settle: finds the best integers of new weightings from the designs at both ends.
    """
    found = check_exactly(known.search, tasks, points(known, tasks))
    logs = log_goals(objectives, found.totals)
    front = non_dominated(logs)
    ends = [tasks[k] for k in front]
    gaps = longest_gaps(logs[front], GAPS)
    if not gaps:
        return tasks
    weights = known.weights[[task.weighting for task in ends]]
    weights, slowest = asked_between(gaps, weights, logs[front], paces(known, ends), known.search.goals)
    first = len(known.weights)
    known.ask(weights, slowest)
    return tasks + settle([[ends[row]._replace(weighting=first + k) for row in gap] for k, gap in enumerate(gaps)])


def paces(known: Known, tasks: Sequence[Task]) -> np.ndarray:
    """ln of the time per token of known tasks [s], shape (tasks,)."""
    return points(known, tasks)[:, known.search.layout.variable("pace")]


def points(known: Known, tasks: Sequence[Task]) -> np.ndarray:
    """Solutions of known tasks, shape (tasks, variables)."""
    return np.stack([known.done[task][2].y for task in tasks])
