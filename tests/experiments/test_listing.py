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


@pytest.mark.parametrize(("what", "word"), [("objectives", "tokens/s/$"), ("scenarios", "llama-405b"), ("devices", "h100")])
def test_tables_for_people(run, what, word):
    answer = run("list", what)
    assert answer.code == 0 and word in answer.out
    assert word in run("list", what, "--json").out


def test_sources_for_people(run):
    assert "confidence" in run("list", "devices", "--sources").out
