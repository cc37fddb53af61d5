"""One kind of machine by itself: what of a fleet's program is its own, as a smaller program.

Kinds of machine meet in the fleet's outcomes, which are sums over kinds, in the pace of the users,
in bounds on outcomes, and in the time to move a cache from one to another. All else belongs to one
kind.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from codesign.numerics.compilation import SELDOM, compiled
from codesign.search.program.coefficients import ABSENT
from codesign.search.program.geometric_program import Program, Specials
from codesign.search.program.keys import ENERGIES, OUTCOMES, Key, Of
from codesign.search.program.structure import Structure

ALLOWED = -1000.0
"""ln of a limit that is not this kind's: far inside, whatever the variables are."""


class Part(NamedTuple):
    """A kind of machine, the structure of its program, and where in the fleet's that is found."""

    kind: int
    structure: Structure
    functions: np.ndarray
    basis: np.ndarray
    variables: np.ndarray
    integers: np.ndarray  # positions in Layout.integers
    own: np.ndarray  # (functions, basis) [bool] coefficients of these that are the kind's


def kind_of_service(structure: Structure, service: int) -> int:
    """The kind of machine on which a service decodes (or does all it does)."""
    return structure.steps[structure.services[service][0][0]][1]


@functools.lru_cache(maxsize=64)
def owner_of_integers(structure: Structure) -> tuple[int, ...]:
    """The kind of machine that each integer belongs to, in the order of
    ``problem.integer_names``."""
    kinds = tuple(range(structure.kinds))
    return (
        *kinds,
        *(kind_of_service(structure, s) for s in range(len(structure.services))),
        *kinds,
        *kinds,
    )


@functools.lru_cache(maxsize=64)
def parts(structure: Structure) -> tuple[Part, ...]:
    """Every kind of machine by itself."""
    return tuple(_part(structure, p) for p in range(structure.kinds))


def _part(structure: Structure, p: int) -> Part:
    steps = [k for k, (_, kind) in enumerate(structure.steps) if kind == p]
    services = sorted({structure.steps[k][0] for k in steps})
    smaller = Structure(
        1,
        tuple((services.index(structure.steps[k][0]), 0) for k in steps),
        tuple(
            (
                tuple(steps.index(k) for k in structure.services[s][0] if k in steps),
                *structure.services[s][1:],
            )
            for s in services
        ),
        tuple(structure.operators[k] for k in steps),
        limits_of_machines=structure.limits_of_machines,
    )

    fleets = {Of.FLEET: [0], Of.KIND: [p], Of.STEP: steps, Of.SERVICE: services}

    def there(key: Key) -> Key:
        """What the fleet calls something."""
        return key._replace(index=fleets[key.of][key.index])

    functions, basis, variables = (
        np.array([keys.index(there(key)) for key in own])
        for keys, own in (
            (structure.functions, smaller.functions),
            (structure.basis, smaller.basis),
            (structure.variables, smaller.variables),
        )
    )
    integers = np.array([p, *(structure.kinds + s for s in services)])
    return Part(
        p,
        smaller,
        functions,
        basis,
        variables,
        integers,
        _own(structure, p)[np.ix_(functions, basis)],
    )


def _own(structure: Structure, p: int) -> np.ndarray:
    """Which coefficients of a fleet's program are a kind's, shape (functions, basis)."""
    own = np.zeros((len(structure.functions), len(structure.basis)), bool)
    steps = [k for k, (_, kind) in enumerate(structure.steps) if kind == p]
    own[: len(OUTCOMES)] = [
        (key.of is Of.STEP and key.index in steps and key.name in ENERGIES)
        or (key.busy and key.index == p)
        for key in structure.basis
    ]
    for row, key in enumerate(structure.functions):
        own[row] |= _is_own(structure, key, p)
    for s, (several, interleaved, _) in enumerate(structure.services):
        if (
            not interleaved and len(several) > 1
        ):  # the time to move a cache takes two kinds: without it, a bound is still a bound
            own[structure.function("first_token", s), 0] = False
    return own


def _is_own(structure: Structure, function: Key, p: int) -> bool:
    """Whether a function but an outcome is a kind's."""
    if function.of is Of.KIND:
        return function.index == p
    if function.of is Of.STEP:
        return structure.steps[function.index][1] == p
    if function.of is Of.SERVICE and function.name == "first_token":
        return structure.steps[structure.services[function.index][0][-1]][1] == p
    return function.of is Of.SERVICE and kind_of_service(structure, function.index) == p


@compiled(SELDOM, static_argnums=(0, 1))
def only(structure: Structure, kind: int, programs: Program) -> Program:
    """Programs (leading axis) of one kind of machine: its limits, and its share of the fleet's
    outcomes."""
    part = parts(structure)[kind]
    at = np.ix_(part.functions, part.basis)
    own = part.own
    some = np.asarray(own.any(axis=1))
    met = np.full(own.shape, ABSENT)
    met[:, 0] = ALLOWED
    steps = np.array([k for k, (_, p) in enumerate(structure.steps) if p == kind], int)

    def taken(program: Program) -> Program:
        return Program(
            coefficients=jnp.where(
                some[:, None], jnp.where(own, program.coefficients[at], ABSENT), met
            ),
            tilt=jnp.where(own[:, :, None], program.tilt[at][:, :, part.integers], 0.0),
            slack=program.slack[part.functions],
            low=program.low[part.variables],
            high=program.high[part.variables],
            constants=program.constants,
            specials=Specials(
                jax.tree.map(lambda leaf: leaf[kind : kind + 1], program.specials.kinds),
                jax.tree.map(lambda leaf: leaf[steps], program.specials.steps),
            ),
        )

    return jax.vmap(taken)(programs)
