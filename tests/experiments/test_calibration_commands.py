"""``codesign calibrate`` and ``validate`` on a small synthetic file: they run, agree with each
other, and refuse in a sentence."""

import json

import pytest

from experiments.cli import exit_code
from tests.codesign.calibration.synthetic import line, write

ROWS = [
    line(batch_or_concurrency=batch, value=9.0 + 0.05 * batch) for batch in (1, 4, 8, 16, 32, 64)
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write(tmp_path_factory.mktemp("data"), [*ROWS, line(model="Nobody-7B")])


def test_validate_reports_errors_and_reasons(data, capsys, tmp_path):
    page = tmp_path / "page.md"
    assert exit_code(["validate", str(data), "--json", "--page", str(page)]) == 0
    report = json.loads(capsys.readouterr().out)
    keys = {
        "n",
        "mean_absolute_percentage_error",
        "median_absolute_percentage_error",
        "bias_percent",
        "spearman",
        "interval_coverage",
    }
    assert keys <= set(report["overall"]) and report["overall"]["n"] == len(ROWS)
    assert {"by", "member", "interval_width"} <= set(report["groups"][0])
    assert report["unmapped"] == [
        {"file": data.name, "line": 8, "reason": "model 'Nobody-7B' is not in the catalogue"}
    ]
    assert "| time per token | 6 |" in page.read_text()


def test_two_anchor_rows_move_the_shipped_profile_towards_them(data, capsys, tmp_path):
    """Rows half again as slow as the profile says, given as anchors, halve the error at least."""
    slow = write(
        tmp_path,
        [
            line(batch_or_concurrency=batch, value=11.0 + 0.1 * batch)
            for batch in (1, 4, 8, 16, 32, 64)
        ],
        "slow.csv",
    )
    few = write(
        tmp_path,
        [line(batch_or_concurrency=batch, value=11.0 + 0.1 * batch) for batch in (4, 32)],
        "few.csv",
    )
    assert exit_code(["validate", str(slow), "--json"]) == 0
    before = json.loads(capsys.readouterr().out)["overall"]["mean_absolute_percentage_error"]
    own = str(tmp_path / "own.npz")
    assert (
        exit_code(
            ["calibrate", str(few), "--anchor", "--output", own, "--iterations", "6", "--json"]
        )
        == 0
    )
    assert json.loads(capsys.readouterr().out)["rows"] == 2
    assert exit_code(["validate", str(slow), "--json", "--profile", own]) == 0
    after = json.loads(capsys.readouterr().out)["overall"]["mean_absolute_percentage_error"]
    assert after < 0.5 * before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["validate", "nowhere.csv"], "nowhere.csv"),
        (["validate", "{data}", "--profile", "2026-13"], "2026-13"),
        (["calibrate", "{data}", "--profile", "2026-11"], "--anchor"),
        (["calibrate", "{data}", "--output", "profile.txt"], ".npz"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(data, arguments, words, capsys):
    assert exit_code([word.format(data=data) for word in arguments]) == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1


def test_a_file_of_which_nothing_can_be_predicted_is_reported_row_by_row_and_refused(
    tmp_path, capsys
):
    path = write(tmp_path, [line(model="Nobody-7B"), line(hardware="Abacus 9000")])
    assert exit_code(["validate", str(path), "--json"]) == 2
    said = capsys.readouterr()
    report = json.loads(said.out)
    assert report["overall"] is None and [row["line"] for row in report["unmapped"]] == [2, 3]
    assert "none of 2 rows can be predicted" in said.err and said.err.count("\n") == 1


def test_leaving_out_needs_a_profile_that_was_fitted(data, capsys):
    assert (
        exit_code(["calibrate", str(data), "--leave-out", "device", "--output", "nowhere.npz"]) == 2
    )
    assert "nowhere.npz" in capsys.readouterr().err
    assert exit_code(["calibrate", str(data), "--leave-out", "colour"]) == 2
    assert "'colour'" in capsys.readouterr().err
    assert exit_code(["calibrate", str(data), "--leave-out", "shape", "--output", str(data)]) == 2
    assert "--kernels" in capsys.readouterr().err
    assert exit_code(["validate", str(data), "--also", "own.npz"]) == 2
    assert "--page" in capsys.readouterr().err


POINT = [
    "evaluate",
    "--model",
    "llama-3.1-8b",
    "--device",
    "h100",
    "--execution",
    "calibrated",
    "--engine",
    "vllm",
    "--batch",
    "8",
]


def test_every_number_that_calibration_predicts_carries_its_interval(capsys):
    assert exit_code([*POINT, "--compare-executions", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    ends = report["interval"]
    for name, (low, high) in ((name, ends[name]) for name in ends if name != "breakdown"):
        assert low < report[name] < high, name
    for name, (low, high) in ends["breakdown"].items():
        assert low < report["breakdown"][name] < high, name
    known = {
        "step_time_s",
        "user_tokens_per_second",
        "energy_per_token_j",
        "power_w",
        "cost_per_million_tokens_usd",
    }
    assert known <= set(ends) and {"floor", "host", "memory"} <= set(ends["breakdown"])
    parts = sum(value for value in report["breakdown"].values() if isinstance(value, float))
    assert parts == pytest.approx(report["step_time_s"], rel=1e-9)
    assert (
        report["calibration"]["device_rows"] > 100 and report["calibration"]["profile"] == "2026-11"
    )
    limit, operatorwise, calibrated = (
        report["executions"][name]["step_time_s"]
        for name in ("limit", "operatorwise", "calibrated")
    )
    assert limit < min(operatorwise, calibrated) and calibrated == pytest.approx(
        report["step_time_s"]
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--engine", "abacus"], "expected one of vllm, sglang"),
        (["--profile", "2025-13"], "'2025-13'"),
        (["--execution", "limit"], "expected --execution calibrated"),
    ],
)
def test_what_no_profile_knows_is_refused_in_one_sentence(arguments, words, capsys):
    assert exit_code([*POINT, *arguments]) == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1
