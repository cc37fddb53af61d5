"""Plans, models, designs and technologies are data: one compiled program serves them all."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import codesign
import hardware_priors
from codesign.evaluation import evaluate_table
from codesign.workload.catalogue import model
from tests.codesign.conftest import random_designs

ROWS = 32


def test_models_plans_and_technologies_share_one_program(machine):
    traces = 0

    @jax.jit
    def run(design, table, work, plan, technology):
        nonlocal traces
        traces += 1
        return evaluate_table(
            design, table, work, plan, technology, codesign.Operatorwise()
        ).cost_per_token

    technologies = [
        hardware_priors.technology(*names)
        for names in (("N3", "HBM4", "NVLink6"), ("N5", "HBM3", "NVLink4"))
    ]
    times = set()
    for name in ("deepseek-v3", "qwen3-235b-a22b", "gpt-oss-120b", "mixtral-8x7b"):
        transformer = model(name)
        table = codesign.pad(codesign.operator_table(transformer, codesign.Precision()), ROWS)
        table = anonymous(table)
        for plan in (
            codesign.Plan(),
            codesign.Plan(data=4, expert=codesign.WHOLE_EXPERTS),
            codesign.Plan(context=2, pipeline=2),
        ):
            for technology in technologies:
                work = codesign.Workload(
                    model("llama-3.1-8b"), codesign.Decode(batch=64, context=4096)
                )
                times.add(float(run(machine, table, work, plan, technology)))
    assert traces == 1
    assert len(times) == 4 * 3 * 2


def anonymous(table):
    """Names are structure; a caller that mixes models gives them common ones."""

    return dataclasses.replace(table, names=tuple(f"operator {k}" for k in range(len(table.names))))


def test_padding_changes_nothing(machine, technology):
    work = codesign.Workload(model("deepseek-v3"), codesign.Decode(batch=16, context=4096))
    table = codesign.operator_table(work.model, work.precision)
    for length in (len(table.names), ROWS, 40):
        outcome = evaluate_table(
            machine,
            codesign.pad(table, length),
            work,
            codesign.Plan(),
            technology,
            codesign.Operatorwise(),
        )
        assert float(outcome.step_time) == pytest.approx(
            float(
                evaluate_table(
                    machine, table, work, codesign.Plan(), technology, codesign.Operatorwise()
                ).step_time
            ),
            rel=1e-13,
        )
    with pytest.raises(ValueError, match="cannot pad"):
        codesign.pad(table, 3)


def test_python_numbers_and_arrays_share_a_trace(technology, llama_405b):
    traces = 0

    @jax.jit
    def run(design):
        nonlocal traces
        traces += 1
        work = codesign.Workload(llama_405b, codesign.Decode(batch=1, context=8192))
        return codesign.evaluate(design, work, technology=technology).step_time

    for chips in (8, 8.0, np.float64(8), jnp.asarray(8.0), jnp.asarray(8)):
        run(codesign.Design(4e12, 1e11, 1e15, chips, 1e-6, 4.5e11))
    assert traces == 1


@pytest.mark.parametrize(
    "name", ["llama-3.1-8b", "deepseek-v3", "mixtral-8x7b", "qwen3-next-80b-a3b", "gemma-3-27b"]
)
@pytest.mark.parametrize(("chips", "batch"), [(1.0, 1.0), (8.0, 1.0), (64.0, 4096.0)])
def test_no_nan_for_any_model(name, chips, batch, technology, machine):
    table = codesign.pad(codesign.operator_table(model(name), codesign.Precision()), 64)
    table = dataclasses.replace(table, names=tuple(map(str, range(64))))
    design = dataclasses.replace(machine, chips=jnp.asarray(chips))
    for experts in (1.0, codesign.WHOLE_EXPERTS):
        plan = codesign.Plan(expert=jnp.asarray(float(experts)))
        phase = codesign.Decode(batch=jnp.asarray(batch), context=jnp.asarray(4096.0))
        work = codesign.Workload(model("llama-3.1-8b"), phase)
        value, gradient = slopes(design, plan, table, work, technology)
        assert bool(jnp.isfinite(value))
        assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(gradient))


@jax.jit
def slopes(design, plan, table, work, technology):
    """Time and money in one sum, and its gradient by design and plan."""

    def total(design, plan):
        outcome = evaluate_table(design, table, work, plan, technology, codesign.Operatorwise())
        return outcome.step_time * 1e3 + outcome.capital_cost * 1e-6

    return jax.value_and_grad(total, argnums=(0, 1))(design, plan)


def test_all_experts_active_and_single_rows_have_gradients(technology, machine):
    transformer = model("mixtral-8x7b")
    kind = transformer.layers[0]
    everyone = jax.tree.map(lambda leaf: leaf, transformer)

    routed = dataclasses.replace(kind.feed_forward, active=kind.feed_forward.experts)
    everyone = dataclasses.replace(
        everyone, layers=(dataclasses.replace(kind, feed_forward=routed),)
    )

    def time(transformer):
        work = codesign.Workload(transformer, codesign.Decode(batch=1, context=1024))
        return codesign.evaluate(
            machine, work, codesign.Plan(expert=8), technology=technology
        ).step_time

    value, gradient = jax.value_and_grad(time)(everyone)
    assert bool(jnp.isfinite(value))
    assert all(bool(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(gradient))


def test_gradient_with_respect_to_the_model(technology, machine):
    """A model can be co-designed: its dimensions have gradients that agree with central
    differences."""

    def log_time(logs):
        hidden, layers, heads, width = (
            value * jnp.exp(logs[k]) for k, value in enumerate((4096.0, 32.0, 32.0, 14336.0))
        )
        transformer = codesign.dense(
            hidden=hidden,
            layers=layers,
            heads=heads,
            kv_heads=8,
            width=width,
            vocabulary=128256,
            head_dim=128,
        )
        work = codesign.Workload(transformer, codesign.Decode(batch=8, context=4096))
        return jnp.log(codesign.evaluate(machine, work, technology=technology).step_time)

    zero, step = jnp.zeros(4), 1e-5
    exact = jax.grad(log_time)(zero)
    run = jax.jit(log_time)
    central = jnp.stack(
        [(run(zero.at[k].set(step)) - run(zero.at[k].set(-step))) / (2 * step) for k in range(4)]
    )
    np.testing.assert_allclose(exact, central, rtol=1e-6, atol=1e-9)
    assert (jnp.abs(exact) > 1e-3).all()


def test_designs_go_through_vmap(llama_405b, technology):
    designs = random_designs(jax.random.key(1), 8)
    work = codesign.Workload(llama_405b, codesign.Decode(batch=8, context=4096))
    together = jax.vmap(
        lambda design: codesign.evaluate(design, work, technology=technology).step_time
    )(designs)
    one_by_one = [
        codesign.evaluate(
            jax.tree.map(lambda leaf, k=k: leaf[k], designs), work, technology=technology
        ).step_time
        for k in range(8)
    ]
    np.testing.assert_allclose(together, jnp.stack(one_by_one), rtol=1e-13)
