"""A device of one's own, stated in a TOML file with explicit units.

    name = "my chip"                       # optional
    memory_bandwidth = "3.35 TB/s"
    memory_capacity = "96 GiB"
    peak_flops_16bit = "0.99 PFLOP/s"      # dense, by width: 32bit, 16bit, 8bit, 4bit; at least one
    peak_flops_8bit = "1.979 PFLOP/s"
    sync_latency = "1.5 us"
    link_bandwidth = "450 GB/s"            # one direction
    scale_up_domain = 8                    # chips joined by these links; needed beyond one chip
    pool_capacity = "512 GB"               # optional: memory behind the main one, and
    pool_bandwidth = "80 GB/s"             # what a chip streams from it
    technology = ["N3", "HBM4", "NVLink5"] # optional: what to price it with, and
    machine_class = "desktop"              # what stands around its chips; scale-up rack unless told
    price = "35 k$"                        # optional: of a chip with its share of server, network,
    hourly = "2.2 $/h"                     # or of an hour of it with everything in it; not both
    power = "700 W"                        # optional: rated, a cap as vendors publish it

``codesign plan`` takes the prices as its ``--price`` and ``--hourly``, which go before them; the
calibrated execution draws its share of ``power``.

Keys are the fields of :class:`codesign.hardware.design.Design` without ``chips``; those with a
default there may be left out, and ``OwnDevice.assumed`` says which were. ``peak_flops`` is taken
with ``peak_flops_bits``, the width at which it holds; alone, it is taken at 8 bits and halved at
16, which ``OwnDevice.assumed`` says too.
"""

from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path

from codesign.files import own_path, read_toml
from codesign.hardware.design import Design
from codesign.numerics.fields import units_of
from codesign.numerics.units import HOUR
from hardware_priors.quantities import formatted, nearest, parse, require_physical

WIDTHS = (4, 8, 16, 32)
"""Widths of products at which a rate may be stated [bit]."""

SHOWN = {
    "sram_capacity": "MB",
    "sram_bandwidth": "TB/s",
    "scale_out_bandwidth": "GB/s",
    "scale_out_latency": "us",
}
"""Units in which an assumption is told."""

_RATES = {f"peak_flops_{bits}bit": bits for bits in WIDTHS}
_NOT_STATED = ("chips", "peak_flops", "power_cap")  # stated by flags, at a width, as ``power``
_UNITS = {key: unit for key, unit in units_of(Design).items() if key not in _NOT_STATED}
_DEFAULTS = {item.name: item.default for item in fields(Design) if item.default is not MISSING}  # pyright: ignore[reportArgumentType]
_STATED = {"price": "USD", "hourly": "USD/s", "power": "W"}
_KEYS = [*_UNITS, *_RATES, "peak_flops", "peak_flops_bits", "name", "technology", "machine_class"]
_KEYS += _STATED

USUAL_CLASS = "scale-up rack"
"""Machine class of a file that states none."""

LONGEST_NAME = 200
"""Characters of a device's name."""


