"""The picture of a front beside real devices."""

import textwrap
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from codesign.search import Front
from experiments.rivals.advantage import advantage, sentences
from experiments.rivals.device_rows import drawn
from experiments.rivals.points import SPEED, DevicePoint, Machine
from experiments.scenarios.schema import Scenario
from experiments.terminal.screen import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from matplotlib.colors import Normalize

# vermillion of the Okabe-Ito palette: told from all of cividis by every kind of eye
DEVICE_COLOUR = "#d55e00"
OTHER_COLOUR = "#cc79a7"  # reddish purple of the same palette
LABEL_SIZE = 9.5  # points
WIDTH, PANEL = 9.0, 4.3  # inches

TITLES = {
    "tokens/s/$": "tokens/s per $ of capital",
    "tokens/s/W": "tokens/s per provisioned W",
    "tokens/s": "tokens/s of one machine",
    "$/token": "running cost of a token",
    "J/token": "energy of a token",
    "capital": "capital of one machine",
    "power": "provisioned power of one machine",
    SPEED: "speed that one user sees",
}
"""Objectives in words, for the axes."""


class Panel(NamedTuple):
    """One objective against speed; or speed against the batch, where nothing else was asked for."""

    name: str
    sense: int
    label: str
    values: np.ndarray  # of the front's designs

    def of(self, machine: Machine) -> float:
        """What a device's machine yields."""
        return machine.values[self.name]


def panels(front: Front) -> list[Panel]:
    """What is drawn of a front: every objective asked for but speed, which is the horizontal axis;
    speed if alone."""
    found = [
        Panel(
            one.name,
            one.sense,
            f"{TITLES.get(one.name, one.name)} [{one.unit}]",
            np.asarray(front.values[:, k]),
        )
        for k, one in enumerate(front.objectives)
    ]
    return [panel for panel in found if panel.name != SPEED] or found


def draw_front(path: Path, front: Front, devices: list[DevicePoint], scenario: Scenario) -> None:
    """Write ``front.png``: each objective against speed, coloured by batch, with real devices and
    their own fronts."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    shown = panels(front)
    title = textwrap.fill(plain(scenario.title), 95)
    below = textwrap.fill(" ".join(sentences(advantage(front, devices, scenario), scenario)), 130)
    below += "\n" + textwrap.fill(caption(devices, scenario), 130)
    heights = (
        _room(title, 11) + 0.15,
        PANEL * len(shown),
        _room(below, 8.5) + 0.75,
    )  # above, panels, below [inches]
    size = (WIDTH, sum(heights))
    figure = Figure(figsize=size, dpi=150)
    FigureCanvasAgg(figure)
    top, bottom = 1.0 - heights[0] / size[1], heights[2] / size[1]
    grid = {"left": 0.1, "right": 0.87, "top": top, "bottom": bottom, "hspace": 0.04}
    axes = np.atleast_1d(figure.subplots(len(shown), 1, sharex=True, gridspec_kw=grid))
    batch = np.asarray(front.batch, dtype=float)
    norm = LogNorm(vmin=max(batch.min(), 1), vmax=max(batch.max(), batch.min() * 2, 2))
    across = batch if shown[0].name == SPEED else np.asarray(front.totals.user_tokens_per_second)
    beside = drawn(devices, scenario)
    reach = np.array(
        [*across, *(_across(one, shown[0]) for point in beside for one in point.front)]
    )
    points = [
        _designs(axis, panel, across, batch, norm) for axis, panel in zip(axes, shown, strict=True)
    ]
    for axis, panel in zip(axes, shown, strict=True):
        _devices(axis, panel, beside)
        axis.set_ylabel(panel.label, fontsize=11)
        _plain_ticks(axis)
    longest = max((len(_named(point)) for point in beside), default=0)
    room = 0.04 + longest * 0.58 * LABEL_SIZE / (
        0.77 * WIDTH * 72.0
    )  # of the panel's width at the left, for the devices' names
    slowest, fastest = reach.min(), max(reach.max(), reach.min() * 1.05)
    axes[0].set_xlim(
        slowest * (slowest / fastest) ** (room / (0.96 - room)),
        fastest * (fastest / slowest) ** 0.05,
    )
    axes[-1].set_xlabel(
        "batch [sequences]" if shown[0].name == SPEED else "speed that one user sees [token/s]",
        fontsize=11,
    )
    axes[0].legend(
        loc="upper right" if shown[0].sense > 0 else "upper left", fontsize=9, framealpha=0.95
    )
    axes[0].set_title(title, fontsize=11, parse_math=False)
    bar = figure.colorbar(points[0], cax=figure.add_axes((0.89, bottom, 0.02, top - bottom)))
    bar.set_label("batch [sequences]", fontsize=11)
    _plain_ticks(bar.ax, only="y")
    figure.text(0.02, 0.1 / size[1], below, fontsize=8.5, ha="left", va="bottom", parse_math=False)
    for axis, panel in zip(axes, shown, strict=True):
        _label(
            axis,
            [
                (_across(point.best, panel), panel.of(point.best), point)
                for point in beside
                if point.best
            ],
        )
    with (
        warnings.catch_warnings()
    ):  # a description may have characters that the font has not: drawn as boxes
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(path, metadata={"Software": None})


def _across(machine: Machine, panel: Panel) -> float:
    """Where a device's machine stands on the horizontal axis."""
    return float(machine.batch[0]) if panel.name == SPEED else machine.user_tokens_per_second


