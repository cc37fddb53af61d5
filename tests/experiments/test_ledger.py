"""The ledger: bit for bit what was put, whatever moment the process or the disk chose to fail."""

import errno
import itertools
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import hypothesis.extra.numpy as arrays_of
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.runs import ledger as module
from experiments.runs.ledger import LENGTHS, open_ledger
from experiments.terminal.refusal import Refused
from tests.examples import examples

ROOT = Path(__file__).parents[2]
KEYS = st.tuples(st.integers(), st.floats(), st.text())
ARRAYS = arrays_of.arrays(
    st.sampled_from(
        [
            np.float64,
            np.float32,
            np.float16,
            ">f8",
            np.complex128,
            np.int8,
            np.int64,
            np.uint32,
            np.bool_,
            "U3",
        ]
    ),
    arrays_of.array_shapes(min_dims=0, min_side=0, max_dims=3, max_side=4),
)
ENTRIES = st.lists(st.tuples(KEYS, st.lists(ARRAYS, max_size=3).map(tuple)), max_size=4)


APPENDING = """
import sys
from pathlib import Path
import numpy as np
from experiments.runs.ledger import open_ledger
with open_ledger(Path(sys.argv[1]), "run") as ledger:
    k = len(ledger)
    while True:
        ledger.put([((k,), (np.random.default_rng(k).random(1 + k * 7919 % 50_000),))])
        print(k, flush=True)
        k += 1
"""


def child(program, path):
    return [sys.executable, "-c", program, str(path)]


def bits(arrays):
    return [(array.dtype.str, array.shape, array.tobytes()) for array in arrays]


@pytest.fixture
def path(tmp_path):
    return tmp_path / ".run.unfinished"


def filled(path, count=3):
    """A ledger with records 0 … count − 1; its bytes and where the last record begins."""
    with open_ledger(path, "run") as ledger:
        for k in range(count):
            begin = path.stat().st_size
            ledger.put([((k, "row"), (np.arange(k, 2.0 * k), np.array(k)))])
    return path.read_bytes(), begin


def holds(path, *numbers, fingerprint="run"):
    with open_ledger(path, fingerprint) as ledger:
        known = [k for k in range(50) if ledger.get((k, "row")) is not None]
        assert known == list(numbers) and len(ledger) == len(numbers)
        for k in known:
            assert bits(ledger.get((k, "row"))) == bits((np.arange(k, 2.0 * k), np.array(k)))


@examples(150)
@given(puts=st.lists(ENTRIES, max_size=3))
def test_bit_for_bit(tmp_path_factory, puts):
    """NaN payloads, infinities, signed zeros, empty and scalar arrays; from memory as from the
    file."""
    path = tmp_path_factory.mktemp("ledger") / "file"
    expected = {repr(key): (key, value) for key, value in itertools.chain(*puts)}
    for _ in range(2):  # the second time from the file alone
        with open_ledger(path, "run") as ledger:
            assert ledger.resumed == 0
            for entries in puts:
                ledger.put(entries)
            puts = []
            for key, value in expected.values():
                found = ledger.get(key)
                assert found is not None and bits(found) == bits(value)
                assert all(
                    a.flags.c_contiguous and a.flags.aligned and not a.flags.writeable
                    for a in found
                )
            assert len(ledger) == len(expected)


def test_any_not_a_number_keeps_its_bits(path):
    payload = np.array(
        [0x7FF8DEADBEEF0001, 0xFFF0000000000000, 0x8000000000000000, 1], dtype=np.uint64
    ).view(np.float64)
    with open_ledger(path, "run") as ledger:
        ledger.put([((1,), (payload,))])
    with open_ledger(path, "run") as ledger:
        assert ledger.get((1,))[0].tobytes() == payload.tobytes()


def test_what_was_resumed_is_counted_once(path):
    filled(path)
    with open_ledger(path, "run") as ledger:
        ledger.put([((9, "row"), (np.zeros(1),))])
        for key in ((0, "row"), (0, "row"), (9, "row"), (5, "row"), (2, "row")):
            ledger.get(key)
        assert ledger.resumed == 2


