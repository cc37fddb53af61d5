"""Does attention need hardware of its own? The matrix rate that pays beside a given bandwidth, by
kind of attention.

One model, DeepSeek-V3, with its attention exchanged; everything else stays. The chip has eight
stacks of HBM4 and memory as large as weights and caches are; of all matrix rates the one with most
tokens/s per dollar is taken. Limits of edge, heat and reticle are not imposed: they would fix the
ratio for every kind alike.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import codesign
import hardware_priors
from codesign.numerics.compilation import SELDOM, compiled
from codesign.numerics.fields import Real, RealArray
from codesign.workload.operators import OperatorTable
from codesign.workload.parameters import state_bytes_per_token

BASE = "deepseek-v3"
CHIPS = 64.0
DIES = 2.0
STACKS = 8.0
RATES = np.geomspace(2e13, 2e16, 601)  # [FLOP/s] at 16 bit


class Best(NamedTuple):
    """The chip with most tokens/s per dollar."""

    kind: str
    cache: float  # [B] a position
    rate: float  # [FLOP/s]
    bandwidth: float  # [B/s]
    gain: float  # [token/s/USD]

    @property
    def ratio(self) -> float:
        """[FLOP/B]"""
        return self.rate / self.bandwidth


@functools.cache
def kinds() -> Mapping[str, codesign.Transformer]:
    """The model with each kind of attention, 128 query heads all."""
    base = codesign.model(BASE)

    def exchanged(kv_heads: float) -> codesign.Transformer:
        attention = codesign.GroupedAttention(heads=128.0, kv_heads=kv_heads, head_dim=128.0)
        layers = tuple(dataclasses.replace(each, attention=attention) for each in base.layers)
        return dataclasses.replace(base, layers=layers, name="model")

    return {
        "MHA": exchanged(128.0),
        "GQA, 8 KV heads": exchanged(8.0),
        "MLA": base,
        "MLA, top 2048 (V3.2)": codesign.model("deepseek-v3.2"),
    }


@compiled(SELDOM)
def _gains(
    work: codesign.Transformer,
    table: OperatorTable,
    technology: codesign.Technology,
    rates: RealArray,
    batch: Real,
    context: Real,
) -> Real:
    phase = codesign.Decode(batch=batch, context=context)
    workload = codesign.Workload(work, phase, codesign.uniform(16))
    plan = codesign.Plan(data=CHIPS, expert=codesign.WHOLE_EXPERTS)

    def one(rate: Real, capacity: Real) -> codesign.Outcome:
        design = codesign.Design(
            memory_bandwidth=STACKS * technology.memory.stack_bandwidth,
            memory_capacity=capacity,
            peak_flops=rate,
            chips=CHIPS,
            sync_latency=2e-6,
            link_bandwidth=900e9,
            dies=DIES,
        )
        return codesign.evaluate_table(
            design, table, workload, plan, technology, codesign.Operatorwise()
        )

    first = one(rates[0], jnp.asarray(1e12))
    capacity = first.capacity_needed / first.capacity_available * 1e12
    return jax.vmap(lambda rate: one(rate, capacity))(rates).tokens_per_second_per_dollar


def best_chip(kind: str, work: codesign.Transformer, batch: float, context: float) -> Best:
    """Search the matrix rate for one kind of attention.

    Args:
        kind: its name.
        work: the model.
        batch: sequences over all chips [1].
        context: cached positions of each [1].
    """
    precision = codesign.uniform(16)
    technology = hardware_priors.technology("N3", "HBM4", "NVLink6", cooling="cold-plate")
    table = codesign.operator_table(work, precision)
    asked = (jnp.asarray(float(batch)), jnp.asarray(float(context)))
    gains = np.asarray(_gains(work, table, technology, jnp.asarray(RATES), *asked))
    at = int(np.argmax(gains))
    cache = float(state_bytes_per_token(work, 2.0))
    bandwidth = STACKS * float(technology.memory.stack_bandwidth)
    return Best(kind, cache, float(RATES[at]), bandwidth, float(gains[at]))
