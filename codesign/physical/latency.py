"""Least latency of a collective in a scale-up network: endpoints, switches and wire."""

import jax.numpy as jnp

from codesign.hardware.technology import Links
from codesign.numerics.curvature import Curvature, declares
from codesign.numerics.fields import Real
from codesign.numerics.ties import at_least, greater, lesser


@declares(Curvature.CONCAVE, domain=(100.0, 1e6))
def tiers(domain: Real, radix: Real) -> Real:
    """Tiers of switches that join a domain: max(1, ln domain / ln radix) [1].

    Real-valued, so that one more chip has a price and a gradient: between two whole numbers a
    network mixes chips that share a switch with chips that do not. 1 up to the radix; r² chips take
    two tiers (a non-blocking fat tree holds r²/2: the estimate is kind to large domains).

    Args:
        domain: chips joined, at least 1 [1].
        radix: chips that one tier joins, at least 2 [1].

    >>> import jax.numpy as jnp
    >>> [round(float(tiers(jnp.array(n), jnp.array(72.0))), 4) for n in (8.0, 72.0, 5184.0)]
    [1.0, 1.0, 2.0]
    """
    return greater(1.0, jnp.log(at_least(domain, 1.0)) / jnp.log(at_least(radix, 2.0)))


@declares(Curvature.CONCAVE, chips=(100.0, 1e5))
def sync_floor(chips: Real, scale_up_domain: Real, links: Links) -> Real:
    """Latency of a minimal collective that no money removes [s].

    endpoints + (2·tiers − 1)·(switch + wire): up and down the tree once, with data summed at the
    endpoints or in the switches. Depends on the number of chips alone, so it is a constant of each
    integer choice; affine in ln chips above the radix, where its logarithm is concave.

    Args:
        chips: in the machine, at least 1 [1].
        scale_up_domain: most chips that the scale-up network joins [1].
        links: their latencies and radix.
    """
    hops = 2.0 * tiers(lesser(chips, scale_up_domain), links.radix) - 1.0
    return links.endpoint_latency + hops * (links.switch_latency + links.wire_latency)
