"""Collectives by latency and volume (the α–β model), for a real-valued number of chips.

An algorithm is six numbers, so that plans that differ in it share one program. Its time over n
chips for a message of M bytes is ``steps(n)·α + volume(n)·M/β`` with

    steps(n)  = s₀ + s₁·(n − 1) + s₂·log₂ n
    volume(n) = v₀ + v₁·(n − 1) + v₂·(n − 1)/n

Forms: Thakur, Rabenseifner, Gropp, "Optimization of Collective Communication Operations in MPICH"
(IJHPCA 2005), §4. α is one exposed minimal collective: what a small one-shot all-reduce takes.

An algorithm of another form is a class of the user's own (``AllReduce``).
"""

import abc
from typing import TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from codesign.hardware.design import Design
from codesign.numerics.fields import Real, RealArray, Truth, real
from codesign.numerics.ties import at_least, greater, lesser

ALGORITHMS: dict[str, np.ndarray] = {
    #                        s0   s1   s2   v0   v1   v2
    "one-shot": np.array([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]),  # everyone sends everything to everyone
    "two-shot": np.array(
        [2.0, 0.0, 0.0, 0.0, 0.0, 2.0]
    ),  # direct reduce-scatter, direct all-gather
    "ring": np.array([0.0, 2.0, 0.0, 0.0, 0.0, 2.0]),
    "tree": np.array([0.0, 0.0, 2.0, 2.0, 0.0, 0.0]),  # pipelined double binary tree
    "in-network": np.array(
        [1.0, 0.0, 0.0, 1.0, 0.0, 0.0]
    ),  # the switch adds (NVLink SHARP): each sends and receives once
}
"""All-reduce algorithms by name: (s₀, s₁, s₂, v₀, v₁, v₂)."""

PerCollective: TypeAlias = Float[Array | np.ndarray, "collectives"]
"""One number for each collective of a step."""


class AllReduce(eqx.Module):
    """Abstract: an all-reduce whose steps and volume are functions of the user's own.

        time = steps(n) · α + volume(n) · message / β

    Both are functions of a real-valued number of chips n > 1, with a gradient; nothing is sent at
    n = 1. Pass one to ``Plan(all_reduce=…)``. Nothing is proved over chips for it: designs of a
    search come out ``GLOBAL AT ITS INTEGERS`` at most.

    >>> import codesign, jax.numpy as jnp
    >>> class Torus(codesign.AllReduce):  # two rings, one after the other
    ...     def steps_and_volume(self, n):
    ...         return 4.0 * (jnp.sqrt(n) - 1.0), 2.0 * (n - 1.0) / n
    >>> [float(part) for part in Torus().steps_and_volume(jnp.asarray(16.0))]
    [12.0, 1.875]
    """

    @abc.abstractmethod
    def steps_and_volume(self, n: Real) -> tuple[Real, Real]:
        """Latency steps, and bytes that a chip sends per byte of message.

        Args:
            n: chips in the group, more than one [1].

        Returns:
            Steps [1] and volume [1].
        """


class Cost(eqx.Module):
    """Seconds lost to latency and to bytes on the wire; ``wire`` counts the bytes one chip sends.

    ``syncs`` and ``inner`` say how the seconds depend on the design: latency is ``syncs`` × sync
    latency and transfer is ``inner`` / link bandwidth, plus what the outer tier takes.
    """

    latency: RealArray  # [s]
    transfer: RealArray  # [s]
    wire: RealArray  # [B]
    syncs: RealArray  # [1]
    inner: RealArray  # [B], over the attained fraction of the link

    def __add__(self, other: "Cost") -> "Cost":
        return jax.tree.map(jnp.add, self, other)

    def times(self, count: Real) -> "Cost":
        """``count`` such collectives one after the other."""
        return jax.tree.map(lambda leaf: leaf * count, self)


def nothing(like: Real) -> Cost:
    """The cost of no collective."""
    zero = jnp.zeros_like(like)
    return Cost(zero, zero, zero, zero, zero)


class Network(eqx.Module):
    """The two tiers as one chip sees them; ``efficiency`` is the attained fraction of the link
    bandwidth."""

    inner_latency: Real  # [s]
    inner_bandwidth: Real  # [B/s]
    domain: Real  # [1]
    outer_latency: Real  # [s]
    outer_bandwidth: Real  # [B/s]
    efficiency: Real  # [1]


