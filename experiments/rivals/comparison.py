"""Which devices a scenario is compared with, and which of them are of its generation."""

from typing import NamedTuple

import hardware_priors
from experiments.scenarios.schema import Scenario
from hardware_priors.devices import Device
from hardware_priors.own_device import OwnDevice
from hardware_priors.prior import lookup

WHY_NOT = {"desktop": "made for desktops", "study": "a chip of a limit study, never built"}
"""Reasons by ``Device.market``, of devices that are compared only where a scenario names them."""

ANNOUNCED = "announced"
"""``Device.status`` of what nobody can buy yet."""


class Compared(NamedTuple):
    """One device of a comparison: its technology, and whether the scenario designs for the same
    generation."""

    name: str
    device: Device | OwnDevice
    year: int | None
    technology: tuple[str, str, str] | None  # node, memory, link
    same_generation: bool
    absent_because: str
    announced: bool = False


def compared(scenario: Scenario) -> list[Compared]:
    """The devices a scenario names, else the whole catalogue; those of its generation first, then
    the newest.

    Left out, with the reason: what no datacentre runs and nobody asked for.
    """
    named = scenario.compare.devices
    found = [
        _one(name, scenario, asked=bool(named)) for name in named or hardware_priors.device_names()
    ]
    return sorted(found, key=lambda one: (not one.same_generation, -(one.year or 0)))


def _one(name: str, scenario: Scenario, *, asked: bool) -> Compared:
    device = hardware_priors.device(name)
    technology, why = None, ""
    try:
        technology = device.technology_names()
    except ValueError as error:
        why = str(error)
    market = device.market if isinstance(device, Device) else "datacentre"
    if market != "datacentre" and not asked:
        why = WHY_NOT.get(market, f"made for another market: {market}")
    year = device.year if isinstance(device, Device) else None
    announced = isinstance(device, Device) and device.status == ANNOUNCED
    same = technology is not None and of_its_generation(technology[1], scenario)
    same = same and not (
        announced and year is not None and year > first_year(technology[1] if technology else "")
    )
    return Compared(device.name, device, year, technology, same, why, announced)


def of_its_generation(memory: str, scenario: Scenario) -> bool:
    """Whether a device's memory is one that the scenario designs with.

    A generation is told by its memory: it bounds decode, and it comes with a year's process,
    package and links. What is only announced, for a later year than the memory's first, is a plan
    and not of the generation.
    """
    return memory in {
        name
        for machine in scenario.machines
        for name in machine.memory or scenario.technology.memory
    }


def first_year(memory: str) -> int:
    """The year for which the catalogue knows a memory."""
    return lookup("memory", memory, "stack_bandwidth").year
