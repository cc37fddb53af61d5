"""From where a weighting starts to its best integers: rounding memory, then local search."""

import numpy as np

from codesign.search.integers.formulation import Task
from codesign.search.integers.pattern_search import FOLLOWED, WIDE, batches_around, improved, settled
from codesign.search.integers.solution_pool import Known, best_of, rounded_memory

CARRIED, ROUNDED = 6, 2
"""Tasks of a weighting whose free memory is rounded, and tasks with whole memory that are improved."""


def descend(known: Known, starts: list[list[Task]]) -> list[Task]:
    """For every weighting, the best integers that the local search reaches from its starts; those with a feasible design only.

    Starts leave stacks and layers free where memory comes in whole ones; the best of them, and with one chip more and less, are
    rounded both ways.
    """
    rows = best_of(known, starts, CARRIED)
    if whole_memory(known):
        near = [[n for task in tasks for n in (task, *_fewer_and_more_chips(known, task))] for tasks in rows]
        known.learn(task for tasks in near for task in tasks)
        whole = [{r for task in tasks if np.isfinite(known.value(task)) for r in rounded_memory(known, task)} for tasks in near]
        boxes = [
            (row[0].weighting, [batches_around(known.search, task, WIDE) for task in sorted(own)])
            for row, own in zip(starts, whole, strict=True)
        ]
        rows = best_of(known, settled(known, boxes, FOLLOWED), ROUNDED)
    ends = iter(improved(known, [task for tasks in rows for task in tasks]))
    best = [min([next(ends) for _ in tasks], key=known.value, default=None) for tasks in rows]
    return [task for task in best if task is not None]


def whole_memory(known: Known) -> bool:
    return bool((known.search.ranges[1][known.search.layout.counted :] > 0).any())


def _fewer_and_more_chips(known: Known, task: Task) -> list[Task]:
    """One chip less and one more of each kind: whole stacks may suit another number of chips better than free ones did."""
    low, high = known.search.ranges
    found = []
    for k in range(known.search.layout.kinds):
        for number in (task.integers[k] - 1, task.integers[k] + 1):
            if low[k] <= number <= high[k] and low[k] < high[k]:
                found.append(task._replace(integers=(*task.integers[:k], number, *task.integers[k + 1 :])))
    return found
