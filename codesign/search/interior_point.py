"""A log-space primal-dual interior point that finishes convex design problems and supplies their multipliers.

Fixed number of steps in ``lax.scan``, so that thousands of problems run in one ``vmap``. Mehrotra-style centring with
fraction-to-boundary steps (Nocedal & Wright, Numerical Optimization, 2006, ch. 19); derivatives in closed form.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from codesign.search.goals import Goals
from codesign.search.program import OUTCOMES, TIME, Program, Shape, functions, weighted_hessian

FRACTION_TO_BOUNDARY = 0.99
LONGEST_STEP = 2.0  # in log units: a factor e² in any quantity
CENTRING = 0.15
FINAL_BARRIER = 1e-11


class Point(NamedTuple):
    """A primal-dual point: variables, slacks of the limits, multipliers of limits and of the box."""

    y: Any  # (variables,)
    slack: Any  # (limits,)
    multipliers: Any  # (limits,)
    lower: Any  # (variables,)
    upper: Any  # (variables,)


class Model(NamedTuple):
    """Weighted goals and their gradient, limits and the Hessian of the Lagrangian at a point."""

    value: Float[Array, ""]
    gradient: Float[Array, "variables"]
    limits: Float[Array, "limits"]
    jacobian: Float[Array, "limits variables"]
    hessian: Float[Array, "variables variables"]


def objective_weights(goals: Goals, weights: Float[Array, "goals"]) -> tuple[Float[Array, "outcomes"], Float[Array, ""]]:
    """Weights on the outcomes' logarithms and on ln T of a weighting of the goals."""
    return weights @ goals.outcomes, weights @ goals.time


def model_at(shape: Shape, program: Program, goals: Goals, weights: Float[Array, "goals"], point: Point) -> Model:
    """Everything a Newton step needs, for the weighted sum of the goals."""
    values = functions(shape, program, point.y)
    outcome_weights, time_weight = objective_weights(goals, weights)
    count = len(OUTCOMES)
    gradient = (outcome_weights @ values.jacobian[:count]).at[TIME].add(time_weight)
    posynomials = len(values.value) - count
    curved = jnp.concatenate([outcome_weights, point.multipliers[:posynomials]])
    plain = program.monomials + shape.monomials @ point.y
    constant = weights @ (goals.constants @ program.objective_constants)
    return Model(
        value=outcome_weights @ values.value[:count] + time_weight * point.y[TIME] + constant,
        gradient=gradient,
        limits=jnp.concatenate([values.value[count:], plain]),
        jacobian=jnp.concatenate([values.jacobian[count:], jnp.asarray(shape.monomials)]),
        hessian=weighted_hessian(values, shape, curved),
    )


def solve(shape: Shape, programs: Program, goals: Goals, weights: Float[Array, "problems goals"], steps: int = 32) -> Point:
    """Minimise the weighted sums of the goals' logarithms over many programs at once.

    Starts at the middle of each box, whatever the limits say there; ends, where a problem is feasible, at a point strictly
    inside all limits with a duality gap of about limits × 1e-11.

    Args:
        shape: exponents.
        programs: the problems, leaves with a leading axis.
        goals: objectives in the programs' terms.
        weights: weighting of the goals of each problem, ≥ 0, rows of sum 1.
        steps: Newton steps.
    """
    low, high = programs.low, programs.high
    middle = 0.5 * (low + high)
    count = len(shape.monomials) + len(shape.powers) - len(OUTCOMES)
    limits, ones = jnp.ones((len(middle), count), middle.dtype), jnp.ones_like(middle)
    start = Point(middle, limits, 0.1 * limits, 0.1 * ones, 0.1 * ones)

    def step(program: Program, weighting: Float[Array, "goals"], point: Point) -> Point:
        return newton_step(model_at(shape, program, goals, weighting, point), point, program.low, program.high)

    def body(points: Point, _: None) -> tuple[Point, None]:
        return jax.vmap(step)(programs, weights, points), None

    return jax.lax.scan(body, start, None, length=steps)[0]


def newton_step(model: Model, point: Point, low: Float[Array, "variables"], high: Float[Array, "variables"]) -> Point:
    """One damped Newton step on the perturbed optimality conditions; a step that is not finite is not taken."""
    y, slack, multipliers, lower, upper = point
    below, above = y - low, high - y
    complementarity = multipliers @ slack + lower @ below + upper @ above
    barrier = jnp.maximum(CENTRING * complementarity / (len(slack) + 2 * len(y)), FINAL_BARRIER)
    dual = model.gradient + model.jacobian.T @ multipliers - lower + upper
    primal = model.limits + slack
    ratio = multipliers / slack
    matrix = model.hessian + (model.jacobian.T * ratio) @ model.jacobian
    matrix = matrix + jnp.diag(lower / below + upper / above + 1e-12)
    centred = multipliers - barrier / slack
    right = dual + (lower - barrier / below) - (upper - barrier / above) + model.jacobian.T @ (ratio * primal - centred)
    scale = 1.0 / jnp.sqrt(jnp.diagonal(matrix))
    factor = jax.scipy.linalg.cho_factor(matrix * scale[:, None] * scale[None, :])
    dy = -scale * jax.scipy.linalg.cho_solve(factor, scale * right)
    d_slack = -primal - model.jacobian @ dy
    d_multipliers = -centred - ratio * d_slack
    d_lower = barrier / below - lower - lower / below * dy
    d_upper = barrier / above - upper + upper / above * dy
    primal_step = jnp.minimum(
        longest(jnp.concatenate([slack, below, above]), jnp.concatenate([d_slack, dy, -dy])),
        LONGEST_STEP / jnp.maximum(jnp.max(jnp.abs(dy)), LONGEST_STEP),
    )
    dual_step = longest(jnp.concatenate([multipliers, lower, upper]), jnp.concatenate([d_multipliers, d_lower, d_upper]))
    moved = Point(
        y + primal_step * dy,
        slack + primal_step * d_slack,
        multipliers + dual_step * d_multipliers,
        lower + dual_step * d_lower,
        upper + dual_step * d_upper,
    )
    finite = jnp.all(jnp.isfinite(dy)) & jnp.all(jnp.isfinite(d_multipliers))
    return jax.tree.map(lambda new, old: jnp.where(finite, new, old), moved, point)


def longest(values: Float[Array, "n"], directions: Float[Array, "n"]) -> Float[Array, ""]:
    """Longest step, at most 1, that keeps positive values positive by a fraction of the way to zero."""
    shrinking = directions < 0
    safe = jnp.where(shrinking, directions, -1.0)
    return jnp.minimum(1.0, jnp.min(jnp.where(shrinking, -FRACTION_TO_BOUNDARY * values / safe, 1.0)))
