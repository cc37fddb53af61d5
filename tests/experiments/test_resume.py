"""Killed at any moment, a run goes on to the same bytes: through the command line, in processes of
their own."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments.runs import folder as run_folder
from experiments.runs import replacement
from experiments.runs.folder import beside, unfinished, work_fingerprint, write_run
from experiments.runs.ledger import open_ledger
from experiments.runs.manifest import FILES, recorded
from experiments.scenarios.toml_text import scenario
from experiments.terminal.refusal import INFEASIBLE, Refused
from tests.experiments.small_scenario import SMALL

ROOT = Path(__file__).parents[2]


@pytest.fixture
def stated():
    return scenario("llama-405b")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "runs" / "here"


def names(place):
    return sorted(path.name for path in place.iterdir())


def wrote(folder, word):
    write_run(folder, {"front.csv": lambda path: path.write_text(word)}, lambda: {"word": word})


def stands(folder):
    """The run that a reader finds: whole, its files of one writing."""
    details = recorded(folder)
    assert details is not None and (folder / "front.csv").read_text() == details["word"]
    return details["word"]


def codesign(place, *arguments):
    """A process that runs ``codesign ARGUMENTS`` in a folder; standard error is a pipe, so that it
    tells a line a stage."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "experiments.cli", *map(str, arguments)]
    return subprocess.Popen(
        command,
        cwd=place,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def stopped(place, stage, how):
    """Start the small run, stop it when it tells of a stage; what it says then."""
    with codesign(place, "optimize", "small.toml", "--output", "runs/here") as process:
        assert process.stderr is not None
        while (line := process.stderr.readline()) and stage not in line:
            pass
        assert stage in line
        process.send_signal(how)
        return process.wait(), process.stderr.read()


def test_killed_runs_go_on_to_the_same_bytes(tmp_path):
    """Stopped in the search, after it and while writing the run folder; then let through. Beside
    it, one that nobody stops."""
    (tmp_path / "small.toml").write_text(SMALL.replace("weights = 4", "weights = 2"))
    with codesign(tmp_path, "optimize", "small.toml", "--output", "whole", "--json") as whole:
        for stage, how in [
            ("integers", signal.SIGINT),
            ("real devices", signal.SIGKILL),
            ("writing the run folder", signal.SIGKILL),
        ]:
            code, said = stopped(tmp_path, stage, how)
            assert code == (130 if how == signal.SIGINT else -how)
            assert how != signal.SIGINT or "interrupted" in said.splitlines()[-1]
            assert not (tmp_path / "runs/here").exists() or names(tmp_path / "runs/here") == sorted(
                [*FILES, "designs"]
            )
        with codesign(
            tmp_path, "optimize", "small.toml", "--output", "runs/here", "--json"
        ) as process:
            again, complaint = process.communicate()
        told, complaints = whole.communicate()
    assert process.returncode == whole.returncode == 0, (complaint, complaints)
    assert (tmp_path / "runs/here/front.csv").read_bytes() == (
        tmp_path / "whole/front.csv"
    ).read_bytes()
    assert json.loads(again)["designs"] == json.loads(told)["designs"]
    assert names(tmp_path / "runs") == ["here"] and names(tmp_path) == [
        "runs",
        "small.toml",
        "whole",
    ]

    assert json.loads(told)["resumed_entries"] == 0 < json.loads(again)["resumed_entries"]


def test_the_ledger_is_beside_the_folder_until_the_run_is_there(folder, stated):
    with unfinished(folder, stated) as ledger:
        assert names(folder.parent) == [".here.unfinished"]
        ledger.put([((1,), (np.ones(2),))])
        wrote(folder, "done")
    assert names(folder.parent) == ["here"]


@pytest.mark.parametrize(
    "failure",
    [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device", "x"), RuntimeError()],
)
def test_a_failure_keeps_what_is_finished(folder, stated, failure):
    for found in (0, 1):
        with pytest.raises(type(failure)), unfinished(folder, stated) as ledger:
            assert len(ledger) == found
            ledger.put([((1,), (np.ones(2),))])
            raise failure
    assert names(folder.parent) == [".here.unfinished"]


def test_a_full_disk_is_told_in_a_sentence(folder, stated, monkeypatch, refused):
    """As the command line prints it: the file, what happened, what is kept."""
    from experiments.commands.optimize import Optimize

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def run(_):
        with unfinished(folder, stated) as ledger:
            ledger.put([((1,), (np.ones(2),))])
            monkeypatch.setattr(os, "pwrite", full)
            ledger.put([((2,), (np.ones(2),))])

    monkeypatch.setattr(Optimize, "run", run)
    kept = "1 finished results are kept, and the same command goes on from them"
    assert (
        refused("optimize")
        == f"codesign: {beside(folder, 'unfinished')}: No space left on device; {kept}"
    )


@pytest.mark.parametrize("failure", [Refused("nothing fits", INFEASIBLE), None])
def test_an_answer_leaves_no_ledger(folder, stated, failure):
    """Nothing fits, or it failed before anything was finished: not even the folder above is
    left."""
    with pytest.raises((Refused, KeyboardInterrupt)), unfinished(folder, stated) as ledger:
        if failure:
            ledger.put([((1,), (np.ones(2),))])
        raise failure or KeyboardInterrupt
    assert not folder.parent.exists()


def test_two_runs_at_once(folder, stated):
    with unfinished(folder, stated):
        with (
            pytest.raises(Refused, match="another codesign is working on this run"),
            unfinished(folder, stated),
        ):
            pass
        assert names(folder.parent) == [".here.unfinished"]


def test_another_question_or_another_code_starts_afresh(folder, stated, monkeypatch, tmp_path):
    other = stated.model_copy(update={"search": stated.search.model_copy(update={"seed": 1})})
    assert work_fingerprint(stated) == work_fingerprint(stated) != work_fingerprint(other)
    same = work_fingerprint(stated)
    with monkeypatch.context() as patch:
        patch.setattr(run_folder, "SOURCES", ("codesign", "hardware_priors", "objectives"))
        assert work_fingerprint(stated) != same
    with monkeypatch.context() as patch:
        patch.setattr(run_folder, "_processor", lambda: "abacus")
        assert work_fingerprint(stated) != same
    config = tmp_path / "config.json"
    mine = stated.model_copy(
        update={"workload": (stated.main.model_copy(update={"model": str(tmp_path)}),)}
    )
    seen = set()
    for content in ("{}", "{ }"):
        config.write_text(content)
        seen |= {run_folder.fingerprint(mine), work_fingerprint(mine)}
    assert len(seen) == 4


def test_a_changed_file_that_the_scenario_names_is_another_question(stated, tmp_path):
    """Of models and what is read beside them, of devices, of a calibration profile."""
    own = {
        "config.json": {"workload": (stated.main.model_copy(update={"model": str(tmp_path)}),)},
        "chip.toml": {
            "compare": stated.compare.model_copy(update={"devices": (f"{tmp_path}/chip.toml",)})
        },
        "profile.npz": {
            "search": stated.search.model_copy(update={"profile": f"{tmp_path}/profile.npz"})
        },
        "like.toml": {"search": stated.search.model_copy(update={"like": f"{tmp_path}/like.toml"})},
    }
    own["hf_quant_config.json"] = own["config.json"]
    for name, update in own.items():
        seen, mine = set(), stated.model_copy(update=update)
        for content in ("1", "2", "2 "):
            (tmp_path / name).write_text(content)
            seen.add(run_folder.fingerprint(mine))
        assert len(seen) == 3, name


def test_the_fingerprint_is_the_same_in_another_process(stated):
    program = (
        "from experiments.runs.folder import work_fingerprint; from experiments.scenarios.toml_text"
        " import scenario\nprint(work_fingerprint(scenario('llama-405b')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == work_fingerprint(stated)


KILLED = """
import os, signal, sys
from pathlib import Path
from experiments.runs import replacement
from experiments.runs.folder import write_run
moment, at_once, count = int(sys.argv[2]), sys.argv[3] == "True", 0
def counted(move):
    def moved(*places):
        global count
        if count == moment:
            os.kill(os.getpid(), signal.SIGKILL)
        count += 1
        done = move(*places)
        if count == moment == int(sys.argv[4]):
            os.kill(os.getpid(), signal.SIGKILL)
        return done
    return moved
if at_once:
    replacement._exchanged_at_once = counted(replacement._exchanged_at_once)
else:
    os.replace, replacement._exchanged_at_once = counted(os.replace), lambda *_: False
files = {"front.csv": lambda path: path.write_text("new")}
write_run(Path(sys.argv[1]), files, lambda: {"word": "new"})
"""


@pytest.mark.parametrize(
    ("at_once", "moment", "moves", "left"),
    [
        (True, 0, 1, "old"),
        (True, 1, 1, "new"),
        (False, 0, 3, "old"),
        (False, 1, 3, "old"),
        (False, 2, 3, "new"),
        (False, 3, 3, "new"),
    ],
)
def test_killed_while_the_run_takes_the_name(folder, stated, at_once, moment, moves, left):
    """A run folder that is being replaced is the older or the newer one, also when nobody repeats
    the run that was killed."""
    wrote(folder, "old")
    (folder / "notes.md").write_text("mine")
    command = [sys.executable, "-c", KILLED, str(folder), str(moment), str(at_once), str(moves)]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -signal.SIGKILL
    assert names(folder.parent) != ["here"]
    if at_once:
        assert stands(folder) == left and (folder / "notes.md").read_text() == "mine"
    with pytest.raises(KeyboardInterrupt), unfinished(folder, stated):
        raise KeyboardInterrupt
    assert names(folder.parent) == ["here"] and stands(folder) == left
    wrote(folder, "newest")
    assert names(folder.parent) == ["here"] and stands(folder) == "newest"
    assert (
        names(folder) == ["front.csv", "notes.md", "run.json"]
        and (folder / "notes.md").read_text() == "mine"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux exchanges two names in one step")
def test_the_name_is_never_free(folder, monkeypatch):
    """After every move of a name while an older run is replaced, a whole run stands under the
    folder's."""
    wrote(folder, "old")
    rename, found = os.replace, []

    def replace(*places):
        rename(*places)
        found.append(folder.exists())

    monkeypatch.setattr(os, "replace", replace)
    wrote(folder, "new")
    assert stands(folder) == "new" and all(found)


def test_control_c_while_the_run_takes_the_name(folder, monkeypatch):
    wrote(folder, "old")
    rename = os.replace

    def replace(source, target):
        if source == beside(folder, "writing"):
            raise KeyboardInterrupt
        rename(source, target)

    monkeypatch.setattr(replacement, "_exchanged_at_once", lambda *_: False)
    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(KeyboardInterrupt):
        wrote(folder, "new")
    assert names(folder.parent) == ["here"] and stands(folder) == "old"


def test_only_what_a_run_wrote_is_replaced(folder):
    """Notes beside the run's files, in folders of their own or of the run, links and pipes: all
    stay, and are the same files."""
    wrote(folder, "old")
    (folder / "designs").mkdir()
    (folder / "designs/why.md").write_text("because")
    (folder / "mine/deep").mkdir(parents=True)
    (folder / "mine/deep/thesis.tex").write_text("years of work")
    (folder / "mine/empty").mkdir()
    (folder / "link").symlink_to("/nowhere")
    os.mkfifo(folder / "pipe")
    same = (folder / "mine/deep/thesis.tex").stat().st_ino
    wrote(folder, "new")
    assert stands(folder) == "new"
    assert names(folder) == ["designs", "front.csv", "link", "mine", "pipe", "run.json"]
    assert (folder / "mine/deep/thesis.tex").read_text() == "years of work"
    assert (folder / "mine/deep/thesis.tex").stat().st_ino == same
    assert (folder / "designs/why.md").read_text() == "because" and (folder / "mine/empty").is_dir()
    assert os.readlink(folder / "link") == "/nowhere" and names(folder.parent) == ["here"]


def test_a_file_of_the_run_that_someone_changed_is_kept_beside(folder):
    wrote(folder, "old")
    for k, name in enumerate(["front.csv.changed", "front.csv.changed-2"]):
        (folder / "front.csv").write_text(f"with my remarks {k}")
        wrote(folder, f"new {k}")
        assert (
            stands(folder) == f"new {k}" and (folder / name).read_text() == f"with my remarks {k}"
        )
    (folder / "front.csv").write_text("")
    wrote(folder, "newest")
    assert names(folder) == ["front.csv", "front.csv.changed", "front.csv.changed-2", "run.json"]


def test_a_link_to_a_run_folder_is_followed(folder, stated, tmp_path):
    folder.mkdir(parents=True)
    (tmp_path / "link").symlink_to(folder)
    with unfinished(tmp_path / "link", stated):
        wrote(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink() and stands(folder) == "new"
    assert names(folder.parent) == ["here"]


def test_a_mount_point_is_refused_before_the_search(monkeypatch, tmp_path, stated):
    monkeypatch.setattr(os.path, "ismount", lambda place: place == tmp_path)
    with pytest.raises(
        Refused, match="a mount point, which a run cannot replace; expected a folder in it"
    ):
        run_folder.check_writable(tmp_path, stated)


def test_a_file_in_the_ledgers_place_is_left_alone(folder, stated):
    folder.parent.mkdir()
    beside(folder, "unfinished").write_text("years of work")
    with (
        pytest.raises(Refused, match="is not an unfinished run of codesign"),
        unfinished(folder, stated),
    ):
        pass
    assert beside(folder, "unfinished").read_text() == "years of work"


def test_a_ledger_of_another_question_is_not_mixed(folder, stated):
    folder.parent.mkdir()
    with open_ledger(beside(folder, "unfinished"), "another") as ledger:
        ledger.put([((1,), (np.ones(2),))])
    with unfinished(folder, stated) as ledger:
        assert ledger.get((1,)) is None and len(ledger) == 0
