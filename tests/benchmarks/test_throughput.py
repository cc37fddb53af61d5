"""Design points a second, with and without gradients, beside a plain Python walk over the same formulas.

Run by hand: ``python -m pytest tests/benchmarks --benchmark-enable -p no:xdist``. Figures depend on the machine; what matters
is their ratio within one run (``extra_info`` holds points per second).
"""

import dataclasses
import time

import jax
import jax.numpy as jnp
import pytest

import codesign
import hardware_priors
from codesign.evaluate import evaluate_table
from codesign.workload.catalogue import model
from tests.codesign import oracle
from tests.codesign.conftest import random_designs

CHUNK = 4096
"""Points in one vmap: their intermediates stay in cache; larger sets go through ``lax.map`` in chunks of it."""

CASES = {
    "llama-3.1-70b": (codesign.Decode(batch=32, context=8192), codesign.Plan()),
    "deepseek-v3": (codesign.Decode(batch=256, context=8192), codesign.Plan(context=2, expert=codesign.WHOLE_EXPERTS)),
}


def problem(name: str):
    phase, plan = CASES[name]
    technology = hardware_priors.technology("N3", "HBM4", "NVLink6", cooling="cold-plate")
    workload = codesign.Workload(model(name), phase)
    table = codesign.operator_table(workload.model, workload.precision)
    designs = random_designs(jax.random.key(0), 16 * CHUNK)
    leaves = jnp.stack([getattr(designs, variable) for variable in codesign.DESIGN_VARIABLES], axis=1)
    base = jax.tree.map(lambda leaf: leaf[0], designs)

    def objectives(x):
        design = dataclasses.replace(base, **{name: x[k] for k, name in enumerate(codesign.DESIGN_VARIABLES)})
        outcome = evaluate_table(design, table, workload, plan, technology, codesign.Operatorwise())
        three = (outcome.tokens_per_second_per_dollar, outcome.tokens_per_second_per_watt, outcome.user_tokens_per_second)
        return jnp.stack(three), outcome.limits.capacity

    return objectives, leaves, (base, workload, plan, technology)


def with_gradient(objectives):
    def both(x):
        value, pull, capacity = jax.vjp(objectives, x, has_aux=True)
        return value, jax.vmap(pull)(jnp.eye(3))[0], capacity

    return both


def compiled(function, leaves):
    chunked = jax.jit(lambda x: jax.lax.map(function, x, batch_size=CHUNK))
    start = time.perf_counter()
    ready = chunked.lower(leaves).compile()
    return ready, time.perf_counter() - start


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("gradient", [False, True], ids=["values", "values and gradients"])
def test_points_per_second(benchmark, name, gradient):
    objectives, leaves, _ = problem(name)
    run, compilation = compiled(with_gradient(objectives) if gradient else objectives, leaves)
    benchmark(lambda: jax.block_until_ready(run(leaves)))
    benchmark.extra_info["compilation [s]"] = compilation
    if benchmark.stats is not None:
        benchmark.extra_info["points per second"] = len(leaves) / benchmark.stats.stats.min


@pytest.mark.parametrize("name", CASES)
def test_plain_python_points_per_second(benchmark, name):
    _, _, (design, workload, plan, technology) = problem(name)
    benchmark(lambda: oracle.answer(design, workload, plan, technology, codesign.Operatorwise()))


@pytest.mark.parametrize("layers", [8, 80, 800])
def test_compilation_does_not_grow_with_layers(benchmark, layers):
    objectives, leaves, _ = problem("llama-3.1-70b")
    deep = codesign.dense(hidden=8192, layers=layers, heads=64, kv_heads=8, width=28672, vocabulary=128256)
    table = codesign.operator_table(deep, codesign.Precision())
    assert len(table.names) == 9
    benchmark.pedantic(lambda: compiled(objectives, leaves), rounds=1)
