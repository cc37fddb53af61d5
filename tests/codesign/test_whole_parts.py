"""Heads, experts and chips of a group are whole: the busiest chip's part, worked out by hand."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import codesign
from codesign.workload.catalogue import model

CHIP = codesign.Design(
    memory_bandwidth=4e12,
    memory_capacity=1e12,
    peak_flops=1e15,
    chips=1.0,
    sync_latency=2e-6,
    link_bandwidth=4e11,
    scale_up_domain=1e3,
)
LLAMA = codesign.Workload(model("llama-3.1-70b"), codesign.Decode(batch=32.0, context=8192.0))
MIXTURE = codesign.Workload(model("deepseek-v3"), codesign.Decode(batch=480.0, context=1024.0))


@jax.jit
def outcome(technology, workload, chips, data, expert, whole):
    plan = codesign.Plan(data=data, expert=expert, whole_parts=whole)
    design = dataclasses.replace(CHIP, chips=chips)
    return codesign.evaluate(design, workload, plan, technology=technology)


def llama(technology, chips, data=1.0, whole=1.0):
    return outcome(technology, LLAMA, float(chips), data, 1.0, whole)


@pytest.mark.parametrize(
    ("chips", "heads", "kv_heads"), [(2, 32, 4), (3, 24, 3), (5, 16, 2), (7, 10, 2), (12, 8, 1)]
)
def test_the_busiest_chip_has_whole_heads(technology, chips, heads, kv_heads):
    """64 query heads and 8 KV heads over so many chips; one chip has all of them."""
    alone, split = (llama(technology, n).step.load for n in (1, chips))
    assert float(jnp.sum(split.state) / jnp.sum(alone.state)) == pytest.approx(kv_heads / 8)
    attention = int(np.argmax(alone.exponential))
    share = float(split.exponential[attention] / alone.exponential[attention])
    assert share == pytest.approx(heads / 64)


def test_a_group_of_31_chips_in_8_is_as_fast_as_its_smallest(technology):
    uneven, even = (llama(technology, n, data=8.0).step.load for n in (31, 24))
    assert float(jnp.sum(uneven.state)) == pytest.approx(float(jnp.sum(even.state)))
    assert float(jnp.sum(uneven.flops)) == pytest.approx(float(jnp.sum(even.flops)))


def test_the_fullest_group_of_experts_sets_what_is_kept(technology):
    """256 experts over 48 groups: six on the fullest."""
    even, whole = (
        float(outcome(technology, MIXTURE, 48.0, 48.0, 48.0, w).capacity_needed) for w in (0.0, 1.0)
    )
    experts = 256 * 58 * 3 * 7168 * 2048  # bytes at 8 bit of the 58 layers with experts
    assert whole - even == pytest.approx((6 / 256 - 1 / 48) * 48 * experts, rel=1e-6)


@pytest.mark.parametrize("chips", [1, 2, 4, 8, 16])
def test_nothing_changes_where_all_divides(technology, chips):
    whole, even = (llama(technology, chips, whole=w) for w in (1.0, 0.0))
    for ours, theirs in zip(jax.tree.leaves(whole), jax.tree.leaves(even), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_whole_parts_are_never_faster_and_the_mean_chip_moves_as_much(technology):
    for chips in range(1, 40):
        whole, even = (llama(technology, chips, whole=w) for w in (1.0, 0.0))
        assert float(whole.step_time) >= float(even.step_time) * (1 - 1e-12)
        assert float(whole.capacity_needed) >= float(even.capacity_needed) * (1 - 1e-12)
        moved = [
            float(jnp.sum(load.mean_bytes * (load.weights + load.state + load.activations)))
            for load in (whole.step.load, even.step.load)
        ]
        copied = {6: 12 / 8, 7: 14 / 8}.get(chips, 1.0)  # ranks share what is left over
        state = float(jnp.sum(even.step.load.state))
        assert moved[0] == pytest.approx(moved[1] + (copied - 1.0) * state, rel=0.02)


def test_derivatives_hold_the_excess(technology):
    """At three chips the slope is that of an even division; the cache's excess is 3 · 3 / 8."""

    def log_state(chips, whole):
        return jnp.log(jnp.sum(outcome(technology, LLAMA, chips, 1.0, 1.0, whole).step.load.state))

    slopes = [float(jax.grad(log_state)(3.0, whole)) for whole in (0.0, 1.0)]
    assert slopes[1] == pytest.approx(slopes[0])
    assert float(log_state(3.0, 1.0) - log_state(3.0, 0.0)) == pytest.approx(np.log(9 / 8))
