"""Thousands of machines in one compiled program: every lane is one machine in one layout at one
batch.

What machines differ in (design, technology, execution, operator table) is one matrix, a row a
machine, so that one program serves all of them, and all models whose tables have the same padded
shape.
"""

import dataclasses
from collections.abc import Hashable, Sequence
from typing import NamedTuple, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from codesign.evaluation import evaluate_table
from codesign.hardware.design import Design
from codesign.hardware.technology import Technology
from codesign.numerics.compilation import OFTEN, compiled
from codesign.numerics.fields import Real, RealArray, real
from codesign.performance.calibrated_execution import Calibrated
from codesign.performance.execution import Execution
from codesign.performance.load import prompt_cache
from codesign.performance.plan import Plan
from codesign.physical.cost import annuity
from codesign.planning.demand import Demand
from codesign.planning.layouts import Layout
from codesign.planning.machine import Machine
from codesign.search.solver.packing import Packing
from codesign.throttling import measured_power
from codesign.workload.operators import OperatorTable, operator_table, unnamed
from codesign.workload.phases import Decode, Draft, Prefill
from codesign.workload.precision import Precision
from codesign.workload.transformer import Transformer, no_model
from codesign.workload.workload import Workload

Shapes: TypeAlias = tuple[tuple[int, ...], ...]

LANES = 1024
"""Lanes of a call of the compiled program."""

ROWS = 12
"""Operator tables are padded to a multiple of so many rows."""


class Offer(eqx.Module):
    """One machine as a row: numbers only."""

    design: Design
    technology: Technology
    execution: Execution
    table: OperatorTable
    rated_power: RealArray  # [W] of calibrated power; 0 where the technology's holds
    hourly: RealArray  # [USD/s] own price of a chip; 0 where there is none
    price: RealArray  # [USD] own price of a chip; 0 where there is none


class Offers(NamedTuple):
    """All machines of one request, one row each."""

    machines: tuple[Machine, ...]
    rows: np.ndarray  # (machines, numbers)
    packing: Packing[Offer]


class Lanes(NamedTuple):
    """What to evaluate, leading axis the lanes; whole numbers but for ``copies``."""

    machine: np.ndarray
    layout: np.ndarray  # (lanes, 6) in the order of ``Layout``
    batch: np.ndarray  # sequences of one group

    def __getitem__(self, rows: np.ndarray | Sequence[int]) -> "Lanes":  # pyright: ignore[reportIncompatibleMethodOverride]
        return Lanes(self.machine[rows], self.layout[rows], self.batch[rows])

    @property
    def chips(self) -> np.ndarray:
        """Chips of an instance [1]."""
        return self.layout[:, :4].prod(axis=1)

    @property
    def groups(self) -> np.ndarray:
        """Batches side by side in an instance [1]."""
        return self.layout[:, 1] * self.layout[:, 2]


class Steps(NamedTuple):
    """Both steps of an instance, leading axis the lanes; arrays of JAX in the compiled program, of
    numpy outside.

    A pass prefills one prompt in each of the groups. ``running`` is without own energy where a
    price by the hour is stated, for that includes it.
    """

    decode: np.ndarray  # [s] a step of all sequences
    prefill: np.ndarray  # [s] a pass
    decode_fill: np.ndarray  # [1] ln of what the fullest chip keeps over what it may, decoding
    prefill_fill: np.ndarray  # [1] the same of a pass
    decode_needed: np.ndarray  # [B] of all chips
    available: np.ndarray  # [B] of all chips
    decode_running: np.ndarray  # [USD/s]
    prefill_running: np.ndarray  # [USD/s]
    decode_power: np.ndarray  # [W] mean of a chip
    prefill_power: np.ndarray  # [W]
    capital: np.ndarray  # [USD]
    provisioned: np.ndarray  # [W]
    cache: np.ndarray  # [B] cache of one prompt
    scale_out: np.ndarray  # [B/s] attained, all chips
    waited: np.ndarray  # [1] share of interleaved prefills that decode steps wait for
    request: np.ndarray  # [s] host time of a request before its first token


class Asked(eqx.Module):
    """The numbers of a demand that steps depend on."""

    prompt: Real
    context: Real
    cached: Real
    draft: Draft | None


