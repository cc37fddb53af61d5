"""Points at which gradients are checked: every float that a user may state, drawn at random or set
where people evaluate.

Half of the points are real numbers at random; the other half are ties and integers: one sequence,
one chip, as many chips as KV heads or as a domain, prompts as long as a window or a chunk, 8-bit
weights with 8-bit activations, nothing cached.
"""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import numpy as np

import codesign
import hardware_priors
from codesign.numerics.fields import real
from codesign.workload.transformer import (
    FeedForward,
    GroupedAttention,
    Indexer,
    LatentAttention,
    LayerKind,
    LinearAttention,
    MixtureOfExperts,
    Transformer,
)

FULL = LayerKind(
    count=20,
    attention=GroupedAttention(heads=64, kv_heads=8, head_dim=128),
    feed_forward=FeedForward(width=16384),
)
WINDOWED = dataclasses.replace(
    FULL, attention=GroupedAttention(heads=64, kv_heads=8, head_dim=128, window=1024)
)
MIXTURE = dataclasses.replace(
    FULL, feed_forward=MixtureOfExperts(experts=64, active=4, width=2048, shared_width=2048)
)
LATENT = LayerKind(
    count=20,
    attention=LatentAttention(
        heads=64,
        latent_rank=512,
        rope_dim=64,
        nope_dim=128,
        value_dim=128,
        query_rank=1536,
        latent_reads=1,
        top_k=2048,
        indexer=Indexer(heads=32, dim=128),
    ),
    feed_forward=MixtureOfExperts(experts=64, active=4, width=2048, shared_width=2048),
)
LINEAR = LayerKind(
    count=20,
    attention=LinearAttention(
        key_heads=16, value_heads=32, key_dim=128, value_dim=128, convolution=4
    ),
    feed_forward=None,
)


def _model(*layers: LayerKind) -> Transformer:
    return Transformer(hidden=8192, vocabulary=131072, positions=4096, layers=layers)


MODELS = {
    "dense": _model(FULL),
    "window": _model(WINDOWED, FULL),
    "latent": _model(dataclasses.replace(LATENT, feed_forward=FeedForward(width=16384))),
    "mixture": _model(MIXTURE),
    "hybrid": _model(LATENT, LINEAR),
}
PHASES = ("decode", "draft", "prefill", "serving")
EXECUTIONS = {
    "operatorwise": codesign.Operatorwise(),
    "smooth": codesign.Operatorwise(temperature=0.2),
    "dataflow": codesign.Dataflow(),
    "limit": codesign.LimitStudy(syncs_per_layer=3, syncs_per_expert_layer=2),
}

TECHNOLOGY = hardware_priors.technology(
    "N3", "HBM4", "NVLink6", cooling="cold-plate", price_basis="buyer"
)

TYPICAL = {
    "white_silicon": 1e-5,
    "pool_bandwidth": 1e12,
    "pool_capacity": 1e12,
    "cached": 0.1,
    "load": 0.1,
    "length": 1.0,
    "acceptance": 0.1,
    "cost": 0.1,
    "footprint": 1e-4,
    "edge": 1e-3,
    "phy_area": 1e-6,
}
"""Size of a change of what may be zero, by field; 1 of what is not named."""

NOT_DRAWN = ("spares", "replacements", "ungated_share")
"""Stand at their least, 1, or at a share of all."""

WARMTH = ("coolant_temperature", "logic_temperature", "memory_temperature")
"""Where zero means nothing: these change by 1 K."""


class Point(eqx.Module):
    """All that an evaluation is told."""

    design: codesign.Design
    work: codesign.Workload
    plan: codesign.Plan
    technology: codesign.Technology
    execution: codesign.Execution
    serving: codesign.Serving | None = None


def points(model: str, phase: str, execution: str, count: int) -> Point:
    """``count`` points along a leading axis, the same at every call."""
    random = np.random.default_rng(
        [sorted(MODELS).index(model), PHASES.index(phase), sorted(EXECUTIONS).index(execution)]
    )
    drawn = [_point(random, model, phase, execution, tied=k % 2 == 1) for k in range(count)]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *drawn)


