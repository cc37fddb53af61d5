"""A sensitivity report for people: the answer in the first line, then what stands behind it."""

import math
from typing import Any

from experiments.terminal.number_format import digits, written
from experiments.terminal.text_table import Printed, table_lines, wrapped

TOLD_RATES = ("design.sync_latency", "design.memory_bandwidth")
TOP = 6
"""Inputs that are told unless asked otherwise; fewer beside shadow prices, to fit a screen."""

OPERATORS, PRICES, WORKLOAD, FLIPS = 4, 3, 4, 2
"""Regimes, shadow prices, numbers of the workload and flips that are told."""


def sensitivity_lines(report: dict[str, Any], top: int, width: int) -> list[str]:
    """Write a report: elasticities of the objective, exchange rates, regimes, shadow prices."""
    slopes = report["elasticities"][report["objective"]]
    ranked = sorted(slopes, key=lambda name: -abs(slopes[name]))
    ranked = [name for name in ranked if abs(slopes[name]) > 1e-9]
    asked = [name for name in ranked if name.startswith("workload")]
    ranked = [name for name in ranked if name not in asked]
    value = written(report["value"], report["objective"], report["unit"])
    first = f"; 1 % more {ranked[0]} changes it by {slopes[ranked[0]]:+.2f} %" if ranked else ""
    lines = wrapped(
        [f"{report['what']}: {value}{first}, the most of all of the machine and its world."], width
    )
    shown = min(top, 4) if report["shadow_prices"] and top == TOP else top
    lines += ["", *_elasticities(report, ranked[:shown])]
    told = ", ".join(f"{_short(name)} {slopes[name]:+.2f}" for name in asked[:WORKLOAD])
    lines += wrapped([f"Of the workload, % per %: {told}."], width) if told else []
    sums = report["sums"]
    lines += wrapped(
        [
            f"Time: rates {sums['rates']:+.3f} less latencies {sums['latencies']:+.3f} ="
            f" {sums['rates'] - sums['latencies']:+.6f} (Euler: -1).",
            *_exchanges(report),
        ],
        width,
    )
    prices = report["shadow_prices"]
    lines += ["", *_regimes(report["regimes"][: 2 if prices else OPERATORS])]
    lines += wrapped(_prices(report), width) if "integers" in report else []
    lines += wrapped(_flips(report), width) if "flips" in report else []
    return lines


def _prices(report: dict[str, Any]) -> list[str]:
    """What limits and whole numbers are worth, a sentence each."""
    told = []
    for price in report["shadow_prices"][:PRICES]:
        shown = _plain(price["amount"], price["unit"].replace(" rise", ""))
        low, high = (price[key] / price["allowed"] - 1.0 for key in ("holds_from", "holds_to"))
        told.append(
            f"{shown} more {price['limit']}: {price['gain_percent']:+.3g} %, within"
            f" {price['holds_within']:.0%} of that for {low:+.2%} to {high:+.2%} of the limit."
        )
    if not told:
        told = ["No limit has a price at these integers."]
    steps = ", ".join(
        f"{step['integer']} {step['step']:+d} "
        + ("impossible" if step["gain_percent"] is None else f"{step['gain_percent']:+.2g} %")
        for step in report["integer_steps"]
    )
    return [*told, f"Whole numbers: {steps}."] if steps else told


def _plain(value: float, unit: str) -> str:
    """A quantity of a limit; a rise in temperature is a difference, without the offset of °C."""
    if unit == "m":
        return f"{digits(1e3 * value)} mm"
    return f"{digits(value)} K" if unit == "K" else written(value, "", unit)


def _flips(report: dict[str, Any]) -> list[str]:
    """The priors that would change the design, the nearest first."""
    told = [
        f"{flip['leaf']} at {digits(flip['value'])} {flip['unit']} (nominal"
        f" {digits(flip['nominal'])}): {flip['to']}"
        for flip in report["flips"][:FLIPS]
    ]
    return [f"The design changes with {'; '.join(told)}."] if told else []


def _elasticities(report: dict[str, Any], names: list[str]) -> list[str]:
    slopes = report["elasticities"][report["objective"]]
    speed = report["elasticities"]["time_per_token"]
    inputs = report["inputs"]
    columns = [
        Printed("input", ("input",), tuple((name,) for name in names), text=True),
        Printed(
            "value",
            ("value",),
            tuple((written(inputs[name]["value"], "", inputs[name]["unit"]),) for name in names),
        ),
        Printed(
            "slope",
            (report["objective"], "% per %"),
            tuple((f"{slopes[name]:+.3f}",) for name in names),
        ),
        Printed(
            "time", ("time/token", "% per %"), tuple((f"{speed[name]:+.3f}",) for name in names)
        ),
    ]
    return table_lines(columns, 80)


def _exchanges(report: dict[str, Any]) -> list[str]:
    told = []
    for taken in TOLD_RATES:
        rates = [rate for rate in report["exchange_rates"] if rate["taken"] == taken]
        if not rates:
            continue
        amount = written(abs(rates[0]["amount"]), "", rates[0]["taken_unit"])
        less = "less" if rates[0]["amount"] < 0 else "more"
        worth = []
        for rate in rates:
            what = _short(rate["given"]).replace("_", " ")
            shown = written(abs(rate["value"]), "", rate["given_unit"])
            if rate["given_unit"] in ("USD", "W"):
                unit = "$" if rate["given_unit"] == "USD" else ""
                shown = digits(rate["value"]) + ("" if unit else " W")
                worth.append(f"{unit}{shown} a chip")
            elif what != "chips" or abs(rate["value"]) >= 0.005:
                less_given = " less" if rate["value"] < 0 else ""
                worth.append(f"{shown}{less_given} {what}")
        name = _short(taken).replace("_", " ")
        told.append(f"{amount} {less} {name} is worth {' = '.join(worth)}.")
    return told


def _regimes(found: list[dict[str, Any]]) -> list[str]:
    rows = found[:OPERATORS]

    def distance(row: dict[str, Any]) -> str:
        if row["distance"] is None:
            return "–"
        return f"{row['next']} at ×{digits(math.exp(row['distance']))}"

    columns = [
        Printed("name", ("part of the step",), tuple((row["name"],) for row in rows), text=True),
        Printed("share", ("share",), tuple((f"{row['share']:.0%}",) for row in rows)),
        Printed("bound", ("bound by",), tuple((row["bound"],) for row in rows), text=True),
        Printed("next", ("next", "bound"), tuple((distance(row),) for row in rows), text=True),
    ]
    lines = table_lines(columns, 80)
    if len(found) > len(rows):
        rest = sum(row["share"] for row in found[len(rows) :])
        lines.append(f"{len(found) - len(rows)} more parts take {rest:.0%}.")
    return lines


def _short(name: str) -> str:
    """The last word of an input's name, with the part that it belongs to where that says more."""
    parts = name.split(".")
    return ".".join(parts[2:]) if parts[0].startswith("workload") and len(parts) > 3 else parts[-1]
