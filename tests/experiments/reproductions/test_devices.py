"""Devices beside the model: what is left out is left out, and what is said is what the rows say."""

import dataclasses
import math

import jax.numpy as jnp
import numpy as np
import pytest
from pytest import approx

from experiments.reproductions import reproduce
from experiments.reproductions.device_areas import (
    FACTS,
    NAMED,
    NOT_FITTED,
    TOLERANCE,
    case,
    compared,
    layers_per_stack,
    machine,
    not_compared,
    vendor,
)
from experiments.reproductions.devices import cells, predictions, widened, without
from experiments.reproductions.fit import fitted, outcomes, predicted, silicon
from experiments.reproductions.table import Settings
from hardware_priors.devices import Device

EVERYTHING = case()
FOUND = cells(EVERYTHING)


@pytest.fixture(scope="module")
def record() -> dict:
    return reproduce("devices", Settings()).record()


def changed(factor: float, chosen) -> np.ndarray:
    """Published figures with those of some rows multiplied."""
    rows = np.array([chosen(name) for name in EVERYTHING.names])
    return np.where(rows[:, None], EVERYTHING.published * factor, EVERYTHING.published)


def test_every_named_device_is_there_with_what_is_published_of_it(record):
    shown = {(row["device"], row["quantity"]): row for row in record["rows"]}
    for name in NAMED:
        for quantity, (fact, _, _) in FACTS.items():
            prior = Device(name).find(fact)
            assert ((name, quantity) in shown) == (prior is not None), (name, quantity)
            if prior is not None:
                assert shown[name, quantity]["published [1]"] == approx(prior.value)


def test_a_device_is_either_compared_or_the_reason_is_told(record):
    assert not set(compared()) & set(not_compared())
    assert {"groq-lpu", "wse-3"} <= set(not_compared())
    for name in (*not_compared(), *NOT_FITTED):
        assert any(name in note for note in record["notes"]), name


@pytest.mark.parametrize("left_out", ["NVIDIA", "AMD", "Google"])
def test_a_vendor_left_out_does_not_move_its_own_prediction(left_out):
    doubled = dataclasses.replace(
        EVERYTHING, published=changed(2.0, lambda name: vendor(name) == left_out)
    )
    before, after = predictions(EVERYTHING), predictions(doubled)
    own = np.array([seller == left_out for seller in EVERYTHING.vendors])
    assert np.array_equal(before[own], after[own])
    assert np.abs(np.log(after[~own] / before[~own])).max() > 0.01  # the others did see it


def test_what_is_not_fitted_on_moves_nothing():
    doubled = dataclasses.replace(
        EVERYTHING, published=changed(2.0, lambda name: name in NOT_FITTED)
    )
    assert np.array_equal(predictions(EVERYTHING), predictions(doubled))


def test_the_reported_shares_are_a_recount_of_the_rows(record):
    def recount(rows):
        limits = {quantity: 100 * limit for quantity, limit in TOLERANCE.items()}
        inside = [abs(row["error [%]"]) <= limits[row["quantity"]] for row in rows]
        for row, good in zip(rows, inside, strict=True):
            assert row["within"] == ("yes" if good else "no")
            error = 100 * (row["predicted, vendor left out [1]"] / row["published [1]"] - 1)
            assert row["error [%]"] == approx(error)
        return f"all {sum(inside)} of {len(inside)} ({100 * sum(inside) / len(inside):.0f} %)"

    line = {text.split(":")[0]: text for text in record["summary"]}
    everything = recount(record["rows"])
    named = recount([row for row in record["rows"] if row["device"] in NAMED])
    assert line["within, all devices"].endswith(everything)
    assert next(text for text in record["summary"] if text.startswith("within (area")).endswith(
        named
    )


def test_every_miss_is_explained(record):
    notes = [note for note in record["notes"] if note.startswith("misses: ")]
    for row in record["rows"]:
        told = any(f"{row['device']} {row['quantity']} " in note for note in notes)
        assert told == (row["within"] == "no"), row
    assert not any("no reason found" in note for note in notes)


def test_ratios_follow_from_the_rows(record):
    value = {(row["device"], row["quantity"]): row for row in record["rows"]}
    line = next(text for text in record["summary"] if text.startswith("ratio b200 / h100"))
    for quantity in FACTS:
        a, b = value["b200", quantity], value["h100", quantity]
        said = a["predicted, vendor left out [1]"] / b["predicted, vendor left out [1]"]
        told = a["published [1]"] / b["published [1]"]
        verdict = "within" if abs(said / told - 1) <= 0.1 else "outside"
        assert (
            f"{quantity} {said:.2f} against {told:.2f} ({100 * (said / told - 1):+.1f} %,"
            f" {verdict})" in line
        )


