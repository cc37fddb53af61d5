"""Mixtures with names or parts of their own: DBRX, Grok-1, Arctic, Step 3.

Sources: ``configuration_dbrx.py`` and ``modeling_dbrx.py`` of Hugging Face transformers;
``run.py`` and ``model.py`` of github.com/xai-org/grok-1; ``modeling_arctic.py`` beside
Snowflake/snowflake-arctic-instruct; ``step3_text.py`` and ``configs/step3_vl.py`` of vLLM 0.11.
"""

from collections.abc import Sequence
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from codesign.workload.config_json.family import (
    Count,
    CountOrZero,
    Family,
    Part,
    exact_share,
    grouped_attention,
    mixture,
)
from codesign.workload.config_json.mixture_rules import listed_layers
from codesign.workload.config_json.refusal import refuse_value
from codesign.workload.config_json.routed import Routed


class DbrxAttention(BaseModel):
    """``attn_config`` of DBRX."""

    model_config = ConfigDict(extra="forbid", strict=True)
    kv_n_heads: Count = 1
    attn_pdrop: object = None
    clip_qkv: object = None
    rope_theta: object = None
    model_type: object = None


class DbrxExperts(BaseModel):
    """``ffn_config`` of DBRX."""

    model_config = ConfigDict(extra="forbid", strict=True)
    ffn_hidden_size: Count = 3584
    moe_num_experts: Count = 4
    moe_top_k: Count = 1
    ffn_act_fn: object = None
    moe_jitter_eps: object = None
    moe_loss_weight: object = None
    moe_normalize_expert_weights: object = None
    uniform_expert_assignment: object = None
    hidden_size: object = None
    model_type: object = None


class Dbrx(Family):
    """DBRX: attention and experts described in objects of their own."""

    num_attention_heads: Count
    attn_config: DbrxAttention
    ffn_config: DbrxExperts

    def attention(self) -> Sequence[Part | None]:
        groups = self.attn_config.kv_n_heads
        if self.num_attention_heads % groups:
            raise ValueError(
                f"attn_config.kv_n_heads = {groups} does not divide num_attention_heads ="
                f" {self.num_attention_heads}, expected a divisor of it"
            )
        width = exact_share(self, "hidden_size", "num_attention_heads")
        one = grouped_attention(self.num_attention_heads, groups, width)
        return [one] * self.num_hidden_layers

    def feed_forward(self) -> Sequence[Part | None]:
        own = self.ffn_config
        one = mixture(own.moe_num_experts, own.moe_top_k, own.ffn_hidden_size)
        return [one] * self.num_hidden_layers


class Grok(Routed):
    """Grok-1: experts in every layer, tied tables."""

    tie_word_embeddings: bool = True
    ignored: ClassVar[frozenset[str]] = frozenset(
        {"attn_output_multiplier", "embedding_multiplier_scale", "output_multiplier_scale"}
        | {"max_attn_value"}
    )
    needs: ClassVar = {"residual_moe": (False,)}


class Arctic(Routed):
    """Arctic: an MLP as wide as the model beside the experts, which are in every k-th layer; the
    others have an MLP of the experts' width."""

    moe_layer_frequency: Count = 2
    parallel_attn_mlp_res: bool = False
    ignored: ClassVar[frozenset[str]] = frozenset(
        {"use_residual", "moe_min_capacity", "moe_token_dropping", "quantization"}
        | {"enable_expert_tensor_parallelism", "max_sequence_length"}
    )
    needs: ClassVar = {"sliding_window": (None,)}

    def has_experts(self, layer: int) -> bool:
        return (layer + 1) % self.moe_layer_frequency == 0

    def experts(self) -> Part:
        beside = self.hidden_size if self.parallel_attn_mlp_res else 0
        return mixture(self.num_experts, self.num_experts_per_tok, self.intermediate_size, beside)


class Step3Text(Routed):
    """Step 3: queries from a latent, one key-value head for all of them (multi-matrix
    factorisation); experts in the layers listed, with a shared one."""

    num_key_value_heads: Count = 1  # pyright: ignore[reportIncompatibleVariableOverride]
    share_q_dim: Count
    head_dim: Count  # pyright: ignore[reportGeneralTypeIssues, reportIncompatibleVariableOverride]
    moe_intermediate_size: Count  # pyright: ignore[reportGeneralTypeIssues, reportIncompatibleVariableOverride]
    shared_expert_intermediate_size: Count  # pyright: ignore[reportGeneralTypeIssues, reportIncompatibleVariableOverride]
    moe_layers_enum: str | list[CountOrZero]
    max_position_embedding: CountOrZero | None = None
    ignored: ClassVar[frozenset[str]] = frozenset({"norm_expert_weight"})

    def attention(self) -> Sequence[Part | None]:
        if self.num_key_value_heads != 1:
            raise refuse_value("num_key_value_heads", self.num_key_value_heads, [1])
        return [self.grouped(query_rank=self.share_q_dim)] * self.num_hidden_layers

    def has_experts(self, layer: int) -> bool:
        return layer in listed_layers(self.moe_layers_enum)


FAMILIES: dict[str, type[Family]] = {
    "dbrx": Dbrx,
    "grok-1": Grok,
    "arctic": Arctic,
    "step3_text": Step3Text,
}
