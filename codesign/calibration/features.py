"""What each measured configuration asks of its chips, from the project's own operator tables; independent of any coefficient.

Three steps are counted for each: the decode step, the prefill of one prompt, and prefills together at a token budget (whose
time a prompt costs the others). Configurations of dense and of mixture models go through one vmapped program each.
"""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from codesign.calibration.cases import Case
from codesign.calibration.structures import table
from codesign.hardware.design import Design
from codesign.performance.calibrated import ChipRates, CollectiveWork, KernelWork, collective_work, kernel_work
from codesign.performance.collectives import ALGORITHMS
from codesign.performance.execution import Operatorwise
from codesign.performance.load import expert_load, footprint, micro_batch, step_load
from codesign.performance.plan import Plan, degrees
from codesign.performance.step import communication, traffic
from codesign.workload.operators import OperatorTable, pad
from codesign.workload.phases import Decode, Phase, Prefill

TOKEN_BUDGET = 8192.0
"""Tokens that an engine prefills in a step: the default of vLLM and TensorRT-LLM."""

MEMORY_SHARE = 0.9
"""Share of a chip's memory that engines fill with weights and cache: the default of vLLM and TensorRT-LLM."""

ROUND = 8
"""Configurations are padded to a multiple of this, so that few programs are compiled."""


class StepWork(eqx.Module):
    """Kernels of a step, and its collectives by one-shot and by two-shot all-reduce."""

    kernels: KernelWork
    one_shot: CollectiveWork
    two_shot: CollectiveWork


class Features(eqx.Module):
    """All that a prediction needs of a configuration beside the coefficients; every leaf has a leading axis of configurations."""

    decode: StepWork
    prompt: StepWork  # prefill of one prompt
    budget: StepWork  # prefills at the token budget
    together: Float[Array, " configurations"]  # [1] prompts in ``budget``
    rates: ChipRates
    batch: Float[Array, " configurations"]  # [1] sequences that decode together in a replica
    groups: Float[Array, " configurations"]  # [1] attention groups
    output: Float[Array, " configurations"]  # [1]
    waiting: Float[Array, " configurations"]  # [1] requests in flight beyond those that decode
    chips: Float[Array, " configurations"]  # [1]
    rated_power: Float[Array, " configurations"]  # [W]
    width_product: Float[Array, " configurations"]  # [1] 16 over the width of products


@dataclasses.dataclass(frozen=True)
class Configuration:
    """What several measured numbers share: model, machine, layout, lengths and concurrency; hashable."""

    model: str
    machine: str
    formats: object
    tensor: float
    pipeline: float
    data: float
    expert: float
    concurrency: float
    prompt: float
    output: float
    protocol: str

    @staticmethod
    def of(case: Case) -> "Configuration":
        """The configuration of a case; max-load ones have concurrency −1."""
        concurrency = case.concurrency if np.isfinite(case.concurrency) else -1.0
        names = ("model", "formats", "tensor", "pipeline", "data", "expert", "prompt", "output", "protocol")
        return Configuration(machine=case.machine.name, concurrency=concurrency, **{name: getattr(case, name) for name in names})


class _Inputs(eqx.Module):
    """One configuration as arrays, before it is counted."""

    design: Design
    plan: Plan
    structure: Array  # index of its operator table
    concurrency: Array
    prompt: Array
    output: Array
    running: Array  # share of the requests in flight that decode


def features(cases: list[Case], running: np.ndarray | None = None) -> Features:
    """Count the work of every case (one configuration a case, repeated ones counted once).

    Args:
        cases: what was measured.
        running: share of the requests in flight that decode rather than wait or prefill, by case (Little's law); default all.

    Returns:
        Features with a leading axis as long as ``cases``.
    """
    running = np.ones(len(cases)) if running is None else running
    keys: dict[tuple[Configuration, float], int] = {}
    index = np.array([keys.setdefault((Configuration.of(case), round(float(share), 3)), len(keys)) for case, share in zip(cases, running, strict=True)])
    firsts = [int(np.flatnonzero(index == k)[0]) for k in range(len(keys))] if len(keys) < 200 else _first_positions(index, len(keys))
    unique = [cases[k] for k in firsts]
    shares = np.array([key[1] for key in keys])
    parts: list[Features] = []
    order: list[int] = []
    length = max(len(table(case.model, case.formats).names) for case in unique)
    for has_experts in (False, True):
        chosen = [k for k, case in enumerate(unique) if table(case.model, case.formats).has_experts == has_experts]
        if chosen:
            parts.append(_count([unique[k] for k in chosen], shares[chosen], length))
            order += chosen
    stacked = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)
    place = np.empty(len(order), int)
    place[order] = np.arange(len(order))
    return jax.tree.map(lambda leaf: leaf[place[index]], stacked)


def _first_positions(index: np.ndarray, count: int) -> list[int]:
    first = np.full(count, -1)
    first[index[::-1]] = np.arange(len(index))[::-1]
    return [int(k) for k in first]


