"""What the best design has over the best device of its generation: factors that multiply to the
ratio, and where the money goes.

Both sides are the same model at the same prices, each at the machine that is best for the leading
objective. With G chip-seconds of machine an output token and money M [USD] tied up (or spent) a
chip (and second),

    tokens/s/$ = (tokens/s per chip) / (capital per chip)
    $/token = (running cost per chip-second) / (tokens/s per chip)

so the ratio of the two sides is the ratio of the yields over that of the prices. What each part of
a chip does to either needs the waterfall of a whole change of design, which is not told here.
"""

from typing import NamedTuple

import numpy as np

from codesign.hardware.technology import Economics
from codesign.physical.cost import CAPITAL_PARTS, annuity
from codesign.search import Front
from experiments.rivals.points import PER_DOLLAR, DevicePoint, Machine, leading
from experiments.scenarios.schema import Scenario
from experiments.terminal.number_format import written
from objectives import objective

PER_TOKEN = "$/token"
LARGEST = 3
"""Parts of the money that are named."""


class Side(NamedTuple):
    """One side of the comparison."""

    value: float  # of the leading objective
    chips_busy: float  # chip-seconds of an output token [s]
    money: dict[str, float]  # by part: capital [USD/(token/s)] or running cost [USD/token]

    @property
    def shares(self) -> dict[str, float]:
        """Share of each part, the largest first."""
        total = sum(self.money.values())
        return {
            name: part / total
            for name, part in sorted(self.money.items(), key=lambda item: -item[1])
        }


class Advantage(NamedTuple):
    """How many times the best design beats a device, and by which factors; ``factors`` multiply to
    ``ratio``."""

    objective: str
    device: DevicePoint
    ratio: float
    factors: dict[str, float]
    design: Side
    other: Side


def advantage(front: Front, devices: list[DevicePoint], scenario: Scenario) -> Advantage | None:
    """Compare the best design with the best device of its generation, or of all where none is; None
    where there is no device."""
    found = [point for point in devices if point.best]
    same = [point for point in found if point.same_generation]
    name = leading(scenario)
    sense = objective(name).sense
    best = max(
        same or found,
        key=lambda point: sense * point.best.values[name] if point.best else 0.0,
        default=None,
    )
    if best is None or best.best is None:
        return None
    design, other = _design(front, scenario, name), _device(front, best.best, name)
    ratio = (design.value / other.value) ** sense
    per_chip = other.chips_busy / design.chips_busy
    factors = {"tokens/s per chip": per_chip}
    if name in (PER_DOLLAR, PER_TOKEN):
        what = "capital per chip" if name == PER_DOLLAR else "running cost per chip"
        spent = (
            sum(design.money.values()) / design.chips_busy,
            sum(other.money.values()) / other.chips_busy,
        )
        factors[f"1 / {what}"] = spent[1] / spent[0]
    else:
        factors["the rest"] = ratio / per_chip
    return Advantage(name, best, ratio, factors, design, other)


def _design(front: Front, scenario: Scenario, name: str) -> Side:
    """The best design of a front."""
    column = [one.name for one in front.objectives].index(name)
    row = int(np.argmax(front.objectives[column].sense * front.values[:, column]))
    kinds, busy = _kinds(scenario), 0.0
    capital: dict[str, float] = dict.fromkeys(CAPITAL_PARTS, 0.0)
    for p, design in enumerate(front.designs):
        cost = front.outcomes[kinds.index(p)].cost
        seconds = float(front.machine_seconds[row, p]) * float(np.asarray(design.chips)[row])
        busy += seconds
        capital = {
            part: known + seconds * float(np.asarray(getattr(cost, part))[row])
            for part, known in capital.items()
        }
    spent = float(np.asarray(front.totals.cost_per_token)[row])
    return Side(
        float(front.values[row, column]), busy, _money(name, capital, spent, _economics(front))
    )


def _device(front: Front, machine: Machine, name: str) -> Side:
    money = _money(name, machine.capital, machine.cost_per_token, _economics(front))
    return Side(machine.values[name], machine.chips_busy, money)


def _kinds(scenario: Scenario) -> list[int]:
    """The kind of machine that each step runs on, in the order of ``Front.outcomes``."""
    found = []
    for work in scenario.workload:
        found.append(work.prefill_machine if work.phase == "prefill" else work.decode_machine)
        found += [work.prefill_machine] if work.phase == "serving" else []
    return found


def _economics(front: Front) -> Economics:
    """Lives and interest: one set for a scenario, whatever the technology."""
    return front.choices[0].kinds[0].technology.economics


def _money(
    name: str, capital: dict[str, float], spent: float, economics: Economics
) -> dict[str, float]:
    """By part: what is tied up, or for $/token what is paid back with interest, and energy for the
    rest."""
    if name != PER_TOKEN:
        return capital
    lives = {
        part: economics.facility_life if part == "facility" else economics.life for part in capital
    }
    paid = {
        part: float(value * annuity(economics.cost_of_capital, lives[part]) / economics.utilisation)
        for part, value in capital.items()
    }
    return {**paid, "energy": spent - sum(paid.values())}


def sentences(found: Advantage | None, scenario: Scenario) -> list[str]:
    """The advantage for people: how large, by which factors, and then where the money goes; what it
    does not explain is not said."""
    if found is None:
        return ["No device of the comparison keeps the promises: see devices.csv for the reasons."]
    device, unit = found.device, objective(found.objective).unit

    def value(side: Side) -> str:
        return written(side.value, found.objective, unit)

    memory = device.technology[1] if device.technology else "own file"
    when = f"{device.year}, announced" if device.announced else f"{device.year}"
    kind = (
        "same generation"
        if device.same_generation
        else "another generation, none of the scenario's own keeps the promises"
    )
    text = (
        f"At equal accounting ({scenario.technology.price_basis} prices) the best design,"
        f" {value(found.design)}, is {found.ratio:.2f} times as good as {device.name} {device.size}"
        f" ({when}, {memory}, {kind}), {value(found.other).split()[0]}"
    )
    if found.objective not in (PER_DOLLAR, PER_TOKEN):
        return [f"{text}."]
    what = "capital" if found.objective == PER_DOLLAR else "running cost"
    per_chip, cheaper = found.factors.values()
    return [
        (
            f"{text}: {per_chip:.2f} times its tokens/s per chip at {1.0 / cheaper:.2f} times its"
            f" {what} per chip."
        ),
        (
            f"Largest parts of the {what}: design {_largest(found.design)}; {device.name}"
            f" {_largest(found.other)}."
        ),
    ]


def _largest(side: Side) -> str:
    return ", ".join(
        f"{name} {100 * share:.0f} %" for name, share in list(side.shares.items())[:LARGEST]
    )


def as_record(found: Advantage | None) -> dict[str, object] | None:
    """The advantage as JSON."""
    if found is None:
        return None
    return {
        "objective": found.objective,
        "device": found.device.name,
        "same_generation": found.device.same_generation,
        "ratio": found.ratio,
        "factors": found.factors,
        "shares": {"design": found.design.shares, "device": found.other.shares},
    }
