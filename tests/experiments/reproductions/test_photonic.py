"""A photonic pool (arXiv 2507.14000): paths and ratios by hand, gains as they stand, and prices of
entry tried on the model itself."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

import codesign
from codesign.numerics.units import BITS_PER_BYTE, GIGA, PICO
from experiments.reproductions import photonic
from experiments.reproductions.photonic.entry import choices, enter, machines, world
from experiments.reproductions.photonic.systems import BOARD, RATE, compare, system

MODEL, CONTEXT = "deepseek-v3", 131072


def few() -> np.ndarray:
    """One chip or four, no middle shares."""
    rows = choices()
    whole = np.isin(rows[:, 4], (0.0, 1.0)) & np.isin(rows[:, 5], (0.0, 1.0))
    return rows[whole & np.isin(rows[:, 2], (1, 4)) & np.isin(rows[:, 0], (1, 4, 8))]


def test_paths_by_hand():
    assert photonic.path_energy("electrical", 1) == 65 + 35 + 65
    assert photonic.path_energy("photonic", 3) == 5 + 3 * 25 + 5
    assert photonic.path_energy("photonic", 0) == 10
    assert [each.verdict for each in photonic.paths()] == ["met"] * 4
    assert [each.verdict for each in photonic.hardware()] == ["met"] * 2


def test_ratios_of_the_training_tables():
    tensor, moved, *others = photonic.trained()
    assert tensor.verdict == "off by -7.2 %"
    # (1 - x) 50/10 + x 165/10 = 5.387
    share = float(moved.ours) / 100
    assert (1 - share) * 5.0 + share * 16.5 == pytest.approx(1026.05 / 190.46)
    assert all(each.verdict.startswith("not reproducible") for each in others)


def test_405b_on_boards_and_on_the_pool():
    model = codesign.model("llama-3.1-405b", nominal_parameters=True)
    found = compare(model, 1, *photonic.LONG)
    assert found.throughput == pytest.approx(2.51, rel=0.01)
    assert found.latency == pytest.approx(1.106, rel=0.002)
    assert [100 * each for each in found.efficiency] == pytest.approx([21.5, 54.1], rel=0.01)
    slow = photonic.slower_syncs(model)
    assert compare(model, 1, *photonic.LONG, latency=slow).latency == pytest.approx(1.40, rel=1e-6)
    both = [system(pool, 1.0, 4e-6) for pool in (False, True)]
    assert [float(each.chips * each.peak_flops) for each in both] == [BOARD * RATE] * 2


@pytest.fixture(scope="module")
def tried():
    return machines(MODEL, CONTEXT, world(), few())


def test_at_its_price_a_pool_is_worth_as_much_as_none(tried):
    """The entry is affine algebra; the model, asked anew at that price, must say the same."""
    found = enter(tried, world())
    assert found is not None and found.free_ports and found.energy
    for factor, better in ((0.99, True), (1.01, False)):
        price = factor * found.free_ports / GIGA * float(world().pool.layer_capacity)
        pool = dataclasses.replace(
            world().pool, stack_price=jnp.asarray(0.0), layer_price=jnp.asarray(price)
        )
        changed = dataclasses.replace(world(), pool=pool)
        again = enter(machines(MODEL, CONTEXT, changed, few()), changed)
        assert again is not None and (again.gain_per_dollar > 1.0) == better
        assert again.gain_per_dollar == pytest.approx(1.0, rel=0.02)
        energy = factor * found.energy * PICO * BITS_PER_BYTE
        pool = dataclasses.replace(world().pool, access_energy=jnp.asarray(energy))
        changed = dataclasses.replace(world(), pool=pool)
        again = enter(machines(MODEL, CONTEXT, changed, few()), changed)
        assert again is not None and (again.gain_per_watt > 1.0) == better


def test_machines_without_a_pool_pay_nothing_for_one(tried):
    alone = few()[:, 1] == 0
    assert np.all(tried.pooled[alone] == 0) and np.all(tried.streamed[alone] == 0)
    assert np.all(tried.pooled[~alone] > 0)
    assert tried.speed[alone].max() > 0


def test_dearer_pools_enter_later(tried):
    cheap, dear = (
        enter(
            tried,
            dataclasses.replace(
                world(), pool=dataclasses.replace(world().pool, stack_price=jnp.asarray(price))
            ),
        )
        for price in (0.0, 1e6)
    )
    assert cheap is not None and dear is not None
    assert cheap.price == cheap.free_ports and dear.price is None
    assert cheap.gain_per_dollar > dear.gain_per_dollar
