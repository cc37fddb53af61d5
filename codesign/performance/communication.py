"""Which collectives a step needs, and what they cost."""

import jax
import jax.numpy as jnp

from codesign.hardware.design import Design
from codesign.numerics.fields import Real
from codesign.performance import collectives
from codesign.performance.collectives import Cost
from codesign.performance.exchange import dispatch_and_combine
from codesign.performance.load import micro_batch
from codesign.performance.plan import Plan, degrees
from codesign.workload.operators import OperatorTable
from codesign.workload.phases import Phase

COLLECTIVES = (
    "attention",
    "feed-forward",
    "experts",
    "context merge",
    "embedding",
    "logits",
    "pipeline",
)
"""Where a step communicates; the rows of ``Step.latency`` and ``Step.transfer``."""


def communication(
    design: Design,
    table: OperatorTable,
    phase: Phase,
    plan: Plan,
    efficiency: Real,
) -> Cost:
    """Collectives of one step, leaves of shape (collectives,) in the order of ``COLLECTIVES``.

    Tensor parallelism: two all-reduces a layer and one after the embedding, rows × hidden each
    (vLLM; arXiv 2507.14392). Experts sliced over the stage (one group) end in an all-reduce like a
    dense MLP; dealt to groups they need a dispatch and a combine (``exchange``), and an all-reduce
    within a group if it slices its experts, and one for a shared expert.
    """
    degree = degrees(design, plan, table.experts)
    net = collectives.network(design, efficiency)
    batch = micro_batch(phase, degree)
    message = batch.rows * table.hidden_bytes
    groups, messages = [degree.tensor, degree.feed_forward], [message, message]
    if table.has_experts:
        groups += [degree.stage, degree.expert_slices]
        messages += [
            batch.stage_rows * table.hidden_bytes,
            batch.stage_rows * table.active / degree.expert * table.expert_bytes,
        ]
    reduce = jax.vmap(
        lambda n, size: collectives.all_reduce(net, plan.all_reduce, n, size)
    )  # all in one small program
    over_heads, over_mlp, *over_experts = _each(
        reduce(jnp.stack(groups), jnp.stack(messages)), len(groups)
    )

    merge = collectives.all_to_all(
        net, plan.context, batch.rows * table.merge_bytes / degree.tensor
    )
    logits = collectives.gather(net, degree.feed_forward, batch.head_rows * table.logit_bytes)
    leaves = design.chips > design.scale_up_domain
    hop = collectives.point_to_point(
        net, leaves, 2.0 * batch.stage_rows * table.hidden_bytes / degree.stage
    )
    experts = collectives.nothing(message)
    if table.has_experts:
        sliced, within = over_experts
        exchange = dispatch_and_combine(
            net,
            degree.stage,
            table.expert_bytes,
            table.active,
            batch.stage_rows / degree.stage,
            table.dispatch_share,
        )
        dealt = (exchange + within).times(table.expert_layers) + over_mlp.times(table.shared_layers)
        one_group = degree.expert <= 1.0
        experts = jax.tree.map(
            lambda a, b: jnp.where(one_group, a, b), sliced.times(table.expert_layers), dealt
        )
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
