"""Coefficients of a problem's program at given integers, read off the exact model's own functions.

Those are affine in the monomials of ``structure``, so one evaluation and its Jacobian at any point
give them, and nothing is written twice. A step's time Σ_r max(matrix_r/F, memory_r/b) is the
largest of R + 1 sums: with operators sorted by the ratio of their two works, the first j bound by
one resource and the rest by the other (``thresholds``).
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import ArrayLike

from codesign.hardware.design import Design
from codesign.limits import Machine, Sums
from codesign.numerics.fields import Real
from codesign.performance.load import footprint
from codesign.performance.plan import degrees
from codesign.physical.area import area, interposer_area, needed_edge
from codesign.physical.cost import annuity, development_price, priced
from codesign.physical.latency import sync_floor
from codesign.physical.power import busy_power, peak_power, static_power
from codesign.search.program.keys import DRAWN, ENERGIES, IDLE, KIND_DEFINITIONS, OUTCOMES, PHYSICAL
from codesign.search.program.step_work import (
    StepWork,
    by_ratio,
    thresholds,
    time_and_energy,
    time_at,
)
from codesign.search.program.structure import Structure, machine_rows
from codesign.search.statement.choices import Kind
from codesign.search.statement.fleet import (
    cache_transfer,
    design_of,
    technologies_of,
    workload_of,
)
from codesign.search.statement.problem import ProblemBatch
from codesign.search.statement.services import (
    first_token_times,
    interleaved,
    machine_seconds,
    phase_of,
    token_times,
)
from codesign.search.statement.space import CONTINUOUS, Space
from codesign.workload import phases
from codesign.workload.operators import OperatorTable
from codesign.workload.phases import Serving

ABSENT = -1e4  # log of a coefficient that is zero


class Entries:
    """Coefficients gathered one by one and written in a single scatter: many small ones take
    seconds to compile."""

    def __init__(self, structure: Structure):
        self.shape = (len(structure.functions), len(structure.basis))
        self.rows: list[np.ndarray] = []
        self.columns: list[np.ndarray] = []
        self.values: list[Array] = []

    def put(self, rows: ArrayLike, columns: ArrayLike, values: Real) -> None:
        """Set coefficients at (rows, columns), broadcast against each other."""
        rows, columns = np.broadcast_arrays(np.asarray(rows), np.asarray(columns))
        self.rows.append(rows.ravel())
        self.columns.append(columns.ravel())
        self.values.append(jnp.broadcast_to(values, rows.shape).ravel())

    def matrix(self) -> Float[Array, "functions basis"]:
        """All of them, zero where none was put."""
        at = np.concatenate(self.rows), np.concatenate(self.columns)
        values = jnp.concatenate(self.values)
        return jnp.zeros(self.shape, values.dtype).at[at].set(values, unique_indices=True)


class Sample(NamedTuple):
    """Coefficients at one value of the integers, and what bounds the lifted variables there."""

    coefficients: Float[Array, "functions basis"]  # logarithms
    fastest: Float[Array, "steps"]  # [s]
    slowest: Float[Array, "steps"]  # [s]
    sync_floor: Float[Array, "kinds"]  # [s]
    constants: Float[Array, "3"]
    orders: tuple[Array, ...]  # how the operators of each step are sorted


def sample(
    structure: Structure,
    problems: ProblemBatch,
    integers: Float[Array, "integers"],
    orders: tuple[Array, ...] | None = None,
) -> Sample:
    """Read all coefficients off the exact model, at the middle of the box.

    Args:
        structure: functions and monomials of the program.
        problems: the problem of one choice.
        integers: chips of each kind, batch of each service.
        orders: how operators of each step are sorted; by their own ratios unless told.
    """
    kinds, tables = problems.kinds, problems.tables
    chips, batches = integers[: structure.kinds], integers[structure.kinds :]
    rows = Entries(structure)
    designs = [_middle(problems, p, chips[p]) for p in range(structure.kinds)]
    for p, design in enumerate(designs):
        _kind_rows(structure, rows, problems, p, design)
    floors = [
        sync_floor(design.chips, design.scale_up_domain, kind.technology.links)
        for design, kind in zip(designs, kinds, strict=True)
    ]
    fastest, slowest, sorted_by = [], [], []
    for k, step in enumerate(problems.steps):
        design, batch = designs[step.kind], batches[step.service]
        timed, order = _step_rows(
            structure, rows, problems, k, design, batch, None if orders is None else orders[k]
        )
        sorted_by.append(order)
        for ends, at in zip(
            (fastest, slowest), _ends(problems, step.kind, floors[step.kind]), strict=True
        ):
            ends.append(time_at(timed, *at))
    _service_rows(structure, rows, problems, tuple(designs), tables, batches, kinds)
    phase = phase_of(problems.services[0], batches[0], prefill=False)
    utilisation = kinds[0].technology.economics.utilisation
    return Sample(
        coefficients=_log(_with_bounds(structure, rows.matrix())),
        fastest=jnp.stack(fastest),
        slowest=jnp.stack(slowest),
        sync_floor=jnp.stack(floors),
        constants=jnp.log(
            jnp.stack([phases.tokens_per_step(phase), phases.tokens_served(phase), utilisation])
        ),
        orders=tuple(sorted_by),
    )


def _middle(problems: ProblemBatch, p: int, chips: Real) -> Design:
    """The machine in the middle of a kind's box, at the nominal clock."""
    space = problems.spaces[p]
    middle = jnp.sqrt(space.low * space.high).at[CONTINUOUS.index("clock")].set(1.0)
    return design_of(space, problems.kinds[p], middle, chips, jnp.zeros_like(chips))


