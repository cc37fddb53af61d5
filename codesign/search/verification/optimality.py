"""What is proved of a design, and how nearly it is optimal where nothing is."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from codesign.hardware.design import Design
from codesign.numerics.compilation import SELDOM, compiled
from codesign.numerics.fields import RealArray
from codesign.performance.collectives import AllReduce
from codesign.search.integers.formulation import Formulation, Subproblem
from codesign.search.integers.solution_pool import SolutionPool
from codesign.search.solver.packing import PackedProblems
from codesign.search.statement.goals import Wanted, bounds_exceeded, log_goals
from codesign.search.statement.problem import ProblemBatch, integer_ranges
from codesign.search.statement.relaxed_fleet import fleet_at
from codesign.search.statement.space import CONTINUOUS, at_bound
from codesign.search.verification.audit import POINTS, TOLERANCE, differences
from codesign.search.verification.exact_check import SAME_PACE, check_exactly

BINDING = 1e-4
"""A limit binds where ln(used/allowed) is above minus this."""


def audited(formulation: Formulation, subproblems: Sequence[Subproblem]) -> np.ndarray:
    """Whether program and exact model agree at random points, for each subproblem's choice, shape
    (subproblems,) [bool]."""
    asked = [
        subproblems[k] for k in np.linspace(0, len(subproblems) - 1, POINTS).round().astype(int)
    ]
    asked += {subproblem.choice: subproblem for subproblem in subproblems}.values()
    wrong = {
        subproblem.choice
        for subproblem, off in zip(
            asked, differences(formulation, asked, check_exactly), strict=True
        )
        if not off <= TOLERANCE
    }
    return np.array([subproblem.choice not in wrong for subproblem in subproblems])


def residuals(
    pool: SolutionPool,
    wanted: Wanted,
    subproblems: Sequence[Subproblem],
    designs: tuple[Design, ...],
    proved: np.ndarray,
) -> np.ndarray:
    """Norm of Σ w ∇F + Σ λ ∇g of the exact model in logarithms of the free quantities, with the
    best λ ≥ 0 on what binds.

    NaN where proved: there the gap says more. At a tie of two resources the model has two slopes;
    JAX takes the one between.
    """
    problems = pool.formulation.problems
    found = np.full(len(subproblems), np.nan)
    for k in map(int, np.flatnonzero(~proved)):
        own = jax.tree.map(lambda leaf, k=k: leaf[k], designs)
        values = [
            np.array(
                [
                    *(float(getattr(design, name)) for name in CONTINUOUS),
                    float(design.white_silicon),
                    float(design.power_cap),
                    float(design.chips),
                ]
            )
            for design in own
        ]
        kinds = len(own)
        lane = np.log(
            np.maximum(
                np.concatenate(
                    [*values, subproblems[k].integers[kinds : kinds + len(problems.services)]]
                ),
                1e-12,
            )
        )
        slope, used, slopes = (
            np.array(part)
            for part in _slopes(lane, subproblems[k].choice, pool.formulation.packed, wanted)
        )
        used[-1] -= pool.pace_limit[subproblems[k].weighting]
        free = np.concatenate(
            [np.r_[np.ones(len(CONTINUOUS) + 2, bool), False]] * kinds
            + [np.zeros(len(problems.services), bool)]
        )
        wish = pool.weights[subproblems[k].weighting] @ slope
        found[k] = least_residual(wish, slopes, used > -BINDING, free)[0]
    return found


def least_residual(
    slope: np.ndarray, slopes: np.ndarray, binds: np.ndarray, free: np.ndarray
) -> tuple[float, np.ndarray]:
    """Norm of the optimality conditions ∇F + Σ λ ∇g with the best λ ≥ 0, and λ.

    Args:
        slope: of what is minimised, shape (variables,).
        slopes: of the limits, shape (limits, variables).
        binds: which limits bind, shape (limits,) [bool].
        free: which variables count, shape (variables,) [bool].

    Returns:
        The norm [1], and a multiplier for each limit, 0 where it does not bind.

    Source: Lawson, Hanson, *Solving Least Squares Problems* (1974), §23 (non-negative least
    squares).

    >>> import numpy as np
    >>> norm, prices = least_residual(
    ...     np.array([-2.0, 1.0]), np.eye(2), np.array([True, False]), np.array([True, True])
    ... )
    >>> float(norm), prices.tolist()
    (1.0, [2.0, 0.0])
    """
    from scipy.optimize import nnls

    target, prices = -slope[free], np.zeros(len(slopes))
    if not binds.any():
        return float(np.linalg.norm(target)), prices
    prices[binds], norm = nnls(slopes[binds][:, free].T, target)
    return float(norm), prices


@compiled(SELDOM)
def _slopes(
    lane: jax.Array, choice: jax.Array, problems: PackedProblems, wanted: Wanted
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Slopes of the goals; ln(used/allowed) of limits and bounds and ln of the time per token, with
    slopes."""

    def both(x: jax.Array) -> tuple[RealArray, jax.Array]:
        found = fleet_at(jnp.exp(x), problems.problem(problems.rows[choice]))
        used = jnp.maximum(
            jnp.concatenate(
                [found.limits, bounds_exceeded(wanted.bounds, found.totals, found.outcomes)]
            ),
            -100.0,
        )
        return log_goals(wanted.objectives, found.totals, found.outcomes), jnp.append(
            used, jnp.log(found.totals.time_per_token)
        )

    slopes = jax.jacfwd(both)(lane)
    return slopes[0], both(lane)[1], slopes[1]


