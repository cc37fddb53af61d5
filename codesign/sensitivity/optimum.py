"""The optimum of a scenario for one objective: what shadow prices and motions are taken at."""

from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import numpy as np

from codesign.hardware.design import Design
from codesign.limits import LimitRow
from codesign.numerics.fields import Real
from codesign.performance.execution import Execution
from codesign.performance.schedules import Operatorwise
from codesign.search.integers.formulation import Memory, Subproblem
from codesign.search.integers.solution_pool import SolutionPool
from codesign.search.optimize import Progress, pose, search_weightings
from codesign.search.pareto.front import Infeasible
from codesign.search.program.objectives import BoundRows
from codesign.search.solver.interior_point import Point
from codesign.search.solver.lanes import double_precision
from codesign.search.statement.choices import Choice
from codesign.search.statement.fleet import Fleet
from codesign.search.statement.goals import Bound, Goal, Wanted
from codesign.search.statement.problem import assemble, check_dies
from codesign.search.statement.services import Service
from codesign.search.statement.space import Space
from codesign.search.verification.exact_check import check_exactly
from codesign.sensitivity.inputs import Inputs, as_reals


class Optimum(NamedTuple):
    """A solved subproblem for one objective, and all others that were solved on the way to it.

    ``value`` is ln of the objective turned to be minimised; ``gap`` how far below it a better
    design over all integers and choices might be, proved (NaN: nothing is).
    """

    pool: SolutionPool
    subproblem: Subproblem
    choices: tuple[Choice, ...]
    services: tuple[Service, ...]
    objective: Goal
    rows: BoundRows
    gap: float

    @property
    def value(self) -> float:
        """ln of the objective, to be minimised [1]."""
        return self.pool.value(self.subproblem)

    @property
    def point(self) -> Point:
        """Variables and multipliers."""
        return self.pool.done[self.subproblem].point

    @property
    def choice(self) -> Choice:
        """The technology, package and plan of the optimum."""
        return self.choices[self.subproblem.choice]


class Statement(NamedTuple):
    """What a search is asked (``codesign.search.optimize``), for one objective."""

    spaces: Sequence[Space]
    services: Sequence[Service]
    choices: Sequence[Choice]
    objective: Goal
    bounds: Sequence[Bound] = ()
    execution: Execution | None = None
    limits: Sequence[LimitRow] = ()


def find_optimum(
    stated: Statement,
    *,
    seed: int = 0,
    prove: bool = True,
    memory: Memory | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> Optimum:
    """Search for the best design for one objective alone, over all integers and choices.

    Args:
        stated: the question.
        seed: of the search's starts.
        prove: bound integers and choices too, by branch and bound.
        memory: where finished solves are kept.
        progress: called with (stage, done, total).

    Returns:
        The design with its choice, integers, multipliers and the pool of everything solved.

    Raises:
        Infeasible: no design in the space meets the limits.
        ValueError: parts that do not fit together, or an objective that cannot be proved.

    >>> from experiments.examples.small_space import question
    >>> find_optimum(question()).subproblem.integers  # one chip, 47 users, memory not in wholes
    (1, 47, 0, 0)
    """
    with double_precision():
        pool, rows = _pool(stated, memory)
        wanted = Wanted((stated.objective,), tuple(stated.bounds))
        found, _ = search_weightings(pool, wanted, rows, seed=seed, prove=prove, tell=progress)
        if not found:
            raise Infeasible("no design that the search found meets every limit; widen the space")
        own = [
            subproblem
            for subproblem in found
            if not np.isfinite(pool.pace_limit[subproblem.weighting])
        ]
        best = min(own or found, key=pool.value)
        bound = float(pool.bounds[best.weighting])
        gap = pool.value(best) - bound if np.isfinite(bound) else float("nan")
        return _optimum(stated, pool, rows, best, gap)


def optimum_at(
    stated: Statement, choice: int, integers: Sequence[int], memory: Memory | None = None
) -> Optimum:
    """Solve for one objective at given choice and integers (``search`` order: chips, batches,
    stacks, layers).

    Raises:
        Infeasible: nothing meets the limits there.
    """
    with double_precision():
        pool, rows = _pool(stated, memory)
        only = Subproblem(0, choice, tuple(map(int, integers)))
        pool.learn([only])
        if not np.isfinite(pool.value(only)):
            raise Infeasible("no design with these integers meets the limits")
        return _optimum(stated, pool, rows, only, float("nan"))


def _pool(stated: Statement, memory: Memory | None) -> tuple[SolutionPool, BoundRows]:
    execution = Operatorwise() if stated.execution is None else stated.execution
    parts = (tuple(stated.spaces), tuple(stated.services), tuple(stated.choices), execution)
    parts = jax.tree.map(lambda leaf: np.asarray(leaf, dtype=np.float64), parts)
    check_dies(parts[2])
    problems = assemble(*parts, limits=tuple(stated.limits))
    formulation, rows = pose(problems, (stated.objective,), tuple(stated.bounds), memory)
    return SolutionPool(formulation, np.ones((1, 1))), rows


def _optimum(
    stated: Statement, pool: SolutionPool, rows: BoundRows, best: Subproblem, gap: float
) -> Optimum:
    return Optimum(
        pool, best, tuple(stated.choices), tuple(stated.services), stated.objective, rows, gap
    )


def exact_fleet(found: Optimum, subproblem: Subproblem | None = None) -> Fleet:
    """The optimum (or another solved subproblem) on the exact model; leaves without a leading
    axis."""
    chosen = found.subproblem if subproblem is None else subproblem
    with double_precision():
        y = found.pool.done[chosen].point.y
        fleets = check_exactly(found.pool.formulation, [chosen], np.asarray(y)[None])
        return jax.tree.map(lambda leaf: np.asarray(leaf)[0], fleets)


def inputs_at(found: Optimum) -> Inputs:
    """All that goes into the outcomes of the optimum, for elasticities and explanations."""
    designs = exact_fleet(found).designs
    kinds, batches = len(designs), found.subproblem.integers[len(designs) :]
    return inputs_of_design(
        designs,
        found.services,
        found.choice,
        batches[: len(found.services)],
        found.pool.formulation.problems.execution,
        kinds,
    )


def inputs_of_design(
    designs: Sequence[Design],
    services: Sequence[Service],
    choice: Choice,
    batches: Sequence[Real],
    execution: Execution,
    kinds: int | None = None,
) -> Inputs:
    """Put machines, services at their batches and a choice together.

    Args:
        designs: one a kind of machine.
        services: what the fleet must do.
        choice: its plans, technologies and, where chosen, precisions.
        batches: one a service.
        execution: how operators share time.
        kinds: of machine, if not as many as designs.
    """
    asked = []
    for k, one in enumerate(services):
        one = eqx.tree_at(lambda s: (s.phase.batch, s.batch), one, (float(batches[k]), (1, 1)))
        if choice.precisions:
            one = eqx.tree_at(lambda s: s.precision, one, choice.precisions[k])
        asked.append(one)
    technologies = tuple(kind.technology for kind in choice.kinds[: kinds or len(designs)])
    return as_reals(Inputs(tuple(designs), tuple(asked), choice.plans, technologies, execution))
