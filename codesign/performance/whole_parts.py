"""Heads and experts are whole: what the busiest chip has more than an even share.

Of H heads over t ranks one rank has ⌈H/t⌉, so its work is ⌈H/t⌉·t/H times an even share. The same
holds for the cache of K KV heads (⌈K/t⌉), for E experts over G groups (⌈E/G⌉), and for n chips over
g attention groups, the smallest of which has ⌊n/g⌋. Columns of a matrix are many and cut anywhere.

The excess is exact at whole degrees. It is a step function of the nearest ones: between them, and
in every derivative, it stays what it is there, so that gradients tell what more chips bring at the
same divisibility. It is never below 1: without it (``Plan.whole_parts = 0``) all work is divided
evenly, which is a lower bound.
"""

import jax.numpy as jnp
from jax.lax import stop_gradient

from codesign.numerics.fields import Real

_NEARLY = 1e-5  # what rounding may add to a whole quotient


def nearest_whole(number: Real) -> Real:
    """The nearest whole number, at least 1; its derivative is none [1]."""
    return stop_gradient(jnp.maximum(jnp.round(number), 1.0))


def smallest_group(members: Real, groups: Real) -> Real:
    """Members of the smallest of some groups of nearly equal size, at least one [1].

    >>> float(smallest_group(31.0, 8.0))
    3.0
    """
    members = nearest_whole(members)
    return jnp.maximum(jnp.floor(members / nearest_whole(groups) + _NEARLY), 1.0)


def excess(parts: Real, even: Real, smallest: Real) -> Real:
    """Work of the busiest rank over an even share, ⌈H/s⌉·min(t, H)/H ≥ 1 [1].

    Args:
        parts: whole things to divide, H [1].
        even: ranks of the mean group, t [1].
        smallest: ranks of the smallest group, s ≤ t [1].

    >>> float(excess(64.0, 3.0, 3.0)), float(excess(8.0, 16.0, 16.0))
    (1.03125, 1.0)
    """
    parts = nearest_whole(parts)
    most = jnp.ceil(parts / jnp.minimum(smallest, parts) - _NEARLY)
    return stop_gradient(most * jnp.minimum(even, parts) / parts)
