"""No silent input: every number that can be stated changes what an evaluation says, or is declared to do nothing.

A number matters if, somewhere among a few operating points, the outcome has a derivative with respect to it. Only what the
user reads counts (headline figures, limits, area and cost by part), not the intermediate quantities of ``outcome.step``.
One reverse pass with a random weight on every figure finds them all: a derivative that is not zero cannot cancel by chance.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import codesign
import hardware_priors
from codesign.evaluate import evaluate
from codesign.hardware import technology as technologies
from codesign.numerics.fields import real
from codesign.workload.transformer import (
    FeedForward,
    GroupedAttention,
    LatentAttention,
    LayerKind,
    LinearAttention,
    MixtureOfExperts,
    Transformer,
)

UNUSED: dict[str, str] = {
    "Packaging.max_dies": "no limit counts dies against it, so nothing stops a package with more",
    "Cooling.area_resistance": "no junction temperature is computed: heat is limited by flux and by package power alone",
    "Cooling.coolant_temperature": "no junction temperature is computed",
    "Cooling.logic_temperature": "no junction temperature is computed",
    "Cooling.memory_temperature": "no DRAM temperature is computed",
}
"""What may be stated and does nothing yet, with the reason."""

SWITCHES: dict[str, tuple[float, float]] = {"Plan.kv_ideal": (0.0, 1.0)}
"""Numbers that choose between two formulas: no derivative, but these two values must give different outcomes."""

PUBLIC = (
    codesign.Design, codesign.Workload, codesign.Precision, codesign.Decode, codesign.Draft, codesign.Prefill,
    codesign.Plan, codesign.TierShares, codesign.Limit, codesign.Operatorwise,
    Transformer, LayerKind, GroupedAttention, LatentAttention, LinearAttention, FeedForward, MixtureOfExperts,
    technologies.Logic, technologies.Memory, technologies.Links, technologies.Packaging, technologies.Cooling,
    technologies.Economics, technologies.Attainable,
)  # fmt: skip
"""Every class whose numbers a user may state."""


def named_leaves(tree: Any) -> Iterator[tuple[str, jax.Array]]:
    """("Class.field", value) of every float below a tree of modules, elements of arrays one by one."""
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
                    yield f"{type(tree).__name__}.{field.name}" + (f"[{k}]" if elements.size > 1 else ""), element


def declared() -> set[str]:
    """Every number that a public class may hold, by the name that ``named_leaves`` gives it."""
    modules_or_static = {"model", "phase", "precision", "layers", "attention", "feed_forward", "tiers", "draft", "all_reduce"}
    names = {
        f"{kind.__name__}.{field.name}"
        for kind in PUBLIC
        for field in dataclasses.fields(kind)
        if not field.metadata.get("static") and field.name not in modules_or_static
    }
    return names | {f"Plan.all_reduce[{k}]" for k in range(6)}


def read_by_users(outcome: codesign.Outcome) -> Any:
    return [getattr(outcome, f.name) for f in dataclasses.fields(outcome) if f.name not in ("step", "footprint")]


@eqx.filter_jit
def sensitivities(point: Any) -> Any:
    """Gradient of a random mixture of all that users read, relative to each figure's size."""

    def figures(arguments: Any) -> jax.Array:
        design, workload, plan, technology, execution = arguments
        outcome = evaluate(design, workload, plan, technology=technology, execution=execution)
        return jnp.stack(jax.tree.leaves(read_by_users(outcome)))

    values, pull = jax.vjp(figures, point)
    weights = 1.0 + jax.random.uniform(jax.random.key(0), values.shape)
    (gradient,) = pull(weights / jnp.where(values == 0.0, 1.0, jnp.abs(values)))
    return gradient


HBM = ("N3", "HBM4", "NVLink6")

DENSE = codesign.dense(hidden=8192, layers=80, heads=64, kv_heads=8, width=28672, vocabulary=128256)

WINDOWED = Transformer(
    hidden=2880,
    vocabulary=201088,
    positions=4096,
    layers=(
        LayerKind(count=18, attention=GroupedAttention(heads=64, kv_heads=8, head_dim=64, window=128), feed_forward=FeedForward(11520)),
        LayerKind(count=18, attention=GroupedAttention(heads=64, kv_heads=8, head_dim=64), feed_forward=FeedForward(11520, gated=False)),
    ),
)

