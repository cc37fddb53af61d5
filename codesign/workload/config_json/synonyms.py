"""Names that different tools and publishers give to one quantity, so that a family names it
once."""

import re
from collections.abc import Iterable, Mapping, Set

SYNONYMS: dict[str, tuple[str, ...]] = {
    "hidden_size": ("n_embd", "n_embed", "d_model"),
    "num_hidden_layers": ("n_layer", "n_layers", "num_layers"),
    "num_attention_heads": ("n_head", "n_heads"),
    "num_key_value_heads": (
        "num_kv_heads",
        "n_head_kv",
        "multi_query_group_num",
        "num_attention_groups",
    ),
    "head_dim": ("attention_head_dim", "attention_head_size"),
    "intermediate_size": ("n_inner", "ffn_dim", "ffn_hidden_size", "block_ff_dim"),
    "vocab_size": ("padded_vocab_size",),
    "max_position_embeddings": ("n_positions", "max_seq_len"),
    "num_experts": ("num_local_experts", "n_routed_experts", "moe_num_experts"),
    "num_experts_per_tok": (
        "num_experts_per_token",
        "moe_topk",
        "moe_top_k",
        "moe_k",
        "top_k_experts",
        "experts_per_token",
    ),
    "moe_intermediate_size": ("expert_ffn_hidden_size", "moe_ffn_hidden_size"),
    "num_shared_experts": ("n_shared_experts", "moe_num_shared_experts", "num_shared_expert"),
    "shared_expert_intermediate_size": (
        "moe_shared_expert_intermediate_size",
        "shared_intermediate_size",
        "share_expert_dim",
    ),
    "first_k_dense_replace": ("num_dense_layers",),
    "layer_types": ("layers_block_type",),
    "expert_hidden_size": ("routed_expert_hidden_size",),
    "conv_taps": ("conv_L_cache",),
    "conv_kernel": ("mamba_d_conv",),
    "n_groups": ("mamba_n_groups",),
    "tie_word_embeddings": ("tie_embedding",),
}
"""The name that families use, and the others, among them those of transformers' ``attribute_map``.
"""


def canonical_names(
    fields: dict[str, object], family_fields: Set[str], untouched: Set[str]
) -> tuple[dict[str, object], dict[str, str]]:
    """The fields by the names of the family, and how the file writes those that have another name;
    null in one name gives way to another.

    Raises:
        ValueError: two names of one quantity say different things.
    """
    found, written = dict(fields), {}
    for name, others in SYNONYMS.items():
        if name not in family_fields:
            continue
        for other in others:
            if other not in found or other in family_fields:
                continue
            if found.get(name) is None:
                found[name], written[name] = found.pop(other), other
            elif found[other] is None or found[other] == found[name]:
                del found[other]
            elif other not in untouched:
                raise ValueError(
                    f"{other} = {found[other]!r}, expected the same as"
                    f" {written.get(name, name)} = {found[name]!r}"
                )
    return found, written


def all_names(names: Iterable[str]) -> list[str]:
    """Names of fields with the others that files give them, sorted.

    >>> all_names(["head_dim"])
    ['attention_head_dim', 'attention_head_size', 'head_dim']
    """
    return sorted({other for name in names for other in (name, *SYNONYMS.get(name, ()))})


def as_written(sentence: str, written: Mapping[str, str]) -> str:
    """A complaint about fields by the names that the file gives them.

    >>> as_written("num_attention_heads = 0, expected a positive integer",
    ...     {"num_attention_heads": "n_head"})
    'n_head = 0, expected a positive integer'
    """
    if not written:
        return sentence
    names = re.compile(rf"(?<![\w.])({'|'.join(map(re.escape, written))})(?!\w)")
    return names.sub(lambda found: written[found[1]], sentence)


def one_number(value: object) -> object:
    """A list that repeats one number for every layer as that number."""
    return (
        value[0]
        if isinstance(value, list) and value and all(entry == value[0] for entry in value)
        else value
    )
