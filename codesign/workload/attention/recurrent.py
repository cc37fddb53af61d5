"""What stands in attention's place: recurrent states, scans and convolutions."""

import equinox as eqx

from codesign.numerics.fields import Quantity, Real, quantity
from codesign.workload.attention.kind import AttentionKind
from codesign.workload.operator import Operator
from codesign.workload.shapes import Matrix
from codesign.workload.writer import SCAN_FLOPS, Rows, Writer


class LinearAttention(AttentionKind):
    """Linear attention with a recurrent state of constant size (gated delta net, Mamba-2, lightning
    attention).

    The state holds ``value_heads · key_dim · value_dim`` elements a sequence, read and written at
    every step, whatever the context. ``convolution`` is the width of the causal convolution before
    it (0 for none). ``controls`` are further outputs of the input projection: steps, decays,
    strengths of writing. ``decay_rank`` and ``gate_rank`` stand for a decay of every key channel
    and an output gate that are projected through a low rank (Kimi Linear, arXiv 2510.26692); a
    ``gated`` one without rank is projected in one step. In Mamba-2, keys and queries are B and C, a
    head's state is ``key_dim`` = state size times ``value_dim`` = head width (arXiv 2405.21060).
    ``delta`` erases before it writes.
    """

    key_heads: Quantity = quantity("1", "key heads")
    value_heads: Quantity = quantity("1", "value heads")
    key_dim: Quantity = quantity("1", "width of a key head")
    value_dim: Quantity = quantity("1", "width of a value head")
    convolution: Quantity = quantity("1", "taps of the causal convolution", default=0.0)
    controls: Quantity = quantity("1", "further outputs of the input projection", default=0.0)
    decay_rank: Real | None = quantity("1", "rank of the decay's projection", default=None)
    gate_rank: Real | None = quantity("1", "rank of the output gate's projection", default=None)
    gated: bool = eqx.field(static=True, default=True)
    delta: bool = eqx.field(static=True, default=True)

    @property
    def convolved_channels(self) -> Real:
        """Channels of the convolution before it: queries, keys and values [1]."""
        return 2.0 * self.key_heads * self.key_dim + self.value_heads * self.value_dim

    def matrices(self, hidden: Real) -> list[Matrix]:
        keys, values = self.key_heads * self.key_dim, self.value_heads * self.value_dim
        full_gate = values if self.gated and self.gate_rank is None else 0.0
        ranks = (0.0 if self.decay_rank is None else self.decay_rank) + (
            0.0 if self.gate_rank is None else self.gate_rank
        )
        rows = [
            Matrix(
                "linear input",
                hidden,
                2.0 * keys + values + full_gate + self.controls + ranks,
                self.value_heads,
            )
        ]
        if self.decay_rank is not None:
            rows.append(Matrix("decay", self.decay_rank, keys, self.value_heads))
        if self.gate_rank is not None:
            rows.append(Matrix("gate", self.gate_rank, values, self.value_heads))
        return [*rows, Matrix("output", values, hidden, self.value_heads, by_rows=True)]

    def recurrent_elements(self) -> Real:
        return self.value_heads * self.key_dim * self.value_dim

    def convolution_elements(self) -> Real:
        return self.convolved_channels * self.convolution

    def other_weights(self) -> Real:
        return self.convolved_channels * self.convolution

    def core(self, write: Writer) -> Rows:
        channels, state = self.convolved_channels, self.recurrent_elements()
        kept = state * write.recurrent + self.convolution_elements() * write.activation
        per_element = (
            8.0 if self.delta else 6.0
        )  # decay, (key-state product of the delta rule,) rank-one update, output
        operator = Operator(
            row_flops=per_element * state,
            row_vector=2.0 * channels * self.convolution,
            row_bytes=2.0 * channels * write.activation,
            state_fixed=kept,
            state_moved=2.0 * kept,
            stored=write.bytes_of(self.other_weights()),
            slices=self.value_heads,
            state_slices=self.value_heads,
            compute_bits=write.precision.core_bits,
        )
        return [("recurrence", operator)]

    def merged_elements(self) -> Real:
        return self.value_heads * self.value_dim

    def whole_heads(self) -> tuple[Real, str]:
        return self.value_heads, "value heads"

    def whole_keys(self) -> Real:
        return self.key_heads

    def cache_heads(self) -> Real:
        return self.value_heads


class SelectiveScan(AttentionKind):
    """Mamba-1 (arXiv 2312.00752 §3): a diagonal state of ``width · state_dim`` elements with
    input-dependent steps."""

    width: Quantity = quantity("1", "channels")
    state_dim: Quantity = quantity("1", "state of a channel")
    step_rank: Quantity = quantity("1", "rank of the step's projection")
    convolution: Quantity = quantity("1", "taps of the causal convolution")

    def matrices(self, hidden: Real) -> list[Matrix]:
        return [
            Matrix("scan input", hidden, 2.0 * self.width, self.width),
            Matrix(
                "scan controls",
                self.width,
                self.step_rank + 2.0 * self.state_dim,
                self.width,
                by_rows=True,
            ),
            Matrix("step", self.step_rank, self.width, self.width),
            Matrix("output", self.width, hidden, self.width, by_rows=True),
        ]

    def recurrent_elements(self) -> Real:
        return self.width * self.state_dim

    def convolution_elements(self) -> Real:
        return self.width * self.convolution

    def other_weights(self) -> Real:
        """The convolution, the decays, and three biases of a channel [1]."""
        return self.width * (self.convolution + self.state_dim + 3.0)

    def core(self, write: Writer) -> Rows:
        state = self.recurrent_elements()
        kept = state * write.recurrent + self.convolution_elements() * write.activation
        operator = write.elementwise(
            self.width,
            kept,
            self.other_weights(),
            row_vector=SCAN_FLOPS * state + 2.0 * self.width * self.convolution,
            row_exponential=state,
        )
        return [("scan", operator)]

    def merged_elements(self) -> Real:
        return self.width


class ShortConvolution(AttentionKind):
    """A gated causal convolution in place of attention (LFM2): the last ``taps`` inputs are all it
    keeps."""

    width: Quantity = quantity("1", "channels")
    taps: Quantity = quantity("1", "taps of the convolution")

    def matrices(self, hidden: Real) -> list[Matrix]:
        return [
            Matrix("convolution input", hidden, 3.0 * self.width, self.width),
            Matrix("output", self.width, hidden, self.width, by_rows=True),
        ]

    def convolution_elements(self) -> Real:
        return self.width * self.taps

    def other_weights(self) -> Real:
        return self.width * self.taps

    def core(self, write: Writer) -> Rows:
        kept = self.convolution_elements() * write.activation
        operator = write.elementwise(
            self.width,
            kept,
            self.other_weights(),
            row_vector=2.0 * self.width * self.taps + 2.0 * self.width,
        )
        return [("convolution", operator)]

    def merged_elements(self) -> Real:
        return self.width
