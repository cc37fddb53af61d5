"""The machines of the limit study and what its model says of them: whole tables in one compiled
program a model.

A system is ``tensor`` chips side by side and as many pipeline stages as it takes to hold the model,

    T = max(FLOPs / peak, bytes / bandwidth) + layers · syncs · sync latency,

full peaks, the cache divided without limit (``codesign.LimitStudy``). The paper's own numbers fix
4.5 µs of syncs a layer beyond eight chips; three of 1.5 µs is the natural reading.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import codesign
import hardware_priors
from codesign.numerics.compilation import SELDOM, compiled
from codesign.numerics.fields import Real, RealArray, Truths
from codesign.workload.catalogue import model
from codesign.workload.operators import OperatorTable
from experiments.terminal.refusal import Refused

MODELS = ("llama-3.1-70b", "llama-3.1-405b", "deepseek-v3")
TITLES = {"llama-3.1-70b": "70B", "llama-3.1-405b": "405B", "deepseek-v3": "DeepSeek-V3"}
DEVICES = ("xpu-hbm3", "xpu-hbm4", "xpu-3d-dram", "xpu-sram", "xpu-cows")
SHORT = {name: name.removeprefix("xpu-").upper() for name in DEVICES}
CHIPS = (8, 32, 128)
CONTEXTS = (4096, 131072)
WAFER = "xpu-cows"
EXPERT_SYNCS = 2.0
"""Further syncs of a layer with experts: with whole experts, the one reading under which no HBM3
system serves DeepSeek-V3 at 1,000 tokens/s/user, as the study says."""

TRIES = 16
"""Stages beyond what its bytes take among which those of whole experts are sought."""


class System(NamedTuple):
    """What one evaluation needs, SI; every field of one shape (systems,)."""

    bandwidth: Real
    capacity: Real
    peak: Real
    tensor: Real
    pipeline: Real
    sync: Real
    batch: Real
    context: Real


class Answer(NamedTuple):
    """What the study's model says of each system."""

    user: RealArray  # [token/s]
    system: RealArray  # [token/s]
    fits: Truths
    needed: RealArray  # [B]
    synced: RealArray  # share of the step that waits for syncs [1]
    used: RealArray  # share of the matrix rate that is used [1]
    per_dollar: RealArray  # [token/s/USD]
    per_watt: RealArray  # [token/s/W]


@functools.cache
def table_of(name: str) -> OperatorTable:
    """The operator table of a model at 8 bit and its round parameter count."""
    return codesign.operator_table(nominal(name), codesign.Precision())


@functools.cache
def nominal(name: str) -> codesign.Transformer:
    """A model at the number of parameters that papers say, if there is one; without its name, so
    that equal shapes share a program."""
    try:
        found = model(name, nominal_parameters=True)
    except ValueError:  # no round number of it is known
        found = model(name)
    return dataclasses.replace(found, name="model")


def one_answer(
    work: codesign.Transformer,
    table: OperatorTable,
    system: System,
    technology: codesign.Technology,
) -> Answer:
    """``Answer`` of one system; every field a scalar."""
    has_experts = bool(table.has_experts)
    chips = system.tensor * system.pipeline
    design = codesign.Design(
        memory_bandwidth=system.bandwidth,
        memory_capacity=system.capacity,
        peak_flops=system.peak,
        chips=chips,
        sync_latency=system.sync,
        link_bandwidth=900e9,
    )
    plan = codesign.Plan(
        pipeline=system.pipeline,
        expert=codesign.WHOLE_EXPERTS if has_experts else 1.0,
        kv_ideal=1.0,
    )
    execution = codesign.LimitStudy(syncs_per_expert_layer=EXPERT_SYNCS)
    phase = codesign.Decode(batch=system.batch, context=system.context)
    workload = codesign.Workload(work, phase)
    found = codesign.evaluate_table(design, table, workload, plan, technology, execution)
    step = found.step
    flops = jnp.sum(step.load.flops * step.load.mean_flops)
    return Answer(
        user=found.user_tokens_per_second,
        system=found.system_tokens_per_second,
        fits=jnp.asarray(found.fits_memory),
        needed=found.capacity_needed,
        synced=jnp.sum(step.latency) / step.time,
        used=flops / system.peak / step.time / system.pipeline,  # a stage waits for the others
        per_dollar=found.tokens_per_second_per_dollar,
        per_watt=found.tokens_per_second_per_watt,
    )


@compiled(SELDOM)
def _answers(
    work: codesign.Transformer,
    table: OperatorTable,
    systems: System,
    technology: codesign.Technology,
) -> Answer:
    return jax.vmap(lambda system: one_answer(work, table, system, technology))(systems)


def answers(name: str, systems: Sequence[System]) -> Answer:
    """What the study says of one model on many systems; arrays of shape (systems,)."""
    stacked = System(*(jnp.asarray(column, dtype=float) for column in zip(*systems, strict=True)))
    found = _answers(nominal(name), table_of(name), stacked, technology("xpu-hbm3"))
    return jax.tree.map(np.asarray, found)


@functools.cache
def technology(device: str) -> codesign.Technology:
    """What the study's chip is made of: the catalogue's nearest technologies."""
    return hardware_priors.technology_of(hardware_priors.device(device), cooling=cooling(device))


def cooling(device: str) -> str:
    """Stacked memory takes its own cooling."""
    return "3d-stack" if device == "xpu-3d-dram" else "cold-plate"


def system(
    device: str,
    tensor: float,
    context: float,
    batch: float = 1.0,
    pipeline: float = 1.0,
    bandwidth: float = 1.0,
    sync: Real | None = None,
) -> System:
    """A machine of the study's chips; ``bandwidth`` multiplies theirs, ``sync`` [s] replaces
    theirs."""
    made = hardware_priors.device(device).design(tensor)
    own = float(made.sync_latency)
    return System(
        float(made.memory_bandwidth) * bandwidth,
        float(made.memory_capacity),
        float(made.peak_flops),
        tensor,
        pipeline,
        own if sync is None else sync,
        batch,
        context,
    )


def holding(device: str, name: str, tensor: float, context: float, batch: float = 1.0) -> System:
    """A system with the fewest pipeline stages that hold the model, by its bytes.

    Experts are whole: their fullest chip decides, so stages are counted up until it fits.
    """
    one = system(device, tensor, context, batch)
    (needed,) = answers(name, [one]).needed
    stages = max(1, int(np.ceil(float(needed) / (one.capacity * tensor) - 1e-9)))
    tries = [one._replace(pipeline=float(stages + k)) for k in range(TRIES)]
    fits = answers(name, tries).fits
    if not fits.any():
        raise Refused(
            f"{name} at {context:g} positions does not fit {tensor:g} {device} in {stages + TRIES}"
            " pipeline stages; expected a shorter context or more chips"
        )
    return tries[int(np.argmax(fits))]


def replaced(base: System, **changes: Sequence[float]) -> list[System]:
    """One system for every value of the one field that changes."""
    ((field, values),) = changes.items()
    return [base._replace(**{field: value}) for value in values]
