"""Where a step's time goes: by part, by operator and by collective."""

import numpy as np

from codesign.performance.communication import COLLECTIVES
from codesign.performance.step import Step
from experiments.points.records import Breakdown, CollectiveTime, OperatorTime, Parts, Resource

RESOURCES: tuple[Resource, ...] = (
    "memory",
    "compute",
    "vector",
    "sync",
    "transfer",
    "floor",
    "host",
    "power_cap",
)
"""Parts of a step, which sum to its time; floors of kernels and the host's time only in the
calibrated execution, the power cap only where it slows the step down."""


NOTHING = 1e-6
"""Share of a step's time that is rounding."""


def parts(step: Step, names: tuple[str, ...], step_time: float | None = None) -> Breakdown:
    """Seconds of a step by part, which sum to its time, and by operator and collective.

    ``step_time`` is its time under a power cap; what it takes longer is the cap's.

    An operator's time beyond its floor belongs to the resource that binds it, or to each its own
    where they take turns.
    """
    resources = ("memory", "compute", "vector")
    times = np.stack([np.asarray(getattr(step, name)) for name in resources])
    floor = np.asarray(step.floor)
    spent = np.asarray(step.operators) - floor
    binding = np.argmin(np.abs(times - spent), axis=0)
    turns = np.asarray(step.turns) > 0
    memory, compute, vector = (
        float(spent[(binding == k) & ~turns].sum() + times[k][turns].sum()) for k in range(3)
    )
    operators: dict[str, OperatorTime] = {}
    for r, name in enumerate(names):
        if step.operators[r] > 0:
            operators[name] = {
                "time": float(step.operators[r]),
                "bound": "floor" if floor[r] > spent[r] else resources[binding[r]],
                "memory_alone": float(times[0, r]),
                "compute_alone": float(times[1, r]),
                "vector_alone": float(times[2, r]),
            }
            if floor[r] > 0:
                operators[name]["floor"] = float(floor[r])
    latency, transfer = np.asarray(step.latency), np.asarray(step.transfer)
    collectives: dict[str, CollectiveTime] = {
        name: {"sync": float(latency[k]), "transfer": float(transfer[k])}
        for k, name in enumerate(COLLECTIVES)
        if latency[k] + transfer[k] > 0
    }
    whole: Parts = {
        "memory": memory,
        "compute": compute,
        "vector": vector,
        "sync": float(latency.sum()),
        "transfer": float(transfer.sum()),
    }
    if floor.any() or float(step.host) > 0:
        whole["floor"], whole["host"] = float(floor.sum()), float(step.host)
    capped = 0.0 if step_time is None else step_time - float(step.time)
    if capped > NOTHING * float(step.time):
        whole["power_cap"] = capped
    return {**whole, "by_operator": operators, "by_collective": collectives}


def bound(breakdown: Breakdown) -> str:
    """Which of ``RESOURCES`` takes most time."""
    return max(RESOURCES, key=lambda name: breakdown.get(name, 0.0))
