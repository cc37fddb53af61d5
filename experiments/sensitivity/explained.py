"""A difference between two points as JSON and as sentences."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax

from codesign.numerics.fields import Real
from codesign.sensitivity.explanation import explain
from codesign.sensitivity.inputs import Inputs, fleet_at
from experiments.scenarios.schema import Scenario
from experiments.sensitivity.points import (
    Named,
    is_scenario,
    named,
    run_and_row,
    wanted_of,
)
from experiments.terminal.number_format import written
from experiments.terminal.refusal import Refused
from experiments.terminal.text_table import Printed, table_lines, wrapped
from objectives import Objective

if TYPE_CHECKING:
    from experiments.points.arguments import PointArguments
    from experiments.sensitivity.points import Tell

METHOD = (
    "Aumann-Shapley along the straight path in logs; models, algorithms and executions join as"
    " wholes at a uniform time (value of the mixed game)"
)


def resolved(
    a: str, b: str, common: "PointArguments", name: str | None, tell: "Tell"
) -> tuple[tuple[Named, Named], Objective]:
    """Both sides, a device without a workload on the other side's scenario, and what is
    explained; by one execution, unless options tell another for one of them."""

    def scenario_of(other: str) -> Scenario | None:
        from experiments.scenarios.toml_text import scenario

        if (run := run_and_row(other)) is not None:
            return scenario(str(run[0] / "scenario.toml"))
        return scenario(other) if is_scenario(other) else None

    def both(common: "PointArguments") -> tuple[Named, Named]:
        first, second = (
            named(one, common, name, tell, functools.partial(scenario_of, other))
            for one, other in ((a, b), (b, a))
        )
        return first, second

    sides = both(common)
    if common.execution is None and len({type(side.inputs.execution) for side in sides}) > 1:
        # a machine that nobody measured, beside one that is calibrated unless told
        sides = both(dataclasses.replace(common, execution="operatorwise"))
    return sides, wanted_of(sides[0].stated or sides[1].stated, name)


@functools.lru_cache(maxsize=16)
def value_of(wanted: Objective) -> Callable[[Inputs], Real]:
    """The objective as a function of all inputs."""
    return lambda inputs: wanted(fleet_at(inputs).totals)  # pyright: ignore[reportArgumentType]


def explained(before: Named, after: Named, wanted: Objective) -> dict[str, Any]:
    """What ``explain --json`` prints.

    Raises:
        Refused: points that cannot be paired, or an objective that a fleet does not have.
    """
    values = [float(jax.jit(value_of(wanted))(side.inputs)) for side in (before, after)]
    for side, value in zip((before, after), values, strict=True):
        if not math.isfinite(value):
            raise Refused(f"{wanted.name} of {side.title} is no number; expected another objective")
    try:
        found = explain(value_of(wanted), before.inputs, after.inputs)
    except ValueError as error:
        raise Refused(str(error)) from None
    return {
        "objective": wanted.name,
        "unit": wanted.unit,
        "sense": wanted.sense,
        "a": {"name": before.title, "value": values[0]},
        "b": {"name": after.title, "value": values[1]},
        "total_log": found.total_log,
        "groups": found.groups,
        "factors": [
            {
                "name": factor.name,
                "group": factor.group,
                "log": factor.log,
                "unit": factor.unit,
                "a": factor.before,
                "b": factor.after,
            }
            for factor in found.factors
        ],
        "remainder_log": found.remainder,
        "executions": [type(side.inputs.execution).__name__ for side in (before, after)],
        "method": METHOD,
    }


def explanation_lines(report: dict[str, Any], top: int, width: int) -> list[str]:
    """The explanation for people: the ratio first, then ideas, then the largest factors."""
    unit, name = report["unit"], report["objective"]
    values = [written(report[side]["value"], name, unit) for side in ("a", "b")]
    ratio = math.exp(report["total_log"])
    better = report["sense"] * report["total_log"] >= 0
    times = ratio if report["total_log"] >= 0 else 1.0 / ratio
    word = {True: "better", False: "worse"}[better]
    head = (
        f"{report['b']['name']}: {values[1]}, {times:.2f} times {word} than {report['a']['name']}:"
        f" {values[0]}."
    )
    groups = [(group, log) for group, log in report["groups"].items() if abs(log) > 5e-4]
    parts = " ".join(f"{group} ×{math.exp(log):.3g}," for group, log in groups).rstrip(",")
    sentence = f"{name} changes by ×{ratio:.3g} = {parts}." if groups else "Nothing differs."
    factors = [factor for factor in report["factors"] if abs(factor["log"]) > 5e-4]
    lines = wrapped([head, sentence], width)
    if factors:
        lines += ["", *_table(factors[:top])]
    rest = report["factors"][len(factors[:top]) :]
    told = sum(factor["log"] for factor in rest)
    lines += [""]
    if rest:
        lines.append(f"{len(rest)} more factors together ×{math.exp(told):.4g}.")
    executions = " against ".join(dict.fromkeys(report["executions"]))
    how = f"How: {report['method']}; no order is chosen. Execution: {executions}."
    lines += wrapped([how], width)
    return lines


def _table(factors: list[dict[str, Any]]) -> list[str]:
    def value(factor: dict[str, Any], side: str) -> str:
        if isinstance(factor[side], str):
            return factor[side]
        return written(factor[side], "", factor["unit"])

    columns = [
        Printed("factor", ("factor",), tuple((f"×{math.exp(f['log']):.3g}",) for f in factors)),
        Printed("what", ("of",), tuple((f["name"],) for f in factors), text=True),
        Printed("a", ("from",), tuple((value(f, "a"),) for f in factors)),
        Printed("b", ("to",), tuple((value(f, "b"),) for f in factors)),
    ]
    return table_lines(columns, 80)
