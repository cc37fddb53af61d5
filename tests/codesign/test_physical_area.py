"""Silicon and edge against numbers worked out by hand, in mm² and GB/s; predicted against published
die areas."""

import dataclasses
from functools import partial

import jax.numpy as jnp
import pytest

import codesign
import hardware_priors
from codesign.hardware.technology import Technology
from codesign.numerics.fields import real
from codesign.numerics.units import GIGA, MEGA, MILLIMETRE, SQUARE_MILLIMETRE, TERA
from codesign.physical.area import (
    area,
    layers,
    needed_edge,
    precision_ratio,
    sram_area,
    stacks,
    usable_edge,
)

approx = partial(pytest.approx, rel=1e-9, abs=0.0)
"""The default absolute tolerance of pytest, 1e-12, would let any area in m² pass at a part in a
million."""

CHIP = codesign.Design(
    memory_bandwidth=11 * TERA,
    memory_capacity=288 * GIGA,
    peak_flops=5.2e15,
    chips=8,
    sync_latency=1e-6,
    link_bandwidth=1800 * GIGA,
    sram_capacity=60 * MEGA,
    dies=2,
    white_silicon=7 * SQUARE_MILLIMETRE,
)


@pytest.fixture(scope="module")
def by_hand() -> Technology:
    """Round coefficients, in the units of their sources; the rest of N3 with HBM4."""
    n3 = hardware_priors.technology("N3", "HBM4", "NVLink6", cooling="cold-plate")
    logic = dataclasses.replace(
        n3.logic,
        matrix_density=real(2.6 * TERA / SQUARE_MILLIMETRE),
        density_gain_8bit=real(2),
        density_gain_4bit=real(6),
        sram_density=real(0.6 * MEGA / SQUARE_MILLIMETRE),
        fixed_area=real(11 * SQUARE_MILLIMETRE),
        overhead_fraction=real(0.1),
    )
    memory = dataclasses.replace(
        n3.memory, stack_bandwidth=real(2.75 * TERA), layer_capacity=real(3 * GIGA),
        phy_area=real(13.5 * SQUARE_MILLIMETRE), edge=real(12.5 * MILLIMETRE),
    )  # fmt: skip
    links = dataclasses.replace(
        n3.links,
        area=real(0.07 * SQUARE_MILLIMETRE / GIGA),
        edge_density=real(37.5 * GIGA / MILLIMETRE),
    )
    packaging = dataclasses.replace(
        n3.packaging, die_to_die_area=real(15 * SQUARE_MILLIMETRE), usable_edge=real(0.7)
    )
    return dataclasses.replace(n3, logic=logic, memory=memory, links=links, packaging=packaging)


def test_area_by_part(by_hand):
    parts = area(CHIP, by_hand, real(8.0))
    expected = {  # mm²
        "core": 1000.0,  # 5200 TFLOP/s / (2.6 TFLOP/s/mm² × 2 at 8 bit)
        "sram": 100.0,  # 60 MB / 0.6 MB/mm²
        "memory_interface": 54.0,  # 11 / 2.75 = 4 stacks × 13.5 mm²
        "links": 126.0,  # 1800 GB/s × 0.07 mm²/(GB/s)
        "die_to_die": 15.0,  # 1 extra die
        "fixed": 22.0,  # 2 dies × 11 mm²
        "unmodelled": 1317.0 / 9.0,  # a tenth of the die: the sum of the above, 1317, × 0.1/0.9
        "white": 7.0,
    }
    for name, value in expected.items():
        assert float(getattr(parts, name)) == approx(value * SQUARE_MILLIMETRE), name
    assert float(parts.total) == approx((1317.0 / 0.9 + 7.0) * SQUARE_MILLIMETRE)


@pytest.mark.parametrize(
    ("bits", "core"), [(16, 2000), (8, 1000), (4, 2000 / 6), (2, 2000 / 6), (32, 2000)]
)
def test_core_area_follows_the_precision(by_hand, bits, core):
    assert float(area(CHIP, by_hand, real(bits)).core) == approx(core * SQUARE_MILLIMETRE)


@pytest.mark.parametrize(
    ("bits", "ratio"),
    [
        (32, 1.0),
        (16, 1.0),
        (8, 2.0),
        (4, 6.0),
        (2, 6.0),  # held
        (128**0.5, 2**0.5),  # half-way between 16 and 8 bit in logarithms
        (32**0.5, 12**0.5),  # half-way between 8 and 4 bit: √(2 · 6)
        (6, 2 * 3**0.4150374992788438),  # log2(8/6) = 0.41503749… of the way from 2 to 6
    ],
)
def test_precision_ratio(bits, ratio):
    assert float(precision_ratio(real(bits), real(2.0), real(6.0))) == approx(ratio)


def test_stacks_and_layers_are_fractional(by_hand):
    assert float(stacks(CHIP, by_hand)) == approx(4.0)  # 11 TB/s / 2.75
    assert float(layers(CHIP, by_hand)) == approx(96.0)  # 288 GB / 3
    thin = dataclasses.replace(
        CHIP, memory_bandwidth=real(1 * TERA), memory_capacity=real(1 * GIGA)
    )
    assert float(stacks(thin, by_hand)) == approx(4 / 11)
    assert float(layers(thin, by_hand)) == approx(1 / 3)


