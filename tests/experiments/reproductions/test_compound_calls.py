"""Compound calls (arXiv 2403.02419): verdicts, and machines by the number of calls."""

import numpy as np
import pytest

from experiments.reproductions import compound_calls as reproduced
from experiments.reproductions.compound_calls import ODD, best_batch, by_machine, drawn_best
from tests.examples import nightly


def test_the_mix_first_gains_and_then_loses():
    found = reproduced.findings()
    assert [each.verdict for each in found[:4]] == ["met"] * 4
    assert found[4].verdict.startswith("not reproducible")
    assert abs(drawn_best(20_000, seed=3) - drawn_best()) <= 6


def test_calls_that_pay_are_more_on_machines_that_cost_less():
    table = by_machine("llama-3.1-8b", ("a100", "h100"), 1, 2048, (32, 128))
    (_, first, ninth, ratio, *told), (_, cheaper, *_) = table.rows
    assert first > cheaper > 0 and 1.0 < ninth / first < 9.0 and ratio == 1
    counts = [int(each.split()[0]) for each in told]
    assert counts == sorted(counts) and counts[-1] == 9
    found = best_batch("llama-3.1-8b", "h100", 1, 2048, (32, 128))
    assert found is not None and bool(np.all(np.diff(np.asarray(found.cost)) > 0))
    assert found.cost.shape == ODD.shape


def test_a_model_that_does_not_fit_has_no_answer():
    assert best_batch("llama-3.1-8b", "a100", 1, 131072, (512, 1024)) is None


@nightly
def test_the_best_chip_computes_less_with_more_calls():
    rows = reproduced.by_design("llama-3.1-8b", 2048).rows
    ratios = [row[2] for row in rows]
    assert ratios == sorted(ratios, reverse=True) and ratios[0] > 1.3 * ratios[-1]


@pytest.mark.parametrize("option", ["models", "chips", "contexts"])
def test_one_of_each_is_asked_for(refused, option):
    several = "llama-3.1-8b,llama-3.1-70b" if option == "models" else "8,16"
    told = refused("reproduce", "compound-calls", f"--{option}", several)
    assert f"--{option}: expected one" in told
