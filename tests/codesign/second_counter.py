"""Parameters counted a second time, by walking the shapes of the published modelling code from the
fields of a file alone.

Written from ``modeling_*.py`` of Hugging Face transformers 5.24 (and, for Nemotron-NAS,
``modeling_decilm.py`` beside the weights), module by module and layer by layer, norms and biases
included. Nothing of the product is used.
"""

import math
from collections.abc import Callable
from typing import Any

Fields = dict[str, Any]


def linear(inputs: int, outputs: int, bias: bool = False) -> int:
    return inputs * outputs + (outputs if bias else 0)


def gated(hidden: int, width: int) -> int:
    return 3 * linear(hidden, width)


def grouped(c: Fields, *, gate: bool = False, dim: int | None = None) -> int:
    hidden, heads, groups = c["hidden_size"], c["num_attention_heads"], c["num_key_value_heads"]
    dim = dim or c.get("head_dim") or hidden // heads
    return (
        linear(hidden, heads * dim * (2 if gate else 1))
        + 2 * linear(hidden, groups * dim)
        + linear(heads * dim, hidden)
    )


def tables(c: Fields, *, tied: bool) -> int:
    return c["vocab_size"] * c["hidden_size"] * (1 if tied else 2) + c["hidden_size"]


def latent(c: Fields, *, gate: bool = False) -> int:
    hidden, heads = c["hidden_size"], c["num_attention_heads"]
    nope, rope, value, rank = (
        c[name] for name in ("qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim", "kv_lora_rank")
    )
    query = c.get("q_lora_rank")
    queries = (
        linear(hidden, query) + query + linear(query, heads * (nope + rope))
        if query
        else linear(hidden, heads * (nope + rope))
    )
    keys = linear(hidden, rank + rope) + rank + linear(rank, heads * (nope + value))
    return (
        queries
        + keys
        + linear(heads * value, hidden)
        + (linear(hidden, heads * value) if gate else 0)
    )


def mixture(
    hidden: int,
    experts: int,
    width: int,
    shared: int,
    *,
    matrices: int = 3,
    inner: int | None = None,
) -> int:
    routed = experts * matrices * (inner or hidden) * width
    through = 2 * linear(hidden, inner) if inner else 0
    return routed + matrices * hidden * shared + linear(hidden, experts) + experts + through


def mamba2(hidden: int, heads: int, dim: int, groups: int, state: int, taps: int) -> int:
    inner = heads * dim
    convolved = inner + 2 * groups * state
    return (
        linear(hidden, inner + convolved + heads)
        + convolved * (taps + 1)
        + 3 * heads
        + inner
        + linear(inner, hidden)
    )


def mamba1(hidden: int, inner: int, state: int, rank: int, taps: int) -> int:
    return (
        linear(hidden, 2 * inner)
        + inner * (taps + 1)
        + linear(inner, rank + 2 * state)
        + linear(rank, inner, bias=True)
        + inner * state
        + inner
        + linear(inner, hidden)
    )


def qwen3_5(c: Fields) -> int:
    hidden, total = c["hidden_size"], tables(c, tied=c.get("tie_word_embeddings", False))
    keys = c["linear_num_key_heads"] * c["linear_key_head_dim"]
    heads, values = (
        c["linear_num_value_heads"],
        c["linear_num_value_heads"] * c["linear_value_head_dim"],
    )
    for layer in range(c["num_hidden_layers"]):
        types = c.get("layer_types") or [
            "full_attention" if (i + 1) % 4 == 0 else "linear_attention" for i in range(layer + 1)
        ]
        if types[layer] == "full_attention":
            total += grouped(c, gate=True) + 2 * c["head_dim"]
        else:
            channels = 2 * keys + values
            total += linear(hidden, channels) + linear(hidden, values) + 2 * linear(hidden, heads)
            total += (
                channels * c["linear_conv_kernel_dim"]
                + 2 * heads
                + c["linear_value_head_dim"]
                + linear(values, hidden)
            )
        if "num_experts" in c:
            shared = c["shared_expert_intermediate_size"]
            total += mixture(hidden, c["num_experts"], c["moe_intermediate_size"], shared) + hidden
        else:
            total += gated(hidden, c["intermediate_size"])
        total += 2 * hidden
    return total


