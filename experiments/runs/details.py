"""What ``run.json`` says of a run, beside the numbers of ``front.csv``."""

import math

import numpy as np

from codesign.limits import limit_words
from codesign.numerics.fields import units_of
from codesign.search import Front
from experiments.rivals import break_even
from experiments.rivals.advantage import advantage, as_record, sentences
from experiments.rivals.device_rows import record
from experiments.rivals.points import DevicePoint
from experiments.runs.columns import columns, order
from experiments.runs.folder import fingerprint, versions
from experiments.runs.record import PromiseRecord, RunRecord
from experiments.scenarios.problem import warnings
from experiments.scenarios.schema import Scenario
from hardware_priors.quantities import parse


def run_record(front: Front, scenario: Scenario, devices: list[DevicePoint]) -> RunRecord:
    """Put together what is written, printed and drawn of a run."""
    rows, best = order(front), advantage(front, devices, scenario)
    even = break_even.break_even(front, devices, scenario)
    details: dict[str, object] = {
        "scenario": scenario.name,
        "title": scenario.title,
        "fingerprint": fingerprint(scenario),
        "versions": versions(),
        "seed": scenario.search.seed,
        "weights": scenario.search.weights,
        "buildable": front.buildable,
        "objectives": [
            {"name": o.name, "unit": o.unit, "sense": o.sense} for o in front.objectives
        ],
        "machines": [machine.name or f"machine {p}" for p, machine in enumerate(scenario.machines)],
        "services": [work.model for work in scenario.workload],
        "promises": [*_promises(front, scenario), *_bounds(front, scenario)],
        "fleet": [
            *_fleet(front, scenario),
            *break_even.sentences(even, scenario),
            *_own_numbers(scenario),
        ],
        "break_even": break_even.as_record(even),
        "overrides": dict(scenario.overrides),
        "limits": dict(scenario.limits),
        "statuses": [front.status[k] for k in rows],
        "proof": {"asked": scenario.search.prove, "front_gap": _number(_largest(front.front_gap))},
        "certified_gaps_log": [_number(float(front.certified_gap[k])) for k in rows],
        "front_gaps_log": [_number(float(front.front_gap[k])) for k in rows],
        "weightings": [list(map(float, front.weights[k])) for k in rows],
        "times_per_token_asked_s": [_number(float(front.time_asked[k])) for k in rows],
        "multipliers": {
            limit_words(name): [float(values[k]) for k in rows]
            for name, values in front.multipliers.items()
        },
        "devices": [record(point) for point in devices],
        "advantage": as_record(best),
        "comparison": sentences(best, scenario),
        "warnings": warnings(scenario),
    }
    return RunRecord(tuple(columns(front)), details)


def _promises(front: Front, scenario: Scenario) -> list[PromiseRecord]:
    """What each service was promised, and the shortest and longest time reached by any design
    [s]."""
    found, rows = [], order(front)
    for s, work in enumerate(scenario.workload):
        of = f" of {work.model}" if len(scenario.workload) > 1 else ""
        what = "time to the first token" if work.phase == "prefill" else "time per token"
        found.append(_promise(what + of, work.promise, np.asarray(front.times.token[rows, s])))
        if work.phase == "serving" and work.first_promise is not None:
            found.append(
                _promise(
                    f"time to the first token{of}",
                    work.first_promise,
                    np.asarray(front.times.first_token[rows, s]),
                )
            )
    return found


def _promise(name: str, most: str, reached: np.ndarray) -> PromiseRecord:
    return _kept(name, "s", None, parse(most, like="s"), reached)


def _kept(
    name: str, unit: str, least: float | None, most: float | None, reached: np.ndarray
) -> PromiseRecord:
    """What was promised, what was reached from the least to the most, and used over allowed of each
    design."""
    used = reached / most if most is not None else np.asarray(least) / reached
    ends = [float(np.min(reached)), float(np.max(reached))]
    return {
        "name": name,
        "unit": unit,
        "least": least,
        "most": most,
        "reached": ends,
        "used": [float(value) for value in used],
    }


def _bounds(front: Front, scenario: Scenario) -> list[PromiseRecord]:
    """The scenario's bounds on outcomes, and the least and the most that any design reaches."""
    units = units_of(front.totals)
    found = []
    for bound in scenario.bounds:
        reached = np.asarray(getattr(front.totals, bound.outcome))[order(front)]
        words, unit = bound.outcome.replace("_", " "), units[bound.outcome]
        found += [_kept(words, unit, bound.least, None, reached)] if bound.least is not None else []
        found += [_kept(words, unit, None, bound.most, reached)] if bound.most is not None else []
    return found


def _fleet(front: Front, scenario: Scenario) -> list[str]:
    """What a fleet of the scenario's power does with the best design for the first objective."""
    if scenario.fleet.power is None:
        return []
    power, totals, rows = parse(scenario.fleet.power, like="W"), front.totals, order(front)
    row = int(rows[np.argmax(front.objectives[0].sense * front.values[rows, 0])])
    tokens = power * totals.tokens_per_second_per_watt[row]
    machines = " + ".join(
        f"{tokens * front.machine_seconds[row, p]:.0f}" for p in range(len(front.designs))
    )
    place = int(np.flatnonzero(rows == row)[0])
    return [
        f"A fleet of {scenario.fleet.power} (provisioned) of design {place}: {tokens:.3g} token/s"
        f" from {machines} machines at {totals.cost_per_token[row] * 1e6:.3g} USD per million"
        f" output tokens, {totals.energy_per_token[row]:.3g} J a token."
    ]


def _own_numbers(scenario: Scenario) -> list[str]:
    """What the scenario states in the place of priors and limits."""
    stated = {**scenario.overrides, **scenario.limits}
    told = ", ".join(f"{name} = {text}" for name, text in stated.items())
    return [f"Stated in the place of priors and limits: {told}."] if told else []


def _largest(gaps: np.ndarray) -> float:
    return float(np.max(gaps)) if len(gaps) else math.nan


def _number(value: float) -> float | None:
    """A number that JSON can hold."""
    return float(value) if math.isfinite(value) else None