Corner = tuple[Float[Array, "continuous"], Float[Array, "continuous"]]


def _ends(problems: ProblemBatch, p: int, floor: Real) -> tuple[Corner, Corner]:
    """Where no step of a kind is faster and none is slower: speeds, and the latency of a sync."""
    space, software = problems.spaces[p], problems.kinds[p].technology.links.software_latency
    fast = space.high, jnp.maximum(space.low, _only_sync(floor, space))
    return fast, (space.low, space.high + _only_sync(floor + software, space))


def _only_sync(latency: Real, space: Space) -> Float[Array, "continuous"]:
    return jnp.zeros_like(space.low).at[CONTINUOUS.index("sync_latency")].set(latency)


def _bits(structure: Structure, tables: tuple[OperatorTable, ...], p: int) -> Real:
    """Width of the arithmetic that a kind is built for: the widest of its steps [bit]."""
    widths = [tables[k].compute_bits for k, (_, kind) in enumerate(structure.steps) if kind == p]
    return jnp.max(jnp.stack(widths)) if widths else jnp.asarray(16.0)


def _log(coefficients: Float[Array, "..."]) -> Float[Array, "..."]:
    present = coefficients > 1e-300
    return jnp.where(present, jnp.log(jnp.where(present, coefficients, 1.0)), ABSENT)


