"""The planner's question answered the slow way: every layout at every batch through
``codesign.evaluate``, service formulas written out again."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np

import codesign
from codesign.planning.demand import Demand
from codesign.planning.layouts import Layout, layouts
from codesign.planning.machine import Machine


def random_model(rng: np.random.Generator) -> codesign.Transformer:
    heads = int(rng.choice([8, 16, 32]))
    kv_heads = int(rng.choice([1, 2, 4, heads]))
    attention = codesign.GroupedAttention(heads=heads, kv_heads=kv_heads, head_dim=128)
    layers = int(rng.choice([12, 16, 30]))
    hidden = heads * 128
    feed_forward = (
        codesign.FeedForward(width=3.5 * hidden)
        if rng.random() < 0.5
        else codesign.MixtureOfExperts(
            experts=int(rng.choice([8, 64])), active=2, width=hidden, shared_width=hidden
        )
    )
    return codesign.Transformer(
        layers=(codesign.LayerKind(attention, feed_forward, count=layers),),
        hidden=hidden,
        vocabulary=32000,
    )


def random_machine(rng: np.random.Generator, technology: codesign.Technology) -> Machine:
    design = codesign.Design(
        memory_bandwidth=10 ** rng.uniform(11.8, 13),
        memory_capacity=10 ** rng.uniform(10.3, 11.2),
        peak_flops=10 ** rng.uniform(14, 15.5),
        chips=1,
        sync_latency=10 ** rng.uniform(-6, -5),
        link_bandwidth=10 ** rng.uniform(10.5, 12),
        scale_up_domain=int(rng.choice([2, 4, 8])),
    )
    own = rng.random()
    return Machine(
        "machine",
        design,
        technology,
        hourly=2.0 if own < 0.3 else None,
        price=2e4 if 0.3 < own < 0.6 else None,
    )


def random_demand(rng: np.random.Generator) -> Demand:
    """Contexts so long that hundreds of sequences fill any of these machines."""
    kind = rng.integers(3)
    return Demand(
        prompt=int(10 ** rng.uniform(3, 4.3)),
        output=int(10 ** rng.uniform(2, 3.3)),
        cached=float(rng.choice([0.0, 0.5])),
        rate=float(10 ** rng.uniform(-2, 0.3)) if kind == 1 else None,
        users=int(rng.integers(1, 60)) if kind == 2 else None,
        token_promise=10 ** rng.uniform(-2, -0.7) if rng.random() < 0.8 else math.inf,
        first_promise=10 ** rng.uniform(-0.5, 1) if rng.random() < 0.6 else math.inf,
    )


def steps(
    model: codesign.Transformer, machine: Machine, layout: Layout, demand: Demand, per_group: int
) -> tuple[np.ndarray, ...]:
    """Decode steps at 1 … ``per_group`` sequences a group, and one pass of prompts."""
    design = dataclasses.replace(machine.design, chips=jnp.asarray(float(layout.chips)))
    plan = codesign.Plan(
        pipeline=layout.pipeline,
        data=layout.data,
        context=layout.context,
        expert=layout.expert,
        expert_copies=layout.copies,
        all_reduce=np.stack([codesign.ALGORITHMS[name] for name in ("one-shot", "two-shot")]),
    )

    def run(phase):
        work = codesign.Workload(model, phase, machine.precision)
        return codesign.evaluate(design, work, plan, technology=machine.technology)

    batches = layout.groups * jnp.arange(1.0, per_group + 1)
    decoded = jax.vmap(lambda batch: run(codesign.Decode(batch, demand.context)))(batches)
    filled = run(codesign.Prefill(float(layout.groups), demand.prompt, demand.cached))
    running = decoded.running_cost
    economics = machine.technology.economics
    if machine.price is not None:
        rate, life = float(economics.cost_of_capital), float(economics.life)
        own = rate / (1.0 - math.exp(-rate * life))
        running = running + layout.chips * own * (machine.price - decoded.cost.equipment)
    if machine.hourly is not None:
        running = jnp.full_like(running, layout.chips * machine.hourly / 3600.0)
    ends = jax.vmap(
        lambda batch: run(
            codesign.Decode(batch, demand.context + demand.output / 2 * layout.groups / batch)
        )
    )(batches)
    full = jnp.maximum(ends.limits.capacity, filled.limits.capacity)
    return tuple(map(np.asarray, (decoded.step_time, filled.step_time, running, full)))


def cheapest(
    model: codesign.Transformer, machine: Machine, demand: Demand, most: int, per_group: int
) -> float:
    """Least cost of an output token over all layouts and batches [USD]; infinite where none
    serves."""
    used = 1.0 if machine.hourly else float(machine.technology.economics.utilisation)
    best = math.inf
    for layout in layouts(model, machine.domain, most):
        decode, passing, running, full = steps(model, machine, layout, demand, per_group)
        batch = layout.groups * np.arange(1, per_group + 1)
        step = decode + batch / demand.output * passing / layout.groups
        capacity = batch / (demand.output * step)
        stages, chunks = layout.pipeline, max(demand.prompt * (1 - demand.cached) / 2048, 1)
        alone = passing * (chunks + stages - 1) / (chunks * stages) + chunks * decode
        good = (full <= 0) & (step <= demand.token_promise) & (alone <= demand.first_promise)
        if not good.any():
            continue
        share = np.ones_like(alone)
        if demand.first_promise < math.inf:
            patience = 2.0 * (demand.first_promise - alone)
            share = patience / (alone / layout.groups + patience)
        if demand.rate is not None:
            share = np.minimum(share, 0.85)  # a stated rate is served with room
        if demand.users is not None:
            most_users = int(batch[good].max())
            many = math.ceil(demand.users / most_users)
            at = math.ceil(math.ceil(demand.users / many) / layout.groups) - 1
            tokens = capacity[at] * demand.users / batch[at] * demand.output * used
            if good[at] and share[at] > 0 and many * layout.chips <= most:
                best = min(best, many * running[at] / tokens)
            continue
        rate = np.where(good, capacity * share, 0.0)
        at = int(rate.argmax())
        if demand.rate is not None:
            many = math.ceil(demand.rate / rate[at] - 1e-9)
            if many * layout.chips <= most:
                best = min(best, many * running[at] / (demand.rate * demand.output))
            continue
        best = min(best, float(running[at] / (rate[at] * demand.output * used)))
    return best
