"""``codesign.plan`` against an enumeration of every layout and batch, and what it says where
nothing serves."""

import dataclasses
import math

import jax.numpy as jnp
import numpy as np
import pytest

import codesign
from codesign.planning import batches
from codesign.planning.demand import OBJECTIVES
from tests.codesign.planning.enumeration import (
    cheapest,
    random_demand,
    random_machine,
    random_model,
)
from tests.examples import thorough

LARGEST = 4096 if thorough() else 384
REQUESTS = range(200) if thorough() else (11,)


@pytest.mark.parametrize("seed", REQUESTS)
def test_the_best_is_that_of_an_enumeration(seed, technology, monkeypatch):
    monkeypatch.setattr(batches, "MOST_BATCH", LARGEST)
    rng = np.random.default_rng(seed)
    model, machine = random_model(rng), random_machine(rng, technology)
    demand, most = random_demand(rng), int(rng.choice([4, 8]))
    found = codesign.plan(model, demand, [machine], most_chips=most)
    best = cheapest(model, machine, demand, most, LARGEST)
    ours = found.best.cost_per_token if found.best else math.inf
    # Where arithmetic binds, rates of hundreds of batches agree to five digits; power, which the
    # cost counts and the rate does not, to three: another of them may be cheaper.
    assert ours == best == math.inf or 0.995 * best <= ours <= 1.001 * best


@pytest.fixture(scope="module")
def llama():
    return codesign.dense(
        hidden=8192, layers=80, heads=64, kv_heads=8, width=28672, vocabulary=128256
    )


@pytest.fixture(scope="module")
def chip(technology):
    design = codesign.Design(
        memory_bandwidth=4.8e12,
        memory_capacity=140e9,
        peak_flops=2e15,
        chips=1,
        sync_latency=3e-6,
        link_bandwidth=450e9,
        scale_up_domain=8,
    )
    return codesign.Machine("chip", design, technology)


CHAT = codesign.Demand(prompt=4096, output=1024, token_promise=0.03, first_promise=1.0)


def test_what_is_planned_keeps_its_promises(llama, chip):
    found = codesign.plan(llama, CHAT, [chip], most_chips=8)
    for one in found.machines[0].ranked:
        assert one.time_per_token <= 0.03 and one.time_to_first_token <= 1.0
        assert one.memory_share <= 1.0 and one.chips <= 8 and one.batch >= 1


def test_layouts_are_ranked_by_what_is_asked(llama, chip):
    for objective in OBJECTIVES:
        found = codesign.plan(llama, CHAT, [chip], most_chips=8, objective=objective)
        ranked = found.machines[0].ranked
        assert [one.score for one in ranked] == sorted(one.score for one in ranked)
        value = {
            "cost": lambda one: one.cost_per_token,
            "per-dollar": lambda one: one.capital / one.output_tokens_per_second,
            "per-watt": lambda one: one.provisioned_power / one.output_tokens_per_second,
            "chips": lambda one: one.chips,
            "speed": lambda one: one.time_per_token,
        }[objective]
        assert value(ranked[0]) == min(map(value, ranked))


def test_a_rate_is_served_by_enough_instances(llama, chip):
    demand = dataclasses.replace(CHAT, rate=20.0)
    best = codesign.plan(llama, demand, [chip], most_chips=64).best
    assert best is not None and best.instances > 1
    assert best.requests_per_second == 20.0 and best.load <= 1.0
    assert best.time_to_first_token <= 1.0
    few = codesign.plan(llama, demand, [chip], most_chips=8).machines[0]
    assert few.status == "TOO MANY CHIPS" and "8 are allowed" in few.reason


def test_twice_the_users_never_cost_more_a_token(llama, chip):
    costs = [
        codesign.plan(llama, dataclasses.replace(CHAT, users=users), [chip], most_chips=64)
        for users in (4, 8, 16, 32)
    ]
    prices = [one.best.cost_per_token for one in costs if one.best]
    assert len(prices) == 4 and prices == sorted(prices, reverse=True)


def test_an_hourly_price_is_price_over_tokens(llama, chip):
    rented = dataclasses.replace(chip, hourly=2.2)
    best = codesign.plan(llama, CHAT, [rented], most_chips=8).best
    assert best is not None
    hourly = best.output_tokens_per_second * 3600.0
    assert best.cost_per_token == pytest.approx(2.2 * best.chips / hourly, rel=1e-12)


