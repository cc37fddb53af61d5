"""The calibrated execution: kernels with floors, attainable fractions, collectives and host time.

Every kernel takes a floor, and the longer of its memory traffic and its arithmetic at attainable
rates. With the scale s of a step in its engine:

    t = s · floor + max(bytes / bandwidth · max(1, s · (1 + memory loss)),
                        FLOPs / peak · max(1, s · (1 + compute loss))),

and the sum of both instead of the longer one for routed experts. Attention of a decode step reads
``reread`` · FLOPs more: at 16 bit, 1 B/FLOP is a read of the cache for every query head, however
many share it.

Floors are microseconds and stay when bandwidth doubles. Nothing is faster than the peaks, whatever
the scale: a step takes no less than the limit of its machine. A collective takes s · ``sync
latency`` · (base + step · steps) and its bytes over the link, times max(1, s · (1 + loss)). To the
sum comes the host's time for the step and for each sequence. All terms are monomials in the
quantities of a design, with positive coefficients: sums and maxima of them are log-convex, so a
search keeps its proofs.

The coefficients come from a profile (``codesign.calibration``), which fits them to measurements in
layers: generic, vendor, architecture, device; engine, model.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from codesign.hardware.design import Design
from codesign.numerics.fields import Real
from codesign.numerics.ties import at_least, greater, lesser
from codesign.performance import collectives
from codesign.performance.collectives import Cost, PerCollective
from codesign.performance.kernel_coefficients import Coefficients
from codesign.performance.load import Load
from codesign.performance.plan import Degrees, Plan
from codesign.workload.operator import PerOperator
from codesign.workload.operators import EXPERT, OperatorTable
from codesign.workload.phases import Decode, Phase

PRODUCT, ATTENTION, LATENT, EXPERTS, STREAM, PROMPT = range(6)
"""Kinds of kernels: weight products, attention of a decode step, absorbed latent attention, routed
experts, what only streams, and attention of a prefill."""


TAKING_TURNS = (EXPERTS,)
"""Kinds whose arithmetic and streaming take turns: the rows of one expert are few, and the next
one's weights come when it is done. Kernel tables say so (``docs/calibration.md``)."""


Kernels = Float[Array | np.ndarray, "... operators"]
"""A number of each kernel, of one step or of many."""


class KernelWork(eqx.Module):
    """What the kernels of a step do on the busiest chip; shapes (operators,); of many
    steps (steps, operators).

    ``kernels`` is how often each runs, ``touched`` the experts touched on the chip over all layers,
    ``kind`` one of the kinds above.
    """

    bytes: Kernels  # [B]
    flops: Kernels  # [FLOP]
    kernels: Kernels  # [1]
    touched: Kernels  # [1]
    kind: Kernels


def kernel_work(
    table: OperatorTable,
    phase: Phase,
    load: Load,
    main_bytes: PerOperator,
    touched: Real,
) -> KernelWork:
    """Sort the operators of a step into kinds of kernels.

    Args:
        table: the model.
        phase: decode reads a latent cache in absorbed form.
        load: the busiest chip's work.
        main_bytes: bytes of each operator from main memory [B].
        touched: experts touched in a layer on the busiest chip [1].
    """
    op = table.operators
    is_latent = (op.context_flops > op.expanded_context_flops) & (op.state_read > 0)
    decodes = isinstance(phase, Decode)
    core = (
        jnp.where(is_latent, float(LATENT), float(ATTENTION))
        if decodes
        else jnp.full_like(op.context_flops, float(PROMPT))
    )
    multiplies = (op.row_flops > 0) & (op.streamed > 0)
    other = jnp.where(multiplies, float(PRODUCT), float(STREAM))
    is_expert = op.division == EXPERT
    kind = jnp.where(op.context_flops > 0, core, jnp.where(is_expert, float(EXPERTS), other))
    return KernelWork(
        bytes=main_bytes,
        flops=load.flops,
        kernels=op.kernels,
        touched=jnp.where(is_expert, op.kernels * touched, 0.0),
        kind=kind,
    )


