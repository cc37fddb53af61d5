"""Families that mix linear attention, whose state has a constant size, with full attention.

Defaults are those of the ``configuration_*.py`` classes of Hugging Face transformers 4.57.1
(2025-10) and 5.24 (2026-11), and of the file beside the published weights for MiniMax-Text-01.
"""

from collections.abc import Sequence
from typing import ClassVar

from codesign.workload.config_json.family import (
    Count,
    CountOrZero,
    Family,
    GroupedFamily,
    Part,
    gated_mlp,
    layers_by_type,
    mixture,
    part,
)
from codesign.workload.config_json.latent import LatentFamily
from codesign.workload.config_json.mixture import SparseSteps
from codesign.workload.config_json.routed import Mixtral
from codesign.workload.transformer import LatentAttention, LinearAttention


class GatedDelta(GroupedFamily):
    """Gated delta net, and gated full attention in every fourth layer (Qwen3-Next, Qwen3.5).

    Each value head has a decay and a strength of writing.
    """

    head_dim: Count | None = 256
    linear_conv_kernel_dim: Count
    linear_key_head_dim: Count
    linear_value_head_dim: Count
    linear_num_key_heads: Count
    linear_num_value_heads: Count
    full_attention_interval: Count = 4
    layer_types: list[str] | None = None
    attn_output_gate: bool = True
    ignored: ClassVar[frozenset[str]] = frozenset({"num_nextn_predict_layers", "mlp_only_layers"})

    def attention(self) -> Sequence[Part | None]:
        layers, interval = self.num_hidden_layers, self.full_attention_interval
        by_interval = [
            "linear_attention" if (i + 1) % interval else "full_attention" for i in range(layers)
        ]
        linear = part(
            LinearAttention,
            key_heads=self.linear_num_key_heads,
            value_heads=self.linear_num_value_heads,
            key_dim=self.linear_key_head_dim,
            value_dim=self.linear_value_head_dim,
            convolution=self.linear_conv_kernel_dim,
            controls=2 * self.linear_num_value_heads,
            gated=True,
        )
        choices = {
            "full_attention": self.grouped(gated=self.attn_output_gate),
            "linear_attention": linear,
        }
        return layers_by_type("layer_types", self.layer_types or by_interval, layers, choices)


class Qwen3Next(GatedDelta, SparseSteps):
    """Qwen3-Next and Qwen3.5 with experts, of which one is shared."""

    intermediate_size: Count = 5632
    ignored: ClassVar[frozenset[str]] = frozenset({"num_nextn_predict_layers"})


class MiniMax(Mixtral):
    """MiniMax-Text-01: lightning attention, and softmax attention in every eighth layer; experts,
    none shared.

    ``attn_type_list`` (0 linear, 1 softmax) is the list of the published file, ``layer_types`` that
    of transformers.
    """

    attn_type_list: list[CountOrZero] | None = None
    layer_types: list[str] | None = None
    ignored: ClassVar[frozenset[str]] = frozenset(
        {
            "block_size",
            "postnorm",
            "shared_moe_mode",
            "layernorm_full_attention_alpha",
            "layernorm_full_attention_beta",
        }
        | {
            "layernorm_linear_attention_alpha",
            "layernorm_linear_attention_beta",
            "layernorm_mlp_alpha",
        }
        | {
            "layernorm_mlp_beta",
            "full_attn_alpha_factor",
            "full_attn_beta_factor",
            "linear_attn_alpha_factor",
        }
        | {"linear_attn_beta_factor", "mlp_alpha_factor", "mlp_beta_factor"}
    )

    def attention(self) -> Sequence[Part | None]:
        heads, dim, layers = (
            self.num_attention_heads,
            self.width_of_a_head(),
            self.num_hidden_layers,
        )
        linear = part(
            LinearAttention,
            key_heads=heads,
            value_heads=heads,
            key_dim=dim,
            value_dim=dim,
            gated=True,
            delta=False,
        )
        if self.attn_type_list is not None:
            return layers_by_type(
                "attn_type_list", self.attn_type_list, layers, {0: linear, 1: self.grouped()}
            )
        if self.layer_types is not None:
            choices = {"full_attention": self.grouped(), "linear_attention": linear}
            return layers_by_type("layer_types", self.layer_types, layers, choices)
        raise ValueError(
            "the field attn_type_list is missing, expected it or layer_types to say which layers"
            " are linear"
        )


