"""Prefill and decode on instances of their own: which layouts, and how many of each.

A prompt is prefilled in one pool, its cache moved over the scale-out network, its output decoded in
the other (``performance.queueing.disaggregated``). All pairs of layouts and of numbers of instances
are tried, but for layouts that another one of as many chips beats in rate, time and cost at once:
those lie in no best pair.
"""

import dataclasses
from typing import NamedTuple

import numpy as np

from codesign.performance.queueing import utilisation_within, waiting_time
from codesign.planning.answer import PLANNED, MachineAnswer, Planned
from codesign.planning.batches import Sought, seek
from codesign.planning.demand import Demand, Objective
from codesign.planning.lanes import Asked, Lanes, Offers, Steps, layout_of
from codesign.planning.rates import MOST_LOAD, Served, lone_prompt, tokens_per_step
from codesign.workload.transformer import UNLIMITED

MOST_INSTANCES = 16
"""Instances of one pool."""


def decoding(steps: Steps, lanes: Lanes, demand: Demand) -> Served:
    """What an instance that only decodes serves; arguments as ``rates.shared``."""
    tokens = tokens_per_step(demand)
    per_token = steps.decode / tokens
    capacity = lanes.batch * lanes.groups * tokens / (demand.output * steps.decode)
    fits = steps.decode_fill <= 0.0
    kept = fits & (per_token <= demand.token_promise)
    none = np.zeros_like(per_token)
    return Served(per_token, none, none, capacity, np.where(kept, capacity, 0.0), fits)


def with_pools(
    group: Offers,
    lanes: Lanes,
    answers: list[MachineAnswer],
    question: Asked,
    demand: Demand,
    objective: Objective,
    most: int,
) -> list[MachineAnswer]:
    """Answers with pairs of pools among the ranked, where they are better.

    Args:
        group, lanes: machines and their layouts.
        answers: of machines that do both on one.
        question, demand, objective: what is asked; no number of users.
        most: chips of both pools together [1].
    """
    alone = dataclasses.replace(demand, rate=None)
    sought = seek(group, lanes, question, alone, "cost", decoding, exact=True)
    found = []
    for k, one in enumerate(answers):
        best = _best_pair(group, sought, k, demand, objective, most)
        if best is None or (one.best is not None and one.best.score <= best.score):
            found.append(one)
            continue
        found.append(dataclasses.replace(one, status=PLANNED, ranked=(best, *one.ranked)))
    return found


class _Pairs(NamedTuple):
    """Instances of a decode and of a prefill lane that together are an answer, (pairs,)."""

    decode_instances: np.ndarray
    prefill_instances: np.ndarray
    decode: np.ndarray  # rows of the lanes
    prefill: np.ndarray


class _Together(NamedTuple):
    """What pairs do, (pairs,)."""

    ready: np.ndarray  # [s] first token of a request that waits for no one
    wait_for: np.ndarray  # [s] service time of the prefill pool
    capacity: np.ndarray  # [1/s]
    busy: np.ndarray  # [1] load of the prefill pool at that capacity
    requests: np.ndarray  # [1/s] as asked, else as many as keep the promises
    serves: np.ndarray  # whether these are kept
    running: np.ndarray  # [USD/s]
    capital: np.ndarray  # [USD]
    power: np.ndarray  # [W]
    chips: np.ndarray
    time_per_token: np.ndarray  # [s]


def _pairs(sought: Sought, k: int, most: int, lone: np.ndarray) -> _Pairs | None:
    """Pairs of a machine's undominated lanes within so many chips; None where there is none."""
    lanes, steps, first = sought.lanes, sought.steps, sought.alone
    own, chips = np.flatnonzero(lanes.machine == k), lanes.chips
    d = own[lanes.batch[own] > 0]
    p = own[first.prefill_fill[own] <= 0.0]
    rate, filling = sought.served.goodput, lanes.groups / first.prefill
    d = d[_undominated(chips[d], [-rate[d], steps.decode_running[d], steps.decode[d]])]
    p = p[_undominated(chips[p], [-filling[p], first.prefill_running[p], lone[p]])]
    if not len(d) or not len(p):
        return None
    i, j = np.meshgrid(*[np.arange(1, MOST_INSTANCES + 1)] * 2, indexing="ij")
    every = _Pairs(
        *(
            each.ravel()
            for each in np.broadcast_arrays(
                i[..., None, None], j[..., None, None], d[:, None], p[None, :]
            )
        )
    )
    count = every.decode_instances * chips[every.decode]
    fits = count + every.prefill_instances * chips[every.prefill] <= most
    return _Pairs(*(each[fits] for each in every)) if fits.any() else None