@dataclass(frozen=True)
class OwnDevice:
    """A device read from a file: what a chip can do, in SI. It has no priors, so no area or bill of
    materials.

    ``rates`` holds the dense matrix rate by width [bit → FLOP/s], ``quantities`` the rest;
    ``width_assumed``: the file states a rate without its width. ``own_price`` [USD] or
    ``own_hourly`` [USD/h] are of one chip, ``own_power`` is its rated power [W].
    """

    name: str
    quantities: dict[str, float] = field(default_factory=dict)
    rates: dict[int, float] = field(default_factory=dict)
    technology: tuple[str, str, str] | None = None
    width_assumed: bool = False
    class_stated: str | None = None
    own_price: float | None = None
    own_hourly: float | None = None
    own_power: float | None = None

    full_name = property(lambda self: self.name)
    tdp = die_area = stacks = bom = price = None

    @property
    def machine_class(self) -> str:
        """What stands around its chips and is bought with them."""
        return self.class_stated or USUAL_CLASS

    def technology_names(self) -> tuple[str, str, str]:
        """(node, memory, link) to price it with.

        Raises:
            ValueError: the file states none.
        """
        if self.technology is None:
            raise ValueError(
                f'{self.name}: no technology is stated; add technology = ["N3", "HBM4", "NVLink5"]'
            )
        return self.technology

    def assumed(self, chips: float) -> list[str]:
        """What the file leaves out and a machine of so many chips takes from ``Design``, with its
        value."""
        silent = {"pool_bandwidth", "pool_capacity", "white_silicon"}  # absent means none
        if chips <= self.quantities.get("scale_up_domain", 1.0):
            silent |= {"scale_up_domain", "scale_out_bandwidth", "scale_out_latency"}
        rate = (
            [f"peak_flops {formatted(self.rates[8], 'PFLOP/s')} at 8 bits and half of it at 16"]
            if self.width_assumed
            else []
        )
        priced = self.technology is not None and self.class_stated is None
        built = [f"machine_class {USUAL_CLASS}"] if priced else []
        return (
            rate
            + [
                f"{key} {formatted(float(default), SHOWN.get(key, _UNITS[key]))}"  # pyright: ignore[reportArgumentType]
                for key, default in {**_DEFAULTS, **self._defaults()}.items()
                if key in _UNITS and key not in self.quantities and key not in silent
            ]
            + built
        )

    def _defaults(self) -> dict[str, float]:
        """What the class of its machine says instead of ``Design``."""
        from hardware_priors.technologies import scale_out_port

        if self.class_stated is None:
            return {}
        return {"scale_out_bandwidth": scale_out_port(self.class_stated)}

    def width(self, compute_bits: float) -> int:
        """The width whose rate serves products of ``compute_bits``: the narrowest stated that is
        wide enough [bit].

        Raises:
            ValueError: no rate that wide is stated.
        """
        wide_enough = [bits for bits in sorted(self.rates) if bits >= compute_bits]
        if not wide_enough:
            stated = ", ".join(f"peak_flops_{bits}bit" for bits in sorted(self.rates))
            needed = next((bits for bits in WIDTHS if bits >= compute_bits), WIDTHS[-1])
            raise ValueError(
                f"{self.name}: no rate for {compute_bits:g}-bit products is stated (found"
                f" {stated}); add peak_flops_{needed}bit"
            )
        return wide_enough[0]

    def design(self, chips: float, compute_bits: float = 8) -> Design:
        """A machine of so many of these chips, at the rate of ``width(compute_bits)``.

        Raises:
            ValueError: fewer than one chip, several without ``scale_up_domain``, or no rate for the
                width.
        """
        if not chips >= 1:
            raise ValueError(f"chips = {chips!r}: expected at least 1")
        domain = self.quantities.get("scale_up_domain")
        if domain is None and chips > 1:
            raise ValueError(
                f"{self.name}: scale_up_domain is missing and {chips:g} chips need it; add"
                " scale_up_domain = N, the number of chips that link_bandwidth joins (those beyond"
                " use scale_out_bandwidth)"
            )
        stated = {
            **self._defaults(),
            **self.quantities,
            "scale_up_domain": domain or 1.0,
            "peak_flops": self.rates[self.width(compute_bits)],
            "power_cap": self.own_power or 0.0,
        }
        return Design(chips=float(chips), **stated)  # pyright: ignore[reportArgumentType]


def _number(path: Path, key: str, value: object, unit: str) -> float:
    """One value of the file in SI, checked."""
    if unit == "1" and isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
    elif isinstance(value, str):
        try:
            number = parse(value, like=unit)
        except ValueError as error:
            raise ValueError(f"{path}: {key}: {error}") from error
    else:
        raise ValueError(
            f"{path}: {key} = {value!r}: write the unit too, as text that converts to {unit!r}"
        )
    try:
        return require_physical(number, unit)
    except ValueError as error:
        raise ValueError(f"{path}: {key} = {value!r}: {error}") from None


