"""Run folders: what a search leaves behind, whole or not at all; and beside them, until then, what
it has finished so far.

Only a folder that a run wrote is ever replaced, and of it only the files that the run wrote
(``manifest``): notes beside them stay. At every moment the name stands for the older run or the
newer one (``replacement``).

Beside ``runs/name`` there may be, after a kill: ``.name.unfinished`` (the ledger, from which the
same command goes on), ``.name.writing`` (a folder half written, or an older run just replaced:
deleted by the next run) and ``.name.replaced`` (an older run, put back or deleted by the next run).
One process at a time, for the ledger is locked.
"""

import contextlib
import hashlib
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

from codesign.files import own_path
from experiments.runs import manifest
from experiments.runs.ledger import Ledger, open_ledger
from experiments.runs.replacement import exchange, keep_notes
from experiments.scenarios.schema import Scenario
from experiments.scenarios.toml_text import written
from experiments.terminal.refusal import Refused

PACKAGES = ("codesign", "jax", "jaxlib", "optax", "equinox", "numpy", "scipy")
SOURCES = ("codesign", "hardware_priors", "objectives", "experiments")
"""Packages whose code and data decide what a search finds."""


def versions() -> dict[str, str]:
    """Versions of everything that the numbers depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def fingerprint(scenario: Scenario) -> str:
    """Eight characters that differ when the resolved scenario, a file that it names or a version
    does."""
    text = written(scenario) + json.dumps(versions(), sort_keys=True)
    return hashlib.sha256(text.encode() + _own_files(scenario)).hexdigest()[:8]


def _own_files(scenario: Scenario) -> bytes:
    """Content of each file of the user's that the scenario names: models with what is read beside
    them, devices, a calibration profile; nothing for what is shipped."""
    settings = scenario.search
    named = [*(work.model for work in scenario.workload), *scenario.compare.devices]
    named += [name for name in (settings.like, settings.profile) if name is not None]
    content = b""
    for path in map(own_path, named):
        config = path / "config.json" if path.is_dir() else path
        beside = config.with_name("hf_quant_config.json") if config.name == "config.json" else None
        for file in filter(None, (config, beside)):
            if file.is_file():
                content += b"%d:" % file.stat().st_size + file.read_bytes()
    return content


def work_fingerprint(scenario: Scenario) -> str:
    """What must not change between a run and its resumption for the same bytes: scenario, versions,
    code and data, processor.

    Unlike ``fingerprint`` it notices an edited source file, since going on happens unasked; and
    another processor or accelerator, for which XLA compiles other instructions that round
    otherwise.
    """
    import jax

    digest = hashlib.sha256(fingerprint(scenario).encode())
    root = Path(__file__).parents[2]
    for path in sorted(
        path for package in SOURCES for path in (root / package).rglob("*") if path.is_file()
    ):
        if path.suffix != ".pyc":
            digest.update(
                f"{path.relative_to(root)}\0{path.stat().st_size}\0".encode() + path.read_bytes()
            )
    device = (
        f"{jax.default_backend()} {jax.devices()[0].device_kind} {os.environ.get('XLA_FLAGS', '')}"
    )
    digest.update(f"{device} {_processor()}".encode())
    return f"{scenario.name} {digest.hexdigest()}"


def _processor() -> str:
    """Kind and instruction sets of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0].splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    names = ("model name", "flags", "Features", "CPU implementer", "CPU part")
    return platform.machine() + "".join(line for line in lines if line.startswith(names))


def default_folder(scenario: Scenario) -> Path:
    """``runs/<scenario>-<fingerprint>``."""
    return Path("runs") / f"{scenario.name}-{fingerprint(scenario)}"


def damage(folder: Path, scenario: Scenario) -> list[str] | None:
    """Files of an earlier run of this very scenario under these versions that are not as it wrote
    them; None: no such run."""
    if manifest.raw(folder).get("fingerprint") != fingerprint(scenario):
        return [manifest.RUN] if _same_scenario(folder, scenario) else None
    details = manifest.recorded(folder)
    return [manifest.RUN] if details is None else manifest.changed(folder, details)


def _same_scenario(folder: Path, scenario: Scenario) -> bool:
    """Whether a folder's scenario.toml is, byte for byte, what a run of this scenario writes."""
    return (
        manifest.hash_of(folder / "scenario.toml")
        == hashlib.sha256(written(scenario).encode()).hexdigest()
    )


