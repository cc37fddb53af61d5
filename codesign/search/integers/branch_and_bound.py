"""Branch and bound over chips, batches, stacks, layers and choices: how far the best found is from
the best there is.

Boxes of integers are split in two until the relaxation over a box (``underestimators``) proves that
nothing in it beats the best design known, the incumbent, by more than the tolerance. Each weighting
has an incumbent and a tree of boxes of its own, which start at the same roots and are split in the
same places: a box is relaxed once and solved for every weighting in whose tree it is still open.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from codesign.search.integers.box_relaxation import BoxBounds, solve_boxes
from codesign.search.integers.boxes import Box, halves, nearest_subproblem, roots
from codesign.search.integers.formulation import Subproblem
from codesign.search.integers.solution_pool import SolutionPool

TOLERANCE = 1e-3
"""Log units by which an unexplored design may still be better."""

CANDIDATE_EVERY = 16
"""Open boxes of a weighting for which one more of its boxes is rounded to a design and solved: a
twentieth of the work, and a tree that has grown wide for want of a good design shrinks again."""

EMPTY = 1e4
"""A bound above this proves that a box holds no design: logarithms of what a double can hold are
below 710."""


class Proof(NamedTuple):
    """What branch and bound found: bounds on everything in the space, and better designs met on the
    way."""

    bounds: np.ndarray  # (subproblems,)
    best: list[Subproblem]  # of each subproblem's weighting
    boxes: int
    solves: int
    closed: bool  # whether every weighting is closed to the tolerance


def prove(
    pool: SolutionPool,
    best: list[Subproblem],
    *,
    tolerance: float | np.ndarray = TOLERANCE,
    most_boxes: int = 20_000,
    enough: float = -np.inf,
    beam: int | None = None,
    progress: Callable[[int, int], None] = lambda done, still_open: None,
) -> Proof:
    """Bound the weighted sums of subproblems over all choices and integers.

    Args:
        pool: solves so far; what is met on the way is added.
        best: the incumbent of each weighting that is to be bounded.
        tolerance: how much better an unexplored design may be, in log units; one for all
            subproblems, or one each.
        most_boxes: stop after so many boxes; the bounds are then what is proved so far.
        enough: stop where every value is at most this, and until then close no box that may hold
            such a design.
        beam: of each weighting only so many boxes are cut further, those with the best bounds: a
            search that finds good integers and proves little (filtered beam search; Ow and Morton,
            1988, doi:10.1080/00207548808947840).
        progress: told (boxes done, pairs open).
    """
    formulation = pool.formulation
    values = pool.values(best)
    best = list(best)
    tolerance = np.broadcast_to(tolerance, values.shape)
    proved = np.full(len(best), np.inf)
    open_pairs = [(box, k) for box in roots(formulation) for k in range(len(best))]
    boxes = solves = 0
    while open_pairs and boxes < most_boxes and not (values <= enough).all():
        found = _bounded(pool, open_pairs, best, np.maximum(values - tolerance, enough))
        boxes += len({box for box, _ in open_pairs})
        solves += len(open_pairs)
        met = _candidates(pool, open_pairs, found, best, values - tolerance, enough)
        pool.learn(subproblem for _, subproblem in met)
        for k, subproblem in met:  # better incumbents
            if pool.value(subproblem) < values[k]:
                values[k], best[k] = pool.value(subproblem), subproblem
        still = []  # what is not fathomed is cut in two
        cut = _cut_further(open_pairs, found.bound, beam)
        for (box, k), bound, further in zip(open_pairs, found.bound, cut, strict=True):
            short = values[k] - tolerance[k] - bound
            if (short <= 0 and bound > enough) or box.single or not further:
                proved[k] = min(proved[k], bound)
            else:
                still += [(part, k) for part in halves(box)]
        open_pairs = still
        progress(boxes, len(open_pairs))
    if open_pairs:  # out of boxes: parents' bounds still hold for their parts
        found = _bounded(pool, open_pairs, best, np.maximum(values - tolerance, enough))
        for (_, k), bound in zip(open_pairs, found.bound, strict=True):
            proved[k] = min(proved[k], bound)
    bounds = np.minimum(proved, values)
    rows = [subproblem.weighting for subproblem in best]
    pool.bounds[rows] = np.maximum(pool.bounds[rows], bounds)
    return Proof(bounds, best, boxes, solves, bool((values - bounds <= tolerance * 1.001).all()))


def _candidates(
    pool: SolutionPool,
    pairs: list[tuple[Box, int]],
    found: BoxBounds,
    best: list[Subproblem],
    target: np.ndarray,
    enough: float,
) -> list[tuple[int, Subproblem]]:
    """Integers worth a solve, each with the row that they are for.

    Boxes that have shrunk to one vector of integers and may hold a design that is enough; and of
    every row the integers nearest to the relaxed optimum of the box with the lowest bound, where
    that is below the ``target``, and of the next lowest, one for every ``CANDIDATE_EVERY`` such
    boxes.
    """
    single, hopeful = [], [[] for _ in best]
    for row in np.argsort(found.bound, kind="stable"):
        (box, k), bound = pairs[row], found.bound[row]
        if box.single and bound <= enough:
            single.append((k, Subproblem(best[k].weighting, box.choice, box.low)))
        if bound < target[k]:
            hopeful[k].append(row)
    tried = [
        (k, row)
        for k, rows in enumerate(hopeful)
        for row in rows[: 1 + len(rows) // CANDIDATE_EVERY]
        if rows
    ]
    near = [
        (k, nearest_subproblem(pool.formulation, pairs[row][0], best[k].weighting, found.y[row]))
        for k, row in tried
    ]
    return single + near


def _cut_further(pairs: list[tuple[Box, int]], bounds: np.ndarray, beam: int | None) -> np.ndarray:
    """Whether a pair is among the ``beam`` best bounds of its row; boxes that are one vector of
    integers take no place."""
    further = np.ones(len(pairs), dtype=bool)
    if beam is None:
        return further
    taken: dict[int, int] = {}
    for row in np.argsort(bounds, kind="stable"):
        box, k = pairs[row]
        if not box.single:
            further[row] = taken.get(k, 0) < beam
            taken[k] = taken.get(k, 0) + 1
    return further


def _bounded(
    pool: SolutionPool, pairs: list[tuple[Box, int]], best: list[Subproblem], enough: np.ndarray
) -> BoxBounds:
    """Bounds of pairs of a box and a row of ``best``.

    A box without a design has none for any weighting: the one that asks for the least speed is
    solved first, and if that proves the box empty, it stands for all.
    """
    weighting = [best[k].weighting for _, k in pairs]
    asked = pool.pace_limit[weighting]
    probes: dict[Box, int] = {}
    for row, (box, _) in enumerate(pairs):
        if box not in probes or asked[row] > asked[probes[box]]:
            probes[box] = row

    def solved(rows: list[int]) -> BoxBounds:
        # a single vector's bound is the last word on it: to its last digits
        target = np.array(
            [np.inf if pairs[row][0].single else enough[pairs[row][1]] for row in rows]
        )
        return solve_boxes(pool, [(pairs[row][0], weighting[row]) for row in rows], target)

    first = list(probes.values())
    at_first = solved(first)
    bound, y = np.zeros(len(pairs)), np.zeros((len(pairs), at_first.y.shape[1]))
    rows_of = {row: k for k, row in enumerate(first)}
    stand_in = [rows_of[probes[box]] for box, _ in pairs]
    bound, y = at_first.bound[stand_in], at_first.y[stand_in]
    rest = [row for row in range(len(pairs)) if row not in rows_of and bound[row] <= EMPTY]
    if rest:
        found = solved(rest)
        bound[rest], y[rest] = found.bound, found.y
    return BoxBounds(bound, y)
