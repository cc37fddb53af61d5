"""CVXPY's geometric programming and SciPy's SLSQP against the interior point.

CVXPY solves a transcription of its own (``dgp_value``): areas, powers, prices, limits and times
written as posynomials from the technology's numbers and the operators' loads, exact in every term,
the price of a die too: A/(gross · (1 − 2√2·√A/d)) · (1 + A·c·D/α)^α. None of the program's
coefficients enter it. SLSQP descends the exact model itself (``evaluation.assess`` with the step's
time and clock, the power cap and the silicon as variables, as the search has them) with JAX's
gradients.
"""

import dataclasses
from typing import Any, NamedTuple

import cvxpy as cp
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

import codesign
from codesign.evaluation import assess, run_step
from codesign.limits import LIMIT_NAMES, stack_limits
from codesign.performance.communication import communication
from codesign.performance.load import footprint, step_load
from codesign.performance.plan import degrees
from codesign.physical.area import area, precision_ratio
from codesign.physical.latency import sync_floor, tiers
from codesign.physical.power import busy_power, static_power, step_energies
from codesign.physical.voltage import energy_ratio
from codesign.physical.warpage import warpage
from codesign.search import Choice, Kind
from codesign.search.integers.formulation import Subproblem
from codesign.search.program.box import HAIR
from codesign.search.solver.lanes import double_precision
from codesign.search.statement.fleet import Totals
from codesign.search.statement.goals import TOTALS, log_goals
from codesign.search.statement.space import CONTINUOUS, design_at
from codesign.throttling import mean_work
from tests.codesign.search.conftest import COSTS, GOALS, Posed, plan, posed, space, stretched, work


class Case(NamedTuple):
    """A problem of the oracles: position of its technology, integers, layout, requests and
    weights."""

    technology: int
    chips: int
    batch: int
    weights: tuple[float, float, float]
    goals: Any = GOALS
    dies: float = 1.0
    context: float = 8192.0
    promise: float = 5e-3
    plan: codesign.Plan = plan()
    bits: float = 8.0


CASES = [
    Case(0, 8, 32, (0.4, 0.3, 0.3)),
    Case(0, 8, 32, (1.0, 0.0, 0.0)),
    Case(0, 8, 32, (0.0, 1.0, 0.0)),
    Case(0, 8, 32, (0.0, 0.0, 1.0)),
    Case(1, 4, 64, (0.5, 0.2, 0.3), dies=2.0, plan=plan("two-shot")),
    Case(1, 16, 7, (0.1, 0.1, 0.8), context=32768.0),
    Case(2, 2, 16, (0.6, 0.4, 0.0), promise=2e-2),
    Case(3, 12, 200, (0.3, 0.3, 0.4), dies=4.0, bits=4.0, plan=plan("ring")),
    Case(3, 32, 512, (0.2, 0.5, 0.3), COSTS, plan=plan("two-shot", data=4.0)),
    Case(
        4,
        16,
        48,
        (0.5, 0.4, 0.1),
        COSTS,
        plan=plan("tree", context=2.0),
        context=65536.0,
        promise=1e-2,
    ),
    Case(5, 8, 24, (1.0, 0.0, 0.0), COSTS, bits=16.0),
    Case(4, 24, 96, (0.0, 1.0, 0.0), COSTS, plan=plan("in-network", pipeline=2.0), promise=1e-2),
]


@pytest.fixture(scope="module")
def solved(technologies) -> list[Posed]:
    """All cases, solved by the interior point."""
    return [solve(case, technologies) for case in CASES]


def solve(case: Case, technologies: list) -> Posed:
    kind = Kind(technologies[case.technology], case.dies, 60e6, 72)
    among = [Choice(f"{k}", (case.plan,), (kind,)) for k in range(2)]
    workload = work(
        case.context,
        case.promise,
        weight_bits=case.bits,
        state_bits=case.bits,
        activation_bits=case.bits,
    )
    problem = posed(space(), workload, among, case.goals, [stretched(case.weights)])
    problem.solve([task_of(case)])
    return problem


def task_of(case: Case) -> Subproblem:
    return Subproblem(0, 0, (case.chips, case.batch, 0, 0))


class Parts(NamedTuple):
    """What a case's exact model is made of, besides the continuous quantities."""

    table: Any
    workload: Any
    technology: Any
    degree: Any
    design: Any  # at some point of the box


