"""Families with multi-head latent attention: DeepSeek-V2 to V3.2, Kimi-K2, GLM-5, Mistral 4,
LongCat.

Field names are those of ``configuration_deepseek.py`` beside the published weights, the indexer's
those of DeepSeek-V3.2-Exp; defaults those of Hugging Face transformers 5.24 (2026-11).
"""

from collections.abc import Sequence
from typing import ClassVar

from codesign.workload.config_json.family import (
    Count,
    CountOrZero,
    Family,
    Layer,
    Part,
    exact_share,
    gated_mlp,
    layers_by_type,
    mixture,
    part,
)
from codesign.workload.transformer import Indexer, LatentAttention


class LatentFamily(Family):
    """Latent attention with the field names of DeepSeek."""

    num_attention_heads: Count
    q_lora_rank: CountOrZero | None
    kv_lora_rank: Count
    qk_rope_head_dim: Count
    qk_nope_head_dim: Count
    v_head_dim: Count
    ignored: ClassVar[frozenset[str]] = frozenset(
        {"num_key_value_heads", "head_dim", "qk_head_dim", "n_group", "topk_group", "topk_method"}
        | {
            "seq_aux",
            "aux_loss_alpha",
            "num_nextn_predict_layers",
            "ep_size",
            "moe_router_enable_expert_bias",
        }
        | {"rope_interleave", "rope_interleaved"}
    )

    def latent(self) -> dict[str, object]:
        """Dimensions of the attention."""
        return {
            "heads": self.num_attention_heads,
            "latent_rank": self.kv_lora_rank,
            "rope_dim": self.qk_rope_head_dim,
            "nope_dim": self.qk_nope_head_dim,
            "value_dim": self.v_head_dim,
            "query_rank": self.q_lora_rank or 0,
        }

    def attention(self) -> Sequence[Part | None]:
        return [part(LatentAttention, **self.latent())] * self.num_hidden_layers


class Deepseek(LatentFamily):
    """Dense layers first, then experts, routed and shared, in every k-th layer."""

    intermediate_size: Count
    moe_intermediate_size: Count
    num_experts: Count
    num_shared_experts: CountOrZero | None
    num_experts_per_tok: Count
    first_k_dense_replace: CountOrZero
    moe_layer_freq: Count = 1
    mlp_layer_types: list[str] | None = None

    def feed_forward(self) -> Sequence[Part | None]:
        width, first = self.moe_intermediate_size, self.first_k_dense_replace
        shared_width = (self.num_shared_experts or 0) * width
        experts = mixture(self.num_experts, self.num_experts_per_tok, width, shared_width)
        layers = self.num_hidden_layers
        rule = [
            "sparse" if i >= first and i % self.moe_layer_freq == 0 else "dense"
            for i in range(layers)
        ]
        choices = {"sparse": experts, "dense": gated_mlp(self.intermediate_size)}
        return layers_by_type("mlp_layer_types", self.mlp_layer_types or rule, layers, choices)


class DenseLatent(LatentFamily):
    """Latent attention with a dense MLP: Youtu, and MiniCPM3, whose values are as wide as the model
    over its heads unless told (``modeling_minicpm.py`` beside openbmb/MiniCPM3-4B)."""

    intermediate_size: Count
    v_head_dim: Count | None = None  # pyright: ignore[reportIncompatibleVariableOverride]
    tie_word_embeddings: bool = True
    ignored: ClassVar[frozenset[str]] = LatentFamily.ignored | {
        "dim_model_base",
        "scale_emb",
        "scale_depth",
    }

    def latent(self) -> dict[str, object]:
        value = self.v_head_dim or exact_share(self, "hidden_size", "num_attention_heads")
        return {**super().latent(), "value_dim": value}

    def feed_forward(self) -> Sequence[Part | None]:
        return [gated_mlp(self.intermediate_size)] * self.num_hidden_layers


