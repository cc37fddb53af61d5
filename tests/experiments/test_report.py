"""The page of a run in a browser: it talks to nobody, leads nowhere, and can be read."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from experiments.rivals.points import DevicePoint, Machine
from experiments.runs.page import page
from experiments.runs.page_figures import axes_of, plane_figure
from experiments.runs.record import RunRecord, read_run
from experiments.scenarios.toml_text import read
from objectives import OBJECTIVES
from tests.experiments.browser import CHROMIUM, look_at

FINISHED = Path(__file__).parent / "finished"
NAMES = ("h100", "h200", "b200", "mi355x", "tpu-v7", "trainium2")

SIZES = (0.012, 0.3, 60.0, 5000.0, 2e-7, 1.5, 4e5, 2e4)
"""Of the objectives, in their order, in SI."""

in_a_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium is installed (Debian: apt-get install chromium)"
)


def machine(near: float) -> Machine:
    values = {one.name: near * size for one, size in zip(OBJECTIVES.values(), SIZES, strict=True)}
    return Machine(
        (8,), (64,), "ring", values, 60 * near, 0.012 * near, 0.3 * near, 1e-7 * near, 1.0, {}
    )


def devices() -> list[DevicePoint]:
    """Devices close together, whose names would stand over each other; and one that is absent."""
    near = np.linspace(1.0, 1.05, len(NAMES))
    found = [
        DevicePoint(
            name, 2025, ("N3", "HBM4", "NVLink6"), k < 2, machine(x), (machine(x), machine(1.2 * x))
        )
        for k, (name, x) in enumerate(zip(NAMES, near, strict=True))
    ]
    return [*found, DevicePoint("l40s", 2023, absent_because="too slow for the promise")]


def page_of(name: str, run: RunRecord | None = None) -> str:
    return page(
        run or read_run(FINISHED / name),
        devices(),
        read((FINISHED / name / "scenario.toml").read_text(), name, name),
    )


@in_a_browser
@pytest.mark.parametrize("name", ["llama-405b", "chat", "cost-alone"])
def test_in_a_browser(name, tmp_path):
    """Every button pressed: no error, nothing loaded, no way off the page, no two labels over each
    other."""
    seen = look_at(page_of(name), tmp_path)
    assert seen["errors"] == [] and seen["refused"] == [] and seen["loaded"] == []
    assert seen["opened"] == [] and seen["links"] == [] and seen["place"].endswith("page.html")
    assert seen["overlaps"] == []
    assert {"Zoom", "Download plot as a PNG"} <= set(seen["buttons"])
    assert not [
        title
        for title in seen["buttons"]
        if any(word in title.lower() for word in ("share", "cloud", "edit", "produced"))
    ]
    assert any("[tokens/s]" in text for text in seen["texts"])  # an axis says what it is in


@in_a_browser
def test_the_browser_sees_what_leads_off(tmp_path):
    """The look finds a button that shares, a link and a picture from elsewhere: it can fail."""
    import plotly.graph_objects as go

    shared = go.Figure(go.Scatter(x=[1, 1], y=[1, 1], text=["one", "two"], mode="text")).to_html(
        full_html=False, include_plotlyjs=True
    )
    policy = (
        '<meta http-equiv="Content-Security-Policy" content="default-src * \'unsafe-inline\''
        " 'unsafe-eval' data: blob:\">"
    )
    away = '<a href="https://example.com">away</a><img src="https://example.invalid/x.png">'
    seen = look_at(
        f"<!doctype html><head>{policy}<title>x</title></head><body>{shared}{away}</body>", tmp_path
    )
    assert [title for title in seen["buttons"] if "Share" in title]
    assert len(seen["links"]) >= 2 and ["one", "two"] in seen["overlaps"]


def test_no_host_to_upload_to():
    """Whatever a browser makes of it: the page names no host for its figures, and its policy lets
    nothing out."""
    text = page_of("llama-405b")
    body = text[text.rindex("Plotly.newPlot") :]
    body = body.replace(": ", ":")
    assert '"showSendToCloud":false' in body and '"displaylogo":false' in body
    assert "cloud.plotly.com" not in text and "chart-studio.plotly.com" not in text
    assert "default-src 'none'" in text and "connect-src" not in text


@pytest.mark.parametrize(
    ("asked", "across", "panels"),
    [
        (
            ["tokens/s/$", "tokens/s/W", "tokens/s/user"],
            "tokens/s/user",
            ["tokens/s/$", "tokens/s/W"],
        ),
        (["$/token"], "tokens/s/user", ["$/token"]),
        (["J/token", "capital"], "tokens/s/user", ["J/token", "capital"]),
        (["tokens/s/user"], "batch", ["tokens/s/user"]),
    ],
)
def test_what_was_asked_for_is_drawn(asked, across, panels):
    run = read_run(FINISHED / "llama-405b")
    units = {column.name: column.unit for column in run.columns}
    objectives = [{"name": name, "unit": units[name], "sense": 1} for name in asked]
    run = dataclasses.replace(run, details={**run.details, "objectives": objectives})
    assert axes_of(run) == (across, panels)
    figure = plane_figure(run, devices())
    titles = [axis.title.text for axis in figure.select_yaxes()]
    assert len(titles) == len(panels) and all("[" in title for title in titles)


def test_no_legend_of_what_is_not_there():
    run = read_run(FINISHED / "llama-405b")
    present = [point for point in devices() if point.best]
    names = [trace.name for trace in plane_figure(run, present).data if trace.showlegend]
    assert names == [
        "designs of the front",
        "devices of the same generation",
        "devices of other generations",
    ]
    assert [
        trace.name for trace in plane_figure(run, present[:2]).data if trace.showlegend
    ] == names[:2]
    assert not plane_figure(run, []).layout.showlegend


def test_text_of_strangers_is_escaped():
    run = read_run(FINISHED / "cost-alone")
    odd = dataclasses.replace(
        run, details={**run.details, "title": "<script>alert(1)</script> \x1b[31m"}
    )
    text = page_of("cost-alone", odd)
    assert (
        "<script>alert(1)" not in text
        and "&lt;script&gt;alert(1)&lt;/script&gt;" in text
        and "\x1b" not in text
    )
