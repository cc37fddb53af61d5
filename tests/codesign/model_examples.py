"""A small config of every family: few layers of all the kinds that it knows, in the field names of
its files."""

from typing import Any

from codesign.workload.config_json import FAMILIES

LLAMA = {
    "hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 6, "num_attention_heads": 8, "num_key_value_heads": 2,
    "vocab_size": 1000,
}  # fmt: skip
EXPERTS = {"num_experts": 16, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
LOCAL_EXPERTS = {"num_local_experts": 16, "num_experts_per_tok": 2}
LATENT = {
    "q_lora_rank": 48, "kv_lora_rank": 32, "qk_rope_head_dim": 8, "qk_nope_head_dim": 16, "v_head_dim": 12,
    "moe_intermediate_size": 32, "n_routed_experts": 16, "n_shared_experts": 2, "num_experts_per_tok": 4,
    "first_k_dense_replace": 1,
}  # fmt: skip
INDEXER = {"index_n_heads": 4, "index_head_dim": 16, "index_topk": 20}
LINEAR = {
    "linear_conv_kernel_dim": 4, "linear_key_head_dim": 16, "linear_value_head_dim": 8, "linear_num_key_heads": 2,
    "linear_num_value_heads": 4, "head_dim": 8,
}  # fmt: skip
DELTA = {"layer_types": (["linear_attention"] * 2 + ["full_attention"]) * 2, "linear_head_dim": 16, "linear_num_heads": 4,
         "linear_conv_kernel_dim": 4}  # fmt: skip
MAMBA = {
    "mamba_n_heads": 8,
    "mamba_d_head": 16,
    "mamba_n_groups": 2,
    "mamba_d_state": 24,
    "mamba_d_conv": 4,
    "mamba_expand": 2,
}
GPT = {"n_embd": 64, "n_layer": 2, "n_head": 4, "vocab_size": 100}
SPARSE = {
    "sparse_attention_freq": [0, 0, 1, 1, 1, 1], "sparse_block_size": 16, "sparse_index_dim": 8, "sparse_num_index_heads": 2,
    "sparse_topk_blocks": 3, "sparse_local_block": 1, "use_sparse_attention": True,
}  # fmt: skip
BLOCKS = [
    {"attention": {"n_heads_in_group": 4}, "ffn": {"ffn_mult": 6.0}},
    {"attention": {"no_op": True}, "ffn": {"ffn_mult": 12.0}},
    {"attention": {"n_heads_in_group": 8}, "ffn": {"no_op": True}},
]

OWN: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("gpt2", "gptj", "codegen", "gpt_bigcode"), GPT),
    "opt": {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": 256, "vocab_size": 100,
            "max_position_embeddings": 32},
    "dbrx": {"d_model": 64, "n_layers": 2, "n_heads": 8, "vocab_size": 100, "attn_config": {"kv_n_heads": 2},
             "ffn_config": {"ffn_hidden_size": 48, "moe_num_experts": 16, "moe_top_k": 4}},
    "falcon": {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 8, "vocab_size": 9},
    "bloom": {"hidden_size": 64, "n_layer": 2, "n_head": 4, "vocab_size": 100},
    "mpt": {"d_model": 64, "n_layers": 2, "n_heads": 4, "vocab_size": 100, "max_seq_len": 32, "attn_config": {"alibi": True}},
    "nemotron-nas": {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 8, "vocab_size": 100,
                     "block_configs": BLOCKS},
    "nemotron_h": {
        "hidden_size": 64, "hybrid_override_pattern": "M*-EM", "num_hidden_layers": 5, "num_attention_heads": 8,
        "num_key_value_heads": 2, "head_dim": 8, "intermediate_size": 128, "mamba_num_heads": 8, "mamba_head_dim": 16, "n_groups": 2,
        "ssm_state_size": 24, "conv_kernel": 4, "n_routed_experts": 16, "num_experts_per_tok": 2, "moe_intermediate_size": 32,
        "moe_shared_expert_intermediate_size": 48, "moe_latent_size": 16, "vocab_size": 1000,
    },
    "mamba": {"hidden_size": 64, "num_hidden_layers": 2, "vocab_size": 100, "state_size": 16},
    "falcon_mamba": {"hidden_size": 64, "num_hidden_layers": 2, "vocab_size": 100, "state_size": 16},
    "mamba2": {"hidden_size": 64, "num_hidden_layers": 2, "vocab_size": 100, "num_heads": 8, "head_dim": 16, "n_groups": 2,
               "state_size": 24},
    "zamba2": {
        "hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 8, "vocab_size": 100, "intermediate_size": 96,
        "n_mamba_heads": 8, "mamba_d_state": 24, "mamba_ngroups": 2, "num_mem_blocks": 1, "adapter_rank": 4,
        "layers_block_type": ["mamba", "hybrid", "mamba", "hybrid"],
    },
    "deepseek_v4": {
        "hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 8, "num_key_value_heads": 1, "head_dim": 16,
        "vocab_size": 1000, "moe_intermediate_size": 32, "n_routed_experts": 16, "n_shared_experts": 1, "num_experts_per_tok": 2,
        "q_lora_rank": 24, "o_groups": 4, "o_lora_rank": 12, "sliding_window": 8, "compress_ratios": [128, 4, 0, 4, 0], "hc_mult": 4,
        **INDEXER,
    },
}  # fmt: skip
"""Fields of families whose files do not look like Llama's."""

