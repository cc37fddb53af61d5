"""How many bytes a server needs, where the cache overtakes the weights, and how many chips of each
memory first admit a model."""

import math

import jax
import jax.numpy as jnp
import numpy as np

import codesign
from codesign.numerics.compilation import SELDOM, compiled
from codesign.numerics.fields import Real
from codesign.numerics.units import GIBI, GIGA, KIBI
from codesign.workload.transformer import Transformer
from experiments.reproductions.flips.bands import (
    Band,
    Finding,
    Row,
    band,
    certain,
    shown,
    with_band,
)
from experiments.reproductions.flips.machines import (
    EXECUTIONS,
    MEMORIES,
    MODELS,
    STACKS,
    TITLES,
    Choices,
    choices,
    evaluated,
    execution_of,
    transformer,
    world,
)

LATENT = "deepseek-v3"
SERVER = 8  # chips that hold a replica each of what cannot be divided
SERVICES = ((1, 4), (32, 64), (32, 128))
"""Users and context in Ki positions; 32 at 64 Ki is the study's own example."""


@compiled(SELDOM)
def kept(
    work: Transformer,
    users: Real,
    context: Real,
    execution: codesign.Execution,
    technology: codesign.Technology,
) -> tuple[Real, Real]:
    """Weights and caches of a server of eight chips, one tensor group [B]."""
    machine = codesign.Design(
        memory_bandwidth=1e12,
        memory_capacity=1e12,
        peak_flops=1e15,
        chips=SERVER,
        sync_latency=1e-6,
        link_bandwidth=1e12,
    )
    plan = codesign.Plan(kv_ideal=float(execution.ideal))
    workload = codesign.Workload(work, codesign.Decode(batch=users, context=context))
    found = codesign.evaluate(
        machine, workload, plan, technology=technology, execution=execution
    ).footprint
    return found.weights * SERVER, found.state * SERVER


def overtaking(
    work: Transformer, users: Real, execution: codesign.Execution, technology: codesign.Technology
) -> float:
    """Context at which the caches of all users are as large as the weights [1]."""
    from scipy.optimize import brentq

    def surplus(log_context: float) -> float:
        weights, state = kept(work, users, jnp.exp(jnp.asarray(log_context)), execution, technology)
        return math.log(weights / state)

    return math.exp(brentq(surplus, 0.0, math.log(1e9), xtol=1e-12))  # pyright: ignore[reportArgumentType]


@compiled(SELDOM)
def least_chips(
    technology: codesign.Technology,
    offered: Choices,
    work: Transformer,
    context: Real,
    execution: codesign.Execution,
):
    """The fewest chips on offer on which everything fits, infinity if none does [1]; technologies
    on the leading axis."""

    def fewest(one: codesign.Technology) -> Real:
        found = evaluated(
            one, offered, jnp.asarray(1e15), work, context, execution, jnp.asarray(1.0)
        )
        return jnp.min(jnp.where(found.fits_memory, offered.stage * offered.pipeline, jnp.inf))

    return jax.vmap(fewest)(technology)


def finding(seed: int) -> Finding:
    """The rows of this question."""
    nominal = jax.tree.map(lambda leaf: leaf[0], world("HBM4", seed))
    rows, needs, meets, chips = [], {}, {}, {}
    for name in MODELS:
        work = transformer(name)
        for kind in (
            EXECUTIONS if name == LATENT else ("limit",)
        ):  # eight KV heads divide over eight ranks either way
            execution = execution_of(kind, name)
            for users, length in SERVICES:
                parts = kept(
                    work, jnp.asarray(float(users)), jnp.asarray(length * KIBI), execution, nominal
                )
                weights, state = (float(part) / GIGA for part in parts)
                needs[name, kind, users, length] = weights + state
                setting = f"{TITLES[name]}, {_people(users)} at {length} Ki, {kind}"
                share = shown((weights + state) * GIGA / GIBI / SERVER)
                told = f"weights {shown(weights)} + cache {shown(state)} GB; {share} GiB a chip"
                rows.append(Row("GB per server", setting, certain(weights + state), "GB", told))
            for users in (1, 32):
                found = overtaking(work, jnp.asarray(float(users)), execution, nominal)
                meets[name, kind, users] = found
                setting = f"{TITLES[name]}, {_people(users)}, {kind}"
                told = "beyond this context caches outweigh weights"
                rows.append(
                    Row("cache overtakes weights", setting, certain(found), "positions", told)
                )
        for memory in MEMORIES:
            chips[name, memory] = _least(name, memory, seed)
            setting = f"{TITLES[name]}, 32 users at 64 Ki, {memory}"
            told = (
                "fewest chips that admit it (powers of two, at most"
                f" {'×'.join(map(str, STACKS[memory][-1]))} layers a chip)"
            )
            rows.append(Row("chips that first admit", setting, chips[name, memory], "chips", told))
    return Finding(rows, _summary(needs, meets, chips), list(_NOTES))


def _least(name: str, memory: str, seed: int) -> Band:
    offered = choices(memory, batches=(32,), pipelines=(1, 2, 4, 8, 16, 32, 64, 128))
    execution = execution_of("operatorwise", name)
    return band(
        np.asarray(
            least_chips(
                world(memory, seed), offered, transformer(name), jnp.asarray(64 * KIBI), execution
            )
        )
    )


def _people(users: int) -> str:
    return "1 user" if users == 1 else f"{users} users"


def _summary(needs: dict, meets: dict, chips: dict) -> list[str]:
    study = needs["llama-3.1-405b", "limit", 32, 64]
    latent = [needs[LATENT, kind, 32, 128] for kind in EXECUTIONS]
    crossings = ", ".join(
        f"{TITLES[name]} {shown(meets[name, 'limit', 32] / KIBI)} Ki (one user"
        f" {shown(meets[name, 'limit', 1] / KIBI)} Ki)"
        for name in MODELS
    )
    admitted = ", ".join(
        f"{with_band(chips['llama-3.1-405b', memory])} of {memory}" for memory in MEMORIES
    )
    return [
        (
            f"Capacity: 405B for 32 users at 64 Ki needs {shown(study)} GB ="
            f" {shown(study * GIGA / GIBI)} GiB (study: 881), one user at 4 Ki needs"
            f" {shown(needs['llama-3.1-405b', 'limit', 1, 4])} GB."
        ),
        f"With 32 users the cache overtakes the weights at {crossings} positions.",
        (
            "A latent cache does not divide over tensor ranks: DeepSeek-V3 for 32 users at 128 Ki"
            f" needs {shown(latent[0])} GB ideally, {shown(latent[1])} GB with a copy on each of"
            f" {SERVER} ranks."
        ),
        f"405B for 32 users at 64 Ki is first admitted by {admitted} chips.",
    ]


_NOTES = (
    (
        "Capacity: weights and cache at 8 bit, nominal parameter counts; 'limit' divides"
        " everything over all chips as arXiv 2507.14397 does, 'operatorwise' replicates what has"
        f" fewer slices than {SERVER} ranks (latent caches, router). Bytes are counted, so they"
        " have no band; chips have one, through layer capacity."
    ),
)
