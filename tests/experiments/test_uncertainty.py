"""``codesign uncertainty``: a run folder, the same worlds for the same seed, resumption, a screen
of text."""

import json

import pytest

from codesign.sensitivity import optimum as optima
from experiments.runs import ledger as ledgers
from experiments.sensitivity import uncertain
from tests.codesign.sensitivity.optima import optimum
from tests.experiments.small_scenario import SMALL


@pytest.fixture
def small(monkeypatch, tmp_path):
    """The small scenario in a file, its optimum known, few points of everything."""
    (tmp_path / "small.toml").write_text(SMALL)
    monkeypatch.setattr(optima, "find_optimum", lambda *_, **__: optimum("small"))
    monkeypatch.setattr(uncertain, "INDEX_POINTS", 4)
    monkeypatch.setattr(uncertain, "SLOPE_WORLDS", 2)
    monkeypatch.setattr(uncertain, "INDEX_PRIORS", 3)
    monkeypatch.setattr(uncertain, "BLOCK", 16)
    return "small.toml"


def test_a_run_of_worlds(run, small, tmp_path, monkeypatch):
    told = ("uncertainty", small, "--samples", 32, "--output", "out", "--against", "h200")
    answer = run(*told, "--json")
    report = answer.json
    assert report == json.loads((tmp_path / "out" / "uncertainty.json").read_text())
    assert report["samples"] == 32 and len(report["candidates"]) > 2
    assert 0 <= report["hardware_free"]["share_without_design"] < 1
    assert report["integers_fixed"]["largest_certified_gap_log"] < 1e-6
    assert sum(one["wins"] for one in report["candidates"]) >= (
        1 - report["hardware_free"]["share_without_design"] - 1e-9
    )
    assert {"prior", "first", "total", "derivative_index"} <= set(report["indices"]["inputs"][0])
    (rival,) = report["rivals"].values()
    assert 0 <= rival["nominal_design_beats"] <= rival["best_candidate_beats"] <= 1
    lines = (tmp_path / "out" / "worlds.csv").read_text().splitlines()
    assert len(lines) == 33
    for name in ("ridge.png", "tornado.png"):
        assert (tmp_path / "out" / name).read_bytes()[:4] == b"\x89PNG"
    names = [entry.name for entry in tmp_path.iterdir()]
    assert not [name for name in names if "unfinished" in name]

    solved: list[int] = []
    own = uncertain.fixed_integers
    monkeypatch.setattr(
        uncertain, "fixed_integers", lambda f, p, z: solved.append(len(z)) or own(f, p, z)
    )
    keep = ledgers.Ledger.put
    puts: list[int] = []

    def killed(self, entries):
        puts.append(1)
        if len(puts) == 2:
            raise KeyboardInterrupt
        return keep(self, entries)

    monkeypatch.setattr(ledgers.Ledger, "put", killed)
    assert run(*told).code == 130 and solved == [16, 16]
    monkeypatch.setattr(ledgers.Ledger, "put", keep)
    again = run(*told)
    assert again.code == 0 and solved == [16, 16, 16]  # the first block was kept
    assert json.loads((tmp_path / "out" / "uncertainty.json").read_text()) == report
    shown = again.out.splitlines()
    assert len(shown) <= 30 and max(map(len, shown)) <= 80
    assert shown[0].startswith("small: ")


def test_what_is_refused(refused, small):
    assert "at least 16" in refused("uncertainty", small, "--samples", 3)
    assert "did you mean 'chat'" in refused("uncertainty", "chatt")
    assert "nearest" in refused("uncertainty", small, "--objective", "tokens/$")
