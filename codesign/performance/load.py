"""What the busiest chip does in one step: the operator table, divided by a plan.

With p pipeline stages the batch flows as p microbatches. Each chip holds 1/p of the layers and
works on all p microbatches within a step, so its step is one microbatch through *all* layers,
divided over the chips of one stage.
"""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp

from codesign.numerics.compilation import computed_once
from codesign.numerics.fields import Real
from codesign.numerics.ties import at_least, greater, lesser
from codesign.performance.plan import Degrees, Plan, from_fewer
from codesign.performance.whole_parts import copies, excess
from codesign.workload import phases
from codesign.workload.experts import busiest, touched_experts
from codesign.workload.operator import PerOperator
from codesign.workload.operators import ATTENTION, EXPERT, HEAD, OperatorTable
from codesign.workload.phases import Decode, Phase


class Load(eqx.Module):
    """Work of the busiest chip in one step, by operator.

    ``weights``, ``state`` and ``activations`` are the bytes moved; ``reused`` is the least traffic
    that the SRAM allows. ``mean_flops`` and ``mean_bytes`` are the mean chip's part of the busiest
    one's arithmetic and traffic, below 1 only for routed experts: rows fall on chips less evenly
    than touched experts do.
    """

    flops: PerOperator  # [FLOP]
    vector: PerOperator  # [FLOP]
    exponential: PerOperator  # [1]
    weights: PerOperator  # [B]
    state: PerOperator  # [B]
    activations: PerOperator  # [B]
    reused: PerOperator  # [B]
    mean_flops: PerOperator  # [1]
    mean_bytes: PerOperator  # [1]


class MicroBatch(eqx.Module):
    """Sizes of what one chip group sees at a time [1]."""

    sequences: Real  # of one attention group
    rows: Real  # of one attention group
    head_rows: Real  # rows of it that need logits
    stage_rows: Real  # rows of all attention groups of a stage


def micro_batch(phase: Phase, degree: Degrees) -> MicroBatch:
    """Divide a batch over attention groups and pipeline stages; a group without a whole sequence
    still works on one."""
    groups = degree.data * degree.pipeline
    # as many sequences as groups: more of either changes nothing; where chips allow no more groups,
    # fewer of them do
    share = 1.0 / lesser(
        groups, at_least(phase.batch, 1.0), (jnp.where(degree.tensor > 1.0, 0.0, 1.0), 0.0)
    )
    rows = phases.rows(phase) * share
    return MicroBatch(
        sequences=phase.batch * share,
        rows=rows,
        head_rows=phases.head_rows(phase) * share,
        stage_rows=rows * degree.data,
    )


class ExpertLoad(eqx.Module):
    """Routed experts on the busiest and on the mean chip group."""

    busiest_touched: Real  # distinct experts read by the busiest group
    busiest_rows: Real  # token-expert pairs of the busiest group
    mean_touched: Real
    mean_rows: Real


def expert_load(
    table: OperatorTable, plan: Plan, degree: Degrees, rows: Real, *, ideal: bool = False
) -> ExpertLoad:
    """Statistics of routing ``rows`` tokens over the expert groups of a plan.

    Copies count as experts of their own among which the tokens are dealt: the touched copies of one
    expert all stream it.
    """
    experts, active = table.experts * plan.expert_copies, table.active
    whole = (degree.whole.kept > 0) & (not ideal)
    groups = degree.expert / jnp.where(whole, degree.whole.expert_excess, 1.0)
    most_touched, most_rows = computed_once(
        busiest(*computed_once((experts, active, rows, groups)))
    )
    return ExpertLoad(
        busiest_touched=most_touched,
        busiest_rows=most_rows * plan.routing_skew,
        mean_touched=touched_experts(experts, active, rows) / degree.expert,
        mean_rows=rows * active / degree.expert,
    )