def _technology(path: Path, value: object) -> tuple[str, str, str]:
    from hardware_priors.choices import choice

    if not isinstance(value, list) or len(value) != 3:
        raise ValueError(
            f'{path}: technology = {value!r}: expected [node, memory, link], such as ["N3", "HBM4",'
            ' "NVLink5"]'
        )
    return choice("node", value[0]), choice("memory", value[1]), choice("link", value[2])


def _class(path: Path, value: object) -> str:
    from hardware_priors.choices import choice

    try:
        return choice("machine_class", str(value))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _rates(
    path: Path, stated: dict[str, object], missing: list[str]
) -> tuple[dict[int, float], bool]:
    """Matrix rates by width, taken out of what the file states, and whether a width was assumed."""
    rates = {
        bits: _number(path, key, stated.pop(key), "FLOP/s")
        for key, bits in _RATES.items()
        if key in stated
    }
    width, bare = stated.pop("peak_flops_bits", None), stated.pop("peak_flops", None)
    if bare is None:
        if width is not None:
            raise ValueError(
                f"{path}: peak_flops_bits = {width!r} without peak_flops; expected both, or"
                f" peak_flops_{width}bit"
            )
        if not rates:
            missing.append("peak_flops_8bit (or _4bit, _16bit, _32bit)")
        return rates, False
    rate = _number(path, "peak_flops", bare, "FLOP/s")
    if width is None and rates:
        raise ValueError(
            f"{path}: peak_flops = {bare!r} does not say at which width it holds and other rates"
            f" do; write peak_flops_8bit = {bare!r} (or _4bit, _16bit, _32bit)"
        )
    if width is None:
        return {8: rate, 16: rate / 2.0}, True
    if width not in WIDTHS or isinstance(width, bool):
        raise ValueError(
            f"{path}: peak_flops_bits = {width!r}: expected one of {', '.join(map(str, WIDTHS))}"
        )
    if int(width) in rates:  # pyright: ignore[reportArgumentType]
        raise ValueError(
            f"{path}: peak_flops and peak_flops_{width}bit both state the rate at {width} bits;"
            " expected one of them"
        )
    return {**rates, int(width): rate}, False  # pyright: ignore[reportArgumentType]


def read_device(path: Path) -> OwnDevice:
    """Read a device file.

    Raises:
        ValueError: no such file, not TOML, an unknown key (with the nearest), a missing one, a
            wrong unit, a value that no machine has, a rate without its width beside others, half a
            pool, or both prices.
    """
    path = own_path(path)
    if not path.exists():
        raise ValueError(f"{path}: cannot read the device file: there is no such file")
    stated = read_toml(path)
    for key in stated:
        if key not in _KEYS:
            raise ValueError(f"{path}: unknown key {key!r}; did you mean {nearest(key, _KEYS)!r}?")
    name = stated.pop("name", path.stem)
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME:
        raise ValueError(
            f"{path}: name = {name!r}: expected a text of 1 to {LONGEST_NAME} characters"
        )
    technology = _technology(path, stated.pop("technology")) if "technology" in stated else None
    built = _class(path, stated.pop("machine_class")) if "machine_class" in stated else None
    quantities = {
        key: _number(path, key, stated[key], unit) for key, unit in _UNITS.items() if key in stated
    }
    asked = {
        key: _number(path, key, stated[key], unit) for key, unit in _STATED.items() if key in stated
    }
    if "price" in asked and "hourly" in asked:
        raise ValueError(
            f"{path}: price = {stated['price']!r} and hourly = {stated['hourly']!r}, expected one"
            " of them"
        )
    missing = [key for key in _UNITS if key not in quantities and key not in _DEFAULTS]
    rates, width_assumed = _rates(path, stated, missing)
    pool = [key for key in ("pool_capacity", "pool_bandwidth") if key not in quantities]
    missing += pool if len(pool) == 1 else []
    if missing:
        raise ValueError(f"{path}: missing {', '.join(missing)}")
    return OwnDevice(
        name,
        quantities,
        rates,
        technology,
        width_assumed,
        built,
        own_price=asked.get("price"),
        own_hourly=asked["hourly"] * HOUR if "hourly" in asked else None,
        own_power=asked.get("power"),
    )
