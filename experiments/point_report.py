"""The numbers of one evaluation, ready for JSON (keys: DESIGN.md §8)."""

import dataclasses
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import codesign
from codesign.evaluate import check
from codesign.numerics.fields import Real
from codesign.numerics.units import GIBI, MILLI
from codesign.outcome import Outcome
from codesign.performance.step import COLLECTIVES
from codesign.workload.operators import operator_table
from experiments.operating_point import OperatingPoint, kv_heads

MOST_CHIPS = 65536
"""How many chips are tried when asking how many would fit."""

PER = ("tokens_per_second_per_dollar", "tokens_per_second_per_watt")

UNITS = {
    "step_time_s": "s",
    "time_per_token_s": "s",
    "user_tokens_per_second": "token/s",
    "system_tokens_per_second": "token/s",
    "fits": "bool",
    "capacity_needed_bytes": "B, all chips",
    "capacity_available_bytes": "B, all chips",
    "bound": "part of the step with most time; link transfer counts as sync, vector work as compute",
    "breakdown": "s",
    "power_w": "W, facility, mean while running",
    "provisioned_power_w": "W, facility, all chips at their peak",
    "energy_per_token_j": "J, facility",
    "capital_cost_usd": "USD",
    "cost_per_million_tokens_usd": "USD, capital paid back and energy, at the utilisation of the technology",
    "tokens_per_second_per_dollar": "token/s/USD of capital",
    "tokens_per_second_per_watt": "token/s/W provisioned",
    "elasticities": "d ln y / d ln x [1]",
    "limits": "ln(used / allowed) [1]",
}
"""What each number is in."""


class Measured(NamedTuple):
    """An outcome, and elasticities of ``PER`` (rows) with respect to ``DESIGN_VARIABLES`` [1]."""

    outcome: Outcome
    elasticities: Real


@jax.jit
def measure(
    design: codesign.Design,
    workload: codesign.Workload,
    plan: codesign.Plan,
    technology: codesign.Technology,
    execution: codesign.Execution,
) -> Measured:
    """Evaluate a design, and differentiate ln tokens/s/$ and ln tokens/s/W in the logs of its six variables."""
    names = codesign.DESIGN_VARIABLES

    def logs(step: Real) -> tuple[Real, Outcome]:
        # a factor exp(step) that is exactly 1 at step 0, so that whole numbers of chips stay whole
        moved = {name: getattr(design, name) * jnp.exp(step[k]) for k, name in enumerate(names)}
        outcome = codesign.evaluate(dataclasses.replace(design, **moved), workload, plan, technology=technology, execution=execution)
        return jnp.log(jnp.stack([getattr(outcome, name) for name in PER])), outcome

    slopes, outcome = jax.jacrev(logs, has_aux=True)(jnp.zeros_like(design.chips, shape=(len(names),)))
    return Measured(outcome, slopes)


def measured(point: OperatingPoint, plan: codesign.Plan | None = None) -> Measured:
    """``measure`` at an operating point, concrete arguments checked first."""
    plan = point.plan if plan is None else plan
    check(point.design, point.workload, plan, point.technology)
    return measure(point.design, point.workload, plan, point.technology, point.execution)


