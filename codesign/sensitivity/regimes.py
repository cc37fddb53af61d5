"""Which resource binds each operator and collective of a step, and how far the next one is."""

from typing import NamedTuple

import numpy as np

from codesign.performance.communication import COLLECTIVES
from codesign.performance.step import Step

RESOURCES = ("memory", "compute", "vector")


class Regime(NamedTuple):
    """One operator or collective: seconds, what binds it, what would bind next and ln of how much
    faster the binding resource must be until it does (∞ where nothing else takes time)."""

    step: int
    name: str
    time: float
    share: float  # of the step [1]
    bound: str
    next: str
    distance: float


def regimes(step: Step, names: tuple[str, ...], number: int = 0) -> list[Regime]:
    """Say what binds every operator and collective of a step, the longest first.

        distance = ln(t_bound / t_next)

    Of an operator the resources are memory, compute and vector, and the floor of its kernels in a
    calibrated execution; of a collective sync (latency) and transfer (bytes). The host's time has
    no other.

    Args:
        step: an evaluated step, leaves (operators,) and (collectives,) [s].
        names: of its operators.
        number: of the step among those of a fleet.

    Returns:
        A row an operator and collective: its share of the step, what binds, and how far the next
        resource is.

    >>> import codesign
    >>> from codesign.workload.operators import operator_table
    >>> from experiments.examples.small_space import CHIP, MODEL, WORK, WORLD
    >>> step = codesign.evaluate(CHIP, WORK, technology=WORLD).step
    >>> first = regimes(step, operator_table(MODEL, WORK.precision).names)[0]
    >>> first.name, first.bound, first.next
    ('attention collective', 'sync', 'transfer')
    """
    found, total = [], float(step.time)
    times = np.stack([np.asarray(getattr(step, name)) for name in RESOURCES])
    floors, spent = np.asarray(step.floor), np.asarray(step.operators)
    for r, name in enumerate(names):
        if spent[r] > 0:
            alone = {key: float(times[k, r]) for k, key in enumerate(RESOURCES)}
            alone |= {"floor": float(floors[r])} if floors[r] > 0 else {}
            found.append(_regime(number, name, float(spent[r]), total, alone))
    latency, transfer = np.asarray(step.latency), np.asarray(step.transfer)
    for k, name in enumerate(COLLECTIVES):
        if latency[k] + transfer[k] > 0:
            alone = {"sync": float(latency[k]), "transfer": float(transfer[k])}
            found.append(_regime(number, f"{name} collective", sum(alone.values()), total, alone))
    if float(step.host) > 0:
        host = float(step.host)
        found.append(_regime(number, "host", host, total, {"host": host}))
    return sorted(found, key=lambda one: -one.time)


def _regime(number: int, name: str, time: float, total: float, alone: dict[str, float]) -> Regime:
    first, *rest = sorted(alone, key=lambda key: -alone[key])
    other = next((key for key in rest if alone[key] > 0), "")
    distance = float(np.log(alone[first] / alone[other])) if other else float("inf")
    return Regime(number, name, time, time / total, first, other, distance)