def mean_power(moved: Real, flops_16_bit: Real, time: Real, rated: Real, c: Coefficients) -> Real:
    """Mean power of a chip: idle, and the energy of what a step moves and computes, capped at the
    rating [W].

    Args:
        moved: bytes from main memory [B].
        flops_16_bit: operations, each as the share of a 16-bit one that its width is [FLOP].
        time: of the step [s].
        rated: rating of the chip [W].
        c: coefficients.
    """
    return lesser(
        c.idle_power * rated + (c.byte_energy * moved + c.flop_energy * flops_16_bit) / time, rated
    )


Collectives = Float[Array | np.ndarray, "... collectives"]
"""A number of each collective, of one step or of many."""


class CollectiveWork(eqx.Module):
    """What the collectives of a step do on the busiest chip; shapes (collectives,); of
    many steps (steps, collectives).

    ``count`` collectives among ``peers`` others take ``steps`` latency steps together; ``inner``
    bytes pass the link, ``outer`` is the time of the outer tier.
    """

    count: Collectives  # [1]
    steps: Collectives  # [1]
    peers: Collectives  # [1] chips beyond the first, over all of the count
    inner: Collectives  # [B]
    outer: Collectives  # [s]
    exchange: Collectives  # [1] 1 for all-to-all, gather and point to point, 0 for all-reduce


def collective_work(
    design: Design, table: OperatorTable, phase: Phase, plan: Plan, degree: Degrees, cost: Cost
) -> CollectiveWork:
    """Count the collectives of a step; ``cost`` is what ``communication`` says of them at full link
    bandwidth."""
    several = collectives.several

    def where(n: Real, count: Real) -> Real:
        return jnp.where(several(n), count, 0.0)

    dealt = degree.expert > 1.0
    experts = jnp.where(
        dealt,
        table.expert_layers * (2.0 + jnp.where(several(degree.expert_slices), 1.0, 0.0))
        + where(degree.feed_forward, table.shared_layers),
        where(degree.stage, table.expert_layers),
    )
    zero = jnp.zeros_like(experts)
    count = jnp.stack(
        [
            where(degree.tensor, table.attention_reductions),
            where(degree.feed_forward, table.dense_layers),
            experts if table.has_experts else zero,
            where(plan.context, table.attention_layers),
            where(degree.feed_forward, jnp.ones_like(zero)),
            where(degree.feed_forward, jnp.ones_like(zero)),
            degree.pipeline - 1.0 + zero,
        ]
    )
    size = jnp.stack(
        [
            degree.tensor,
            degree.feed_forward,
            degree.stage,
            plan.context + zero,
            degree.feed_forward,
            degree.feed_forward,
            zero + 2.0,
        ]
    )
    peers = count * (jnp.minimum(size, design.scale_up_domain) - 1.0)
    exchanged = jnp.where(dealt, 1.0, 0.0)
    one, none = jnp.ones_like(exchanged), jnp.zeros_like(exchanged)
    exchange = jnp.stack([none, none, exchanged, one, none, one, one])
    inner = cost.inner
    outer = (cost.latency - cost.syncs * design.sync_latency) + (
        cost.transfer - inner / design.link_bandwidth
    )
    return CollectiveWork(
        count=count,
        steps=cost.syncs,
        peers=peers,
        inner=inner,
        outer=jnp.maximum(outer, 0.0),
        exchange=exchange,
    )


class ChipRates(eqx.Module):
    """Peaks of one chip, before any loss."""

    memory: Real  # [B/s]
    matrix: Float[
        Array | np.ndarray, "... operators"
    ]  # [FLOP/s] at the width at which each operator multiplies
    attention: Real  # [FLOP/s] at 16 bit
    link: Real  # [B/s]
    sync_latency: Real  # [s]


