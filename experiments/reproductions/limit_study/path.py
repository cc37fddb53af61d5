"""From the limit to what software and switches allow: one assumption of the study is dropped at a
time, on the same machine."""

import dataclasses
import functools
from collections.abc import Mapping

import equinox as eqx
import jax.numpy as jnp

import codesign
import hardware_priors
from experiments.reproductions.limit_study.findings import BIG
from experiments.reproductions.limit_study.systems import nominal, technology

WIDE = 1e16
"""Links so wide that messages take no time [B/s]."""


@functools.cache
def walk_path(chips: int, context: int) -> Mapping[str, float]:
    """tokens/s/user of Llama-3.1-405B on ``xpu-hbm3`` after each step."""
    world = technology("xpu-hbm3")
    full = eqx.tree_at(
        lambda t: (t.attainable.memory, t.attainable.compute, t.attainable.link),
        world,
        replace_fn=jnp.ones_like,
    )
    machine = hardware_priors.device("xpu-hbm3").design(chips)
    wide = dataclasses.replace(machine, link_bandwidth=jnp.asarray(WIDE))
    added_up = codesign.ALGORITHMS["in-network"][None]
    two_shot = codesign.ALGORITHMS["two-shot"][None]
    ideal = codesign.Plan(kv_ideal=1.0, all_reduce=added_up)
    heads = codesign.Plan(all_reduce=added_up)
    limit, real = codesign.LimitStudy(), codesign.Operatorwise()
    steps: dict[
        str, tuple[codesign.Design, codesign.Plan, codesign.Technology, codesign.Execution]
    ] = {
        "the study": (wide, ideal, full, limit),
        "8 KV heads, copied beyond": (wide, heads, full, limit),
        "operators one by one, one sync an all-reduce": (wide, heads, full, real),
        "attainable bandwidth and FLOP/s": (wide, heads, world, real),
        "links of 900 GB/s": (machine, heads, world, real),
        "two-shot all-reduces": (machine, codesign.Plan(all_reduce=two_shot), world, real),
    }
    work = codesign.Workload(nominal(BIG), codesign.Decode(batch=1, context=context))
    return {
        name: float(
            codesign.evaluate(
                design, work, plan, technology=world, execution=execution
            ).user_tokens_per_second
        )
        for name, (design, plan, world, execution) in steps.items()
    }
