"""What every model family shares: checked fields, layers in Python numbers, and how equal layers
are grouped.

A family is the table of one ``model_type``: the fields that change cost as attributes, and which
attention and which feed-forward part each layer has. What else a file may hold is judged by
``refusal``.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from codesign.numerics.fields import real
from codesign.workload.config_json.refusal import refuse_value
from codesign.workload.transformer import (
    LARGEST,
    FeedForward,
    GroupedAttention,
    LayerKind,
    MixtureOfExperts,
    Transformer,
)

Count = Annotated[int, Field(gt=0, le=LARGEST, strict=True)]
CountOrZero = Annotated[int, Field(ge=0, le=LARGEST, strict=True)]


Choice = TypeVar("Choice", str, int, bool)


class Part(NamedTuple):
    """Half a layer, not yet built: arrays cannot be compared or counted, Python numbers can."""

    module: Callable[..., Any]
    dimensions: tuple[tuple[str, object], ...]

    def build(self) -> Any:
        """The pytree of this part, and of the parts within it."""
        return self.module(
            **{
                name: value.build() if isinstance(value, Part) else value
                for name, value in self.dimensions
            }
        )


Layer = tuple[Part | None, Part | None]
"""Attention and feed-forward part of a layer, either of which may be missing."""


def part(module: Callable[..., Any], **dimensions: object) -> Part:
    """A part by its class and dimensions, of which ``None`` are left out; two parts are equal when
    both are."""
    return Part(
        module,
        tuple(sorted((name, value) for name, value in dimensions.items() if value is not None)),
    )


class Family(BaseModel):
    """The fields of one ``model_type`` that change cost.

    ``ignored`` names fields that sound like cost and are none; ``repeats`` those that must say the
    same as another; ``needs`` fields with the one value that is understood, so that any other is
    refused by name.
    """

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False, defer_build=True)
    ignored: ClassVar[frozenset[str]] = frozenset()
    repeats: ClassVar[dict[str, str]] = {}
    needs: ClassVar[Mapping[str, tuple[object, ...]]] = {}
    parallel: ClassVar[bool] = False
    """whether attention and MLP of a layer run side by side"""

    hidden_size: Count
    num_hidden_layers: Count
    vocab_size: Count
    tie_word_embeddings: bool = False
    max_position_embeddings: CountOrZero | None = None

    def layers(self) -> Sequence[Layer]:
        """All layers in order."""
        return list(zip(self.attention(), self.feed_forward(), strict=True))

    def attention(self) -> Sequence[Part | None]:
        """One part per layer."""
        raise NotImplementedError

    def feed_forward(self) -> Sequence[Part | None]:
        """One part per layer."""
        raise NotImplementedError

    def positions(self) -> int:
        """Rows of a learned position table."""
        return 0

    def parallel_blocks(self) -> bool:
        """Whether attention and MLP of a layer run side by side and share one all-reduce."""
        return self.parallel

    def whole_model(self) -> dict[str, Part]:
        """What belongs to no layer: residual streams, embeddings of every layer."""
        return {}

    def weight_sets(self) -> Mapping[Layer, int]:
        """Sets of weights of the layers that share them."""
        return {}

    def transformer(self, name: str) -> Transformer:
        """Group equal layers, in order of first appearance, and build."""
        counts, shared = Counter(self.layers()), self.weight_sets()
        layers = tuple(
            LayerKind(
                count=real(count),
                attention=layer[0] and layer[0].build(),
                feed_forward=layer[1] and layer[1].build(),
                weight_sets=shared.get(layer),
            )
            for layer, count in counts.items()
            if layer != (None, None)
        )
        return Transformer(
            hidden=real(self.hidden_size),
            vocabulary=real(self.vocab_size),
            layers=layers,
            positions=real(self.positions()),
            tied_embeddings=self.tie_word_embeddings,
            parallel_blocks=self.parallel_blocks(),
            name=name,
            **{name: whole.build() for name, whole in self.whole_model().items()},
        )


class GroupedFamily(Family):
    """Grouped-query attention and an MLP in every layer, with the field names that most families
    use.

    ``num_key_value_heads: null`` gives every head its own. ``gated_mlp`` says whether the MLP has
    three matrices.
    """

    gated_mlp: ClassVar[bool] = True
    gated_attention: ClassVar[bool] = False

    num_attention_heads: Count
    num_key_value_heads: Count | None
    head_dim: Count | None = None
    intermediate_size: Count

    def width_of_a_head(self) -> int:
        """``head_dim``, or the hidden size divided by the heads."""
        if self.head_dim is not None:
            return self.head_dim
        return exact_share(self, "hidden_size", "num_attention_heads")

    def grouped(
        self, window: int | None = None, gated: bool | None = None, **others: object
    ) -> Part:
        """Attention with these heads, over the whole context or a window of it; one that reaches
        its end is none."""
        limit = self.max_position_embeddings
        window = None if window and limit and window >= limit else window
        if self.num_key_value_heads is None:
            kv_heads = self.num_attention_heads
        else:
            kv_heads = self.num_key_value_heads
            exact_share(self, "num_attention_heads", "num_key_value_heads")
        return grouped_attention(
            self.num_attention_heads,
            kv_heads,
            self.width_of_a_head(),
            window,
            gated=self.gated_attention if gated is None else gated,
            **others,
        )

    def mlp(self, width: int | None = None) -> Part:
        """The family's MLP, of the usual width unless told."""
        return part(FeedForward, width=width or self.intermediate_size, gated=self.gated_mlp)

    def attention(self) -> Sequence[Part | None]:
        return [self.grouped()] * self.num_hidden_layers

    def feed_forward(self) -> Sequence[Part | None]:
        return [self.mlp()] * self.num_hidden_layers