def _count(cases: list[Case], running: np.ndarray, length: int) -> Features:
    structures: dict[tuple[str, object], int] = {}
    for case in cases:
        structures.setdefault((case.model, case.formats), len(structures))
    names = tuple(f"operator {k}" for k in range(length))
    tables = [dataclasses.replace(pad(table(model, bits), length), names=names) for model, bits in structures]  # pyright: ignore[reportArgumentType]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *tables)
    rows = [_inputs(case, structures[(case.model, case.formats)], share) for case, share in zip(cases, running, strict=True)]
    rows += [rows[-1]] * (-len(rows) % ROUND)
    inputs = jax.tree.map(lambda *leaves: jnp.asarray(np.stack(leaves)), *rows)
    work = _count_all(stacked, inputs)
    work = jax.tree.map(lambda leaf: leaf[: len(cases)], work)
    by_row = [
        (
            case.machine.memory_bandwidth, _peak(case, case.formats.product_width), _peak(case, case.formats.expert_width),
            case.machine.peaks[0], case.machine.link_bandwidth, case.machine.sync_latency, case.machine.rated_power, case.chips,
            16.0 / case.formats.product_width, case.output, case.data,
        )
        for case in cases
    ]  # fmt: skip
    columns = [jnp.asarray(column) for column in np.array(by_row, float).T]
    decode, prompt, budget, together, batch, waiting = work
    return Features(
        decode=decode, prompt=prompt, budget=budget, together=together, rates=ChipRates(*columns[:6]), batch=batch,
        groups=columns[10], output=columns[9], waiting=waiting, chips=columns[7], rated_power=columns[6], width_product=columns[8],
    )  # fmt: skip


def _peak(case: Case, width: int) -> float:
    return case.machine.peaks[{16: 0, 8: 1, 4: 2}[width]]


def _inputs(case: Case, structure: int, running: float) -> _Inputs:
    machine = case.machine
    quantities = {
        "memory_bandwidth": machine.memory_bandwidth, "memory_capacity": machine.memory_capacity, "peak_flops": machine.peaks[0],
        "chips": case.chips, "sync_latency": machine.sync_latency, "link_bandwidth": machine.link_bandwidth,
        "scale_up_domain": machine.scale_up_domain, "scale_out_bandwidth": machine.scale_out_bandwidth,
        "scale_out_latency": machine.scale_out_latency,
    }  # fmt: skip
    design = _host(Design(**{name: 1.0 for name in quantities}), quantities)
    plan = _host(Plan(), {"pipeline": case.pipeline, "data": case.data, "expert": case.expert, "all_reduce": _ALGORITHMS})
    concurrency = case.concurrency if np.isfinite(case.concurrency) else 1e9
    numbers = (structure, concurrency, case.prompt, case.output, running)
    return _Inputs(design, plan, *(np.asarray(number) for number in numbers))  # pyright: ignore[reportArgumentType]


_ALGORITHMS = np.stack([ALGORITHMS["one-shot"], ALGORITHMS["two-shot"]])


def _host(module: eqx.Module, values: dict) -> eqx.Module:
    """A module with leaves on the host: thousands of them are stacked before anything goes to a device."""
    leaves = {field.name: getattr(module, field.name) for field in dataclasses.fields(module)}  # pyright: ignore[reportArgumentType]
    leaves = {name: None if leaf is None else np.asarray(leaf, float) for name, leaf in leaves.items()}
    leaves.update({name: np.asarray(value, float) for name, value in values.items()})
    made = object.__new__(type(module))
    for name, leaf in leaves.items():
        object.__setattr__(made, name, leaf)
    return made


@jax.jit
def _count_all(tables: OperatorTable, inputs: _Inputs) -> tuple:
    return jax.vmap(lambda row: _count_one(jax.tree.map(lambda leaf: leaf[row.structure], tables), row))(inputs)


def _count_one(table: OperatorTable, row: _Inputs) -> tuple:
    """Decode, prompt and budget work, prompts in the budget, sequences that decode, and requests that wait."""
    fitting = _capacity(table, row)
    batch = jnp.clip(row.concurrency * row.running, 1.0, jnp.maximum(fitting, 1.0))
    together = jnp.maximum(TOKEN_BUDGET / row.prompt, 1.0) * row.plan.data
    context = row.prompt + 0.5 * row.output
    decode = _step_work(table, row, Decode(batch=batch, context=context))
    prompt = _step_work(table, row, Prefill(batch=jnp.ones_like(batch), prompt=row.prompt))
    budget = _step_work(table, row, Prefill(batch=together, prompt=row.prompt))
    waiting = jnp.where(row.concurrency < 1e8, row.concurrency - batch, 0.0)
    return decode, prompt, budget, together, batch, waiting


def _capacity(table: OperatorTable, row: _Inputs) -> Array:
    """Sequences whose caches fit beside the weights, over all attention groups."""
    degree = degrees(row.design, row.plan, table.experts)
    groups = row.plan.data
    phase = Decode(batch=groups, context=row.prompt + 0.5 * row.output)
    kept = footprint(table, phase, row.plan, degree, ideal=False)
    room = MEMORY_SHARE * row.design.memory_capacity - kept.weights
    return groups * jnp.maximum(room, 0.0) / jnp.maximum(kept.state, 1.0)


def _step_work(table: OperatorTable, row: _Inputs, phase: Phase) -> StepWork:
    design, plan = row.design, row.plan
    degree = degrees(design, plan, table.experts)
    load = step_load(table, phase, plan, degree, design.sram_capacity, ideal=False)
    moved = traffic(load, plan, Operatorwise()).main
    touched = jnp.zeros(())
    if table.has_experts:
        touched = expert_load(table, plan, degree, micro_batch(phase, degree).stage_rows).busiest_touched
    works = []
    for algorithm in range(2):
        chosen = dataclasses.replace(plan, all_reduce=plan.all_reduce[algorithm : algorithm + 1])
        cost = communication(design, table, phase, chosen, jnp.ones(()), Operatorwise())
        works.append(collective_work(design, table, phase, chosen, degree, cost))
    return StepWork(kernel_work(table, phase, load, moved, touched), works[0], works[1])
