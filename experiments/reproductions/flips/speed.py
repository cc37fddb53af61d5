"""The most tokens/s/user of each memory and model, what the step's time goes to, and what stands
between it and 10,000."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import codesign
from codesign.numerics.compilation import SELDOM, compiled
from codesign.numerics.fields import Real, RealArray
from codesign.numerics.units import KIBI, MICRO
from codesign.performance.step import Step
from codesign.workload.transformer import Transformer
from experiments.reproductions.flips.bands import (
    Band,
    Finding,
    Row,
    band,
    percent,
    shown,
    with_band,
)
from experiments.reproductions.flips.machines import (
    EXECUTIONS,
    MATRIX_RATE,
    MEMORIES,
    MODELS,
    STAGE,
    TITLES,
    Choices,
    choices,
    evaluated,
    execution_of,
    sync_floor,
    transformer,
    world,
)

GOAL = 10_000.0  # [token/s/user]
CONTEXT = 4 * KIBI
CAUSES = ("memory", "compute", "sync", "transfer")


class Fastest(NamedTuple):
    """The fastest machine on offer of every technology (leading axis)."""

    speed: RealArray  # [token/s/user]
    chips: RealArray
    shares: RealArray  # (…, 4) of the step's time, in the order of CAUSES [1]
    halved: RealArray  # (…, 4) speed-up when that cause's time is halved [1]
    sync_needed: (
        Real  # longest sync latency at which some machine reaches the goal, 0 if none does [s]
    )


@compiled(SELDOM)
def fastest(
    technology: codesign.Technology,
    offered: Choices,
    matrix_rate: Real,
    work: Transformer,
    context: Real,
    execution,
) -> Fastest:
    """Search all choices in every technology (leading axis)."""

    def one(technology: codesign.Technology) -> Fastest:
        found = evaluated(
            technology, offered, matrix_rate, work, context, execution, jnp.asarray(1.0)
        )
        time = jnp.where(found.fits_memory, found.time_per_token, jnp.inf)
        at = jnp.argmin(time)
        here = jax.tree.map(lambda leaf: leaf[at], found.step)
        latency = jnp.sum(found.step.latency, axis=-1)
        spare = jnp.where(found.fits_memory, 1.0 / GOAL - (found.step.time - latency), -jnp.inf)
        needed = jnp.max(
            jnp.where(found.step.syncs > 0, spare / jnp.maximum(found.step.syncs, 1.0), spare)
        )
        chips = offered.stage * offered.pipeline
        return Fastest(
            1.0 / time[at],
            chips[at],
            shares(here),
            halvings(here, execution),
            jnp.maximum(needed, 0.0),
        )

    return jax.vmap(one)(technology)


def _scheduled(step: Step, compute: Real, memory: Real, execution: codesign.Execution) -> RealArray:
    """Time of the operators with their compute and memory times scaled."""
    once = jnp.ones_like(step.compute)
    alone = (step.compute * compute, step.vector * compute, step.memory * memory)
    return jnp.sum(execution.schedule(codesign.OperatorTimes(*alone, step.group, once)))


def shares(step: Step) -> RealArray:
    """Where the time of one step goes; an operator's time belongs to the resource that binds it
    [1]."""
    by_memory = jnp.where(step.memory >= step.operators, step.operators, 0.0)
    parts = (
        jnp.sum(by_memory),
        jnp.sum(step.operators - by_memory),
        jnp.sum(step.latency),
        jnp.sum(step.transfer),
    )
    return jnp.stack(parts) / step.time


def halvings(step: Step, execution: codesign.Execution) -> RealArray:
    """Speed-up of one step when memory, compute, sync or transfer takes half its time [1]."""
    latency, transfer = jnp.sum(step.latency), jnp.sum(step.transfer)
    halved = jnp.stack(
        [
            _scheduled(step, 1.0, 0.5, execution) + latency + transfer,
            _scheduled(step, 0.5, 1.0, execution) + latency + transfer,
            _scheduled(step, 1.0, 1.0, execution) + 0.5 * latency + transfer,
            _scheduled(step, 1.0, 1.0, execution) + latency + 0.5 * transfer,
        ]
    )
    return step.time / halved


def finding(seed: int) -> Finding:
    """The rows of this question."""
    rows, found = [], {}
    for name in MODELS:
        for memory in MEMORIES:
            for kind in EXECUTIONS:
                found[name, memory, kind] = numbers = _searched(name, memory, kind, seed)
                setting = f"{TITLES[name]}, {memory}, {kind}"
                rows.append(
                    Row(
                        "most tokens/s/user",
                        setting,
                        band(numbers.speed),
                        "token/s/user",
                        _decomposed(numbers),
                    )
                )
                never = percent(numbers.sync_needed <= 0)
                told = (
                    "longest sync latency that reaches 10,000; no sync at all would not do in"
                    f" {never} of the draws"
                )
                rows.append(
                    Row("sync for 10,000", setting, band(numbers.sync_needed / MICRO), "µs", told)
                )
    floor = band(
        jax.vmap(lambda technology: sync_floor(technology, jnp.asarray(8.0)))(world("HBM4", seed))
        / MICRO
    )
    return Finding(rows, _summary(found, floor), list(_NOTES))


def _searched(name: str, memory: str, kind: str, seed: int) -> Fastest:
    whole = name == "deepseek-v3"
    experts = (True,) if kind == "limit" else (False, True)
    offered = choices(memory, batches=(1,), whole_experts=experts if whole else (False,))
    rate, context = jnp.asarray(MATRIX_RATE[memory]), jnp.asarray(CONTEXT)
    numbers = fastest(
        world(memory, seed), offered, rate, transformer(name), context, execution_of(kind, name)
    )
    return jax.tree.map(np.asarray, numbers)


def _decomposed(found: Fastest) -> str:
    parts = ", ".join(
        f"{cause} {shown(round(100 * share))} %"
        for cause, share in zip(CAUSES, found.shares[0], strict=True)
    )
    best = int(np.argmax(found.halved[0]))
    return (
        f"{shown(found.chips[0])} chips: {parts}; halving {CAUSES[best]} helps most,"
        f" {shown(found.halved[0, best])}x"
    )


def _summary(found: dict, floor: Band) -> list[str]:
    lines = []
    for name in MODELS:
        told = "; ".join(
            f"{memory} {with_band(band(found[name, memory, 'operatorwise'].speed))}"
            f" (limit {shown(band(found[name, memory, 'limit'].speed).nominal)})"
            for memory in MEMORIES
        )
        lines.append(f"Most tokens/s/user of {TITLES[name]} (one user at 4 Ki): {told}.")
    syncs = [
        found[name, memory, "operatorwise"].shares[0, 2] for name in MODELS for memory in MEMORIES
    ]
    helped = [CAUSES[int(np.argmax(one.halved[0]))] for one in found.values()]
    lines.append(
        f"There syncs take {100 * min(syncs):.0f} to {100 * max(syncs):.0f} % of the step operator"
        f" by operator; halving sync helps most in {helped.count('sync')} of {len(helped)} cases,"
        f" memory in {helped.count('memory')}, compute in {helped.count('compute')}."
    )
    needed = "; ".join(f"{TITLES[name]} {_needed(found, name)}" for name in MODELS)
    lines.append(
        f"10,000 tokens/s/user needs syncs of at most: {needed} (operator by operator; the floor of"
        f" 8 chips with NVLink5 is {with_band(floor)} µs)."
    )
    return lines


def _needed(found: dict, name: str) -> str:
    reached = {
        memory: band(found[name, memory, "operatorwise"].sync_needed / MICRO) for memory in MEMORIES
    }
    told = [
        f"{with_band(reached[memory], 'µs')} on {memory}"
        for memory in MEMORIES
        if reached[memory].nominal is not None
    ]
    never = [memory for memory in MEMORIES if reached[memory].nominal is None]
    return ", ".join(told + ([f"never on {' and '.join(never)}"] if never else []))


_NOTES = (
    (
        "Most tokens/s/user: 4 to 8 stacks a chip (SRAM: 1 to 4 slabs of 100 mm²), stages of 1 to"
        f" {STAGE} chips (the study's largest tensor degree), 1 to 64 pipeline stages, context"
        " degrees 1 to 16, experts whole or sliced, sync latency 1 µs above the floor of so many"
        " chips; limits of edge, heat and price are not imposed. DeepSeek-V3 in the limit has"
        " whole experts and two further syncs a layer, the reading that keeps the study's 'no HBM3"
        " system reaches 1,000' at its 4 TiB/s; eight stacks of HBM3 have 6.6 TB/s."
    ),
)
