"""``codesign list``: what can be named on the command line, and where its numbers come from."""

import dataclasses
import json as json_format
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, NotRequired, TypedDict, cast

import tyro

from experiments.terminal.arguments import one_of

if TYPE_CHECKING:
    from experiments.terminal.text_table import Printed
    from hardware_priors.prior import Prior


class Fact(TypedDict):
    """A number of the world; the rest where sources are asked for."""

    quantity: str
    value: float
    unit: str
    low: NotRequired[float]
    high: NotRequired[float]
    year: NotRequired[int]
    confidence: NotRequired[str]
    source: NotRequired[str]


class Row(TypedDict):
    """What is said of one name of a list; which of it depends on the list."""

    name: str
    description: NotRequired[str]
    parameters: NotRequired[int]
    active_parameters: NotRequired[int]
    layers: NotRequired[int]
    state_bytes_per_token_at_8_bit: NotRequired[float]
    source: NotRequired[Mapping[str, object]]
    full_name: NotRequired[str]
    status: NotRequired[str]
    joined_by: NotRequired[str]
    machine_class: NotRequired[str]
    technology: NotRequired[dict[str, str]]
    facts: NotRequired[list[Fact]]
    argument: NotRequired[str]
    choice: NotRequired[bool]
    unit: NotRequired[str]
    sense: NotRequired[str]


CATALOGUES = ("models", "devices", "technologies", "objectives", "scenarios")


@dataclasses.dataclass(frozen=True)
class List:
    """List models, devices, technologies, objectives or scenarios."""

    what: tyro.conf.Positional[Annotated[str, one_of("what to list", CATALOGUES)]]
    """models, devices, technologies, objectives or scenarios"""
    sources: bool = False
    """with every number its range, year, source and confidence"""
    json: bool = False
    """only JSON on standard output"""

    def run(self) -> int:
        """Print the list; 0."""
        rows = catalogue(self.what, self.sources)
        if self.json:
            print(json_format.dumps(rows, indent=1, allow_nan=False))
        else:
            show(self.what, rows, self.sources)
        return 0


def catalogue(what: str, sources: bool) -> list[Row]:
    """The rows of one list, ready for JSON."""
    return {
        "models": models,
        "devices": devices,
        "technologies": technologies,
        "objectives": objectives,
        "scenarios": scenarios,
    }[what](sources)


def models(sources: bool) -> list[Row]:
    """Shipped models: name, exact and active parameters [1], layers [1], cache bytes per token at 8
    bit [B]."""
    from codesign.workload.catalogue import model, model_names, source_of
    from codesign.workload.parameters import (
        active_parameter_count,
        parameter_count,
        state_bytes_per_token,
    )
    from codesign.workload.transformer import layer_count

    rows = []
    for name in model_names():
        built = model(name)
        row: Row = {
            "name": name,
            "parameters": round(float(parameter_count(built))),
            "active_parameters": round(float(active_parameter_count(built))),
            "layers": round(float(layer_count(built))),
            "state_bytes_per_token_at_8_bit": float(state_bytes_per_token(built, 1.0)),
        }
        if sources:
            row["source"] = source_of(name)
        rows.append(row)
    return rows


def _fact(prior: "Prior", sources: bool) -> Fact:
    fact: Fact = {"quantity": prior.quantity, "value": prior.value, "unit": prior.unit}
    if sources:
        known = dataclasses.asdict(prior)
        return cast(Fact, {k: v for k, v in known.items() if k not in ("name", "group")})
    return fact


def devices(sources: bool) -> list[Row]:
    """Devices with how well they are known, what joins them and every published fact, in the units
    of its source."""
    import hardware_priors

    rows = []
    for name in hardware_priors.device_names():
        device = hardware_priors.device(name)
        assert isinstance(device, hardware_priors.Device)
        node, memory, link = device.technology_names()
        facts = [_fact(prior, sources) for prior in device.priors.values()]
        technology = {"node": node, "memory": memory, "link": link}
        row: Row = {
            "name": name,
            "full_name": device.full_name,
            "status": device.status,
            "joined_by": device.joined_by,
            "machine_class": device.machine_class,
            "technology": technology,
            "facts": facts,
        }
        rows.append(row)
    return rows


def technologies(sources: bool) -> list[Row]:
    """What can be chosen for each part of a technology, with its facts where sources are asked
    for."""
    import hardware_priors
    from hardware_priors.prior import load

    files = {
        "node": "logic",
        "memory": "memory",
        "link": "links",
        "cooling": "cooling",
        "packaging": "packaging",
    }
    files |= {"price_basis": "economics", "pool": "memory"}
    files |= {"machine_class": "economics", "region": "economics"}
    rows = []
    for argument, offered in hardware_priors.technology_names().items():
        facts = load(files[argument]) if sources else ()
        named = (
            [*offered, *dict.fromkeys(p.name for p in facts if p.name not in offered)]
            if sources
            else offered
        )
        for name in named:
            row: Row = {"argument": argument, "name": name, "choice": name in offered}
            if sources:
                row["facts"] = [_fact(prior, True) for prior in facts if prior.name == name]
            rows.append(row)
    return rows


