"""Time of one step: operators under an execution model, then collectives."""

import dataclasses
import functools

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from codesign.hardware.design import Design
from codesign.hardware.technology import Attainable
from codesign.numerics.fields import Real
from codesign.numerics.smooth import smooth_maximum
from codesign.numerics.ties import at_least, greater
from codesign.performance import calibrated
from codesign.performance.communication import communication
from codesign.performance.execution import Dataflow, Execution, LimitStudy, Operatorwise
from codesign.performance.kernel_coefficients import Calibrated
from codesign.performance.load import Load, expert_load, micro_batch, repeated, step_load
from codesign.performance.plan import Plan, degrees
from codesign.workload.operators import OperatorTable
from codesign.workload.phases import Decode, Draft, Phase


class Rates(eqx.Module):
    """What a chip attains: peaks times attainable fractions."""

    matrix: Float[Array, "operators"]  # [FLOP/s] at the width at which each operator computes
    vector: Real  # [FLOP/s]
    exponential: Real  # [1/s]
    reference: Real  # [FLOP/s] matrix rate at the width for which the design states its peak
    memory: Real  # [B/s]
    matrix_16_bit: Real  # [FLOP/s] the full peak at 16 bit, for products that no format narrows


class Traffic(eqx.Module):
    """Bytes of each operator by tier (operators,): main memory, pool, and weights that stay on chip
    [B]."""

    main: Float[Array, "operators"]
    pool: Float[Array, "operators"]
    on_chip: Float[Array, "operators"]


class Step(eqx.Module):
    """A step of the busiest chip, in seconds; shapes (operators,) and (collectives,).

    ``compute``, ``vector`` and ``memory`` are what each operator would take if that resource alone
    bound it; ``operators`` is what it takes under the execution model, ``floor`` the part of that
    which no resource shortens, and ``time`` the sum of operators, collectives and the ``host``'s
    time. With drafts the operators come twice, those of the drafting passes last
    (``operator_names``).
    """

    compute: Float[Array, "operators"]
    vector: Float[Array, "operators"]
    memory: Float[Array, "operators"]
    operators: Float[Array, "operators"]
    floor: Float[Array, "operators"]
    equivalent_flops: Float[
        Array, "operators"
    ]  # [FLOP] at the width for which the design states its peak
    latency: Float[Array, "collectives"]
    transfer: Float[Array, "collectives"]
    host: Real
    time: Real
    load: Load
    traffic: Traffic
    wire: Real  # [B] bytes one chip sends
    # [1] communication takes
    # syncs · sync latency + inner_wire / link bandwidth + what the outer tier takes
    syncs: Real
    inner_wire: Real  # [B]
    group: Float[Array, "operators"]  # which operators Dataflow may fuse


def step(
    design: Design,
    table: OperatorTable,
    phase: Phase,
    plan: Plan,
    rates: Rates,
    link_efficiency: Real,
    execution: Execution,
) -> Step:
    """Time one step of a model on a design.

    Args:
        design: the machine.
        table: the model (``operator_table``).
        phase: ``Decode`` or ``Prefill``.
        plan: layout over the chips.
        rates: attained rates of one chip.
        link_efficiency: attained fraction of the link bandwidth [1].
        execution: how operators follow each other.
    """
    if isinstance(execution, Calibrated):
        return calibrated_step(design, table, phase, plan, rates, execution)
    degree = degrees(design, plan, table.experts)
    ideal = isinstance(execution, LimitStudy)
    load = step_load(table, phase, plan, degree, design.sram_capacity, ideal=ideal)
    together = communication(design, table, phase, plan, link_efficiency, execution)
    draft, group = _draft(phase), table.operators.group
    times = jnp.ones_like(load.flops)
    if draft is not None:
        plain, passes = dataclasses.replace(phase, draft=None), draft.length * draft.cost
        drafting = step_load(table, plain, plan, degree, design.sram_capacity, ideal=ideal)
        sending = communication(design, table, plain, plan, link_efficiency, execution)
        together = together + sending.times(passes)
        load = jax.tree.map(lambda one, other: jnp.concatenate([one, other]), load, drafting)
        times = jnp.concatenate([times, passes * times])
        group = jnp.concatenate([group, group + jnp.max(group) + 1.0])
    passes = 1 if draft is None else 2
    compute = load.flops / jnp.tile(rates.matrix, passes)
    vector = load.vector / rates.vector + load.exponential / rates.exponential
    moved = traffic(load, plan, execution)
    memory = _memory_time(moved, plan, rates, design)
    operators = _schedule(compute, vector, memory, group, times, execution)
    if draft is not None:
        compute, vector, memory = compute * times, vector * times, memory * times
        load, moved = repeated(load, times), jax.tree.map(lambda leaf: leaf * times, moved)
    return Step(
        compute=compute,
        vector=vector,
        memory=memory,
        operators=operators,
        floor=jnp.zeros_like(operators),
        equivalent_flops=compute * rates.reference,
        latency=together.latency,
        transfer=together.transfer,
        host=jnp.zeros_like(link_efficiency),
        time=jnp.sum(operators) + jnp.sum(together.latency) + jnp.sum(together.transfer),
        load=load,
        traffic=moved,
        wire=jnp.sum(together.wire),
        syncs=jnp.sum(together.syncs),
        inner_wire=jnp.sum(together.inner),
        group=group,
    )


