"""What to maximise: products of powers of an outcome's quantities.

An objective is data (exponents over a fixed list of outcomes), not a function, so that searches
over different objectives share one compiled program, and a product of powers keeps a log-convex
problem log-convex.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from codesign.numerics.fields import Real
    from codesign.outcome import Outcome


@dataclass(frozen=True)
class Objective:
    """``value = Π outcome_k ^ exponent_k``, to be maximised (``sense = 1``) or minimised (``sense =
    −1``)."""

    name: str
    description: str
    unit: str
    sense: int
    exponents: Mapping[str, float] = field(hash=False)

    def __call__(self, outcome: "Outcome") -> "Real":
        """The objective of an outcome, in ``unit``."""
        value = 1.0
        for name, exponent in self.exponents.items():
            quantity = getattr(outcome, name)
            value = value * (
                quantity
                if exponent == 1
                else 1.0 / quantity
                if exponent == -1
                else quantity**exponent
            )
        return value  # pyright: ignore[reportReturnType]


def _objective(name: str, description: str, unit: str, sense: int, **exponents: float) -> Objective:
    return Objective(name, description, unit, sense, MappingProxyType(exponents))


OBJECTIVES: dict[str, Objective] = {
    objective.name: objective
    for objective in (
        _objective(
            "tokens/s/$",
            "system tokens per second per dollar of capital",
            "token/s/USD",
            1,
            tokens_per_second_per_dollar=1,
        ),
        _objective(
            "tokens/s/W",
            "system tokens per second per provisioned facility watt",
            "token/s/W",
            1,
            tokens_per_second_per_watt=1,
        ),
        _objective(
            "tokens/s/user",
            "tokens per second that one user sees",
            "token/s",
            1,
            user_tokens_per_second=1,
        ),
        _objective(
            "tokens/s", "system tokens per second", "token/s", 1, system_tokens_per_second=1
        ),
        _objective(
            "$/token", "running cost of a token, idle time included", "USD", -1, cost_per_token=1
        ),
        _objective("J/token", "facility energy of a token", "J", -1, energy_per_token=1),
        _objective("capital", "equipment and facility", "USD", -1, capital_cost=1),
        _objective("power", "provisioned facility power", "W", -1, provisioned_power=1),
    )
}
"""Objectives by name."""


def objective(name: str) -> Objective:
    """Look an objective up by name.

    Raises:
        ValueError: unknown name; the nearest ones are offered.

    >>> objective("tokens/s/$").unit
    'token/s/USD'
    """
    if name in OBJECTIVES:
        return OBJECTIVES[name]
    near = difflib.get_close_matches(name, OBJECTIVES, n=3, cutoff=0.3) or list(OBJECTIVES)
    raise ValueError(f"unknown objective {name!r}; nearest: {', '.join(near)}")
