"""What is left out is not seen: members in turn or in folds, anchors given back, shapes of kernel
tables, and what the page says of all that."""

import dataclasses
import re

import numpy as np
import pytest

from codesign.calibration.calibrate import prediction_of
from codesign.calibration.cases import map_rows
from codesign.calibration.cross_validation import (
    LEAST_ROWS,
    anchor_rows,
    coverage,
    folds_of,
    leave_out,
    scores,
    unsaturated,
)
from codesign.calibration.features import features
from codesign.calibration.kernel_fit import leave_shapes_out
from codesign.calibration.measurements import read_measurements
from codesign.workload.catalogue import index
from experiments.accuracy import state
from experiments.accuracy.aims import aims
from experiments.accuracy.page import left_out
from hardware_priors.machines import find_machine
from hardware_priors.profiles import kernel_profile
from tests.codesign.calibration.synthetic import line, write

BATCHES = (1, 4, 8, 16, 32, 64)
SLOW = 3.0


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """H100 and H200 on vLLM, and B200 on SGLang three times as slow."""
    rows = [
        line(hardware=device, software=software, batch_or_concurrency=batch, value=value)
        for device, software, scale in (
            ("H100-SXM", "vllm-0.19.0", 1.0),
            ("H200", "vllm-0.19.0", 0.8),
            ("B200", "sglang-0.5.9", SLOW),
        )
        for batch, value in ((batch, scale * (7.0 + 0.1 * batch)) for batch in BATCHES)
    ]
    path = write(tmp_path_factory.mktemp("data"), rows)
    return map_rows(read_measurements(path), find_machine, index().get)[0]


@pytest.fixture(scope="module")
def left(cases):
    return leave_out(
        cases, features(cases), kernel_profile(), "device", [["b200"], ["h100", "h200"]], anchors=2
    )


def test_every_member_is_predicted_by_a_fit_that_saw_none_of_its_rows(cases, left):
    told = left[0]
    assert sorted(told.rows.tolist()) == list(range(len(cases)))
    assert told.members == ["b200"] * 6 + ["h100"] * 6 + ["h200"] * 6
    assert not told.seen.any()  # SGLang on B200 alone, vLLM on the two that are left out together
    slow = np.log([cases[k].value for k in told.rows]) - told.predictions.log
    assert np.median(slow[:6]) > 0.5 * np.log(SLOW)  # nothing of what was left out was learnt


def test_anchors_are_not_judged_and_halve_the_error_of_the_rest(cases, left):
    given = anchor_rows(cases, np.arange(12, 18), 2)
    assert [cases[k].concurrency for k in given] == [1.0, 32.0]
    told = left[2]
    assert len(told.rows) == 18 - 3 * 2 and not set(given) & set(told.rows.tolist())
    own = np.isin(told.rows, np.arange(12, 18))
    after = np.abs(np.log([cases[k].value for k in told.rows]) - told.predictions.log)[own]
    alone = np.isin(left[0].rows, told.rows[own])
    before = np.abs(np.log([cases[k].value for k in left[0].rows]) - left[0].predictions.log)
    assert after.mean() < 0.5 * before[alone].mean()


def test_groups_and_runs_are_left_out_in_ten_folds_that_part_them(cases):
    runs = folds_of(cases, "run")
    assert len(runs) == 10 and sorted(len(fold) for fold in runs) == [1, 1, *[2] * 8]
    assert len({name for fold in runs for name in fold}) == len(cases)
    assert folds_of(cases, "group") == [] and LEAST_ROWS["group"] > len(BATCHES)
    assert folds_of(cases * 5, "group") == [
        [name] for name in sorted({c.group for c in cases})
    ] or [len(fold) for fold in folds_of(cases * 5, "group")] == [1, 1, 1]


