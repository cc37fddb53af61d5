"""The operators of one layer: dimensions and precision in, coefficients out.

Matrix products follow the lists of ``shapes``; what has no weights of its own (scores, scans,
recurrences) is written here. ``operators`` puts the layers of a model together.
"""

import dataclasses

import jax.numpy as jnp

from codesign.numerics.fields import Number, Real, real
from codesign.numerics.ties import NEITHER, at_least, lesser
from codesign.numerics.units import BITS_PER_BYTE
from codesign.workload import shapes
from codesign.workload.operator import ATTENTION, EXPERT, FEED_FORWARD, HEAD, Operator
from codesign.workload.precision import Part, Precision
from codesign.workload.shapes import Matrix
from codesign.workload.transformer import (
    AttentionKind,
    CompressedAttention,
    CrossAttention,
    FeedForward,
    GroupedAttention,
    Indexer,
    LatentAttention,
    LayerKind,
    LinearAttention,
    MixtureOfExperts,
    SelectiveScan,
    ShortConvolution,
    Transformer,
)

NORM_FLOPS = (
    8.0  # vector operations per element of a root-mean-square norm and its residual addition
)
SOFTMAX_FLOPS = 4.0  # vector operations per score: scale, maximum, subtract, accumulate
ACTIVATION_FLOPS = 4.0  # vector operations per gated activation element, besides its exponential
SCAN_FLOPS = (
    6.0  # vector operations per state element of a selective scan: step, decay, update, output
)

Rows = list[tuple[str, Operator]]

_PER_ROUTED_ROW = ("row_flops", "row_vector", "row_exponential", "row_bytes", "whole_row_bytes")


