"""What was aimed at, beside what was found: a table of the accuracy page."""

from typing import Any, TypeAlias

Report: TypeAlias = dict[str, Any]
"""Figures of ``calibrate --leave-out``, by what was left out."""

SEEN, IDLE = "time per token, engine seen elsewhere", "time to first token, below saturation"
MEAN, MEDIAN = "mean_absolute_percentage_error", "median_absolute_percentage_error"

AIMS: tuple[tuple[str, str, tuple[str, ...], float], ...] = (
    ("time per token, a device left out", "device", ("quantities", "time_per_token", MEAN), 12.0),
    ("time per token, a model left out", "model", ("quantities", "time_per_token", MEAN), 12.0),
    ("time per token, a group left out, engine seen", "group", ("parts", SEEN, MEAN), 10.0),
    (
        "the same with two rows of the group given back (`--anchors 2`)",
        "group, 2 anchors a group",
        ("quantities", "time_per_token", MEAN),
        8.0,
    ),
    ("time to first token below saturation, median", "group", ("parts", IDLE, MEDIAN), 20.0),
    ("throughput, a group left out", "group", ("quantities", "throughput", MEAN), 12.0),
    ("energy per token, a group left out", "group", ("quantities", "energy", MEAN), 11.0),
    ("ratios between layouts, a group left out", "group", ("ratios", "layout", MEAN), 8.0),
    ("ratios between devices, a group left out", "group", ("ratios", "device", MEAN), 12.0),
)
"""What, of which table, its place there, and the largest mean (or median) error that was aimed at
[%]."""

SIGN, KERNEL, NOMINAL = 95.0, 10.0, (85.0, 95.0)
"""Least share of pairs told right [%], largest median error of a kernel table [%], and the share of
rows that belongs into nominal 90 % intervals [%]."""


def aims(found: Report) -> list[str]:
    """A Markdown table of what was aimed at and what was found, missed where it was; nothing of
    what was not measured."""
    rows: list[tuple[str, str, str, bool]] = []
    for name, layer, place, most in AIMS:
        value: Any = found.get(layer)
        for key in place:
            value = (value or {}).get(key)
        if value is not None:
            rows.append((name, f"at most {most:g} %", f"{value:.1f} %", value <= most))
    for between in ("layout", "device"):
        entry = found.get("group", {}).get("ratios", {}).get(between)
        if entry:
            right = 100.0 * entry["right_sign"]
            name = f"faster of two {between}s told right, a group left out"
            rows.append((name, f"at least {SIGN:g} %", f"{right:.1f} %", right >= SIGN))
    for layer in ("device", "model", "group"):
        entry = found.get(layer, {}).get("coverage")
        if entry:
            told = f"{entry['nominal']:.0f} of {entry['groups']:.0f}"
            name = f"groups of 30 rows with 85 to 95 % in the 90 % interval, a {layer} left out"
            rows.append((name, "all", told, entry["nominal"] == entry["groups"]))
    for table, entry in found.get("shape", {}).get("shapes", {}).items():
        rows.append(
            (
                f"kernel table {table}, shapes left out, median",
                f"at most {KERNEL:g} %",
                f"{entry['median']:.1f} %",
                entry["median"] <= KERNEL,
            )
        )
    if not rows:
        return []
    return [
        "",
        "## Aims",
        "",
        "Mean errors where nothing else is said.",
        "",
        "| what | aim | found | |",
        "|---|--:|--:|---|",
        *(
            f"| {name} | {aim} | {told} | {'met' if met else 'MISSED'} |".replace("_", r"\_")
            for name, aim, told, met in rows
        ),
    ]
