"""Plans as data: what ``--json`` prints and ``--csv`` writes."""

import csv
import io
import math

from codesign.planning.answer import MachineAnswer, Planned, Plans
from codesign.planning.demand import OBJECTIVES
from codesign.planning.random_arrivals import QUANTILES
from experiments.planning.request import Request

COLUMNS = {
    "model": "",
    "device": "",
    "status": "",
    "announced": "",
    "chips": "1",
    "instances": "1",
    "tensor": "1",
    "pipeline": "1",
    "expert": "1",
    "data": "1",
    "context_parallel": "1",
    "batch": "1",
    "prefill_instances": "1",
    "prefill_layout": "",
    "user_tokens_per_second": "token/s",
    "time_per_token_s": "s",
    "time_to_first_token_s": "s",
    "requests_per_second": "1/s",
    "output_tokens_per_second": "token/s",
    "cost_per_million_tokens_usd": "USD",
    "interval_low": "USD",
    "interval_high": "USD",
    "capital_cost_usd": "USD",
    "running_cost_usd_per_month": "USD",
    "provisioned_power_w": "W",
    "memory_share": "1",
    "reason": "",
}
"""Columns of the file with their units."""

MONTH = 365.25 * 86400.0 / 12.0
"""Seconds of a mean month."""


def planned_record(one: Planned) -> dict[str, object]:
    """One layout as JSON, SI units but where a key says another."""
    interval = None if one.interval is None else [1e6 * end for end in one.interval]
    way, prefill = one.layout, one.prefill_layout
    return {
        "device": one.machine,
        "chips": one.chips,
        "instances": one.instances,
        "layout": one.words(),
        "tensor": way.tensor,
        "pipeline": way.pipeline,
        "expert": way.expert,
        "data": way.data,
        "context_parallel": way.context,
        "expert_copies": way.copies,
        "batch": one.batch,
        "prefill_instances": one.prefill_instances,
        "prefill_layout": prefill.words() if prefill else None,
        "user_tokens_per_second": one.user_tokens_per_second,
        "time_per_token_s": one.time_per_token,
        "time_to_first_token_s": one.time_to_first_token,
        "load": one.load,
        "time_to_first_token_quantiles_s": _quantiles(one.first_quantiles),
        "time_per_token_quantiles_s": _quantiles(one.token_quantiles),
        "no_quantiles_because": one.no_quantiles or None,
        "requests_per_second": one.requests_per_second,
        "output_tokens_per_second": one.output_tokens_per_second,
        "cost_per_million_tokens_usd": 1e6 * one.cost_per_token,
        "interval": interval,
        "intervals": {name: list(ends) for name, ends in one.intervals.items()},
        "capital_cost_usd": one.capital,
        "running_cost_usd_per_month": one.running_cost * MONTH,
        "provisioned_power_w": one.provisioned_power,
        "memory_share": one.memory_share,
    }


def _quantiles(values: tuple[float, ...]) -> dict[str, float] | None:
    names = [f"p{round(100 * q)}" for q in QUANTILES]
    return dict(zip(names, values, strict=True)) if values else None


NOTHING = dict.fromkeys(
    (
        *("chips", "tensor", "pipeline", "expert", "data", "context_parallel", "batch"),
        *("user_tokens_per_second", "time_to_first_token_s", "cost_per_million_tokens_usd"),
        "interval",
    )
)
"""What a device that cannot serve has of the contract."""


def device_record(one: MachineAnswer, layouts: bool) -> dict[str, object]:
    """One device: its best layout, or why there is none."""
    own = planned_record(one.best) if one.best else {"device": one.machine, **NOTHING}
    told = {
        "status": one.status,
        "announced": one.announced,
        "reason": one.reason or None,
        "excess": None if one.best else one.excess if math.isfinite(one.excess) else None,
        "layouts_looked_at": one.layouts,
    }
    ranked = [planned_record(way) for way in one.ranked] if layouts else []
    return {**own, **told, **({"layouts": ranked} if layouts else {})}


def report(request: Request, found: Plans) -> dict[str, object]:
    """Everything that ``plan`` says, as JSON."""
    arguments, demand = request.arguments, request.demand
    best = found.best
    devices = [device_record(one, arguments.show_layouts) for one in found.machines]
    devices += [
        {"device": name, **NOTHING, "status": "NOT KNOWN", "reason": why}
        for name, why in request.left_out.items()
    ]
    own = next((one for one in devices if best and one["device"] == best.machine), None)
    return {
        "best": own,
        "devices": devices,
        "demand": {
            "model": request.reading.model.name,
            "prompt": demand.prompt,
            "output": demand.output,
            "cached": demand.cached,
            "requests_per_second": demand.rate,
            "users": demand.users,
            "token_promise_s": _finite(demand.token_promise),
            "first_promise_s": _finite(demand.first_promise),
        },
        "ranked_by": OBJECTIVES[found.objective],  # pyright: ignore[reportArgumentType]
        "execution": arguments.execution,
        "max_chips": found.most_chips,
        "layouts_timed": found.evaluations,
        "warnings": request.warnings,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def table(request: Request, found: Plans) -> str:
    """The devices as comma-separated values, units in the header."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([f"{name} [{unit}]" if unit else name for name, unit in COLUMNS.items()])
    for one in found.machines:
        ways = one.ranked if request.arguments.show_layouts else one.ranked[:1]
        for row in [planned_record(way) for way in ways] or [{"device": one.machine}]:
            ends = row.get("interval")
            low, high = ends if isinstance(ends, list | tuple) else (None, None)
            row = {**row, "interval_low": low, "interval_high": high, "status": one.status}
            row |= {"announced": "yes" if one.announced else "no", "reason": one.reason}
            row["model"] = request.reading.model.name
            writer.writerow([_cell(row.get(name)) for name in COLUMNS])
    for name, why in request.left_out.items():
        row = {"model": request.reading.model.name, "device": name}
        row |= {"status": "NOT KNOWN", "reason": why}
        writer.writerow([_cell(row.get(name)) for name in COLUMNS])
    return text.getvalue()


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.9g}"
    # a spreadsheet takes a text that begins so for a formula
    text = str(value)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text
