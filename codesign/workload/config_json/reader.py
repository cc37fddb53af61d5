"""From a file, folder or dictionary to the family that reads it."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from codesign.files import own_path, read_json
from codesign.workload.config_json import dense, hybrid, latent, mixture
from codesign.workload.config_json.family import Family
from codesign.workload.config_json.refusal import explain, nearest, refuse_unknown, refuse_value
from codesign.workload.transformer import Transformer

FAMILIES: dict[str, type[Family]] = {**dense.FAMILIES, **mixture.FAMILIES, **latent.FAMILIES, **hybrid.FAMILIES}
"""The families that can be read, by ``model_type``."""

WRAPPERS = {"gemma3": ["gemma3_text"], "llama4": ["llama4_text"], "kimi_k25": ["kimi_k2", "deepseek_v3"]}
"""Multimodal types whose language model is in ``text_config``, and its types, the default first; vision is not read."""

MOST_LAYERS = 10_000
"""Layers are looked at one by one; published models have up to 126 of them."""

OUTSIDE_THE_LANGUAGE_MODEL = frozenset(
    {
        "model_type",
        "text_config",
        "vision_config",
        "mm_tokens_per_image",
        "tie_word_embeddings",
        "use_unified_vision_chunk",
    }
)


def read_config(source: str | Path | dict[str, Any], name: str | None = None) -> Transformer:
    """A model from a Hugging Face ``config.json``: a path to the file or its folder, or its content.

    Read is what changes weights, cache or arithmetic of a plain forward pass. Not read are the precision
    (``quantization_config``), modules for drafting (``num_nextn_predict_layers`` and the like) and vision towers.

    Args:
        source: the file, the folder that holds it, or the parsed content.
        name: what to call the model; by default its folder or file, or its ``model_type``.

    Raises:
        ValueError: missing or malformed file, unknown ``model_type``, missing or impossible field, or a field that
            changes cost and is not understood; one sentence that names the file and the field.

    >>> tiny = dict(model_type="llama", hidden_size=64, num_hidden_layers=2, num_attention_heads=4, vocab_size=100,
    ...             intermediate_size=256, num_key_value_heads=2)
    >>> float(read_config(tiny).layers[0].attention.head_dim)
    16.0
    """
    if isinstance(source, dict):
        label, default_name, content = "the given config", str(source.get("model_type")), source
    else:
        path = own_path(source)
        path = path / "config.json" if path.is_dir() else path
        label, content = str(path), load(path)
        default_name = path.parent.name if path.name == "config.json" else path.stem
    try:
        return checked_family(content).transformer(name or default_name)
    except ValueError as problem:
        raise ValueError(f"{label}: {problem}.") from None


def load(path: Path) -> dict[str, Any]:
    """The content of a file, which must be one JSON object."""
    if not path.exists():
        raise ValueError(f"{path}: there is no such file, expected a Hugging Face config.json or a folder with one.")
    content = read_json(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path}: holds a {type(content).__name__}, expected a JSON object.")
    return content


def checked_family(content: dict[str, Any]) -> Family:
    """The fields of a config, checked by its family."""
    model_type, fields = language_model(content)
    family = FAMILIES.get(model_type)
    if family is None:
        known = sorted({*FAMILIES, *WRAPPERS})
        raise ValueError(f"model_type = {model_type!r}, expected one of {', '.join(known)}{nearest(model_type, known)}")
    names = [field.alias or name for name, field in family.model_fields.items()]
    unknown = {name: value for name, value in fields.items() if name not in names and name != "model_type"}
    _refuse_endless(family.model_fields["num_hidden_layers"].alias or "num_hidden_layers", fields)
    try:
        checked = family.model_validate(fields)
    except ValidationError as error:
        raise ValueError(explain(error, unknown, model_type)) from None
    refuse_unknown(unknown, names, family.ignored | family.repeats.keys(), model_type)
    for name, original in family.repeats.items():
        if name in fields and fields[name] != getattr(checked, original):
            raise ValueError(f"{name} = {fields[name]!r}, expected the same as {original} = {getattr(checked, original)}")
    return checked


def _refuse_endless(field: str, fields: dict[str, Any]) -> None:
    """Refuse more layers than anyone has, before they are made."""
    count = fields.get(field)
    if isinstance(count, int) and count > MOST_LAYERS:
        raise ValueError(f"{field} = {count}, expected at most {MOST_LAYERS} layers")


def language_model(content: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The type and fields of the language model, out of a multimodal wrapper if there is one."""
    if "model_type" not in content:
        raise ValueError(f"the field model_type is missing{nearest('model_type', content)}")
    model_type = content["model_type"]
    if not isinstance(model_type, str):
        raise ValueError(f"model_type = {model_type!r}, expected a text")
    if model_type not in WRAPPERS:
        return model_type, content
    inner = content.get("text_config")
    if not isinstance(inner, dict):
        raise ValueError(f"text_config = {inner!r}, expected an object, for model_type {model_type!r} keeps its fields there")
    outside = {name: value for name, value in content.items() if name not in OUTSIDE_THE_LANGUAGE_MODEL}
    refuse_unknown(outside, OUTSIDE_THE_LANGUAGE_MODEL, frozenset(), model_type)
    shared = {name: content[name] for name in ("tie_word_embeddings",) if name in content}
    inner_type = inner.get("model_type", WRAPPERS[model_type][0])
    if inner_type not in WRAPPERS[model_type]:
        raise refuse_value("text_config.model_type", inner_type, WRAPPERS[model_type])
    return inner_type, {**shared, **inner}
