"""The published numbers of the limit study (arXiv 2507.14397) and what follows from its model."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

import codesign
from codesign.numerics.units import GIBI, MICRO, PETA, TEBI


def xpu(chips: float) -> codesign.Design:
    return codesign.Design(
        memory_bandwidth=4 * TEBI, memory_capacity=96 * GIBI, peak_flops=2.25 * PETA, chips=chips,
        sync_latency=(0.2 if chips <= 8 else 1.5) * MICRO, link_bandwidth=450e9,
    )  # fmt: skip


@pytest.fixture(scope="module")
def nominal(llama_405b):
    return dataclasses.replace(llama_405b, nominal_parameters=405e9)


def outcome(model, technology, chips, context, batch=1.0, kv_ideal=1.0):
    work = codesign.Workload(model, codesign.Decode(batch=batch, context=context))
    plan = codesign.Plan(kv_ideal=kv_ideal)
    return codesign.evaluate(
        xpu(chips), work, plan, technology=technology, execution=codesign.LimitStudy()
    )


@pytest.mark.parametrize(
    ("chips", "context", "published"),
    [
        (8, 4096, 86),
        (8, 131072, 80),
        (32, 4096, 290),
        (32, 131072, 271),
        (128, 4096, 776),
        (128, 131072, 743),
    ],
)
def test_tokens_per_second_per_user(nominal, technology, chips, context, published):
    assert (
        round(float(outcome(nominal, technology, chips, context).user_tokens_per_second))
        == published
    )


def test_replicated_heads_slow_128_chips(nominal, technology):
    # 8 KV heads on 128 chips: each chip reads 1/8 of the cache, not 1/128; by hand (405e9/128 +
    # 258048·131072/8)/4 TiB/s + 567 µs
    by_hand = 1 / ((405e9 / 128 + 258048 * 131072 / 8) / (4 * TEBI) + 126 * 3 * 1.5e-6)
    result = float(outcome(nominal, technology, 128, 131072, kv_ideal=0.0).user_tokens_per_second)
    assert result == pytest.approx(by_hand, rel=1e-12)
    assert abs(result - 445) < 1


def test_capacity_of_32_users_at_64k(nominal, technology):
    needed = float(outcome(nominal, technology, 8, 65536, batch=32).capacity_needed)
    assert round(needed / GIBI) == 881
    assert needed == pytest.approx(405e9 + 32 * 65536 * 258048, rel=1e-12)


def test_what_does_not_fit_says_so(nominal, technology):
    assert not bool(outcome(nominal, technology, 3, 4096).fits_memory)  # 309 GB for 406 GB
    assert bool(outcome(nominal, technology, 4, 4096).fits_memory)


def test_memory_bound_without_sync_time_is_inverse_to_bandwidth(llama_405b, technology):
    def log_time(log_bandwidth):
        design = dataclasses.replace(
            xpu(8.0), memory_bandwidth=jnp.exp(log_bandwidth), sync_latency=jnp.asarray(0.0)
        )
        work = codesign.Workload(llama_405b, codesign.Decode(batch=1, context=4096))
        return jnp.log(
            codesign.evaluate(
                design, work, technology=technology, execution=codesign.LimitStudy()
            ).step_time
        )

    assert float(jax.grad(log_time)(jnp.log(4 * TEBI))) == pytest.approx(-1.0, abs=1e-12)
