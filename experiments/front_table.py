"""A front as columns: in SI for files, in everyday units for people."""

from typing import Any, NamedTuple

import numpy as np

from codesign.numerics.units import GIGA, MICRO, PETA, TERA
from codesign.search import CONTINUOUS, Front
from experiments.scenario import Scenario
from hardware_priors.quantities import parse

SPEED = "tokens/s/user"

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


def machine_quantities(front: Front, p: int) -> list[Column]:
    """What one kind of machine is, unsorted; named after its number where there are several kinds."""
    design, kind = front.designs[p], f"machine {p} " if len(front.designs) > 1 else ""
    technologies = [choice.kinds[p].technology for choice in front.choices]
    stack, layer = (
        np.array([float(getattr(one.memory, name)) for one in technologies])[front.choice] for name in ("stack_bandwidth", "layer_capacity")
    )
    stacks = np.asarray(design.memory_bandwidth) / stack
    quantities = [
        *(Column(kind + name, unit, np.asarray(getattr(design, name))) for name, unit in QUANTITIES.items()),
        Column(f"{kind}clock", "1", np.asarray(design.clock)),
        Column(f"{kind}dies", "1", np.asarray(design.dies)),
        Column(f"{kind}stacks", "1", stacks),
        Column(f"{kind}layers", "1", np.asarray(design.memory_capacity) / layer / stacks),
        Column(f"{kind}white_silicon", "m^2", np.asarray(design.white_silicon)),
    ]
    if kind:
        quantities.append(Column(f"{kind}machine_seconds_per_token", "s", front.machine_seconds[:, p]))
    return quantities


def columns(front: Front) -> list[Column]:
    """Every column of ``front.csv``, in SI, sorted by ``order``."""
    choices = np.array([choice.name for choice in front.choices], dtype=object)[np.asarray(front.choice)]
    kinds, totals = len(front.designs), front.totals
    batches = [Column(name, "1", front.integers[:, kinds + s]) for s, name in enumerate(batch_names(front))]
    found = [
        *(column for p in range(kinds) for column in machine_quantities(front, p)),
        *batches,
        Column("plan", "", choices),
        *(Column(o.name, o.unit, front.values[:, k]) for k, o in enumerate(front.objectives)),
        Column("time_per_token", "s", totals.time_per_token),
        Column("cost_per_token", "USD", totals.cost_per_token),
        Column("energy_per_token", "J", totals.energy_per_token),
        Column("tokens_per_second_per_dollar", "token/s/USD", totals.tokens_per_second_per_dollar),
        Column("tokens_per_second_per_watt", "token/s/W", totals.tokens_per_second_per_watt),
        Column("status", "", np.array(front.status, dtype=object)),
        Column("certified_gap", "log", front.certified_gap),
        Column("front_gap", "log", front.front_gap),
        Column("spread", "log", front.spread),
        Column("binding", "", np.array([";".join(names) for names in front.binding], dtype=object)),
        Column("box", "", np.array([";".join(box_flags(row, front)) for row in np.asarray(front.box)], dtype=object)),
    ]
    rows = order(front)
    return [column._replace(values=np.asarray(column.values)[rows]) for column in found]


QUANTITIES = {
    "memory_bandwidth": "B/s",
    "memory_capacity": "B",
    "peak_flops": "FLOP/s",
    "chips": "1",
    "sync_latency": "s",
    "link_bandwidth": "B/s",
}
"""The six quantities of a design."""


def batch_names(front: Front) -> list[str]:
    """Columns of the batches, one a service."""
    kinds = len(front.designs)
    services = (len(front.integer_names) - 3 * kinds) if front.integer_names else 1
    return ["batch"] if services == 1 else [f"batch {s}" for s in range(services)]


def searched(front: Front) -> list[str]:
    """Names of the columns of ``Front.box``."""
    kinds = len(front.designs)
    prefix = [f"machine {p} " if kinds > 1 else "" for p in range(kinds)]
    return [
        *(own + name for own in prefix for name in CONTINUOUS),
        *(f"{own}chips" for own in prefix),
        *batch_names(front),
    ]


def box_flags(row: np.ndarray, front: Front) -> list[str]:
    """Which searched quantities rest on a bound of the box: ``["sync_latency low"]``."""
    return [f"{name} {'high' if at > 0 else 'low'}" for name, at in zip(searched(front), row, strict=True) if at]


def csv_text(table: list[Column]) -> str:
    """The columns as CSV, numbers to nine significant digits."""

    def cell(value: Any) -> str:
        text = value if isinstance(value, str) else "" if value != value else f"{float(value):.9g}"
        return f'"{text}"' if "," in text else text

    lines = [",".join(cell(column.header) for column in table)]
    lines += [",".join(cell(value) for value in row) for row in zip(*(column.values for column in table), strict=True)]
    return "\n".join(lines) + "\n"


def records(table: list[Column]) -> list[dict[str, Any]]:
    """The columns as JSON records keyed by name; numbers in SI, null where there is none."""
    values = [[None if value != value else value for value in column.values.tolist()] for column in table]
    return [dict(zip((column.name for column in table), row, strict=True)) for row in zip(*values, strict=True)]


DISPLAY = {
    "memory_bandwidth": ("bandwidth", "TB/s", TERA),
    "memory_capacity": ("capacity", "GB", GIGA),
    "peak_flops": ("compute", "PFLOP/s", PETA),
    "sync_latency": ("sync", "us", MICRO),
    "link_bandwidth": ("link", "GB/s", GIGA),
}
"""Everyday name, unit and factor of the quantities of a design."""


HIDDEN = (
    "white_silicon", "time_per_token", "cost_per_token", "energy_per_token", "tokens_per_second_per_dollar",
    "tokens_per_second_per_watt", "machine_seconds_per_token", "spread",
)  # fmt: skip
"""Columns that people do not read in a terminal."""