def parts_of(case: Case, problem: Posed) -> Parts:
    one = problem.problems.services[0]
    table = codesign.operator_table(one.model, one.precision, slice_columns=64.0)
    kind = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), problem.problems.kinds[0])
    values = jnp.sqrt(problem.problems.spaces[0].low * problem.problems.spaces[0].high)
    design = design_at(
        problem.problems.spaces[0], values, jnp.asarray(float(case.chips)), jnp.asarray(0.0)
    )
    design = dataclasses.replace(
        design,
        dies=kind.dies,
        sram_capacity=kind.sram_capacity,
        scale_up_domain=kind.scale_up_domain,
    )
    phase = dataclasses.replace(one.phase, batch=jnp.asarray(float(case.batch)))
    workload = codesign.Workload(one.model, phase, one.precision, one.promise)
    return Parts(
        table, workload, kind.technology, degrees(design, case.plan, table.experts), design
    )


def numbers(tree: Any) -> Any:
    """Leaves as Python floats, by attribute."""
    return jax.tree.map(float, tree)


def step_time(case: Case, parts: Parts, x: dict[str, cp.Variable]) -> Any:
    """Σ over operators of the slowest resource, then latency and wire, as a generalised posynomial
    [s]."""
    t = numbers(parts.technology)
    load = step_load(
        parts.table,
        parts.workload.phase,
        case.plan,
        parts.degree,
        parts.design.sram_capacity,
        ideal=False,
    )
    moved = np.maximum(load.weights + load.state + load.activations, load.reused)
    bits = parts.table.compute_bits
    wide = float(
        precision_ratio(
            bits, parts.technology.logic.density_gain_8bit, parts.technology.logic.density_gain_4bit
        )
    )
    vector = (
        load.vector * wide / t.logic.vector_ratio
        + load.exponential * wide / t.logic.exponential_ratio
    )
    matrix = np.maximum(load.flops / t.attainable.compute, vector)
    terms = []
    for flops, size in zip(np.asarray(matrix), np.asarray(moved), strict=True):
        own = [float(flops) / x["peak_flops"]] if flops > 0 else []
        own += [float(size) / (t.attainable.memory * x["memory_bandwidth"])] if size > 0 else []
        terms += [own[0] if len(own) == 1 else cp.maximum(*own)] if own else []
    link = parts.technology.attainable.link
    together = communication(parts.design, parts.table, parts.workload.phase, case.plan, link)
    syncs, inner = float(jnp.sum(together.syncs)), float(jnp.sum(together.inner))
    pool = syncs * parts.design.sync_latency + inner / parts.design.link_bandwidth
    assert float(jnp.sum(together.latency + together.transfer) / pool - 1.0) < 1e-9, (
        "a network beyond the domain"
    )
    return sum(terms) + syncs * x["sync_latency"] + inner / x["link_bandwidth"]


def areas_and_powers(case: Case, parts: Parts, x: dict[str, Any]) -> tuple[Any, Any, Any, Any, Any]:
    """Sum of the parts [m²], busy power at the step's clock and idle power [W], interposer [m²],
    edge needed [m]; posynomials."""
    t, d = numbers(parts.technology), numbers(parts.design)
    logic, memory, links = t.logic, t.memory, t.links
    gain, energy = (
        float(precision_ratio(parts.table.compute_bits, jnp.asarray(a), jnp.asarray(b)))
        for a, b in (
            (logic.density_gain_8bit, logic.density_gain_4bit),
            (logic.energy_ratio_8bit, logic.energy_ratio_4bit),
        )
    )
    core = x["peak_flops"] / (logic.matrix_density * gain * x["clock"])
    sram = max(
        d.sram_capacity / logic.sram_density, d.sram_bandwidth / logic.sram_bandwidth_density
    )
    count = x["memory_bandwidth"] / memory.stack_bandwidth
    layers = x["memory_capacity"] / memory.layer_capacity
    silicon = (
        core
        + sram
        + count * memory.phy_area
        + x["link_bandwidth"] * links.area
        + logic.fixed_area * d.dies
    )
    silicon = silicon + (d.dies - 1.0) * t.packaging.die_to_die_area if d.dies > 1 else silicon
    silicon = silicon / (1.0 - logic.overhead_fraction)
    ratio = cp.power(logic.voltage_floor + (1.0 - logic.voltage_floor) * x["clock"], 2)
    idle = (
        logic.leakage * ratio * x["silicon"]
        + layers * memory.layer_power
        + links.idle_power * x["link_bandwidth"]
    )
    running = cp.power(logic.voltage_floor + (1.0 - logic.voltage_floor) * x["running"], 2)
    product = logic.matrix_energy * energy * running
    busy = logic.ungated_share * product * x["peak_flops"] * x["running"] / x["clock"]
    interposer = t.packaging.area_ratio * (x["silicon"] + count * memory.footprint)
    edge = count * memory.edge + x["link_bandwidth"] / links.edge_density
    return silicon, busy, idle, interposer, edge


