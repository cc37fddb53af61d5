"""Quantities as text: ``"3.35 TB/s"`` to an SI float and back.

Only known units are read, so that a typing error is refused instead of becoming a factor of a
thousand. A unit is a product of named symbols with integer powers (``"TFLOP/s/mm^2"``,
``"pJ/bit"``, ``"K mm^2/W"``); each symbol may carry the prefixes that people use with it: SI for
all, IEC (Ki, Mi, Gi, Ti, Pi) for bytes and bits only.
"""

import difflib
import math
import re
from dataclasses import dataclass
from functools import lru_cache

from codesign.numerics.units import BITS_PER_BYTE, CELSIUS_OFFSET, HOUR, YEAR

Dimension = tuple[tuple[str, int], ...]
"""Sorted powers of the base dimensions s, m, J, K, B, FLOP, OP, USD: ``(("B", 1), ("s", -1))``."""

SI_PREFIXES = {
    "f": 1e-15,
    "p": 1e-12,
    "n": 1e-9,
    "u": 1e-6,
    "µ": 1e-6,
    "m": 1e-3,
    "c": 1e-2,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
}
SI_PREFIXES |= {"T": 1e12, "P": 1e15, "E": 1e18}
IEC_PREFIXES = {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50}

SMALL = ("f", "p", "n", "u", "µ", "m")
LARGE = ("k", "M", "G", "T", "P", "E")

# symbol: (factor to SI, powers of the base dimensions, prefixes in use)
SYMBOLS: dict[str, tuple[float, dict[str, int], tuple[str, ...]]] = {
    "1": (1.0, {}, ()),
    "%": (0.01, {}, ()),
    "ppm": (1e-6, {}, ()),
    "B": (1.0, {"B": 1}, (*LARGE, *IEC_PREFIXES)),
    "bit": (1 / BITS_PER_BYTE, {"B": 1}, (*LARGE, *IEC_PREFIXES)),
    "FLOP": (1.0, {"FLOP": 1}, LARGE),
    "OP": (1.0, {"OP": 1}, LARGE),
    "s": (1.0, {"s": 1}, SMALL),
    "h": (HOUR, {"s": 1}, ()),
    "month": (YEAR / 12, {"s": 1}, ()),
    "year": (YEAR, {"s": 1}, ()),
    "m": (1.0, {"m": 1}, (*SMALL, "c", "k")),
    "J": (1.0, {"J": 1}, (*SMALL, *LARGE)),
    "W": (1.0, {"J": 1, "s": -1}, (*SMALL, *LARGE)),
    "Wh": (HOUR, {"J": 1}, LARGE),
    "Pa": (1.0, {"J": 1, "m": -3}, LARGE),
    "V": (1.0, {"V": 1}, SMALL),
    "K": (1.0, {"K": 1}, ()),
    "USD": (1.0, {"USD": 1}, LARGE),
    "$": (1.0, {"USD": 1}, LARGE),
}

_CELSIUS = "degC"
# symbol[^power], and "mm2" of lengths; product = symbol …
# unit = product { "/" (product | "(" product { "/" product } ")") }
_SYMBOL = r"(?:[mcuµk]?m[23](?![0-9])|(?:[A-Za-zµ%$]+|1)(?:\^-?[1-9](?![0-9]))?)"
_PRODUCT = rf"{_SYMBOL}(?: +{_SYMBOL})*"
_DENOMINATOR = re.compile(rf" */ *(?:({_PRODUCT})|\( *({_PRODUCT}) *((?:/ *{_PRODUCT} *)*)\))")
_NUMERATOR = re.compile(_PRODUCT)
_QUANTITY = re.compile(r" *((?>[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)) *(\S.*)?")

PHYSICAL: dict[str, tuple[float, float]] = {
    "B/s": (1e3, 1e18),
    "B": (1e3, 1e18),
    "FLOP/s": (1e6, 1e22),
    "s": (1e-12, 1e6),
    "W": (1e-3, 1e15),
    "m^2": (1e-10, 1.0),
    "USD": (1.0, 1e9),
    "USD/s": (1e-3 / HOUR, 1e6 / HOUR),
    "1": (1e-2, 1e9),
}
"""What one quantity of a machine may be, by SI unit: many times beyond all that was ever built, on
both sides. What lies outside is a slip, and ends in numbers that a float cannot hold."""


@dataclass(frozen=True)
class Unit:
    """A factor to SI, an offset (degC alone has one) and the dimension that tells bytes from
    seconds."""

    factor: float
    dimension: Dimension
    offset: float = 0.0


def _known_symbols() -> dict[str, tuple[float, dict[str, int]]]:
    table = {}
    for symbol, (factor, powers, prefixes) in SYMBOLS.items():
        table |= {
            prefix + symbol: (factor * (SI_PREFIXES | IEC_PREFIXES)[prefix], powers)
            for prefix in prefixes
        }
    return table | {symbol: (factor, powers) for symbol, (factor, powers, _) in SYMBOLS.items()}


_KNOWN = _known_symbols()


def nearest(name: str, names: list[str]) -> str:
    """The closest of ``names`` to ``name``, ignoring case; the words of every "did you mean"."""
    by_folded = {candidate.casefold(): candidate for candidate in names}
    close = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.0)
    return by_folded[close[0]] if close else "none"


