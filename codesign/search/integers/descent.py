"""From where a weighting starts to its best integers: rounding memory, then local search."""

import numpy as np

from codesign.search.integers.formulation import Subproblem
from codesign.search.integers.pattern_search import FOLLOWED, WIDE, batches_around, improve, settled
from codesign.search.integers.solution_pool import SolutionPool, best_of, rounded_memory

CARRIED, ROUNDED = 6, 2
"""Subproblems of a weighting whose free memory is rounded, and subproblems with whole memory that
are improved."""


def descend(pool: SolutionPool, starts: list[list[Subproblem]]) -> list[Subproblem]:
    """For every weighting, the best integers that the local search reaches from its starts; those
    with a feasible design only.

    Starts leave stacks and layers free where memory comes in whole ones; the best of them, and with
    one chip more and less, are rounded both ways.
    """
    rows = best_of(pool, starts, CARRIED)
    if whole_memory(pool):
        near = [
            [
                n
                for subproblem in subproblems
                for n in (subproblem, *_fewer_and_more_chips(pool, subproblem))
            ]
            for subproblems in rows
        ]
        pool.learn(subproblem for subproblems in near for subproblem in subproblems)
        whole = [
            {
                r
                for subproblem in subproblems
                if np.isfinite(pool.value(subproblem))
                for r in rounded_memory(pool, subproblem)
            }
            for subproblems in near
        ]
        boxes = [
            (
                row[0].weighting,
                [batches_around(pool.formulation, subproblem, WIDE) for subproblem in sorted(own)],
            )
            for row, own in zip(starts, whole, strict=True)
        ]
        rows = best_of(pool, settled(pool, boxes, FOLLOWED), ROUNDED)
    ends = iter(improve(pool, [subproblem for subproblems in rows for subproblem in subproblems]))
    best = [
        min([next(ends) for _ in subproblems], key=pool.value, default=None) for subproblems in rows
    ]
    return [subproblem for subproblem in best if subproblem is not None]


def whole_memory(pool: SolutionPool) -> bool:
    return bool((pool.formulation.ranges[1][pool.formulation.structure.counted :] > 0).any())


def _fewer_and_more_chips(pool: SolutionPool, subproblem: Subproblem) -> list[Subproblem]:
    """One chip less and one more of each kind: whole stacks may suit another number of chips better
    than free ones did."""
    low, high = pool.formulation.ranges
    found = []
    for k in range(pool.formulation.structure.kinds):
        for number in (subproblem.integers[k] - 1, subproblem.integers[k] + 1):
            if low[k] <= number <= high[k] and low[k] < high[k]:
                found.append(
                    subproblem._replace(
                        integers=(*subproblem.integers[:k], number, *subproblem.integers[k + 1 :])
                    )
                )
    return found
