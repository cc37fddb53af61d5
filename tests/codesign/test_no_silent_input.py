"""No silent input: every number that can be stated changes what an evaluation says, or is declared
to do nothing.

A number matters if, somewhere among a few operating points, the outcome has a derivative with
respect to it. Only what the user reads counts (headline figures, limits, area and cost by part),
not the intermediate quantities of ``outcome.step``. One reverse pass with a random weight on every
figure finds them all: derivatives that are not zero do not cancel by chance.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import codesign
import hardware_priors
from codesign.evaluation import evaluate
from codesign.hardware import technology as technologies
from codesign.numerics.fields import real
from codesign.workload.precision import PARTS, PartPrecision
from codesign.workload.transformer import (
    CompressedAttention,
    Compression,
    CrossAttention,
    FeedForward,
    GroupedAttention,
    Indexer,
    LatentAttention,
    LayerKind,
    LinearAttention,
    MixtureOfExperts,
    PerLayerEmbedding,
    ResidualStreams,
    SelectiveScan,
    ShortConvolution,
    Transformer,
)

UNUSED: dict[str, str] = {
    "Links.lane_rate": (
        "a design states its link bandwidth; lanes belong to a build (codesign.realize)"
    ),
    "Links.software_latency": (
        "a design states its sync latency; a build's is the floor and this (codesign.realize)"
    ),
}
"""What may be stated and does nothing in an evaluation, with the reason."""

SWITCHES: dict[str, tuple[float, float, float]] = {
    "Plan.kv_ideal": (0.0, 1.0, 400.0),
    "Plan.whole_parts": (0.0, 1.0, 3.0),
}
"""Numbers that choose between two formulas: no derivative, but these two values must give different
outcomes."""

PUBLIC = (
    codesign.Design,
    codesign.Workload,
    codesign.Precision,
    PartPrecision,
    codesign.Decode,
    codesign.Draft,
    codesign.Prefill,
    codesign.Plan,
    codesign.TierShares,
    codesign.LimitStudy,
    codesign.Operatorwise,
    Transformer,
    ResidualStreams,
    PerLayerEmbedding,
    LayerKind,
    FeedForward,
    MixtureOfExperts,
    GroupedAttention,
    Indexer,
    CrossAttention,
    LatentAttention,
    CompressedAttention,
    Compression,
    LinearAttention,
    SelectiveScan,
    ShortConvolution,
    technologies.Logic,
    technologies.Memory,
    technologies.Links,
    technologies.Packaging,
    technologies.Cooling,
    technologies.Economics,
    technologies.Attainable,
)
"""Every class whose numbers a user may state."""


def named_leaves(tree: Any) -> Iterator[tuple[str, jax.Array]]:
    """("Class.field", value) of every float below a tree of modules, elements of arrays one by
    one."""
    if isinstance(tree, tuple):
        for part in tree:
            yield from named_leaves(part)
    elif isinstance(tree, eqx.Module):
        for field in dataclasses.fields(tree):
            value = getattr(tree, field.name)
            if isinstance(value, eqx.Module | tuple):
                yield from named_leaves(value)
            elif value is not None and not field.metadata.get("static"):
                elements = np.ravel(value)
                for k, element in enumerate(elements):
                    yield (
                        f"{type(tree).__name__}.{field.name}"
                        + (f"[{k}]" if elements.size > 1 else ""),
                        element,
                    )


def declared() -> set[str]:
    """Every number that a public class may hold, by the name that ``named_leaves`` gives it."""
    modules_or_static = {
        "model",
        "phase",
        "precision",
        "layers",
        "attention",
        "feed_forward",
        "tiers",
        "draft",
        "all_reduce",
    }
    modules_or_static |= {"indexer", "compression", "streams", "per_layer_embedding", *PARTS}
    names = {
        f"{kind.__name__}.{field.name}"
        for kind in PUBLIC
        for field in dataclasses.fields(kind)
        if not field.metadata.get("static")
        and ("unit" in field.metadata or field.name not in modules_or_static)
    }
    return names | {f"Plan.all_reduce[{k}]" for k in range(6)}


def read_by_users(outcome: codesign.Outcome) -> Any:
    return [
        getattr(outcome, f.name)
        for f in dataclasses.fields(outcome)
        if f.name not in ("step", "footprint")
    ]


@eqx.filter_jit
def sensitivities(point: Any) -> Any:
    """All figures that users read, and the gradient of a random mixture of them, each relative to
    its size."""

    def figures(arguments: Any) -> jax.Array:
        design, workload, plan, technology, execution = arguments
        outcome = evaluate(design, workload, plan, technology=technology, execution=execution)
        return jnp.stack(jax.tree.leaves(read_by_users(outcome)))

    values, pull = jax.vjp(figures, point)
    weights = 1.0 + jax.random.uniform(jax.random.key(0), values.shape, values.dtype)
    (gradient,) = pull(weights / jnp.where(values == 0.0, 1.0, jnp.abs(values)))
    return values, gradient


WINDOWED = Transformer(
    hidden=2880,
    vocabulary=201088,
    positions=4096,
    layers=(
        LayerKind(
            count=18,
            attention=GroupedAttention(heads=64, kv_heads=8, head_dim=64, window=128),
            feed_forward=FeedForward(width=11520),
        ),
    ),
)
"""Sliding window and learned positions."""

LATENT = LatentAttention(
    heads=128,
    latent_rank=512,
    rope_dim=64,
    nope_dim=128,
    value_dim=128,
    query_rank=1536,
    latent_reads=2,
    top_k=2048,
    indexer=Indexer(heads=64, dim=128),
)
MIXTURE = MixtureOfExperts(experts=256, active=8, width=2048, shared_width=2048)
LINEAR = LinearAttention(key_heads=16, value_heads=32, key_dim=128, value_dim=128, convolution=4)
HYBRID = Transformer(
    hidden=7168,
    vocabulary=129280,
    layers=(
        LayerKind(count=20, attention=LATENT, feed_forward=MIXTURE),
        LayerKind(count=40, attention=LINEAR, feed_forward=None),
    ),
)
"""Sparse latent attention with routed and shared experts, between layers of linear attention."""

BLOCK_SPARSE = GroupedAttention(
    heads=64,
    kv_heads=4,
    head_dim=128,
    top_k=2048,
    value_dim=96,
    input_width=5000,
    query_rank=1500,
    indexer=Indexer(heads=4, dim=128, weighted=False),
)
COMPRESSED = CompressedAttention(
    heads=64,
    head_dim=512,
    query_rank=1024,
    output_groups=8,
    output_rank=1024,
    window=128,
    compression=Compression(
        ratio=4, top_k=512, indexer=Indexer(heads=64, dim=128), overlapping=True
    ),
)
DELTA = LinearAttention(
    key_heads=32,
    value_heads=32,
    key_dim=128,
    value_dim=128,
    convolution=4,
    controls=32,
    decay_rank=128,
    gate_rank=128,
)
PIECES = Transformer(
    hidden=4096,
    vocabulary=129280,
    layers=(
        LayerKind(
            count=8,
            attention=BLOCK_SPARSE,
            feed_forward=dataclasses.replace(MIXTURE, latent_width=real(1024)),
        ),
        LayerKind(
            count=4,
            attention=CrossAttention(heads=32, kv_heads=8, head_dim=128, positions=1600),
            feed_forward=None,
        ),
        LayerKind(count=8, attention=COMPRESSED, feed_forward=None),
        LayerKind(count=8, attention=DELTA, feed_forward=None),
        LayerKind(
            count=8,
            attention=SelectiveScan(width=8192, state_dim=16, step_rank=256, convolution=4),
            feed_forward=None,
        ),
        LayerKind(
            count=8,
            attention=ShortConvolution(width=4096, taps=3),
            feed_forward=FeedForward(width=8192),
            weight_sets=2,
        ),
    ),
    streams=ResidualStreams(count=4, mixing=192, end_projections=6),
    per_layer_embedding=PerLayerEmbedding(vocabulary=262144, width=256),
)
"""Everything that the models above have not."""
BY_PART = codesign.Precision(
    **{name: PartPrecision(weight_bits=5, scale_bits=0.5, input_bits=12) for name in PARTS}
)

CHIP = {
    "memory_bandwidth": 8e12,
    "memory_capacity": 192e9,
    "peak_flops": 4.5e15,
    "chips": 4.0,
    "sync_latency": 2e-6,
    "link_bandwidth": 900e9,
    "sram_capacity": 60e6,
    "scale_up_domain": 72.0,
    "dies": 2.0,
    "white_silicon": 2e-5,
    "clock": 0.9,
    "power_cap": 900.0,
}
SMALL_DOMAIN = CHIP | {"chips": 96.0, "scale_up_domain": 8.0}
EIGHT_BIT = codesign.Precision(weight_scale_bits=0.25)


def prefill_points() -> Iterator[Any]:
    """Windowed attention in prefill: wide and narrow arithmetic, few and many chips, poor vector
    units."""
    technology = hardware_priors.technology(
        "N3", "HBM4", "NVLink6", cooling="cold-plate", price_basis="buyer"
    )
    chip, many = codesign.Design(**CHIP), codesign.Design(**CHIP | {"chips": 400.0})
    plan, operatorwise = (
        codesign.Plan(all_reduce=codesign.ALGORITHMS["ring"][None]),
        codesign.Operatorwise(),
    )
    for design, precision in (
        (chip, EIGHT_BIT),
        (chip, codesign.uniform(5, state_bits=8)),
        (many, EIGHT_BIT),
    ):
        prompts = codesign.Prefill(batch=4, prompt=8192, cached=0.25)
        yield (
            design,
            codesign.Workload(WINDOWED, prompts, precision, promise=2.0),
            plan,
            technology,
            operatorwise,
        )
    for name in ("vector_ratio", "exponential_ratio"):
        poor = eqx.tree_at(lambda t, name=name: getattr(t.logic, name), technology, real(1e-6))
        yield (
            chip,
            codesign.Workload(WINDOWED, prompts, EIGHT_BIT, promise=2.0),
            plan,
            poor,
            operatorwise,
        )


def tiered_points() -> Iterator[Any]:
    """Drafted decode over two network tiers and three memory tiers, each of which binds once; a
    nominal model size."""
    technology = hardware_priors.technology(
        "N3", "HBM4", "NVLink6", cooling="cold-plate", price_basis="buyer"
    )
    tiers = codesign.TierShares(weights_on_chip=0.05, weights_in_pool=0.1, state_in_pool=0.2)
    plan = codesign.Plan(pipeline=2, context=2, data=2, tiers=tiers)
    model = dataclasses.replace(WINDOWED, nominal_parameters=real(2e10))
    drafted = codesign.Decode(
        batch=64, context=8192, draft=codesign.Draft(length=3, acceptance=0.7, cost=0.05)
    )
    work = codesign.Workload(model, drafted, EIGHT_BIT, promise=0.02)
    for sram_bandwidth in (1e13, 1e9, 1e14):
        design = codesign.Design(
            **SMALL_DOMAIN, pool_bandwidth=2e10, pool_capacity=1e12, sram_bandwidth=sram_bandwidth
        )
        yield design, work, plan, technology, codesign.Operatorwise(temperature=0.2)


def expert_points() -> Iterator[Any]:
    """Routed experts with latent and linear attention in the limit study, bound by memory and by
    arithmetic."""
    technology = hardware_priors.technology(
        "N3", "HBM4", "NVLink6", cooling="cold-plate", price_basis="buyer"
    )
    plan = codesign.Plan(data=4, expert=8, expert_copies=1.5, routing_skew=1.2)
    work = codesign.Workload(
        HYBRID, codesign.Decode(batch=256, context=8192), EIGHT_BIT, promise=0.02
    )
    limit = codesign.LimitStudy(syncs_per_layer=3, syncs_per_expert_layer=2)
    for peak_flops in (4.5e15, 4.5e12):
        yield (
            codesign.Design(**SMALL_DOMAIN | {"peak_flops": peak_flops}),
            work,
            plan,
            technology,
            limit,
        )
    two_tiers = 2 * float(technology.links.radix)  # of switches in one domain
    yield (
        codesign.Design(**SMALL_DOMAIN | {"chips": two_tiers, "scale_up_domain": two_tiers}),
        work,
        plan,
        technology,
        limit,
    )


def piece_points() -> Iterator[Any]:
    """The rarer kinds of attention, experts of a width of their own, and every part of the model at
    a precision of its own."""
    technology = hardware_priors.technology(
        "N3", "HBM4", "NVLink6", cooling="cold-plate", price_basis="buyer"
    )
    work = codesign.Workload(
        PIECES, codesign.Decode(batch=256, context=8192), BY_PART, promise=0.02
    )
    plan = codesign.Plan(context=2, expert=4)
    yield (
        codesign.Design(**CHIP | {"chips": 16.0}),
        work,
        plan,
        technology,
        codesign.Operatorwise(temperature=0.2),
    )


@pytest.fixture(scope="module")
def measured() -> dict[str, float]:
    """Largest sensitivity of each number over the operating points: relative, or absolute where the
    number is 0."""
    largest: dict[str, float] = {}
    for point in (*prefill_points(), *tiered_points(), *expert_points(), *piece_points()):
        gradient = named_leaves(sensitivities(point)[1])
        for (name, value), (same, derivative) in zip(named_leaves(point), gradient, strict=True):
            assert name == same and np.isfinite(derivative), name
            size = abs(float(value)) if value != 0.0 else 1.0
            largest[name] = max(largest.get(name, 0.0), abs(float(derivative)) * size)
    return largest


ROUNDING = 1e-12
"""Below this a sensitivity is rounding: gradients are sums of about a hundred terms of order 1 in
float64."""


def test_every_number_that_can_be_stated_is_swept(measured):
    assert set(measured) == declared()


def test_every_number_matters_or_is_declared_unused(measured):
    silent = (
        {name for name, size in measured.items() if size < ROUNDING} - set(UNUSED) - set(SWITCHES)
    )
    assert not silent


@pytest.mark.parametrize("name", UNUSED)
def test_what_is_declared_unused_does_nothing(name, measured):
    assert measured[name] < ROUNDING, f"{name} matters now; take it out of UNUSED"


@pytest.mark.parametrize(("name", "values"), SWITCHES.items())
def test_switches_switch(name, values, measured):
    """Beyond the KV heads, and at a number of chips that divides no heads."""
    assert measured[name] < ROUNDING, f"{name} has a derivative; it is no switch"
    *values, chips = values
    design, work, plan, technology, execution = next(prefill_points())
    design = dataclasses.replace(design, chips=chips)
    changed = [
        dataclasses.replace(plan, **{name.removeprefix("Plan."): real(value)}) for value in values
    ]
    off, on = (sensitivities((design, work, plan, technology, execution))[0] for plan in changed)
    assert not np.array_equal(off, on)
