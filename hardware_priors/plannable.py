"""Devices of the catalogue, or of one's own, as ``codesign.plan`` wants them."""

import dataclasses
from collections.abc import Mapping
from functools import cache

import jax
import jax.numpy as jnp

from codesign.calibration.execution import ANY_ENGINE, calibrated
from codesign.calibration.names import Engine
from codesign.calibration.profile import Profile
from codesign.calibration.structures import formats_of
from codesign.hardware.technology import Technology
from codesign.performance.execution import Execution
from codesign.performance.schedules import Operatorwise
from codesign.planning.machine import Machine
from codesign.workload.precision import PARTS, Precision
from hardware_priors.devices import Device, device_names
from hardware_priors.machines import machine_of
from hardware_priors.own_device import OwnDevice
from hardware_priors.technologies import technology


def on_sale() -> list[str]:
    """Devices of data centres that were or will be sold, by their short names.

    >>> "h200" in on_sale(), "xpu-hbm3" in on_sale(), "rtx-4090" in on_sale()
    (True, False, False)
    """
    return [name for name in device_names() if Device(name).market == "datacentre"]


def computable(device: Device | OwnDevice, precision: Precision) -> Precision:
    """The same storage, with arithmetic no narrower than the device has faster products for."""
    narrowest = float(precision.compute_bits)
    peaks = {
        bits: float(device.design(1, bits).peak_flops)
        for bits in (narrowest, 8.0, 4.0)
        if bits <= narrowest
    }
    for bits, peak in peaks.items():
        narrowest = bits if peak > 1.01 * peaks[narrowest] else narrowest
    own = {name: part for name in PARTS if (part := getattr(precision, name)) is not None}
    wide = {
        name: dataclasses.replace(part, input_bits=jnp.maximum(part.input_bits, narrowest))
        for name, part in own.items()
    }
    return dataclasses.replace(precision, **wide)


def plannable(
    device: Device | OwnDevice,
    precision: Precision,
    *,
    profile: Profile | None = None,
    engine: Engine = ANY_ENGINE,
    model: str = "",
    execution: Execution | None = None,
    hourly: float | None = None,
    price: float | None = None,
    cooling: str = "cold-plate",
    price_basis: str = "builder",
) -> Machine:
    """A device with what it computes the model in, its technology and its execution.

    Args:
        device: of the catalogue, or of one's own.
        precision: as the model is stored; arithmetic is widened to what the device is fast at.
        profile: calibrates the execution (``hardware_priors.profiles.profile``).
        engine: serving software, for a calibrated execution.
        model: catalogue name, for a calibrated execution.
        execution: where no profile is given; ``Operatorwise()`` unless told.
        hourly, price: own prices of one chip [USD/h], [USD]; where neither is given, those that a
            device of one's own states.
        cooling, price_basis: as ``hardware_priors.technology`` has them.

    Raises:
        ValueError: a rate or a technology that is not published, by its name.

    >>> from codesign import uniform
    >>> from hardware_priors.devices import device
    >>> plannable(device("h200"), uniform(8)).domain
    8
    """
    key = (
        jax.tree.structure(precision),
        *map(float, jax.tree.leaves(precision)),
        *(id(profile), engine, model, cooling, price_basis),
    )
    known = _KNOWN.setdefault(key, {}) if execution is None and isinstance(device, Device) else {}
    if device.name not in known:
        known[device.name] = (
            _plannable(device, precision, profile, engine, model, execution, cooling, price_basis),
            profile,
        )
    if hourly is None and price is None and isinstance(device, OwnDevice):
        hourly, price = device.own_hourly, device.own_price
    return dataclasses.replace(known[device.name][0], hourly=hourly, price=price)


_KNOWN: dict[object, dict[str, tuple[Machine, object]]] = {}
"""Machines of the catalogue already put together, by what they depend on; a profile stays with its
machines, so that its identity stays its own."""


def _plannable(
    device: Device | OwnDevice,
    precision: Precision,
    profile: Profile | None,
    engine: Engine,
    model: str,
    execution: Execution | None,
    cooling: str,
    price_basis: str,
) -> Machine:
    own = computable(device, precision)
    bits = float(own.compute_bits)
    chosen = execution or Operatorwise()
    if profile is not None:
        chosen = calibrated(profile, machine_of(device), formats_of(own), engine, model)
    latencies = device.sync_latencies if isinstance(device, Device) else None
    return Machine(
        name=device.name,
        design=device.design(1, bits),
        technology=_technology(
            *device.technology_names(), cooling, price_basis, device.machine_class
        ),
        precision=own,
        execution=chosen,
        sync_latencies=latencies,
        announced=isinstance(device, Device) and device.status == "announced",
    )


@cache
def _technology(
    node: str, memory: str, link: str, cooling: str, price_basis: str, machine_class: str
) -> Technology:
    return technology(
        *(node, memory, link, cooling), price_basis=price_basis, machine_class=machine_class
    )


def priced(text: Mapping[str, float], name: str) -> float | None:
    """A device's own price of a table by names, that of all under the empty name."""
    return text.get(name, text.get(""))
