"""Families of Mamba layers alone, and those that share attention blocks among them."""

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from codesign.workload.config_json.family import (
    Count,
    CountOrZero,
    Family,
    GroupedFamily,
    Layer,
    Part,
    grouped_attention,
    layers_by_type,
    part,
)
from codesign.workload.config_json.mixture import DenseFirst
from codesign.workload.transformer import (
    FeedForward,
    LinearAttention,
    SelectiveScan,
    ShortConvolution,
)

MAMBA_NOISE = frozenset(
    {
        "mamba_chunk_size",
        "mamba_conv_bias",
        "mamba_proj_bias",
        "mamba_inner_layernorms",
        "mamba_ssm_cache_dtype",
        "chunk_size",
    }
    | {
        "use_mamba_kernels",
        "num_logits_to_keep",
        "time_step_limit",
        "time_step_min",
        "time_step_max",
        "time_step_floor",
    }
    | {
        "mamba_hidden_act",
        "mamba_ssm_dtype",
        "use_conv_bias",
        "use_bias",
        "mamba_use_mlp",
        "mamba_rms_norm",
        "mamba_norm_before_gate",
    }
    | {
        "use_mambapy",
        "use_associative_scan",
        "residual_in_fp32",
        "rescale_prenorm_residual",
        "time_step_scale",
        "use_mem_eff_path",
    }
    | {
        "time_step_init_scheme",
        "time_step_rank",
        "position_embedding_type",
        "mamba_expand",
        "expand",
        "mlp_hidden_act",
    }
)


def mamba2(heads: int, head_dim: int, groups: int, state: int, taps: int) -> Part:
    """A Mamba-2 layer; each head has one step size."""
    return part(
        LinearAttention,
        key_heads=groups,
        value_heads=heads,
        key_dim=state,
        value_dim=head_dim,
        convolution=taps,
        controls=heads,
        delta=False,
    )


class PureMamba(Family):
    """Falcon-Mamba and Mamba 1: scans alone."""

    state_size: Count = 16
    expand: Count = 2
    conv_kernel: Count = 4
    time_step_rank: Count | Literal["auto"] = "auto"
    intermediate_size: Count | None = None
    tie_word_embeddings: bool = True
    ignored: ClassVar[frozenset[str]] = MAMBA_NOISE | {
        "d_model",
        "n_layer",
        "d_inner",
        "ssm_cfg",
        "mixer_rms_eps",
        "conv_1d_bias",
    }

    def layers(self) -> Sequence[Layer]:
        rank = (
            self.time_step_rank
            if self.time_step_rank != "auto"
            else math.ceil(self.hidden_size / 16)
        )
        width = self.intermediate_size or self.expand * self.hidden_size
        scan = part(
            SelectiveScan,
            width=width,
            state_dim=self.state_size,
            step_rank=rank,
            convolution=self.conv_kernel,
        )
        return [(scan, None)] * self.num_hidden_layers


class PureMamba2(Family):
    """Mamba 2 alone."""

    num_heads: Count = 128
    head_dim: Count = 64
    n_groups: Count = 8
    state_size: Count = 128
    conv_kernel: Count = 4
    ignored: ClassVar[frozenset[str]] = MAMBA_NOISE

    def layers(self) -> Sequence[Layer]:
        return [
            (
                mamba2(
                    self.num_heads, self.head_dim, self.n_groups, self.state_size, self.conv_kernel
                ),
                None,
            )
        ] * self.num_hidden_layers


