"""Steps under a power cap: against a root finder, at ties, where nothing can run, and in the whole
model."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq

import codesign
import hardware_priors
from codesign.numerics.fields import real
from codesign.physical.power import static_power
from codesign.physical.power_cap import Draw, fastest_clock
from codesign.physical.voltage import energy_ratio

LOGIC = hardware_priors.technology("N4").logic
CHIP = hardware_priors.device("h200").design(chips=8)
WORLD = hardware_priors.technology("N4", "HBM3E", "NVLink4")
LLAMA = codesign.model("llama-3.1-70b")
PREFILL = codesign.Workload(LLAMA, codesign.Prefill(1, 8192))


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def draw(hot: float, cold: float, busy: float, clock: float = 1.0) -> Draw:
    return Draw(real(1e-3), real(hot), real(cold), real(busy), real(clock), LOGIC)


def run(cap: float, **changes: float) -> codesign.Outcome:
    """The prefill step under a power cap [W]."""
    design = dataclasses.replace(
        CHIP, power_cap=real(cap), **{k: real(v) for k, v in changes.items()}
    )
    return codesign.evaluate(design, PREFILL, technology=WORLD)


@given(
    hot=st.floats(0.0, 1.0),
    cold=st.floats(1e-3, 1.0),
    busy=st.floats(0.0, 500.0),
    clock=st.floats(0.5, 1.1),
    share=st.floats(0.05, 1.5),
)
def test_the_clock_is_the_root_that_a_bracketing_finder_finds(hot, cold, busy, clock, share):
    step = draw(hot, cold, busy, clock)
    full = float(step.power_at(step.clock, step.time))
    room = share * full
    found = float(fastest_clock(step, real(room)))
    slowest = min(float(LOGIC.clock_fewest), clock)

    def excess(x: float) -> float:
        return float(step.power_at(real(x), step.time * step.clock / x)) - room

    if excess(clock) <= 0.0:
        assert found == clock
    elif excess(slowest) >= 0.0:
        assert found == pytest.approx(slowest, rel=1e-9)
    else:
        assert found == pytest.approx(brentq(excess, slowest, clock, xtol=1e-13), rel=1e-8)


def test_a_step_pauses_where_the_slowest_clock_draws_too_much():
    """At half the clock V/V₀ = 0.61: 0.3·0.3721 + 0.4 J in 100 W take 5.1163 ms, not 2."""
    step = draw(hot=0.3, cold=0.4, busy=0.0)
    clock = fastest_clock(step, real(100.0))
    ratio = (0.22 + 0.78 * 0.5) ** 2
    assert float(clock) == 0.5
    assert float(step.time_at(clock, real(100.0))) == pytest.approx((0.3 * ratio + 0.4) / 100.0)


def test_slope_and_bend_of_the_time_by_the_cap_are_those_of_differences():
    step = draw(hot=0.3, cold=0.2, busy=100.0)

    def time(room: jax.Array) -> jax.Array:
        return step.time_at(fastest_clock(step, room), room)

    for room in (450.0, 300.0, 120.0):  # the clock falls, falls further, pauses
        at, h = real(room), room * 1e-4
        slope = (time(at + h) - time(at - h)) / (2.0 * h)
        bend = (time(at + h) - 2.0 * time(at) + time(at - h)) / h**2
        assert float(jax.grad(time)(at)) == pytest.approx(float(slope), rel=1e-6)
        assert float(jax.grad(jax.grad(time))(at)) == pytest.approx(float(bend), rel=1e-3)
    assert float(jax.grad(time)(real(800.0))) == 0.0


def test_a_cap_above_what_a_step_draws_changes_its_price_alone():
    free, capped = run(0.0), run(650.0)
    assert float(capped.step_time) == float(free.step_time)
    assert float(capped.running_clock) == float(free.running_clock) == 1.0
    assert float(free.rated_power) == float(free.peak_power)
    assert float(capped.rated_power) == 650.0
    ratio = float(capped.provisioned_power / free.provisioned_power)
    assert ratio == pytest.approx(650.0 / float(free.peak_power), rel=1e-12)


def test_a_lower_cap_is_never_faster_and_draws_what_it_allows():
    caps = np.linspace(650.0, 200.0, 40)
    found = [run(cap) for cap in caps]
    times = np.array([float(one.step_time) for one in found])
    drawn = np.array([float(one.mean_power) for one in found])
    assert (np.diff(times) >= 0.0).all() and times[-1] > 1.2 * times[0]
    assert (drawn <= caps * (1.0 + 1e-9)).all()
    slowed = times > times[0] * (1.0 + 1e-6)
    assert drawn[slowed] == pytest.approx(caps[slowed], rel=1e-9)


def test_halving_the_power_of_a_bound_step_costs_less_than_half_the_speed():
    """The supply falls with the clock, so energy falls too: what pausing alone would not give."""
    full, half = run(0.0), run(0.6 * float(run(0.0).mean_power))
    idle = float(static_power(CHIP, WORLD, full.area.total))
    pausing = (float(full.mean_power) - idle) / (float(half.rated_power) - idle)
    slower = float(half.step_time / full.step_time)
    assert 1.0 < slower < pausing
    assert float(half.energy_per_token) < float(full.energy_per_token)


def test_a_cap_below_idle_power_breaks_its_limit_and_stays_finite():
    for cap in (1e-3, 1.0, 50.0):
        found = run(cap)
        assert float(found.limits.power_cap) > 0.0
        assert not bool(found.fits)
        leaves = jax.tree.leaves(
            jax.grad(lambda d: codesign.evaluate(d, PREFILL, technology=WORLD).step_time)(
                dataclasses.replace(CHIP, power_cap=real(cap))
            )
        )
        assert all(bool(jnp.isfinite(leaf)) for leaf in leaves)


def test_at_the_cap_itself_the_slope_is_that_of_the_side_where_it_does_not_bind():
    cap = float(run(0.0).mean_power)
    by_cap = jax.grad(
        lambda c: (
            codesign.evaluate(
                dataclasses.replace(CHIP, power_cap=c), PREFILL, technology=WORLD
            ).step_time
        )
    )
    assert float(by_cap(real(cap))) == 0.0
    assert float(by_cap(real(cap * 0.999))) < 0.0


def test_more_matrix_units_draw_power_without_work():
    """What switches without products is a share of the units' peak power: a larger chip draws more
    in a step that memory binds."""
    work = codesign.Workload(LLAMA, codesign.Decode(1, 8192))

    def drawn(factor: float) -> float:
        design = dataclasses.replace(CHIP, peak_flops=CHIP.peak_flops * factor)
        return float(codesign.evaluate(design, work, technology=WORLD).mean_power)

    matrix = 0.32e-12 * 0.5 * float(CHIP.peak_flops)
    share = float(WORLD.logic.ungated_share)
    # and the leakage of the area that they take
    assert drawn(2.0) - drawn(1.0) > share * matrix * 0.99


@pytest.mark.parametrize("name", ["h100", "b200", "mi355x", "tpu-v7"])
def test_devices_have_their_rated_power_as_cap(name):
    device = hardware_priors.device(name)
    assert device.tdp is not None
    assert float(device.design(1).power_cap) == device.tdp.si.value


def test_energy_at_a_clock_is_the_voltage_curve_s():
    step = draw(hot=1.0, cold=0.0, busy=0.0)
    assert float(step.power_at(real(0.7), real(1.0))) == float(energy_ratio(real(0.7), LOGIC))
