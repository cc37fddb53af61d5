"""Boxes of integers, and cutting them."""

from typing import NamedTuple

import numpy as np

from codesign.numerics.fields import pick
from codesign.search.integers.formulation import Formulation, Subproblem


class Box(NamedTuple):
    """A box of integers of one choice; both ends belong to it."""

    choice: int
    low: tuple[int, ...]
    high: tuple[int, ...]

    @property
    def single(self) -> bool:
        """Whether it holds one vector of integers only."""
        return self.low == self.high


def roots(formulation: Formulation) -> list[Box]:
    """The whole ranges of every choice, cut where a scale-up domain ends: communication jumps
    there.

    Where one kind of machine is meant by itself, integers of the others are at their lowest.
    """
    problems = formulation.problems
    low, high = formulation.ranges
    boxes = []
    for choice in range(problems.choices):
        parts = [Box(choice, tuple(map(int, low)), tuple(map(int, high)))]
        for p in range(len(problems.spaces)):
            domain = int(pick(problems.kinds[p].scale_up_domain, choice))
            parts = [
                part
                for box in parts
                for part in (cut(box, p, domain) if box.low[p] <= domain < box.high[p] else (box,))
            ]
        boxes += parts
    return boxes


def pieces(box: Box, cuts: int) -> list[Box]:
    """A box cut in two, each part again, and so on: so often, or until its parts hold one vector of
    integers."""
    parts = [box]
    for _ in range(cuts):
        parts = [half for part in parts for half in ((part,) if part.single else halves(part))]
    return parts


def halves(box: Box) -> tuple[Box, Box]:
    """A box cut in two along its relatively longest side."""
    low, high = np.maximum(box.low, 1), np.maximum(box.high, 1)
    k = int(np.argmax(np.log(high / low)))
    return cut(box, k, min(max(int(np.sqrt(float(low[k] * high[k]))), box.low[k]), box.high[k] - 1))


def cut(box: Box, side: int, last: int) -> tuple[Box, Box]:
    """A box cut in two: up to an integer of one side, and above it."""

    def put(values: tuple[int, ...], value: int) -> tuple[int, ...]:
        return (*values[:side], value, *values[side + 1 :])

    return box._replace(high=put(box.high, last)), box._replace(low=put(box.low, last + 1))


def nearest_subproblem(
    formulation: Formulation, box: Box, weighting: int, y: np.ndarray
) -> Subproblem:
    """The integers of a box that are nearest to a relaxed optimum."""
    low, high = np.array(box.low), np.array(box.high)
    wanted = np.sqrt(np.maximum(low, 0) * np.maximum(high, 0)).astype(float)
    wanted[formulation.positions] = np.exp(y[formulation.solved.integers])
    return Subproblem(
        weighting, box.choice, tuple(int(v) for v in np.clip(np.round(wanted), low, high))
    )
