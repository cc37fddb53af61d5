"""Illegal values: refused where they can be looked at, and never attractive where they cannot."""

import dataclasses
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import codesign
import hardware_priors
from codesign.limits import stack_limits
from codesign.outcome import GAINS
from codesign.validity import RANGES, Range, check
from codesign.workload.transformer import GroupedAttention, LayerKind, MixtureOfExperts

EXPERTS = codesign.Transformer(
    hidden=1024, vocabulary=32000,
    layers=(
        LayerKind(
            count=4,
            attention=GroupedAttention(heads=16, kv_heads=4, head_dim=64),
            feed_forward=MixtureOfExperts(experts=16, active=2, width=512, shared_width=512),
        ),
    ),
)  # fmt: skip


def point(phase: str = "decode") -> dict[str, Any]:
    """One legal argument of each kind."""
    drafted = codesign.Decode(
        batch=8.0, context=2048.0, draft=codesign.Draft(length=1.0, acceptance=0.7, cost=0.1)
    )
    phases = {"decode": drafted, "prefill": codesign.Prefill(batch=2.0, prompt=2048.0, cached=0.25)}
    return {
        "design": codesign.Design(
            memory_bandwidth=3e12,
            memory_capacity=96e9,
            peak_flops=1e15,
            chips=8.0,
            sync_latency=2e-6,
            link_bandwidth=450e9,
            pool_bandwidth=1e11,
            pool_capacity=1e11,
            white_silicon=1e-5,
            scale_up_domain=4.0,
        ),
        "workload": codesign.Workload(EXPERTS, phases[phase], codesign.uniform(8), promise=0.05),
        "plan": codesign.Plan(
            pipeline=2.0,
            data=2.0,
            expert=2.0,
            tiers=codesign.TierShares(weights_on_chip=0.1, weights_in_pool=0.2, state_in_pool=0.3),
        ),
        "technology": hardware_priors.technology("N4", "HBM3", "NVLink4"),
    }


@jax.jit
def judged(arguments: dict[str, Any]) -> codesign.Outcome:
    rest = {name: value for name, value in arguments.items() if name != "design"}
    return codesign.evaluate(arguments["design"], **rest)


def places(arguments: dict[str, Any]) -> list[tuple[str, Any]]:
    """Every number of the arguments, as (path, path of JAX)."""
    return [
        (jax.tree_util.keystr(path), path)
        for path, _ in jax.tree_util.tree_leaves_with_path(arguments)
    ]


def changed(arguments: dict[str, Any], where: str, value: float) -> dict[str, Any]:
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: (
            np.full_like(leaf, value) if jax.tree_util.keystr(path) == where else leaf
        ),
        arguments,
    )


def each_changed(arguments: dict[str, Any], cases: list[tuple[str, float]]) -> codesign.Outcome:
    """Outcomes with one number changed in each lane."""

    def lanes(path, leaf):
        copies = np.repeat(np.asarray(leaf)[None], len(cases), axis=0)
        for k, (where, value) in enumerate(cases):
            if jax.tree_util.keystr(path) == where:
                copies[k] = value
        return copies

    return jax.tree.map(
        np.asarray, lanes_judged(jax.tree_util.tree_map_with_path(lanes, arguments))
    )


lanes_judged = jax.jit(jax.vmap(judged))


@pytest.mark.parametrize("phase", ["decode", "prefill"])
def test_no_illegal_number_is_attractive(phase):
    """Every float leaf of every argument, traced: every limit is violated, every outcome is as bad
    as can be, nothing is NaN."""
    arguments = point(phase)
    good = judged(arguments)
    assert bool(jnp.all(jnp.isfinite(stack_limits(good.limits)))) and bool(good.fits_memory)
    cases = [
        (where, value)
        for where, _ in places(arguments)
        for value in (-1.0, -3e12, math.nan, math.inf, -math.inf)
        if "all_reduce" not in where
        or not math.isfinite(value)  # an algorithm is six numbers of any sign
    ]
    bad = each_changed(arguments, cases)
    limits = np.asarray(stack_limits(bad.limits))
    assert (limits > 0.3).all(), cases[int(np.argmin(limits.min(axis=1)))]
    assert not bad.fits.any() and not bad.fits_memory.any()
    for name in (field.name for field in dataclasses.fields(bad) if field.name != "limits"):
        for leaf in jax.tree.leaves(getattr(bad, name)):
            rows = leaf.reshape(len(cases), -1)
            fine = (
                ((rows > 0.0) & (rows <= 1e-18))
                if name in GAINS
                else (np.isfinite(rows) & (rows >= 0.99e18))
            )
            assert fine.all(), (name, cases[int(np.argmin(fine.all(axis=1)))])


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("design", {"chips": 3.0}),  # three chips for four groups
        ("plan", {"tiers": codesign.TierShares(weights_on_chip=0.7, weights_in_pool=0.7)}),
        ("design", {"pool_bandwidth": 0.0}),
        (
            "workload",
            {
                "model": eqx.tree_at(
                    lambda m: m.layers[0].feed_forward.active, EXPERTS, jnp.asarray(17.0)
                )
            },
        ),
        ("design", {"memory_bandwidth": 0.0}),
        ("plan", {"kv_ideal": 1.5}),
    ],
)
def test_what_does_not_go_together(what, change):
    arguments = point()
    arguments[what] = dataclasses.replace(arguments[what], **change)
    bad = judged(arguments)
    assert (
        bool(jnp.all(stack_limits(bad.limits) > 0.3))
        and float(bad.tokens_per_second_per_dollar) <= 1e-18
    )
    with pytest.raises(ValueError, match="expected"):
        check(**arguments)