SPARSE_LATENT = LatentAttention(
    heads=128, latent_rank=512, rope_dim=64, nope_dim=128, value_dim=128, query_rank=1536, latent_reads=2, top_k=2048,
    indexer_heads=64, indexer_dim=128,
)  # fmt: skip
DEEPSEEK = Transformer(
    hidden=7168,
    vocabulary=129280,
    layers=(
        LayerKind(count=3, attention=SPARSE_LATENT, feed_forward=FeedForward(18432)),
        LayerKind(count=58, attention=SPARSE_LATENT, feed_forward=MixtureOfExperts(experts=256, active=8, width=2048, shared_width=2048)),
    ),
)

HYBRID = Transformer(
    hidden=2048,
    vocabulary=151936,
    layers=(
        LayerKind(count=36, attention=LinearAttention(16, 32, 128, 128, convolution=4), feed_forward=MixtureOfExperts(512, 10, 512, 512)),
        LayerKind(count=12, attention=GroupedAttention(16, 2, 256, gated=True), feed_forward=MixtureOfExperts(512, 10, 512, 512)),
    ),
)


def points() -> dict[str, Any]:
    """Operating points: (design, workload, plan, technology, execution)."""
    technology = hardware_priors.technology(*HBM, cooling="cold-plate", price_basis="buyer")
    chip = codesign.Design(
        memory_bandwidth=8e12, memory_capacity=192e9, peak_flops=4.5e15, chips=16, sync_latency=2e-6,
        link_bandwidth=900e9, sram_capacity=60e6, scale_up_domain=72, dies=2, white_silicon=2e-5,
    )  # fmt: skip
    many = dataclasses.replace(chip, chips=real(96.0), scale_up_domain=real(8.0))
    pooled = dataclasses.replace(
        many, pool_bandwidth=real(2e10), pool_capacity=real(1e12), sram_bandwidth=real(1e10)
    )
    busy = codesign.Plan(pipeline=2, context=2, data=2)
    tiers = codesign.TierShares(weights_on_chip=0.05, weights_in_pool=0.1, state_in_pool=0.2)
    tiered = dataclasses.replace(busy, tiers=tiers)
    dealt = codesign.Plan(data=4, expert=8, expert_copies=1.5, routing_skew=1.2)
    draft = codesign.Draft(length=3, acceptance=0.7, cost=0.05)
    eight, sixteen = codesign.Precision(weight_scale_bits=0.25), codesign.uniform(16)
    operatorwise = codesign.Operatorwise()

    def decode(model: Transformer, batch: float, precision: codesign.Precision = eight, **options: Any) -> codesign.Workload:
        return codesign.Workload(model, codesign.Decode(batch=batch, context=8192, **options), precision, promise=0.02)

    def prefill(model: Transformer, cached: float, precision: codesign.Precision = eight) -> codesign.Workload:
        return codesign.Workload(model, codesign.Prefill(4, 8192, cached), precision, promise=2.0)

    nominal = eqx.tree_at(lambda m: m.nominal_parameters, DENSE, real(7e10), is_leaf=lambda leaf: leaf is None)
    return {
        "dense decode": (chip, decode(DENSE, 32), codesign.Plan(), technology, operatorwise),
        "dense decode at 16 bit": (chip, decode(DENSE, 32, sixteen), codesign.Plan(), technology, operatorwise),
        "windowed, drafted, tiered": (pooled, decode(WINDOWED, 64, draft=draft), tiered, technology, codesign.Operatorwise(0.05)),
        "latent experts": (many, decode(DEEPSEEK, 256), dealt, technology, operatorwise),
        "latent experts, prefill": (many, prefill(DEEPSEEK, 0.25), dealt, technology, operatorwise),
        "hybrid": (chip, decode(HYBRID, 64), codesign.Plan(), technology, codesign.Dataflow()),
        "nominal": (chip, decode(nominal, 1), codesign.Plan(), technology, codesign.Limit()),
    }
