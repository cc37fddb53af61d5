"""Families with Mamba layers, with short convolutions, and mixtures of both with attention.

Mamba-2 is linear attention whose keys and queries are B and C, in groups (arXiv 2405.21060).
Defaults are those of the ``configuration_*.py`` classes of Hugging Face transformers 5.24
(2026-11).
"""

import math
from collections.abc import Sequence
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
    mixture,
    part,
    plain_mlp,
)
from codesign.workload.config_json.mamba_families import (
    MAMBA_NOISE,
    Lfm2,
    Lfm2Moe,
    PureMamba,
    PureMamba2,
    Zamba2,
    mamba2,
)
from codesign.workload.config_json.refusal import refuse_value
from codesign.workload.config_json.routed import Routed
from codesign.workload.transformer import (
    SelectiveScan,
)


class NemotronH(Family):
    """Nemotron-H and Nemotron 3: a pattern of Mamba-2 (M), attention (*), MLP (-) and experts (E),
    one to a layer.

    Experts may work in a narrower width (``moe_latent_size``); all MLPs are plain.
    """

    num_hidden_layers: Count | None = None  # pyright: ignore[reportIncompatibleVariableOverride]
    hybrid_override_pattern: str | None = None
    layer_types: list[str] | None = None
    num_attention_heads: Count
    num_key_value_heads: Count
    head_dim: Count | None = None
    intermediate_size: Count
    mamba_num_heads: Count
    mamba_head_dim: Count
    n_groups: Count
    ssm_state_size: Count
    conv_kernel: Count = 4
    num_experts: CountOrZero | None = None
    num_experts_per_tok: Count | None = None
    moe_intermediate_size: Count | None = None
    shared_expert_intermediate_size: CountOrZero | None = None
    num_shared_experts: CountOrZero | None = None
    moe_latent_size: Count | None = None
    ignored: ClassVar[frozenset[str]] = MAMBA_NOISE | {
        "mtp_hybrid_override_pattern",
        "moe_shared_expert_overlap",
        "sliding_window",
    }
    letters: ClassVar[dict[str, str]] = {"M": "mamba", "*": "attention", "-": "mlp", "E": "moe"}

    def layers(self) -> Sequence[Layer]:
        types = self.layer_types or [
            self.letters.get(letter, letter) for letter in self.hybrid_override_pattern or ""
        ]
        choices = {
            "mamba": (self.mamba(), None),
            "attention": (self.grouped(), None),
            "mlp": (None, plain_mlp(self.intermediate_size)),
        }
        choices |= {"linear_attention": choices["mamba"], "full_attention": choices["attention"]}
        if self.num_experts:
            choices["moe"] = (None, self.experts())
        if len(types) != (self.num_hidden_layers or len(types)) or not types:
            raise ValueError(
                f"hybrid_override_pattern has {len(types)} layers, expected one for each of the"
                f" {self.num_hidden_layers}"
            )
        for index, kind in enumerate(types):
            if kind not in choices:
                raise refuse_value(
                    f"hybrid_override_pattern[{index}]", kind, [*self.letters, *choices]
                )
        return [choices[kind] for kind in types]

    def mamba(self) -> Part:
        """A Mamba-2 layer."""
        return mamba2(
            self.mamba_num_heads,
            self.mamba_head_dim,
            self.n_groups,
            self.ssm_state_size,
            self.conv_kernel,
        )

    def grouped(self) -> Part:
        """An attention layer."""
        dim = self.head_dim or self.hidden_size // self.num_attention_heads
        return grouped_attention(self.num_attention_heads, self.num_key_value_heads, dim)

    def experts(self) -> Part:
        """A layer of experts."""
        width = self.moe_intermediate_size or self.intermediate_size
        shared = self.shared_expert_intermediate_size
        if shared is None:
            shared = (self.num_shared_experts or 0) * width
        return mixture(
            self.num_experts or 1,
            self.num_experts_per_tok or 1,
            width,
            shared,
            gated=False,
            latent=self.moe_latent_size,
        )


