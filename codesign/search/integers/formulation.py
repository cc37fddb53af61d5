"""A problem with its objectives as the solver takes it: subproblems at fixed integers, each solved
to a proved optimum."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from codesign.numerics.compilation import OFTEN, SELDOM, compiled
from codesign.numerics.fields import IntArray, RealArray
from codesign.search.program.geometric_program import BoundNumbers, Program, fixed_program
from codesign.search.program.objectives import Goals
from codesign.search.program.single_kind import Part, only, owner_of_integers
from codesign.search.program.structure import Structure
from codesign.search.solver.dual_bound import lower_bound
from codesign.search.solver.interior_point import Point, model_at, solve
from codesign.search.solver.lanes import in_batches
from codesign.search.solver.packing import PackedProblems, each_lane
from codesign.search.statement.problem import ProblemBatch, integer_ranges

FEASIBLE = 1e-9
"""Largest ln(used/allowed) that still counts as converged inside the limits; the exact model has
the last word."""


class Subproblem(NamedTuple):
    """One problem to solve: indices, and integers in the order of ``problem.integer_names``."""

    weighting: int
    choice: int
    integers: tuple[int, ...]


class Solved(NamedTuple):
    """Solved problems; ``value`` is +∞ where no feasible point was found. Arrays of JAX inside, of
    numpy outside."""

    value: RealArray  # (lanes,)
    bound: RealArray  # (lanes,)
    point: Point


Key: TypeAlias = tuple[int | float | str, ...]
"""What a finished solve is found by."""


@runtime_checkable
class Memory(Protocol):
    """Where finished solves are kept, so that a search that was killed loses none of them."""

    def get(self, key: Key) -> tuple[np.ndarray, ...] | None: ...
    def put(self, entries: Sequence[tuple[Key, tuple[np.ndarray, ...]]]) -> None: ...


class Formulation(NamedTuple):
    """A problem with its objectives: what every solve needs."""

    structure: Structure
    problems: ProblemBatch  # leaves in numpy, for the host
    packed: PackedProblems  # the same for compiled programs
    goals: Goals
    bounds: BoundNumbers
    memory: Memory | None = None
    slack: np.ndarray | None = None
    """(functions,) which functions the variable "relaxation" relaxes; none unless told."""
    slack_range: tuple[float, float] = (0.0, 0.0)
    part: Part | None = None  # the kind of machine that is meant by itself; none where the fleet is

    @property
    def solved(self) -> Structure:
        """The layout of the programs that are solved."""
        return self.structure if self.part is None else self.part.structure

    @property
    def ranges(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest of every integer; of a kind of machine by itself, those of others are
        at their lowest."""
        low, high = integer_ranges(self.problems)
        if self.part is not None:
            high = np.where(
                np.array(owner_of_integers(self.structure)) == self.part.kind, high, low
            )
        return low, high

    @property
    def positions(self) -> np.ndarray:
        """Which of all integers the variables ``solved.integers`` are."""
        return np.arange(self.structure.counted) if self.part is None else self.part.integers


@compiled(SELDOM, static_argnums=(0,))
def fixed_programs(
    structure: Structure,
    problems: PackedProblems,
    bounds: BoundNumbers,
    choices: IntArray,
    integers: RealArray,
) -> Program:
    """Programs at fixed integers, a lane a choice and a row of integers."""
    return each_lane(
        lambda problem, numbers: fixed_program(structure, problem, numbers, bounds),
        problems,
        choices,
        integers,
    )


def programs_of(formulation: Formulation, subproblems: Sequence[Subproblem]) -> Program:
    """Programs of ``LANES`` subproblems, leading axis the subproblems."""
    programs = fixed_programs(
        formulation.structure,
        formulation.packed,
        formulation.bounds,
        np.array([subproblem.choice for subproblem in subproblems]),
        np.array([subproblem.integers for subproblem in subproblems], dtype=float),
    )
    return asked(formulation, programs)


def asked(formulation: Formulation, programs: Program) -> Program:
    """Programs as a search asks for them: of one kind of machine by itself, or with limits that may
    be relaxed."""
    if formulation.part is not None:
        return only(formulation.structure, formulation.part.kind, programs)
    if formulation.slack is None:
        return programs
    column = formulation.structure.variable("relaxation")
    low, high = np.array(programs.low), np.array(programs.high)
    low[:, column], high[:, column] = formulation.slack_range
    for p in range(
        formulation.structure.kinds
    ):  # the boxes of silicon and power end where reticle and cooling do, which may be relaxed
        for name in ("silicon", "power cap"):
            high[:, formulation.structure.variable(name, p)] += formulation.slack_range[1]
    slack = np.broadcast_to(formulation.slack, programs.slack.shape)
    return dataclasses.replace(programs, slack=slack, low=low, high=high)


@compiled(OFTEN, static_argnums=(0,))
def solve_programs(
    structure: Structure,
    programs: Program,
    goals: Goals,
    weights: jax.Array,
    pace_limit: jax.Array,
    enough: jax.Array,
) -> Solved:
    """Solve ``LANES`` programs (leading axis) and bound them: one compiled program for the whole
    search.

    Args:
        structure: functions and monomials of the program.
        programs: the problems.
        goals: objectives.
        weights: of the objectives.
        pace_limit: ln of the longest time per token that is asked for [s]; +∞ for no such demand.
        enough: what a bound need exceed, so that no more need be known
            (``interior_point.decided``); +∞ to solve to the last digits.
    """
    pace = structure.variable("pace")
    programs = dataclasses.replace(programs, high=programs.high.at[:, pace].min(pace_limit))

    def judged(program: Program, weighting: jax.Array, point: Point) -> Solved:
        model = model_at(structure, program, goals, weighting, point)
        feasible = (
            (jnp.max(model.limits) <= FEASIBLE)
            & jnp.isfinite(model.value)
            & jnp.all(program.high >= program.low)
        )
        return Solved(
            jnp.where(feasible, model.value, jnp.inf), lower_bound(program, point, model), point
        )

    return jax.vmap(judged)(programs, weights, solve(structure, programs, goals, weights, enough))


def solve_subproblems(
    formulation: Formulation,
    weights: np.ndarray,
    pace_limit: np.ndarray,
    subproblems: list[Subproblem],
) -> Solved:
    """Solve problems; shapes (subproblems, …), as numpy arrays."""

    def solved(batch: list[Subproblem]) -> Solved:
        rows = [subproblem.weighting for subproblem in batch]
        to_the_end = np.full(len(batch), np.inf)
        return solve_programs(
            formulation.solved,
            programs_of(formulation, batch),
            formulation.goals,
            weights[rows],
            pace_limit[rows],
            to_the_end,
        )

    return in_batches(solved, subproblems)
