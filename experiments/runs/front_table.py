"""A run on a terminal: the answer first, then the designs that represent the front, in the columns
that decide."""

import numpy as np

from experiments.runs.answer import best_lines, device_line, note_lines, promise_lines
from experiments.runs.columns import Column
from experiments.runs.record import RunRecord
from experiments.terminal.number_format import OBJECTIVE_SCALES, Scale, in_scale, scale
from experiments.terminal.text_table import Printed, table_lines, table_width, wrapped

MOST_ROWS, FEWEST_ROWS = 12, 8
"""Designs shown unless all are asked for."""

MOST_LINES = 30
"""Lines that an answer takes at most, where it can."""

HEADERS = {
    "design": ("#",),
    "memory_bandwidth": ("bandwidth",),
    "memory_capacity": ("capacity",),
    "peak_flops": ("compute",),
    "link_bandwidth": ("link",),
    "sync_latency": ("sync",),
    "stacks": ("stacks",),
    "layers": ("layers",),
    "die_area": ("die", "area"),
    "clock": ("clock",),
    "package_price": ("package", "price"),
    "package_power": ("package", "power"),
    "junction_temperature": ("junction",),
    "capital_per_chip": ("capital", "a chip"),
    "time_to_first_token": ("first", "token"),
    "front_gap": ("front", "gap"),
    "certified_gap": ("certified", "gap"),
    "binding": ("what binds",),
}
"""Words over a column, one a line, where they are not its name."""

DECISIVE = ("memory_bandwidth", "memory_capacity", "peak_flops")
MORE = (
    "time_to_first_token",
    "link_bandwidth",
    "package_price",
    "package_power",
    "junction_temperature",
    "stacks",
    "layers",
    "die_area",
    "clock",
    "sync_latency",
    "capital_per_chip",
    "front_gap",
    "plan",
    "binding",
)
"""Columns that a wider terminal adds, the most wanted first."""

OF_SERVICES = ("batch", "time_to_first_token")


def print_run(run: RunRecord, width: int, *, everything: bool = False, last: str = "") -> str:
    """Write the answer of a run for a terminal.

    Args:
        run: what was found.
        width: columns of the terminal; sentences are wrapped, cells never cut.
        everything: all designs instead of those that represent the front.
        last: a last sentence.
    """
    title = wrapped([run.details["title"]], width)
    answer = [*best_lines(run, width), *wrapped([*device_line(run), *promise_lines(run)], width)]
    notes, brief = (
        wrapped([*note_lines(run, brief=short), last], width) for short in (False, True)
    )
    if everything:
        return "\n".join(
            [*title, *answer, "", *_table(run, list(range(len(run))), width), "", *notes]
        )
    room = MOST_LINES - len(title) - len(answer) - 2  # and blank lines
    for count in range(MOST_ROWS, FEWEST_ROWS - 1, -1):
        table = _table(run, representatives(run, count), width)
        if len(table) + len(notes) <= room:
            break
    notes = notes if len(table) + len(notes) <= room else brief
    return "\n".join([*title, *answer, "", *table, "", *notes])


def _table(run: RunRecord, rows: list[int], width: int) -> list[str]:
    """The designs of some rows, and how to read them."""
    return [
        *table_lines(fitting(run, rows, width), width),
        *wrapped(_table_notes(run, rows), width),
    ]


def _table_notes(run: RunRecord, rows: list[int]) -> list[str]:
    """How to read the table, where there is something to say."""
    fewer = (
        f"{len(rows)} of {len(run)} designs, all in front.csv; wider shows more."
        if len(rows) < len(run)
        else ""
    )
    kinds = f"a+b: {' + '.join(run.machines)}." if len(run.machines) > 1 else ""
    return [f"{fewer} {kinds}".strip()]


def representatives(run: RunRecord, count: int) -> list[int]:
    """Choose designs that represent a front: the best for each objective, then whichever is
    farthest from those chosen.

    Distances are Euclidean in the logarithms of the objectives, each over its range: greedy
    k-centres (Gonzalez, "Clustering to minimize the maximum intercluster distance", 1985), at most
    twice as far from any design as the best choice.
    """
    if len(run) <= count:
        return list(range(len(run)))
    logs = np.stack(
        [np.log(run.column(objective["name"]).values) for objective in run.objectives], axis=1
    )
    logs = (logs - logs.min(axis=0)) / np.maximum(np.ptp(logs, axis=0), 1e-12)
    chosen = list(dict.fromkeys(run.best(objective) for objective in run.objectives))[:count]
    while len(chosen) < count:
        distances = np.linalg.norm(logs[:, None] - logs[None, chosen], axis=2).min(axis=1)
        chosen.append(int(distances.argmax()))
    return sorted(set(chosen))


def fitting(run: RunRecord, rows: list[int], width: int) -> list[Printed]:
    """Choose the columns that a width has room for, in the order in which they are read.

    The columns that decide are always there: first closer together, then with the batches of many
    services as a span, then with a line for each kind of machine.
    """
    objectives = [objective["name"] for objective in run.objectives]
    must = [
        column
        for name in ("design", *objectives, "chips", "batch", *DECISIVE, "status")
        if (column := printed(run, name, rows))
    ]
    plain = [column.joined() for column in must]
    short = [column.shortened() for column in plain]
    spans = [
        full.spanned() if full.name == "batch" else column
        for full, column in zip(must, short, strict=True)
    ]
    stacked = [
        full if full.name in DECISIVE or full.name == "chips" else column
        for full, column in zip(must, spans, strict=True)
    ]
    chosen = next((one for one in (plain, short, spans) if table_width(one) <= width), stacked)
    if table_width(chosen) > width:
        return chosen
    for name in MORE:
        column = printed(run, name, rows)
        if column is None or (name == "plan" and len({*run.column("plan").values}) == 1):
            continue
        status = next(k for k, other in enumerate(chosen) if other.name == "status")
        place = len(chosen) if column.text else status  # texts come last
        wider = [*chosen[:place], column.joined(), *chosen[place:]]
        if table_width(wider, 2) <= width:
            chosen = wider
    return chosen


def printed(run: RunRecord, name: str, rows: list[int]) -> Printed | None:
    """A column of the run ready to print, over all kinds of machine or services; None where there
    is nothing to tell."""
    found = run.each_service(name) if name in OF_SERVICES else run.each_machine(name)
    found = found or [column for column in (run.find(name),) if column]
    if not found or (
        found[0].unit and not any(np.isfinite(column.values[rows]).any() for column in found)
    ):
        return None
    if not found[0].unit:
        values = [tuple(str(column.values[k]) for column in found) for k in rows]
        return Printed(name, HEADERS.get(name, (name,)), tuple(values), text=True)
    every = [float(column.values[k]) for column in found for k in rows]
    chosen = scale(name, found[0].unit, every)
    values = [tuple(_cell(column, k, chosen) for column in found) for k in rows]
    return Printed(name, _header(name, chosen.unit), tuple(values))


def _cell(column: Column, k: int, chosen: Scale) -> str:
    value = float(column.values[k])
    return f"{value:.0e}" if column.unit == "log" else in_scale(value, chosen, column.unit)


def _header(name: str, unit: str) -> tuple[str, ...]:
    """Words of a column and its unit; what names its own unit is broken before its denominator."""
    if name in OBJECTIVE_SCALES and "/" in name:
        head, slash, rest = unit.partition("/")
        return (head, slash + rest)
    return (*HEADERS.get(name, (name.replace("_", " "),)), *((unit,) if unit else ()))