def step_load(
    table: OperatorTable, phase: Phase, plan: Plan, degree: Degrees, sram: Real, *, ideal: bool
) -> Load:
    """The busiest chip's work, by operator.

    Args:
        table: the model.
        phase: what the step does.
        plan: layout; ``degree`` are its group sizes on the design.
        degree: see ``plan.degrees``.
        sram: on-chip SRAM of a chip [B].
        ideal: ignore how finely heads and columns can be cut, and writes of a growing cache
            (execution ``LimitStudy``).
    """
    op = table.operators
    batch = micro_batch(phase, degree)
    divided = jnp.where(op.division == ATTENTION, degree.tensor, degree.feed_forward)
    if table.has_experts:
        divided = jnp.where(op.division == EXPERT, degree.expert_slices, divided)
    extra, state_extra, kept = uneven(table, plan, degree, ideal=ideal)
    slices = divided if ideal else used(divided, op.slices, degree) / extra
    state_ranks = jnp.where(
        plan.kv_ideal > 0, degree.tensor, used(degree.tensor, op.state_slices, degree) / state_extra
    )

    rows = jnp.where(op.division == HEAD, batch.head_rows, batch.rows)
    read, mean_flops, mean_touched = 1.0, jnp.ones_like(op.streamed), jnp.ones_like(op.streamed)
    if table.has_experts:
        routed = expert_load(table, plan, degree, batch.stage_rows, ideal=ideal)
        is_expert = op.division == EXPERT
        # a row of the table is one token through its `active` experts: pairs on the chip / active
        # tokens
        rows = jnp.where(is_expert, routed.busiest_rows / table.active, rows)
        read = jnp.where(is_expert, routed.busiest_touched / table.experts, 1.0)
        mean_flops = jnp.where(is_expert, routed.mean_rows / routed.busiest_rows, 1.0)
        mean_touched = jnp.where(is_expert, routed.mean_touched / routed.busiest_touched, 1.0)

    attended = phases.attended(phase, op.read_window)
    context_flops = op.context_flops if isinstance(phase, Decode) else op.expanded_context_flops
    scores = (
        rows * attended / (slices * plan.context)
    )  # context ranks share the positions of a sequence
    row_share = rows / slices
    row_work, context_work = op.row_flops * row_share, context_flops * scores
    if not isinstance(phase, Decode):
        row_work = (
            row_work + op.cached_flops * batch.sequences * phase.prompt * phase.cached / slices
        )
    positions = phases.read_positions(phase, op.read_window) / plan.context
    fixed = op.state_moved * batch.sequences
    written = 0.0 if ideal else op.state_written * batch.rows / plan.context
    state = (op.state_read * batch.sequences * positions + written + fixed) / state_ranks
    weights, activations = (
        op.streamed * read / slices,
        op.row_bytes * row_share + op.whole_row_bytes * rows,
    )
    moved = weights + activations + state
    cut = op.row_bytes * row_share / extra + op.whole_row_bytes * rows
    mean_moved = weights * mean_touched / extra + cut * mean_flops + state * kept / state_extra
    mean_flops = mean_flops / extra
    return Load(
        flops=row_work + context_work,
        vector=op.row_vector * row_share + op.context_vector * scores,
        exponential=op.row_exponential * row_share + op.context_exponential * scores,
        weights=weights,
        state=state,
        activations=activations,
        reused=reuse_bound(row_work, context_work, op.tile, table.activation_bytes, sram),
        mean_flops=mean_flops,
        mean_bytes=jnp.where(moved > 0, mean_moved / jnp.where(moved > 0, moved, 1.0), 1.0),
    )


def uneven(
    table: OperatorTable, plan: Plan, degree: Degrees, *, ideal: bool
) -> tuple[PerOperator, PerOperator, PerOperator]:
    """What the busiest chip has over an even share of an operator, and of its cache, because heads
    are whole and groups of chips are not all of one size; and what the mean chip has of the cache,
    parts of which several keep [1]."""
    op, whole = table.operators, degree.whole
    heads = excess(op.slices, whole.tensor, whole.smallest_tensor, op.state_slices)
    caches = excess(op.state_slices, whole.tensor, whole.smallest_tensor)

    def cut(even: Real, smallest: Real) -> PerOperator:
        return jnp.minimum(even, op.slices) / jnp.minimum(smallest, op.slices)

    each = cut(whole.tensor * whole.context, whole.smallest_tensor * whole.context)
    each = jnp.where(op.division == ATTENTION, heads, each)
    if table.has_experts:
        among = cut(whole.expert_slices, whole.smallest_expert_slices)
        each = jnp.where(op.division == EXPERT, among, each)
    kept = (whole.kept > 0) & (not ideal)
    caching = kept & (plan.kv_ideal <= 0)
    copied = copies(op.slices, whole.smallest_tensor, op.state_slices)
    return (
        jnp.where(kept, each, 1.0),
        jnp.where(caching, caches, 1.0),
        jnp.where(caching, copied, 1.0),
    )


