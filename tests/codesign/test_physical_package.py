"""Heat in a package: exact and series solutions, energy, gradients by position, symmetry; layouts
and placements by hand and by search."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import codesign
import hardware_priors
from codesign.numerics.fields import real
from codesign.physical.package.chiplets import Chiplets, Package, coverage, heat
from codesign.physical.package.conduction import Plates, temperatures, to_coolant
from codesign.physical.package.judgement import judge, power_at_limit
from codesign.physical.package.layout import calibrate_film, package_of
from codesign.physical.package.placement import (
    Allowed,
    anneal,
    best_of,
    gaps,
    intrusion,
    is_legal,
    place,
)

CELLS = (14, 18)
AROUND = hardware_priors.assembly("CoWoS-S")
WORLD = hardware_priors.technology("N4", "HBM3", "NVLink4", packaging="CoWoS-S")


@pytest.fixture(scope="module")
def small():
    """A die between two stacks, and their centres."""
    one = np.ones(3)
    chiplets = Chiplets(
        width=np.array([20e-3, 11e-3, 11e-3]),
        height=np.array([20e-3, 10e-3, 10e-3]),
        power=np.array([400.0, 30.0, 30.0]),
        core_share=np.array([0.7, 0.0, 0.0]),
        core_scale=np.array([0.6, 1.0, 1.0]),
        memory=np.array([0.0, 1.0, 1.0]),
        bandwidth=one * 1e12,
    )
    package = Package(jax.tree.map(jnp.asarray, chiplets), AROUND, 52e-3, 30e-3)
    return package, jnp.array([[0.0, 0.0], [-17e-3, 0.0], [17e-3, 0.0]])


solved = jax.jit(heat, static_argnums=2)


def even(rows: int, columns: int, plates: int = 1, conductivity: float = 400.0, **changed):
    k = jnp.full((plates, rows, columns), conductivity)
    gaps = jnp.full((plates - 1, rows, columns), 3e-5)
    given = {"thickness": jnp.full(plates, 1e-3), "lateral": k, "vertical": k, "contact": gaps}
    given |= {"film": 2e-5, "cell_width": 1e-3, "cell_height": 2e-3}
    return Plates(**(given | changed))


def test_even_heat_rises_by_power_over_area_times_resistance():
    # three plates, heat in the lowest: two contacts, half a plate below, one between, half above
    plates = even(3, 4, 3)
    made = jnp.zeros((3, 3, 4)).at[0].set(2.0)
    rise = temperatures(plates, made)
    flux = 24.0 / (12 * 2e-6)
    top = flux * (2e-5 + 0.5e-3 / 400)
    step = flux * (3e-5 + 1e-3 / 400)
    for k in range(3):
        assert np.asarray(rise[2 - k]) == pytest.approx(top + k * step, rel=1e-10)


def test_a_strip_heated_at_one_end_is_a_fin():
    """k t T″ = T/R − q″ on [0, L], heated on [0, a]: hyperbolic cosines, the error falling with the
    square of the cell."""
    length, heated, k, thick, film = 40e-3, 10e-3, 300.0, 1e-3, 1e-4
    m = np.sqrt(1.0 / (k * thick * film))
    errors = []
    for cells in (32, 64):
        plates = even(
            1, cells, conductivity=k, vertical=jnp.full((1, 1, cells), 1e12),
            film=film, cell_width=length / cells, cell_height=1.0,
        )  # fmt: skip
        flux = 1e5
        edges = np.linspace(0.0, length, cells + 1)
        share = np.clip((heated - edges[:-1]) / np.diff(edges), 0.0, 1.0)
        rise = np.asarray(
            temperatures(plates, jnp.asarray(flux * share * length / cells)[None, None, :])
        )[0, 0]
        x = 0.5 * (edges[1:] + edges[:-1])
        inside = 1.0 - np.sinh(m * (length - heated)) / np.sinh(m * length) * np.cosh(m * x)
        outside = np.sinh(m * heated) / np.sinh(m * length) * np.cosh(m * (length - x))
        exact = flux * film * np.where(x < heated, inside, outside)
        errors.append(np.max(np.abs(rise - exact)) / exact.max())
    assert errors[1] < 1e-3 and errors[0] / errors[1] == pytest.approx(4.0, rel=0.2)


def test_heat_made_is_heat_that_leaves():
    rng = np.random.default_rng(0)
    k = jnp.asarray(rng.uniform(1.0, 400.0, (2, 7, 9)))
    plates = even(7, 9, 2, lateral=k, vertical=k[::-1])
    made = jnp.asarray(rng.uniform(0.0, 3.0, (2, 7, 9)))
    rise = temperatures(plates, made)
    assert float(to_coolant(plates, rise)) == pytest.approx(float(made.sum()), rel=1e-9)


def test_a_package_loses_no_heat_to_the_grid(small):
    package, centres = small
    covered = coverage(package, centres, package.chiplets.width, package.chiplets.height, CELLS)
    cell = (52e-3 + 2 * float(AROUND.lid_margin)) / 18 * (30e-3 + 2 * float(AROUND.lid_margin)) / 14
    area = np.asarray(package.chiplets.width * package.chiplets.height)
    assert np.asarray(covered.sum(axis=(1, 2))) * cell == pytest.approx(area, rel=1e-6)
    assert float(covered.min()) > -1e-12


def test_symmetric_layouts_have_symmetric_fields(small):
    found = solved(*small, CELLS)
    rise = np.asarray(found.rise)
    assert rise == pytest.approx(rise[:, ::-1], rel=1e-9)
    assert rise == pytest.approx(rise[::-1], rel=1e-9)
    assert float(found.hottest[1]) == pytest.approx(float(found.hottest[2]), rel=1e-9)
    assert bool(jnp.all(found.mean < found.soft)) and bool(jnp.all(found.soft <= found.hottest))


def test_gradients_by_position_are_differences(small):
    package, centres = small
    apart = centres + jnp.array([[0.3e-3, 0.7e-3], [-1e-3, 0.4e-3], [0.2e-3, -0.9e-3]])
    told = jax.jit(lambda at: jnp.sum(heat(package, at, CELLS).soft))
    slope = np.asarray(jax.jit(jax.grad(told))(apart))
    step = 1e-6
    for k in np.ndindex(3, 2):
        moved = jnp.zeros((3, 2)).at[k].set(step)
        difference = float(told(apart + moved) - told(apart - moved)) / (2 * step)
        assert slope[k] == pytest.approx(difference, rel=1e-5, abs=1e-3), k


def test_the_film_gives_the_even_rise_of_the_reference(small):
    package, centres = small
    resistance = real(50e-6)
    around = calibrate_film(AROUND, resistance, package, centres, CELLS)
    found = solved(dataclasses.replace(package, assembly=around), centres, CELLS)
    assert float(found.mean[0]) == pytest.approx(50e-6 * 460.0 / 400e-6, rel=1e-4)
    with pytest.raises(ValueError, match="the plates alone have"):
        calibrate_film(AROUND, real(1e-6), package, centres, CELLS)


def test_an_h100_laid_out_by_hand():
    h100 = hardware_priors.device("h100")
    package, centres = package_of(h100.design(1), WORLD, AROUND, power=700.0, stacks=5)
    parts = package.chiplets
    assert float(parts.power.sum()) == pytest.approx(700.0, rel=1e-9)
    assert np.asarray(parts.memory).tolist() == [0, 1, 1, 1, 1, 1]
    assert is_legal(package, centres)
    assert sorted(np.sign(np.asarray(centres[1:, 1])).tolist()) == [-1, -1, 1, 1, 1]
    plain, _ = package_of(h100.design(1), WORLD, AROUND)
    found = codesign.evaluate(
        h100.design(1),
        codesign.Workload(codesign.model("llama-3.1-8b"), codesign.Decode(batch=1, context=1024)),
        technology=WORLD,
    )
    assert float(plain.chiplets.power.sum()) == pytest.approx(float(found.peak_power), rel=1e-9)


def test_memory_without_a_footprint_heats_the_dies():
    world = hardware_priors.technology("N4", "3D-DRAM", "NVLink4")
    package, centres = package_of(hardware_priors.device("h100").design(1), world, AROUND)
    assert centres.shape == (1, 2) and float(package.chiplets.memory.sum()) == 0.0


def test_many_stacks_find_room_at_the_ends():
    design = dataclasses.replace(hardware_priors.device("h100").design(1), chips=real(1.0))
    package, centres = package_of(design, WORLD, AROUND, stacks=7)
    assert is_legal(package, centres) and len(centres) == 8


def test_rises_are_proportional_to_power(small):
    package, centres = small
    spread = hardware_priors.assembly_spread("CoWoS-S")
    found = judge(package, centres, WORLD, spread, CELLS)
    most = power_at_limit(found, 460.0)
    scaled = dataclasses.replace(package.chiplets, power=package.chiplets.power * most / 460.0)
    at_most = judge(dataclasses.replace(package, chiplets=scaled), centres, WORLD, spread, CELLS)
    used = (at_most.logic / at_most.allowed.logic, at_most.memory / at_most.allowed.memory)
    assert max(used) == pytest.approx(1.0, rel=1e-9)
    assert 0.0 < found.logic_band < found.logic and not at_most.sure
    known = dataclasses.replace(spread, stack_vertical=real(0.0))
    assert judge(package, centres, WORLD, known, CELLS).memory_band < found.memory_band
    assert found.bow == pytest.approx(52e-3 * 30e-3 * judge_bow_per_area(), rel=1e-9)


def judge_bow_per_area() -> float:
    from codesign.physical.warpage import warpage

    return float(warpage(jnp.asarray(1.0), WORLD.packaging))


def test_wires_and_intrusions_by_hand(small):
    package, _ = small
    at = jnp.array([[0.0, 0.0], [-17e-3, 4e-3], [9e-3, 0.0]])
    wires = np.asarray(gaps(package, at))
    assert wires == pytest.approx([0.0, 1.5e-3, 0.0], abs=1e-12)
    pairs, beyond = intrusion(package, at, 0.0)
    # the second stack lies from 3.5 to 14.5 mm and ±5 mm on a die that ends at 10 mm both ways
    assert float(pairs[0, 2]) == pytest.approx(6.5e-3 * 15e-3)
    assert float(beyond.max()) == 0.0 and not is_legal(package, at)
    out = jnp.array([[0.0, 0.0], [-17e-3, 0.0], [22e-3, 0.0]])
    assert float(intrusion(package, out, 0.0)[1].max()) == pytest.approx(1.5e-3)


def test_searches_are_legal_no_worse_than_the_start_and_equally_dear(small):
    package, _ = small
    centres = jnp.array([[3e-3, 0.0], [-19e-3, 3e-3], [20e-3, -2e-3]])
    allowed = Allowed(60.0, 50.0)
    start = best_of(package, [centres], allowed, 1)
    moved = place(package, centres, allowed, starts=1, steps=40)
    assert moved.legal and moved.value < start.value - 0.02
    annealed = anneal(package, centres, allowed, 40)
    assert annealed.legal and annealed.value <= start.value + 1e-12
    assert annealed.evaluations <= 41


def test_the_underside_is_hotter_by_what_is_made_there():
    """In the middle of one chiplet: q·t/2k of what is made at the base, by hand."""

    def hottest(base_share: float) -> float:
        one = jnp.ones(1)
        size, power = 20e-3 * one, 40.0 * one
        chiplet = Chiplets(size, size, power, 0.0 * one, one, one, one)
        around = dataclasses.replace(
            AROUND, lid_margin=real(0.0), stack_base_share=real(base_share)
        )
        package = Package(chiplet, around, 30e-3, 30e-3)
        return float(solved(package, jnp.zeros((1, 2)), (15, 15)).rise[7, 7])

    flux = 40.0 / 4e-4
    below = flux * 0.5 * float(AROUND.chiplet_thickness / AROUND.stack_vertical)
    assert hottest(1.0) - hottest(0.0) == pytest.approx(below, rel=1e-4)
    assert hottest(0.5) - hottest(0.0) == pytest.approx(0.5 * below, rel=1e-4)
