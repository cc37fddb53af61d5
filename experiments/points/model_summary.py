"""How a model was read: what ``describe`` says of it, and the few lines of it that stand over an
evaluation."""

import dataclasses
import textwrap
from collections.abc import Mapping
from typing import Any

import equinox as eqx

from codesign import Precision
from codesign.numerics.units import BITS_PER_BYTE
from codesign.workload.parameters import (
    active_parameter_count,
    convolution_elements_per_sequence,
    parameter_count,
    recurrent_elements_per_sequence,
    state_bytes_per_token,
)
from codesign.workload.precision import PARTS
from codesign.workload.reading import Reading, weight_bytes, weights_by_part
from codesign.workload.transformer import UNLIMITED, LayerKind, layer_count

COLUMNS = 80  # of a terminal that everybody has

UNITS = {
    "parameters": "1",
    "active_parameters": "1, serving one token",
    "weight_bytes": "B, block scales included",
    "kv_bytes_per_token": "B/position of one sequence, within all windows",
    "kv_bytes_per_token_beyond_windows": "B/position of one sequence, beyond all windows",
    "state_bytes_per_sequence": "B, recurrent states of one sequence, whatever its length",
    "convolution_bytes_per_sequence": "B, inputs kept by causal convolutions",
    "context_limit": "positions",
    "precision": "bit",
}
"""What each number is in."""


def description(reading: Reading) -> dict[str, Any]:
    """Everything that ``describe --json`` prints."""
    model, precision = reading.model, reading.precision
    state = float(precision.state_bits) / BITS_PER_BYTE
    elements = float(recurrent_elements_per_sequence(model))
    return {
        "name": model.name,
        "family": reading.family,
        "parameters": round(float(parameter_count(model))),
        "active_parameters": round(float(active_parameter_count(model))),
        "weight_bytes": float(weight_bytes(model, precision)),
        "kv_bytes_per_token": float(state_bytes_per_token(model, state)),
        "kv_bytes_per_token_beyond_windows": float(
            state_bytes_per_token(model, state, beyond_windows=True)
        ),
        "state_bytes_per_sequence": elements * float(precision.recurrent_bits) / BITS_PER_BYTE,
        "state_elements_per_sequence": elements,
        "convolution_bytes_per_sequence": (
            float(convolution_elements_per_sequence(model)) * activation_bytes(precision)
        ),
        "context_limit": reading.context_limit,
        "hidden": float(model.hidden),
        "vocabulary": float(model.vocabulary),
        "layer_count": float(layer_count(model)),
        "layers": [layer(kind) for kind in model.layers],
        "parts": parts(reading),
        "precision": {
            "kv": float(precision.state_bits),
            "activations": float(precision.activation_bits),
            "recurrent_state": float(precision.recurrent_bits),
        },
        "precision_notes": list(reading.precision_notes),
        "ignored": dict(reading.ignored),
        "units": UNITS,
    }


def activation_bytes(precision: Precision) -> float:
    """Bytes of an activation [B]."""
    return float(precision.activation_bits) / BITS_PER_BYTE


def layer(kind: LayerKind) -> dict[str, object]:
    """One kind of layer, its halves with their dimensions."""
    found: dict[str, object] = {
        "count": float(kind.count),
        "attention": half(kind.attention),
        "feed_forward": half(kind.feed_forward),
    }
    return found if kind.weight_sets is None else {**found, "weight_sets": float(kind.weight_sets)}


def half(part: eqx.Module | None) -> dict[str, object] | None:
    """Class and dimensions of half a layer; a window that never binds is left out."""
    if part is None:
        return None
    found: dict[str, object] = {"kind": type(part).__name__}
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        if isinstance(value, eqx.Module):
            found[field.name] = half(value)
        elif isinstance(value, bool):
            found[field.name] = value
        elif value is not None and float(value) < UNLIMITED:
            found[field.name] = float(value)
    return found


def parts(reading: Reading) -> dict[str, dict[str, float]]:
    """Weights, bits and bytes of every part of the model."""
    counts, found = weights_by_part(reading.model), {}
    for name in PARTS:
        form = reading.precision.part(name)
        if counts[name] or name in ("embedding", "head"):
            found[name] = {
                "parameters": counts[name],
                "weight_bits": float(form.weight_bits),
                "scale_bits": float(form.scale_bits),
                "compute_bits": float(form.compute_bits),
                "bytes": counts[name] * float(form.weight_bytes),
            }
    return found


