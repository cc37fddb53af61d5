"""Fully sharded training: by hand, its limits, and its gradients."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from codesign.performance.training import Cluster, TrainingRun, sharded_step

RUN = TrainingRun(parameters=8e9, layers=32, hidden=4096, sequence=4096, kept=0.25)
CLUSTER = Cluster(
    chips=64, peak_flops=1e15, memory_capacity=80e9, network_bandwidth=2e9, hop_latency=1e-6
)


def test_a_step_by_hand():
    free = 80e9 - 16 * 8e9 / 64 - 2 * 2 * 8e9 / 32
    tokens = free / ((1 + 17 * 0.25) * 32 * 4096 * 2)
    transfer = 2 * 8e9 / 2e9 * 63 / 64 + 32 * 64 * 1e-6
    forward = (2 * 8e9 + 4 * 32 * 4096 * 4096) * tokens / 1e15
    time = max(forward, transfer) + max(2.75 * forward, 2 * transfer)
    found = sharded_step(RUN, CLUSTER)
    assert float(found.tokens) == pytest.approx(free / (5.25 * 32 * 4096 * 2), rel=1e-12)
    assert float(found.time) == pytest.approx(time, rel=1e-12)
    assert float(found.efficiency) == pytest.approx(3 * forward / time, rel=1e-12)
    assert float(found.tokens_per_second) == pytest.approx(64 * tokens / time, rel=1e-12)


@pytest.mark.parametrize(("kept", "most"), [(0.0, 0.75), (1.0, 1.0)])
def test_with_a_fast_network_only_what_is_computed_again_is_lost(kept, most):
    fast = dataclasses.replace(CLUSTER, network_bandwidth=jnp.asarray(1e15))
    run = dataclasses.replace(RUN, kept=jnp.asarray(kept))
    assert float(sharded_step(run, fast).efficiency) == pytest.approx(most, rel=1e-12)


def test_with_a_slow_network_it_is_tokens_times_network_over_arithmetic():
    """MFU → 2 E S / (Q F) · N/(N − 1) as attention's work and latency vanish."""
    slow = dataclasses.replace(
        CLUSTER, network_bandwidth=jnp.asarray(1e8), hop_latency=jnp.asarray(0.0)
    )
    found = sharded_step(dataclasses.replace(RUN, sequence=jnp.asarray(1e-9)), slow)
    limit = 2.0 * float(found.tokens) * 1e8 / (2.0 * 1e15) * 64 / 63
    assert float(found.efficiency) == pytest.approx(limit, rel=1e-9)


def test_states_that_do_not_fit_train_nothing_and_have_no_nan():
    def efficiency(memory):
        return sharded_step(RUN, dataclasses.replace(CLUSTER, memory_capacity=memory)).efficiency

    value, slope = jax.value_and_grad(efficiency)(jnp.asarray(1e9))
    assert float(value) == 0.0 and bool(jnp.isfinite(slope))


@pytest.mark.parametrize("name", ["memory_capacity", "network_bandwidth", "peak_flops", "chips"])
def test_gradients_are_those_of_differences(name):
    def log_speed(log_value):
        changed = dataclasses.replace(CLUSTER, **{name: jnp.exp(log_value)})
        return jnp.log(sharded_step(RUN, changed).tokens_per_second)

    at, step = jnp.log(getattr(CLUSTER, name)), 1e-6
    slope = float(jax.grad(log_speed)(at))
    by_difference = float(log_speed(at + step) - log_speed(at - step)) / (2 * step)
    assert slope == pytest.approx(by_difference, rel=1e-5, abs=1e-7)
