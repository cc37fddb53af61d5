"""The reserve for activations and framework: between what memory there is and what weights and
caches may fill."""

import dataclasses

import jax.numpy as jnp
import pytest

import codesign
import hardware_priors
from codesign.workload.catalogue import model

TECHNOLOGY = hardware_priors.technology("N4", "HBM3E", "NVLink4")
WORK = codesign.Workload(model("llama-3.1-8b"), codesign.Decode(batch=1, context=1024))
KEPT = float(
    codesign.evaluate(
        hardware_priors.device("h200").design(1), WORK, technology=TECHNOLOGY
    ).capacity_needed
)


def fits(outcome: codesign.Outcome) -> bool:
    """Whether memory holds it, whatever else the technology allows."""
    return float(outcome.limits.capacity) <= 0.0


def filled(share_of_kept: float, **how: object) -> codesign.Outcome:
    """The workload on one chip whose memory is so many times the bytes that the workload keeps."""
    design = dataclasses.replace(
        hardware_priors.device("h200").design(1), memory_capacity=jnp.asarray(share_of_kept * KEPT)
    )
    return codesign.evaluate(design, WORK, technology=TECHNOLOGY, **how)  # pyright: ignore[reportArgumentType]


def test_a_tenth_is_reserved():
    """vLLM's gpu_memory_utilization and TensorRT-LLM's free_gpu_memory_fraction are 0.9: 1 / 0.9 =
    1.111."""
    assert fits(filled(1.1112)) and not fits(filled(1.1110))
    outcome = filled(2.0)
    assert float(outcome.capacity_available) == pytest.approx(0.9 * 2.0 * KEPT)
    assert float(outcome.limits.capacity) == pytest.approx(float(jnp.log(1 / 1.8)))


def test_the_limit_study_reserves_nothing():
    """arXiv 2507.14397 compares bytes needed with all the memory there is."""
    ideal = codesign.LimitStudy()
    assert fits(filled(1.0001, execution=ideal)) and not fits(filled(0.9999, execution=ideal))


def test_fused_execution_reserves_too():
    assert not fits(filled(1.05, execution=codesign.Dataflow()))


def test_what_is_on_chip_or_pooled_has_no_reserve():
    """The reserve is main memory's: a pool holds nothing but what is put there."""
    tiers = codesign.TierShares(weights_in_pool=1.0, state_in_pool=1.0)
    design = dataclasses.replace(
        hardware_priors.device("h200").design(1),
        pool_capacity=jnp.asarray(1.01 * KEPT),
        pool_bandwidth=jnp.asarray(1e12),
    )
    outcome = codesign.evaluate(design, WORK, codesign.Plan(tiers=tiers), technology=TECHNOLOGY)
    assert fits(outcome)
