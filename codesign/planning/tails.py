"""Quantiles of waiting of each machine's best, at the rate that it serves (``random_arrivals``)."""

import dataclasses

import numpy as np

from codesign.planning.answer import MachineAnswer, Planned
from codesign.planning.demand import Demand
from codesign.planning.lanes import Asked, Lanes, Offers, evaluate
from codesign.planning.random_arrivals import waiting
from codesign.planning.rates import lone_prompt, tokens_per_step

POINTS = 16
"""Numbers of sequences at which a decode step is timed; lines join them."""


def with_tails(
    group: Offers, answers: list[MachineAnswer], question: Asked, demand: Demand
) -> list[MachineAnswer]:
    """Answers with quantiles of each machine's best, or why there are none."""
    rows = [k for k, one in enumerate(answers) if one.best is not None]
    chosen = [answers[k].ranked[0] for k in rows]
    told = [_why_not(one, demand) for one in chosen]
    asked = [k for k, why in enumerate(told) if not why]
    sizes = [np.unique(np.geomspace(1, chosen[k].batch, POINTS).astype(int)) for k in asked]
    many = [len(each) for each in sizes]
    lanes = Lanes(
        np.repeat([rows[k] for k in asked], many).astype(int),
        np.repeat(
            np.array([chosen[k].layout for k in asked], float).reshape(len(asked), 6), many, axis=0
        ),
        np.concatenate([*sizes, np.zeros(0, int)]),
    )
    steps = evaluate(group, lanes, question)
    answers, start, tokens = list(answers), 0, tokens_per_step(demand)
    lone = lone_prompt(steps, lanes, demand.chunks)
    for k, batches in zip(asked, sizes, strict=True):
        here = slice(start, start := start + len(batches))
        curve = steps.decode[here]
        best, machine = chosen[k], group.machines[rows[k]]
        share = 1.0 if demand.rate is not None else machine.technology.economics.utilisation
        found = waiting(
            lambda n, x=batches, y=curve: float(np.interp(n, x, y)),
            float(lone[here][0]),
            demand.chunks,
            demand.output / tokens,
            float(share) * best.requests_per_second / best.instances,
            float(best.batch),
            float(steps.request[here][0]),
        )
        if isinstance(found, str):
            told[k] = found
            continue
        chosen[k] = dataclasses.replace(
            best,
            first_quantiles=found.first,
            token_quantiles=tuple(time / tokens for time in found.per_token),
        )
    for k, one, why in zip(rows, chosen, told, strict=True):
        best = dataclasses.replace(one, no_quantiles=why)
        answers[k] = dataclasses.replace(answers[k], ranked=(best, *answers[k].ranked[1:]))
    return answers


def _why_not(one: Planned, demand: Demand) -> str:
    if demand.users is not None:
        return "users send their next request when the last is answered: nothing arrives by chance"
    if one.prefill_layout is not None:
        return "pools of their own are not simulated"
    if one.layout.groups > 1:
        return f"{one.layout.groups} groups side by side are not simulated"
    return ""