def _point(
    random: np.random.Generator, model: str, phase: str, execution: str, tied: bool
) -> Point:
    def between(low: float, high: float) -> float:
        return float(low * (high / low) ** random.uniform())

    def one_of(*values: float, low: float = 0.0, high: float = 0.0) -> float:
        """One of some values where ties are wanted, and between two otherwise."""
        return (
            float(random.choice(values))
            if tied
            else between(low or min(values), high or max(values))
        )

    plan = codesign.Plan(
        pipeline=one_of(1, 1, 2, 4),
        context=one_of(1, 1, 1, 2, high=2),
        data=one_of(1, 1, 2, 4),
        expert=one_of(1, 2, 4, 8, codesign.WHOLE_EXPERTS, low=1.0, high=16.0),
        expert_copies=one_of(1, 1, 2),
        routing_skew=one_of(1, 1.2),
        all_reduce=codesign.ALGORITHMS[str(random.choice(["ring", "two-shot", "tree"]))][None],
    )
    groups = float(plan.pipeline * plan.context * plan.data)
    chips = groups * one_of(1, 1, 2, 4, 8, 16, low=1.0001)
    domain = (
        max(chips, 2.0) if random.uniform() < 0.2 and tied else one_of(72, 1e9, low=2.0, high=300.0)
    )
    design = codesign.Design(
        memory_bandwidth=between(2e12, 2e13),
        memory_capacity=between(8e10, 4e11),
        peak_flops=between(5e14, 1e16),
        chips=chips,
        sync_latency=between(2e-6, 1e-5),
        link_bandwidth=between(1e11, 2e12),
        sram_capacity=between(4e7, 2e8),
        sram_bandwidth=between(1e13, 1e14),
        dies=one_of(1, 1, 2, high=4.0),
        white_silicon=0.0 if tied else 1e-5,
        pool_bandwidth=0.0 if tied else 1e11,
        pool_capacity=0.0 if tied else 1e11,
        scale_up_domain=domain,
        scale_out_bandwidth=between(2e10, 2e11),
        scale_out_latency=between(1e-5, 4e-5),
        clock=one_of(1, 1, low=0.7, high=1.2),
        power_cap=1e5 if tied else 900.0,  # hardly a step draws that much, or most do
    )
    bits = (8.0, 8.0) if tied else (between(3.0, 15.0), between(3.0, 15.0))
    precision = codesign.Precision(
        weight_bits=bits[0], activation_bits=bits[1], weight_scale_bits=0.0 if tied else 0.25
    )
    prompt, cached = (
        one_of(128, 1024, 2048, 8192, high=1e5),
        one_of(0, 0, 0.25, 0.5, low=0.01, high=0.9),
    )
    batch = one_of(1, 1, 2, 4, 8, 64, low=0.5, high=2000.0)
    draft = None
    if phase == "draft":
        draft = codesign.Draft(
            length=one_of(0, 1, 3, low=0.2),
            acceptance=one_of(0, 0.7, 1, low=0.05),
            cost=one_of(0, 0.1, low=0.01),
        )
    serving, asked = (
        None,
        codesign.Decode(batch=batch, context=one_of(1024, 2048, 8192, high=1e5), draft=draft),
    )
    if phase == "prefill":
        asked = codesign.Prefill(batch=batch, prompt=prompt, cached=cached)
    if phase == "serving":
        serving = codesign.Serving(
            prompt=prompt,
            output=one_of(128, 1024),
            batch=batch,
            cached=cached,
            chunk=one_of(2048, 512, high=4096.0),
            load=one_of(0, 0.5, low=0.05, high=0.9),
        )
    shape = jax.tree.map(
        lambda leaf: leaf if tied or leaf > 1e15 else leaf * between(0.8, 1.25), MODELS[model]
    )
    world = jax.tree_util.tree_map_with_path(
        lambda path, leaf: (
            leaf if leaf == 0 or path[-1].name in NOT_DRAWN else leaf * between(0.9, 1.1)
        ),
        TECHNOLOGY,
    )
    way = jax.tree.map(lambda leaf: leaf * between(0.8, 1.25), EXECUTIONS[execution])
    point = Point(
        design,
        codesign.Workload(shape, asked, precision, promise=between(0.01, 0.1)),
        plan,
        world,
        way,
        serving,
    )
    return jax.tree.map(real, point)


def sizes(point: Point) -> Point:
    """Size of the change of each number: itself, or what is typical where it is zero."""

    def size(path: Any, leaf: Any) -> Any:
        typical = np.full_like(leaf, TYPICAL.get(path[-1].name, 1.0))
        return typical if path[-1].name in WARMTH else np.where(leaf == 0, typical, np.abs(leaf))

    return jax.tree_util.tree_map_with_path(size, point)


def ends(point: Point) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By leaf: whether it stands at the lower end and at the upper end of its legal range."""
    design, plan = point.design, point.plan
    full = design.chips <= plan.pipeline * plan.context * plan.data * (1 + 1e-12)  # tensor degree 1
    never = np.zeros_like(full)
    found = {
        ".design.chips": (full, never),
        ".design.dies": (design.dies <= 1, never),
        ".design.scale_up_domain": (design.scale_up_domain <= 1, never),
        ".plan.expert_copies": (plan.expert_copies <= 1, never),
        ".plan.routing_skew": (plan.routing_skew <= 1, never),
        ".plan.expert": (plan.expert <= 1, never),
    }
    for name in ("pipeline", "context", "data"):
        found[f".plan.{name}"] = (getattr(plan, name) <= 1, full)
    if isinstance(point.work.phase, codesign.Prefill):
        found[".work.phase.cached"] = (point.work.phase.cached <= 0, never)
    if point.serving is not None:
        found[".serving.cached"] = (point.serving.cached <= 0, never)
        found[".serving.load"] = (point.serving.load <= 0, never)
    draft = getattr(point.work.phase, "draft", None)
    if draft is not None:
        found[".work.phase.draft.length"] = (draft.length <= 0, never)
        found[".work.phase.draft.acceptance"] = (draft.acceptance <= 0, draft.acceptance >= 1)
        found[".work.phase.draft.cost"] = (draft.cost <= 0, never)
    return found