MORE: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("deepseek_v2", "deepseek_v3", "kimi_k2", "kimi_vl_text", "sarvam_mla", "glm4_moe_lite", "axk1", "mistral4", "minicpm3", "youtu"),
                    LATENT),
    **dict.fromkeys(("deepseek_v32", "glm_moe_dsa"), LATENT | INDEXER),
    **dict.fromkeys(("mixtral", "phimoe", "gpt_oss", "minimax_m2", "olmoe", "flex_olmo", "granitemoe", "granitemoeshared"), LOCAL_EXPERTS),
    **dict.fromkeys(("minimax", "minimax_m1", "minimax_text_01"), LOCAL_EXPERTS | {"attn_type_list": [0, 0, 1] * 2}),
    **dict.fromkeys(("qwen2_moe",), EXPERTS | {"shared_expert_intermediate_size": 8}),
    **dict.fromkeys(("qwen3_moe", "qwen3_vl_moe_text", "qwen3_omni_moe_text", "hunyuan_v1_moe", "mellum", "cohere2_moe"), EXPERTS),
    **dict.fromkeys(("glm4_moe", "glm4v_moe_text", "solar_open", "dots1", "bailing_moe", "bailing_moe_v2", "exaone_moe", "hy_v3",
                     "sarvam_moe"), EXPERTS | {"num_shared_experts": 1, "first_k_dense_replace": 1}),
    "grok-1": EXPERTS,
    "arctic": LOCAL_EXPERTS | {"parallel_attn_mlp_res": True, "moe_layer_frequency": 2},
    "step3_text": {
        "num_key_value_heads": 1, "head_dim": 16, "share_q_dim": 24, "moe_num_experts": 16, "moe_top_k": 3,
        "moe_intermediate_size": 32, "share_expert_dim": 40, "moe_layers_enum": "1,2,3,4"},
    "afmoe": EXPERTS | {"num_shared_experts": 1, "num_dense_layers": 1, "sliding_window": 16},
    **dict.fromkeys(("step3p5", "step3p7", "step3p7_text"), EXPERTS | {"share_expert_dim": 24, "sliding_window": 16}),
    "ernie4_5_moe": {"moe_num_experts": 16, "moe_k": 2, "moe_intermediate_size": 32, "moe_num_shared_experts": 1},
    "qwen3_next": EXPERTS | LINEAR | {"shared_expert_intermediate_size": 24},
    "qwen3_5_moe_text": EXPERTS | LINEAR | {"shared_expert_intermediate_size": 24},
    "qwen3_5_text": LINEAR,
    "llama4_text": LOCAL_EXPERTS | {"intermediate_size_mlp": 9},
    "kimi_linear": LATENT | DELTA,
    "kimi_k3_text": LATENT | DELTA | {"routed_expert_hidden_size": 32, "mla_use_output_gate": True},
    "bailing_hybrid": LATENT | DELTA,
    "bailing_moe_linear": EXPERTS | {"layer_group_size": 3},
    "bamba": MAMBA | {"attn_layer_indices": [1, 4]},
    "granitemoehybrid": MAMBA | LOCAL_EXPERTS | {"shared_intermediate_size": 24, "layer_types": ["mamba", "attention"] * 3},
    "falcon_h1": MAMBA | {"mamba_d_ssm": 128},
    "jamba": {"num_experts": 4, "num_experts_per_tok": 2, "attn_layer_period": 3, "attn_layer_offset": 1, "mamba_d_state": 16},
    "lfm2": {"full_attn_idxs": [1, 4], "conv_L_cache": 3},
    "lfm2_moe": EXPERTS | {"layer_types": ["conv", "full_attention"] * 3, "conv_L_cache": 3, "num_dense_layers": 2},
    **dict.fromkeys(("minimax_m3", "minimax_m3_vl_text"), LOCAL_EXPERTS | {
        "dense_intermediate_size": 96, "shared_intermediate_size": 48, "moe_layer_freq": [0, 1, 1, 1, 1, 1],
        "sparse_attention_config": SPARSE}),
    **dict.fromkeys(("mimo_v2", "mimo_v2_flash"), EXPERTS | {
        "head_dim": 12, "v_head_dim": 8, "sliding_window": 16, "hybrid_layer_pattern": [0, 1, 1, 0, 1, 1], "swa_num_key_value_heads": 4,
        "moe_layer_freq": [0, 1, 1, 1, 1, 1]}),
    "baichuan": {"num_key_value_heads": 8},
    "mllama_text_model": {"cross_attention_layers": [1, 4]},
    "longcat_flash": {**LATENT, "ffn_hidden_size": 96, "expert_ffn_hidden_size": 32, "moe_topk": 3, "zero_expert_num": 8},
    "gemma3n_text": {"head_dim": 8, "num_kv_shared_layers": 2, "hidden_size_per_layer_input": 4, "vocab_size_per_layer_input": 900,
                     "laurel_rank": 4, "sliding_window": 16},
    "gemma4_text": {
        "head_dim": 8, "global_head_dim": 16, "num_kv_shared_layers": 2, "hidden_size_per_layer_input": 4, "attention_k_eq_v": True,
        "vocab_size_per_layer_input": 900, "num_global_key_value_heads": 1, "sliding_window": 16, "enable_moe_block": True,
        "num_experts": 16, "top_k_experts": 2, "moe_intermediate_size": 32,
    },
}  # fmt: skip
"""What other families need besides Llama's fields."""

