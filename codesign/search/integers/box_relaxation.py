"""Bounding what is in boxes of integers by a convex relaxation (``underestimators``)."""

from typing import NamedTuple

import jax
import numpy as np

from codesign.numerics.compilation import OFTEN, SELDOM, compiled
from codesign.numerics.fields import IntArray, RealArray
from codesign.search.integers.boxes import Box
from codesign.search.integers.formulation import asked, solve_programs
from codesign.search.integers.solution_pool import SolutionPool
from codesign.search.integers.underestimators import Underestimators, boxed_program, underestimate
from codesign.search.program.geometric_program import BoundNumbers, Program
from codesign.search.program.structure import Structure
from codesign.search.solver.lanes import in_batches
from codesign.search.solver.packing import PackedProblems, each_lane

RANGES = 4
"""Ranges of chips and batch relaxed in one call: fixed, so that one compiled program serves every
round."""

KEPT = 512
"""Relaxed ranges kept at a time: some 0.1 MB each for one machine, 2 MB for a fleet of four kinds.
"""


class BoxBounds(NamedTuple):
    """Bounds and relaxed optima of pairs of box and weighting."""

    bound: np.ndarray
    y: np.ndarray


@compiled(OFTEN, static_argnums=(0,))
def relaxed_ranges(
    structure: Structure,
    problems: PackedProblems,
    choices: IntArray,
    low: RealArray,
    high: RealArray,
) -> Underestimators:
    """Monomials below all coefficients over ranges of chips and batch, leading axis the ranges."""
    return each_lane(
        lambda problem, a, b: underestimate(structure, problem, a, b), problems, choices, low, high
    )


@compiled(SELDOM, static_argnums=(0,))
def relaxed_programs(
    structure: Structure,
    problems: PackedProblems,
    bounds: BoundNumbers,
    choices: IntArray,
    monomials: Underestimators,
    low: RealArray,
    high: RealArray,
) -> Program:
    """Programs of boxes, from what is below their ranges of chips and batch."""
    return each_lane(
        lambda problem, own, a, b: boxed_program(structure, problem, own, a, b, bounds),
        problems,
        choices,
        monomials,
        low,
        high,
    )


def solve_boxes(
    pool: SolutionPool, pairs: list[tuple[Box, int]], enough: np.ndarray | None = None
) -> BoxBounds:
    """Relax the boxes and solve them for the weightings paired with them, in the order of the
    pairs; remembered ones are not.

    A solve ends early where its bound is shown to exceed ``enough`` (one a pair) or to stay below;
    to the last digits unless told.
    """
    memory = pool.formulation.memory
    enough = np.full(len(pairs), np.inf) if enough is None else enough
    keys = [
        ("box", box.choice, *box.low, *box.high, *pool.asked(k), float(e))
        for (box, k), e in zip(pairs, enough, strict=True)
    ]
    remembered = [None if memory is None else memory.get(key) for key in keys]
    found = {k: entry for k, entry in enumerate(remembered) if entry is not None}
    missing = [k for k in range(len(pairs)) if k not in found]
    if missing:
        solved = _solved([pairs[k] for k in missing], pool, enough[missing])
        entries = zip(np.asarray(solved.bound), np.asarray(solved.y), strict=True)
        fresh = dict(zip(missing, entries, strict=True))
        found |= fresh
        if memory is not None:
            memory.put([(keys[k], entry) for k, entry in fresh.items()])
    bounds = np.array([float(found[k][0]) for k in range(len(pairs))])
    return BoxBounds(bounds, np.stack([found[k][1] for k in range(len(pairs))]))


def _solved(pairs: list[tuple[Box, int]], pool: SolutionPool, enough: np.ndarray) -> BoxBounds:
    """Many boxes differ in stacks and layers only, on which no coefficient depends: each range of
    chips and batch is relaxed once."""
    formulation, below_ranges = pool.formulation, pool.underestimators
    counted = formulation.structure.counted
    ranges = [box._replace(low=box.low[:counted], high=box.high[:counted]) for box, _ in pairs]

    def solved(rows: list[int]) -> BoxBounds:
        own = jax.tree.map(
            lambda *leaves: np.stack(leaves), *(below_ranges[ranges[k]] for k in rows)
        )
        choices, low, high = _ends([pairs[k][0] for k in rows])
        programs = asked(
            formulation,
            relaxed_programs(
                formulation.structure,
                formulation.packed,
                formulation.bounds,
                choices,
                own,
                low,
                high,
            ),
        )
        weightings = [pairs[k][1] for k in rows]
        weights, pace_limit = pool.weights[weightings], pool.pace_limit[weightings]
        done = solve_programs(
            formulation.solved, programs, formulation.goals, weights, pace_limit, enough[rows]
        )
        return BoxBounds(np.asarray(done.bound), np.asarray(done.point.y))

    order = sorted(range(len(pairs)), key=lambda k: (ranges[k], pairs[k]))
    distinct = list(dict.fromkeys(ranges[k] for k in order))
    found = []
    for first in range(0, len(distinct), KEPT):
        some = set(distinct[first : first + KEPT])
        _keep_below(pool, some)
        found.append(in_batches(solved, [k for k in order if ranges[k] in some]))
    back = np.argsort(order)
    return BoxBounds(*(np.concatenate(part)[back] for part in zip(*found, strict=True)))


def _keep_below(pool: SolutionPool, ranges: set[Box]) -> None:
    """Keep the monomials below all coefficients over some ranges; those of earlier calls are kept
    while there is room."""
    kept, formulation = pool.underestimators, pool.formulation
    missing = sorted(ranges - kept.keys())
    if len(kept) + len(missing) > KEPT:
        for one in kept.keys() - ranges:
            del kept[one]
    if missing:
        found = in_batches(
            lambda some: relaxed_ranges(formulation.structure, formulation.packed, *_ends(some)),
            missing,
            RANGES,
        )
        kept.update((one, found.at(k)) for k, one in enumerate(missing))


def _ends(boxes: list[Box]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    low, high = (
        np.array([getattr(box, end) for box in boxes], dtype=float) for end in ("low", "high")
    )
    return np.array([box.choice for box in boxes]), low, high
