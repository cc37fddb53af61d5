"""How the operators of a step follow each other in time."""

from typing import TypeAlias

import equinox as eqx
import jax.numpy as jnp

from codesign.hardware.technology import Attainable
from codesign.numerics.fields import Real, quantity, real
from codesign.performance.kernel_coefficients import Calibrated


class LimitStudy(eqx.Module):
    """The limit study (arXiv 2507.14397): everything overlaps but synchronisation, at the full
    peaks, on ideal slices.

    T = max(ΣFLOP/peak, Σbytes/bandwidth) + layers · syncs · sync_latency. The paper's numbers
    identify only the product of syncs per layer and latency, 4.5 µs beyond eight chips; three syncs
    of 1.5 µs are its natural reading.
    """

    syncs_per_layer: Real = quantity("1", "exposed syncs of a layer", default=3.0)
    syncs_per_expert_layer: Real = quantity(
        "1", "further exposed syncs of a layer with experts", default=0.0
    )


class Operatorwise(eqx.Module):
    """One operator after the other, each bound by its slowest resource, then the collectives;
    attainable fractions of the peaks.

    A ``temperature`` smooths each operator's maximum for gradient search (``numerics.smooth``):
    time exceeds the exact one by at most a factor 3^temperature. ``None`` is exact.
    """

    temperature: Real | None = eqx.field(
        converter=lambda x: None if x is None else real(x), default=None
    )


class Dataflow(eqx.Module):
    """Operators of one half-layer are fused: they overlap, and what passes between them stays on
    chip (arXiv 2502.18403)."""


Execution: TypeAlias = LimitStudy | Operatorwise | Dataflow | Calibrated


def request_time(execution: Execution) -> Real | float:
    """Host time from a request to its first token, beside the prefill: it delays the user and keeps
    no machine busy [s]."""
    return execution.coefficients.first_token if isinstance(execution, Calibrated) else 0.0


def waited_share(execution: Execution) -> Real | float:
    """Share of interleaved prefills that decode steps wait for [1]; all of it where nobody
    measured."""
    return execution.coefficients.interference if isinstance(execution, Calibrated) else 1.0


def fillable_share(attainable: Attainable, execution: Execution) -> Real:
    """Share of main memory that weights and caches may fill [1]; all of it in ``LimitStudy``, which
    has no activations."""
    return (
        jnp.ones_like(attainable.capacity)
        if isinstance(execution, LimitStudy)
        else attainable.capacity
    )
