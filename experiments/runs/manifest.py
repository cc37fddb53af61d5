"""What a run folder says of itself: ``run.json`` names every file that was written, with its hash,
and seals its own content.

So a run is known by its contents, not by the presence of its files, and what others put beside them
is told apart. The hashes notice accidents; they are no signature.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

RUN = "run.json"
FILES = ("scenario.toml", "front.csv", "devices.csv", "front.png", "report.html", RUN)
"""What a finished run folder holds, beside a file for each design."""

OURS = re.compile(
    r"scenario\.toml|front\.csv|devices\.csv|front\.png|report\.html|run\.json|designs/[0-9]+(-machine-[0-9]+)?\.toml"
    r"|uncertainty\.json|worlds\.csv|tornado\.png|ridge\.png"
)
"""Every name that a run may write."""


def seal(folder: Path, names: Iterable[str], details: dict[str, object]) -> None:
    """Write ``run.json``: the details, the hash of each file written, and a hash over both."""
    content = {
        **details,
        "written_by": "codesign",
        "files": {name: hash_of(folder / name) for name in names},
    }
    text = json.dumps({**content, "seal": _seal(content)}, indent=1, allow_nan=False)
    (folder / RUN).write_text(text + "\n", encoding="utf-8")


def recorded(folder: Path) -> dict[str, object] | None:
    """What ``run.json`` holds, if it is one and as it was written."""
    content = raw(folder)
    stated = content.pop("seal", None)
    return content if stated is not None and stated == _seal(content) else None


def raw(folder: Path) -> dict[str, object]:
    """What ``run.json`` holds, whoever wrote it; nothing where it is no JSON object."""
    try:
        content = json.loads((folder / RUN).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _seal(content: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def hash_of(path: Path) -> str | None:
    """SHA-256 of an ordinary file's content; None where there is no such file."""
    try:
        if path.is_symlink() or not path.is_file():
            return None
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def files(details: dict[str, object]) -> dict[str, str | None]:
    """Hashes of the files that a run wrote, by name."""
    stated = details.get("files")
    return stated if isinstance(stated, dict) else {}


def changed(folder: Path, details: dict[str, object]) -> list[str]:
    """Files of a run that are missing or hold something else than was written."""
    return [name for name, written in files(details).items() if hash_of(folder / name) != written]


def altered(folder: Path) -> list[str]:
    """Which of the two files that a run is shown from are not as the run wrote them; none where a
    folder has no seal to tell by."""
    if "seal" not in raw(folder):
        return []
    details = recorded(folder)
    if details is None:
        return [RUN]
    return [name for name in changed(folder, details) if name == "front.csv"]


def strangers(folder: Path, details: dict[str, object]) -> list[str]:
    """Files that a run did not write, at names that a run writes."""
    return [
        name
        for name in entries(folder)
        if OURS.fullmatch(name) and name not in files(details) and name != RUN
    ]


def entries(folder: Path) -> Iterator[str]:
    """Everything in a folder but folders that hold something: files, links, pipes, empty folders;
    relative, with slashes."""
    for place, folders, files in os.walk(folder, onerror=_raise):
        here = Path(place)
        links = [name for name in folders if (here / name).is_symlink()]
        for name in sorted([*files, *links]):
            yield (here / name).relative_to(folder).as_posix()
        if here != folder and not folders and not files:
            yield here.relative_to(folder).as_posix()


def _raise(error: OSError) -> None:
    raise error
