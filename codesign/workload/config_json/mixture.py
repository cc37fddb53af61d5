"""Families with routed experts and grouped-query attention.

Defaults are those of the ``configuration_*.py`` classes of Hugging Face transformers 4.57.1
(2025-10) and 5.24 (2026-11), and of the files beside the published weights for MiniMax-M2, Step 3.5
and Ling.
"""

from typing import ClassVar

from codesign.workload.config_json.dense import Interleaved, Qwen2
from codesign.workload.config_json.family import (
    Count,
    CountOrZero,
    Family,
    Part,
    Windowed,
)
from codesign.workload.config_json.mixture_rules import (
    Ernie45Moe,
    HunyuanMoe,
    Llama4,
    MiniMaxM2,
    Step3,
)
from codesign.workload.config_json.routed import DenseFirst, Mixtral, Routed


class Glm4Moe(DenseFirst):
    """GLM-4.5 to 4.7."""

    first_k_dense_replace: CountOrZero = 1


class SolarOpen(DenseFirst):
    """Solar Open: experts in every layer, and no width for a dense one."""

    intermediate_size: Count = 10240


class Dots1(DenseFirst):
    """dots.llm1; windows only where ``layer_types`` names them."""

    needs: ClassVar = {"layer_types": ("full_attention",)}
    ignored: ClassVar[frozenset[str]] = frozenset({"max_window_layers", "sliding_window"})


class Afmoe(DenseFirst, Interleaved):
    """Trinity (afmoe): three windowed layers, then a global one; gated attention."""

    gated_attention: ClassVar[bool] = True
    first_k_dense_replace: CountOrZero = 1
    sliding_window: CountOrZero | None = 1024
    global_attn_every_n_layers: Count = 4
    head_dim: Count | None = 128
    ignored: ClassVar[frozenset[str]] = frozenset(
        {"num_expert_groups", "num_limited_groups", "mup_enabled", "use_grouped_mm"}
    )

    def is_windowed(self, layer: int) -> bool:
        return (layer + 1) % self.global_attn_every_n_layers != 0


class ExaoneMoe(DenseFirst, Interleaved):
    """K-EXAONE: EXAONE 4 with experts."""

    sliding_window: CountOrZero | None = 4096
    first_k_dense_replace: CountOrZero = 1


class HunyuanV3(DenseFirst):
    """Hunyuan 3: one dense layer first, a shared expert."""

    head_dim: Count | None = 128
    first_k_dense_replace: CountOrZero = 1
    ignored: ClassVar[frozenset[str]] = frozenset(
        {"router_scaling_factor", "enable_moe_fp32_combine", "enable_attention_fp32_softmax"}
    )


class Cohere2Moe(Routed, Interleaved):
    """Command A with experts: attention and experts side by side, dense layers first by
    ``mlp_layer_types``."""

    head_dim: Count | None = 128
    sliding_window: CountOrZero | None = 4096
    tie_word_embeddings: bool = True
    prefix_dense_intermediate_size: Count | None = None
    first_k_dense_replace: CountOrZero = 0
    parallel: ClassVar[bool] = True
    repeats: ClassVar[dict[str, str]] = {"use_embedding_sharing": "tie_word_embeddings"}
    ignored: ClassVar[frozenset[str]] = frozenset(
        {
            "expert_selection_fn",
            "shared_expert_combination_strategy",
            "prefix_dense_sliding_window_pattern",
        }
    )

    def has_experts(self, layer: int) -> bool:
        return layer >= self.first_k_dense_replace

    def dense_layer(self) -> Part:
        return self.mlp(self.prefix_dense_intermediate_size)


class Mellum(Routed, Interleaved):
    """Mellum 2: windowed and global layers by ``layer_types``, experts in every layer unless
    told."""

    head_dim: Count | None = 128
    sliding_window: CountOrZero | None = 1024
    sliding_window_pattern: Count | str | None = None
    ignored: ClassVar[frozenset[str]] = frozenset({"num_mtp_layers"})


class PlainRouted(Routed):
    """OLMoE, Granite MoE and others: full attention and experts in every layer."""

    num_key_value_heads: Count | None = None


class GraniteMoeShared(PlainRouted):
    """Granite MoE with a shared expert beside the routed ones."""

    shared_expert_intermediate_size: CountOrZero | None = 0


class SparseSteps(Routed):
    """Experts in every ``decoder_sparse_step``-th layer, except those in ``mlp_only_layers``, as in
    Qwen's models.

    The rule is ``(layer + 1) % decoder_sparse_step == 0`` (``modeling_qwen2_moe.py``).
    """

    shared_expert_intermediate_size: CountOrZero  # pyright: ignore[reportGeneralTypeIssues]
    moe_intermediate_size: Count  # pyright: ignore[reportGeneralTypeIssues]
    decoder_sparse_step: Count = 1
    mlp_only_layers: list[CountOrZero] | None = None

    def has_experts(self, layer: int) -> bool:
        return (
            layer not in (self.mlp_only_layers or ())
            and (layer + 1) % self.decoder_sparse_step == 0
        )


class Qwen2Moe(SparseSteps, Qwen2):
    """Qwen2-57B-A14B and Qwen1.5-MoE: routed experts and a shared one."""


class Qwen3Moe(SparseSteps, Qwen2):
    """Qwen3 with experts: none is shared. Where the window is on, it is on in every layer."""

    intermediate_size: Count = 6144
    max_window_layers: CountOrZero = 0
    shared_expert_intermediate_size: CountOrZero = 0


class GptOss(Windowed, Routed):
    """gpt-oss: experts in every layer; windowed and global layers take turns, beginning with a
    windowed one."""

    head_dim: Count | None = 64
    sliding_window: CountOrZero | None = 128
    ignored: ClassVar[frozenset[str]] = frozenset({"initial_context_length"})
    repeats: ClassVar[dict[str, str]] = {"experts_per_token": "num_experts_per_tok"}

    def is_windowed(self, layer: int) -> bool:
        return layer % 2 == 0


FAMILIES: dict[str, type[Family]] = {
    "mixtral": Mixtral,
    "phimoe": Mixtral,
    "qwen2_moe": Qwen2Moe,
    "qwen3_moe": Qwen3Moe,
    "qwen3_vl_moe_text": Qwen3Moe,
    "gpt_oss": GptOss,
    "llama4_text": Llama4,
    "minimax_m2": MiniMaxM2,
    "glm4_moe": Glm4Moe,
    "glm4v_moe_text": Glm4Moe,
    "solar_open": SolarOpen,
    "dots1": Dots1,
    "afmoe": Afmoe,
    "exaone_moe": ExaoneMoe,
    "hy_v3": HunyuanV3,
    "cohere2_moe": Cohere2Moe,
    "mellum": Mellum,
    "sarvam_moe": Glm4Moe,
    "step3p5": Step3,
    "step3p7": Step3,
    "step3p7_text": Step3,
    "bailing_moe": DenseFirst,
    "bailing_moe_v2": DenseFirst,
    "ernie4_5_moe": Ernie45Moe,
    "hunyuan_v1_moe": HunyuanMoe,
    "olmoe": PlainRouted,
    "flex_olmo": PlainRouted,
    "granitemoe": PlainRouted,
    "granitemoeshared": GraniteMoeShared,
    "qwen3_omni_moe_text": Qwen3Moe,
}
