"""Technologies: process node, memory, links, packaging, cooling and prices, put together from the
priors.

Every float leaf of a :class:`codesign.hardware.technology.Technology` is one row of a data file,
found by :func:`technology_priors`, so that each number of a result can be traced to its source.
"""

from codesign.hardware import technology as parts
from codesign.hardware.technology import Technology
from codesign.numerics.fields import units_of
from hardware_priors.prior import Prior, find
from hardware_priors.quantities import nearest, same_kind

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
}
CHOICES["pool"] = CHOICES["memory"]
"""What can be chosen, by argument of :func:`technology`; the first of packaging and price_basis is
the default."""

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
"""The parts of a technology; each has a data file of its own name, but the pool: it is a memory."""

ZERO_BY_CONSTRUCTION = {
    "GDDR6": ("footprint",),
    "GDDR6X": ("footprint",),
    "GDDR7": ("footprint",),
    "LPDDR5X": ("footprint",),
    "DDR5": ("footprint",),
    "photonic-pool": ("footprint",),
    "3D-DRAM": ("edge", "footprint"),
    "SRAM": ("stack_price", "layer_price", "edge", "footprint", "thermal_coupling", "staged"),
}
"""The only leaves that may be zero: a device on the board takes no package area, a stack on the die
takes no edge, and on-chip SRAM is paid as logic area (``phy_area``), bears what logic bears, and
has no other SRAM beside it."""


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


def _candidates(part: str, leaf: str, chosen: dict[str, str]) -> list[tuple[str, str]]:
    """Where the row of a leaf may lie, most specific first, as (name, quantity)."""
    if part in ("memory", "pool") and leaf == "phy_area":
        # A PHY does not shrink but its controller does, so the area on the logic die depends on the
        # node too.
        return [(chosen[part], leaf), ("HBM", f"{leaf}_{chosen['node']}")]
    if (part, leaf) == ("logic", "sram_density") and chosen["memory"] == "SRAM":
        return [
            ("SRAM as memory", leaf)
        ]  # arrays that software manages, without the tags and crossbar of a cache
    names = {
        "logic": [chosen["node"], "any node"],
        "memory": [chosen["memory"], "any memory"],
        "pool": [chosen["pool"], "any memory"],
        "links": [chosen["link"], "any link"],
        "packaging": [chosen["packaging"], "any packaging"],
        "cooling": [chosen["cooling"], "any cooling"],
        "economics": [chosen["price_basis"], "data centre"],
        "attainable": ["kernels"],
    }[part]
    return [(name, leaf) for name in names]


def _prior_of(part: str, leaf: str, unit: str, chosen: dict[str, str]) -> Prior:
    file = "memory" if part == "pool" else part
    for name, quantity in _candidates(part, leaf, chosen):
        prior = find(file, name, quantity)
        if prior is not None:
            if not same_kind(prior.unit, unit):
                raise ValueError(
                    f"{file}.csv: {name} {quantity} is in {prior.unit!r}, which does not convert to"
                    f" {unit!r}"
                )
            return prior
    raise ValueError(f"{file}.csv has no row for {part}.{leaf} of {chosen}")


def technology_priors(
    node: str = "N3",
    memory: str = "HBM4",
    link: str = "NVLink5",
    cooling: str = "cold-plate",
    price_basis: str = "builder",
    packaging: str = "CoWoS-L",
    pool: str = "photonic-pool",
) -> dict[str, Prior]:
    """The fact behind every leaf of a technology, keyed ``"logic.matrix_density"``, in the units of
    its source.

    ``prior.si.value`` equals the leaf (but for an overridden utilisation).

    Raises:
        ValueError: an unknown choice, with the nearest on offer.

    >>> technology_priors("N4", "HBM3")["logic.wafer_price"].value
    16500.0
    """
    stated = {"node": node, "memory": memory, "link": link, "cooling": cooling}
    stated |= {"price_basis": price_basis, "packaging": packaging, "pool": pool}
    chosen = {argument: choice(argument, name) for argument, name in stated.items()}
    return {
        f"{part}.{leaf}": _prior_of(part, leaf, unit, chosen)
        for part, module in PARTS.items()
        for leaf, unit in units_of(module).items()
    }


def assemble(leaves: dict[str, object]) -> Technology:
    """A technology from its leaves in SI, keyed as :func:`technology_priors` does."""
    return Technology(
        **{
            part: module(**{leaf: leaves[f"{part}.{leaf}"] for leaf in units_of(module)})
            for part, module in PARTS.items()
        }
    )


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


def technology(
    node: str = "N3",
    memory: str = "HBM4",
    link: str = "NVLink5",
    cooling: str = "cold-plate",
    price_basis: str = "builder",
    utilisation: float | None = None,
    packaging: str = "CoWoS-L",
    pool: str = "photonic-pool",
) -> Technology:
    """The nominal technology of these choices, every leaf in SI.

    Args:
        node: logic process.
        memory: main memory; SRAM and 3D-DRAM come in tiles of 100 mm² called stacks.
        link: scale-up links.
        cooling: how heat leaves the package.
        price_basis: ``"builder"`` pays the bill of materials; ``"buyer"`` pays one markup on it,
            the same for all devices.
        utilisation: share of the time in which the machine earns [1]; the prior's nominal when
            None.
        packaging: interposer.
        pool: the memory behind a pool, one of those of ``memory``; it costs nothing in a design
            without a pool.

    Raises:
        ValueError: an unknown choice, with the nearest on offer.

    >>> round(float(technology("N4", "HBM3E").memory.stack_bandwidth) / 1e12, 2)
    1.18
    """
    priors = technology_priors(node, memory, link, cooling, price_basis, packaging, pool)
    leaves: dict[str, object] = {key: prior.si.value for key, prior in priors.items()}
    if utilisation is not None:
        leaves["economics.utilisation"] = checked_utilisation(utilisation)
    return assemble(leaves)


def unsourced(technology_choices: dict[str, str] | None = None) -> dict[str, Prior]:
    """The leaves of a technology whose number nobody has sourced yet: to be told to the user.

    Args:
        technology_choices: arguments of :func:`technology_priors`; defaults when left out.

    >>> sorted(unsourced({"memory": "HBM4"}))
    ['links.price', 'packaging.substrate_modulus']
    """
    return {
        key: prior
        for key, prior in technology_priors(**(technology_choices or {})).items()
        if prior.flagged
    }
