"""A lower bound that every feasible design obeys, from any multipliers at any point.

For convex functions F, g of y in a finite box [l, u], any weights w ≥ 0, multipliers λ ≥ 0 and any point y₀ with (sub)gradient p
of L = w·F + λ·g there: every feasible y has

    w·F(y) ≥ L(y) ≥ L(y₀) + p·(y − y₀) ≥ L(y₀) + Σ_k min(p_k(l_k − y₀_k), p_k(u_k − y₀_k)).

Neither y₀ nor λ need be optimal; only better ones give a better bound. The bound holds for real-valued designs of this plan, this number of
chips, this batch, in this box, under this technology.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from codesign.search.goals import Goals
from codesign.search.interior_point import Point, model_at, objective_weights
from codesign.search.program import OUTCOMES, TIME, Program, Shape, functions

ROUNDING = 64.0
"""Allowance for rounding, in units of the machine epsilon times the size of the sum."""


def lower_bound(
    shape: Shape, program: Program, goals: Goals, weights: Float[Array, "goals"], point: Point
) -> Float[Array, ""]:
    """Proved lower bound on the weighted sum of the goals' logarithms over all feasible designs of the program [1].

    −∞ where anything is not finite. The constants of the goals are included.
    """
    multipliers = jnp.maximum(point.multipliers, 0.0)
    y = jnp.clip(point.y, program.low, program.high)
    model = model_at(shape, program, goals, weights, point._replace(y=y, multipliers=multipliers))
    gradient = model.gradient + multipliers @ model.jacobian
    terms = jnp.minimum(gradient * (program.low - y), gradient * (program.high - y))
    value = weighted_goals(shape, program, goals, weights, y)
    penalty = multipliers * model.limits
    size = jnp.abs(value) + jnp.sum(jnp.abs(penalty)) + jnp.sum(jnp.abs(gradient) * (program.high - program.low))
    bound = value + jnp.sum(penalty) + jnp.sum(terms) - ROUNDING * jnp.finfo(y.dtype).eps * size
    return jnp.where(jnp.isfinite(bound), bound, -jnp.inf)


def weighted_goals(
    shape: Shape, program: Program, goals: Goals, weights: Float[Array, "goals"], y: Float[Array, "variables"]
) -> Float[Array, ""]:
    """The weighted sum of the goals' logarithms at a point of the program [1]."""
    values = functions(shape, program, y)
    outcome_weights, time_weight = objective_weights(goals, weights)
    constant = weights @ (goals.constants @ program.objective_constants)
    return outcome_weights @ values.value[: len(OUTCOMES)] + time_weight * y[TIME] + constant
