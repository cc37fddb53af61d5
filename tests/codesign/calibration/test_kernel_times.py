"""Terms of single kernels, by hand."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from codesign.performance.calibrated import (
    ATTENTION,
    LATENT,
    PRODUCT,
    PROMPT,
    ChipRates,
    KernelWork,
    kernel_times,
)
from codesign.performance.kernel_coefficients import COEFFICIENTS, from_logs

KINDS = (PRODUCT, ATTENTION, LATENT, PROMPT)
BYTES, FLOPS = 1e9, 8e9
"""A cache of 16 bit that eight query heads share."""

WORK = KernelWork(
    bytes=jnp.full(4, BYTES),
    flops=jnp.full(4, FLOPS),
    kernels=jnp.zeros(4),
    touched=jnp.zeros(4),
    kind=jnp.array(KINDS, float),
)
RATES = ChipRates(
    memory=jnp.asarray(3e12),
    matrix=jnp.full(4, 1e15),
    attention=jnp.asarray(1e15),
    link=jnp.asarray(1e12),
    sync_latency=jnp.asarray(1e-6),
)


def memory(reread, scale=1.0, rates=RATES):
    logs = np.full(len(COEFFICIENTS), -30.0)  # no losses, no floors
    logs[COEFFICIENTS.index("attention_reread")] = np.log(reread)
    return np.asarray(kernel_times(WORK, rates, from_logs(logs), scale).memory)


def test_a_read_for_every_query_head_takes_eight_times_as_long_in_decode_attention_alone():
    once, each = memory(1e-9), memory(7.0 / 8.0)
    np.testing.assert_allclose(once, BYTES / 3e12, rtol=1e-6)
    np.testing.assert_allclose(each, BYTES / 3e12 * np.array([1.0, 8.0, 1.0, 1.0]), rtol=1e-6)


def test_what_is_read_again_goes_with_bandwidth_and_the_engines_scale():
    fast = dataclasses.replace(RATES, memory=2.0 * RATES.memory)
    np.testing.assert_allclose(memory(0.5, rates=fast), 0.5 * memory(0.5), rtol=1e-6)
    again = memory(0.5, scale=2.0) - memory(1e-9, scale=2.0)
    assert again[1] == pytest.approx(2.0 * 0.5 * FLOPS / 3e12, rel=1e-5)
