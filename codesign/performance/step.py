"""Time of one step: operators under an execution model, then collectives."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from codesign.hardware.design import Design
from codesign.hardware.technology import Attainable
from codesign.numerics.fields import Real
from codesign.numerics.smooth import smooth_maximum
from codesign.numerics.ties import at_least, greater
from codesign.performance import collectives
from codesign.performance.collectives import Cost
from codesign.performance.execution import Dataflow, Execution, Limit, Operatorwise
from codesign.performance.load import Load, micro_batch, repeated, step_load
from codesign.performance.plan import Plan, degrees
from codesign.workload.operators import OperatorTable
from codesign.workload.phases import Decode, Draft, Phase

COLLECTIVES = ("attention", "feed-forward", "experts", "context merge", "embedding", "logits", "pipeline")
"""Where a step communicates; the rows of ``Step.latency`` and ``Step.transfer``."""


class Rates(eqx.Module):
    """What a chip attains: peaks times attainable fractions."""

    matrix: Float[Array, "operators"]  # [FLOP/s] at the width at which each operator computes
    vector: Real  # [FLOP/s]
    exponential: Real  # [1/s]
    reference: Real  # [FLOP/s] matrix rate at the width for which the design states its peak
    memory: Real  # [B/s]


class Traffic(eqx.Module):
    """Bytes of each operator by tier (operators,): main memory, pool, and weights that stay on chip [B]."""

    main: Float[Array, "operators"]
    pool: Float[Array, "operators"]
    on_chip: Float[Array, "operators"]


class Step(eqx.Module):
    """A step of the busiest chip, in seconds; shapes (operators,) and (collectives,).

    ``compute``, ``vector`` and ``memory`` are what each operator would take if that resource alone bound it;
    ``operators`` is what it takes under the execution model, and ``time`` is their sum with the collectives. With drafts the
    operators come twice, those of the drafting passes last (``operator_names``).
    """

    compute: Float[Array, "operators"]
    vector: Float[Array, "operators"]
    memory: Float[Array, "operators"]
    operators: Float[Array, "operators"]
    equivalent_flops: Float[Array, "operators"]  # [FLOP] at the width for which the design states its peak
    latency: Float[Array, "collectives"]
    transfer: Float[Array, "collectives"]
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
    degree = degrees(design, plan, table.experts)
    ideal = isinstance(execution, Limit)
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
        equivalent_flops=compute * rates.reference,
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
        return Traffic(greater(load.weights + load.state + activations, reused), none, none)
    weights_main = 1.0 - tiers.weights_on_chip - tiers.weights_in_pool
    main = load.weights * weights_main + load.state * (1.0 - tiers.state_in_pool) + activations
    pool = load.weights * tiers.weights_in_pool + load.state * tiers.state_in_pool
    return Traffic(greater(main, reused), pool, load.weights * tiers.weights_on_chip)


def _memory_time(moved: Traffic, plan: Plan, rates: Rates, design: Design) -> Float[Array, "operators"]:
    """Streaming time of each operator; tiers stream side by side, so the slowest of them binds."""
    main = moved.main / rates.memory
    if plan.tiers is None:
        return main
    pool, on_chip = moved.pool / at_least(design.pool_bandwidth, 1.0), moved.on_chip / design.sram_bandwidth
    return greater(greater(main, pool), on_chip)


def _schedule(
    compute: Float[Array, "operators"], vector: Float[Array, "operators"], memory: Float[Array, "operators"],
    group: Float[Array, "operators"], times: Float[Array, "operators"], execution: Execution,
) -> Float[Array, "operators"]:  # fmt: skip
    """Seconds attributed to each operator, which runs ``times`` times; their sum is the time without collectives."""
    if isinstance(execution, Operatorwise):
        if execution.temperature is not None:
            return times * smooth_maximum(jnp.stack([compute, vector, memory]), execution.temperature)
        return times * greater(greater(compute, vector), memory)
    if isinstance(execution, Limit):
        return times * jnp.where(jnp.sum(times * compute) >= jnp.sum(times * memory), compute, memory)
    # Dataflow: within a group resources overlap; the group's slowest resource names each member's share
    same = jnp.where(group[:, None] == group[None, :], 1.0, 0.0).astype(compute.dtype)
    sums = jnp.stack([same @ compute, same @ vector, same @ memory])
    binding = jnp.argmax(sums, axis=0)
    return times * jnp.where(binding == 0, compute, jnp.where(binding == 1, vector, memory))


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
    groups, messages = [degree.tensor, degree.feed_forward], [message, message]
    if table.has_experts:
        groups += [degree.stage, degree.expert_slices]
        messages += [batch.stage_rows * table.hidden_bytes, batch.stage_rows * table.active / degree.expert * table.expert_bytes]
    reduce = jax.vmap(lambda n, size: collectives.all_reduce(net, plan.all_reduce, n, size))  # all in one small program
    over_heads, over_mlp, *over_experts = _each(reduce(jnp.stack(groups), jnp.stack(messages)), len(groups))

    merge = collectives.all_to_all(net, plan.context, batch.rows * table.merge_bytes / degree.tensor)
    logits = collectives.gather(net, degree.feed_forward, batch.head_rows * table.logit_bytes)
    leaves = design.chips > design.scale_up_domain
    hop = collectives.point_to_point(net, leaves, 2.0 * batch.stage_rows * table.hidden_bytes / degree.stage)
    experts = collectives.nothing(message)
    if table.has_experts:
        sliced, within = over_experts
        sent = batch.stage_rows / degree.stage * table.active * table.expert_bytes
        exchange = collectives.all_to_all(net, degree.stage, sent).times(2.0)
        dealt = (exchange + within).times(table.expert_layers) + over_mlp.times(table.shared_layers)
        one_group = degree.expert <= 1.0
        experts = jax.tree.map(lambda a, b: jnp.where(one_group, a, b), sliced.times(table.expert_layers), dealt)
    costs = (
        over_heads.times(table.attention_reductions),
        over_mlp.times(table.dense_layers),
        experts,
        merge.times(table.attention_layers),
        over_mlp,
        logits,
        hop.times(degree.pipeline - 1.0),
    )
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *costs)


def _each(costs: Cost, count: int) -> list[Cost]:
    return [jax.tree.map(lambda leaf, k=k: leaf[k], costs) for k in range(count)]


def attained_rates(
    design: Design, attainable: Attainable, speed: Float[Array, "operators"], vector_rate: Real, exponential_rate: Real,
    execution: Execution,
) -> Rates:  # fmt: skip
    """Rates of one chip: the full peaks in ``Limit``, attainable fractions of them otherwise.

    ``speed`` is each operator's matrix rate over that at the width for which the design states its peak [1].
    """
    full = isinstance(execution, Limit)
    matrix = design.peak_flops * (1.0 if full else attainable.compute)
    return Rates(
        matrix=matrix * speed,
        reference=matrix,
        vector=vector_rate,
        exponential=exponential_rate,
        memory=design.memory_bandwidth * (1.0 if full else attainable.memory),
    )
