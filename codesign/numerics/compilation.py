"""How the search's programs are compiled: for one that runs seldom, compiling well takes longer than running badly.

XLA's fusion emitters for CPUs (the default) take two to four times as long to compile the model's many small operations as the
emitters before them, and what they make runs no faster (measured with jaxlib 0.10.2: 9.1 against 3.2 CPU seconds for the three
largest programs of ``codesign optimize``).
"""

import functools
from collections.abc import Callable
from typing import Any

import jax

SELDOM = 0
OFTEN = 1
"""Levels of optimization by XLA's own scale."""


@functools.cache
def compiler_options(level: int) -> dict[str, Any]:
    """Options of XLA at a level; without the emitters' where the installed XLA has no such option."""
    wanted = {"xla_backend_optimization_level": level, "xla_cpu_use_fusion_emitters": False}
    try:
        jax.jit(lambda: 0, compiler_options=wanted).lower().compile()
    except jax.errors.JaxRuntimeError:
        del wanted["xla_cpu_use_fusion_emitters"]
    return wanted


class Compiled:
    """A function compiled at a level; as ``jax.jit``, but XLA is asked for its options at the first call, not on import."""

    def __init__(self, function: Callable[..., Any], level: int, static_argnums: tuple[int, ...]):
        self._function, self._level, self._static = function, level, static_argnums
        functools.update_wrapper(self, function)

    @functools.cached_property
    def jitted(self) -> Any:
        """The function under ``jax.jit``."""
        return jax.jit(self._function, static_argnums=self._static, compiler_options=compiler_options(self._level))

    def __call__(self, *arguments: Any) -> Any:
        return self.jitted(*arguments)


def compiled(level: int, static_argnums: tuple[int, ...] = ()) -> Callable[[Callable[..., Any]], Compiled]:
    """Decorate a function to be compiled at a level: ``SELDOM`` or ``OFTEN``."""
    return lambda function: Compiled(function, level, static_argnums)
