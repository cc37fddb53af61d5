"""The shipped models: facts of published checkpoints, each a config.json with its source, found by
name."""

import dataclasses
import json
from difflib import get_close_matches
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, cast

from codesign.files import own_path
from codesign.numerics.fields import Real, real
from codesign.workload.parameters import parameter_count
from codesign.workload.transformer import Transformer

if TYPE_CHECKING:
    from codesign.workload.reading import Reading


class Source(TypedDict, total=False):
    """``_source`` of a file of facts (``model_facts``)."""

    repository: str
    date: str
    published_parameters: float
    published_source: str
    outside_parameters: float
    published_active_parameters: float
    nominal_parameters: float
    also: list[str]
    note: str


def model(name_or_path: str | Path, nominal_parameters: bool | float | None = None) -> Transformer:
    """Look a shipped model up by name, or read any model by its path (``reading(…).model``).

    Args:
        name_or_path: see ``reading``.
        nominal_parameters: a number replaces the exact count of weights [1]; ``True`` takes the
            round one of the facts, 405e9 for llama-3.1-405b.

    Returns:
        The transformer.

    Raises:
        ValueError: unknown name (with the nearest ones), unreadable path, or no nominal count where
            one is asked for.

    >>> model("Llama-3.1-8B").name
    'llama-3.1-8b'
    >>> float(model("llama-3.1-405b", nominal_parameters=True).nominal_parameters)
    405000000000.0
    """
    return reading(name_or_path, nominal_parameters).model


def reading(name_or_path: str | Path, nominal_parameters: bool | float | None = None) -> "Reading":
    """A shipped model by name, or any by the path of its ``config.json``, of the folder that holds
    one, or of a TOML file.

    Args:
        name_or_path: case, spaces, underscores and an organisation before a slash do not matter in
            a name; a shipped name goes before a folder of that name beside you, an existing path
            with a slash before a shipped name.
        nominal_parameters: see ``model``.

    Raises:
        ValueError: as ``model``, or a precision that is not understood.

    >>> reading("gpt-oss-120b").precision_notes[-1]
    'experts in MXFP4, with a scale for 32 weights; all else as the dtype says'
    """
    from codesign.workload.reading import read  # pydantic is heavy: only when a model is read

    path, shipped = own_path(name_or_path), index().get(canonical(name_or_path))
    if path.exists() and (shipped is None or len(path.parts) > 1):
        found, shipped = read(path), None
    elif shipped is not None:
        found = read(read_facts(shipped), name=canonical(name_or_path))
    else:
        raise unknown_model(name_or_path)
    if nominal_parameters is None or nominal_parameters is False:
        return found
    count = (
        nominal_count(name_or_path, shipped)
        if nominal_parameters is True
        else plausible(nominal_parameters, found.model)
    )
    return dataclasses.replace(
        found, model=dataclasses.replace(found.model, nominal_parameters=real(count))
    )


def model_names() -> tuple[str, ...]:
    """Names of the shipped models, one per file of facts; ``model`` also knows the names under
    ``_source.also``.

    >>> "llama-3.1-8b" in model_names()
    True
    """
    return tuple(sorted(set(index().values())))


def model_facts(name: str) -> dict[str, object]:
    """The facts of a shipped model: the fields of its config.json that change cost, and
    ``_source``.

    ``_source`` has ``repository``, ``date`` of the release, ``published_parameters`` [1] and their
    source, ``outside_parameters`` [1] that the published count includes and a ``Transformer`` does
    not (draft layers, vision towers), ``published_active_parameters`` and ``nominal_parameters``
    [1], other names under ``also``, and a ``note``.

    Raises:
        ValueError: unknown name, with the nearest ones.
    """
    shipped = index().get(canonical(name))
    if shipped is None:
        raise unknown_model(name)
    return read_facts(shipped)


def canonical(name: str | Path) -> str:
    """``"meta-llama/Llama 3.1 8B"`` as ``"llama-3.1-8b"``."""
    return str(name).rsplit("/", 1)[-1].strip().lower().replace(" ", "-").replace("_", "-")


@cache
def index() -> dict[str, str]:
    """Every name and other name, to the name of the file that has the facts."""
    files = [
        file.name.removesuffix(".json")
        for file in folder().iterdir()
        if file.name.endswith(".json")
    ]
    return {
        canonical(name): file for file in files for name in (file, *source_of(file).get("also", ()))
    }


def folder() -> Traversable:
    """Where the facts are, also inside an installed package."""
    return resources.files("codesign.workload") / "models"


def read_facts(file: str) -> dict[str, object]:
    """The content of one file of facts."""
    return json.loads((folder() / f"{file}.json").read_text(encoding="utf-8"))


def source_of(file: str) -> Source:
    """Who published a file's facts, and what is said of them beside."""
    return cast(Source, read_facts(file)["_source"])  # a file of ours


def unknown_model(name: str | Path) -> ValueError:
    """The error for a name that is neither shipped nor a path."""
    near = get_close_matches(canonical(name), list(index()), n=3, cutoff=0.5)
    hint = (
        f"the nearest are {', '.join(near)}"
        if near
        else f"the {len(model_names())} names: codesign list models"
    )
    return ValueError(
        f"There is no model {str(name)!r}, expected a shipped name or the path of a config.json or"
        f" its folder; {hint}."
    )


def nominal_count(name: str | Path, shipped: str | None) -> float:
    """The round number of parameters that people say [1]."""
    count = None if shipped is None else source_of(shipped).get("nominal_parameters")
    if count is None:
        raise ValueError(
            f"{str(name)!r} has no nominal parameter count among its facts, expected a number such"
            " as 70e9."
        )
    return float(count)


NOMINAL_FACTOR = 3.0
"""How far a round count may be from the model's own: it replaces the weights, and the rest of the
model stays."""


def plausible(count: float | Real, built: Transformer) -> float | Real:
    """A nominal count of weights; a plain number is refused where it is not about that of the
    model."""
    if isinstance(count, int | float):
        if not 0 < count < float("inf"):
            raise ValueError(
                f"nominal_parameters = {count!r}, expected a positive number such as 70e9."
            )
        own = float(parameter_count(built))
        if not own / NOMINAL_FACTOR <= count <= own * NOMINAL_FACTOR:
            raise ValueError(
                f"nominal_parameters = {count:g}, but {built.name} has {own:.4g} by its own count;"
                f" expected a number of weights within a factor of {NOMINAL_FACTOR:g} of that."
            )
    return count
