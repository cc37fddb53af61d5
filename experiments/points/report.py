"""The numbers of one evaluation, ready for JSON."""

import dataclasses
import math
from typing import TypeVar, cast

import codesign
from codesign.numerics.fields import pick
from codesign.workload.precision import PARTS
from experiments.points.breakdown import bound, parts
from experiments.points.elasticity import PER, measured
from experiments.points.operating_point import OperatingPoint, kv_heads
from experiments.points.records import Inputs, PointReport, Split, Splits
from experiments.points.remarks import device_remarks, price_remarks, remarks
from experiments.terminal.refusal import Refused

TOUCHED = 1e-9
"""ln(used/allowed) up to which a limit is touched and not broken."""


Record = TypeVar("Record")

UNITS = {
    "step_time_s": "s",
    "time_per_token_s": "s",
    "user_tokens_per_second": "token/s",
    "system_tokens_per_second": "token/s",
    "fits": (
        "bool, memory and the promise where one was made; what the technology cannot build is in"
        " limits_broken"
    ),
    "fits_memory": "bool, weights and caches on every chip",
    "limits_broken": "names of limits, but memory and promise, that the design is beyond",
    "warnings": "sentences",
    "capacity_needed_bytes": "B, all chips",
    "capacity_available_bytes": "B, all chips, less the reserve for activations and framework",
    "bound": (
        "part of the step with most time: memory, compute, vector, sync (latency), transfer (bytes"
        " on links), floor (of kernels) or host (execution calibrated)"
    ),
    "breakdown": "s",
    "power_w": "W, facility, mean while running",
    "rated_power_w": "W, most that one chip may draw: its cap, or all its parts at their peak",
    "running_clock": "clock under the power cap, over the nominal one",
    "provisioned_power_w": "W, facility, for the rated power of all chips",
    "energy_per_token_j": "J, facility",
    "capital_cost_usd": "USD",
    "cost_per_million_tokens_usd": (
        "USD, capital paid back and energy, at the utilisation of the technology"
    ),
    "tokens_per_second_per_dollar": "token/s/USD of capital",
    "tokens_per_second_per_watt": "token/s/W provisioned",
    "elasticities": (
        "d ln y / d ln x [1]; by chips, where the plan needs each of them, past the step that more"
        " of them are"
    ),
    "time_to_first_token_s": (
        "s, of a request alone: prefill, and the engine's handling of it (execution calibrated)"
    ),
    "limits": "ln(used / allowed) [1]",
    "interval": (
        "90 % interval of each number that the calibration predicts, in that number's unit; it says"
        " nothing of memory and capital"
    ),
}
"""What each number is in."""


def point_report(point: OperatingPoint) -> PointReport:
    """Everything that ``evaluate --json`` prints."""
    outcome, slopes = measured(point)
    breakdown = parts(outcome.step, point.operators.names, float(outcome.step_time))
    limits = {name: float(getattr(outcome.limits, name)) for name in codesign.LIMIT_NAMES}
    if point.arguments.promise_ms is None:
        del limits["promise"]
    facility_watts = float(outcome.energy_per_token * outcome.system_tokens_per_second)
    elasticities = {
        goal: {str(name): pick(row, k) for k, name in enumerate(codesign.DESIGN_VARIABLES)}
        for goal, row in zip(PER, slopes, strict=True)
    }
    report: PointReport = {
        "step_time_s": float(outcome.step_time),
        "time_per_token_s": float(outcome.time_per_token),
        "user_tokens_per_second": float(outcome.user_tokens_per_second),
        "system_tokens_per_second": float(outcome.system_tokens_per_second),
        "fits": bool(outcome.fits_memory) and limits.get("promise", 0.0) <= 0.0,
        "fits_memory": bool(outcome.fits_memory),
        "limits_broken": [
            name
            for name, value in limits.items()
            if value > TOUCHED and name not in ("capacity", "promise")
        ],
        "capacity_needed_bytes": float(outcome.capacity_needed),
        "capacity_available_bytes": float(outcome.capacity_available),
        "bound": bound(breakdown),
        "breakdown": breakdown,
        "power_w": facility_watts,
        "rated_power_w": float(outcome.rated_power),
        "running_clock": float(outcome.running_clock),
        "provisioned_power_w": float(outcome.provisioned_power),
        "energy_per_token_j": float(outcome.energy_per_token),
        "capital_cost_usd": float(outcome.capital_cost),
        "cost_per_million_tokens_usd": float(outcome.cost_per_token) * 1e6,
        "tokens_per_second_per_dollar": float(outcome.tokens_per_second_per_dollar),
        "tokens_per_second_per_watt": float(outcome.tokens_per_second_per_watt),
        "elasticities": elasticities,
        "limits": {**limits},
        "capital_by_part_usd_per_chip": {
            f.name: float(getattr(outcome.cost, f.name)) for f in dataclasses.fields(outcome.cost)
        },
        "inputs": inputs(point),
        "units": UNITS,
        "warnings": [],
    }
    if point.arguments.execution == "limit" and point.shares.tensor > kv_heads(
        point.workload.model
    ):
        report["kv_split"] = both_splits(point)
    if isinstance(point.execution, codesign.Calibrated):
        from experiments.points.calibrated import intervals, knowledge

        if point.arguments.phase == "prefill":
            report["time_to_first_token_s"] = report["step_time_s"] + float(
                point.execution.request_time()
            )
        report["interval"] = intervals(point, point.execution, report.keys(), breakdown)
        report["calibration"] = knowledge(point)
    if point.arguments.compare_executions:
        from experiments.points.calibrated import executions

        report["executions"] = executions(point)
    refuse_no_numbers(report)
    report = finite(report)
    layout = remarks(point.workload.model, point.workload.phase, point.plan, point.design)
    told = [*point.warnings, *layout, *device_remarks(point, report), *price_remarks(point, report)]
    return {**report, "warnings": list(dict.fromkeys(told))}


