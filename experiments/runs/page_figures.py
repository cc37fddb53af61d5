"""The figures of the interactive page: what was asked for against speed with real devices, and
every design as a line."""

import math
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.rivals.points import DevicePoint, Machine
from experiments.runs.columns import SPEED
from experiments.runs.front_table import DECISIVE, printed
from experiments.runs.picture import DEVICE_COLOUR, OTHER_COLOUR, outer_edge
from experiments.runs.record import RunRecord
from experiments.terminal.number_format import Scale, digits, scale
from experiments.terminal.screen import plain
from experiments.terminal.text_table import Printed

if TYPE_CHECKING:
    import plotly.graph_objects as go

PANEL_HEIGHT, LABEL_HEIGHT = 400, 17  # pixels
LEFT = 0.2  # of a panel's width, for the names of devices
MOST_AXES = 14
"""Axes of the parallel figure whose names do not run into each other; the table below it has every
quantity."""

DESCRIBED = (
    "chips",
    "batch",
    *DECISIVE,
    "link_bandwidth",
    "stacks",
    "layers",
    "package_price",
    "package_power",
    "junction_temperature",
    "plan",
    "binding",
    "status",
)
"""What the pointer shows of a design, after the objectives."""


def axes_of(run: RunRecord) -> tuple[str, list[str]]:
    """Choose what is drawn: every objective asked for against speed; speed alone against the batch.

    Returns:
        the column of the horizontal axis, and of each panel's vertical one.
    """
    others = [objective["name"] for objective in run.objectives if objective["name"] != SPEED]
    batch = run.each_service("batch")[0].name
    return (SPEED, others) if others else (batch, [SPEED])


def plane_figure(run: RunRecord, devices: list[DevicePoint]) -> "go.Figure":
    """Draw each objective against speed, on logarithmic axes, with everything about a design where
    the pointer is."""
    from plotly.subplots import make_subplots

    across, panels = axes_of(run)
    x = run.column(across).values
    figure = make_subplots(rows=len(panels), cols=1, shared_xaxes=True, vertical_spacing=0.04)
    shown = [(point, values_of(point.best)) for point in devices if point.best]
    fronts = [
        (point, [values_of(machine) for machine in point.front]) for point in devices if point.best
    ]
    reach_of = [
        *x,
        *(values[across] for _, values in shown),
        *(values[across] for _, machines in fronts for values in machines),
    ]
    span = np.log10([min(reach_of), max(reach_of)])
    room = max(float(span[1] - span[0]), 0.1)
    reach = [float(span[0]) - (LEFT * room if shown else 0.05 * room), float(span[1]) + 0.05 * room]
    for k, name in enumerate(panels, start=1):
        unit = scale(name, run.column(name).unit, run.column(name).values)
        y = run.column(name).values / unit.factor
        figure.add_trace(_designs(run, x, y, legend=k == 1), row=k, col=1)
        sense = next(
            objective["sense"] for objective in run.objectives if objective["name"] == name
        )
        lines = [
            _own_front(
                point,
                [one[across] for one in machines],
                [one[name] / unit.factor for one in machines],
                sense,
            )
            for point, machines in fronts
        ]
        beside = [(point, values[across], values[name] / unit.factor) for point, values in shown]
        for trace in [*lines, *_devices(beside, legend=k == 1)]:
            figure.add_trace(trace, row=k, col=1)
        logs = np.log10(
            [
                *y,
                *(height for *_, height in beside),
                *(height for line in lines for height in line.y or ()),
            ]
        )
        low, high = float(logs.min()), float(logs.max())
        margin = 0.06 * max(high - low, 0.1)
        ends = (low - margin, high + margin)
        figure.update_yaxes(
            type="log", range=ends, title_text=_words(name, unit), **_ticks(*ends), row=k, col=1
        )
        figure.update_xaxes(type="log", range=reach, **_ticks(*reach), row=k, col=1)
        _label(figure, beside, k, ends, float(span[0]) - 0.03 * room)
    figure.update_xaxes(
        title_text=_words(across, scale(across, run.column(across).unit, x)), row=len(panels), col=1
    )
    figure.update_layout(
        height=PANEL_HEIGHT * len(panels) + 120, template="plotly_white", margin={"t": 50, "b": 70},
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom"}, showlegend=bool(shown),
    )  # fmt: skip
    return figure


