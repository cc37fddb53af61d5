"""The operator table: a model as a few small arrays, whatever its depth (DESIGN.md §4).

Each row is one operator of one kind of layer, already multiplied by the number of such layers. What an operator does is
linear in the step's variables (rows, rows × attended positions, sequences × cached positions), so the table holds only
coefficients. Bytes stored and bytes read are separate columns: a window, an indexer or a recurrent state reads less than,
or differently from, what it keeps. Tables of different models, padded to the same length, go through one compiled program.
"""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from codesign.numerics.fields import Number, Real, real
from codesign.numerics.units import BITS_PER_BYTE
from codesign.workload.precision import Precision
from codesign.workload.transformer import (
    UNLIMITED,
    AttentionKind,
    FeedForward,
    GroupedAttention,
    LatentAttention,
    LayerKind,
    LinearAttention,
    MixtureOfExperts,
    Transformer,
)

Column = Float[Array, "rows"]

ATTENTION, FEED_FORWARD, EXPERT, HEAD = range(4)
"""How an operator is divided among chips; see ``performance.plan``."""

NORM_FLOPS = 8.0  # vector operations per element of a root-mean-square norm and its residual addition
SOFTMAX_FLOPS = 4.0  # vector operations per score: scale, maximum, subtract, accumulate
ACTIVATION_FLOPS = 4.0  # vector operations per gated activation element, besides its exponential


class Operator(eqx.Module):
    """One row of the table: coefficients of one operator over all layers of its kind.

    Bytes and FLOPs are totals over the model, before any division among chips; ``slices`` is the largest number of chips
    that a matrix product can be divided over and ``state_slices`` the same for the cache.
    """

    stored: Real = eqx.field(converter=real, default=0.0)  # [B] weights kept
    streamed: Real = eqx.field(converter=real, default=0.0)  # [B] weights read by a step (all experts)
    row_flops: Real = eqx.field(converter=real, default=0.0)  # [FLOP/row]
    context_flops: Real = eqx.field(converter=real, default=0.0)  # [FLOP/row/position] decode (absorbed) form
    expanded_context_flops: Real = eqx.field(converter=real, default=0.0)  # [FLOP/row/position] prefill form
    cached_flops: Real = eqx.field(converter=real, default=0.0)  # [FLOP/cached position] re-expansion in prefill
    row_vector: Real = eqx.field(converter=real, default=0.0)  # [FLOP/row] on the vector unit
    context_vector: Real = eqx.field(converter=real, default=0.0)  # [FLOP/row/position]
    row_exponential: Real = eqx.field(converter=real, default=0.0)  # [1/row]
    context_exponential: Real = eqx.field(converter=real, default=0.0)  # [1/row/position]
    row_bytes: Real = eqx.field(converter=real, default=0.0)  # [B/row] activations divided like the weights
    whole_row_bytes: Real = eqx.field(converter=real, default=0.0)  # [B/row] activations that every slice needs whole
    state_read: Real = eqx.field(converter=real, default=0.0)  # [B/position] cache read
    state_written: Real = eqx.field(converter=real, default=0.0)  # [B/row] cache written
    state_stored: Real = eqx.field(converter=real, default=0.0)  # [B/position] cache kept
    state_fixed: Real = eqx.field(converter=real, default=0.0)  # [B/sequence] recurrent state kept; read and written
    read_window: Real = eqx.field(converter=real, default=UNLIMITED)  # [position]
    store_window: Real = eqx.field(converter=real, default=UNLIMITED)  # [position]
    slices: Real = eqx.field(converter=real, default=1.0)
    state_slices: Real = eqx.field(converter=real, default=1.0)
    tile: Real = eqx.field(converter=real, default=1.0)  # [1] head width, for on-chip reuse in attention
    division: Real = eqx.field(converter=real, default=ATTENTION)  # one of the four classes above, as a float
    group: Real = eqx.field(converter=real, default=0.0)  # operators of one group may be fused by Dataflow
    kernels: Real = eqx.field(converter=real, default=0.0)  # [1] kernels of a step; 0 for what joins its neighbour's kernel