def nemotron_h(c: Fields) -> int:
    hidden, total = c["hidden_size"], tables(c, tied=False)
    for letter in c["hybrid_override_pattern"]:
        total += hidden
        if letter == "M":
            total += mamba2(
                hidden,
                c["mamba_num_heads"],
                c["mamba_head_dim"],
                c["n_groups"],
                c["ssm_state_size"],
                c["conv_kernel"],
            )
        elif letter == "*":
            total += grouped({**c, "head_dim": c.get("head_dim") or c.get("attention_head_dim")})
        elif letter == "-":
            total += 2 * linear(hidden, c["intermediate_size"])
        else:
            total += mixture(
                hidden,
                c["n_routed_experts"],
                c["moe_intermediate_size"],
                c["moe_shared_expert_intermediate_size"],
                matrices=2,
                inner=c.get("moe_latent_size"),
            )
    return total


def granite_hybrid(c: Fields) -> int:
    hidden, total = c["hidden_size"], tables(c, tied=c.get("tie_word_embeddings", True))
    for kind in c["layer_types"]:
        total += 2 * hidden + gated(hidden, c["shared_intermediate_size"])
        total += c["num_local_experts"] * (gated(hidden, c["intermediate_size"]) + hidden)
        if kind == "mamba":
            names = (
                "mamba_n_heads",
                "mamba_d_head",
                "mamba_n_groups",
                "mamba_d_state",
                "mamba_d_conv",
            )
            total += mamba2(hidden, *(c[name] for name in names))
        else:
            total += grouped(c)
    return total


def bamba(c: Fields) -> int:
    hidden, total = c["hidden_size"], tables(c, tied=False)
    for layer in range(c["num_hidden_layers"]):
        names = ("mamba_n_heads", "mamba_d_head", "mamba_n_groups", "mamba_d_state", "mamba_d_conv")
        total += (
            grouped(c)
            if layer in c["attn_layer_indices"]
            else mamba2(hidden, *(c[name] for name in names))
        )
        total += gated(hidden, c["intermediate_size"]) + 2 * hidden
    return total


def falcon_h1(c: Fields) -> int:
    hidden, total = c["hidden_size"], tables(c, tied=False)
    heads = c["mamba_n_heads"]
    for _ in range(c["num_hidden_layers"]):
        total += grouped(c) + gated(hidden, c["intermediate_size"]) + 2 * hidden
        total += mamba2(
            hidden,
            heads,
            c["mamba_d_ssm"] // heads,
            c["mamba_n_groups"],
            c["mamba_d_state"],
            c["mamba_d_conv"],
        )
        total -= c["mamba_d_ssm"]  # no norm within the mixer unless told
    return total


def jamba(c: Fields) -> int:
    hidden, total = c["hidden_size"], tables(c, tied=False)
    state, rank = c["mamba_d_state"], c.get("mamba_dt_rank") or math.ceil(hidden / 16)
    for layer in range(c["num_hidden_layers"]):
        if layer % c["attn_layer_period"] == c["attn_layer_offset"]:
            total += grouped(c)
        else:
            total += (
                mamba1(hidden, 2 * hidden, state, rank, c.get("mamba_d_conv", 4)) + rank + 2 * state
            )
        has_experts = layer % c.get("expert_layer_period", 2) == c.get("expert_layer_offset", 1)
        experts = c["num_experts"] * (gated(hidden, c["intermediate_size"]) + hidden)
        total += (experts if has_experts else gated(hidden, c["intermediate_size"])) + 2 * hidden
    return total


