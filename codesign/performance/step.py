"""Time of one step: operators under an execution model, then collectives (DESIGN.md §4)."""

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
from codesign.performance import calibrated, collectives
from codesign.performance.coefficients import Calibrated
from codesign.performance.collectives import Cost
from codesign.performance.execution import Dataflow, Execution, Limit, Operatorwise
from codesign.performance.load import Load, drafted, expert_load, micro_batch, step_load
from codesign.performance.plan import Degrees, Plan, degrees
from codesign.workload.operators import OperatorTable
from codesign.workload.phases import Decode, Draft, Phase

COLLECTIVES = ("attention", "feed-forward", "experts", "context merge", "embedding", "logits", "pipeline")
"""Where a step communicates; the rows of ``Step.latency`` and ``Step.transfer``."""


class Rates(eqx.Module):
    """What a chip attains: peaks times attainable fractions."""

    matrix: Real  # [FLOP/s]
    vector: Real  # [FLOP/s]
    exponential: Real  # [1/s]
    memory: Real  # [B/s]
    matrix_16_bit: Real  # [FLOP/s] the full peak at 16 bit, for products that no format narrows


class Traffic(eqx.Module):
    """Bytes of each operator by tier (operators,): main memory, pool, and weights that stay on chip [B]."""

    main: Float[Array, "operators"]
    pool: Float[Array, "operators"]
    on_chip: Float[Array, "operators"]


class Step(eqx.Module):
    """A step of the busiest chip, in seconds; shapes (operators,) and (collectives,).

    ``compute``, ``vector`` and ``memory`` are what each operator would take if that resource alone bound it;
    ``operators`` is what it takes under the execution model, ``floor`` the part of it that no resource shortens, and ``time`` their
    sum with the collectives and the ``host``'s time. With drafts the
    operators come twice, those of the drafting passes last (``operator_names``).
    """

    compute: Float[Array, "operators"]
    vector: Float[Array, "operators"]
    memory: Float[Array, "operators"]
    operators: Float[Array, "operators"]
    floor: Float[Array, "operators"]
    latency: Float[Array, "collectives"]
    transfer: Float[Array, "collectives"]
    host: Real
    time: Real
    load: Load
    traffic: Traffic
    wire: Real  # [B] bytes one chip sends
    syncs: Real  # [1] communication takes syncs · sync latency + inner_wire / link bandwidth + what the outer tier takes
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
    ideal = isinstance(execution, Limit)
    load = step_load(table, phase, plan, degree, design.sram_capacity, ideal=ideal)
    together = communication(design, table, phase, plan, link_efficiency, execution)
    draft, group = _draft(phase), table.operators.group
    if draft is not None:
        plain = dataclasses.replace(phase, draft=None)
        load = drafted(load, step_load(table, plain, plan, degree, design.sram_capacity, ideal=ideal), draft)
        sending = communication(design, table, plain, plan, link_efficiency, execution)
        together = together + sending.times(draft.length * draft.cost)
        group = jnp.concatenate([group, group + jnp.max(group) + 1.0])
    compute = load.flops / rates.matrix
    vector = load.vector / rates.vector + load.exponential / rates.exponential
    moved = traffic(load, plan, execution)
    memory = _memory_time(moved, plan, rates, design)
    operators = _schedule(compute, vector, memory, group, execution)
    return Step(
        compute=compute,
        vector=vector,
        memory=memory,
        operators=operators,
        floor=jnp.zeros_like(operators),
        host=jnp.zeros_like(link_efficiency),
        latency=together.latency,
        transfer=together.transfer,
        time=jnp.sum(operators) + jnp.sum(together.latency) + jnp.sum(together.transfer),
        load=load,
        traffic=moved,
        wire=jnp.sum(together.wire),
        syncs=jnp.sum(together.syncs),
        inner_wire=jnp.sum(together.inner),
        group=group,
    )