class LayerWriter:
    """Writes the operators of one layer after another."""

    def __init__(self, model: Transformer, precision: Precision, slice_columns: Real):
        self.model, self.precision, self.slice_columns = model, precision, slice_columns
        self.hidden = model.hidden
        self.activation = precision.activation_bits / BITS_PER_BYTE
        self.state = precision.state_bits / BITS_PER_BYTE
        self.recurrent = precision.recurrent_bits / BITS_PER_BYTE

    def layer(self, kind: LayerKind) -> Rows:
        """All operators of one layer, its norms last."""
        rows = self.attention(kind.attention)
        match kind.feed_forward:
            case FeedForward():
                rows += self.feed_forward(
                    kind.feed_forward.width, kind.feed_forward.gated, "MLP", "dense"
                )
            case MixtureOfExperts():
                rows += self.mixture(kind.feed_forward)
        return [*rows, ("norms", self.norms(kind)), *self.residual()]

    # ---- Products --------------------------------------------------------------------------------
    # --------------------

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
            row_bytes=divided * self.activation,
            whole_row_bytes=whole * self.activation,
            slices=matrix.slices,
            division=division,
            compute_bits=form.compute_bits,
        )

    def columns(self, width: Real) -> Real:
        """The most slices that leave ``slice_columns`` columns on each chip."""
        return at_least(width / self.slice_columns, 1.0)

    # ---- Attention -------------------------------------------------------------------------------
    # --------------------

    def attention(self, attention: AttentionKind | None) -> Rows:
        """Projections, and between them and the output what stands at the centre of the kind."""
        matrices = shapes.attention_matrices(attention, self.hidden)
        products = [(matrix.name, self.product(matrix, "attention")) for matrix in matrices]
        if isinstance(attention, LatentAttention):  # prefill expands the cached prefix again
            products = [
                (
                    name,
                    (
                        dataclasses.replace(op, cached_flops=op.row_flops)
                        if name == "latent up"
                        else op
                    ),
                )
                for name, op in products
            ]
        first = next(
            (k for k, matrix in enumerate(matrices) if matrix.by_rows and matrix.name == "output"),
            len(matrices),
        )
        return products[:first] + self.core(attention) + products[first:]

    def core(self, attention: AttentionKind | None) -> Rows:
        """What a kind does besides its matrices."""
        match attention:
            case None:
                return []
            case GroupedAttention():
                return self.grouped(attention)
            case CrossAttention():
                return self.cross(attention)
            case LatentAttention():
                return self.latent(attention)
            case CompressedAttention():
                return self.compressed(attention)
            case LinearAttention():
                return [("recurrence", self.recurrence(attention))]
            case SelectiveScan():
                return [("scan", self.scan(attention))]
            case ShortConvolution():
                return [("convolution", self.convolution(attention))]

    def scores(self, heads: Real, multiplied: Real, elements: Real, **fields: Number) -> Operator:
        """Attention of ``heads`` over positions that keep ``elements`` each; ``multiplied``
        products a head and position."""
        form: dict[str, Number] = {
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

    def grouped(self, a: GroupedAttention) -> Rows:
        width = a.head_dim + a.value_width
        kept = {} if a.own_cache else {"state_written": 0.0, "state_stored": 0.0}
        core = self.scores(
            a.heads,
            width,
            a.kv_heads * width,
            row_bytes=a.heads * width * self.activation,
            read_window=lesser(a.window, a.top_k, NEITHER),
            store_window=a.window,
            state_slices=a.kv_heads,
            tile=a.head_dim,
            **kept,
        )
        return [("attention", core), *self.indexer(a.indexer)]

    def cross(self, a: CrossAttention) -> Rows:
        width, kept = a.heads * a.head_dim, shapes.encoded_elements(a) * self.state
        core = Operator(
            row_flops=4.0 * width * a.positions,
            row_vector=SOFTMAX_FLOPS * a.heads * a.positions,
            row_exponential=a.heads * a.positions,
            row_bytes=2.0 * width * self.activation,
            state_fixed=kept,
            state_moved=kept,
            slices=a.heads,
            state_slices=a.kv_heads,
            compute_bits=self.precision.core_bits,
        )
        return [("cross attention", core)]

    def latent(self, a: LatentAttention) -> Rows:
        head = a.nope_dim + a.rope_dim
        cache = a.latent_rank + a.rope_dim
        core = self.scores(
            a.heads, 2.0 * a.latent_rank + a.rope_dim, cache,
            expanded_context_flops=2.0 * a.heads * (head + a.value_dim),
            row_bytes=a.heads * (head + a.value_dim) * self.activation,
            state_read=(cache + (a.latent_reads - 1.0) * a.latent_rank) * self.state,
            read_window=a.top_k, tile=a.latent_rank,
        )  # fmt: skip
        return [("attention", core), *self.indexer(a.indexer)]

    def compressed(self, a: CompressedAttention) -> Rows:
        """The latest positions as they are, then the compressed entries, of which one stands for
        ``ratio`` positions."""
        rows = a.heads * 2.0 * a.head_dim * self.activation
        window = {"read_window": a.window, "store_window": a.window, "tile": a.head_dim}
        near = self.scores(a.heads, 2.0 * a.head_dim, a.head_dim, row_bytes=rows, **window)
        part = a.compression
        if part is None:
            return [("attention", near)]
        share = 1.0 / part.ratio
        far = self.scores(
            a.heads, 2.0 * a.head_dim * share, a.head_dim * share,
            context_vector=SOFTMAX_FLOPS * a.heads * share, context_exponential=a.heads * share,
            read_window=part.top_k * part.ratio, tile=a.head_dim,
        )  # fmt: skip
        return [
            ("attention", near),
            ("compressed attention", far),
            *self.indexer(part.indexer, share),
        ]

    def indexer(self, indexer: Indexer | None, share: Number = 1.0) -> Rows:
        """A few narrow heads score the whole cache with one shared key; one key for 1 / ``share``
        positions."""
        if indexer is None:
            return []
        score = self.scores(
            indexer.heads,
            indexer.dim * share,
            indexer.dim * share,
            context_vector=2.0 * indexer.heads * share,
            context_exponential=0.0,
            slices=1.0,
            tile=at_least(indexer.dim, 1.0),
        )
        return [("index scores", score)]

    # ---- Recurrent states
    # --------------------------------------------------------------------------------------------

    def recurrence(self, a: LinearAttention) -> Operator:
        channels, state = shapes.convolved_channels(a), shapes.recurrent_elements(a)
        kept = state * self.recurrent + shapes.convolution_elements(a) * self.activation
        per_element = (
            8.0 if a.delta else 6.0
        )  # decay, (key-state product of the delta rule,) rank-one update, output
        return Operator(
            row_flops=per_element * state,
            row_vector=2.0 * channels * a.convolution,
            row_bytes=2.0 * channels * self.activation,
            state_fixed=kept,
            state_moved=2.0 * kept,
            stored=self.other_weights(a),
            slices=a.value_heads,
            state_slices=a.value_heads,
            compute_bits=self.precision.core_bits,
        )

    def scan(self, a: SelectiveScan) -> Operator:
        state = shapes.recurrent_elements(a)
        kept = state * self.recurrent + shapes.convolution_elements(a) * self.activation
        return self.elementwise(
            a,
            kept,
            row_vector=SCAN_FLOPS * state + 2.0 * a.width * a.convolution,
            row_exponential=state,
        )

    def convolution(self, a: ShortConvolution) -> Operator:
        kept = shapes.convolution_elements(a) * self.activation
        return self.elementwise(a, kept, row_vector=2.0 * a.width * a.taps + 2.0 * a.width)

    def elementwise(
        self, a: SelectiveScan | ShortConvolution, kept: Real, **work: Real
    ) -> Operator:
        """An operator that goes channel by channel and keeps so many bytes of each sequence, read
        and written at every step."""
        return Operator(
            row_bytes=4.0 * a.width * self.activation,
            state_fixed=kept,
            state_moved=2.0 * kept,
            stored=self.other_weights(a),
            slices=a.width,
            state_slices=a.width,
            compute_bits=self.precision.core_bits,
            **work,
        )

    def other_weights(self, attention: AttentionKind) -> Real:
        """Bytes of convolutions and decays [B]."""
        return shapes.other_weights(attention) * self.precision.part("attention").weight_bytes

    # ---- Feed-forward ----------------------------------------------------------------------------
    # --------------------

    def feed_forward(
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

    def mixture(self, m: MixtureOfExperts) -> Rows:
        """Router, routed experts (all stored, of each row only ``active`` multiplied), shared
        expert."""
        rows = [("router", self.product(Matrix("router", self.hidden, m.experts), "attention"))]
        routed = []
        for name, op in self.feed_forward(
            m.width, m.gated, "experts", "experts", shapes.expert_input(m, self.hidden)
        ):
            of_all = {key: getattr(op, key) * m.active for key in _PER_ROUTED_ROW}
            of_all |= {key: getattr(op, key) * m.experts for key in ("stored", "streamed")}
            routed.append((name, dataclasses.replace(op, division=real(EXPERT), **of_all)))
        if m.latent_width is not None:
            slices = self.columns(m.latent_width)
            down = self.product(
                Matrix("", self.hidden, m.latent_width, slices), "shared", FEED_FORWARD
            )
            up = self.product(
                Matrix("", m.latent_width, self.hidden, slices, by_rows=True),
                "shared",
                FEED_FORWARD,
            )
            routed = [("expert latent down", down), *routed, ("expert latent up", up)]
        shared = (
            self.feed_forward(m.shared_width, m.gated, "shared expert", "shared")
            if m.has_shared
            else []
        )
        return rows + routed + shared

    # ---- Around the layers
    # -------------------------------------------------------------------------------------------

    def norms(self, kind: LayerKind) -> Operator:
        """Norms and residual additions of a layer; several residual streams are all read and
        written."""
        norms = sum(part is not None for part in (kind.attention, kind.feed_forward))
        streams = 1.0 if self.model.streams is None else self.model.streams.count
        return Operator(
            row_vector=norms * NORM_FLOPS * self.hidden * streams,
            whole_row_bytes=norms * 4.0 * self.hidden * self.activation * streams,
            stored=norms * self.hidden * self.precision.part("attention").weight_bytes,
            compute_bits=self.precision.compute_bits,
        )

    def residual(self) -> Rows:
        """What a layer adds to or mixes in its residual: streams, embeddings of its own."""
        model, rows = self.model, []
        if model.streams is not None:
            rows.append(
                (
                    "stream mixing",
                    self.product(Matrix("", self.hidden, model.streams.mixing), "attention"),
                )
            )
        if model.per_layer_embedding is not None:
            table = model.per_layer_embedding
            product = self.product(Matrix("", self.hidden, 3.0 * table.width), "dense")
            stored = table.vocabulary * table.width * self.precision.part("embedding").weight_bytes
            rows.append(
                ("layer embedding", dataclasses.replace(product, stored=product.stored + stored))
            )
        return rows

    def ends(self) -> Rows:
        """The embedding table (kept, hardly read) and the output head (read whole for every
        step)."""
        model, form = self.model, self.precision.part("embedding")
        slices = self.columns(model.vocabulary)
        head = self.product(Matrix("head", self.hidden, model.vocabulary, slices), "head", HEAD)
        table = (0.0 if model.tied_embeddings else 1.0) * model.vocabulary + model.positions
        embedding = Operator(
            stored=table * self.hidden * form.weight_bytes,
            whole_row_bytes=2.0 * self.hidden * self.activation,
            division=HEAD,
            slices=slices,
            compute_bits=self.precision.compute_bits,
        )
        rows = [("embedding", embedding), ("head", dataclasses.replace(head, kernels=real(1.0)))]
        if model.streams is not None:
            ends = Matrix(
                "",
                self.hidden,
                model.streams.end_projections * self.hidden,
                self.columns(self.hidden),
            )
            rows.append(("stream ends", self.product(ends, "dense", FEED_FORWARD)))
        return rows
