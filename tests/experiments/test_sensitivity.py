"""``codesign sensitivity`` and ``codesign explain``: the contract of their JSON, 30 lines, the
values of the run that they speak of, refusals."""

import math

import pytest

POINT = ("--model", "llama-3.1-8b", "--batch", 32, "--context", 4096)


@pytest.fixture
def folder(run, searched):
    """A run folder of the shared search."""
    from tests.experiments.small_scenario import SMALL

    with open("small.toml", "w") as file:
        file.write(SMALL)
    assert run("optimize", "small.toml", "--output", "small", "--weights", 4).code == 0
    return "small"


def test_sensitivity_of_a_machine(run):
    report = run("sensitivity", *POINT, "--device", "h200", "--chips", 4, "--json").json
    sums = report["sums"]
    assert sums["rates"] - sums["latencies"] == pytest.approx(-1.0, abs=1e-9)
    slopes = report["elasticities"]["tokens_per_second_per_dollar"]
    assert slopes == report["elasticities"]["tokens/s/$"]
    assert report["inputs"]["design.memory_bandwidth"] == {
        "value": 4.8e12,
        "unit": "B/s",
        "group": "sizes",
    }
    assert {"taken", "given", "value", "given_unit"} <= set(report["exchange_rates"][0])
    assert sum(one["share"] for one in report["regimes"]) == pytest.approx(1.0)
    again = run("evaluate", *POINT, "--device", "h200", "--chips", 4, "--json").json
    for name in ("memory_bandwidth", "sync_latency"):
        told = again["elasticities"]["tokens_per_second_per_dollar"][name]
        assert slopes[f"design.{name}"] == pytest.approx(told, abs=1e-9)
    lines = run("sensitivity", *POINT, "--device", "h200", "--chips", 4).out.splitlines()
    assert len(lines) <= 30 and max(map(len, lines)) <= 80
    assert lines[0].startswith("4 × h200, llama-3.1-8b")


def test_explanation_of_two_devices(run, tmp_path):
    sides = ("h100 --chips 8", "b200 --chips 4 --batch 64")
    there = run("explain", *sides, *POINT, "--json", "--picture", "why.png").json
    back = run("explain", *sides[::-1], *POINT, "--json").json
    assert (tmp_path / "why.png").read_bytes()[:4] == b"\x89PNG"
    assert sum(one["log"] for one in there["factors"]) == pytest.approx(
        there["total_log"], abs=1e-12
    )
    assert math.log(there["b"]["value"] / there["a"]["value"]) == pytest.approx(
        there["total_log"], abs=1e-12
    )
    turned = {one["name"]: -one["log"] for one in back["factors"]}
    for one in there["factors"]:
        assert one["log"] == pytest.approx(turned[one["name"]], abs=1e-12)
    assert {"name", "group", "log"} <= set(there["factors"][0]) and "batch" in there["groups"]
    lines = run("explain", *sides, *POINT).out.splitlines()
    assert len(lines) <= 30 and max(map(len, lines)) <= 80
    assert lines[0].startswith("4 × b200")


def test_a_row_of_a_run_against_a_device_of_its_picture(run, folder):
    shown = run("show", folder, "--json").json
    best = {one["name"]: one for one in shown["devices"]}["h200"]
    report = run("explain", "h200", f"{folder}:0", "--json")
    assert report.code == 0, report.err
    report = report.json
    value = shown["designs"][0]["tokens/s/$"]
    assert report["b"]["value"] == pytest.approx(value, rel=1e-6)
    assert report["a"]["value"] == pytest.approx(best["values"]["tokens/s/$"], rel=1e-9)
    of_row = run("sensitivity", f"{folder}:0", "--objective", "tokens/s/user", "--json").json
    assert of_row["value"] == pytest.approx(shown["designs"][0]["tokens/s/user"], rel=1e-6)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("explain", "h100", "b2000", *POINT), "did you mean 'b200'?"),
        (("explain", "h100", "b200 --chpis 4", *POINT), "cannot be read"),
        (("explain", "h100", "b200"), "--model is missing"),
        (("explain", "h100", "b200", *POINT, "--picture", "no/why.png"), "does not exist"),
        (("sensitivity",), "--model is missing"),
        (("sensitivity", "chat", *POINT), "are both given"),
        (("sensitivity", *POINT, "--device", "h100", "--objective", "tokens/$"), "nearest"),
        (("sensitivity", "chatt"), "did you mean 'chat'?"),
    ],
)
def test_what_is_refused(refused, arguments, told):
    assert told in refused(*arguments)


@pytest.mark.parametrize(
    "arguments", [("sensitivity", "--device", "t4"), ("explain", "t4", "h100 --chips 2")]
)
def test_a_machine_that_the_model_does_not_fit_has_no_answer(refused, arguments):
    told = refused(*arguments, *POINT, code=3)
    assert "GiB are missing; the least number of chips that fits is" in told


def test_a_machine_that_nobody_measured_is_explained_by_one_execution(run):
    report = run("explain", "h200 --chips 4", "xpu-hbm4 --chips 4", *POINT, "--json").json
    assert report["executions"] == ["Operatorwise", "Operatorwise"]
    assert not any(one["name"].startswith("execution") for one in report["factors"])


def test_a_row_that_is_not_there(refused, folder):
    assert "is no row of the front" in refused("sensitivity", f"{folder}:999")