def falcon_mamba(c: Fields) -> int:
    hidden, total = c["hidden_size"], tables(c, tied=c.get("tie_word_embeddings", True))
    inner, rank = (
        c.get("intermediate_size") or 2 * hidden,
        c.get("time_step_rank") or math.ceil(hidden / 16),
    )
    return total + c["num_hidden_layers"] * (
        hidden + mamba1(hidden, inner, c["state_size"], rank, c.get("conv_kernel", 4))
    )


def zamba2(c: Fields) -> int:
    hidden, width, heads = c["hidden_size"], c["intermediate_size"], c["n_mamba_heads"]
    total = tables(c, tied=True)
    for kind in c["layers_block_type"]:
        total += hidden + mamba2(
            hidden, heads, 2 * hidden // heads, c["mamba_ngroups"], c["mamba_d_state"], 4
        )
        if kind == "hybrid":  # a projection and adapters of its own
            total += (
                linear(hidden, hidden)
                + linear(hidden, c["adapter_rank"])
                + linear(c["adapter_rank"], 2 * width)
            )
    block = (
        3 * linear(2 * hidden, 2 * hidden)
        + linear(2 * hidden, hidden)
        + gated(hidden, width)
        + 3 * hidden
    )
    return total + c["num_mem_blocks"] * block


def lfm2(c: Fields) -> int:
    hidden, total = c["hidden_size"], tables(c, tied=True)
    width = c["intermediate_size"]
    if "num_experts" not in c:
        width = 256 * math.ceil(int(2 * width / 3) / 256)
    for layer in range(c["num_hidden_layers"]):
        is_full = (
            layer in c["full_attn_idxs"]
            if "full_attn_idxs" in c
            else c["layer_types"][layer] == "full_attention"
        )
        total += (
            grouped(c)
            if is_full
            else linear(hidden, 3 * hidden) + hidden * c["conv_L_cache"] + linear(hidden, hidden)
        )
        if layer >= c.get("num_dense_layers", 10**9):
            total += mixture(hidden, c["num_experts"], c["moe_intermediate_size"], 0)
        else:
            total += gated(hidden, width)
        total += 2 * hidden
    return total


def delta_latent(c: Fields) -> int:
    """Kimi Linear: decay and gate through one head's width."""
    hidden, total = c["hidden_size"], tables(c, tied=False)
    own = c.get("linear_attn_config") or {
        "num_heads": c["linear_num_heads"],
        "head_dim": c["linear_head_dim"],
        "short_conv_kernel_size": c["linear_conv_kernel_dim"],
        "full_attn_layers": [
            layer + 1 for layer, kind in enumerate(c["layer_types"]) if kind == "full_attention"
        ],
    }
    heads, dim, taps = own["num_heads"], own["head_dim"], own["short_conv_kernel_size"]
    width = heads * dim
    low_rank = linear(hidden, dim) + linear(dim, width)
    for layer in range(c["num_hidden_layers"]):
        if layer + 1 in own["full_attn_layers"]:
            total += latent(c, gate=c.get("mla_use_output_gate", False))
        else:
            gate = linear(hidden, width) if own.get("use_full_rank_gate") else low_rank
            total += 3 * linear(hidden, width) + 3 * width * taps + low_rank + gate
            total += linear(hidden, heads) + width + heads + dim + linear(width, hidden)
        total += _routed(c, layer) + 2 * hidden
    return total


def bailing_hybrid(c: Fields) -> int:
    hidden, total = c["hidden_size"], tables(c, tied=False)
    heads, dim, taps = c["linear_num_heads"], c["linear_head_dim"], c["linear_conv_kernel_dim"]
    width = heads * dim
    for layer, kind in enumerate(c["layer_types"]):
        if kind == "full_attention":
            total += latent(c) + linear(hidden, c["num_attention_heads"])
        else:
            total += (
                5 * linear(hidden, width)
                + 3 * width * taps
                + linear(hidden, heads)
                + width
                + heads
                + dim
                + linear(width, hidden)
            )
        total += _routed(c, layer) + 2 * hidden
    return total


