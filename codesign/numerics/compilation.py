"""What compiling costs, and how to pay less: for a program that runs seldom, compiling well takes
longer than running badly.

XLA's fusion emitters for CPUs (the default) take two to four times as long to compile the model's
many small operations as the emitters before them, and what they make runs no faster (measured with
jaxlib 0.10.2: 9.1 against 3.2 CPU seconds for the three largest programs of ``codesign optimize``).
"""

import functools
from collections.abc import Callable
from typing import Generic, TypeVar

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.stages import Wrapped

Result = TypeVar("Result")
Values = TypeVar("Values")

SELDOM = 0
OFTEN = 1
"""Levels of optimization by XLA's own scale."""


@functools.cache
def compiler_options(level: int) -> dict[str, bool | int | str]:
    """Options of XLA at a level; without the emitters' where the installed XLA has no such
    option."""
    wanted = {"xla_backend_optimization_level": level, "xla_cpu_use_fusion_emitters": False}
    try:
        jax.jit(lambda: 0, compiler_options=wanted).lower().compile()
    except jax.errors.JaxRuntimeError:
        del wanted["xla_cpu_use_fusion_emitters"]
    return wanted


class Compiled(Generic[Result]):
    """A function compiled at a level; as ``jax.jit``, but XLA is asked for its options at the first
    call, not on import."""

    def __init__(
        self, function: Callable[..., Result], level: int, static_argnums: tuple[int, ...]
    ):
        self._function, self._level, self._static = function, level, static_argnums
        functools.update_wrapper(self, function)

    @functools.cached_property
    def jitted(self) -> Wrapped:
        """The function under ``jax.jit``."""
        return jax.jit(
            self._function,
            static_argnums=self._static,
            compiler_options=compiler_options(self._level),
        )

    def __call__(self, *arguments: object) -> Result:  # arrays of numpy become those of JAX
        return self.jitted(*arguments)


def compiled(
    level: int, static_argnums: tuple[int, ...] = ()
) -> Callable[[Callable[..., Result]], Compiled[Result]]:
    """Decorate a function to be compiled at a level: ``SELDOM`` or ``OFTEN``."""
    return lambda function: Compiled(function, level, static_argnums)


def computed_once(values: Values) -> Values:
    """The same values, but so that XLA computes each of them, and its adjoint, once.

    XLA fuses cheap operations into every consumer that they have. The 16 × 16 numbers of a Hessian
    by a design's leaves are slices of 16 columns, and each of them took a copy of its column's
    whole computation along: 200,000 operations from 6,000. A division is never copied, so what is
    traced is divided by a one that XLA cannot know. (``lax.optimization_barrier`` has no such
    effect: XLA's CPU compiler drops it before it fuses.)
    """
    leaves, structure = jax.tree.flatten(values)
    traced = [leaf for leaf in leaves if isinstance(leaf, Tracer)]
    if not traced:
        return values
    is_positive = jnp.ravel(traced[0])[0] > 0
    same = [
        (
            leaf / jnp.maximum(is_positive.astype(leaf.dtype), 1.0)
            if isinstance(leaf, Tracer)
            else leaf
        )
        for leaf in leaves
    ]
    return jax.tree.unflatten(structure, same)
