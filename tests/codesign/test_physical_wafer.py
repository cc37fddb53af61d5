"""Dies per wafer, yield and die price against numbers worked out by hand, in mm and defects per
cm²."""

import dataclasses
import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hardware_priors
from codesign.hardware.technology import Logic
from codesign.numerics.fields import real
from codesign.numerics.units import SQUARE_CENTIMETRE, SQUARE_MILLIMETRE
from codesign.physical.wafer import (
    die_price,
    dies_per_wafer,
    murphy_yield,
    negative_binomial_yield,
    poisson_yield,
    sellable_yield,
)
from tests.examples import examples

approx = partial(pytest.approx, rel=1e-9, abs=0.0)
few = examples(20)


@pytest.fixture(scope="module")
def logic() -> Logic:
    return dataclasses.replace(
        hardware_priors.technology("N3").logic,
        wafer_price=real(20000),
        wafer_diameter=real(0.3),
        edge_exclusion=real(0.005),
        defect_density=real(0.12 / SQUARE_CENTIMETRE),
        defect_clustering=real(3),
        critical_fraction=real(0.25),
    )


@pytest.mark.parametrize(
    (
        "die",
        "dies",
    ),  # mm² on a 300 mm wafer with a 5 mm ring: π·145² = 66051.985 mm², π·290 = 911.0619 mm
    [
        (814.0, 66051.98554 / 814 - 911.0618695 / 1628**0.5),  # 81.145 − 22.580 = 58.565
        (100.0, 660.5198554 - 911.0618695 / 200**0.5),  # 660.520 − 64.422 = 596.098
        (858.0, 66051.98554 / 858 - 911.0618695 / 1716**0.5),  # 76.984 − 21.993 = 54.991
        (
            40000.0,
            0.05 * 1.6512996385,
        ),  # a die that no wafer holds: 1.65 − 3.22 < 0, so a twentieth of the gross count
    ],
)
def test_dies_per_wafer(die, dies):
    assert float(dies_per_wafer(real(die * SQUARE_MILLIMETRE), real(0.3), real(0.005))) == approx(
        dies
    )


def test_dies_per_wafer_are_fewer_than_the_area_allows_and_fall_with_the_die():
    dies = np.geomspace(20, 80000, 400) * SQUARE_MILLIMETRE
    counted = np.asarray(
        jax.vmap(lambda a: dies_per_wafer(a, real(0.3), real(0.0)))(jnp.asarray(dies))
    )
    assert (
        (counted > 0).all()
        and (counted < math.pi * 0.15**2 / dies).all()
        and (np.diff(counted) < 0).all()
    )


@pytest.mark.parametrize(
    ("square_centimetres", "density", "clustering", "expected"),
    [
        (3.0, 1.0, 3.0, 0.125),  # (1 + 3/3)^−3
        (8.0, 0.25, 1.0, 1 / 3),  # Seeds: 1/(1 + 2)
        (8.14, 0.10, 3.0, (3.814 / 3) ** -3),  # an H100: 0.4867
        (0.0, 1.0, 3.0, 1.0),
    ],
)
def test_yield(square_centimetres, density, clustering, expected):
    area, defects = real(square_centimetres * SQUARE_CENTIMETRE), real(density / SQUARE_CENTIMETRE)
    assert float(negative_binomial_yield(area, defects, real(clustering))) == approx(expected)


def test_yield_tends_to_poisson():
    area, defects = real(8 * SQUARE_CENTIMETRE), real(0.12 / SQUARE_CENTIMETRE)
    poisson = math.exp(-0.96)
    errors = [
        float(negative_binomial_yield(area, defects, real(a))) / poisson - 1
        for a in (1e2, 1e4, 1e6)
    ]
    # second order: exp((A·D₀)²/2α) − 1 = 0.4608/α
    assert errors == approx([0.4608e-2, 0.4608e-4, 0.4608e-6], rel=0.01)


def test_die_price_with_and_without_harvesting(logic):
    die = real(800 * SQUARE_MILLIMETRE)
    dies = 66051.98554 / 800 - 911.0618695 / 40  # 82.5650 − 22.7765 = 59.7884
    # a quarter of 8 cm² is critical: 2 cm² × 0.12 = 0.24 defects, yield 1.08^−3 = 0.79383; 20000
    # $/(59.788 × 0.79383)
    assert float(die_price(logic, die)) == approx(20000 / dies * 1.08**3)
    assert float(die_price(logic, die)) == pytest.approx(421.4, rel=1e-3, abs=0.0)
    whole = dataclasses.replace(logic, critical_fraction=real(1.0))  # 0.96 defects: 1.32^3 = 2.2999
    assert float(die_price(whole, die)) == approx(20000 / dies * 1.32**3)
    flawless = dataclasses.replace(logic, defect_density=real(0.0))
    assert float(die_price(flawless, die)) == approx(20000 / dies)


