"""Families of experts whose layers follow a rule of their own."""

from collections.abc import Sequence
from typing import ClassVar

from codesign.workload.config_json.family import (
    Count,
    CountOrZero,
    GroupedFamily,
    Part,
    Windowed,
    gated_mlp,
    layers_by_type,
    mixture,
)
from codesign.workload.config_json.routed import DenseFirst, Mixtral, Routed


class Step3(DenseFirst, Windowed):
    """Step 3.5 and 3.7: a global layer, then three windowed ones, which may have other heads; a
    shared expert.

    The gate of each head is a single number and not counted.
    """

    head_dim: Count | None = 128
    intermediate_size: Count = 11264
    first_k_dense_replace: CountOrZero = 3
    num_sliding_attention_heads: Count | None = None
    attention_other_setting: dict[str, object] | None = None
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
        return layer in listed_layers(listed)

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


def listed_layers(listed: str | list[int]) -> set[int]:
    """The layers that ``moe_layers_enum`` lists, as a list or a text with commas.

    >>> sorted(listed_layers("4,5, 6"))
    [4, 5, 6]
    """
    if not isinstance(listed, str):
        return set(listed)
    try:
        return {int(name) for name in listed.split(",")}
    except ValueError:
        raise ValueError(
            f"moe_layers_enum = {listed!r}, expected numbers of layers with commas between them"
        ) from None


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
