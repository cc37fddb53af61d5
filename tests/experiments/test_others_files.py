"""Run folders: what a run did not write is kept, and what it wrote is checked."""

import json
import shutil
from pathlib import Path

import pytest

from experiments.runs import manifest
from tests.experiments.small_scenario import SMALL


def test_a_folder_that_no_run_wrote(refused, tmp_path):
    """Whatever its run.json says; before any search."""
    (tmp_path / "mine.toml").write_text(SMALL)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").write_text("years of work")
    for content in (
        None,
        "{}",
        "[]",
        "x",
        '{"fingerprint": "12345678"}',
        '{"files": {"thesis.tex": "0"}, "seal": "1"}',
    ):
        if content is not None:
            (tmp_path / "mine/run.json").write_text(content)
        assert "holds other things than a run" in refused(
            "optimize", "mine.toml", "--output", "mine"
        )
        assert (tmp_path / "mine/thesis.tex").read_text() == "years of work"


def test_notes_stay_and_other_peoples_files_are_not_overwritten(run, refused, tmp_path, searched):
    (tmp_path / "mine.toml").write_text(SMALL)
    assert run("optimize", "mine.toml", "--output", "here").code == 0
    (tmp_path / "here/notes.md").write_text("mine")
    assert run("optimize", "mine.toml", "--output", "here", "--seed", 3).code == 0
    assert (tmp_path / "here/notes.md").read_text() == "mine"
    assert json.loads((tmp_path / "here/run.json").read_text())["seed"] == 3
    (tmp_path / "here/designs/77.toml").write_text("my own")
    assert "'designs/77.toml', which no run wrote" in refused(
        "optimize", "mine.toml", "--output", "here"
    )
    assert (tmp_path / "here/designs/77.toml").read_text() == "my own"


def _emptied(folder: Path) -> None:
    (folder / "front.csv").write_text("")


def _appended(folder: Path) -> None:
    (folder / "report.html").write_text((folder / "report.html").read_text() + " ")


def _removed(folder: Path) -> None:
    shutil.rmtree(folder / "designs")


def _linked(folder: Path) -> None:
    (folder / "front.png").unlink()
    (folder / "front.png").symlink_to(folder / "report.html")


def _only_fingerprint(folder: Path) -> None:
    kept = json.loads((folder / "run.json").read_text())["fingerprint"]
    (folder / "run.json").write_text(json.dumps({"fingerprint": kept}))


def _touched_up(folder: Path) -> None:
    stated = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**stated, "statuses": []}))


def _truncated(folder: Path) -> None:
    (folder / "run.json").write_text((folder / "run.json").read_text()[:100])


@pytest.mark.parametrize(
    "harm", [_emptied, _appended, _removed, _linked, _only_fingerprint, _touched_up, _truncated]
)
def test_resume_checks_contents(run, tmp_path, searched, harm):
    """A damaged run is told of and repeated; then it is whole, and shown."""
    (tmp_path / "mine.toml").write_text(SMALL)
    folder = tmp_path / run("optimize", "mine.toml", "--json").json["run_folder"]
    whole = {
        name: manifest.hash_of(folder / name)
        for name in manifest.entries(folder)
        if name != "run.json"
    }
    harm(folder)
    answer = run("optimize", "mine.toml", "--resume")
    assert (
        answer.code == 0
        and "is not as the run wrote it" in answer.err
        and "Finished before" not in answer.out
    )
    now = {name: manifest.hash_of(folder / name) for name in manifest.entries(folder)}
    assert {name: now[name] for name in whole} == whole
    assert "is finished: nothing is repeated" in run("optimize", "mine.toml", "--resume").err


def _reworded(folder: Path) -> None:
    text = (folder / "front.csv").read_text()
    (folder / "front.csv").write_text(text.replace("GLOBAL", "LOCAL"))


@pytest.mark.parametrize(
    ("harm", "told"), [(_touched_up, "run.json"), (_reworded, "front.csv"), (_linked, "")]
)
def test_a_run_that_was_changed_is_shown_with_a_warning(run, tmp_path, searched, harm, told):
    """What is printed comes from run.json and front.csv; no other file matters to it."""
    (tmp_path / "mine.toml").write_text(SMALL)
    folder = tmp_path / run("optimize", "mine.toml", "--json").json["run_folder"]
    assert not run("show", folder).err
    harm(folder)
    for arguments in ((), ("--design", 0), ("--json",)):
        answer = run("show", folder, *arguments)
        warned = f"is not as the run wrote it ({told})" in answer.err
        assert answer.code == 0 and warned == bool(told)


def test_a_run_of_brackets_without_end_is_refused(refused, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/run.json").write_text("[" * 100_000)
    assert "holds no whole run" in refused("show", "run")
