"""The numbers of a technology by name, ``"memory.layer_price"``: their units, what they may be, and
those that a user states in the place of a prior."""

import math
from typing import NamedTuple

from codesign.hardware import technology as parts
from codesign.numerics.fields import units_of
from hardware_priors.choices import choice
from hardware_priors.prior import Prior, lookup
from hardware_priors.quantities import nearest

PARTS = {
    "logic": parts.Logic,
    "memory": parts.Memory,
    "pool": parts.Memory,
    "links": parts.Links,
    "packaging": parts.Packaging,
    "cooling": parts.Cooling,
    "economics": parts.Economics,
    "attainable": parts.Attainable,
}
"""The parts of every technology; each has a data file of its own name, but the pool: it is a
memory."""

FLEET_POWER = "development.fleet_power"
"""The leaf that a user states to have development charged: no prior knows how large a fleet is."""

DEVELOPMENT = tuple(leaf for leaf in units_of(parts.Development) if leaf != "fleet_power")
"""Parts of a development cost, each a row of a node."""

LEAVES: dict[str, str] = {
    f"{part}.{leaf}": unit
    for part, module in {**PARTS, "development": parts.Development}.items()
    for leaf, unit in units_of(module).items()
}
"""Every leaf of a technology with its SI unit, as overrides name it."""

AT_LEAST_ONE = {
    f"economics.{name}" for name in ("power_overhead", "pue", "chip_markup", "spares")
} | {"economics.replacements"}
SHARES = {
    *("economics.utilisation", "packaging.usable_edge", "logic.overhead_fraction"),
    *("logic.critical_fraction", "logic.voltage_floor", "memory.staged", "pool.staged"),
    *(f"attainable.{name}" for name in ("memory", "compute", "link", "capacity")),
}


def known_leaf(leaf: str) -> str:
    """A leaf of a technology, refused where there is none of the name.

    Raises:
        ValueError: with the nearest leaf.

    >>> known_leaf("memory.layer_prize")
    Traceback (most recent call last):
    ...
    ValueError: a technology has no leaf 'memory.layer_prize'; did you mean 'memory.layer_price'?
    """
    if leaf not in LEAVES:
        raise ValueError(
            f"a technology has no leaf {leaf!r}; did you mean {nearest(leaf, list(LEAVES))!r}?"
        )
    return leaf


def checked_leaf(leaf: str, value: float) -> float:
    """A value of a leaf [SI], refused where no technology has it.

    Raises:
        ValueError: unknown leaf, or what was expected.
    """
    unit = LEAVES[known_leaf(leaf)]
    least, most = (1.0 if leaf in AT_LEAST_ONE else 0.0), (1.0 if leaf in SHARES else math.inf)
    free = "USD" in unit and leaf not in AT_LEAST_ONE  # what costs nothing still is a price
    if not (least <= value <= most and math.isfinite(value)) or (value == 0.0 and not free):
        room = "at least 1" if least else "0 or more" if free else "above 0"
        room += " and at most 1" if most == 1.0 else ""
        raise ValueError(f"{leaf} = {value:g} [{unit}]: expected a finite value {room}")
    return value


def stated_prior(leaf: str, value: float) -> Prior:
    """A number of the user's own [SI] as a fact: certain, and sourced by who states it.

    Raises:
        ValueError: as ``checked_leaf``.
    """
    value = checked_leaf(leaf, value)
    source, unit = "stated by the user", LEAVES[leaf]
    return Prior(leaf, leaf, value, value, value, unit, STATED_YEAR, source, "A", "fixed")


STATED_YEAR = 2026
"""The year that the nominal technology, and so what is stated in its place, stands for."""


def checked_utilisation(utilisation: float) -> float:
    """Refuse a utilisation that is no share of the time.

    Raises:
        ValueError: outside 0 < utilisation <= 1.
    """
    if not 0 < utilisation <= 1:
        raise ValueError(
            f"utilisation = {utilisation!r}: expected a share of the time above 0 and at most 1"
        )
    return utilisation


class Cost(NamedTuple):
    """A cost and its range [USD]."""

    low: float
    nominal: float
    high: float


def development_cost(node: str) -> Cost:
    """What a chip costs to develop: masks, design, licences and software.

    >>> round(development_cost("N3").nominal / 1e6)
    665
    """
    name = choice("node", node)
    facts = [lookup("development", name, leaf).si for leaf in DEVELOPMENT]
    return Cost(*(sum(getattr(one, end) for one in facts) for end in ("low", "value", "high")))
