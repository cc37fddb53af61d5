"""What is wanted of a fleet: objectives, and bounds on outcomes, on the exact model.

What is a product of powers of a fleet's totals is data and keeps the problem convex; any other
function of an outcome may be wanted too, and is searched by gradients.
"""

import dataclasses
import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeGuard, cast, runtime_checkable

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from codesign.limits import LimitRow
from codesign.numerics.fields import Real, RealArray
from codesign.outcome import Outcome
from codesign.search.statement.fleet import Totals

TOTALS = tuple(field.name for field in dataclasses.fields(Totals))


@runtime_checkable
class Goal(Protocol):
    """An objective to be maximised (sense 1) or minimised (−1): a product of powers of totals
    (``exponents``), or a function of an outcome, above zero and with a gradient (``__call__``)."""

    @property
    def name(self) -> str: ...
    @property
    def sense(self) -> int: ...


class Product(Goal, Protocol):
    """An objective that is a product of powers of totals."""

    @property
    def exponents(self) -> Mapping[str, float]: ...


@dataclasses.dataclass(frozen=True)
class Bound:
    """A limit on an outcome: at least and at most so much, in SI.

    Args:
        outcome: a field of ``fleet.Totals``; a path into an ``Outcome`` such as ``"area.total"`` or
            ``"cost.memory"``; or a function of an outcome, above zero and with a gradient.
        least, most: in the outcome's unit.

    A target is a bound on the side that costs something: nothing is gained beyond it. Totals, and
    ``rated_power``, ``peak_power`` and ``area.total`` at most, keep the proof; what else is bounded
    makes a search one by gradients, whose designs are ``LOCAL``.
    """

    outcome: str | Callable[[Outcome], Real]
    least: float | None = None
    most: float | None = None

    @property
    def name(self) -> str:
        """What people read."""
        if isinstance(self.outcome, str):
            return self.outcome
        return getattr(self.outcome, "__name__", type(self.outcome).__name__)


SUMS: dict[str, tuple[str, Mapping[str, float]]] = {
    "peak_power": ("peak", {}),
    "rated_power": ("rated", {}),
    "area.total": ("one", {"silicon": 1.0}),
}
"""Outcomes of a machine that are sums of monomials: of ``limits.Sums``, and powers."""


def as_row(bound: Bound) -> LimitRow | None:
    """The row of a bound on what is a sum of monomials of one machine; None for any other."""
    if bound.outcome not in SUMS or bound.most is None or bound.least is not None:
        return None
    name, powers = SUMS[bound.outcome]  # pyright: ignore[reportArgumentType]
    return LimitRow(
        f"{bound.name} at most",
        lambda sums, machine: getattr(sums, name) / bound.most,
        powers,
        monomial=name == "one",
    )


def is_product(objective: object) -> TypeGuard[Product]:
    """Whether an objective is a product of powers of totals."""
    return hasattr(objective, "exponents")


def exponents_of(objective: Goal) -> Mapping[str, float]:
    """Exponents of an objective that is a product of powers."""
    assert is_product(objective), f"{objective.name} is no product of powers"
    return objective.exponents


def check_objective(objective: object) -> None:
    """Refuse what is no objective, or says two things.

    Raises:
        TypeError: naming it and what it lacks, or that its function is not its exponents' product.
    """
    name = repr(getattr(objective, "name", objective))[:60]
    for needed in ("name", "sense"):
        if not hasattr(objective, needed):
            raise TypeError(
                f"objective {name} has no {needed}; expected name, sense (1 to maximise, -1 to"
                " minimise) and either exponents or __call__"
            )
    if not is_product(objective):
        if not callable(objective):
            raise TypeError(
                f"objective {name} has neither exponents nor a __call__; expected one of them"
            )
        return
    known = all(other in TOTALS for other in objective.exponents)
    if callable(objective) and known:
        probe = Totals(**{other: 2.0 + 0.37 * k for k, other in enumerate(TOTALS)})
        powers = objective.exponents
        says = [getattr(probe, other) ** p for other, p in powers.items()]
        try:
            own = float(objective(probe))  # pyright: ignore[reportArgumentType]
        except AttributeError:
            own = float("nan")
        if not np.isclose(own, float(np.prod(says)), rtol=1e-4):
            raise TypeError(
                f"objective {name} has exponents and a __call__ that says otherwise; expected one"
                " of them"
            )


