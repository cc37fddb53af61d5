"""The picture of a front beside real devices."""

import textwrap
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from codesign.search import Front
from experiments.device_points import DevicePoint
from experiments.scenario import Scenario
from experiments.screen import plain

DEVICE_COLOUR = "#d55e00"  # vermillion of the Okabe-Ito palette: told from all of cividis by every kind of eye
LABEL_SIZE = 10  # points
SIZE = (9.0, 10.5)  # inches
PANELS = (
    ("tokens_per_second_per_dollar", "tokens/s per $ of capital [token/s/USD]"),
    ("tokens_per_second_per_watt", "tokens/s per provisioned W [token/s/W]"),
)


def draw_front(path: Path, front: Front, devices: list[DevicePoint], scenario: Scenario) -> None:
    """Write ``front.png``: speed against tokens/s/$ and tokens/s/W, coloured by batch, with real devices."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    title = textwrap.fill(plain(scenario.title), 95)
    below = textwrap.fill(caption(devices, scenario), 118)
    figure = Figure(figsize=SIZE, dpi=150)
    FigureCanvasAgg(figure)
    top, bottom = 1.0 - _room(title, 11) - 0.15 / SIZE[1], _room(below, 9) + 0.75 / SIZE[1]
    axes = figure.subplots(2, 1, sharex=True, gridspec_kw={"left": 0.1, "right": 0.87, "top": top, "bottom": bottom, "hspace": 0.04})
    batch = np.asarray(front.batch, dtype=float)
    norm = LogNorm(vmin=max(batch.min(), 1), vmax=max(batch.max(), batch.min() * 2, 2))
    shown = [point for point in devices if not point.missing]
    speed = np.asarray(front.totals.user_tokens_per_second)
    for panel, (name, label) in zip(axes, PANELS, strict=True):
        points = _points(panel, speed, np.asarray(getattr(front.totals, name)), batch, norm)
        at = [point.user_tokens_per_second for point in shown], [getattr(point, name) for point in shown]
        panel.scatter(
            *at, marker="D", s=42, color=DEVICE_COLOUR, edgecolor="white", linewidth=0.5, zorder=4, label="devices at their best tokens/s/$"
        )
        panel.set_ylabel(label, fontsize=11)
        _plain_ticks(panel)
    slowest, fastest = (f([*speed, *(p.user_tokens_per_second for p in shown)]) for f in (min, max))
    room = 0.25 if shown else 0.04  # of the panel's width at the left, for the devices' names
    axes[0].set_xlim(slowest * (slowest / fastest) ** (room / (0.96 - room)), fastest * (fastest / slowest) ** 0.05)
    axes[1].set_xlabel("speed that one user sees [token/s]", fontsize=11)
    axes[0].legend(loc="upper right", fontsize=10, framealpha=0.95)
    axes[0].set_title(title, fontsize=11, parse_math=False)
    bar = figure.colorbar(points, cax=figure.add_axes((0.89, bottom, 0.02, top - bottom)))
    bar.set_label("batch [sequences]", fontsize=11)
    _plain_ticks(bar.ax, only="y")
    figure.text(0.02, 0.1 / SIZE[1], below, fontsize=9, ha="left", va="bottom", parse_math=False)
    for panel, (name, _) in zip(axes, PANELS, strict=True):
        _label(panel, [(p.user_tokens_per_second, getattr(p, name), f"{p.name} ×{p.chips}") for p in shown])
    with warnings.catch_warnings():  # a description may have characters that the font has not: drawn as boxes
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(path, metadata={"Software": None})


def _points(panel: Any, speed: np.ndarray, value: np.ndarray, batch: np.ndarray, norm: Any) -> Any:
    """Designs in one plane, and the outer edge of the front there."""
    edge = _upper_right(speed, value)
    panel.plot(speed[edge], value[edge], color="0.6", linewidth=1, zorder=1)
    panel.set(xscale="log", yscale="log")
    panel.grid(True, which="both", color="0.92", linewidth=0.6)
    panel.set_axisbelow(True)
    panel.tick_params(which="both", labelsize=10)
    return panel.scatter(
        speed, value, c=batch, cmap="cividis", norm=norm, s=46, edgecolor="white", linewidth=0.5, zorder=3, label="designs of the front"
    )


def _room(text: str, size: float) -> float:
    """Height of a text as a share of the picture's."""
    return 1.25 * size / 72.0 * (text.count("\n") + 1) / SIZE[1]


def caption(devices: list[DevicePoint], scenario: Scenario) -> str:
    """What the points are, how they are priced, and which devices are absent."""
    chosen = scenario.technology
    margin = "no vendor margin" if chosen.price_basis == "builder" else "one vendor margin for all"
    made = ", ".join("/".join(part) for part in (chosen.node, chosen.memory, chosen.link, chosen.cooling))
    absent = [f"{point.name} ({point.missing})" for point in devices if point.missing]
    text = (
        f"Designs: {made}. Devices: best chips (×n, within "
        f"one scale-up domain) and batch (powers of two) at {scenario.main.promise} per token or faster, priced by "
        f"the same model with their own node, memory and links ({chosen.price_basis} prices: {margin}). "
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


def _label(panel: Any, labels: list[tuple[float, float, str]]) -> None:
    """Names in a column at the left edge, never over each other, each with a line to its point."""
    to_screen, frame = panel.transData, panel.get_window_extent()
    line_height = 1.3 * LABEL_SIZE * panel.figure.dpi / 72
    ordered = sorted(labels, key=lambda label: label[1])
    heights = [to_screen.transform((x, y))[1] for x, y, _ in ordered]
    for k in range(1, len(heights)):  # push up what is too close to the one below
        heights[k] = max(heights[k], heights[k - 1] + line_height)
    shift = sum(heights) / len(heights) - sum(to_screen.transform((x, y))[1] for x, y, _ in ordered) / len(heights) if heights else 0
    for (x, y, text), height in zip(ordered, heights, strict=True):
        at = (0.01, (height - shift - frame.y0) / frame.height)
        line = {"arrowstyle": "-", "color": "0.6", "linewidth": 0.6, "shrinkA": 1, "shrinkB": 3, "relpos": (1, 0.5)}
        panel.annotate(
            text,
            (x, y),
            at,
            textcoords="axes fraction",
            fontsize=LABEL_SIZE,
            va="center",
            ha="left",
            arrowprops=line,
            zorder=2,
        )