@pytest.mark.parametrize(
    ("dies", "silicon", "edge"),
    [
        (1, 400.0, 56.0),  # mm² → mm: a square of 20 mm has an outline of 80 mm, of which 0.7
        (2, 800.0, 84.0),  # two of them in a row: 20 × 40 mm, outline 120 mm
        (4, 1600.0, 140.0),  # 20 × 80 mm, outline 200 mm
        (1, 858.0, 0.7 * 4 * 29.29163703175362),  # a full reticle: side √858
    ],
)
def test_usable_edge(by_hand, dies, silicon, edge):
    design = dataclasses.replace(CHIP, dies=real(dies))
    assert float(usable_edge(design, by_hand, real(silicon * SQUARE_MILLIMETRE))) == approx(
        edge * MILLIMETRE
    )


def test_needed_edge(by_hand):
    # 4 stacks × 12.5 mm + 1800 GB/s / 37.5 GB/s/mm = 50 + 48 mm
    assert float(needed_edge(CHIP, by_hand)) == approx(98 * MILLIMETRE)


PUBLISHED = ("a100", "h100", "h200", "b200")
"""Devices whose published silicon the nominal coefficients predict within 15 %.

Measured at 16 bit, predicted/published mm²: A100 774/826, H100 761/814, H200 760/814, B200
1721/1600. Beyond 15 %: GB200 and GB300 1864/1600 (+17 %), Rubin 2103/1650 (+27 %), TPU v4 694/580
(+20 %), TPU v5e 267/325 (−18 %), MI300X 1626/1017 (+60 %, a catalogue area that leaves out its N6
I/O dies), L40S 447/608 (−26 %), RTX 4090 387/608 (−36 %; graphics), Groq 542/725 (−25 %; its 14 nm
is priced as N7) and WSE-3 58352/46225 (+26 %), which keep SRAM as main memory.
"""


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_die_areas_within_15_percent(name):
    device = hardware_priors.device(name)
    technology = hardware_priors.technology_of(device)
    predicted = area(device.design(chips=1, compute_bits=16), technology, jnp.array(16.0)).total
    assert device.die_area is not None
    assert float(predicted) == pytest.approx(device.die_area.si.value, rel=0.15, abs=0.0)


def test_a_pool_takes_area_and_edge_as_memory_does(by_hand):
    pool = dataclasses.replace(
        by_hand.pool,
        stack_bandwidth=real(0.9 * TERA),
        phy_area=real(14.5 * SQUARE_MILLIMETRE),
        edge=real(8 * MILLIMETRE),
    )
    technology = dataclasses.replace(by_hand, pool=pool)
    pooled = dataclasses.replace(
        CHIP, pool_bandwidth=real(1.8 * TERA), pool_capacity=real(512 * GIGA)
    )
    # two ports: 54 + 2 × 14.5 mm², 98 + 2 × 8 mm
    assert float(area(pooled, technology, real(8.0)).memory_interface) == approx(
        83 * SQUARE_MILLIMETRE
    )
    assert float(needed_edge(pooled, technology)) == approx(114 * MILLIMETRE)
    without = dataclasses.replace(CHIP, pool_bandwidth=real(0.0), pool_capacity=real(0.0))
    assert float(area(without, technology, real(8.0)).memory_interface) == approx(
        54 * SQUARE_MILLIMETRE
    )


def test_sram_takes_what_its_bytes_or_its_wires_need(by_hand):
    wires = dataclasses.replace(
        by_hand.logic, sram_bandwidth_density=real(0.4 * TERA / SQUARE_MILLIMETRE)
    )
    technology = dataclasses.replace(by_hand, logic=wires)
    assert float(sram_area(CHIP, technology)) == approx(
        100 * SQUARE_MILLIMETRE
    )  # 60 MB; 20 TB/s / 0.4 = 50 mm² is less
    fast = dataclasses.replace(CHIP, sram_bandwidth=real(80 * TERA))
    assert float(sram_area(fast, technology)) == approx(200 * SQUARE_MILLIMETRE)


def test_sram_as_main_memory_is_paid_once(by_hand):
    slabs = dataclasses.replace(
        by_hand.memory,
        stack_bandwidth=real(45 * TERA),
        phy_area=real(100 * SQUARE_MILLIMETRE),
        staged=real(0.0),
    )
    technology = dataclasses.replace(by_hand, memory=slabs)
    chip = dataclasses.replace(CHIP, memory_bandwidth=real(90 * TERA))  # two slabs of 100 mm²
    for megabytes, excess in ((60, 0.0), (120, 0.0), (150, 50.0)):  # 0.6 MB/mm²: 100, 200, 250 mm²
        parts = area(
            dataclasses.replace(chip, sram_capacity=real(megabytes * MEGA)), technology, real(8.0)
        )
        assert float(parts.memory_interface) == approx(200 * SQUARE_MILLIMETRE)
        assert float(parts.sram) == pytest.approx(excess * SQUARE_MILLIMETRE, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize(("name", "error"), [("groq-lpu", 0.27), ("wse-3", 0.27)])
def test_devices_of_sram_are_charged_once(name, error):
    device = hardware_priors.device(name)
    technology = hardware_priors.technology_of(device)
    predicted = area(device.design(chips=1, compute_bits=16), technology, jnp.array(16.0)).total
    assert device.die_area is not None
    assert float(predicted) == pytest.approx(device.die_area.si.value, rel=error, abs=0.0)