class Windowed(GroupedFamily):
    """Some layers see a window only: an explicit ``layer_types``, else a rule of the family; a
    window of 0 is none."""

    layer_types: list[str] | None = None
    sliding_window: CountOrZero | None = None

    def is_windowed(self, layer: int) -> bool:
        """The rule of the family for a layer counted from zero."""
        raise NotImplementedError

    def attention_choices(self) -> dict[str, Part]:
        """Kinds of attention by their name in ``layer_types``."""
        windowed = self.grouped(self.sliding_window or None)
        return {"full_attention": self.grouped(), "sliding_attention": windowed}

    def attention(self) -> Sequence[Part | None]:
        rule = [
            "sliding_attention" if self.is_windowed(i) else "full_attention"
            for i in range(self.num_hidden_layers)
        ]
        return layers_by_type(
            "layer_types",
            self.layer_types or rule,
            self.num_hidden_layers,
            self.attention_choices(),
        )


def grouped_attention(
    heads: int,
    kv_heads: int,
    head_dim: int,
    window: int | None = None,
    gated: bool = False,
    **others: object,
) -> Part:
    """Grouped attention; no window means that every position is seen."""
    return part(
        GroupedAttention,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        window=window,
        gated=gated,
        **others,
    )


def gated_mlp(width: int) -> Part:
    """Three matrices: SwiGLU or GeGLU."""
    return part(FeedForward, width=width, gated=True)


def plain_mlp(width: int) -> Part:
    """Two matrices."""
    return part(FeedForward, width=width, gated=False)


def mixture(
    experts: int,
    active: float,
    width: int,
    shared_width: int = 0,
    gated: bool = True,
    latent: int | None = None,
) -> Part:
    """Experts; no token can be sent to more experts than there are."""
    if active > experts:
        raise ValueError(
            f"a token is sent to {active} experts, expected at most the {experts} that the"
            " model has"
        )
    shared = {"shared_width": shared_width, "has_shared": shared_width > 0}
    return part(
        MixtureOfExperts,
        experts=experts,
        active=active,
        width=width,
        gated=gated,
        latent_width=latent,
        **shared,
    )


def exact_share(family: Family, whole: str, parts: str) -> int:
    """``whole / parts``, refused unless it is a whole number."""
    total, count = getattr(family, whole), getattr(family, parts)
    if total % count:
        raise ValueError(
            f"{parts} = {count} does not divide {whole} = {total}, expected a divisor of it"
        )
    return total // count


def layers_by_type(
    field: str,
    values: Sequence[Choice],
    layers: int,
    choices: Mapping[Choice, Part] | Mapping[Choice, Part | None],
) -> list[Part | None]:
    """One part per layer from an explicit list such as ``layer_types``; unknown entries are refused
    by name."""
    if len(values) != layers:
        raise ValueError(
            f"{field} has {len(values)} entries, expected one for each of the {layers} layers"
        )
    for index, value in enumerate(values):
        if value not in choices:
            raise refuse_value(f"{field}[{index}]", value, list(choices))
    return [choices[value] for value in values]
