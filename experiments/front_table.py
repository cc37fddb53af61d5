"""A front as columns: in SI for files, in everyday units for people."""

from typing import Any, NamedTuple

import numpy as np

from codesign.numerics.units import GIGA, MICRO, PETA, TERA
from codesign.search import CONTINUOUS, Front

SPEED = "tokens/s/user"
SEARCHED = (*CONTINUOUS, "chips", "batch")
"""Names of the columns of ``Front.box``."""

SHORT_LIMITS: dict[str, str] = {
    "die_area": "die", "shoreline": "edge", "layers_fewest": "layers≥", "layers_most": "layers≤",
    "power_density": "heat", "package_power": "power", "sync_floor": "sync",
}  # fmt: skip
"""Limits in a word, for the table on the terminal."""


class Column(NamedTuple):
    """One column: numbers or texts, with the unit of the numbers."""

    name: str
    unit: str
    values: np.ndarray

    @property
    def header(self) -> str:
        """``memory_bandwidth [B/s]``; a text has no unit."""
        return f"{self.name} [{self.unit}]" if self.unit else self.name


def order(front: Front) -> np.ndarray:
    """Rows from the fastest for a user to the slowest; by the first objective where speed is none of them."""
    names = [objective.name for objective in front.objectives]
    leading = names.index(SPEED) if SPEED in names else 0
    keys = np.array([-objective.sense for objective in front.objectives]) * np.asarray(front.values)
    others = [keys[:, k] for k in range(len(names)) if k != leading]
    return np.lexsort((*others[::-1], keys[:, leading]))


def columns(front: Front) -> list[Column]:
    """Every column of ``front.csv``, in SI, sorted by ``order``."""
    rows = order(front)
    design, outcome = front.designs, front.outcomes

    def quantity(name: str, unit: str, values: Any) -> Column:
        return Column(name, unit, np.asarray(values)[rows])

    choices = np.array([choice.name for choice in front.choices], dtype=object)[np.asarray(front.choice)]
    return [
        quantity("memory_bandwidth", "B/s", design.memory_bandwidth),
        quantity("memory_capacity", "B", design.memory_capacity),
        quantity("peak_flops", "FLOP/s", design.peak_flops),
        quantity("chips", "1", design.chips),
        quantity("sync_latency", "s", design.sync_latency),
        quantity("link_bandwidth", "B/s", design.link_bandwidth),
        quantity("batch", "1", front.batch),
        quantity("plan", "", choices),
        quantity("white_silicon", "m^2", design.white_silicon),
        *(quantity(o.name, o.unit, front.values[:, k]) for k, o in enumerate(front.objectives)),
        quantity("step_time", "s", outcome.step_time),
        quantity("capital_cost", "USD", outcome.capital_cost),
        quantity("provisioned_power", "W", outcome.provisioned_power),
        quantity("status", "", np.array(front.status, dtype=object)),
        quantity("certified_gap", "log", front.certified_gap),
        quantity("binding", "", np.array([";".join(names) for names in front.binding], dtype=object)),
        quantity("box", "", np.array([";".join(box_flags(row)) for row in np.asarray(front.box)], dtype=object)),
    ]


def box_flags(row: np.ndarray) -> list[str]:
    """Which searched quantities rest on a bound of the box: ``["sync_latency low"]``."""
    return [f"{name} {'high' if at > 0 else 'low'}" for name, at in zip(SEARCHED, row, strict=True) if at]


def csv_text(table: list[Column]) -> str:
    """The columns as CSV, numbers to nine significant digits."""

    def cell(value: Any) -> str:
        text = value if isinstance(value, str) else f"{float(value):.9g}"
        return f'"{text}"' if "," in text else text

    lines = [",".join(cell(column.header) for column in table)]
    lines += [",".join(cell(value) for value in row) for row in zip(*(column.values for column in table), strict=True)]
    return "\n".join(lines) + "\n"


def records(table: list[Column]) -> list[dict[str, Any]]:
    """The columns as JSON records keyed by name; numbers in SI."""
    values = [column.values.tolist() for column in table]
    return [dict(zip((column.name for column in table), row, strict=True)) for row in zip(*values, strict=True)]


