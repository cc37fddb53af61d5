"""Minima and maxima whose derivative at a tie is that of one side, stated here and nowhere else.

``jnp.minimum`` and ``jnp.maximum`` split a tie's derivative into halves, which is the slope on
neither side; and people evaluate at ties: one sequence, one chip, as many chips as KV heads, 8-bit
weights with 8-bit activations. The model's rules are

- **A variable counts from above**: raised alone, which at the lower end of its range (batch,
  degrees of parallelism, draft length, cached share) is the only legal side.
- **A group of chips counts from below** where it has just as many chips as can be used, or as its
  domain joins (of 8 chips on 8 KV heads, the elasticity is that of taking one away): a step of the
  network may follow above. Where a plan needs every chip there is (tensor degree 1), it counts from
  above, the only legal side. So more pipeline stages, which make smaller groups, count from above
  too, up to the last.
- **Arithmetic counts before memory** where an operator takes as long for one as for the other: the
  side of a larger batch.
- A **step** has no derivative, only its branches have: a second chip, or a second group of experts,
  brings collectives and their latency at once. The derivative is that of the branch which holds the
  point: of one chip, without collectives.

At a tie ``slopes`` weigh the derivatives of the two arguments. (1, 0), the default, takes the
first, which is right for arguments that depend on one variable too. Only where they surely do not,
both may count from above: (0, 0) in a minimum, (1, 1) in a maximum.
"""

import jax
import jax.numpy as jnp

from codesign.numerics.fields import Real, RealArray, Truth

Slopes = tuple[Real, Real]

FIRST: Slopes = (1.0, 0.0)
"""At a tie the first argument counts."""

NEITHER: Slopes = (0.0, 0.0)
"""A minimum of independent variables, each raised alone."""


def lesser(first: Real, second: Real, slopes: Slopes = FIRST) -> RealArray:
    """min(first, second), its derivative at a tie weighed by ``slopes``; NaN where either is.

    >>> slope = lambda f: float(jax.grad(f)(1.0))
    >>> slope(lambda x: lesser(x, 1.0)), slope(lambda x: lesser(1.0, x))
    (1.0, 0.0)
    """
    return _choose(jnp.less(second, first), first, second, slopes)


def greater(first: Real, second: Real, slopes: Slopes = FIRST) -> RealArray:
    """max(first, second), its derivative at a tie weighed by ``slopes``; NaN where either is."""
    return _choose(jnp.greater(second, first), first, second, slopes)


def at_least(value: Real, low: Real) -> RealArray:
    """max(value, low); at a tie the derivative is that of a rising value.

    >>> float(jax.grad(lambda x: at_least(x, 1.0))(1.0))
    1.0
    """
    return greater(value, low)


def at_most(value: Real, high: Real) -> RealArray:
    """min(value, high); at a tie the derivative is that of a rising value: none.

    >>> float(jax.grad(lambda x: at_most(x, 1.0))(1.0))
    0.0
    """
    return lesser(high, value)


def _choose(second_wins: Truth, first: Real, second: Real, slopes: Slopes) -> RealArray:
    if slopes is not FIRST:
        tied = (
            jax.lax.stop_gradient(first) + slopes[0] * _change(first) + slopes[1] * _change(second)
        )
        first = jnp.where(jnp.equal(first, second), tied, first)
    if not isinstance(second, float):
        second_wins = second_wins | jnp.isnan(second)
    return jnp.where(second_wins, second, first)


def _change(value: Real) -> Real:
    """Zero, with the derivative of ``value``."""
    return value - jax.lax.stop_gradient(value)
