"""One operator of the table: coefficients of what a matrix product, a kernel or a state does and
moves."""

from typing import TypeAlias

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float

from codesign.numerics.fields import RealArray, real

PerOperator: TypeAlias = Float[Array | np.ndarray, "operators"]
"""A column of the table, or what follows of one."""

UNLIMITED = 1e18
"""A window that never binds. Finite, so that padded rows times zero stay zero."""

ATTENTION, FEED_FORWARD, EXPERT, HEAD = range(4)
"""How an operator is divided among chips; see ``performance.plan``."""


class Operator(eqx.Module):
    """One row of the table: coefficients of one operator over all layers of its kind.

    Bytes and FLOPs are totals over the model, before any division among chips; ``slices`` is the
    largest number of chips that a matrix product can be divided over and ``state_slices`` the same
    for the cache, which the slices follow (``whole_parts``).
    """

    stored: RealArray = eqx.field(converter=real, default=0.0)  # [B] weights kept
    streamed: RealArray = eqx.field(
        converter=real, default=0.0
    )  # [B] weights read by a step (all experts)
    row_flops: RealArray = eqx.field(converter=real, default=0.0)  # [FLOP/row]
    context_flops: RealArray = eqx.field(
        converter=real, default=0.0
    )  # [FLOP/row/position] decode (absorbed) form
    expanded_context_flops: RealArray = eqx.field(
        converter=real, default=0.0
    )  # [FLOP/row/position] prefill form
    cached_flops: RealArray = eqx.field(
        converter=real, default=0.0
    )  # [FLOP/cached position] re-expansion in prefill
    row_vector: RealArray = eqx.field(converter=real, default=0.0)  # [FLOP/row] on the vector unit
    context_vector: RealArray = eqx.field(converter=real, default=0.0)  # [FLOP/row/position]
    row_exponential: RealArray = eqx.field(converter=real, default=0.0)  # [1/row]
    context_exponential: RealArray = eqx.field(converter=real, default=0.0)  # [1/row/position]
    row_bytes: RealArray = eqx.field(
        converter=real, default=0.0
    )  # [B/row] activations divided like the weights
    whole_row_bytes: RealArray = eqx.field(
        converter=real, default=0.0
    )  # [B/row] activations that every slice needs whole
    state_read: RealArray = eqx.field(converter=real, default=0.0)  # [B/position] cache read
    state_written: RealArray = eqx.field(converter=real, default=0.0)  # [B/row] cache written
    state_stored: RealArray = eqx.field(converter=real, default=0.0)  # [B/position] cache kept
    state_fixed: RealArray = eqx.field(
        converter=real, default=0.0
    )  # [B/sequence] state of constant size kept
    state_moved: RealArray = eqx.field(
        converter=real, default=0.0
    )  # [B/sequence] state of constant size read and written
    read_window: RealArray = eqx.field(converter=real, default=UNLIMITED)  # [position]
    store_window: RealArray = eqx.field(converter=real, default=UNLIMITED)  # [position]
    slices: RealArray = eqx.field(converter=real, default=1.0)
    state_slices: RealArray = eqx.field(converter=real, default=1.0)
    tile: RealArray = eqx.field(
        converter=real, default=1.0
    )  # [1] head width, for on-chip reuse in attention
    compute_bits: RealArray = eqx.field(
        converter=real, default=16.0
    )  # [bit] width of its matrix arithmetic
    division: RealArray = eqx.field(
        converter=real, default=ATTENTION
    )  # one of the four classes above, as a float
    group: RealArray = eqx.field(
        converter=real, default=0.0
    )  # operators of one group may be fused by Dataflow
    kernels: RealArray = eqx.field(
        converter=real, default=0.0
    )  # [1] kernels of a step; 0 for what joins its neighbour's kernel