class DeepseekV32(Deepseek):
    """DeepSeek-V3.2, GLM-5: an indexer picks the positions that each row reads; all stay in the
    cache.

    ``indexer_types`` says which layers have an indexer of their own (``full``) and which read what
    the last one chose (``shared``): GLM-5.2. All have one unless told.
    """

    index_n_heads: Count
    index_head_dim: Count
    index_topk: Count
    indexer_types: list[str] | None = None
    index_topk_freq: Count | None = None
    index_skip_topk_offset: CountOrZero | None = None
    index_topk_pattern: str | None = None
    ignored: ClassVar[frozenset[str]] = LatentFamily.ignored | {
        "indexer_rope_interleave",
        "index_share_for_mtp_iteration",
    }
    needs: ClassVar = {
        "layer_types": ("indexed_attention", "deepseek_sparse_attention", "full_attention"),
        "index_topk_pattern": (None,),
    }

    def attention(self) -> Sequence[Part | None]:
        indexer = part(Indexer, heads=self.index_n_heads, dim=self.index_head_dim)
        own = part(LatentAttention, **self.latent(), top_k=self.index_topk, indexer=indexer)
        borrowed = part(LatentAttention, **self.latent(), top_k=self.index_topk)
        choices = {"full": own, "shared": borrowed}
        types = self.indexer_types or [
            ("full" if self.has_indexer(i) else "shared") for i in range(self.num_hidden_layers)
        ]
        return layers_by_type("indexer_types", types, self.num_hidden_layers, choices)

    def has_indexer(self, layer: int) -> bool:
        """Without a list: the first layers and then every k-th one choose, if a frequency is
        given."""
        every, first = self.index_topk_freq or 1, self.index_skip_topk_offset or 0
        return layer < first or (layer - first) % every == every - 1 if every > 1 else True


class LongCat(LatentFamily):
    """LongCat-Flash: two attentions and two MLPs a layer, with a mixture beside them; some of its
    experts do nothing.

    Those have no weights; a token is sent to as many experts as are told, of which in the mean the
    share of real ones does work. (The class of transformers 5.24 sets aside gate and up matrices
    for them that no checkpoint holds.)
    """

    intermediate_size: Count
    moe_intermediate_size: Count
    num_experts: Count
    num_experts_per_tok: Count
    zero_expert_num: CountOrZero | None = 0
    ignored: ClassVar[frozenset[str]] = LatentFamily.ignored | {
        "mla_scale_q_lora",
        "mla_scale_kv_lora",
        "zero_expert_type",
        "router_dtype",
        "attention_method",
        "use_mtp",
    }

    def layers(self) -> Sequence[Layer]:
        real = self.num_experts / (self.num_experts + (self.zero_expert_num or 0))
        experts = mixture(
            self.num_experts, self.num_experts_per_tok * real, self.moe_intermediate_size
        )
        block = (part(LatentAttention, **self.latent()), gated_mlp(self.intermediate_size))
        return [
            *[block] * (2 * self.num_hidden_layers),
            *[(None, experts)] * self.num_hidden_layers,
        ]


class Glm4MoeLite(Deepseek):
    """GLM-4.7-Flash, A.X K1: as DeepSeek-V3, with one dense layer first unless told."""

    first_k_dense_replace: CountOrZero = 1


class Mistral4(Deepseek):
    """Mistral Large 3 and 4: as DeepSeek-V3, with experts in every layer unless told."""

    first_k_dense_replace: CountOrZero = 0


FAMILIES: dict[str, type[Family]] = {
    **dict.fromkeys(
        ("deepseek_v2", "deepseek_v3", "kimi_k2", "kimi_vl_text", "sarvam_mla"), Deepseek
    ),
    **dict.fromkeys(("deepseek_v32", "glm_moe_dsa"), DeepseekV32),
    **dict.fromkeys(("minicpm3", "youtu"), DenseLatent),
    **dict.fromkeys(("glm4_moe_lite", "axk1"), Glm4MoeLite),
    "mistral4": Mistral4,
    "longcat_flash": LongCat,
}