def test_h100_by_hand():
    # N4, HBM3, NVLink4 at nominal priors; 989.4 TFLOP/s of BF16, 50 MB of L2, five stacks of 8
    # layers, 450 GB/s a direction.
    area = (989.4 / 2.0 + 50 / 0.55 + 5 * 14.5 + 450 * 0.064 + 11.0) / 0.9  # [mm^2]
    memory = 3.35e12 * 8 * (4.8 + 2 * 0.13) * 1e-12
    power = 989.4 * 0.32 + memory + 450e9 * 8 * 10e-12 + 0.1 * area + 40 * 0.4  # [W]
    wafer = math.pi * 145**2 / area - math.pi * 290 / math.sqrt(2 * area)
    good = (1 + 0.1604 * area / 100 * 0.1 / 3) ** -3
    interposer = 0.37 * 1.2 * (area + 5 * 110)
    bill = 16500 / (wafer * good) + 5 * 73.7455 + 40 * 24.5818 + interposer + 600
    cell = {cell.quantity: cell for cell in FOUND if cell.device == "h100"}
    assert [cell[quantity].prior_only for quantity in FACTS] == approx(
        [area, power, bill], rel=1e-6
    )


def test_mi300x_by_hand():
    above, below = silicon(machine("mi300x"))
    compute = (1307.4 / 2.0 + 8 * 11.0) / 0.9  # matrix units in N5
    base = (
        256 / 0.39 + 8 * 16.0 + 448 * 0.128 + 3 * 15.0 + 4 * 11.0
    ) / 0.9  # cache, HBM, links and joints in N7
    assert float(above) == approx(compute * 1e-6) and float(below) == approx(base * 1e-6)


def test_memory_of_a_device_is_the_one_on_its_package():
    for name in compared():
        own = machine(name)
        stacks = float(own.design.memory_bandwidth / own.technology.memory.stack_bandwidth)
        layers = float(own.design.memory_capacity / own.technology.memory.layer_capacity)
        assert stacks == approx(Device(name).fact("stacks").value)
        assert layers / stacks == approx(round(layers / stacks))
    assert layers_per_stack(141e9, 6, 3e9) == 8 and layers_per_stack(34.4e9, 4, 2e9) == 4


def test_base_dies_of_equal_dies_cost_and_take_nothing():
    flat = machine("b200")
    assert float(silicon(flat)[1]) == 0.0
    assert np.all(np.isfinite(np.asarray(outcomes(flat))))


def test_the_fit_finds_what_was_planted():
    truth = np.zeros(len(EVERYTHING.model.leaves))
    truth[[1, 4]] = 1.0, -1.0  # density and energy of N5
    figures = predicted(EVERYTHING.model, truth)
    deviates = fitted(EVERYTHING.model, figures, np.full_like(figures, 1e-3))
    assert deviates[[1, 4]] == approx(truth[[1, 4]], abs=0.02)
    assert predicted(EVERYTHING.model, deviates) == approx(figures, rel=1e-3)


def test_nothing_published_leaves_the_priors():
    silent = dataclasses.replace(EVERYTHING, published=np.full_like(EVERYTHING.published, np.nan))
    assert without(silent, "AMD") == approx(0.0, abs=1e-12)


def test_wider_priors_follow_the_figures_more_closely():
    seen = np.isfinite(EVERYTHING.published)

    def misfit(of):
        deviates = fitted(of.model, of.published, of.sigma)
        residual = np.log(predicted(of.model, deviates)[seen] / of.published[seen]) / of.sigma[seen]
        return float(np.sum(residual**2))

    assert misfit(widened(EVERYTHING, 3.0)) < misfit(EVERYTHING)


def test_a_deviate_of_1_645_is_the_end_of_the_range():
    coefficient = 1  # matrix density, N5 and N4: 2.0 (1.6-2.5) TFLOP/s/mm^2
    at = jnp.zeros(len(EVERYTHING.model.leaves)).at[coefficient].set(1.6448536)
    row = EVERYTHING.names.index("h100")
    moved, still = (
        predicted(EVERYTHING.model, np.asarray(at))[row],
        predicted(EVERYTHING.model, np.zeros(at.shape))[row],
    )
    assert (still[0] - moved[0]) * 1e6 == approx((989.4 / 2.0 - 989.4 / 2.5) / 0.9, rel=1e-6)


def test_on_the_command_line(run):
    answer = run("reproduce", "devices", "--json")
    assert answer.code == 0 and answer.err == ""
    assert len(answer.json["rows"]) == len(FOUND)