class KernelTimes(eqx.Module):
    """Seconds of each operator and collective at attainable rates; ``operators`` includes the
    floors."""

    memory: PerOperator
    compute: PerOperator
    floor: PerOperator
    operators: PerOperator
    turns: PerOperator  # [1] 1 where arithmetic and streaming take turns


def slowed(loss: Real, scale: Real) -> Real:
    """Time over that at the peak: a loss and the engine's scale together, never less than 1 [1].

    >>> float(slowed(0.25, 1.2)), float(slowed(0.25, 0.7))
    (1.5, 1.0)
    """
    return at_least(scale * (1.0 + loss), 1.0)


def busy(memory: Real, compute: Real, turns: Real) -> Real:
    """Time of an operator beyond its floor: the longer of streaming and arithmetic, or both where
    they take turns [s]."""
    return greater(compute, memory) + turns * lesser(compute, memory)


def kernel_times(
    work: KernelWork, rates: ChipRates, c: Coefficients, scale: Real = 1.0
) -> KernelTimes:
    """Time every operator: floor plus the longer of memory and compute; ``scale`` is that of a step
    in its engine [1]."""

    def pick(*by_kind: Real) -> PerOperator:
        return jnp.stack([jnp.asarray(value, work.bytes.dtype) for value in by_kind])[
            work.kind.astype(int)
        ]

    memory_loss = pick(
        c.product_memory,
        c.attention_memory,
        c.latent_memory,
        c.expert_memory,
        c.product_memory,
        c.attention_memory,
    )
    compute_loss = pick(
        c.product_compute,
        c.attention_compute,
        c.latent_compute,
        c.expert_compute,
        c.product_compute,
        c.prompt_compute,
    )
    scores = pick(0.0, 1.0, 1.0, 0.0, 0.0, 1.0) > 0
    peak = jnp.where(scores, rates.attention, rates.matrix)
    each = pick(
        c.product_floor,
        c.attention_floor,
        c.latent_floor,
        c.expert_floor,
        c.layer_floor,
        c.prompt_floor,
    )
    again = work.flops * pick(0.0, c.attention_reread, 0.0, 0.0, 0.0, 0.0)
    memory = (work.bytes * slowed(memory_loss, scale) + again * scale) / rates.memory
    compute = work.flops / peak * slowed(compute_loss, scale)
    floor = scale * c.floor_scale * (work.kernels * each + work.touched * c.expert_touched)
    turns = pick(*(float(kind in TAKING_TURNS) for kind in range(6)))
    return KernelTimes(memory, compute, floor, floor + busy(memory, compute, turns), turns)


class CollectiveTimes(eqx.Module):
    """What collectives take of a design; shapes (collectives,)."""

    syncs: PerCollective  # [1] latency over the sync latency
    sent: PerCollective  # [B] bytes over the link, its losses as further bytes
    outer: PerCollective  # [s]

    def seconds(self, sync_latency: Real, link: Real) -> tuple[PerCollective, PerCollective]:
        """Latency and transfer [s]."""
        return sync_latency * self.syncs, self.sent / link + self.outer


def collective_times(work: CollectiveWork, c: Coefficients, scale: Real = 1.0) -> CollectiveTimes:
    """Latencies, bytes with losses, and outer time of collectives; ``scale`` is that of a step in
    its engine [1]."""
    one_shot = work.steps <= 1.5 * work.count
    reduce = c.sync_base * work.count + c.sync_step * work.steps + c.sync_peer * work.peers
    exchange = c.exchange_sync * work.count + c.exchange_peer * work.peers
    latency = jnp.where(work.exchange > 0, exchange, reduce)
    loss = jnp.where(
        work.exchange > 0, c.exchange_link, jnp.where(one_shot, c.link_one_shot, c.link_two_shot)
    )
    return CollectiveTimes(
        scale * latency, work.inner * slowed(loss, scale), work.outer * slowed(0.0, scale)
    )
