"""Answers of several calls: votes by the binomial law, one call as ``serve`` has it, times and
costs by hand, gradients by the number of calls."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import binom

import codesign
import hardware_priors
from codesign.compound import Calls, answer, best_calls, majority, vote
from codesign.numerics.fields import real

MODEL = codesign.model("llama-3.1-8b")
WORLD = hardware_priors.technology("N4", "HBM3", "NVLink4")
H100 = hardware_priors.device("h100").design(chips=1)


@pytest.fixture(scope="module")
def priced():
    """One program for all questions."""
    return jax.jit(lambda calls: answer(calls, MODEL, H100, technology=WORLD))


@pytest.mark.parametrize("right", [0.05, 0.3, 0.5, 0.6, 0.95])
def test_a_vote_is_the_binomial_tail(right):
    numbers = np.array([1, 3, 5, 51, 501])
    ours = jax.vmap(lambda k: majority(right, k))(jnp.asarray(numbers, float))
    exact = binom.sf(numbers // 2, numbers, right)
    assert np.asarray(ours) == pytest.approx(exact, abs=1e-10)


def test_a_vote_has_a_derivative_by_the_number_of_calls():
    slope = jax.grad(lambda k: majority(0.6, k))
    step = 1e-4
    for calls in (1.0, 2.5, 9.0, 101.0):
        difference = float(majority(0.6, calls + step) - majority(0.6, calls - step)) / (2 * step)
        assert float(slope(calls)) == pytest.approx(difference, rel=1e-6)
    by_skill = jax.grad(majority)(0.6, 3.0)
    assert float(by_skill) == pytest.approx(6 * 0.6 * 0.4)  # of p² (3 − 2p)


def test_a_mix_of_difficulties_rises_and_falls_or_falls_and_rises():
    numbers = jnp.arange(1.0, 102.0, 2.0)

    def quality(shares, right):
        return np.asarray(
            jax.vmap(lambda k: vote(jnp.asarray(shares), jnp.asarray(right), k))(numbers)
        )

    up = quality((0.55, 0.45), (0.75, 0.40))
    assert 0 < np.argmax(up) < len(up) - 1 and up[-1] < up[0]
    down = quality((0.5, 0.5), (0.55, 0.15))
    assert 0 < np.argmin(down) < len(down) - 1
    assert up[-1] > 0.55 - 1e-3  # the easy share is what many calls leave


def test_one_call_is_a_request_of_serve(priced):
    asked = codesign.Serving(prompt=2048, output=512, batch=32)
    served = codesign.serve(MODEL, asked, codesign.Pool(H100), technology=WORLD)
    ours = priced(Calls())
    assert float(ours.answers_per_second) == pytest.approx(
        float(served.requests_per_second), rel=1e-9
    )
    assert float(ours.time_per_token) == pytest.approx(float(served.time_per_token), rel=1e-9)
    assert float(ours.capacity) == pytest.approx(float(served.decode.limits.capacity))


def test_calls_by_hand(priced):
    one, shared, apart = (
        priced(Calls(calls=calls, shared=flag)) for calls, flag in ((1, 1), (5, 1), (5, 0))
    )
    decode = codesign.evaluate(
        H100,
        codesign.Workload(MODEL, codesign.Decode(batch=32, context=2304)),
        technology=WORLD,
    )
    writing = 512 * float(decode.step_time) / 32
    prefill = float(one.busy) - writing
    assert float(apart.busy) == pytest.approx(5 * float(one.busy), rel=1e-9)
    assert float(apart.cost) == pytest.approx(5 * float(one.cost), rel=1e-9)
    assert float(shared.busy) == pytest.approx(prefill + 5 * writing, rel=1e-9)
    token = float(shared.busy) * 32 / (5 * 512)
    assert float(shared.latency) == pytest.approx(prefill + 512 * token, rel=1e-9)
    turns = priced(Calls(calls=5, together=0.0))
    assert float(turns.latency) == pytest.approx(prefill + 5 * 512 * token, rel=1e-9)
    assert float(turns.busy) == float(shared.busy)
    many = priced(Calls(calls=64))  # two rounds of 32
    token = float(many.busy) * 32 / (64 * 512)
    assert float(many.latency) == pytest.approx(prefill + 2 * 512 * token, rel=1e-9)


def test_a_filter_reads_the_answer_and_writes(priced):
    plain, filtered = (priced(Calls(calls=5, filtered=flag)) for flag in (0.0, 1.0))
    reading = codesign.evaluate(
        H100,
        codesign.Workload(
            MODEL, codesign.Prefill(batch=1.0, prompt=2560.0, cached=2048.0 / 2560.0)
        ),
        technology=WORLD,
    )
    step = (float(plain.busy) - float(priced(Calls(calls=4)).busy)) / 512  # a token's, 1/32 step
    more = 5 * (float(reading.step_time) + 8 * step)
    assert float(filtered.busy - plain.busy) == pytest.approx(more, rel=1e-6)
    assert float(filtered.tokens_per_answer) == 5 * 520
    token = float(filtered.busy) * 32 / (5 * 520)
    prompt = float(plain.busy) - 5 * 512 * step
    waited = prompt + 520 * token + float(reading.step_time)
    assert float(filtered.latency) == pytest.approx(waited, rel=1e-6)


def test_gradients_by_calls_are_differences():
    def logs(calls):
        asked = dataclasses.replace(Calls(filtered=1.0), calls=calls)
        found = answer(asked, MODEL, H100, technology=WORLD)
        return jnp.log(jnp.stack([found.busy, found.cost, found.latency]))

    sloped = jax.jit(lambda k: (logs(k), jax.jacfwd(logs)(k)))
    _, slope = sloped(real(3.0))
    step = 1e-5
    ends = [sloped(real(3.0 + way * step))[0] for way in (1, -1)]
    assert np.asarray(slope) == pytest.approx(np.asarray(ends[0] - ends[1]) / (2 * step), rel=1e-6)


def test_less_than_a_call_is_refused():
    with pytest.raises(ValueError, match=r"calls = 0\.5: expected at least 1"):
        answer(Calls(calls=0.5), MODEL, H100, technology=WORLD)


def test_the_best_number_is_that_of_trying_all():
    def quality(k):
        return vote(jnp.asarray((0.55, 0.45)), jnp.asarray((0.75, 0.40)), k)

    dear = best_calls(quality, lambda k: 0.01 * k, value=1.0)
    worth = [float(quality(real(float(k)))) - 0.01 * k for k in range(1, 102, 2)]
    assert dear.calls == 1 + 2 * int(np.argmax(worth)) and dear.worth == pytest.approx(max(worth))
    free = best_calls(quality, lambda k: 1.0 + 0.0 * k)
    assert free.calls == 9 and free.quality == free.worth