def test_scores_part_rows_by_engine_file_and_group(cases, left):
    told = scores(cases, left[0])
    assert set(told["parts"]) == {"time per token, engine seen nowhere else"}
    assert told["files"] == {}  # fewer rows than say anything
    five = dataclasses.replace(left[0], rows=np.tile(left[0].rows, 5))
    five = dataclasses.replace(
        five,
        members=left[0].members * 5,
        seen=np.tile(left[0].seen, 5),
        predictions=left[0].predictions.take(np.tile(np.arange(18), 5)),
    )
    many = scores(cases, five)
    assert many["files"]["measured.csv"]["n"] == 90 and many["coverage"]["groups"] == 3
    page = "\n".join(left_out({"device": many}, {"device": 2.0}))
    assert "| time per token, engine seen nowhere else | 90 |" in page
    assert "Of 3 groups of at least 30 times per token" in page


def test_aims_that_are_missed_are_said_to_be():
    error = {"mean_absolute_percentage_error": 12.5, "median_absolute_percentage_error": 9.0}
    found = {
        "device": {"quantities": {"time_per_token": error}},
        "model": {
            "quantities": {"time_per_token": error | {"mean_absolute_percentage_error": 12.0}}
        },
        "group": {
            "ratios": {"layout": error | {"right_sign": 0.96}, "device": None},
            "coverage": {"groups": 3.0, "nominal": 2.0},
        },
        "shape": {"shapes": {"a_b": {"median": 9.0}}},
    }
    table = aims(found)
    assert "| time per token, a device left out | at most 12 % | 12.5 % | MISSED |" in table
    assert "| time per token, a model left out | at most 12 % | 12.0 % | met |" in table
    assert "| ratios between layouts, a group left out | at most 8 % | 12.5 % | MISSED |" in table
    assert sum("told right" in row and "| met |" in row for row in table) == 1
    assert sum("2 of 3 | MISSED" in row for row in table) == 1
    assert sum("kernel table a\\_b" in row and "| met |" in row for row in table) == 1
    assert aims({}) == []


def test_coverage_counts_groups_by_hand():
    entry = {"interval_coverage": 0.9, "interval_width": 0.2}
    low, high = entry | {"interval_coverage": 0.5}, entry | {"interval_coverage": 1.0}
    told = coverage({"a": entry, "b": low, "c": high | {"interval_width": 0.5}})
    assert told == {
        "groups": 3.0,
        "nominal": 1.0,
        "enough": 2.0,
        "least": 0.5,
        "width": pytest.approx(0.3),
    }


def test_below_saturation_all_prompts_fit_into_one_step(cases):
    assert prediction_of(cases[0]) is not None
    at = {case.concurrency: unsaturated(case) for case in cases}
    assert at == {1.0: True, 4.0: True, 8.0: True, 16.0: False, 32.0: False, 64.0: False}


def test_shapes_left_out_are_predicted_from_the_rest(tmp_path):
    """Products that stream their weights at half the bandwidth, without noise: what is not seen
    follows; twice as slow at one shape out of the blue, it does not."""
    head = "m,n,k,gemm_dtype,latency_us,hardware,software"

    rest = "H100-SXM,trtllm-1.0"

    def time(weights, strange):
        return (strange if weights == 2**24 else 1.0) * (4.0 + weights / 8.4e5)

    def table(strange):
        rows = [
            f"1,{n},{k},bfloat16,{time(n * k, strange)},{rest}"
            for n in (1024, 2048, 4096, 8192, 16384)
            for k in (1024, 2048, 4096, 8192, 16384)
        ]
        path = tmp_path / f"gemm{strange:g}.csv"
        path.write_text("\n".join([head, *rows]) + "\n")
        return leave_shapes_out([path], find_machine, seed=3)[f"gemm{strange:g}"]

    clean = table(1.0)
    assert 1 <= clean["n"] <= 15 and clean["median"] < 8.0
    assert table(3.0)["mean"] > clean["mean"]


def test_a_figure_says_when_and_of_which_state_it_is(tmp_path, monkeypatch):
    assert re.fullmatch(r"20\d\d-\d\d-\d\d(, commit [0-9a-f]+( and changes)?)?", state.state())
    monkeypatch.setattr(state, "__file__", str(tmp_path / "state.py"))  # no repository
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", state.state())
