"""A device of one's own, stated in a TOML file with explicit units.

    name = "my chip"                       # optional
    memory_bandwidth = "3.35 TB/s"
    memory_capacity = "96 GiB"
    peak_flops = "1.979 PFLOP/s"
    sync_latency = "1.5 us"
    link_bandwidth = "450 GB/s"            # one direction
    technology = ["N3", "HBM4", "NVLink5"] # optional: what to price it with

Keys are the fields of :class:`codesign.hardware.design.Design` without ``chips``; those with a default there may be
left out.
"""

from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path

from codesign.files import own_path, read_toml
from codesign.hardware.design import Design
from codesign.numerics.fields import units_of
from hardware_priors.quantities import nearest, parse, require_physical

_UNITS = {key: unit for key, unit in units_of(Design).items() if key != "chips"}
_OPTIONAL = {item.name for item in fields(Design) if item.default is not MISSING}  # pyright: ignore[reportArgumentType]

LONGEST_NAME = 200
"""Characters of a device's name."""


@dataclass(frozen=True)
class OwnDevice:
    """A device read from a file: what a chip can do, in SI. It has no priors, so no area, power or price of its own."""

    name: str
    quantities: dict[str, float] = field(default_factory=dict)
    technology: tuple[str, str, str] | None = None

    full_name = property(lambda self: self.name)
    tdp = die_area = stacks = bom = price = None

    def technology_names(self) -> tuple[str, str, str]:
        """(node, memory, link) to price it with.

        Raises:
            ValueError: the file states none.
        """
        if self.technology is None:
            raise ValueError(f'{self.name}: no technology is stated; add technology = ["N3", "HBM4", "NVLink5"]')
        return self.technology

    def design(self, chips: float, compute_bits: float = 8) -> Design:
        """A machine of so many of these chips; ``peak_flops`` is taken as stated, whatever ``compute_bits``.

        Raises:
            ValueError: fewer than one chip.
        """
        if not chips >= 1:
            raise ValueError(f"chips = {chips!r}: expected at least 1")
        return Design(chips=float(chips), **self.quantities)  # pyright: ignore[reportArgumentType]


def _number(path: Path, key: str, value: object) -> float:
    """One value of the file in SI, checked."""
    if _UNITS[key] == "1" and isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
    elif isinstance(value, str):
        try:
            number = parse(value, like=_UNITS[key])
        except ValueError as error:
            raise ValueError(f"{path}: {key}: {error}") from error
    else:
        raise ValueError(f"{path}: {key} = {value!r}: write the unit too, as text that converts to {_UNITS[key]!r}")
    try:
        return require_physical(number, _UNITS[key])
    except ValueError as error:
        raise ValueError(f"{path}: {key} = {value!r}: {error}") from None


def _technology(path: Path, value: object) -> tuple[str, str, str]:
    from hardware_priors.technologies import choice

    if not isinstance(value, list) or len(value) != 3:
        raise ValueError(f'{path}: technology = {value!r}: expected [node, memory, link], such as ["N3", "HBM4", "NVLink5"]')
    return choice("node", value[0]), choice("memory", value[1]), choice("link", value[2])


def read_device(path: Path) -> OwnDevice:
    """Read a device file.

    Raises:
        ValueError: no such file, not TOML, an unknown key (with the nearest), a missing one, a wrong unit, or a
            value that no machine has.
    """
    path = own_path(path)
    if not path.exists():
        raise ValueError(f"{path}: cannot read the device file: there is no such file")
    stated = read_toml(path)
    name = stated.pop("name", path.stem)
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME:
        raise ValueError(f"{path}: name = {name!r}: expected a text of 1 to {LONGEST_NAME} characters")
    technology = _technology(path, stated.pop("technology")) if "technology" in stated else None
    for key in stated:
        if key not in _UNITS:
            raise ValueError(f"{path}: unknown key {key!r}; did you mean {nearest(key, [*_UNITS, 'name', 'technology'])!r}?")
    quantities = {key: _number(path, key, value) for key, value in stated.items()}
    missing = [key for key in _UNITS if key not in quantities and key not in _OPTIONAL]
    if missing:
        raise ValueError(f"{path}: missing {', '.join(missing)}")
    return OwnDevice(name, quantities, technology)
