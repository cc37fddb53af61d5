"""The technologies of a scenario: of its designs, and of the devices that stand beside them."""

import functools
import itertools
from typing import NamedTuple, cast

import jax

import codesign
import hardware_priors
from codesign.limits import LimitRow, Machine, Sums
from codesign.numerics.fields import Real
from codesign.search import Choice
from experiments.scenarios.own_numbers import FLEET_POWER, RACK_POWER, UTILISATION, leaves_of
from experiments.scenarios.schema import PARTS, Scenario
from hardware_priors.choices import Names
from hardware_priors.prior import Prior
from hardware_priors.quantities import parse


class Priced(NamedTuple):
    """What prices a machine: names of the parts, and numbers of one's own by leaf [SI]."""

    names: dict[str, str]
    stated: dict[str, float]

    def technology(self) -> codesign.Technology:
        """The technology itself."""
        return hardware_priors.technology(**cast(Names, self.names), stated=self.stated)

    def priors(self) -> dict[str, Prior]:
        """The fact behind every leaf of it."""
        return hardware_priors.technology_priors(**cast(Names, self.names), stated=self.stated)


def priced(scenario: Scenario, names: dict[str, str]) -> Priced:
    """What prices a design of a scenario, by the names of its parts."""
    own = leaves_of(scenario.overrides, scenario.limits)
    return Priced(_named(scenario, names), own | _asked(scenario) | _development(scenario))


def priced_device(scenario: Scenario, names: tuple[str, str, str], machine_class: str) -> Priced:
    """What prices a device beside a scenario's designs.

    Node, memory, links and machine class are the device's; cooling, packaging, price basis, region
    and utilisation the scenario's. A number of one's own replaces a fact, so it holds for a device
    that the same fact prices; limits are of designs, and a device's development is its vendor's.
    """
    chosen = scenario.technology
    own = dict(zip(("node", "memory", "link"), names, strict=True))
    own |= {"cooling": chosen.cooling[0], "packaging": chosen.packaging[0]}
    named = _named(scenario, {**own, "machine_class": machine_class})
    facts = Priced(named, {}).priors()
    replaced = leaves_of(scenario.overrides, {})
    kept = {
        leaf: value
        for leaf, value in replaced.items()
        if leaf in facts and facts[leaf] in _replaced(scenario, leaf)
    }
    return Priced(named, kept | _asked(scenario))


def _named(scenario: Scenario, names: dict[str, str]) -> dict[str, str]:
    chosen = scenario.technology
    return {**names, "price_basis": chosen.price_basis, "region": chosen.region}


def _asked(scenario: Scenario) -> dict[str, float]:
    utilisation = scenario.technology.utilisation
    return {} if utilisation is None else {UTILISATION: utilisation}


def _development(scenario: Scenario) -> dict[str, float]:
    """The fleet that bears the development of its chips: none where nobody says how large it is, or
    where a vendor's margin pays for it."""
    charged = scenario.fleet.power is not None and scenario.technology.price_basis == "builder"
    return {FLEET_POWER: parse(scenario.fleet.power)} if charged and scenario.fleet.power else {}


def _replaced(scenario: Scenario, leaf: str) -> list[Prior]:
    """The facts that an override of a leaf replaces in a scenario's designs."""
    found = []
    for number in range(len(scenario.machines)):
        for names in combinations(scenario, number):
            facts = Priced(_named(scenario, names), {}).priors()
            found += [facts[leaf]] if leaf in facts else []
    return found


def offered(scenario: Scenario, number: int) -> dict[str, tuple[str, ...]]:
    """Names that compete for each part of a machine."""
    machine = scenario.machines[number]
    return {part: getattr(machine, part) or getattr(scenario.technology, part) for part in PARTS}


def combinations(scenario: Scenario, number: int) -> list[dict[str, str]]:
    """Every set of names that a machine may be made with."""
    parts = offered(scenario, number)
    return [dict(zip(parts, names, strict=True)) for names in itertools.product(*parts.values())]


def technology(scenario: Scenario, names: dict[str, str]) -> codesign.Technology:
    """A technology of a scenario by the names of its parts."""
    return priced(scenario, names).technology()


def names_of(stated: Scenario, choice: Choice, p: int) -> dict[str, str]:
    """The names of the parts of one kind of machine in a choice: those whose technology it has."""
    made = jax.tree.leaves(choice.kinds[p].technology)
    for names in combinations(stated, p):
        other = jax.tree.leaves(technology(stated, names))
        if all(float(a) == float(b) for a, b in zip(made, other, strict=True)):
            return names
    raise ValueError(f"{choice.name}: no technology of the scenario is this one")


def limit_rows(scenario: Scenario) -> tuple[LimitRow, ...]:
    """Limits of a scenario's own that no leaf of the technology allows."""
    watts = scenario.limits.get(RACK_POWER)
    return () if watts is None else (rack_power(parse(watts)),)


@functools.cache
def rack_power(watts: float) -> LimitRow:
    """The limit on the power of a rack: the chips of one scale-up domain at their caps, with their
    hosts, in so many watts.

    >>> rack_power(120e3).title
    'rack power'
    """

    def share(sums: Sums, machine: Machine) -> Real:
        chips = machine.design.scale_up_domain
        return chips * sums.rated * machine.technology.economics.power_overhead / watts

    return LimitRow(RACK_POWER, share, description="power of the chips of a scale-up domain")