def _routed(c: Fields, layer: int) -> int:
    hidden, width = c["hidden_size"], c["moe_intermediate_size"]
    types = c.get("mlp_layer_types")
    if types[layer] == "dense" if types else layer < c.get("first_k_dense_replace", 0):
        return gated(hidden, c["intermediate_size"])
    experts = c.get("num_experts") or c["n_routed_experts"]
    shared = c.get("num_shared_experts") or c.get("n_shared_experts") or 0
    return mixture(hidden, experts, width, shared * width, inner=c.get("routed_expert_hidden_size"))


def minimax_m3(c: Fields) -> int:
    hidden, total, sparse = c["hidden_size"], tables(c, tied=False), c["sparse_attention_config"]
    dim = c.get("head_dim") or hidden // c["num_attention_heads"]
    for layer in range(c["num_hidden_layers"]):
        total += grouped(c) + 2 * dim + 2 * hidden
        if sparse["sparse_attention_freq"][layer]:
            index = sparse["sparse_index_dim"]
            total += (
                linear(hidden, sparse["sparse_num_index_heads"] * index)
                + linear(hidden, index)
                + 2 * index
            )
        if c["moe_layer_freq"][layer]:
            total += mixture(
                hidden,
                c["num_local_experts"],
                c["intermediate_size"],
                c["shared_intermediate_size"],
            )
        else:
            total += gated(hidden, c["dense_intermediate_size"])
    return total


def deepseek_v4(c: Fields) -> int:
    hidden, heads, dim, rank = (
        c["hidden_size"],
        c["num_attention_heads"],
        c["head_dim"],
        c["q_lora_rank"],
    )
    index_heads, index, streams = c["index_n_heads"], c["index_head_dim"], c["hc_mult"]
    total = tables(c, tied=False) + streams * streams * hidden + streams + 1
    ratios = c.get("compress_ratios") or [
        {"heavily_compressed_attention": 128, "compressed_sparse_attention": 4}[kind]
        for kind in c["layer_types"]
    ]
    for ratio in ratios[: c["num_hidden_layers"]]:
        total += (
            linear(hidden, rank)
            + rank
            + linear(rank, heads * dim)
            + linear(hidden, dim)
            + dim
            + heads
        )
        total += heads * dim * c["o_lora_rank"] + linear(c["o_groups"] * c["o_lora_rank"], hidden)
        if ratio == 128:
            total += 2 * linear(hidden, dim) + ratio * dim + dim
        elif ratio == 4:
            total += 2 * linear(hidden, 2 * dim) + ratio * 2 * dim + dim
            total += (
                2 * linear(hidden, 2 * index)
                + ratio * 2 * index
                + index
                + linear(rank, index_heads * index)
            )
            total += linear(hidden, index_heads)
        mixes = (2 + streams) * streams
        total += 2 * (mixes * streams * hidden + mixes + 3) + 2 * hidden
        width = c["moe_intermediate_size"]
        total += (
            mixture(hidden, c["n_routed_experts"], width, c["n_shared_experts"] * width)
            - c["n_routed_experts"]
        )
    return total


def glm_moe_dsa(c: Fields) -> int:
    hidden, total = c["hidden_size"], tables(c, tied=False)
    for layer in range(c["num_hidden_layers"]):
        total += latent(c) + 2 * hidden + _routed(c, layer)
        if (c.get("indexer_types") or ["full"] * (layer + 1))[layer] == "full":
            heads, dim = c["index_n_heads"], c["index_head_dim"]
            total += (
                linear(c["q_lora_rank"], heads * dim)
                + linear(hidden, dim)
                + 2 * dim
                + linear(hidden, heads)
            )
    return total


