"""Files that users name: read whole as UTF-8 text, TOML or JSON, or refused in one sentence that
names the file.

A path may point at anything: a pipe that nobody writes to, a device without end, a film. Only
ordinary files of a sane size are read, and only text that says one thing (no key twice) and can be
walked (no nesting without end).
"""

import json
import math
import os
import stat
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

Content = TypeVar("Content")

LARGEST = 16 * 2**20
"""The most that is read of a file that people write [B]; the largest config.json seen has a
hundredth of it."""

DEEPEST = 64
"""Levels of tables and lists; a config.json has three or four."""

INTEGERS = 2**63
"""TOML promises integers of 64 bits, and no more (toml.io, v1.0.0, "Integer")."""

NOT_TOML, NOT_JSON = "not a TOML file", "not valid JSON"


def own_path(text: str | Path) -> Path:
    """A path as a user wrote it, ``~`` and ``~name`` resolved.

    Raises:
        ValueError: a user that does not exist, or a character that no path may hold.

    >>> own_path("runs/mine.toml").as_posix()
    'runs/mine.toml'
    >>> own_path("~nosuchuser/x")
    Traceback (most recent call last):
    ...
    ValueError: '~nosuchuser/x': there is no such user's home folder; expected a path
    """
    if "\0" in str(text):
        raise ValueError(f"{str(text)!r}: a path cannot hold a null character")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ValueError(
            f"{str(text)!r}: there is no such user's home folder; expected a path"
        ) from None


def read_text(path: Path, wrong: str = "not a text file", largest: int = LARGEST) -> str:
    """The text of an ordinary file.

    Args:
        path: the file.
        wrong: what to call it where it is not UTF-8.
        largest: the most that is read [B].

    Raises:
        ValueError: not a file (a folder, pipe or device), too large, not UTF-8, or unreadable;
            naming it.
    """
    try:
        file = os.open(
            path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
        )  # a pipe that nobody writes to must not be waited for
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None
    if not stat.S_ISREG(os.fstat(file).st_mode):  # a folder opens, but makes no file object
        os.close(file)
        raise ValueError(f"{path}: not a file; expected an ordinary one")
    with os.fdopen(file, "rb") as opened:
        content = opened.read(largest + 1)
    if len(content) > largest:
        raise ValueError(
            f"{path}: larger than {largest / 2**20:g} MiB; expected a file that a person could have"
            " written"
        )
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = f"byte {content[error.start]:#04x} at position {error.start}"
        raise ValueError(f"{path}: {wrong}: {byte} is not UTF-8; expected UTF-8 text") from None


def read_toml(path: Path) -> dict[str, object]:
    """The content of a TOML file; refused as by ``read_text`` and ``parse_toml``."""
    return parse_toml(read_text(path, NOT_TOML), path)


def read_json(path: Path) -> object:
    """The content of a JSON file; refused as by ``read_text`` and ``parse_json``."""
    return parse_json(read_text(path, NOT_JSON), path)


def parse_toml(text: str, origin: str | Path) -> dict[str, object]:
    """The content of a TOML text; ``origin`` is named in complaints.

    Raises:
        ValueError: not TOML, nested too deeply, or a number that is not finite or has more than 64
            bits, by its key.
    """
    content = _parsed(tomllib.loads, text, origin, NOT_TOML)
    for where, value in _leaves(content, ""):
        if isinstance(value, int) and not -INTEGERS <= value < INTEGERS:
            raise ValueError(
                f"{origin}: {where} is a whole number of {value.bit_length()} bits; expected at"
                " most 64"
            )
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{origin}: {where} = {value}; expected a finite number")
    return content


def parse_json(text: str, origin: str | Path) -> object:
    """The content of a JSON text; ``origin`` is named in complaints.

    Raises:
        ValueError: not JSON, nested too deeply, or a key given twice.
    """
    return _parsed(
        lambda text: json.loads(text, object_pairs_hook=_no_key_twice), text, origin, NOT_JSON
    )


def _parsed(parse: Callable[[str], Content], text: str, origin: str | Path, wrong: str) -> Content:
    try:
        content = parse(text)
        _refuse_deep(content)
        return content
    except RecursionError:
        raise ValueError(
            f"{origin}: {wrong}: nested too deeply; expected at most {DEEPEST} levels"
        ) from None
    except ValueError as error:
        raise ValueError(f"{origin}: {wrong}: {error}") from None


def _no_key_twice(pairs: list[tuple[str, object]]) -> dict[str, object]:
    content: dict[str, object] = {}
    for key, value in pairs:
        if key in content:
            raise ValueError(f"the key {key!r} is given twice")
        content[key] = value
    return content


def _refuse_deep(value: object, depth: int = 0) -> None:
    """Raise ``RecursionError``, whatever Python's own limit, so that whoever walks or prints the
    content can."""
    if depth > DEEPEST:
        raise RecursionError
    for entry in _entries(value).values():
        _refuse_deep(entry, depth + 1)


def _leaves(value: object, where: str) -> Iterator[tuple[str, object]]:
    """Everything that holds nothing else, with its dotted key."""
    if not isinstance(value, dict | list):
        yield where, value
    for key, entry in _entries(value).items():
        yield from _leaves(entry, f"{where}.{key}" if where else str(key))


def _entries(value: object) -> Mapping[object, object]:
    return (
        value
        if isinstance(value, dict)
        else dict(enumerate(value))
        if isinstance(value, list)
        else {}
    )
