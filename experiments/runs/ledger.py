"""A ledger: an append-only file of finished work, from which a run that was killed goes on.

One line of text (what it is, format, fingerprint of the run), then records: length and CRC-32, then
the entry's key, dtypes and shapes as JSON and its arrays bit by bit. A record that was torn by a
kill or a full disk fails its checksum: it and what follows are cut away when the ledger is next
opened. Only whole records are ever read.
"""

import contextlib
import errno
import fcntl
import json
import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments.terminal.refusal import Refused

Key = tuple[int | float | str, ...]
Arrays = tuple[np.ndarray, ...]

KIND = b"codesign unfinished run, format "
"""How every ledger begins, whatever its format."""

FORMAT = 1

LENGTHS = struct.Struct("<QI")
"""Before each record: length of the rest [B] and CRC-32 of that length and the rest (so that zeros
are no record)."""

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""What file systems without locks answer: two runs at once are then not noticed, which wastes work
and harms nothing read."""


class Ledger:
    """An open ledger, locked against other processes; made by ``open_ledger``. Not for several
    threads at once.

    Keys are equal when they are written alike: 1 and numpy's 1 are, 1 and 1.0 are not. Arrays come
    back read-only, contiguous and the same whether they were just put or read from the file, so
    that work that uses only what ``get`` returns gives the same bits when it is resumed.
    """

    def __init__(self, path: Path, file: int, header: bytes, content: bytes):
        self.path, self._file = path, file
        self._finished, self._size = _read(content, len(header))
        self._earlier = set(self._finished)
        self.resumed = 0
        """How many entries of an earlier process have been asked for."""
        if self._size == 0:  # new, torn in its first line, or of another run
            os.ftruncate(file, 0)
            self._append(header)
            _settle_name(path)
        else:
            os.ftruncate(file, self._size)

    def __len__(self) -> int:
        return len(self._finished)

    def get(self, key: Key) -> Arrays | None:
        """The arrays put under a key, or None."""
        name = _name(key)
        if name in self._earlier:
            self._earlier.remove(name)
            self.resumed += 1
        return self._finished.get(name)

    def put(self, entries: Sequence[tuple[Key, Arrays]]) -> None:
        """Append finished work in one write that is on the disk before this returns; all of it or,
        after an error, none.

        Raises:
            OSError: the disk is full or fails; it names the file, which holds what was put before.
            TypeError: a key of other things than numbers and texts.
            ValueError: an array whose dtype has no name that gives it back (objects, records).
        """
        written = [_written(key, arrays) for key, arrays in entries]
        self._append(b"".join(LENGTHS.pack(len(body), _checksum(body)) + body for body in written))
        self._finished.update(map(_entry, written))

    def _append(self, data: bytes) -> None:
        end = self._size
        try:
            while data:
                count = os.pwrite(self._file, data, end)
                data, end = data[count:], end + count
            os.fsync(self._file)
        except BaseException as error:
            with contextlib.suppress(
                OSError
            ):  # a torn record that stays is cut away when the ledger is next opened
                os.ftruncate(self._file, self._size)
            if not isinstance(error, OSError):
                raise
            raise OSError(error.errno, error.strerror, str(self.path)) from None
        self._size = end

    def remove(self) -> None:
        """Delete the file: there is nothing left to resume. The lock is held until ``close``."""
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of file and lock; nothing is pending, for ``put`` leaves nothing unwritten."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_ledger(path: Path, fingerprint: str) -> Ledger:
    """The ledger in a file, with what an earlier process of the same run has finished.

    Args:
        path: the file, in a folder that exists. A ledger of another run or format is started
            afresh.
        fingerprint: one line that differs between runs whose work must not be mixed.

    Raises:
        Refused: another process has it open, or the file is no ledger (it is left as it is).
        OSError: the file cannot be read or written.
    """
    header = KIND + f"{FORMAT}, of {fingerprint}\n".encode()
    file = _locked(path)
    try:
        content = path.read_bytes()
        if not content.startswith(KIND) and not KIND.startswith(content):
            raise Refused(
                f"{path} is not an unfinished run of codesign; move it away or choose another"
                " --output"
            )
        return Ledger(path, file, header, content if content.startswith(header) else b"")
    except BaseException:
        if os.fstat(file).st_size == 0:  # made just now, or as good as
            path.unlink(missing_ok=True)
        os.close(file)
        raise


def _locked(path: Path) -> int:
    """Open a file and lock it; the file that has the name once it is locked, not one that was
    deleted meanwhile."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise Refused(
                f"another codesign is working on this run (it holds {path}); wait for it or choose"
                " another --output"
            ) from None
        except OSError as error:
            if error.errno not in NO_LOCKS:
                os.close(file)
                raise
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file), os.stat(path)):
                return file
        os.close(file)


def _settle_name(path: Path) -> None:
    """Have a new name in its folder survive a power cut too."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        with contextlib.suppress(
            OSError
        ):  # some file systems cannot, and need not for a killed process
            os.fsync(folder)
    finally:
        os.close(folder)


def _name(key: Key) -> str:
    """A key as text: exact, for Python writes a float with the digits that give it back."""
    return json.dumps([_plain(value) for value in key])


def _plain(value: object) -> int | float | str:
    bare = value.item() if isinstance(value, np.generic) else value
    if isinstance(bare, int | float | str):
        return bare
    raise TypeError(
        f"a key holds {value!r}, a {type(value).__name__}; expected whole numbers, floats and texts"
    )


def _checksum(body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(len(body).to_bytes(8, "little")))


def _written(key: Key, arrays: Arrays) -> bytes:
    """An entry as a record's body: a line of JSON (key, [dtype, shape] of each array), then the
    arrays."""
    whole = [np.asarray(array) for array in arrays]
    for array in whole:
        if array.dtype.hasobject or np.dtype(array.dtype.str) != array.dtype:
            raise ValueError(
                f"an array has dtype {array.dtype}; expected numbers, truth values or texts of"
                " numpy's own"
            )
    layout = json.dumps([_name(key), [[array.dtype.str, array.shape] for array in whole]])
    return b"".join([layout.encode(), b"\n", *(array.tobytes() for array in whole)])


def _entry(body: bytes) -> tuple[str, Arrays]:
    """The entry of a record's body; its arrays are copied, so that they are aligned and computed
    with like any other."""
    layout, _, data = body.partition(b"\n")
    name, forms = json.loads(layout)
    arrays, first = [], 0
    for dtype, shape in forms:
        array = np.ndarray(shape, dtype, buffer=data, offset=first).copy()
        array.flags.writeable = False
        arrays.append(array)
        first += array.nbytes
    return name, tuple(arrays)


def _read(content: bytes, start: int) -> tuple[dict[str, Arrays], int]:
    """All entries up to the first torn record, and where that begins [B]; no bytes hold nothing and
    end at 0."""
    finished: dict[str, Arrays] = {}
    if not content:
        return finished, 0
    while start + LENGTHS.size <= len(content):
        length, checksum = LENGTHS.unpack_from(content, start)
        body = content[start + LENGTHS.size : start + LENGTHS.size + length]
        if len(body) != length or _checksum(body) != checksum:
            break
        name, arrays = _entry(body)
        finished[name] = arrays
        start += LENGTHS.size + length
    return finished, start
