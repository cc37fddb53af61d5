"""From a file, folder or dictionary to the family that reads it."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from codesign.files import own_path, read_json
from codesign.workload.config_json import (
    dense,
    gemma,
    hybrid,
    latent,
    layerwise,
    mixture,
    own_mixtures,
    plain,
    sparse,
    state_space,
)
from codesign.workload.config_json.class_defaults import CLASS_DEFAULTS
from codesign.workload.config_json.family import Family
from codesign.workload.config_json.refusal import (
    explain,
    is_unset,
    judge_unknown,
    nearest_type,
    refuse_other_models,
    refuse_value,
    shown,
)
from codesign.workload.config_json.synonyms import (
    SYNONYMS,
    all_names,
    as_written,
    canonical_names,
    one_number,
)
from codesign.workload.config_json.wrappers import WRAPPERS, LanguageModel, language_model
from codesign.workload.transformer import MOST_LAYERS, Transformer

FAMILIES: dict[str, type[Family]] = {
    name: family
    for group in (
        dense,
        plain,
        gemma,
        mixture,
        latent,
        hybrid,
        state_space,
        sparse,
        layerwise,
        own_mixtures,
    )
    for name, family in group.FAMILIES.items()
}
"""The families that can be read, by ``model_type``."""

REFUSED = {
    **dict.fromkeys(
        ("ernie4_5_moe_vl", "ernie4_5_vl_moe"),
        "it has experts for text and others for images, with widths of their own",
    ),
    **dict.fromkeys(
        ("minicpmv", "minicpmo"),
        "its file does not say of which type its language model is; give that one's config",
    ),
    **dict.fromkeys(("rwkv", "rwkv5", "rwkv6", "rwkv7"), "its recurrent state is not modelled"),
    "recurrent_gemma": "its gated linear recurrence is not modelled",
    "git": "Grok-2 calls itself so, but its file does not say whether its tables are tied",
    "t5": "it has an encoder, and is no causal language model",
}
"""Why some types that people serve are not read."""

CONTEXT = (
    "max_position_embeddings",
    "n_positions",
    "max_seq_len",
    "model_max_length",
    "seq_length",
    "max_sequence_length",
    "n_ctx",
    "max_position_embedding",
)
"""Where files say how many positions a model was made for."""


class Structure(NamedTuple):
    """What a file says of a model's structure, and what of it was not read."""

    model: Transformer
    family: str
    context_limit: int | None
    ignored: dict[str, str]
    language_model: LanguageModel


def read_config(source: str | Path | dict[str, object], name: str | None = None) -> Transformer:
    """A model from a Hugging Face ``config.json``: a path to the file or its folder, or its
    content.

    Read is what changes weights, cache or arithmetic of a plain forward pass. Not read are the
    precision (``codesign.workload.reading`` does), modules for drafting
    (``num_nextn_predict_layers`` and the like) and vision towers.

    Args:
        source: the file, the folder that holds it, or the parsed content.
        name: what to call the model; by default its folder or file, or its ``model_type``.

    Raises:
        ValueError: missing or malformed file, unknown ``model_type``, missing or impossible field,
            or a field that changes cost and is not understood; one sentence that names the file and
            the field.

    >>> tiny = dict(model_type="llama", hidden_size=64, num_hidden_layers=2,
    ...     num_attention_heads=4, vocab_size=100,
    ...     intermediate_size=256, num_key_value_heads=2)
    >>> float(read_config(tiny).layers[0].attention.head_dim)
    16.0
    """
    return read_structure(source, name).model


def read_structure(source: str | Path | dict[str, object], name: str | None = None) -> Structure:
    """``read_config``, and how the file was read."""
    label, default_name, content = opened(source)
    written: dict[str, str] = {}
    try:
        inner = language_model(content, set(FAMILIES))
        family = family_of(inner.model_type)
        refuse_other_models(content)
        fields, written = named_fields(family, inner)
        checked, ignored = checked_family(family, fields, inner.model_type)
        built = checked.transformer(name or default_name)
    except ValueError as problem:
        raise ValueError(f"{label}: {as_written(str(problem), written)}.") from None
    limit = context_limit(content, inner.fields)
    return Structure(built, inner.model_type, limit, {**inner.outside, **ignored}, inner)


