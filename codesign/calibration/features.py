"""What each measured configuration asks of its chips, from the project's own operator tables;
independent of any coefficient.

Three steps are counted for each: the decode step, the prefill of one prompt, and prefills together
at a token budget (whose time a prompt costs the others). Configurations of dense and of mixture
models go through one vmapped program each.
"""

import dataclasses
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from codesign.calibration.cases import Case
from codesign.calibration.names import Formats
from codesign.calibration.structures import table
from codesign.hardware.design import Design
from codesign.performance.calibrated import (
    ChipRates,
    CollectiveWork,
    KernelWork,
    collective_work,
    kernel_work,
)
from codesign.performance.collectives import ALGORITHMS
from codesign.performance.communication import communication
from codesign.performance.execution import traffic
from codesign.performance.load import expert_load, footprint, micro_batch, step_load
from codesign.performance.plan import Plan, degrees
from codesign.performance.schedules import Operatorwise
from codesign.workload.operators import OperatorTable, pad
from codesign.workload.phases import Decode, Phase, Prefill

TOKEN_BUDGET = 8192.0
"""Tokens that an engine prefills in a step: the default of vLLM and TensorRT-LLM."""

MEMORY_SHARE = 0.9
"""Share of a chip's memory that engines fill with weights and cache: the default of vLLM and
TensorRT-LLM."""

LEAST_ROOM = 0.03
"""Share of the memory left for caches below which the reading of a row's layout or precision must
be wrong."""

ROUND = 8
"""Configurations are padded to a multiple of this, so that few programs are compiled."""


class StepWork(eqx.Module):
    """Kernels of a step, and its collectives by one-shot and by two-shot all-reduce."""

    kernels: KernelWork
    one_shot: CollectiveWork
    two_shot: CollectiveWork


class Features(eqx.Module):
    """All that a prediction needs of a configuration beside the coefficients; every leaf has a
    leading axis of configurations."""

    decode: StepWork
    prompt: StepWork  # prefill of one prompt
    budget: StepWork  # prefills at the token budget
    together: Float[Array, " configurations"]  # [1] prompts in ``budget``
    rates: ChipRates
    batch: Float[Array, " configurations"]  # [1] sequences that decode together in a replica
    groups: Float[Array, " configurations"]  # [1] attention groups
    output: Float[Array, " configurations"]  # [1]
    waiting: Float[Array, " configurations"]  # [1] requests in flight whose caches do not fit
    chips: Float[Array, " configurations"]  # [1]
    rated_power: Float[Array, " configurations"]  # [W]
    width_product: Float[Array, " configurations"]  # [1] 16 over the width of products


@dataclasses.dataclass(frozen=True)
class Counted:
    """Features of distinct configurations, and which of them each case has."""

    features: Features
    index: np.ndarray  # (cases,)

    def take(self, chosen: np.ndarray) -> "Counted":
        """The features of some of the cases, in order."""
        kept, index = np.unique(self.index[chosen], return_inverse=True)
        return Counted(jax.tree.map(lambda leaf: leaf[kept], self.features), index)

    @property
    def first(self) -> np.ndarray:
        """The first case of each configuration."""
        return np.unique(self.index, return_index=True)[1]


def features(cases: Sequence[Case], running: np.ndarray | None = None) -> Counted:
    """Count the work of every case; cases that differ only in what was measured are counted once.

    Args:
        cases: what was measured.
        running: share of the requests in flight that decode rather than wait or prefill, by case
            (Little's law); default all.

    Returns:
        Features of the distinct configurations, and the configuration of each case.
    """
    running = np.ones(len(cases)) if running is None else running
    keys: dict[tuple[object, ...], int] = {}
    index = np.array(
        [
            keys.setdefault(_configuration(case, share), len(keys))
            for case, share in zip(cases, running, strict=True)
        ]
    )
    first = np.unique(index, return_index=True)[1]
    length = max(len(table(cases[k].model, cases[k].formats).names) for k in first)
    parts: list[Features] = []
    order: list[int] = []
    for has_experts in (False, True):
        chosen = [
            c
            for c, k in enumerate(first)
            if table(cases[k].model, cases[k].formats).has_experts == has_experts
        ]
        if chosen:
            parts.append(_count([cases[first[c]] for c in chosen], running[first[chosen]], length))
            order += chosen
    stacked = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)
    place = np.argsort(order)
    return Counted(jax.tree.map(lambda leaf: leaf[place], stacked), index)


