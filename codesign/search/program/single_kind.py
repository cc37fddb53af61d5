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
from codesign.search.program.geometric_program import Program
from codesign.search.program.structure import KIND_LIMITS, OUTCOMES, Structure

ALLOWED = -1000.0
"""ln of a limit that is not this kind's: far inside, whatever the variables are."""

OF_STEPS = ("time", "one", "energy ratio", "capacity", "plan", "step")
OF_SERVICES = ("batch", "promise", "pace", "first_token")
"""Names in a layout that are followed by the number of a step, or of a service; all others by that
of a kind."""


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
    )

    def there(name: str) -> str:
        """What the fleet calls something."""
        words = name.split(" ")
        at = next((k for k, word in enumerate(words) if word.isdigit()), None)
        if at is None:
            return name
        kind = " ".join(words[:at])
        number = int(words[at])
        words[at] = str(
            steps[number] if kind in OF_STEPS else services[number] if kind in OF_SERVICES else p
        )
        return " ".join(words)

    functions, basis, variables = (
        np.array([names.index(there(name)) for name in own])
        for names, own in (
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
    steps = [
        f"{name} {k}"
        for k, (_, kind) in enumerate(structure.steps)
        if kind == p
        for name in ("one", "energy ratio")
    ]
    own[: len(OUTCOMES)] = [
        name in steps or ("× G" in name and name.endswith(f" {p}")) for name in structure.basis
    ]
    for row, name in enumerate(structure.functions):
        own[row] |= _is_own(structure, name, p)
    for s, (several, interleaved, _) in enumerate(structure.services):
        if (
            not interleaved and len(several) > 1
        ):  # the time to move a cache takes two kinds: without it, a bound is still a bound
            own[structure.function("first_token", s), 0] = False
    return own


def _is_own(structure: Structure, function: str, p: int) -> bool:
    name, _, index = function.partition(" ")
    if function in OUTCOMES or name == "bound":
        return False
    number = int(index.split()[0])
    if name in KIND_LIMITS or name == "rate":
        return number == p
    if name in ("promise", "pace"):
        return kind_of_service(structure, number) == p
    if name == "first_token":
        return structure.steps[structure.services[number][0][-1]][1] == p
    return structure.steps[number][1] == p


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
            specials=jax.tree.map(lambda leaf: leaf[kind : kind + 1], program.specials),
        )

    return jax.vmap(taken)(programs)
