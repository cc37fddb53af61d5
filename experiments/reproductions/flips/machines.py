"""The machines that the questions are asked of: whole stacks of a memory, laid out in every way on
offer.

Everything that the questions take from a ``Technology`` beyond ``codesign.evaluate`` is here.
"""

import dataclasses
import functools
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

import codesign
from codesign.numerics.fields import Real, RealArray
from codesign.numerics.units import BITS_PER_BYTE, GIGA, MICRO, PETA, PICO
from codesign.physical import latency
from codesign.workload.catalogue import model
from codesign.workload.transformer import Transformer
from experiments.reproductions.flips.bands import technologies

MODELS = ("llama-3.1-70b", "llama-3.1-405b", "deepseek-v3")
TITLES = {"llama-3.1-70b": "70B", "llama-3.1-405b": "405B", "deepseek-v3": "DeepSeek-V3"}
MEMORIES = ("HBM3", "HBM4", "3D-DRAM", "SRAM")

STACKS = {
    "HBM3": ((4, 8), (8, 4), (8, 8), (8, 12)),
    "HBM4": ((4, 12), (8, 4), (8, 8), (8, 12)),
    "3D-DRAM": ((4, 4), (4, 8), (8, 4), (8, 8)),
    "SRAM": ((1, 1), (2, 1), (3, 1), (4, 1)),
}
"""Stacks (tiles, slabs) of a chip and layers of each; four slabs of SRAM and the rest of the chip
fill a reticle. As many each, so that two memories share a program."""

MATRIX_RATE = {
    "HBM3": 2.25 * PETA,
    "HBM4": 2.25 * PETA,
    "3D-DRAM": 2.25 * PETA,
    "SRAM": 1.13 * PETA,
}
"""Dense 8-bit rate of a chip in the limit study [FLOP/s]."""

LINK_BANDWIDTH = 900 * GIGA  # one direction, NVLink5 [B/s]
ABOVE_FLOOR = (
    1.0 * MICRO
)  # of the sync latency: with the floor's nominal 0.5 µs, the 1.5 µs of the study [s]
STAGE = 128  # the most chips that share a layer: the study's largest tensor degree

LIMIT = codesign.LimitStudy()
LIMIT_WITH_EXPERTS = codesign.LimitStudy(syncs_per_expert_layer=2.0)
EXECUTIONS = {"limit": LIMIT, "operatorwise": codesign.Operatorwise()}


class Choices(NamedTuple):
    """Machines and layouts on offer, one an entry of every array [1]."""

    stage: RealArray  # chips that share a layer
    pipeline: RealArray
    context: RealArray  # context-parallel degree
    expert: RealArray  # groups of whole experts
    batch: RealArray
    stacks: RealArray
    layers: RealArray


def choices(
    memory: str,
    batches: Sequence[float],
    pipelines: Sequence[float] = (1, 4, 16, 64),
    whole_experts: Sequence[bool] = (False,),
) -> Choices:
    """Every combination on offer with that memory; stages of 1, 2, 4 … 128 chips."""
    stages, contexts = [2**k for k in range(STAGE.bit_length())], (1, 4, 16)
    experts = [codesign.WHOLE_EXPERTS if whole else 1.0 for whole in whole_experts]
    rows = [
        (stage, pipeline, context, expert, batch, *stack)
        for stage, pipeline, context, expert, batch, stack in itertools.product(
            stages, pipelines, contexts, experts, batches, STACKS[memory]
        )
        if context <= stage
    ]
    return Choices(*(jnp.asarray(column, dtype=float) for column in zip(*rows, strict=True)))


@functools.cache
def transformer(name: str) -> Transformer:
    """A model at its nominal number of parameters, as papers count them, without its name: equal
    shapes share a program."""
    return dataclasses.replace(model(name, nominal_parameters=True), name="model")


def execution_of(kind: str, name: str) -> codesign.Execution:
    """The study's execution for a model: with experts, the reading that keeps its claims (two
    further syncs a layer)."""
    return LIMIT_WITH_EXPERTS if kind == "limit" and name == "deepseek-v3" else EXECUTIONS[kind]


@functools.cache
def world(memory: str, seed: int) -> codesign.Technology:
    """Nominal and drawn technologies with that memory, on N3 with NVLink5."""
    return technologies(
        seed,
        node="N3",
        memory=memory,
        link="NVLink5",
        cooling="3d-stack" if memory == "3D-DRAM" else "cold-plate",
    )


def sync_floor(technology: codesign.Technology, chips: Real) -> Real:
    """The least sync latency that any money buys, over so many chips of one scale-up network
    [s]."""
    return latency.sync_floor(chips, chips, technology.links)


def usual_sync(technology: codesign.Technology, chips: Real) -> Real:
    """A sync latency at a moderate price: 1 µs above its floor [s]."""
    return sync_floor(technology, chips) + ABOVE_FLOOR


def design(
    technology: codesign.Technology, choice: Choices, matrix_rate: Real, sync_scale: Real
) -> codesign.Design:
    """One machine of whole stacks; its sync latency is the usual one times ``sync_scale``."""
    stack = technology.memory
    return codesign.Design(
        memory_bandwidth=choice.stacks * stack.stack_bandwidth,
        memory_capacity=choice.stacks * choice.layers * stack.layer_capacity,
        peak_flops=matrix_rate,
        chips=choice.stage * choice.pipeline,
        sync_latency=usual_sync(technology, choice.stage * choice.pipeline) * sync_scale,
        link_bandwidth=LINK_BANDWIDTH,
    )


def plan_of(choice: Choices) -> codesign.Plan:
    """Its layout; switches that add keep a collective at one sync, so time is affine in the
    latency."""
    in_network = jnp.asarray(codesign.ALGORITHMS["in-network"])[None]
    return codesign.Plan(
        pipeline=choice.pipeline,
        context=choice.context,
        expert=choice.expert,
        all_reduce=in_network,
    )


def ideal_if_limit(plan: codesign.Plan, execution: codesign.Execution) -> codesign.Plan:
    """The study divides the cache over all chips."""
    return dataclasses.replace(plan, kv_ideal=1.0) if execution.ideal else plan


def memory_price(technology: codesign.Technology) -> Real:
    """Price of a gigabyte of layers [USD/GB]."""
    return technology.memory.layer_price / technology.memory.layer_capacity * GIGA


def access_energy(technology: codesign.Technology) -> Real:
    """Energy of a bit from memory [pJ/bit]."""
    return technology.memory.access_energy / BITS_PER_BYTE / PICO


def with_memory(
    technology: codesign.Technology, price: Real = 1.0, energy: Real = 1.0
) -> codesign.Technology:
    """The technology with its price of layers and its access energy scaled."""
    scaled = (technology.memory.layer_price * price, technology.memory.access_energy * energy)
    return eqx.tree_at(lambda t: (t.memory.layer_price, t.memory.access_energy), technology, scaled)


def evaluated(
    technology: codesign.Technology,
    offered: Choices,
    matrix_rate: Real,
    work: Transformer,
    context: Real,
    execution: codesign.Execution,
    sync_scale: Real,
) -> codesign.Outcome:
    """Every choice in one technology; leaves of shape (choices,)."""

    def one(choice: Choices) -> codesign.Outcome:
        machine = design(technology, choice, matrix_rate, sync_scale)
        workload = codesign.Workload(work, codesign.Decode(batch=choice.batch, context=context))
        plan = ideal_if_limit(plan_of(choice), execution)
        return codesign.evaluate(
            machine, workload, plan, technology=technology, execution=execution
        )

    return jax.vmap(one)(offered)