def _configuration(case: Case, share: float) -> tuple[object, ...]:
    concurrency = case.concurrency if np.isfinite(case.concurrency) else -1.0
    layout = (case.tensor, case.pipeline, case.data, case.expert)
    lengths = (concurrency, case.prompt, case.output)
    return (
        case.model,
        case.machine.name,
        case.formats,
        case.engine,
        *layout,
        *lengths,
        round(float(share), 3),
    )


class _Inputs(eqx.Module):
    """Configurations as columns, before they are counted."""

    structure: Array  # index of the operator table
    concurrency: Array  # [1]
    prompt: Array  # [1]
    output: Array  # [1]
    running: Array  # [1]
    tensor: Array  # [1]
    pipeline: Array  # [1]
    data: Array  # [1]
    expert: Array  # [1]
    memory_bandwidth: Array  # [B/s]
    memory_capacity: Array  # [B]
    peak_flops: Array  # [FLOP/s] at 16 bit
    sync_latency: Array  # [s]
    link_bandwidth: Array  # [B/s]
    scale_up_domain: Array  # [1]
    scale_out_bandwidth: Array  # [B/s]
    scale_out_latency: Array  # [s]

    @property
    def design(self) -> Design:
        """The machine of one replica."""
        names = (
            "memory_bandwidth",
            "memory_capacity",
            "peak_flops",
            "sync_latency",
            "link_bandwidth",
            "scale_up_domain",
        )
        outer = ("scale_out_bandwidth", "scale_out_latency")
        return Design(
            chips=self.tensor * self.pipeline * self.data,
            **{name: getattr(self, name) for name in (*names, *outer)},
        )

    def plan(self, algorithm: str) -> Plan:
        """The layout of one replica, with one all-reduce algorithm."""
        return Plan(
            pipeline=self.pipeline,
            data=self.data,
            expert=self.expert,
            all_reduce=ALGORITHMS[algorithm][None],
        )


def _count(cases: list[Case], running: np.ndarray, length: int) -> Features:
    structures: dict[tuple[str, Formats], int] = {}
    for case in cases:
        structures.setdefault((case.model, case.formats), len(structures))
    names = tuple(f"operator {k}" for k in range(length))
    tables = [
        dataclasses.replace(pad(table(model, bits), length), names=names)
        for model, bits in structures
    ]
    tables += tables[:1] * (-len(tables) % ROUND)
    stacked = jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *tables)
    rows = [
        _row(case, structures[(case.model, case.formats)], share)
        for case, share in zip(cases, running, strict=True)
    ]
    rows += [rows[-1]] * (-len(rows) % (16 * ROUND))
    columns = [jnp.asarray(column) for column in np.array(rows).T]
    counted = _count_all(stacked, _Inputs(columns[0].astype(int), *columns[1:]))
    decode, prompt, budget, together, batch, waiting = jax.tree.map(
        lambda leaf: leaf[: len(cases)], counted
    )
    by_row = [
        (
            case.machine.memory_bandwidth,
            case.machine.peaks[0],
            case.machine.link_bandwidth,
            case.machine.sync_latency,
            case.machine.rated_power,
            case.chips,
            16.0 / case.formats.product_width,
            case.output,
            case.data,
        )
        for case in cases
    ]
    more = [jnp.asarray(column) for column in np.array(by_row, float).T]
    widths = stacked.operators.compute_bits[
        [structures[(case.model, case.formats)] for case in cases]
    ]
    rates = ChipRates(
        more[0], jnp.asarray(_peaks([case.machine.peaks for case in cases], widths)), *more[1:4]
    )
    return Features(
        decode=decode,
        prompt=prompt,
        budget=budget,
        together=together,
        rates=rates,
        batch=batch,
        groups=more[8],
        output=more[7],
        waiting=waiting,
        chips=more[5],
        rated_power=more[4],
        width_product=more[6],
    )


