"""``codesign list``."""

import pytest


def test_models_have_names_and_parameters(run):
    rows = {row["name"]: row for row in run("list", "models", "--json").json}
    assert rows["llama-3.1-405b"]["parameters"] == pytest.approx(405.85e9, rel=1e-3)
    assert rows["llama-3.1-405b"]["layers"] == 126


def test_every_number_of_a_device_has_its_source(run):
    rows = run("list", "devices", "--sources", "--json").json
    assert {"h100", "xpu-hbm3", "tpu-v7"} <= {row["name"] for row in rows}
    for row in rows:
        assert row["facts"]
        for fact in row["facts"]:
            assert fact["source"] and fact["unit"] and fact["low"] <= fact["value"] <= fact["high"]


def test_technologies_with_sources(run):
    rows = run("list", "technologies", "--sources", "--json").json
    hbm4 = next(row for row in rows if row["argument"] == "memory" and row["name"] == "HBM4")
    assert hbm4["choice"] and any(fact["quantity"] == "layer_capacity" for fact in hbm4["facts"])
    choices = [(row["argument"], row["name"]) for row in run("list", "technologies", "--json").json]
    assert ("node", "N3") in choices and ("price_basis", "builder") in choices


@pytest.mark.parametrize(
    ("what", "word"),
    [("objectives", "tokens/s/$"), ("scenarios", "llama-405b"), ("devices", "h100")],
)
def test_tables_for_people(run, what, word):
    answer = run("list", what)
    assert answer.code == 0 and word in answer.out
    assert word in run("list", what, "--json").out


@pytest.mark.parametrize("width", [60, 80, 120, 200])
@pytest.mark.parametrize("what", ["models", "devices", "technologies", "objectives", "scenarios"])
def test_names_are_never_cut(run, monkeypatch, what, width):
    monkeypatch.setenv("COLUMNS", str(width))
    names = [row["name"] for row in run("list", what, "--json").json]
    for sources in ((), ("--sources",)):
        out = run("list", what, *sources).out
        lines = [line.split() for line in out.splitlines()]
        spaced = [f" {' '.join(words)} " for words in lines]  # names may hold spaces
        assert all(any(f" {name} " in line for line in spaced) for name in names)
        assert sources or max(map(len, out.splitlines())) <= width
        assert "…" not in out


def test_parameters_are_aligned_and_in_billions(run):
    lines = run("list", "models").out.splitlines()
    llama = next(line for line in lines if line.startswith("llama-3.1-405b"))
    exact = next(
        row["parameters"]
        for row in run("list", "models", "--json").json
        if row["name"] == "llama-3.1-405b"
    )
    assert f"{exact / 1e9:.1f} B" in llama and 405e9 < exact < 406e9
    rows = lines[2:]
    assert len({line.index(" B ") for line in rows}) == 1
    assert {"bandwidth", "TB/s"} <= set(run("list", "devices").out.split())


def test_sources_for_people(run):
    assert "confidence" in run("list", "devices", "--sources").out
