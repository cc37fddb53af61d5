"""Operator tables of catalogue models at measured precisions, cached: one compiled program a model."""

from functools import cache

import jax.numpy as jnp

from codesign.calibration.names import Formats
from codesign.workload.catalogue import model as catalogue_model
from codesign.workload.operators import OperatorTable, operator_table
from codesign.workload.precision import Precision


def precision(bits: Formats) -> Precision:
    """The precision of measured formats; block scales are part of the bits."""
    return Precision(
        weight_bits=bits.weights,
        expert_weight_bits=bits.experts,
        state_bits=bits.cache,
        activation_bits=bits.activations,
        recurrent_bits=32.0,
    )


@cache
def table(model: str, bits: Formats) -> OperatorTable:
    """The operator table of a catalogue model at measured formats."""
    return operator_table(catalogue_model(model), precision(bits))


@cache
def weight_bytes(model: str, bits: Formats) -> float:
    """Bytes of all weights [B]."""
    return float(jnp.sum(table(model, bits).operators.stored))
