"""The picture of an explanation: from one value to the other, an idea a step."""

import math
from pathlib import Path
from typing import Any

from experiments.terminal.number_format import written
from experiments.terminal.screen import plain

GAIN, LOSS, ENDS = "#0072b2", "#d55e00", "#555555"  # of the Okabe-Ito palette
LEAST = 1e-3
"""ln of a factor below which an idea is drawn with the rest."""


def draw_waterfall(path: Path, report: dict[str, Any]) -> None:
    """Draw the factors of an explanation by idea, on a logarithmic axis, and write the picture.

    Args:
        path: file to write; its ending says the format.
        report: what ``codesign explain --json`` prints.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    groups = [(name, log) for name, log in report["groups"].items() if abs(log) >= LEAST]
    rest = report["total_log"] - sum(log for _, log in groups)
    groups += [("all else", rest)] if abs(rest) >= LEAST else []
    figure, axes = pyplot.subplots(figsize=(9.0, 1.6 + 0.38 * (len(groups) + 2)))
    start, at = report["a"]["value"], 0.0
    names, rows, ends = [_shown(report, "a")], len(groups) + 1, [start]
    axes.plot([start], [0], "D", color=ENDS)
    for row, (name, log) in enumerate(groups, start=1):
        left, right = start * math.exp(at), start * math.exp(at + log)
        helps = report["sense"] * log > 0
        axes.barh(row, right - left, left=left, color=GAIN if helps else LOSS, height=0.6)
        axes.plot([right, right], [row - 0.3, row + 1.0], color=ENDS, linewidth=0.7)
        axes.annotate(
            f"×{math.exp(log):.3g}",
            (max(left, right), row),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
        )
        names.append(name)
        ends.append(right)
        at += log
    names.append(_shown(report, "b"))
    axes.plot([report["b"]["value"]], [rows], "D", color=ENDS)
    axes.set_xscale("log")
    low, high = min(ends), max(ends)
    room = (high / low) ** 0.12
    axes.set_xlim(low / room, high * room * room)  # the labels stand on the right
    axes.set_yticks(range(rows + 1), names, parse_math=False)
    axes.invert_yaxis()
    axes.set_xlabel(f"{report['objective']} [{report['unit']}]".replace("$", r"\$"))
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def _shown(report: dict[str, Any], side: str) -> str:
    value = written(report[side]["value"], report["objective"], report["unit"])
    return plain(f"{report[side]['name']}\n{value}")
