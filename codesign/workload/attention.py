"""Kinds of attention, and what stands in its place: recurrent states, scans and convolutions.

Each kind is its dimensions, floats with a gradient, and a few switches. Pieces that several kinds
share (an indexer, a compression of the cache) are modules of their own, ``None`` where a model has
none. Their matrices and caches are in ``shapes``, what they cost in ``layer_operators``.
"""

from typing import TypeAlias

import equinox as eqx

from codesign.numerics.fields import Real, quantity

UNLIMITED = 1e18
"""A window that never binds. Finite, so that padded rows times zero stay zero."""


class Indexer(eqx.Module):
    """Narrow heads that score every cached position with one shared key, so that attention reads
    the best only.

    The lightning indexer of DeepSeek-V3.2-Exp (technical report, 2025-09, eq. 1); ``weighted``
    projects a weight for each of its heads from the hidden state, which MiniMax-M3 does without.
    """

    heads: Real = quantity("1", "heads of the indexer")
    dim: Real = quantity("1", "width of an indexer head, and of its cached key")
    weighted: bool = eqx.field(static=True, default=True)


class GroupedAttention(eqx.Module):
    """Multi-head (kv_heads = heads), multi-query (1) and grouped-query attention.

    ``window`` limits what is read *and* kept, ``top_k`` (with an indexer or block scores) only what
    is read. ``value_dim`` is given where values are not as wide as keys (MiMo-V2), ``input_width``
    where queries, keys and values are projected from more than the hidden state (Zamba 2, of it and
    the embedding). ``gated`` adds an output gate as wide as the values of all heads (Qwen3-Next).
    Without ``own_values`` one projection serves as key and value, which are cached both (Gemma 4,
    global layers). Without ``own_cache`` a layer reads what an earlier one wrote, and has no key
    and value projections (Gemma 3n).
    """

    heads: Real = quantity("1", "query heads")
    kv_heads: Real = quantity("1", "key-value heads")
    head_dim: Real = quantity("1", "width of a query or key head")
    window: Real = quantity("1", "positions a token can see", default=UNLIMITED)
    top_k: Real = quantity("1", "positions a token reads of those it sees", default=UNLIMITED)
    value_dim: Real | None = quantity(
        "1", "width of a value head where it is not that of a key", default=None
    )
    input_width: Real | None = quantity(
        "1", "width of what is projected where it is not the model's", default=None
    )
    indexer: Indexer | None = None
    gated: bool = eqx.field(static=True, default=False)
    own_values: bool = eqx.field(static=True, default=True)
    own_cache: bool = eqx.field(static=True, default=True)

    @property
    def value_width(self) -> Real:
        """Width of a value head [1]."""
        return self.head_dim if self.value_dim is None else self.value_dim


class CrossAttention(eqx.Module):
    """Attention to the encoded positions of something else, an image say (Llama 3.2 Vision).

    Their keys and values are made once for a request and then only read: ``positions = 0``, text
    alone, keeps nothing. The prefill of the encoded positions is no part of a step.
    """

    heads: Real = quantity("1", "query heads")
    kv_heads: Real = quantity("1", "key-value heads")
    head_dim: Real = quantity("1", "width of a head")
    positions: Real = quantity("1", "encoded positions of a sequence", default=0.0)


class LatentAttention(eqx.Module):
    """Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434 §2.1), optionally sparse (V3.2:
    top-k with indexer).

    The cache holds ``latent_rank + rope_dim`` elements a position, shared by all heads.
    ``query_rank = 0`` means that queries are projected in one step. ``latent_reads`` is how often a
    decode kernel streams the latent: once when scores and values are fused (FlashMLA), twice
    otherwise. ``top_k`` limits what is read, not what is kept; a layer may have it and no indexer
    of its own, and reads the positions that an earlier layer chose (GLM-5.2). ``gated`` adds an
    output gate as wide as the values of all heads (Kimi-K3).
    """

    heads: Real = quantity("1", "heads")
    latent_rank: Real = quantity("1", "width of the cached latent (kv_lora_rank)")
    rope_dim: Real = quantity("1", "rotary part of a head, cached once")
    nope_dim: Real = quantity("1", "non-rotary part of a head")
    value_dim: Real = quantity("1", "width of a value head")
    query_rank: Real = quantity("1", "width of the query latent, 0 for none", default=0.0)
    latent_reads: Real = quantity("1", "times a decode step streams the latent", default=1.0)
    top_k: Real = quantity("1", "positions the indexer keeps", default=UNLIMITED)
    indexer: Indexer | None = None
    gated: bool = eqx.field(static=True, default=False)


class Compression(eqx.Module):
    """A cache that keeps one entry for every ``ratio`` positions (DeepSeek-V4: 4, sparse; 128, all
    of it read).

    ``top_k`` entries are read. ``overlapping`` entries are made of two windows, with projections
    twice as wide.
    """

    ratio: Real = quantity("1", "positions to an entry")
    top_k: Real = quantity("1", "entries that a token reads", default=UNLIMITED)
    indexer: Indexer | None = None
    overlapping: bool = eqx.field(static=True, default=False)


class CompressedAttention(eqx.Module):
    """Attention with one head that is key and value in one, over a short window and a compressed
    rest (DeepSeek-V4).

    Queries come from a latent; the output is projected in ``output_groups`` groups of heads to
    ``output_rank`` each, and from there to the model width.
    """

    heads: Real = quantity("1", "query heads")
    head_dim: Real = quantity("1", "width of a head, and of a cached entry")
    query_rank: Real = quantity("1", "width of the query latent")
    output_groups: Real = quantity("1", "groups of heads of the output projection")
    output_rank: Real = quantity("1", "width of one group's output")
    window: Real = quantity("1", "latest positions, which are read as they are")
    compression: Compression | None = None


class LinearAttention(eqx.Module):
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

    key_heads: Real = quantity("1", "key heads")
    value_heads: Real = quantity("1", "value heads")
    key_dim: Real = quantity("1", "width of a key head")
    value_dim: Real = quantity("1", "width of a value head")
    convolution: Real = quantity("1", "taps of the causal convolution", default=0.0)
    controls: Real = quantity("1", "further outputs of the input projection", default=0.0)
    decay_rank: Real | None = quantity("1", "rank of the decay's projection", default=None)
    gate_rank: Real | None = quantity("1", "rank of the output gate's projection", default=None)
    gated: bool = eqx.field(static=True, default=True)
    delta: bool = eqx.field(static=True, default=True)


class SelectiveScan(eqx.Module):
    """Mamba-1 (arXiv 2312.00752 §3): a diagonal state of ``width · state_dim`` elements with
    input-dependent steps."""

    width: Real = quantity("1", "channels")
    state_dim: Real = quantity("1", "state of a channel")
    step_rank: Real = quantity("1", "rank of the step's projection")
    convolution: Real = quantity("1", "taps of the causal convolution")


class ShortConvolution(eqx.Module):
    """A gated causal convolution in place of attention (LFM2): the last ``taps`` inputs are all it
    keeps."""

    width: Real = quantity("1", "channels")
    taps: Real = quantity("1", "taps of the convolution")


AttentionKind: TypeAlias = (
    GroupedAttention
    | CrossAttention
    | LatentAttention
    | CompressedAttention
    | LinearAttention
    | SelectiveScan
    | ShortConvolution
)