def _kind_rows(
    structure: Structure, rows: Entries, problems: ProblemBatch, p: int, design: Design
) -> None:
    """Capital, power, running cost and limits of one kind: affine in the monomials ``PHYSICAL``.

    Evaluated at the nominal clock, where hot, cold and plain are the same number: power is all hot
    in arithmetic and silicon, area all cold in arithmetic (``physical.voltage``). Where main memory
    is on-chip SRAM, area is the larger of two sums: one is read off at the least bandwidth, where
    what software fills counts, the other at the middle.
    """
    technology = technologies_of(problems.kinds)[p]
    bits, economics = _bits(structure, problems.tables, p), technology.economics

    def outputs(z: Float[Array, "7"]) -> Float[Array, "6"]:
        moved = dataclasses.replace(
            design,
            memory_bandwidth=z[0],
            memory_capacity=z[1],
            peak_flops=z[2],
            link_bandwidth=z[3],
        )
        peak = peak_power(moved, technology, z[4], bits)
        price = priced(moved, technology, z[4], jnp.zeros_like(peak), z[5], z[6])
        parts = area(moved, technology, bits).total
        idle = static_power(moved, technology, z[4])
        interposer = interposer_area(moved, technology, z[4])
        edge = needed_edge(moved, technology)
        return jnp.stack([price.equipment, peak, idle, parts, edge, interposer])

    point = jnp.stack(
        [design.memory_bandwidth, design.memory_capacity, design.peak_flops, design.link_bandwidth,
         technology.logic.reticle_area, technology.logic.wafer_price, technology.logic.wafer_price]
    )  # fmt: skip
    equipment, peak, idle, parts, edge, interposer = _affine(outputs, point)
    small = _affine(outputs, point.at[0].set(problems.spaces[p].low[0]))[3]
    rated = jnp.zeros_like(peak).at[1 + PHYSICAL.index("power cap")].set(1.0)
    facility = rated * technology.economics.facility_price * economics.power_overhead
    overhead = economics.power_overhead * economics.pue
    development = rated * development_price(technology) * overhead
    running = (equipment + development) * annuity(economics.cost_of_capital, economics.life)
    running = running + facility * annuity(economics.cost_of_capital, economics.facility_life)
    running = running / economics.utilisation + idle * overhead * economics.electricity_price
    busy = np.array([structure.monomial(name, p, busy=True) for name in ("one", *PHYSICAL)])
    capital = equipment + facility + development
    own = (capital, rated * overhead, running, idle * overhead)
    for name, row in zip(OUTCOMES, own, strict=True):
        rows.put(structure.function(name), busy, row * design.chips)
    one = jnp.zeros_like(equipment).at[0].set(1.0)
    sums = Sums(one, equipment, peak, idle, rated, edge, interposer)
    machine = Machine(design, technology)
    plain = np.array([0] + [structure.monomial(name, p) for name in PHYSICAL])
    for name, row in zip(KIND_DEFINITIONS, (parts, small), strict=True):
        rows.put(structure.function(name, p), plain, row)
    columns = [0, *(structure.monomial(name, p) for name in IDLE)]
    drawn = idle[np.array([0, *(1 + PHYSICAL.index(name) for name in IDLE)])]
    for k in (k for k, (_, kind) in enumerate(structure.steps) if kind == p):
        rows.put(structure.function("power", k), np.array(columns), drawn)
    for limit in machine_rows(problems):
        row = limit.share(sums, machine)  # pyright: ignore[reportOptionalCall]
        rows.put(structure.function(limit.name, p), plain, row)


def _affine(outputs: Callable[[Array], Array], point: Float[Array, "7"]) -> Float[Array, "6 12"]:
    """Coefficients of (equipment, peak and idle power, silicon, edge, interposer) on 1 and the
    monomials ``PHYSICAL``, of which the power cap is in none."""
    values, slope = outputs(point), jax.jacfwd(outputs)(point)
    affine = jnp.concatenate(
        [(values - slope @ point)[:, None], slope, jnp.zeros((len(values), 4))], axis=1
    )
    size = jnp.concatenate([jnp.ones(1), point, jnp.ones(4)])
    affine = jnp.where(jnp.abs(affine) * size[None] > 1e-12 * jnp.abs(values)[:, None], affine, 0.0)
    flops, silicon, hot_flops, hot_silicon, cold_flops = (
        1 + PHYSICAL.index(name)
        for name in ("peak_flops", "silicon", "hot flops", "hot silicon", "cold flops")
    )
    for row in (1, 2):
        affine = affine.at[row, hot_flops].set(affine[row, flops]).at[row, flops].set(0.0)
        affine = affine.at[row, hot_silicon].set(affine[row, silicon]).at[row, silicon].set(0.0)
    return affine.at[3, cold_flops].set(affine[3, flops]).at[3, flops].set(0.0)


