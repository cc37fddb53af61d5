"""What writes operators: widths of elements, and the operators that several kinds of layers
share."""

import dataclasses

import jax.numpy as jnp

from codesign.numerics.fields import Real
from codesign.numerics.ties import at_least
from codesign.numerics.units import BITS_PER_BYTE
from codesign.workload.operator import ATTENTION, FEED_FORWARD, Operator
from codesign.workload.precision import Part, Precision
from codesign.workload.shapes import Matrix

NORM_FLOPS = (
    8.0  # vector operations per element of a root-mean-square norm and its residual addition
)
SOFTMAX_FLOPS = 4.0  # vector operations per score: scale, maximum, subtract, accumulate
ACTIVATION_FLOPS = 4.0  # vector operations per gated activation element, besides its exponential
SCAN_FLOPS = (
    6.0  # vector operations per state element of a selective scan: step, decay, update, output
)

Rows = list[tuple[str, Operator]]


class Writer:
    """Bytes of the elements of one model, and operators made of them.

    Args:
        hidden: width of the model [1].
        precision: bits of each kind of data.
        slice_columns: narrowest useful slice of a matrix product [columns].
    """

    def __init__(self, hidden: Real, precision: Precision, slice_columns: Real):
        self.hidden, self.precision, self.slice_columns = hidden, precision, slice_columns
        self.activation = precision.activation_bits / BITS_PER_BYTE
        self.state = precision.state_bits / BITS_PER_BYTE
        self.recurrent = precision.recurrent_bits / BITS_PER_BYTE

    def product(self, matrix: Matrix, part: Part, division: int = ATTENTION) -> Operator:
        """A weight matrix that each row is multiplied with once.

        Cut by columns, every slice reads the whole input; cut by rows (the second matrix of a
        pair), every slice writes a whole partial output (Shoeybi et al., Megatron-LM, arXiv
        1909.08053 §3).
        """
        form = self.precision.part(part)
        stored = matrix.weights * form.weight_bytes
        if not matrix.rows:
            return Operator(stored=stored, slices=matrix.slices, division=division)
        divided, whole = (
            (matrix.inner, matrix.outer) if matrix.by_rows else (matrix.outer, matrix.inner)
        )
        return Operator(
            stored=stored,
            streamed=stored,
            row_flops=2.0 * matrix.weights,
            cached_flops=2.0 * matrix.weights if matrix.expands else 0.0,
            row_bytes=divided * self.activation,
            whole_row_bytes=whole * self.activation,
            slices=matrix.slices,
            division=division,
            compute_bits=form.compute_bits,
        )

    def columns(self, width: Real) -> Real:
        """The most slices that leave ``slice_columns`` columns on each chip."""
        return at_least(width / self.slice_columns, 1.0)

    def scores(self, heads: Real, multiplied: Real, elements: Real, **fields: Real) -> Operator:
        """Attention of ``heads`` over positions that keep ``elements`` each; ``multiplied``
        products a head and position."""
        form: dict[str, Real] = {
            "context_flops": 2.0 * heads * multiplied,
            "expanded_context_flops": 2.0 * heads * multiplied,
            "context_vector": SOFTMAX_FLOPS * heads,
            "context_exponential": heads,
            "state_read": elements * self.state,
            "state_written": elements * self.state,
            "state_stored": elements * self.state,
            "slices": heads,
            "compute_bits": self.precision.core_bits,
        }
        return Operator(**{**form, **fields})

    def elementwise(self, width: Real, kept: Real, weights: Real, **work: Real) -> Operator:
        """An operator that goes channel by channel and keeps so many bytes of each sequence, read
        and written at every step."""
        return Operator(
            row_bytes=4.0 * width * self.activation,
            state_fixed=kept,
            state_moved=2.0 * kept,
            stored=self.bytes_of(weights),
            slices=width,
            state_slices=width,
            compute_bits=self.precision.core_bits,
            **work,
        )

    def bytes_of(self, weights: Real) -> Real:
        """Bytes of weights that are no matrix products: convolutions and decays [B]."""
        return weights * self.precision.part("attention").weight_bytes

    def two_products(
        self, width: Real, gated: bool, name: str, part: Part, hidden: Real | None = None
    ) -> Rows:
        """Two products; the first of a gated MLP is twice as wide."""
        hidden, slices = self.hidden if hidden is None else hidden, self.columns(width)
        up = self.product(
            Matrix("", hidden, (2.0 if gated else 1.0) * width, slices), part, FEED_FORWARD
        )
        up = dataclasses.replace(up, row_vector=ACTIVATION_FLOPS * width, row_exponential=width)
        down = self.product(Matrix("", width, hidden, slices, by_rows=True), part, FEED_FORWARD)
        present = jnp.where(width > 0, 1.0, 0.0)  # a model may have no shared expert
        pair = [
            dataclasses.replace(op, whole_row_bytes=present * op.whole_row_bytes)
            for op in (up, down)
        ]
        return [(f"{name} up", pair[0]), (f"{name} down", pair[1])]
