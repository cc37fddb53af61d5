"""The batch that is advised, how it moves, and replicas that share a device."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.batching import advise_batch, slopes_of_batch
from codesign.performance.replicas import share_device
from tests.examples import examples


def test_the_largest_batch_that_keeps_promise_floor_and_memory():
    batches, latency = [1, 2, 4, 8], [1.0, 1.0, 2.0, 4.0]
    rates = [b / t for b, t in zip(batches, latency, strict=True)]
    told = {
        (9.0, 0.0): (8, ""),
        (3.0, 0.0): (4, "promise"),
        (9.0, 0.3): (4, "floor"),
        (9.0, 0.6): (2, "floor"),
    }
    for (promise, floor), (batch, stopped) in told.items():
        advice = advise_batch(batches, rates, latency, promise, floor)
        assert advice is not None and (advice.batch, advice.stopped_by) == (batch, stopped)
    fits = [True, True, False, False]
    advice = advise_batch(batches, rates, latency, 9.0, 0.0, fits)
    assert advice is not None and (advice.batch, advice.stopped_by) == (2, "memory")
    assert advise_batch(batches, rates, latency, 0.5) is None
    with pytest.raises(ValueError, match="rising"):
        advise_batch([2, 1], [1, 1], [1, 1], 1.0)


def test_slopes_of_the_batch_against_its_closed_form():
    """ℓ = (w + k·B)/β: B = (p·β − w)/k, so ∂ln B/∂ln p = ∂ln B/∂ln β = p·β/(p·β − w)."""
    w, k, beta, promise = 3.0, 0.5, 2.0, 4.0
    batch = (promise * beta - w) / k
    by_promise, by_rate = slopes_of_batch(
        lambda size, rate: (w + k * size) / rate, batch, jnp.asarray(beta)
    )
    by_hand = promise * beta / (promise * beta - w)
    assert float(by_promise) == pytest.approx(by_hand, rel=1e-12)
    assert float(by_rate) == pytest.approx(by_hand, rel=1e-12)


@given(
    idle=st.floats(0.0, 10.0),
    memory=st.floats(0.01, 10.0),
    compute=st.floats(0.0, 10.0),
    count=st.integers(1, 8),
)
@examples(40)
def test_replicas_lie_between_taking_turns_and_the_bound(idle, memory, compute, count):
    busy = jnp.asarray([memory, compute])
    shared = share_device(jnp.asarray(idle), busy, count)
    rate, most = float(shared.steps_per_second), float(shared.most)
    turns = count / (idle + count * (memory + compute))
    assert turns * (1 - 1e-9) <= rate <= most * (1 + 1e-9)
    assert float(shared.step_time) == pytest.approx(count / rate, rel=1e-9)


def test_replicas_against_a_simulation():
    """Exponential times, one processor-sharing device: 200,000 events, within 1 %."""
    idle, busy, count = 0.6, 0.4, 3
    generator = np.random.default_rng(0)
    waiting, working, done, clock = count, 0, 0, 0.0
    for _ in range(200_000):  # memoryless: only the numbers of both kinds matter
        leave, finish = waiting / idle, (1.0 / busy if working else 0.0)
        clock += generator.exponential(1.0 / (leave + finish))
        if generator.random() < leave / (leave + finish):
            waiting, working = waiting - 1, working + 1
        else:
            waiting, working, done = waiting + 1, working - 1, done + 1
    shared = share_device(jnp.asarray(idle), jnp.asarray([busy]), count)
    assert float(shared.steps_per_second) == pytest.approx(done / clock, rel=0.01)


def test_a_device_that_never_waits_gains_nothing_and_gradients_are_those_of_differences():
    full = share_device(jnp.asarray(0.0), jnp.asarray([2.0]), 4)
    assert float(full.steps_per_second) == pytest.approx(0.5, rel=1e-12)

    def rate(idle):
        return share_device(idle, jnp.asarray([0.5, 0.2]), 3).steps_per_second

    slope, step = float(jax.grad(rate)(jnp.asarray(0.7))), 1e-6
    by_difference = (float(rate(0.7 + step)) - float(rate(0.7 - step))) / (2 * step)
    assert slope == pytest.approx(by_difference, rel=1e-6)
    with pytest.raises(ValueError, match="at least 1"):
        share_device(jnp.asarray(1.0), jnp.asarray([1.0]), 0)