@pytest.mark.parametrize("phase", ["decode", "prefill"])
def test_refused_where_concrete_spoiled_where_traced(phase):
    """One table decides both: for every field of it, values just outside are refused and, traced,
    fit nowhere."""
    legal, cases = point(phase), []
    for where, path in places(legal):
        root = path[0].key if path[0].key in RANGES else path[1].name
        field = next(key.name for key in reversed(path) if hasattr(key, "name"))
        range_: Range = RANGES[root].get(field, Range(0.0))
        if math.isfinite(range_.low):
            ends = [
                range_.low - 1e-3,
                *([range_.low] if range_.above else []),
                *([range_.high + 1e-3] if range_.high < math.inf else []),
            ]
            cases += [(where, end) for end in ends]
    assert len(cases) > 150
    check(**legal)
    traced = each_changed(legal, cases).fits_memory
    for (where, value), fits in zip(cases, traced, strict=True):
        assert not fits, (where, value)
        with pytest.raises(
            ValueError, match=r"is .*; expected a finite number|expected the same number"
        ):
            check(**changed(legal, where, value))


def test_an_optimiser_that_steps_out_is_sent_back():
    """Descent on -ln(tokens/s/$) from a negative bandwidth: back in the range; before, it walked
    further out."""
    arguments = point()

    def loss(bandwidth):
        design = dataclasses.replace(arguments["design"], memory_bandwidth=bandwidth * 1e12)
        return -jnp.log(judged({**arguments, "design": design}).tokens_per_second_per_dollar)

    value, slope = jnp.asarray(-2.0), jax.jit(jax.grad(loss))
    for _ in range(30):
        value = value - 0.1 * jnp.sign(slope(value))
    assert float(value) > 0.0 and float(loss(value)) < 20.0 < float(loss(jnp.asarray(-2.0)))


def test_legal_numbers_keep_their_derivatives():
    """At the ends of ranges too: sync latency 0, one chip a group."""
    arguments = point()
    arguments["design"] = dataclasses.replace(
        arguments["design"], sync_latency=0.0, chips=4.0, dies=1.0
    )
    slopes = jax.jit(
        jax.grad(
            lambda design: jnp.log(judged({**arguments, "design": design}).user_tokens_per_second)
        )
    )(arguments["design"])
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes))
    assert float(slopes.memory_bandwidth) > 0.0 > float(slopes.sync_latency)


def test_a_bad_lane_does_not_fail_the_others():
    arguments = point()

    def at(bandwidth):
        return judged(
            {
                **arguments,
                "design": dataclasses.replace(arguments["design"], memory_bandwidth=bandwidth),
            }
        ).step_time

    times = jax.vmap(at)(jnp.array([3e12, -3e12, 3e12, jnp.nan]))
    assert float(times[0]) == float(times[2]) == float(judged(arguments).step_time)
    assert float(times[1]) > 1e17 and float(times[3]) > 1e17


def test_single_precision():
    """JAX's default: what is far out must stay finite there too."""
    with jax.enable_x64(False):
        arguments = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), point())
        good, bad = (
            judged(arguments),
            judged(changed(arguments, "['design'].memory_bandwidth", -3e12)),
        )
        assert bool(good.fits_memory) and good.step_time.dtype == jnp.float32
        assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(bad))
        assert 0.0 < float(bad.tokens_per_second_per_dollar) < 1e-17


def test_fits_is_of_every_limit():
    """A machine that its technology cannot build fits in memory, and does not fit."""
    arguments = point()
    large = dataclasses.replace(arguments["design"], peak_flops=1e17)
    outcome = judged({**arguments, "design": large})
    assert (
        bool(outcome.fits_memory)
        and float(outcome.limits.die_area) > 0.0
        and not bool(outcome.fits)
    )
    hurried = dataclasses.replace(arguments["workload"], promise=1e-9)
    late = judged({**arguments, "workload": hurried})
    assert bool(late.fits_memory) and not bool(late.fits)