class OperatorTable(eqx.Module):
    """A model ready for the performance model: ``operators`` has columns of shape (rows,), the rest are scalars.

    Counts of layers drive the collectives, message sizes are bytes per row of the matrix products.
    """

    operators: Operator
    attention_layers: Real
    attention_reductions: Real  # attention layers that end in an all-reduce of their own
    dense_layers: Real
    expert_layers: Real
    shared_layers: Real  # expert layers that have a shared expert
    layers: Real
    experts: Real  # routed experts of an expert layer; 1 in a dense model
    active: Real  # experts per token; 1 in a dense model
    hidden_bytes: Real  # [B/row] one activation vector in a message
    merge_bytes: Real  # [B/row] partial attention output and its log-sum of the mean layer, for context parallelism
    logit_bytes: Real  # [B/row]
    activation_bytes: Real  # [B] one activation element
    compute_bits: Real
    names: tuple[str, ...] = eqx.field(static=True)
    has_experts: bool = eqx.field(static=True)


@jax.jit
def operator_table(model: Transformer, precision: Precision, *, slice_columns: Number = 64.0) -> OperatorTable:
    """Write a model as operators.

    Args:
        model: the transformer.
        precision: bits of each kind of data.
        slice_columns: narrowest useful slice of a matrix product [columns] (``Technology.attainable.slice_columns``).

    All mixtures of a model must have the same number of experts, all and active (``evaluate.check`` refuses others).
    """
    writer = _Writer(model.hidden, precision, real(slice_columns))
    rows: list[tuple[str, Operator]] = []
    for index, kind in enumerate(model.layers):
        suffix = f" {index + 1}" if len(model.layers) > 1 else ""
        rows += [(name + suffix, _grouped(name, op, kind, index)) for name, op in writer.layer(kind)]
    rows += writer.ends(model)
    names, operators = zip(*rows, strict=True)
    columns = _stack(operators)
    if model.nominal_parameters is not None:
        columns = _nominal(columns, model.nominal_parameters, precision)
    return _finish(model, precision, columns, names)


_JOINED = ("key-value", "experts down")
"""Operators without a kernel of their own: one product gives queries, keys and values, one kernel does the experts of a layer."""


def _grouped(name: str, op: Operator, kind: LayerKind, index: int) -> Operator:
    """Multiply an operator by the number of its layers and give it the fusion group of its kind and half-layer."""
    per_layer = (
        "stored streamed row_flops context_flops expanded_context_flops cached_flops row_vector context_vector row_exponential "
        "context_exponential row_bytes whole_row_bytes state_read state_written state_stored state_fixed"
    ).split()
    scaled = {name: getattr(op, name) * kind.count for name in per_layer}
    half = jnp.where(op.division == ATTENTION, 0.0, 1.0)
    kernels = jnp.zeros_like(kind.count) if name in _JOINED else kind.count
    return dataclasses.replace(op, **scaled, group=2.0 * index + half, kernels=kernels)


def _stack(operators: tuple[Operator, ...]) -> Operator:
    names = [field.name for field in dataclasses.fields(Operator)]
    dtype = jnp.result_type(*[getattr(op, name) for op in operators for name in names])
    return Operator(**{name: jnp.stack([getattr(op, name).astype(dtype) for op in operators]) for name in names})


def _nominal(columns: Operator, parameters: Real, precision: Precision) -> Operator:
    """Scale streamed weights (and their arithmetic) to a nominal parameter count; the embedding table is part of it."""
    scale = parameters * precision.weight_bytes / jnp.sum(columns.streamed)
    is_matrix = columns.streamed > 0
    return dataclasses.replace(
        columns,
        streamed=columns.streamed * scale,
        stored=columns.streamed * scale,
        row_flops=jnp.where(is_matrix, columns.row_flops * scale, columns.row_flops),
    )


