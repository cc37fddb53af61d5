"""Where the time of a planned machine goes: its decode step and its prefill by part."""

import dataclasses

import numpy as np

import codesign
from codesign.numerics.fields import real
from codesign.planning.answer import Planned
from codesign.planning.lanes import plan_of
from codesign.workload.operators import operator_table
from codesign.workload.phases import Decode, Prefill
from experiments.planning.request import Request
from experiments.points.breakdown import RESOURCES, parts
from experiments.terminal.number_format import digits


def shares(request: Request, best: Planned) -> dict[str, dict[str, float]]:
    """Seconds by part of one decode step and of one pass of prompts."""
    machine = next(one for one in request.machines if one.name == best.machine)
    demand, found = request.demand, {}
    table = operator_table(request.reading.model, machine.precision)
    for role, layout in (("decode", best.layout), ("prefill", best.prefill_layout or best.layout)):
        chips = np.array([layout.chips])
        design = dataclasses.replace(
            machine.design,
            chips=real(layout.chips),
            sync_latency=real(float(machine.latencies(chips)[0])),
        )
        per_group = -(-best.batch // layout.groups)
        phase: codesign.Phase = (
            Decode(per_group * layout.groups, demand.context, demand.draft)
            if role == "decode"
            else Prefill(layout.groups, demand.prompt, demand.cached)
        )
        outcome = codesign.evaluate(
            design,
            codesign.Workload(request.reading.model, phase, machine.precision),
            plan_of(real(np.array(layout, float))),
            technology=machine.technology,
            execution=machine.execution,
        )
        names = codesign.performance.step.operator_names(table, phase)
        whole = parts(outcome.step, names)
        found[role] = {name: whole.get(name, 0.0) for name in RESOURCES if whole.get(name)}
    return found


def sentences(found: dict[str, dict[str, float]]) -> list[str]:
    """The same for people."""
    told = []
    for role, seconds in found.items():
        total = sum(seconds.values())
        ordered = sorted(seconds.items(), key=lambda pair: -pair[1])
        named = ", ".join(f"{name} {100 * value / total:.0f} %" for name, value in ordered)
        what = "decode step" if role == "decode" else "pass of prompts"
        told.append(f"A {what} takes {digits(1e3 * total)} ms: {named}.")
    return told
