"""Which of a scenario's ordered choices a design stands at the end of, where more could be had."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from codesign.search import Choice, Front


class Ordered(NamedTuple):
    """An ordered choice: how it is read off a choice, and between which numbers more or fewer would
    mean something for a design of so many chips."""

    name: str
    read: Callable[[Choice], float]
    fewest: float
    most: Callable[[Choice, float], float]


def choice_flags(front: Front, k: int, prefixes: Sequence[str]) -> list[str]:
    """Name the choices at whose end a design stands, ``["dies high"]``, or of which the scenario
    offers one only, ``["sram only"]``.

    Like a bound of the box, the end of a choice decides there, not a cost or a limit. No end is
    what cannot be passed: one die, one stage; the dies of the year's package; more groups than
    chips; a scale-up domain larger than the machine. ``prefixes`` begin the names of each kind of
    machine.
    """
    flags, choice = [], front.choices[front.choice[k]]
    for p, (design, prefix) in enumerate(zip(front.designs, prefixes, strict=True)):
        chips = float(np.asarray(design.chips)[k])
        for one in _ordered(p, prefix, first=p == 0):
            offered = [one.read(other) for other in front.choices]
            own = one.read(choice)
            most = one.most(choice, chips)
            fewer, more = one.fewest < own < most, own < most
            if min(offered) == max(offered):
                flags += [f"{one.name} only"] if fewer or more else []
                continue
            flags += [f"{one.name} low"] if own <= min(offered) and fewer else []
            flags += [f"{one.name} high"] if own >= max(offered) and more else []
    return flags


def _ordered(p: int, prefix: str, *, first: bool) -> list[Ordered]:
    def kind(name: str) -> Callable[[Choice], float]:
        return lambda choice: float(getattr(choice.kinds[p], name))

    def plan(name: str) -> Callable[[Choice], float]:
        return lambda choice: max(float(getattr(plan, name)) for plan in choice.plans)

    def dies(choice: Choice, chips: float) -> float:
        return float(choice.kinds[p].technology.packaging.max_dies)

    def groups(choice: Choice, chips: float) -> float:
        return chips

    def without_end(choice: Choice, chips: float) -> float:
        return np.inf

    found = [
        Ordered(f"{prefix}dies", kind("dies"), 1.0, dies),
        Ordered(f"{prefix}sram", kind("sram_capacity"), 0.0, without_end),
        Ordered(f"{prefix}domain", kind("scale_up_domain"), 1.0, groups),
    ]
    fields = {"pipeline": "pipeline", "attention_data": "data", "context_parallel": "context"}
    shared = [Ordered(name, plan(field), 1.0, groups) for name, field in fields.items()]
    return found + (shared if first else [])