def _step_rows(
    structure: Structure,
    rows: Entries,
    problems: ProblemBatch,
    k: int,
    design: Design,
    batch: Real,
    order: Array | None,
) -> tuple[StepWork, Array]:
    """Time of a step, the machine-seconds that it asks for, its energy, and what it needs of chips
    and memory. Returns its work, and how its operators are sorted."""
    step, table, plan = problems.steps[k], problems.tables[k], problems.plans[k]
    service, technology = problems.services[step.service], problems.kinds[step.kind].technology
    work = workload_of(service, step, batch)
    asked = machine_seconds(service, step, batch)
    timed, (hot, cold) = time_and_energy(design, table, work, plan, technology, problems.execution)
    busy = busy_power(design, technology, table.compute_bits) / design.peak_flops
    order = by_ratio(timed) if order is None else order
    _time_rows(structure, rows, k, timed, order)
    p = structure.steps[k][1]
    rows.put(structure.function("rate", p), structure.monomial("time", k), asked)
    economics = technology.economics
    overhead = economics.power_overhead * economics.pue
    columns = np.array([structure.monomial(name, k) for name in ENERGIES])
    joules = jnp.stack([cold, hot, busy]) * design.chips * asked * overhead
    rows.put(OUTCOMES.index("energy"), columns, joules)
    rows.put(OUTCOMES.index("running"), columns, joules * economics.electricity_price)
    columns = [structure.monomial(name, k) for name in DRAWN]
    rows.put(structure.function("power", k), np.array(columns), jnp.stack([cold, hot, busy]))
    rows.put(structure.function("throttle", k), 0, jnp.ones(()))
    groups = plan.pipeline * plan.context * plan.data
    enough = design.chips >= groups * (1.0 - 1e-9)
    rows.put(structure.function("plan", k), 0, jnp.where(enough, 1e-30, groups / design.chips))
    degree = degrees(design, plan, table.experts)
    kept = footprint(table, work.phase, plan, degree, ideal=problems.execution.ideal)
    filled = problems.execution.fillable(technology.attainable)
    rows.put(structure.function("capacity", k), 0, (kept.weights + kept.state) / filled)
    return timed, order


def _time_rows(structure: Structure, rows: Entries, k: int, work: StepWork, order: Array) -> None:
    """Time of a step: a sum for every number of operators that arithmetic binds."""
    p = structure.steps[k][1]
    matrix, memory = thresholds(work, order)
    first = structure.function("step", k)
    splits = np.arange(first, first + structure.operators[k] + 1)
    columns = np.array([0, *(structure.monomial(name, p) for name in ("sync_latency", "1/link"))])
    rows.put(splits[:, None], columns[None, :], jnp.stack([work.rest, work.syncs, work.wire]))
    rows.put(splits, structure.monomial("1/flops", p), matrix)
    rows.put(splits, structure.monomial("1/bandwidth", p), memory)


def _service_rows(
    structure: Structure,
    rows: Entries,
    problems: ProblemBatch,
    designs: tuple[Design, ...],
    tables: tuple[OperatorTable, ...],
    batches: Float[Array, "services"],
    kinds: tuple[Kind, ...],
) -> None:
    """Promises of each service and its pace."""
    for s, one in enumerate(problems.services):
        own = structure.services[s][0]
        columns = np.array([structure.monomial("time", k) for k in own])
        slopes = jnp.stack(token_times(one, batches[s]))[: len(own)]
        rows.put(structure.function("promise", s), columns, slopes / one.promise)
        relative = problems.services[0].promise / one.promise
        rows.put(structure.function("pace", s), columns, slopes * relative)
        if not isinstance(one.phase, Serving):
            rows.put(structure.function("first_token", s), 0, jnp.asarray(1e-30))
            continue
        first = structure.function("first_token", s)
        rows.put(first, columns, jnp.stack(first_token_times(one)) / one.first_promise)
        fixed = jnp.asarray(problems.execution.request_time())
        if not interleaved(one):
            fixed = fixed + cache_transfer(one, tables[own[0]], designs, kinds)
        rows.put(first, 0, fixed / one.first_promise)


def _with_bounds(
    structure: Structure, rows: Float[Array, "functions basis"]
) -> Float[Array, "functions basis"]:
    """Bounds on outcomes: the outcome's own coefficients, before the bound itself divides them
    (``geometric_program.framed``)."""
    for b, (outcome, _, _) in enumerate(structure.bounds):
        own = jnp.zeros(rows.shape[1]).at[0].set(1.0) if outcome < 0 else rows[outcome]
        rows = rows.at[structure.function("bound", b)].set(own)
    return rows
