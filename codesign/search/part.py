"""One kind of machine by itself: which coefficients of a fleet's program are its own.

Kinds of machine meet in the fleet's outcomes, which are sums over kinds, in the pace of the users, in bounds on outcomes, and in the
time to move a cache from one to another. All else belongs to one kind.
"""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from codesign.numerics.compilation import SELDOM, compiled
from codesign.numerics.fields import Real
from codesign.search.coefficients import ABSENT
from codesign.search.layout import KIND_LIMITS, OUTCOMES, Layout
from codesign.search.program import Program

ALLOWED = -1000.0
"""ln of a limit that is not this kind's: far inside, whatever the variables are."""


class Part(NamedTuple):
    """A kind of machine, and which coefficients are its own, shape (functions, basis) [bool]."""

    kind: int
    own: np.ndarray


def kind_of_service(layout: Layout, service: int) -> int:
    """The kind of machine on which a service decodes (or does all it does)."""
    return layout.steps[layout.services[service][0][0]][1]


@functools.lru_cache(maxsize=64)
def owner_of_integers(layout: Layout) -> tuple[int, ...]:
    """The kind of machine that each integer belongs to, in the order of ``problem.integer_names``."""
    kinds = tuple(range(layout.kinds))
    return (*kinds, *(kind_of_service(layout, s) for s in range(len(layout.services))), *kinds, *kinds)


@functools.lru_cache(maxsize=64)
def parts(layout: Layout) -> tuple[Part, ...]:
    """Every kind of machine by itself."""
    return tuple(Part(p, _own(layout, p)) for p in range(layout.kinds))


def _own(layout: Layout, p: int) -> np.ndarray:
    own = np.zeros((len(layout.functions), len(layout.basis)), bool)
    own[: len(OUTCOMES), _own_monomials(layout, p)] = True
    for row, name in enumerate(layout.functions):
        own[row] |= _is_own(layout, name, p)
    for s, (steps, interleaved, _) in enumerate(layout.services):
        if not interleaved and len(steps) > 1:  # the time to move a cache takes two kinds: without it, a bound is still a bound
            own[layout.function("first_token", s), 0] = False
    return own


def _own_monomials(layout: Layout, p: int) -> np.ndarray:
    """Monomials of the outcomes that are a kind's: what it costs while busy, and its steps."""
    steps = [f"{name} {k}" for k, (_, kind) in enumerate(layout.steps) if kind == p for name in ("one", "energy ratio")]
    return np.array([name in steps or ("× G" in name and name.endswith(f" {p}")) for name in layout.basis])


def _is_own(layout: Layout, function: str, p: int) -> bool:
    name, _, index = function.partition(" ")
    if function in OUTCOMES or name == "bound":
        return False
    number = int(index.split()[0])
    if name in KIND_LIMITS or name == "rate":
        return number == p
    if name in ("promise", "pace"):
        return kind_of_service(layout, number) == p
    if name == "first_token":
        return layout.steps[layout.services[number][0][-1]][1] == p
    return layout.steps[number][1] == p


@compiled(SELDOM)
def only(programs: Program, own: Real) -> Program:
    """Programs (leading axis) of one kind of machine: other limits are met, and the outcomes are its share of the fleet's."""
    some = jnp.any(own, axis=1)
    met = jnp.full(own.shape, ABSENT).at[:, 0].set(ALLOWED)

    def masked(program: Program) -> Program:
        coefficients = jnp.where(some[:, None], jnp.where(own, program.coefficients, ABSENT), met)
        tilt = None if program.tilt is None else jnp.where(own[:, :, None], program.tilt, 0.0)
        return dataclasses.replace(program, coefficients=coefficients, tilt=tilt)

    return jax.vmap(masked)(programs)