def _finish(model: Transformer, precision: Precision, columns: Operator, names: tuple[str, ...]) -> OperatorTable:
    zero = jnp.zeros_like(model.hidden)
    attention, reductions, dense, expert, shared, merge = zero, zero, zero, zero, zero, zero
    mixtures: list[MixtureOfExperts] = []
    for kind in model.layers:
        if kind.attention is not None:
            attention = attention + kind.count
            merge = merge + kind.count * _merge_elements(kind.attention)
            joined = model.parallel_blocks and isinstance(kind.feed_forward, FeedForward)
            reductions = reductions + (0.0 if joined else 1.0) * kind.count
        if isinstance(kind.feed_forward, FeedForward):
            dense = dense + kind.count
        if isinstance(kind.feed_forward, MixtureOfExperts):
            mixtures.append(kind.feed_forward)
            expert = expert + kind.count
            shared = shared + kind.count * jnp.where(kind.feed_forward.shared_width > 0, 1.0, 0.0)
    one = jnp.ones_like(model.hidden)
    message = precision.message_bits / BITS_PER_BYTE
    return OperatorTable(
        operators=columns,
        attention_layers=attention,
        attention_reductions=reductions,
        dense_layers=dense,
        expert_layers=expert,
        shared_layers=shared,
        layers=sum((kind.count for kind in model.layers), start=zero),
        experts=mixtures[0].experts if mixtures else one,
        active=mixtures[0].active if mixtures else one,
        hidden_bytes=model.hidden * message,
        merge_bytes=merge / jnp.maximum(attention, 1.0) * message,
        logit_bytes=model.vocabulary * message,
        activation_bytes=precision.activation_bits / BITS_PER_BYTE,
        compute_bits=precision.compute_bits,
        names=names,
        has_experts=bool(mixtures),
    )


def _merge_elements(attention: AttentionKind) -> Real:
    """Elements of one row's partial attention output with its running maximum and sum, per head."""
    if isinstance(attention, GroupedAttention):
        return attention.heads * (attention.head_dim + 2.0)
    if isinstance(attention, LatentAttention):
        return attention.heads * (attention.latent_rank + 2.0)
    return attention.value_heads * attention.value_dim


_PER_ROUTED_ROW = ("row_flops", "row_vector", "row_exponential", "row_bytes", "whole_row_bytes")


