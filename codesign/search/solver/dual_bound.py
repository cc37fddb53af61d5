"""A lower bound that every feasible design obeys, from any multipliers at any point.

For convex functions F, g of y in a finite box [l, u], any weights w ≥ 0, multipliers λ ≥ 0 and any
point y₀ with (sub)gradient p of L = w·F + λ·g there: every feasible y has

    w·F(y) ≥ L(y) ≥ L(y₀) + p·(y − y₀) ≥ L(y₀) + Σ_k min(p_k(l_k − y₀_k), p_k(u_k − y₀_k)).

Neither y₀ nor λ need be optimal; only better ones give a better bound. The bound holds for
real-valued designs of this choice, in this box, under this technology, with the integers of the
program (or within its box of integers).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from codesign.search.program.geometric_program import Program
from codesign.search.solver.interior_point import Model, Point

ROUNDING = 64.0
"""Allowance for rounding, in units of the machine epsilon times the size of the sum."""

SCALES = (1.0, 1e3, 1e6, 1e9, 1e12)
"""Factors on the multipliers: any is valid."""


def lower_bound(program: Program, point: Point, model: Model) -> Float[Array, ""]:
    """Proved lower bound on the weighted sum of the goals' logarithms over all feasible designs of
    the program [1].

    The best that the multipliers give at any of ``SCALES`` times their size. Where no design is
    feasible they grow without end, and the interior point stops on the way. −∞ where anything is
    not finite, or where the point is outside the box or a multiplier negative.

    Args:
        program: the problem.
        point: any point of the box with multipliers ≥ 0.
        model: the problem at that point (``interior_point.model_at``).
    """
    slopes = point.multipliers @ model.jacobian
    penalty = point.multipliers * model.limits

    def bound(scale: Float[Array, ""]) -> Float[Array, ""]:
        gradient = model.gradient + scale * slopes
        terms = jnp.minimum(gradient * (program.low - point.y), gradient * (program.high - point.y))
        spread = jnp.abs(gradient) * (program.high - program.low)
        size = jnp.abs(model.value) + scale * jnp.sum(jnp.abs(penalty)) + jnp.sum(spread)
        return (
            model.value
            + scale * jnp.sum(penalty)
            + jnp.sum(terms)
            - ROUNDING * jnp.finfo(size.dtype).eps * size
        )

    bounds = jax.vmap(bound)(jnp.array(SCALES))
    valid = (
        jnp.all(point.multipliers >= 0.0)
        & jnp.all(point.y >= program.low)
        & jnp.all(point.y <= program.high)
    )
    return jnp.max(jnp.where(jnp.isfinite(bounds) & valid, bounds, -jnp.inf))
