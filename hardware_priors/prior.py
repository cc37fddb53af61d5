"""A number from the world with its source and range, and the data files that hold them."""

import csv
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib import resources

from hardware_priors.quantities import nearest, same_kind, to_si

CONFIDENCES = ("A", "B", "C", "unsourced")
"""A: a vendor document, data set or repository file that was read; B: a reputable secondary source
that was read; C: weak, derived with assumptions, or judged; unsourced: from memory, to be replaced
before it is relied on."""

DISTRIBUTIONS = ("fixed", "lognormal", "triangular")
"""fixed: the value is certain; lognormal: low and high are the 5 % and 95 % quantiles; triangular:
low and high are the ends."""

FILES = (
    "devices",
    "logic",
    "memory",
    "links",
    "packaging",
    "cooling",
    "economics",
    "attainable",
    "development",
    "trends",
)

_SI_UNITS = ("B/s", "B", "FLOP/s", "OP/s", "s", "m", "m^2", "J", "W", "K", "USD", "1")


@dataclass(frozen=True)
class Prior:
    """One fact: ``value`` with its range ``low`` … ``high`` in ``unit``, true in ``year``.

    ``source`` names a page, paper, data set or repository file, or begins with ``derived:``
    (arithmetic on other facts) or ``judged:`` (an estimate and its reason), or is ``unsourced``.
    ``group`` names facts that move together (all memory prices).
    """

    name: str
    quantity: str
    value: float
    low: float
    high: float
    unit: str
    year: int
    source: str
    confidence: str
    distribution: str
    note: str = ""
    group: str = ""

    @cached_property
    def si(self) -> "Prior":
        """The same fact in SI: value, low and high converted, the unit written in base units.

        >>> Prior("x", "memory_bandwidth", 2, 1, 3, "TB/s", 2024, "a page", "A", "fixed").si.value
        2000000000000.0
        """
        value, low, high = (
            to_si(number, self.unit) for number in (self.value, self.low, self.high)
        )
        written = next(
            (unit for unit in _SI_UNITS if same_kind(unit, self.unit)), f"SI of {self.unit}"
        )
        return replace(self, value=value, low=low, high=high, unit=written)

    @property
    def flagged(self) -> bool:
        """Whether nobody has found a source for it."""
        return self.confidence == "unsourced"


@cache
def _row_model():
    """The check of a row at the file boundary (pydantic is imported only when a file is first
    read)."""
    from typing import Literal

    from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

    from hardware_priors.quantities import unit as known_unit

    class Row(BaseModel):
        model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

        name: str = Field(min_length=1)
        quantity: str = Field(min_length=1)
        value: float = Field(allow_inf_nan=False)
        low: float = Field(allow_inf_nan=False)
        high: float = Field(allow_inf_nan=False)
        unit: str
        year: int = Field(ge=1990, le=2040)
        source: str = Field(min_length=1)
        confidence: Literal["A", "B", "C", "unsourced"]
        distribution: Literal["fixed", "lognormal", "triangular"]
        note: str = ""
        group: str = ""

        @field_validator("unit")
        @classmethod
        def unit_is_known(cls, text: str) -> str:
            known_unit(text)
            return text

        @model_validator(mode="after")
        def consistent(self) -> "Row":
            if not self.low <= self.value <= self.high:
                raise ValueError(
                    f"value {self.value} is outside its range {self.low} … {self.high}"
                )
            if self.distribution == "lognormal" and self.low <= 0:
                raise ValueError(f"a lognormal needs a positive range, got low = {self.low}")
            if (self.source == "unsourced") != (self.confidence == "unsourced"):
                raise ValueError("source and confidence must both say 'unsourced', or neither")
            if self.source.startswith("judged:") and self.confidence != "C":
                raise ValueError(f"a judged number has confidence C, got {self.confidence}")
            return self

    return Row


def parse_rows(rows: list[dict[str, str]], origin: str) -> tuple[Prior, ...]:
    """Check rows of text and turn them into priors.

    Raises:
        ValueError: the first bad row, by its origin, name and quantity.
    """
    from pydantic import ValidationError

    model, priors, seen = _row_model(), [], set()
    for row in rows:
        where = f"{origin}: {row.get('name')} {row.get('quantity')}"
        try:
            prior = Prior(**model.model_validate(row).model_dump())
        except ValidationError as error:
            problem = error.errors()[0]
            field = ".".join(str(part) for part in problem["loc"])
            raise ValueError(
                f"{where}: {field} {row.get(field, '')!r}: {problem['msg']}"
            ) from error
        key = (prior.name, prior.quantity, prior.year)
        if key in seen:
            raise ValueError(f"{where}: stated twice for {prior.year}")
        seen.add(key)
        priors.append(prior)
    return tuple(priors)


@cache
def load(file: str) -> tuple[Prior, ...]:
    """All facts of one data file, checked, read once.

    Raises:
        ValueError: an unknown file, or a bad row.

    >>> load("logic")[0].confidence in CONFIDENCES
    True
    """
    if file not in FILES:
        raise ValueError(f"no data file {file!r}; the nearest is {nearest(file, list(FILES))!r}")
    path = resources.files("hardware_priors") / "data" / f"{file}.csv"
    rows = csv.DictReader(path.read_text(encoding="utf-8").splitlines())
    return parse_rows(list(rows), f"{file}.csv")


@cache
def _index(file: str) -> dict[str, dict[str, Prior]]:
    """name → quantity → the newest fact."""
    table: dict[str, dict[str, Prior]] = {}
    for prior in load(file):
        facts = table.setdefault(prior.name, {})
        if prior.quantity not in facts or facts[prior.quantity].year < prior.year:
            facts[prior.quantity] = prior
    return table


def names(file: str) -> list[str]:
    """The things that a data file describes."""
    return list(_index(file))


def find(file: str, name: str, quantity: str) -> Prior | None:
    """The newest fact, or None where the file has none."""
    return _index(file).get(name, {}).get(quantity)


def lookup(file: str, name: str, quantity: str) -> Prior:
    """The newest fact of that name and quantity.

    Raises:
        ValueError: an unknown name or quantity, with the nearest one.

    >>> lookup("memory", "HBM4", "layer_capacity").value
    3.0
    """
    table = _index(file)
    if name not in table:
        raise ValueError(
            f"{file}.csv has no {name!r}; the nearest name is {nearest(name, list(table))!r}"
        )
    if quantity not in table[name]:
        offered = nearest(quantity, list(table[name]))
        raise ValueError(
            f"{file}.csv has no {quantity!r} for {name}; the nearest quantity is {offered!r}"
        )
    return table[name][quantity]
