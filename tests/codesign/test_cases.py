"""Published files that were once refused or read at the wrong precision, with the right values
(../shared/cases)."""

import csv
from pathlib import Path

import pytest

from codesign.workload.config_json import read_config
from codesign.workload.parameters import (
    active_parameter_count,
    parameter_count,
    recurrent_elements_per_sequence,
    state_bytes_per_token,
)
from codesign.workload.reading import read, weight_bytes

CASES = Path(__file__).parents[3] / "shared" / "cases"

OTHERWISE: dict[tuple[str, str], tuple[float, str]] = {
    ("longcat_flash.json", "expected_parameters"): (
        560.6e9,
        (
            "the case counts matrices that transformers sets aside for experts that do nothing; the"
            " checkpoint has 560e9 (arXiv 2509.01322)"
        ),
    ),
    ("longcat_flash.json", "expected_active_parameters"): (
        27.9e9,
        "as above; 27e9 in the mean in the report",
    ),
    ("starcoder2.json", "kv_bytes_per_token_16bit_beyond_windows"): (
        0.0,
        (
            "every layer has the window of 4,096 (arXiv 2402.19173 table 7, and"
            " modeling_starcoder2.py)"
        ),
    ),
}
"""Values of the cases that are wrong, the right ones, and why."""


def rows(folder: str) -> list[dict[str, str]]:
    """The expected values of a folder of cases; none where the cases are absent."""
    file = CASES / folder / "expected.csv"
    return (
        list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
        if file.is_file()
        else []
    )


def parametrized(folder: str, key: str):
    found = rows(folder)
    absent = pytest.param({}, marks=pytest.mark.skip(reason=f"{CASES / folder} is not there"))
    return pytest.mark.parametrize(
        "case", found or [absent], ids=[row[key] for row in found] or ["absent"]
    )


def right(case: dict[str, str], column: str) -> float | None:
    """The right value of a column, if it has one."""
    own = OTHERWISE.get((case["file"], column))
    return own[0] if own else float(case[column]) if case[column] else None


@parametrized("configs", "file")
def test_a_published_file_is_read(case):
    model = read_config(CASES / "configs" / case["file"])
    columns = {
        "expected_parameters": (parameter_count(model), 1e-3),
        "expected_active_parameters": (active_parameter_count(model), 2e-3),
        "kv_bytes_per_token_16bit_within_windows": (state_bytes_per_token(model, 2.0), 0.0),
        "kv_bytes_per_token_16bit_beyond_windows": (
            state_bytes_per_token(model, 2.0, beyond_windows=True),
            0.0,
        ),
        "fixed_state_elements_per_sequence": (recurrent_elements_per_sequence(model), 0.0),
    }
    for column, (found, tolerance) in columns.items():
        expected = right(case, column)
        if expected is not None:
            assert float(found) == pytest.approx(expected, rel=tolerance, abs=0.0), column


@parametrized("quantised", "folder")
def test_a_checkpoint_has_its_size(case):
    found = read(CASES / "quantised" / case["folder"])
    assert float(weight_bytes(found.model, found.precision)) == pytest.approx(
        float(case["checkpoint_GB"]) * 1e9, rel=0.02
    )
    experts = found.precision.part("experts")
    assert float(experts.weight_bits + experts.scale_bits) == float(case["bits_experts"])
