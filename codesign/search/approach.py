"""Where the good integers of a fleet are: a convex relaxation around the best known, smaller and smaller.

The gradient of a fleet of several steps takes longer to compile than this takes to run. Around a task every coefficient is replaced
by a monomial in chips and batches (``planes``); the relaxed optimum, rounded, is the next task if it is better.
"""

import numpy as np

from codesign.search.boxes import Box, nearest_task, solve_boxes
from codesign.search.integers import Known, Task

FROM_AFAR = (16.0, 6.0, 3.0, 2.0, 1.5, 1.2)
FROM_NEARBY = (1.6, 1.2)
"""Half the widths, as factors, of the boxes around a task."""


def approach(known: Known, starts: list[list[Task]], factors: tuple[float, ...] = FROM_AFAR) -> list[list[Task]]:
    """Better tasks than each of the starts of each weighting; stacks and layers stay as they are."""
    ranges = known.search.ranges
    tasks = [task for row in starts for task in row]
    known.learn(tasks)
    for factor in factors:
        pairs = [(around(known, task, factor, ranges), task.weighting) for task in tasks]
        found = solve_boxes(known, pairs)
        moved = [nearest_task(known.search, box, k, y) for (box, k), y in zip(pairs, found.y, strict=True)]
        moved = [new._replace(choice=old.choice) for new, old in zip(moved, tasks, strict=True)]
        known.learn(moved)
        tasks = [new if known.value(new) < known.value(old) else old for new, old in zip(moved, tasks, strict=True)]
    remaining = iter(tasks)
    return [[next(remaining) for _ in row] for row in starts]


def settled(known: Known, tasks: list[Task]) -> list[Task]:
    """Tasks moved to the best chips and batches nearby, for instance after stacks and layers were rounded."""
    return [row[0] for row in approach(known, [[task] for task in tasks], FROM_NEARBY)]


def around(known: Known, task: Task, factor: float, ranges: tuple[np.ndarray, np.ndarray]) -> Box:
    """Chips and batches up to a factor away from a task, at least one, within one side of each scale-up domain."""
    layout, problems = known.search.layout, known.search.problems
    low, high = list(task.integers), list(task.integers)
    for k in range(layout.kinds + len(layout.services)):
        number = task.integers[k]
        low[k] = max(int(ranges[0][k]), min(number - 1, round(number / factor)))
        high[k] = min(int(ranges[1][k]), max(number + 1, round(number * factor)))
        if k < layout.kinds:
            domain = int(np.asarray(problems.kinds[k].scale_up_domain)[task.choice])
            low[k], high[k] = (max(low[k], domain + 1), high[k]) if number > domain else (low[k], min(high[k], domain))
    return Box(task.choice, tuple(low), tuple(high))
