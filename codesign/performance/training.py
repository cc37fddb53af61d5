"""Fully sharded data-parallel training: what memory, network and arithmetic leave of the peak.

The standard bound, in our own notation; arXiv 2504.03655 states that network bandwidth and memory
relative to FLOP/s bound it (its own equations are not known to us). φ parameters in L layers of
width h on N chips, Q bytes an element, sequences of l tokens:

    states   = (2Q + 12) φ / N                       weights, gradients, Adam in 32 bit
    E        = (M − states − 2 Q φ / L) / A(γ)       tokens a chip, two layers gathered at a time
    A(γ)     = (1 + γ a / 2) L h Q                   activations a token, a share γ of them kept
    T_x      = Q φ / S · (N − 1)/N + L N ε           gather the weights, or scatter the gradients
    T_f      = (2 φ + 4 L h l) E / F,  T_b = (3 − γ) T_f
    step     = max(T_f, T_x) + max(T_b, 2 T_x),      MFU = 3 T_f / step
"""

import equinox as eqx
import jax.numpy as jnp

from codesign.numerics.fields import Quantity, quantity
from codesign.numerics.ties import at_least, greater

OPTIMIZER_BYTES = 12.0  # a parameter: master weight and two moments in 32 bit


class TrainingRun(eqx.Module):
    """A dense model and how it is trained."""

    parameters: Quantity = quantity("1", "parameters")
    layers: Quantity = quantity("1", "layers")
    hidden: Quantity = quantity("1", "width of the hidden state")
    sequence: Quantity = quantity("1", "tokens of a sequence", default=8192.0)
    kept: Quantity = quantity(
        "1", "share of activations kept; the rest is computed again", default=0.0
    )
    element: Quantity = quantity("B", "bytes of a weight, gradient or activation", default=2.0)
    activations: Quantity = quantity(
        "1", "activations of a layer over half its hidden state, 16 to 34 by kernels", default=34.0
    )


class Cluster(eqx.Module):
    """Equal chips and the network that joins them."""

    chips: Quantity = quantity("1", "chips")
    peak_flops: Quantity = quantity("FLOP/s", "dense matrix rate of a chip")
    memory_capacity: Quantity = quantity("B", "memory of a chip")
    network_bandwidth: Quantity = quantity("B/s", "network of a chip, one direction")
    hop_latency: Quantity = quantity("s", "latency a chip of a ring", default=0.0)


class TrainingStep(eqx.Module):
    """One step of sharded training."""

    states: Quantity = quantity("B", "weights, gradients and optimizer of a chip")
    tokens: Quantity = quantity("1", "tokens of a chip in a step, 0 where states do not fit")
    forward: Quantity = quantity("s", "arithmetic of the forward pass")
    transfer: Quantity = quantity("s", "one gather or scatter of all weights")
    time: Quantity = quantity("s", "time of a step")
    efficiency: Quantity = quantity("1", "model FLOPs over the peak (MFU)")
    tokens_per_second: Quantity = quantity("token/s", "of all chips")


def sharded_step(run: TrainingRun, cluster: Cluster) -> TrainingStep:
    """Time one step with as many tokens a chip as its memory holds.

    Args:
        run: what is trained.
        cluster: what trains it.

    Returns:
        Times, tokens and efficiency; efficiency 0 where the states alone do not fit.

    >>> run = TrainingRun(parameters=8e9, layers=32, hidden=4096)
    >>> cluster = Cluster(chips=64, peak_flops=1e15, memory_capacity=80e9, network_bandwidth=50e9)
    >>> round(float(sharded_step(run, cluster).efficiency), 2)
    0.75
    """
    size, q = run.parameters, run.element
    states = (2.0 * q + OPTIMIZER_BYTES) * size / cluster.chips
    gathered = 2.0 * q * size / run.layers
    free = cluster.memory_capacity - states - gathered
    a_token = (1.0 + 0.5 * run.activations * run.kept) * run.layers * run.hidden * q
    fits = free > 0
    tokens = jnp.where(fits, at_least(free, 1.0), 1.0) / a_token
    others = (cluster.chips - 1.0) / cluster.chips
    transfer = q * size / cluster.network_bandwidth * others
    transfer = transfer + run.layers * cluster.chips * cluster.hop_latency
    work = 2.0 * size + 4.0 * run.layers * run.hidden * run.sequence
    forward = work * tokens / cluster.peak_flops
    backward = (3.0 - run.kept) * forward
    time = greater(forward, transfer) + greater(backward, 2.0 * transfer)
    return TrainingStep(
        states=states,
        tokens=jnp.where(fits, tokens, 0.0),
        forward=forward,
        transfer=transfer,
        time=time,
        efficiency=jnp.where(fits, 3.0 * forward / time, 0.0),
        tokens_per_second=jnp.where(fits, tokens * cluster.chips / time, 0.0),
    )
