"""Devices of the catalogue as ``codesign.calibration`` wants them."""

import math
from functools import cache

from codesign.calibration.machine import Machine
from hardware_priors.devices import Device, device
from hardware_priors.families import catalogue_name, family
from hardware_priors.own_device import OwnDevice


@cache
def machine(name: str, chips: float = 8.0) -> Machine:
    """The machine of a catalogue name; ``chips`` chooses the sync latency where it depends on their
    number.

    >>> machine("h100").architecture
    'hopper'
    """
    return machine_of(device(name), chips)


def machine_of(found: Device | OwnDevice, chips: float = 8.0) -> Machine:
    """The machine of a device of the catalogue, or of one of your own, which is a family of its
    own.

    Raises:
        ValueError: a rate that is needed is not published, by its name.
    """
    name = found.name
    design = found.design(max(chips, 1.0), compute_bits=16)
    vendor, architecture = family(name)
    if isinstance(found, Device):
        peaks = tuple(found.peak(bits).si.value for bits in (16, 8, 4))
        power = None if found.tdp is None else found.tdp.si.value
    else:
        peaks = tuple(float(found.design(max(chips, 1.0), bits).peak_flops) for bits in (16, 8, 4))
        power = found.own_power
    return Machine(
        name=name,
        vendor=vendor,
        architecture=architecture,
        memory_bandwidth=float(design.memory_bandwidth),
        memory_capacity=float(design.memory_capacity),
        peaks=(peaks[0], peaks[1], peaks[2]),
        link_bandwidth=float(design.link_bandwidth),
        scale_up_domain=float(design.scale_up_domain),
        scale_out_bandwidth=float(design.scale_out_bandwidth),
        scale_out_latency=float(design.scale_out_latency),
        sync_latency=float(design.sync_latency),
        rated_power=math.nan if power is None else power,
    )


@cache
def find_machine(printed: str, chips: float = 8.0) -> Machine | None:
    """The machine of a device name as a source prints it, or None where the catalogue does not have
    it or lacks its rates."""
    name = catalogue_name(printed)
    if name is None:
        return None
    try:
        return machine(name, chips)
    except ValueError:
        return None
