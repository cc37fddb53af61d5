"""Exact gradients against central differences, and no NaN at any bound."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import codesign
from codesign.physical.latency import sync_floor
from tests.codesign.conftest import random_designs

STEP = 1e-5  # of the logarithm: truncation ~1e-10, rounding ~1e-11


def log_objectives(design, workload, technology, plan=None):
    outcome = codesign.evaluate(design, workload, plan, technology=technology)
    return jnp.log(
        jnp.stack([outcome.tokens_per_second_per_dollar, outcome.tokens_per_second_per_watt])
    )


def moved(design, logs):
    values = {
        name: getattr(design, name) * jnp.exp(logs[k])
        for k, name in enumerate(codesign.DESIGN_VARIABLES)
    }
    return dataclasses.replace(design, **values)


def binding(design, workload, technology):
    """Which resource bounds each operator, as one number: equal on both sides of a step away from
    kinks."""
    outcome = codesign.evaluate(design, workload, technology=technology)
    step = outcome.step
    return jnp.argmax(jnp.stack([step.compute, step.vector, step.memory]), axis=0)


@pytest.mark.parametrize("batch", [1.0, 32.0, 256.0])
def test_gradients_match_central_differences_at_200_designs(llama_405b, technology, batch):
    designs = random_designs(jax.random.key(int(batch)), 260)
    work = codesign.Workload(llama_405b, codesign.Decode(batch=batch, context=8192))
    variables = len(codesign.DESIGN_VARIABLES)

    def at(design):
        zero = jnp.zeros(variables)
        exact = jax.jacrev(lambda logs: log_objectives(moved(design, logs), work, technology))(zero)

        def central(k):
            direction = jnp.zeros(variables).at[k].set(STEP)
            ahead, behind = moved(design, direction), moved(design, -direction)
            smooth = jnp.all(binding(ahead, work, technology) == binding(behind, work, technology))
            difference = log_objectives(ahead, work, technology) - log_objectives(
                behind, work, technology
            )
            return difference / (2 * STEP), smooth

        differences, smooth = jax.vmap(central)(jnp.arange(variables))
        return exact, differences.T, jnp.all(smooth)

    exact, differences, smooth = jax.jit(jax.vmap(at))(designs)
    # KV heads and column slices are kinks too: chips near 8 and 64-column slices
    chips = np.asarray(designs.chips)
    usable = np.asarray(smooth) & (np.abs(np.log(chips / 8.0)) > 1e-3)
    assert usable.sum() >= 200
    exact, differences = np.asarray(exact)[usable], np.asarray(differences)[usable]
    # entry by entry; 1e-9 is what rounding leaves of a difference over 2e-5
    np.testing.assert_allclose(exact, differences, rtol=1e-6, atol=1e-9)
    assert (np.abs(exact) > 1e-12).any(axis=0).all(), (
        "a variable that never matters is not connected"
    )


@pytest.mark.parametrize("chips", [1.0, 8.0, 72.0, 128.0, 512.0])
@pytest.mark.parametrize("batch", [1.0, 4096.0])
@pytest.mark.parametrize("extreme", [1e-2, 1.0, 1e2])
def test_no_nan_at_bounds(llama_405b, technology, machine, chips, batch, extreme):
    work = codesign.Workload(llama_405b, codesign.Decode(batch=batch, context=8192))
    floor = sync_floor(jnp.asarray(chips), machine.scale_up_domain, technology.links)
    design = dataclasses.replace(machine, chips=jnp.asarray(chips), sync_latency=floor)
    design = dataclasses.replace(
        design,
        memory_bandwidth=design.memory_bandwidth * extreme,
        link_bandwidth=design.link_bandwidth / extreme,
    )
    value, gradient = jax.value_and_grad(lambda d: jnp.sum(log_objectives(d, work, technology)))(
        design
    )
    assert bool(jnp.isfinite(value))
    for name, leaf in vars(gradient).items():
        assert bool(jnp.isfinite(leaf)), name


def test_hessian_is_finite_and_symmetric(llama_405b, technology, machine):
    work = codesign.Workload(llama_405b, codesign.Decode(batch=32, context=8192))
    hessian = jax.hessian(lambda logs: log_objectives(moved(machine, logs), work, technology)[0])(
        jnp.zeros(6)
    )
    assert bool(jnp.all(jnp.isfinite(hessian)))
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-12)
