"""Dense families: every token passes through the same MLP.

Defaults are those of the ``configuration_*.py`` classes of Hugging Face transformers 4.57.1 (2025-10).
"""

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from codesign.workload.config_json.family import (
    Count,
    CountOrZero,
    Family,
    GroupedFamily,
    Part,
    exact_share,
    grouped_attention,
    layers_by_type,
    plain_mlp,
)
from codesign.workload.config_json.refusal import refuse_value


class Llama(GroupedFamily):
    """Llama 1 to 3.3; the first files do not name ``num_key_value_heads``, for every head has its own."""

    num_key_value_heads: Count | None = None


class Mistral(GroupedFamily):
    """Mistral 7B and its kin; only version 0.1 has a window, and an absent field means the default one."""

    sliding_window: Count | None = 4096

    def attention(self) -> Sequence[Part]:
        return [self.grouped(self.sliding_window)] * self.num_hidden_layers


class Windowed(GroupedFamily):
    """Some layers see a window only: an explicit ``layer_types``, else a rule of the family."""

    layer_types: list[str] | None = None
    sliding_window: Count | None = None

    def is_windowed(self, layer: int) -> bool:
        """The rule of the family for a layer counted from zero."""
        raise NotImplementedError

    def attention(self) -> Sequence[Part]:
        rule = ["sliding_attention" if self.is_windowed(i) else "full_attention" for i in range(self.num_hidden_layers)]
        choices = {"full_attention": self.grouped(), "sliding_attention": self.grouped(self.sliding_window)}
        return layers_by_type("layer_types", self.layer_types or rule, self.num_hidden_layers, choices)


class Qwen2(Windowed):
    """Qwen2, Qwen2.5: no window unless ``use_sliding_window``; then in the layers from ``max_window_layers`` on."""

    use_sliding_window: bool = False
    max_window_layers: CountOrZero = 28
    sliding_window: Count | None = 4096

    def is_windowed(self, layer: int) -> bool:
        return self.use_sliding_window and layer >= self.max_window_layers


class Qwen3(Qwen2):
    """As Qwen2, with heads of 128 unless told otherwise."""

    head_dim: Count | None = 128


class Phi3(Llama):
    """Phi-3: the same window in every layer, or none."""

    sliding_window: Count | None = None

    def attention(self) -> Sequence[Part]:
        return [self.grouped(self.sliding_window)] * self.num_hidden_layers


class Gemma2(Windowed):
    """Gemma 2: windowed and global layers take turns, beginning with a windowed one."""

    head_dim: Count | None = 256
    sliding_window: Count | None = 4096
    tie_word_embeddings: bool = True
    ignored: ClassVar[frozenset[str]] = frozenset({"query_pre_attn_scalar", "cache_implementation"})
    repeats: ClassVar[dict[str, str]] = {"sliding_window_size": "sliding_window"}

    def is_windowed(self, layer: int) -> bool:
        return layer % 2 == 0


class Gemma3(Windowed):
    """Gemma 3: a global layer after every five windowed ones. Published files leave most fields to the defaults."""

    vocab_size: Count = 262_208
    num_attention_heads: Count = 8
    num_key_value_heads: Count | None = 4
    head_dim: Count | None = 256
    sliding_window: Count | None = 4096
    sliding_window_pattern: Count = 6
    tie_word_embeddings: bool = True
    ignored: ClassVar[frozenset[str]] = frozenset({"query_pre_attn_scalar", "cache_implementation"})

    def is_windowed(self, layer: int) -> bool:
        return (layer + 1) % self.sliding_window_pattern != 0


