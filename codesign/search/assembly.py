"""From solved subproblems to a front: checked on the exact model, non-dominated, each with its
status."""

import jax
import numpy as np

from codesign.numerics.fields import RealArray, Tree
from codesign.search.integers.branch_and_bound import TOLERANCE
from codesign.search.integers.formulation import Subproblem
from codesign.search.integers.solution_pool import SolutionPool
from codesign.search.pareto.dominance import non_dominated
from codesign.search.pareto.front import GLOBAL, GLOBAL_AT_ITS_INTEGERS, LOCAL, Front, Infeasible
from codesign.search.pareto.penalty_search import PenaltyOptima
from codesign.search.pareto.starts import points
from codesign.search.program.keys import Key, Of
from codesign.search.program.objectives import BoundRows
from codesign.search.statement.choices import Choice
from codesign.search.statement.goals import Bound, Goal, Wanted
from codesign.search.statement.problem import integer_names
from codesign.search.statement.space import CONTINUOUS
from codesign.search.verification.exact_check import Verified, verify
from codesign.search.verification.optimality import (
    always_convex,
    audited,
    binding,
    convex,
    front_gaps,
    residuals,
    resting,
)

CERTIFIED = 1e-6
"""Largest certified gap, in log units, of a design that counts as proved at its own integers."""

ROUNDING = 1e-9
"""A gap further below zero than this says that the bound is wrong: never more than LOCAL."""


LAST_DIGITS = 1e-12
"""ln(used/allowed) of a limit that is met with equality, as by the most stacks on a package:
rounding of a quotient."""


SPEED_ASKED = "speed asked"
"""Name of the limit that a weighting sets by itself, where weights alone find no design."""


def assemble_front(
    pool: SolutionPool,
    choices: tuple[Choice, ...],
    objectives: tuple[Goal, ...],
    bounds: tuple[Bound, ...],
    rows: BoundRows,
    subproblems: list[Subproblem],
    relaxed: PenaltyOptima | None,
    timings: dict[str, float],
) -> Front:
    """Check the best subproblems on the exact model and keep the non-dominated designs.

    Args:
        pool: solves so far.
        choices: told in the front.
        objectives: what is wanted.
        bounds: limits on outcomes.
        rows: their rows in the program.
        subproblems: the best of each weighting.
        relaxed: where the penalty search ended, if there was one.
        timings: seconds by stage.

    Raises:
        Infeasible: no design passes the check.
    """
    problems = pool.formulation.problems
    seen = verify(pool, objectives, bounds, subproblems)
    keep = _best(seen)
    kept, logs, limits = [subproblems[k] for k in keep], seen.logs[keep], seen.limits[keep]
    integers = np.array([subproblem.integers for subproblem in kept])
    at = [subproblem.weighting for subproblem in kept]

    def taken_rows(tree: Tree) -> Tree:
        return jax.tree.map(lambda leaf: np.asarray(leaf)[keep], tree)

    designs, totals = taken_rows(seen.fleet.designs), taken_rows(seen.fleet.totals)
    paces = np.log(totals.time_per_token)
    gap, sure = seen.gap[keep], convex(problems, kept) & audited(pool.formulation, kept)
    proved = sure & (gap >= -ROUNDING) & (gap <= CERTIFIED)
    gaps = _proved_gaps(pool, kept, logs, paces)
    used = np.concatenate([limits, (paces - pool.pace_limit[at])[:, None]], axis=1)
    names = (*problems.limit_names, *rows.names, SPEED_ASKED)
    return Front(
        designs=designs,
        outcomes=taken_rows(seen.fleet.outcomes),
        totals=totals,
        machine_seconds=np.asarray(seen.fleet.machine_seconds)[keep],
        times=taken_rows(seen.fleet.times),
        step_kinds=tuple(step.kind for step in problems.steps),
        integers=integers,
        integer_names=integer_names(problems),
        choice=np.array([subproblem.choice for subproblem in kept]),
        choices=choices,
        objectives=objectives,
        values=np.exp(-logs * np.array([objective.sense for objective in objectives])),
        weights=pool.weights[at],
        time_asked=np.exp(pool.pace_limit[at]),
        status=tuple(_status(bool(own), gap) for own, gap in zip(proved, gaps, strict=True)),
        certified_gap=gap,
        front_gap=gaps,
        residual=residuals(pool, Wanted(objectives, bounds), kept, designs, proved),
        spread=np.array([_spread(relaxed, subproblem) for subproblem in kept]),
        binding=binding(names, used),
        multipliers=_multipliers(pool, kept, rows.names),
        box=resting(problems, _quantities(pool, kept), integers),
        buildable=all(space.buildable for space in problems.spaces),
        timings=timings,
    )


