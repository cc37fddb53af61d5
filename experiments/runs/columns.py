"""A front as the columns of ``front.csv``: in SI, every quantity under one name."""

import csv
import io
from collections.abc import Callable, Iterable
from typing import NamedTuple

import jax
import numpy as np

from codesign.hardware.technology import Technology
from codesign.limits import LIMIT_NAMES, limit_words
from codesign.numerics.fields import Real
from codesign.outcome import Outcome
from codesign.physical import area
from codesign.physical.cost import CAPITAL_PARTS
from codesign.physical.thermal import junction_temperature, memory_temperature
from codesign.search import CONTINUOUS, Front
from experiments.runs.choice_flags import choice_flags
from objectives import OBJECTIVES

SPEED = "tokens/s/user"

QUANTITIES = {
    "memory_bandwidth": "B/s",
    "memory_capacity": "B",
    "peak_flops": "FLOP/s",
    "chips": "1",
    "sync_latency": "s",
    "link_bandwidth": "B/s",
}
"""The six quantities of a design."""

AREA_PARTS = (
    "core",
    "sram",
    "memory_interface",
    "links",
    "die_to_die",
    "fixed",
    "unmodelled",
    "white",
)
"""What a package's silicon is made of (``codesign.physical.area.Area``)."""

MACHINE_LIMITS = tuple(name for name in LIMIT_NAMES if name != "promise")


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
    """Sort rows from the fastest for a user to the slowest; by the first objective where speed is
    none of them."""
    names = [objective.name for objective in front.objectives]
    leading = names.index(SPEED) if SPEED in names else 0
    keys = np.array([-objective.sense for objective in front.objectives]) * np.asarray(front.values)
    others = [keys[:, k] for k in range(len(names)) if k != leading]
    return np.lexsort((*others[::-1], keys[:, leading]))


def columns(front: Front) -> list[Column]:
    """Lay out every column of ``front.csv``, sorted by ``order``."""
    kinds, rows = len(front.designs), order(front)
    prefixes = [machine_prefix(p, kinds) for p in range(kinds)]
    batches = [
        Column(name, "1", front.integers[:, kinds + s]) for s, name in enumerate(batch_names(front))
    ]
    ends = [choice_flags(front, k, prefixes) for k in range(len(rows))]
    found = [
        *_objectives(front),
        *batches,
        *(column for p in range(kinds) for column in _machine(front, p)),
        Column("plan", "", np.array([front.choices[k].name for k in front.choice], dtype=object)),
        *_times(front),
        Column("status", "", np.array(front.status, dtype=object)),
        Column("certified_gap", "log", front.certified_gap),
        Column("front_gap", "log", front.front_gap),
        Column("residual", "1", front.residual),
        Column("spread", "log", front.spread),
        Column("binding", "", _texts(map(limit_words, names) for names in front.binding)),
        Column("box", "", _texts(box_flags(row, front) for row in np.asarray(front.box))),
        Column("choice_end", "", _texts(ends)),
    ]
    sorted_columns = [column._replace(values=np.asarray(column.values)[rows]) for column in found]
    return [Column("design", "1", np.arange(len(rows))), *sorted_columns]


def _objectives(front: Front) -> list[Column]:
    """What was asked for, then everything else that can be asked for and means something here."""
    asked = [Column(o.name, o.unit, front.values[:, k]) for k, o in enumerate(front.objectives)]
    names = {column.name for column in asked}
    rest = [
        Column(o.name, o.unit, np.asarray(o(front.totals)))  # pyright: ignore[reportArgumentType]
        for o in OBJECTIVES.values()
        if o.name not in names
    ]
    return [*asked, *(column for column in rest if np.isfinite(column.values).all())]


def _machine(front: Front, p: int) -> list[Column]:
    """What one kind of machine is, costs and bears; of a machine with several kinds of step the
    worst."""
    prefix, design = machine_prefix(p, len(front.designs)), front.designs[p]
    technology = _stacked(front.choices[k].kinds[p].technology for k in front.choice)
    outcomes = [
        outcome for outcome, kind in zip(front.outcomes, front.step_kinds, strict=True) if kind == p
    ]

    def worst(read: Callable[[Outcome], Real]) -> np.ndarray:
        return np.max([np.asarray(read(outcome)) for outcome in outcomes], axis=0)

    def part(owner: str, name: str) -> np.ndarray:
        return worst(lambda outcome: getattr(getattr(outcome, owner), name))

    silicon, power, stacked = (
        part("area", "total"),
        worst(lambda outcome: outcome.rated_power),
        area.stacks(design, technology),
    )
    found: dict[str, tuple[str, np.ndarray]] = {
        **{name: (unit, getattr(design, name)) for name, unit in QUANTITIES.items()},
        "clock": ("1", design.clock),
        "dies": ("1", design.dies),
        "stacks": ("1", np.round(stacked, 9)),  # a quotient of products: whole but for rounding
        "layers": ("1", np.round(area.layers(design, technology) / stacked, 9)),
        "sram_capacity": ("B", design.sram_capacity),
        "scale_up_domain": ("1", design.scale_up_domain),
        "die_area": ("m^2", silicon / np.asarray(design.dies)),
        "interposer_area": ("m^2", area.interposer_area(design, technology, silicon)),
        **{f"area_{name}": ("m^2", part("area", name)) for name in AREA_PARTS},
        "package_price": (
            "USD",
            worst(lambda outcome: outcome.cost.bill_of_materials + outcome.cost.margin),
        ),
        **{f"capital_{name}": ("USD", part("cost", name)) for name in CAPITAL_PARTS},
        "capital_per_chip": ("USD", part("cost", "capital")),
        "package_power": ("W", power),
        "peak_power": ("W", worst(lambda outcome: outcome.peak_power)),
        "mean_power": ("W", worst(lambda outcome: outcome.mean_power)),
        "junction_temperature": ("K", junction_temperature(power, silicon, technology.cooling)),
        "memory_temperature": (
            "K",
            memory_temperature(power, silicon, technology.memory, technology.cooling),
        ),
        **{limit_column(name): ("1", np.exp(part("limits", name))) for name in MACHINE_LIMITS},
    }
    if prefix:
        found["machine_seconds_per_token"] = ("s", front.machine_seconds[:, p])
    return [
        Column(prefix + name, unit, np.asarray(values, dtype=float))
        for name, (unit, values) in found.items()
    ]


