"""Where the good integers are, number of chips by number of chips.

Chips and batch want to move together (fewer chips serve fewer users in the same time), and few
chips leave few numbers: a descent that moves one of them, or both by one, ends at the wrong number
of chips. So every number of chips on a grid is bounded by itself, batches as real variables of a
convex relaxation (``underestimators``) and memory free; the most promising are narrowed until the
batch is an integer.
"""

from collections.abc import Sequence

import numpy as np

from codesign.search.integers.box_relaxation import solve_boxes
from codesign.search.integers.boxes import Box, nearest_subproblem
from codesign.search.integers.branch_and_bound import EMPTY
from codesign.search.integers.formulation import Subproblem
from codesign.search.integers.solution_pool import SolutionPool

EACH = 12
"""Numbers of chips up to this are all on the grid."""

FACTOR = 1.25
"""Ratio of neighbouring numbers of chips beyond."""

PROMISING = 6
"""Boxes of a weighting that are narrowed."""

NARROWER = (2.0, 1.25)
"""Half the widths of the batch's range, as factors, around the relaxed optimum."""


def grid(low: int, high: int) -> list[int]:
    """Numbers of chips to look at, ends included."""
    beyond = np.round(EACH * FACTOR ** np.arange(1, 64)).astype(int)
    return sorted(
        {low, high, *(n for n in (*range(1, EACH + 1), *map(int, beyond)) if low <= n <= high)}
    )


def scan_chips(
    pool: SolutionPool, weightings: Sequence[int], enough: np.ndarray
) -> list[list[Subproblem]]:
    """The most promising subproblems of some weightings, stacks and layers free, best bound first;
    none where nothing is feasible.

    For one kind of machine (or the one that is meant by itself).

    Args:
        pool: solves so far.
        weightings: which.
        enough: for each, a value that a box must promise to better, else nothing more is asked of
            it.
    """
    formulation, counted, kinds = (
        pool.formulation,
        pool.formulation.structure.counted,
        pool.formulation.structure.kinds,
    )
    low, high = (np.where(np.arange(len(side)) < counted, side, 0) for side in formulation.ranges)
    own = 0 if formulation.part is None else formulation.part.kind
    choices = range(formulation.problems.choices)
    boxes = []
    for choice in choices:
        for chips in grid(int(low[own]), int(high[own])):
            ends = [np.where(np.arange(len(side)) == own, chips, side) for side in (low, high)]
            boxes.append(Box(choice, *(tuple(map(int, end)) for end in ends)))
    pairs = [(box, k) for k in weightings for box in boxes]
    sought = np.minimum(np.repeat(enough, len(boxes)), EMPTY)
    bounds = solve_boxes(pool, pairs, sought).bound
    rows = np.flatnonzero(bounds < sought)
    if not len(rows):
        return [[] for _ in weightings]
    closely = solve_boxes(pool, [pairs[row] for row in rows])
    hopeful: dict[int, list[tuple[float, Subproblem]]] = {k: [] for k in weightings}
    for row, bound, y in zip(rows, closely.bound, closely.y, strict=True):
        box, k = pairs[row]
        hopeful[k].append((bound, nearest_subproblem(formulation, box, k, y)))
    subproblems = [
        [subproblem for _, subproblem in sorted(hopeful[k])[:PROMISING]] for k in weightings
    ]
    for factor in NARROWER:
        pairs = [
            (narrowed(subproblem, factor, low, high, kinds, counted), subproblem.weighting)
            for row in subproblems
            for subproblem in row
        ]
        if not pairs:
            break
        closer = solve_boxes(pool, pairs)
        moved = iter(
            [
                nearest_subproblem(formulation, box, k, at)
                for (box, k), at in zip(pairs, closer.y, strict=True)
            ]
        )
        subproblems = [[next(moved) for _ in row] for row in subproblems]
    return subproblems


def narrowed(
    subproblem: Subproblem,
    factor: float,
    low: np.ndarray,
    high: np.ndarray,
    kinds: int,
    counted: int,
) -> Box:
    """Batches up to a factor away from a subproblem's, its own chips, memory free."""
    ends = [list(subproblem.integers), list(subproblem.integers)]
    for k in range(kinds, counted):
        if high[k] > low[k]:
            ends[0][k] = max(
                int(low[k]), min(subproblem.integers[k] - 1, round(subproblem.integers[k] / factor))
            )
            ends[1][k] = min(
                int(high[k]),
                max(subproblem.integers[k] + 1, round(subproblem.integers[k] * factor)),
            )
    for end in ends:
        end[counted:] = [0] * (len(end) - counted)
    return Box(subproblem.choice, *(tuple(end) for end in ends))