def front_gaps(pool: SolutionPool, logs: RealArray, paces: np.ndarray) -> np.ndarray:
    """How much all objectives together could still improve on each design, over all choices and
    integers [log]; NaN where none is proved.

    The least, over the weightings with a proved bound, of the weighted sum above its bound. A
    weighting that asks for a speed bounds what is at least as fast; so is all that improves on a
    design which is.

    Args:
        pool: weightings and their bounds.
        logs: goals of the designs, shape (designs, goals).
        paces: their ln of the time per token, shape (designs,).
    """
    gaps = logs @ pool.weights.T - pool.bounds[None, :]
    least = np.min(np.where(paces[:, None] <= pool.pace_limit + SAME_PACE, gaps, np.inf), axis=1)
    return np.where(np.isfinite(least), least, np.nan)


def convex(problems: ProblemBatch, subproblems: Sequence[Subproblem]) -> np.ndarray:
    """Whether the program is the exact model for each subproblem, shape (subproblems,) [bool].

    It is not where experts are exchanged beyond a scale-up domain: the slower of two networks then
    depends on the design.
    """
    choice = np.array([subproblem.choice for subproblem in subproblems])
    integers = np.array([subproblem.integers for subproblem in subproblems])
    sure = np.ones(len(subproblems), bool)
    for k, step in enumerate(problems.steps):
        if problems.tables[k].has_experts:
            dealt = np.asarray(problems.plans[k].expert)[choice] > 1.0
            leaves = (
                integers[:, step.kind]
                > np.asarray(problems.kinds[step.kind].scale_up_domain)[choice]
            )
            sure &= ~(dealt & leaves)
    return sure


def always_convex(problems: ProblemBatch) -> bool:
    """Whether the program is the exact model for every choice and all integers (see ``convex``)."""
    if any(isinstance(plan.all_reduce, AllReduce) for plan in problems.plans):
        return False  # nobody knows how a user's own algorithm depends on chips between samples
    most = integer_ranges(problems)[1]
    count = problems.choices
    return bool(
        convex(
            problems, [Subproblem(0, choice, tuple(map(int, most))) for choice in range(count)]
        ).all()
    )


def binding(names: Sequence[str], used: np.ndarray) -> tuple[tuple[str, ...], ...]:
    """Limits that hold with equality at each design; ``used`` is ln(used/allowed), shape (designs,
    limits). A power cap is chosen, so it always does."""
    return tuple(
        tuple(
            name
            for name, share in zip(names, row, strict=True)
            if share > -BINDING and name != "power_cap"
        )
        for row in used
    )


def resting(
    problems: ProblemBatch, quantities: Sequence[np.ndarray], integers: np.ndarray
) -> np.ndarray:
    """Which bound of the box each design rests on: −1 the lower, 1 the upper, 0 none. A column a
    quantity: of each kind of machine the continuous ones (designs, quantities), then the
    integers."""
    continuous = [
        at_bound(space, own, integers[:, p])
        for p, (space, own) in enumerate(zip(problems.spaces, quantities, strict=True))
    ]
    return np.concatenate([*continuous, integer_bounds(problems, integers)], axis=1).astype(int)


def integer_bounds(problems: ProblemBatch, integers: np.ndarray) -> np.ndarray:
    low, high = integer_ranges(problems)
    count = len(problems.spaces) + len(problems.services)
    columns = []
    for k in range(count):
        # one chip or one sequence is a fact of life, not a bound of the box
        at = np.where(
            (integers[:, k] == low[k]) & (low[k] > 1), -1, np.where(integers[:, k] == high[k], 1, 0)
        )
        columns.append(at if high[k] > low[k] else np.zeros_like(at))
    return np.stack(columns, axis=1)