def test_price_rises_with_area_defects_critical_share_and_wafer(logic):
    def price(area, defects, critical, wafer):
        changed = dataclasses.replace(
            logic, defect_density=defects, critical_fraction=critical, wafer_price=wafer
        )
        return die_price(changed, area)

    slopes = jax.vmap(jax.grad(price, argnums=(0, 1, 2, 3)), in_axes=(0, None, None, None))
    areas = jnp.geomspace(10, 4000, 60) * SQUARE_MILLIMETRE
    for slope in slopes(areas, logic.defect_density, logic.critical_fraction, logic.wafer_price):
        assert bool(jnp.all(slope > 0))


def test_silicon_gets_dearer_per_area_with_the_die(logic):
    areas = jnp.geomspace(100, 800, 30) * SQUARE_MILLIMETRE
    per_area = jax.vmap(lambda a: die_price(logic, a) / a)(areas)
    assert bool(jnp.all(jnp.diff(per_area) > 0))


@pytest.mark.parametrize(
    ("defects", "poisson", "murphy"),
    [
        (0.0, 1.0, 1.0),
        (1e-5, 1 - 1e-5 + 0.5e-10, 1 - 1e-5 + 7 / 12 * 1e-10),
        (0.5, 0.6065306597126334, 0.6192724869847),  # (0.3934693402873666/0.5)²
        (1.0, 0.36787944117144233, 0.3995764008937280),  # (1 − 1/e)²
        (
            0.814,
            0.44308205,
            0.46809436,
        ),  # an H100 at 0.1 per cm²: (1 − 0.44308205)/0.814 = 0.68417439
    ],
)
def test_poisson_and_murphy_by_hand(defects, poisson, murphy):
    area, density = real(defects * SQUARE_CENTIMETRE), real(1.0 / SQUARE_CENTIMETRE)
    assert float(poisson_yield(area, density)) == pytest.approx(poisson, rel=1e-6, abs=0.0)
    assert float(murphy_yield(area, density)) == pytest.approx(murphy, rel=1e-6, abs=0.0)


@few
@given(defects=st.floats(1e-3, 10.0), alpha=st.floats(0.5, 50.0))
def test_clustering_helps_and_its_limit_is_poisson(defects, alpha):
    area, density = real(defects * SQUARE_CENTIMETRE), real(1.0 / SQUARE_CENTIMETRE)
    poisson, murphy = float(poisson_yield(area, density)), float(murphy_yield(area, density))
    clustered = float(negative_binomial_yield(area, density, real(alpha)))
    assert poisson < clustered < 1 and poisson < murphy < 1
    assert float(negative_binomial_yield(area, density, real(1e9))) == pytest.approx(
        poisson, rel=1e-6, abs=0.0
    )


@pytest.mark.parametrize("defects", [0.0, 5e-5, 9.99e-5, 1.001e-4, 1.0])
def test_gradient_of_murphy_is_finite_and_smooth(defects):
    density, step = real(1.0), 1e-7
    slope = float(jax.grad(lambda a: murphy_yield(a, density))(real(defects)))
    assert slope == pytest.approx(
        -1.0 + 7 / 6 * defects if defects < 0.1 else -0.33406, rel=1e-3
    )  # 2(1 − 1/e)(2/e − 1)
    if defects > 2 * step:
        central = float(
            murphy_yield(defects + step, density) - murphy_yield(defects - step, density)
        ) / (2 * step)
        assert slope == pytest.approx(central, rel=1e-5)


def test_harvesting_by_hand(logic):
    # a quarter of 8 cm² × 0.12 per cm² = 0.24 defects: (1 + 0.08)^−3; without harvesting 0.96:
    # 1.32^−3
    die = real(800 * SQUARE_MILLIMETRE)
    assert float(sellable_yield(logic, die)) == approx(1.08**-3)
    assert float(
        sellable_yield(dataclasses.replace(logic, critical_fraction=real(1.0)), die)
    ) == approx(1.32**-3)
    assert (
        float(sellable_yield(dataclasses.replace(logic, critical_fraction=real(0.0)), die)) == 1.0
    )


def test_amortised_die_by_hand(logic):
    # one die of 800 mm² sold from a 20000 $ wafer: 59.7884 dies × 0.79383 = 47.462 sold, 421.39 $
    # each
    die = real(800 * SQUARE_MILLIMETRE)
    sold = float(
        dies_per_wafer(die, logic.wafer_diameter, logic.edge_exclusion) * sellable_yield(logic, die)
    )
    assert float(die_price(logic, die)) * sold == approx(20000.0)
