"""Families with multi-head latent attention: DeepSeek-V2 to V3.2 and Kimi-K2.

Field names are those of ``configuration_deepseek.py`` beside the published weights, the indexer's those of
DeepSeek-V3.2-Exp.
"""

from collections.abc import Sequence
from typing import ClassVar

from codesign.workload.config_json.family import Count, CountOrZero, Family, Part, gated_mlp, mixture, part
from codesign.workload.transformer import LatentAttention


class Deepseek(Family):
    """Latent attention in every layer; dense layers first, then experts, routed and shared, in every k-th layer."""

    num_attention_heads: Count
    q_lora_rank: Count | None
    kv_lora_rank: Count
    qk_rope_head_dim: Count
    qk_nope_head_dim: Count
    v_head_dim: Count
    intermediate_size: Count
    moe_intermediate_size: Count
    n_routed_experts: Count
    n_shared_experts: CountOrZero | None
    num_experts_per_tok: Count
    first_k_dense_replace: CountOrZero
    moe_layer_freq: Count = 1
    ignored: ClassVar[frozenset[str]] = frozenset(
        {"num_key_value_heads", "head_dim", "qk_head_dim", "n_group", "topk_group", "topk_method", "scoring_func"}
        | {"seq_aux", "aux_loss_alpha", "num_nextn_predict_layers", "ep_size", "moe_router_enable_expert_bias"}
        | {"rope_interleave"}
    )

    def attention(self) -> Sequence[Part]:
        return [part(LatentAttention, **self.latent())] * self.num_hidden_layers

    def latent(self) -> dict[str, int]:
        """Dimensions of the attention."""
        return {
            "heads": self.num_attention_heads,
            "latent_rank": self.kv_lora_rank,
            "rope_dim": self.qk_rope_head_dim,
            "nope_dim": self.qk_nope_head_dim,
            "value_dim": self.v_head_dim,
            "query_rank": self.q_lora_rank or 0,
        }

    def feed_forward(self) -> Sequence[Part]:
        width, first = self.moe_intermediate_size, self.first_k_dense_replace
        shared_width = (self.n_shared_experts or 0) * width
        experts = mixture(self.n_routed_experts, self.num_experts_per_tok, width, shared_width)
        dense = gated_mlp(self.intermediate_size)
        return [experts if i >= first and i % self.moe_layer_freq == 0 else dense for i in range(self.num_hidden_layers)]


class DeepseekV32(Deepseek):
    """DeepSeek-V3.2: an indexer picks the positions that each row reads; all stay in the cache."""

    index_n_heads: Count
    index_head_dim: Count
    index_topk: Count

    def latent(self) -> dict[str, int]:
        indexer = {
            "top_k": self.index_topk,
            "indexer_heads": self.index_n_heads,
            "indexer_dim": self.index_head_dim,
        }
        return {**super().latent(), **indexer}


FAMILIES: dict[str, type[Family]] = {
    "deepseek_v2": Deepseek,
    "deepseek_v3": Deepseek,
    "kimi_k2": Deepseek,
    "deepseek_v32": DeepseekV32,
}
