"""A model in a TOML file of one's own: layers and widths, so that a paper's model needs no
``config.json``.

    hidden = 4096
    vocabulary = 128_256

    [[layers]]
    count = 32
    attention = {kind = "grouped", heads = 32, kv_heads = 8, head_dim = 128}
    feed_forward = {kind = "dense", width = 14336}

    [precision]
    weight_bits = 16

Fields are those of ``codesign.workload.transformer`` and ``codesign.Precision``; what is left out
has their default, a precision is 16 bit unless stated.
"""

import dataclasses
import math
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar

import equinox as eqx

from codesign.files import read_toml
from codesign.workload.precision import PARTS, PartPrecision, Precision
from codesign.workload.reading import Reading
from codesign.workload.transformer import (
    LARGEST,
    MOST_LAYERS,
    CompressedAttention,
    Compression,
    CrossAttention,
    FeedForward,
    GroupedAttention,
    Indexer,
    LatentAttention,
    LayerKind,
    LinearAttention,
    MixtureOfExperts,
    PerLayerEmbedding,
    ResidualStreams,
    SelectiveScan,
    ShortConvolution,
    Transformer,
)

ATTENTION = {
    "grouped": GroupedAttention,
    "cross": CrossAttention,
    "latent": LatentAttention,
    "compressed": CompressedAttention,
    "linear": LinearAttention,
    "scan": SelectiveScan,
    "convolution": ShortConvolution,
}
FEED_FORWARD = {"dense": FeedForward, "mixture": MixtureOfExperts}
WITHIN = {
    "indexer": Indexer,
    "compression": Compression,
    "streams": ResidualStreams,
    "per_layer_embedding": PerLayerEmbedding,
    **dict.fromkeys(PARTS, PartPrecision),
}
"""Tables within tables, by their key."""

Built = TypeVar("Built", bound=eqx.Module)


def read_stated(path: Path, name: str | None = None) -> Reading:
    """Read a model stated in TOML.

    Raises:
        ValueError: missing or malformed file; an unknown, missing or impossible field, named with
            the nearest known one.
    """
    if not path.exists():
        raise ValueError(f"{path}: there is no such file, expected a model in TOML.")
    content = read_toml(path)
    try:
        return stated(content, name or str(content.get("name", path.stem)))
    except ValueError as problem:
        raise ValueError(f"{path}: {str(problem).removesuffix('.')}.") from None


def stated(content: dict[str, object], name: str) -> Reading:
    """The model that the content of a file states.

    >>> one = {"count": 2,
    ...     "attention": {"kind": "grouped", "heads": 4, "kv_heads": 2, "head_dim": 16},
    ...        "feed_forward": {"kind": "dense", "width": 256}}
    >>> stated({"hidden": 64, "vocabulary": 100, "layers": [one]}, "tiny").model.name
    'tiny'
    """
    fields = dict(content)
    context, precision, layers = (
        fields.pop("context", None),
        fields.pop("precision", {}),
        fields.pop("layers", None),
    )
    fields.pop("name", None)
    if not isinstance(layers, list) or not layers:
        raise ValueError("layers is missing, expected at least one [[layers]] table")
    kinds = tuple(layer(entry, f"layers[{k}]") for k, entry in enumerate(layers))
    model = build(Transformer, {**fields}, "the model", layers=kinds, name=name)
    if context is not None and (
        isinstance(context, bool) or not isinstance(context, int) or not 0 < context <= LARGEST
    ):
        raise ValueError(f"context = {context!r}, expected a positive integer")
    widths = {
        "weight_bits": 16.0,
        "state_bits": 16.0,
        "activation_bits": 16.0,
        **table(precision, "precision"),
    }
    widths.setdefault("expert_weight_bits", widths["weight_bits"])
    note = "as the file says" if precision else "16 bit: the file states no precision"
    return Reading(model, build(Precision, widths, "precision"), "stated", context, {}, (note,))


def layer(entry: object, where: str) -> LayerKind:
    """One kind of layer; either half may be left out."""
    fields = dict(table(entry, where))
    halves = {}
    for half, kinds in (("attention", ATTENTION), ("feed_forward", FEED_FORWARD)):
        value = fields.pop(half, None)
        halves[half] = None if value is None else of_kind(value, kinds, f"{where}.{half}")
    if halves == {"attention": None, "feed_forward": None}:
        raise ValueError(
            f"{where} has neither attention nor feed_forward, expected at least one of them"
        )
    return build(LayerKind, fields, where, **halves)