def gemma3n(c: Fields) -> int:
    hidden, total, layers = c["hidden_size"], tables(c, tied=True), c["num_hidden_layers"]
    width, streams, rank = (
        c["hidden_size_per_layer_input"],
        c.get("altup_num_inputs", 4),
        c["laurel_rank"],
    )
    heads, groups, dim = c["num_attention_heads"], c["num_key_value_heads"], c["head_dim"]
    total += (
        layers * width * c["vocab_size_per_layer_input"] + linear(hidden, layers * width) + width
    )
    total += 2 * (streams - 1) * linear(hidden, hidden)
    for layer in range(layers):
        total += (
            2 * linear(hidden, heads * dim)
            + dim
            + gated(hidden, c["intermediate_size"])
            + 4 * hidden
        )
        if layer < layers - c["num_kv_shared_layers"]:
            total += 2 * linear(hidden, groups * dim) + dim
        total += 2 * linear(hidden, rank) + hidden + 2 * linear(hidden, width) + hidden
        total += hidden + streams**2 + streams**3 + linear(hidden, streams) + hidden
    return total


def gemma4(c: Fields) -> int:
    hidden, total, layers = c["hidden_size"], tables(c, tied=True), c["num_hidden_layers"]
    width, heads = c["hidden_size_per_layer_input"], c["num_attention_heads"]
    if width:
        total += (
            layers * width * c["vocab_size_per_layer_input"]
            + linear(hidden, layers * width)
            + width
        )
    for layer in range(layers):
        types = c.get("layer_types") or [
            "sliding_attention" if (i + 1) % 6 else "full_attention" for i in range(layers)
        ]
        is_global = types[layer] == "full_attention"
        dim = c["global_head_dim"] if is_global else c["head_dim"]
        one_projection = is_global and c["attention_k_eq_v"]
        groups = c["num_global_key_value_heads"] if one_projection else c["num_key_value_heads"]
        total += (
            2 * linear(hidden, heads * dim)
            + dim
            + gated(hidden, c["intermediate_size"])
            + 4 * hidden
        )
        if layer < layers - c["num_kv_shared_layers"]:
            total += (1 if one_projection else 2) * linear(hidden, groups * dim) + dim
        if width:
            total += 2 * linear(hidden, width) + hidden
        if c.get("enable_moe_block"):
            total += mixture(hidden, c["num_experts"], c["moe_intermediate_size"], 0) + 4 * hidden
    return total


def mimo_v2(c: Fields) -> int:
    hidden, total = c["hidden_size"], tables(c, tied=False)
    heads, dim, value = c["num_attention_heads"], c["head_dim"], c["v_head_dim"]
    for layer, windowed in enumerate(c["hybrid_layer_pattern"]):
        groups = c["swa_num_key_value_heads"] if windowed else c["num_key_value_heads"]
        total += (
            linear(hidden, heads * dim)
            + linear(hidden, groups * (dim + value))
            + linear(heads * value, hidden)
        )
        experts = c["num_experts"] if "num_experts" in c else c["n_routed_experts"]
        total += (
            mixture(hidden, experts, c["moe_intermediate_size"], 0)
            if c["moe_layer_freq"][layer]
            else gated(hidden, c["intermediate_size"])
        )
        total += 2 * hidden + (heads if windowed else 0)
    return total


def mllama(c: Fields) -> int:
    hidden = c["hidden_size"]
    dim = hidden // c["num_attention_heads"]
    total = tables(c, tied=False) + 8 * hidden
    for layer in range(c["num_hidden_layers"]):
        total += grouped(c) + gated(hidden, c["intermediate_size"]) + 2 * hidden
        total += 2 * dim + 2 if layer in c["cross_attention_layers"] else 0
    return total


def longcat(c: Fields) -> int:
    """Without the matrices that transformers sets aside for experts that do nothing, which no
    checkpoint holds."""
    hidden, total = c["hidden_size"], tables(c, tied=False)
    for _ in range(c.get("num_layers") or c["num_hidden_layers"]):
        total += 2 * (latent(c) + gated(hidden, c["ffn_hidden_size"]) + 2 * hidden)
        total += c["n_routed_experts"] * gated(hidden, c["expert_ffn_hidden_size"])
        total += linear(hidden, c["n_routed_experts"] + c["zero_expert_num"])
    return total


