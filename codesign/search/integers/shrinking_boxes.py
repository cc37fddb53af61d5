"""Where the good integers of a fleet are: a convex relaxation around the best known, smaller and smaller.

The gradient of a fleet of several steps takes longer to compile than this takes to run. Around a task every coefficient is replaced
by a monomial in chips and batches (``planes``); the relaxed optimum, rounded, is the next task if it is better.
"""

import numpy as np

from codesign.search.integers.box_relaxation import solve_boxes
from codesign.search.integers.boxes import Box, nearest_task
from codesign.search.integers.formulation import Task
from codesign.search.integers.solution_pool import Known

FROM_AFAR = (16.0, 6.0, 3.0, 2.0, 1.5, 1.2)
FROM_NEARBY = (1.6, 1.2)
"""Half the widths, as factors, of the boxes around a task."""

FEWEST = 2
"""Starts of a weighting that are followed to the end."""


def approach(known: Known, starts: list[list[Task]], factors: tuple[float, ...] = FROM_AFAR) -> list[list[Task]]:
    """Better tasks than the starts of each weighting, the better half of them after each relaxation; stacks and layers stay."""
    ranges = known.search.ranges
    rows = [list(row) for row in starts]
    known.learn(task for row in rows for task in row)
    for factor in factors:
        pairs = [(around(known, task, factor, ranges), task.weighting) for row in rows for task in row]
        found = solve_boxes(known, pairs)
        moved = [nearest_task(known.search, box, k, y) for (box, k), y in zip(pairs, found.y, strict=True)]
        known.learn(moved)
        new = iter(moved)
        rows = [[min(old, next(new), key=known.value) for old in row] for row in rows]
        rows = [sorted(row, key=known.value)[: max(FEWEST, len(row) // 2)] for row in rows]
    return rows


def settled(known: Known, tasks: list[Task]) -> list[Task]:
    """Tasks moved to the best chips and batches nearby, for instance after stacks and layers were rounded."""
    return [row[0] for row in approach(known, [[task] for task in tasks], FROM_NEARBY)]


def around(known: Known, task: Task, factor: float, ranges: tuple[np.ndarray, np.ndarray]) -> Box:
    """Chips and batches up to a factor away from a task, at least one, within one side of each scale-up domain."""
    layout, problems = known.search.layout, known.search.problems
    low, high = list(task.integers), list(task.integers)
    for k in range(layout.counted):
        number = task.integers[k]
        low[k] = max(int(ranges[0][k]), min(number - 1, round(number / factor)))
        high[k] = min(int(ranges[1][k]), max(number + 1, round(number * factor)))
        if k < layout.kinds:
            domain = int(np.asarray(problems.kinds[k].scale_up_domain)[task.choice])
            low[k], high[k] = (max(low[k], domain + 1), high[k]) if number > domain else (low[k], min(high[k], domain))
    return Box(task.choice, tuple(low), tuple(high))
