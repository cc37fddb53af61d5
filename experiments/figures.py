"""The picture of a front beside real devices."""

import textwrap
from pathlib import Path
from typing import Any

import numpy as np

from codesign.search import Front
from experiments.device_points import DevicePoint
from experiments.scenario import Scenario

DEVICE_COLOUR = "#d55e00"  # vermillion of the Okabe-Ito palette: told from all of cividis by every kind of eye
PANELS = (
    ("tokens_per_second_per_dollar", "tokens/s per $ of capital [token/s/USD]"),
    ("tokens_per_second_per_watt", "tokens/s per provisioned W [token/s/W]"),
)


def draw_front(path: Path, front: Front, devices: list[DevicePoint], scenario: Scenario) -> None:
    """Write ``front.png``: speed of one user against tokens/s/$ and tokens/s/W, coloured by batch, with real devices."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 10.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 1, sharex=True)
    speed = np.asarray(front.outcomes.user_tokens_per_second)
    batch = np.asarray(front.batch, dtype=float)
    norm = LogNorm(vmin=max(batch.min(), 1), vmax=max(batch.max(), batch.min() * 2, 2))
    shown = [point for point in devices if not point.missing]
    points = None
    for panel, (name, label) in zip(axes, PANELS, strict=True):
        value = np.asarray(getattr(front.outcomes, name))
        edge = _upper_right(speed, value)
        panel.plot(speed[edge], value[edge], color="0.6", linewidth=1, zorder=1)
        points = panel.scatter(speed, value, c=batch, cmap="cividis", norm=norm, s=46, edgecolor="white", linewidth=0.5, zorder=3, label="designs of the front")
        x = [point.user_tokens_per_second for point in shown]
        y = [getattr(point, name) for point in shown]
        panel.scatter(x, y, marker="D", s=42, color=DEVICE_COLOUR, edgecolor="white", linewidth=0.5, zorder=4, label="devices at their best tokens/s/$")
        panel.set(xscale="log", yscale="log", ylabel=label)
        panel.grid(True, which="both", color="0.92", linewidth=0.6)
        panel.set_axisbelow(True)
        panel.tick_params(which="both", labelsize=10)
    axes[1].set_xlabel("speed that one user sees [token/s]", fontsize=11)
    for panel in axes:
        _plain_ticks(panel)
        panel.yaxis.label.set_size(11)
    axes[0].legend(loc="lower left", fontsize=10, framealpha=0.95)
    axes[0].set_title(textwrap.fill(scenario.description or scenario.name, 80), fontsize=12)
    if points is not None:
        bar = figure.colorbar(points, ax=axes, pad=0.01, aspect=50)
        bar.set_label("batch [sequences]", fontsize=11)
        _plain_ticks(bar.ax, only="y")
    figure.supxlabel(textwrap.fill(caption(devices, scenario), 118), fontsize=9, ha="left", x=0.02)
    figure.canvas.draw()  # fixes the layout, which the labels need
    for panel, (name, _) in zip(axes, PANELS, strict=True):
        _label(panel, [(p.user_tokens_per_second, getattr(p, name), f"{p.name} ×{p.chips}") for p in shown], speed, np.asarray(getattr(front.outcomes, name)))
    figure.savefig(path, dpi=150, metadata={"Software": None})


def caption(devices: list[DevicePoint], scenario: Scenario) -> str:
    """What the points are, how they are priced, and which devices are absent."""
    chosen = scenario.technology
    absent = [f"{point.name} ({point.missing})" for point in devices if point.missing]
    text = (
        f"Designs: {chosen.node}, {chosen.memory}, {chosen.link}, {chosen.cooling}. Devices: best chips (×n, within one scale-up domain) and batch at "
        f"{scenario.workload.promise} per token or faster, priced by the same model with their own node, memory and links "
        f"({chosen.price_basis} prices: {'no vendor margin' if chosen.price_basis == 'builder' else 'one vendor margin for all'}). "
        "Grey: outer edge of the front in this plane."
    )
    return text + (f" Absent: {'; '.join(absent)}." if absent else "")


def _upper_right(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Rows that no other row beats in both, by rising x."""
    order = np.argsort(-x, kind="stable")
    best = np.maximum.accumulate(y[order])
    return order[y[order] >= best][::-1]


def _plain_ticks(panel: Any, only: str = "xy") -> None:
    """1, 2, 5, 10, … instead of powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    for axis in [getattr(panel, f"{letter}axis") for letter in only]:
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=30))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())


def _label(panel: Any, labels: list[tuple[float, float, str]], x: np.ndarray, y: np.ndarray) -> None:
    """Write names beside their points, each where it covers least of what is already there."""
    transform, renderer = panel.transData, panel.figure.canvas.get_renderer()
    frame = panel.get_window_extent(renderer)
    taken = [transform.transform((a, b)) for a, b in zip(x, y, strict=True)]
    taken += [transform.transform((a, b)) for a, b, _ in labels]
    boxes: list[Any] = []
    places = [(dx, dy) for radius in (9, 20, 34, 50) for dx, dy in ((radius, 0), (-radius, 0), (0, radius), (0, -radius), (radius, radius), (-radius, -radius), (radius, -radius), (-radius, radius))]
    for a, b, text in sorted(labels, key=lambda entry: -entry[1]):
        best, cost = None, np.inf
        note = panel.annotate(text, (a, b), (0, 0), textcoords="offset points", fontsize=10, zorder=5, arrowprops={"arrowstyle": "-", "color": "0.5", "linewidth": 0.6, "shrinkA": 0, "shrinkB": 2})
        for distance, (dx, dy) in enumerate(places):
            note.set(ha="left" if dx > 0 else "right" if dx < 0 else "center", va="bottom" if dy > 0 else "top" if dy < 0 else "center")
            note.xyann = (dx, dy)
            box = note.get_tightbbox(renderer) if False else _extent(note, renderer)
            covered = sum(box.x0 - 5 <= px <= box.x1 + 5 and box.y0 - 5 <= py <= box.y1 + 5 for px, py in taken)
            crossed = sum(box.overlaps(other) for other in boxes)
            outside = not (frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1)
            penalty = 100 * crossed + 10 * covered + 1000 * outside + 0.1 * distance
            if penalty < cost:
                best, cost = (dx, dy), penalty
        dx, dy = best or places[0]
        note.set(ha="left" if dx > 0 else "right" if dx < 0 else "center", va="bottom" if dy > 0 else "top" if dy < 0 else "center")
        note.xyann = (dx, dy)
        boxes.append(_extent(note, renderer))


def _extent(note: Any, renderer: Any) -> Any:
    """Where the words of an annotation stand, without its line."""
    from matplotlib.text import Text

    note.update_positions(renderer)
    return Text.get_window_extent(note, renderer)