def test_keys_are_equal_when_written_alike(path):
    with open_ledger(path, "run") as ledger:
        ledger.put([((np.int64(3), 0.1, "a"), (np.ones(2),)), ((float("nan"),), ())])
        assert (
            ledger.get((3, np.float64(0.1), "a")) is not None and ledger.get((float("nan"),)) == ()
        )
        assert ledger.get((3.0, 0.1, "a")) is None and ledger.get((3, 0.1 + 1e-16, "a")) is None
        with pytest.raises(TypeError, match="a key holds None"):
            ledger.put([((None,), ())])
        for odd in (np.array([object()]), np.zeros(1, dtype=[("x", float)])):
            with pytest.raises(ValueError, match="an array has dtype"):
                ledger.put([((1,), ()), ((2,), (odd,))])
        assert len(ledger) == 2  # nothing of a refused put


def test_a_later_put_under_the_same_key_wins(path):
    with open_ledger(path, "run") as ledger:
        for value in (1.0, 2.0):
            ledger.put([((1,), (np.array(value),))])
        assert ledger.get((1,))[0] == 2.0
    with open_ledger(path, "run") as ledger:
        assert ledger.get((1,))[0] == 2.0


def test_torn_at_every_byte_of_the_last_record(path):
    whole, begin = filled(path)
    for end in range(begin, len(whole)):
        path.write_bytes(whole[:end])
        holds(path, 0, 1)
        assert path.read_bytes() == whole[:begin]
    path.write_bytes(whole)
    holds(path, 0, 1, 2)


