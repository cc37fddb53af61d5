"""A build and its design: by hand, there and back, differentiable."""

import dataclasses

import jax
import pytest
from hypothesis import given
from hypothesis import strategies as st

import codesign
import hardware_priors
from codesign.numerics.fields import real, units_of
from codesign.numerics.units import SQUARE_MILLIMETRE
from codesign.physical.area import area
from codesign.physical.latency import sync_floor
from tests.examples import examples

approx = pytest.approx
N3 = hardware_priors.technology("N3", "HBM4", "NVLink5")
BITS = real(8.0)
BUILD = codesign.Build(
    matrix_area=1000 * SQUARE_MILLIMETRE,
    sram_area=200 * SQUARE_MILLIMETRE,
    clock=0.9,
    stacks=8,
    layers=12,
    lanes=36,
    dies=2,
    white_silicon=5 * SQUARE_MILLIMETRE,
    scale_up_domain=72,
    chips=16,
)
LEAVES = tuple(units_of(codesign.Build))


def test_realize_by_hand():
    logic = dataclasses.replace(
        N3.logic,
        matrix_density=real(2.6e18),
        density_gain_8bit=real(2.0),
        sram_density=real(0.6e12),
    )
    memory = dataclasses.replace(N3.memory, stack_bandwidth=real(2.75e12), layer_capacity=real(3e9))
    links = dataclasses.replace(N3.links, lane_rate=real(25e9), software_latency=real(5e-6))
    technology = dataclasses.replace(N3, logic=logic, memory=memory, links=links)
    design = codesign.realize(BUILD, technology, BITS)
    assert float(design.peak_flops) == approx(4.68e15)  # 1000 mm² × 2.6 TFLOP/s/mm² × 2 × 0.9
    assert float(design.memory_bandwidth) == approx(22e12)  # 8 × 2.75 TB/s
    assert float(design.memory_capacity) == approx(288e9)  # 8 × 12 × 3 GB
    assert float(design.link_bandwidth) == approx(900e9)  # 36 × 25 GB/s
    assert float(design.sram_capacity) == approx(120e6)  # 200 mm² × 0.6 MB/mm²
    assert float(design.sync_latency) == approx(
        float(sync_floor(real(16.0), real(72.0), links)) + 5e-6
    )
    assert (
        float(design.chips),
        float(design.clock),
        float(design.dies),
        float(design.scale_up_domain),
    ) == (16, 0.9, 2, 72)


def test_the_silicon_is_what_was_drawn():
    parts = area(codesign.realize(BUILD, N3, BITS), N3, BITS)
    assert (float(parts.core), float(parts.sram), float(parts.white)) == approx(
        (1e-3, 2e-4, 5e-6), rel=1e-12
    )


@examples(20)
@given(
    scales=st.lists(st.floats(0.1, 10.0), min_size=len(LEAVES), max_size=len(LEAVES)),
    bits=st.sampled_from([4.0, 6.0, 8.0, 16.0]),
)
def test_there_and_back(scales, bits):
    drawn = dataclasses.replace(
        BUILD,
        **{
            name: getattr(BUILD, name) * real(scale)
            for name, scale in zip(LEAVES, scales, strict=True)
        },
    )
    again = codesign.built(codesign.realize(drawn, N3, real(bits)), N3, real(bits))
    for name in LEAVES:
        assert float(getattr(again, name)) == approx(float(getattr(drawn, name)), rel=1e-12), name


def test_a_design_comes_back_but_for_what_a_build_does_not_choose(machine):
    again = codesign.realize(codesign.built(machine, N3, BITS), N3, BITS)
    for name in (
        "memory_bandwidth",
        "memory_capacity",
        "peak_flops",
        "chips",
        "link_bandwidth",
        "sram_capacity",
        "clock",
    ):
        assert float(getattr(again, name)) == approx(float(getattr(machine, name)), rel=1e-12), name
    assert float(again.sram_bandwidth) > float(machine.sram_bandwidth)


def test_every_leaf_moves_an_outcome_and_gradients_are_exact(llama_405b):
    work = codesign.Workload(llama_405b, codesign.Decode(batch=32, context=8192))

    def price(build):
        outcome = codesign.evaluate(codesign.realize(build, N3, BITS), work, technology=N3)
        return outcome.capital_cost + outcome.running_cost + outcome.time_per_token

    slope = jax.grad(price)(BUILD)
    for name in LEAVES:
        value, step = getattr(BUILD, name), 1e-5
        here = price(BUILD)
        ahead, behind = (
            price(dataclasses.replace(BUILD, **{name: value * (1 + s)})) for s in (step, -step)
        )
        sides = (float((ahead - here) / (step * value)), float((here - behind) / (step * value)))
        room = 1e-3 * abs(sides[0]) + 1e-6 * abs(
            float(here / value)
        )  # one-sided differences are of first order
        assert min(abs(float(getattr(slope, name)) - side) for side in sides) <= room, (
            name,
            sides,
        )  # two dies lie on a kink


@pytest.mark.parametrize("node", ["N4", "N3"])
def test_a_faster_clock_gives_more_from_the_same_area(node):
    technology = hardware_priors.technology(node)
    slow, fast = (
        codesign.realize(dataclasses.replace(BUILD, clock=real(x)), technology, BITS)
        for x in (0.6, 1.1)
    )
    assert float(fast.peak_flops / slow.peak_flops) == approx(1.1 / 0.6)
    assert float(area(fast, technology, BITS).core) == approx(
        float(area(slow, technology, BITS).core)
    )
