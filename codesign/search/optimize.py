"""The search as a whole: weightings → relaxed starts → certified integers → front, checked on the
exact model."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar, cast

import jax
import jax.numpy as jnp
import numpy as np

from codesign.argument_types import require_type
from codesign.limits import LimitRow
from codesign.performance.execution import Execution
from codesign.performance.schedules import Operatorwise
from codesign.search.ahead_of_time import compile_ahead
from codesign.search.assembly import assemble_front
from codesign.search.integers.block_pattern_search import descend_by_kind, improve_by_kind
from codesign.search.integers.branch_and_bound import prove as cut_boxes
from codesign.search.integers.descent import descend
from codesign.search.integers.formulation import Formulation, Memory, Subproblem
from codesign.search.integers.lagrangian_decomposition import prove as prove_bounds
from codesign.search.integers.shrinking_boxes import approach
from codesign.search.integers.solution_pool import SolutionPool
from codesign.search.local_front import search_locally
from codesign.search.pareto.front import Front, Infeasible
from codesign.search.pareto.gaps import ROUNDS
from codesign.search.pareto.penalty_search import PenaltyOptima, lanes, search_by_penalty
from codesign.search.pareto.starts import (
    adopt_better_integers,
    complete,
    exchange_integers,
    first_subproblems,
    middle_starts,
    refine,
)
from codesign.search.program.geometric_program import BoundNumbers
from codesign.search.program.objectives import LEAST_WEIGHT, BoundRows, bound_rows, goals
from codesign.search.program.step_work import operator_counts
from codesign.search.program.structure import structure_of
from codesign.search.solver.lanes import double_precision
from codesign.search.solver.packing import pack
from codesign.search.statement.choices import Choice, Tree
from codesign.search.statement.goals import Bound, Goal, Wanted, as_row, check_objective
from codesign.search.statement.problem import ProblemBatch, assemble, check_dies, integer_ranges
from codesign.search.statement.services import Service
from codesign.search.statement.space import Space
from codesign.search.verification.infeasibility import ROOM, conflict, sentence

Part = TypeVar("Part")

Progress = Callable[[str, int, int], None]

BEAM = 16
"""Boxes of a weighting that are cut further at a time where one kind of machine is searched without
a proof."""

STARTS = 2
"""Random starts of the penalty search for each weighting and choice."""


def weightings(count: int, objectives: int, seed: int) -> np.ndarray:
    """Weights of the objectives: each alone, then quasi-random points of the simplex; shape (count,
    objectives), rows sum to 1.

    Exponential spacings of points that fill a cube are uniform on the simplex; here multiples of
    the powers of the generalised golden ratio, x^(objectives + 1) = x + 1 (M. Roberts, "The
    unreasonable effectiveness of quasirandom sequences", 2018). No weight is below
    ``LEAST_WEIGHT``.
    """
    golden = 2.0
    for _ in range(64):
        golden = (1.0 + golden) ** (1.0 / (objectives + 1.0))
    multiples = np.arange(1, count + 1)[:, None] * golden ** -np.arange(1.0, objectives + 1.0)
    spread = -np.log(
        np.clip((np.random.default_rng(seed).random(objectives) + multiples) % 1.0, 1e-9, 1.0)
    )
    spread /= spread.sum(axis=1, keepdims=True)
    weights = np.concatenate([np.eye(objectives), spread])[:count]
    weights = np.maximum(weights, LEAST_WEIGHT)
    weights /= weights.sum(axis=1, keepdims=True)
    return weights[
        np.sort(np.unique(weights, axis=0, return_index=True)[1])
    ]  # one objective has one weighting


def optimize(
    spaces: Space | Sequence[Space],
    services: Service | Sequence[Service],
    choices: Sequence[Choice],
    objectives: Goal | Sequence[Goal],
    *,
    bounds: Sequence[Bound] = (),
    limits: Sequence[LimitRow] = (),
    execution: Execution | None = None,
    weights: int = 48,
    seed: int = 0,
    prove: bool = True,
    memory: Memory | None = None,
    progress: Progress | None = None,
) -> Front:
    """Search for the Pareto front of designs.

    Args:
        spaces: box, ranges and base design of each kind of machine.
        services: what the fleet must do.
        choices: technologies, packages and plans to choose among.
        objectives: what is wanted (``objectives.objective``); products of powers of totals keep the
            proof, other functions of an outcome are searched by gradients and come out ``LOCAL``.
        bounds: limits on outcomes.
        limits: limits on machines, of the user's own.
        execution: ``Operatorwise()`` unless told.
        weights: number of weightings.
        seed: of weightings and starts.
        prove: bound choices and integers too, by branch and bound (``Front.front_gap``); without,
            no design is called ``GLOBAL``.
        memory: where finished solves are kept and found again.
        progress: called with (stage, done, total).

    Returns:
        Designs that no other found design dominates, each with what is proved of it.

    Raises:
        Infeasible: no design in the space meets the limits; those in conflict are named.
        TypeError: an argument of another type, or an objective that says two things.
        ValueError: an objective that cannot be proved, or a problem that does not fit together.

    Source: docs/mathematics.md, section by section, with each theorem's.

    >>> import codesign, hardware_priors, objectives
    >>> base = hardware_priors.device("b200").design(chips=1)
    >>> low, high = [1e12, 3e10, 1e14, 3e-7, 5e10, 0.5], [3e13, 1e12, 1e16, 2e-5, 2e12, 1.2]
    >>> space = codesign.Space(base, low, high, chips=(1, 2))
    >>> world = hardware_priors.technology("N3", "HBM3E", "NVLink5")
    >>> choice = codesign.Choice("N3", (codesign.Plan(),), (codesign.Kind(world),))
    >>> model = codesign.dense(
    ...     hidden=4096, layers=32, heads=32, kv_heads=8, width=14336, vocabulary=128256
    ... )
    >>> work = codesign.Workload(model, codesign.Decode(batch=1, context=8192), promise=0.01)
    >>> wanted = [objectives.objective("tokens/s/$")]
    >>> service = codesign.service(work, batch=(1, 64))
    >>> codesign.optimize(space, service, [choice], wanted, weights=1).status
    ('GLOBAL',)
    """
    execution = Operatorwise() if execution is None else execution
    require_type("execution", execution, Execution)
    spaces, services = _all_of("space", spaces, Space), _all_of("service", services, Service)
    choices, bounds = _all_of("choice", choices, Choice), _all_of("bound", bounds, Bound)
    limits = _all_of("limit", limits, LimitRow)
    if isinstance(objectives, str) or not isinstance(objectives, Iterable):
        objectives = (cast(Goal, objectives),)
    wants = tuple(objectives)
    for objective in wants:
        check_objective(objective)
    for name, found in (
        ("space", spaces),
        ("service", services),
        ("choice", choices),
        ("objective", wants),
    ):
        if not found:
            raise ValueError(f"no {name} is given; expected at least one")
    with double_precision():
        parts = _in_double((spaces, services, choices, execution))
        check_dies(parts[2])
        own = [as_row(bound) for bound in bounds]
        kept = tuple(bound for bound, row in zip(bounds, own, strict=True) if row is None)
        problems = assemble(*parts, (*limits, *filter(None, own)))
        wanted = Wanted(wants, kept)
        if not execution.log_convex or not wanted.has_program():
            rows = weightings(weights, len(wanted.objectives), seed)
            return search_locally(problems, parts[2], wanted, rows, seed)
        return _optimize(problems, parts[2], wanted, weights, seed, prove, memory, progress)


def _all_of(name: str, given: Part | Iterable[Part], expected: type[Part]) -> tuple[Part, ...]:
    """One or several of a type.

    Raises:
        TypeError: naming what is of another.
    """
    if isinstance(given, expected) or isinstance(given, str) or not isinstance(given, Iterable):
        require_type(name, given, expected)
        return (cast(Part, given),)
    found = tuple(given)
    for one in found:
        require_type(name, one, expected)
    return found


def _in_double(tree: Tree) -> Tree:
    return jax.tree.map(lambda leaf: np.asarray(leaf, dtype=np.float64), tree)


def pose(
    problems: ProblemBatch,
    objectives: Sequence[Goal],
    bounds: Sequence[Bound],
    memory: Memory | None = None,
) -> tuple[Formulation, BoundRows]:
    """A problem in the program's terms."""
    alone = len(problems.steps) == 1
    rows = bound_rows(bounds, one_machine=alone)
    structure = structure_of(problems, operator_counts(problems), rows.structure)
    numbers = BoundNumbers(jnp.asarray(rows.constants), jnp.asarray(rows.limits))
    return (
        Formulation(
            structure,
            problems,
            pack(problems),
            goals(objectives, one_machine=alone),
            numbers,
            memory,
        ),
        rows,
    )


def _optimize(
    problems: ProblemBatch,
    choices: tuple[Choice, ...],
    wanted: Wanted,
    weights: int,
    seed: int,
    prove: bool,
    memory: Memory | None,
    progress: Progress | None,
) -> Front:
    tell = progress or (lambda stage, done, total: None)
    clock = time.perf_counter()
    timings: dict[str, float] = {}

    def lap(name: str) -> None:
        nonlocal clock
        timings[name], clock = time.perf_counter() - clock, time.perf_counter()

    objectives, bounds = wanted.objectives, wanted.bounds
    formulation, rows = pose(problems, objectives, bounds, memory)
    pool = SolutionPool(formulation, weightings(weights, len(objectives), seed))
    subproblems, relaxed = search_weightings(
        pool, wanted, rows, seed=seed, prove=prove, tell=tell, lap=lap
    )
    front = assemble_front(pool, choices, objectives, bounds, rows, subproblems, relaxed, timings)
    lap("exact check")
    return front


def search_weightings(
    pool: SolutionPool,
    wanted: Wanted,
    rows: BoundRows,
    *,
    seed: int,
    prove: bool,
    tell: Progress = lambda stage, done, total: None,
    lap: Callable[[str], None] = lambda name: None,
) -> tuple[list[Subproblem], PenaltyOptima | None]:
    """The best subproblem found of every weighting, and of those added between them; and where the
    penalty search ended.

    One kind of machine is searched by branch and bound where a proof is wanted: it costs less than
    the local search. Fleets of several kinds are bounded last, around the best that was found.

    Raises:
        Infeasible: no design in the space meets the limits.
    """
    tell("relaxed search", 0, 1)
    starts, relaxed = _starts(pool, wanted, seed)
    lap("relaxed search")
    tell("relaxed search", 1, 1)
    one_kind = pool.formulation.structure.kinds == 1
    together = prove and one_kind

    def bounded(best: list[Subproblem]) -> list[Subproblem]:
        return prove_bounds(
            pool, best, progress=lambda done, still: tell("proof", done, done + still)
        ).best

    def settled(starts: list[list[Subproblem]]) -> list[Subproblem]:
        if not together:
            return _finite(pool, improve_by_kind(pool, starts))
        pool.learn(subproblem for row in starts for subproblem in row)
        return bounded([min(row, key=pool.value) for row in starts])

    tell("integers", 0, 1 + ROUNDS)
    subproblems = _first_designs(pool, starts, rows, together)
    if together:
        subproblems = bounded(complete(pool, subproblems))
    elif one_kind:
        subproblems = cut_boxes(pool, complete(pool, subproblems), beam=BEAM).best
    tell("integers", 1, 1 + ROUNDS)
    lap("integers")
    for done in range(ROUNDS):
        subproblems = refine(pool, wanted.objectives, subproblems, settled)
        tell("integers", 2 + done, 1 + ROUNDS)
    subproblems = adopt_better_integers(pool, wanted.objectives, subproblems)
    lap("refinement")
    if prove and not together:
        subproblems = bounded(complete(pool, subproblems))
        lap("proof")
    return _finite(pool, subproblems), relaxed


def _finite(pool: SolutionPool, subproblems: list[Subproblem]) -> list[Subproblem]:
    """Those that a design meets."""
    return [subproblem for subproblem in subproblems if np.isfinite(pool.value(subproblem))]


def _starts(
    pool: SolutionPool, wanted: Wanted, seed: int
) -> tuple[list[list[Subproblem]], PenaltyOptima | None]:
    """Where the search of integers starts for each weighting: where a penalty search over all
    numbers as reals ends, or, where a fleet runs several steps, at the optima of boxes of integers
    that shrink."""
    problems, ranges = pool.formulation.problems, integer_ranges(pool.formulation.problems)
    if len(problems.steps) > 1:
        compile_ahead(pool.formulation, pool.weights, relaxed=())
        return approach(pool, middle_starts(pool, ranges)), None
    first = lanes(problems, wanted, pool.weights, starts=STARTS, seed=seed)
    compile_ahead(pool.formulation, pool.weights, relaxed=first)
    relaxed = search_by_penalty(first, (len(pool.weights), problems.choices, STARTS))
    return first_subproblems(relaxed, problems, ranges), relaxed


def _first_designs(
    pool: SolutionPool, starts: list[list[Subproblem]], rows: BoundRows, together: bool
) -> list[Subproblem]:
    """A design of each weighting that has one, at integers found by descent from the starts; where
    no start leads to any, from the integers that break the limits least.

    Raises:
        Infeasible: those break them too.
    """
    if together:
        subproblems = descend(pool, starts)
    elif subproblems := descend_by_kind(pool, starts):
        subproblems = exchange_integers(pool, subproblems)
    if subproblems:
        return subproblems
    found = conflict(pool.formulation, rows.names)
    if found.least > -ROOM:
        raise Infeasible(sentence(found, pool.formulation), found)
    least = [[found.subproblem._replace(weighting=k)] for k in range(len(pool.weights))]
    return exchange_integers(pool, improve_by_kind(pool, least))
