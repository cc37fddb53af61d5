"""Watts and joules against sums worked out by hand, in pJ and W/mm²; predicted against rated
power."""

import dataclasses
from functools import partial

import jax.numpy as jnp
import pytest

import codesign
import hardware_priors
from codesign.hardware.technology import Technology
from codesign.numerics.fields import real
from codesign.numerics.units import BITS_PER_BYTE, GIGA, PICO, SQUARE_MILLIMETRE, TERA
from codesign.physical.area import area
from codesign.physical.power import (
    Work,
    busy_power,
    byte_energy,
    dynamic_energy,
    flop_energy,
    peak_power,
    provisioned_power,
    static_power,
)

approx = partial(pytest.approx, rel=1e-9, abs=0.0)
"""The default absolute tolerance of pytest, 1e-12, would let any energy per FLOP pass."""

CHIP = codesign.Design(
    memory_bandwidth=11 * TERA,
    memory_capacity=288 * GIGA,
    peak_flops=5200 * TERA,
    chips=8,
    sync_latency=1e-6,
    link_bandwidth=1800 * GIGA,
)
SILICON = real(1600 * SQUARE_MILLIMETRE)


@pytest.fixture(scope="module")
def by_hand() -> Technology:
    """Round coefficients in the units of their sources: 0.24 pJ/FLOP, 4 pJ/bit of memory, 10 pJ/bit
    of link."""
    n3 = hardware_priors.technology("N3", "HBM4", "NVLink6", cooling="cold-plate")
    logic = dataclasses.replace(
        n3.logic,
        matrix_energy=real(0.24 * PICO),
        energy_ratio_8bit=real(0.5),
        energy_ratio_4bit=real(0.2),
        sram_energy=real(0.13 * BITS_PER_BYTE * PICO),
        leakage=real(0.1 / SQUARE_MILLIMETRE),
        ungated_share=real(0.7),
    )
    memory = dataclasses.replace(
        n3.memory,
        access_energy=real(4 * BITS_PER_BYTE * PICO),
        layer_capacity=real(3 * GIGA),
        layer_power=real(0.4),
    )
    links = dataclasses.replace(
        n3.links, energy=real(10 * BITS_PER_BYTE * PICO), idle_power=real(30 * PICO)
    )  # 30 W per TB/s even when idle
    economics = dataclasses.replace(n3.economics, power_overhead=real(1.45), pue=real(1.15))
    return dataclasses.replace(n3, logic=logic, memory=memory, links=links, economics=economics)


@pytest.mark.parametrize(
    ("bits", "picojoule"),
    [(16, 0.24), (8, 0.12), (4, 0.048), (2, 0.048), (6, 0.12 * 0.4**0.4150374992788438)],
)
def test_energy_of_a_flop(by_hand, bits, picojoule):
    assert float(flop_energy(by_hand, real(bits))) == approx(picojoule * PICO)


def test_static_power(by_hand):
    # leakage 0.1 W/mm² × 1600 mm² = 160; refresh 288 GB / 3 GB = 96 layers × 0.4 W = 38.4; idle
    # links 1.8 × 30 = 54
    assert float(static_power(CHIP, by_hand, SILICON)) == approx(252.4)


def test_peak_power(by_hand):
    # matrix 5200 TFLOP/s × 0.12 pJ = 624; memory 11 TB/s × 32 pJ/B = 352, and twice through SRAM at
    # 1.04 pJ/B = 22.88; links 1.8 TB/s × 80 pJ/B = 144, idle included; leakage 160; refresh 38.4
    assert float(peak_power(CHIP, by_hand, SILICON, real(8.0))) == approx(1341.28)
    assert float(peak_power(CHIP, by_hand, SILICON, real(16.0))) == approx(1341.28 + 624.0)


@pytest.mark.parametrize(
    ("flops", "memory", "wire", "joules"),
    [
        (1e12, 0.0, 0.0, 0.036),  # a teraFLOP at 8 bit: 0.3 of 0.12 J, the rest is busy power
        (0.0, 1e10, 0.0, 0.3408),  # 10 GB at 32 pJ/B, and twice through SRAM at 1.04 pJ/B
        (0.0, 0.0, 1e9, 0.05),  # 1 GB at 80 − 30 pJ/B: the rest is drawn anyway
        (1e12, 1e10, 1e9, 0.4268),
    ],
)
def test_dynamic_energy(by_hand, flops, memory, wire, joules):
    work = Work(
        flops=real(flops),
        memory_bytes=real(memory),
        wire_bytes=real(wire),
        on_chip_bytes=real(0.0),
        pool_bytes=real(0.0),
    )
    assert float(dynamic_energy(work, by_hand, real(8.0))) == approx(joules)


