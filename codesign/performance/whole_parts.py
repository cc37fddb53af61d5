"""Heads and experts are whole: what the busiest chip has more than an even share.

Of E experts over G groups one group has ⌈E/G⌉, of K KV heads over t ranks one rank has ⌈K/t⌉, and
of n chips over g attention groups the smallest has ⌊n/g⌋. Columns of a matrix are many and cut
anywhere.

Query heads go with the KV head that they share, H/K of them with each, so ⌈H/t⌉ of them on every
rank may take more of the cache than ⌈K/t⌉: 32 heads over 6 ranks in equal parts make a rank read
two of 4 KV heads. The busiest rank reads as little of the cache as any layout allows, c = ⌈K/t⌉ KV
heads, and has as few query heads as that allows: every rank has c − 1 KV heads of its own, and the
m = K − (c − 1)t that remain are each shared by ⌊t/m⌋ ranks or more,

    (c − 1)·H/K + ⌈H/K / ⌊t/m⌋⌉ query heads.

No layout has fewer: ranks joined by KV heads that they share, R of them, hold at most (c − 1)R + 1
KV heads, so at least m such bundles hold that many, and one of those has at most ⌊t/m⌋ ranks.
Where t divides H, and divides K or is a multiple of it, this is H/t, as engines have it; they
refuse every other degree. Where the cache is little beside the weights (prefill, short contexts),
⌈H/t⌉ heads on every rank with one KV head more may be faster: a layout that is left out here.

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


def excess(parts: Real, even: Real, smallest: Real, bundles: Real = 1.0) -> Real:
    """Work of the busiest rank over an even share, at least 1 [1].

    Args:
        parts: whole things to divide, H [1].
        even: ranks of the mean group, t [1].
        smallest: ranks of the smallest group, s ≤ t [1].
        bundles: KV heads that the parts share, K [1].

    >>> float(excess(64.0, 3.0, 3.0)), float(excess(8.0, 16.0, 16.0))
    (1.03125, 1.0)
    """
    parts = nearest_whole(parts)
    most = busiest_rank(parts, smallest, bundles)
    return stop_gradient(most * jnp.minimum(even, parts) / parts)


def busiest_rank(parts: Real, ranks: Real, bundles: Real = 1.0) -> Real:
    """Whole parts of the busiest rank, which needs no more bundles than it must [1].

    >>> [float(busiest_rank(32.0, ranks, 4.0)) for ranks in (3.0, 4.0, 6.0, 8.0)]
    [11.0, 8.0, 8.0, 4.0]
    """
    ranks, bundles = jnp.minimum(ranks, parts), jnp.minimum(nearest_whole(bundles), parts)
    own, sharers = _dealt(bundles, ranks)
    size = parts / bundles
    most = jnp.ceil(own * size - _NEARLY) + jnp.ceil(size / sharers - _NEARLY)
    return jnp.minimum(most, parts)


def copies(parts: Real, ranks: Real, bundles: Real) -> Real:
    """Bundles that all ranks keep together, over those there are, where there are fewer ranks [1].

    Beyond as many ranks as bundles the copies are counted by who divides over fewer ranks.

    >>> float(copies(64.0, 7.0, 8.0)), float(copies(64.0, 3.0, 8.0)), float(copies(8.0, 7.0, 8.0))
    (1.75, 1.0, 1.0)
    """
    parts, bundles = nearest_whole(parts), nearest_whole(bundles)
    ranks = jnp.minimum(ranks, bundles)
    own, sharers = _dealt(bundles, ranks)
    sharers = jnp.clip(sharers, 1.0, jnp.maximum(parts / bundles, 1.0))
    return stop_gradient((own * ranks + (bundles - own * ranks) * sharers) / bundles)


def _dealt(bundles: Real, ranks: Real) -> tuple[Real, Real]:
    """Bundles that every rank has alone, and the fewest ranks that share one of those left."""
    own = jnp.ceil(bundles / ranks - _NEARLY) - 1.0
    return own, jnp.floor(ranks / (bundles - own * ranks) + _NEARLY)