def value_of(
    what: str | Callable[[Outcome], Real], totals: Totals, outcomes: Sequence[Outcome]
) -> Real:
    """An outcome by name of a total, by path or by function.

    Raises:
        ValueError: an unknown path, or one of many machines' outcomes.
    """
    if isinstance(what, str) and what in TOTALS:
        return getattr(totals, what)
    if len(outcomes) != 1:
        raise ValueError(
            f"{what!r} is of one machine, and the fleet has {len(outcomes)} kinds of step; expected"
            f" one of {', '.join(TOTALS)}"
        )
    if not isinstance(what, str):
        return what(outcomes[0])
    found: object = outcomes[0]
    for part in what.split("."):
        if not hasattr(found, part):
            offered = [name for name in dir(found) if not name.startswith("_")]
            near = difflib.get_close_matches(part, offered, n=3) or sorted(offered)[:8]
            raise ValueError(f"no outcome {what!r}: {part!r} is none of {', '.join(near)} …")
        found = getattr(found, part)
    return cast(Real, found)  # a path ends at a number: anything else has no logarithm


def log_goals(
    objectives: Sequence[Goal], totals: Totals, outcomes: Sequence[Outcome] = ()
) -> RealArray:
    """ln of each objective, turned to be minimised; last axis the goals [1].

    In numpy if the totals hold numpy arrays, so that the host has nothing to compile.

    Args:
        objectives: what is wanted.
        totals: of the fleet.
        outcomes: of its steps, for objectives that are functions of one.
    """
    numpy = np if isinstance(totals.time_per_token, np.ndarray) else jnp
    logs = []
    for objective in objectives:
        if not is_product(objective):
            value = value_of(cast(Callable[[Outcome], Real], objective), totals, outcomes)
            logs.append(-objective.sense * numpy.log(value))
            continue
        powers = exponents_of(objective).items()
        terms = [
            -objective.sense * power * numpy.log(getattr(totals, name)) for name, power in powers
        ]
        logs.append(sum(terms[1:], start=terms[0]))
    return numpy.stack(logs, axis=-1)


def bounds_exceeded(
    bounds: Sequence[Bound], totals: Totals, outcomes: Sequence[Outcome] = ()
) -> RealArray:
    """ln(used/allowed) of each bound, last axis in the order of ``bound_rows`` [1]."""
    numpy = np if isinstance(totals.time_per_token, np.ndarray) else jnp
    found = []
    for bound in bounds:
        log = numpy.log(value_of(bound.outcome, totals, outcomes))
        found += [log - np.log(bound.most)] if bound.most is not None else []
        found += [np.log(bound.least) - log] if bound.least is not None else []
    return (
        numpy.stack(found, axis=-1)
        if found
        else numpy.zeros((*numpy.shape(totals.time_per_token), 0))
    )


def bound_names(bounds: Sequence[Bound]) -> tuple[str, ...]:
    """Names of both sides of bounds, in the order of ``bounds_exceeded``."""
    return tuple(
        f"{bound.name} at {side}"
        for bound in bounds
        for side in ("most", "least")
        if getattr(bound, side) is not None
    )


class Wanted(eqx.Module):
    """Objectives and bounds as static arguments of the compiled search."""

    objectives: tuple[Goal, ...] = eqx.field(static=True)
    bounds: tuple[Bound, ...] = eqx.field(static=True, default=())

    def has_program(self) -> bool:
        """Whether all that is wanted is of totals, so that a geometric program can say it."""
        return all(map(is_product, self.objectives)) and all(
            isinstance(bound.outcome, str)
            and ("." not in bound.outcome)
            and bound.outcome not in OUTCOME_SCALARS
            for bound in self.bounds
        )


OUTCOME_SCALARS = frozenset(
    field.name for field in dataclasses.fields(Outcome) if "unit" in field.metadata
) - frozenset(TOTALS)
"""Figures of an outcome that no total of a fleet is."""
