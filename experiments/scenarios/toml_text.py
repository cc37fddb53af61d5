"""Scenarios as TOML text, and back."""

import json
import re
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from pydantic import (
    ValidationError,
)

from codesign.files import NOT_TOML, own_path, parse_toml, read_text
from experiments.scenarios.faults import faults, refusal
from experiments.scenarios.schema import Scenario
from experiments.scenarios.values import (
    LONGEST_NAME,
)
from experiments.scenarios.work import PHASES_USING
from experiments.terminal.refusal import Refused, nearest


@cache
def _built_in() -> dict[str, Traversable]:
    folder = resources.files("experiments") / "scenarios"
    return {
        file.name.removesuffix(".toml"): file
        for file in folder.iterdir()
        if file.name.endswith(".toml")
    }


def scenario_names() -> list[str]:
    """Names of the built-in scenarios.

    >>> "chat" in scenario_names()
    True
    """
    return sorted(_built_in())


def scenario(name_or_path: str) -> Scenario:
    """A built-in scenario by name, or one of your own by its TOML file.

    Raises:
        Refused: unknown name, unreadable file, unknown key (with the nearest), wrong unit, reversed
            range.
    """
    text = scenario_text(name_or_path)
    if name_or_path in _built_in():
        return read(text, name_or_path, name_or_path)
    path = own_path(name_or_path)
    return read(text, _name_of(path), str(path))


def scenario_text(name_or_path: str) -> str:
    """The text of a scenario's file as it is, comments and all.

    Raises:
        Refused: unknown name.
    """
    built_in = _built_in()
    if name_or_path in built_in:
        return built_in[name_or_path].read_text(encoding="utf-8")
    try:
        path = own_path(name_or_path)
        if not path.exists():
            offered = nearest(name_or_path, list(built_in))
            raise Refused(
                f"there is no scenario {name_or_path!r}, neither built in nor as a TOML file;"
                f" {offered}"
            )
        return read_text(path, NOT_TOML)
    except ValueError as error:
        raise Refused(str(error)) from None


def _name_of(path: Path) -> str:
    """The file's name, cut to what a name may be."""
    plain = re.sub(r"[^\w+.-]+|\.\.+", "-", path.stem).lstrip(".-")
    return plain.encode()[:LONGEST_NAME].decode(errors="ignore") or "scenario"


def read(text: str, name: str, origin: str) -> Scenario:
    """A scenario from the text of a TOML file; ``origin`` is named in complaints."""
    try:
        content = parse_toml(text, origin)
    except ValueError as error:
        raise Refused(str(error)) from None
    try:
        return _validated({"name": name, **content})
    except ValidationError:
        sound = parse_toml(_built_in()["llama-405b"].read_text(encoding="utf-8"), "llama-405b")
        raise refusal(
            origin,
            faults(_validated, {"name": name, **content}, Scenario, {"name": "sound", **sound}),
        ) from None


def _validated(content: dict[str, object]) -> Scenario:
    return Scenario.model_validate(content)


def written(resolved: Scenario) -> str:
    """A scenario as TOML, every default that has an effect filled in; ``read`` gives the same
    scenario back."""
    content = resolved.model_dump(exclude_none=True)
    _drop_idle(resolved, content)
    lines = [f"{key} = {_toml(value)}" for key, value in content.items() if isinstance(value, str)]
    for section, entries in content.items():
        if isinstance(entries, str):
            continue
        if not entries:  # a section without a word
            continue
        several = not isinstance(entries, dict)
        for table in entries if several else [entries]:
            header = f"[[{section}]]" if several else f"[{section}]"
            lines += ["", header, *(f"{key} = {_toml(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


def _drop_idle(resolved: Scenario, content: dict[str, Any]) -> None:
    """Take out the defaults that ``read`` would refuse as having no effect."""
    for work, table in zip(resolved.workload, content["workload"], strict=True):
        idle = [name for name, phases in PHASES_USING.items() if work.phase not in phases]
        for name in idle:
            table.pop(name, None)
    if resolved.space.mode == "build":
        content["space"].pop("sync_latency")
    if "experts" not in resolved.choices.model_fields_set:
        content["choices"].pop("experts")


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return toml_text(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(entry) for entry in value)}]"
    return repr(value)


def toml_text(text: str) -> str:
    """A text as TOML writes it: JSON's escapes are TOML's, but for DEL, which JSON lets stand.

    >>> print(toml_text('a "quoted" line\\n'))
    "a \\"quoted\\" line\\n"
    """
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