def parts(step: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """Seconds of a step by part, which sum to its time, and by operator and collective.

    An operator's time belongs to the resource that binds it.
    """
    resources = ("memory", "compute", "vector")
    times = np.stack([np.asarray(getattr(step, name)) for name in resources])
    spent = np.asarray(step.operators) - np.asarray(step.floor)
    binding = np.argmax(times == spent, axis=0)
    by_resource = {name: float(spent[binding == k].sum()) for k, name in enumerate(resources)}
    operators = {
        name: {"time": float(spent[r]), "bound": resources[binding[r]]}
        | {f"{p}_alone": float(times[k, r]) for k, p in enumerate(resources)}
        for r, name in enumerate(names)
        if spent[r] > 0
    }
    for r, name in enumerate(names):
        if step.floor[r] > 0:
            operators[name] |= {"time": float(step.operators[r]), "floor": float(step.floor[r])}
    latency, transfer = np.asarray(step.latency), np.asarray(step.transfer)
    collectives = {
        name: {"sync": float(latency[k]), "link": float(transfer[k])} for k, name in enumerate(COLLECTIVES) if latency[k] + transfer[k] > 0
    }
    whole = {**by_resource, "sync": float(latency.sum()), "link": float(transfer.sum())}
    floor, host = float(np.sum(step.floor)), float(step.host)
    if floor > 0 or host > 0:
        whole |= {"floor": floor, "host": host}
    return {**whole, "by_operator": operators, "by_collective": collectives}


def bound(breakdown: dict[str, Any]) -> str:
    """``memory``, ``compute``, ``sync`` or ``floor`` (kernel floors and the host's time), whichever takes most time."""
    causes = {
        "memory": breakdown["memory"],
        "compute": breakdown["compute"] + breakdown["vector"],
        "sync": breakdown["sync"] + breakdown["link"],
        "floor": breakdown.get("floor", 0.0) + breakdown.get("host", 0.0),
    }
    return max(causes, key=lambda name: causes[name])


def point_report(point: OperatingPoint) -> dict[str, Any]:
    """Everything that ``evaluate --json`` prints."""
    outcome, slopes = measured(point)
    table = operator_table(point.workload.model, point.workload.precision)
    breakdown = parts(outcome.step, table.names)
    limits = {name: float(getattr(outcome.limits, name)) for name in codesign.LIMIT_NAMES}
    if point.arguments.promise_ms is None:
        del limits["promise"]
    facility_watts = float(outcome.energy_per_token * outcome.system_tokens_per_second)
    elasticities = {
        goal: dict(zip(codesign.DESIGN_VARIABLES, map(float, np.asarray(row)), strict=True)) for goal, row in zip(PER, slopes, strict=True)
    }
    report: dict[str, Any] = {
        "step_time_s": float(outcome.step_time),
        "time_per_token_s": float(outcome.time_per_token),
        **speeds(outcome),
        "fits": bool(outcome.fits),
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
        "capital_by_part_usd_per_chip": {f.name: float(getattr(outcome.cost, f.name)) for f in dataclasses.fields(outcome.cost)},
    }
    if point.arguments.execution == "limit" and point.shares.tensor > kv_heads(point.workload.model):
        report["kv_split"] = both_splits(point)
    if isinstance(point.execution, codesign.Calibrated):
        report["interval"] = intervals(point, point.execution)
    if point.arguments.compare_executions:
        report["executions"] = executions(point)
    return finite({**report, "inputs": inputs(point), "units": UNITS})


INTERVALS = (
    "step_time", "time_per_token", "user_tokens_per_second", "system_tokens_per_second", "energy_per_token", "cost_per_token",
    "tokens_per_second_per_dollar", "tokens_per_second_per_watt",
)  # fmt: skip
"""Outcomes that carry a 90 % interval under the calibrated execution."""


def intervals(point: OperatingPoint, execution: codesign.Calibrated) -> dict[str, list[float]]:
    """Low and high ends of the 90 % intervals, in SI units: what the calibration does not know, at this design and these prices."""
    from codesign.calibration.execution import interval

    def outcomes(calibrated: codesign.Calibrated) -> Real:
        outcome = codesign.evaluate(point.design, point.workload, point.plan, technology=point.technology, execution=calibrated)
        return jnp.stack([getattr(outcome, name) for name in INTERVALS])

    low, _, high = interval(outcomes, execution)
    return {name: [float(a), float(b)] for name, a, b in zip(INTERVALS, low, high, strict=True)}


def executions(point: OperatingPoint) -> dict[str, dict[str, Any]]:
    """The step under the limit study, operator-wise and calibrated, by part [s]."""
    from experiments.operating_point import calibrated_execution

    calibrated = point.execution
    if not isinstance(calibrated, codesign.Calibrated):
        calibrated = calibrated_execution(point.arguments, point.device, point.workload.model.name)
    found: dict[str, dict[str, Any]] = {}
    for name, execution in (("limit", codesign.Limit()), ("operatorwise", codesign.Operatorwise()), ("calibrated", calibrated)):
        outcome = codesign.evaluate(point.design, point.workload, point.plan, technology=point.technology, execution=execution)
        breakdown = parts(outcome.step, operator_table(point.workload.model, point.workload.precision).names)
        whole = {part: value for part, value in breakdown.items() if isinstance(value, float)}
        found[name] = {"step_time_s": float(outcome.step_time), **whole}
    found["calibrated"]["interval"] = intervals(point, calibrated)["step_time"]
    return found


def speeds(outcome: Outcome) -> dict[str, float]:
    """Tokens per second of one user and of all."""
    names = ("user_tokens_per_second", "system_tokens_per_second")
    return {name: float(getattr(outcome, name)) for name in names}


def both_splits(point: OperatingPoint) -> dict[str, Any]:
    """The result with caches replicated beyond the KV heads, and with caches divided without limit."""
    found: dict[str, Any] = {"used": point.arguments.kv_split}
    for name, ideal in (("heads", 0.0), ("ideal", 1.0)):
        outcome, _ = measured(point, dataclasses.replace(point.plan, kv_ideal=ideal))
        found[name] = {
            "step_time_s": float(outcome.step_time),
            **speeds(outcome),
            "fits": bool(outcome.fits),
            "capacity_needed_bytes": float(outcome.capacity_needed),
        }
    return found


def inputs(point: OperatingPoint) -> dict[str, Any]:
    """The arguments as they were understood, and the design in SI."""
    given = {field.name: getattr(point.arguments, field.name) for field in dataclasses.fields(point.arguments)}
    del given["json"]
    shares = point.shares
    degrees = {
        "tensor": shares.tensor,
        "pipeline": shares.pipeline,
        "data": shares.data,
        "context_parallel": shares.context,
    }
    design = {f.name: float(getattr(point.design, f.name)) for f in dataclasses.fields(point.design)}
    return {**given, **degrees, "collective": list(point.arguments.collective), **point.choices, "design_si": design}


def finite(value: Any) -> Any:
    """The same tree with numbers that JSON does not know (inf, nan) as null."""
    if isinstance(value, dict):
        return {key: finite(entry) for key, entry in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def failure(point: OperatingPoint, report: dict[str, Any]) -> str | None:
    """Why the configuration is refused, in one sentence; None if it is not."""
    arguments, model = point.arguments, point.workload.model.name
    if not report["fits"]:
        needed, available = report["capacity_needed_bytes"] / GIBI, report["capacity_available_bytes"] / GIBI
        least = least_chips(point)
        advice = f"the least number of chips that fits is {least}" if least else _no_chips(point)
        length = arguments.context if arguments.phase == "decode" else arguments.prompt or arguments.context
        return (
            f"{model} with batch {arguments.batch} at {length} positions needs {needed:.1f} GiB and "
            f"{arguments.chips} × {point.device.name} have {available:.1f} GiB: "
            f"{needed - available:.1f} GiB are missing; {advice}"
        )
    if arguments.promise_ms is not None and report["limits"]["promise"] > 0:
        takes = report["time_per_token_s"] / MILLI
        return (
            f"a token takes {takes:.3g} ms, more than the promised {arguments.promise_ms:g} ms; expected a promise "
            f"of at least {takes:.3g} ms or a faster machine"
        )
    return None


def _no_chips(point: OperatingPoint) -> str:
    return f"no tensor degree up to {MOST_CHIPS} chips makes it fit"


def least_chips(point: OperatingPoint) -> int | None:
    """Fewest chips, by more tensor parallelism alone, on which weights and caches fit; None if no number does."""
    group = point.shares.chips // point.shares.tensor
    chips = group * np.arange(1, max(MOST_CHIPS // group, 1) + 1, dtype=float)

    @jax.jit
    @jax.vmap
    def used(count: Real) -> Real:
        design = dataclasses.replace(point.design, chips=count)
        outcome = codesign.evaluate(design, point.workload, point.plan, technology=point.technology, execution=point.execution)
        return outcome.limits.capacity

    fitting = np.asarray(used(jnp.asarray(chips))) <= 0
    return round(float(chips[fitting.argmax()])) if fitting.any() else None