class Zamba2(Family):
    """Zamba 2: Mamba-2 layers, some of them behind a transformer block on twice the model width,
    whose weights they share.

    What a use of a block has of its own (a projection, adapters of low rank) is read as a plain MLP
    of as many weights.
    """

    num_attention_heads: Count
    num_key_value_heads: Count | None = None
    intermediate_size: Count | None = None
    n_mamba_heads: Count = 8
    mamba_ngroups: Count = 1
    mamba_d_state: Count = 64
    mamba_d_conv: Count = 4
    mamba_expand: Count = 2
    num_mem_blocks: Count = 1
    adapter_rank: Count = 128
    use_shared_attention_adapter: bool = False
    layer_types: list[str] | None = None
    tie_word_embeddings: bool = True
    ignored: ClassVar[frozenset[str]] = MAMBA_NOISE | {
        "attention_hidden_size",
        "attention_head_dim",
        "kv_channels",
        "num_query_groups",
        "hybrid_layer_ids",
        "mamba_headdim",
        "use_mem_rope",
        "use_long_context",
        "add_bias_linear",
        "ffn_hidden_size",
        "gated_linear_unit",
        "state_size",
        "head_dim",
    }

    def layers(self) -> Sequence[Layer]:
        width, inner = (
            self.intermediate_size or 4 * self.hidden_size,
            self.mamba_expand * self.hidden_size,
        )
        mamba = mamba2(
            self.n_mamba_heads,
            inner // self.n_mamba_heads,
            self.mamba_ngroups,
            self.mamba_d_state,
            self.mamba_d_conv,
        )
        types = self.layer_types
        if types is None or len(types) != self.num_hidden_layers:
            raise ValueError(
                f"layers_block_type = {types!r}, expected an entry for each of the"
                f" {self.num_hidden_layers} layers"
            )
        own = self.hidden_size**2 + self.adapter_rank * (self.hidden_size + 2 * width)
        if self.use_shared_attention_adapter:
            own += 3 * self.adapter_rank * 4 * self.hidden_size
        used = types.count("hybrid")
        of_each_use = (None, part(FeedForward, width=own / (2 * self.hidden_size), gated=False))
        return [*[(mamba, None)] * len(types), *[self.block()] * used, *[of_each_use] * used]

    def block(self) -> Layer:
        """The transformer block, before which hidden state and embedding are put side by side."""
        heads, width = self.num_attention_heads, self.intermediate_size or 4 * self.hidden_size
        dim = 2 * self.hidden_size // heads
        attention = grouped_attention(
            heads, self.num_key_value_heads or heads, dim, input_width=2 * self.hidden_size
        )
        return attention, part(FeedForward, width=width, gated=True)

    def weight_sets(self) -> Mapping[Layer, int]:
        return {self.block(): self.num_mem_blocks}


class Lfm2(GroupedFamily):
    """LFM2: gated short convolutions, and attention in the layers of ``full_attn_idxs`` or
    ``layer_types``.

    The width of the MLP is two thirds of the one told, rounded up, unless
    ``block_auto_adjust_ff_dim`` is off.
    """

    num_key_value_heads: Count | None = 8
    conv_taps: Count = 3
    layer_types: list[str] | None = None
    full_attn_idxs: list[CountOrZero] | None = None
    block_multiple_of: Count = 256
    block_ffn_dim_multiplier: float | int | None = 1.0
    block_auto_adjust_ff_dim: bool = True
    tie_word_embeddings: bool = True
    repeats: ClassVar[dict[str, str]] = {"num_heads": "num_attention_heads"}
    ignored: ClassVar[frozenset[str]] = frozenset(
        {
            "conv_bias",
            "conv_dim",
            "conv_dim_out",
            "conv_use_xavier_init",
            "block_dim",
            "block_mlp_init_scale",
            "block_norm_eps",
        }
        | {
            "block_out_init_scale",
            "block_use_swiglu",
            "block_use_xavier_init",
            "use_pos_enc",
            "theta",
        }
    )

    def attention(self) -> Sequence[Part | None]:
        convolution = part(ShortConvolution, width=self.hidden_size, taps=self.conv_taps)
        choices = {"full_attention": self.grouped(), "conv": convolution}
        at = range(self.num_hidden_layers) if self.full_attn_idxs is None else self.full_attn_idxs
        rule = ["full_attention" if i in at else "conv" for i in range(self.num_hidden_layers)]
        return layers_by_type(
            "layer_types", self.layer_types or rule, self.num_hidden_layers, choices
        )

    def adjusted_width(self) -> int:
        """Width of the dense MLP."""
        width = self.intermediate_size
        if not self.block_auto_adjust_ff_dim:
            return width
        width = int((self.block_ffn_dim_multiplier or 1.0) * int(2 * width / 3))
        return -(-width // self.block_multiple_of) * self.block_multiple_of

    def feed_forward(self) -> Sequence[Part | None]:
        return [self.mlp(self.adjusted_width())] * self.num_hidden_layers


class Lfm2Moe(Lfm2, DenseFirst):
    """LFM2 with experts after the first dense layers."""

    first_k_dense_replace: CountOrZero = 2
    block_auto_adjust_ff_dim: bool = False
    ignored: ClassVar[frozenset[str]] = Lfm2.ignored | {"use_expert_bias"}

    def feed_forward(self) -> Sequence[Part | None]:
        return DenseFirst.feed_forward(self)
