"""Elasticities, exchange rates, regimes and shadow prices of a point, ready for JSON."""

import math
from typing import TYPE_CHECKING

import jax

from codesign.performance.step import operator_names
from codesign.search.statement.services import phase_of, steps
from codesign.sensitivity.by_input import Elasticities, elasticities_by_input, exchange_rates
from codesign.sensitivity.inputs import Inputs, fleet_at
from codesign.sensitivity.regimes import Regime, regimes
from codesign.workload.operators import operator_table
from experiments.sensitivity.at_optimum import at_optimum, by_priors
from experiments.sensitivity.points import Named
from experiments.terminal.refusal import Refused
from objectives import Objective

if TYPE_CHECKING:
    from experiments.sensitivity.points import Tell

UNITS = {
    "elasticities": "d ln outcome / d ln input [1]; of a logarithm the same of what it is of",
    "one_sided": "elasticities below and above [1], where they differ; null: there is no below",
    "exchange_rates": (
        "value [given_unit] of given that does as much as amount [taken_unit] of taken does, at"
        " constant outcome"
    ),
    "regimes": "s; share of the step [1]; distance: ln of how much faster what binds must be [1]",
    "sums": "elasticities of time_per_token over rates, over latencies; rates - latencies = -1",
    "shadow_prices": "per cent of the objective gained by one unit more of the limit",
}
"""What each part of the report is in."""


def sensitivity_report(
    point: Named, wanted: Objective, tell: "Tell", *, priors: bool = False
) -> dict[str, object]:
    """Everything that ``sensitivity --json`` prints; ``priors``: also what moves with them.

    Raises:
        Refused: an outcome that is no number at this point, or an objective that a fleet lacks.
    """
    tell("elasticities", 0, 1)
    found = elasticities_by_input(point.inputs)
    missing = [name for name in wanted.exponents if name not in found.outcomes]
    if missing:
        raise Refused(
            f"{wanted.name} needs {', '.join(missing)}, which {point.title} has not; expected"
            " another objective"
        )
    tell("elasticities", 1, 1)
    report: dict[str, object] = {
        "what": point.title,
        "objective": wanted.name,
        "unit": wanted.unit,
        "sense": wanted.sense,
        "value": math.prod(
            found.outcomes[name] ** power for name, power in wanted.exponents.items()
        ),
        "outcomes": found.outcomes,
        "elasticities": {**found.by_input, wanted.name: found.of(wanted.exponents)},
        "one_sided": _one_sided(found),
        "inputs": {
            leaf.name: {"value": found.values[leaf.name], "unit": leaf.unit, "group": leaf.group}
            for leaf in found.leaves
        },
        "sums": found.sums(),
        "exchange_rates": [rate._asdict() for rate in exchange_rates(found)],
        "regimes": [_as_record(one) for one in all_regimes(point.inputs)],
        "shadow_prices": [],
        "units": UNITS,
    }
    if point.optimum is not None and point.stated is not None:
        tell("shadow prices", 0, 1)
        found_optimum = point.optimum()
        report |= at_optimum(found_optimum)
        tell("shadow prices", 1, 1)
        if priors:
            tell("priors", 0, 1)
            report |= by_priors(found_optimum, point.stated)
            tell("priors", 1, 1)
    elif priors:
        raise Refused(
            "--priors is given without an optimum; expected a scenario or a run, whose designs move"
            " with their priors"
        )
    return report


def _one_sided(found: Elasticities) -> dict[str, dict[str, list[float | None]]]:
    return {
        outcome: {
            name: [None if math.isnan(side) else side for side in sides]
            for name, sides in own.items()
        }
        for outcome, own in found.one_sided.items()
    }


def _as_record(one: Regime) -> dict[str, object]:
    record = one._asdict()
    return {**record, "distance": one.distance if math.isfinite(one.distance) else None}


def all_regimes(inputs: Inputs) -> list[Regime]:
    """What binds each operator and collective of every step of a fleet, the longest first."""
    outcomes = jax.jit(fleet_at)(inputs).outcomes
    found = []
    for k, (step, outcome) in enumerate(zip(steps(inputs.services), outcomes, strict=True)):
        one = inputs.services[step.service]
        table = operator_table(one.model, one.precision)
        phase = phase_of(one, one.phase.batch, prefill=step.prefill)
        found += regimes(outcome.step, operator_names(table, phase), k)
    return sorted(found, key=lambda one: -one.time)
