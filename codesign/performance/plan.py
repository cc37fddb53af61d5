"""How a model is laid out over the chips: parallel degrees, placement of cache and experts,
collective algorithm.

A plan is data, not structure: plans of one shape go through one compiled program and may be
real-valued.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.lax import stop_gradient
from jaxtyping import Array, Float

from codesign.hardware.design import Design
from codesign.numerics.fields import Quantity, Real, RealArray, quantity, real
from codesign.numerics.ties import NEITHER, Slopes, at_least, lesser
from codesign.performance.collectives import ALGORITHMS, AllReduce
from codesign.performance.whole_parts import excess, nearest_whole, smallest_group
from codesign.workload.transformer import UNLIMITED


class TierShares(eqx.Module):
    """Shares of weights and cache kept outside main memory: on chip and in a pool behind it."""

    weights_on_chip: Quantity = quantity("1", "share of the weights resident in SRAM", default=0.0)
    weights_in_pool: Quantity = quantity(
        "1", "share of the weights in the memory pool", default=0.0
    )
    state_in_pool: Quantity = quantity("1", "share of the cache in the memory pool", default=0.0)


def _algorithms(value: AllReduce | RealArray) -> AllReduce | RealArray:
    """Numbers of algorithms as an array; one of the user's own as it is."""
    return value if isinstance(value, AllReduce) else real(value)


class Plan(eqx.Module):
    """Degrees of parallelism of one model instance over all chips of a design.

    The tensor degree is what remains, ``chips / (pipeline · context · data)``, so that more chips
    mean more tensor parallelism. A batch is the batch of the whole design: each of the ``data``
    attention groups holds its share.

    ``expert`` is the number of groups that whole experts are dealt to (1: every expert is sliced
    over all chips of a stage; ``WHOLE_EXPERTS``: as many groups as there are chips), each expert
    sliced within its group. ``all_reduce`` has shape (algorithms, 6); the fastest of them is taken,
    one alone keeps the problem convex. It may be an ``AllReduce`` of the user's own instead.
    ``kv_ideal = 1`` divides the cache over all tensor ranks, even beyond the number of KV heads, as
    the limit study does (arXiv 2507.14397).
    ``whole_parts = 0`` divides heads and experts evenly, whatever their number: a bound that is
    smooth in chips (``whole_parts.excess``).
    """

    pipeline: Quantity = quantity("1", "pipeline stages", default=1.0)
    context: Quantity = quantity(
        "1", "context-parallel degree: each sequence's cache over this many ranks", default=1.0
    )
    data: Quantity = quantity("1", "attention-data-parallel groups", default=1.0)
    expert: Quantity = quantity("1", "groups that whole experts are dealt to", default=1.0)
    expert_copies: Quantity = quantity("1", "copies kept of every expert", default=1.0)
    routing_skew: Quantity = quantity(
        "1", "busiest chip's load over that of uniform routing", default=1.0
    )
    kv_ideal: Quantity = quantity(
        "1", "1 divides the cache over all tensor ranks, 0 over KV heads", default=0.0
    )
    whole_parts: Quantity = quantity(
        "1",
        "1 keeps heads and experts whole (the busiest chip decides), 0 divides them evenly",
        default=1.0,
    )
    all_reduce: Float[Array | np.ndarray, "... algorithms 6"] | AllReduce = eqx.field(
        converter=_algorithms, default_factory=lambda: ALGORITHMS["two-shot"][None]
    )
    tiers: TierShares | None = None


WHOLE_EXPERTS = UNLIMITED
"""``Plan.expert`` for as many expert groups as a stage has chips."""


class Degrees(eqx.Module):
    """Real-valued group sizes that follow from a plan and a number of chips [1]."""

    pipeline: Real
    context: Real
    data: Real
    tensor: Real
    # ranks that share a dense MLP: context ranks join the tensor ranks (Helix, arXiv 2507.07120)
    feed_forward: Real
    stage: Real  # chips of one pipeline stage
    expert: Real  # expert groups
    expert_slices: Real  # ranks that share one expert
    whole: "WholeDegrees"


class WholeDegrees(eqx.Module):
    """The same of the nearest whole numbers of chips and groups, without derivatives [1].

    ``tensor`` is real: 31 chips in 8 groups have 3.875 each, the smallest group has 3.
    """

    tensor: Real
    smallest_tensor: Real
    context: Real
    expert_excess: Real  # experts of the fullest group over an even share
    expert_slices: Real
    smallest_expert_slices: Real
    kept: Real  # 1 where heads and experts are whole


def degrees(design: Design, plan: Plan, experts: Real) -> Degrees:
    """Group sizes of a plan on a design; ``experts`` bounds the number of expert groups."""
    stage = design.chips / plan.pipeline
    tensor = stage / (plan.context * plan.data)
    groups = lesser(plan.expert, experts * plan.expert_copies, NEITHER)
    expert = at_least(lesser(stage, groups, from_fewer(tensor)), 1.0)
    return Degrees(
        whole=_whole_degrees(design.chips, plan, experts * plan.expert_copies),
        pipeline=plan.pipeline,
        context=plan.context,
        data=plan.data,
        tensor=tensor,
        feed_forward=tensor * plan.context,
        stage=stage,
        expert=expert,
        expert_slices=stage / expert,
    )


def from_fewer(tensor: Real) -> Slopes:
    """Slopes of a minimum of a group's chips and of what it can use: from fewer chips, unless the
    plan needs each of them."""
    return jnp.where(tensor > 1.0, 1.0, 0.0), 0.0


def _whole_degrees(chips: Real, plan: Plan, experts: Real) -> WholeDegrees:
    groups = nearest_whole(plan.pipeline * plan.context * plan.data)
    stage = nearest_whole(chips) / nearest_whole(plan.pipeline)
    smallest_stage = smallest_group(chips, plan.pipeline)
    asked = jnp.minimum(nearest_whole(plan.expert), nearest_whole(experts))
    dealt = nearest_whole(jnp.minimum(asked, smallest_stage))
    expert = stop_gradient(jnp.maximum(jnp.minimum(asked, stage), 1.0))
    return WholeDegrees(
        tensor=jnp.maximum(nearest_whole(chips) / groups, 1.0),
        smallest_tensor=smallest_group(chips, groups),
        context=nearest_whole(plan.context),
        expert_excess=excess(experts, expert, dealt),
        expert_slices=jnp.maximum(stage / expert, 1.0),
        smallest_expert_slices=smallest_group(smallest_stage, dealt),
        kept=plan.whole_parts,
    )
