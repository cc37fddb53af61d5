"""Commands run in this process: fast, and JAX is set up already."""

import json
from collections.abc import Callable
from typing import NamedTuple

import pytest

from experiments import cli
from experiments.commands import optimize as optimize_command
from experiments.scenarios.toml_text import read
from tests.experiments.small_scenario import SMALL


class Answer(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict:
        return json.loads(self.out)


Run = Callable[..., Answer]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path) -> Run:
    """Run ``codesign ARGUMENTS`` in an empty working folder."""
    monkeypatch.setattr(cli, "prepare_jax", lambda: None)
    monkeypatch.chdir(tmp_path)

    def command(*arguments: object) -> Answer:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            cli.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Answer(int(stop.value.code or 0), captured.out, captured.err)

    return command


@pytest.fixture
def refused(run: Run) -> Callable[..., str]:
    """Run a command that must be turned down with one sentence; the sentence."""

    def command(*arguments: object, code: int = 2) -> str:
        answer = run(*arguments)
        assert answer.code == code, answer
        lines = answer.err.splitlines()
        assert len(lines) == 1, answer.err
        assert lines[0].startswith("codesign: ")
        assert "Traceback" not in answer.err
        assert code != 2 or not answer.out
        return lines[0]

    return command


@pytest.fixture(scope="session")
def found():
    """One real search, shared; (scenario, front, devices, timings)."""
    stated = read(SMALL, "small", "small")
    told = []
    return stated, *optimize_command.search(stated, lambda *stage: told.append(stage)), told


@pytest.fixture
def searched(monkeypatch, found):
    """The command with the search already done."""
    _, front, devices, timings, _ = found
    monkeypatch.setattr(
        optimize_command,
        "search",
        lambda stated, tell, memory=None: (front, devices, dict(timings)),
    )
    return front
