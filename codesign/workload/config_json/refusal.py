"""The sentences with which a config is refused: which field, its value, what was expected, the nearest valid choice."""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

COST_WORDS = re.compile(
    r"expert|layer|head|hidden|dim|rank|window|size|width|length|intermediate|ffn|mlp|moe|mla|kv|key|value|chunk|spars"
    r"|state|conv|top_?k|index|group|attn|attention|embd|inner|block|interval|pattern|interleave|freq|step|depth|mtp"
    r"|^n_|^num_|^use_"
)
"""An unknown field whose name has one of these words, and that is set, is taken to change cost."""

NO_COST_PATTERNS = re.compile(
    r"^_|_token_ids?$|_token_index$|_id$|dropout|_pdrop$|_drop(_rate)?$|_eps(ilon)?$|_coef$|_bias$|_dtype$|^initializer_"
    r"|^rope_|^rotary_|^partial_rotary_|_rope_freq$|^use_cache$|^summary_|_jitter_noise$|_scaling_factor$|_softcapping$"
)

NO_COST_NAMES = frozenset(
    """architectures attn_implementation auto_map chunk_size_feed_forward hidden_act hidden_activation id2label
    label2id is_decoder is_encoder_decoder max_position_embeddings model_max_length norm_topk_prob num_labels
    num_return_sequences original_max_position_embeddings pretraining_tp problem_type quantization_config
    tokenizer_class torch_dtype transformers_version use_return_dict output_hidden_states output_attentions
    output_router_logits max_length min_length no_repeat_ngram_size encoder_no_repeat_ngram_size top_k top_p
    num_beams num_beam_groups length_penalty diversity_penalty typical_p begin_suppress_tokens
    task_specific_params cross_attention_hidden_size add_cross_attention pruned_heads use_bfloat16 use_fp8
    attention_bias mlp_bias qkv_bias use_qk_norm qk_norm qk_layernorm""".split()
)
"""Names that contain such a word and change neither weights, cache nor arithmetic by more than a part in a thousand."""

EXPECTED = {
    "greater_than": "a positive integer",
    "greater_than_equal": "an integer that is not negative",
    "less_than_equal": "at most 1e12",
    "int_type": "an integer",
    "bool_type": "true or false",
    "list_type": "a list",
    "string_type": "a text",
    "dict_type": "an object",
}


def refuse_value(field: str, value: Any, choices: Iterable[Any]) -> ValueError:
    """The error for a value outside its choices."""
    names = [str(choice) for choice in choices]
    return ValueError(f"{field} = {value!r}, expected one of {', '.join(names)}{nearest(str(value), names)}")


def nearest(value: str, choices: Iterable[str]) -> str:
    """``"; the nearest is …"``, or nothing when nothing is near.

    >>> nearest("num_layer", ["num_layers", "hidden_size"])
    "; the nearest is 'num_layers'"
    """
    found = get_close_matches(value, list(choices), n=1, cutoff=0.5)
    return f"; the nearest is {found[0]!r}" if found else ""


def refuse_unknown(unknown: dict[str, Any], known: Iterable[str], ignored: Iterable[str], model_type: str) -> None:
    """Refuse the first unknown field that looks as if it changed cost.

    Unset ones (``null``, ``false``, empty) pass, for they switch something off. ``use_…: true`` does not.

    Raises:
        ValueError: names the field, its value and the nearest known field.
    """
    for name, value in unknown.items():
        unset = value is None or value is False or value in ([], {}, "")
        if unset or name in ignored or name in NO_COST_NAMES or NO_COST_PATTERNS.search(name):
            continue
        if COST_WORDS.search(name):
            raise ValueError(
                f"{name} = {value!r} looks as if it changed cost and is not known for model_type {model_type!r}, "
                f"expected only fields that are understood{nearest(name, known)}"
            )


def explain(error: ValidationError, given: Iterable[str], model_type: str) -> str:
    """The first complaint of pydantic in one sentence."""
    first = error.errors()[0]
    field = "".join(f"[{key}]" if isinstance(key, int) else str(key) for key in first["loc"])
    if first["type"] == "missing":
        return f"the field {field} is missing, and model_type {model_type!r} needs it{nearest(field, given)}"
    expected = EXPECTED.get(first["type"], first["msg"].removeprefix("Input should be "))
    return f"{field} = {first['input']!r}, expected {expected}"
