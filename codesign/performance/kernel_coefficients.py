"""Coefficients of the calibrated execution."""

import dataclasses

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from codesign.numerics.fields import Quantity, quantity


class Coefficients(eqx.Module):
    """What calibration learns, all positive. ``*_memory``, ``*_compute`` and ``link_*`` are losses:
    the rate is divided by 1 + loss."""

    product_floor: Quantity = quantity("s", "a weight product beyond its streaming")
    product_memory: Quantity = quantity("1", "loss of bandwidth in weight products")
    product_compute: Quantity = quantity("1", "loss of arithmetic in weight products")
    attention_floor: Quantity = quantity("s", "an attention kernel beyond its streaming")
    attention_memory: Quantity = quantity("1", "loss of bandwidth in reading the cache")
    attention_compute: Quantity = quantity("1", "loss of arithmetic in attention of a decode step")
    attention_reread: Quantity = quantity(
        "B/FLOP", "cache read again by query heads that share it, in a decode step"
    )
    prompt_floor: Quantity = quantity("s", "an attention kernel of a prefill beyond its work")
    prompt_compute: Quantity = quantity("1", "loss of arithmetic in attention of a prefill")
    latent_floor: Quantity = quantity("s", "a latent attention kernel beyond its streaming")
    latent_memory: Quantity = quantity("1", "loss of bandwidth in reading the latent cache")
    latent_compute: Quantity = quantity("1", "loss of arithmetic in absorbed latent attention")
    expert_floor: Quantity = quantity(
        "s", "the kernels of one layer's experts beyond their streaming"
    )
    expert_touched: Quantity = quantity("s", "each expert touched on a chip")
    expert_memory: Quantity = quantity("1", "loss of bandwidth in experts")
    expert_compute: Quantity = quantity("1", "loss of arithmetic in experts")
    layer_floor: Quantity = quantity("s", "norms, rotary embedding and cache writes of a layer")
    sync_base: Quantity = quantity(
        "1", "latency of a collective over the sync latency, before its steps"
    )
    sync_step: Quantity = quantity(
        "1", "latency of each step of a collective over the sync latency"
    )
    sync_peer: Quantity = quantity(
        "1", "latency that each further chip adds to a collective over the sync latency"
    )
    link_one_shot: Quantity = quantity("1", "loss of link bandwidth in one-shot all-reduce")
    link_two_shot: Quantity = quantity("1", "loss of link bandwidth in other all-reduce")
    exchange_sync: Quantity = quantity("1", "latency of an all-to-all over the sync latency")
    exchange_peer: Quantity = quantity(
        "1", "latency that each further chip adds to an all-to-all over the sync latency"
    )
    exchange_link: Quantity = quantity("1", "loss of link bandwidth in all-to-all")
    floor_scale: Quantity = quantity("1", "floors in the engine over those of kernels alone")
    step_scale: Quantity = quantity(
        "1", "a decode step in the engine over its kernels and collectives"
    )
    prefill_scale: Quantity = quantity(
        "1", "a prefill in the engine over its kernels and collectives"
    )
    host_step: Quantity = quantity("s", "host time of a step")
    host_sequence: Quantity = quantity("s", "host time of a step for each sequence")
    interference: Quantity = quantity(
        "1", "share of interleaved prefills that decode steps wait for"
    )
    first_token: Quantity = quantity("s", "host time from request to first token")
    queue: Quantity = quantity(
        "1", "prefills of other requests that one waits for, over the concurrency"
    )
    queue_median: Quantity = quantity(
        "1", "the same for the median request, which arrives after the first rush"
    )
    idle_power: Quantity = quantity("1", "power of a busy but stalled chip over its rating")
    byte_energy: Quantity = quantity("J/B", "energy of a byte from main memory")
    flop_energy: Quantity = quantity("J/FLOP", "energy of a 16-bit operation")


COEFFICIENTS = tuple(field.name for field in dataclasses.fields(Coefficients))
"""Names of the coefficients, in order."""


def from_logs(logs: Float[Array | np.ndarray, "coefficients"]) -> Coefficients:
    """Coefficients of an array of natural logarithms in the order of ``COEFFICIENTS``."""
    values = jnp.exp(logs)
    return Coefficients(**{name: values[..., k] for k, name in enumerate(COEFFICIENTS)})