def test_one_that_is_too_small_says_what_would_fit(llama, chip):
    design = dataclasses.replace(chip.design, memory_capacity=chip.design.memory_capacity / 8)
    small = dataclasses.replace(chip, design=design)
    one = codesign.plan(llama, CHAT, [small], most_chips=4).machines[0]
    assert one.status == "DOES NOT FIT" and one.best is None and one.excess > 0
    assert "chips would do" in one.reason
    fits = codesign.plan(llama, dataclasses.replace(CHAT, token_promise=math.inf,
        first_promise=math.inf), [small], most_chips=8)  # fmt: skip
    assert fits.best is not None


def test_one_that_is_too_slow_says_by_how_much(llama, chip):
    demand = dataclasses.replace(CHAT, token_promise=1e-4)
    one = codesign.plan(llama, demand, [chip], most_chips=8).machines[0]
    assert one.status == "TOO SLOW" and one.excess > 0 and "for 0.1 ms" in one.reason


def test_an_announced_machine_is_the_answer_only_alone(llama, chip):
    better = dataclasses.replace(chip, name="announced", announced=True, hourly=0.01)
    assert codesign.plan(llama, CHAT, [chip, better]).best.machine == "chip"
    assert codesign.plan(llama, CHAT, [better]).best.machine == "announced"


def test_a_calibrated_best_has_an_interval(llama, chip):
    from codesign.performance.kernel_coefficients import COEFFICIENTS

    away_from_peaks = {"step_scale": 1.5, "prefill_scale": 1.5}  # an interval ends at the peaks
    logs = np.log([away_from_peaks.get(name, 1e-3) for name in COEFFICIENTS])
    execution = codesign.Calibrated(logs, np.diag(np.full(len(logs), 0.01)))
    one = codesign.plan(llama, CHAT, [dataclasses.replace(chip, execution=execution)]).best
    assert one is not None and one.interval is not None
    assert one.interval[0] < one.cost_per_token < one.interval[1]
    assert set(one.intervals) >= {"cost_per_token", "time_per_token"}


def test_an_interval_is_that_of_the_exact_derivatives(llama, chip):
    from codesign.calibration.execution import interval
    from codesign.performance.kernel_coefficients import COEFFICIENTS

    logs = np.log(np.full(len(COEFFICIENTS), 1e-3))
    execution = codesign.Calibrated(logs, np.diag(np.linspace(0.01, 0.05, len(logs))))
    demand = codesign.Demand(prompt=4096, output=1024, users=16)
    found = codesign.plan(
        llama, demand, [dataclasses.replace(chip, execution=execution)], most_chips=1
    ).best
    assert found is not None and found.layout.chips == 1

    def per_token(changed):
        def run(phase):
            work = codesign.Workload(llama, phase, chip.precision)
            return codesign.evaluate(
                chip.design, work, technology=chip.technology, execution=changed
            ).step_time

        prefill = run(codesign.Prefill(1.0, 4096.0))
        each = changed.coefficients.interference * 16.0 / 1024.0 * prefill
        return jnp.stack([run(codesign.Decode(16.0, 4608.0)) + each])

    low, value, high = interval(per_token, execution)
    assert found.time_per_token == pytest.approx(float(value[0]), rel=1e-9)
    assert found.intervals["time_per_token"] == pytest.approx(
        (float(low[0]), float(high[0])), rel=1e-4
    )


@pytest.mark.wrongly_typed
@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"objective": "best"}, "expected one of cost"),
        ({"most_chips": 0}, "expected at least 1"),
    ],
)
def test_bad_options(llama, chip, options, told):
    with pytest.raises(ValueError, match=told):
        codesign.plan(llama, CHAT, [chip], **options)


def test_no_machine_is_refused(llama):
    with pytest.raises(ValueError, match="no machine is on offer"):
        codesign.plan(llama, CHAT, [])


def test_the_grid_reaches_every_batch():
    assert batches.GRID >= 2 and batches.PARTS >= 2 and batches.MOST_BATCH >= 1024
