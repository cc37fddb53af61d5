"""What the parts of a layer consist of: their weight matrices, and what they keep of every position
and sequence.

Parameters, caches and operators are all read off these lists, so that a new kind of attention is
described once.
"""

from typing import NamedTuple

import jax.numpy as jnp

from codesign.numerics.fields import Number, Real
from codesign.workload.transformer import (
    UNLIMITED,
    AttentionKind,
    CompressedAttention,
    CrossAttention,
    FeedForwardKind,
    GroupedAttention,
    Indexer,
    LatentAttention,
    LinearAttention,
    MixtureOfExperts,
    SelectiveScan,
    ShortConvolution,
)


class Matrix(NamedTuple):
    """A weight matrix of ``inner × outer``, block-diagonal where ``blocks`` is more than 1.

    ``slices`` is the largest number of chips that it can be divided over. ``by_rows`` is the second
    of a pair: its input is divided, its output a partial sum. ``rows = False`` is multiplied for
    other rows than those of a step.
    """

    name: str
    inner: Real
    outer: Real
    slices: Number = 1.0
    by_rows: bool = False
    blocks: Number = 1.0
    rows: bool = True

    @property
    def weights(self) -> Real:
        """Elements [1]."""
        return self.inner * self.outer / self.blocks


class Cache(NamedTuple):
    """Elements kept of every position that is visible within ``window``; of some parts, one for
    several positions."""

    elements: Real
    window: Number = UNLIMITED


def attention_matrices(attention: AttentionKind | None, hidden: Real) -> list[Matrix]:
    """Projections of one attention layer, in the order in which they run."""
    match attention:
        case None:
            return []
        case GroupedAttention():
            return _grouped(attention, hidden)
        case CrossAttention():
            return _cross(attention, hidden)
        case LatentAttention():
            return _latent(attention, hidden)
        case CompressedAttention():
            return _compressed(attention, hidden)
        case LinearAttention():
            return _linear(attention, hidden)
        case SelectiveScan():
            return _scan(attention, hidden)
        case ShortConvolution():
            return [
                Matrix("convolution input", hidden, 3.0 * attention.width, attention.width),
                Matrix("output", attention.width, hidden, attention.width, by_rows=True),
            ]


def _grouped(a: GroupedAttention, hidden: Real) -> list[Matrix]:
    values, source = a.heads * a.value_width, hidden if a.input_width is None else a.input_width
    query = Matrix("query", source, a.heads * a.head_dim + (values if a.gated else 0.0), a.heads)
    cached = a.kv_heads * (a.head_dim + (a.value_width if a.own_values else 0.0))
    key_value = [Matrix("key-value", source, cached, a.kv_heads)] if a.own_cache else []
    output = Matrix("output", values, hidden, a.heads, by_rows=True)
    return [query, *key_value, output, *_indexer(a.indexer, hidden, hidden)]


def _cross(a: CrossAttention, hidden: Real) -> list[Matrix]:
    width = a.heads * a.head_dim
    return [
        Matrix("query", hidden, width, a.heads),
        Matrix("encoded key-value", hidden, 2.0 * a.kv_heads * a.head_dim, a.kv_heads, rows=False),
        Matrix("output", width, hidden, a.heads, by_rows=True),
    ]


def _latent(a: LatentAttention, hidden: Real) -> list[Matrix]:
    """Multi-head latent attention (arXiv 2405.04434 §2.1)."""
    values, source = a.heads * a.value_dim, query_source(a, hidden)
    gate = [Matrix("output gate", hidden, values, a.heads)] if a.gated else []
    return [
        Matrix("latent", hidden, a.latent_rank + a.rope_dim + a.query_rank),
        Matrix("query", source, a.heads * (a.nope_dim + a.rope_dim), a.heads),
        Matrix("latent up", a.latent_rank, a.heads * (a.nope_dim + a.value_dim), a.heads),
        *gate,
        Matrix("output", values, hidden, a.heads, by_rows=True),
        *_indexer(a.indexer, source, hidden),
    ]


def query_source(a: LatentAttention, hidden: Real) -> Real:
    """Width of what queries are projected from: their latent, or the hidden state without one
    [1]."""
    return jnp.where(a.query_rank > 0, a.query_rank, hidden)


def _compressed(a: CompressedAttention, hidden: Real) -> list[Matrix]:
    """Shared key-value attention with grouped output (``modeling_deepseek_v4.py``, transformers
    5.24)."""
    part, middle = a.compression, a.output_groups * a.output_rank
    # an entry and its gate are projected from the hidden state, twice as wide where two windows
    # overlap
    windows = 0.0 if part is None else 4.0 if part.overlapping else 2.0
    return [
        Matrix("latent", hidden, a.query_rank + (1.0 + windows) * a.head_dim),
        Matrix("query", a.query_rank, a.heads * a.head_dim, a.heads),
        Matrix(
            "output groups", a.heads * a.head_dim, middle, a.output_groups, blocks=a.output_groups
        ),
        Matrix("output", middle, hidden, a.output_groups, by_rows=True),
        *(_indexer(part.indexer, a.query_rank, hidden, windows) if part is not None else []),
    ]