class _Writer:
    """Writes the operators of one layer: dimensions and precision in, coefficients out."""

    def __init__(self, hidden: Real, precision: Precision, slice_columns: Real):
        self.hidden = hidden
        self.precision = precision
        self.slice_columns = slice_columns
        self.activation = precision.activation_bits / BITS_PER_BYTE
        self.state = precision.state_bits / BITS_PER_BYTE

    def product(
        self,
        inner: Real,
        outer: Real,
        division: int = ATTENTION,
        slices: Number | None = None,
        by_rows: bool = False,
    ) -> Operator:
        """A weight matrix of inner × outer, each row multiplied once.

        Cut by columns, every slice reads the whole input; cut ``by_rows`` (the second matrix of a pair), every slice writes
        a whole partial output (Shoeybi et al., Megatron-LM, arXiv 1909.08053 §3).
        """
        weights = inner * outer
        return Operator(
            stored=weights * self.precision.weight_bytes,
            streamed=weights * self.precision.weight_bytes,
            row_flops=2.0 * weights,
            row_bytes=(inner if by_rows else outer) * self.activation,
            whole_row_bytes=(outer if by_rows else inner) * self.activation,
            slices=self.columns(outer) if slices is None else slices,
            division=division,
        )

    def columns(self, width: Real) -> Real:
        """The most slices that leave ``slice_columns`` columns on each chip."""
        return jnp.maximum(width / self.slice_columns, 1.0)

    def layer(self, kind: LayerKind) -> list[tuple[str, Operator]]:
        rows: list[tuple[str, Operator]] = []
        norms = sum(part is not None for part in (kind.attention, kind.feed_forward))
        match kind.attention:
            case GroupedAttention():
                rows += self.grouped(kind.attention)
            case LatentAttention():
                rows += self.latent(kind.attention)
            case LinearAttention():
                rows += self.linear(kind.attention)
        match kind.feed_forward:
            case FeedForward():
                rows += self.feed_forward(kind.feed_forward.width, kind.feed_forward.gated, "MLP")
            case MixtureOfExperts():
                rows += self.mixture(kind.feed_forward)
        norm = Operator(
            row_vector=norms * NORM_FLOPS * self.hidden,
            whole_row_bytes=norms * 4.0 * self.hidden * self.activation,
            stored=norms * self.hidden * self.precision.weight_bytes,
        )
        return [*rows, ("norms", norm)]

    def grouped(self, a: GroupedAttention) -> list[tuple[str, Operator]]:
        width, state_width = a.heads * a.head_dim, a.kv_heads * a.head_dim
        query = self.product(self.hidden, width * (2.0 if a.gated else 1.0), slices=a.heads)
        key_value = self.product(self.hidden, 2.0 * state_width, slices=a.kv_heads)
        cache = 2.0 * state_width * self.state
        core = Operator(
            context_flops=4.0 * width,
            expanded_context_flops=4.0 * width,
            context_vector=SOFTMAX_FLOPS * a.heads,
            context_exponential=a.heads,
            row_bytes=2.0 * width * self.activation,
            state_read=cache,
            state_written=cache,
            state_stored=cache,
            read_window=a.window,
            store_window=a.window,
            slices=a.heads,
            state_slices=a.kv_heads,
            tile=a.head_dim,
        )
        output = self.product(width, self.hidden, slices=a.heads, by_rows=True)
        return [("query", query), ("key-value", key_value), ("attention", core), ("output", output)]

    def latent(self, a: LatentAttention) -> list[tuple[str, Operator]]:
        head = a.nope_dim + a.rope_dim
        has_query_latent = jnp.where(a.query_rank > 0, 1.0, 0.0)
        query_input = jnp.where(a.query_rank > 0, a.query_rank, self.hidden)
        down = self.product(self.hidden, a.latent_rank + a.rope_dim + has_query_latent * a.query_rank, slices=1.0)
        query = self.product(query_input, a.heads * head, slices=a.heads)
        up = self.product(a.latent_rank, a.heads * (a.nope_dim + a.value_dim), slices=a.heads)
        up = dataclasses.replace(up, cached_flops=up.row_flops)  # prefill expands the cached prefix again
        cache = (a.latent_rank + a.rope_dim) * self.state
        core = Operator(
            context_flops=2.0 * a.heads * (2.0 * a.latent_rank + a.rope_dim),
            expanded_context_flops=2.0 * a.heads * (head + a.value_dim),
            context_vector=SOFTMAX_FLOPS * a.heads,
            context_exponential=a.heads,
            row_bytes=a.heads * (head + a.value_dim) * self.activation,
            state_read=cache + (a.latent_reads - 1.0) * a.latent_rank * self.state,
            state_written=cache,
            state_stored=cache,
            read_window=a.top_k,
            slices=a.heads,
            state_slices=1.0,
            tile=a.latent_rank,
        )
        output = self.product(a.heads * a.value_dim, self.hidden, slices=a.heads, by_rows=True)
        rows = [("latent", down), ("query", query), ("latent up", up), ("attention", core), ("output", output)]
        return rows + self.indexer(a, query_input) if a.has_indexer else rows

    def indexer(self, a: LatentAttention, query_input: Real) -> list[tuple[str, Operator]]:
        """The lightning indexer of DeepSeek-V3.2 scores the whole cache with a few narrow heads and one shared key."""
        width = a.indexer_heads * a.indexer_dim
        project = self.product(query_input, width, slices=1.0)
        present = jnp.where(a.indexer_heads > 0, 1.0, 0.0)
        key = present * self.hidden * (a.indexer_dim + a.indexer_heads)  # the shared key, and a weight per head
        weights = query_input * width + key
        project = dataclasses.replace(
            project,
            stored=weights * self.precision.weight_bytes,
            streamed=weights * self.precision.weight_bytes,
            row_flops=2.0 * weights,
        )
        project = dataclasses.replace(project, whole_row_bytes=present * project.whole_row_bytes)
        keys = present * a.indexer_dim * self.state
        score = Operator(
            context_flops=2.0 * width,
            expanded_context_flops=2.0 * width,
            context_vector=2.0 * a.indexer_heads,
            state_read=keys,
            state_written=keys,
            state_stored=keys,
            slices=1.0,
            state_slices=1.0,
            tile=jnp.maximum(a.indexer_dim, 1.0),
        )
        return [("indexer", project), ("index scores", score)]

    def linear(self, a: LinearAttention) -> list[tuple[str, Operator]]:
        keys, values = a.key_heads * a.key_dim, a.value_heads * a.value_dim
        inputs = 2.0 * keys + (2.0 if a.gated else 1.0) * values + 2.0 * a.value_heads
        state = a.value_heads * a.key_dim * a.value_dim
        channels = 2.0 * keys + values
        project = self.product(self.hidden, inputs, slices=a.value_heads)
        recurrence = Operator(
            row_flops=8.0 * state,  # decay, key-state product, rank-one update, query-state product
            row_vector=2.0 * channels * a.convolution,
            row_bytes=2.0 * channels * self.activation,
            state_fixed=state * self.precision.recurrent_bits / BITS_PER_BYTE + channels * a.convolution * self.activation,
            stored=channels * a.convolution * self.precision.weight_bytes,
            slices=a.value_heads,
            state_slices=a.value_heads,
        )
        output = self.product(values, self.hidden, slices=a.value_heads, by_rows=True)
        return [("linear input", project), ("recurrence", recurrence), ("output", output)]

    def feed_forward(self, width: Real, gated: bool, name: str) -> list[tuple[str, Operator]]:
        up = self.product(self.hidden, (2.0 if gated else 1.0) * width, FEED_FORWARD, slices=self.columns(width))
        up = dataclasses.replace(up, row_vector=ACTIVATION_FLOPS * width, row_exponential=width)
        down = self.product(width, self.hidden, FEED_FORWARD, slices=self.columns(width), by_rows=True)
        present = jnp.where(width > 0, 1.0, 0.0)  # a model may have no shared expert
        pair = [dataclasses.replace(op, whole_row_bytes=present * op.whole_row_bytes) for op in (up, down)]
        return [(f"{name} up", pair[0]), (f"{name} down", pair[1])]

    def mixture(self, m: MixtureOfExperts) -> list[tuple[str, Operator]]:
        router = self.product(self.hidden, m.experts, slices=1.0)
        rows = [("router", router)]
        for name, op in self.feed_forward(m.width, m.gated, "experts"):
            weights = op.stored / self.precision.weight_bytes * m.experts * self.precision.expert_weight_bytes
            routed = {key: getattr(op, key) * m.active for key in _PER_ROUTED_ROW}
            rows.append((name, dataclasses.replace(op, stored=weights, streamed=weights, division=real(EXPERT), **routed)))
        return rows + self.feed_forward(m.shared_width, m.gated, "shared expert") if m.has_shared else rows

    def ends(self, model: Transformer) -> list[tuple[str, Operator]]:
        """The embedding table (kept, hardly read) and the output head (read whole for every step)."""
        head = self.product(self.hidden, model.vocabulary, HEAD)
        table = (0.0 if model.tied_embeddings else 1.0) * model.vocabulary + model.positions
        embedding = Operator(
            stored=table * self.hidden * self.precision.weight_bytes,
            whole_row_bytes=2.0 * self.hidden * self.activation,
            division=HEAD,
            slices=self.columns(model.vocabulary),
        )
        rows = [("embedding", embedding), ("head", dataclasses.replace(head, kernels=real(1.0)))]
        last = 2.0 * len(model.layers)
        return [(name, dataclasses.replace(op, group=real(last + k))) for k, (name, op) in enumerate(rows)]


def pad(table: OperatorTable, length: int) -> OperatorTable:
    """Append empty operators, so that tables of different models have one shape and share one compiled program.

    Raises:
        ValueError: if the table is longer than ``length``.
    """
    missing = length - len(table.names)
    if missing < 0:
        raise ValueError(f"cannot pad an operator table of {len(table.names)} rows to {length}; expected at least {len(table.names)}")
    empty = Operator()
    columns = {
        field.name: jnp.concatenate(
            [
                column := getattr(table.operators, field.name),
                jnp.full((missing,), getattr(empty, field.name), column.dtype),
            ]
        )
        for field in dataclasses.fields(Operator)
    }
    padding = tuple(f"padding {k + 1}" for k in range(missing))
    return dataclasses.replace(table, operators=Operator(**columns), names=table.names + padding)