WITHOUT: dict[str, set[str]] = {
    "longcat_flash": {
        "moe_intermediate_size",
        "num_experts_per_tok",
        "first_k_dense_replace",
        "n_shared_experts",
        "intermediate_size",
    },
    **dict.fromkeys(
        ("minicpm3", "youtu"),
        set(LATENT)
        - {"q_lora_rank", "kv_lora_rank", "qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim"},
    ),
}
"""Fields that some of them do not have."""


def example(model_type: str) -> dict[str, Any]:
    """The small config of a family."""
    fields = OWN[model_type] if model_type in OWN else {**LLAMA, **MORE.get(model_type, {})}
    return {
        "model_type": model_type,
        **{
            name: value for name, value in fields.items() if name not in WITHOUT.get(model_type, ())
        },
    }


EXAMPLES = {model_type: example(model_type) for model_type in FAMILIES}
"""By ``model_type``."""

PUBLISHED = (
    (
        {"model_type": "dbrx", "d_model": 6144, "n_layers": 40, "n_heads": 48, "max_seq_len": 32768, "vocab_size": 100352,
         "attn_config": {"clip_qkv": 8, "kv_n_heads": 8, "model_type": "", "rope_theta": 500000},
         "ffn_config": {"ffn_hidden_size": 10752, "model_type": "", "moe_num_experts": 16, "moe_top_k": 4}},
        132e9, 36e9, 40 * 2 * 8 * 128,
    ),  # databricks.com/blog/introducing-dbrx-new-state-art-open-llm (2024-03-27)
    (
        {"model_type": "grok-1", "hidden_size": 6144, "intermediate_size": 32768, "num_hidden_layers": 64,
         "num_attention_heads": 48, "num_key_value_heads": 8, "num_experts": 8, "num_experts_per_tok": 2, "vocab_size": 131072,
         "max_attn_value": 30.0},
        314e9, 86e9, 64 * 2 * 8 * 128,
    ),  # x.ai/news/grok-os (2024-03-17); README of github.com/xai-org/grok-1: 86e9 active
    (
        {"model_type": "arctic", "hidden_size": 7168, "intermediate_size": 4864, "num_hidden_layers": 35, "num_attention_heads": 56,
         "num_key_value_heads": 8, "num_local_experts": 128, "num_experts_per_tok": 2, "vocab_size": 32000,
         "parallel_attn_mlp_res": True, "moe_layer_frequency": 1},
        480e9, 17e9, 35 * 2 * 8 * 128,
    ),  # snowflake.com/blog/arctic-open-efficient-foundation-language-models-snowflake (2024-04-24)
    (
        {"model_type": "step3_text", "hidden_size": 7168, "intermediate_size": 18432, "num_hidden_layers": 61,
         "num_attention_heads": 64, "num_attention_groups": 1, "head_dim": 256, "share_q_dim": 2048, "moe_num_experts": 48,
         "moe_top_k": 3, "moe_intermediate_size": 5120, "share_expert_dim": 5120, "vocab_size": 128815,
         "max_position_embedding": 65536, "moe_layers_enum": ",".join(map(str, range(4, 60)))},
        316e9, 38e9, 61 * 2 * 256,
    ),  # arXiv 2507.19427 table 1: 316e9 language model of 321e9, 38e9 active
)  # fmt: skip
"""Files of models that are not shipped, published parameters, active ones, and elements of the
cache of a position."""
