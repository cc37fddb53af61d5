"""Devices, models, engines, groups, runs and shapes left out in turn: what ``codesign calibrate
--leave-out`` does and prints."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from rich.markup import escape
from rich.table import Table

from codesign.calibration.calibrate import count, row_scales
from codesign.calibration.cases import Case
from codesign.calibration.cross_validation import (
    WIDENED_WITH,
    folds_of,
    leave_out,
    narrowed,
    scores,
    widen,
    widening,
)
from codesign.calibration.features import Counted
from codesign.calibration.kernel_fit import fit_kernels, leave_shapes_out
from codesign.calibration.profile import Profile, save
from experiments.accuracy.state import state
from hardware_priors.machines import find_machine

if TYPE_CHECKING:
    from experiments.commands.calibrate import Calibrate

Report: TypeAlias = "dict[str, Any]"
"""What ``--json`` prints: only tables and pages read it."""


def left_out(
    arguments: "Calibrate",
    cases: Sequence[Case],
    counted: Counted,
    prior: Profile,
    start: Profile,
) -> Report:
    """Leave members of layers out in turn, and write how well they were predicted into the
    profile."""
    counted = count(cases, start, counted)
    weights, informed = (
        row_scales(cases, counted, start),
        dataclasses.replace(prior, spreads=narrowed(start)),
    )
    found: Report = {}
    factors: dict[str, float] = {}
    written = start
    for layer in arguments.leave_out or ():
        if layer == "shape":
            tables = sorted(Path(str(arguments.kernels)).glob("*.csv"))
            found[layer] = {"shapes": leave_shapes_out(tables, find_machine), "made": state()}
            continue
        by_anchors = leave_out(
            cases,
            counted,
            informed,
            layer,
            folds_of(cases, layer),
            arguments.iterations,
            arguments.anchors,
            start,
            weights,
            without_tables(arguments.kernels, informed) if layer == "device" else None,
        )
        factor = widening(cases, by_anchors[0])
        if layer in WIDENED_WITH:
            factors[layer] = factor
        for anchors, left in by_anchors.items():
            name = f"{layer}, {anchors} anchors a group" if anchors else layer
            wider = dataclasses.replace(left, predictions=left.predictions.widened(factor))
            found[name] = {**scores(cases, wider), "widened": factor, "made": state()}
        written = widen(start, factors, found)
        save(written, arguments.output)  # an hour's work is not lost with the next layer
    written = widen(start, factors, found)
    save(written, arguments.output)
    return {"output": arguments.output, "left_out": found, "widened": written.about.get("widened")}


def without_tables(kernels: str | None, prior: Any) -> Any:
    """Priors of kernel tables without those of a device, where a folder of tables is given."""
    if kernels is None:
        return None

    def prior_without(device: str) -> Any:
        if not any(name.endswith(f"|device|{device}") for name in prior.names):
            return prior

        def find(printed: str, chips: float) -> Any:
            found = find_machine(printed, chips)
            return None if found is None or found.name == device else found

        return dataclasses.replace(
            fit_kernels(sorted(Path(kernels).glob("*.csv")), find), spreads=prior.spreads
        )

    return prior_without


def left_out_table(left_out: Report) -> Any:
    """Errors of what was left out in turn."""
    table = Table(title="predicted from the rest: time per token, and time to first token")
    for column in (
        "left out",
        "n",
        "mean [%]",
        "without worst 5 % [%]",
        "median [%]",
        "in the 90 % interval [%]",
        "± [%]",
    ):
        table.add_column(escape(column), justify="left" if column == "left out" else "right")
    for layer, found in left_out.items():
        for name, entry in found.get("shapes", {}).items():
            errors = (f"{entry['mean']:.1f}", "", f"{entry['median']:.1f}", "", "")
            table.add_row(escape(f"{layer}: {name}"), f"{entry['n']:g}", *errors)
        if "shapes" in found:
            continue
        for name, entry in (*found["quantities"].items(), *found["members"].items()):
            errors = (
                entry[f"{kind}_absolute_percentage_error"]
                for kind in ("mean", "trimmed_mean", "median")
            )
            shares = (100.0 * entry["interval_coverage"], 100.0 * entry["interval_width"])
            table.add_row(
                escape(f"{layer}: {name}"),
                str(entry["n"]),
                *(f"{x:.1f}" for x in errors),
                *(f"{x:.0f}" for x in shares),
            )
    return table