def test_busy_power(by_hand):
    # 0.7 of 5200 TFLOP/s × 0.12 pJ = 436.8 W; half the clock at V/V₀ = 0.61: × 0.5 × 0.3721
    assert float(busy_power(CHIP, by_hand, real(8.0))) == approx(436.8)
    assert float(busy_power(CHIP, by_hand, real(8.0), 0.5)) == approx(436.8 * 0.5 * 0.3721)


def test_provisioned_power(by_hand):
    # 72 chips × 1 kW × 1.45 × 1.15
    assert float(provisioned_power(real(1000.0), real(72.0), by_hand)) == approx(120060.0)


RATED = (
    "a100",
    "h100",
    "h200",
    "b200",
    "gb200",
    "b300",
    "gb300",
    "rubin",
    "mi300x",
    "mi325x",
    "mi355x",
    "tpu-v4",
    "tpu-v5p",
    "tpu-v6e",
    "tpu-v7",
    "trainium2",
    "trainium3",
    "gaudi3",
)
"""Devices whose peak power at 16 bit is within 30 % of their rating, which is a cap and not
consumption.

Measured, predicted/rated W: A100 444/400, H100 580/700, H200 634/700, B200 1287/1000 (+29 %),
MI300X 852/750, TPU v5p 399/540 (−26 %), TPU v7 1040/960, Trainium3 542/700. Beyond 30 %: TPU v5e
149/225 (−34 %; its rating is inferred), L40S 209/350 (−40 %) and RTX 4090 199/450 (−56 %; graphics
and clocks), Groq 288/215 (+34 %) and WSE-3 31680/23000 (+38 %), whose main memory is SRAM.
"""


@pytest.mark.parametrize("name", RATED)
def test_rated_power_within_30_percent(name):
    device = hardware_priors.device(name)
    technology = hardware_priors.technology_of(device)
    design, bits = device.design(chips=1, compute_bits=16), jnp.array(16.0)
    predicted = peak_power(design, technology, area(design, technology, bits).total, bits)
    assert device.tdp is not None
    assert float(predicted) == pytest.approx(device.tdp.si.value, rel=0.30, abs=0.0)


def test_a_pool_burns_power_and_energy_as_memory_does(by_hand):
    pool = dataclasses.replace(
        by_hand.pool,
        access_energy=real(15 * BITS_PER_BYTE * PICO),
        layer_capacity=real(256 * GIGA),
        layer_power=real(20.0),
    )
    technology = dataclasses.replace(by_hand, pool=pool)
    pooled = dataclasses.replace(
        CHIP, pool_bandwidth=real(0.5 * TERA), pool_capacity=real(512 * GIGA)
    )
    # 2 layers × 20 W
    assert float(
        static_power(pooled, technology, SILICON) - static_power(CHIP, technology, SILICON)
    ) == approx(40.0)
    # 0.5 TB/s × (120 + 2 × 1.04) pJ/B = 61.04 W, and 40 W of refresh
    more = peak_power(pooled, technology, SILICON, real(8.0)) - peak_power(
        CHIP, technology, SILICON, real(8.0)
    )
    assert float(more) == approx(101.04)
    moved = Work(
        flops=real(0.0),
        memory_bytes=real(0.0),
        wire_bytes=real(0.0),
        on_chip_bytes=real(0.0),
        pool_bytes=real(1e10),
    )
    assert float(dynamic_energy(moved, technology, real(8.0))) == approx(1.2208)


def test_bytes_of_sram_as_main_memory_are_read_once(by_hand):
    memory = dataclasses.replace(
        by_hand.memory, access_energy=real(0.13 * BITS_PER_BYTE * PICO), staged=real(0.0)
    )
    assert float(byte_energy(dataclasses.replace(by_hand, memory=memory))) == approx(1.04 * PICO)
    staged = dataclasses.replace(memory, staged=real(1.0))
    assert float(byte_energy(dataclasses.replace(by_hand, memory=staged))) == approx(3.12 * PICO)
