"""Sampling: quantiles, correlation, determinism, projection."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware_priors.prior import Prior
from hardware_priors.sampling import (
    BASE_YEAR,
    growth_priors,
    projected,
    quantile,
    sample_technologies,
)
from hardware_priors.technologies import technology, technology_priors

approx = partial(pytest.approx, rel=1e-9, abs=0.0)
"""The default absolute tolerance of pytest, 1e-12, would let any SI coefficient of links or
energies pass."""

DRAWS = 20_000
DRAWN = sample_technologies(jax.random.key(1), DRAWS, memory="HBM3E")


def leaf(tree, key):
    part, name = key.split(".")
    return np.asarray(getattr(getattr(tree, part), name))


def test_every_leaf_has_the_batch_and_is_finite():
    for path, value in jax.tree_util.tree_leaves_with_path(DRAWN):
        zero = (
            jax.tree_util.keystr(path) == ".pool.footprint"
        )  # a pool is beside the package: zero by construction
        assert (
            value.shape == (DRAWS,)
            and np.isfinite(value).all()
            and ((value == 0) if zero else (value > 0)).all()
        ), path


def test_quantiles_of_every_lognormal_and_bounds_of_every_triangular():
    for key, prior in technology_priors(memory="HBM3E").items():
        values, si = leaf(DRAWN, key), prior.si
        if prior.distribution == "lognormal":
            below, median, above = (
                float(np.mean(values <= bound))
                for bound in (si.low * (1 + 1e-9), si.value, si.high)
            )
            assert above == approx(0.95, abs=0.01), key
            assert si.low == si.value or (
                below == approx(0.05, abs=0.01) and median == approx(0.5, abs=0.015)
            ), key
        elif prior.distribution == "triangular":
            assert si.low <= values.min() and values.max() <= si.high, key
            width = si.high - si.low
            assert values.mean() == approx((si.low + si.value + si.high) / 3, abs=0.01 * width), key
            assert values.std() > 0.15 * width, key
        else:
            assert (values == values[0]).all(), key


def test_memory_prices_of_one_draw_move_together_and_others_do_not():
    correlation = np.corrcoef(
        np.log(leaf(DRAWN, "memory.layer_price")), np.log(leaf(DRAWN, "memory.stack_price"))
    )[0, 1]
    assert correlation == approx(1.0, abs=1e-6)
    other = np.corrcoef(leaf(DRAWN, "memory.layer_price"), leaf(DRAWN, "logic.wafer_price"))[0, 1]
    assert abs(other) < 0.03
    ddr = sample_technologies(jax.random.key(1), DRAWS, memory="DDR5")
    ranks = [np.argsort(np.argsort(leaf(tree, "memory.layer_price"))) for tree in (DRAWN, ddr)]
    assert np.corrcoef(*ranks)[0, 1] > 0.999, "HBM and DDR5 prices rise together"


def test_same_key_same_draws_other_key_other_draws():
    again, other = (sample_technologies(jax.random.key(seed), 8, memory="HBM3E") for seed in (1, 2))
    fresh = sample_technologies(jax.random.key(1), 8, memory="HBM3E")
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), again, fresh))
    assert not (leaf(again, "logic.wafer_price") == leaf(other, "logic.wafer_price")).any()
    shared = sample_technologies(jax.random.key(1), 8, memory="GDDR7")
    assert (leaf(shared, "logic.wafer_price") == leaf(fresh, "logic.wafer_price")).all()


def test_bad_requests():
    with pytest.raises(ValueError, match="n = 0"):
        sample_technologies(jax.random.key(0), 0)
    with pytest.raises(ValueError, match="utilisation = 2"):
        sample_technologies(jax.random.key(0), 2, utilisation=2)
    with pytest.raises(ValueError, match="did you mean 'HBM"):
        sample_technologies(jax.random.key(0), 2, memory="HBM5")
    fixed = sample_technologies(jax.random.key(0), 3, utilisation=0.4)
    assert leaf(fixed, "economics.utilisation").tolist() == [0.4] * 3


@given(st.floats(0.01, 0.99), st.floats(0.05, 0.95))
def test_triangular_quantile_inverts_its_distribution(share, mode):
    prior = Prior("x", "y", 10 + 5 * mode, 10, 15, "1", 2026, "a page", "B", "triangular")
    x = float(quantile(prior, jax.scipy.stats.norm.ppf(jnp.asarray(share))))
    rising = (x - 10) ** 2 / (5 * 5 * mode)
    falling = 1 - (15 - x) ** 2 / (5 * 5 * (1 - mode))
    assert (rising if x < prior.value else falling) == approx(share, abs=1e-5)


def test_projection_follows_the_trends_and_leaves_the_rest():
    now = technology()
    later, trends = projected(now, BASE_YEAR + 3), growth_priors()
    for key in technology_priors():
        growth = trends[key].value ** 3 if key in trends else 1.0
        assert float(leaf(later, key)) == approx(float(leaf(now, key)) * growth, rel=1e-6), key
    assert {"memory.stack_bandwidth", "memory.layer_price", "logic.matrix_energy"} <= set(trends)


def test_projection_to_the_base_year_changes_nothing_and_back_again_neither():
    now = technology()
    same, there_and_back = (
        projected(now, BASE_YEAR),
        projected(projected(now, 2030), BASE_YEAR, base_year=2030),
    )
    for key in technology_priors():
        assert float(leaf(same, key)) == float(leaf(now, key))
        assert float(leaf(there_and_back, key)) == approx(float(leaf(now, key)), rel=1e-6)


def test_uncertain_projection_spreads_with_the_years_and_keeps_prices_together():
    drawn = sample_technologies(jax.random.key(3), 4000)
    key = jax.random.key(4)

    def spread(year):
        ratio = leaf(projected(drawn, year, key), "memory.stack_bandwidth") / leaf(
            drawn, "memory.stack_bandwidth"
        )
        return np.log(ratio)

    growth = growth_priors()["memory.stack_bandwidth"]
    assert np.quantile(spread(2030), [0.05, 0.5, 0.95]) == approx(
        4 * np.log([growth.low, growth.value, growth.high]), abs=0.03
    )
    assert spread(2030).std() == approx(2 * spread(2028).std(), rel=1e-6)
    prices = [
        np.log(leaf(projected(drawn, 2030, key), f"memory.{name}") / leaf(drawn, f"memory.{name}"))
        for name in ("layer_price", "stack_price")
    ]
    assert prices[0] == approx(prices[1], rel=1e-9)
