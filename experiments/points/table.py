"""One evaluation as tables for people."""

import math
from typing import TYPE_CHECKING, cast

import hardware_priors
from codesign.limits import limit_words
from codesign.numerics.units import GIBI, KILO, MICRO, MILLI, PETA, TERA
from codesign.workload.precision import PARTS
from experiments.points.breakdown import RESOURCES
from experiments.points.model_summary import summary
from experiments.points.operating_point import OperatingPoint
from experiments.points.records import PartsOfExecution, PointReport
from experiments.points.report import TOUCHED
from experiments.terminal.number_format import digits
from experiments.terminal.screen import results
from hardware_priors.choices import Names

if TYPE_CHECKING:
    from rich.table import Table


def show(point: OperatingPoint, report: PointReport) -> None:
    """Print an evaluation to standard output."""
    from rich.table import Table

    console = results()
    for line in summary(point.reading):
        console.print(line, markup=False)
    console.print()
    console.print(_headline(point, report), markup=False)
    figures = Table(show_header=False, box=None, pad_edge=False)
    for name, value in _summary(report):
        figures.add_row(name, value)
    console.print(figures)
    console.print(_breakdown(report))
    if "executions" in report:
        console.print(_executions(report["executions"]))
    console.print(_elasticities(report))
    for line in notes(point, report):
        console.print(line, markup=False)
    for line in report["warnings"]:
        console.print(f"Warning: {line}.", markup=False)


def _headline(point: OperatingPoint, report: PointReport) -> str:
    arguments, shares, design = point.arguments, point.shares, report["inputs"]["design_si"]
    length = (
        f"context {arguments.context:,}"
        if arguments.phase == "decode"
        else f"prompt {arguments.prompt or arguments.context:,}"
    )
    degrees = (
        f"tensor {shares.tensor} × pipeline {shares.pipeline} × context {shares.context} × data"
        f" {shares.data}"
    )
    rates = (
        f"{four(design['memory_bandwidth'] / TERA)} TB/s,"
        f" {four(design['memory_capacity'] / GIBI)} GiB,"
        f" {four(design['peak_flops'] / PETA)} PFLOP/s at"
        f" {float(point.workload.precision.compute_bits):g} bit, sync"
        f" {design['sync_latency'] / MICRO:.3g} us a chip"
    )
    return (
        f"{point.workload.model.name}, {arguments.phase}, batch {arguments.batch:,}, {length},"
        f" computing at {widths(point)}\non {arguments.chips} × {point.device.name} ({rates}),"
        f" {degrees}, execution {arguments.execution}\n"
    )


def four(value: float) -> str:
    """A number with four significant digits."""
    return digits(value, 4)


def widths(point: OperatingPoint) -> str:
    """Widths of the matrix arithmetic, of all parts and of attention's scores."""
    precision = point.workload.precision
    found = {float(precision.part(name).compute_bits) for name in PARTS if name != "embedding"} | {
        float(precision.core_bits)
    }
    return " and ".join(f"{bits:g}" for bits in sorted(found)) + " bit"


def _summary(report: PointReport) -> list[tuple[str, str]]:
    ends = report.get("interval", {})

    def band(name: str, unit: float = 1.0) -> str:
        end = ends.get(name)
        if not isinstance(end, list):
            return ""
        return f" (90 %: {digits(end[0] / unit)} to {digits(end[1] / unit)})"

    first = []
    if "time_to_first_token_s" in report:
        alone = f"{four(report['time_to_first_token_s'] / MILLI)} ms"
        alone += band("time_to_first_token_s", MILLI)
        first = [("first token", f"{alone}, of a request alone")]
    needed, available = (
        report["capacity_needed_bytes"] / GIBI,
        report["capacity_available_bytes"] / GIBI,
    )
    running, provisioned = report["power_w"] / KILO, report["provisioned_power_w"] / KILO
    return [
        ("step time", f"{four(report['step_time_s'] / MILLI)} ms{band('step_time_s', MILLI)}"),
        *first,
        (
            "one user",
            f"{four(report['user_tokens_per_second'])} tokens/s{band('user_tokens_per_second')}",
        ),
        (
            "all users",
            f"{four(report['system_tokens_per_second'])} tokens/s"
            f"{band('system_tokens_per_second')}",
        ),
        (
            "memory",
            f"{four(needed)} of {four(available)} GiB to fill ({needed / available:.0%})",
        ),
        ("bound by", report["bound"]),
        (
            "capital",
            f"{report['capital_cost_usd']:,.0f} USD ({report['inputs']['price_basis']} prices)",
        ),
        (
            "running cost",
            (
                f"{four(report['cost_per_million_tokens_usd'])} USD per million"
                f" tokens{band('cost_per_million_tokens_usd')}"
            ),
        ),
        (
            "power",
            (
                f"{four(running)} kW running{band('power_w', KILO)},"
                f" {four(provisioned)} kW provisioned (facility);"
                f" {four(report['rated_power_w'])} W a chip at most"
            ),
        ),
        (
            "energy",
            f"{four(report['energy_per_token_j'])} J/token (facility){band('energy_per_token_j')}",
        ),
        (
            "tokens/s/$",
            (
                f"{four(report['tokens_per_second_per_dollar'])}"
                f" token/s/USD{band('tokens_per_second_per_dollar')}"
            ),
        ),
        (
            "tokens/s/W",
            (
                f"{four(report['tokens_per_second_per_watt'])}"
                f" token/s/W{band('tokens_per_second_per_watt')}"
            ),
        ),
    ]


