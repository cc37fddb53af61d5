"""The solution pool: subproblems that are solved, in this process or in one before it."""

import itertools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from codesign.numerics.fields import pick
from codesign.search.integers.formulation import (
    Formulation,
    Key,
    Subproblem,
    solve_subproblems,
)
from codesign.search.integers.underestimators import Underestimators
from codesign.search.program.keys import OUTCOMES
from codesign.search.solver.interior_point import Point
from codesign.search.statement.problem import layer_steps

WORTHWHILE = 1e-6
"""Log units by which a neighbour must be better to be moved to: flat valleys are long."""


class Solve(NamedTuple):
    """What the program of a subproblem came to."""

    value: float  # its weighted sum [log]; +∞ where no design is feasible
    bound: float  # what that is proved not to be below
    point: Point  # the optimum, with the multipliers of every limit


class SolutionPool:
    """Solves that are done, in this process or in one before it (``Memory``).

    A weighting is a row of ``weights`` (weightings, objectives) and an entry of ``pace_limit``
    (weightings,): ln of the longest time per token that it asks for [s], +∞ for none. ``bounds``
    (weightings,) is what its weighted sum is proved not to be below, over all choices and integers;
    −∞ until something is.
    """

    def __init__(self, formulation: Formulation, weights: np.ndarray):
        self.formulation, self.weights = formulation, weights
        self.pace_limit = np.full(len(weights), np.inf)
        self.bounds = np.full(len(weights), -np.inf)
        self.done: dict[Subproblem, Solve] = {}
        self.underestimators: dict[object, Underestimators] = {}
        """Ranges of chips and batch, relaxed (``box_relaxation``)."""

    def ask(self, weights: np.ndarray, pace_limit: np.ndarray) -> None:
        """Add weightings."""
        self.weights, self.pace_limit = (
            np.concatenate([self.weights, weights]),
            np.concatenate([self.pace_limit, pace_limit]),
        )
        self.bounds = np.concatenate([self.bounds, np.full(len(weights), -np.inf)])

    def asked(self, weighting: int) -> tuple[float | str, ...]:
        """All that a weighting is, for keys of ``Memory``."""
        part = () if self.formulation.part is None else ("kind", self.formulation.part.kind)
        return (*part, *map(float, self.weights[weighting]), float(self.pace_limit[weighting]))

    def learn(self, subproblems: Iterable[Subproblem]) -> None:
        """Solve what is not known yet."""
        fresh = sorted(
            subproblem
            for subproblem in set(subproblems) - self.done.keys()
            if not self._remembered(subproblem)
        )
        if not fresh:
            return
        solved = solve_subproblems(self.formulation, self.weights, self.pace_limit, fresh)
        for k, subproblem in enumerate(fresh):
            self.done[subproblem] = Solve(
                float(solved.value[k]),
                float(solved.bound[k]),
                Point(*(leaf[k] for leaf in solved.point)),
            )
        if self.formulation.memory is not None:
            self.formulation.memory.put(
                [(self._key(subproblem), self._entry(subproblem)) for subproblem in fresh]
            )

    def value(self, subproblem: Subproblem) -> float:
        """The weighted sum of a known subproblem; +∞ where it has no feasible design."""
        return self.done[subproblem].value

    def values(self, subproblems: Sequence[Subproblem]) -> np.ndarray:
        """``value`` of several, shape (subproblems,)."""
        return np.array([self.value(subproblem) for subproblem in subproblems])

    def _key(self, subproblem: Subproblem) -> Key:
        return ("solve", subproblem.choice, *subproblem.integers, *self.asked(subproblem.weighting))

    def _entry(self, subproblem: Subproblem) -> tuple[np.ndarray, ...]:
        value, bound, point = self.done[subproblem]
        return (
            np.concatenate([[value, bound], *point]),
        )  # one array: thousands of small ones take long to write

    def _remembered(self, subproblem: Subproblem) -> bool:
        found = (
            None
            if self.formulation.memory is None
            else self.formulation.memory.get(self._key(subproblem))
        )
        if found is None:
            return False
        structure = self.formulation.solved
        variables, limits = len(structure.variables), len(structure.functions) - len(OUTCOMES)
        ends = np.cumsum([2, variables, limits, limits, variables])
        (value, bound), *point = np.split(found[0], ends)
        self.done[subproblem] = Solve(float(value), float(bound), Point(*point))
        return True


def best_of(pool: SolutionPool, rows: list[list[Subproblem]], most: int) -> list[list[Subproblem]]:
    """The best few subproblems of each row, solved, those without a design left out."""
    pool.learn(subproblem for subproblems in rows for subproblem in subproblems)
    return [
        sorted(
            {t for t in subproblems if np.isfinite(pool.value(t))}, key=lambda t: (pool.value(t), t)
        )[:most]
        for subproblems in rows
    ]


def rounded_memory(pool: SolutionPool, subproblem: Subproblem) -> list[Subproblem]:
    """Subproblems with stacks and layers rounded both ways from the free optimum of a
    subproblem."""
    formulation, problems = pool.formulation, pool.formulation.problems
    low, high = formulation.ranges
    kinds, first = formulation.structure.kinds, formulation.structure.counted
    ways: list[list[int]] = [[number] for number in subproblem.integers]
    y = pool.done[subproblem].point.y
    for p, space in enumerate(problems.spaces):
        if not space.buildable or (formulation.part is not None and formulation.part.kind != p):
            continue
        memory, own = problems.kinds[p].technology.memory, 0 if formulation.part is not None else p
        stacks = np.exp(y[formulation.solved.variable("memory_bandwidth", own)]) / pick(
            memory.stack_bandwidth, subproblem.choice
        )
        layers = np.exp(y[formulation.solved.variable("memory_capacity", own)]) / pick(
            memory.layer_capacity, subproblem.choice
        )
        step = float(np.asarray(layer_steps(space, memory))[subproblem.choice])
        steps = layers / stacks / step
        for k, value in ((first + p, stacks), (first + kinds + p, steps)):
            both = {int(np.clip(f(value), low[k], high[k])) for f in (np.floor, np.ceil)}
            ways[k] = sorted(both)
    return [subproblem._replace(integers=integers) for integers in itertools.product(*ways)]