def _ticks(low: float, high: float) -> dict[str, Any]:
    """Ticks at 1, 2 and 5 of every decade (1 alone of many), as numbers that people write; ends in
    log10."""
    leads = (1, 2, 5) if high - low < 3 else (1,)
    if high - low < 0.5:
        leads = tuple(range(1, 10))
    decades = range(math.floor(low), math.ceil(high) + 1)
    values = [
        lead * 10.0**decade
        for decade in decades
        for lead in leads
        if low <= math.log10(lead) + decade <= high
    ]
    return {"tickvals": values, "ticktext": [f"{value:g}" for value in values]}


def values_of(machine: Machine) -> dict[str, float]:
    """What a device's machine yields, by the names of columns."""
    batch = float(machine.batch[0])
    return {**machine.values, "batch": batch, "service 0 batch": batch}


def _designs(run: RunRecord, x: np.ndarray, y: np.ndarray, *, legend: bool) -> "go.Scatter":
    import plotly.graph_objects as go

    batch = np.maximum(run.each_service("batch")[0].values.astype(float), 1.0)
    marker: dict[str, object] = {
        "color": np.log2(batch).tolist(),
        "colorscale": "Cividis",
        "size": 10,
        "line": {"width": 0.5, "color": "white"},
    }
    if legend and np.ptp(batch) > 0:  # one batch needs no scale of batches
        exponents = np.arange(np.floor(np.log2(batch.min())), np.ceil(np.log2(batch.max())) + 1, 2)
        marker |= {
            "colorbar": {
                "title": "batch",
                "tickvals": exponents.tolist(),
                "ticktext": [f"{2**e:g}" for e in exponents],
            }
        }
        marker |= {"showscale": True}
    marker |= {"cmin": float(np.log2(batch.min())), "cmax": float(np.log2(batch.max()) + 1e-9)}
    return go.Scatter(
        x=x.tolist(),
        y=y.tolist(),
        mode="markers",
        marker=marker,
        text=_hover(run),
        hoverinfo="text",
        name="designs of the front",
        showlegend=legend,
    )


def _devices(beside: list[tuple[DevicePoint, float, float]], *, legend: bool) -> list["go.Scatter"]:
    """Devices at their best: those of the scenario's generation as diamonds, others smaller."""
    import plotly.graph_objects as go

    groups = {
        True: ("devices of the same generation", "diamond", 10),
        False: ("devices of other generations", "circle", 7),
    }
    traces = []
    for same, (name, symbol, size) in groups.items():
        own = [one for one in beside if one[0].same_generation == same]
        if own:
            words = [
                f"{_name(point)}, batch {point.batch}<br>{escape(plain(point.best.plan))}"
                for point, *_ in own
                if point.best
            ]
            marker = {"color": _colour(own[0][0]), "symbol": symbol, "size": size}
            across, values = [x for _, x, _ in own], [y for *_, y in own]
            look: dict[str, object] = {
                "mode": "markers",
                "marker": marker,
                "hoverinfo": "text",
                "hovertext": words,
            }
            traces.append(go.Scatter(x=across, y=values, name=name, showlegend=legend, **look))
    return traces


def _own_front(point: DevicePoint, x: list[float], y: list[float], sense: int) -> "go.Scatter":
    """The outer edge of a device's own front."""
    import plotly.graph_objects as go

    across, values = np.array(x), np.array(y)
    edge = outer_edge(across, sense * values)
    line = {"color": _colour(point), "width": 1.5 if point.same_generation else 0.8}
    return go.Scatter(
        x=across[edge].tolist(),
        y=values[edge].tolist(),
        mode="lines",
        line=line,
        opacity=0.8 if point.same_generation else 0.4,
        hoverinfo="skip",
        showlegend=False,
    )


def _colour(point: DevicePoint) -> str:
    return DEVICE_COLOUR if point.same_generation else OTHER_COLOUR


def _name(point: DevicePoint) -> str:
    return f"{escape(plain(point.name))} {point.size}" + (f" ({point.year})" if point.year else "")


