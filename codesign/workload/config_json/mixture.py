"""Families with routed experts and grouped-query attention.

Defaults are those of the ``configuration_*.py`` classes of Hugging Face transformers 4.57.1
(2025-10) and 5.24 (2026-11), and of the files beside the published weights for MiniMax-M2, Step 3.5
and Ling.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from codesign.workload.config_json.dense import Interleaved, Mistral, Qwen2
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
)


class Routed(GroupedFamily):
    """Experts in some layers, a dense MLP in the others.

    The widths of shared experts are given together (``shared_expert_intermediate_size``) or as a
    number of experts of the routed ones' width. ``mlp_layer_types`` goes before the family's rule.
    """

    num_experts: Count
    num_experts_per_tok: Count
    moe_intermediate_size: Count | None = None
    num_shared_experts: CountOrZero | None = None
    shared_expert_intermediate_size: CountOrZero | None = None
    mlp_layer_types: list[str] | None = None

    def has_experts(self, layer: int) -> bool:
        """The rule of the family for a layer counted from zero."""
        return True

    def experts(self) -> Part:
        """The mixture of a layer."""
        width = self.moe_intermediate_size or self.intermediate_size
        shared = self.shared_expert_intermediate_size
        if shared is None:
            shared = (self.num_shared_experts or 0) * width
        return mixture(self.num_experts, self.num_experts_per_tok, width, shared, self.gated_mlp)

    def dense_layer(self) -> Part:
        """The MLP of a layer without experts."""
        return self.mlp()

    def feed_forward(self) -> Sequence[Part | None]:
        layers, sparse = self.num_hidden_layers, self.experts()
        rule = ["sparse" if self.has_experts(i) else "dense" for i in range(layers)]
        choices = {
            "sparse": sparse,
            "moe": sparse,
            "hash_moe": sparse,
            "dense": None if "dense" not in rule else self.dense_layer(),
        }
        if self.mlp_layer_types and "dense" in self.mlp_layer_types:
            choices["dense"] = self.dense_layer()
        return layers_by_type("mlp_layer_types", self.mlp_layer_types or rule, layers, choices)


class DenseFirst(Routed):
    """Some dense layers first, then experts with shared ones: GLM-4.5 to 4.7, dots, Ling, Solar
    Open."""

    num_key_value_heads: Count | None = None
    first_k_dense_replace: CountOrZero = 0
    ignored: ClassVar[frozenset[str]] = frozenset({"max_window_layers"})

    def has_experts(self, layer: int) -> bool:
        return layer >= self.first_k_dense_replace


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


class Step3(DenseFirst, Windowed):
    """Step 3.5 and 3.7: a global layer, then three windowed ones, which may have other heads; a
    shared expert.

    The gate of each head is a single number and not counted.
    """

    head_dim: Count | None = 128
    intermediate_size: Count = 11264
    first_k_dense_replace: CountOrZero = 3
    num_sliding_attention_heads: Count | None = None
    attention_other_setting: dict[str, Any] | None = None
    moe_layers_enum: str | list[CountOrZero] | None = None
    ignored: ClassVar[frozenset[str]] = frozenset(
        {
            "use_head_wise_attn_gate",
            "gating",
            "swiglu_limits",
            "swiglu_limits_shared",
            "use_moe_router_bias",
            "moe_router_activation",
        }
        | {
            "yarn_only_types",
            "need_fp32_gate",
            "moe_router_scaling_factor",
            "share_expert_dims",
            "use_moe",
            "moe_every_n_layer",
        }
        | {
            "use_rope_layers",
            "partial_rotary_factors",
            "query_pre_attn_scalar",
            "mtp_layer_types",
            "mtp_mlp_layer_types",
        }
    )

    def is_windowed(self, layer: int) -> bool:
        return bool(self.sliding_window) and layer % 4 != 0

    def has_experts(self, layer: int) -> bool:
        listed = self.moe_layers_enum
        if listed is None:
            return layer >= self.first_k_dense_replace
        return layer in (
            [int(name) for name in listed.split(",")] if isinstance(listed, str) else listed
        )

    def attention_choices(self) -> dict[str, Part]:
        own = self.attention_other_setting or {}
        heads = (
            own.get("num_attention_heads", self.num_sliding_attention_heads)
            or self.num_attention_heads
        )
        groups = own.get("num_attention_groups", self.num_key_value_heads)
        wide = self.model_copy(update={"num_attention_heads": heads, "num_key_value_heads": groups})
        windowed = GroupedFamily.grouped(wide, self.sliding_window or None)
        return {"full_attention": self.grouped(), "sliding_attention": windowed}


class Mixtral(Mistral, Routed):
    """Mixtral, PhiMoE, Qwen's plan without shared experts: experts in every layer; the window is
    off unless set."""

    sliding_window: CountOrZero | None = None


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


class Llama4(Windowed, Routed):
    """Llama 4: experts in every k-th layer, one of them shared; three of four layers attend within
    a chunk.

    A chunk is read as a window of its size, which is what a position sees at most; on average it
    sees half of it. Layers without rotary positions are the global ones.
    """

    head_dim: Count | None = 128
    intermediate_size_mlp: Count
    interleave_moe_layer_step: Count = 1
    moe_layers: list[CountOrZero] | None = None
    no_rope_layers: list[CountOrZero] | None = None
    no_rope_layer_interval: Count = 4
    attention_chunk_size: Count | None = 8192
    ignored: ClassVar[frozenset[str]] = frozenset(
        {"attn_temperature_tuning", "attn_scale", "floor_scale", "for_llm_compressor"}
    )

    def attention(self) -> Sequence[Part | None]:
        layers = self.num_hidden_layers
        by_interval = [int((i + 1) % self.no_rope_layer_interval != 0) for i in range(layers)]
        rotary = self.no_rope_layers or by_interval
        chunked, full = self.grouped(self.attention_chunk_size), self.grouped()
        if self.layer_types is None:
            return layers_by_type("no_rope_layers", rotary, layers, {0: full, 1: chunked})
        choices = {"chunked_attention": chunked, "full_attention": full}
        return layers_by_type("layer_types", self.layer_types, layers, choices)

    def has_experts(self, layer: int) -> bool:
        step = self.interleave_moe_layer_step
        return (layer + 1) % step == 0 if self.moe_layers is None else layer in self.moe_layers

    def experts(self) -> Part:
        return mixture(
            self.num_experts,
            self.num_experts_per_tok,
            self.intermediate_size,
            shared_width=self.intermediate_size,
        )

    def dense_layer(self) -> Part:
        return gated_mlp(self.intermediate_size_mlp)


class MiniMaxM2(Mixtral):
    """MiniMax-M2: full attention in every layer (``attn_type_list`` all 1), no shared expert."""

    attn_type_list: list[CountOrZero] | None = None
    ignored: ClassVar[frozenset[str]] = frozenset(
        {"use_mtp", "num_mtp_modules", "mtp_transformer_layers", "qk_norm_type", "use_routing_bias"}
        | {"layernorm_full_attention_beta", "layernorm_linear_attention_beta", "layernorm_mlp_beta"}
    )

    def attention(self) -> Sequence[Part | None]:
        types = [1] * self.num_hidden_layers if self.attn_type_list is None else self.attn_type_list
        return layers_by_type("attn_type_list", types, self.num_hidden_layers, {1: self.grouped()})


class Ernie45Moe(Routed):
    """ERNIE 4.5 with experts in a range of layers, every k-th of them."""

    num_key_value_heads: Count | None = None
    tie_word_embeddings: bool = True
    moe_layer_start_index: CountOrZero = 1
    moe_layer_end_index: int | None = None
    moe_layer_interval: Count = 1
    ignored: ClassVar[frozenset[str]] = frozenset(
        {
            "moe_use_aux_free",
            "moe_capacity",
            "moe_gate",
            "moe_norm_gate_logits",
            "moe_group",
            "fuse_rms_norm",
            "num_acc_steps",
        }
        | {
            "moe_norm_min",
            "use_moe",
            "moe_dense_experts_token_type_id",
            "moe_all_to_all_dropout",
            "moe_orthogonal_loss_lambda",
        }
    )

    def has_experts(self, layer: int) -> bool:
        last = (
            self.num_hidden_layers - 1
            if self.moe_layer_end_index in (None, -1)
            else self.moe_layer_end_index
        )
        return (
            layer + 1
        ) % self.moe_layer_interval == 0 and self.moe_layer_start_index <= layer <= last


class HunyuanMoe(Routed):
    """Hunyuan with experts: the widths of routed and shared ones may be given as lists, of which
    all entries are equal."""

    num_key_value_heads: Count | None = None
    head_dim: Count | None = None
    cla_share_factor: Count = 1
    use_cla: bool = False
    ignored: ClassVar[frozenset[str]] = frozenset(
        {
            "use_mixed_mlp_moe",
            "moe_drop_tokens",
            "moe_random_routing_dropped_token",
            "attention_head_dim",
            "num_media_embeds",
        }
        | {
            "moe_layer_num_skipped",
            "norm_type",
            "use_rotary_pos_emb",
            "capacity_factor",
            "use_qk_norm",
            "anyres_vit_max_image_size",
        }
        | {
            "cla_share_factor",
            "group_limited_greedy",
            "route_scale",
            "pool_type",
            "class_num",
            "mask_init_id",
        }
    )
    needs: ClassVar = {"use_cla": (False,)}


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
