"""Temperatures against numbers worked out by hand, in K, W and mm²; machines on sale are
allowed."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import pytest
from hypothesis import given
from hypothesis import strategies as st

import codesign
import hardware_priors
from codesign.numerics.fields import real
from codesign.numerics.units import CELSIUS_OFFSET, SQUARE_MILLIMETRE
from codesign.physical.area import area, interposer_area
from codesign.physical.power import peak_power
from codesign.physical.thermal import junction_temperature, memory_temperature, temperature_excess
from codesign.physical.warpage import warpage
from tests.examples import examples

approx = pytest.approx
few = examples(20)
N3 = hardware_priors.technology("N3", "HBM4", "NVLink5", cooling="cold-plate")
COOLING = dataclasses.replace(
    N3.cooling, area_resistance=real(50 * SQUARE_MILLIMETRE), coolant_temperature=real(313.15)
)
POWERS, AREAS = st.floats(1.0, 1e4), st.floats(1e-5, 5e-3)


def coupled(share):
    return dataclasses.replace(N3.memory, thermal_coupling=real(share))


def test_junction_by_hand():
    # 1000 W over 800 mm² = 1.25 W/mm², × 50 K·mm²/W = 62.5 K above a coolant of 40 °C
    temperature = junction_temperature(real(1000.0), real(800 * SQUARE_MILLIMETRE), COOLING)
    assert float(temperature) - CELSIUS_OFFSET == approx(102.5)


def test_memory_by_hand():
    # 0.8 of the 62.5 K
    temperature = memory_temperature(
        real(1000.0), real(800 * SQUARE_MILLIMETRE), coupled(0.8), COOLING
    )
    assert float(temperature) - CELSIUS_OFFSET == approx(90.0)


@few
@given(power=POWERS, silicon=AREAS)
def test_bonded_dram_has_the_temperature_of_the_logic(power, silicon):
    stacked = memory_temperature(power, silicon, coupled(1.0), COOLING)
    assert float(stacked) == float(junction_temperature(power, silicon, COOLING))


@few
@given(power=POWERS, silicon=AREAS, more=st.floats(1.01, 10.0), share=st.floats(0.05, 1.1))
def test_hotter_with_power_resistance_coupling_and_less_silicon(power, silicon, more, share):
    memory, worse = (
        coupled(share),
        dataclasses.replace(COOLING, area_resistance=COOLING.area_resistance * more),
    )
    for at in (junction_temperature, lambda p, a, c: memory_temperature(p, a, memory, c)):
        least = float(at(power, silicon, COOLING))
        assert least > float(COOLING.coolant_temperature)
        assert (
            min(
                float(at(power * more, silicon, COOLING)), float(at(power, silicon / more, COOLING))
            )
            > least
        )
        assert float(at(power, silicon, worse)) > least
    assert float(memory_temperature(power, silicon, coupled(share * more), COOLING)) > float(
        memory_temperature(power, silicon, memory, COOLING)
    )


@few
@given(power=st.floats(10.0, 5e3), silicon=st.floats(1e-4, 3e-3))
def test_gradient_of_the_excess(power, silicon):
    def excess(logs):
        hot = junction_temperature(jnp.exp(logs[0]), jnp.exp(logs[1]), COOLING)
        return temperature_excess(hot, COOLING.logic_temperature, COOLING.coolant_temperature)

    slope = jax.grad(excess)(jnp.log(jnp.array([power, silicon])))
    assert slope.tolist() == approx([1.0, -1.0], rel=1e-9)  # ln of a monomial P/A


def test_excess_by_hand():
    # 30 K of the 60 K allowed
    assert float(temperature_excess(real(343.15), real(373.15), real(313.15))) == approx(
        math.log(0.5)
    )
    # no heat, or a coolant above the limit: finite
    assert math.isfinite(float(temperature_excess(real(313.15), real(373.15), real(313.15))))
    assert float(temperature_excess(real(343.15), real(300.0), real(313.15))) > 0


@pytest.mark.parametrize("cooling", ["air", "cold-plate"])
def test_h100_at_its_rating_is_allowed(cooling):
    technology = hardware_priors.technology("N4", "HBM3", "NVLink4", cooling=cooling)
    power, silicon, limits = real(700.0), real(814 * SQUARE_MILLIMETRE), technology.cooling
    assert junction_temperature(power, silicon, limits) < limits.logic_temperature
    assert memory_temperature(power, silicon, technology.memory, limits) < limits.memory_temperature
    assert power / silicon < limits.power_density and power < limits.package_power


PACKAGES = {
    "h100": "CoWoS-S",
    "h200": "CoWoS-S",
    "b200": "CoWoS-L",
    "gb300": "CoWoS-L",
    "rubin": "CoWoS-L",
    "tpu-v7": "CoWoS-L",
}


@pytest.mark.parametrize("name", PACKAGES)
def test_machines_on_sale_are_cool_and_flat_enough(name):
    device, bits = hardware_priors.device(name), real(16.0)
    technology = hardware_priors.technology(
        *device.technology_names(), cooling="cold-plate", packaging=PACKAGES[name]
    )
    design = device.design(chips=1, compute_bits=16)
    silicon = area(design, technology, bits).total
    power = peak_power(design, technology, silicon, bits)
    assert (
        junction_temperature(power, silicon, technology.cooling)
        < technology.cooling.logic_temperature
    )
    assert (
        memory_temperature(power, silicon, technology.memory, technology.cooling)
        < technology.cooling.memory_temperature
    )
    interposer = interposer_area(design, technology, silicon)
    assert interposer < technology.packaging.interposer_most
    assert warpage(interposer, technology.packaging) < technology.packaging.warpage_most


def test_the_dram_limits_a_stack_on_logic_before_the_logic_does(machine, llama_405b):
    work = codesign.Workload(llama_405b, codesign.Decode(batch=32, context=8192))
    stacked = hardware_priors.technology("N3", "3D-DRAM", "NVLink5", cooling="3d-stack")
    limits = codesign.evaluate(machine, work, technology=stacked).limits
    assert float(limits.memory_temperature) > float(limits.temperature) > 0
    beside = codesign.evaluate(machine, work, technology=N3).limits
    assert float(beside.temperature) < float(limits.temperature)
    # equal rises: ln of the ratio of what is allowed, (100 − 40)/(90 − 40)
    assert float(limits.memory_temperature - limits.temperature) == approx(math.log(60 / 50))
