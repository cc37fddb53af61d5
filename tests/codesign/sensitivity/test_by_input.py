"""Elasticities by every input: Euler's theorem for times, money and energy; both sides of a tie;
exchange rates and regimes against moved machines."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import codesign
from codesign.performance.kernel_coefficients import COEFFICIENTS, Coefficients
from codesign.sensitivity.by_input import elasticities_by_input, exchange_rates
from codesign.sensitivity.inputs import fleet_at as fleet
from codesign.sensitivity.inputs import inputs_of
from codesign.sensitivity.regimes import regimes
from codesign.workload.operators import operator_table
from tests.examples import nightly, thorough

fleet_at = jax.jit(fleet)

MODELS = ("llama-3.1-70b", "deepseek-v3", "qwen3.5-397b-a17b") if thorough() else ("llama-3.1-70b",)


def calibrated() -> codesign.Calibrated:
    units = [Coefficients.__dataclass_fields__[name].metadata["unit"] for name in COEFFICIENTS]
    logs = jnp.log(jnp.array([3e-6 if unit == "s" else 0.3 for unit in units]))
    return codesign.Calibrated(logs, 0.01 * jnp.eye(len(COEFFICIENTS)))


def point(model, machine, technology, phase=None, execution=None, plan=None):
    phase = codesign.Decode(batch=32, context=8192) if phase is None else phase
    work = codesign.Workload(codesign.model(model), phase)
    return inputs_of(machine, work, plan, technology=technology, execution=execution)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "execution",
    [codesign.Operatorwise(), pytest.param(calibrated(), marks=nightly)],
    ids=["op", "cal"],
)
def test_euler_of_time_money_and_energy(model, execution, machine, technology):
    """Rates × c and latencies / c: 1/c of the time; prices × c: c times the capital; energies and
    powers × c: c times the energy."""
    found = elasticities_by_input(point(model, machine, technology, execution=execution))
    sums = found.sums()
    assert sums["rates"] - sums["latencies"] == pytest.approx(-1.0, abs=1e-9)
    assert found.sums("step_time") == sums and sums["rates"] < 0 < sums["latencies"]
    money = sum(found.by_input["capital_cost"][one.name] for one in found.leaves
                if "USD" in one.unit)  # fmt: skip
    energy = sum(found.by_input["energy_per_token"][one.name] for one in found.leaves
                 if one.unit[:1] in ("J", "W"))  # fmt: skip
    assert money == pytest.approx(1.0, abs=1e-9) and energy == pytest.approx(1.0, abs=1e-9)
    if isinstance(execution, codesign.Calibrated):
        assert found.by_input["step_time"]["execution.product_floor"] > 0.0


def test_an_objective_is_a_product_of_powers(machine, technology):
    found = elasticities_by_input(point("llama-3.1-8b", machine, technology))
    per_dollar = found.of({"tokens_per_second_per_dollar": 1.0})
    parts = found.of({"system_tokens_per_second": 1.0, "capital_cost": -1.0})
    assert per_dollar == pytest.approx(parts, abs=1e-12)
    assert set(per_dollar) == {leaf.name for leaf in found.leaves}


def test_both_sides_of_a_tie_are_told(machine, technology):
    """A bandwidth at which the widest product of a prefill is bound by memory and arithmetic
    alike."""
    phase = codesign.Decode(batch=512, context=1024)
    start = point("llama-3.1-8b", machine, technology, phase)
    up = next(one for one in told(start) if one.name == "MLP up")
    factor = math.exp(up.distance if up.bound == "memory" else -up.distance)
    moved = dataclasses.replace(machine, memory_bandwidth=machine.memory_bandwidth * factor)
    tied = point("llama-3.1-8b", moved, technology, phase)
    assert next(one for one in told(tied) if one.name == "MLP up").distance < 1e-9
    below, above = elasticities_by_input(tied).one_sided["step_time"]["design.memory_bandwidth"]
    assert below < above < 0.0  # more bandwidth helps less once arithmetic binds
    assert "step_time" not in elasticities_by_input(start).one_sided


def told(inputs):
    table = operator_table(inputs.services[0].model, inputs.services[0].precision)
    return regimes(fleet_at(inputs).outcomes[0].step, table.names)


def test_an_operator_changes_its_regime_where_it_is_said_to(machine, technology):
    phase = codesign.Decode(batch=256, context=8192)
    start = point("llama-3.1-8b", machine, technology, phase)
    first = next(one for one in told(start) if one.bound == "memory" and one.next == "compute")
    assert sum(one.share for one in told(start)) == pytest.approx(1.0)
    for factor, bound in ((0.999, "memory"), (1.001, "compute")):
        faster = machine.memory_bandwidth * math.exp(first.distance) * factor
        moved = dataclasses.replace(machine, memory_bandwidth=faster)
        there = told(point("llama-3.1-8b", moved, technology, phase))
        assert next(one for one in there if one.name == first.name).bound == bound


def test_an_exchange_keeps_the_time(machine, technology):
    start = point("llama-3.1-70b", machine, technology)
    rates = exchange_rates(elasticities_by_input(start))
    (rate,) = (
        one
        for one in rates
        if (one.taken, one.given) == ("design.sync_latency", "design.memory_bandwidth")
    )
    assert rate.value > 0 and (rate.taken_unit, rate.given_unit) == ("s", "B/s")
    part = 1e-3  # of the amount: rates are of first order
    time = float(fleet_at(start).totals.step_time)
    less = dataclasses.replace(machine, sync_latency=machine.sync_latency + part * rate.amount)
    more = dataclasses.replace(
        machine, memory_bandwidth=machine.memory_bandwidth + part * rate.value
    )
    gains = [
        time - float(fleet_at(point("llama-3.1-70b", moved, technology)).totals.step_time)
        for moved in (less, more)
    ]
    np.testing.assert_allclose(gains[1], gains[0], rtol=2e-3)
    money = next(one for one in rates if one.given_unit == "USD")
    assert money.value > 0 and money.given == "capital_cost of a chip"


def test_a_dollar_is_what_a_chip_may_cost_more(machine, technology):
    """Capital and speed up by as much: tokens/s/$ stays."""
    start = point("llama-3.1-70b", machine, technology)
    rate = next(
        one
        for one in exchange_rates(elasticities_by_input(start))
        if one.taken == "design.memory_bandwidth" and one.given_unit == "USD"
    )
    totals, part = fleet_at(start).totals, 1e-4
    faster = dataclasses.replace(
        machine, memory_bandwidth=machine.memory_bandwidth + part * rate.amount
    )
    speed = fleet_at(point("llama-3.1-70b", faster, technology)).totals.system_tokens_per_second
    capital = totals.capital_cost + part * rate.value * machine.chips
    np.testing.assert_allclose(
        math.log(speed / totals.system_tokens_per_second),
        math.log(capital / totals.capital_cost),
        rtol=1e-3,
    )
