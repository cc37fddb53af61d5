"""Gemma 1 to 4: wide heads, windowed layers between global ones, and in 3n and 4 caches and
embeddings shared by layers.

Defaults are those of the ``configuration_*.py`` classes of Hugging Face transformers 4.57.1
(2025-10) and 5.24 (2026-11). Published files leave most fields to them.
"""

from collections.abc import Sequence
from typing import ClassVar

from codesign.workload.config_json.family import (
    Count,
    CountOrZero,
    Family,
    GroupedFamily,
    Part,
    Windowed,
    gated_mlp,
    layers_by_type,
    mixture,
    part,
)
from codesign.workload.transformer import PerLayerEmbedding, ResidualStreams

NOISE = frozenset({"query_pre_attn_scalar", "cache_implementation", "use_bidirectional_attention"})


class Gemma(GroupedFamily):
    """Gemma 1."""

    num_key_value_heads: Count | None = None
    head_dim: Count | None = 256
    tie_word_embeddings: bool = True
    ignored: ClassVar[frozenset[str]] = NOISE


class Gemma2(Windowed):
    """Gemma 2: windowed and global layers take turns, beginning with a windowed one."""

    head_dim: Count | None = 256
    sliding_window: CountOrZero | None = 4096
    tie_word_embeddings: bool = True
    ignored: ClassVar[frozenset[str]] = NOISE
    repeats: ClassVar[dict[str, str]] = {"sliding_window_size": "sliding_window"}

    def is_windowed(self, layer: int) -> bool:
        return layer % 2 == 0


class Gemma3(Windowed):
    """Gemma 3: a global layer after every five windowed ones."""

    vocab_size: Count = 262_208
    num_attention_heads: Count = 8
    num_key_value_heads: Count | None = 4
    head_dim: Count | None = 256
    sliding_window: CountOrZero | None = 4096
    sliding_window_pattern: Count = 6
    tie_word_embeddings: bool = True
    ignored: ClassVar[frozenset[str]] = NOISE

    def is_windowed(self, layer: int) -> bool:
        return (layer + 1) % self.sliding_window_pattern != 0


class SharedCache(Windowed):
    """Gemma 3n and 4: the last layers read the caches of earlier ones, and every layer has an
    embedding of its own."""

    vocab_size: Count = 262_144
    tie_word_embeddings: bool = True
    head_dim: Count | None = 256
    sliding_window: CountOrZero | None = 512
    num_kv_shared_layers: CountOrZero = 0
    hidden_size_per_layer_input: CountOrZero = 256
    vocab_size_per_layer_input: Count = 262_144

    def kinds(self, own_cache: bool) -> dict[str, Part]:
        """Kinds of attention by their name in ``layer_types``, with a cache of their own or
        without."""
        windowed = self.grouped(self.sliding_window or None, own_cache=own_cache)
        return {"full_attention": self.grouped(own_cache=own_cache), "sliding_attention": windowed}

    def attention(self) -> Sequence[Part | None]:
        layers = self.num_hidden_layers
        rule = [
            "sliding_attention" if self.is_windowed(i) else "full_attention" for i in range(layers)
        ]
        types = self.layer_types or rule
        own = layers_by_type("layer_types", types, layers, self.kinds(own_cache=True))
        shared = layers_by_type("layer_types", types, layers, self.kinds(own_cache=False))
        first = layers - self.num_kv_shared_layers
        return [*own[:first], *shared[first:]]

    def whole_model(self) -> dict[str, Part]:
        if not self.hidden_size_per_layer_input:
            return {}
        width, vocabulary = self.hidden_size_per_layer_input, self.vocab_size_per_layer_input
        return {"per_layer_embedding": part(PerLayerEmbedding, vocabulary=vocabulary, width=width)}