def _stacked(technologies: Iterable[Technology]) -> Technology:
    """Stack the technologies of several designs, leaves (designs,)."""
    return jax.tree.map(lambda *leaves: np.array([float(leaf) for leaf in leaves]), *technologies)


def _times(front: Front) -> list[Column]:
    """What users wait for: time per token, and to the first, of each service."""
    count = front.times.token.shape[1]
    found = []
    for s in range(count):
        prefix = service_prefix(s, count)
        found.append(Column(f"{prefix}time_per_token", "s", np.asarray(front.times.token[:, s])))
        if np.isfinite(front.times.first_token[:, s]).all():
            found.append(
                Column(
                    f"{prefix}time_to_first_token", "s", np.asarray(front.times.first_token[:, s])
                )
            )
    return found


def limit_column(name: str) -> str:
    """Name the column that says how much of a limit is used.

    >>> limit_column("layers_most")
    'most_layers_of_limit'
    """
    return f"{limit_words(name).replace(' ', '_')}_of_limit"


def _texts(rows: Iterable[Iterable[str]]) -> np.ndarray:
    return np.array(["; ".join(row) for row in rows], dtype=object)


def machine_prefix(p: int, count: int) -> str:
    """Begin the names of a kind of machine's columns, where there are several.

    >>> machine_prefix(0, 1), machine_prefix(1, 2)
    ('', 'machine 1 ')
    """
    return f"machine {p} " if count > 1 else ""


def service_prefix(s: int, count: int) -> str:
    """Begin the names of a service's columns, where there are several."""
    return f"service {s} " if count > 1 else ""


def batch_names(front: Front) -> list[str]:
    """Name the columns of the batches, one a service."""
    count = front.times.token.shape[1]
    return [f"{service_prefix(s, count)}batch" for s in range(count)]


def box_flags(row: np.ndarray, front: Front) -> list[str]:
    """Name the searched quantities that rest on a bound of the box: ``["sync_latency low"]``."""
    kinds = len(front.designs)
    prefixes = [machine_prefix(p, kinds) for p in range(kinds)]
    continuous = [prefix + name for prefix in prefixes for name in CONTINUOUS]
    searched = [*continuous, *(f"{prefix}chips" for prefix in prefixes), *batch_names(front)]
    return [
        f"{name} {'high' if at > 0 else 'low'}"
        for name, at in zip(searched, row, strict=True)
        if at
    ]


def csv_text(table: Iterable[Column]) -> str:
    """Write columns as CSV, numbers to nine significant digits, nothing where there is none."""
    table, text = list(table), io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([column.header for column in table])
    for row in zip(*(column.values for column in table), strict=True):
        writer.writerow(
            [
                value if isinstance(value, str) else "" if value != value else f"{float(value):.9g}"
                for value in row
            ]
        )
    return text.getvalue()


def read_csv(text: str) -> list[Column]:
    """Read columns back from ``csv_text``.

    Raises:
        ValueError: no columns, no rows, or rows of different lengths.

    >>> [column.name for column in read_csv("speed [token/s],plan\\n2.5,ring\\n")]
    ['speed', 'plan']
    """
    headers, *rows = list(csv.reader(io.StringIO(text))) or [[]]
    if not headers or not rows or any(len(row) != len(headers) for row in rows):
        raise ValueError(
            f"has {len(headers)} columns and {len(rows)} rows; expected at least one of each, all"
            " of one length"
        )
    found = []
    for header, cells in zip(headers, zip(*rows, strict=True), strict=True):
        name, _, unit = header.partition(" [")
        numbers = bool(unit)
        values = [float(cell) if cell else float("nan") for cell in cells] if numbers else cells
        found.append(
            Column(
                name, unit.removesuffix("]"), np.array(values, dtype=float if numbers else object)
            )
        )
    return found


def records(table: Iterable[Column]) -> list[dict[str, object]]:
    """Write columns as JSON records keyed by name; numbers in SI, null where there is none."""
    table = list(table)
    values = [
        [None if value != value else value for value in column.values.tolist()] for column in table
    ]
    return [
        dict(zip((column.name for column in table), row, strict=True))
        for row in zip(*values, strict=True)
    ]