def used(ranks: Real, most: PerOperator, degree: Degrees) -> PerOperator:
    """Parts that an operator is cut into: one for each rank, at most as many as it has [1]."""
    return lesser(ranks, most, from_fewer(degree.tensor))


def reuse_bound(
    row_work: PerOperator, context_work: PerOperator, tile: PerOperator, element: Real, sram: Real
) -> PerOperator:
    """Least off-chip traffic that S bytes of SRAM allow [B].

    A product of 2mnk FLOPs moves at least 2mnk·b/√(S/b) bytes (Irony, Toledo, Tiskin, JPDC 2004;
    Smith et al., arXiv 1702.02017); fused attention moves N²d²/S elements (Dao et al.,
    FlashAttention, arXiv 2205.14135, theorem 2), which is FLOPs·d/(4S).
    """
    elements = at_least(sram / element, 1.0)
    return element * (row_work / jnp.sqrt(elements) + context_work * tile / (4.0 * elements))


def repeated(load: Load, times: PerOperator) -> Load:
    """The work of operators that run ``times`` times in a step; ``mean_flops`` and ``mean_bytes``
    are ratios and stay."""
    many = jax.tree.map(lambda leaf: leaf * times, load)
    return dataclasses.replace(many, mean_flops=load.mean_flops, mean_bytes=load.mean_bytes)


class Footprint(eqx.Module):
    """Bytes that the fullest chip must keep [B]."""

    weights: Real
    state: Real


def footprint(
    table: OperatorTable, phase: Phase, plan: Plan, degree: Degrees, *, ideal: bool
) -> Footprint:
    """Capacity that weights and caches take on a chip; replicas (KV heads, router, latent
    projections) are counted."""
    op = table.operators
    divided = jnp.where(op.division == ATTENTION, degree.tensor, degree.feed_forward)
    extra, state_extra, _ = uneven(table, plan, degree, ideal=ideal)
    slices = divided if ideal else used(divided, op.slices, degree) / extra
    stored = op.stored
    if table.has_experts:
        is_expert = op.division == EXPERT
        whole = degree.whole
        fullest = whole.expert_excess * whole.expert_slices / whole.smallest_expert_slices
        fullest = jnp.where((whole.kept > 0) & (not ideal), fullest, 1.0)
        # experts never lie idle in a copy that nobody asked for
        slices = jnp.where(is_expert, degree.stage / fullest, slices)
        stored = stored * jnp.where(is_expert, plan.expert_copies, 1.0)
    state_ranks = jnp.where(
        plan.kv_ideal > 0, degree.tensor, used(degree.tensor, op.state_slices, degree) / state_extra
    )
    positions = phases.stored_positions(phase, op.store_window) / plan.context
    sequences = (
        greater(phase.batch, degree.data, (1.0, jnp.where(degree.tensor > 1.0, 1.0, 0.0)))
        / degree.data
    )
    kept = (op.state_stored * positions + op.state_fixed) * sequences / state_ranks
    draft = phase.draft if isinstance(phase, Decode) else None
    models = 1.0 if draft is None else 1.0 + draft.cost
    weights, state = jnp.sum(stored / slices), jnp.sum(kept)
    return Footprint(
        weights=models * weights / degree.pipeline, state=models * state / degree.pipeline
    )


def prompt_cache(table: OperatorTable, prefill: Phase) -> Real:
    """Bytes that one prompt leaves in the cache of all its layers, without copies [B]."""
    op = table.operators
    positions = phases.stored_positions(prefill, op.store_window)
    return jnp.sum(op.state_stored * positions + op.state_fixed)
