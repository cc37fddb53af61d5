"""``codesign validate``: a calibration profile against measured results."""

import dataclasses
import json as json_format
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from experiments.terminal.refusal import Refused

if TYPE_CHECKING:
    from rich.console import Console

MOST_REASONS = 12
"""Reasons of rows left out that are printed."""

ERRORS = (
    *(f"{kind}absolute_percentage_error" for kind in ("mean_", "trimmed_mean_", "median_")),
    "bias_percent",
)


@dataclasses.dataclass(frozen=True)
class Validate:
    """Predict every row of measured results and say how far off the predictions are."""

    data: tyro.conf.Positional[tuple[str, ...]]
    """CSV files of measured results (schema: codesign.calibration.measurements)"""
    profile: str | None = None
    """shipped profile, or path of one of your own; the newest shipped one unless told"""
    page: str | None = None
    """also write the report as a dated Markdown page to this file"""
    also: tuple[str, ...] = ()
    """profiles of your own whose rows left out in turn follow on the page"""
    json: bool = False
    """only JSON on standard output"""

    def run(self) -> int:
        """Print the report; 0.

        Raises:
            Refused: a file that cannot be read, or (after the report) files of which no row can be
                predicted.
        """
        from codesign.calibration.validation import validate
        from experiments.accuracy.measured import mapped
        from experiments.points.calibrated import shipped_or_own

        if self.also and self.page is None:
            raise Refused(f"--also is {self.also[0]!r} without --page; expected both")
        cases, unmapped = mapped(self.data)
        found = shipped_or_own(self.profile)
        report = {**validate(cases, unmapped, found), "profile": found.about}
        if self.page is not None and report["overall"] is not None:
            from experiments.accuracy.page import page

            others = [dict(shipped_or_own(name).about) for name in self.also]
            try:
                Path(self.page).write_text(page(report, self.data, others), encoding="utf-8")
            except OSError as error:
                raise Refused(
                    f"--page {self.page!r}: {error.strerror or error}; expected a file that can be"
                    " written"
                ) from None
        if self.json:
            print(json_format.dumps(report, indent=1, allow_nan=False, default=float))
        else:
            show(report)
        if report["overall"] is None:
            commonest = next(iter(report["unmapped_reasons"]), "there are none")
            raise Refused(
                f"none of {len(report['unmapped'])} rows can be predicted; the commonest reason:"
                f" {commonest}"
            )
        return 0


def show(report: dict[str, Any]) -> None:
    """Print the report as tables."""
    from experiments.terminal.screen import results

    console = results()
    if report["overall"] is not None:
        _scores(console, report)
    left = sum(report["unmapped_reasons"].values())
    console.print(f"{left} rows not predicted:" if left else "All rows predicted.")
    reasons = list(report["unmapped_reasons"].items())
    for reason, count in reasons[:MOST_REASONS]:
        console.print(f"  {count}  {reason}", soft_wrap=True, markup=False)
    if more := sum(count for _, count in reasons[MOST_REASONS:]):
        console.print(f"  {more}  other reasons: --json names them all, row by row")


def _scores(console: "Console", report: dict[str, Any]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(title="predicted against measured")
    table.add_column("rows of")
    for column in (
        "n",
        "mean error [%]",
        "without worst 5 % [%]",
        "median error [%]",
        "bias [%]",
        "rank correlation",
        "in the 90 % interval [%]",
        "± [%]",
    ):
        table.add_column(column, justify="right")

    def row(name: str, entry: dict[str, Any]) -> None:
        ranks = "" if entry["spearman"] is None else f"{entry['spearman']:.3f}"
        errors = (f"{entry[key]:.1f}" for key in ERRORS)
        covered, width = (
            f"{100 * entry['interval_coverage']:.0f}",
            f"{100 * entry['interval_width']:.0f}",
        )
        table.add_row(escape(name), str(entry["n"]), *errors, ranks, covered, width)

    for name, entry in report["quantities"].items():
        row(name.replace("_", " "), entry)
    for by in ("device", "model", "engine", "concurrency"):
        table.add_section()
        for entry in report["groups"]:
            if entry["by"] == by and entry["quantity"] == report["overall"]["quantity"]:
                row(f"  {by} {entry['member']}", entry)
    console.print(table)
    for between, entry in report["ratios"].items():
        if entry:
            error, right = entry["mean_absolute_percentage_error"], 100 * entry["right_sign"]
            console.print(
                f"Ratios between {between}s: {entry['n']} pairs, mean error {error:.1f} %, the"
                f" faster one told right {right:.1f} %."
            )
    for rule, count in report["contradicted"].items():
        console.print(
            f"{count} of these rows contradict physics or each other ({rule}); they count above all"
            " the same."
        )
