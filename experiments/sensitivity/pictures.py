"""Pictures of what matters: a tornado of priors, a ridge plot of optimal sizes."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from codesign.search.statement.space import CONTINUOUS
from experiments.sensitivity.uncertain import Sampled
from experiments.terminal.number_format import in_scale, scale
from experiments.terminal.screen import plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOW, HIGH, FILL = "#0072b2", "#d55e00", "#56b4e9"  # of the Okabe-Ito palette

SIZE_UNITS = dict(zip(CONTINUOUS, ("B/s", "B", "FLOP/s", "s", "B/s", "1"), strict=True))


def _figure(height: float, columns: int = 1, width: float = 9.0) -> "tuple[Figure, Any]":
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot.subplots(1, columns, figsize=(width, height))


def _save(figure: "Figure", path: Path) -> None:
    from matplotlib import pyplot

    figure.tight_layout()
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def draw_tornado(path: Path, report: dict[str, Any]) -> None:
    """Draw how much each prior alone moves the objective from its 5 % to its 95 % quantile (first
    order), and its total Sobol index.

    Args:
        path: file to write.
        report: what ``codesign uncertainty --json`` prints.
    """
    rows = report["indices"]["inputs"][::-1]
    figure, axes = _figure(1.4 + 0.42 * len(rows), 2, 11.0)
    names = [plain(row["prior"]) for row in rows]
    for k, row in enumerate(rows):
        reach = 100.0 * 1.645 * row["slope"]
        axes[0].barh(k, -reach, color=LOW, height=0.6, label="5 % quantile" if not k else None)
        axes[0].barh(k, reach, color=HIGH, height=0.6, label="95 % quantile" if not k else None)
        axes[1].barh(k, row["total"], xerr=row["total_error"], color=FILL, height=0.6)
        axes[1].plot([row["first"]], [k], "k|", markersize=12)
    axes[0].set_yticks(range(len(rows)), names, parse_math=False)
    axes[0].axvline(0.0, color="black", linewidth=0.8)
    axes[0].set_xlabel(f"{report['objective']}, % (first order)".replace("$", r"\$"))
    axes[0].legend(loc="best", fontsize=8)
    axes[1].set_yticks(range(len(rows)), [""] * len(rows))
    axes[1].set_xlabel("Sobol index: total (bar), first order (|) [1]")
    _save(figure, path)


def draw_ridge(path: Path, report: dict[str, Any], sampled: Sampled) -> None:
    """Draw the distribution of the objective and of the optimal sizes over the sampled worlds, each
    over its nominal value or its median.

    Args:
        path: file to write.
        report: what ``codesign uncertainty --json`` prints.
        sampled: the worlds.
    """
    feasible = np.isfinite(sampled.fixed) & (sampled.fixed > 0)
    columns: list[tuple[str, str, np.ndarray]] = []
    if feasible.any():
        columns = [
            (name.replace("_", " "), SIZE_UNITS[name], sampled.sizes[feasible, k])
            for k, name in enumerate(CONTINUOUS)
        ]
    table = sampled.table
    best = np.where(
        np.isfinite(table) & (table > 0), table, np.nan if report["sense"] > 0 else np.inf
    )
    with np.errstate(all="ignore"):
        worth = np.fmax.reduce(best, axis=0) if report["sense"] > 0 else best.min(axis=0)
    worth = worth[np.isfinite(worth)]
    columns.insert(0, (report["objective"], report["unit"], worth))
    columns = [column for column in columns if len(column[2]) > 1 and np.ptp(column[2]) > 0]
    figure, axes = _figure(1.2 + 0.8 * len(columns))
    for k, (name, unit, values) in enumerate(columns[::-1]):
        middle = float(np.median(values))
        ratio = np.clip(values / middle, 0.3, 3.0)
        counts, edges = np.histogram(np.log(ratio), bins=60, range=(np.log(0.3), np.log(3.0)))
        smooth = np.convolve(counts, np.hanning(9) / np.hanning(9).sum(), mode="same")
        centres = np.exp(0.5 * (edges[1:] + edges[:-1]))
        height = 0.85 * smooth / max(smooth.max(), 1e-9)
        axes.fill_between(centres, k, k + height, color=FILL, alpha=0.8, linewidth=0.8)
        chosen = scale(name, unit, [middle])
        told = f"{plain(name)}\nmedian {in_scale(middle, chosen, unit)} {chosen.unit}"
        axes.text(0.305, k + 0.12, told, fontsize=8, parse_math=False)
    axes.set_xscale("log")
    axes.set_xlim(0.3, 3.0)
    axes.set_xticks([0.3, 0.5, 1.0, 2.0, 3.0], ["0.3", "0.5", "1", "2", "3"])
    axes.minorticks_off()
    axes.set_yticks([])
    axes.set_xlabel("over the median of the sampled worlds [1]")
    axes.axvline(1.0, color="black", linewidth=0.6)
    _save(figure, path)
