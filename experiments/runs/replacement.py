"""Put a new folder in an older one's place, so that the name stands for the old one whole or the
new one whole.

On Linux the two change names in one step of the file system (``renameat2`` with
``RENAME_EXCHANGE``), so a reader at any moment, and a machine that loses power at any moment, finds
one or the other. Where the file system or the operating system cannot, there are microseconds
between two renames in which the name is free: a process killed there leaves the old folder beside
it, and the next run puts it back. Notes that others keep in the folder stand in both before the
step.
"""

import contextlib
import ctypes
import filecmp
import os
import shutil
import sys
from pathlib import Path

from experiments.runs.manifest import OURS, RUN, entries, files, hash_of, recorded

CURRENT_FOLDER, EXCHANGE = -100, 2
"""``AT_FDCWD`` of fcntl.h and ``RENAME_EXCHANGE`` of linux/fs.h."""


def exchange(one: Path, other: Path, spare: Path) -> None:
    """Let two folders change names; ``spare`` is a free name beside them, for where that takes
    three renames."""
    if not _exchanged_at_once(one, other):
        os.replace(other, spare)
        os.replace(one, other)
        os.replace(spare, one)


def _exchanged_at_once(one: Path, other: Path) -> bool:
    if sys.platform != "linux":
        return False
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:  # a C library older than glibc 2.28 or musl 1.2.5
        return False
    return (
        rename(CURRENT_FOLDER, os.fsencode(one), CURRENT_FOLDER, os.fsencode(other), EXCHANGE) == 0
    )


def keep_notes(source: Path, target: Path) -> None:
    """Give ``target`` all in ``source`` that no run wrote, and what was changed since a run wrote
    it as ``NAME.changed``.

    Hard links where the file system has them: the same file under both names, so nothing that is
    written to it meanwhile is lost.
    """
    details = recorded(source)
    written = (
        dict.fromkeys(filter(OURS.fullmatch, entries(source)))
        if details is None
        else files(details)
    )
    for name in sorted(
        entries(source), key=lambda name: name in written
    ):  # notes first, so that they keep their names
        path = source / name
        if name == RUN or (
            name in written and _nothing_to_keep(path, written[name], target / name)
        ):
            continue
        _link(path, target / name)


def _nothing_to_keep(path: Path, written: str | None, new: Path) -> bool:
    """Whether a file of ours is as it was written, or as it is written now, or empty."""
    found = hash_of(path)
    return found is not None and (found in (written, hash_of(new)) or path.stat().st_size == 0)


def _link(path: Path, target: Path) -> None:
    """The same file under another name; under ``NAME.changed`` where that is taken by something
    else."""
    count, free = 0, target
    while os.path.lexists(free):
        if _same(path, free):
            return
        count += 1
        free = target.with_name(f"{target.name}.changed" + (f"-{count}" if count > 1 else ""))
    free.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir() and not path.is_symlink():
        free.mkdir()
        return
    try:
        os.link(path, free, follow_symlinks=False)
    except OSError:  # a file system without hard links
        shutil.copy2(path, free, follow_symlinks=False)


def _same(one: Path, other: Path) -> bool:
    with contextlib.suppress(OSError):
        if os.path.samestat(os.lstat(one), os.lstat(other)):
            return True
        if one.is_symlink() or other.is_symlink():
            return (
                one.is_symlink() and other.is_symlink() and os.readlink(one) == os.readlink(other)
            )
        return (one.is_dir() and other.is_dir()) or (
            one.is_file() and other.is_file() and filecmp.cmp(one, other, shallow=False)
        )
    return False