def _together(pairs: _Pairs, sought: Sought, demand: Demand, lone: np.ndarray) -> _Together:
    lanes, steps, first = sought.lanes, sought.steps, sought.alone
    i, j, at_d, at_p = pairs
    promise = min(demand.first_promise, UNLIMITED)
    bandwidth = np.minimum(first.scale_out[at_p], first.scale_out[at_d])
    ready = first.request[at_p] + lone[at_p] + first.cache[at_p] / bandwidth
    served = lone[at_p] / lanes.groups[at_p]
    filled = j * (lanes.groups / first.prefill)[at_p]
    capacity = np.minimum(filled, i * sought.served.goodput[at_d])
    busy = capacity / filled
    within = np.minimum(np.asarray(utilisation_within(served, promise - ready)) / busy, 1.0)
    if demand.rate is not None:
        within = np.minimum(within, MOST_LOAD)
    goodput = np.where(ready <= promise, within * capacity, 0.0)
    enough = goodput >= (demand.rate or 0.0) * (1.0 - 1e-9)
    chips = i * lanes.chips[at_d] + j * lanes.chips[at_p]
    return _Together(
        ready=ready,
        wait_for=served,
        capacity=capacity,
        busy=busy,
        requests=goodput if demand.rate is None else np.full_like(goodput, demand.rate),
        serves=enough & (goodput > 0),
        running=i * steps.decode_running[at_d] + j * first.prefill_running[at_p],
        capital=i * steps.capital[at_d] + j * first.capital[at_p],
        power=i * steps.provisioned[at_d] + j * first.provisioned[at_p],
        chips=chips.astype(float),
        time_per_token=sought.served.time_per_token[at_d],
    )


def _best_pair(
    group: Offers, sought: Sought, k: int, demand: Demand, objective: Objective, most: int
) -> Planned | None:
    lone = lone_prompt(sought.alone, sought.lanes, demand.chunks)
    pairs = _pairs(sought, k, most, lone)
    if pairs is None:
        return None
    found = _together(pairs, sought, demand, lone)
    with np.errstate(divide="ignore"):
        scores: dict[str, np.ndarray] = {
            "cost": found.running / found.requests,
            "per-dollar": found.capital / found.requests,
            "per-watt": found.power / found.requests,
            "chips": found.chips,
            "speed": found.time_per_token,
        }
    value = np.where(found.serves, scores[objective], np.inf)
    best = int(value.argmin())
    if not np.isfinite(value[best]):
        return None
    return _planned(group, sought, k, demand, pairs, found, best, float(value[best]))


def _planned(
    group: Offers,
    sought: Sought,
    k: int,
    demand: Demand,
    pairs: _Pairs,
    found: _Together,
    best: int,
    score: float,
) -> Planned:
    lanes, machine = sought.lanes, group.machines[k]
    i, j, row_d, row_p = (int(each[best]) for each in pairs)
    requests, capacity = float(found.requests[best]), float(found.capacity[best])
    ready, per_token = float(found.ready[best]), float(found.time_per_token[best])
    running = float(found.running[best])
    used = float(machine.technology.economics.utilisation)
    asked = demand.rate is not None
    load = requests / capacity if asked else used * requests / capacity
    sold = 1.0 if machine.hourly or asked else used
    fill = max(sought.steps.decode_fill[row_d], sought.alone.prefill_fill[row_p])
    return Planned(
        machine=machine.name,
        layout=layout_of(lanes, row_d),
        instances=i,
        batch=int(lanes.batch[row_d] * lanes.groups[row_d]),
        time_per_token=per_token,
        time_to_first_token=ready
        + float(waiting_time(found.wait_for[best], load * found.busy[best])),
        load=load,
        requests_per_second=requests,
        output_tokens_per_second=requests * demand.output,
        running_cost=running,
        cost_per_token=running / (requests * demand.output * sold),
        capital=float(found.capital[best]),
        provisioned_power=float(found.power[best]),
        memory_share=float(np.exp(fill)),
        score=score,
        prefill_layout=layout_of(lanes, row_p),
        prefill_instances=j,
    )


def _undominated(chips: np.ndarray, costs: list[np.ndarray]) -> np.ndarray:
    """Rows that no other of as many chips beats in every column or equals in all and precedes."""
    table = np.stack(costs, axis=1)
    no_worse = (table[None] <= table[:, None]).all(axis=2) & (chips[None] == chips[:, None])
    better = no_worse & (table[None] < table[:, None]).any(axis=2)
    twin = no_worse & ~better & (np.arange(len(chips))[None] < np.arange(len(chips))[:, None])
    return ~(better | twin).any(axis=1)
