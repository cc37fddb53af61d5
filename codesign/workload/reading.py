"""A model as its file states it: structure, precision, context limit, and what of the file was not
read."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from codesign.files import own_path
from codesign.numerics.fields import Real, units_of
from codesign.workload.parameters import layer_parameters
from codesign.workload.precision import PARTS, Part, Precision
from codesign.workload.transformer import LayerKind, Transformer, layer_count

if TYPE_CHECKING:
    from codesign.workload.config_json.quantised_modules import Layers
    from codesign.workload.config_json.reader import Structure


@dataclasses.dataclass(frozen=True)
class Reading:
    """What was read of a model's file, and what was not.

    ``ignored`` gives every field that was set and not read its reason; ``precision_notes`` say
    where the precision comes from.
    """

    model: Transformer
    precision: Precision
    family: str
    context_limit: int | None
    ignored: Mapping[str, str]
    precision_notes: tuple[str, ...]


def read(source: str | Path | dict[str, object], name: str | None = None) -> Reading:
    """Read a model with its precision: a ``config.json``, a folder with one, its content, or a TOML
    file of layers.

    ``hf_quant_config.json`` beside the file is read too.

    Raises:
        ValueError: as ``read_config``; a precision that is not understood, named.

    >>> tiny = dict(model_type="llama", hidden_size=64, num_hidden_layers=2,
    ...     num_attention_heads=4, vocab_size=100,
    ...     intermediate_size=256, num_key_value_heads=2, torch_dtype="bfloat16")
    >>> float(read(tiny).precision.part("dense").weight_bits)
    16.0
    """
    from codesign.workload.config_json.reader import (
        load,
        opened,
        read_structure,
    )  # pydantic is heavy: only when a model is read
    from codesign.workload.stated_model import read_stated

    if not isinstance(source, dict) and Path(source).suffix == ".toml":
        return read_stated(own_path(source), name)
    structure = read_structure(source, name)
    label, _, content = opened(source)
    beside = None
    if not isinstance(source, dict):
        path = own_path(source)
        sidecar = (path if path.is_dir() else path.parent) / "hf_quant_config.json"
        beside = (
            load(sidecar)
            if sidecar.is_file() and (path.is_dir() or path.name == "config.json")
            else None
        )
    return with_precision(structure, content, beside, label)


def with_precision(
    structure: "Structure", content: dict[str, object], beside: dict[str, object] | None, label: str
) -> Reading:
    """A structure with the precision that its file states."""
    from codesign.workload.config_json.quantization import stated_precision

    try:
        fields = structure.language_model.fields
        stated = stated_precision(content, fields, beside, _layers(structure))
    except ValueError as problem:
        raise ValueError(f"{label}: {problem}.") from None
    precision = one_width(stated.precision())
    return Reading(
        structure.model,
        precision,
        structure.family,
        structure.context_limit,
        structure.ignored,
        stated.notes,
    )


def _layers(structure: "Structure") -> "Layers":
    """Layers of a model as modules are numbered, and those that have attention, an MLP, experts."""
    from codesign.workload.config_json.quantised_modules import Layers

    model, numbered = structure.model, structure.language_model.fields.get("num_hidden_layers")
    having = {"attention": 0.0, "dense": 0.0, "experts": 0.0, "shared": 0.0}
    for kind in model.layers:
        routing = None if kind.feed_forward is None else kind.feed_forward.routing(model.hidden)
        having["attention"] += float(kind.count) * (kind.attention is not None)
        having["dense"] += float(kind.count) * (kind.feed_forward is not None and routing is None)
        having["experts"] += float(kind.count) * (routing is not None)
        having["shared"] += float(kind.count) * (routing is not None and float(routing.shared) > 0)
    whole = numbered if isinstance(numbered, int) else round(float(layer_count(model)))
    return Layers(whole, {part: round(count) for part, count in having.items()})


def override(
    precision: Precision,
    *,
    weight_bits: float | None = None,
    expert_weight_bits: float | None = None,
    kv_bits: float | None = None,
    activation_bits: float | None = None,
    message_bits: float | None = None,
) -> Precision:
    """A precision with some of its widths replaced by a user's.

    ``weight_bits`` replaces the weights of all parts, those of experts unless
    ``expert_weight_bits`` is given too. A width that is given has no scales beside it. Inputs of
    the arithmetic follow ``activation_bits``.
    """
    found = precision
    for name in PARTS:
        form, own = found.part(name), getattr(found, name) is not None
        bits = (
            expert_weight_bits
            if name == "experts" and expert_weight_bits is not None
            else weight_bits
        )
        if bits is not None:
            form = dataclasses.replace(form, weight_bits=bits, scale_bits=0.0)
        if activation_bits is not None:
            form = dataclasses.replace(form, input_bits=activation_bits)
        found = dataclasses.replace(found, **{name: form}) if own else found
    whole = {
        "weight_bits": weight_bits,
        "expert_weight_bits": weight_bits if expert_weight_bits is None else expert_weight_bits,
        "weight_scale_bits": None if weight_bits is None else 0.0,
        "state_bits": kv_bits,
        "activation_bits": activation_bits,
        "message_bits": message_bits,
    }
    return dataclasses.replace(
        found, **{name: value for name, value in whole.items() if value is not None}
    )


def one_width(precision: Precision) -> Precision:
    """The same precision without parts of its own where all of them agree with what holds for the
    whole."""
    bits = {
        name: float(getattr(precision, name)) for name in units_of(precision)
    }  # compared as Python numbers: no program to compile
    for name in PARTS:
        weights = bits["expert_weight_bits" if name == "experts" else "weight_bits"]
        of_all = (
            weights,
            bits["weight_scale_bits"],
            max(bits["weight_bits"], bits["activation_bits"]),
        )
        own = getattr(precision, name)
        if (
            own is not None
            and (float(own.weight_bits), float(own.scale_bits), float(own.input_bits)) != of_all
        ):
            return precision
    return dataclasses.replace(precision, **dict.fromkeys(PARTS))


def weight_bytes(model: Transformer, precision: Precision) -> float:
    """Bytes of all weights [B], block scales and norms included; what the operator table keeps,
    without tracing it."""
    norms = sum(
        float(kind.stored_count)
        * sum(half is not None for half in (kind.attention, kind.feed_forward))
        for kind in model.layers
    )
    counts = weights_by_part(model)
    counts["attention"] += norms * float(model.hidden)
    return sum(count * float(precision.part(part).weight_bytes) for part, count in counts.items())


def weights_by_part(model: Transformer) -> dict[Part, float]:
    """Weights of every part [1], those of shared blocks once; norms are not counted."""
    found: dict[Part, float] = dict.fromkeys(PARTS, 0.0)
    for kind in model.layers:
        for part, count in _layer_weights(kind, model.hidden).items():
            found[part] += float(kind.stored_count) * count
    tables = (0.0 if model.tied_embeddings else 1.0) * model.vocabulary + model.positions
    found["embedding"] += float(model.hidden * tables)
    found["head"] += float(model.hidden * model.vocabulary)
    layers = float(layer_count(model))
    if model.streams is not None:
        found["attention"] += float(model.hidden * model.streams.mixing) * layers
        found["dense"] += float(model.hidden**2 * model.streams.end_projections)
    if model.per_layer_embedding is not None:
        table = model.per_layer_embedding
        found["embedding"] += layers * float(table.width * table.vocabulary)
        found["dense"] += layers * float(3.0 * table.width * model.hidden)
    return found


def _layer_weights(kind: LayerKind, hidden: Real) -> dict[Part, float]:
    attention = float(layer_parameters(dataclasses.replace(kind, feed_forward=None), hidden))
    part = kind.feed_forward
    if part is None:
        return {"attention": attention, "dense": 0.0}
    whole, routing = float(part.weights(hidden)), part.routing(hidden)
    if routing is None:
        return {"attention": attention, "dense": whole}
    experts = float(routing.experts * routing.weights)
    router = float(hidden * routing.experts)
    return {"attention": attention + router, "experts": experts, "shared": whole - experts - router}