def _breakdown(report: PointReport) -> "Table":
    from rich.table import Table

    breakdown, total = report["breakdown"], report["step_time_s"]
    table = Table(title="where the step's time goes")
    table.add_column("part")
    for column in ("time [ms]", "share [%]"):
        table.add_column(column, justify="right")
    table.add_column("bound by" if "interval" not in report else "bound by; 90 % interval")

    def row(name: str, seconds: float, why: str = "") -> None:
        table.add_row(name, f"{four(seconds / MILLI)}", f"{100 * seconds / total:.1f}", why)

    ends = report.get("interval", {}).get("breakdown", {})
    for part in RESOURCES:
        if part in breakdown:
            end = ends.get(part) if isinstance(ends, dict) else None
            known = f"{digits(end[0] / MILLI)} to {digits(end[1] / MILLI)} ms" if end else ""
            row(part, breakdown.get(part, 0.0), known)
    table.add_section()
    for name, entry in breakdown["by_operator"].items():
        row(f"  {name}", entry["time"], entry["bound"])
    for name, entry in breakdown["by_collective"].items():
        row(
            f"  all chips: {name}",
            entry["sync"] + entry["transfer"],
            "sync" if entry["sync"] >= entry["transfer"] else "transfer",
        )
    table.add_section()
    row("step", total)
    return table


def _executions(found: dict[str, PartsOfExecution]) -> "Table":
    from rich.table import Table

    table = Table(title="the same step under three executions")
    table.add_column("part [ms]")
    for name in found:
        table.add_column(name, justify="right")
    for part in RESOURCES:
        table.add_row(part, *(f"{four(entry.get(part, 0.0) / MILLI)}" for entry in found.values()))
    table.add_section()
    table.add_row("step", *(f"{four(entry['step_time_s'] / MILLI)}" for entry in found.values()))
    low, high = found["calibrated"].get("interval", (math.nan, math.nan))
    table.add_row("90 % interval", "", "", f"{four(low / MILLI)} to {four(high / MILLI)}")
    return table


def _elasticities(report: PointReport) -> "Table":
    from rich.table import Table

    table = Table(title="elasticities: % gained per 1 % more of …")
    table.add_column("quantity")
    goals = report["elasticities"]
    for column in ("tokens/s/$", "tokens/s/W"):
        table.add_column(f"{column} [%/%]", justify="right")
    first, second = goals.values()
    for name in first:
        table.add_row(name.replace("_", " "), f"{first[name]:+.3f}", f"{second[name]:+.3f}")
    return table


def notes(point: OperatingPoint, report: PointReport) -> list[str]:
    """What a reader must know to judge the numbers."""
    lines = []
    if point.arguments.execution == "operatorwise":
        lines.append(
            "Times are of attainable rates, without floors of kernels and without the engine's host"
            " time; --execution calibrated says what measured machines take, with intervals."
        )
    if "calibration" in report:
        from experiments.points.calibrated import knowledge_line

        lines.append(
            knowledge_line(report["calibration"], point.device.name, point.workload.model.name)
        )
    if splits := report.get("kv_split"):
        heads, ideal = (
            splits["heads"]["user_tokens_per_second"],
            splits["ideal"]["user_tokens_per_second"],
        )
        lines.append(
            f"KV split (tensor degree {point.shares.tensor} exceeds the KV heads): heads,"
            f" replicated: {four(heads)} tokens/s/user; ideal, divided without limit:"
            f" {four(ideal)}"
            f" tokens/s/user; shown above: {splits['used']}."
        )
    broken = broken_limits(report["limits"])
    free = point.device.name.startswith("xpu-") or point.arguments.execution == "limit"
    if broken and free:
        lines.append(f"Not buildable as priced: {broken}.")
    elif broken:
        lines.append(f"The price model strains: under this technology it sees {broken}.")
    choices = point.choices
    pooled = report["inputs"]["design_si"]["pool_capacity"] > 0
    lines.append(
        f"Prices: {choices['price_basis']} basis, logic {choices['node']}, memory"
        f" {choices['memory']}, links {choices['link']}, cooling {choices['cooling']}"
        f"{', pool ' + choices['pool'] if pooled else ''}."
    )
    return [*lines, *prior_lines(choices)]


def broken_limits(limits: dict[str, float | None]) -> str:
    """The technology limits that a design breaks, with how far beyond them it is."""
    over = {
        name: value
        for name, value in limits.items()
        if value and value > TOUCHED and name not in ("capacity", "promise")
    }
    return ", ".join(
        f"{limit_words(name)} at {math.exp(value):.2f} × the limit" for name, value in over.items()
    )


def prior_lines(choices: dict[str, str]) -> list[str]:
    """Which numbers behind prices and power nobody has sourced, and how many are judged."""
    priors = hardware_priors.technology_priors(**cast(Names, choices))
    unsourced = sorted(hardware_priors.unsourced(choices))
    judged = sorted(key for key, prior in priors.items() if prior.source.startswith("judged:"))
    named = ", ".join(key for key in judged if "price" in key or "markup" in key) or "none"
    return [
        f"Priors: of {len(priors)} technology numbers {len(unsourced)} are unsourced "
        f"({', '.join(unsourced) or 'none'}) and {len(judged)} judged (of them prices: {named}); "
        "codesign list technologies --sources shows all."
    ]