def displayed(table: list[Column]) -> list[Column]:
    """The columns that people read, in everyday units."""
    shown = []
    for column in table:
        kind, plain = _split(column.name)
        if plain in DISPLAY:
            name, unit, factor = DISPLAY[plain]
            shown.append(Column(kind + name, unit, column.values / factor))
        elif column.name == "front_gap" and not np.isfinite(column.values.astype(float)).any():
            continue
        elif plain not in HIDDEN:
            shown.append(column)
    return shown


def _split(name: str) -> tuple[str, str]:
    """``machine 0 `` and what it is of."""
    if not name.startswith("machine "):
        return "", name
    _, number, plain = name.split(" ", 2)
    return f"machine {number} ", plain


MOST_ROWS = 32
"""Designs shown on the terminal; all are in ``front.csv``."""


def spread_out(count: int) -> list[int]:
    """Rows to show: all, or ``MOST_ROWS`` of them evenly, both ends included.

    >>> spread_out(3)
    [0, 1, 2]
    """
    return sorted({round(float(k)) for k in np.linspace(0, count - 1, min(count, MOST_ROWS))})


def rich_table(front: Front, title: str) -> Any:
    """The front as a table for the terminal; a plan that all designs share goes into the title."""
    from rich.table import Table

    shown = displayed(columns(front))
    plans = {str(name) for column in shown if column.name == "plan" for name in column.values}
    if len(plans) == 1:
        title, shown = f"{title}\nall designs: {plans.pop()}", [column for column in shown if column.name != "plan"]
    if len(front) > MOST_ROWS:
        title = f"{title}\n{MOST_ROWS} of {len(front)} designs, evenly along the front; all in front.csv"
    goals = [objective.name for objective in front.objectives]
    table = Table(title=title, pad_edge=False)
    for column in shown:
        unit = "" if column.unit in ("", "1", "log") or column.name in goals else f"\n[{column.unit}]"
        name = {"certified_gap": "gap\n[log]", "front_gap": "front\ngap", "box": "BOX"}.get(column.name, column.name)
        name = name.replace("machine ", "m") if name.startswith("machine ") else name
        name = name.replace("/s/", "\n/s/") if column.name in goals else name
        table.add_column(name + unit, justify="left" if column.values.dtype == object else "right")
    rows = list(zip(*(column.values for column in shown), strict=True))
    for k in spread_out(len(rows)):
        row = rows[k]
        table.add_row(*(_cell(column, value) for column, value in zip(shown, row, strict=True)))
    return table


def _cell(column: Column, value: Any) -> str:
    if column.name == "binding":
        return " ".join(SHORT_LIMITS.get(name, name) for name in str(value).split(";"))
    if column.name in ("certified_gap", "front_gap"):
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
        made = [f"{float(np.asarray(design.chips)[row]):.0f} chips" for design in front.designs]
        batches = [f"batch {number:.0f}" for number in front.integers[row, len(made) : len(made) + len(batch_names(front))]]
        best.append(f"{objective.name} {front.values[row, k]:.4g} ({', '.join([*made, *batches])})")
    proved = sum(status == "GLOBAL" for status in front.status)
    boxed = sum(bool(np.any(row)) for row in np.asarray(front.box))
    return [
        f"What binds: {binding}; GLOBAL {proved}/{count}, on a bound of the box (BOX) {boxed}/{count}.",
        f"Best: {'; '.join(best)}.",
    ]


def fleet_lines(front: Front, scenario: Scenario) -> list[str]:
    """What a fleet of the scenario's power does with the best design for each objective; how far /$ and /W go together."""
    lines = []
    dollars, watts = front.totals.tokens_per_second_per_dollar, front.totals.tokens_per_second_per_watt
    if len(front) > 2:
        ranks = np.argsort(np.argsort([dollars, watts]))
        lines.append(f"tokens/s/$ and tokens/s/W rank the front alike: Spearman {float(np.corrcoef(ranks).min()):.2f}.")
    if scenario.fleet.power is not None:
        power = parse(scenario.fleet.power, like="W")
        row = int(np.argmin(front.totals.cost_per_token))
        tokens, cost = power * watts[row], front.totals.cost_per_token[row]
        machines = [f"{power * watts[row] * front.machine_seconds[row, p]:.0f}" for p in range(len(front.designs))]
        lines.append(
            f"A fleet of {scenario.fleet.power} (provisioned) of the cheapest design: {tokens:.4g} token/s from {' + '.join(machines)} "
            f"machines at {cost * 1e6:.3g} USD per million output tokens, {front.totals.energy_per_token[row]:.3g} J a token."
        )
    return lines


def scope(front: Front) -> str:
    """What a status claims, and what it does not."""
    plans = "; ".join(choice.name for choice in front.choices)
    made = "stacks and layers, " if front.buildable else ""
    proved = np.isfinite(front.front_gap).any()
    rest = (
        f"front_gap: no design with any chips, batch, {made}choice in the box improves all objectives by more (in log units)"
        if proved
        else f"Chips, batch, {made}and choice themselves were searched, not proved (--prove does)"
    )
    buildable = "" if front.buildable else " Limit mode: quantities are free within stacks, edge and area; not buildable as they are."
    return (
        f"GLOBAL: with the row's own choice, chips, {made}batch, no design in the box of scenario.toml, under its technology and execution "
        "model (and as fast, where 'speed asked' binds), improves the row's weighted sum of log objectives by more than certified_gap (at "
        f"most 1e-6). {rest}, among: {plans}. LOCAL: no such proof; spread is how far the starts of the search ended apart.{buildable}"
    )
