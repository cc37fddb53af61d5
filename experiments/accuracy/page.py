"""The validation report as a dated page of the docs: no figure on it comes from anywhere else."""

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from experiments.accuracy.aims import aims

HEAD = (
    (
        "| rows of | n | mean error [%] | without worst 5 % [%] | median error [%] | bias [%] |"
        " rank correlation | in the 90 % interval [%] | interval ± [%] |"
    ),
    "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
)

Report: TypeAlias = dict[str, Any]
"""What ``--json`` prints."""

NOTES = {
    "group": (
        "A group is a device, model, engine and format; ten folds of every tenth group. Below"
        " saturation: all prompts in flight fit into one step. NVIDIA's nightly page says of 754"
        " points of InferenceX that it does not name: 30.1 % of the time per token, 76 % of the"
        " time to first token."
    ),
    "run": (
        "Ten folds of every tenth run. BLIS, on this protocol, fits 15 runs and says of 36 others,"
        " which are not here, medians of 6.5 % of the time per token, 6.8 % end to end and 18.4 %"
        " of the time to first token."
    ),
}
"""What a table is to be read with, by what is left out."""

MOST_GROUPS = 20
"""Groups that are shown, the worst first."""


def page(report: Report, files: Sequence[str], also: Sequence[Report] = ()) -> str:
    """A Markdown page: what was compared, how well, the worst groups, and what could not be
    predicted."""
    about, main = report["profile"], report["overall"]["quantity"]
    fitted = f"{about['rows']:,} rows" if "rows" in about else "rows that it does not name"
    lines = [
        "# Accuracy of the calibrated execution",
        "",
        (
            f"Written by `codesign validate FILES --page` on {datetime.date.today().isoformat()};"
            " do not edit."
        ),
        (
            f"Data: {', '.join(Path(file).name for file in files)}. Profile:"
            f" {about.get('name', 'unnamed')} of {about.get('date', 'unknown date')}, fitted to"
            f" {fitted}."
        ),
        "",
        (
            "The error of a row is |predicted / measured − 1|. An interval ± is the median of half"
            " the 90 % interval over the prediction."
        ),
        "",
        *aims(about.get("left_out", {})),
        "",
        "## These rows, most of which the profile has seen",
        "",
        *HEAD,
        *(_row(name.replace("_", " "), entry) for name, entry in report["quantities"].items()),
        "",
    ]
    for rule, count in report["contradicted"].items():
        lines.append(
            f"- {count} of these rows are {rule}: the fit leaves them out, this table does not."
        )
    worst = sorted(
        (entry for entry in report["groups"] if entry["quantity"] == main and entry["n"] >= 30),
        key=lambda entry: -entry["trimmed_mean_absolute_percentage_error"],
    )
    lines += [
        "",
        f"Groups of at least 30 rows of {main.replace('_', ' ')}, the worst first:",
        "",
        *HEAD,
    ]
    lines += [_row(f"{entry['by']} {entry['member']}", entry) for entry in worst[:MOST_GROUPS]]
    lines += _ratios(report["ratios"])
    lines += left_out(about.get("left_out", {}), about.get("widened", {}))
    for other in also:
        told = f"profile {other.get('name', 'unnamed')}, fitted to {', '.join(other['data'])} only"
        lines += left_out(other.get("left_out", {}), other.get("widened", {}), f": {told}")
    lines += ["", "## Rows that were not predicted, and why", ""]
    lines += [
        f"- {count}: {_safe(reason)}" for reason, count in report["unmapped_reasons"].items()
    ] or ["- none"]
    return "\n".join(lines) + "\n"


