"""The one door: design + workload + plan + technology → outcome (DESIGN.md §1)."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from codesign.hardware.design import Design
from codesign.hardware.technology import Technology
from codesign.numerics.curvature import Curvature, declares
from codesign.numerics.fields import Real, units_of
from codesign.outcome import Limits, Outcome
from codesign.performance.execution import Execution, Limit, Operatorwise
from codesign.performance.load import Footprint, footprint
from codesign.performance.plan import Plan, TierShares, degrees
from codesign.performance.step import Step, attained_rates, step
from codesign.physical import cost as costs
from codesign.physical.area import Area, area, interposer_area, layers, needed_edge, precision_ratio, stacks, usable_edge
from codesign.physical.latency import sync_floor
from codesign.physical.power import Work, dynamic_energy, peak_power, provisioned_power, static_power
from codesign.physical.thermal import junction_temperature, memory_temperature, temperature_excess
from codesign.physical.warpage import warpage
from codesign.workload import phases
from codesign.workload.operators import OperatorTable, operator_table
from codesign.workload.transformer import MixtureOfExperts, Transformer
from codesign.workload.workload import Workload


def evaluate(
    design: Design,
    workload: Workload,
    plan: Plan | None = None,
    *,
    technology: Technology,
    execution: Execution | None = None,
) -> Outcome:
    """Run a workload on a design and price it.

    Pure: works under ``jit``, ``vmap``, ``grad`` and ``hessian`` with respect to every float leaf of every argument.

    Args:
        design: the machine; leaves are scalars (``vmap`` over batches of designs).
        workload: model, phase, precision, promise.
        plan: layout over the chips; default: tensor parallelism over all of them.
        technology: prices and physics (``hardware_priors.technology``).
        execution: ``Operatorwise()`` unless told.

    Raises:
        ValueError: a concrete argument is outside its range (traced ones are not checked; look at ``outcome.limits``).

    >>> import codesign, hardware_priors
    >>> llama = codesign.dense(hidden=4096, layers=32, heads=32, kv_heads=8, width=14336, vocabulary=128256)
    >>> work = codesign.Workload(llama, codesign.Decode(batch=1, context=1024))
    >>> h100 = hardware_priors.device("h100").design(chips=1)
    >>> n5 = hardware_priors.technology("N5", "HBM3", "NVLink4")
    >>> outcome = codesign.evaluate(h100, work, technology=n5)
    >>> bool(outcome.fits)
    True
    """
    plan = Plan() if plan is None else plan
    execution = Operatorwise() if execution is None else execution
    check(design, workload, plan, technology)
    return _evaluate(design, workload, plan, technology, execution)


@jax.jit
def _evaluate(design: Design, workload: Workload, plan: Plan, technology: Technology, execution: Execution) -> Outcome:
    table = operator_table(workload.model, workload.precision, slice_columns=technology.attainable.slice_columns)
    return evaluate_table(design, table, workload, plan, technology, execution)


def evaluate_table(
    design: Design, table: OperatorTable, workload: Workload, plan: Plan, technology: Technology, execution: Execution
) -> Outcome:
    """``evaluate`` on an operator table already written: one compiled program for models of one (padded) shape.

    Of ``workload`` only phase and promise are used. Nothing is checked.
    """
    timed = run_step(design, table, workload, plan, technology, execution)
    silicon = area(design, technology, table.compute_bits)
    degree = degrees(design, plan, table.experts)
    kept = footprint(table, workload.phase, plan, degree, ideal=isinstance(execution, Limit))
    return assess(design, workload, plan, technology, table.compute_bits, timed, timed.time, kept, silicon, silicon.total)


@declares(
    Curvature.CONVEX,
    design__memory_bandwidth=(1e11, 1e14),
    design__peak_flops=(1e13, 1e17),
    design__sync_latency=(1e-7, 1e-4),
    design__link_bandwidth=(1e9, 1e13),
)
def run_step(design: Design, table: OperatorTable, workload: Workload, plan: Plan, technology: Technology, execution: Execution) -> Step:
    """Time one step of the workload on the design, with the vector rates that its technology gives its silicon."""
    logic = technology.logic
    at_16_bit = design.peak_flops / precision_ratio(table.compute_bits, logic.density_gain_8bit, logic.density_gain_4bit)
    vector, exponential = at_16_bit * logic.vector_ratio, at_16_bit * logic.exponential_ratio
    rates = attained_rates(design, technology.attainable, at_16_bit, vector, exponential, execution)
    return step(design, table, workload.phase, plan, rates, technology.attainable.link, execution)


def mean_work(timed: Step) -> Work:
    """What the mean chip computes and moves in a step: routed experts leave it less than the busiest."""
    share, moved = timed.load.mean_bytes, timed.traffic
    return Work(
        flops=jnp.sum(timed.load.flops * timed.load.mean_flops),
        memory_bytes=jnp.sum(moved.main * share),
        on_chip_bytes=jnp.sum(moved.on_chip * share),
        wire_bytes=timed.wire,
        pool_bytes=jnp.sum(moved.pool * share),
    )


def assess(
    design: Design,
    workload: Workload,
    plan: Plan,
    technology: Technology,
    compute_bits: Real,
    timed: Step,
    step_time: Real,
    kept: Footprint,
    parts: Area,
    silicon: Real,
) -> Outcome:
    """Judge a step that takes ``step_time`` on a package with ``silicon`` of logic.

    The search gives both as variables of their own, at least as large as what the model says (DESIGN.md §5: a machine may
    throttle, a die may hold white silicon); ``evaluate`` gives what the model says.

    Args:
        compute_bits: width of the matrix arithmetic [bit].
        timed: the step, for the work that it does.
        step_time: time between the starts of two steps [s].
        kept: bytes on the fullest chip [B].
        parts: area by part, for the report.
        silicon: logic area of a package [m²].
    """
    phase = workload.phase
    user = phases.tokens_served(phase) / step_time
    system = user * phase.batch
    work = mean_work(timed)
    peak = peak_power(design, technology, silicon, compute_bits)
    idle = static_power(design, technology, silicon)
    mean = dynamic_energy(work, technology, compute_bits, design.clock) / step_time + idle
    price = costs.cost(design, technology, silicon, peak)
    economics = technology.economics
    running = costs.running_cost(price, design.chips, mean * design.chips, economics)
    capital, provisioned = price.capital * design.chips, provisioned_power(peak, design.chips, technology)
    time_per_token = step_time / phases.tokens_per_step(phase)
    return Outcome(
        step_time=step_time,
        time_per_token=time_per_token,
        user_tokens_per_second=user,
        system_tokens_per_second=system,
        capacity_needed=(kept.weights + kept.state) * design.chips,
        capacity_available=(design.memory_capacity + _other_tiers(design, plan)) * design.chips,
        peak_power=peak,
        mean_power=mean,
        provisioned_power=provisioned,
        energy_per_token=mean * design.chips * economics.power_overhead * economics.pue / system,
        capital_cost=capital,
        running_cost=running,
        cost_per_token=running / (system * economics.utilisation),
        tokens_per_second_per_dollar=system / capital,
        tokens_per_second_per_watt=system / provisioned,
        limits=limits(design, workload, plan, technology, kept, silicon, peak, time_per_token),
        area=parts,
        cost=price,
        footprint=kept,
        step=timed,
    )


def _other_tiers(design: Design, plan: Plan) -> Real:
    """Capacity beside main memory that the plan makes use of [B]."""
    if plan.tiers is None:
        return jnp.zeros_like(design.memory_capacity)
    on_chip = jnp.where(plan.tiers.weights_on_chip > 0, design.sram_capacity, 0.0)
    return on_chip + design.pool_capacity


def _fullest_tier(design: Design, plan: Plan, kept: Footprint) -> Real:
    """Largest ratio of bytes kept to capacity over the tiers in use [1]."""
    tiers = plan.tiers
    if tiers is None:
        return (kept.weights + kept.state) / design.memory_capacity
    main = kept.weights * (1.0 - tiers.weights_on_chip - tiers.weights_in_pool) + kept.state * (1.0 - tiers.state_in_pool)
    pool = kept.weights * tiers.weights_in_pool + kept.state * tiers.state_in_pool
    ratios = jnp.stack(
        [
            main / design.memory_capacity,
            kept.weights * tiers.weights_on_chip / design.sram_capacity,
            pool / jnp.maximum(design.pool_capacity, 1.0),
        ]
    )
    return jnp.max(ratios)


def limits(
    design: Design, workload: Workload, plan: Plan, technology: Technology,
    kept: Footprint, silicon: Real, peak: Real, time_per_token: Real,
) -> Limits:  # fmt: skip
    """ln(used / allowed) of every technology limit and of the promise [1]."""
    memory, cooling, packaging, logic = technology.memory, technology.cooling, technology.packaging, technology.logic
    interposer = interposer_area(design, technology, silicon)
    coolant = cooling.coolant_temperature
    junction, warmed = junction_temperature(peak, silicon, cooling), memory_temperature(peak, silicon, memory, cooling)
    per_stack = layers(design, technology) / stacks(design, technology)
    return Limits(
        capacity=jnp.log(_fullest_tier(design, plan, kept)),
        die_area=jnp.log(silicon / design.dies / logic.reticle_area),
        dies=jnp.log(design.dies / packaging.max_dies),
        shoreline=jnp.log(needed_edge(design, technology) / usable_edge(design, technology, silicon)),
        stacks=jnp.log(stacks(design, technology) / memory.max_stacks),
        layers_most=jnp.log(per_stack / memory.max_layers),
        layers_fewest=jnp.log(memory.min_layers / per_stack),
        power_density=jnp.log(peak / (silicon * cooling.power_density)),
        package_power=jnp.log(peak / cooling.package_power),
        temperature=temperature_excess(junction, cooling.logic_temperature, coolant),
        memory_temperature=temperature_excess(warmed, cooling.memory_temperature, coolant),
        interposer=jnp.log(interposer / packaging.interposer_most),
        warpage=jnp.log(warpage(interposer, packaging) / packaging.warpage_most),
        clock_fewest=jnp.log(logic.clock_fewest / design.clock),
        clock_most=jnp.log(design.clock / logic.clock_most),
        sync_floor=jnp.log(1.001 * sync_floor(design.chips, design.scale_up_domain, technology.links) / design.sync_latency),
        promise=jnp.log(time_per_token / workload.promise),
    )


_POSITIVE = ("memory_bandwidth", "memory_capacity", "peak_flops", "link_bandwidth", "sram_capacity", "sram_bandwidth",
             "scale_out_bandwidth", "clock")  # fmt: skip


def check(design: Design, workload: Workload, plan: Plan, technology: Technology) -> None:
    """Refuse concrete arguments outside their range, by name and value; traced ones pass.

    Raises:
        ValueError: naming the first offending quantity, its value and what was expected.
    """
    for name in units_of(design):
        least = 1.0 if name in ("chips", "dies", "scale_up_domain") else 0.0
        _require(name, getattr(design, name), least, strict=name in _POSITIVE)
    phase, precision = workload.phase, workload.precision
    _require("batch", phase.batch, 0.0, strict=True)
    if isinstance(phase, phases.Decode):
        _require("context", phase.context, 0.0)
        if phase.draft is not None:
            _require("draft length", phase.draft.length, 0.0)
            _require("draft acceptance", phase.draft.acceptance, 0.0, 1.0)
            _require("draft cost", phase.draft.cost, 0.0)
    else:
        _require("prompt", phase.prompt, 0.0, strict=True)
        _require("cached share of the prompt", phase.cached, 0.0, 1.0 - 1e-9)
    _require("promise", workload.promise, 0.0, strict=True)
    for name in units_of(precision):
        _require(name, getattr(precision, name), 0.0, strict=name != "weight_scale_bits")
    for name in ("pipeline", "context", "data", "expert", "expert_copies", "routing_skew"):
        _require(f"plan's {name} degree", getattr(plan, name), 1.0)
    if plan.tiers is not None:
        for name in units_of(TierShares):
            _require(name, getattr(plan.tiers, name), 0.0, 1.0)
        shares = _concrete(plan.tiers.weights_on_chip), _concrete(plan.tiers.weights_in_pool)
        if shares[0] is not None and shares[1] is not None:
            _require("weights on chip and in pool together", shares[0] + shares[1], 0.0, 1.0)
        pooled = [share for share in map(_concrete, (plan.tiers.weights_in_pool, plan.tiers.state_in_pool)) if share is not None]
        if any((share > 0.0).any() for share in pooled):
            _require("pool bandwidth of a plan that keeps bytes in a pool", design.pool_bandwidth, 0.0, strict=True)
    for what, tree in (("model", workload.model), ("technology", technology)):
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
            _require(f"{what}{jax.tree_util.keystr(path)}", leaf, 0.0)
    _require_equal_mixtures(workload.model)
    degrees = (design.chips, plan.pipeline, plan.context, plan.data)
    ranks = [value for value in map(_concrete, degrees) if value is not None]
    if len(ranks) == len(degrees):
        chips, groups = ranks[0], ranks[1] * ranks[2] * ranks[3]
        name = f"tensor degree of {np.max(chips):g} chips in {np.max(groups):g} pipeline, context and data groups"
        _require(name, chips / groups, 1.0 - 1e-9)


def _require_equal_mixtures(model: Transformer) -> None:
    """All layers with experts must have the same number of them: routing is computed once per step."""
    mixtures = [kind.feed_forward for kind in model.layers if isinstance(kind.feed_forward, MixtureOfExperts)]
    for mixture in mixtures:
        experts, active = _concrete(mixture.experts), _concrete(mixture.active)
        if experts is not None and active is not None:
            _require("active experts", active, 1.0, float(np.max(experts)))
    for name in ("experts", "active"):
        values = [value for mixture in mixtures if (value := _concrete(getattr(mixture, name))) is not None]
        if len(values) > 1 and any((value != values[0]).any() for value in values[1:]):
            shown = ", ".join(f"{value:g}" for value in values)
            what = {"experts": "experts", "active": "active experts"}[name]
            raise ValueError(f"layers with experts have {shown} {what}; expected the same number in all of them")


def _concrete(value: Any) -> np.ndarray | None:
    return None if isinstance(value, Tracer) else np.asarray(value)


def _require(name: str, value: Any, least: float, most: float = math.inf, *, strict: bool = False) -> None:
    concrete = _concrete(value)
    if concrete is None:
        return
    good = np.isfinite(concrete) & (concrete > least if strict else concrete >= least) & (concrete <= most)
    if not good.all():
        relation, worst = "more than" if strict else "at least", np.ravel(concrete)[np.argmin(np.ravel(good))]
        limit = "" if math.isinf(most) else f" and at most {round(most, 6):g}"
        expected = f"a finite number {relation} {round(least, 6):g}{limit}"
        raise ValueError(f"{name.replace('_', ' ')} is {worst:g}; expected {expected}")
