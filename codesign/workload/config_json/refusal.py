"""The sentences with which a config is refused: which field, its value, what was expected, the
nearest valid choice."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

from pydantic import ValidationError

from codesign.workload.config_json.synonyms import SYNONYMS

COST_WORDS = re.compile(
    r"expert|layer|head|hidden|dim|rank|window|size|width|length|intermediate|ffn|mlp|moe|mla|kv|key|value|chunk|spars"
    r"|state|conv|top_?k|index|group|attn|attention|embd|inner|block|interval|pattern|interleave|freq|step|depth|mtp"
    r"|^n_|^num_|^use_"
)
"""An unknown field whose name has one of these words, and that is set, is taken to change cost."""

NO_COST: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "drafting modules are no part of a plain forward pass",
        re.compile(r"^mtp_|_mtp_|^num_nextn|^use_mtp$|^num_mtp_modules$"),
    ),
    (
        "a token id",
        re.compile(
            r"_token_ids?$|_token_index$|_id$|^(pad|bos|eos|cls|mask|unk|sep|image|video|audio)_token$|^ignore_index$|^sep_token"
            r"|_placeholder$|^num_image_tokens$|^image_seq_length$|^eo._token_id_list$"
        ),
    ),
    (
        "positions have no weights",
        re.compile(
            r"^rope_|^rotary|_rope_(theta|scaling|freq|base|type|parameters|interleave)|^partial_rotary|_rope$|_rotary_|^original_max_position"
            r"|^alibi|^position_embedding_type$|^swa_rope"
        ),
    ),
    ("a factor on the scores, without cost", re.compile(r"^scale_attn_")),
    (
        "training and initialisation",
        re.compile(
            r"dropout|_pdrop$|_drop(_rate)?$|^initializer_|_jitter_noise$|_aux_loss|^aux_loss|_z_loss|_init_std$|^seq_aux$|_loss_"
            r"|^router_aux|^tie_encoder|^layer_?drop$|^gradient_checkpointing$|^pretraining_tp$|^unsloth|^ep_size$|_capacity_factor$"
            r"|^_unsloth|^max_sequence_length$|^training_"
        ),
    ),
    (
        "how tokens are routed, without weights",
        re.compile(
            r"^norm_topk_prob$|^n_group$|^topk_group$|^num_expert_group$|^topk_method$|scoring_func$|score_function$|router_score"
            r"|^routed_scaling_factor$|^route_(norm|scale)$|^moe_router_(dtype|scaling_factor|enable_expert_bias|activation.*)$|router_dtype$"
            r"|^output_router_logits$|^moe_renormalize$|^use_grouped_topk$|^use_qk_norm_in_router$|^score_func$|^router_temp"
            r"|^moe_use_hard_gate$|^use_routing_bias$"
        ),
    ),
    (
        "a factor, a bound or a shift without weights",
        re.compile(
            r"_eps(ilon)?$|_coef$|_scaling_factor$|softcap(ping)?$|^(attention|residual|embedding|logits?|key|ssm|lm_head|mlp)(_\w+)?_multipliers?$|^logits?_scal|^swiglu_|_clip$"
            r"|^clip_qkv$|^attention_value_scale$|^scale_(emb|depth)$|^dim_model_base$|^attn_scale$|^use_scaled|^residual_scale|_norm_(type|order)$|^norm_type$"
        ),
    ),
    (
        "biases, norms and sinks: under 0.1 % of the weights",
        re.compile(
            r"bias$|_bias_|^bias_|^use_(qk_)?norm$|^qk_?norm|^qk_layernorm$|^use_qk_norm$|_sink_|^use_(pre|post)_norm|^use_attention_sinks?$"
            r"|^use_qk_layernorm$|^qk_norm_type$|(layer|rms)_?norm$|^zero_centered"
        ),
    ),
    ("counted in vocab_size", re.compile(r"^org_vocab_size$|^num_media_embeds$")),
    ("the width of a detail's arithmetic", re.compile(r"fp32")),
    (
        "read as the precision",
        re.compile(
            r"_?dtype$|^quantization_config$|^compression_config$|^use_fp8$|^use_bfloat16$|^bf16$|^fp16$"
        ),
    ),
    (
        "read as the context limit",
        re.compile(
            r"^max_position_embeddings$|^model_max_length$|^max_seq_len(gth)?$|^seq_length$|^n_ctx$|^max_sequence_length$|^max_context"
        ),
    ),
    (
        "generation, files and software",
        re.compile(
            r"^_|^architectures$|^attn_implementation$|^auto_map$|^chunk_size_feed_forward$|^hidden_act|activation_function$|^id2label$"
            r"|^label2id$|^is_(decoder|encoder_decoder)$|^num_labels$|^num_return_sequences$|^problem_type$|^tokenizer|^transformers_version$"
            r"|^use_(cache|return_dict|flash_?attn|flash_attention|cache_quantization|cache_kernel|sdpa|liger|mamba_kernels|grouped_mm)"
            r"|^output_(hidden_states|attentions)$|^(max|min)_length$|no_repeat_ngram_size$|^top_[kp]$|^num_beam|^length_penalty$"
            r"|^diversity_penalty$|^typical_p$|^begin_suppress|^task_specific_params$|^cache_implementation$|^summary_|^hidden_activation$"
            r"|^mlp_hidden_act$|^keys_to_ignore|^num_logits_to_keep$|^custom_|^model_name|^base_model|^pad_|^temperature$|^do_sample$"
            r"|^chat_template|^return_dict|^torchscript$|^finetuning_task$|^prefix$|^remove_invalid_values$|^suppress_tokens$"
            r"|^exponential_decay|^forced_|^bad_words|^encoder_no_repeat|^repetition_penalty$|^early_stopping$|^prune_heads$|^init_(config|device)$"
        ),
    ),
)
"""Why a field changes neither weights, cache nor arithmetic by more than a part in a thousand, by
its name."""

NEUTRAL = {
    "moe_layer_freq": 1,
    "decoder_sparse_step": 1,
    "cla_share_factor": 1,
    "interleave_moe_layer_step": 1,
    "num_experts": 1,
    "moe_topk": 1,
}
"""Fields that some tools write for every model, and the value at which they say nothing."""

NO_LANGUAGE_MODEL = re.compile(
    r"For(Sequence|Token|MultipleChoice|Image|Audio|Object|Masked|Question|NextSentence|PreTraining|Reward|Embed|Retriev|Score|Regress)"
    r"|RewardModel|Embedding|Encoder|Classifi|(?<!ChatGLM)(?<!Chat)(?<!LMHead)Model$"
)
"""Architectures that predict no next token, or come without the head that does."""

EXPECTED = {
    "greater_than": "a positive integer",
    "greater_than_equal": "an integer that is not negative",
    "int_type": "an integer",
    "bool_type": "true or false",
    "list_type": "a list",
    "string_type": "a text",
    "dict_type": "an object",
    "model_type": "an object",
    "extra_forbidden": "only fields that are understood",
}


def refuse_value(field: str, value: object, choices: Iterable[object]) -> ValueError:
    """The error for a value outside its choices."""
    names = [str(choice) for choice in choices]
    return ValueError(
        f"{field} = {value!r}, expected one of {', '.join(names)}{nearest(str(value), names)}"
    )


def nearest(value: str, choices: Iterable[str]) -> str:
    """``"; the nearest is …"``, or nothing when nothing is near.

    >>> nearest("num_layer", ["num_layers", "hidden_size"])
    "; the nearest is 'num_layers'"
    """
    folded = {choice.casefold(): choice for choice in choices}
    found = get_close_matches(value.casefold(), folded, n=1, cutoff=0.7)
    return f"; the nearest is {folded[found[0]]!r}" if found else ""


def nearest_type(value: str, choices: Iterable[str]) -> str:
    """The nearest ``model_type``, only where the given one is a slip: another number or a longer
    name is another family.

    >>> nearest_type("lama", ["llama"])
    "; the nearest is 'llama'"
    >>> nearest_type("phi", ["phi3"]), nearest_type("qwen9", ["qwen2"])
    ('', '')
    """
    digits = re.findall(r"\d+", value)
    slips = [
        name
        for name in choices
        if re.findall(r"\d+", name) == digits
        and not (name.startswith(value) or value.startswith(name))
    ]
    found = get_close_matches(value, slips, n=1, cutoff=0.8)
    return f"; the nearest is {found[0]!r}" if found else ""


def why_ignored(name: str) -> str | None:
    """Why a field changes no cost, or None if its name does not say so."""
    return next((why for why, pattern in NO_COST if pattern.search(name)), None)


def is_unset(value: object) -> bool:
    """Null, false, empty and a count of zero switch something off."""
    return value is None or value in ([], {}, "", 0)


def judge_unknown(
    unknown: dict[str, object], known: Iterable[str], ignored: Iterable[str], model_type: str
) -> dict[str, str]:
    """Why each unknown field is ignored; refuse the first that looks as if it changed cost.

    Unset ones pass. ``use_…: true`` does not.

    Raises:
        ValueError: names the field, its value and the nearest known field.
    """
    reasons = {}
    for name, value in unknown.items():
        if is_unset(value):
            continue
        why = "known to this family, without cost" if name in ignored else why_ignored(name)
        why = "the value without effect" if name in NEUTRAL and value == NEUTRAL[name] else why
        if why is None and COST_WORDS.search(name):
            raise ValueError(
                f"{name} = {shown(value)} looks as if it changed cost and is not known for"
                f" model_type {model_type!r}, expected only fields that are"
                f" understood{nearest(name, known)}"
            )
        if why is not None and why.startswith("read as"):
            continue
        reasons[name] = why or "nothing in its name speaks of cost"
    return reasons


def refuse_other_models(content: dict[str, object]) -> None:
    """Refuse what is no plain causal language model.

    Raises:
        ValueError: names the field that says so.
    """
    for name in ("add_cross_attention", "pruned_heads", "is_encoder_decoder"):
        if not is_unset(content.get(name)):
            raise ValueError(
                f"{name} = {shown(content[name])} changes the model, expected it unset"
            )
    named = content.get("architectures")
    for name in named if isinstance(named, list) else []:
        if isinstance(name, str) and NO_LANGUAGE_MODEL.search(name):
            raise ValueError(
                f"architectures = {[name]!r}, expected a causal language model such as"
                " LlamaForCausalLM"
            )


def shown(value: object) -> str:
    """A value of a stranger's file, short enough for a sentence."""
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def explain(error: ValidationError, given: Iterable[str], model_type: str) -> str:
    """The first complaint of pydantic in one sentence."""
    first = error.errors()[0]
    field = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in first["loc"])[1:]
    if first["type"] == "missing":
        hints = (nearest(name, given) for name in (field, *SYNONYMS.get(field, ())))
        hint = next((hint for hint in hints if hint), "")
        return f"the field {field} is missing, and model_type {model_type!r} needs it{hint}"
    expected = EXPECTED.get(first["type"], first["msg"].removeprefix("Input should be "))
    if first["type"] == "less_than_equal":
        expected = f"at most {first.get('ctx', {}).get('le', 0):.0e}".replace("e+0", "e").replace(
            "e+", "e"
        )
    return f"{field} = {shown(first['input'])}, expected {expected}"
