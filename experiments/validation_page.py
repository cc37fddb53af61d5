"""The validation report as a dated page of the docs."""

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def page(report: dict[str, Any], files: Sequence[str]) -> str:
    """A Markdown page: what was compared, how well, the worst groups, and what could not be predicted."""
    about, main = report["profile"], report["overall"]["quantity"]
    lines = [
        "# Validation of the calibrated execution",
        "",
        f"Written by `codesign validate` on {datetime.date.today().isoformat()}. Data: {', '.join(Path(file).name for file in files)}.",
        f"Profile: {about.get('name', 'unnamed')} of {about.get('date', 'unknown date')}.",
        "",
        "| quantity | n | mean error [%] | median error [%] | bias [%] | rank correlation | in the 90 % interval [%] | interval ± [%] |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    lines += [_row(name.replace("_", " "), entry) for name, entry in report["quantities"].items()]
    worst = sorted(
        (entry for entry in report["groups"] if entry["quantity"] == main and entry["n"] >= 30),
        key=lambda entry: -entry["mean_absolute_percentage_error"],
    )
    lines += ["", f"Groups of at least 30 rows of {main.replace('_', ' ')}, the worst first:", "", *lines[5:7]]
    lines += [_row(f"{entry['by']} {entry['member']}", entry) for entry in worst[:20]]
    lines += ["", "Rows that were not predicted, and why:", ""]
    lines += [f"- {count}: {reason}" for reason, count in report["unmapped_reasons"].items()] or ["- none"]
    return "\n".join(lines) + "\n"


def _row(name: str, entry: dict[str, Any]) -> str:
    ranks = "–" if entry["spearman"] is None else f"{entry['spearman']:.3f}"
    safe = name.replace("|", "\\|")
    return (
        f"| {safe} | {entry['n']} | {entry['mean_absolute_percentage_error']:.1f} | {entry['median_absolute_percentage_error']:.1f} "
        f"| {entry['bias_percent']:+.1f} | {ranks} | {100 * entry['interval_coverage']:.0f} | {100 * entry['interval_width']:.0f} |"
    )
