"""Area, power and bill of materials of real accelerators, each vendor left out of the fit that
predicts it."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from experiments.reproductions.device_areas import (
    FACTS,
    NAMED,
    NOT_FITTED,
    TOLERANCE,
    Case,
    case,
    published,
)
from experiments.reproductions.fit import (
    fitted,
    predicted,
)
from experiments.reproductions.table import Column, Settings, Table

RATIOS = (("h200", "h100"), ("b200", "h100"))
RATIO_TOLERANCE = 0.10


def without(case: Case, left_out: str) -> np.ndarray:
    """Deviates of a fit that saw no figure of one vendor."""
    unseen = np.array(
        [
            seller == left_out or name in NOT_FITTED
            for name, seller in zip(case.names, case.vendors, strict=True)
        ]
    )
    return fitted(case.model, np.where(unseen[:, None], np.nan, case.published), case.sigma)


def predictions(case: Case) -> np.ndarray:
    """What is predicted of each device by a fit that saw none of its vendor's figures; (devices,
    quantities), SI."""
    found = np.empty_like(case.published)
    for left_out in dict.fromkeys(case.vendors):
        own = np.array([seller == left_out for seller in case.vendors])
        found[own] = predicted(case.model, without(case, left_out))[own]
    return found


def widened(case: Case, factor: float) -> Case:
    """The same with the range of every prior so many times as wide (in logarithms)."""
    return dataclasses.replace(
        case, model=dataclasses.replace(case.model, spread=case.model.spread * factor)
    )


@dataclasses.dataclass(frozen=True)
class Cell:
    """One published figure beside its predictions, in the unit of the table."""

    device: str
    vendor: str
    quantity: str
    unit: str
    published: float
    confidence: str
    predicted: float
    prior_only: float

    @property
    def error(self) -> float:
        """Of the prediction [%]."""
        return 100.0 * (self.predicted / self.published - 1.0)

    @property
    def prior_error(self) -> float:
        """Of the model at its nominal coefficients [%]."""
        return 100.0 * (self.prior_only / self.published - 1.0)

    @property
    def within(self) -> bool:
        """Whether the prediction is within the tolerance of its quantity."""
        return abs(self.error) <= 100.0 * TOLERANCE[self.quantity]


def cells(case: Case) -> list[Cell]:
    """Every published figure with its predictions."""
    found, nominal = predictions(case), predicted(case.model, np.zeros(len(case.model.leaves)))
    return [
        Cell(
            name,
            case.vendors[row],
            quantity,
            unit,
            case.published[row, column] / scale,
            fact.confidence,
            float(found[row, column] / scale),
            float(nominal[row, column] / scale),
        )
        for row, name in enumerate(case.names)
        for column, (quantity, (_, unit, scale)) in enumerate(FACTS.items())
        if (fact := published(name, quantity)) is not None
    ]


def share(of: Sequence[Cell]) -> str:
    """How many of these cells are within: by quantity, then all.

    >>> share([Cell("x", "y", "area", "mm^2", 100.0, "A", 110.0, 130.0)])
    'area 1 of 1; all 1 of 1 (100 %)'
    """
    parts = []
    for quantity in FACTS:
        if chosen := [cell.within for cell in of if cell.quantity == quantity]:
            parts.append(f"{quantity} {sum(chosen)} of {len(chosen)}")
    inside = sum(cell.within for cell in of)
    return "; ".join([*parts, f"all {inside} of {len(of)} ({100 * inside / len(of):.0f} %)"])


def reaches(of: Sequence[Cell], target: float = 0.8) -> bool:
    """Whether the share of cells within is at least the target."""
    return sum(cell.within for cell in of) >= target * len(of)


def ratio_lines(of: Sequence[Cell]) -> list[str]:
    """Ratios of two devices, predicted beside published."""
    found = {(cell.device, cell.quantity): cell for cell in of}
    lines = []
    for over, under in RATIOS:
        parts = []
        for quantity in FACTS:
            a, b = found[over, quantity], found[under, quantity]
            told, said = a.published / b.published, a.predicted / b.predicted
            error = said / told - 1.0
            verdict = "within" if abs(error) <= RATIO_TOLERANCE else "outside"
            parts.append(
                f"{quantity} {said:.2f} against {told:.2f} ({100 * error:+.1f} %, {verdict})"
            )
        lines.append(f"ratio {over} / {under}, predicted against published: {'; '.join(parts)}")
    return lines


def summary(case: Case, of: Sequence[Cell]) -> list[str]:
    """Shares within, and ratios."""
    named = [cell for cell in of if cell.device in NAMED]
    sure = [cell for cell in of if cell.confidence in ("A", "B")]
    nominal = [dataclasses.replace(cell, predicted=cell.prior_only) for cell in of]
    loose = cells(widened(case, 3.0))
    short = [
        quantity
        for quantity in FACTS
        if not reaches([cell for cell in named if cell.quantity == quantity])
    ]
    verdict = ("met" if reaches(named) else "not met") + (
        f", but not by {' and '.join(short)} alone" if short else ""
    )
    return [
        (
            "within (area and bill of materials ±15 %, power ±25 %), the eight named devices:"
            f" {share(named)}"
        ),
        f"target, 80 % of the cells of the eight named devices: {verdict}",
        f"within, all devices: {share(of)}",
        f"within, all devices, only figures of confidence A or B: {share(sure)}",
        (
            "within, nothing fitted, the eight named devices:"
            f" {share([cell for cell in nominal if cell.device in NAMED])}"
        ),
        f"within, nothing fitted, all devices: {share(nominal)}",
        (
            "within, every prior three times as wide, the eight named devices:"
            f" {share([c for c in loose if c.device in NAMED])}"
        ),
        f"within, every prior three times as wide, all devices: {share(loose)}",
        *ratio_lines(of),
    ]


def table(settings: Settings) -> Table:
    """Predicted beside published, each vendor left out of its own fit."""
    from experiments.reproductions.device_notes import method, why

    everything = case()
    found = cells(everything)
    columns = [
        *(
            Column("device"),
            Column("vendor"),
            Column("quantity"),
            Column("unit"),
            Column("published", "1"),
            Column("confidence"),
        ),
        *(
            Column("predicted, vendor left out", "1"),
            Column("error", "%"),
            Column("prior only", "1"),
            Column("prior error", "%"),
        ),
        Column("within"),
    ]
    rows = [
        (
            *(cell.device, cell.vendor, cell.quantity, cell.unit, cell.published, cell.confidence),
            *(
                cell.predicted,
                cell.error,
                cell.prior_only,
                cell.prior_error,
                "yes" if cell.within else "no",
            ),
        )
        for cell in found
    ]
    title = (
        "Area, power and bill of materials of accelerators, each vendor left out of the fit that"
        " predicts it"
    )
    return Table(
        title, columns, rows, summary(everything, found), [*method(everything), *why(found)]
    )
