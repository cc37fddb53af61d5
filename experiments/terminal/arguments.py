"""Types of command-line arguments that refuse a bad value in one sentence, before anything heavy is
imported."""

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias, TypeVar

from tyro.constructors import PrimitiveConstructorSpec

from experiments.terminal.refusal import Refused, expected

Value = TypeVar("Value")
Spec: TypeAlias = PrimitiveConstructorSpec[Value]


def _one_value(
    metavar: str,
    read: Callable[[str], Value],
    matches: Callable[[object], bool],
    write: Callable[[Value], str] = str,
) -> Spec[Value]:
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=lambda words: read(words[0]),
        is_instance=matches,
        str_from_instance=lambda value: [write(value)],
    )


def _number(name: str, text: str, expected: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise Refused(f"--{name} is {text!r}; expected {expected}") from None
    if not math.isfinite(value):
        raise Refused(f"--{name} is {text!r}; expected {expected}")
    return value


MOST = 10**12
"""A whole number of anything that is counted here."""


def whole(name: str, least: int = 1, most: int = MOST) -> Spec[int]:
    """A whole number of at least 1, or another least one, and no more than makes sense.

    >>> whole("batch").instance_from_str(["0"])  # doctest: +NORMALIZE_WHITESPACE
    Traceback (most recent call last):
    ...
    experiments.terminal.refusal.Refused: --batch is '0'; expected a whole number of at least 1, the
    nearest is 1
    """

    def read(text: str) -> int:
        expected = f"a whole number of at least {least}"
        value = _whole_number(name, text, expected)
        if value > most:
            raise Refused(f"--{name} is {text!r}; expected {expected} and at most {most}")
        if value < least or value != round(value):
            raise Refused(
                f"--{name} is {text!r}; expected {expected}, the nearest is"
                f" {max(least, round(value))}"
            )
        return round(value)

    return _one_value("N", read, lambda value: isinstance(value, int))


def _whole_number(name: str, text: str, expected: str) -> float:
    """``"12"``, every digit of it, or ``"1e3"``."""
    if text.isascii() and text.isdigit() and len(text) < 20:
        return int(text)
    return _number(name, text, expected)


def number(
    name: str, unit: str, low: float = 0.0, high: float = math.inf, *, include_low: bool = False
) -> Spec[float]:
    """A finite number above ``low`` (or at least) and at most ``high``, in a unit that the message
    names."""
    bounds = f"{'of at least' if include_low else 'above'} {low:g}" + (
        f" and at most {high:g}" if high < math.inf else ""
    )
    expected = f"a number {bounds}" + (f" [{unit}]" if unit else "")

    def read(text: str) -> float:
        value = _number(name, text, expected)
        if value < low or value > high or (value == low and not include_low):
            raise Refused(f"--{name} is {text!r}; expected {expected}")
        return value

    return _one_value(unit.upper() or "X", read, lambda value: isinstance(value, float))


def one_of(name: str, choices: Sequence[str]) -> Spec[str]:
    """One of a few words; ``name`` with a blank in it belongs to an argument that has no option's
    name."""
    label = name if " " in name else f"--{name}"

    def read(text: str) -> str:
        if text not in choices:
            raise Refused(f"{label} is {text!r}; {expected(text, choices)}")
        return text

    return _one_value("|".join(choices), read, lambda value: value in choices)


def some_of(name: str, choices: Sequence[str], everything: str) -> Spec[tuple[str, ...]]:
    """Several words joined by commas, or the word that stands for all of them; a tuple."""

    def read(text: str) -> tuple[str, ...]:
        words = tuple(choices) if text == everything else tuple(text.split(","))
        for word in words:
            if word not in choices:
                offered = (*choices, everything)
                raise Refused(f"--{name} has {word!r}; {expected(word, offered)}")
        return words

    return _one_value(
        f"{everything}|NAME[,NAME]", read, lambda value: isinstance(value, tuple), ",".join
    )


def words(name: str) -> Spec[tuple[str, ...]]:
    """Several words joined by commas; a tuple."""

    def read(text: str) -> tuple[str, ...]:
        found = tuple(word.strip() for word in text.split(","))
        if not all(found):
            raise Refused(f"--{name} is {text!r}; expected names joined by commas")
        return found

    return _one_value("NAME[,NAME]", read, lambda value: isinstance(value, tuple), ",".join)


def wholes(name: str, most: int = MOST) -> Spec[tuple[int, ...]]:
    """Several whole numbers of at least 1 joined by commas; a tuple.

    >>> wholes("chips").instance_from_str(["8,32"])
    (8, 32)
    """
    read = whole(name, most=most).instance_from_str
    return _one_value(
        "N[,N]",
        lambda text: tuple(read([word]) for word in text.split(",")),
        lambda value: isinstance(value, tuple),
        lambda value: ",".join(str(each) for each in value),
    )


def whole_or(name: str, word: str, most: int = MOST) -> Spec[int | str]:
    """A whole number of at least 1, or one word."""
    read_number = whole(name, most=most).instance_from_str

    def read(text: str) -> int | str:
        if text.isalpha() and text != word:
            raise Refused(
                f"--{name} is {text!r}; expected a whole number of at least 1 or {word!r}"
            )
        return word if text == word else read_number([text])

    return _one_value(f"N|{word}", read, lambda value: value == word or isinstance(value, int))


def flag_or_count(name: str) -> Spec[bool | float]:
    """A flag that may be followed by a positive number: ``True``, or the number."""
    read = number(name, "").instance_from_str
    return PrimitiveConstructorSpec(
        nargs=(0, 1),
        metavar="[COUNT]",
        instance_from_str=lambda words: read(words) if words else True,
        is_instance=lambda value: value is True or isinstance(value, float),
        str_from_instance=lambda value: [] if value is True else [str(value)],
    )