def _best(seen: Verified) -> np.ndarray:
    """The non-dominated of those designs that meet every limit, by the last objective.

    Raises:
        Infeasible: none does.
    """
    feasible = seen.limits.max(axis=1, keepdims=True) <= LAST_DIGITS
    keep = non_dominated(np.where(feasible, seen.logs, np.inf))
    if not len(keep):
        raise Infeasible(
            "no design that the search found passes the check on the exact model; widen the space"
        )
    return keep[np.argsort(seen.logs[keep, -1], kind="stable")]


def _proved_gaps(
    pool: SolutionPool, kept: list[Subproblem], logs: RealArray, paces: np.ndarray
) -> np.ndarray:
    """Gaps of the front; none is proved where the program is not the exact model everywhere."""
    gaps = front_gaps(pool, logs, paces)
    if np.isfinite(gaps).any() and not (
        always_convex(pool.formulation.problems)
        and audited(pool.formulation, _each_choice(pool, kept[0])).all()
    ):
        return np.full(len(gaps), np.nan)
    return gaps


def _multipliers(
    pool: SolutionPool, kept: list[Subproblem], bounds: tuple[str, ...]
) -> dict[str, np.ndarray]:
    """Of every limit at each design, and of the speed that its weighting asks for."""
    structure, ends = pool.formulation.structure, [pool.done[one].point for one in kept]
    lambdas = np.stack([end.multipliers for end in ends])
    found = {
        _told(key, bounds): lambdas[:, columns].sum(axis=1)
        for key, columns in structure.limits.items()
    }
    upper = np.array([end.upper[structure.variable("pace")] for end in ends])
    asks = np.isfinite(pool.pace_limit[[subproblem.weighting for subproblem in kept]])
    return {**found, SPEED_ASKED: np.where(asks, upper, 0.0)}


def _quantities(pool: SolutionPool, kept: list[Subproblem]) -> list[np.ndarray]:
    """The continuous quantities of each kind of machine, shapes (designs, quantities)."""
    structure, values = pool.formulation.structure, np.exp(points(pool, kept))
    firsts = [structure.variable(CONTINUOUS[0], p) for p in range(structure.kinds)]
    return [values[:, first : first + len(CONTINUOUS)] for first in firsts]


def _status(own: bool, front_gap: float) -> str:
    """What is proved of a design: at its own choice and integers, and over all of them."""
    if not own:
        return LOCAL
    return GLOBAL if front_gap <= TOLERANCE * (1.0 + 1e-3) else GLOBAL_AT_ITS_INTEGERS


def _each_choice(pool: SolutionPool, subproblem: Subproblem) -> list[Subproblem]:
    return [
        subproblem._replace(choice=choice) for choice in range(pool.formulation.problems.choices)
    ]


def _spread(relaxed: PenaltyOptima | None, subproblem: Subproblem) -> float:
    if relaxed is None:
        return float("nan")
    loss = np.asarray(relaxed.loss)
    if subproblem.weighting >= len(loss):
        return float("nan")
    ends = loss[subproblem.weighting, subproblem.choice]
    return float(np.ptp(ends[np.isfinite(ends)])) if np.isfinite(ends).any() else float("nan")


def _told(limit: Key, bounds: tuple[str, ...]) -> str:
    """What a limit is called: a bound by what it is on."""
    return bounds[limit.index] if limit.of is Of.BOUND else limit.name
