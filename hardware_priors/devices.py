"""Devices: machines on sale, announced or studied, and the design that so many of them make."""

import csv
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from pathlib import Path

import numpy as np

from codesign.hardware.design import Design
from hardware_priors.own_device import SHOWN, OwnDevice, read_device
from hardware_priors.prior import Prior, lookup, names
from hardware_priors.prior import find as find_prior
from hardware_priors.quantities import formatted, nearest
from hardware_priors.technologies import scale_out_port

FLOATING_FORMATS = {4: ("peak_fp4",), 8: ("peak_fp8",), 16: ("peak_bf16", "peak_fp16")}
"""Dense peaks by width [bit] that serve floating-point weights and activations; integer peaks do
not."""

_WHERE_KNOWN = {
    "sram_capacity": ("sram_total", "sram_LLC", "sram_L2", "sram_CMEM"),
    "sram_bandwidth": ("sram_bw", "sram_LLC_bw", "sram_L2_bw"),
    "dies": ("dies",),
    "pool_capacity": ("lpddr_capacity",),
    "pool_bandwidth": ("lpddr_bandwidth",),
}
"""Fields of a design that keep its default where the catalogue has none of these facts; the first
fact found counts."""


def _read(file: str) -> list[dict[str, str]]:
    path = resources.files("hardware_priors") / "data" / f"{file}.csv"
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


@cache
def _labels() -> dict[str, dict[str, str]]:
    """name → quantity → text, for the facts that are names (process, memory type, technology)."""
    table: dict[str, dict[str, str]] = {}
    for row in _read("labels"):
        table.setdefault(row["name"], {})[row["quantity"]] = row["text"]
    return table


@cache
def refused_devices() -> dict[str, str]:
    """Devices that people ask for and the catalogue leaves out: name → why, in half a sentence.

    >>> refused_devices()["trainium4"]
    'only ratios to Trainium3 are published (3 x FP8, 4 x bandwidth)'
    """
    return {row["name"]: row["reason"] for row in _read("refused")}


def device_names() -> list[str]:
    """The short names of the catalogue.

    >>> "h100" in device_names()
    True
    """
    return names("devices")


