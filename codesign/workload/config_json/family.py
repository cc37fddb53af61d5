"""What every model family shares: checked fields, layers in Python numbers, and how equal layers are grouped."""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from codesign.numerics.fields import real
from codesign.workload.config_json.refusal import refuse_value
from codesign.workload.transformer import FeedForward, GroupedAttention, LayerKind, MixtureOfExperts, Transformer

LARGEST = 10**12
Count = Annotated[int, Field(gt=0, le=LARGEST, strict=True)]
CountOrZero = Annotated[int, Field(ge=0, le=LARGEST, strict=True)]


class Part(NamedTuple):
    """Half a layer, not yet built: arrays cannot be compared or counted, Python numbers can."""

    module: type
    dimensions: tuple[tuple[str, Any], ...]

    def build(self) -> Any:
        """The pytree of this part."""
        return self.module(**dict(self.dimensions))


def part(module: type, **dimensions: float | bool) -> Part:
    """A part by its class and dimensions; two parts are equal when both are."""
    return Part(module, tuple(sorted(dimensions.items())))


class Family(BaseModel):
    """The fields of one ``model_type`` that change cost; what else a file may hold is judged by ``refusal``.

    Subclasses say which attention and which feed-forward part each layer has. ``ignored`` names fields that sound like
    cost and are none; ``repeats`` those that must say the same as another.
    """

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)
    ignored: ClassVar[frozenset[str]] = frozenset()
    repeats: ClassVar[dict[str, str]] = {}

    hidden_size: Count
    num_hidden_layers: Count
    vocab_size: Count
    tie_word_embeddings: bool = False

    def attention(self) -> Sequence[Part]:
        """One part per layer."""
        raise NotImplementedError

    def feed_forward(self) -> Sequence[Part]:
        """One part per layer."""
        raise NotImplementedError

    def positions(self) -> int:
        """Rows of a learned position table."""
        return 0

    def parallel_blocks(self) -> bool:
        """Whether attention and MLP of a layer run side by side and share one all-reduce."""
        return False

    def transformer(self, name: str) -> Transformer:
        """Group equal layers, in order of first appearance, and build."""
        counts = Counter(zip(self.attention(), self.feed_forward(), strict=True))
        layers = tuple(
            LayerKind(count=real(count), attention=attention.build(), feed_forward=feed_forward.build())
            for (attention, feed_forward), count in counts.items()
        )
        return Transformer(
            hidden=real(self.hidden_size),
            vocabulary=real(self.vocab_size),
            layers=layers,
            positions=real(self.positions()),
            tied_embeddings=self.tie_word_embeddings,
            parallel_blocks=self.parallel_blocks(),
            name=name,
        )


class GroupedFamily(Family):
    """Grouped-query attention and a gated MLP in every layer, with the field names that most families use.

    ``num_key_value_heads: null`` gives every head its own.
    """

    num_attention_heads: Count
    num_key_value_heads: Count | None
    head_dim: Count | None = None
    intermediate_size: Count

    def width_of_a_head(self) -> int:
        """``head_dim``, or the hidden size divided by the heads."""
        if self.head_dim is not None:
            return self.head_dim
        return exact_share(self, "hidden_size", "num_attention_heads")

    def grouped(self, window: int | None = None, gated: bool = False) -> Part:
        """Attention with these heads, over the whole context or a window of it."""
        if self.num_key_value_heads is None:
            kv_heads = self.num_attention_heads
        else:
            kv_heads = self.num_key_value_heads
            exact_share(self, "num_attention_heads", "num_key_value_heads")
        return grouped_attention(self.num_attention_heads, kv_heads, self.width_of_a_head(), window, gated)

    def attention(self) -> Sequence[Part]:
        return [self.grouped()] * self.num_hidden_layers

    def feed_forward(self) -> Sequence[Part]:
        return [gated_mlp(self.intermediate_size)] * self.num_hidden_layers


def grouped_attention(
    heads: int, kv_heads: int, head_dim: int, window: int | None = None, gated: bool = False
) -> Part:  # fmt: skip
    """Grouped attention; no window means that every position is seen."""
    limit = {} if window is None else {"window": window}
    return part(GroupedAttention, heads=heads, kv_heads=kv_heads, head_dim=head_dim, gated=gated, **limit)


def gated_mlp(width: int) -> Part:
    """Three matrices: SwiGLU or GeGLU."""
    return part(FeedForward, width=width, gated=True)


def plain_mlp(width: int) -> Part:
    """Two matrices."""
    return part(FeedForward, width=width, gated=False)


def mixture(experts: int, active: int, width: int, shared_width: int = 0) -> Part:
    """Gated experts; no token can be sent to more experts than there are."""
    if active > experts:
        raise ValueError(f"a token is sent to {active} experts, expected at most the {experts} that the model has")
    shared = {"shared_width": shared_width, "has_shared": shared_width > 0}
    return part(MixtureOfExperts, experts=experts, active=active, width=width, **shared)


def exact_share(family: Family, whole: str, parts: str) -> int:
    """``whole / parts``, refused unless it is a whole number."""
    total, count = getattr(family, whole), getattr(family, parts)
    if total % count:
        raise ValueError(f"{parts} = {count} does not divide {whole} = {total}, expected a divisor of it")
    return total // count


def layers_by_type(field: str, values: Sequence[Any], layers: int, choices: dict[Any, Part]) -> list[Part]:
    """One part per layer from an explicit list such as ``layer_types``; unknown entries are refused by name."""
    if len(values) != layers:
        raise ValueError(f"{field} has {len(values)} entries, expected one for each of the {layers} layers")
    for index, value in enumerate(values):
        if value not in choices:
            raise refuse_value(f"{field}[{index}]", value, list(choices))
    return [choices[value] for value in values]
