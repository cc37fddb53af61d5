"""Workloads and machines that several tests share."""

import jax
import pytest

import codesign
import hardware_priors
from codesign.hardware.design import Design
from codesign.hardware.technology import Technology
from codesign.workload.transformer import Transformer


@pytest.fixture(scope="session")
def technology() -> Technology:
    return hardware_priors.technology("N3", "HBM4", "NVLink6", cooling="cold-plate")


@pytest.fixture(scope="session")
def llama_405b() -> Transformer:
    return codesign.dense(
        hidden=16384, layers=126, heads=128, kv_heads=8, width=53248, vocabulary=128256
    )


@pytest.fixture(scope="session")
def machine() -> Design:
    return codesign.Design(
        memory_bandwidth=8e12,
        memory_capacity=192e9,
        peak_flops=4.5e15,
        chips=16,
        sync_latency=2e-6,
        link_bandwidth=900e9,
        sram_capacity=60e6,
        scale_up_domain=72,
    )


def random_designs(key: jax.Array, count: int) -> Design:
    """Designs spread log-uniformly over two decades of everything; leading axis ``count``."""
    import jax.numpy as jnp

    low = jnp.log(jnp.array([1e12, 2e10, 1e14, 2.0, 0.6e-6, 5e10]))
    high = jnp.log(jnp.array([5e13, 1e12, 2e16, 64.0, 2e-5, 2e12]))
    values = jnp.exp(jax.random.uniform(key, (count, 6), minval=low, maxval=high))
    names = codesign.DESIGN_VARIABLES
    fixed = {"sram_capacity": 60e6, "scale_up_domain": 72.0}
    return jax.vmap(lambda row: codesign.Design(**dict(zip(names, row, strict=True)), **fixed))(
        values
    )
