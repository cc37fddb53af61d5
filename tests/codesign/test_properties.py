"""What must hold for any machine and any load: monotone speed, bounds between executions, sums,
units and precision.

Designs, layouts and loads are drawn at random; models keep one shape, so that each execution
compiles once.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import codesign
from codesign.hardware.technology import Technology
from codesign.numerics.fields import real
from codesign.outcome import Outcome
from codesign.physical.latency import sync_floor
from codesign.physical.power import static_power
from codesign.workload.transformer import GroupedAttention, LayerKind, MixtureOfExperts, Transformer
from tests.codesign.conftest import random_designs
from tests.examples import examples

few = examples(20)

SAME = 1e-12
"""Relative rounding of a sum of about a hundred terms in float64."""

DENSE = codesign.dense(hidden=8192, layers=80, heads=64, kv_heads=8, width=28672, vocabulary=128256)
EXPERTS = Transformer(
    hidden=4096,
    vocabulary=32000,
    layers=(
        LayerKind(
            count=32,
            attention=GroupedAttention(heads=32, kv_heads=8, head_dim=128),
            feed_forward=MixtureOfExperts(experts=64, active=4, width=4096),
        ),
    ),
)
MODELS = {"dense": DENSE, "experts": EXPERTS}
OPERATORWISE = codesign.Operatorwise()
NO_SYNCS = codesign.LimitStudy(syncs_per_layer=0, syncs_per_expert_layer=0)
RUNS: list[Any] = [
    pytest.param(DENSE, OPERATORWISE, id="dense-operatorwise"),
    pytest.param(DENSE, codesign.Dataflow(), id="dense-dataflow"),
    pytest.param(DENSE, codesign.LimitStudy(), id="dense-limit"),
    pytest.param(EXPERTS, OPERATORWISE, id="experts-operatorwise"),
]


def between(low: float, high: float) -> st.SearchStrategy[float]:
    """Real numbers, spread over decades."""
    return st.floats(0.0, 1.0).map(lambda share: low * (high / low) ** share)


LAYOUTS = st.fixed_dictionaries(
    {
        "tensor": between(1.0, 64.0),  # beyond the KV heads too
        "pipeline": st.sampled_from([1.0, 2.0]),
        "context": st.sampled_from([1.0, 2.0]),
        "data": st.sampled_from([1.0, 3.0]),
        "expert": st.sampled_from([1.0, 4.0, codesign.WHOLE_EXPERTS]),
        "algorithm": st.sampled_from(sorted(codesign.ALGORITHMS)),
        "domain": st.sampled_from([8.0, 72.0, 1e9]),
    }
)
RATES = st.fixed_dictionaries(
    {
        "memory_bandwidth": between(1e11, 1e14),
        "peak_flops": between(1e13, 1e17),
        "link_bandwidth": between(1e10, 1e13),
        "sync_latency": between(1e-7, 1e-4),
        "sram_capacity": between(1e6, 1e9),
        "scale_out_bandwidth": between(1e9, 1e12),
        "scale_out_latency": between(1e-6, 1e-4),
    }
)
LOADS = st.fixed_dictionaries({"batch": between(1.0, 2000.0), "context": between(1.0, 1e5)})


@st.composite
def cases(
    draw: st.DrawFn, pipeline: bool = True
) -> tuple[codesign.Design, codesign.Plan, codesign.Decode]:
    """A machine, a layout of a model over it and a load."""
    layout: dict[str, Any] = draw(LAYOUTS)
    rates = draw(RATES)
    load: dict[str, Any] = draw(LOADS)
    stages = layout["pipeline"] if pipeline else 1.0
    chips = layout["tensor"] * stages * layout["context"] * layout["data"] * (1 + 1e-9)
    design = codesign.Design(
        memory_capacity=1.92e11, chips=chips, scale_up_domain=layout["domain"], **rates
    )
    plan = codesign.Plan(
        pipeline=stages, context=layout["context"], data=layout["data"], expert=layout["expert"],
        all_reduce=codesign.ALGORITHMS[layout["algorithm"]][None],
    )  # fmt: skip
    return design, plan, codesign.Decode(**load)


MACHINES = cases()
FACTORS = between(1.0001, 30.0)


@pytest.fixture(scope="module")
def run(technology: Technology):
    def evaluated(
        design: Any, plan: Any, phase: Any, model: Any = DENSE, execution: Any = OPERATORWISE
    ) -> Outcome:
        work = codesign.Workload(model, phase, promise=0.02)
        return codesign.evaluate(design, work, plan, technology=technology, execution=execution)

    return evaluated


def scaled(module: Any, name: str, factor: float) -> Any:
    return dataclasses.replace(module, **{name: getattr(module, name) * factor})


# --- monotone speed


@few
@pytest.mark.parametrize(("model", "execution"), RUNS)
@given(case=MACHINES, factor=FACTORS)
def test_a_better_machine_is_never_slower(run, model, execution, case, factor):
    design, plan, phase = case
    time = float(run(design, plan, phase, model, execution).step_time)
    for name in (
        "memory_bandwidth",
        "peak_flops",
        "link_bandwidth",
        "sram_capacity",
        "scale_out_bandwidth",
    ):
        assert float(
            run(scaled(design, name, factor), plan, phase, model, execution).step_time
        ) <= time * (1 + SAME), name
    for name in ("sync_latency", "scale_out_latency"):
        quicker = scaled(design, name, 1 / factor)
        assert float(run(quicker, plan, phase, model, execution).step_time) <= time * (1 + SAME), (
            name
        )


@few
@pytest.mark.parametrize(("model", "execution"), RUNS)
@given(case=MACHINES, factor=FACTORS)
def test_more_work_never_takes_less_time(run, model, execution, case, factor):
    design, plan, phase = case
    time = float(run(design, plan, phase, model, execution).step_time)
    for name in ("batch", "context"):
        more = scaled(phase, name, factor)
        assert float(run(design, plan, more, model, execution).step_time) >= time * (1 - SAME), name


@few
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@given(case=cases(pipeline=False), factor=FACTORS)
def test_more_batch_never_lowers_throughput(run, model, case, factor):
    """Without pipeline stages: a step costs something fixed and something per sequence, so sharing
    it only helps.

    No exception is needed for a change of algorithm (one is named, and the fastest of several would
    be as good) nor for on-chip reuse, whose bound grows in proportion to the rows.
    """
    design, plan, phase = case
    before = run(design, plan, phase, model).system_tokens_per_second
    after = run(design, plan, scaled(phase, "batch", factor), model).system_tokens_per_second
    assert float(after) >= float(before) * (1 - SAME)


@few
@given(case=MACHINES, factor=FACTORS)
def test_more_capacity_never_hurts_the_fit(run, case, factor):
    design, plan, phase = case
    small, large = (
        run(design, plan, phase),
        run(scaled(design, "memory_capacity", factor), plan, phase),
    )
    assert float(large.limits.capacity) == pytest.approx(
        float(small.limits.capacity) - np.log(factor), rel=0, abs=1e-12
    )
    assert bool(large.fits_memory) or not bool(small.fits)
    assert bool(small.fits_memory) == (
        float(small.footprint.weights + small.footprint.state) <= float(design.memory_capacity)
    )


# --- between executions


@few
@given(case=MACHINES)
def test_dataflow_and_the_limit_are_below_operatorwise(run, case):
    exact = float(run(*case).step_time)
    assert float(run(*case, execution=codesign.Dataflow()).step_time) <= exact * (1 + SAME)
    assert float(run(*case, execution=NO_SYNCS).step_time) <= exact * (1 + SAME)


@few
@given(case=MACHINES)
def test_the_limit_with_the_same_syncs_is_below_operatorwise_without_volume(run, case):
    design, plan, phase = case
    design = dataclasses.replace(design, link_bandwidth=real(1e30), scale_up_domain=real(1e9))
    exact = run(design, plan, phase)
    limit = codesign.LimitStudy(syncs_per_layer=exact.step.syncs / 80.0)
    bound = run(design, plan, phase, execution=limit)
    assert float(jnp.sum(bound.step.latency)) == pytest.approx(
        float(jnp.sum(exact.step.latency)), rel=1e-9, abs=0.0
    )
    assert float(bound.step_time) <= float(exact.step_time) * (1 + SAME)


@few
@given(case=MACHINES, temperature=between(1e-3, 1.0))
def test_temperature_exceeds_by_the_stated_factor_and_tends_to_exact(run, case, temperature):
    exact = float(run(*case).step_time)
    smooth = float(run(*case, execution=codesign.Operatorwise(temperature=temperature)).step_time)
    cold = float(run(*case, execution=codesign.Operatorwise(temperature=1e-7)).step_time)
    assert exact * (1 - SAME) <= smooth <= exact * 3**temperature * (1 + SAME)
    assert cold == pytest.approx(exact, rel=2e-7, abs=0.0)  # 3^1e-7 − 1 = 1.1e-7


# --- sums, units, precision


def test_groups_inside_a_domain_never_wait_for_the_outer_network(run, machine):
    """Rounding of chips/data must not look like a second domain: (chips/3)/(chips/3) may compile to
    1 + 2e-16."""
    plan, phase = codesign.Plan(data=3), codesign.Decode(batch=32, context=8192)
    for chips in np.linspace(3.1, 71.9, 120):
        design = dataclasses.replace(machine, chips=real(chips), scale_up_domain=real(72.0))
        step = run(design, plan, phase).step
        waited = float(step.syncs) * float(design.sync_latency)
        assert float(jnp.sum(step.latency)) == pytest.approx(waited, rel=1e-9, abs=0.0), chips


@few
@pytest.mark.parametrize(("model", "execution"), RUNS)
@given(case=MACHINES)
def test_the_breakdown_adds_up(run, model, execution, case):
    outcome = run(*case, model, execution)
    step = outcome.step
    parts = np.sum(step.operators) + np.sum(step.latency) + np.sum(step.transfer)
    assert parts == pytest.approx(float(step.time), rel=SAME, abs=0.0)
    assert float(outcome.step_time) == float(step.time)
    assert min(map(np.min, (step.operators, step.latency, step.transfer))) >= 0.0


def test_a_drafted_step_adds_up_too(run, machine):
    draft = codesign.Draft(length=3, acceptance=0.7, cost=0.1)
    out = run(machine, codesign.Plan(), codesign.Decode(batch=4, context=8192, draft=draft))
    plain = run(machine, codesign.Plan(), codesign.Decode(batch=4, context=8192))
    step = out.step
    parts = np.sum(step.operators) + np.sum(step.latency) + np.sum(step.transfer)
    assert parts == pytest.approx(float(step.time), rel=SAME, abs=0.0)
    drafting = np.sum(
        step.operators[plain.step.operators.size :]
    )  # three passes of a tenth of the model
    assert drafting == pytest.approx(0.3 * float(np.sum(plain.step.operators)), rel=SAME, abs=0.0)
    assert float(out.capacity_needed) == pytest.approx(
        1.1 * float(plain.capacity_needed), rel=SAME, abs=0.0
    )


@few
@given(case=MACHINES)
def test_ratios_are_of_the_outcomes_own_figures(run, technology, case):
    out: Outcome = run(*case)
    design, _, phase = case
    economics = technology.economics
    same = {
        "a user's speed": (out.user_tokens_per_second * out.time_per_token, 1.0),
        "all users' speed": (
            out.system_tokens_per_second,
            out.user_tokens_per_second * phase.batch,
        ),
        "per dollar": (
            out.tokens_per_second_per_dollar * out.capital_cost,
            out.system_tokens_per_second,
        ),
        "per watt": (
            out.tokens_per_second_per_watt * out.provisioned_power,
            out.system_tokens_per_second,
        ),
        "capital": (out.capital_cost, out.cost.capital * design.chips),
        "energy": (
            out.energy_per_token * out.system_tokens_per_second,
            out.mean_power * design.chips * economics.power_overhead * economics.pue,
        ),
        "money": (
            out.cost_per_token * out.system_tokens_per_second * economics.utilisation,
            out.running_cost,
        ),
    }
    for name, (one, other) in same.items():
        assert float(one) == pytest.approx(float(other), rel=SAME, abs=0.0), name


@few
@pytest.mark.parametrize(("model", "execution"), RUNS)
@given(case=MACHINES)
def test_twice_the_rates_and_half_the_latencies_take_half_the_time(run, model, execution, case):
    design, plan, phase = case
    twice = design
    for name in (
        "memory_bandwidth",
        "peak_flops",
        "link_bandwidth",
        "sram_bandwidth",
        "scale_out_bandwidth",
        "pool_bandwidth",
    ):
        twice = scaled(twice, name, 2.0)
    for name in ("sync_latency", "scale_out_latency"):
        twice = scaled(twice, name, 0.5)
    time = float(run(design, plan, phase, model, execution).step_time)
    assert float(run(twice, plan, phase, model, execution).step_time) == pytest.approx(
        time / 2, rel=SAME, abs=0.0
    )


def test_vmap_equals_a_loop(technology):
    designs = random_designs(jax.random.key(1), 16)
    work = codesign.Workload(DENSE, codesign.Decode(batch=32, context=8192), promise=0.02)

    def one(design: codesign.Design) -> Outcome:
        return codesign.evaluate(design, work, technology=technology)

    together = jax.vmap(one)(designs)
    for k in range(16):
        alone = one(jax.tree.map(lambda leaf, k=k: leaf[k], designs))
        for (path, a), b in zip(
            jax.tree_util.tree_leaves_with_path(alone), jax.tree.leaves(together), strict=True
        ):
            np.testing.assert_allclose(
                b[k], a, rtol=1e-12, atol=1e-12, err_msg=jax.tree_util.keystr(path)
            )


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_float32_is_close(technology, machine, model):
    work = codesign.Workload(model, codesign.Decode(batch=32, context=8192), promise=0.02)
    arguments = (machine, work, codesign.Plan(data=2, expert=4), technology)

    def outcome(design: Any, work: Any, plan: Any, technology: Any) -> Outcome:
        return codesign.evaluate(design, work, plan, technology=technology)

    double = outcome(*arguments)
    with jax.enable_x64(False):
        single = outcome(
            *jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf), jnp.float32), arguments)
        )
    for (path, a), b in zip(
        jax.tree_util.tree_leaves_with_path(double), jax.tree.leaves(single), strict=True
    ):
        name = jax.tree_util.keystr(path)
        assert b.dtype == jnp.float32, name
        # limits are logarithms: their absolute error is the relative one of what they compare
        np.testing.assert_allclose(
            b, a, rtol=1e-4, atol=1e-4 if name.startswith(".limits") else 0.0, err_msg=name
        )


# --- money and watts


@few
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@given(case=MACHINES)
def test_mean_power_is_between_idle_and_peak(run, technology, model, case):
    """Within one domain: the peak has no term for the scale-out network, whose bytes the mean
    counts like any other."""
    design, plan, phase = case
    out = run(dataclasses.replace(design, scale_up_domain=real(1e9)), plan, phase, model)
    idle = float(static_power(design, technology, out.area.total))
    assert idle < float(out.mean_power) < float(out.peak_power)


@few
@given(case=MACHINES, factor=FACTORS)
def test_what_costs_more_costs_more(run, technology, case, factor):
    design, plan, phase = case
    before = run(design, plan, phase)
    for name in (
        "memory_bandwidth",
        "memory_capacity",
        "peak_flops",
        "link_bandwidth",
        "sram",
        "scale_out_bandwidth",
    ):
        if (
            name == "sram"
        ):  # the larger of what its bytes and its wires take: both, so that the larger one rises
            more = scaled(scaled(design, "sram_capacity", factor), "sram_bandwidth", factor)
        else:
            more = scaled(design, name, factor)
        after = run(more, plan, phase)
        assert float(after.capital_cost) > float(before.capital_cost), name
        assert float(after.peak_power) >= float(before.peak_power), name
        assert float(after.area.total) >= float(before.area.total), name
    quicker = run(scaled(design, "sync_latency", 1 / factor), plan, phase)
    floor = float(sync_floor(design.chips, design.scale_up_domain, technology.links)) * (
        1 + 1e-3
    )  # at and below it the price is held
    if float(design.sync_latency) > floor:
        assert float(quicker.capital_cost) > float(before.capital_cost)
    wider = run(dataclasses.replace(design, white_silicon=real(1e-5)), plan, phase)
    assert float(wider.cost.logic) > float(before.cost.logic) and float(wider.peak_power) > float(
        before.peak_power
    )


@pytest.mark.parametrize(
    ("part", "name", "figure"),
    [
        ("logic", "defect_density", "capital_cost"),
        ("logic", "wafer_price", "capital_cost"),
        ("logic", "critical_fraction", "capital_cost"),
        ("memory", "layer_price", "capital_cost"),
        ("economics", "cost_of_capital", "running_cost"),
        ("economics", "electricity_price", "cost_per_token"),
        ("logic", "matrix_energy", "energy_per_token"),
        ("memory", "access_energy", "energy_per_token"),
        ("logic", "leakage", "mean_power"),
        ("economics", "pue", "provisioned_power"),
    ],
)
def test_dearer_technology_makes_dearer_machines(technology, machine, part, name, figure):
    work = codesign.Workload(DENSE, codesign.Decode(batch=32, context=8192), promise=0.02)
    dearer = dataclasses.replace(technology, **{part: scaled(getattr(technology, part), name, 1.1)})
    before, after = (codesign.evaluate(machine, work, technology=t) for t in (technology, dearer))
    assert float(getattr(after, figure)) > float(getattr(before, figure))
