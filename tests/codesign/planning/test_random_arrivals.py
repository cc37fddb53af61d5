"""Quantiles of waiting against a simulation of the steps, and against published values of M/D/1."""

import numpy as np
import pytest

from codesign.planning.random_arrivals import wait_at_most, waiting
from codesign.planning.rates import MOST_LOAD
from tests.codesign.planning.step_simulation import simulate
from tests.examples import thorough


def random_service(seed):
    """A service at a load below ``MOST_LOAD``, whose slots are enough."""
    rng = np.random.default_rng(seed)
    while True:
        base, each = 10 ** rng.uniform(-2.3, -1.6), 10 ** rng.uniform(-4.5, -3.5)
        slots, output = int(rng.choice([64, 128, 256])), int(rng.integers(60, 400))
        chunks = int(rng.integers(1, 6))
        prompt = chunks * 10 ** rng.uniform(-2.3, -1.0)

        def decode(n, base=base, each=each):
            return base + each * n

        full = slots / (output * decode(slots) + slots * prompt)
        stated = (decode, prompt, chunks, output, rng.uniform(0.2, MOST_LOAD) * full, slots)
        found = waiting(*stated)
        if not isinstance(found, str):
            return stated, found


@pytest.mark.parametrize("seed", range(30 if thorough() else 5))
def test_mean_and_p95_are_those_of_a_simulation(seed):
    stated, found = random_service(seed)
    first, per_token = simulate(*stated, requests=60_000, seed=seed)
    assert found.first_mean == pytest.approx(first.mean(), rel=0.1)
    assert found.first[1] == pytest.approx(np.quantile(first, 0.95), rel=0.1)
    assert found.per_token_mean == pytest.approx(per_token.mean(), rel=0.1)
    assert found.per_token[1] == pytest.approx(np.quantile(per_token, 0.95), rel=0.1)


def test_nothing_is_said_near_saturation():
    def decode(n):
        return 0.01 + 1e-4 * n

    full = 64 / (100 * decode(64) + 64 * 0.05)
    assert "above 0.85" in str(waiting(decode, 0.05, 1, 100, 0.9 * full, 64))
    tight = 0.8 * 16 / (400 * decode(16))
    assert "too near the 16" in str(waiting(decode, 0.001, 1, 400, tight, 16))
    assert "fewer than 12" in str(waiting(decode, 0.001, 1, 400, 0.1, 16))
    assert "prefill keeps the instance busy" in str(waiting(decode, 0.05, 2, 100, 10.0, 256))


@pytest.mark.parametrize("load", [0.3, 0.6, 0.85])
def test_the_mean_of_the_distribution_is_that_of_pollaczek_and_khinchine(load):
    times = np.linspace(0.0, 60.0, 60_001)
    mean = np.trapezoid(1.0 - wait_at_most(1.0, load, times), times)
    assert mean == pytest.approx(load / (2.0 * (1.0 - load)), rel=2e-3)


def test_quantiles_rise_with_load():
    def decode(n):
        return 0.01 + 1e-4 * n

    found = [waiting(decode, 0.05, 2, 100, rate, 256) for rate in (7.0, 8.0, 9.0)]
    tails = [one.first[2] for one in found if not isinstance(one, str)]
    assert len(tails) == 3 and tails == sorted(tails)
