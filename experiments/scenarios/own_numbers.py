"""Numbers of one's own in a scenario: ``[overrides]`` of leaves of the technology, ``[limits]``."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator

from experiments.terminal.refusal import nearest
from hardware_priors.quantities import parse

LIMITS = {
    "die_area": "logic.reticle_area",
    "dies": "packaging.max_dies",
    "shoreline": "packaging.usable_edge",
    "stacks": "memory.max_stacks",
    "layers_most": "memory.max_layers",
    "layers_fewest": "memory.min_layers",
    "power_density": "cooling.power_density",
    "package_power": "cooling.package_power",
    "tdp": "cooling.package_power",
    "temperature": "cooling.logic_temperature",
    "memory_temperature": "cooling.memory_temperature",
    "interposer": "packaging.interposer_most",
    "warpage": "packaging.warpage_most",
    "clock_fewest": "logic.clock_fewest",
    "clock_most": "logic.clock_most",
}
"""Limits of a machine by the names that tables print, and the leaf that allows each; ``tdp`` is
another word for ``package_power``."""

RACK_POWER = "rack_power"
"""Power of the chips that one scale-up domain joins, with their hosts: no leaf allows it."""

UTILISATION, FLEET_POWER = "economics.utilisation", "development.fleet_power"


def _unit(name: str, known: Mapping[str, str]) -> str:
    from hardware_priors.leaves import LEAVES  # needs JAX: only when a scenario is read

    return "W" if name == RACK_POWER else LEAVES[known.get(name, name)]


def _text(name: str, value: object, unit: str) -> str:
    """A number as it is kept: text with its unit, checked."""
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    if not isinstance(value, str) and not (plain and unit == "1"):
        raise ValueError(
            f"{name} = {value!r}: write the unit too, as text that converts to {unit!r}"
        )
    text = value if isinstance(value, str) else repr(value)
    try:
        parse(text, like=unit)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    return text


def _flat(table: dict[str, object], before: str = "") -> dict[str, object]:
    """Dotted keys, which TOML reads as tables within tables, under their whole names."""
    found: dict[str, object] = {}
    for key, value in table.items():
        inner = isinstance(value, dict)
        found |= _flat(value, f"{before}{key}.") if inner else {f"{before}{key}": value}
    return found


def _overrides(table: object) -> object:
    from hardware_priors.leaves import checked_leaf, known_leaf

    found: dict[str, str] = {}
    if not isinstance(table, dict):
        return table
    for leaf, value in _flat(table).items():
        if known_leaf(leaf) == FLEET_POWER:
            raise ValueError(f"{leaf} is what [fleet] power says; expected it there")
        found[leaf] = _text(leaf, value, _unit(leaf, {}))
        checked_leaf(leaf, parse(found[leaf]))
    return found


def _limits(table: object) -> object:
    from hardware_priors.leaves import checked_leaf

    found: dict[str, str] = {}
    if not isinstance(table, dict):
        return table
    for name, value in table.items():
        if name not in LIMITS and name != RACK_POWER:
            raise ValueError(f"unknown limit {name!r}; {nearest(name, [*LIMITS, RACK_POWER])}")
        found[name] = _text(name, value, _unit(name, LIMITS))
        checked_leaf(LIMITS.get(name, "cooling.package_power"), parse(found[name]))
    if "tdp" in found and "package_power" in found:
        raise ValueError("tdp and package_power are one limit; expected one of them")
    return found


Overrides = Annotated[dict[str, str], BeforeValidator(_overrides)]
"""Leaves of the technology with their values, ``{"memory.layer_price": "40 $"}``."""

OwnLimits = Annotated[dict[str, str], BeforeValidator(_limits)]
"""Limits with their values, ``{"package_power": "1 kW"}``."""


def leaves_of(overrides: Mapping[str, str], limits: Mapping[str, str]) -> dict[str, float]:
    """Values of leaves by name [SI], those that limits set among them.

    >>> leaves_of({"memory.layer_price": "40 $"}, {"tdp": "1 kW", "rack_power": "100 kW"})
    {'memory.layer_price': 40.0, 'cooling.package_power': 1000.0}
    """
    own = {LIMITS[name]: text for name, text in limits.items() if name != RACK_POWER}
    return {leaf: parse(text) for leaf, text in {**overrides, **own}.items()}
