"""Design points a second, with and without gradients, beside a plain Python walk over the same
formulas.

Run by hand: ``python -m pytest tests/benchmarks --benchmark-enable -p no:xdist``. Figures depend on
the machine; what matters is their ratio within one run (``extra_info`` holds points per second).
"""

import dataclasses
import time

import jax
import jax.numpy as jnp
import pytest

import codesign
import hardware_priors
from codesign.evaluation import evaluate_table
from codesign.workload.catalogue import model
from tests.codesign import oracle
from tests.codesign.conftest import random_designs

CHUNKS = {
    ("llama-3.1-70b", False): 65536,
    ("deepseek-v3", False): 4096,
    ("llama-3.1-70b", True): 2048,
    ("deepseek-v3", True): 2048,
}
"""Points in one vmap, by case and whether with gradients: as many as leave the intermediates in
cache. Larger sets go through ``lax.map`` in such chunks."""

POINTS = 65536

CASES = {
    "llama-3.1-70b": (codesign.Decode(batch=32, context=8192), codesign.Plan()),
    "deepseek-v3": (
        codesign.Decode(batch=256, context=8192),
        codesign.Plan(context=2, expert=codesign.WHOLE_EXPERTS),
    ),
}


def problem(name: str, transformer=None):
    phase, plan = CASES[name]
    technology = hardware_priors.technology("N3", "HBM4", "NVLink6", cooling="cold-plate")
    workload = codesign.Workload(transformer or model(name), phase)
    table = codesign.operator_table(workload.model, workload.precision)
    designs = random_designs(jax.random.key(0), POINTS)
    leaves = jnp.stack(
        [getattr(designs, variable) for variable in codesign.DESIGN_VARIABLES], axis=1
    )
    base = jax.tree.map(lambda leaf: leaf[0], designs)

    def parts(x):
        """ln of step time, capital and provisioned power, of which the three objectives are made,
        and the capacity limit."""
        design = dataclasses.replace(
            base, **{name: x[k] for k, name in enumerate(codesign.DESIGN_VARIABLES)}
        )
        outcome = evaluate_table(design, table, workload, plan, technology, codesign.Operatorwise())
        logs = [
            jnp.log(value)
            for value in (outcome.step_time, outcome.capital_cost, outcome.provisioned_power)
        ]
        return logs, outcome.limits.capacity

    return parts, leaves, (base, workload, plan, technology)


def three_objectives(logs, batch):
    """tokens/s/$, tokens/s/W and tokens/s/user."""
    time, capital, power = logs
    return jnp.stack(
        [batch * jnp.exp(-time - capital), batch * jnp.exp(-time - power), jnp.exp(-time)]
    )


def values(parts, batch):
    def run(x):
        logs, capacity = parts(x)
        return three_objectives(logs, batch), capacity

    return run


def values_and_gradients(parts, batch):
    """Step time, capital and power are each differentiated once; the objectives' gradients follow
    by the chain rule."""

    def run(x):
        pairs = [jax.value_and_grad(lambda x, k=k: parts(x)[0][k])(x) for k in range(3)]
        logs, slopes = zip(*pairs, strict=True)
        objectives = three_objectives(logs, batch)
        gradients = (
            jnp.stack([-slopes[0] - slopes[1], -slopes[0] - slopes[2], -slopes[0]])
            * objectives[:, None]
        )
        return objectives, gradients, parts(x)[1]

    return run


def compiled(function, leaves, chunk):
    chunked = jax.jit(
        lambda x: (
            jax.lax.map(function, x, batch_size=chunk) if chunk < len(x) else jax.vmap(function)(x)
        )
    )
    start = time.perf_counter()
    ready = chunked.lower(leaves).compile()
    return ready, time.perf_counter() - start


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("gradient", [False, True], ids=["values", "values and gradients"])
def test_points_per_second(benchmark, name, gradient):
    parts, leaves, (_, workload, _, _) = problem(name)
    kind = values_and_gradients if gradient else values
    run, compilation = compiled(kind(parts, workload.phase.batch), leaves, CHUNKS[name, gradient])
    benchmark(lambda: jax.block_until_ready(run(leaves)))
    benchmark.extra_info["compilation [s]"] = compilation
    if benchmark.stats is not None:
        benchmark.extra_info["points per second"] = len(leaves) / benchmark.stats.stats.min


@pytest.mark.parametrize("name", CASES)
def test_plain_python_points_per_second(benchmark, name):
    """The same formulas walked layer by layer on Python floats (``tests/codesign/oracle.py``)."""
    _, _, (design, workload, plan, technology) = problem(name)
    benchmark(lambda: oracle.answer(design, workload, plan, technology, codesign.Operatorwise()))
    if benchmark.stats is not None:
        benchmark.extra_info["points per second"] = 1 / benchmark.stats.stats.min


@pytest.mark.parametrize("layers", [8, 80, 800])
def test_compilation_does_not_grow_with_layers(benchmark, layers):
    deep = codesign.dense(
        hidden=8192, layers=layers, heads=64, kv_heads=8, width=28672, vocabulary=128256
    )
    parts, leaves, _ = problem("llama-3.1-70b", deep)
    benchmark.pedantic(lambda: compiled(values(parts, 32.0), leaves, POINTS), rounds=3)