DISPLAY = {
    "memory_bandwidth": ("bandwidth", "TB/s", TERA),
    "memory_capacity": ("capacity", "GB", GIGA),
    "peak_flops": ("compute", "PFLOP/s", PETA),
    "sync_latency": ("sync", "us", MICRO),
    "link_bandwidth": ("link", "GB/s", GIGA),
}
"""Everyday name, unit and factor of the quantities of a design."""


def displayed(table: list[Column]) -> list[Column]:
    """The columns that people read, in everyday units."""
    hidden = ("white_silicon", "step_time", "capital_cost", "provisioned_power")
    shown = []
    for column in table:
        if column.name in DISPLAY:
            name, unit, factor = DISPLAY[column.name]
            shown.append(Column(name, unit, column.values / factor))
        elif column.name not in hidden:
            shown.append(column)
    return shown


def rich_table(front: Front, title: str) -> Any:
    """The front as a table for the terminal; a plan that all designs share goes into the title."""
    from rich.table import Table

    shown = displayed(columns(front))
    plans = {str(name) for column in shown if column.name == "plan" for name in column.values}
    if len(plans) == 1:
        title, shown = f"{title}\nall designs: {plans.pop()}", [column for column in shown if column.name != "plan"]
    goals = [objective.name for objective in front.objectives]
    table = Table(title=title, pad_edge=False)
    for column in shown:
        unit = "" if column.unit in ("", "1", "log") or column.name in goals else f"\n\\[{column.unit}]"
        name = {"certified_gap": "gap\n\\[log]", "box": "BOX"}.get(column.name, column.name)
        name = name.replace("/s/", "\n/s/") if column.name in goals else name
        table.add_column(name + unit, justify="left" if column.values.dtype == object else "right")
    for row in zip(*(column.values for column in shown), strict=True):
        table.add_row(*(_cell(column, value) for column, value in zip(shown, row, strict=True)))
    return table


def _cell(column: Column, value: Any) -> str:
    if column.name == "binding":
        return " ".join(SHORT_LIMITS.get(name, name) for name in str(value).split(";"))
    if column.name == "certified_gap":
        return f"{value:.0e}"
    if isinstance(value, str):
        return value.replace("_", " ").replace(";", ", ")
    return f"{value:.0f}" if column.unit == "1" or abs(value) >= 1000 else f"{value:.3g}"


def summary(front: Front) -> list[str]:
    """What binds how often, and the best design for each objective."""
    count = len(front.status)
    bound: dict[str, int] = {}
    for names in front.binding:
        for name in names:
            bound[name] = bound.get(name, 0) + 1
    most = sorted(bound.items(), key=lambda item: (-item[1], item[0]))
    binding = ", ".join(f"{name.replace('_', ' ')} {times}/{count}" for name, times in most) or "nothing"
    best = []
    for k, objective in enumerate(front.objectives):
        row = int(np.argmax(objective.sense * front.values[:, k]))
        chips, batch = float(np.asarray(front.designs.chips)[row]), int(front.batch[row])
        best.append(f"{objective.name} {front.values[row, k]:.4g} ({chips:.0f} chips, batch {batch})")
    proved = sum(status == "GLOBAL" for status in front.status)
    boxed = sum(bool(np.any(row)) for row in np.asarray(front.box))
    return [
        f"What binds: {binding}; GLOBAL {proved}/{count}, on a bound of the box (BOX) {boxed}/{count}.",
        f"Best: {'; '.join(best)}.",
    ]


def scope(front: Front) -> str:
    """What a status claims, and what it does not."""
    plans = "; ".join(choice.name for choice in front.choices)
    return (
        "GLOBAL: with the row's own plan, chips and batch, no design in the box of scenario.toml, under its technology "
        "and execution model, improves the row's weighted sum of log objectives by more than certified_gap (at most 1e-6). "
        f"Chips, batch and plan themselves were searched, not proved, among: {plans}. LOCAL: no such proof."
    )
