"""Dense families with a gated MLP: every token passes through the same three matrices.

Defaults are those of the ``configuration_*.py`` classes of Hugging Face transformers 4.57.1
(2025-10) and 5.24 (2026-11).
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
)
from codesign.workload.config_json.refusal import refuse_value


class Llama(GroupedFamily):
    """Llama 1 to 3.3 and its many kin; files that do not name ``num_key_value_heads`` mean that
    every head has its own."""

    num_key_value_heads: Count | None = None


class LlavaLlama(Llama):
    """The language model of LLaVA, whose file leaves out what equals the defaults of Llama's class:
    those of Llama 7B."""

    hidden_size: Count = 4096
    intermediate_size: Count = 11008
    num_hidden_layers: Count = 32
    num_attention_heads: Count = 32
    vocab_size: Count = 32000


class Mistral(GroupedFamily):
    """Mistral 7B and its kin; only version 0.1 has a window, and an absent field means the default
    one."""

    num_key_value_heads: Count | None = 8
    sliding_window: CountOrZero | None = 4096

    def attention(self) -> Sequence[Part | None]:
        return [self.grouped(self.sliding_window or None)] * self.num_hidden_layers


class Ministral3(Mistral):
    """Ministral 3 and Devstral 2: as Mistral, with no window unless told."""

    sliding_window: CountOrZero | None = None


class Phi3(Llama):
    """Phi-3 and Phi-4-mini: the same window in every layer, or none."""

    sliding_window: CountOrZero | None = None
    ignored: ClassVar[frozenset[str]] = frozenset({"full_attn_mod", "interpolate_factor"})

    def attention(self) -> Sequence[Part | None]:
        return [self.grouped(self.sliding_window or None)] * self.num_hidden_layers


class Qwen2(Windowed):
    """Qwen2, Qwen2.5: no window unless ``use_sliding_window``; then in the layers from
    ``max_window_layers`` on."""

    use_sliding_window: bool = False
    max_window_layers: CountOrZero = 28
    sliding_window: CountOrZero | None = 4096

    def is_windowed(self, layer: int) -> bool:
        return self.use_sliding_window and layer >= self.max_window_layers


class Qwen3(Qwen2):
    """As Qwen2, with heads of 128 unless told otherwise."""

    head_dim: Count | None = 128


class Qwen1(GroupedFamily):
    """The first Qwen: multi-head attention, and an MLP whose width is that of both its halves
    together."""

    num_key_value_heads: Count | None = None
    kv_channels: Count | None = None
    ignored: ClassVar[frozenset[str]] = frozenset(
        {"seq_length", "use_dynamic_ntk", "use_logn_attn", "use_flash_attn"}
    )

    def width_of_a_head(self) -> int:
        return self.kv_channels or super().width_of_a_head()

    def feed_forward(self) -> Sequence[Part | None]:
        return [self.mlp(self.intermediate_size // 2)] * self.num_hidden_layers


class SmolLm3(Llama):
    """SmolLM3: Llama, some layers without rotary positions; tied tables."""

    tie_word_embeddings: bool = True
    use_sliding_window: bool = False
    ignored: ClassVar[frozenset[str]] = frozenset(
        {"no_rope_layers", "no_rope_layer_interval", "max_window_layers"}
    )
    needs: ClassVar = {"layer_types": ("full_attention",), "use_sliding_window": (False,)}


class Interleaved(Windowed):
    """A global layer after every so many windowed ones."""

    num_key_value_heads: Count | None = None
    sliding_window_pattern: Count | str | None = 4

    def is_windowed(self, layer: int) -> bool:
        """``LLLG`` spells a pattern of local and global layers, a number is its length with the
        last one global."""
        if self.sliding_window is None:
            return False
        if isinstance(self.sliding_window_pattern, str):
            last = (
                layer == self.num_hidden_layers - 1
            )  # the last layer is global whatever its place (EXAONE 4)
            return (
                self.sliding_window_pattern[layer % len(self.sliding_window_pattern)] == "L"
                and not last
            )
        return (
            bool(self.sliding_window_pattern)
            and (layer + 1) % (self.sliding_window_pattern or 1) != 0
        )


class Exaone4(Interleaved):
    """EXAONE 4: three windowed layers, then a global one."""

    sliding_window: CountOrZero | None = 4096


class Olmo3(Interleaved):
    """OLMo 3: three windowed layers, then a global one."""

    sliding_window: CountOrZero | None = 4096


class GlobalFirst(Windowed):
    """A global layer, then three windowed ones, unless ``layer_types`` says otherwise: CWM, Granite
    with windows."""

    num_key_value_heads: Count | None = None

    def is_windowed(self, layer: int) -> bool:
        return layer % 4 != 0


class Ministral(Windowed):
    """Ministral 8B: windows in every layer unless ``layer_types`` says otherwise."""

    num_key_value_heads: Count | None = None

    def is_windowed(self, layer: int) -> bool:
        return True


class Cohere(GroupedFamily):
    """Command R: attention and MLP side by side, tied tables."""

    num_key_value_heads: Count | None = None
    tie_word_embeddings: bool = True
    parallel: ClassVar[bool] = True
    repeats: ClassVar[dict[str, str]] = {"use_embedding_sharing": "tie_word_embeddings"}


class Cohere2(Interleaved):
    """Command A and R7B: as Command R, with three windowed layers before every global one."""

    sliding_window: CountOrZero | None = 4096
    tie_word_embeddings: bool = True
    parallel: ClassVar[bool] = True
    ignored: ClassVar[frozenset[str]] = frozenset(
        {
            "order_of_interleaved_layers",
            "rotary_pct",
            "use_gated_activation",
            "use_parallel_block",
        }
    )
    repeats: ClassVar[dict[str, str]] = {
        "layer_switch": "sliding_window_pattern",
        "use_embedding_sharing": "tie_word_embeddings",
    }


class ChatGlm(GroupedFamily):
    """ChatGLM 2 and 3 and GLM-4-9B in the field names of their own code."""

    num_key_value_heads: Count | None = None
    kv_channels: Count | None = None
    multi_query_attention: bool = True
    ignored: ClassVar[frozenset[str]] = frozenset(
        {
            "seq_length",
            "original_rope",
            "fp32_residual_connection",
            "apply_query_key_layer_scaling",
            "interleaved_qkv",
        }
        | {
            "attention_softmax_in_fp32",
            "add_qkv_bias",
            "add_bias_linear",
            "bias_dropout_fusion",
            "use_flash_attn",
        }
        | {
            "apply_residual_connection_post_layernorm",
            "post_layer_norm",
            "rmsnorm",
            "pre_seq_len",
            "prefix_projection",
        }
    )

    def width_of_a_head(self) -> int:
        return self.kv_channels or super().width_of_a_head()


class TiedLlama(Llama):
    """Llama with tied tables unless told: MiniCPM (``configuration_minicpm.py`` beside its
    weights), ERNIE 4.5."""

    tie_word_embeddings: bool = True


class StableLm(Llama):
    """StableLM 2 and 3B."""

    use_parallel_residual: bool = False

    def parallel_blocks(self) -> bool:
        return self.use_parallel_residual


class InternLm2(Llama):
    """InternLM 2 and 2.5: Llama with its projections in one matrix."""

    needs: ClassVar = {"bias": (False,)}


class Baichuan(Llama):
    """Baichuan: Llama with multi-head attention."""

    ignored: ClassVar[frozenset[str]] = frozenset({"model_max_length", "z_loss_weight"})

    def attention(self) -> Sequence[Part | None]:
        if self.num_key_value_heads not in (None, self.num_attention_heads):
            raise refuse_value(
                "num_key_value_heads", self.num_key_value_heads, [self.num_attention_heads]
            )
        return super().attention()


FAMILIES: dict[str, type[Family]] = {
    **dict.fromkeys(
        (
            "llama",
            "yi",
            "aquila",
            "internlm",
            "internlm3",
            "xverse",
            "glm",
            "glm4",
            "granite",
            "seed_oss",
            "olmo",
            "olmo2",
            "hunyuan_v1_dense",
            "helium",
            "exaone",
            "glm4v_text",
            "apriel",
            "hyperclovax",
            "smollm",
            "solar",
            "orion",
            "iquestcoder",
        ),
        Llama,
    ),
    **dict.fromkeys(("minicpm", "ernie4_5"), TiedLlama),
    "llava_llama": LlavaLlama,
    "mistral": Mistral,
    "ministral3": Ministral3,
    "ministral": Ministral,
    "qwen": Qwen1,
    "qwen2": Qwen2,
    "mimo": Qwen2,
    "qwen2_vl_text": Qwen2,
    "qwen2_5_omni_text": Qwen2,
    "qwen2_5_vl_text": Qwen2,
    "qwen3": Qwen3,
    "qwen3_vl_text": Qwen3,
    "phi3": Phi3,
    **dict.fromkeys(("cwm", "granite_swa"), GlobalFirst),
    "smollm3": SmolLm3,
    "exaone4": Exaone4,
    "olmo3": Olmo3,
    "cohere": Cohere,
    "cohere2": Cohere2,
    "chatglm": ChatGlm,
    "stablelm": StableLm,
    "internlm2": InternLm2,
    "baichuan": Baichuan,
}