class Mamba2Layers(GroupedFamily):
    """Mamba-2 and attention layers in the field names that Bamba, Granite 4 and Falcon-H1 share."""

    num_key_value_heads: Count | None = None
    mamba_n_heads: Count
    mamba_d_head: Count | Literal["auto"] = "auto"
    mamba_n_groups: Count = 1
    mamba_d_state: Count
    mamba_d_conv: Count = 4
    mamba_expand: Count = 2
    layer_types: list[str] | None = None
    attn_layer_indices: list[CountOrZero] | None = None
    ignored: ClassVar[frozenset[str]] = MAMBA_NOISE

    def mamba(self, width: int | None = None) -> Part:
        """A Mamba-2 layer of ``width`` channels, by default ``mamba_expand`` times the model
        width."""
        dim = self.mamba_d_head
        if dim == "auto":
            dim = (width or self.mamba_expand * self.hidden_size) // self.mamba_n_heads
        return mamba2(
            self.mamba_n_heads, dim, self.mamba_n_groups, self.mamba_d_state, self.mamba_d_conv
        )

    def attention(self) -> Sequence[Part | None]:
        full, mamba = self.grouped(), self.mamba()
        choices = {
            "attention": full,
            "full_attention": full,
            "mamba": mamba,
            "linear_attention": mamba,
        }
        at = self.attn_layer_indices or ()
        rule = ["attention" if i in at else "mamba" for i in range(self.num_hidden_layers)]
        return layers_by_type(
            "layer_types", self.layer_types or rule, self.num_hidden_layers, choices
        )


class GraniteHybrid(Mamba2Layers, Routed):
    """Granite 4: Mamba-2 with some attention layers; a shared MLP beside the experts, or alone
    where there are none."""

    num_experts: CountOrZero = 0
    num_experts_per_tok: CountOrZero = 0
    intermediate_size: Count = 11008
    shared_expert_intermediate_size: CountOrZero | None = 1024
    tie_word_embeddings: bool = True

    def feed_forward(self) -> Sequence[Part | None]:
        if self.num_experts:
            return super().feed_forward()
        return [self.mlp(self.shared_expert_intermediate_size)] * self.num_hidden_layers


class FalconH1(Mamba2Layers):
    """Falcon-H1: attention and Mamba-2 side by side in every layer, written as two layers, of which
    one has the MLP."""

    mamba_d_ssm: Count | None = 1024
    ignored: ClassVar[frozenset[str]] = MAMBA_NOISE | {
        "attention_in_multiplier",
        "attention_out_multiplier",
        "embedding_multiplier",
        "key_multiplier",
        "lm_head_multiplier",
        "mlp_multipliers",
        "ssm_in_multiplier",
        "ssm_out_multiplier",
        "ssm_multipliers",
        "mlp_expansion_factor",
        "projectors_bias",
        "attn_layer_indices",
        "layer_types",
    }

    def layers(self) -> Sequence[Layer]:
        beside = (self.mamba(self.mamba_d_ssm or self.mamba_expand * self.hidden_size), None)
        return [
            *[beside] * self.num_hidden_layers,
            *[(self.grouped(), self.mlp())] * self.num_hidden_layers,
        ]


class Jamba(Routed):
    """Jamba: Mamba-1, attention in every eighth layer, experts in every second."""

    expert_layer_period: Count = 2
    expert_layer_offset: CountOrZero = 1
    attn_layer_period: Count = 8
    attn_layer_offset: CountOrZero = 4
    mamba_d_state: Count = 16
    mamba_d_conv: Count = 4
    mamba_expand: Count = 2
    mamba_dt_rank: Count | Literal["auto"] = "auto"
    ignored: ClassVar[frozenset[str]] = MAMBA_NOISE | {"layers_block_type", "layers_num_experts"}

    def attention(self) -> Sequence[Part | None]:
        rank = (
            self.mamba_dt_rank if self.mamba_dt_rank != "auto" else math.ceil(self.hidden_size / 16)
        )
        width = self.mamba_expand * self.hidden_size
        scan = part(
            SelectiveScan,
            width=width,
            state_dim=self.mamba_d_state,
            step_rank=rank,
            convolution=self.mamba_d_conv,
        )
        period, offset = self.attn_layer_period, self.attn_layer_offset
        return [
            self.grouped() if i % period == offset else scan for i in range(self.num_hidden_layers)
        ]

    def has_experts(self, layer: int) -> bool:
        return self.num_experts > 1 and layer % self.expert_layer_period == self.expert_layer_offset


FAMILIES: dict[str, type[Family]] = {
    "nemotron_h": NemotronH,
    "bamba": Mamba2Layers,
    "granitemoehybrid": GraniteHybrid,
    "falcon_h1": FalconH1,
    "jamba": Jamba,
    "zamba2": Zamba2,
    "mamba2": PureMamba2,
    **dict.fromkeys(("falcon_mamba", "mamba"), PureMamba),
    **dict.fromkeys(("lfm2",), Lfm2),
    "lfm2_moe": Lfm2Moe,
}
