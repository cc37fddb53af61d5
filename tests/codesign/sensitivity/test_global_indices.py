"""Sobol indices on Ishigami: against theory and SALib; on the model against SALib; bounds
from derivatives above the totals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from codesign.sensitivity.by_input import log_outcomes
from codesign.sensitivity.global_indices import (
    derivative_bounds,
    design,
    indices,
    quasi_normal,
    quasi_uniform,
    sobol_indices,
)
from codesign.sensitivity.inputs import OUTCOMES, inputs_of

A, B = 7.0, 0.1


def ishigami(points: np.ndarray) -> np.ndarray:
    x = np.pi * (2.0 * points - 1.0)
    return np.sin(x[:, 0]) + A * np.sin(x[:, 1]) ** 2 + B * x[:, 2] ** 4 * np.sin(x[:, 0])


def theory() -> tuple[np.ndarray, np.ndarray]:
    """Ishigami, Homma, ISUMA 1990."""
    first = np.array([0.5 * (1 + B * np.pi**4 / 5) ** 2, A**2 / 8, 0.0])
    joint = B**2 * np.pi**8 * (1 / 18 - 1 / 50)
    variance = first.sum() + joint
    return first / variance, (first + np.array([joint, 0.0, joint])) / variance


def test_ishigami_as_theory_has_it():
    found = sobol_indices(ishigami, 3, 4096, seed=0)
    first, total = theory()
    np.testing.assert_allclose(found.first, first, atol=0.01)
    np.testing.assert_allclose(found.total, total, atol=0.01)
    assert (np.abs(found.first - first) < 4 * found.first_error + 1e-3).all()


def test_ishigami_as_salib_has_it():
    salib_sample = pytest.importorskip("SALib.sample.sobol")
    salib_analyze = pytest.importorskip("SALib.analyze.sobol")
    problem = {"num_vars": 3, "names": ["a", "b", "c"], "bounds": [[0.0, 1.0]] * 3}
    points = salib_sample.sample(problem, 2048, calc_second_order=False, seed=1)
    theirs = salib_analyze.analyze(problem, ishigami(points), calc_second_order=False, seed=1)
    ours = sobol_indices(ishigami, 3, 2048, seed=1)
    np.testing.assert_allclose(ours.first, theirs["S1"], atol=0.02)
    np.testing.assert_allclose(ours.total, theirs["ST"], atol=0.02)


def test_the_model_as_salib_has_it(llama_405b, machine, technology):
    """Three uncertain quantities of a machine, on the same points: the same estimators, so the same
    numbers."""
    salib_analyze = pytest.importorskip("SALib.analyze.sobol")
    import dataclasses

    import codesign

    work = codesign.Workload(llama_405b, codesign.Decode(batch=16, context=8192))
    start = inputs_of(machine, work, technology=technology)

    @jax.jit
    @jax.vmap
    def time(z):
        moved = dataclasses.replace(
            machine,
            memory_bandwidth=machine.memory_bandwidth * jnp.exp(0.3 * z[0]),
            sync_latency=machine.sync_latency * jnp.exp(0.5 * z[1]),
            link_bandwidth=machine.link_bandwidth * jnp.exp(0.5 * z[2]),
        )
        inputs = dataclasses.replace(start, designs=(moved,))
        return log_outcomes(inputs)[OUTCOMES.index("step_time")]

    points = design(512, 3, seed=2, normal=True)
    values = np.asarray(time(jnp.asarray(points.stacked)))
    ours = indices(points, values)
    a, b, *mixed = values.reshape(5, -1)
    salib_order = np.stack([a, *mixed, b]).T.ravel()
    problem = {"num_vars": 3, "names": ["a", "b", "c"], "bounds": [[0.0, 1.0]] * 3}
    theirs = salib_analyze.analyze(problem, salib_order, calc_second_order=False, seed=1)
    np.testing.assert_allclose(ours.first, theirs["S1"], atol=2e-3)
    np.testing.assert_allclose(ours.total, theirs["ST"], atol=2e-3)
    slopes = np.asarray(jax.vmap(jax.grad(lambda z: time(z[None])[0]))(jnp.asarray(points.a)))
    bounds = derivative_bounds(slopes, ours.variance)
    assert (ours.total <= bounds * 1.02).all() and (bounds < 2.0).all()


def test_slopes_bound_totals_of_standard_normal_inputs():
    """f = sin z₁ + z₂ z₃: totals by the totals' own definition, bounds by Poincaré's inequality."""
    z = quasi_normal(4096, 3, seed=3)
    slopes = np.stack([np.cos(z[:, 0]), z[:, 2], z[:, 1]], axis=1)
    found = sobol_indices(
        lambda p: np.sin(p[:, 0]) + p[:, 1] * p[:, 2], 3, 4096, seed=4, normal=True
    )
    bounds = derivative_bounds(slopes, found.variance)
    sine = 0.5 * (1 - np.exp(-2.0))
    np.testing.assert_allclose(found.variance, sine + 1.0, rtol=0.05)
    np.testing.assert_allclose(found.total, np.array([sine, 1.0, 1.0]) / (sine + 1), atol=0.05)
    assert (bounds >= found.total - 0.02).all() and bounds[0] > 1.1 * found.total[0]


def test_a_seed_gives_the_same_points_and_any_count_is_allowed():
    np.testing.assert_array_equal(quasi_uniform(100, 5, 7), quasi_uniform(128, 5, 7)[:100])
    assert not np.array_equal(quasi_uniform(8, 2, 0), quasi_uniform(8, 2, 1))
    assert np.isfinite(quasi_normal(1000, 3, 0)).all()


def test_quasi_random_points_are_better_than_random_ones():
    """Mean of a smooth function over 1024 points, ten seeds."""
    truth = np.exp(0.5 * 3 * 0.3**2)

    def error(points):
        return abs(np.exp(0.3 * points.sum(axis=1)).mean() - truth)

    quasi = np.mean([error(quasi_normal(1024, 3, seed)) for seed in range(10)])
    plain = np.mean(
        [error(np.random.default_rng(seed).standard_normal((1024, 3))) for seed in range(10)]
    )
    assert quasi < 0.25 * plain
