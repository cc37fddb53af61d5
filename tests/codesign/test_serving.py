"""Serving: waiting, interleaved and separate prefill, goodput, and what a request costs."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import codesign
from codesign.performance.queueing import (
    aggregated,
    disaggregated,
    utilisation_within,
    waiting_time,
)


def test_waiting_time_of_constant_service():
    # M/D/1 at half load: rho/(2(1-rho)) = 0.5 of the service time
    assert float(waiting_time(jnp.asarray(2.0), jnp.asarray(0.5))) == pytest.approx(1.0)
    assert float(waiting_time(jnp.asarray(2.0), jnp.asarray(0.0))) == 0.0


def test_waiting_time_against_simulation():
    random, service, rho, count = np.random.default_rng(0), 1.0, 0.7, 200_000
    arrivals = np.cumsum(random.exponential(service / rho, count))
    starts = np.empty(count)
    free = 0.0
    for k, arrival in enumerate(arrivals):
        starts[k] = max(arrival, free)
        free = starts[k] + service
    assert float(waiting_time(jnp.asarray(service), jnp.asarray(rho))) == pytest.approx(
        (starts - arrivals).mean(), rel=0.03
    )


@pytest.mark.parametrize("wait", [0.0, 0.3, 5.0])
def test_utilisation_within_inverts_the_wait(wait):
    rho = utilisation_within(jnp.asarray(2.0), jnp.asarray(wait))
    assert float(waiting_time(jnp.asarray(2.0), rho)) == pytest.approx(wait)


def numbers(**values):
    return {name: jnp.asarray(float(value)) for name, value in values.items()}


def test_aggregated_by_hand():
    # 10 ms decode step, 0.2 s prefill in 4 chunks, 50 sequences of 100 tokens: a step carries half
    # a prefill, 110 ms
    service = aggregated(
        **numbers(
            decode=0.01,
            prefill=0.2,
            chunks=4,
            tokens=1,
            batch=50,
            output=100,
            load=0,
            first_promise=1,
            token_promise=0.2,
        )
    )
    assert float(service.time_per_token) == pytest.approx(0.11)
    assert float(service.requests_per_second) == pytest.approx(50 / (100 * 0.11))
    assert float(service.time_to_first_token) == pytest.approx(0.2 + 4 * 0.01)
    # 1/throughput = decode/batch + prefill/output
    assert 1 / (float(service.requests_per_second) * 100) == pytest.approx(0.01 / 50 + 0.2 / 100)


def test_disaggregated_by_hand():
    # prefill pool of 2: 10 requests/s; decode pool of 3 x 50 sequences, 100 tokens of 10 ms: 150
    # requests/s → prefill bounds
    given = numbers(
        decode=0.01, prefill=0.2, transfer=0.05, tokens=1, batch=50, output=100, load=0.5,
        prefill_instances=2, decode_instances=3, first_promise=0.35, token_promise=0.02,
    )  # fmt: skip
    service = disaggregated(**given)
    assert float(service.requests_per_second) == pytest.approx(10.0)
    assert float(service.time_to_first_token) == pytest.approx(0.25 + 0.2 * 0.5)
    # 0.1 s of patience on a 0.2 s service: utilisation 2·0.1/(0.2 + 2·0.1) = 0.5
    assert float(service.goodput) == pytest.approx(5.0)
    assert float(disaggregated(**{**given, "token_promise": jnp.asarray(0.009)}).goodput) == 0.0


@pytest.fixture(scope="module")
def serving():
    return codesign.Serving(prompt=4096, output=1024, batch=32, load=0.5)


@pytest.fixture(scope="module")
def small():
    return codesign.dense(
        hidden=4096, layers=32, heads=32, kv_heads=8, width=14336, vocabulary=128256
    )


def test_door_agrees_with_its_parts(small, serving, machine, technology):
    one = codesign.serve(small, serving, codesign.Pool(machine), technology=technology)
    decode = codesign.evaluate(
        machine, codesign.Workload(small, serving.decode), technology=technology
    )
    prefill = codesign.evaluate(
        machine, codesign.Workload(small, serving.prefill), technology=technology
    )
    step = float(decode.step_time) + 32 / 1024 * float(prefill.step_time)
    assert float(one.time_per_token) == pytest.approx(step, rel=1e-12)
    assert float(one.cost_per_output_token) == pytest.approx(
        float(decode.running_cost)
        / (float(one.output_tokens_per_second) * float(technology.economics.utilisation)),
        rel=1e-12,
    )


def test_separate_pools_add_up(small, serving, machine, technology):
    prefiller = dataclasses.replace(machine, chips=jnp.asarray(4.0))
    two = codesign.serve(
        small,
        serving,
        codesign.Pool(machine, instances=3),
        codesign.Pool(prefiller),
        technology=technology,
    )
    assert float(two.capital_cost) == pytest.approx(
        3 * float(two.decode.capital_cost) + float(two.prefill.capital_cost), rel=1e-12
    )
    assert float(two.time_per_token) == pytest.approx(float(two.decode.step_time), rel=1e-12)


def test_cached_prompts_come_sooner_and_cheaper(small, serving, machine, technology):
    half = dataclasses.replace(serving, cached=jnp.asarray(0.5))
    fresh, cached = (
        codesign.serve(small, s, codesign.Pool(machine), technology=technology)
        for s in (serving, half)
    )
    assert float(cached.time_to_first_token) < float(fresh.time_to_first_token)
    assert float(cached.cost_per_output_token) < float(fresh.cost_per_output_token)


def test_gradient_of_cost_per_token(small, serving, machine, technology):
    def log_cost(log_bandwidth):
        design = dataclasses.replace(machine, memory_bandwidth=jnp.exp(log_bandwidth))
        return jnp.log(
            codesign.serve(
                small, serving, codesign.Pool(design), technology=technology
            ).cost_per_output_token
        )

    at = jnp.log(machine.memory_bandwidth)
    exact = float(jax.grad(log_cost)(at))
    central = float(log_cost(at + 1e-5) - log_cost(at - 1e-5)) / 2e-5
    assert exact == pytest.approx(central, rel=1e-6)
    assert abs(exact) > 1e-3


def test_bad_serving_is_refused(small, serving, machine, technology):
    with pytest.raises(ValueError, match="batch is 0"):
        codesign.serve(
            small,
            dataclasses.replace(serving, batch=jnp.asarray(0.0)),
            codesign.Pool(machine),
            technology=technology,
        )


def test_what_does_not_fit_is_refused(llama_405b, machine, technology):
    """405B on one chip of 179 GiB, 161 to fill (field F42: 1,512 GiB on 74.5 was answered): no
    answer where it is seen, else no goodput."""
    one = dataclasses.replace(machine, chips=jnp.asarray(1.0))
    asked = codesign.Serving(prompt=4096, output=1024, batch=32, load=0.5)
    with pytest.raises(
        ValueError,
        match=r"^decode needs \d+\.\d GiB for weights and caches and an instance has 160\.9 GiB",
    ):
        codesign.serve(llama_405b, asked, codesign.Pool(one), technology=technology)
    with pytest.raises(ValueError, match=r"^prefill needs"):
        codesign.serve(
            llama_405b, asked, codesign.Pool(machine), codesign.Pool(one), technology=technology
        )

    def traced(chips):
        pool = codesign.Pool(dataclasses.replace(machine, chips=chips))
        return codesign.serve(llama_405b, asked, pool, technology=technology)

    small, large = (jax.jit(traced)(jnp.asarray(chips)) for chips in (1.0, 16.0))
    assert float(small.goodput) == 0.0 < float(large.goodput)
    assert float(small.limits.capacity) > 0.0 >= float(large.limits.capacity)


def test_limits_are_the_worse_of_both_phases(small, serving, machine, technology):
    tight = codesign.serve(
        small,
        serving,
        codesign.Pool(machine),
        technology=technology,
        first_promise=1e-6,
        token_promise=1e-6,
    )
    for name in codesign.LIMIT_NAMES:
        phases = [float(getattr(one.limits, name)) for one in (tight.decode, tight.prefill)]
        assert name == "promise" or float(getattr(tight.limits, name)) == max(phases)
    assert float(tight.limits.promise) == pytest.approx(np.log(float(tight.time_per_token) / 1e-6))
    assert float(tight.first_token) == pytest.approx(
        np.log(float(tight.time_to_first_token) / 1e-6)
    )
    assert float(tight.goodput) == 0.0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"output": -5.0}, "output is -5"),
        ({"load": 1.0}, "load is 1; .* at most 1"),
        ({"chunk": 0.0}, "chunk is 0"),
        ({"cached": 2.0}, "cached"),
    ],
)
def test_an_illegal_service_is_no_service(small, serving, machine, technology, change, told):
    bad = dataclasses.replace(serving, **change)
    with pytest.raises(ValueError, match=told):
        codesign.serve(small, bad, codesign.Pool(machine), technology=technology)
    traced = jax.jit(
        lambda asked: codesign.serve(small, asked, codesign.Pool(machine), technology=technology)
    )(bad)
    assert (
        float(traced.goodput) <= 1e-18
        and float(traced.cost_per_output_token) > 1e17
        and float(traced.limits.capacity) > 0.0
    )
    assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(traced))
    with pytest.raises(ValueError, match="instances is -1"):
        codesign.serve(
            small, serving, codesign.Pool(machine, instances=-1.0), technology=technology
        )
