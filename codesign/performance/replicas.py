"""Replicas of a model on one device: they share its bandwidth and its arithmetic, and each fills
the gaps that the others leave.

A replica's step has a part ``idle`` in which the device waits (launches, the host), and parts in
which one resource is busy. R replicas are R customers of a closed network of one delay and one
processor-sharing station a resource, whose throughput mean-value analysis gives exactly (Reiser,
Lavenberg, "Mean-Value Analysis of Closed Multichain Queuing Networks", J. ACM 27(2), 1980):

    W_r,k = D_k (1 + Q_r−1,k),  X_r = r / (Z + Σ_k W_r,k),  Q_r,k = X_r W_r,k

with Z the idle time, D_k the demands, X the throughput and Q the queues. Means are all it needs: in
delays and under processor sharing the distributions do not matter (BCMP theorem).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from codesign.numerics.fields import Real


class Sharing(NamedTuple):
    """What replicas on one device yield together."""

    steps_per_second: Real  # of all replicas together [1/s]
    step_time: Real  # of each replica [s]
    most: Real  # steps/s that no schedule exceeds [1/s]


def share_device(idle: Real, busy: Float[Array, "resources"], replicas: int) -> Sharing:
    """Share a device between equal replicas.

    Args:
        idle: time of a step of one replica alone in which the device waits, ≥ 0 [s].
        busy: time of that step in which each resource is busy, all > 0 together, shape (resources,)
            [s].
        replicas: how many, ≥ 1 [1].

    Returns:
        Steps of all replicas a second, the time of a step, and min(R / (Z + ΣD), 1 / max D), the
        asymptotic bound.

    Raises:
        ValueError: fewer than one replica.

    >>> import jax.numpy as jnp
    >>> one = share_device(jnp.asarray(0.5), jnp.asarray([0.5]), 1)
    >>> two = share_device(jnp.asarray(0.5), jnp.asarray([0.5]), 2)
    >>> float(one.steps_per_second), float(two.steps_per_second)
    (1.0, 1.6)
    """
    if replicas < 1:
        raise ValueError(f"replicas = {replicas!r}: expected at least 1")

    def admit(
        queue: Float[Array, "resources"], customers: Float[Array, ""]
    ) -> tuple[Float[Array, "resources"], Float[Array, ""]]:
        waits = busy * (1.0 + queue)
        rate = customers / (idle + jnp.sum(waits))
        return rate * waits, rate

    counts = jnp.arange(1, replicas + 1, dtype=busy.dtype)
    _, rates = jax.lax.scan(admit, jnp.zeros_like(busy), counts)
    alone = replicas / (idle + jnp.sum(busy))
    return Sharing(rates[-1], replicas / rates[-1], jnp.minimum(alone, 1.0 / jnp.max(busy)))
