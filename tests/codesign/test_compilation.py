"""Compilation options: known to XLA, harmless to results, and dropped where XLA does not have
them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import codesign
from codesign.numerics import compilation
from codesign.numerics.compilation import OFTEN, SELDOM, compiled, compiler_options, computed_once
from codesign.workload.catalogue import model


@pytest.mark.parametrize("level", [SELDOM, OFTEN])
def test_results_do_not_depend_on_the_level(level):
    def sums(count, x):
        return jnp.cumsum(jnp.exp(x))[:count]

    x = np.linspace(0.0, 1.0, 7)
    np.testing.assert_allclose(
        compiled(level, static_argnums=(0,))(sums)(4, x), sums(4, x), rtol=1e-6
    )


def test_options_that_xla_does_not_have_are_dropped(monkeypatch):
    known = compiler_options.__wrapped__(SELDOM)
    assert known["xla_backend_optimization_level"] == SELDOM

    def refuse(*_, compiler_options):
        if "xla_cpu_use_fusion_emitters" in compiler_options:
            raise jax.errors.JaxRuntimeError("No such compile option")
        raise AssertionError("asked again")

    monkeypatch.setattr(compilation.jax, "jit", refuse)
    assert compiler_options.__wrapped__(SELDOM) == {"xla_backend_optimization_level": SELDOM}


def test_nothing_is_compiled_on_import(monkeypatch):
    monkeypatch.setattr(compilation.jax, "jit", lambda *_, **__: pytest.fail("compiled"))
    compiled(SELDOM)(jnp.sin)


@pytest.mark.parametrize(("name", "most"), [("llama-3.1-70b", 36_000), ("gpt-oss-20b", 56_000)])
def test_the_hessian_by_a_whole_design_stays_a_small_program(name, most, machine, technology):
    """Operations after fusion, which set the time of compiling: 207,000 and 303,000 before adjoints
    were computed once, 20,000 and 38,000 before steps ran under a power cap."""
    work = codesign.Workload(model(name), codesign.Decode(batch=32, context=8192))
    hessian = jax.hessian(
        lambda design: (
            codesign.evaluate(design, work, technology=technology).tokens_per_second_per_dollar
        )
    )
    text = (
        jax.jit(hessian, compiler_options=compiler_options(SELDOM))
        .lower(machine)
        .compile()
        .as_text()
    )
    assert text.count("\n") < most


def test_computing_once_changes_no_value_and_no_derivative():
    def both(x):
        once = computed_once({"a": x, "b": 2.0})
        return once["a"] ** 2 * once["b"]

    for x in (3.0, 0.0, -1.5):
        value, slope = jax.jit(jax.value_and_grad(both))(x)
        assert (float(value), float(slope)) == (2.0 * x * x, 4.0 * x)
    assert np.isnan(jax.jit(both)(jnp.nan))
    assert computed_once({"a": 1.0}) == {"a": 1.0}