def network(design: Design, efficiency: Real = 1.0) -> Network:
    """The network of a design, its bandwidths times the attained fraction."""
    return Network(
        inner_latency=design.sync_latency,
        inner_bandwidth=design.link_bandwidth * efficiency,
        domain=design.scale_up_domain,
        outer_latency=design.scale_out_latency,
        outer_bandwidth=design.scale_out_bandwidth * efficiency,
        efficiency=real(efficiency),
    )


def steps_and_volume(
    algorithm: Float[Array | np.ndarray, "... 6"] | AllReduce, n: Real
) -> tuple[RealArray, RealArray]:
    """Latency steps and bytes sent per byte of message, over n ≥ 1 chips [1]. Both are 0 at n =
    1."""
    if isinstance(algorithm, AllReduce):
        own = algorithm.steps_and_volume(jnp.where(several(n), n, 2.0))
        steps, volume = (jnp.where(several(n), part, 0.0)[None] for part in own)
        return steps, volume
    beyond = jnp.where(several(n), n - 1.0, 0.0)
    steps = (
        algorithm[..., 0]
        + algorithm[..., 1] * beyond
        + algorithm[..., 2] * jnp.log2(at_least(n, 1.0))
    )
    volume = (
        algorithm[..., 3]
        + algorithm[..., 4] * beyond
        + algorithm[..., 5] * beyond / at_least(n, 1.0)
    )
    return jnp.where(several(n), steps, 0.0), jnp.where(several(n), volume, 0.0)


def several(n: Real) -> Truth:
    """Whether a group has more than one chip; a quotient of degrees may miss 1 by rounding
    [bool]."""
    return n > 1.0 + 1e-6


def all_reduce(
    network: Network,
    algorithms: Float[Array | np.ndarray, "algorithms 6"] | AllReduce,
    n: Real,
    message: Real,
) -> Cost:
    """Sum a message over n chips and give the sum to all of them.

    Beyond a domain it is hierarchical: reduce and gather inside (the chosen algorithm), between
    domains a ring over 1/domain of the message per chip. Where several algorithms are offered, the
    fastest is taken.

    Args:
        network: both tiers.
        algorithms: candidates, one a row of six numbers, or one of the user's own.
        n: chips in the group [1].
        message: bytes of the vector [B].
    """
    inner = lesser(n, network.domain)
    leaves = n > network.domain
    outer = jnp.where(leaves, n / inner, 1.0)
    steps, volume = steps_and_volume(algorithms, inner)
    latency, transfer = steps * network.inner_latency, volume * message / network.inner_bandwidth
    best = jnp.argmin(latency + transfer) if latency.shape[0] > 1 else 0
    outer_wire = 2.0 * (outer - 1.0) / outer * message / inner
    return Cost(
        latency=latency[best] + jnp.where(leaves, 2.0, 0.0) * network.outer_latency,
        transfer=transfer[best] + outer_wire / network.outer_bandwidth,
        wire=volume[best] * message + outer_wire,
        syncs=steps[best],
        inner=volume[best] * message / network.efficiency,
    )


def all_to_all(network: Network, n: Real, message: Real) -> Cost:
    """Each of n chips sends an equal share of its ``message`` bytes to each of them, itself
    included.

    The share that leaves the domain goes over the outer tier, at the same time as the rest goes
    over the inner one.
    """
    inner = lesser(n, network.domain)
    inside = jnp.where(several(n), inner - 1.0, 0.0) / n * message
    outside = (n - inner) / n * message
    beyond = n > inner
    latency = jnp.where(
        beyond, greater(network.outer_latency, network.inner_latency), network.inner_latency
    )
    return Cost(
        latency=jnp.where(several(n), latency, 0.0),
        transfer=greater(inside / network.inner_bandwidth, outside / network.outer_bandwidth),
        wire=inside + outside,
        syncs=jnp.where(several(n) & ~beyond, 1.0, 0.0),
        inner=jnp.where(beyond, 0.0, inside / network.efficiency),
    )


def gather(network: Network, n: Real, message: Real) -> Cost:
    """Bring the n equal pieces of a message together on every chip (one direct step): (n − 1)/n of
    it arrives."""
    return all_to_all(network, n, message)


def point_to_point(network: Network, hops_leave_domain: Truth, message: Real) -> Cost:
    """Send a message to the next stage, over the outer tier where stages sit in different
    domains."""
    latency = jnp.where(hops_leave_domain, network.outer_latency, network.inner_latency)
    bandwidth = jnp.where(hops_leave_domain, network.outer_bandwidth, network.inner_bandwidth)
    inside = jnp.where(hops_leave_domain, 0.0, 1.0)
    return Cost(
        latency,
        message / bandwidth,
        jnp.asarray(message),
        syncs=inside,
        inner=inside * message / network.efficiency,
    )