def dynamic(case: Case, parts: Parts, x: dict[str, Any]) -> Any:
    """Energy of a step on one chip beyond its idle and busy power [J]."""
    t, energy = numbers(parts.technology), parts.technology.logic
    load = step_load(
        parts.table,
        parts.workload.phase,
        case.plan,
        parts.degree,
        parts.design.sram_capacity,
        ideal=False,
    )
    # the mean chip's, which has fewer heads than the busiest where they do not divide
    most = jnp.maximum(load.weights + load.state + load.activations, load.reused)
    moved = float(jnp.sum(most * load.mean_bytes))
    link = parts.technology.attainable.link
    together = communication(parts.design, parts.table, parts.workload.phase, case.plan, link)
    each = float(
        precision_ratio(
            parts.table.compute_bits, energy.energy_ratio_8bit, energy.energy_ratio_4bit
        )
    )
    ratio = cp.power(t.logic.voltage_floor + (1.0 - t.logic.voltage_floor) * x["running"], 2)
    byte = t.memory.access_energy + 2.0 * t.logic.sram_energy
    wire = (t.links.energy - t.links.idle_power) * float(jnp.sum(together.wire))
    flops = float(jnp.sum(load.flops * load.mean_flops))
    product = t.logic.matrix_energy * each * (1.0 - t.logic.ungated_share) * ratio
    return product * flops + byte * moved + (wire if wire > 0 else 0.0)


def die_price(logic: Any, die: Any) -> Any:
    """Wafer over (dies on it × share that sells), for dies far smaller than a wafer [USD]."""
    usable = logic.wafer_diameter - 2.0 * logic.edge_exclusion
    per_die = (
        die
        / (np.pi * (usable / 2.0) ** 2)
        / cp.one_minus_pos(2.0 * np.sqrt(2.0) / usable * cp.sqrt(die))
    )
    killed = logic.critical_fraction * logic.defect_density / logic.defect_clustering
    return logic.wafer_price * per_die * cp.power(1.0 + killed * die, logic.defect_clustering)


def money(case: Case, parts: Parts, x: dict[str, Any], interposer: Any) -> tuple[Any, Any]:
    """Equipment and facility of one chip [USD]."""
    t, d = numbers(parts.technology), numbers(parts.design)
    economics, links, packaging = t.economics, t.links, t.packaging
    floor = float(
        sync_floor(parts.design.chips, parts.design.scale_up_domain, parts.technology.links)
    )
    joined = float(
        tiers(
            jnp.minimum(parts.design.chips, parts.design.scale_up_domain),
            parts.technology.links.radix,
        )
    )
    logic = d.dies * die_price(t.logic, x["silicon"] / d.dies)
    memory = x["memory_bandwidth"] / t.memory.stack_bandwidth * t.memory.stack_price
    memory = memory + x["memory_capacity"] / t.memory.layer_capacity * t.memory.layer_price
    package = (
        packaging.area_price * interposer
        + packaging.assembly_price
        + packaging.multi_die_price * min(d.dies - 1.0, 1.0)
    )
    network = (
        links.price * joined * x["link_bandwidth"] + links.scale_out_price * d.scale_out_bandwidth
    )
    latency = links.sync_price / (x["sync_latency"] * cp.one_minus_pos(floor / x["sync_latency"]))
    equipment = economics.chip_markup * (logic + memory + package) + network + latency
    equipment = equipment + economics.server_price + t.cooling.price
    return equipment, economics.facility_price * economics.power_overhead * x["cap"]


def annuity(rate: float, life: float) -> float:
    return rate / -np.expm1(-rate * life)


