"""Where the good integers of a fleet are: a convex relaxation around the best known, smaller and
smaller.

The gradient of a fleet of several steps takes longer to compile than this takes to run. Around a
subproblem every coefficient is replaced by a monomial in chips and batches (``underestimators``);
the relaxed optimum, rounded, is the next subproblem if it is better.
"""

import numpy as np

from codesign.search.integers.box_relaxation import solve_boxes
from codesign.search.integers.boxes import Box, nearest_subproblem
from codesign.search.integers.formulation import Subproblem
from codesign.search.integers.solution_pool import SolutionPool

FROM_AFAR = (16.0, 6.0, 3.0, 2.0, 1.5, 1.2)
FROM_NEARBY = (1.6, 1.2)
"""Half the widths, as factors, of the boxes around a subproblem."""

FEWEST = 2
"""Starts of a weighting that are followed to the end."""


def approach(
    pool: SolutionPool, starts: list[list[Subproblem]], factors: tuple[float, ...] = FROM_AFAR
) -> list[list[Subproblem]]:
    """Better subproblems than the starts of each weighting, the better half of them after each
    relaxation; stacks and layers stay."""
    ranges = pool.formulation.ranges
    rows = [list(row) for row in starts]
    pool.learn(subproblem for row in rows for subproblem in row)
    for factor in factors:
        pairs = [
            (around(pool, subproblem, factor, ranges), subproblem.weighting)
            for row in rows
            for subproblem in row
        ]
        found = solve_boxes(pool, pairs)
        moved = [
            nearest_subproblem(pool.formulation, box, k, y)
            for (box, k), y in zip(pairs, found.y, strict=True)
        ]
        pool.learn(moved)
        new = iter(moved)
        rows = [[min(old, next(new), key=pool.value) for old in row] for row in rows]
        rows = [sorted(row, key=pool.value)[: max(FEWEST, len(row) // 2)] for row in rows]
    return rows


def settled(pool: SolutionPool, subproblems: list[Subproblem]) -> list[Subproblem]:
    """Subproblems moved to the best chips and batches nearby, for instance after stacks and layers
    were rounded."""
    return [
        row[0] for row in approach(pool, [[subproblem] for subproblem in subproblems], FROM_NEARBY)
    ]


def around(
    pool: SolutionPool, subproblem: Subproblem, factor: float, ranges: tuple[np.ndarray, np.ndarray]
) -> Box:
    """Chips and batches up to a factor away from a subproblem, at least one, within one side of
    each scale-up domain."""
    structure, problems = pool.formulation.structure, pool.formulation.problems
    low, high = list(subproblem.integers), list(subproblem.integers)
    for k in range(structure.counted):
        number = subproblem.integers[k]
        low[k] = max(int(ranges[0][k]), min(number - 1, round(number / factor)))
        high[k] = min(int(ranges[1][k]), max(number + 1, round(number * factor)))
        if k < structure.kinds:
            domain = int(np.asarray(problems.kinds[k].scale_up_domain)[subproblem.choice])
            low[k], high[k] = (
                (max(low[k], domain + 1), high[k])
                if number > domain
                else (low[k], min(high[k], domain))
            )
    return Box(subproblem.choice, tuple(low), tuple(high))