def calibrated_step(design: Design, table: OperatorTable, phase: Phase, plan: Plan, rates: Rates, execution: Calibrated) -> Step:
    """Time one step by the calibrated terms (``performance.calibrated``); arguments as for ``step``."""
    coefficients, draft = execution.coefficients, _draft(phase)
    scale = coefficients.step_scale if isinstance(phase, Decode) else coefficients.prefill_scale
    plain = phase if draft is None else dataclasses.replace(phase, draft=None)
    passes = [(phase, scale)] if draft is None else [(phase, scale), (plain, scale * draft.length * draft.cost)]
    chip = calibrated.ChipRates(
        memory=rates.memory,
        product=rates.matrix,
        expert=rates.matrix,
        attention=rates.matrix_16_bit,
        link=design.link_bandwidth,
        sync_latency=design.sync_latency,
    )
    degree = degrees(design, plan, table.experts)
    parts, sums = [], []
    for each, factor in passes:
        load = step_load(table, each, plan, degree, design.sram_capacity, ideal=False)
        moved = traffic(load, plan, execution)
        main = moved.main
        touched = jnp.zeros_like(design.chips)
        if table.has_experts:
            touched = expert_load(table, plan, degree, micro_batch(each, degree).stage_rows).busiest_touched
        times = calibrated.kernel_times(calibrated.kernel_work(table, each, load, main, touched), chip, coefficients)
        other = _memory_time(dataclasses.replace(moved, main=jnp.zeros_like(main)), plan, rates, design)
        memory = jnp.maximum(times.memory, other)
        cost = communication(design, table, each, plan, jnp.ones_like(design.chips), execution)
        work = calibrated.collective_work(design, table, each, plan, degree, cost)
        latency, inner, loss = calibrated.collective_latency_and_bytes(work, coefficients)
        kernels = (memory, times.compute, times.floor, jnp.maximum(memory, times.compute) + times.floor)
        parts.append((*(factor * part for part in kernels), moved, load, table.operators.group))
        wire = inner * (1.0 + loss)
        sums.append(
            (
                factor * design.sync_latency * latency,
                factor * (wire / design.link_bandwidth + work.outer),
                jnp.sum(cost.wire) * factor / scale,
                factor * jnp.sum(latency),
                factor * jnp.sum(wire),
            )
        )
    batch = micro_batch(phase, degree)
    host = coefficients.host_step + coefficients.host_sequence * batch.sequences
    if not isinstance(phase, Decode):
        host = coefficients.first_token * jnp.ones_like(host)
    latency, transfer, wire_bytes, syncs, inner_wire = (functools.reduce(jnp.add, values) for values in zip(*sums, strict=True))
    memory, compute, floor, operators = (jnp.concatenate([part[k] for part in parts]) for k in range(4))
    moved = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *(part[4] for part in parts))
    load, group = parts[0][5], parts[0][6]
    if draft is not None:
        load, group = drafted(load, parts[1][5], draft), jnp.concatenate([group, group + jnp.max(group) + 1.0])
    return Step(
        compute=compute,
        vector=jnp.zeros_like(compute),
        memory=memory,
        operators=operators,
        floor=floor,
        latency=latency,
        transfer=transfer,
        host=host,
        time=jnp.sum(operators) + jnp.sum(latency) + jnp.sum(transfer) + host,
        load=load,
        traffic=moved,
        wire=wire_bytes,
        syncs=syncs,
        inner_wire=inner_wire,
        group=group,
    )


def _draft(phase: Phase) -> Draft | None:
    return phase.draft if isinstance(phase, Decode) else None


def operator_names(table: OperatorTable, phase: Phase) -> tuple[str, ...]:
    """Names of the operators of a ``Step``, in order."""
    drafts = () if _draft(phase) is None else tuple(f"draft: {name}" for name in table.names)
    return table.names + drafts


def traffic(load: Load, plan: Plan, execution: Execution) -> Traffic:
    """What an execution moves: ``Limit`` only weights and cache, ``Dataflow`` no activations, both tiers as the plan says."""
    activations = jnp.zeros_like(load.activations) if isinstance(execution, Limit | Dataflow) else load.activations
    reused = jnp.zeros_like(load.reused) if isinstance(execution, Limit) else load.reused
    tiers = plan.tiers
    if tiers is None:
        none = jnp.zeros_like(load.weights)
        return Traffic(jnp.maximum(load.weights + load.state + activations, reused), none, none)
    weights_main = 1.0 - tiers.weights_on_chip - tiers.weights_in_pool
    main = load.weights * weights_main + load.state * (1.0 - tiers.state_in_pool) + activations
    pool = load.weights * tiers.weights_in_pool + load.state * tiers.state_in_pool
    return Traffic(jnp.maximum(main, reused), pool, load.weights * tiers.weights_on_chip)


def _memory_time(moved: Traffic, plan: Plan, rates: Rates, design: Design) -> Float[Array, "operators"]:
    """Streaming time of each operator; tiers stream side by side, so the slowest of them binds."""
    main = moved.main / rates.memory
    if plan.tiers is None:
        return main
    return jnp.maximum(jnp.maximum(main, moved.pool / jnp.maximum(design.pool_bandwidth, 1.0)), moved.on_chip / design.sram_bandwidth)


