"""The numbers of one evaluation, ready for JSON."""

import dataclasses
import math
from typing import Any

import numpy as np

import codesign
from codesign.outcome import Outcome
from codesign.workload.precision import PARTS
from experiments.points.breakdown import bound, parts
from experiments.points.elasticity import PER, measured
from experiments.points.operating_point import OperatingPoint, kv_heads
from experiments.points.remarks import device_remarks, price_remarks, remarks
from experiments.points.tables import operators_of
from experiments.terminal.refusal import Refused

TOUCHED = 1e-9
"""ln(used/allowed) up to which a limit is touched and not broken."""


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
    "provisioned_power_w": "W, facility, all chips at their peak",
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


def point_report(point: OperatingPoint) -> dict[str, Any]:
    """Everything that ``evaluate --json`` prints."""
    outcome, slopes = measured(point)
    breakdown = parts(outcome.step, operators_of(point).names)
    limits = {name: float(getattr(outcome.limits, name)) for name in codesign.LIMIT_NAMES}
    if point.arguments.promise_ms is None:
        del limits["promise"]
    facility_watts = float(outcome.energy_per_token * outcome.system_tokens_per_second)
    elasticities = {
        goal: dict(zip(codesign.DESIGN_VARIABLES, map(float, np.asarray(row)), strict=True))
        for goal, row in zip(PER, slopes, strict=True)
    }
    report: dict[str, Any] = {
        "step_time_s": float(outcome.step_time),
        "time_per_token_s": float(outcome.time_per_token),
        **speeds(outcome),
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
        "provisioned_power_w": float(outcome.provisioned_power),
        "energy_per_token_j": float(outcome.energy_per_token),
        "capital_cost_usd": float(outcome.capital_cost),
        "cost_per_million_tokens_usd": float(outcome.cost_per_token) * 1e6,
        **{name: float(getattr(outcome, name)) for name in PER},
        "elasticities": elasticities,
        "limits": limits,
        "capital_by_part_usd_per_chip": {
            f.name: float(getattr(outcome.cost, f.name)) for f in dataclasses.fields(outcome.cost)
        },
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
        report |= {
            "interval": intervals(point, point.execution, report),
            "calibration": knowledge(point),
        }
    if point.arguments.compare_executions:
        from experiments.points.calibrated import executions

        report["executions"] = executions(point)
    refuse_no_numbers(report)
    report = finite({**report, "inputs": inputs(point), "units": UNITS})
    layout = remarks(point.workload.model, point.workload.phase, point.plan, point.design)
    told = [*point.warnings, *layout, *device_remarks(point, report), *price_remarks(point, report)]
    return {**report, "warnings": list(dict.fromkeys(told))}


def speeds(outcome: Outcome) -> dict[str, float]:
    """Tokens per second of one user and of all."""
    names = ("user_tokens_per_second", "system_tokens_per_second")
    return {name: float(getattr(outcome, name)) for name in names}


def both_splits(point: OperatingPoint) -> dict[str, Any]:
    """The result with caches replicated beyond the KV heads, and with caches divided without
    limit."""
    found: dict[str, Any] = {"used": point.arguments.kv_split}
    for name, ideal in (("heads", 0.0), ("ideal", 1.0)):
        outcome, _ = measured(point, dataclasses.replace(point.plan, kv_ideal=ideal))
        found[name] = {
            "step_time_s": float(outcome.step_time),
            **speeds(outcome),
            "fits_memory": bool(outcome.fits_memory),
            "capacity_needed_bytes": float(outcome.capacity_needed),
        }
    return found


def inputs(point: OperatingPoint) -> dict[str, Any]:
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
    collective = list(point.arguments.collective)
    return {
        **given,
        **degrees,
        "collective": collective,
        **point.choices,
        "bits": bits,
        "design_si": design,
    }


def refuse_no_numbers(report: dict[str, Any]) -> None:
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


def finite(value: Any) -> Any:
    """The same tree with numbers that JSON does not know (inf, nan) as null."""
    if isinstance(value, dict):
        return {key: finite(entry) for key, entry in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