def left_out(found: Report, widened: dict[str, float], of: str = "") -> list[str]:
    """What ``codesign calibrate --leave-out`` wrote into the profile: predictions of devices,
    models and engines not seen."""
    lines: list[str] = []
    for layer, entry in found.items():
        if "shapes" in entry:
            lines += _shapes(entry)
            continue
        lines += [
            "",
            f"## Every {layer} left out in turn (`codesign calibrate --leave-out`){_safe(of)}",
            "",
            f"{entry.get('made', 'Not dated')}. {NOTES.get(layer, '')}".strip(),
            "",
            *HEAD,
        ]
        lines += [
            _row(f"all: {name.replace('_', ' ')}", score)
            for name, score in entry["quantities"].items()
        ]
        lines += [_row(name, score) for name, score in entry.get("parts", {}).items()]
        lines += [
            _row(name if "first token" in name else f"{name}: time per token", score)
            for name, score in (*entry.get("files", {}).items(), *entry["members"].items())
        ]
        lines += _coverage(entry.get("coverage", {}))
        lines += _ratios(entry.get("ratios", {}))
        if entry.get("widened", 1.0) > 1.0:
            told = f"{entry['widened']:.2f} times as wide as members measured lie apart"
            lines += ["", f"Intervals of this table: layers nobody measured {told}."]
    if widened:
        lines += [
            "",
            (
                f"The profile takes layers nobody measured so wide: {times_as_wide(widened)}."
                " Spreads of"
                " layers and scales of rows were learnt from all rows, those left out included;"
                " so was, unless `--kernels` was given, what a device's kernel tables say of its"
                " architecture."
            ),
        ]
    return lines


def times_as_wide(widened: dict[str, float]) -> str:
    """By what was left out, the factors in words.

    >>> times_as_wide({"device": 2.0, "model": 1.5})
    'of a device 2.00 times, of a model 1.50 times'
    """
    return ", ".join(f"of a {layer} {factor:.2f} times" for layer, factor in widened.items())


def _shapes(entry: Report) -> list[str]:
    """Kernel tables, shapes left out."""
    return [
        "",
        "## Kernel tables, a fifth of the shapes left out (`codesign calibrate --leave-out shape`)",
        "",
        f"{entry.get('made', 'Not dated')}.",
        "",
        "| table | rows left out | median error [%] | mean error [%] |",
        "|---|--:|--:|--:|",
        *(
            f"| {_safe(name)} | {told['n']:.0f} | {told['median']:.1f} | {told['mean']:.1f} |"
            for name, told in entry["shapes"].items()
        ),
    ]


def _coverage(found: dict[str, float]) -> list[str]:
    """How many groups' rows lie in their intervals as often as these say."""
    if not found:
        return []
    total = int(found["groups"])
    return [
        "",
        (
            f"Of {total} groups of at least 30 times per token, {int(found['nominal'])} have 85"
            f" to 95 % of their rows in the 90 % interval and {int(found['enough'])} at least 85 %;"
            f" the least has {100 * found['least']:.0f} %. Mean width: ±"
            f" {100 * found['width']:.0f} %."
        ),
    ]


def _ratios(found: Report) -> list[str]:
    """How well ratios between devices, and between layouts, are met."""
    lines: list[str] = []
    for between, entry in found.items():
        if entry:
            error, right = entry["mean_absolute_percentage_error"], 100 * entry["right_sign"]
            middle = entry["median_absolute_percentage_error"]
            lines += [
                "",
                (
                    f"Ratios between {between}s ({entry['n']} pairs): mean error {error:.1f} %,"
                    f" median {middle:.1f} %, faster one told right {right:.1f} %."
                ),
            ]
    return lines


def _row(name: str, entry: Report) -> str:
    ranks = "–" if entry["spearman"] is None else f"{entry['spearman']:.3f}"
    errors = (
        entry[f"{kind}_absolute_percentage_error"] for kind in ("mean", "trimmed_mean", "median")
    )
    shown = " | ".join(f"{error:.1f}" for error in errors)
    return (
        f"| {_safe(name)} | {entry['n']} | {shown} | {entry['bias_percent']:+.1f} | {ranks} "
        f"| {100 * entry['interval_coverage']:.0f} | {100 * entry['interval_width']:.0f} |"
    )


def _safe(text: str) -> str:
    """Text of strangers as text in a Markdown table."""
    return "".join(f"\\{letter}" if letter in "|<>`*_[]\\" else letter for letter in text)
