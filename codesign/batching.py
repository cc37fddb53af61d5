"""How large a batch should be: the largest that keeps a latency promise and still pays.

arXiv 2503.08311: of the batches B with mean inter-token latency ℓ(B) and throughput T(B), take

    B_opt = max { B : ℓ(B) ≤ promise, T(B) / (B · T(1)) > floor }.

The efficiency on the left is 1 where a batch is free and falls to 0 on a plateau. What memory the
batch leaves is for replicas of the model (``performance.replicas``).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from codesign.numerics.fields import Real, RealArray, Truths


class Advice(NamedTuple):
    """The batch that was chosen."""

    index: int  # into what was offered
    batch: float  # [1]
    stopped_by: str  # what the next larger batch breaks: "promise", "floor", "memory" or ""


def advise_batch(
    batches: Sequence[float],
    throughput: Sequence[float] | RealArray,
    latency: Sequence[float] | RealArray,
    promise: float,
    floor: float = 0.1,
    allowed: Sequence[bool | np.bool_] | Truths | None = None,
) -> Advice | None:
    """Choose the largest batch that keeps the promise and is efficient.

    Args:
        batches: offered, rising; the first is the one whose throughput efficiency is counted from
            [1].
        throughput: of each, in any unit.
        latency: mean time between tokens [s].
        promise: longest allowed [s].
        floor: least efficiency T(B)·B₁ / (B·T(B₁)) [1].
        allowed: whether each fits in memory, all if left out.

    Returns:
        The advice, or None where no batch will do.

    Raises:
        ValueError: batches that do not rise.

    >>> advise_batch([1, 2, 4, 8], [10, 19, 30, 33], [1.0, 1.1, 1.3, 2.4], promise=2.0)
    Advice(index=2, batch=4, stopped_by='promise')
    """
    sizes, rates, waits = (np.asarray(each, float) for each in (batches, throughput, latency))
    if sizes.size == 0 or np.any(np.diff(sizes) <= 0):
        raise ValueError(f"batches = {list(batches)!r}: expected at least one, rising")
    fits = np.ones(sizes.shape, bool) if allowed is None else np.asarray(allowed, bool)
    efficient = rates * sizes[0] / (sizes * rates[0]) > floor
    good = fits & efficient & (waits <= promise)
    if not good.any():
        return None
    index = int(np.flatnonzero(good)[-1])
    if index + 1 == sizes.size:
        return Advice(index, batches[index], "")
    after = index + 1
    stopped = "memory" if not fits[after] else "promise" if waits[after] > promise else "floor"
    return Advice(index, batches[index], stopped)


def slopes_of_batch(
    latency: Callable[..., Real], batch: Real, quantities: Real
) -> tuple[Real, Real]:
    """Differentiate the batch at which a promise is just kept, by the implicit function theorem.

    Where ℓ(B, θ) = p holds, in logarithms,

        ∂ln B/∂ln p = 1 / (∂ln ℓ/∂ln B),  ∂ln B/∂ln θ = −(∂ln ℓ/∂ln θ) / (∂ln ℓ/∂ln B).

    Args:
        latency: time between tokens of a batch and of ``quantities`` [s].
        batch: at which the promise binds, real-valued [1].
        quantities: positive, any shape.

    Returns:
        Elasticity of the batch by the promise, and by each quantity [1].

    >>> by_promise, by_rate = slopes_of_batch(lambda b, r: (1.0 + b) / r, 3.0, jnp.asarray(2.0))
    >>> round(float(by_promise), 4), round(float(by_rate), 4)
    (1.3333, 1.3333)
    """

    def log_latency(log_batch: Real, logs: Real) -> Real:
        return jnp.log(latency(jnp.exp(log_batch), jnp.exp(logs)))

    at = jnp.log(jnp.asarray(batch, jnp.result_type(float))), jnp.log(quantities)
    by_batch, by_quantity = jax.grad(log_latency, argnums=(0, 1))(*at)
    return 1.0 / by_batch, -by_quantity / by_batch
