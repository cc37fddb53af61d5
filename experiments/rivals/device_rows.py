"""Points of devices as people read them: records, files, pictures."""

import csv
import io

import numpy as np

from experiments.rivals.points import DevicePoint, Machine, leading, objectives_of
from experiments.scenarios.schema import Scenario
from objectives import objective

BEST_SAME, BEST_OF_YEAR, MOST_DRAWN = 4, 2, 12
"""Devices in a picture: of the scenario's generation, of each year beside, and altogether."""
FAR = 20.0
"""Times that a device in a picture may be worse than the best one."""


def drawn(points: list[DevicePoint], scenario: Scenario) -> list[DevicePoint]:
    """The devices of a picture: all that the scenario names, else the best few of its generation
    and of every year beside.

    Those far behind the best are left to ``devices.csv``: they would take most of the picture.
    """
    found = [point for point in points if point.best]
    if scenario.compare.devices or not found:
        return found
    behind = {point.name: _behind(point, found, leading(scenario)) for point in found}
    found = sorted(
        (point for point in found if behind[point.name] <= FAR),
        key=lambda point: behind[point.name],
    )
    chosen = [point for point in found if point.same_generation][:BEST_SAME]
    for year in sorted({point.year or 0 for point in found}, reverse=True):
        chosen += [
            point for point in found if not point.same_generation and (point.year or 0) == year
        ][:BEST_OF_YEAR]
    return chosen[:MOST_DRAWN]


def _behind(point: DevicePoint, points: list[DevicePoint], name: str) -> float:
    """How many times the best device is better."""
    sense = objective(name).sense
    best = max(sense * np.log(one.best.values[name]) for one in points if one.best)
    return (
        float(np.exp(best - sense * np.log(point.best.values[name])))
        if point.best
        else float("inf")
    )


def record(point: DevicePoint) -> dict[str, object]:
    """A device as JSON: integers and values of its best machine, its own front, or why it is
    absent."""

    def machine(one: Machine) -> dict[str, object]:
        return {
            "chips": one.chips[0],
            "machine_chips": list(one.chips),
            "batch": one.batch[0],
            "service_batches": list(one.batch),
            "plan": one.plan,
            "values": one.values,
        }

    best = (
        machine(point.best)
        if point.best
        else {"chips": None, "batch": None, "plan": None, "values": {}}
    )
    return {
        "name": point.name,
        "year": point.year,
        "technology": list(point.technology or ()),
        "same_generation": point.same_generation,
        "announced": point.announced,
        **best,
        "capital_usd_per_token_per_second": point.best.capital if point.best else {},
        "absent_because": point.absent_because or None,
        "front": [machine(one) for one in point.front],
    }


def devices_csv(points: list[DevicePoint], scenario: Scenario) -> str:
    """A line a device, with units in the header: what ``devices.csv`` holds."""
    asked = objectives_of(scenario)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    quantities = [f"{one.name} [{one.unit}]" for one in asked]
    stated, made = (
        ["name", "year", "node", "memory", "link", "same_generation", "announced"],
        ["chips [1]", "batch [1]", "plan"],
    )
    writer.writerow([*stated, *made, *quantities, "absent_because"])
    for point in points:
        best = point.best
        made = (
            ["+".join(map(str, best.chips)), "+".join(map(str, best.batch)), best.plan]
            if best
            else ["", "", ""]
        )
        values = [f"{best.values[one.name]:.9g}" if best else "" for one in asked]
        flags = ["yes" if flag else "no" for flag in (point.same_generation, point.announced)]
        known = [point.name, point.year or "", *(point.technology or ("", "", "")), *flags]
        writer.writerow([*known, *made, *values, point.absent_because])
    return text.getvalue()
