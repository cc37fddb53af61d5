"""Published areas and powers of devices, and ours of the same."""

import dataclasses

import equinox as eqx
import numpy as np

from codesign.numerics.fields import real
from experiments.reproductions.fit import (
    Coefficient,
    Machine,
    Model,
    side_by_side,
)
from hardware_priors.devices import Device, device_names
from hardware_priors.prior import Prior, lookup
from hardware_priors.sampling import NORMAL_QUANTILE_95
from hardware_priors.technologies import technology

TOLERANCE = {"area": 0.15, "power": 0.25, "bill of materials": 0.15}
"""Relative error that counts as within; also the spread of the model about a figure in the fit."""


NAMED = ("a100", "h100", "h200", "b200", "mi300x", "tpu-v6e", "tpu-v7", "trainium2")
"""The devices that the target of the summary is stated for."""


FACTS = {
    "area": ("die_area", "mm^2", 1e-6),
    "power": ("tdp", "W", 1.0),
    "bill of materials": ("bom", "USD", 1.0),
}
"""Published fact of each quantity, the unit of the table, and that unit in SI."""


NOT_PUBLISHED = {("rubin", "die_area"): "two dies of at most one reticle: a bound, not a figure"}


NOT_FITTED = {
    "l40s": "its die holds graphics, for which the model has no word",
    "rtx-4090": "its die holds graphics, for which the model has no word",
    "mi325x": (
        "a bill below the price of its memory alone (256 GB at the 15.1 USD/GB that the same site"
        " states for HBM3E)"
    ),
}
"""Devices that are predicted and judged but never fitted on, with the reason."""


STACK_HEIGHTS = (1, 2, 4, 8, 12, 16)
"""Layers of the stacks on sale (1 and 2: GDDR devices on one side or both of the board)."""


def free_coefficients() -> list[Coefficient]:
    """What is fitted; everything else of a technology stays at its nominal value."""
    classes = (("N7", ("N7",)), ("N5", ("N5", "N4")), ("N3", ("N3",)))
    per_node = [
        Coefficient(
            f"{word}, {'/'.join(nodes)}", (f"logic.{leaf}",), lookup("logic", row, leaf), nodes
        )
        for leaf, word in (
            ("matrix_density", "matrix density"),
            ("matrix_energy", "energy per FLOP"),
        )
        for row, nodes in classes
    ]
    macro, cache_density = (
        lookup("memory", "SRAM", "effective_density_scratchpad_N5"),
        lookup("logic", "N5", "sram_density"),
    )
    common = [
        ("cache density", ("logic.sram_density",), cache_density),
        ("scratchpad over cache density", ("scratchpad",), macro),
        ("fixed area of a die", ("logic.fixed_area",), lookup("logic", "any node", "fixed_area")),
        (
            "area overhead",
            ("logic.overhead_fraction",),
            lookup("logic", "any node", "overhead_fraction"),
        ),
        (
            "die-to-die area",
            ("packaging.die_to_die_area",),
            lookup("packaging", "CoWoS-L", "die_to_die_area"),
        ),
        ("leakage", ("logic.leakage",), lookup("logic", "any node", "leakage")),
        (
            "memory access energy",
            ("memory.access_energy",),
            lookup("memory", "HBM3E", "access_energy"),
        ),
        (
            "memory price",
            ("memory.stack_price", "memory.layer_price"),
            lookup("memory", "HBM3E", "layer_price"),
        ),
        (
            "package price per area",
            ("packaging.area_price",),
            lookup("packaging", "CoWoS-L", "area_price"),
        ),
        (
            "assembly price",
            ("packaging.assembly_price",),
            lookup("packaging", "any packaging", "assembly_price"),
        ),
        (
            "multi-die loss",
            ("packaging.multi_die_price",),
            lookup("packaging", "CoWoS-L", "multi_die_price"),
        ),
    ]
    return per_node + [Coefficient(name, leaves, prior) for name, leaves, prior in common]


def vendor(name: str) -> str:
    """Who sells a device: the first word of its full name."""
    return Device(name).full_name.split()[0]


def published(name: str, quantity: str) -> Prior | None:
    """The published figure of a device, or None."""
    fact = FACTS[quantity][0]
    return None if (name, fact) in NOT_PUBLISHED else Device(name).find(fact)