def _peaks(peaks: list[tuple[float, float, float]], widths: np.ndarray) -> np.ndarray:
    """The rate at which each operator multiplies (cases, operators), of chips' peaks at 16, 8 and 4
    bit [FLOP/s]."""
    at_16, at_8, at_4 = np.array(peaks).T[:, :, None]
    return np.where(widths <= 4.0, at_4, np.where(widths <= 8.0, at_8, at_16))


def _row(case: Case, structure: int, running: float) -> tuple[float, ...]:
    machine = case.machine
    concurrency = case.concurrency if np.isfinite(case.concurrency) else _UNBOUNDED
    return (
        structure,
        concurrency,
        case.prompt,
        case.output,
        running,
        case.tensor,
        case.pipeline,
        case.data,
        case.expert,
        machine.memory_bandwidth,
        machine.memory_capacity,
        machine.peaks[0],
        machine.sync_latency,
        machine.link_bandwidth,
        machine.scale_up_domain,
        machine.scale_out_bandwidth,
        machine.scale_out_latency,
    )


_UNBOUNDED = 1e9  # requests in flight where as many as fit are meant


@jax.jit
def _count_all(tables: OperatorTable, inputs: _Inputs) -> tuple:
    return jax.vmap(
        lambda row: _count_one(jax.tree.map(lambda leaf: leaf[row.structure], tables), row)
    )(inputs)


def _count_one(table: OperatorTable, row: _Inputs) -> tuple:
    """Decode, prompt and budget work, prompts in the budget, sequences that decode, and requests
    that wait."""
    fitting = _capacity(table, row)
    limit = jnp.where(
        (fitting >= _UNBOUNDED) & (row.concurrency >= _UNBOUNDED), 256.0, jnp.maximum(fitting, 1.0)
    )
    batch = jnp.clip(row.concurrency * row.running, 1.0, limit)
    together = jnp.maximum(TOKEN_BUDGET / row.prompt, 1.0) * row.data
    context = row.prompt + 0.5 * row.output
    decode = _step_work(table, row, Decode(batch=batch, context=context))
    prompt = _step_work(table, row, Prefill(batch=jnp.ones_like(batch), prompt=row.prompt))
    budget = _step_work(table, row, Prefill(batch=together, prompt=row.prompt))
    waiting = jnp.where(
        row.concurrency < _UNBOUNDED,
        jnp.maximum(row.concurrency - jnp.maximum(fitting, 1.0), 0.0),
        0.0,
    )
    return decode, prompt, budget, together, batch, waiting


def _capacity(table: OperatorTable, row: _Inputs) -> Array:
    """Sequences whose caches fit beside the weights, over all attention groups; no bound where
    nothing would fit."""
    plan = row.plan("two-shot")
    degree = degrees(row.design, plan, table.experts)
    phase = Decode(batch=row.data, context=row.prompt + 0.5 * row.output)
    kept = footprint(table, phase, plan, degree, ideal=False)
    room = MEMORY_SHARE * row.memory_capacity - kept.weights
    fits = row.data * room / jnp.maximum(kept.state, 1.0)
    known = (
        room > LEAST_ROOM * row.memory_capacity
    )  # it ran, so something else than assumed was done where nothing fits
    return jnp.where(known, fits, _UNBOUNDED)


def _step_work(table: OperatorTable, row: _Inputs, phase: Phase) -> StepWork:
    design, plan = row.design, row.plan("two-shot")
    degree = degrees(design, plan, table.experts)
    load = step_load(table, phase, plan, degree, design.sram_capacity, ideal=False)
    moved = traffic(load, plan, Operatorwise()).main
    touched = jnp.zeros_like(row.prompt)
    if table.has_experts:
        touched = expert_load(
            table, plan, degree, micro_batch(phase, degree).stage_rows
        ).busiest_touched

    def together(algorithm: str) -> CollectiveWork:
        chosen = row.plan(algorithm)
        cost = communication(design, table, phase, chosen, jnp.ones_like(row.prompt))
        return collective_work(design, table, phase, chosen, degree, cost)

    return StepWork(
        kernel_work(table, phase, load, moved, touched), together("one-shot"), together("two-shot")
    )