def _indexer(
    indexer: Indexer | None, source: Real, hidden: Real, keys: Number = 1.0
) -> list[Matrix]:
    """Queries of all heads; ``keys`` projections as wide as a key, and a weight for each head."""
    if indexer is None:
        return []
    weights = indexer.heads if indexer.weighted else 0.0
    return [
        Matrix("indexer query", source, indexer.heads * indexer.dim),
        Matrix("indexer key", hidden, keys * indexer.dim + weights),
    ]


def _linear(a: LinearAttention, hidden: Real) -> list[Matrix]:
    keys, values = a.key_heads * a.key_dim, a.value_heads * a.value_dim
    full_gate = values if a.gated and a.gate_rank is None else 0.0
    ranks = (0.0 if a.decay_rank is None else a.decay_rank) + (
        0.0 if a.gate_rank is None else a.gate_rank
    )
    rows = [
        Matrix(
            "linear input",
            hidden,
            2.0 * keys + values + full_gate + a.controls + ranks,
            a.value_heads,
        )
    ]
    if a.decay_rank is not None:
        rows.append(Matrix("decay", a.decay_rank, keys, a.value_heads))
    if a.gate_rank is not None:
        rows.append(Matrix("gate", a.gate_rank, values, a.value_heads))
    return [*rows, Matrix("output", values, hidden, a.value_heads, by_rows=True)]


def _scan(a: SelectiveScan, hidden: Real) -> list[Matrix]:
    return [
        Matrix("scan input", hidden, 2.0 * a.width, a.width),
        Matrix("scan controls", a.width, a.step_rank + 2.0 * a.state_dim, a.width, by_rows=True),
        Matrix("step", a.step_rank, a.width, a.width),
        Matrix("output", a.width, hidden, a.width, by_rows=True),
    ]


def other_weights(attention: AttentionKind | None) -> Real:
    """Weights of an attention layer that are no matrix products: convolutions, and the decays of a
    scan [1]."""
    match attention:
        case LinearAttention():
            return convolved_channels(attention) * attention.convolution
        case SelectiveScan():
            return attention.width * (
                attention.convolution + attention.state_dim + 3.0
            )  # and three biases of a channel
        case ShortConvolution():
            return attention.width * attention.taps
        case _:
            return jnp.zeros(())


def convolved_channels(a: LinearAttention) -> Real:
    """Channels of the convolution before linear attention: queries, keys and values [1]."""
    return 2.0 * a.key_heads * a.key_dim + a.value_heads * a.value_dim


def feed_forward_weights(part: FeedForwardKind | None, hidden: Real) -> Real:
    """Matrices of one MLP, or of all experts, the shared ones and the router [1]."""
    if part is None:
        return jnp.zeros_like(hidden)
    matrices = 3.0 if part.gated else 2.0
    if not isinstance(part, MixtureOfExperts):
        return matrices * hidden * part.width
    routed = part.experts * expert_weights(part, hidden)
    latent = 0.0 if part.latent_width is None else 2.0 * hidden * part.latent_width
    return routed + hidden * (matrices * part.shared_width + part.experts) + latent


def expert_weights(part: MixtureOfExperts, hidden: Real) -> Real:
    """Matrices of one routed expert [1]."""
    return (3.0 if part.gated else 2.0) * expert_input(part, hidden) * part.width


def expert_input(part: MixtureOfExperts, hidden: Real) -> Real:
    """Width of what travels to a routed expert and back [1]."""
    return hidden if part.latent_width is None else part.latent_width


def caches(attention: AttentionKind | None) -> list[Cache]:
    """What one layer keeps of every position; a layer that reads another's cache keeps nothing."""
    match attention:
        case GroupedAttention() if attention.own_cache:
            elements = attention.kv_heads * (attention.head_dim + attention.value_width)
            return [Cache(elements, attention.window), *_index_keys(attention.indexer)]
        case LatentAttention():
            return [
                Cache(attention.latent_rank + attention.rope_dim),
                *_index_keys(attention.indexer),
            ]
        case CompressedAttention():
            return [Cache(attention.head_dim, attention.window), *_compressed_entries(attention)]
        case _:
            return []


def _compressed_entries(attention: CompressedAttention) -> list[Cache]:
    part = attention.compression
    if part is None:
        return []
    return [Cache(attention.head_dim / part.ratio), *_index_keys(part.indexer, part.ratio)]


def _index_keys(indexer: Indexer | None, ratio: Number = 1.0) -> list[Cache]:
    return [] if indexer is None else [Cache(indexer.dim / ratio)]


def recurrent_elements(attention: AttentionKind | None) -> Real:
    """Elements of the recurrent state of one sequence in one layer [1]; the inputs of convolutions
    are not counted."""
    match attention:
        case LinearAttention():
            return attention.value_heads * attention.key_dim * attention.value_dim
        case SelectiveScan():
            return attention.width * attention.state_dim
        case _:
            return jnp.zeros(())


def convolution_elements(attention: AttentionKind | None) -> Real:
    """Inputs that the convolutions of one layer keep of one sequence [1]."""
    match attention:
        case LinearAttention():
            return convolved_channels(attention) * attention.convolution
        case SelectiveScan():
            return attention.width * attention.convolution
        case ShortConvolution():
            return attention.width * attention.taps
        case _:
            return jnp.zeros(())


def encoded_elements(attention: AttentionKind | None) -> Real:
    """Keys and values of encoded positions, kept of one sequence in one layer and only read [1]."""
    if isinstance(attention, CrossAttention):
        return 2.0 * attention.kv_heads * attention.head_dim * attention.positions
    return jnp.zeros(())
