"""The integer search of a fleet: each kind of machine by itself, then all together.

Around a fleet's optimum at given integers its weighted sum comes apart into one of each kind (``decomposition``). A kind has a few
integers and a small program; the fleet has the sum of both, and its neighbours number the square.
"""

from collections.abc import Iterator

import numpy as np

from codesign.search.integers.chip_scan import scanned
from codesign.search.integers.descent import descend
from codesign.search.integers.formulation import Task
from codesign.search.integers.lagrangian_decomposition import alone, mixed, taken_apart
from codesign.search.integers.pattern_search import improved
from codesign.search.integers.solution_pool import WORTHWHILE, Known
from codesign.search.program.single_kind import parts

WHOLE = 0.2
"""Log units that whole stacks and layers are taken to cost at most, compared with free ones, where numbers of chips are scanned."""

ROUNDS = 3
"""How often a fleet is taken apart anew around the best found."""


def descended(known: Known, starts: list[list[Task]]) -> list[Task]:
    """For every weighting, the best integers found from its starts, memory in whole stacks and layers where it must be.

    Starts may leave stacks and layers free (0).
    """
    if known.search.layout.kinds == 1:
        return descend(known, with_scan(known, starts))
    known.learn(task for row in starts for task in row)
    tasks = [task for row in starts if np.isfinite(known.value(task := min(row, key=known.value)))]
    if not tasks:
        return []
    offers = {task: [task] for task in tasks}
    for own, whole in _each_kind(known, tasks, free=True):
        for task in tasks:
            found = whole.get(task)
            offers[task] = [] if found is None else [mixed(old, found, own) for old in offers[task]]
    known.learn(task for several in offers.values() for task in several)
    moved = [min(several, key=known.value, default=None) for several in offers.values()]
    return polished(known, [[task] for task in moved if task is not None and np.isfinite(known.value(task))])


def polished(known: Known, starts: list[list[Task]]) -> list[Task]:
    """Better neighbours of tasks with whole memory, until there is none."""
    if known.search.layout.kinds == 1 or not starts:
        known.learn(task for row in starts for task in row)
        return improved(known, [min(row, key=known.value) for row in starts])
    known.learn(task for row in starts for task in row)
    best = [min(row, key=known.value) for row in starts]
    moving = [k for k, task in enumerate(best) if np.isfinite(known.value(task))]
    for _ in range(ROUNDS):
        offers = {best[k]: [best[k]] for k in moving}
        for own, found in _each_kind(known, list(offers), free=False):
            for task, several in offers.items():
                if task in found and found[task].integers != task.integers:
                    several += [mixed(old, found[task], own) for old in several]
        known.learn(task for several in offers.values() for task in several)
        better = {k: min(offers[best[k]], key=known.value) for k in moving}
        moving = [k for k in moving if known.value(better[k]) < known.value(best[k]) - WORTHWHILE]
        best = [better[k] if k in moving else task for k, task in enumerate(best)]
        if not moving:
            break
    return best


def _each_kind(known: Known, tasks: list[Task], *, free: bool) -> Iterator[tuple[np.ndarray, dict[Task, Task]]]:
    """For each kind: which integers are its own, and the task with the best of them for each task."""
    split = taken_apart(known, tasks)
    for part in parts(known.search.layout):
        own, one, starts = alone(known, tasks, split, part)
        found = descend(one, with_scan(one, [[start] for start in starts])) if free else improved(one, starts)
        yield own, {tasks[task.weighting]: task for task in found if np.isfinite(one.value(task))}


def with_scan(known: Known, starts: list[list[Task]]) -> list[list[Task]]:
    """Starts of weightings, and what a scan of the numbers of chips finds.

    Starts with free memory are no designs yet, and those with whole memory none that a scan with free memory need better: both only
    say below what a number of chips is worth a look.
    """
    known.learn(task for row in starts for task in row)
    least = np.array([min(known.value(task) for task in row) for row in starts]) + WHOLE
    return [[*row, *more] for row, more in zip(starts, scanned(known, [row[0].weighting for row in starts], least), strict=True)]