def of_kind(value: object, kinds: Mapping[str, type[Built]], where: str) -> Built:
    """A table whose ``kind`` says what it is."""
    fields = dict(table(value, where))
    kind = fields.pop("kind", None)
    if not isinstance(kind, str) or kind not in kinds:
        raise ValueError(
            f"{where}.kind = {kind!r}, expected one of"
            f" {', '.join(kinds)}{near(str(kind), list(kinds))}"
        )
    if kind == "mixture":
        fields.setdefault("has_shared", fields.get("shared_width", 0.0) != 0.0)
    built = build(kinds[kind], fields, where)
    refuse_misfits(fields, where)
    return built


def build(module: type[Built], fields: dict[str, object], where: str, **built: object) -> Built:
    """A module of its fields, all of which must be known, and all of which without a default be
    given."""
    known = {field.name: field for field in dataclasses.fields(module) if field.name not in built}
    for name, value in fields.items():
        if name not in known:
            raise ValueError(
                f"{where}.{name} is not known, expected one of"
                f" {', '.join(known)}{near(name, list(known))}"
            )
        if name in WITHIN and "unit" not in known[name].metadata:
            built[name] = build(WITHIN[name], table(value, f"{where}.{name}"), f"{where}.{name}")
        elif known[name].metadata.get("static"):
            if not isinstance(value, bool):
                raise ValueError(f"{where}.{name} = {value!r}, expected true or false")
            built[name] = value
        else:
            built[name] = dimension(value, name, f"{where}.{name}")
    for name, field in known.items():
        if (
            name not in built
            and field.default is dataclasses.MISSING
            and field.default_factory is dataclasses.MISSING
        ):
            raise ValueError(f"{where}.{name} is missing, expected a number")
    return module(**built)


def table(value: object, where: str) -> dict[str, object]:
    """A table."""
    if not isinstance(value, dict):
        raise ValueError(f"{where} = {value!r}, expected a table")
    return value


def number(value: object, where: str) -> float:
    """A number that may be a dimension."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not math.isfinite(value)
        or not 0 <= value <= LARGEST
    ):
        raise ValueError(f"{where} = {value!r}, expected a number from 0 to {LARGEST:,}")
    return float(value)


WHOLE = (
    "count",
    "hidden",
    "vocabulary",
    "heads",
    "kv_heads",
    "head_dim",
    "width",
    "experts",
    "active",
)
"""Dimensions that are whole numbers from 1 on."""

MEANS = ("latent_reads", "mixing", "end_projections")
"""Numbers that need not be whole; bits need not either."""


def dimension(value: object, name: str, where: str) -> float:
    """A number of a field, in the range that its name says."""
    found = number(value, where)
    if name.endswith("_bits") and name != "scale_bits" and not 1.0 <= found <= 64.0:
        raise ValueError(f"{where} = {value!r}, expected 1 to 64 bits")
    if name in WHOLE and (found < 1 or found != math.floor(found)):
        raise ValueError(f"{where} = {value!r}, expected a positive integer")
    if not name.endswith("_bits") and name not in MEANS and found != math.floor(found):
        raise ValueError(f"{where} = {value!r}, expected a whole number")
    if name == "count" and found > MOST_LAYERS:
        raise ValueError(f"{where} = {value!r}, expected at most {MOST_LAYERS:,} layers")
    return found


def refuse_misfits(fields: dict[str, object], where: str) -> None:
    """Refuse dimensions that cannot stand beside one another.

    Raises:
        ValueError: naming both.
    """
    for few, many, divides in (("kv_heads", "heads", True), ("active", "experts", False)):
        a, b = fields.get(few), fields.get(many)
        if a is None or b is None:
            continue
        small, large = number(a, f"{where}.{few}"), number(b, f"{where}.{many}")
        if small > large or (divides and large % small != 0):
            what = f"a divisor of {many} = {b!r}" if divides else f"at most {many} = {b!r}"
            raise ValueError(f"{where}.{few} = {a!r}, expected {what}")


def near(name: str, choices: list[str]) -> str:
    """``"; the nearest is …"``, or nothing."""
    found = get_close_matches(name, choices, n=1, cutoff=0.5)
    return f"; the nearest is {found[0]!r}" if found else ""
