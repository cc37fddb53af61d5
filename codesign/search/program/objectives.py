"""Objectives and bounds as data: from products of outcomes to weights on the program's functions.

In the program's terms every named outcome is a constant times powers of the pace π of the users, of
the machine-seconds G per output token, and of four outcomes per output token: capital, provisioned
power, running cost and energy. So each objective, in logarithms and turned to be minimised, is a
constant, slopes on ln π and ln G and a weight ≥ 0 on each outcome's logarithm. A weight below 0
would not be convex and is refused.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from codesign.search.program.keys import OUTCOMES
from codesign.search.statement.goals import Bound, Goal, exponents_of


class _Meaning(NamedTuple):
    pace: float
    rate: float
    outcomes: Mapping[str, float]
    constants: tuple[float, float, float]  # exponents of tokens yielded, tokens served, utilisation


MEANINGS: dict[str, _Meaning] = {
    "step_time": _Meaning(1.0, 0.0, {}, (1, 0, 0)),
    "time_per_token": _Meaning(1.0, 0.0, {}, (0, 0, 0)),
    "user_tokens_per_second": _Meaning(-1.0, 0.0, {}, (-1, 1, 0)),
    "system_tokens_per_second": _Meaning(0.0, -1.0, {}, (0, 0, 0)),
    "capital_cost": _Meaning(0.0, -1.0, {"capital": 1.0}, (0, 0, 0)),
    "provisioned_power": _Meaning(0.0, -1.0, {"provisioned": 1.0}, (0, 0, 0)),
    "running_cost": _Meaning(0.0, -1.0, {"running": 1.0}, (0, 0, 1)),
    "cost_per_token": _Meaning(0.0, 0.0, {"running": 1.0}, (0, 0, 0)),
    "energy_per_token": _Meaning(0.0, 0.0, {"energy": 1.0}, (0, 0, 0)),
    "tokens_per_second_per_dollar": _Meaning(0.0, 0.0, {"capital": -1.0}, (0, 0, 0)),
    "tokens_per_second_per_watt": _Meaning(0.0, 0.0, {"provisioned": -1.0}, (0, 0, 0)),
}
"""What an outcome (``fleet.Totals``) is in the program."""

ONE_MACHINE = (
    "step_time",
    "system_tokens_per_second",
    "capital_cost",
    "provisioned_power",
    "running_cost",
)
"""Outcomes of one machine: they mean nothing for a fleet of several kinds or steps."""


LEAST_WEIGHT = 1e-4
"""No objective weighs less: a weight of zero would certify only weak efficiency."""


class Goals(NamedTuple):
    """ln of objective i, to be minimised: constants + pace · ln π + rate · ln G + outcomes · ln f +
    relaxation."""

    pace: np.ndarray  # (goals,)
    rate: np.ndarray  # (goals,)
    outcomes: np.ndarray  # (goals, outcomes), ≥ 0
    constants: np.ndarray  # (goals, 3)
    relaxation: np.ndarray  # (goals,) slope on the variable that relaxes limits


def goals(objectives: Sequence[Goal], *, one_machine: bool = True) -> Goals:
    """Write objectives in the program's terms.

    Raises:
        ValueError: an outcome the program does not know, one that needs a single machine, or a
            power that is not log-convex.
    """
    rows = []
    for objective in objectives:
        total = _Meaning(0.0, 0.0, dict.fromkeys(OUTCOMES, 0.0), (0, 0, 0))
        for name, exponent in exponents_of(objective).items():
            total = _plus(
                total, _meaning(objective.name, name, one_machine), -objective.sense * exponent
            )
        for outcome, power in total.outcomes.items():
            if power < 0:
                raise ValueError(
                    f"objective {objective.name!r} rewards {outcome}; expected a power that only"
                    " punishes it, else no proof"
                )
        rows.append(total)
    return Goals(
        np.array([row.pace for row in rows]),
        np.array([row.rate for row in rows]),
        np.array([[row.outcomes[name] for name in OUTCOMES] for row in rows]),
        np.array([row.constants for row in rows], dtype=float),
        np.zeros(len(rows)),
    )


def _meaning(what: str, name: str, one_machine: bool) -> _Meaning:
    if name not in MEANINGS:
        raise ValueError(f"objective {what!r} uses {name!r}; expected one of {', '.join(MEANINGS)}")
    if name in ONE_MACHINE and not one_machine:
        offered = ", ".join(other for other in MEANINGS if other not in ONE_MACHINE)
        raise ValueError(
            f"objective {what!r} uses {name!r} of one machine in a fleet of several; expected one"
            f" of {offered}"
        )
    return MEANINGS[name]


def _plus(total: _Meaning, more: _Meaning, factor: float) -> _Meaning:
    outcomes = {
        name: power + factor * more.outcomes.get(name, 0.0)
        for name, power in total.outcomes.items()
    }
    constants = tuple(a + factor * b for a, b in zip(total.constants, more.constants, strict=True))
    pace, rate = total.pace + factor * more.pace, total.rate + factor * more.rate
    return _Meaning(pace, rate, outcomes, constants)  # pyright: ignore[reportArgumentType]


class BoundRows(NamedTuple):
    """Bounds in the program's terms: what ``Structure.bounds`` takes, exponents of the constants,
    ln of the limit, and a name."""

    structure: tuple[tuple[int, float, float], ...]
    constants: np.ndarray  # (bounds, 3)
    limits: np.ndarray  # (bounds,)
    names: tuple[str, ...]


def bound_rows(bounds: Sequence[Bound], *, one_machine: bool = True) -> BoundRows:
    """Write bounds in the program's terms: ln f ≤ ln most, or −ln f ≤ −ln least.

    Raises:
        ValueError: an unknown outcome, a bound that is not above zero, or one on the side where the
            set of designs is not convex.
    """
    structure, constants, limits, names = [], [], [], []
    for bound in bounds:
        meaning = _meaning(f"bound on {bound.name}", bound.name, one_machine)
        for sign, value, word in ((1.0, bound.most, "most"), (-1.0, bound.least, "least")):
            if value is None:
                continue
            if not 0 < value < float("inf"):
                raise ValueError(
                    f"{bound.name} is bounded to at {word} {value:g}; expected a number above zero"
                )
            powers = {name: sign * power for name, power in meaning.outcomes.items()}
            if any(power < 0 for power in powers.values()):
                better = "least" if word == "most" else "most"
                raise ValueError(
                    f"{bound.name} is bounded to at {word} {value:g}; expected a bound at"
                    f" {better}: on the other side nothing can be proved, and no optimum rests"
                    " there"
                )
            outcome = next((OUTCOMES.index(name) for name in powers), -1)
            structure.append((outcome, sign * meaning.pace, sign * meaning.rate))
            constants.append([sign * power for power in meaning.constants])
            limits.append(sign * np.log(value))
            names.append(f"{bound.name} at {word}")
    return BoundRows(
        tuple(structure), np.array(constants).reshape(-1, 3), np.array(limits), tuple(names)
    )
