"""Families of devices (vendor, architecture), and catalogue names for the device names that sources
print."""

import csv
import re
from functools import cache
from importlib import resources

from hardware_priors.devices import device_names


@cache
def _rows(file: str) -> tuple[dict[str, str], ...]:
    path = resources.files("hardware_priors") / "data" / file
    return tuple(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def family(name: str) -> tuple[str, str]:
    """Vendor and architecture of a device, by its catalogue name; a device of no known family is
    one of its own.

    >>> family("h200")
    ('nvidia', 'hopper')
    """
    for row in _rows("families.csv"):
        if row["name"] == name:
            return row["vendor"], row["architecture"]
    return "other", name


def catalogue_name(printed: str) -> str | None:
    """The catalogue's name for a device as a source prints it, or None where the catalogue has no
    such device.

    >>> catalogue_name("NVIDIA H100 80GB HBM3"), catalogue_name("H200-SXM")
    ('h100', 'h200')
    """
    text = re.sub(r"^(nvidia|amd|tesla|intel\(r\))\s+", "", printed.strip().casefold())
    known = device_names()
    if text in known:
        return text
    for row in _rows("printed_names.csv"):
        if re.fullmatch(row["pattern"], text):
            return row["name"] if row["name"] in known else None
    return None