def asked(demand: Demand) -> Asked:
    """The numbers of a demand that steps depend on."""
    return Asked(real(demand.prompt), real(demand.context), real(demand.cached), demand.draft)


def offers(model: Transformer, machines: Sequence[Machine]) -> list[Offers]:
    """Machines as rows, in groups of one structure each: one compiled program a group.

    Args:
        model: the transformer.
        machines: what is on offer.
    """
    groups: dict[tuple[Hashable, Shapes], list[tuple[Machine, list[np.ndarray]]]] = {}
    tables: dict[tuple[object, ...], OperatorTable] = {}
    kind = np.asarray(model.hidden).dtype
    for machine in machines:
        leaves, structure = jax.tree.flatten(_offer(model, machine, tables))
        arrays = [np.asarray(leaf, kind) for leaf in leaves]
        key = structure, tuple(array.shape for array in arrays)
        groups.setdefault(key, []).append((machine, arrays))
    return [
        Offers(
            tuple(machine for machine, _ in group),
            np.stack([np.concatenate([a.ravel() for a in arrays]) for _, arrays in group]),
            Packing(structure, shapes),
        )
        for (structure, shapes), group in groups.items()
    ]


def _offer(
    model: Transformer, machine: Machine, tables: dict[tuple[object, ...], OperatorTable]
) -> Offer:
    columns = machine.technology.attainable.slice_columns
    key = (jax.tree.structure(machine.precision), _numbers(machine.precision), float(columns))
    if key not in tables:
        tables[key] = unnamed(operator_table(model, machine.precision, slice_columns=columns), ROWS)
    execution, rated = machine.execution, 0.0
    if isinstance(execution, Calibrated):
        rated = 0.0 if execution.rated_power is None else execution.rated_power
        execution = dataclasses.replace(execution, covariance=np.zeros((0, 0)), rated_power=None)
    return Offer(
        machine.design,
        machine.technology,
        execution,
        tables[key],
        np.asarray(rated),
        np.asarray((machine.hourly or 0.0) / 3600.0),
        np.asarray(machine.price or 0.0),
    )


def _numbers(precision: Precision) -> tuple[float, ...]:
    return tuple(float(leaf) for leaf in jax.tree.leaves(precision))


@compiled(OFTEN)
def _lanes(
    packing: Packing[Offer],
    rows: jax.Array,
    latency: jax.Array,
    layout: jax.Array,
    batch: jax.Array,
    question: Asked,
) -> Steps:
    def lane(row: jax.Array, latency: jax.Array, degrees: jax.Array, batch: Real) -> Steps:
        return _steps(packing.tree(row), latency, degrees, batch, question)

    return jax.vmap(lane)(rows, latency, layout, batch)


def plan_of(degrees: jax.Array) -> Plan:
    """The plan of six numbers in the order of ``Layout``; one-shot and two-shot all-reduces on
    offer, as ``codesign evaluate`` has them."""
    from codesign.performance.collectives import ALGORITHMS

    names = ("one-shot", "two-shot")
    return Plan(
        pipeline=degrees[1],
        data=degrees[2],
        context=degrees[3],
        expert=degrees[4],
        expert_copies=degrees[5],
        all_reduce=jnp.stack([jnp.asarray(ALGORITHMS[name], float) for name in names]),
    )


