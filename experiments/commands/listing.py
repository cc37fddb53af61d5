"""``codesign list``: what can be named on the command line, and where its numbers come from."""

import dataclasses
import json as json_format
from typing import Annotated, Any

import tyro

from experiments.arguments import one_of

CATALOGUES = ("models", "devices", "technologies", "objectives", "scenarios")


@dataclasses.dataclass(frozen=True)
class List:
    """List models, devices, technologies, objectives or scenarios."""

    what: tyro.conf.Positional[Annotated[str, one_of("what to list", CATALOGUES)]]
    """models, devices, technologies, objectives or scenarios"""
    sources: bool = False
    """with every number its range, year, source and confidence"""
    json: bool = False
    """only JSON on standard output"""

    def run(self) -> int:
        """Print the list; 0."""
        rows = catalogue(self.what, self.sources)
        if self.json:
            print(json_format.dumps(rows, indent=1, allow_nan=False))
        else:
            show(self.what, rows, self.sources)
        return 0


def catalogue(what: str, sources: bool) -> list[dict[str, Any]]:
    """The rows of one list, ready for JSON."""
    return {
        "models": models,
        "devices": devices,
        "technologies": technologies,
        "objectives": objectives,
        "scenarios": scenarios,
    }[what](sources)


def models(sources: bool) -> list[dict[str, Any]]:
    """Shipped models: name, exact and active parameters [1], layers [1], cache bytes per token at 8 bit [B]."""
    from codesign.workload.catalogue import model, model_facts, model_names
    from codesign.workload.parameters import active_parameter_count, parameter_count, state_bytes_per_token
    from codesign.workload.transformer import layer_count

    rows = []
    for name in model_names():
        built = model(name)
        row: dict[str, Any] = {
            "name": name,
            "parameters": round(float(parameter_count(built))),
            "active_parameters": round(float(active_parameter_count(built))),
            "layers": round(float(layer_count(built))),
            "state_bytes_per_token_at_8_bit": float(state_bytes_per_token(built, 1.0)),
        }
        if sources:
            row["source"] = model_facts(name)["_source"]
        rows.append(row)
    return rows


def _fact(prior: Any, sources: bool) -> dict[str, Any]:
    if sources:
        return {key: value for key, value in dataclasses.asdict(prior).items() if key not in ("name", "group")}
    return {"quantity": prior.quantity, "value": prior.value, "unit": prior.unit}


def devices(sources: bool) -> list[dict[str, Any]]:
    """Devices with how well they are known, what joins them and every published fact, in the units of its source."""
    import hardware_priors

    rows = []
    for name in hardware_priors.device_names():
        device = hardware_priors.device(name)
        node, memory, link = device.technology_names()
        facts = [_fact(prior, sources) for prior in device.priors.values()]  # pyright: ignore[reportAttributeAccessIssue]
        technology = {"node": node, "memory": memory, "link": link}
        row = {"name": name, "full_name": device.full_name, "status": device.status, "joined_by": device.joined_by}  # pyright: ignore[reportAttributeAccessIssue]
        rows.append({**row, "technology": technology, "facts": facts})
    return rows


def technologies(sources: bool) -> list[dict[str, Any]]:
    """What can be chosen for each part of a technology, with its facts where sources are asked for."""
    import hardware_priors
    from hardware_priors.prior import load

    files = {"node": "logic", "memory": "memory", "link": "links", "cooling": "cooling", "packaging": "packaging"}
    files |= {"price_basis": "economics", "pool": "memory"}
    rows = []
    for argument, offered in hardware_priors.technology_names().items():
        facts = load(files[argument]) if sources else ()
        named = [*offered, *dict.fromkeys(p.name for p in facts if p.name not in offered)] if sources else offered
        for name in named:
            row: dict[str, Any] = {"argument": argument, "name": name, "choice": name in offered}
            if sources:
                row["facts"] = [_fact(prior, True) for prior in facts if prior.name == name]
            rows.append(row)
    return rows


def objectives(sources: bool) -> list[dict[str, Any]]:
    """What can be maximised or minimised."""
    from objectives import OBJECTIVES

    return [
        {
            "name": objective.name,
            "description": objective.description,
            "unit": objective.unit,
            "sense": "maximise" if objective.sense > 0 else "minimise",
        }
        for objective in OBJECTIVES.values()
    ]


def scenarios(sources: bool) -> list[dict[str, Any]]:
    """Built-in scenarios."""
    from experiments.scenario import scenario, scenario_names

    return [{"name": name, "description": scenario(name).description} for name in scenario_names()]


def show(what: str, rows: list[dict[str, Any]], sources: bool) -> None:
    """Print a list as a table."""
    from rich.table import Table

    from experiments.screen import results

    table = Table(title=what)
    if what in ("devices", "technologies") and sources:
        status = ("status",) if what == "devices" else ()
        for column in ("name", *status, "quantity", "value", "low", "high", "unit", "year", "confidence", "source"):
            table.add_column(column, overflow="fold")
        for row in rows:
            for fact in row["facts"]:
                named = [row[key] for key in ("name", *status)]
                cells = [*named, *(fact[key] for key in ("quantity", "value", "low", "high", "unit", "year"))]
                table.add_row(*map(_cell, [*cells, fact["confidence"], fact["source"]]))
    elif what == "devices":
        shown = (
            "memory_bandwidth",
            "memory_capacity",
            "peak_bf16",
            "peak_fp8",
            "scale_up_bandwidth_bidirectional",
            "tdp",
        )
        for column in ("name", "full name", "status", "node", "memory", "link", *shown):
            table.add_column(column.replace("_", " "))
        for row in rows:
            facts = {fact["quantity"]: f"{fact['value']:g} {fact['unit']}" for fact in row["facts"]}
            cells = [row["name"], row["full_name"], row["status"], *row["technology"].values()]
            table.add_row(*cells, *(facts.get(quantity, "–") for quantity in shown))
    else:
        hidden = {"choice"}
        columns = [key for key in rows[0] if key not in hidden]
        for column in columns:
            table.add_column(column.replace("_", " "), overflow="fold")
        for row in rows:
            table.add_row(*(_cell(row[key]) for key in columns))
    results().print(table)


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key}: {entry}" for key, entry in value.items())
    if isinstance(value, int) and not isinstance(value, bool) and value > 9999:
        return f"{value:,}"
    return f"{value:g}" if isinstance(value, float) else str(value)