def check_writable(folder: Path, scenario: Scenario) -> None:
    """Refuse early what would only fail after the search, and what would harm someone else's files.

    Raises:
        Refused: the place is taken by something that no run wrote, or cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise Refused(f"--output is {str(folder)!r}, which is a file; expected a folder")
    if folder.is_dir() and any(folder.iterdir()):
        _refuse_others(folder, scenario)
    if os.path.ismount(folder):
        raise Refused(
            f"--output is {str(folder)!r}, a mount point, which a run cannot replace; expected a"
            " folder in it"
        )
    parent = next(place for place in folder.resolve().parents if place.exists())
    try:
        os.rmdir(tempfile.mkdtemp(dir=parent))  # only trying tells, whoever the user is
    except OSError as error:
        raise Refused(
            f"--output is {str(folder)!r}, but {parent} cannot be written ({error.strerror})"
        ) from None


def _refuse_others(folder: Path, scenario: Scenario) -> None:
    details = manifest.recorded(folder)
    if details is None and damage(folder, scenario) is None:
        raise Refused(
            f"--output is {str(folder)!r}, which holds other things than a run that codesign wrote;"
            " expected a new, empty or run folder"
        )
    if details is not None and (others := manifest.strangers(folder, details)):
        raise Refused(
            f"--output is {str(folder)!r}, where a run would write {others[0]!r}, which no run"
            " wrote; move it away or choose another folder"
        )


@contextlib.contextmanager
def unfinished(folder: Path, scenario: Scenario) -> Iterator[Ledger]:
    """The ledger of a run, with what an earlier process of the same run has finished; search and
    ``write_run`` go inside.

    It is deleted on leaving normally (the run folder is there) or by ``Refused`` (the answer is
    no), and kept on leaving in any other way once it holds something.

    Raises:
        Refused: another process is at work on this run folder.
        OSError: a full or failing disk, wherever it struck inside; says what is kept.
    """
    folder = folder.resolve()
    created = _made_parents(folder)
    try:
        with open_ledger(beside(folder, "unfinished"), work_fingerprint(scenario)) as ledger:
            _tidy(folder)
            try:
                yield ledger
            except Refused:
                ledger.remove()
                raise
            except BaseException as error:
                if not len(ledger):
                    ledger.remove()
                elif isinstance(error, OSError) and error.errno is not None:
                    kept = (
                        f"{len(ledger)} finished results are kept, and the same command goes on"
                        " from them"
                    )
                    raise OSError(
                        error.errno, f"{error.strerror}; {kept}", error.filename
                    ) from None
                raise
            ledger.remove()
    except BaseException:
        _remove_empty(created)
        raise


def write_run(
    folder: Path,
    files: Mapping[str, Callable[[Path], None]],
    details: Callable[[], dict[str, object]],
) -> None:
    """Write every file into a temporary folder beside the final one, then let it take the name:
    whole or not at all.

    Args:
        folder: the run folder; an older run there is replaced at the very end, and what else is in
            it stays.
        files: name → function that writes it to the path it is given.
        details: what ``run.json`` is to say, asked for once the files are written.
    """
    folder = folder.resolve()
    created = _made_parents(folder)
    _tidy(folder)
    temporary = beside(folder, "writing")
    try:
        temporary.mkdir()
        for name, write in files.items():
            (temporary / name).parent.mkdir(exist_ok=True)
            write(temporary / name)
        manifest.seal(temporary, files, details())
        for name in manifest.entries(temporary):
            _settle(temporary / name)
        if folder.exists():
            shutil.copystat(folder, temporary)
            keep_notes(folder, temporary)
            exchange(temporary, folder, beside(folder, "replaced"))
        else:
            os.replace(temporary, folder)
    except BaseException:
        _tidy(folder)
        _remove_empty(created)
        raise
    _settle(folder.parent)
    _tidy(folder)


def beside(folder: Path, role: str) -> Path:
    """``.name.role`` next to a folder ``name``: what is there while the folder is not.

    >>> str(beside(Path("runs/small-1a2b3c4d"), "unfinished"))
    'runs/.small-1a2b3c4d.unfinished'
    """
    return folder.parent / f".{folder.name}.{role}"


def _tidy(folder: Path) -> None:
    """Clear away what a killed process left, and put back the older run where it was killed between
    two renames."""
    replaced, writing = beside(folder, "replaced"), beside(folder, "writing")
    if replaced.exists() and not folder.exists():
        os.replace(replaced, folder)
    for place in (replaced, writing):
        if folder.exists() and manifest.recorded(place):
            keep_notes(place, folder)  # written into the older run while it was being replaced
        shutil.rmtree(place, ignore_errors=True)


def _settle(path: Path) -> None:
    """Have a file, or the names in a folder, survive a power cut."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _made_parents(folder: Path) -> list[Path]:
    """Make the folders above a run folder; those that were not there, innermost first."""
    created = [place for place in (folder.parent, *folder.parent.parents) if not place.exists()]
    folder.parent.mkdir(parents=True, exist_ok=True)
    return created


def _remove_empty(created: list[Path]) -> None:
    """Leave no empty parents behind either."""
    for place in created:
        if place.is_dir() and not any(place.iterdir()):
            place.rmdir()