def _schedule(
    compute: Float[Array, "operators"], vector: Float[Array, "operators"], memory: Float[Array, "operators"],
    group: Float[Array, "operators"], execution: Execution,
) -> Float[Array, "operators"]:  # fmt: skip
    """Seconds attributed to each operator; their sum is the time without collectives."""
    if isinstance(execution, Operatorwise):
        if execution.temperature is not None:
            return smooth_maximum(jnp.stack([compute, vector, memory]), execution.temperature)
        return jnp.maximum(jnp.maximum(compute, vector), memory)
    if isinstance(execution, Limit):
        return jnp.where(jnp.sum(compute) > jnp.sum(memory), compute, memory)
    # Dataflow: within a group resources overlap; the group's slowest resource names each member's share
    same = jnp.where(group[:, None] == group[None, :], 1.0, 0.0).astype(compute.dtype)
    sums = jnp.stack([same @ compute, same @ vector, same @ memory])
    binding = jnp.argmax(sums, axis=0)
    return jnp.where(binding == 0, compute, jnp.where(binding == 1, vector, memory))


def _exposed_syncs(design: Design, table: OperatorTable, execution: Limit) -> Cost:
    """The limit study charges a latency per sync, and no bytes."""
    syncs = jnp.where(design.chips > 1.0, 1.0, 0.0)
    one = dataclasses.replace(collectives.nothing(syncs), latency=syncs * design.sync_latency, syncs=syncs)
    none = collectives.nothing(syncs)
    layers, experts = table.layers * execution.syncs_per_layer, table.expert_layers * execution.syncs_per_expert_layer
    costs = (one.times(layers), none, one.times(experts), none, none, none, none)
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *costs)


def communication(design: Design, table: OperatorTable, phase: Phase, plan: Plan, efficiency: Real, execution: Execution) -> Cost:
    """Collectives of one step, leaves of shape (collectives,) in the order of ``COLLECTIVES``.

    Tensor parallelism: two all-reduces a layer and one after the embedding, rows × hidden each (vLLM; arXiv 2507.14392).
    Experts sliced over the stage (one group) end in an all-reduce like a dense MLP; dealt to groups they need two
    all-to-alls, and an all-reduce within a group if it slices its experts, and one for a shared expert.
    """
    if isinstance(execution, Limit):
        return _exposed_syncs(design, table, execution)
    degree = degrees(design, plan, table.experts)
    net = collectives.network(design, efficiency)
    batch = micro_batch(phase, degree)
    message = batch.rows * table.hidden_bytes

    def reduce(n: Real, size: Real) -> Cost:
        return collectives.all_reduce(net, plan.all_reduce, n, size)

    over_mlp = reduce(degree.feed_forward, message)
    merge = collectives.all_to_all(net, plan.context, batch.rows * table.merge_bytes / degree.tensor)
    logits = collectives.gather(net, degree.feed_forward, batch.head_rows * table.logit_bytes)
    leaves = design.chips > design.scale_up_domain
    hop = collectives.point_to_point(net, leaves, 2.0 * batch.stage_rows * table.hidden_bytes / degree.stage)
    experts = collectives.nothing(message)
    if table.has_experts:
        experts = _expert_exchange(table, plan, degree, net, batch.stage_rows, over_mlp)
    costs = (
        reduce(degree.tensor, message).times(table.attention_reductions),
        over_mlp.times(table.dense_layers),
        experts,
        merge.times(table.attention_layers),
        over_mlp,
        logits,
        hop.times(degree.pipeline - 1.0),
    )
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *costs)


def _expert_exchange(table: OperatorTable, plan: Plan, degree: Degrees, net: collectives.Network, rows: Real, shared: Cost) -> Cost:
    sliced = collectives.all_reduce(net, plan.all_reduce, degree.stage, rows * table.hidden_bytes)
    sent = rows / degree.stage * table.active * table.hidden_bytes
    exchange = collectives.all_to_all(net, degree.stage, sent).times(2.0)
    received = rows * table.active / degree.expert * table.hidden_bytes
    within = collectives.all_reduce(net, plan.all_reduce, degree.expert_slices, received)
    dealt = (exchange + within).times(table.expert_layers) + shared.times(table.shared_layers)
    one_group = degree.expert <= 1.0
    whole = sliced.times(table.expert_layers)
    return jax.tree.map(lambda a, b: jnp.where(one_group, a, b), whole, dealt)


def attained_rates(
    design: Design, attainable: Attainable, matrix_16_bit: Real, vector_rate: Real, exponential_rate: Real, execution: Execution
) -> Rates:
    """Rates of one chip: the full peaks in ``Limit`` and ``Calibrated``, which has its own losses; attainable fractions otherwise."""
    full = isinstance(execution, Limit | Calibrated)
    return Rates(
        matrix=design.peak_flops * (1.0 if full else attainable.compute),
        vector=vector_rate,
        exponential=exponential_rate,
        memory=design.memory_bandwidth * (1.0 if full else attainable.memory),
        matrix_16_bit=matrix_16_bit,
    )
