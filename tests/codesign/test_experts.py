"""Routing statistics against simulation, limits, derivatives and bounds."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.stats import norm

from codesign.workload import experts as routing
from codesign.workload import skewed_experts, urn
from tests.codesign import oracle_routing
from tests.examples import examples

FUNCTIONS = [routing.busiest_touched, routing.busiest_rows]


@cache
def simulated(experts, active, rows, trials, weights=None):
    """Times each expert is picked, (trials, experts): each token picks distinct experts, the first
    of racing clocks."""
    random = np.random.default_rng(7)
    counts = np.zeros((trials, experts), int)
    for _ in range(rows):
        clocks = random.exponential(size=(trials, experts)) / (
            1.0 if weights is None else np.asarray(weights)
        )
        picks = np.argpartition(clocks, active - 1, axis=1)[:, :active]
        counts[np.arange(trials)[:, None], picks] += 1
    return counts


def close(estimate, samples, tolerance):
    standard_error = samples.std() / np.sqrt(len(samples))
    assert standard_error < 0.005 * samples.mean()
    assert float(estimate) == pytest.approx(samples.mean(), rel=tolerance, abs=3 * standard_error)


@pytest.mark.parametrize(
    "experts, active, rows, trials",
    [(8, 2, 1, 20000), (8, 2, 3, 20000), (8, 6, 8, 6000), (64, 4, 5, 6000), (64, 8, 60, 2500), (256, 8, 1, 9000),
     (256, 8, 32, 2500), (384, 6, 45, 2000), (128, 2, 400, 1000)],
)  # fmt: skip
def test_uniform_routing_agrees_with_simulation(experts, active, rows, trials):
    counts = simulated(experts, active, rows, trials)
    close(routing.touched_experts(experts, active, rows), (counts > 0).sum(1), 0.005)
    for groups in [g for g in (2, 4, 8, 32, 64, 128, experts) if experts % g == 0]:
        chips = counts.reshape(trials, groups, -1)
        close(routing.busiest_rows(experts, active, rows, groups), chips.sum(2).max(1), 0.02)
        close(
            routing.busiest_touched(experts, active, rows, groups), (chips > 0).sum(2).max(1), 0.02
        )


@pytest.mark.parametrize("skew", [0.3, 1.0])
@pytest.mark.parametrize("rows", [1, 16, 200])
def test_skewed_routing_agrees_with_simulation(skew, rows):
    experts, active, groups = 64, 6, 16
    popularity = skewed_experts.zipf_popularity(experts, skew)
    counts = simulated(
        experts,
        active,
        rows,
        {1: 20000, 16: 4000, 200: 1000}[rows],
        tuple(np.asarray(popularity).tolist()),
    )
    close(
        skewed_experts.touched_experts_skewed(popularity, active, rows), (counts > 0).sum(1), 0.02
    )
    dealt = counts.reshape(len(counts), -1, groups)
    dealt[:, 1::2] = dealt[:, 1::2, ::-1].copy()
    close(
        jax.jit(skewed_experts.busiest_rows_skewed, static_argnums=3)(
            popularity, active, rows, groups
        ),
        dealt.sum(1).max(1),
        0.05,
    )


def test_no_skew_is_uniform():
    popularity = skewed_experts.zipf_popularity(64, 0.0)
    for rows in (1.0, 20.0, 3000.0):
        assert float(skewed_experts.touched_experts_skewed(popularity, 6, rows)) == pytest.approx(
            float(routing.touched_experts(64, 6, rows)), rel=1e-9
        )
        for groups in (1, 5, 64):
            assert float(
                skewed_experts.busiest_rows_skewed(popularity, 6, rows, groups)
            ) == pytest.approx(
                float(routing.busiest_rows(64, 6, rows, groups)), rel=1e-3 if groups == 5 else 1e-9
            )


def test_skew_makes_the_busiest_chip_busier_and_touches_fewer():
    skews = jnp.array([0.0, 0.4, 0.8, 1.2])
    load = jax.vmap(
        lambda s: skewed_experts.busiest_rows_skewed(
            skewed_experts.zipf_popularity(64, s), 4, 64.0, 64
        )
    )(skews)
    touched = jax.vmap(
        lambda s: skewed_experts.touched_experts_skewed(
            skewed_experts.zipf_popularity(64, s), 4, 20.0
        )
    )(skews)
    assert (jnp.diff(load) > 0).all() and (jnp.diff(touched) < 0).all()


def test_pick_probabilities_sum_to_active_and_carry_exact_gradients():
    def hottest(skew):
        return skewed_experts.pick_probability(skewed_experts.zipf_popularity(64, skew), 6.0)[0]

    assert float(
        skewed_experts.pick_probability(skewed_experts.zipf_popularity(64, 1.0), 6.0).sum()
    ) == pytest.approx(6.0, rel=1e-12)
    assert float(
        skewed_experts.pick_probability(skewed_experts.zipf_popularity(8, 2.0), 7.5).sum()
    ) == pytest.approx(7.5, rel=1e-9)
    step = 1e-5
    assert float(jax.grad(hottest)(0.7)) == pytest.approx(
        float(hottest(0.7 + step) - hottest(0.7 - step)) / (2 * step), rel=1e-7
    )


def test_bad_static_arguments_are_named():
    with pytest.raises(ValueError, match="groups = 65: expected 1 to 64"):
        skewed_experts.busiest_rows_skewed(skewed_experts.zipf_popularity(64, 1.0), 4, 8.0, 65)
    with pytest.raises(ValueError, match="experts = 0"):
        skewed_experts.zipf_popularity(0, 1.0)


@pytest.mark.parametrize("rows", [1.0, 2.5, 40.0, 4096.0])
@pytest.mark.parametrize("experts, active", [(8.0, 2.0), (256.0, 8.0), (100.5, 3.3), (6.0, 6.0)])
def test_limits(experts, active, rows):
    touched = float(routing.touched_experts(experts, active, rows))
    assert touched == pytest.approx(experts * (1 - (1 - active / experts) ** rows), rel=1e-12)
    assert float(routing.busiest_touched(experts, active, rows, 1.0)) == pytest.approx(
        touched, rel=1e-9
    )
    assert float(routing.busiest_rows(experts, active, rows, 1.0)) == pytest.approx(
        rows * active, rel=1e-9
    )
    assert float(routing.busiest_touched(experts, active, rows, experts)) == pytest.approx(
        1.0, rel=1e-3
    )
    assert float(routing.busiest_touched(experts, active, 1e6, experts / 2)) == pytest.approx(
        2.0, rel=1e-3
    )


def test_every_expert_active_leaves_nothing_to_chance():
    assert float(routing.busiest_rows(8.0, 8.0, 5.0, 4.0)) == pytest.approx(10.0, rel=1e-6)
    assert float(routing.busiest_touched(8.0, 8.0, 1.0, 4.0)) == pytest.approx(2.0, rel=1e-3)
    assert float(routing.busiest_rows(8.0, 8.0, 1.0, 8.0)) == pytest.approx(1.0, rel=1e-3)


def test_one_token_of_two_experts_on_two_chips():
    # Both experts of the token are on one chip of four with probability 3/7.
    assert float(routing.busiest_rows(8.0, 2.0, 1.0, 2.0)) == pytest.approx(1 + 3 / 7, rel=0.005)


def test_saturated_chips_stream_all_they_hold():
    gradient = jax.grad(routing.busiest_touched, argnums=(0, 3))(256.0, 8.0, 4096.0, 64.0)
    assert [float(g) for g in gradient] == pytest.approx([1 / 64, -4 / 64], rel=1e-3)


whole = st.tuples(
    st.sampled_from([8, 64, 128, 256, 384]),
    st.sampled_from([1, 2, 4, 6, 8]),
    st.integers(1, 4096),
    st.integers(0, 20),
)


def divisors(number):
    return [d for d in range(1, number + 1) if number % d == 0]


ROWS = (
    1,
    2,
    3,
    4,
    5,
    6,
    8,
    10,
    12,
    16,
    20,
    24,
    32,
    40,
    45,
    50,
    64,
    80,
    101,
    128,
    160,
    200,
    256,
    303,
    400,
    512,
    700,
    1024,
    2048,
)


@pytest.mark.parametrize("experts", [8, 64, 128, 256, 384])
def test_touched_experts_of_the_busiest_chip_against_enumeration(experts):
    function = jax.jit(jax.vmap(routing.busiest_touched, (None, None, 0, None)))
    for active, tolerance in ((1, 0.026), (2, 0.018), (4, 0.018), (6, 0.018), (8, 0.018)):
        for groups in divisors(experts)[1:]:
            exact = oracle_routing.busiest_touched(experts, active, ROWS, groups)
            found = function(float(experts), float(active), jnp.array(ROWS, float), float(groups))
            np.testing.assert_allclose(
                found, exact, rtol=tolerance, err_msg=f"{active} active, {groups} groups"
            )


@pytest.mark.parametrize("experts", [2, 4, 8, 12, 16, 60, 64, 72, 96, 128, 160, 192, 256, 384, 512])
def test_touched_experts_never_fall_as_rows_rise(experts):
    """The function bounds the traffic of every mixture. 600 numbers of rows from 1 to 100,000,
    whole or not."""
    function = jax.jit(jax.vmap(routing.busiest_touched, (None, None, 0, None)))
    rows = jnp.exp(jnp.linspace(0.0, np.log(1e5), 600))
    for active in (1, 2, 3, 4, 6, 8, 10):
        for groups in divisors(experts)[1:]:
            found = np.asarray(
                function(float(experts), float(min(active, experts)), rows, float(groups))
            )
            assert (np.diff(found) >= -1e-12 * found[1:]).all(), (active, groups)


@examples(150)
@given(whole, st.floats(1.0, 3.0))
@example((384, 6, 101, 10), 3.0)  # 48 groups: fell from 8.000 to 7.916
@example((64, 6, 50, 0), 1.0)
@pytest.mark.parametrize(
    "function, mean, rounding",
    [
        (jax.jit(routing.busiest_touched), routing.touched_experts, 1e-12),
        (jax.jit(routing.busiest_rows), lambda experts, active, rows: active * rows, 1e-5),
    ],
    ids=["touched", "rows"],
)
def test_bounds_and_monotonicity(function, mean, rounding, case, factor):
    *sizes, choice = case
    experts, active, rows = map(float, sizes)
    choices = [float(groups) for groups in divisors(sizes[0])]
    index = choice % len(choices)
    value = float(function(experts, active, rows, choices[index]))
    total = float(mean(experts, active, rows))
    assert max(total / choices[index], 1.0) * (1 - 0.015) <= value <= total * (1 + 1e-6)
    assert float(function(experts, active, rows * factor, choices[index])) >= value * (1 - rounding)
    if index + 1 < len(choices):
        assert float(function(experts, active, rows, choices[index + 1])) <= value * (1 + 0.005)


@examples(60)
@given(st.floats(20.0, 400.0), st.floats(1.5, 8.0), st.floats(1.5, 4000.0), st.floats(0.03, 0.97))
@pytest.mark.parametrize("function", FUNCTIONS)
def test_gradients_agree_with_finite_differences(function, experts, active, rows, part):
    # In log variables; a kink between the two points (fractional experts on a chip) is told by one-
    # sided slopes.
    point = jnp.log(jnp.array([experts, active, rows, experts**part]))
    value, gradient = _in_logs(function)(point)
    for axis in range(4):
        step = 1e-6 * jnp.eye(4)[axis]
        upper, lower = _in_logs(function)(point + step)[0], _in_logs(function)(point - step)[0]
        sides = sorted([float(upper - value) / 1e-6, float(value - lower) / 1e-6])
        margin = 1e-4 + 1e-3 * abs(sides[0])
        assert sides[0] - margin <= float(gradient[axis]) <= sides[1] + margin


@cache
def _in_logs(function):
    return jax.jit(jax.value_and_grad(lambda point: jnp.log(function(*jnp.exp(point)))))


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_no_nan_at_the_bounds(function, dtype):
    corners = [
        (experts, active, rows, groups)
        for experts in (1.0, 2.0, 8.0, 384.0)
        for active in (1.0, 2.0, experts)
        for rows in (1.0, 2.0, 4096.0, 1e6)
        for groups in (1.0, 2.0, experts)
        if active <= experts and groups <= experts
    ]
    columns = [jnp.array(column, dtype) for column in zip(*corners, strict=True)]
    for leaf in jax.tree.leaves(
        jax.jit(jax.vmap(jax.value_and_grad(function, argnums=(0, 1, 2, 3))))(*columns)
    ):
        assert leaf.dtype == dtype
        assert jnp.isfinite(leaf).all(), [
            c for c, ok in zip(corners, jnp.isfinite(leaf), strict=True) if not ok
        ]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_float32_agrees_with_float64(function):
    random = np.random.default_rng(3)
    points = np.exp(random.uniform(np.log([20, 2, 1, 1]), np.log([400, 8, 3000, 20]), (300, 4))).T
    single, double = (
        jax.jit(jax.vmap(function))(*(jnp.array(p, d) for p in points))
        for d in (jnp.float32, jnp.float64)
    )
    assert single.dtype == jnp.float32
    assert function(jnp.array(64.0), jnp.array(4.0), jnp.float32(9.0), 8).dtype == jnp.float32
    np.testing.assert_allclose(single, double, rtol=1e-3)


def test_touched_experts_are_log_concave_in_rows():
    random = np.random.default_rng(4)
    experts, rows = random.uniform(4, 400, 4000), np.exp(random.uniform(0, 8.3, 4000))
    active = random.uniform(0.02, 1.0, 4000) * experts

    def log_touched(log_rows, experts, active):
        return jnp.log(routing.touched_experts(experts, active, jnp.exp(log_rows)))

    curvature = jax.vmap(jax.grad(jax.grad(log_touched)))(
        jnp.log(rows), jnp.array(experts), jnp.array(active)
    )
    assert curvature.max() <= 1e-12 and curvature.min() < -0.1


@pytest.mark.parametrize("function", FUNCTIONS)
def test_busiest_chip_is_neither_log_convex_nor_log_concave_in_rows_and_its_curvature_finite(
    function,
):
    def logarithm(log_rows, experts, active, groups):
        return jnp.log(function(experts, active, jnp.exp(log_rows), groups))

    second = jax.jit(jax.vmap(jax.grad(jax.grad(logarithm)), in_axes=(0, None, None, None)))
    curvature = second(jnp.linspace(0.1, 8.0, 400), 256.0, 8.0, 64.0)
    assert curvature.max() > 0.01 and curvature.min() < -0.01
    for corner in [
        (8.0, 8.0, 1.0),
        (8.0, 2.0, 8.0),
        (384.0, 8.0, 48.0),
        (64.0, 1.0, 2.0),
        (384.0, 8.0, 384.0),
    ]:
        assert jnp.isfinite(second(jnp.linspace(0.0, 14.0, 400), *corner)).all()


def test_maximum_of_normals_against_the_integral():
    groups = np.array([1.0, 1.5, 2.0, 8.0, 64.0, 384.0, 4096.0])
    x = np.linspace(-9.0, 12.0, 20001)
    density = groups[:, None] * np.exp((groups[:, None] - 1.0) * norm.logcdf(x)) * norm.pdf(x)
    moments = urn._normal_maximum(jnp.array(groups))
    for power, tolerance, fitted in zip((1, 2, 3), (0.0015, 0.012, 0.2), moments, strict=True):
        np.testing.assert_allclose(fitted, np.trapezoid(density * x**power, x), atol=tolerance)
