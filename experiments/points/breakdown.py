"""Where a step's time goes: by part, by operator and by collective."""

from typing import Any

import numpy as np

from codesign.performance.communication import COLLECTIVES

RESOURCES = ("memory", "compute", "vector", "sync", "transfer", "floor", "host")
"""Parts of a step, which sum to its time; floors of kernels and the host's time only in the
calibrated execution."""


def parts(step: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """Seconds of a step by part, which sum to its time, and by operator and collective.

    An operator's time beyond its floor belongs to the resource that binds it, or to each its own
    where they take turns.
    """
    resources = ("memory", "compute", "vector")
    times = np.stack([np.asarray(getattr(step, name)) for name in resources])
    floor = np.asarray(step.floor)
    spent = np.asarray(step.operators) - floor
    binding = np.argmin(np.abs(times - spent), axis=0)
    turns = np.asarray(step.turns) > 0
    by_resource = {
        name: float(spent[(binding == k) & ~turns].sum() + times[k][turns].sum())
        for k, name in enumerate(resources)
    }
    operators = {
        name: (
            {
                "time": float(step.operators[r]),
                "bound": "floor" if floor[r] > spent[r] else resources[binding[r]],
            }
            | {f"{p}_alone": float(times[k, r]) for k, p in enumerate(resources)}
            | ({"floor": float(floor[r])} if floor[r] > 0 else {})
        )
        for r, name in enumerate(names)
        if step.operators[r] > 0
    }
    latency, transfer = np.asarray(step.latency), np.asarray(step.transfer)
    collectives = {
        name: {"sync": float(latency[k]), "transfer": float(transfer[k])}
        for k, name in enumerate(COLLECTIVES)
        if latency[k] + transfer[k] > 0
    }
    whole = {**by_resource, "sync": float(latency.sum()), "transfer": float(transfer.sum())}
    if floor.any() or float(step.host) > 0:
        whole |= {"floor": float(floor.sum()), "host": float(step.host)}
    return {**whole, "by_operator": operators, "by_collective": collectives}


def bound(breakdown: dict[str, Any]) -> str:
    """Which of ``RESOURCES`` takes most time."""
    return max((name for name in RESOURCES if name in breakdown), key=lambda name: breakdown[name])