class Gemma3n(SharedCache):
    """Gemma 3n: four residual streams (AltUp), of which one runs through the layers, and a low-rank
    one beside (LAuReL)."""

    hidden_size: Count = 2048
    intermediate_size: Count | list[Count] = 16_384  # pyright: ignore[reportIncompatibleVariableOverride]
    num_hidden_layers: Count = 35
    num_attention_heads: Count = 8
    num_key_value_heads: Count | None = 2
    vocab_size: Count = 262_400
    num_kv_shared_layers: CountOrZero = 15
    altup_num_inputs: Count = 4
    laurel_rank: Count = 64
    ignored: ClassVar[frozenset[str]] = NOISE | {
        "activation_sparsity_pattern",
        "altup_active_idx",
        "altup_coef_clip",
        "altup_correct_scale",
        "altup_lr_multiplier",
        "laurel_skip_scale",
        "sliding_window_pattern",
    }

    def is_windowed(self, layer: int) -> bool:
        return (layer + 1) % 5 != 0

    def feed_forward(self) -> Sequence[Part | None]:
        widths = self.intermediate_size
        widths = [widths] * self.num_hidden_layers if isinstance(widths, int) else widths
        if len(widths) != self.num_hidden_layers:
            raise ValueError(
                f"intermediate_size has {len(widths)} entries, expected one for each of the"
                f" {self.num_hidden_layers} layers"
            )
        return [gated_mlp(width) for width in widths]

    def whole_model(self) -> dict[str, Part]:
        streams = self.altup_num_inputs
        mixing, ends = streams + 2 * self.laurel_rank, 2 * (streams - 1)
        return {
            **super().whole_model(),
            "streams": part(ResidualStreams, count=streams, mixing=mixing, end_projections=ends),
        }


class Gemma4(SharedCache):
    """Gemma 4: wider heads in global layers, which may use keys as values; experts beside the dense
    MLP, or none."""

    num_key_value_heads: Count | None = 4
    global_head_dim: Count = 512
    num_global_key_value_heads: Count | None = None
    attention_k_eq_v: bool = False
    enable_moe_block: bool = False
    use_double_wide_mlp: bool = False
    num_experts: Count | None = None
    num_experts_per_tok: Count | None = None
    moe_intermediate_size: Count | None = None
    per_layer_config: dict[str, dict[str, object]] | None = None
    ignored: ClassVar[frozenset[str]] = NOISE | {"expert_intermediate_size"}

    def wide(self) -> dict[str, object]:
        """What global layers have of their own: named fields, or those that transformers 5 writes
        for every layer."""
        by_layer = {str(sorted(own.items())): own for own in (self.per_layer_config or {}).values()}
        if len(by_layer) > 1 or any(
            own.keys() - {"head_dim", "num_key_value_heads"} for own in by_layer.values()
        ):
            raise ValueError(
                "per_layer_config differs between layers, expected one head_dim and one"
                " num_key_value_heads for all it names"
            )
        heads = self.num_global_key_value_heads if self.attention_k_eq_v else None
        own = next(iter(by_layer.values()), {})
        return {
            "head_dim": self.global_head_dim,
            "num_key_value_heads": heads or self.num_key_value_heads,
            **own,
        }

    def is_windowed(self, layer: int) -> bool:
        return (layer + 1) % 6 != 0 and layer != self.num_hidden_layers - 1

    def kinds(self, own_cache: bool) -> dict[str, Part]:
        full = GroupedFamily.grouped(
            self.model_copy(update=self.wide()),
            own_cache=own_cache,
            own_values=not self.attention_k_eq_v,
        )
        return {
            "full_attention": full,
            "sliding_attention": self.grouped(self.sliding_window or None, own_cache=own_cache),
        }

    def feed_forward(self) -> Sequence[Part | None]:
        layers, width = self.num_hidden_layers, self.intermediate_size
        if self.enable_moe_block:
            if (
                self.num_experts is None
                or self.num_experts_per_tok is None
                or self.moe_intermediate_size is None
            ):
                raise ValueError(
                    "enable_moe_block = True, expected num_experts, top_k_experts and"
                    " moe_intermediate_size with it"
                )
            return [
                mixture(
                    self.num_experts, self.num_experts_per_tok, self.moe_intermediate_size, width
                )
            ] * layers
        double = (
            self.num_kv_shared_layers if self.use_double_wide_mlp else 0
        )  # only layers without a cache of their own
        return [gated_mlp(width)] * (layers - double) + [gated_mlp(2 * width)] * double


FAMILIES: dict[str, type[Family]] = {
    "gemma": Gemma,
    **dict.fromkeys(("gemma2", "vaultgemma"), Gemma2),
    "gemma3_text": Gemma3,
    "gemma3n_text": Gemma3n,
    "gemma4_text": Gemma4,
}
