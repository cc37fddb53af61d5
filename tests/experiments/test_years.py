"""What is worth more in which year: the numbers against those of ``elasticities_by_input``, the
bands, and what is written."""

import csv

import jax
import numpy as np
import pytest

import codesign
import hardware_priors
from codesign.search.solver.lanes import double_precision
from codesign.sensitivity.by_input import elasticities_by_input
from codesign.sensitivity.inputs import as_reals, inputs_of
from experiments.sensitivity.years import (
    GOALS,
    MODELS,
    QUANTITIES,
    YEARS,
    Case,
    Year,
    drawn,
    elasticities_over,
    posed_case,
    summary,
    write_csv,
)
from objectives import objective

H200 = Year(2024, "N4", "HBM3E", "NVLink4", "h200")


def test_elasticities_are_those_by_input_and_their_bands_are_about_them():
    chip = hardware_priors.device("h200").design(chips=4)
    work = codesign.Workload(
        codesign.model("llama-3.1-70b"), codesign.Decode(batch=32, context=8192)
    )
    stated = posed_case("llama-3.1-70b", 8192, H200)
    worlds = drawn(stated, 16)
    nominal = jax.tree.map(lambda leaf: leaf[0], worlds)
    point = as_reals(inputs_of(chip, work, technology=nominal))
    with double_precision():
        found = np.asarray(elasticities_over(point, worlds))
    known = elasticities_by_input(point)
    for g, goal in enumerate(GOALS):
        by_input = known.of(objective(goal).exponents)
        own = [by_input[f"design.{name}"] for name in QUANTITIES]
        np.testing.assert_allclose(found[0, g], own, atol=1e-9)
    bandwidth = found[1:, 0, QUANTITIES.index("memory_bandwidth")]
    assert bandwidth.min() < found[0, 0, 0] < bandwidth.max()
    assert np.ptp(bandwidth) > 1e-3, "prices and attainable fractions differ from world to world"


@pytest.mark.parametrize("year", YEARS, ids=lambda year: str(year.year))
@pytest.mark.parametrize("name", MODELS)
def test_cases_are_scenarios_of_their_year(name, year):
    stated = posed_case(name, 8192, year)
    assert stated.technology.memory == (year.memory,) and stated.main.model == name
    assert ("whole" in stated.choices.experts) == (name != "llama-3.1-405b")


def test_the_device_of_a_year_has_the_technologies_of_its_year():
    for year in YEARS:
        if year.device is not None:
            assert hardware_priors.device(year.device).technology_names() == (
                year.node,
                year.memory,
                year.link,
            )


def test_what_is_written(tmp_path):
    value = np.arange(12.0).reshape(2, 6) / 10.0
    one = Case(2026, "llama-3.1-405b", 8192, "rubin ×8", value, value - 0.1, value + 0.1)
    write_csv(tmp_path / "years.csv", [one])
    with (tmp_path / "years.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert rows[-1]["objective"] == "tokens/s/W" and rows[-1]["quantity"] == "chips"
    assert [rows[-1][end] for end in ("elasticity", "low_90", "high_90")] == [
        "1.1000",
        "1.0000",
        "1.2000",
    ]
    assert "tokens/s/$: chips +0.50, link_bandwidth +0.40" in summary(one)