def dgp_value(case: Case, parts: Parts, low: np.ndarray, high: np.ndarray) -> float:
    """Optimum of the weighted sum of log goals by CVXPY."""
    t, chips, batch = numbers(parts.technology), float(case.chips), float(case.batch)
    lifted = ("silicon", "cap", "running")
    x: dict[str, Any] = {name: cp.Variable(pos=True) for name in (*CONTINUOUS, *lifted)}
    silicon, busy, idle, interposer, edge = areas_and_powers(case, parts, x)
    time = cp.Variable(pos=True)
    equipment, facility = money(case, parts, x, interposer)
    economics = t.economics
    overhead, meter = economics.power_overhead, economics.power_overhead * economics.pue
    energy = (dynamic(case, parts, x) + (idle + busy) * time) * chips * meter / batch
    paid = equipment * annuity(economics.cost_of_capital, economics.life)
    paid = paid + facility * annuity(economics.cost_of_capital, economics.facility_life)
    goals = {
        "tokens/s/$": time * (equipment + facility) * chips / batch,
        "tokens/s/W": time * x["cap"] * chips * overhead * economics.pue / batch,
        "tokens/s/user": time,
        "$/token": (
            paid * time * chips / (batch * economics.utilisation)
            + energy * economics.electricity_price
        ),
        "J/token": energy,
    }
    weights = stretched(case.weights)
    objective = 1.0
    for goal, weight in zip(case.goals, weights, strict=True):
        objective = objective * cp.power(goals[goal.name], float(weight))
    kept = footprint(parts.table, parts.workload.phase, case.plan, parts.degree, ideal=False)
    cooling, packaging, memory = t.cooling, t.packaging, t.memory
    d, count = numbers(parts.design), x["memory_bandwidth"] / t.memory.stack_bandwidth
    layers = x["memory_capacity"] / memory.layer_capacity / count
    bow = float(warpage(jnp.asarray(1.0), parts.technology.packaging))
    flux = x["cap"] / x["silicon"]
    constraints = [
        step_time(case, parts, x) * x["clock"] / x["running"] <= time,
        x["running"] <= x["clock"],
        t.logic.clock_fewest <= x["running"],
        dynamic(case, parts, x) / time + idle + busy <= x["cap"],
        silicon <= x["silicon"],
        x["silicon"] <= d.dies * t.logic.reticle_area,
        edge <= packaging.usable_edge * 2.0 * (d.dies + 1.0) * cp.power(x["silicon"] / d.dies, 0.5),
        count <= memory.max_stacks,
        layers <= memory.max_layers,
        memory.min_layers <= layers,
        flux <= cooling.power_density,
        x["cap"] <= cooling.package_power,
        flux * cooling.area_resistance <= cooling.logic_temperature - cooling.coolant_temperature,
        flux * cooling.area_resistance * memory.thermal_coupling
        <= cooling.memory_temperature - cooling.coolant_temperature,
        interposer <= packaging.interposer_most,
        interposer * bow <= packaging.warpage_most,
        t.logic.clock_fewest <= x["clock"],
        x["clock"] <= t.logic.clock_most,
        float(kept.weights + kept.state)
        <= parts.technology.attainable.capacity * x["memory_capacity"],
        time <= case.promise,
    ]
    for name, bottom, top in zip(CONTINUOUS, low, high, strict=True):
        constraints += [float(bottom) <= x[name], x[name] <= float(top)]
    problem = cp.Problem(cp.Minimize(objective), constraints)
    problem.solve(gp=True, solver=cp.CLARABEL, tol_gap_abs=1e-8, tol_gap_rel=1e-8, tol_feas=1e-9)
    assert problem.status == "optimal"
    return float(np.log(problem.value))


def test_geometric_programming_agrees(solved, record_property):
    """Twelve problems over six technologies: same optimum to 1e-6 in log units."""
    off = []
    for case, problem in zip(CASES, solved, strict=True):
        subproblem = task_of(case)
        value = problem.pool.value(subproblem)
        assert np.isfinite(value), case
        box = problem.problems.spaces[0]
        with double_precision():
            parts = parts_of(case, problem)
            found = dgp_value(case, parts, np.asarray(box.low), np.asarray(box.high))
        off.append(found - value)
    record_property("largest difference", float(np.abs(off).max()))
    print("CVXPY minus interior point:", np.array2string(np.array(off), precision=2))
    assert len(off) >= 10
    assert np.abs(off).max() <= 1e-6, off