def _steps(
    offer: Offer, latency: jax.Array, degrees: jax.Array, batch: Real, question: Asked
) -> Steps:
    groups = degrees[1] * degrees[2]
    chips = groups * degrees[0] * degrees[3]
    design = dataclasses.replace(offer.design, chips=chips, sync_latency=latency)
    plan, technology, table = plan_of(degrees), offer.technology, offer.table
    execution = offer.execution
    decode = Decode(batch * groups, question.context, question.draft)
    prefill = Prefill(groups, question.prompt, question.cached)
    # ``evaluate_table`` reads a table, not a model
    nameless = no_model()
    ran, running, powers = [], [], []
    for phase in (decode, prefill):
        work = Workload(nameless, phase)
        outcome = evaluate_table(design, table, work, plan, technology, execution)
        power, economics = outcome.mean_power, technology.economics
        if isinstance(execution, Calibrated):
            known = dataclasses.replace(execution, rated_power=offer.rated_power)
            measured = measured_power(design, technology, table, outcome.step, known)
            power = jnp.where(offer.rated_power > 0, measured, power)  # pyright: ignore
        metered = economics.power_overhead * economics.pue * economics.electricity_price
        energy = metered * economics.utilisation * chips
        paid = outcome.running_cost + (power - outcome.mean_power) * energy
        own = annuity(economics.cost_of_capital, economics.life)
        paid = jnp.where(
            offer.price > 0, paid + chips * own * (offer.price - outcome.cost.equipment), paid
        )
        running.append(jnp.where(offer.hourly > 0, chips * offer.hourly, paid))
        ran.append(outcome)
        powers.append(power)
    decoded, filled = ran
    equipment = jnp.where(offer.price > 0, offer.price, decoded.cost.equipment)
    # others halfway through their outputs, one sequence of a group must still reach its end
    last = question.context + (question.context - question.prompt) / batch
    ending = Workload(nameless, dataclasses.replace(decode, context=last))
    fullest = evaluate_table(design, table, ending, plan, technology, execution)
    figures = {
        "decode": decoded.step_time,
        "prefill": filled.step_time,
        "decode_fill": fullest.limits.capacity,
        "prefill_fill": filled.limits.capacity,
        "decode_needed": fullest.capacity_needed,
        "available": decoded.capacity_available,
        "decode_running": running[0],
        "prefill_running": running[1],
        "decode_power": powers[0],
        "prefill_power": powers[1],
        "capital": chips * (equipment + decoded.cost.facility),
        "provisioned": decoded.provisioned_power,
        "cache": prompt_cache(table, prefill),
        "scale_out": chips * design.scale_out_bandwidth * technology.attainable.link,
        "waited": jnp.asarray(execution.waited_share(), latency.dtype),
        "request": jnp.asarray(execution.request_time(), latency.dtype),
    }
    return Steps(**jax.tree.map(jnp.asarray, figures))


def evaluate(found: Offers, lanes: Lanes, question: Asked, rows: np.ndarray | None = None) -> Steps:
    """Run lanes, ``LANES`` at a time; arrays of numpy.

    Args:
        found: machines of one structure.
        lanes: what to run.
        question: the demand.
        rows: other rows than the machines' own, one a lane (intervals move coefficients).
    """
    count = len(lanes.machine)
    if count == 0:
        empty = np.zeros(0)
        return Steps(*(empty for _ in Steps._fields))
    padded = np.minimum(np.arange(-(-count // LANES) * LANES), count - 1)
    latency = _latencies(found, lanes)
    parts, kind = [], found.rows.dtype
    for start in range(0, len(padded), LANES):
        at = padded[start : start + LANES]
        one = lanes[at]
        matrix = found.rows[one.machine] if rows is None else rows[at]
        arrays = (latency[at].astype(kind), one.layout.astype(kind), one.batch.astype(kind))
        parts.append(_lanes(found.packing, matrix, *arrays, question))
    parts = [jax.tree.map(np.asarray, part) for part in parts]
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[:count], *parts)


def _latencies(found: Offers, lanes: Lanes) -> np.ndarray:
    chips, latency = lanes.chips, np.zeros(len(lanes.machine))
    for k in np.unique(lanes.machine):
        own = lanes.machine == k
        numbers, back = np.unique(chips[own], return_inverse=True)
        latency[own] = found.machines[k].latencies(numbers)[back]
    return latency


def lanes_of(machine: Sequence[int], layouts: Sequence[Layout]) -> Lanes:
    """One lane for each machine and layout, at one sequence a group."""
    return Lanes(
        np.asarray(machine, int),
        np.asarray(layouts, float).reshape(len(machine), 6),
        np.ones(len(machine), int),
    )


def layout_of(lanes: Lanes, row: int | np.integer) -> Layout:
    """The layout of a lane."""
    *degrees, copies = lanes.layout[row]
    return Layout(*(round(float(degree)) for degree in degrees), copies=float(copies))
