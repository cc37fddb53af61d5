"""The one door: design + workload + plan + technology → outcome."""

import dataclasses

import jax
import jax.numpy as jnp

from codesign.argument_types import check_types
from codesign.hardware.design import Design
from codesign.hardware.technology import Technology
from codesign.limits import Judged, Machine, judge_limits, sums_of
from codesign.numerics.compilation import computed_once
from codesign.numerics.curvature import Curvature, declares
from codesign.numerics.fields import Real
from codesign.numerics.ties import at_least
from codesign.outcome import Outcome
from codesign.performance.execution import Execution, attained_rates
from codesign.performance.load import Footprint, footprint
from codesign.performance.plan import Plan, degrees
from codesign.performance.schedules import Operatorwise
from codesign.performance.step import Step
from codesign.physical import cost as costs
from codesign.physical.area import (
    Area,
    area,
    precision_ratio,
)
from codesign.physical.power import (
    peak_power,
    provisioned_power,
    static_power,
)
from codesign.physical.power_cap import rated_power
from codesign.spoiling import spoiled
from codesign.throttling import measured_power, run_under_cap
from codesign.validity import check, far_from_legal, legal
from codesign.workload import phases
from codesign.workload.operators import OperatorTable, operator_table
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

    Pure: works under ``jit``, ``vmap``, ``grad`` and ``hessian`` with respect to every float leaf
    of every argument.

    Args:
        design: the machine; leaves are scalars (``vmap`` over batches of designs).
        workload: model, phase, precision, promise.
        plan: layout over the chips; default: tensor parallelism over all of them.
        technology: prices and physics (``hardware_priors.technology``).
        execution: ``Operatorwise()`` unless told.

    Returns:
        Speed, fit, power, money, and ln(used / allowed) of every limit.

    Raises:
        TypeError: an argument of another type, or an array where one number is meant.
        ValueError: a concrete argument is outside its range. A traced one spoils the outcome: every
            limit is violated, every gain next to nothing and every cost next to infinite
            (``spoiling.spoiled``).

    >>> import codesign, hardware_priors
    >>> llama = codesign.dense(
    ...     hidden=4096, layers=32, heads=32, kv_heads=8, width=14336, vocabulary=128256
    ... )
    >>> work = codesign.Workload(llama, codesign.Decode(batch=1, context=1024))
    >>> h100 = hardware_priors.device("h100").design(chips=1)
    >>> n5 = hardware_priors.technology("N5", "HBM3", "NVLink4")
    >>> outcome = codesign.evaluate(h100, work, technology=n5)
    >>> bool(outcome.fits_memory)
    True
    """
    plan = Plan() if plan is None else plan
    execution = Operatorwise() if execution is None else execution
    check_types(design, workload, plan, technology, execution)
    check(design, workload, plan, technology)
    # models that differ in their names alone share a program
    nameless = dataclasses.replace(workload, model=dataclasses.replace(workload.model, name=""))
    return _evaluate(*computed_once((design, nameless, plan, technology, execution)))


@jax.jit
def _evaluate(
    design: Design, workload: Workload, plan: Plan, technology: Technology, execution: Execution
) -> Outcome:
    table = operator_table(
        workload.model, workload.precision, slice_columns=technology.attainable.slice_columns
    )
    outcome = evaluate_table(design, table, workload, plan, technology, execution)
    return spoiled(
        outcome,
        far_from_legal(
            workload.model, technology, [(design, plan)], ("precision", workload.precision)
        ),
    )


def evaluate_table(
    design: Design,
    table: OperatorTable,
    workload: Workload,
    plan: Plan,
    technology: Technology,
    execution: Execution,
) -> Outcome:
    """Evaluate on an operator table already written: one compiled program for models of one
    (padded) shape.

    Args:
        design, plan, technology: as for ``evaluate``.
        table: the model (``operator_table``, ``pad``).
        workload: its phase and promise.
        execution: how operators share time.

    Returns:
        The outcome, as of ``evaluate``.

    Of ``workload`` only phase and promise are used. Nothing is refused; a number of design, phase,
    promise or plan out of range spoils the outcome as in ``evaluate``. Model and technology are
    taken as they are, and so is a plan of more groups than chips.

    >>> import codesign, hardware_priors
    >>> model, phase = codesign.model("llama-3.1-8b"), codesign.Decode(batch=1, context=1024)
    >>> work = codesign.Workload(model, phase)
    >>> table = codesign.operator_table(model, work.precision)
    >>> h100 = hardware_priors.device("h100").design(chips=1)
    >>> world = hardware_priors.technology("N5", "HBM3", "NVLink4")
    >>> found = codesign.evaluate_table(
    ...     h100, table, work, codesign.Plan(), world, codesign.Operatorwise()
    ... )
    >>> bool(found.fits_memory)
    True
    """
    design, phase, promise, plan, distance = legal(design, workload.phase, workload.promise, plan)
    workload = dataclasses.replace(workload, phase=phase, promise=promise)
    return spoiled(judge_table(design, table, workload, plan, technology, execution), distance)


def judge_table(
    design: Design,
    table: OperatorTable,
    workload: Workload,
    plan: Plan,
    technology: Technology,
    execution: Execution,
    clock: Real | None = None,
    *,
    throttled: bool = True,
) -> Outcome:
    """``evaluate_table`` of legal arguments, taken as they are: a search's are legal by its box.

    ``clock`` is at which the step runs, over the nominal one; the fastest under the design's power
    cap unless told. One that is not ``throttled`` runs at the design's clock, and its limit says
    how far it is over the cap.
    """
    timed = computed_once(run_step(design, table, workload, plan, technology, execution))
    silicon = area(design, technology, table.compute_bits)
    degree = degrees(design, plan, table.experts)
    return assess(
        design,
        workload,
        plan,
        technology,
        table.compute_bits,
        timed=timed,
        clock=clock,
        kept=footprint(table, workload.phase, plan, degree, ideal=execution.ideal),
        filled=execution.fillable(technology.attainable),
        parts=silicon,
        power=measured_power(design, technology, table, timed, execution),
        throttled=throttled,
    )


@declares(
    Curvature.CONVEX,
    design__memory_bandwidth=(1e11, 1e14),
    design__peak_flops=(1e13, 1e17),
    design__sync_latency=(1e-7, 1e-4),
    design__link_bandwidth=(1e9, 1e13),
)
def run_step(
    design: Design,
    table: OperatorTable,
    workload: Workload,
    plan: Plan,
    technology: Technology,
    execution: Execution,
) -> Step:
    """Time one step of the workload on the design, with the vector rates that its technology gives
    its silicon."""
    logic = technology.logic
    # rates over those at 16 bit: of the design's own width, and of every operator's
    gain = precision_ratio(table.compute_bits, logic.density_gain_8bit, logic.density_gain_4bit)
    own_gain = precision_ratio(
        table.operators.compute_bits, logic.density_gain_8bit, logic.density_gain_4bit
    )
    at_16_bit = design.peak_flops / gain
    vector, exponential = at_16_bit * logic.vector_ratio, at_16_bit * logic.exponential_ratio
    rates = attained_rates(
        design,
        technology.attainable,
        jnp.asarray(own_gain / gain),
        at_16_bit,
        vector,
        exponential,
        execution,
    )
    return execution.step(design, table, workload.phase, plan, rates, technology.attainable.link)


def assess(
    design: Design,
    workload: Workload,
    plan: Plan,
    technology: Technology,
    compute_bits: Real,
    timed: Step,
    clock: Real | None,
    kept: Footprint,
    filled: Real,
    parts: Area,
    power: Real | None = None,
    *,
    throttled: bool = True,
) -> Outcome:
    """Judge a step under the machine's power cap, and price the machine.

    Args:
        compute_bits: width of the matrix arithmetic [bit].
        timed: the step as it would run without a cap.
        clock: at which it runs, over the nominal one; the fastest under the cap unless told [1].
        kept: bytes on the fullest chip [B].
        filled: share of main memory that they may fill (``Execution.fillable``) [1].
        parts: area by part.
        power: mean power of a chip, if measurements say it; what the technology's energies add up
            to otherwise [W].
        throttled: whether the cap slows it down.
    """
    phase, silicon = workload.phase, parts.total
    peak = peak_power(design, technology, silicon, compute_bits)
    idle = static_power(design, technology, silicon)
    rated = rated_power(design, peak)
    if power is None:
        step_time, clock, mean = run_under_cap(
            design, technology, compute_bits, timed, clock, idle, rated, throttled=throttled
        )
    else:  # measured time and power are those under the cap; they are provisioned for at least
        step_time, clock, mean, rated = timed.time, design.clock, power, at_least(rated, power)
    user_speed = phases.tokens_served(phase) / step_time
    system_speed = user_speed * phase.batch
    price = computed_once(costs.cost(design, technology, silicon, rated))
    economics = technology.economics
    running = costs.running_cost(price, design.chips, mean * design.chips, economics)
    capital = price.capital * design.chips
    provisioned = provisioned_power(rated, design.chips, technology)
    drawn = mean * design.chips * economics.power_overhead * economics.pue
    time_per_token = step_time / phases.tokens_per_step(phase)
    judged = Judged(
        sums_of(design, technology, silicon, price.equipment, peak, idle, rated),
        Machine(design, technology), silicon, plan, kept, filled, time_per_token, workload.promise,
        mean,
    )  # fmt: skip
    return Outcome(
        step_time=step_time,
        time_per_token=time_per_token,
        user_tokens_per_second=user_speed,
        system_tokens_per_second=system_speed,
        capacity_needed=(kept.weights + kept.state) * design.chips,
        capacity_available=(filled * design.memory_capacity + _other_tiers(design, plan))
        * design.chips,
        peak_power=peak,
        rated_power=rated,
        mean_power=mean,
        running_clock=clock,
        provisioned_power=provisioned,
        energy_per_token=drawn / system_speed,
        capital_cost=capital,
        running_cost=running,
        cost_per_token=running / (system_speed * economics.utilisation),
        tokens_per_second_per_dollar=system_speed / capital,
        tokens_per_second_per_watt=system_speed / provisioned,
        limits=judge_limits(judged),
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