class DeltaLatent(LatentFamily):
    """Kimi delta attention, whose decay is one of every channel, and latent attention in some
    layers; dense layers first.

    ``linear_attn_config`` (layers counted from one) is that of the published files, ``layer_types``
    and ``linear_…`` those of transformers.
    """

    intermediate_size: Count
    moe_intermediate_size: Count
    num_experts: Count
    num_experts_per_tok: Count
    num_shared_experts: CountOrZero | None = 0
    first_k_dense_replace: CountOrZero = 1
    moe_layer_freq: Count = 1
    mlp_layer_types: list[str] | None = None
    layer_types: list[str] | None = None
    linear_attn_config: dict[str, object] | None = None
    linear_conv_kernel_dim: Count | None = None
    linear_head_dim: Count | None = None
    linear_num_heads: Count | None = None
    expert_hidden_size: Count | None = None
    mla_use_output_gate: bool = False
    ignored: ClassVar[frozenset[str]] = LatentFamily.ignored | {
        "mla_use_nope",
        "num_expert_group",
        "use_grouped_topk",
        "moe_renormalize",
        "moe_router_activation_func",
        "latent_moe_use_norm",
        "attn_res_block_size",
        "activation_situ_beta",
        "activation_situ_linear_beta",
        "model_max_length",
    }

    def linear(self) -> Part:
        """The linear layer; its decay goes through a rank of one head's width, and so does its gate
        unless told."""
        own = self.linear_attn_config or {}
        heads, dim = (
            own.get("num_heads", self.linear_num_heads),
            own.get("head_dim", self.linear_head_dim),
        )
        taps = own.get("short_conv_kernel_size", self.linear_conv_kernel_dim)
        if None in (heads, dim, taps):
            raise ValueError(
                "the field linear_attn_config is missing, expected it or linear_num_heads and"
                " linear_head_dim"
            )
        full_gate = own.get("use_full_rank_gate", False)
        return part(
            LinearAttention,
            key_heads=heads,
            value_heads=heads,
            key_dim=dim,
            value_dim=dim,
            convolution=taps,
            controls=heads,
            decay_rank=dim,
            gate_rank=None if full_gate else dim,
        )

    def full(self) -> Part:
        """The full layer."""
        return part(LatentAttention, **self.latent(), gated=self.mla_use_output_gate)

    def attention(self) -> Sequence[Part | None]:
        layers, types = self.num_hidden_layers, self.layer_types
        if types is None:
            full = (self.linear_attn_config or {}).get("full_attn_layers")
            if not isinstance(full, list):
                raise ValueError(
                    "the field layer_types is missing, expected it or"
                    " linear_attn_config.full_attn_layers"
                )
            types = [
                "full_attention" if i + 1 in full else "linear_attention" for i in range(layers)
            ]
        choices = {"full_attention": self.full(), "linear_attention": self.linear()}
        return layers_by_type("layer_types", types, layers, choices)

    def feed_forward(self) -> Sequence[Part | None]:
        width, layers = self.moe_intermediate_size, self.num_hidden_layers
        shared = (self.num_shared_experts or 0) * width
        experts = mixture(
            self.num_experts,
            self.num_experts_per_tok,
            width,
            shared,
            latent=self.expert_hidden_size,
        )
        first, step = self.first_k_dense_replace, self.moe_layer_freq
        rule = ["sparse" if i >= first and i % step == 0 else "dense" for i in range(layers)]
        choices = {"sparse": experts, "dense": gated_mlp(self.intermediate_size)}
        return layers_by_type("mlp_layer_types", self.mlp_layer_types or rule, layers, choices)


class BailingHybrid(DeltaLatent):
    """Ling 2.5 and Ring 2.5: as Kimi Linear, with decay and gate projected in one step; a gate for
    every head of the rest."""

    layer_group_size: Count = 6
    first_k_dense_replace: CountOrZero = 0
    ignored: ClassVar[frozenset[str]] = DeltaLatent.ignored | {
        "kda_lower_bound",
        "kda_safe_gate",
        "short_conv_kernel_size",
        "group_norm_size",
    }

    def linear(self) -> Part:
        heads, dim = self.linear_num_heads or self.num_attention_heads, self.linear_head_dim
        if dim is None:
            raise ValueError(
                "the field linear_head_dim is missing, and model_type 'bailing_hybrid' needs it"
            )
        return part(
            LinearAttention, key_heads=heads, value_heads=heads, key_dim=dim, value_dim=dim,
            convolution=self.linear_conv_kernel_dim or 4, controls=heads + heads * dim,
        )  # fmt: skip

    def attention(self) -> Sequence[Part | None]:
        layers, size = self.num_hidden_layers, self.layer_group_size
        rule = ["linear_attention" if (i + 1) % size else "full_attention" for i in range(layers)]
        choices = {"full_attention": self.full(), "linear_attention": self.linear()}
        return layers_by_type("layer_types", self.layer_types or rule, layers, choices)


class BailingLinear(Mixtral):
    """Ling 2.0 linear: lightning attention in groups that end in a layer of grouped attention;
    dense layers first."""

    first_k_dense_replace: CountOrZero = 0
    layer_group_size: Count
    ignored: ClassVar[frozenset[str]] = frozenset(
        {"group_norm_size", "linear_silu", "max_window_layers"}
    )

    def has_experts(self, layer: int) -> bool:
        return layer >= self.first_k_dense_replace

    def attention(self) -> Sequence[Part | None]:
        heads, dim = self.num_attention_heads, self.width_of_a_head()
        linear = part(
            LinearAttention,
            key_heads=heads,
            value_heads=heads,
            key_dim=dim,
            value_dim=dim,
            delta=False,
        )
        layers, size = self.num_hidden_layers, self.layer_group_size
        whole = layers // size * size
        return [
            self.grouped() if (i + 1) % size == 0 or i >= whole else linear for i in range(layers)
        ]


FAMILIES: dict[str, type[Family]] = {
    "qwen3_next": Qwen3Next,
    "qwen3_5_moe_text": Qwen3Next,
    "qwen3_5_text": GatedDelta,
    **dict.fromkeys(("minimax_text_01", "minimax_m1", "minimax"), MiniMax),
    **dict.fromkeys(("kimi_linear", "kimi_k3_text"), DeltaLatent),
    "bailing_hybrid": BailingHybrid,
    "bailing_moe_linear": BailingLinear,
}
