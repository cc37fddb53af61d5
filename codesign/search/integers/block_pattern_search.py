"""The integer search of a fleet: each kind of machine by itself, then all together.

Around a fleet's optimum at given integers its weighted sum comes apart into one of each kind
(``decomposition``). A kind has a few integers and a small program; the fleet has the sum of both,
and its neighbours number the square.
"""

from collections.abc import Iterator

import numpy as np

from codesign.search.integers.chip_scan import scan_chips
from codesign.search.integers.descent import descend
from codesign.search.integers.formulation import Subproblem
from codesign.search.integers.lagrangian_decomposition import alone, mixed, split_by_multipliers
from codesign.search.integers.pattern_search import improve
from codesign.search.integers.solution_pool import WORTHWHILE, SolutionPool
from codesign.search.program.single_kind import parts

WHOLE = 0.2
"""Log units that whole stacks and layers are taken to cost at most, compared with free ones, where
numbers of chips are scanned."""

ROUNDS = 3
"""How often a fleet is taken apart anew around the best found."""


def descend_by_kind(pool: SolutionPool, starts: list[list[Subproblem]]) -> list[Subproblem]:
    """For every weighting, the best integers found from its starts, memory in whole stacks and
    layers where it must be.

    Starts may leave stacks and layers free (0).
    """
    if pool.formulation.structure.kinds == 1:
        return descend(pool, scan_and_improve(pool, starts))
    pool.learn(subproblem for row in starts for subproblem in row)
    subproblems = [
        subproblem
        for row in starts
        if np.isfinite(pool.value(subproblem := min(row, key=pool.value)))
    ]
    if not subproblems:
        return []
    offers = {subproblem: [subproblem] for subproblem in subproblems}
    for own, whole in _each_kind(pool, subproblems, free=True):
        for subproblem in subproblems:
            found = whole.get(subproblem)
            offers[subproblem] = (
                [] if found is None else [mixed(old, found, own) for old in offers[subproblem]]
            )
    pool.learn(subproblem for several in offers.values() for subproblem in several)
    moved = [min(several, key=pool.value, default=None) for several in offers.values()]
    return improve_by_kind(
        pool,
        [
            [subproblem]
            for subproblem in moved
            if subproblem is not None and np.isfinite(pool.value(subproblem))
        ],
    )


def improve_by_kind(pool: SolutionPool, starts: list[list[Subproblem]]) -> list[Subproblem]:
    """Better neighbours of subproblems with whole memory, until there is none."""
    if pool.formulation.structure.kinds == 1 or not starts:
        pool.learn(subproblem for row in starts for subproblem in row)
        return improve(pool, [min(row, key=pool.value) for row in starts])
    pool.learn(subproblem for row in starts for subproblem in row)
    best = [min(row, key=pool.value) for row in starts]
    moving = [k for k, subproblem in enumerate(best) if np.isfinite(pool.value(subproblem))]
    for _ in range(ROUNDS):
        offers = {best[k]: [best[k]] for k in moving}
        for own, found in _each_kind(pool, list(offers), free=False):
            for subproblem, several in offers.items():
                if subproblem in found and found[subproblem].integers != subproblem.integers:
                    several += [mixed(old, found[subproblem], own) for old in several]
        pool.learn(subproblem for several in offers.values() for subproblem in several)
        better = {k: min(offers[best[k]], key=pool.value) for k in moving}
        moving = [k for k in moving if pool.value(better[k]) < pool.value(best[k]) - WORTHWHILE]
        best = [better[k] if k in moving else subproblem for k, subproblem in enumerate(best)]
        if not moving:
            break
    return best


def _each_kind(
    pool: SolutionPool, subproblems: list[Subproblem], *, free: bool
) -> Iterator[tuple[np.ndarray, dict[Subproblem, Subproblem]]]:
    """For each kind: which integers are its own, and the subproblem with the best of them for each
    subproblem."""
    split = split_by_multipliers(pool, subproblems)
    for part in parts(pool.formulation.structure):
        own, one, starts = alone(pool, subproblems, split, part)
        found = (
            descend(one, scan_and_improve(one, [[start] for start in starts]))
            if free
            else improve(one, starts)
        )
        yield (
            own,
            {
                subproblems[subproblem.weighting]: subproblem
                for subproblem in found
                if np.isfinite(one.value(subproblem))
            },
        )


def scan_and_improve(pool: SolutionPool, starts: list[list[Subproblem]]) -> list[list[Subproblem]]:
    """Starts of weightings, and what a scan of the numbers of chips finds.

    Starts with free memory are no designs yet, and those with whole memory none that a scan with
    free memory need better: both only say below what a number of chips is worth a look.
    """
    pool.learn(subproblem for row in starts for subproblem in row)
    least = np.array([min(pool.value(subproblem) for subproblem in row) for row in starts]) + WHOLE
    return [
        [*row, *more]
        for row, more in zip(
            starts, scan_chips(pool, [row[0].weighting for row in starts], least), strict=True
        )
    ]
