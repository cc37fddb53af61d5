"""Bad arguments of ``evaluate``: one sentence with the quantity, its value and what was
expected."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import pytest

import codesign
import hardware_priors
from codesign.numerics.fields import real

TINY = codesign.dense(hidden=256, layers=2, heads=4, kv_heads=2, width=512, vocabulary=1000)
GOOD = {
    "memory_bandwidth": 1e12,
    "memory_capacity": 1e10,
    "peak_flops": 1e14,
    "chips": 8.0,
    "sync_latency": 1e-6,
    "link_bandwidth": 1e11,
}


def evaluate(design=None, phase=None, plan=None):
    phase = codesign.Decode(batch=1, context=128) if phase is None else phase
    design = codesign.Design(**GOOD | (design or {}))
    technology = hardware_priors.technology("N5", "HBM3", "NVLink4")
    return codesign.evaluate(design, codesign.Workload(TINY, phase), plan, technology=technology)


def test_the_base_of_these_cases_is_good():
    assert math.isfinite(float(evaluate().step_time))
    assert math.isfinite(
        float(evaluate({"sync_latency": 0.0}).step_time)
    )  # the one quantity that may be 0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"chips": 0.0}, r"chips is 0; expected a finite number at least 1"),
        ({"clock": 0.0}, r"clock is 0; expected a finite number more than 0"),
        ({"sram_bandwidth": -1.0}, r"sram bandwidth is -1; expected a finite number more than 0"),
        (
            {"white_silicon": -1e-3},
            r"white silicon is -0\.001; expected a finite number at least 0",
        ),
        ({"scale_up_domain": 0.0}, r"scale up domain is 0; expected a finite number at least 1"),
        (
            {"scale_out_latency": -1.0},
            r"scale out latency is -1; expected a finite number at least 0",
        ),
        ({"chips": 0.5}, r"chips is 0\.5; expected a finite number at least 1"),
        (
            {"memory_bandwidth": -1e12},
            r"memory bandwidth is -1e\+12; expected a finite number more than 0",
        ),
        ({"memory_bandwidth": 0.0}, r"memory bandwidth is 0; expected a finite number more than 0"),
        ({"memory_capacity": -1.0}, r"memory capacity is -1; expected a finite number more than 0"),
        ({"peak_flops": math.nan}, r"peak flops is nan; expected a finite number more than 0"),
        (
            {"link_bandwidth": math.inf},
            r"link bandwidth is inf; expected a finite number more than 0",
        ),
        ({"sync_latency": -1e-6}, r"sync latency is -1e-06; expected a finite number at least 0"),
        ({"sram_capacity": 0.0}, r"sram capacity is 0; expected a finite number more than 0"),
        ({"dies": 0.0}, r"dies is 0; expected a finite number at least 1"),
    ],
)
def test_designs(changed, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        evaluate(design=changed)


@pytest.mark.parametrize(
    ("phase", "message"),
    [
        (
            codesign.Decode(batch=0, context=128),
            r"batch is 0; expected a finite number more than 0",
        ),
        (
            codesign.Decode(batch=-2, context=128),
            r"batch is -2; expected a finite number more than 0",
        ),
        (
            codesign.Decode(batch=math.nan, context=128),
            r"batch is nan; expected a finite number more than 0",
        ),
        (
            codesign.Decode(batch=1, context=-1),
            r"context is -1; expected a finite number at least 0",
        ),
        (codesign.Prefill(batch=1, prompt=0), r"prompt is 0; expected a finite number more than 0"),
        (
            codesign.Prefill(batch=1, prompt=128, cached=1),
            r"cached share of the prompt is 1; expected .* at most 1",
        ),
        (
            codesign.Prefill(batch=1, prompt=128, cached=-0.1),
            r"cached share of the prompt is -0\.1; expected .* most 1",
        ),
    ],
)
def test_phases(phase, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        evaluate(phase=phase)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (codesign.Plan(data=0), r"plan's data degree is 0; expected a finite number at least 1"),
        (
            codesign.Plan(pipeline=0.5),
            r"plan's pipeline degree is 0\.5; expected a finite number at least 1",
        ),
        (
            codesign.Plan(context=math.nan),
            r"plan's context degree is nan; expected a finite number at least 1",
        ),
        (
            codesign.Plan(expert=0),
            r"plan's expert degree is 0; expected a finite number at least 1",
        ),
        (
            codesign.Plan(data=16),
            r"tensor degree of 8 chips in 16 .* groups is 0\.5; expected .* at least 1",
        ),
        (
            codesign.Plan(pipeline=4, data=4),
            r"tensor degree of 8 chips in 16 .* groups is 0\.5; expected .* at least 1",
        ),
    ],
)
def test_plans(plan, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        evaluate(plan=plan)


def test_the_worst_lane_of_a_batch_is_named():
    with pytest.raises(ValueError, match=r"^memory bandwidth is -3; expected"):
        evaluate(design={"memory_bandwidth": jnp.array([1e12, -3.0, 2e12])})


def test_traced_values_are_not_checked():
    """Inside a transformation there is nothing to look at: a lane that is out of range must not
    fail the others."""
    design = codesign.Design(**GOOD)
    step_time = jax.jit(lambda chips: evaluate_at(dataclasses.replace(design, chips=chips)))
    assert math.isfinite(float(step_time(real(8.0))))
    step_time(real(0.5))


def evaluate_at(design):
    technology = hardware_priors.technology("N5", "HBM3", "NVLink4")
    work = codesign.Workload(TINY, codesign.Decode(batch=1, context=128))
    return codesign.evaluate(design, work, technology=technology).step_time


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"promise": -1.0}, r"promise is -1; expected a finite number more than 0"),
        (
            {"precision": codesign.uniform(0)},
            r"weight bits is 0; expected a finite number more than 0",
        ),
        (
            {"phase": codesign.Decode(1, 8, codesign.Draft(length=-2, acceptance=0.8, cost=0.1))},
            r"draft length is -2",
        ),
        (
            {"phase": codesign.Decode(1, 8, codesign.Draft(length=2, acceptance=1.5, cost=0.1))},
            r"acceptance is 1\.5; .* most 1",
        ),
    ],
)
def test_workloads(change, message, llama_405b, machine, technology):
    fields = {"phase": codesign.Decode(batch=1, context=128), **change}
    with pytest.raises(ValueError, match=message):
        codesign.evaluate(machine, codesign.Workload(llama_405b, **fields), technology=technology)


def test_tier_shares(llama_405b, machine, technology):
    work = codesign.Workload(llama_405b, codesign.Decode(batch=1, context=128))
    plan = codesign.Plan(tiers=codesign.TierShares(weights_in_pool=1.2))
    with pytest.raises(ValueError, match=r"weights in pool is 1\.2; expected .* at most 1"):
        codesign.evaluate(machine, work, plan, technology=technology)
