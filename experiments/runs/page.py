"""The interactive page of a run: the answer, the front, and all designs, everything in one file
that talks to nobody."""

import re
from html import escape
from pathlib import Path

from experiments.rivals.device_rows import drawn
from experiments.rivals.points import DevicePoint
from experiments.runs.answer import best_lines, device_line, note_lines, promise_lines
from experiments.runs.front_table import MORE, printed
from experiments.runs.page_figures import parallel_figure, plane_figure
from experiments.runs.picture import caption
from experiments.runs.record import RunRecord
from experiments.scenarios.schema import Scenario
from experiments.terminal.screen import plain

CONFIG = {
    "displaylogo": False,
    "showSendToCloud": False,
    "modeBarButtonsToRemove": ["sendChartToCloud", "sendDataToCloud"],
}
"""No control of a figure leads off the page: a front may be a chip that nobody else is to know of.
"""

UPLOAD = re.compile(r"https://(cloud\.plotly\.com|chart-studio\.plotly\.com|plot\.ly)[^\"'` ]*")
"""Where plotly's own code would send a figure: taken out of it."""

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline';"
    " img-src data: blob:; form-action 'none'"
)
"""What the browser may load (nothing that is not in the file) and where it may send forms
(nowhere). WebGL's shaders need 'unsafe-eval'."""

STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:1200px;margin:2em auto;"
    "padding:0 1em;color:#222}pre{font-size:14px;overflow-x:auto}.wide{overflow-x:auto}"
    "table{border-collapse:collapse;font-size:13px}th,td{padding:2px 8px;text-align:right;"
    "white-space:nowrap;border-bottom:1px solid #eee}th{vertical-align:bottom}"
    ".text{text-align:left}"
)


def write_report(
    path: Path, run: RunRecord, devices: list[DevicePoint], scenario: Scenario
) -> None:
    """Write ``report.html``: needs no network and no other file."""
    path.write_text(page(run, devices, scenario), encoding="utf-8")


def page(run: RunRecord, devices: list[DevicePoint], scenario: Scenario) -> str:
    """The page as text; whatever a scenario says is escaped."""
    plane = plane_figure(run, drawn(devices, scenario)).to_html(
        full_html=False, include_plotlyjs=True, div_id="front", config=CONFIG
    )
    plane = UPLOAD.sub("", plane)
    several = len(run) > 1
    parallel = (
        parallel_figure(run).to_html(
            full_html=False, include_plotlyjs=False, div_id="designs", config=CONFIG
        )
        if several
        else ""
    )
    title = escape(plain(run.details["title"]))
    answer = escape(plain("\n".join([*best_lines(run), *device_line(run), *promise_lines(run)])))
    notes = "".join(
        f"<p>{escape(plain(line))}</p>" for line in [*note_lines(run), caption(devices, scenario)]
    )
    heading = "<h2>The designs, one line each</h2>" if several else "<h2>The design</h2>"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta'
        f' http-equiv="Content-Security-Policy" content="{POLICY}">'
        f"<title>{title}</title><style>{STYLE}</style></head><body><h1>{title}</h1><pre>{answer}</pre>{plane}{notes}"
        f"{heading}{parallel}{design_table(run)}</body></html>"
    )


def design_table(run: RunRecord) -> str:
    """Every design as a table of HTML, in the columns of a wide terminal."""
    objectives = [objective["name"] for objective in run.objectives]
    decisive = ("chips", "batch", "memory_bandwidth", "memory_capacity", "peak_flops")
    names = ("design", *objectives, *decisive, *MORE[:-2], "status", *MORE[-2:])
    shown = [
        column.joined() for name in names if (column := printed(run, name, list(range(len(run)))))
    ]
    styles = [' class="text"' if column.text else "" for column in shown]
    head = "".join(
        f"<th{style}>{'<br>'.join(map(escape, column.header))}</th>"
        for column, style in zip(shown, styles, strict=True)
    )
    rows = ""
    for cells in zip(*(column.cells for column in shown), strict=True):
        marked = (
            f"<td{style}>{escape(plain(cell))}</td>"
            for (cell,), style in zip(cells, styles, strict=True)
        )
        rows += f"<tr>{''.join(marked)}</tr>"
    return (
        "<div"
        f' class="wide"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    )
