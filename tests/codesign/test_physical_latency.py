"""Tiers and the floor of a collective against numbers worked out by hand."""

import dataclasses
import math

import jax
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hardware_priors
from codesign.numerics.fields import real
from codesign.numerics.units import MICRO, NANO
from codesign.physical.latency import sync_floor, tiers
from tests.examples import examples

approx = pytest.approx
few = examples(20)
NVLINK5 = hardware_priors.technology(link="NVLink5").links
LINKS = dataclasses.replace(
    NVLINK5,
    endpoint_latency=real(200 * NANO),
    switch_latency=real(250 * NANO),
    wire_latency=real(50 * NANO),
    radix=real(64.0),
)
ALL = real(1e9)


@pytest.mark.parametrize(
    ("domain", "radix", "expected"),
    [
        (1, 64, 1.0),
        (2, 64, 1.0),
        (64, 64, 1.0),
        (512, 64, 1.5),
        (4096, 64, 2.0),
        (262144, 64, 3.0),
        (8, 2, 3.0),
    ],
)
def test_tiers_by_hand(domain, radix, expected):
    assert float(tiers(real(domain), real(radix))) == approx(expected)


@pytest.mark.parametrize(
    ("chips", "domain", "nanoseconds"),
    [
        (8, 1e9, 500),  # 200 + 1 · (250 + 50)
        (512, 1e9, 800),  # 1.5 tiers: 200 + 2 · 300
        (4096, 1e9, 1100),  # 2 tiers: 200 + 3 · 300
        (4096, 64, 500),  # the network ends at 64 chips
    ],
)
def test_floor_by_hand(chips, domain, nanoseconds):
    assert float(sync_floor(real(chips), real(domain), LINKS)) == approx(nanoseconds * NANO)


def test_nvlink5_at_72_chips_is_near_half_a_microsecond():
    assert float(sync_floor(real(72.0), ALL, NVLINK5)) == approx(0.5 * MICRO, rel=0.1)


@few
@given(chips=st.floats(1.0, 1e5), more=st.floats(1.0, 100.0))
def test_the_floor_never_falls_with_chips_and_never_rises_with_the_radix(chips, more):
    floor = float(sync_floor(chips, ALL, LINKS))
    assert float(sync_floor(chips * more, ALL, LINKS)) >= floor * (1 - 1e-12)
    wider = dataclasses.replace(LINKS, radix=LINKS.radix * more)
    assert float(sync_floor(chips, ALL, wider)) <= floor * (1 + 1e-12)


@few
@given(chips=st.floats(65.0, 1e5))
def test_gradient_above_the_radix(chips):
    slope = jax.grad(lambda n: sync_floor(n, ALL, LINKS))(real(chips))
    assert float(slope) == approx(2 * 300 * NANO / math.log(64) / chips, rel=1e-9)


def test_each_part_of_the_floor_counts():
    slope = jax.grad(lambda links: sync_floor(real(4096.0), ALL, links))(LINKS)
    assert [
        float(slope.endpoint_latency),
        float(slope.switch_latency),
        float(slope.wire_latency),
    ] == approx([1.0, 3.0, 3.0])
    assert float(slope.radix) < 0
