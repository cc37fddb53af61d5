"""Compilation options: known to XLA, harmless to results, and dropped where XLA does not have them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from codesign.numerics import compilation
from codesign.numerics.compilation import OFTEN, SELDOM, compiled, compiler_options


@pytest.mark.parametrize("level", [SELDOM, OFTEN])
def test_results_do_not_depend_on_the_level(level):
    def sums(count, x):
        return jnp.cumsum(jnp.exp(x))[:count]

    x = np.linspace(0.0, 1.0, 7)
    np.testing.assert_allclose(compiled(level, static_argnums=(0,))(sums)(4, x), sums(4, x), rtol=1e-6)


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