def test_changed_at_every_byte_of_the_last_record(path):
    whole, begin = filled(path)
    for place in range(begin, len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        holds(path, 0, 1)


def test_zeros_after_the_last_record_are_no_record(path):
    """What a power cut leaves on some file systems: the length of the file, without its content."""
    whole, _ = filled(path)
    for zeros in (1, LENGTHS.size, 4096):
        path.write_bytes(whole + bytes(zeros))
        holds(path, 0, 1, 2)
        assert path.read_bytes() == whole


def test_torn_at_every_byte_of_the_first_line(path):
    whole, _ = filled(path, 1)
    for end in range(whole.index(b"\n") + 1):
        path.write_bytes(whole[:end])
        holds(path)
    assert path.read_bytes() == whole[: whole.index(b"\n") + 1]


def test_what_was_torn_can_be_put_again(path):
    whole, begin = filled(path)
    path.write_bytes(whole[: begin + 5])
    with open_ledger(path, "run") as ledger:
        ledger.put([((2, "row"), (np.arange(2, 4.0), np.array(2)))])
    assert path.read_bytes() == whole


def test_another_run_starts_afresh(path, monkeypatch):
    filled(path)
    holds(path, 0, 1, 2)
    holds(path, fingerprint="run2")
    holds(path)
    filled(path)
    monkeypatch.setattr(module, "FORMAT", 2)
    holds(path)


def test_other_files_are_left_alone(path):
    path.write_text("years of work")
    with pytest.raises(Refused, match="is not an unfinished run of codesign; move it away"):
        open_ledger(path, "run")
    assert path.read_text() == "years of work"


def test_one_process_at_a_time(path):
    with open_ledger(path, "run"):
        with pytest.raises(Refused, match="another codesign is working on this run"):
            open_ledger(path, "run")
        other = subprocess.run(
            child(APPENDING, path), cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert "another codesign is working on this run" in other.stderr
    holds(path)


def test_a_deleted_file_is_not_locked_in_place_of_the_new_one(path, monkeypatch):
    """The one that held it finishes and deletes it between our opening and our locking."""
    first, lock = open_ledger(path, "run"), module.fcntl.flock

    def late(file, how):
        if path.exists() and first._file >= 0:
            first.remove()
            first.close()
        lock(file, how)

    monkeypatch.setattr(module.fcntl, "flock", late)
    with open_ledger(path, "run") as second:
        assert os.path.samestat(os.fstat(second._file), path.stat())


@pytest.mark.parametrize("number", module.NO_LOCKS)
def test_a_file_system_without_locks(path, monkeypatch, number):
    def unlocked(*_):
        raise OSError(number, "no locks")

    monkeypatch.setattr(module.fcntl, "flock", unlocked)
    filled(path)
    holds(path, 0, 1, 2)


@pytest.mark.parametrize("room", [0, 1, 11, 12, 40])
@pytest.mark.parametrize("shrinks", [True, False])
def test_a_full_disk(path, monkeypatch, room, shrinks):
    """A write that stops half way; and where not even cutting it off works."""
    whole, _ = filled(path)
    write, cut, left = os.pwrite, os.ftruncate, room

    def full(file, data, place):
        nonlocal left
        if not left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        count = write(file, data[:left], place)
        left -= count
        return count

    def stuck(file, size):
        if not shrinks and size < os.fstat(file).st_size:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        cut(file, size)

    with open_ledger(path, "run") as ledger:
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", full)
            patch.setattr(os, "ftruncate", stuck)
            with pytest.raises(OSError, match="No space left") as caught:
                ledger.put([((7, "row"), (np.arange(7, 14.0), np.array(7)))])
        assert caught.value.errno == errno.ENOSPC and caught.value.filename == str(path)
        assert len(ledger) == 3 and ledger.get((7, "row")) is None
        assert path.stat().st_size == len(whole) + (0 if shrinks else room)
        ledger.put([((3, "row"), (np.arange(3, 6.0), np.array(3)))])  # there is room again
    holds(path, 0, 1, 2, 3)


def test_no_room_even_for_the_first_line(path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="No space left"):
        open_ledger(path, "run")
    assert not path.exists()


LIMITED = """
import resource, sys
from pathlib import Path
import numpy as np
from experiments.runs.ledger import open_ledger
with open_ledger(Path(sys.argv[1]), "run") as ledger:
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    for k in range(50):
        try:
            row = ((k, "row"), (np.arange(k, 2.0 * k), np.array(k)))
            ledger.put([row, ((k, "ballast"), (np.zeros(100 * k),))])
        except OSError as error:
            print(k, error.errno, error.filename)
            break
"""


def test_a_real_limit_of_the_file(path):
    """The kernel writes what fits and then refuses: nothing of that put remains."""
    done = subprocess.run(
        child(LIMITED, path), cwd=ROOT, capture_output=True, text=True, check=True
    )
    k, number, name = done.stdout.split()
    assert int(number) == errno.EFBIG and name == str(path) and int(k) > 2
    with open_ledger(path, "run") as ledger:
        assert len(ledger) == 2 * int(k)
        assert all(ledger.get((j, "row")) is not None for j in range(int(k)))
        assert ledger._size == path.stat().st_size <= 20_000


def test_control_c_in_the_middle_of_a_write(path, monkeypatch):
    whole, _ = filled(path)
    write = os.pwrite

    def interrupted(file, data, place):
        write(file, data[:17], place)
        raise KeyboardInterrupt

    with open_ledger(path, "run") as ledger:
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", interrupted)
            with pytest.raises(KeyboardInterrupt):
                ledger.put([((3, "row"), (np.arange(3, 6.0), np.array(3)))])
        assert path.read_bytes() == whole


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_killed_at_any_moment(path, how):
    """Twenty processes in turn, each killed while it appends: all that a ``put`` returned from is
    there, and nothing torn."""
    dice, promised = random.Random(0), -1
    for _ in range(20 if how == signal.SIGKILL else 5):
        with subprocess.Popen(
            child(APPENDING, path),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            assert process.stdout is not None
            promised = int(process.stdout.readline())  # it has begun
            time.sleep(dice.uniform(0.0, 0.02))
            process.send_signal(how)
            promised = max([promised, *map(int, process.stdout.read().split("\n")[:-1])])
        assert process.returncode == -how
        with open_ledger(path, "run") as ledger:
            assert len(ledger) in (
                promised + 1,
                promised + 2,
            )  # one may be written and not yet told
            for k in range(len(ledger)):
                expected = np.random.default_rng(k).random(1 + k * 7919 % 50_000)
                assert ledger.get((k,))[0].tobytes() == expected.tobytes()