def _designs(
    axis: "Axes", panel: Panel, across: np.ndarray, batch: np.ndarray, norm: "Normalize"
) -> "PathCollection":
    """Designs in one plane, and the outer edge of the front there."""
    edge = outer_edge(across, panel.sense * panel.values)
    axis.plot(across[edge], panel.values[edge], color="0.6", linewidth=1, zorder=1)
    axis.set(xscale="log", yscale="log")
    axis.grid(True, which="both", color="0.92", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.tick_params(which="both", labelsize=10)
    return axis.scatter(
        across,
        panel.values,
        c=batch,
        cmap="cividis",
        norm=norm,
        s=46,
        edgecolor="white",
        linewidth=0.5,
        zorder=5,
        label="designs",
    )


def _devices(axis: "Axes", panel: Panel, devices: list[DevicePoint]) -> None:
    """Devices at their best, each with the outer edge of its own front; those of the scenario's
    generation stand out."""
    styles = {
        True: {
            "color": DEVICE_COLOUR,
            "marker": "D",
            "s": 46,
            "zorder": 6,
            "label": "devices of the same generation",
        },
        False: {
            "color": OTHER_COLOUR,
            "marker": "o",
            "s": 26,
            "zorder": 4,
            "label": "devices of other generations",
        },
    }
    for same, style in styles.items():
        own = [point for point in devices if point.same_generation == same and point.best]
        for point in own:
            at = np.array([_across(one, panel) for one in point.front])
            values = np.array([panel.of(one) for one in point.front])
            edge = outer_edge(at, panel.sense * values)
            axis.plot(
                at[edge],
                values[edge],
                color=style["color"],
                linewidth=1.3 if same else 0.7,
                alpha=0.8 if same else 0.4,
                zorder=3,
            )
        if own:
            best = [
                (_across(point.best, panel), panel.of(point.best)) for point in own if point.best
            ]
            axis.scatter(*np.transpose(best), edgecolor="white", linewidth=0.5, **style)


def _room(text: str, size: float) -> float:
    """Height of a text [inches]."""
    return 1.25 * size / 72.0 * (text.count("\n") + 1)


def caption(devices: list[DevicePoint], scenario: Scenario) -> str:
    """What the points are, how they are priced, and which devices are absent and why."""
    chosen = scenario.technology
    margin = "no vendor margin" if chosen.price_basis == "builder" else "one vendor margin for all"
    made = ", ".join(
        "/".join(part) for part in (chosen.node, chosen.memory, chosen.link, chosen.cooling)
    )
    low, high = scenario.space.chips
    first, last = scenario.space.batch
    text = (
        f"Designs: {made}. Devices: ×n chips of {low} to {high}, batch of {first} to {last}, the"
        " designs' layouts and promises; priced by the same model with their own node, memory and"
        f" links ({chosen.price_basis} prices: {margin}). Chips beyond a device's scale-up domain"
        " talk over the scenario's scale-out network."
    )
    told = drawn(devices, scenario)
    text += (
        " Diamonds: devices with the designs' memory."
        if any(point.same_generation for point in told)
        else ""
    )
    text += " Lines from devices: each one's own front." if told else ""
    rest = len([point for point in devices if point.best]) - len(told)
    text += f" {rest} more devices: devices.csv." if rest else ""
    reasons: dict[str, list[str]] = {}
    for point in devices:
        if point.absent_because:
            reasons.setdefault(point.absent_because, []).append(point.name)
    absent = "; ".join(f"{', '.join(names)} ({why})" for why, names in reasons.items())
    return text + (f" Absent: {absent}." if absent else "")


def outer_edge(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Rows that no other row beats in both, by rising x."""
    order = np.argsort(-x, kind="stable")
    best = np.maximum.accumulate(y[order])
    return order[y[order] >= best][::-1]


def _plain_ticks(panel: "Axes", only: str = "xy") -> None:
    """1, 2, 5, 10, … instead of powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    for axis in [getattr(panel, f"{letter}axis") for letter in only]:
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=30))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())