def calibrated_step(
    design: Design,
    table: OperatorTable,
    phase: Phase,
    plan: Plan,
    rates: Rates,
    execution: Calibrated,
) -> Step:
    """Time one step by the calibrated terms (``performance.calibrated``); arguments as for
    ``step``."""
    coefficients, draft = execution.coefficients, _draft(phase)
    scale = coefficients.step_scale if isinstance(phase, Decode) else coefficients.prefill_scale
    passes: list[tuple[Phase, Real]] = [(phase, jnp.ones_like(scale))]
    if draft is not None:
        passes.append((dataclasses.replace(phase, draft=None), draft.length * draft.cost))
    together = [
        _calibrated_pass(design, table, each, plan, rates, execution, times, scale)
        for each, times in passes
    ]
    kernels, moved, load = (
        jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *(part[k] for part in together))
        for k in range(3)
    )
    sums = jax.tree.map(
        lambda *leaves: functools.reduce(jnp.add, leaves), *(part[3] for part in together)
    )
    latency, transfer, wire, syncs, inner = sums
    group = table.operators.group
    if draft is not None:
        group = jnp.concatenate([group, group + jnp.max(group) + 1.0])
    host = jnp.zeros_like(
        design.chips
    )  # what a request waits for beside its prefill is no machine's time (``request_time``)
    if isinstance(phase, Decode):
        host = (
            coefficients.host_step
            + coefficients.host_sequence
            * micro_batch(phase, degrees(design, plan, table.experts)).sequences
        )
    return Step(
        compute=kernels.compute,
        vector=jnp.zeros_like(kernels.compute),
        memory=kernels.memory,
        operators=kernels.operators,
        floor=kernels.floor,
        equivalent_flops=load.flops * rates.reference / jnp.tile(rates.matrix, len(passes)),
        latency=latency,
        transfer=transfer,
        host=host,
        time=jnp.sum(kernels.operators) + jnp.sum(latency) + jnp.sum(transfer) + host,
        load=load,
        traffic=moved,
        wire=wire,
        syncs=syncs,
        inner_wire=inner,
        group=group,
    )


def _calibrated_pass(
    design: Design,
    table: OperatorTable,
    phase: Phase,
    plan: Plan,
    rates: Rates,
    execution: Calibrated,
    times: Real,
    scale: Real,
) -> tuple[calibrated.KernelTimes, Traffic, Load, tuple[Real, ...]]:
    """Kernels, traffic, load and collectives of one pass that runs ``times`` times; times of
    kernels and collectives × ``scale``."""
    coefficients, degree = execution.coefficients, degrees(design, plan, table.experts)
    load = step_load(table, phase, plan, degree, design.sram_capacity, ideal=False)
    moved = traffic(load, plan, execution)
    touched = jnp.zeros_like(design.chips)
    if table.has_experts:
        touched = expert_load(
            table, plan, degree, micro_batch(phase, degree).stage_rows
        ).busiest_touched
    chip = calibrated.ChipRates(
        memory=rates.memory,
        matrix=rates.matrix,
        attention=rates.matrix_16_bit,
        link=design.link_bandwidth,
        sync_latency=design.sync_latency,
    )
    alone = calibrated.kernel_times(
        calibrated.kernel_work(table, phase, load, moved.main, touched), chip, coefficients
    )
    other = _memory_time(
        dataclasses.replace(moved, main=jnp.zeros_like(moved.main)), plan, rates, design
    )
    memory = greater(alone.memory, other)
    factor = times * scale
    kernels = calibrated.KernelTimes(
        memory=factor * memory,
        compute=factor * alone.compute,
        floor=factor * alone.floor,
        operators=factor * (greater(alone.compute, memory) + alone.floor),
    )
    cost = communication(design, table, phase, plan, jnp.ones_like(design.chips), execution)
    work = calibrated.collective_work(design, table, phase, plan, degree, cost)
    latency, inner, loss = calibrated.collective_latency_and_bytes(work, coefficients)
    sent = inner * (1.0 + loss)
    collective = (
        factor * design.sync_latency * latency,
        factor * (sent / design.link_bandwidth + work.outer),
        times * jnp.sum(cost.wire),
        factor * jnp.sum(latency),
        factor * jnp.sum(sent),
    )
    many = jnp.broadcast_to(times, load.flops.shape)
    return kernels, jax.tree.map(lambda leaf: leaf * many, moved), repeated(load, many), collective