def nemotron_nas(c: Fields) -> int:
    hidden, total, heads = c["hidden_size"], tables(c, tied=False), c["num_attention_heads"]
    for block in c["block_configs"]:
        attention, mlp = block["attention"], block["ffn"]
        if not attention.get("no_op"):
            total += (
                grouped({**c, "num_key_value_heads": heads // attention["n_heads_in_group"]})
                + hidden
            )
        if not mlp.get("no_op"):
            total += (
                gated(hidden, 256 * math.ceil(int(2 * mlp["ffn_mult"] * hidden / 3) / 256)) + hidden
            )
    return total


def dbrx(c: Fields) -> int:
    hidden, heads, f = c["d_model"], c["n_heads"], c["ffn_config"]
    groups = c["attn_config"]["kv_n_heads"]
    both = linear(hidden, hidden + 2 * groups * (hidden // heads)) + linear(hidden, hidden)
    experts = f["moe_num_experts"] * gated(hidden, f["ffn_hidden_size"])
    layer = both + experts + linear(hidden, f["moe_num_experts"]) + 2 * hidden
    return c["n_layers"] * layer + 2 * c["vocab_size"] * hidden + hidden


def grok(c: Fields) -> int:
    hidden, width = c["hidden_size"], c.get("moe_intermediate_size") or c["intermediate_size"]
    experts = c["num_experts"] * (gated(hidden, width) + hidden)
    return c["num_hidden_layers"] * (grouped(c) + experts + 4 * hidden) + tables(c, tied=True)


def arctic(c: Fields) -> int:
    hidden, experts, total = c["hidden_size"], c["num_local_experts"], tables(c, tied=False)
    for layer in range(c["num_hidden_layers"]):
        total += grouped(c) + 2 * hidden
        if (layer + 1) % c["moe_layer_frequency"]:
            total += gated(hidden, c["intermediate_size"])
            continue
        total += experts * (gated(hidden, c["intermediate_size"]) + hidden)
        total += gated(hidden, hidden) + hidden if c["parallel_attn_mlp_res"] else 0
    return total


def step3(c: Fields) -> int:
    hidden, heads, dim, rank = (
        c[name] for name in ("hidden_size", "num_attention_heads", "head_dim", "share_q_dim")
    )
    total = tables(c, tied=False)
    sparse = {int(layer) for layer in c["moe_layers_enum"].split(",")}
    for layer in range(c["num_hidden_layers"]):
        total += linear(hidden, rank + 2 * dim) + rank + linear(rank, heads * dim)
        total += linear(heads * dim, hidden) + 2 * hidden
        if layer in sparse:
            total += linear(hidden, c["moe_num_experts"]) + gated(hidden, c["share_expert_dim"])
            total += c["moe_num_experts"] * gated(hidden, c["moe_intermediate_size"])
        else:
            total += gated(hidden, c["intermediate_size"])
    return total


COUNTERS: dict[str, Callable[[Fields], int]] = {
    **dict.fromkeys(("qwen3_5_text", "qwen3_5_moe_text", "qwen3_next"), qwen3_5),
    "nemotron_h": nemotron_h,
    "granitemoehybrid": granite_hybrid,
    "bamba": bamba,
    "falcon_h1": falcon_h1,
    "jamba": jamba,
    **dict.fromkeys(("falcon_mamba", "mamba"), falcon_mamba),
    "zamba2": zamba2,
    **dict.fromkeys(("lfm2", "lfm2_moe"), lfm2),
    "kimi_linear": delta_latent,
    "bailing_hybrid": bailing_hybrid,
    "minimax_m3": minimax_m3,
    "deepseek_v4": deepseek_v4,
    "glm_moe_dsa": glm_moe_dsa,
    "gemma3n_text": gemma3n,
    "gemma4_text": gemma4,
    "mimo_v2_flash": mimo_v2,
    "mllama_text_model": mllama,
    "longcat_flash": longcat,
    "nemotron-nas": nemotron_nas,
    "dbrx": dbrx,
    "grok-1": grok,
    "arctic": arctic,
    "step3_text": step3,
}
"""Counters by ``model_type``."""
