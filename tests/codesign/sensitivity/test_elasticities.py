"""Elasticities: against Euler's theorem, which no implementation can bend, and against a closed
form."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

import codesign
from codesign.sensitivity import elasticities, exchange_rate

RATES = (
    "memory_bandwidth",
    "peak_flops",
    "link_bandwidth",
    "sram_bandwidth",
    "scale_out_bandwidth",
    "pool_bandwidth",
)
LATENCIES = ("sync_latency", "scale_out_latency")


EXECUTIONS = [
    codesign.Operatorwise(),
    codesign.Dataflow(),
    codesign.LimitStudy(syncs_per_layer=2, syncs_per_expert_layer=2),
]
PHASES = [codesign.Decode(batch=32, context=8192), codesign.Prefill(batch=2, prompt=4096)]


@pytest.mark.parametrize("execution", EXECUTIONS)
@pytest.mark.parametrize("phase", PHASES)
def test_rates_and_latencies_sum_to_minus_one(execution, phase, llama_405b, machine, technology):
    """All rates times c and all latencies over c: the step takes 1/c of the time (Euler)."""
    work = codesign.Workload(llama_405b, phase)
    found = elasticities(
        lambda design: (
            codesign.evaluate(design, work, technology=technology, execution=execution).step_time
        ),
        machine,
    )
    total = sum(float(getattr(found, name)) for name in RATES) - sum(
        float(getattr(found, name)) for name in LATENCIES
    )
    assert total == pytest.approx(-1.0, abs=1e-12)


def test_closed_form():
    found = elasticities(
        lambda x: x["a"] ** 3 / (x["b"] + 1.0) + 0.0 * x["c"],
        {"a": jnp.array(2.0), "b": jnp.array(3.0), "c": jnp.array(0.0)},
    )
    np.testing.assert_allclose([found["a"], found["b"], found["c"]], [3.0, -0.75, 0.0], rtol=1e-14)


def test_an_exchange_keeps_the_outcome(llama_405b, machine, technology):
    """A little more latency, paid for with bandwidth at the rate: the step takes as long (to second
    order)."""
    work = codesign.Workload(llama_405b, codesign.Decode(batch=8, context=8192))

    def time(design):
        return codesign.evaluate(design, work, technology=technology).step_time

    rate = exchange_rate(time, machine, lambda d: d.memory_bandwidth, lambda d: d.sync_latency)
    more = 1e-3 * machine.sync_latency
    moved = dataclasses.replace(
        machine,
        sync_latency=machine.sync_latency + more,
        memory_bandwidth=machine.memory_bandwidth + rate * more,
    )
    alone = dataclasses.replace(machine, sync_latency=machine.sync_latency + more)
    assert abs(time(moved) - time(machine)) < 2e-3 * abs(time(alone) - time(machine))
