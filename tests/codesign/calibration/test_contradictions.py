"""Rows that cannot be what they say are named with the rule that they break, and no others."""

import pytest

from codesign.calibration.cases import map_rows
from codesign.calibration.contradictions import (
    FALLING,
    FASTER,
    REPEATS,
    SLOWED,
    SPIKE,
    START,
    contradictions,
    honest,
)
from codesign.calibration.features import features
from codesign.calibration.measurements import read_measurements
from codesign.workload.catalogue import index
from hardware_priors.machines import find_machine
from tests.codesign.calibration.synthetic import line, write

SERIES = {1: 9.0, 4: 9.5, 16: 11.0, 64: 16.0, 256: 40.0}


def cases_of(tmp_path, rows):
    return map_rows(read_measurements(write(tmp_path, rows)), find_machine, index().get)[0]


def found(tmp_path, rows):
    cases = cases_of(tmp_path, rows)
    return contradictions(cases, features(cases))


def series(**changed):
    values = SERIES | {int(batch[1:]): value for batch, value in changed.items()}
    return [line(batch_or_concurrency=batch, value=value) for batch, value in values.items()]


def test_a_plausible_series_is_left_alone(tmp_path):
    assert found(tmp_path, series()) == {}


@pytest.mark.parametrize(
    ("changed", "rule", "row"),
    [
        ({"b256": 4.9}, FASTER, 4),
        ({"b256": 7.0}, FALLING, 4),
        ({"b16": 45.0}, FALLING, 2),
        ({"b64": 90.0, "b256": 60.0}, SPIKE, 3),
    ],
)
def test_each_rule_finds_its_row(tmp_path, changed, rule, row):
    """8.03e9 weights of 16 bit take 4.8 ms at 3.35 TB/s, of which the embedding table, not read, is
    0.3."""
    changed = {"b256": 4.0} if rule == FASTER else changed
    assert found(tmp_path, series(**changed)) == {row: rule}


def test_a_start_inside_the_time_is_found(tmp_path):
    """17 s of a start in 256 tokens of 15 ms; a run whose short outputs follow long prompts is
    another thing."""
    static = {"phase": "static_batch_prefill+decode", "metric": "tpot_mean_derived"}
    static |= {"batch_or_concurrency": 1}
    rows = [
        line(value=81.0, input_len=256, output_len=256, **static),
        line(value=23.0, input_len=2048, output_len=2048, **static),
        line(value=90.0, input_len=4096, output_len=16, **static),
    ]
    assert found(tmp_path, rows) == {0: START}


def test_a_static_batch_is_held_to_its_cache_too(tmp_path):
    static = {
        "phase": "static_batch_prefill+decode",
        "metric": "tpot_mean_derived",
        "batch_or_concurrency": 64,
        "input_len": 2048,
    }
    assert found(tmp_path, [line(value=6.0, output_len=2048, **static)]) == {
        0: FASTER
    }  # 64 caches take 7 ms beside the weights
    assert found(tmp_path, [line(value=20.0, output_len=2048, **static)]) == {}


def test_a_row_far_from_its_repeats_goes(tmp_path):
    rows = [
        line(value=value, date=date)
        for value, date in ((9.0, "2026-01"), (9.2, "2026-02"), (9.1, "2026-03"), (30.0, "2026-04"))
    ]
    assert found(tmp_path, rows) == {3: REPEATS}


def test_the_fit_is_told_how_many_were_left_out(tmp_path):
    kept, counted, told = honest(cases_of(tmp_path, series(b256=7.0)))
    assert len(kept) == 4 and told == {FALLING: 1}
    assert counted is not None and len(counted.index) == 4


def test_a_run_that_something_slowed_goes_as_a_whole(tmp_path):
    """Eight sequences of 4,000 tokens take 33 ms where short ones take 7, sixteen 42: their caches
    are 1 and 3 ms of that. The run's other rows were slowed too; one slow row alone stays."""

    def run(length, **values):
        return [
            line(batch_or_concurrency=batch[1:], input_len=100, output_len=length, value=value)
            for batch, value in values.items()
        ]

    short = run(600, b8=7.0, b16=8.0, b32=9.0, b64=13.0)
    assert found(tmp_path, short + run(8000, b8=33.0, b16=42.0, b64=60.0)) == dict.fromkeys(
        (4, 5, 6), SLOWED
    )
    assert found(tmp_path, short + run(8000, b8=33.0, b64=60.0)) == {}
    assert found(tmp_path, short + run(8000, b8=9.0, b16=11.0, b64=20.0)) == {}
