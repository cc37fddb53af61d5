"""Branch and bound over chips, batches, stacks, layers and choices: how far the best found is from the best there is.

Boxes of integers are split in two until the relaxation over a box (``planes``) proves that nothing in it beats the best design known
by more than the tolerance. Boxes are shared by all weightings: a relaxation is built once and solved for each that still needs it.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from codesign.numerics.compilation import OFTEN, compiled
from codesign.numerics.fields import Real
from codesign.search.batches import LANES, side_by_side
from codesign.search.integers import Known, Task, eased, solve_programs
from codesign.search.layout import Layout
from codesign.search.planes import boxed_program
from codesign.search.problem import Problems, each_lane, integer_ranges
from codesign.search.program import BoundNumbers, Program

BOXES = 4
"""Boxes relaxed in one call: fixed, so that one compiled program serves every round."""

TOLERANCE = 1e-3
"""Log units by which an unexplored design may still be better."""


class Box(NamedTuple):
    """A box of integers of one choice; both ends belong to it."""

    choice: int
    low: tuple[int, ...]
    high: tuple[int, ...]

    @property
    def single(self) -> bool:
        """Whether it holds one vector of integers only."""
        return self.low == self.high


class Bounded(NamedTuple):
    """Bounds and relaxed optima of pairs of box and weighting."""

    bound: np.ndarray
    y: np.ndarray


class Proof(NamedTuple):
    """What branch and bound found: bounds per weighting on everything in the space, and better designs met on the way."""

    bounds: np.ndarray  # (weightings,)
    best: list[Task]  # of each weighting
    boxes: int
    solves: int
    closed: bool  # whether every weighting is closed to the tolerance


def roots(problems: Problems, choices: int) -> list[Box]:
    """The whole ranges of every choice, cut where a scale-up domain ends: communication jumps there."""
    low, high = integer_ranges(problems)
    boxes = []
    for choice in range(choices):
        parts = [(list(low), list(high))]
        for p in range(len(problems.spaces)):
            domain = int(problems.kinds[p].scale_up_domain[choice])
            parts = [
                part
                for a, b in parts
                for part in ([(a, _with(b, p, domain)), (_with(a, p, domain + 1), b)] if a[p] <= domain < b[p] else [(a, b)])
            ]
        boxes += [Box(choice, tuple(map(int, a)), tuple(map(int, b))) for a, b in parts]
    return boxes


def _with(values: list[int], index: int, value: int) -> list[int]:
    return [*values[:index], value, *values[index + 1 :]]


def halves(box: Box) -> tuple[Box, Box]:
    """A box cut in two along its relatively longest side."""
    low, high = np.maximum(box.low, 1), np.maximum(box.high, 1)
    k = int(np.argmax(np.log(high / low)))
    cut = int(np.sqrt(float(low[k] * high[k])))
    cut = min(max(cut, box.low[k]), box.high[k] - 1)
    return box._replace(high=_tuple(box.high, k, cut)), box._replace(low=_tuple(box.low, k, cut + 1))


def _tuple(values: tuple[int, ...], index: int, value: int) -> tuple[int, ...]:
    return (*values[:index], value, *values[index + 1 :])


@compiled(OFTEN, static_argnums=(0,))
def relaxed_programs(layout: Layout, problems: Problems, bounds: BoundNumbers, choices: Any, low: Real, high: Real, which: Any) -> Program:
    """Programs of boxes, laid out for the pairs to be solved."""
    programs = each_lane(lambda problem, a, b: boxed_program(layout, problem, a, b, bounds), problems, choices, low, high)
    return jax.tree.map(lambda leaf: leaf[which], programs)


def prove(
    known: Known, best: list[Task], *, tolerance: float = TOLERANCE, most_boxes: int = 20_000, enough: float = -np.inf,
    progress: Callable[[int, int], None] = lambda done, still_open: None,
) -> Proof:  # fmt: skip
    """Bound the weighted sum of every weighting over all choices and integers.

    Args:
        known: solves so far; what is met on the way is added.
        best: the best known task of each weighting 0, 1, …
        tolerance: how much better an unexplored design may be, in log units.
        most_boxes: stop after so many boxes; the bounds are then what is proved so far.
        enough: stop where every value is at most this, and until then close no box that may hold such a design.
        progress: told (boxes done, pairs open).
    """
    search = known.search
    values = np.array([known.value(task) for task in best])
    best = list(best)
    bounds = values - tolerance  # until something is proved to be below
    proved = np.full(len(best), np.inf)
    open_pairs = [(box, k) for box in roots(search.problems, len(search.problems.kinds[0].dies)) for k in range(len(best))]
    boxes = solves = 0
    while open_pairs and boxes < most_boxes and not (values <= enough).all():
        found = solve_boxes(known, open_pairs)
        boxes += len({box for box, _ in open_pairs})
        solves += len(open_pairs)
        hopeful: dict[int, tuple[float, Task]] = {}
        for (box, k), bound, y in zip(open_pairs, found.bound, found.y, strict=True):
            if bound < values[k] - tolerance and (k not in hopeful or bound < hopeful[k][0]):
                hopeful[k] = (float(bound), nearest_task(search.layout, box, k, y))
        sure = [pair for pair, bound in zip(open_pairs, found.bound, strict=True) if pair[0].single and bound <= enough]
        met = [(k, Task(k, box.choice, box.low)) for box, k in sure] + [(k, task) for k, (_, task) in hopeful.items()]
        known.learn(task for _, task in met)
        for k, task in met:
            if known.value(task) < values[k]:
                values[k], best[k] = known.value(task), task
        still = []
        for (box, k), bound in zip(open_pairs, found.bound, strict=True):
            if (bound >= values[k] - tolerance and bound > enough) or box.single:
                proved[k] = min(proved[k], bound)
            else:
                still += [(half, k) for half in halves(box)]
        open_pairs = still
        progress(boxes, len(open_pairs))
    if open_pairs:  # out of boxes: parents' bounds still hold for their halves
        found = solve_boxes(known, open_pairs)
        for (_, k), bound in zip(open_pairs, found.bound, strict=True):
            proved[k] = min(proved[k], bound)
    bounds = np.minimum(proved, values)
    return Proof(bounds, best, boxes, solves, bool((values - bounds <= tolerance * 1.001).all()))


def nearest_task(layout: Layout, box: Box, weighting: int, y: np.ndarray) -> Task:
    """The integers of a box that are nearest to a relaxed optimum."""
    low, high = np.array(box.low), np.array(box.high)
    count = layout.kinds + len(layout.services)
    wanted = np.sqrt(np.maximum(low, 0) * np.maximum(high, 0)).astype(float)
    wanted[:count] = np.exp(y[layout.integers])
    return Task(weighting, box.choice, tuple(int(v) for v in np.clip(np.round(wanted), low, high)))


def solve_boxes(known: Known, pairs: list[tuple[Box, int]]) -> Bounded:
    """Relax the boxes and solve them for the weightings paired with them, in the order of the pairs; remembered ones are not."""
    memory = known.search.memory
    keys = [("box", box.choice, *box.low, *box.high, *known.asked(k)) for box, k in pairs]
    found = [None if memory is None else memory.get(key) for key in keys]
    missing = [k for k, entry in enumerate(found) if entry is None]
    if missing:
        fresh = _solved([pairs[k] for k in missing], known)
        for k, bound, y in zip(missing, fresh.bound, fresh.y, strict=True):
            found[k] = (np.asarray(bound), np.asarray(y))
        if memory is not None:
            memory.put([(keys[k], (np.asarray(found[k][0]), np.asarray(found[k][1]))) for k in missing])  # pyright: ignore[reportOptionalSubscript]
    return Bounded(np.array([float(entry[0]) for entry in found]), np.stack([entry[1] for entry in found]))  # pyright: ignore[reportOptionalSubscript]


def _solved(pairs: list[tuple[Box, int]], known: Known) -> Bounded:
    search = known.search
    order = sorted(range(len(pairs)), key=lambda k: pairs[k][0])

    def solved(group: list[int]) -> Bounded:
        boxes = list(dict.fromkeys(pairs[k][0] for k in group))
        rows = [*group, *[group[-1]] * (LANES - len(group))]
        which = np.array([boxes.index(pairs[k][0]) for k in rows])
        boxes += [boxes[-1]] * (BOXES - len(boxes))
        low, high = (np.array([getattr(box, end) for box in boxes], dtype=float) for end in ("low", "high"))
        programs = relaxed_programs(search.layout, search.placed, search.bounds, np.array([box.choice for box in boxes]), low, high, which)
        own = [pairs[k][1] for k in rows]
        found = solve_programs(search.layout, eased(search, programs), search.goals, known.weights[own], known.slowest[own])
        return Bounded(np.asarray(found.bound)[: len(group)], np.asarray(found.point.y)[: len(group)])

    parts = side_by_side(solved, list(_groups([pairs[k][0] for k in order], order)))
    back = np.argsort(order)
    return Bounded(*(np.concatenate([part[k] for part in parts])[back] for k in (0, 1)))


def _groups(boxes: list[Box], order: list[int]) -> Iterator[list[int]]:
    """Entries of the order in groups of at most ``LANES`` with at most ``BOXES`` boxes; the same boxes are next to each other."""
    group: list[int] = []
    distinct = 0
    for k, box in enumerate(boxes):
        new = not group or box != boxes[k - 1]
        if len(group) == LANES or (new and distinct == BOXES):
            yield group
            group, distinct, new = [], 0, True
        group.append(order[k])
        distinct += new
    yield group