def _label(
    figure: "go.Figure",
    beside: list[tuple[DevicePoint, float, float]],
    panel: int,
    ends: tuple[float, float],
    at: float,
) -> None:
    """Name devices in a column at the left edge, never over each other, each with a line to its
    point."""
    per_label = LABEL_HEIGHT / PANEL_HEIGHT * (ends[1] - ends[0])
    ordered = sorted(beside, key=lambda one: one[2])
    heights: list[float] = []
    for *_, y in ordered:
        heights.append(max(float(np.log10(y)), heights[-1] + per_label if heights else -np.inf))
    beyond = max(0.0, heights[-1] + per_label / 2 - ends[1]) if heights else 0.0
    for k in reversed(range(len(heights))):  # push down again what would stand above the panel
        ceiling = ends[1] - per_label / 2 if k == len(heights) - 1 else heights[k + 1] - per_label
        heights[k] = min(heights[k], ceiling) if beyond else heights[k]
    axis = "" if panel == 1 else str(panel)
    for (point, x, y), height in zip(ordered, heights, strict=True):
        figure.add_annotation(
            x=float(np.log10(x)),
            y=float(np.log10(y)),
            ax=at,
            ay=height,
            xref=f"x{axis}",
            yref=f"y{axis}",
            axref=f"x{axis}",
            ayref=f"y{axis}",
            xanchor="right",
            text=_name(point),
            showarrow=True,
            arrowhead=0,
            arrowwidth=0.6,
            arrowcolor="#999",
            font={"size": 11},
            standoff=4,
        )


def _words(name: str, unit: Scale) -> str:
    """Title of an axis, with its unit."""
    titles = {
        SPEED: "speed that one user sees",
        "batch": "batch",
        "service 0 batch": "batch of the first service",
    }
    titles |= {
        "tokens/s/$": "tokens/s per $ of capital",
        "tokens/s/W": "tokens/s per provisioned W",
        "$/token": "cost of a token",
    }
    titles |= {
        "J/token": "energy of a token",
        "tokens/s": "tokens/s of one machine",
        "capital": "capital of one machine",
    }
    titles |= {"power": "provisioned power of one machine"}
    label = {SPEED: "tokens/s", "tokens/s/$": "tokens/s/$"}.get(name, unit.unit) or "sequences"
    return f"{titles.get(name, name)} [{label}]"


def _hover(run: RunRecord) -> list[str]:
    """What is shown of each design in words."""
    rows = list(range(len(run)))
    names = ("design", *(objective["name"] for objective in run.objectives), *DESCRIBED)
    shown = [column.joined() for name in names if (column := printed(run, name, rows))]
    return [
        "<br>".join(f"{_title(column)}: {escape(plain(column.cells[k][0]))}" for column in shown)
        for k in rows
    ]


def _title(column: Printed) -> str:
    words = ("design",) if column.name == "design" else column.header
    return "".join(words) if "/" in column.name else " ".join(words)


def parallel_figure(run: RunRecord) -> "go.Figure":
    """Draw every design as a line through the quantities in which designs differ, on logarithmic
    axes."""
    import plotly.graph_objects as go

    rows, dimensions = list(range(len(run))), []
    for name in (*(objective["name"] for objective in run.objectives), *DESCRIBED):
        found = printed(run, name, rows)
        if found is None or found.text:
            continue
        for part in range(len(found.cells[0])):
            values = np.array([float(cells[part]) for cells in found.cells])
            if np.ptp(values) > 0 and (values > 0).all():
                several = len(found.cells[0]) > 1
                owner = (run.services if name == "batch" else run.machines)[part] if several else ""
                dimensions.append(_dimension([*([owner] if owner else []), *found.header], values))
    batch = np.maximum(run.each_service("batch")[0].values.astype(float), 1.0)
    line = {"color": np.log2(batch).tolist(), "colorscale": "Cividis"}
    figure = go.Figure(
        go.Parcoords(
            dimensions=dimensions[:MOST_AXES], line=line, labelfont={"size": 11}, labelside="bottom"
        )
    )
    figure.update_layout(
        height=460, margin={"l": 80, "r": 80, "t": 40, "b": 90}, template="plotly_white"
    )
    return figure


def _dimension(words: list[str], values: np.ndarray) -> dict[str, object]:
    logs = np.log10(values)
    ticks = np.linspace(logs.min(), logs.max(), 6)
    text = [digits(10**tick) for tick in ticks]
    return {
        "label": "<br>".join(escape(plain(word)) for word in words),
        "values": logs.tolist(),
        "tickvals": ticks.tolist(),
        "ticktext": text,
    }
