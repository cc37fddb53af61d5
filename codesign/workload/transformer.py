"""A transformer by its dimensions: kinds of layers, each with an attention and a feed-forward part, and how often.

Every dimension is a float leaf with a gradient, so a model can be designed together with its machine. What the parts
cost is in ``operators``; reading a Hugging Face ``config.json`` is in ``config_json``.
"""

from typing import TypeAlias

import equinox as eqx
import jax.numpy as jnp

from codesign.numerics.fields import Number, Real, quantity, real

UNLIMITED = 1e18
"""A window that never binds. Finite, so that padded rows times zero stay zero."""


class GroupedAttention(eqx.Module):
    """Multi-head (kv_heads = heads), multi-query (1) and grouped-query attention, with an optional sliding window.

    ``window`` limits what is read *and* kept. ``gated`` adds an output gate as wide as the queries (Qwen3-Next).
    """

    heads: Real = quantity("1", "query heads")
    kv_heads: Real = quantity("1", "key-value heads")
    head_dim: Real = quantity("1", "width of a head")
    window: Real = quantity("1", "positions a token can see", default=UNLIMITED)
    gated: bool = eqx.field(static=True, default=False)


class LatentAttention(eqx.Module):
    """Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434 §2.1), optionally sparse (V3.2: top-k with indexer).

    The cache holds ``latent_rank + rope_dim`` elements a position, shared by all heads. ``query_rank = 0`` means that
    queries are projected in one step. ``latent_reads`` is how often a decode kernel streams the latent: once when scores
    and values are fused (FlashMLA), twice otherwise. ``top_k`` limits what is read, not what is kept. ``has_indexer = False``
    leaves the indexer's operators out of the table, which only makes it shorter.
    """

    heads: Real = quantity("1", "heads")
    latent_rank: Real = quantity("1", "width of the cached latent (kv_lora_rank)")
    rope_dim: Real = quantity("1", "rotary part of a head, cached once")
    nope_dim: Real = quantity("1", "non-rotary part of a head")
    value_dim: Real = quantity("1", "width of a value head")
    query_rank: Real = quantity("1", "width of the query latent, 0 for none", default=0.0)
    latent_reads: Real = quantity("1", "times a decode step streams the latent", default=1.0)
    top_k: Real = quantity("1", "positions the indexer keeps", default=UNLIMITED)
    indexer_heads: Real = quantity("1", "heads of the indexer, 0 for none", default=0.0)
    indexer_dim: Real = quantity("1", "width of an indexer head", default=0.0)
    has_indexer: bool = eqx.field(static=True, default=True)


class LinearAttention(eqx.Module):
    """Linear attention with a recurrent state of constant size (gated delta net, lightning attention).

    The state holds ``value_heads · key_dim · value_dim`` elements a sequence, read and written at every step, whatever the
    context. ``convolution`` is the width of the causal convolution before it (0 for none).
    """

    key_heads: Real = quantity("1", "key heads")
    value_heads: Real = quantity("1", "value heads")
    key_dim: Real = quantity("1", "width of a key head")
    value_dim: Real = quantity("1", "width of a value head")
    convolution: Real = quantity("1", "taps of the causal convolution", default=0.0)
    gated: bool = eqx.field(static=True, default=True)


class FeedForward(eqx.Module):
    """A dense MLP; ``gated`` has three matrices (SwiGLU, GeGLU), otherwise two."""

    width: Real = quantity("1", "intermediate size")
    gated: bool = eqx.field(static=True, default=True)


class MixtureOfExperts(eqx.Module):
    """Routed experts, of which ``active`` serve each token, and an optional shared expert that serves all.

    ``has_shared = False`` leaves the shared expert's operators out of the table, which only makes it shorter.
    """

    experts: Real = quantity("1", "routed experts")
    active: Real = quantity("1", "experts a token is sent to")
    width: Real = quantity("1", "intermediate size of one routed expert")
    shared_width: Real = quantity("1", "intermediate size of all shared experts together", default=0.0)
    gated: bool = eqx.field(static=True, default=True)
    has_shared: bool = eqx.field(static=True, default=True)


AttentionKind: TypeAlias = GroupedAttention | LatentAttention | LinearAttention
FeedForwardKind: TypeAlias = FeedForward | MixtureOfExperts


class LayerKind(eqx.Module):
    """``count`` equal layers; an attention-only or MLP-only layer leaves the other part ``None``."""

    attention: AttentionKind | None
    feed_forward: FeedForwardKind | None
    count: Real = quantity("1", "layers of this kind")


class Transformer(eqx.Module):
    """A decoder-only transformer (dimensions are counts; no unit).

    ``nominal_parameters``, if given, replaces the exact count of the streamed weights, spread over the operators in
    proportion: papers that say "405e9 bytes of weights" mean that. ``positions`` counts learned position embeddings.
    ``parallel_blocks`` adds attention and MLP of a layer side by side (GPT-J, Falcon), so that one all-reduce serves both.
    """

    layers: tuple[LayerKind, ...]
    hidden: Real = quantity("1", "model width")
    vocabulary: Real = quantity("1", "entries of the embedding table")
    positions: Real = quantity("1", "learned position embeddings", default=0.0)
    nominal_parameters: Real | None = eqx.field(converter=lambda x: None if x is None else real(x), default=None)
    tied_embeddings: bool = eqx.field(static=True, default=False)
    parallel_blocks: bool = eqx.field(static=True, default=False)
    name: str = eqx.field(static=True, default="transformer")


def layer_count(model: Transformer) -> Real:
    """All layers of a model [1]."""
    return sum((kind.count for kind in model.layers), start=jnp.zeros(()))


def dense(
    *, hidden: Number, layers: Number, heads: Number, kv_heads: Number, width: Number, vocabulary: Number,
    head_dim: Number | None = None, tied_embeddings: bool = False, name: str = "dense",
) -> Transformer:  # fmt: skip
    """A plain grouped-query transformer with a gated MLP (Llama, Mistral, Qwen2).

    >>> llama = dense(hidden=4096, layers=32, heads=32, kv_heads=8, width=14336, vocabulary=128256)
    >>> float(layer_count(llama))
    32.0
    """
    attention = GroupedAttention(heads=heads, kv_heads=kv_heads, head_dim=head_dim or hidden / heads)
    kind = LayerKind(count=layers, attention=attention, feed_forward=FeedForward(width=width))
    return Transformer(hidden=hidden, vocabulary=vocabulary, layers=(kind,), tied_embeddings=tied_embeddings, name=name)
