"""Families with routed experts and grouped-query attention.

Defaults are those of the ``configuration_*.py`` classes of Hugging Face transformers 4.57.1 (2025-10), and of the file
beside the published weights for MiniMax-M2.
"""

from collections.abc import Sequence
from typing import ClassVar

from codesign.workload.config_json.dense import Mistral, Qwen2, Windowed
from codesign.workload.config_json.family import (
    Count,
    CountOrZero,
    Family,
    GroupedFamily,
    Part,
    gated_mlp,
    layers_by_type,
    mixture,
)


class Mixtral(Mistral):
    """Mixtral: experts in every layer, no shared one; its window is off unless set."""

    sliding_window: Count | None = None
    num_local_experts: Count
    num_experts_per_tok: Count

    def feed_forward(self) -> Sequence[Part]:
        return [mixture(self.num_local_experts, self.num_experts_per_tok, self.intermediate_size)] * self.num_hidden_layers


class SparseSteps(GroupedFamily):
    """Experts in every ``decoder_sparse_step``-th layer, except those in ``mlp_only_layers``, as in Qwen's models.

    The rule is ``(layer + 1) % decoder_sparse_step == 0`` (``modeling_qwen2_moe.py``).
    """

    num_experts: Count
    num_experts_per_tok: Count
    moe_intermediate_size: Count
    shared_expert_intermediate_size: CountOrZero
    decoder_sparse_step: Count = 1
    mlp_only_layers: list[CountOrZero] | None = None

    def feed_forward(self) -> Sequence[Part]:
        shared = self.shared_expert_intermediate_size
        experts = mixture(self.num_experts, self.num_experts_per_tok, self.moe_intermediate_size, shared)
        dense = gated_mlp(self.intermediate_size)
        only_dense = set(self.mlp_only_layers or ())
        return [
            experts if i not in only_dense and (i + 1) % self.decoder_sparse_step == 0 else dense for i in range(self.num_hidden_layers)
        ]


class Qwen2Moe(SparseSteps, Qwen2):
    """Qwen2-57B-A14B and Qwen1.5-MoE: routed experts and a shared one."""


class Qwen3Moe(SparseSteps, Qwen2):
    """Qwen3 with experts: none is shared. Where the window is on, it is on in every layer."""

    max_window_layers: CountOrZero = 0
    shared_expert_intermediate_size: CountOrZero = 0


class GptOss(Windowed):
    """gpt-oss: experts in every layer; windowed and global layers take turns, beginning with a windowed one."""

    head_dim: Count | None = 64
    sliding_window: Count | None = 128
    num_local_experts: Count
    num_experts_per_tok: Count
    ignored: ClassVar[frozenset[str]] = frozenset({"initial_context_length"})
    repeats: ClassVar[dict[str, str]] = {"experts_per_token": "num_experts_per_tok"}

    def is_windowed(self, layer: int) -> bool:
        return layer % 2 == 0

    def feed_forward(self) -> Sequence[Part]:
        return [mixture(self.num_local_experts, self.num_experts_per_tok, self.intermediate_size)] * self.num_hidden_layers


class Llama4(Windowed):
    """Llama 4: experts in every k-th layer, one of them shared; three of four layers attend within a chunk.

    A chunk is read as a window of its size, which is what a position sees at most; on average it sees half of it.
    Layers without rotary positions are the global ones.
    """

    head_dim: Count | None = 128
    intermediate_size_mlp: Count
    num_local_experts: Count
    num_experts_per_tok: Count
    interleave_moe_layer_step: Count = 1
    moe_layers: list[CountOrZero] | None = None
    no_rope_layers: list[CountOrZero] | None = None
    no_rope_layer_interval: Count = 4
    attention_chunk_size: Count | None = 8192
    ignored: ClassVar[frozenset[str]] = frozenset({"attn_temperature_tuning", "attn_scale", "floor_scale", "for_llm_compressor"})

    def attention(self) -> Sequence[Part]:
        layers = self.num_hidden_layers
        by_interval = [int((i + 1) % self.no_rope_layer_interval != 0) for i in range(layers)]
        rotary = self.no_rope_layers or by_interval
        chunked, full = self.grouped(self.attention_chunk_size), self.grouped()
        if self.layer_types is None:
            return layers_by_type("no_rope_layers", rotary, layers, {0: full, 1: chunked})
        choices = {"chunked_attention": chunked, "full_attention": full}
        return layers_by_type("layer_types", self.layer_types, layers, choices)

    def feed_forward(self) -> Sequence[Part]:
        width, step = self.intermediate_size, self.interleave_moe_layer_step
        experts = mixture(self.num_local_experts, self.num_experts_per_tok, width, shared_width=width)
        dense = gated_mlp(self.intermediate_size_mlp)
        with_experts = set(range(step - 1, self.num_hidden_layers, step) if self.moe_layers is None else self.moe_layers)
        return [experts if i in with_experts else dense for i in range(self.num_hidden_layers)]


class MiniMaxM2(Mixtral):
    """MiniMax-M2: full attention in every layer (``attn_type_list`` all 1), no shared expert."""

    attn_type_list: list[CountOrZero] | None = None
    shared_intermediate_size: CountOrZero = 0
    ignored: ClassVar[frozenset[str]] = frozenset(
        {"use_mtp", "num_mtp_modules", "mtp_transformer_layers", "qk_norm_type", "use_routing_bias", "scoring_func"}
        | {"layernorm_full_attention_beta", "layernorm_linear_attention_beta", "layernorm_mlp_beta"}
    )

    def attention(self) -> Sequence[Part]:
        types = [1] * self.num_hidden_layers if self.attn_type_list is None else self.attn_type_list
        return layers_by_type("attn_type_list", types, self.num_hidden_layers, {1: self.grouped()})

    def feed_forward(self) -> Sequence[Part]:
        shared = self.shared_intermediate_size
        experts = mixture(self.num_local_experts, self.num_experts_per_tok, self.intermediate_size, shared)
        return [experts] * self.num_hidden_layers


class Glm4Moe(GroupedFamily):
    """GLM-4.5 to 4.7: some dense layers first, then experts with shared ones."""

    n_routed_experts: Count
    n_shared_experts: CountOrZero
    num_experts_per_tok: Count
    moe_intermediate_size: Count
    first_k_dense_replace: CountOrZero = 1
    ignored: ClassVar[frozenset[str]] = frozenset({"n_group", "topk_group", "num_nextn_predict_layers"})

    def feed_forward(self) -> Sequence[Part]:
        width, first = self.moe_intermediate_size, min(self.first_k_dense_replace, self.num_hidden_layers)
        experts = mixture(self.n_routed_experts, self.num_experts_per_tok, width, self.n_shared_experts * width)
        return [gated_mlp(self.intermediate_size)] * first + [experts] * (self.num_hidden_layers - first)


FAMILIES: dict[str, type[Family]] = {
    "mixtral": Mixtral,
    "qwen2_moe": Qwen2Moe,
    "qwen3_moe": Qwen3Moe,
    "gpt_oss": GptOss,
    "llama4_text": Llama4,
    "minimax_m2": MiniMaxM2,
    "glm4_moe": Glm4Moe,
}