def exact_functions(case: Case, parts: Parts) -> Any:
    """The exact model in smooth pieces: y → (weighted goal, what must be at most 0).

    y: logarithms of the continuous quantities, silicon, power cap, clock of the step, its time, and
    the time of each operator.
    First in what must be at most 0 come the limits of ``LIMIT_NAMES``.
    """
    execution, count = codesign.Operatorwise(), len(CONTINUOUS)
    kept = footprint(parts.table, parts.workload.phase, case.plan, parts.degree, ideal=False)
    weights, filled = jnp.asarray(stretched(case.weights)), parts.technology.attainable.capacity

    def both(y: Any) -> Any:
        x = jnp.exp(y)
        chosen = {name: x[k] for k, name in enumerate(CONTINUOUS)}
        design = dataclasses.replace(parts.design, **chosen)
        timed = run_step(
            design, parts.table, parts.workload, case.plan, parts.technology, execution
        )
        silicon, cap, clock, time = x[count : count + 4]
        each, bits = x[count + 4 :], parts.table.compute_bits
        own = area(design, parts.technology, bits)
        parted = dataclasses.replace(own, white=own.white + silicon - own.total)
        judged = (parts.workload, case.plan, parts.technology, bits)
        hot, cold = step_energies(mean_work(timed), parts.technology, bits)
        ratio = energy_ratio(clock, parts.technology.logic)
        drawn = (hot * ratio + cold) / time + busy_power(design, parts.technology, bits, clock)
        drawn = drawn + static_power(design, parts.technology, silicon)
        capped = dataclasses.replace(design, power_cap=cap)
        slowed = dataclasses.replace(timed, time=time)
        outcome = assess(capped, *judged, slowed, clock, kept, filled, parted, power=drawn)
        busy = jnp.maximum(timed.compute, timed.vector)
        together = jnp.sum(each) + jnp.sum(timed.latency) + jnp.sum(timed.transfer)
        slower = together * design.clock / clock
        lifted = [jnp.log(own.total / silicon)[None], jnp.log(slower / time)[None]]
        lifted += [jnp.log(drawn / cap)[None], jnp.log(clock / design.clock)[None]]
        lifted += [
            jnp.maximum(busy / each, 1e-9) - 1.0,
            jnp.maximum(timed.memory / each, 1e-9) - 1.0,
        ]
        totals = Totals(**{name: getattr(outcome, name) for name in TOTALS})
        return weights @ log_goals(case.goals, totals), jnp.concatenate(
            [stack_limits(outcome.limits), *lifted]
        )

    return jax.jit(both), jax.jit(jax.jacfwd(both))


def descend_by_kind(case: Case, problem: Posed) -> tuple[float, dict[str, float]]:
    """Optimum of the exact model by SLSQP from the middle of the box, and the multiplier of each
    limit."""
    box, parts = problem.problems.spaces[0], parts_of(case, problem)
    value, slope = exact_functions(case, parts)
    timed = run_step(
        parts.design,
        parts.table,
        parts.workload,
        case.plan,
        parts.technology,
        codesign.Operatorwise(),
    )
    each = np.log(np.maximum(np.asarray(jnp.maximum(timed.operators, 0.0)), 1e-12))
    low, high = np.log(np.asarray(box.low)), np.log(np.asarray(box.high))
    silicon = np.log(1e-4 * case.dies), np.log(1e-3 * case.dies)
    slowest = float(parts.technology.logic.clock_fewest) * (1.0 - HAIR)  # as the search's box
    first = [np.mean(silicon), np.log(1e3), np.log(0.9), np.log(float(timed.time))]
    start = np.concatenate([0.5 * (low + high), first, each])
    bounds = [
        *zip(low, high, strict=True),
        silicon,
        (np.log(10.0), np.log(1e5)),
        (np.log(slowest), high[-1]),
        (-25.0, 5.0),
        *((e - 12.0, e + 12.0) for e in each),
    ]
    found = minimize(
        lambda y: float(value(y)[0]),
        start,
        jac=lambda y: np.asarray(slope(y)[0]),
        bounds=bounds,
        method="SLSQP",
        constraints={
            "type": "ineq",
            "fun": lambda y: -np.asarray(value(y)[1]),
            "jac": lambda y: -np.asarray(slope(y)[1]),
        },
        options={"maxiter": 500, "ftol": 1e-13},
    )
    assert found.success, found.message
    assert float(value(found.x)[1].max()) < 1e-9
    return float(found.fun), dict(
        zip(LIMIT_NAMES, found.multipliers[: len(LIMIT_NAMES)], strict=True)
    )


def test_sequential_quadratic_programming_agrees_on_optimum_and_multipliers(
    solved, record_property
):
    """Optimum to 1e-6, multipliers of all limits to 1e-4, at four problems whose limits bind."""
    off, apart, priced = [], [], set()
    for k in (0, 4, 7, 9):
        case, problem = CASES[k], solved[k]
        with double_precision():
            value, theirs = descend_by_kind(case, problem)
        off.append(value - problem.pool.value(task_of(case)))
        multipliers = problem.pool.done[task_of(case)].point.multipliers
        ours = {key.name: multipliers[rows].sum() for key, rows in problem.structure.limits.items()}
        shared = [name for name in LIMIT_NAMES if name in ours]
        apart += [abs(ours[name] - theirs[name]) for name in shared]
        priced |= {name for name in shared if ours[name] > 1e-2}
    record_property("largest differences", (float(np.abs(off).max()), float(max(apart))))
    print("SLSQP minus interior point:", off, "multipliers:", max(apart), "binding:", priced)
    assert np.abs(off).max() <= 1e-6, off
    assert max(apart) <= 1e-4
    assert len(priced) >= 4, "hardly a limit binds: the comparison says little"