def opened(source: str | Path | dict[str, object]) -> tuple[str, str, dict[str, object]]:
    """What to call a source in messages, what to call its model, and its content."""
    if isinstance(source, dict):
        return "the given config", str(source.get("model_type")), source
    path = own_path(source)
    path = path / "config.json" if path.is_dir() else path
    return str(path), path.parent.name if path.name == "config.json" else path.stem, load(path)


def load(path: Path) -> dict[str, object]:
    """The content of a file, which must be one JSON object."""
    if not path.exists():
        raise ValueError(
            f"{path}: there is no such file, expected a Hugging Face config.json or a folder with"
            " one."
        )
    content = read_json(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path}: holds a {type(content).__name__}, expected a JSON object.")
    return content


def family_of(model_type: str) -> type[Family]:
    """The family that reads a type.

    Raises:
        ValueError: nobody reads it; with the reason where that is known, else the nearest type.
    """
    family = FAMILIES.get(model_type)
    if family is None:
        known = sorted({*FAMILIES, *WRAPPERS})
        some = (
            "expected one of the types that are read, such as llama, qwen3_moe, deepseek_v3,"
            " gpt_oss"
        )
        if why := REFUSED.get(model_type):
            raise ValueError(f"model_type = {shown(model_type)} is not read: {why}; {some}")
        raise ValueError(
            f"model_type = {shown(model_type)} is none of {len(known)} known ones,"
            f" {some}{nearest_type(model_type, known)}"
        )
    return family


def named_fields(
    family: type[Family], inner: LanguageModel
) -> tuple[dict[str, object], dict[str, str]]:
    """The fields of a language model by the names of its family, and how the file writes those."""
    _refuse_endless(inner.fields)
    fields, written = canonical_names(
        {k: v for k, v in inner.fields.items() if k != "model_type"},
        set(family.model_fields),
        family.ignored | family.repeats.keys(),
    )
    fields = {**CLASS_DEFAULTS.get(inner.model_type, {}), **fields}
    one = {name: one_number(v) if name in ONE_NUMBER else v for name, v in fields.items()}
    return one, written


def checked_family(
    family: type[Family], fields: dict[str, object], model_type: str
) -> tuple[Family, dict[str, str]]:
    """The fields of a config checked by its family, and why other fields are ignored."""
    names, quiet = set(family.model_fields), family.ignored | family.repeats.keys()
    unknown = {name: value for name, value in fields.items() if name not in names}
    try:
        checked = family.model_validate(
            {name: value for name, value in fields.items() if name in names}
        )
    except ValidationError as error:
        raise ValueError(explain(error, unknown, model_type)) from None
    refuse_other_values(family, fields)
    ignored = judge_unknown(unknown, all_names(names), quiet | family.needs.keys(), model_type)
    for name, original in family.repeats.items():
        if name in fields and fields[name] != getattr(checked, original):
            raise ValueError(
                f"{name} = {fields[name]!r}, expected the same as {original} ="
                f" {getattr(checked, original)}"
            )
    return checked, ignored


def _refuse_endless(fields: dict[str, object]) -> None:
    """Refuse more layers than anyone has, before they are made."""
    for name in ("num_hidden_layers", *SYNONYMS["num_hidden_layers"]):
        if isinstance(count := fields.get(name), int) and count > MOST_LAYERS:
            raise ValueError(f"{name} = {count}, expected at most {MOST_LAYERS:,} layers")


ONE_NUMBER = frozenset(
    {"moe_intermediate_size", "num_experts_per_tok", "num_shared_experts", "num_key_value_heads"}
)
"""Fields that some files repeat for every layer."""


def refuse_other_values(family: type[Family], fields: dict[str, object]) -> None:
    """Refuse a field that the family understands in one meaning only, with another one."""
    for name, allowed in family.needs.items():
        value = fields.get(name)
        values: Iterable[object] = (
            value
            if isinstance(value, list)
            else ()
            if name not in fields or is_unset(value)
            else [value]
        )
        for entry in values:
            if entry not in allowed:
                raise refuse_value(name, entry, allowed)


def context_limit(*contents: dict[str, object]) -> int | None:
    """Positions that the model was made for, if the file says so [1]."""
    found = (content.get(name) for content in contents for name in CONTEXT)
    return next((int(v) for v in found if isinstance(v, int) and 0 < v < 10**12), None)
