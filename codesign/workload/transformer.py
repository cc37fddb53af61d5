"""A transformer by its dimensions: kinds of layers, each with an attention and a feed-forward part,
and how often.

Every dimension is a float leaf with a gradient, so a model can be designed together with its
machine. Kinds of attention are in ``attention``, of feed-forward parts in ``feed_forward``, what
they cost in ``operators``; reading a Hugging Face ``config.json`` is in ``config_json``.
"""

import equinox as eqx
import jax.numpy as jnp

from codesign.numerics.fields import Quantity, Real, optional_real, quantity
from codesign.workload.attention import (
    AttentionKind,
    CompressedAttention,
    Compression,
    CrossAttention,
    GroupedAttention,
    Indexer,
    LatentAttention,
    LinearAttention,
    SelectiveScan,
    ShortConvolution,
)
from codesign.workload.feed_forward import (
    FeedForward,
    FeedForwardKind,
    MixtureOfExperts,
    Routing,
)
from codesign.workload.operator import UNLIMITED

__all__ = [
    "LARGEST",
    "MOST_LAYERS",
    "UNLIMITED",
    "AttentionKind",
    "CompressedAttention",
    "Compression",
    "CrossAttention",
    "FeedForward",
    "FeedForwardKind",
    "GroupedAttention",
    "Indexer",
    "LatentAttention",
    "LayerKind",
    "LinearAttention",
    "MixtureOfExperts",
    "PerLayerEmbedding",
    "ResidualStreams",
    "Routing",
    "SelectiveScan",
    "ShortConvolution",
    "Transformer",
    "dense",
    "layer_count",
]

LARGEST = 10**12
"""No dimension that a file states is larger."""

MOST_LAYERS = 10_000
"""No model that a file states has more; readers look at layers one by one, and published models
have up to 126."""


class LayerKind(eqx.Module):
    """Equal layers, ``count`` of them; an attention-only or MLP-only layer leaves the other part
    ``None``.

    ``weight_sets``, if given, says how many of them have weights of their own; the others run
    through the same weights again (the shared blocks of Zamba 2).
    """

    attention: AttentionKind | None
    feed_forward: FeedForwardKind | None
    count: Quantity = quantity("1", "layers of this kind")
    weight_sets: Real | None = quantity(
        "1", "sets of weights that these layers share", default=None
    )

    def __check_init__(self) -> None:
        parts = (("attention", AttentionKind), ("feed_forward", FeedForwardKind))
        for name, expected in parts:
            part = getattr(self, name)
            if part is not None and not isinstance(part, expected):
                told = repr(part) if isinstance(part, str) else type(part).__name__
                raise TypeError(
                    f"{name} is {told}; expected None or a subclass of codesign.{expected.__name__}"
                )

    @property
    def stored_count(self) -> Real:
        """Layers whose weights are stored [1]."""
        return self.count if self.weight_sets is None else self.weight_sets


class ResidualStreams(eqx.Module):
    """Several residual streams instead of one, mixed before and after every layer.

    Hyper-connections of DeepSeek-V4 (mHC, arXiv 2512.24880) and AltUp of Gemma 3n. ``mixing``
    counts the weights of a layer per element of the model width, ``end_projections`` square
    matrices that make the streams and join them.
    """

    count: Quantity = quantity("1", "streams")
    mixing: Quantity = quantity("1", "mixing weights of a layer per element of the model width")
    end_projections: Quantity = quantity(
        "1", "matrices of hidden × hidden at the ends", default=0.0
    )


class PerLayerEmbedding(eqx.Module):
    """An embedding of ``width`` for every token and layer, looked up and added within the layers
    (Gemma 3n).

    The table is kept and hardly read; each layer has a gate and a projection, and shares one of the
    hidden state.
    """

    vocabulary: Quantity = quantity("1", "entries of the table")
    width: Quantity = quantity("1", "width of a layer's embedding")


class Transformer(eqx.Module):
    """A decoder-only transformer (dimensions are counts; no unit).

    ``nominal_parameters``, if given, replaces the exact count of the streamed weights, spread over
    the operators in proportion: papers that say "405e9 bytes of weights" mean that. ``positions``
    counts learned position embeddings. ``parallel_blocks`` adds attention and MLP of a layer side
    by side (GPT-J, Falcon), so that one all-reduce serves both.
    """

    layers: tuple[LayerKind, ...]
    hidden: Quantity = quantity("1", "model width")
    vocabulary: Quantity = quantity("1", "entries of the embedding table")
    positions: Quantity = quantity("1", "learned position embeddings", default=0.0)
    nominal_parameters: Real | None = eqx.field(converter=optional_real, default=None)
    streams: ResidualStreams | None = None
    per_layer_embedding: PerLayerEmbedding | None = None
    tied_embeddings: bool = eqx.field(static=True, default=False)
    parallel_blocks: bool = eqx.field(static=True, default=False)
    name: str = eqx.field(static=True, default="transformer")


def layer_count(model: Transformer) -> Real:
    """All layers of a model [1]."""
    return sum((kind.count for kind in model.layers), start=jnp.zeros(()))


def has_experts(model: Transformer) -> bool:
    """Whether any layer is a mixture of experts."""
    return bool(routings(model))


def routings(model: Transformer) -> list[Routing]:
    """How each kind of layer with experts deals tokens to them."""
    found = [
        kind.feed_forward.routing(model.hidden)
        for kind in model.layers
        if kind.feed_forward is not None
    ]
    return [routing for routing in found if routing is not None]


def dense(
    *,
    hidden: Real,
    layers: Real,
    heads: Real,
    kv_heads: Real,
    width: Real,
    vocabulary: Real,
    head_dim: Real | None = None,
    tied_embeddings: bool = False,
    name: str = "dense",
) -> Transformer:
    """Make a plain grouped-query transformer with a gated MLP (Llama, Mistral, Qwen2).

    Args:
        hidden: width of the model [1].
        layers: equal layers [1].
        heads, kv_heads: query and key-value heads [1].
        width: intermediate size of the MLP [1].
        vocabulary: entries of the embedding table [1].
        head_dim: width of a head [1]; ``hidden / heads`` unless told.
        tied_embeddings: whether one table serves input and output.
        name: for people.

    Returns:
        The transformer.

    >>> llama = dense(hidden=4096, layers=32, heads=32, kv_heads=8, width=14336, vocabulary=128256)
    >>> float(layer_count(llama))
    32.0
    """
    attention = GroupedAttention(
        heads=heads, kv_heads=kv_heads, head_dim=head_dim or hidden / heads
    )
    kind = LayerKind(count=layers, attention=attention, feed_forward=FeedForward(width=width))
    return Transformer(
        hidden=hidden,
        vocabulary=vocabulary,
        layers=(kind,),
        tied_embeddings=tied_embeddings,
        name=name,
    )


def no_model() -> Transformer:
    """A model without layers, for workloads whose operators are a table already."""
    return Transformer(layers=(), hidden=1.0, vocabulary=1.0)
