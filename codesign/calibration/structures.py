"""Operator tables of catalogue models at measured precisions, cached: one compiled program a
model."""

from functools import cache

import jax.numpy as jnp

from codesign.calibration.names import Formats
from codesign.workload.catalogue import model as catalogue_model
from codesign.workload.operators import OperatorTable, operator_table
from codesign.workload.precision import PartPrecision, Precision

WHOLE_FILE_BITS = (4.85,)
"""Weights of formats that quantise the output head too (GGUF Q4_K_M: 4.85 bit in the mean); others
leave head and embedding at 16."""


def precision(bits: Formats) -> Precision:
    """The precision of measured formats: block scales are part of the bits, and every part computes
    at its own width."""
    products, experts = (
        _part(bits.weights, bits.product_width),
        _part(bits.experts, bits.expert_width),
    )
    ends = products if bits.weights in WHOLE_FILE_BITS else PartPrecision(weight_bits=16.0)
    return Precision(
        weight_bits=bits.weights,
        expert_weight_bits=bits.experts,
        state_bits=bits.cache,
        activation_bits=bits.activations,
        recurrent_bits=32.0,
        attention=products,
        dense=products,
        experts=experts,
        shared=products,
        embedding=ends,
        head=ends,
    )


def _part(stored: float, width: float) -> PartPrecision:
    elements = min(stored, max(width, 4.0))
    return PartPrecision(weight_bits=elements, scale_bits=stored - elements, input_bits=width)


def formats_of(stated: Precision) -> Formats:
    """The formats of a precision, as measured ones are named: bits of attention and experts, and
    the widths at which they compute."""
    products, experts = stated.part("attention"), stated.part("experts")
    return Formats(
        weights=_stored(products),
        experts=_stored(experts),
        cache=float(stated.state_bits),
        activations=float(stated.activation_bits),
        product_width=width(float(products.compute_bits)),
        expert_width=width(float(experts.compute_bits)),
    )


def _stored(part: PartPrecision) -> float:
    return (
        round(float(part.weight_bits + part.scale_bits) * 20.0) / 20.0
    )  # scales of large blocks are no format of their own


def width(bits: float) -> int:
    """The width of the arithmetic that serves operands of so many bits: 4, 8 or 16.

    >>> width(4.5), width(6.0), width(8.0), width(16.0)
    (4, 8, 8, 16)
    """
    return 4 if bits <= 4.9 else 8 if bits <= 8.1 else 16


@cache
def table(model: str, bits: Formats) -> OperatorTable:
    """The operator table of a catalogue model at measured formats."""
    return operator_table(catalogue_model(model), precision(bits))


@cache
def weight_bytes(model: str, bits: Formats) -> float:
    """Bytes of all weights [B]."""
    return float(jnp.sum(table(model, bits).operators.stored))
