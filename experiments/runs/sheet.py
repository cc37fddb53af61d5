"""One design as a sheet: what it does, its sizes, its capital and silicon by part, power and heat,
and how near it is to each limit."""

import textwrap
from collections.abc import Iterable

from codesign.limits import limit_words
from codesign.physical.cost import CAPITAL_PARTS
from experiments.runs.answer import claim
from experiments.runs.columns import AREA_PARTS, MACHINE_LIMITS, Column, limit_column
from experiments.runs.record import RunRecord
from experiments.terminal.number_format import digits, in_scale, scale, written
from objectives import OBJECTIVES

Row = tuple[str, ...]

SIZES = {
    "chips": "chips of one machine",
    "scale_up_domain": "chips in a scale-up domain",
    "memory_bandwidth": "memory bandwidth",
    "memory_capacity": "memory capacity",
    "peak_flops": "compute, dense",
    "sync_latency": "sync latency",
    "link_bandwidth": "link bandwidth, one direction",
    "stacks": "memory stacks",
    "layers": "layers of a stack",
    "sram_capacity": "SRAM",
    "dies": "logic dies",
    "die_area": "area of a die",
    "interposer_area": "area of the interposer",
    "clock": "clock over the nominal one",
}
MEANT = {
    "power": "power, provisioned",
    "tokens/s/W": "tokens/s/W, provisioned",
    "J/token": "J/token, mean power",
}
"""Objectives that have two powers between them: one over the other is not the third."""
PACKAGE_PRICE = {"package_price": "of it a package: logic, memory, package, margin"}
TEXTS = {
    "plan": "plan",
    "binding": "what binds",
    "box": "on a bound of the box",
    "choice_end": "at the end of the choices",
}
HEAT = {
    "package_power": "package power, cap",
    "peak_power": "package power, if all parts peaked",
    "mean_power": "package power, mean",
    "junction_temperature": "junction temperature, at the cap",
    "memory_temperature": "memory temperature, at the cap",
}


def print_sheet(run: RunRecord, k: int, width: int) -> str:
    """Write a design for a terminal."""
    machines = run.machines if len(run.machines) > 1 else [""]
    sections = [
        (f"Design {k} of {len(run)}", _deeds(run, k)),
        ("One chip", _quantities(run, k, SIZES)),
        (
            "Capital of one chip",
            [*_parts(run, k, "capital", CAPITAL_PARTS), *_quantities(run, k, PACKAGE_PRICE)],
        ),
        ("Silicon of one package", _parts(run, k, "area", AREA_PARTS)),
        ("Power and heat", _quantities(run, k, HEAT)),
        ("Limits: used, of what is allowed", _limits(run, k)),
    ]
    lines = textwrap.wrap(run.details["title"], width)
    for place, (title, rows) in enumerate(sections):
        lines += ["", *_aligned([(title, *(machines if place else ()))], rows)]
        lines += [] if place else _words(run, k, width)
    status = str(run.column("status").values[k])
    return "\n".join(
        [
            *lines,
            "",
            *textwrap.wrap(f"{status}: {claim(run, status)}.", width, subsequent_indent="  "),
        ]
    )


def _aligned(head: Iterable[Row], rows: list[Row]) -> list[str]:
    """Lines of a section: names at the left, numbers at the right of their columns."""
    table = [*head, *(("  " + row[0], *row[1:]) for row in rows)]
    first = max(len(row[0]) for row in table)
    widths = [
        max(len(row[at]) for row in table if len(row) > at) for at in range(1, max(map(len, table)))
    ]
    return [
        "  ".join(
            [
                row[0].ljust(first),
                *(cell.rjust(w) for cell, w in zip(row[1:], widths, strict=False)),
            ]
        ).rstrip()
        for row in table
    ]


def _deeds(run: RunRecord, k: int) -> list[Row]:
    """What a design does: everything that can be asked for, and its times."""
    names = dict.fromkeys([*(objective["name"] for objective in run.objectives), *OBJECTIVES])
    rows = [
        _row(MEANT.get(name, name), [column], k) for name in names if (column := run.find(name))
    ]
    for name, words in (
        ("batch", "batch"),
        ("time_per_token", "time per token"),
        ("time_to_first_token", "time to the first token"),
    ):
        several = run.each_service(name)
        labels = (
            [f"{words}, {service}" for service in run.services] if len(several) > 1 else [words]
        )
        rows += [_row(label, [column], k) for label, column in zip(labels, several, strict=False)]
    return rows


def _words(run: RunRecord, k: int, width: int) -> list[str]:
    """What is said of a design in words, within the width."""
    told = [(words, column) for name, words in TEXTS.items() if (column := run.find(name))]
    return [
        line
        for words, column in told
        if column.values[k]
        for line in textwrap.wrap(
            f"{words}: {column.values[k]}", width, initial_indent="  ", subsequent_indent="    "
        )
    ]


def _row(words: str, columns: list[Column], k: int) -> Row:
    return (
        words,
        *(written(float(column.values[k]), column.name, column.unit) for column in columns),
    )


def _quantities(run: RunRecord, k: int, names: dict[str, str]) -> list[Row]:
    found = {words: run.each_machine(name) for name, words in names.items()}
    return [_row(words, columns, k) for words, columns in found.items() if columns]


def _parts(run: RunRecord, k: int, group: str, parts: tuple[str, ...]) -> list[Row]:
    """Parts of a sum in one unit, with their shares, and the sum."""
    found = {
        name: [float(column.values[k]) for column in run.each_machine(f"{group}_{name}")]
        for name in parts
        if run.each_machine(f"{group}_{name}")
    }
    sums = [sum(values) for values in zip(*found.values(), strict=True)]
    unit = run.each_machine(f"{group}_{parts[0]}")[0].unit
    chosen = scale("", unit, sums)
    rows = [
        (
            name.replace("_", " "),
            *(
                f"{in_scale(v, chosen, unit)} {chosen.unit} {v / s:4.0%}"
                for v, s in zip(values, sums, strict=True)
            ),
        )
        for name, values in found.items()
        if any(
            v > 1e-6 * s for v, s in zip(values, sums, strict=True)
        )  # white silicon is never quite nothing
    ]
    return [*rows, ("sum", *(f"{in_scale(s, chosen, unit)} {chosen.unit} {1:4.0%}" for s in sums))]


def _limits(run: RunRecord, k: int) -> list[Row]:
    """How much of each limit is used, the nearest first; a power cap is chosen, so all of it is."""
    used = {
        limit_words(name): [float(column.values[k]) for column in columns]
        for name in MACHINE_LIMITS
        if (columns := run.each_machine(limit_column(name))) and name != "power_cap"
    }
    used |= {promise["name"]: [promise["used"][k]] for promise in run.details["promises"]}
    ordered = sorted(used.items(), key=lambda item: -max(item[1]))
    return [(name, *(f"{digits(100 * value)} %" for value in values)) for name, values in ordered]
