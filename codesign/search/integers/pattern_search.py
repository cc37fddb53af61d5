"""Better integers nearby, with batches as real variables of a convex relaxation.

One chip, stack or layer more or less, or another choice, wants another batch at once: a promise or
a capacity ties them. So each neighbour is a box: its chips and memory fixed, its batches anywhere
up to ``WIDE`` away. A neighbour whose bound is no better than the best known is done with; the
others are narrowed down to integers.
"""

import itertools

import numpy as np

from codesign.search.integers.box_relaxation import solve_boxes
from codesign.search.integers.boxes import Box, nearest_subproblem
from codesign.search.integers.branch_and_bound import EMPTY
from codesign.search.integers.formulation import Formulation, Subproblem
from codesign.search.integers.solution_pool import WORTHWHILE, SolutionPool

WIDE, NARROW = 1.6, 1.1
"""Half the widths of the batches' ranges, as factors."""

FOLLOWED = 4
"""Neighbours of a subproblem that are narrowed down, in the order of their bounds."""


def improve(pool: SolutionPool, subproblems: list[Subproblem]) -> list[Subproblem]:
    """Subproblems moved to better neighbours until none has a better bound, or what it promises is
    not kept."""
    pool.learn(subproblems)
    best = list(subproblems)
    moving = [k for k, subproblem in enumerate(best) if np.isfinite(pool.value(subproblem))]
    while moving:
        boxes = [(box, k) for k in moving for box in surroundings(pool.formulation, best[k])]
        near = follow(pool, [(box, best[k]) for box, k in boxes])
        still = []
        for k in moving:
            candidate = min(near.get(best[k], ()), key=pool.value, default=best[k])
            if pool.value(candidate) < pool.value(best[k]) - WORTHWHILE:
                best[k] = candidate
                still.append(k)
        moving = still
    return best


def follow(
    pool: SolutionPool, pairs: list[tuple[Box, Subproblem]]
) -> dict[Subproblem, list[Subproblem]]:
    """The subproblems that the most promising boxes around each subproblem lead to, solved; none
    where no box has a better bound than the subproblem."""
    around: dict[Subproblem, list[Box]] = {}
    for box, subproblem in _hopeful(pool, sorted(set(pairs))):
        around.setdefault(subproblem, []).append(box)
    found = settled(
        pool, [(subproblem.weighting, boxes) for subproblem, boxes in around.items()], FOLLOWED
    )
    return dict(zip(around, found, strict=True))


def settled(
    pool: SolutionPool, rows: list[tuple[int, list[Box]]], most: int
) -> list[list[Subproblem]]:
    """For each weighting with its boxes: the integers that the boxes with the best bounds are
    narrowed down to, solved.

    Args:
        pool: solves so far.
        rows: weightings and boxes.
        most: boxes of a row that are narrowed.
    """
    pairs = [(box, k) for k, boxes in rows for box in boxes]
    if not pairs:
        return [[] for _ in rows]
    found = iter(zip(pairs, *solve_boxes(pool, pairs), strict=True))
    best = []
    for k, boxes in rows:
        own = [
            (bound, nearest_subproblem(pool.formulation, box, k, y))
            for (box, _), bound, y in (next(found) for _ in boxes)
        ]
        best.append([subproblem for bound, subproblem in sorted(own)[:most] if bound < EMPTY])
    closer = [
        (batches_around(pool.formulation, subproblem, NARROW), subproblem.weighting)
        for subproblems in best
        for subproblem in subproblems
    ]
    if not closer:
        return [[] for _ in rows]
    rounded = iter(
        [
            rounded_batches(pool.formulation, box, k, y)
            for (box, k), y in zip(closer, solve_boxes(pool, closer).y, strict=True)
        ]
    )
    subproblems = [[subproblem for _ in own for subproblem in next(rounded)] for own in best]
    pool.learn(subproblem for several in subproblems for subproblem in several)
    return subproblems


def _hopeful(
    pool: SolutionPool, pairs: list[tuple[Box, Subproblem]]
) -> list[tuple[Box, Subproblem]]:
    """Pairs whose box has a better bound than the subproblem."""
    better = np.array([pool.value(subproblem) - WORTHWHILE for _, subproblem in pairs])
    bound = solve_boxes(
        pool, [(box, subproblem.weighting) for box, subproblem in pairs], better
    ).bound
    return [pairs[k] for k in np.flatnonzero(bound < better)]


def surroundings(formulation: Formulation, subproblem: Subproblem) -> list[Box]:
    """Boxes around a subproblem: one or two of its chips, stacks and layers one more or less, or
    another choice, or none of these."""
    low, high = formulation.ranges
    counted, kinds = formulation.structure.counted, formulation.structure.kinds
    moves = [k for k in range(len(low)) if not kinds <= k < counted and low[k] < high[k]]
    steps = [((k, sign),) for k in moves for sign in (-1, 1)]
    steps += [(a, b) for (a,), (b,) in itertools.combinations(steps, 2) if a[0] != b[0]]
    subproblems = [
        subproblem._replace(choice=choice) for choice in range(formulation.problems.choices)
    ]
    for step in steps:
        integers = list(subproblem.integers)
        for k, sign in step:
            integers[k] += sign
        if all(low[k] <= integers[k] <= high[k] for k, _ in step):
            subproblems.append(subproblem._replace(integers=tuple(integers)))
    return [batches_around(formulation, near, WIDE) for near in subproblems]


def batches_around(formulation: Formulation, subproblem: Subproblem, factor: float) -> Box:
    """The box of a subproblem's choice, chips and memory, its batches up to a factor away and at
    least one."""
    low, high = formulation.ranges
    ends = [list(subproblem.integers), list(subproblem.integers)]
    for k in range(formulation.structure.kinds, formulation.structure.counted):
        ends[0][k] = max(
            int(low[k]), min(subproblem.integers[k] - 1, round(subproblem.integers[k] / factor))
        )
        ends[1][k] = min(
            int(high[k]), max(subproblem.integers[k] + 1, round(subproblem.integers[k] * factor))
        )
    return Box(subproblem.choice, *(tuple(end) for end in ends))


def rounded_batches(
    formulation: Formulation, box: Box, weighting: int, y: np.ndarray
) -> list[Subproblem]:
    """The integers of a box nearest to a relaxed optimum, and with each batch rounded the other
    way."""
    nearest = nearest_subproblem(formulation, box, weighting, y)
    subproblems = [nearest]
    for k, position in enumerate(formulation.positions):
        if position < formulation.structure.kinds:
            continue
        number, real = nearest.integers[position], float(np.exp(y[formulation.solved.integers[k]]))
        other = number + (1 if real > number else -1)
        if box.low[position] <= other <= box.high[position]:
            subproblems.append(
                nearest._replace(
                    integers=(
                        *nearest.integers[:position],
                        other,
                        *nearest.integers[position + 1 :],
                    )
                )
            )
    return subproblems
