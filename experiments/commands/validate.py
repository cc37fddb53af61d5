"""``codesign validate``: a calibration profile against measured results."""

import dataclasses
import json as json_format
from pathlib import Path
from typing import Any

import tyro


@dataclasses.dataclass(frozen=True)
class Validate:
    """Predict every row of measured results and say how far off the predictions are."""

    data: tyro.conf.Positional[tuple[str, ...]]
    """CSV files of measured results (schema: codesign.calibration.measurements)"""
    profile: str | None = None
    """shipped profile, or path of one of your own; the newest shipped one unless told"""
    page: str | None = None
    """also write the report as a dated Markdown page to this file"""
    json: bool = False
    """only JSON on standard output"""

    def run(self) -> int:
        """Print the report; 0."""
        from codesign.calibration.validation import validate
        from experiments.measured import mapped
        from hardware_priors.profiles import profile

        cases, unmapped = mapped(self.data)
        found = profile(self.profile)
        report = {**validate(cases, unmapped, found), "profile": found.about}
        if self.page is not None:
            from experiments.validation_page import page

            Path(self.page).write_text(page(report, self.data), encoding="utf-8")
        if self.json:
            print(json_format.dumps(report, indent=1, allow_nan=False, default=float))
        else:
            show(report)
        return 0


def show(report: dict[str, Any]) -> None:
    """Print the report as tables."""
    from rich.markup import escape
    from rich.table import Table

    from experiments.screen import results

    console = results()
    table = Table(title="predicted against measured")
    table.add_column("rows of")
    for column in ("n", "mean error [%]", "median error [%]", "bias [%]", "rank correlation", "in the 90 % interval [%]", "± [%]"):
        table.add_column(escape(column), justify="right")

    def row(name: str, entry: dict[str, Any]) -> None:
        ranks = "" if entry["spearman"] is None else f"{entry['spearman']:.3f}"
        errors = (f"{entry[key]:.1f}" for key in ("mean_absolute_percentage_error", "median_absolute_percentage_error", "bias_percent"))
        covered, width = f"{100 * entry['interval_coverage']:.0f}", f"{100 * entry['interval_width']:.0f}"
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
                f"Ratios between {between}s: {entry['n']} pairs, mean error {error:.1f} %, the faster one told right {right:.1f} %."
            )
    left = sum(report["unmapped_reasons"].values())
    console.print(f"{left} rows not predicted:" if left else "All rows predicted.")
    for reason, count in list(report["unmapped_reasons"].items())[:12]:
        console.print(escape(f"  {count}  {reason}"), soft_wrap=True)
