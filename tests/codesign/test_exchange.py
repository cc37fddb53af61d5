"""Rows on their way to whole experts: dispatch in fewer bits, one crossing a domain."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

import codesign
from codesign.performance import collectives
from codesign.performance.exchange import dispatch_and_combine
from codesign.workload.operators import operator_table


@pytest.fixture
def network(machine):
    return collectives.network(dataclasses.replace(machine, scale_up_domain=8.0))


def sent(network, chips, narrower=1.0, active=8.0, rows=100.0):
    arguments = [jnp.asarray(value) for value in (chips, 2.0, active, rows, narrower)]
    return dispatch_and_combine(network, *arguments)


def test_inside_a_domain_it_is_two_all_to_alls(network):
    plain = collectives.all_to_all(network, jnp.asarray(8.0), jnp.asarray(100.0 * 8.0 * 2.0))
    for name in ("latency", "transfer", "wire", "syncs", "inner"):
        assert getattr(sent(network, 8.0), name) == pytest.approx(2.0 * getattr(plain, name))


def test_what_is_sent_out_in_half_the_bits_takes_three_quarters(network):
    for chips in (8.0, 32.0):
        half, whole = sent(network, chips, narrower=0.5), sent(network, chips)
        assert half.transfer == pytest.approx(0.75 * whole.transfer)
        assert half.latency == whole.latency


def test_a_row_crosses_to_a_domain_once(network):
    # four domains, eight experts: 3 (1 − (3/4)^8) of the three others see a row, not 8 · 3/4
    visits = 3.0 * (1.0 - 0.75**8)
    far = 2.0 * visits * 100.0 * 2.0 / float(network.outer_bandwidth)
    assert sent(network, 32.0).transfer == pytest.approx(far)
    key = jax.random.PRNGKey(0)
    domains = jax.random.randint(key, (20_000, 8), 0, 4)
    seen = sum(jnp.mean((domains == k).any(axis=1)) for k in range(1, 4))
    assert float(seen) == pytest.approx(visits, rel=0.02)


def test_derivatives_are_finite_at_the_edge_of_a_domain(network):
    for chips in (1.0, 8.0, 8.0001, 64.0):
        slopes = jax.grad(
            lambda n, k: (
                dispatch_and_combine(
                    network, n, jnp.asarray(2.0), k, jnp.asarray(100.0), jnp.asarray(0.5)
                ).transfer
            ),
            argnums=(0, 1),
        )(jnp.asarray(chips), jnp.asarray(8.0))
        assert all(bool(jnp.isfinite(slope)) for slope in slopes)


@pytest.mark.parametrize(("bits", "share"), [(16, 1.0), (8, 0.5), (4, 0.5)])
def test_rows_go_out_in_the_width_of_the_experts(bits, share):
    mixture = codesign.MixtureOfExperts(experts=8, active=2, width=64)
    kind = codesign.LayerKind(
        codesign.GroupedAttention(heads=4, kv_heads=4, head_dim=16), mixture, count=2
    )
    model = codesign.Transformer(layers=(kind,), hidden=64, vocabulary=100)
    table = operator_table(model, codesign.uniform(bits))
    assert float(table.dispatch_share) == share
