"""The interactive page of a run: front and designs, everything in one file."""

from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from codesign.search import Front
from experiments.advantage import advantage, sentence
from experiments.device_points import DevicePoint
from experiments.figures import DEVICE_COLOUR, caption
from experiments.front_table import columns, displayed, order, scope, summary
from experiments.scenario import Scenario
from experiments.screen import plain

PANELS = (
    ("tokens_per_second_per_dollar", "tokens/s per $ of capital [token/s/USD]"),
    ("tokens_per_second_per_watt", "tokens/s per provisioned W [token/s/W]"),
)


def write_report(path: Path, front: Front, devices: list[DevicePoint], scenario: Scenario) -> None:
    """Write ``report.html``: needs no network and no other file."""
    plane = _plane(front, devices).to_html(full_html=False, include_plotlyjs=True, div_id="front")
    parallel = _parallel(front).to_html(full_html=False, include_plotlyjs=False, div_id="designs")
    told = sentence(advantage(front, devices, scenario), scenario)
    lines = "".join(f"<p>{escape(line)}</p>" for line in [*summary(front), told, scope(front), caption(devices, scenario)])
    title = escape(plain(scenario.title))
    style = "body{font:15px/1.5 system-ui,sans-serif;max-width:1200px;margin:2em auto;padding:0 1em;color:#222}"
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{style}</style></head>"
        f"<body><h1>{title}</h1>{plane}<h2>The designs, one line each</h2>{parallel}{lines}</body></html>"
    )
    path.write_text(page, encoding="utf-8")


def _hover(front: Front) -> list[str]:
    """All that is shown of a design in words, in the order of ``order``."""
    shown = displayed(columns(front))
    texts = []
    for row in zip(*(column.values for column in shown), strict=True):
        parts = []
        for column, value in zip(shown, row, strict=True):
            unit = "" if column.unit in ("", "1") else f" {column.unit}"
            parts.append(f"{column.name}: {value if isinstance(value, str) else f'{value:.4g}'}{unit}")
        texts.append("<br>".join(parts))
    return texts


def _plane(front: Front, devices: list[DevicePoint]) -> Any:
    """Speed against both efficiencies, with everything about a design where the pointer is."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    rows = order(front)
    speed = np.asarray(front.totals.user_tokens_per_second)[rows]
    batch = np.asarray(front.batch, dtype=float)[rows]
    shown = [point for point in devices if not point.absent_because]
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.05)
    exponents = np.arange(0, np.ceil(np.log2(batch.max())) + 1, 2)
    marker = {
        "color": np.log2(batch).tolist(), "colorscale": "Cividis", "size": 10, "line": {"width": 0.5, "color": "white"},
        "colorbar": {"title": "batch", "tickvals": exponents.tolist(), "ticktext": [f"{2**e:g}" for e in exponents]},
    }  # fmt: skip
    for k, (name, label) in enumerate(PANELS, start=1):
        values = np.asarray(getattr(front.totals, name))[rows]
        style = {**marker, "showscale": k == 1}
        front_points = go.Scatter(
            x=speed.tolist(), y=values.tolist(), mode="markers", marker=style, text=_hover(front), hoverinfo="text",
            name="front", showlegend=k == 1,
        )  # fmt: skip
        device_points = go.Scatter(
            x=[p.user_tokens_per_second for p in shown], y=[getattr(p, name) for p in shown],
            mode="markers+text", text=[p.name for p in shown], textposition="top center",
            marker={"color": DEVICE_COLOUR, "symbol": "diamond", "size": 9}, name="devices", showlegend=k == 1,
            hovertext=[f"{p.name} ×{p.chips}, batch {p.batch}" for p in shown],
        )  # fmt: skip
        figure.add_trace(front_points, row=k, col=1)
        figure.add_trace(device_points, row=k, col=1)
        figure.update_yaxes(type="log", title_text=label, row=k, col=1)
        figure.update_xaxes(type="log", row=k, col=1)
    figure.update_xaxes(title_text="speed that one user sees [token/s]", row=2, col=1)
    figure.update_layout(height=900, template="plotly_white", legend={"orientation": "h", "y": 1.04})
    return figure


def _parallel(front: Front) -> Any:
    """Every design as a line through its quantities, on logarithmic axes."""
    import plotly.graph_objects as go

    shown = [column for column in displayed(columns(front)) if column.values.dtype != object and not column.name.endswith("_gap")]
    dimensions = []
    for column in shown:
        logs = np.log10(np.maximum(column.values.astype(float), 1e-300))
        ticks = np.linspace(logs.min(), logs.max(), 6)
        unit = "" if column.unit == "1" else f" [{column.unit}]"
        dimensions.append(
            {
                "label": column.name + unit,
                "values": logs.tolist(),
                "tickvals": ticks.tolist(),
                "ticktext": [f"{10**t:.3g}" for t in ticks],
            }
        )
    batch = next(column.values for column in shown if column.name.startswith("batch")).astype(float)
    line = {"color": np.log2(batch).tolist(), "colorscale": "Cividis"}
    figure = go.Figure(go.Parcoords(dimensions=dimensions, line=line))
    figure.update_layout(height=460, margin={"l": 80, "r": 60, "t": 90}, template="plotly_white")
    return figure
