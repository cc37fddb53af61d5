"""A log-space primal-dual interior point that finishes convex design problems and supplies their
multipliers.

Problems run side by side in one ``vmap`` until all are solved or shown to have no design; one that
is stays as it is, so that its digits do not depend on the others. Mehrotra-style centring with
fraction-to-boundary steps (Nocedal & Wright, Numerical Optimization, 2006, ch. 19); derivatives in
closed form.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from codesign.numerics.fields import Real, RealArray
from codesign.search.program.exponents import exponents
from codesign.search.program.functions import Packed, functions, packed, units, weighted_hessian
from codesign.search.program.geometric_program import Program
from codesign.search.program.keys import OUTCOMES
from codesign.search.program.objectives import Goals
from codesign.search.program.structure import Structure

MOST_STEPS = 64
"""Newton steps: most problems reach their last digits in 17 to 22, and most that have no design
show it in 4 to 8."""

CONVERGED = (1.5e-11, 1e-10, 1e-9)
"""Mean complementarity, and largest primal and dual residual, at which a problem is solved."""

SURE = 1e-9
"""How far above zero a bound on what limits are exceeded by must be, relative to the size of its
terms, to prove that no design exists."""

FRACTION_TO_BOUNDARY = 0.99
LONGEST_STEP = 2.0  # in log units: a factor e² in any quantity
CENTRING = 0.15
SETTLED_GAP = 0.1
"""Duality gap, relative to how far a feasible value is below what it would have to exceed, at which
a problem is decided."""
FINAL_BARRIER = 1e-11


class Point(NamedTuple):
    """A primal-dual point: variables, slacks of the limits, multipliers of limits and of the
    box."""

    y: RealArray  # (variables,)
    slack: RealArray  # (limits,)
    multipliers: RealArray  # (limits,)
    lower: RealArray  # (variables,)
    upper: RealArray  # (variables,)


class Model(NamedTuple):
    """Weighted goals and their gradient, limits and the Hessian of the Lagrangian at a point."""

    value: Float[Array, ""]
    gradient: Float[Array, "variables"]
    limits: Float[Array, "limits"]
    jacobian: Float[Array, "limits variables"]
    hessian: Float[Array, "variables variables"]


def model_at(
    structure: Structure,
    program: Program,
    goals: Goals,
    weights: Float[Array, "goals"],
    point: Point,
    blocks: tuple[Packed, ...] | None = None,
) -> Model:
    """Everything a Newton step needs, for the weighted sum of the goals."""
    shape = exponents(structure)
    blocks = packed(structure, program) if blocks is None else blocks
    values = functions(structure, shape, program, point.y, blocks)
    count = len(OUTCOMES)
    outcome_weights = weights @ goals.outcomes
    linear = units(
        structure,
        [
            structure.variable("pace"),
            structure.variable("machine seconds", 0),
            structure.variable("relaxation"),
        ],
    )
    slopes = weights @ jnp.stack([goals.pace, goals.rate, goals.relaxation], axis=1)
    constant = weights @ (goals.constants @ program.constants)
    return Model(
        value=outcome_weights @ values.value[:count] + slopes @ (linear @ point.y) + constant,
        gradient=outcome_weights @ values.jacobian[:count] + slopes @ linear,
        limits=values.value[count:],
        jacobian=values.jacobian[count:],
        hessian=weighted_hessian(
            structure, shape, blocks, values, jnp.concatenate([outcome_weights, point.multipliers])
        ),
    )


def solve(
    structure: Structure,
    programs: Program,
    goals: Goals,
    weights: Float[Array, "problems goals"],
    enough: Float[Array, "problems"],
) -> Point:
    """Minimise the weighted sums of the goals' logarithms over many programs at once.

    Starts at the middle of each box, whatever the limits say there; ends, where a problem is
    feasible, at a point strictly inside all limits with a duality gap of about limits × 1e-11, and
    where it is not, at multipliers that prove it.

    Args:
        structure: functions and monomials of the program.
        programs: the problems, leaves with a leading axis.
        goals: objectives in the programs' terms.
        weights: weighting of the goals of each problem, ≥ 0, rows of sum 1.
        enough: a problem also ends where its bound is shown to exceed this, or not to
            (``decided``); +∞: solve it to its last digits.
    """
    low, high = programs.low, programs.high
    middle = 0.5 * (low + high)
    count = len(structure.functions) - len(OUTCOMES)
    limits, ones = jnp.ones((len(middle), count), middle.dtype), jnp.ones_like(middle)
    start = Point(middle, limits, 0.1 * limits, 0.1 * ones, 0.1 * ones)
    blocks = jax.vmap(functools.partial(packed, structure))(programs)

    def step(
        program: Program, own: tuple[Packed, ...], weighting: Array, least: Array, point: Point
    ) -> tuple[Point, Bool[Array, ""]]:
        model, ends = (
            model_at(structure, program, goals, weighting, point, own),
            (program.low, program.high),
        )
        ended = (
            solved(model, point, *ends)
            | proves_infeasible(model, point, *ends)
            | decided(model, point, *ends, least)
        )
        moved = newton_step(model, point, program.low, program.high)
        return jax.tree.map(lambda new, old: jnp.where(ended, old, new), moved, point), ended

    def body(state: tuple[Point, Array, Array | int]) -> tuple[Point, Array, Array | int]:
        points, ended = jax.vmap(step)(programs, blocks, weights, enough, state[0])
        return points, ended, state[2] + 1

    def unfinished(state: tuple[Point, Array, Array | int]) -> Bool[Array, ""]:
        return ~jnp.all(state[1]) & (state[2] < MOST_STEPS)

    return jax.lax.while_loop(unfinished, body, (start, jnp.zeros(len(middle), bool), 0))[0]


def solved(
    model: Model, point: Point, low: Float[Array, "variables"], high: Float[Array, "variables"]
) -> Bool[Array, ""]:
    """Whether a point is an optimum to its last digits."""
    free = high > low
    complementarity = point.multipliers @ point.slack + jnp.sum(
        jnp.where(free, point.lower * (point.y - low) + point.upper * (high - point.y), 0.0)
    )
    dual = model.gradient + model.jacobian.T @ point.multipliers - point.lower + point.upper
    sizes = (
        complementarity / (len(point.slack) + 2 * jnp.sum(free)),
        jnp.max(jnp.abs(model.limits + point.slack)),
        jnp.max(jnp.abs(jnp.where(free, dual, 0.0))),
    )
    return jnp.all(jnp.stack(sizes) <= jnp.array(CONVERGED))


def proves_infeasible(
    model: Model, point: Point, low: Float[Array, "variables"], high: Float[Array, "variables"]
) -> Bool[Array | np.ndarray, ""]:
    """Whether the multipliers prove that no design exists: λ·g > 0 everywhere in the box, by the
    bound of ``certificate``."""
    slopes = point.multipliers @ model.jacobian
    terms = jnp.minimum(slopes * (low - point.y), slopes * (high - point.y))
    size = point.multipliers @ jnp.abs(model.limits) + jnp.sum(jnp.abs(slopes) * (high - low))
    return point.multipliers @ model.limits + jnp.sum(terms) > SURE * size


def decided(
    model: Model,
    point: Point,
    low: Float[Array, "variables"],
    high: Float[Array, "variables"],
    enough: Real,
) -> Bool[Array, ""]:
    """Whether a point shows that the optimum is above ``enough``, by the bound of ``certificate``,
    or clearly below it."""
    slopes = model.gradient + point.multipliers @ model.jacobian
    terms = jnp.minimum(slopes * (low - point.y), slopes * (high - point.y))
    bound = model.value + point.multipliers @ model.limits + jnp.sum(terms)
    below = (jnp.max(model.limits) <= 0.0) & (
        model.value - bound < SETTLED_GAP * (enough - model.value)
    )
    return jnp.isfinite(enough) & ((bound > enough) | below)


def newton_step(
    model: Model, point: Point, low: Float[Array, "variables"], high: Float[Array, "variables"]
) -> Point:
    """One damped Newton step on the perturbed optimality conditions; a step that is not finite is
    not taken.

    A variable whose bounds are equal stays where it is.
    """
    y, slack, multipliers, lower, upper = point
    free = high > low
    below, above = jnp.where(free, y - low, 1.0), jnp.where(free, high - y, 1.0)
    complementarity = multipliers @ slack + jnp.sum(
        jnp.where(free, lower * below + upper * above, 0.0)
    )
    barrier = jnp.maximum(
        CENTRING * complementarity / (len(slack) + 2 * jnp.sum(free)), FINAL_BARRIER
    )
    dual = model.gradient + model.jacobian.T @ multipliers - lower + upper
    primal = model.limits + slack
    jacobian = jnp.where(free, model.jacobian, 0.0)
    ratio = multipliers / slack
    matrix = (
        jnp.where(free[:, None] & free[None, :], model.hessian, 0.0)
        + (jacobian.T * ratio[None]) @ jacobian
    )
    matrix = matrix + jnp.diag(jnp.where(free, lower / below + upper / above + 1e-12, 1.0))
    centred = multipliers - barrier / slack
    right = (
        dual
        + (lower - barrier / below)
        - (upper - barrier / above)
        + jacobian.T @ (ratio * primal - centred)
    )
    right = jnp.where(free, right, 0.0)
    scale = 1.0 / jnp.sqrt(jnp.diagonal(matrix))
    dy = -scale * solve_positive_definite(matrix * scale[:, None] * scale[None, :], scale * right)
    d_slack = -primal - jacobian @ dy
    d_multipliers = -centred - ratio * d_slack
    d_lower = jnp.where(free, barrier / below - lower - lower / below * dy, 0.0)
    d_upper = jnp.where(free, barrier / above - upper + upper / above * dy, 0.0)
    primal_step = jnp.minimum(
        longest(jnp.concatenate([slack, below, above]), jnp.concatenate([d_slack, dy, -dy])),
        LONGEST_STEP / jnp.maximum(jnp.max(jnp.abs(dy)), LONGEST_STEP),
    )
    dual_step = longest(
        jnp.concatenate([multipliers, lower, upper]),
        jnp.concatenate([d_multipliers, d_lower, d_upper]),
    )
    moved = Point(
        y + primal_step * dy,
        slack + primal_step * d_slack,
        multipliers + dual_step * d_multipliers,
        lower + dual_step * d_lower,
        upper + dual_step * d_upper,
    )
    finite = jnp.all(jnp.isfinite(dy)) & jnp.all(jnp.isfinite(d_multipliers))
    return jax.tree.map(lambda new, old: jnp.where(finite, new, old), moved, point)


def solve_positive_definite(
    matrix: Float[Array, "n n"], right: Float[Array, "n"]
) -> Float[Array, "n"]:
    """x with matrix @ x = right, by Gauss-Jordan elimination; a positive definite matrix needs no
    pivots.

    Not by LAPACK: jaxlib's batched calls wait on the thread pool that they run on, so two solvers
    at a time never end (jaxlib 0.10.2, ``ParallelBatchMap``; on a machine of one core, one would
    do).
    """
    columns = jnp.concatenate([matrix, right[:, None]], axis=1)
    rows = jnp.arange(len(right))

    def eliminate(k: Array, columns: Float[Array, "n n+1"]) -> Float[Array, "n n+1"]:
        row = columns[k] / columns[k, k]
        return columns - (columns[:, k] - (rows == k))[:, None] * row[None]

    return jax.lax.fori_loop(0, len(right), eliminate, columns)[:, -1]


def longest(values: Float[Array, "n"], directions: Float[Array, "n"]) -> Float[Array, ""]:
    """Longest step, at most 1, that keeps positive values positive by a fraction of the way to
    zero."""
    shrinking = directions < 0
    safe = jnp.where(shrinking, directions, -1.0)
    return jnp.minimum(
        1.0, jnp.min(jnp.where(shrinking, -FRACTION_TO_BOUNDARY * values / safe, 1.0))
    )
