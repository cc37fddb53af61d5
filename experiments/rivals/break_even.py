"""From which size of fleet building pays: development cost over what a built chip saves against the
best device of its generation at its vendor's price."""

from typing import NamedTuple

import numpy as np

from codesign.hardware.technology import Economics
from codesign.numerics.units import GIGA, MEGA
from codesign.physical.cost import annuity, development_price
from codesign.search import Front
from experiments.rivals.points import PER_DOLLAR, DevicePoint, Machine, leading
from experiments.runs.columns import order
from experiments.scenarios.schema import Scenario
from experiments.scenarios.technologies import names_of, priced_device
from hardware_priors.leaves import Cost, development_cost
from hardware_priors.own_device import OwnDevice
from hardware_priors.prior import Prior
from hardware_priors.quantities import formatted, parse
from objectives import objective

PER_TOKEN = "$/token"
CHIP = ("logic", "memory", "package", "margin")
"""Parts of a device's capital that its vendor sells."""

EQUIPMENT = (*CHIP, "network", "server")
"""Parts that the price in a device file covers."""


class Bought(NamedTuple):
    """What a token a second costs on a device, and at which price of its chip."""

    spent: float
    terms: str


class BreakEven(NamedTuple):
    """The smallest fleet, provisioned, that some design of a front serves as cheaply as a device
    does.

        P = N · p / (b − d)

    with development N [USD], provisioned power p of a design [W/(token/s)], and what a token a
    second costs bought, b, and built without development, d. Infinite where building saves nothing.
    """

    device: str
    terms: str  # at which price its chip is bought
    objective: str
    design: int  # row of ``front.csv`` that pays first
    development: Cost  # [USD]
    power: Cost  # [W] at that cost of development
    bought: float  # [USD/(token/s)], or [USD] a token
    built: float  # the same, without development


def break_even(front: Front, devices: list[DevicePoint], scenario: Scenario) -> BreakEven | None:
    """Find the fleet from which building pays, by the scenario's leading objective where that is
    money, else by tokens/s/$.

    None where a vendor's margin pays for development, where no device of the scenario's generation
    serves it, or where the machines are of several kinds: they develop several chips.
    """
    wanted = leading(scenario)
    name = wanted if wanted in (PER_DOLLAR, PER_TOKEN) else PER_DOLLAR
    rivals = [point for point in devices if point.same_generation and point.front]
    if scenario.technology.price_basis != "builder" or not rivals or len(front.designs) > 1:
        return None
    economics = front.choices[0].kinds[0].technology.economics
    share = _share(name, economics)
    prices = {point.name: _bought(point, scenario, name, share) for point in rivals}
    best = min(rivals, key=lambda point: prices[point.name].spent)
    bought = prices[best.name].spent
    rows = order(front)
    watts = 1.0 / np.asarray(front.totals.tokens_per_second_per_watt)[rows]
    built = _spent(front, name)[rows] - share * watts * _charged(front)[rows]
    saved = bought - built
    node = names_of(scenario, front.choices[front.choice[int(rows[0])]], 0)["node"]
    cost = development_cost(node)
    fleets = np.where(saved > 0, share * watts / np.where(saved > 0, saved, 1.0), np.inf)
    first = int(np.argmin(fleets))
    power = Cost(*(float(fleets[first]) * value for value in cost))
    return BreakEven(
        best.name, prices[best.name].terms, name, first, cost, power, bought, float(built[first])
    )


def _share(name: str, economics: Economics) -> float:
    """What a dollar of capital for a token a second adds to the objective."""
    if name == PER_DOLLAR:
        return 1.0
    paid = annuity(economics.cost_of_capital, economics.life)
    return float(paid / economics.utilisation)


def _spent(front: Front, name: str) -> np.ndarray:
    totals = front.totals
    if name == PER_DOLLAR:
        return 1.0 / np.asarray(totals.tokens_per_second_per_dollar)
    return np.asarray(totals.cost_per_token)


def _charged(front: Front) -> np.ndarray:
    """Development that the designs bear already [USD/W]."""
    own = [float(development_price(choice.kinds[0].technology)) for choice in front.choices]
    return np.array(own)[np.asarray(front.choice)]


def _bought(point: DevicePoint, scenario: Scenario, name: str, share: float) -> Bought:
    """The least that a token a second costs on a device at its vendor's price: the published one of
    a chip, the one that its file states, or one markup on its bill of materials."""
    own = point.device
    assert own is not None and point.technology is not None
    price, sold, source = None, CHIP, "as published"
    if isinstance(own, OwnDevice) and own.own_price is not None:
        price, sold, source = own.own_price, EQUIPMENT, "with server and network, as its file says"
    elif isinstance(own.price, Prior):
        price = own.price.si.value
    basis = scenario.technology.model_copy(update={"price_basis": "buyer"})
    buying = scenario.model_copy(update={"technology": basis})
    priors = priced_device(buying, point.technology, own.machine_class).priors()
    markup = priors["economics.chip_markup"].si.value

    def spent(machine: Machine) -> float:
        bill = sum(machine.capital[part] for part in sold)
        paid = markup * bill if price is None else price * machine.chips_busy
        if name == PER_DOLLAR:
            return sum(machine.capital.values()) - bill + paid
        return machine.cost_per_token + share * (paid - bill)

    terms = (
        f"{markup:.3g} times its bill of materials"
        if price is None
        else f"{price:,.0f} $ a chip, {source}"
    )
    return Bought(min(map(spent, point.front)), terms)


def fleet_words(watts: float) -> str:
    """A fleet's power as people say it.

    >>> fleet_words(118.2e6), fleet_words(3.1e9)
    ('118 MW', '3.1 GW')
    """
    return formatted(watts, "GW" if watts >= GIGA else "MW", 3)


def sentences(found: BreakEven | None, scenario: Scenario) -> list[str]:
    """Whether and from where building pays, for people."""
    stated = scenario.fleet.power
    told = []
    if scenario.technology.price_basis != "builder":
        told = ["Development is in the vendor's margin: designs are not charged for it."]
    elif stated is None:
        told = [
            "Development is not charged: [fleet] power, or --fleet-power, says how large the fleet"
            " is that bears it."
        ]
    if found is None:
        return told
    low, nominal, high = (f"{value / MEGA:.0f}" for value in found.development)
    sold = f"{found.device} at {found.terms}"
    develops = f"a development of {nominal} M$ ({low} to {high})"
    if not np.isfinite(found.power.nominal):
        return [*told, f"Buying {sold} is cheaper than building at any size of fleet."]
    at = fleet_words(found.power.nominal)
    span = f"{fleet_words(found.power.low)} to {fleet_words(found.power.high)}"
    text = f"Building pays from a fleet of {at} ({span}) with {develops}: against {sold},"
    text += f" design {found.design} first"
    if stated is not None:
        builds = parse(stated, like="W") >= found.power.nominal
        text += f"; a fleet of {stated} {'builds' if builds else 'buys'}"
    return [*told, f"{text}."]


def as_record(found: BreakEven | None) -> dict[str, object] | None:
    """The break-even as JSON."""
    if found is None:
        return None
    powers = {end: v if np.isfinite(v) else None for end, v in found.power._asdict().items()}
    unit = "USD s/token" if found.objective == PER_DOLLAR else objective(PER_TOKEN).unit
    return {
        **{name: getattr(found, name) for name in ("device", "terms", "objective", "design")},
        "development_usd": found.development._asdict(),
        "power_w": powers,
        "bought": found.bought,
        "built_without_development": found.built,
        "unit": unit,
    }
