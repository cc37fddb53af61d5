"""Technologies: process node, memory, links, packaging, cooling and prices, put together from the
priors.

Every float leaf of a :class:`codesign.hardware.technology.Technology` is one row of a data file,
found by :func:`technology_priors`, so that each number of a result can be traced to its source.
"""

from collections.abc import Mapping
from typing import Protocol, Unpack, cast, runtime_checkable

from codesign.hardware import technology as parts
from codesign.hardware.technology import Technology
from codesign.numerics.fields import units_of
from hardware_priors.choices import Names, choice
from hardware_priors.leaves import FLEET_POWER, PARTS, checked_utilisation, stated_prior
from hardware_priors.prior import Prior, find, lookup
from hardware_priors.quantities import same_kind

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
    basis, built = chosen["price_basis"], chosen["machine_class"]
    names = {
        "logic": [built, chosen["node"], "any node"],
        "memory": [chosen["memory"], "any memory"],
        "pool": [chosen["pool"], "any memory"],
        "links": [chosen["link"], "any link"],
        "packaging": [built, chosen["packaging"], "any packaging"],
        "cooling": [built, chosen["cooling"], "any cooling"],
        "economics": [f"{basis} {built}", basis, built, chosen["region"], "data centre"],
        "attainable": ["kernels"],
        "development": [chosen["node"]],
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
    machine_class: str = "scale-up rack",
    region: str = "US",
    stated: Mapping[str, float] | None = None,
) -> dict[str, Prior]:
    """The fact behind every leaf of a technology, keyed ``"logic.matrix_density"``, in the units of
    its source; what is ``stated`` is certain, and its source is who states it.

    ``prior.si.value`` equals the leaf (but for an overridden utilisation).

    Raises:
        ValueError: an unknown choice or leaf, with the nearest on offer; a stated value that no
            such leaf has.

    >>> technology_priors("N4", "HBM3")["logic.wafer_price"].value
    16500.0
    >>> technology_priors(stated={"memory.layer_price": 40.0})["memory.layer_price"].source
    'stated by the user'
    """
    asked = {"node": node, "memory": memory, "link": link, "cooling": cooling}
    asked |= {"price_basis": price_basis, "packaging": packaging, "pool": pool}
    asked |= {"machine_class": machine_class, "region": region}
    chosen = {argument: choice(argument, name) for argument, name in asked.items()}
    own = {leaf: stated_prior(leaf, value) for leaf, value in (stated or {}).items()}
    developed = FLEET_POWER in own
    for leaf in own:
        if leaf.startswith("development.") and not developed:
            raise ValueError(f"{leaf} has no effect without a fleet's power, which bears it")
    modules = {**PARTS, "development": parts.Development} if developed else PARTS
    return {
        key: own.get(key) or _prior_of(part, leaf, unit, chosen)
        for part, module in modules.items()
        for leaf, unit in units_of(module).items()
        for key in (f"{part}.{leaf}",)
    }


def assemble(leaves: dict[str, object]) -> Technology:
    """A technology from its leaves in SI, keyed as :func:`technology_priors` does."""
    return Technology(
        **{
            part: module(**{leaf: leaves[f"{part}.{leaf}"] for leaf in units_of(module)})
            for part, module in {**PARTS, "development": parts.Development}.items()
            if part in PARTS or FLEET_POWER in leaves
        }
    )


def technology(
    node: str = "N3",
    memory: str = "HBM4",
    link: str = "NVLink5",
    cooling: str = "cold-plate",
    price_basis: str = "builder",
    utilisation: float | None = None,
    packaging: str = "CoWoS-L",
    pool: str = "photonic-pool",
    machine_class: str = "scale-up rack",
    region: str = "US",
    stated: Mapping[str, float] | None = None,
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
        machine_class: what stands around the chips and is bought with them.
        region: whose electricity is paid.
        stated: numbers of one's own by leaf, ``{"memory.layer_price": 40.0}``, in SI; with
            ``development.fleet_power``, the fleet of so many watts bears what its chip cost to
            develop.

    Raises:
        ValueError: an unknown choice or leaf, with the nearest on offer; a stated value that no
            such leaf has.

    >>> round(float(technology("N4", "HBM3E").memory.stack_bandwidth) / 1e12, 2)
    1.18
    """
    priors = technology_priors(
        *(node, memory, link, cooling, price_basis, packaging, pool, machine_class, region),
        stated=stated,
    )
    leaves: dict[str, object] = {key: prior.si.value for key, prior in priors.items()}
    if utilisation is not None:
        leaves["economics.utilisation"] = checked_utilisation(utilisation)
    return assemble(leaves)


@runtime_checkable
class Priced(Protocol):
    """A device that says what prices it."""

    @property
    def machine_class(self) -> str:
        """What stands around its chips."""
        ...

    def technology_names(self) -> tuple[str, str, str]:
        """Node, memory and link."""
        ...


def technology_of(
    device: Priced, stated: Mapping[str, float] | None = None, **choices: Unpack[Names]
) -> Technology:
    """The technology to price a device with: its own node, memory, links and machine class.

    Args:
        device: of the catalogue, or of one's own.
        stated: numbers of one's own, as :func:`technology` takes them.
        choices: the other arguments of :func:`technology`.

    Raises:
        ValueError: a device that states no technology, or an unknown choice.

    >>> from hardware_priors.devices import device
    >>> float(technology_of(device("rtx-4090")).economics.facility_price)
    1.0
    """
    node, memory, link = device.technology_names()
    own = Names(node=node, memory=memory, link=link, machine_class=device.machine_class)
    own.update(choices)
    return technology(**own, stated=stated)


def scale_out_port(machine_class: str) -> float:
    """Bandwidth of the network port that a chip has in a machine of a class, one direction [B/s].

    >>> scale_out_port("8-way server"), scale_out_port("desktop")
    (50000000000.0, 1250000000.0)
    """
    own = find("links", machine_class, "scale_out_bandwidth")
    return (own or lookup("links", "InfiniBand NDR", "bw_per_port")).si.value


def unsourced(technology_choices: dict[str, str] | None = None) -> dict[str, Prior]:
    """The leaves of a technology whose number nobody has sourced yet: to be told to the user.

    Args:
        technology_choices: arguments of :func:`technology_priors`; defaults when left out.

    >>> sorted(unsourced({"memory": "HBM4"}))
    ['links.price', 'packaging.substrate_modulus']
    """
    return {
        key: prior
        for key, prior in technology_priors(**cast(Names, technology_choices or {})).items()
        if prior.flagged
    }