def both_splits(point: OperatingPoint) -> Splits:
    """The result with caches replicated beyond the KV heads, and with caches divided without
    limit."""

    def split(ideal: float) -> Split:
        outcome, _ = measured(point, dataclasses.replace(point.plan, kv_ideal=ideal))
        return {
            "step_time_s": float(outcome.step_time),
            "user_tokens_per_second": float(outcome.user_tokens_per_second),
            "system_tokens_per_second": float(outcome.system_tokens_per_second),
            "fits_memory": bool(outcome.fits_memory),
            "capacity_needed_bytes": float(outcome.capacity_needed),
        }

    return {"used": point.arguments.kv_split, "heads": split(0.0), "ideal": split(1.0)}


def inputs(point: OperatingPoint) -> Inputs:
    """The arguments as they were understood, and the design in SI."""
    given = {
        field.name: getattr(point.arguments, field.name)
        for field in dataclasses.fields(point.arguments)
    }
    del given["json"]
    shares = point.shares
    degrees = {
        "tensor": shares.tensor,
        "pipeline": shares.pipeline,
        "data": shares.data,
        "context_parallel": shares.context,
    }
    design = {
        f.name: float(getattr(point.design, f.name)) for f in dataclasses.fields(point.design)
    }
    precision = point.workload.precision
    bits = {
        name: float(precision.part(name).weight_bits + precision.part(name).scale_bits)
        for name in PARTS
    }
    bits |= {"kv": float(precision.state_bits), "activations": float(precision.activation_bits)}
    understood = {
        **given,
        **degrees,
        "collective": list(point.arguments.collective),
        **point.choices,
        "bits": bits,
        "design_si": design,
    }
    return cast(Inputs, understood)  # arguments, whatever they are called, and two keys of our own


def refuse_no_numbers(report: PointReport) -> None:
    """Refuse an evaluation whose outcome no float holds: what was asked lies outside all that the
    model is of.

    Limits and elasticities may be infinite where a quantity is absent; the outcomes themselves may
    not.

    Raises:
        Refused: naming the outcomes.
    """
    wild = [
        name
        for name, value in report.items()
        if isinstance(value, float) and not math.isfinite(value)
    ]
    wild += [
        f"{part} of the step"
        for part, value in report["breakdown"].items()
        if isinstance(value, float) and not math.isfinite(value)
    ]
    if wild:
        raise Refused(
            f"these inputs give no finite {', '.join(wild)}; expected quantities that a machine"
            " could have"
        )


def finite(value: Record) -> Record:
    """The same tree with numbers that JSON does not know (inf, nan) as null."""

    def known(entry: object) -> object:
        if isinstance(entry, dict):
            return {key: known(inner) for key, inner in entry.items()}
        return None if isinstance(entry, float) and not math.isfinite(entry) else entry

    return cast(Record, known(value))  # of the same keys