class Opt(Family):
    """OPT: multi-head attention, a plain MLP and a learned position table with two rows of offset."""

    num_attention_heads: Count
    ffn_dim: Count
    max_position_embeddings: Count
    word_embed_proj_dim: Count | None = None
    tie_word_embeddings: bool = True
    ignored: ClassVar[frozenset[str]] = frozenset({"layerdrop", "do_layer_norm_before", "layer_norm_elementwise_affine"})

    def attention(self) -> Sequence[Part]:
        head_dim = exact_share(self, "hidden_size", "num_attention_heads")
        if self.word_embed_proj_dim not in (None, self.hidden_size):
            raise refuse_value("word_embed_proj_dim", self.word_embed_proj_dim, [self.hidden_size])
        return [grouped_attention(self.num_attention_heads, self.num_attention_heads, head_dim)] * self.num_hidden_layers

    def feed_forward(self) -> Sequence[Part]:
        return [plain_mlp(self.ffn_dim)] * self.num_hidden_layers

    def positions(self) -> int:
        return self.max_position_embeddings + 2


class Gpt2(Family):
    """GPT-2, and GPT-3 written in its field names: multi-head attention, a plain MLP, learned positions."""

    hidden_size: Count = Field(alias="n_embd")
    num_hidden_layers: Count = Field(alias="n_layer")
    num_attention_heads: Count = Field(alias="n_head")
    n_inner: Count | None = None
    n_positions: Count = 1024
    tie_word_embeddings: bool = True
    ignored: ClassVar[frozenset[str]] = frozenset(
        {"n_ctx", "scale_attn_weights", "scale_attn_by_inverse_layer_idx", "reorder_and_upcast_attn"}
    )

    def attention(self) -> Sequence[Part]:
        head_dim = exact_share(self, "hidden_size", "num_attention_heads")
        return [grouped_attention(self.num_attention_heads, self.num_attention_heads, head_dim)] * self.num_hidden_layers

    def feed_forward(self) -> Sequence[Part]:
        return [plain_mlp(self.n_inner or 4 * self.hidden_size)] * self.num_hidden_layers

    def positions(self) -> int:
        return self.n_positions


class GptJ(Gpt2):
    """GPT-J: rotary positions, so no table; attention and MLP run side by side."""

    tie_word_embeddings: bool = False

    def parallel_blocks(self) -> bool:
        return True

    def positions(self) -> int:
        return 0


class Falcon(Family):
    """Falcon: one key-value head for all (7B), or groups of them in the new decoder (40B, 180B); a plain MLP.

    Attention and MLP run side by side in the new decoder, and in the old one with ``parallel_attn``.
    """

    num_attention_heads: Count
    num_kv_heads: Count | None = None
    new_decoder_architecture: bool = False
    multi_query: bool = True
    ffn_hidden_size: Count | None = None
    tie_word_embeddings: bool = True
    parallel_attn: bool = True
    ignored: ClassVar[frozenset[str]] = frozenset({"num_ln_in_parallel_attn"})

    def parallel_blocks(self) -> bool:
        return self.new_decoder_architecture or self.parallel_attn

    def key_value_heads(self) -> int:
        """Groups in the new decoder, else one or all."""
        if self.new_decoder_architecture:
            return self.num_kv_heads or self.num_attention_heads
        return 1 if self.multi_query else self.num_attention_heads

    def attention(self) -> Sequence[Part]:
        head_dim = exact_share(self, "hidden_size", "num_attention_heads")
        return [grouped_attention(self.num_attention_heads, self.key_value_heads(), head_dim)] * self.num_hidden_layers

    def feed_forward(self) -> Sequence[Part]:
        return [plain_mlp(self.ffn_hidden_size or 4 * self.hidden_size)] * self.num_hidden_layers


FAMILIES: dict[str, type[Family]] = {
    "llama": Llama,
    "mistral": Mistral,
    "qwen2": Qwen2,
    "qwen3": Qwen3,
    "phi3": Phi3,
    "gemma2": Gemma2,
    "gemma3_text": Gemma3,
    "opt": Opt,
    "gpt2": Gpt2,
    "gptj": GptJ,
    "falcon": Falcon,
}
