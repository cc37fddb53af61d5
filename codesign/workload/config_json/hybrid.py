"""Families that mix linear attention, whose state has a constant size, with full attention.

Defaults are those of the ``configuration_*.py`` classes of Hugging Face transformers 4.57.1 (2025-10), and of the file
beside the published weights for MiniMax-Text-01.
"""

from collections.abc import Sequence
from typing import ClassVar

from codesign.workload.config_json.family import (
    Count,
    CountOrZero,
    Family,
    GroupedFamily,
    Part,
    layers_by_type,
    mixture,
    part,
)
from codesign.workload.config_json.mixture import SparseSteps
from codesign.workload.transformer import LinearAttention


class Qwen3Next(SparseSteps):
    """Qwen3-Next: gated delta net, and gated full attention in every fourth layer; experts with a shared one."""

    head_dim: Count | None = 256
    linear_conv_kernel_dim: Count
    linear_key_head_dim: Count
    linear_value_head_dim: Count
    linear_num_key_heads: Count
    linear_num_value_heads: Count
    full_attention_interval: Count = 4
    layer_types: list[str] | None = None
    ignored: ClassVar[frozenset[str]] = frozenset({"num_nextn_predict_layers"})

    def attention(self) -> Sequence[Part]:
        layers, interval = self.num_hidden_layers, self.full_attention_interval
        by_interval = ["linear_attention" if (i + 1) % interval else "full_attention" for i in range(layers)]
        linear = part(
            LinearAttention,
            key_heads=self.linear_num_key_heads,
            value_heads=self.linear_num_value_heads,
            key_dim=self.linear_key_head_dim,
            value_dim=self.linear_value_head_dim,
            convolution=self.linear_conv_kernel_dim,
            gated=True,
        )
        choices = {"full_attention": self.grouped(gated=True), "linear_attention": linear}
        return layers_by_type("layer_types", self.layer_types or by_interval, layers, choices)


class MiniMax(GroupedFamily):
    """MiniMax-Text-01: lightning attention, and softmax attention in every eighth layer; experts, none shared.

    ``attn_type_list`` (0 linear, 1 softmax) is the list of the published file, ``layer_types`` that of transformers.
    """

    num_local_experts: Count
    num_experts_per_tok: Count
    shared_intermediate_size: CountOrZero = 0
    attn_type_list: list[CountOrZero] | None = None
    layer_types: list[str] | None = None
    ignored: ClassVar[frozenset[str]] = frozenset(
        {"block_size", "postnorm", "shared_moe_mode", "layernorm_full_attention_alpha", "layernorm_full_attention_beta"}
        | {"layernorm_linear_attention_alpha", "layernorm_linear_attention_beta", "layernorm_mlp_alpha"}
        | {"layernorm_mlp_beta", "full_attn_alpha_factor", "full_attn_beta_factor", "linear_attn_alpha_factor"}
        | {"linear_attn_beta_factor", "mlp_alpha_factor", "mlp_beta_factor"}
    )

    def attention(self) -> Sequence[Part]:
        heads, dim, layers = self.num_attention_heads, self.width_of_a_head(), self.num_hidden_layers
        linear = part(LinearAttention, key_heads=heads, value_heads=heads, key_dim=dim, value_dim=dim, gated=True)
        if self.attn_type_list is not None:
            return layers_by_type("attn_type_list", self.attn_type_list, layers, {0: linear, 1: self.grouped()})
        if self.layer_types is not None:
            choices = {"full_attention": self.grouped(), "linear_attention": linear}
            return layers_by_type("layer_types", self.layer_types, layers, choices)
        raise ValueError("the field attn_type_list is missing, expected it or layer_types to say which layers are linear")

    def feed_forward(self) -> Sequence[Part]:
        shared = self.shared_intermediate_size
        experts = mixture(self.num_local_experts, self.num_experts_per_tok, self.intermediate_size, shared)
        return [experts] * self.num_hidden_layers


FAMILIES: dict[str, type[Family]] = {
    "qwen3_next": Qwen3Next,
    "minimax_text_01": MiniMax,
    "minimax_m1": MiniMax,
    "minimax": MiniMax,
}
