"""Two-layer Timoshenko against its known limits and a number worked out by hand."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hardware_priors
from codesign.numerics.fields import real
from codesign.numerics.units import SQUARE_MILLIMETRE
from codesign.physical.area import interposer_area
from codesign.physical.warpage import curvature, warpage
from tests.examples import examples

approx = pytest.approx
few = examples(20)
PACKAGING = hardware_priors.technology(packaging="CoWoS-S").packaging
THICK, STIFF = st.floats(1e-5, 5e-3), st.floats(1e9, 5e11)
STRAIN = (1e-5, 100.0)


def test_curvature_by_hand():
    # t 0.1 and 1.5 mm, E 130 and 25 GPa: m = 1/15, n = 5.2, mn = 0.346667; (1 + m)² = 1.137778 6 ·
    # 7.4e-6 · 140 · 1.137778 / (1.6e-3 · (3.413333 + 1.346667 · (0.004444 + 2.884615))) =
    # 0.00707243/0.0116863
    kappa = float(curvature(1e-4, 1.5e-3, 130e9, 25e9, 7.4e-6, 140.0))
    assert kappa == approx(0.605190, rel=1e-5)


def test_equal_layers_bend_as_timoshenko_says():
    # m = n = 1: κ = 24 ΔαΔT / (h · 16) = 3/2 · ΔαΔT/h
    assert float(curvature(5e-4, 5e-4, 7e10, 7e10, *STRAIN)) == approx(1.5 * 1e-3 / 1e-3)


@few
@given(first=THICK, second=THICK, one=STIFF, other=STIFF)
def test_the_layers_may_change_places(first, second, one, other):
    forth, back = (
        curvature(first, second, one, other, *STRAIN),
        curvature(second, first, other, one, *STRAIN),
    )
    assert float(forth) == approx(float(back), rel=1e-9)


@few
@given(first=THICK, second=THICK, one=STIFF, other=STIFF)
def test_no_mismatch_or_no_span_no_warpage(first, second, one, other):
    assert float(curvature(first, second, one, other, 0.0, 100.0)) == 0.0
    assert float(curvature(first, second, one, other, 1e-5, 0.0)) == 0.0


@few
@given(thickness=THICK, one=STIFF, other=STIFF, ratio=st.floats(1e-5, 1e-4))
def test_a_thin_film_follows_stoney(thickness, one, other, ratio):
    # m → 0: κ → 6 · Δα ΔT · m · n / t₂ (Stoney, 1909, without the Poisson ratio) while the film is
    # soft against the plate
    film = float(curvature(ratio * thickness, thickness, one, other, *STRAIN))
    stoney = 6 * STRAIN[0] * STRAIN[1] * ratio * (one / other) / thickness
    assert film == approx(stoney, rel=10 * ratio * (1 + one / other))


@few
@given(first=THICK, second=THICK, one=STIFF, other=STIFF)
def test_the_energy_of_the_bent_strip_is_least(first, second, one, other):
    """κ minimises ½∫E(z)·(ε₀ + κz − α(z)ΔT)² dz over ε₀ and κ: solved here without Timoshenko's
    formula."""
    bounds, moduli = np.array([0.0, first, first + second]), np.array([one, other])
    moments = [np.sum(moduli * np.diff(bounds ** (k + 1)) / (k + 1)) for k in range(3)]
    load = [one * STRAIN[0] * STRAIN[1] * first ** (k + 1) / (k + 1) for k in range(2)]
    determinant = moments[0] * moments[2] - moments[1] ** 2
    kappa = abs(moments[0] * load[1] - moments[1] * load[0]) / determinant
    assert float(curvature(first, second, one, other, *STRAIN)) == approx(kappa, rel=1e-6)


def test_warpage_by_hand():
    # the curvature above over a chord of √2831 mm = 53.2 mm: 0.605190 · 2.831e-3 / 8
    by_hand = dataclasses.replace(
        PACKAGING,
        interposer_thickness=real(1e-4),
        substrate_thickness=real(1.5e-3),
        interposer_modulus=real(130e9),
        substrate_modulus=real(25e9),
        expansion_mismatch=real(7.4e-6),
        assembly_temperature=real(140.0),
    )
    assert float(warpage(real(2831 * SQUARE_MILLIMETRE), by_hand)) == approx(
        0.605190 * 2.831e-3 / 8, rel=1e-5
    )


@few
@given(least=st.floats(1e-4, 1e-2), more=st.floats(1.01, 5.0))
def test_larger_warmer_and_more_unlike_bow_more(least, more):
    flat = float(warpage(least, PACKAGING))
    assert float(warpage(least * more, PACKAGING)) > flat
    for name in ("expansion_mismatch", "assembly_temperature"):
        assert (
            float(
                warpage(
                    least, dataclasses.replace(PACKAGING, **{name: getattr(PACKAGING, name) * more})
                )
            )
            > flat
        )


@pytest.mark.parametrize("choice", ["CoWoS-L", "CoWoS-S", "organic", "glass"])
def test_gradients_by_layer(choice):
    packaging, step = hardware_priors.technology(packaging=choice).packaging, 1e-6
    names = (
        "interposer_thickness",
        "substrate_thickness",
        "interposer_modulus",
        "substrate_modulus",
    )

    def bow(logs):
        scaled = {name: getattr(packaging, name) * jnp.exp(logs[k]) for k, name in enumerate(names)}
        return jnp.log(warpage(real(2e-3), dataclasses.replace(packaging, **scaled)))

    exact = jax.grad(bow)(jnp.zeros(4))
    for k in range(4):
        aside = jnp.zeros(4).at[k].set(step)
        assert float(exact[k]) == approx(float((bow(aside) - bow(-aside)) / (2 * step)), abs=1e-8)


def test_interposer_by_hand(machine):
    technology = hardware_priors.technology("N3", "HBM4", "NVLink5")
    memory = dataclasses.replace(
        technology.memory, stack_bandwidth=real(2e12), footprint=real(130 * SQUARE_MILLIMETRE)
    )
    packaging = dataclasses.replace(technology.packaging, area_ratio=real(1.2))
    technology = dataclasses.replace(technology, memory=memory, packaging=packaging)
    # 8 TB/s / 2 = 4 stacks × 130 mm² + 800 mm², × 1.2
    assert float(interposer_area(machine, technology, real(800 * SQUARE_MILLIMETRE))) == approx(
        1584 * SQUARE_MILLIMETRE
    )


def test_the_silicon_interposer_ends_where_its_maker_says():
    # 3.3 reticles: TSMC's limit and, with nominal materials, the largest bow within 3 %
    assert float(PACKAGING.interposer_most) == approx(3.3 * 858 * SQUARE_MILLIMETRE, rel=1e-3)
    assert float(warpage(PACKAGING.interposer_most, PACKAGING) / PACKAGING.warpage_most) == approx(
        0.973, abs=2e-3
    )