def objectives(sources: bool) -> list[Row]:
    """What can be maximised or minimised."""
    from objectives import OBJECTIVES

    return [
        {
            "name": objective.name,
            "description": objective.description,
            "unit": objective.unit,
            "sense": "maximise" if objective.sense > 0 else "minimise",
        }
        for objective in OBJECTIVES.values()
    ]


def scenarios(sources: bool) -> list[Row]:
    """Built-in scenarios."""
    from experiments.scenarios.toml_text import scenario, scenario_names

    return [{"name": name, "description": scenario(name).description} for name in scenario_names()]


def show(what: str, rows: list[Row], sources: bool) -> None:
    """Print a list: a line a row, as many columns as the screen has room for, names never cut."""
    from experiments.terminal.screen import plain, results

    width = results().width
    if sources and what in ("models", "devices", "technologies"):
        lines = [line for row in rows for line in _with_sources(row, width)]
    else:
        lines = _fitting(_columns(what, rows), width)
    print(plain("\n".join(lines)))


def _columns(what: str, rows: list[Row]) -> list["Printed"]:
    """The columns of a list, the most wanted first."""
    from experiments.terminal.text_table import Printed

    def column(header: tuple[str, ...], cells: list[str], *, text: bool = False) -> Printed:
        return Printed(header[0], header, tuple((cell,) for cell in cells), text=text)

    if what == "models":
        counts = {"parameters": ("parameters",), "active_parameters": ("active",)}
        found = [column(("name",), [row["name"] for row in rows], text=True)]
        found += [
            column(header, [_billions(float(row.get(key, 0))) for row in rows])
            for key, header in counts.items()
        ]
        found.append(column(("layers",), [str(row.get("layers")) for row in rows]))
        found.append(
            column(
                ("KiB a token,", "8-bit cache"),
                [f"{row.get('state_bytes_per_token_at_8_bit', 0.0) / 1024:.1f}" for row in rows],
            )
        )
    elif what == "devices":
        found = [column(("name",), [row["name"] for row in rows], text=True)]
        facts = [{fact["quantity"]: fact for fact in row.get("facts", ())} for row in rows]
        for quantity, (header, unit) in DEVICE_FACTS.items():
            found.append(column((header, unit), [_in(unit, fact.get(quantity)) for fact in facts]))
        found.append(column(("known by",), [row.get("status", "") for row in rows], text=True))
        for part in ("node", "memory", "link"):
            found.append(
                column((part,), [row.get("technology", {})[part] for row in rows], text=True)
            )
        found.append(column(("full name",), [row.get("full_name", "") for row in rows], text=True))
    else:
        keys = sorted(
            (key for key in rows[0] if key != "choice"), key=lambda key: key == "description"
        )  # prose last
        found = [column((key,), [str(row.get(key)) for row in rows], text=True) for key in keys]
    return found


DEVICE_FACTS = {
    "memory_bandwidth": ("bandwidth", "TB/s"),
    "memory_capacity": ("capacity", "GB"),
    "peak_bf16": ("BF16", "PFLOP/s"),
    "peak_fp8": ("FP8", "PFLOP/s"),
    "scale_up_bandwidth_bidirectional": ("links", "GB/s"),
    "tdp": ("power", "W"),
}
"""Facts of a device in its list, with their headers and units."""


def _in(unit: str, fact: Fact | None) -> str:
    """A fact in the unit of its column; a dash where there is none."""
    from experiments.terminal.number_format import digits
    from hardware_priors.quantities import parse

    return (
        "–"
        if fact is None
        else digits(
            parse(f"{fact['value']} {fact['unit']}", like=unit) / parse(f"1 {unit}", like=unit)
        )
    )


def _billions(count: float) -> str:
    """A number of parameters in billions.

    >>> _billions(405853388800)
    '405.9 B'
    """
    return f"{count / 1e9:.1f} B"


def _fitting(columns: list["Printed"], width: int) -> list[str]:
    """The table with as many columns as there is room for; prose in the last one wraps under
    itself."""
    from experiments.terminal.text_table import hanging, table_lines, table_width, wrapped

    if columns[-1].name == "description" and table_width(columns, 2) > width:
        return hanging(columns, width)
    chosen = columns[:1]
    for column in columns[1:]:
        if table_width([*chosen, column], 2) <= width:
            chosen.append(column)
    missing = [column for column in columns if column not in chosen]
    note = (
        f"(wider screens add: {', '.join(' '.join(column.header) for column in missing)})"
        if missing
        else ""
    )
    return [*table_lines(chosen, width), *wrapped([note], width)]


def _with_sources(row: Row, width: int) -> list[str]:
    """A row's name, and under it each of its facts with range, year, confidence and source."""
    import textwrap

    facts = [
        f"{fact['quantity']} = {fact['value']:g} {fact['unit']} ({fact.get('low'):g} to"
        f" {fact.get('high'):g}), {fact.get('year')}, confidence {fact.get('confidence')}:"
        f" {fact.get('source')}"
        for fact in row.get("facts", ())
    ]
    facts += [f"{key.replace('_', ' ')}: {value}" for key, value in row.get("source", {}).items()]
    lines = [
        textwrap.wrap(fact, width, initial_indent="  ", subsequent_indent="      ")
        for fact in facts
    ]
    return [
        f"{row['name']}  {row.get('full_name') or row.get('argument', '')}".rstrip(),
        *(line for one in lines for line in one),
        "",
    ]
