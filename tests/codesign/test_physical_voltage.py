"""Clock, voltage and energy against numbers worked out by hand."""

import dataclasses

import jax
import pytest
from hypothesis import given
from hypothesis import strategies as st

import codesign
import hardware_priors
from codesign.numerics.fields import real
from codesign.physical.area import core_area
from codesign.physical.power import Work, dynamic_energy, flop_energy, peak_power, static_power
from codesign.physical.voltage import energy_ratio
from tests.examples import examples

approx = pytest.approx
few = examples(20)
N3 = hardware_priors.technology("N3", "HBM4", "NVLink5")
CLOCKS = st.floats(0.3, 2.0)


def with_floor(floor):
    return dataclasses.replace(N3.logic, voltage_floor=real(floor))


@pytest.mark.parametrize(
    ("floor", "clock", "expected"),
    [
        (0.2, 1.0, 1.0),
        (0.2, 0.5, 0.36),  # V = 0.2 + 0.8 · 0.5 = 0.6
        (0.2, 1.25, 1.44),  # V = 1.2
        (1.0, 0.5, 1.0),  # a supply that never moves
        (0.0, 0.5, 0.25),  # V follows the clock
    ],
)
def test_energy_ratio_by_hand(floor, clock, expected):
    assert float(energy_ratio(real(clock), with_floor(floor))) == approx(expected, rel=1e-12)


@few
@given(slow=CLOCKS, step=st.floats(1.01, 3.0), floor=st.floats(0.0, 0.9))
def test_energy_rises_with_the_clock(slow, step, floor):
    logic = with_floor(floor)
    assert float(energy_ratio(slow * step, logic)) > float(energy_ratio(slow, logic))


@few
@given(clock=CLOCKS, floor=st.floats(0.05, 0.95))
def test_energy_ratio_gradient(clock, floor):
    logic, step = with_floor(floor), 1e-5
    slope = jax.grad(lambda x: energy_ratio(x, logic))(real(clock))
    central = (energy_ratio(clock + step, logic) - energy_ratio(clock - step, logic)) / (2 * step)
    assert float(slope) == approx(float(central), rel=1e-8)


def test_half_the_clock_takes_twice_the_core_and_less_energy(machine):
    slow = dataclasses.replace(machine, clock=real(0.5))
    technology = dataclasses.replace(N3, logic=with_floor(0.2))
    bits = real(8.0)
    assert float(
        core_area(slow, technology, bits) / core_area(machine, technology, bits)
    ) == approx(2.0)
    assert float(
        flop_energy(technology, bits, slow.clock) / flop_energy(technology, bits)
    ) == approx(0.36)
    silicon = real(1e-3)
    saved = peak_power(machine, technology, silicon, bits) - peak_power(
        slow, technology, silicon, bits
    )
    matrix = flop_energy(technology, bits) * machine.peak_flops
    assert float(saved) == approx(0.64 * float(matrix + technology.logic.leakage * silicon))
    idle = static_power(machine, technology, silicon) - static_power(slow, technology, silicon)
    assert float(idle) == approx(0.64 * float(technology.logic.leakage * silicon))


def test_memory_and_links_keep_their_own_supply():
    moved = Work(*map(real, (0.0, 1e10, 1e9, 1e8, 1e7)))
    assert float(dynamic_energy(moved, N3, real(8.0), real(0.5))) == float(
        dynamic_energy(moved, N3, real(8.0), real(1.0))
    )


def test_the_clock_is_held_to_its_range(machine, llama_405b):
    work = codesign.Workload(llama_405b, codesign.Decode(batch=32, context=8192))
    for clock, broken in ((0.2, "clock_fewest"), (1.0, None), (1.5, "clock_most")):
        limits = codesign.evaluate(
            dataclasses.replace(machine, clock=real(clock)), work, technology=N3
        ).limits
        names = [
            name for name in ("clock_fewest", "clock_most") if float(getattr(limits, name)) > 0
        ]
        assert names == ([broken] if broken else [])