@lru_cache(maxsize=4096)
def unit(text: str) -> Unit:
    """Read a unit.

    ``a/b/c`` divides by both b and c; a parenthesised denominator, ``USD/(GB/s)``, is read as
    written.

    Raises:
        ValueError: an unknown symbol, with the nearest known one.

    >>> unit("TFLOP/s/mm^2").factor, unit("mm2") == unit("mm^2")
    (1e+18, True)
    >>> unit("pJ/bit").dimension
    (('B', -1), ('J', 1))
    """
    if text.strip() == _CELSIUS:
        return Unit(1.0, (("K", 1),), CELSIUS_OFFSET)
    factor, powers = 1.0, {}
    for sign, product in _signed_products(text):
        for token in product.split():
            symbol, _, exponent = token.partition("^")
            if symbol[-1] in "23":
                symbol, exponent = symbol[:-1], symbol[-1]
            power = sign * int(exponent or 1)
            if symbol not in _KNOWN:
                # 'Gb' is spelled 'Gbit' here; 'GB', the nearest by letters, is eight times it
                bits = f"{symbol[:-1]}bit"
                offered = (
                    bits
                    if symbol.endswith("b") and bits in _KNOWN
                    else nearest(symbol, list(_KNOWN))
                )
                raise ValueError(
                    f"unit {text!r}: unknown {symbol!r}; the nearest known unit is {offered!r}"
                )
            scale, dimensions = _KNOWN[symbol]
            factor = factor * scale**power if power > 0 else factor / scale**-power
            for base, exponent in dimensions.items():
                powers[base] = powers.get(base, 0) + exponent * power
    if not 0 < factor < float("inf"):
        raise ValueError(f"unit {text!r}: no number holds it; expected a unit such as 'TB/s'")
    return Unit(factor, tuple(sorted((base, power) for base, power in powers.items() if power)))


def _signed_products(text: str) -> list[tuple[int, str]]:
    """Split a unit at its slashes into (sign of the powers, product of symbols), opening
    parentheses after a slash."""
    text = text.strip(" ")
    first = _NUMERATOR.match(text)
    found = [(1, first.group())] if first else []
    position = first.end() if first else 0
    while first and position < len(text):
        match = _DENOMINATOR.match(text, position)
        if match is None:
            break
        plain, inner, deeper = match.groups()
        found.append((-1, plain or inner))
        found += [(1, product) for product in (deeper or "").split("/") if product.strip()]
        position = match.end()
    if first is None or position < len(text):
        raise ValueError(
            f"unit {text!r}: cannot read {text[position:]!r}; expected a unit such as 'TB/s', 'K"
            " mm^2/W' or 'USD/(GB/s)'"
        )
    return found


def parse(text: str, like: str | None = None) -> float:
    """Read ``"3.35 TB/s"`` as an SI float, 3.35e12.

    Args:
        text: a number and a unit; a bare number is a pure ratio.
        like: an SI unit that the quantity must be convertible to, ``"B/s"``.

    Raises:
        ValueError: no number, an unknown unit (with the nearest known one), or a unit of another
            kind than ``like``.

    >>> parse("3.35 TB/s") == 3.35e12, parse("96 GiB") == 96 * 2**30, parse("1.5 us") == 1.5e-6
    (True, True, True)
    >>> parse("400 Gbit/s", like="B/s") == 50e9
    True
    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(
            f"{text!r} is not a quantity; write a number and a unit, such as '3.35 TB/s'"
        )
    found = unit(match.group(2) or "1")
    if like is not None and found.dimension != unit(like).dimension:
        raise ValueError(
            f"{text!r} has the wrong kind of unit; expected one that converts to {like!r}"
        )
    value = float(match.group(1)) * found.factor + found.offset
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is more than a number can hold; expected a finite quantity")
    return value


def require_physical(value: float, unit_text: str) -> float:
    """An SI value of a machine, refused where no machine has it (``PHYSICAL``).

    Raises:
        ValueError: what was expected; the caller names the quantity and its value.

    >>> require_physical(1e-300, "B/s")
    Traceback (most recent call last):
    ...
    ValueError: expected 1000 to 1e+18 [B/s]
    """
    low, high = PHYSICAL[unit_text]
    if not value > 0:
        raise ValueError("expected a finite value above zero")
    if not low <= value <= high:
        raise ValueError(f"expected {low:g} to {high:g} [{unit_text}]")
    return value


def to_si(value: float, unit_text: str) -> float:
    """Convert a number in a unit to SI.

    >>> to_si(0.1, "1/cm^2") == 0.1 / 1e-4, to_si(40, "degC")
    (True, 313.15)
    """
    found = unit(unit_text)
    return value * found.factor + found.offset


def same_kind(first: str, second: str) -> bool:
    """Whether two units measure the same kind of thing (``"GB/s"`` and ``"B/s"``)."""
    return unit(first).dimension == unit(second).dimension


def formatted(value: float, unit_text: str, digits: int = 4) -> str:
    """Write an SI value in a unit, ``formatted(3.35e12, "TB/s")`` → ``"3.35 TB/s"``.

    >>> formatted(3.35e12, "TB/s"), formatted(96 * 2**30, "GiB")
    ('3.35 TB/s', '96 GiB')
    """
    found = unit(unit_text)
    number = f"{(value - found.offset) / found.factor:.{digits}g}"
    return number if unit_text == "1" else f"{number} {unit_text}"