def spaced(wanted: list[float], least: float, low: float, high: float) -> list[float]:
    """Heights at least ``least`` apart within a range, in the order given, near those wanted
    (rising); evenly where none fit.

    >>> spaced([1.0, 1.1, 9.9], 1.0, 0.0, 10.0)
    [1.0, 2.0, 9.9]
    >>> spaced([9.5, 9.9], 1.0, 0.0, 10.0)
    [9.0, 10.0]
    """
    if (len(wanted) - 1) * least > high - low:
        return np.linspace(low, high, len(wanted)).tolist()
    placed: list[float] = []
    for height in wanted:
        placed.append(max(height, placed[-1] + least if placed else low))
    ceiling = high
    for k in reversed(range(len(placed))):
        placed[k] = min(placed[k], ceiling)
        ceiling = placed[k] - least
    return placed


def _named(point: DevicePoint) -> str:
    return plain(f"{point.name} {point.size}" + (f" ({point.year})" if point.year else ""))


def _label(axis: "Axes", labels: list[tuple[float, float, DevicePoint]]) -> None:
    """Names in a column at the left edge, never over each other, each with a line to its point."""
    to_screen, frame = axis.transData, axis.get_window_extent()
    line_height = 1.3 * LABEL_SIZE * axis.figure.dpi / 72
    ordered = sorted(labels, key=lambda label: to_screen.transform(label[:2])[1])
    wanted = [to_screen.transform((x, y))[1] - frame.y0 for x, y, _ in ordered]
    heights = spaced(wanted, line_height, 0.7 * line_height, frame.height - 0.7 * line_height)
    for (x, y, point), height in zip(ordered, heights, strict=True):
        line = {
            "arrowstyle": "-",
            "color": "0.75",
            "linewidth": 0.5,
            "shrinkA": 1,
            "shrinkB": 3,
            "relpos": (1, 0.5),
        }
        axis.annotate(
            _named(point),
            (x, y),
            (0.01, height / frame.height),
            textcoords="axes fraction",
            fontsize=LABEL_SIZE,
            va="center",
            ha="left",
            arrowprops=line,
            zorder=2,
            color="black" if point.same_generation else "0.35",
            fontweight="bold" if point.same_generation else "normal",
            parse_math=False,
        )
