"""What a technology is put together from: the names on offer."""

from typing import TypedDict

from hardware_priors.quantities import nearest

CHOICES: dict[str, tuple[str, ...]] = {
    "node": ("N16", "N12", "8N", "N7", "N5", "N4", "N3", "N2"),
    "memory": (
        *(
            "HBM2",
            "HBM2E",
            "HBM3",
            "HBM3E",
            "HBM4",
            "HBM4E",
            "GDDR6",
            "GDDR6X",
            "GDDR7",
            "LPDDR5X",
            "DDR5",
        ),
        *("3D-DRAM", "SRAM", "photonic-pool"),
    ),
    "link": (
        *(
            "NVLink2",
            "NVLink3",
            "NVLink4",
            "NVLink5",
            "NVLink6",
            "Infinity-Fabric",
            "ICI",
            "UALink",
            "Ethernet",
            "InfiniBand",
        ),
        *(
            "HCCS",
            "NeuronLink",
            "Gaudi-RoCE",
            "Xe-Link",
            "PCIe3",
            "PCIe4",
            "PCIe5",
            "PCIe6",
            "Thunderbolt",
        ),
        *("wafer-scale", "co-packaged-optics", "photonic-fabric"),
    ),
    "cooling": ("air", "cold-plate", "direct-to-silicon", "3d-stack"),
    "packaging": ("CoWoS-L", "CoWoS-S", "organic", "glass"),
    "price_basis": ("builder", "buyer"),
    "machine_class": (
        "scale-up rack",
        "8-way server",
        "PCIe server",
        "workstation",
        "desktop",
        "edge",
        "wafer-scale",
    ),
    "region": ("US", "China", "EU", "Germany", "France", "Ireland", "Finland", "Sweden"),
}
CHOICES["pool"] = CHOICES["memory"]
"""What can be chosen, by argument of :func:`technology`; the first of packaging, price_basis,
machine_class and region is the default.

A machine class is what stands around the chips and is bought with them: a rack or server of a data
centre; a server of PCIe cards; a workstation or a desktop computer around one card (professional,
for games); a box complete in itself, on a desk or at the edge; a wafer. Where a class has no number
of its own, the data centre's stands.
"""


class Names(TypedDict, total=False):
    """Names of the parts of a technology, as arguments of :func:`technology`."""

    node: str
    memory: str
    link: str
    cooling: str
    price_basis: str
    packaging: str
    pool: str
    machine_class: str
    region: str


def technology_names() -> dict[str, list[str]]:
    """The choices on offer, by argument of :func:`technology`.

    >>> technology_names()["node"]
    ['N16', 'N12', '8N', 'N7', 'N5', 'N4', 'N3', 'N2']
    """
    return {argument: list(offered) for argument, offered in CHOICES.items()}


def choice(argument: str, name: str) -> str:
    """The offered spelling of a name, upper and lower case alike.

    Raises:
        ValueError: a name not on offer, with the nearest that is.

    >>> choice("memory", "hbm4")
    'HBM4'
    """
    for offered in CHOICES[argument]:
        if offered.casefold() == str(name).casefold():
            return offered
    close = nearest(str(name), list(CHOICES[argument]))
    raise ValueError(
        f"unknown {argument} {name!r}; did you mean {close!r}? On offer:"
        f" {', '.join(CHOICES[argument])}"
    )
