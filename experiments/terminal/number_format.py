"""Numbers for people: three significant digits at any size, and a unit that suits them."""

import math
from collections.abc import Iterable
from typing import NamedTuple

from codesign.numerics.units import CELSIUS_OFFSET, GIGA, KILO, MEGA, MICRO, MILLI, NANO, PETA, TERA

PLAIN = (1e-4, 1e6)
"""Sizes written without a power of ten."""

MOST = {"s": 1e3}
"""Size from which on a column leaves its preferred unit, by SI unit; 1e5 of the others."""


def digits(value: float, significant: int = 3) -> str:
    """Write a number with three significant digits, or more where it has more before the point.

    >>> [digits(x) for x in (0.04588, 2, 1234.4, 3.21e-8, 0, float("nan"))]
    ['0.0459', '2.00', '1234', '3.21e-08', '0', '–']
    >>> digits(20, 4), digits(31604.2, 4)
    ('20.00', '31604')
    """
    if not math.isfinite(value):
        return "–" if math.isnan(value) else "∞" if value > 0 else "−∞"
    exponent = f".{significant - 1}e"
    size = abs(float(f"{value:{exponent}}"))
    if size == 0:
        return "0"
    if not PLAIN[0] <= size < PLAIN[1]:
        return f"{value:{exponent}}"
    return f"{value:.{max(0, significant - 1 - math.floor(math.log10(size)))}f}"


class Scale(NamedTuple):
    """A unit for people: what SI is divided by, after an offset."""

    unit: str
    factor: float
    offset: float = 0.0


def _scales(*pairs: tuple[str, float]) -> tuple[Scale, ...]:
    return tuple(Scale(*pair) for pair in pairs)


SCALES: dict[str, tuple[Scale, ...]] = {
    "B/s": _scales(("TB/s", TERA), ("GB/s", GIGA), ("MB/s", MEGA)),
    "B": _scales(("GB", GIGA), ("MB", MEGA), ("TB", TERA)),
    "FLOP/s": _scales(("PFLOP/s", PETA), ("TFLOP/s", TERA), ("EFLOP/s", KILO * PETA)),
    "s": _scales(("ms", MILLI), ("us", MICRO), ("ns", NANO), ("s", 1.0)),
    "m^2": _scales(
        ("mm²", MILLI**2),
    ),
    "K": (Scale("°C", 1.0, -CELSIUS_OFFSET),),
    "W": _scales(("W", 1.0), ("kW", KILO), ("MW", MEGA)),
    "USD": _scales(("USD", 1.0), ("kUSD", KILO), ("MUSD", MEGA)),
    "J": _scales(("J", 1.0), ("mJ", MILLI), ("kJ", KILO)),
    "token/s": _scales(("token/s", 1.0), ("ktoken/s", KILO), ("Mtoken/s", MEGA)),
}
"""Units for people by SI unit, the preferred one first."""

OBJECTIVE_SCALES: dict[str, tuple[Scale, ...]] = {
    "tokens/s/$": _scales(
        ("tokens/s/$", 1.0), ("tokens/s/k$", 1 / KILO), ("tokens/s/M$", 1 / MEGA)
    ),
    "tokens/s/W": _scales(
        ("tokens/s/W", 1.0), ("tokens/s/kW", 1 / KILO), ("tokens/s/MW", 1 / MEGA)
    ),
    "tokens/s/user": _scales(("tokens/s/user", 1.0), ("ktokens/s/user", KILO)),
    "tokens/s": _scales(("tokens/s", 1.0), ("ktokens/s", KILO), ("Mtokens/s", MEGA)),
    "$/token": _scales(("$/Mtoken", MICRO), ("$/ktoken", MILLI), ("$/token", 1.0)),
    "J/token": _scales(("J/token", 1.0), ("mJ/token", MILLI), ("kJ/token", KILO)),
    "capital": _scales(("kUSD", KILO), ("USD", 1.0), ("MUSD", MEGA)),
    "power": _scales(("kW", KILO), ("W", 1.0), ("MW", MEGA)),
}
"""Units for people of what may be asked for, whose names tell more than their SI units."""


def scale(name: str, unit: str, values: Iterable[float]) -> Scale:
    """Choose the unit of a column: the preferred one while all values read well in it, else the one
    that suits their middle.

    >>> scale("", "B/s", [2.2e13, 3.0e12]).unit, scale("", "B/s", [4e6, 9e6]).unit
    ('TB/s', 'MB/s')
    """
    offered = (
        OBJECTIVE_SCALES.get(name) or SCALES.get(unit) or (Scale("" if unit == "1" else unit, 1.0),)
    )
    sizes = [abs(value) for value in values if math.isfinite(value) and value != 0.0]
    least = 1e-4 if name in OBJECTIVE_SCALES else 0.1
    if (
        not sizes
        or offered[0].offset
        or all(least <= size / offered[0].factor < MOST.get(unit, 1e5) for size in sizes)
    ):
        return offered[0]
    middle = math.exp(sum(map(math.log, sizes)) / len(sizes))
    return min(offered, key=lambda one: abs(math.log10(middle / one.factor) - 1.5))


def written(value: float, name: str, unit: str) -> str:
    """Write one quantity with its unit.

    >>> written(2.2e13, "", "B/s"), written(358.15, "", "K"), written(8.0, "", "1")
    ('22.0 TB/s', '85.0 °C', '8')
    """
    chosen = scale(name, unit, [value])
    return f"{in_scale(value, chosen, unit)} {chosen.unit}".rstrip()


def in_scale(value: float, chosen: Scale, unit: str) -> str:
    """Write a value in a unit for people; whole numbers without one stay whole."""
    if unit == "1" and float(value).is_integer():
        return f"{value:.0f}"
    return digits((value + chosen.offset) / chosen.factor)
