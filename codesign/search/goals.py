"""Objectives as data: from products of outcomes to weights on the program's functions.

In the program's terms every named quantity is a constant times powers of the step time T and of the four outcomes
``capital``, ``provisioned``, ``running`` and ``mean power``; so each objective, in logarithms and turned to be minimised, is a
constant, a slope on ln T and a weight ≥ 0 on each outcome's logarithm. A weight below 0 would not be convex and is refused.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax.numpy as jnp
import numpy as np

from codesign.outcome import Outcome
from codesign.search.program import OUTCOMES


class _Meaning(NamedTuple):
    time: float
    outcomes: Mapping[str, float]
    constants: tuple[float, float, float, float]  # exponents of tokens yielded, served and served to all, and the utilisation


MEANINGS: dict[str, _Meaning] = {
    "step_time": _Meaning(1.0, {}, (0, 0, 0, 0)),
    "time_per_token": _Meaning(1.0, {}, (-1, 0, 0, 0)),
    "user_tokens_per_second": _Meaning(-1.0, {}, (0, 1, 0, 0)),
    "system_tokens_per_second": _Meaning(-1.0, {}, (0, 0, 1, 0)),
    "capital_cost": _Meaning(0.0, {"capital": 1.0}, (0, 0, 0, 0)),
    "provisioned_power": _Meaning(0.0, {"provisioned": 1.0}, (0, 0, 0, 0)),
    "running_cost": _Meaning(0.0, {"running": 1.0}, (0, 0, 0, 0)),
    "cost_per_token": _Meaning(1.0, {"running": 1.0}, (0, 0, -1, -1)),
    "energy_per_token": _Meaning(1.0, {"mean power": 1.0}, (0, 0, -1, 0)),
    "tokens_per_second_per_dollar": _Meaning(-1.0, {"capital": -1.0}, (0, 0, 1, 0)),
    "tokens_per_second_per_watt": _Meaning(-1.0, {"provisioned": -1.0}, (0, 0, 1, 0)),
}
"""What an outcome of ``codesign.evaluate`` is in the program."""


@runtime_checkable
class Goal(Protocol):
    """An objective: a product of powers of outcomes, to be maximised (sense 1) or minimised (−1)."""

    @property
    def name(self) -> str: ...
    @property
    def sense(self) -> int: ...
    @property
    def exponents(self) -> Mapping[str, float]: ...


class Goals(NamedTuple):
    """ln of objective i, to be minimised: constants · ln(tokens, utilisation) + time · ln T + outcomes · ln f."""

    time: np.ndarray  # (goals,)
    outcomes: np.ndarray  # (goals, outcomes), ≥ 0
    constants: np.ndarray  # (goals, 4)


def goals(objectives: Sequence[Goal]) -> Goals:
    """Write objectives in the program's terms.

    Raises:
        ValueError: an outcome the program does not know, or a power that is not log-convex.
    """
    time, outcomes, constants = [], [], []
    for objective in objectives:
        slope, powers, constant = 0.0, np.zeros(len(OUTCOMES)), np.zeros(4)
        for name, exponent in objective.exponents.items():
            if name not in MEANINGS:
                raise ValueError(f"objective {objective.name!r} uses {name!r}; expected one of {', '.join(MEANINGS)}")
            factor, meaning = -objective.sense * exponent, MEANINGS[name]
            slope += factor * meaning.time
            constant += factor * np.array(meaning.constants)
            for outcome, power in meaning.outcomes.items():
                powers[OUTCOMES.index(outcome)] += factor * power
        if (powers < 0).any():
            worst = OUTCOMES[int(powers.argmin())]
            raise ValueError(
                f"objective {objective.name!r} rewards {worst}; expected a power that only punishes it, else no proof"
            )
        time.append(slope)
        outcomes.append(powers)
        constants.append(constant)
    return Goals(np.array(time), np.array(outcomes), np.array(constants))


def log_goals(objectives: Sequence[Goal], outcome: Outcome) -> Any:
    """ln of each objective of an outcome, turned to be minimised; last axis the goals [1].

    In numpy if the outcome holds numpy arrays, so that the host has nothing to compile.
    """
    numpy = np if isinstance(outcome.step_time, np.ndarray) else jnp
    logs = []
    for objective in objectives:
        powers = objective.exponents.items()
        terms = [-objective.sense * power * numpy.log(getattr(outcome, name)) for name, power in powers]
        logs.append(sum(terms[1:], start=terms[0]))
    return numpy.stack(logs, axis=-1)
