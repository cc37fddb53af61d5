"""Better integers nearby, with batches as real variables of a convex relaxation.

One chip, stack or layer more or less, or another choice, wants another batch at once: a promise or a capacity ties them. So each
neighbour is a box: its chips and memory fixed, its batches anywhere up to ``WIDE`` away. A neighbour whose bound is no better than the
best known is done with; the others are narrowed down to integers.
"""

import itertools

import numpy as np

from codesign.search.integers.box_relaxation import solve_boxes
from codesign.search.integers.boxes import Box, nearest_task
from codesign.search.integers.branch_and_bound import EMPTY
from codesign.search.integers.formulation import Search, Task
from codesign.search.integers.solution_pool import WORTHWHILE, Known

WIDE, NARROW = 1.6, 1.1
"""Half the widths of the batches' ranges, as factors."""

FOLLOWED = 4
"""Neighbours of a task that are narrowed down, in the order of their bounds."""


def improved(known: Known, tasks: list[Task]) -> list[Task]:
    """Tasks moved to better neighbours until none has a better bound, or what it promises is not kept."""
    known.learn(tasks)
    best = list(tasks)
    moving = [k for k, task in enumerate(best) if np.isfinite(known.value(task))]
    while moving:
        boxes = [(box, k) for k in moving for box in surroundings(known.search, best[k])]
        near = followed(known, [(box, best[k]) for box, k in boxes])
        still = []
        for k in moving:
            candidate = min(near.get(best[k], ()), key=known.value, default=best[k])
            if known.value(candidate) < known.value(best[k]) - WORTHWHILE:
                best[k] = candidate
                still.append(k)
        moving = still
    return best


def followed(known: Known, pairs: list[tuple[Box, Task]]) -> dict[Task, list[Task]]:
    """The tasks that the most promising boxes around each task lead to, solved; none where no box has a better bound than the task."""
    around: dict[Task, list[Box]] = {}
    for box, task in _hopeful(known, sorted(set(pairs))):
        around.setdefault(task, []).append(box)
    found = settled(known, [(task.weighting, boxes) for task, boxes in around.items()], FOLLOWED)
    return dict(zip(around, found, strict=True))


def settled(known: Known, rows: list[tuple[int, list[Box]]], most: int) -> list[list[Task]]:
    """For each weighting with its boxes: the integers that the boxes with the best bounds are narrowed down to, solved.

    Args:
        known: solves so far.
        rows: weightings and boxes.
        most: boxes of a row that are narrowed.
    """
    pairs = [(box, k) for k, boxes in rows for box in boxes]
    if not pairs:
        return [[] for _ in rows]
    found = iter(zip(pairs, *solve_boxes(known, pairs), strict=True))
    best = []
    for k, boxes in rows:
        own = [(bound, nearest_task(known.search, box, k, y)) for (box, _), bound, y in (next(found) for _ in boxes)]
        best.append([task for bound, task in sorted(own)[:most] if bound < EMPTY])
    closer = [(batches_around(known.search, task, NARROW), task.weighting) for tasks in best for task in tasks]
    if not closer:
        return [[] for _ in rows]
    rounded = iter([rounded_batches(known.search, box, k, y) for (box, k), y in zip(closer, solve_boxes(known, closer).y, strict=True)])
    tasks = [[task for _ in own for task in next(rounded)] for own in best]
    known.learn(task for several in tasks for task in several)
    return tasks


def _hopeful(known: Known, pairs: list[tuple[Box, Task]]) -> list[tuple[Box, Task]]:
    """Pairs whose box has a better bound than the task."""
    better = np.array([known.value(task) - WORTHWHILE for _, task in pairs])
    bound = solve_boxes(known, [(box, task.weighting) for box, task in pairs], better).bound
    return [pairs[k] for k in np.flatnonzero(bound < better)]


def surroundings(search: Search, task: Task) -> list[Box]:
    """Boxes around a task: one or two of its chips, stacks and layers one more or less, or another choice, or none of these."""
    low, high = search.ranges
    counted, kinds = search.layout.counted, search.layout.kinds
    moves = [k for k in range(len(low)) if not kinds <= k < counted and low[k] < high[k]]
    steps = [((k, sign),) for k in moves for sign in (-1, 1)]
    steps += [(a, b) for (a,), (b,) in itertools.combinations(steps, 2) if a[0] != b[0]]
    tasks = [task._replace(choice=choice) for choice in range(len(search.problems.kinds[0].dies))]
    for step in steps:
        integers = list(task.integers)
        for k, sign in step:
            integers[k] += sign
        if all(low[k] <= integers[k] <= high[k] for k, _ in step):
            tasks.append(task._replace(integers=tuple(integers)))
    return [batches_around(search, near, WIDE) for near in tasks]


def batches_around(search: Search, task: Task, factor: float) -> Box:
    """The box of a task's choice, chips and memory, its batches up to a factor away and at least one."""
    low, high = search.ranges
    ends = [list(task.integers), list(task.integers)]
    for k in range(search.layout.kinds, search.layout.counted):
        ends[0][k] = max(int(low[k]), min(task.integers[k] - 1, round(task.integers[k] / factor)))
        ends[1][k] = min(int(high[k]), max(task.integers[k] + 1, round(task.integers[k] * factor)))
    return Box(task.choice, *(tuple(end) for end in ends))


def rounded_batches(search: Search, box: Box, weighting: int, y: np.ndarray) -> list[Task]:
    """The integers of a box nearest to a relaxed optimum, and with each batch rounded the other way."""
    nearest = nearest_task(search, box, weighting, y)
    tasks = [nearest]
    for k, position in enumerate(search.positions):
        if position < search.layout.kinds:
            continue
        number, real = nearest.integers[position], float(np.exp(y[search.solved.integers[k]]))
        other = number + (1 if real > number else -1)
        if box.low[position] <= other <= box.high[position]:
            tasks.append(nearest._replace(integers=(*nearest.integers[:position], other, *nearest.integers[position + 1 :])))
    return tasks
