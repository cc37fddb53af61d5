"""From solved subproblems to a front: checked on the exact model, non-dominated, each with its
status."""

import jax
import numpy as np

from codesign.numerics.fields import Tree
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
from codesign.search.statement.space import CONTINUOUS, at_bound
from codesign.search.verification.exact_check import verify
from codesign.search.verification.optimality import (
    BINDING,
    always_convex,
    audited,
    convex,
    front_gaps,
    integer_bounds,
    residuals,
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
    problems, structure = pool.formulation.problems, pool.formulation.structure
    seen = verify(pool, objectives, bounds, subproblems)
    feasible = seen.limits.max(axis=1, keepdims=True) <= LAST_DIGITS
    keep = non_dominated(np.where(feasible, seen.logs, np.inf))
    if not len(keep):
        raise Infeasible(
            "no design that the search found passes the check on the exact model; widen the space"
        )
    keep = keep[np.argsort(seen.logs[keep, -1], kind="stable")]
    kept = [subproblems[k] for k in keep]

    def taken_rows(tree: Tree) -> Tree:
        return jax.tree.map(lambda leaf: np.asarray(leaf)[keep], tree)

    integers = np.array([subproblem.integers for subproblem in kept])
    gap, sure = seen.gap[keep], convex(problems, kept) & audited(pool.formulation, kept)
    proved = sure & (gap >= -ROUNDING) & (gap <= CERTIFIED)
    spread = np.array([_spread(relaxed, subproblem) for subproblem in kept])
    at = [subproblem.weighting for subproblem in kept]
    paces, values = (
        np.log(np.asarray(seen.fleet.totals.time_per_token)[keep]),
        np.exp(points(pool, kept)),
    )
    used = np.concatenate([seen.limits[keep], (paces - pool.pace_limit[at])[:, None]], axis=1)
    boxes = []
    for p, space in enumerate(problems.spaces):
        first = structure.variable(CONTINUOUS[0], p)
        boxes.append(at_bound(space, values[:, first : first + len(CONTINUOUS)], integers[:, p]))
    lambdas = np.stack([pool.done[subproblem][2].multipliers for subproblem in kept])
    prices = {
        _told(key, rows.names): lambdas[:, columns].sum(axis=1)
        for key, columns in structure.limits.items()
    }
    upper = np.array(
        [pool.done[subproblem][2].upper[structure.variable("pace")] for subproblem in kept]
    )
    names = (*problems.limit_names, *rows.names, SPEED_ASKED)
    gaps = front_gaps(pool, seen.logs[keep], paces)
    if np.isfinite(gaps).any() and not (
        always_convex(problems) and audited(pool.formulation, _each_choice(pool, kept[0])).all()
    ):
        gaps = np.full(len(gaps), np.nan)  # the program is not the exact model everywhere
    return Front(
        designs=taken_rows(seen.fleet.designs),
        outcomes=taken_rows(seen.fleet.outcomes),
        totals=taken_rows(seen.fleet.totals),
        machine_seconds=np.asarray(seen.fleet.machine_seconds)[keep],
        times=taken_rows(seen.fleet.times),
        step_kinds=tuple(step.kind for step in problems.steps),
        integers=integers,
        integer_names=integer_names(problems),
        choice=np.array([subproblem.choice for subproblem in kept]),
        choices=choices,
        objectives=objectives,
        values=np.exp(-seen.logs[keep] * np.array([objective.sense for objective in objectives])),
        weights=pool.weights[at],
        time_asked=np.exp(pool.pace_limit[at]),
        status=tuple(_status(bool(own), gap) for own, gap in zip(proved, gaps, strict=True)),
        certified_gap=gap,
        front_gap=gaps,
        residual=residuals(
            pool, Wanted(objectives, bounds), kept, taken_rows(seen.fleet.designs), proved
        ),
        spread=spread,
        binding=tuple(
            tuple(n for n, g in zip(names, row, strict=True) if g > -BINDING) for row in used
        ),
        multipliers={**prices, SPEED_ASKED: np.where(np.isfinite(pool.pace_limit[at]), upper, 0.0)},
        box=np.concatenate([*boxes, integer_bounds(problems, integers)], axis=1).astype(int),
        buildable=all(space.buildable for space in problems.spaces),
        timings=timings,
    )


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
