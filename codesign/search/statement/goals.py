"""What is wanted of a fleet: objectives, and bounds on outcomes, on the exact model."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from codesign.search.statement.fleet import Totals


@runtime_checkable
class Goal(Protocol):
    """An objective: a product of powers of outcomes, to be maximised (sense 1) or minimised
    (−1)."""

    @property
    def name(self) -> str: ...
    @property
    def sense(self) -> int: ...
    @property
    def exponents(self) -> Mapping[str, float]: ...


@dataclasses.dataclass(frozen=True)
class Bound:
    """A limit on an outcome: at least and at most so much, in SI; what it means is
    ``fleet.Totals``'s field of that name.

    A target is a bound on the side that costs something: nothing is gained beyond it.
    """

    outcome: str
    least: float | None = None
    most: float | None = None


def log_goals(objectives: Sequence[Goal], totals: Totals) -> Any:
    """ln of each objective of a fleet's totals, turned to be minimised; last axis the goals [1].

    In numpy if the totals hold numpy arrays, so that the host has nothing to compile.
    """
    numpy = np if isinstance(totals.time_per_token, np.ndarray) else jnp
    logs = []
    for objective in objectives:
        powers = objective.exponents.items()
        terms = [
            -objective.sense * power * numpy.log(getattr(totals, name)) for name, power in powers
        ]
        logs.append(sum(terms[1:], start=terms[0]))
    return numpy.stack(logs, axis=-1)


def bounds_exceeded(bounds: Sequence[Bound], totals: Totals) -> Any:
    """ln(used/allowed) of each bound, last axis in the order of ``bound_rows`` [1]."""
    numpy = np if isinstance(totals.time_per_token, np.ndarray) else jnp
    found = []
    for bound in bounds:
        log = numpy.log(getattr(totals, bound.outcome))
        found += [log - np.log(bound.most)] if bound.most is not None else []
        found += [np.log(bound.least) - log] if bound.least is not None else []
    return (
        numpy.stack(found, axis=-1)
        if found
        else numpy.zeros((*numpy.shape(totals.time_per_token), 0))
    )


class Wanted(eqx.Module):
    """Objectives and bounds as static arguments of the compiled search."""

    objectives: tuple[Goal, ...] = eqx.field(static=True)
    bounds: tuple[Bound, ...] = eqx.field(static=True, default=())