@dataclass(frozen=True)
class Device:
    """One device of the catalogue: its facts with their sources, and what a machine of it can
    do."""

    name: str

    @property
    def full_name(self) -> str:
        """As its vendor writes it."""
        return _labels()[self.name]["full_name"]

    def find(self, quantity: str) -> Prior | None:
        """A fact in the units of its source, or None where none was found."""
        return find_prior("devices", self.name, quantity)

    def fact(self, quantity: str) -> Prior:
        """A fact in the units of its source.

        Raises:
            ValueError: nobody published it; names the device and the quantity.
        """
        prior = self.find(quantity)
        if prior is None:
            raise ValueError(
                f"{self.name}: no {quantity} is published; state it in a TOML file of your own"
            )
        return prior

    @cached_property
    def priors(self) -> dict[str, Prior]:
        """All its facts by quantity, in the units of their sources."""
        from hardware_priors.prior import load

        ordered = sorted(
            (prior for prior in load("devices") if prior.name == self.name),
            key=lambda prior: prior.year,
        )
        return {prior.quantity: prior for prior in ordered}

    @property
    def tdp(self) -> Prior | None:
        """Rated power [W]: a cap, not consumption."""
        return self.find("tdp")

    @property
    def die_area(self) -> Prior | None:
        """Logic silicon of the package [mm^2], all dies together."""
        return self.find("die_area")

    @property
    def stacks(self) -> Prior | None:
        """Memory stacks on the package [1]."""
        return self.find("stacks")

    @property
    def bom(self) -> Prior | None:
        """Estimated bill of materials [USD]."""
        return self.find("bom")

    @property
    def price(self) -> Prior | None:
        """Estimated selling price [USD]."""
        return self.find("price")

    @property
    def year(self) -> int | None:
        """The year its main memory is published for, that of its generation; None where nobody
        described it."""
        memory = self.find("memory_bandwidth")
        return None if memory is None else memory.year

    @property
    def market(self) -> str:
        """Whom it is for: ``"datacentre"``, or what the catalogue labels it: ``"desktop"``,
        ``"study"`` (never built).

        >>> device("h100").market, device("xpu-hbm3").market
        ('datacentre', 'study')
        """
        return _labels()[self.name].get("market", "datacentre")

    @property
    def status(self) -> str:
        """How well it is known: ``"two sources"``, ``"single source"``, ``"announced"`` or
        ``"studied"`` (a design on paper)."""
        return _labels()[self.name].get("status", "two sources")

    @property
    def joined_by(self) -> str:
        """What joins several of them, in words; the name of its links where the catalogue says no
        more."""
        return _labels()[self.name].get("joined_by", self.technology_names()[2])

    @property
    def node(self) -> str:
        """Process as published, or the catalogue's nearest where it is not."""
        return _labels()[self.name].get("process", self.technology_names()[0])

    @property
    def memory_type(self) -> str:
        """Memory as published, or the catalogue's nearest where it is not."""
        return _labels()[self.name].get("memory_type", self.technology_names()[1])

    @property
    def machine_class(self) -> str:
        """What stands around its chips and is bought with them.

        >>> device("h100").machine_class, device("rtx-4090").machine_class
        ('8-way server', 'desktop')
        """
        return _labels()[self.name]["machine_class"]

    def technology_names(self) -> tuple[str, str, str]:
        """(node, memory, link) of :func:`hardware_priors.technology` to price it with.

        >>> device("h100").technology_names()
        ('N4', 'HBM3', 'NVLink4')
        """
        label = _labels()[self.name]
        return label["node"], label["memory"], label["link"]

    def width(self, compute_bits: float) -> int:
        """The width whose peak serves products of ``compute_bits`` [bit] (see ``peak``)."""
        served = self.peak(compute_bits).quantity
        return next(bits for bits, quantities in FLOATING_FORMATS.items() if served in quantities)

    def assumed(self, chips: float) -> list[str]:
        """What no fact of this device says and a machine of so many chips needs, with the value
        that ``design`` takes."""
        design = self.design(
            chips,
            min(bits for bits, names in FLOATING_FORMATS.items() if any(map(self.find, names))),
        )
        needed = [
            name for name in ("sram_capacity",) if not any(map(self.find, _WHERE_KNOWN[name]))
        ]
        if chips > float(design.scale_up_domain):
            needed += (
                [] if self.find("scale_out_bandwidth_bidirectional") else ["scale_out_bandwidth"]
            )
            needed += ["scale_out_latency"]
        return [
            f"{name} {formatted(float(getattr(design, name)), SHOWN.get(name, '1'))}"
            for name in needed
        ]

    def peak(self, compute_bits: float = 8) -> Prior:
        """The dense peak of the narrowest floating-point format at least ``compute_bits`` wide.

        An A100 computes 8-bit floating-point weights at BF16: its int8 peak does not serve them.

        Raises:
            ValueError: no such peak is published.
        """
        for bits in sorted(FLOATING_FORMATS):
            for quantity in FLOATING_FORMATS[bits]:
                if bits >= compute_bits and (prior := self.find(quantity)) is not None:
                    return prior
        published = [quantity for quantity in self.priors if quantity.startswith("peak_")]
        raise ValueError(
            f"{self.name}: no peak_fp{compute_bits:g} or wider is published (found"
            f" {', '.join(published) or 'none'})"
        )

    def sync_latency(self, chips: float) -> float:
        """Time of one exposed minimal collective over ``chips`` chips of one domain [s].

        On a torus: hop latency × half of each ring, d·n^(1/d)/2 hops. Elsewhere one number, or two
        about a threshold.
        """
        return float(self.sync_latencies(np.array([chips]))[0])

    def sync_latencies(self, chips: np.ndarray) -> np.ndarray:
        """``sync_latency`` of several numbers of chips at once [s]."""
        if self.find("hop_latency") is not None:
            dimensions = self.fact("torus_dimensions").value
            rings = np.minimum(chips, self.fact("scale_up_domain").value) ** (1 / dimensions)
            return np.maximum(1.0, dimensions * rings / 2) * self.fact("hop_latency").si.value
        near = self.fact("sync_latency").si.value
        threshold = self.find("sync_threshold")
        if threshold is None:
            return np.full(np.shape(chips), near)
        return np.where(chips > threshold.value, self.fact("sync_latency_beyond").si.value, near)

    def design(self, chips: float, compute_bits: float = 8) -> Design:
        """A machine of so many of these chips, in SI.

        Where the catalogue has none, on-chip SRAM and dies are the defaults of ``Design`` and
        scale-out is the port that machines of its class have a chip: 400 Gbit/s InfiniBand in racks
        and eight-way servers; scale-out latency is the one measured between two InfiniBand nodes.

        Args:
            chips: number of chips, ≥ 1.
            compute_bits: width of the floating-point format of the products [bit].

        Raises:
            ValueError: fewer than one chip, or a quantity that nobody published, by its name.

        >>> h100 = device("h100").design(8)
        >>> float(h100.memory_bandwidth), float(h100.link_bandwidth)
        (3350000000000.0, 450000000000.0)
        """
        if not chips >= 1:
            raise ValueError(f"chips = {chips!r}: expected at least 1")
        scale_out = self.find("scale_out_bandwidth_bidirectional")
        one_way = scale_out.si.value / 2 if scale_out else scale_out_port(self.machine_class)
        quantities: dict[str, float] = {
            "memory_bandwidth": self.fact("memory_bandwidth").si.value,
            "memory_capacity": self.fact("memory_capacity").si.value,
            "peak_flops": self.peak(compute_bits).si.value,
            "chips": float(chips),
            "sync_latency": self.sync_latency(chips),
            "link_bandwidth": self.fact("scale_up_bandwidth_bidirectional").si.value / 2,
            "scale_up_domain": self.fact("scale_up_domain").si.value,
            "scale_out_bandwidth": one_way,
            "scale_out_latency": (
                lookup("links", "all-reduce 16 H20, 2 nodes, IB NDR", "latency_small").si.value
            ),
        }
        for field, facts in _WHERE_KNOWN.items():
            known = next(
                (prior for quantity in facts if (prior := self.find(quantity)) is not None), None
            )
            if known is not None:
                quantities[field] = known.si.value
        if self.tdp is not None:
            quantities["power_cap"] = self.tdp.si.value
        return Design(**quantities)


def device(name: str) -> "Device | OwnDevice":
    """A device of the catalogue by its short name, or one of your own by its TOML file.

    Args:
        name: ``"h100"`` (upper and lower case alike), or a path ending in ``.toml``
            (see :mod:`hardware_priors.own_device`).

    Raises:
        ValueError: unknown name, with the nearest of the catalogue; a name left out of it, with the
            reason.

    >>> device("H100").full_name
    'NVIDIA H100 SXM5'
    """
    if str(name).endswith(".toml"):
        return read_device(Path(name))
    folded = str(name).casefold()
    if folded in refused_devices():
        raise ValueError(
            f"{folded}: not in the catalogue, because {refused_devices()[folded]}; state it in a"
            " TOML file of your own"
        )
    if folded not in device_names():
        raise ValueError(
            f"unknown device {name!r}; did you mean {nearest(folded, device_names())!r}?"
        )
    return Device(folded)