def describe(reading: Reading) -> list[str]:
    """The description as lines of at most 80 columns."""
    said = description(reading)
    lines = [*summary(reading), "", "layers"]
    for one in said["layers"]:
        halves = " + ".join(words(one[name]) for name in ("attention", "feed_forward") if one[name])
        shared = f", {one['weight_sets']:g} sets of weights" if "weight_sets" in one else ""
        lines += wrapped(f"{one['count']:6,.0f} × {halves}{shared}", 11)
    lines += ["", f"{'part':<12}{'parameters':>18}{'bit':>12}{'computes at':>13}{'bytes':>14}"]
    for name, one in said["parts"].items():
        bits = f"{one['weight_bits'] + one['scale_bits']:.4g}"
        lines.append(
            f"{name:<12}{one['parameters']:>18,.0f}{bits:>12}{one['compute_bits']:>13g}"
            f"{one['bytes'] / 1e9:>11.3f} GB"
        )
    lines += [
        "",
        "precision",
        *(line for note in said["precision_notes"] for line in wrapped(f"  {note}", 4)),
    ]
    lines += ["", "not read" if said["ignored"] else "nothing of the file was left unread"]
    reasons: dict[str, list[str]] = {}
    for name, why in said["ignored"].items():
        reasons.setdefault(why, []).append(name)
    for why, names in reasons.items():
        lines += wrapped(f"  {why}: {', '.join(names)}", 4)
    return [plain(line) for line in lines]


def summary(reading: Reading) -> list[str]:
    """How the model was read, in a few lines."""
    said = description(reading)
    beyond = said["kv_bytes_per_token_beyond_windows"]
    cache = (
        f"cache {size(said['kv_bytes_per_token'])} a position at {said['precision']['kv']:g} bit"
    )
    cache += "" if beyond == said["kv_bytes_per_token"] else f", {size(beyond)} beyond the windows"
    state = said["state_bytes_per_sequence"]
    cache += f"; state {size(state)} a sequence" if state else ""
    context = (
        "" if said["context_limit"] is None else f"; made for {said['context_limit']:,} positions"
    )
    widths = sorted({one["weight_bits"] + one["scale_bits"] for one in said["parts"].values()})
    bits = f"{widths[0]:.4g}" if len(widths) == 1 else f"{widths[0]:.4g} to {widths[-1]:.4g}"
    count, active = said["parameters"], said["active_parameters"]
    lines = wrapped(
        f"{said['name']}, read as {said['family']}: {count / 1e9:,.4g}e9 parameters"
        + (f", {active / 1e9:,.4g}e9 active" if active != count else "")
        + f"; {size(said['weight_bytes'])} of weights at {bits} bit",
        2,
    )
    lines += wrapped(cache + context, 2)
    if said["ignored"]:
        outside = [why for why in said["ignored"].values() if "tower" in why]
        told = f"; {outside[0]}" if outside else ""
        count = f"{len(said['ignored'])} {'field' if len(said['ignored']) == 1 else 'fields'}"
        lines += wrapped(f"not read: {count}{told} (codesign describe says why)", 2)
    return [plain(line) for line in lines]


def words(part: Mapping[str, object]) -> str:
    """Half a layer in words: its kind, its numbers, the switches that are on."""
    absent = () if part.get("has_shared", True) else ("shared_width", "has_shared")
    part = {name: value for name, value in part.items() if name not in absent}
    numbers = [
        f"{name.replace('_', ' ')} {value:,.10g}"
        for name, value in part.items()
        if isinstance(value, float)
    ]
    within = [
        f"{name} ({words(value)})" for name, value in part.items() if isinstance(value, Mapping)
    ]
    switches = [
        name
        for name, value in part.items()
        if isinstance(value, bool) and value != USUAL.get(name, False)
    ]
    told = [("" if part[name] else "no ") + name.replace("_", " ") for name in switches]
    if part["kind"] in PLAIN:
        told = [word for word in told if word != "gated"] + ([] if part["gated"] else ["not gated"])
    return f"{part['kind']}: {', '.join([*numbers, *told, *within])}"


USUAL = {"own_values": True, "own_cache": True, "weighted": True, "has_shared": True, "delta": True}
"""Switches that go without saying; all others are off."""

PLAIN = ("FeedForward", "MixtureOfExperts", "LinearAttention")
"""Kinds that are gated as a rule."""


def size(count: float) -> str:
    """Bytes in the unit that reads best, thousands of them."""
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.4g} {unit}"
    return f"{count:g} B"


def wrapped(text: str, indent: int) -> list[str]:
    """A line broken at 80 columns, what follows indented."""
    return textwrap.wrap(
        text, COLUMNS, subsequent_indent=" " * indent, break_on_hyphens=False, drop_whitespace=True
    ) or [""]


def plain(text: str) -> str:
    """A stranger's text without what a terminal would obey."""
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )
