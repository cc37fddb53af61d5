"""Run folders: what a search leaves behind, whole or not at all."""

import hashlib
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path

from experiments.refusal import Refused
from experiments.scenario import Scenario, written

PACKAGES = ("codesign", "jax", "jaxlib", "optax", "equinox", "numpy", "scipy")
FILES = ("scenario.toml", "front.csv", "front.png", "report.html", "run.json")
"""What a finished run folder holds."""


def versions() -> dict[str, str]:
    """Versions of everything that the numbers depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def fingerprint(scenario: Scenario) -> str:
    """Eight characters that differ when the resolved scenario or a version does."""
    text = written(scenario) + json.dumps(versions(), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def default_folder(scenario: Scenario) -> Path:
    """``runs/<scenario>-<fingerprint>``."""
    return Path("runs") / f"{scenario.name}-{fingerprint(scenario)}"


def finished(folder: Path, scenario: Scenario) -> bool:
    """Whether the folder holds a whole run of this very scenario under these versions."""
    if not all((folder / name).is_file() for name in FILES):
        return False
    try:
        return json.loads((folder / "run.json").read_text(encoding="utf-8"))["fingerprint"] == fingerprint(scenario)
    except (ValueError, KeyError, TypeError):
        return False


def check_writable(folder: Path) -> None:
    """Refuse early what would only fail after the search.

    Raises:
        Refused: the place is taken by something that is no run folder, or cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise Refused(f"--output is {str(folder)!r}, which is a file; expected a folder")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "run.json").is_file():
        raise Refused(f"--output is {str(folder)!r}, which holds other things than a run; expected a new, empty or run folder")
    parent = next(place for place in folder.absolute().parents if place.exists())
    try:
        os.rmdir(tempfile.mkdtemp(dir=parent))  # only trying tells, whoever the user is
    except OSError as error:
        raise Refused(f"--output is {str(folder)!r}, but {parent} cannot be written ({error.strerror})") from None


def write_run(folder: Path, files: Mapping[str, Callable[[Path], None]]) -> None:
    """Write every file into a temporary folder beside the final one, then rename it: whole or not at all.

    Args:
        folder: the run folder; an older run there is replaced at the very end.
        files: name → function that writes it to the path it is given.
    """
    created = [place for place in (folder.parent, *folder.parent.parents) if not place.exists()]
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for name, write in files.items():
            write(temporary / name)
        temporary.chmod(0o755)
        if folder.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
            os.replace(folder, old)
            os.replace(temporary, folder)
            shutil.rmtree(old)
        else:
            os.replace(temporary, folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        for place in created:  # leave no empty parents behind either
            if place.is_dir() and not any(place.iterdir()):
                place.rmdir()
        raise