def _draft(phase: Phase) -> Draft | None:
    return phase.draft if isinstance(phase, Decode) else None


def operator_names(table: OperatorTable, phase: Phase) -> tuple[str, ...]:
    """Names of the operators of a ``Step``, in order."""
    drafts = () if _draft(phase) is None else tuple(f"draft: {name}" for name in table.names)
    return table.names + drafts


def traffic(load: Load, plan: Plan, execution: Execution) -> Traffic:
    """What an execution moves: ``LimitStudy`` only weights and cache, ``Dataflow`` no activations,
    both tiers as the plan says."""
    activations = (
        jnp.zeros_like(load.activations)
        if isinstance(execution, LimitStudy | Dataflow)
        else load.activations
    )
    reused = jnp.zeros_like(load.reused) if isinstance(execution, LimitStudy) else load.reused
    tiers = plan.tiers
    if tiers is None:
        none = jnp.zeros_like(load.weights)
        return Traffic(greater(load.weights + load.state + activations, reused), none, none)
    weights_main = 1.0 - tiers.weights_on_chip - tiers.weights_in_pool
    main = load.weights * weights_main + load.state * (1.0 - tiers.state_in_pool) + activations
    pool = load.weights * tiers.weights_in_pool + load.state * tiers.state_in_pool
    return Traffic(greater(main, reused), pool, load.weights * tiers.weights_on_chip)


def _memory_time(
    moved: Traffic, plan: Plan, rates: Rates, design: Design
) -> Float[Array, "operators"]:
    """Streaming time of each operator; tiers stream side by side, so the slowest of them binds."""
    main = moved.main / rates.memory
    if plan.tiers is None:
        return main
    pool, on_chip = (
        moved.pool / at_least(design.pool_bandwidth, 1.0),
        moved.on_chip / design.sram_bandwidth,
    )
    return greater(greater(main, pool), on_chip)


def _schedule(
    compute: Float[Array, "operators"],
    vector: Float[Array, "operators"],
    memory: Float[Array, "operators"],
    group: Float[Array, "operators"],
    times: Float[Array, "operators"],
    execution: Execution,
) -> Float[Array, "operators"]:
    """Seconds attributed to each operator, which runs ``times`` times; their sum is the time
    without collectives."""
    if isinstance(execution, Operatorwise):
        if execution.temperature is not None:
            return times * smooth_maximum(
                jnp.stack([compute, vector, memory]), execution.temperature
            )
        return times * greater(greater(compute, vector), memory)
    if isinstance(execution, LimitStudy):
        return times * jnp.where(
            jnp.sum(times * compute) >= jnp.sum(times * memory), compute, memory
        )
    # Dataflow: within a group resources overlap; the group's slowest resource names each member's
    # share
    same = jnp.where(group[:, None] == group[None, :], 1.0, 0.0).astype(compute.dtype)
    sums = jnp.stack([same @ compute, same @ vector, same @ memory])
    binding = jnp.argmax(sums, axis=0)
    return times * jnp.where(binding == 0, compute, jnp.where(binding == 1, vector, memory))


def attained_rates(
    design: Design,
    attainable: Attainable,
    speed: Float[Array, "operators"],
    matrix_16_bit: Real,
    vector_rate: Real,
    exponential_rate: Real,
    execution: Execution,
) -> Rates:
    """Rates of one chip: the full peaks in ``LimitStudy`` and ``Calibrated``, which has its own
    losses; attainable fractions otherwise.

    ``speed`` is each operator's matrix rate over that at the width for which the design states its
    peak [1].
    """
    full = isinstance(execution, LimitStudy | Calibrated)
    matrix = design.peak_flops * (1.0 if full else attainable.compute)
    return Rates(
        matrix=matrix * speed,
        reference=matrix,
        vector=vector_rate,
        exponential=exponential_rate,
        memory=design.memory_bandwidth * (1.0 if full else attainable.memory),
        matrix_16_bit=matrix_16_bit,
    )