def not_compared() -> dict[str, str]:
    """Devices with a published figure that the model cannot be asked about, with the reason."""
    reasons = {}
    for name in device_names():
        device = Device(name)
        if not any(published(name, quantity) for quantity in FACTS):
            continue
        if device.technology_names()[1] == "SRAM":
            reasons[name] = "its main memory is SRAM, which the area model charges as cache too"
        elif device.find("stacks") is None:
            reasons[name] = "its number of memory stacks is not in the catalogue"
    return reasons


def compared() -> list[str]:
    """Devices of the table."""
    skipped = not_compared()
    return [
        name
        for name in device_names()
        if name not in skipped and any(published(name, quantity) for quantity in FACTS)
    ]


def layers_per_stack(capacity: float, stacks: float, layer_capacity: float) -> int:
    """Fewest layers on sale that hold a device's capacity [1].

    A tenth is forgiven: vendors write GiB as GB, and the layers of a page are rounded the same way.

    >>> layers_per_stack(141e9, 6, 3e9), layers_per_stack(192e9, 8, 2e9)
    (8, 12)
    """
    needed = 0.9 * capacity / (stacks * layer_capacity)
    return next((height for height in STACK_HEIGHTS if height >= needed), STACK_HEIGHTS[-1])


def machine(name: str) -> Machine:
    """A device in the model's words, at its 16-bit peak (8-bit where it publishes none).

    The memory is the one on the package: as many stacks as were built, each at the share of the
    bandwidth it runs at, below the most that its generation allows, and with whole layers.
    """
    device = Device(name)
    node, memory, link = device.technology_names()
    technologies = technology(node, memory, link)
    bits = 16 if device.find("peak_bf16") or device.find("peak_fp16") else 8
    design = device.design(1, bits)
    if bits == 8:  # 16-bit rate of the same matrix units
        design = eqx.tree_at(
            lambda d: d.peak_flops, design, design.peak_flops / technologies.logic.density_gain_8bit
        )
    stacks = device.fact("stacks").value
    height = layers_per_stack(
        float(design.memory_capacity), stacks, float(technologies.memory.layer_capacity)
    )
    own = (design.memory_bandwidth / stacks, design.memory_capacity / (stacks * height))
    density = technologies.logic.sram_density
    if scratchpad(name):
        gain = (
            lookup("memory", "SRAM", "effective_density_scratchpad_N5").si.value
            / lookup("logic", "N5", "sram_density").si.value
        )
        density = density * gain
    technologies = eqx.tree_at(
        lambda t: (t.memory.stack_bandwidth, t.memory.layer_capacity, t.logic.sram_density),
        technologies,
        (*own, density),
    )
    base = technology("N7", memory, link)  # N6 is a shrink of N7 with the same cells of SRAM
    base = eqx.tree_at(lambda t: (t.memory.stack_bandwidth, t.memory.layer_capacity), base, own)
    dies = device.find("base_dies")
    return Machine(design, technologies, base, real(dies.value if dies else 0.0))


def scratchpad(name: str) -> bool:
    """Whether software manages the SRAM of a device: no tags, no crossbar, denser than a cache."""
    return Device(name).find("sram_total") is not None


@dataclasses.dataclass(frozen=True)
class Case:
    """The comparison as arrays: devices down, quantities across, SI."""

    names: tuple[str, ...]
    vendors: tuple[str, ...]
    published: np.ndarray
    sigma: np.ndarray
    model: Model


def case() -> Case:
    """Everything published, and the model of every device."""
    names = compared()
    figures, sigma = np.full((len(names), len(FACTS)), np.nan), np.ones((len(names), len(FACTS)))
    for row, name in enumerate(names):
        for column, quantity in enumerate(FACTS):
            if (fact := published(name, quantity)) is not None:
                spread = np.log(fact.high / fact.low) / (2 * NORMAL_QUANTILE_95)
                figures[row, column], sigma[row, column] = (
                    fact.si.value,
                    np.hypot(TOLERANCE[quantity], spread),
                )
    nodes = [(Device(name).technology_names()[0], "N7") for name in names]
    model = side_by_side(
        [machine(name) for name in names],
        nodes,
        [scratchpad(name) for name in names],
        free_coefficients(),
    )
    return Case(tuple(names), tuple(vendor(name) for name in names), figures, sigma, model)
