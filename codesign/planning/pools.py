"""Prefill and decode on instances of their own: which layouts, and how many of each.

A prompt is prefilled in one pool, its cache moved over the scale-out network, its output decoded in
the other (``performance.queueing.disaggregated``). All pairs of layouts and of numbers of instances
are tried, but for layouts that another one of as many chips beats in rate, time and cost at once:
those lie in no best pair.
"""

import dataclasses

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


def _best_pair(
    group: Offers, sought: Sought, k: int, demand: Demand, objective: Objective, most: int
) -> Planned | None:
    lanes, steps, first = sought.lanes, sought.steps, sought.alone
    own = np.flatnonzero(lanes.machine == k)
    chips, groups = lanes.chips, lanes.groups
    lone = lone_prompt(first, lanes, demand.chunks)
    filling = groups / first.prefill
    d = own[lanes.batch[own] > 0]
    p = own[first.prefill_fill[own] <= 0.0]
    rate = sought.served.goodput
    d = d[_undominated(chips[d], [-rate[d], steps.decode_running[d], steps.decode[d]])]
    p = p[_undominated(chips[p], [-filling[p], first.prefill_running[p], lone[p]])]
    if not len(d) or not len(p):
        return None
    i, j = np.meshgrid(*[np.arange(1, MOST_INSTANCES + 1)] * 2, indexing="ij")
    i, j, at_d, at_p = (
        each.ravel()
        for each in np.broadcast_arrays(
            i[..., None, None], j[..., None, None], d[:, None], p[None, :]
        )
    )
    fits = i * chips[at_d] + j * chips[at_p] <= most
    i, j, at_d, at_p = i[fits], j[fits], at_d[fits], at_p[fits]
    if not len(i):
        return None
    promise = min(demand.first_promise, UNLIMITED)
    bandwidth = np.minimum(first.scale_out[at_p], first.scale_out[at_d])
    ready = first.request[at_p] + lone[at_p] + first.cache[at_p] / bandwidth
    served = lone[at_p] / groups[at_p]
    filled, capacity = j * filling[at_p], i * rate[at_d]
    capacity = np.minimum(filled, capacity)
    busy = capacity / filled
    within = np.minimum(np.asarray(utilisation_within(served, promise - ready)) / busy, 1.0)
    if demand.rate is not None:
        within = np.minimum(within, MOST_LOAD)
    goodput = np.where(ready <= promise, within * capacity, 0.0)
    enough = goodput >= (demand.rate or 0.0) * (1.0 - 1e-9)
    requests = goodput if demand.rate is None else np.full_like(goodput, demand.rate)
    running = i * steps.decode_running[at_d] + j * first.prefill_running[at_p]
    capital = i * steps.capital[at_d] + j * first.capital[at_p]
    power = i * steps.provisioned[at_d] + j * first.provisioned[at_p]
    count = (i * chips[at_d] + j * chips[at_p]).astype(float)
    per_token = sought.served.time_per_token[at_d]
    with np.errstate(divide="ignore"):
        scores: dict[str, np.ndarray] = {
            "cost": running / requests,
            "per-dollar": capital / requests,
            "per-watt": power / requests,
            "chips": count,
            "speed": per_token,
        }
    value = np.where(enough & (goodput > 0), scores[objective], np.inf)
    best = int(value.argmin())
    if not np.isfinite(value[best]):
        return None
    row_d, row_p = int(at_d[best]), int(at_p[best])
    machine = group.machines[k]
    used = float(machine.technology.economics.utilisation)
    rate_, full = float(requests[best]), float(capacity[best])
    load = rate_ / full if demand.rate is not None else used * rate_ / full
    sold = 1.0 if machine.hourly or demand.rate is not None else used
    wait = float(waiting_time(served[best], load * busy[best]))
    fill = max(steps.decode_fill[row_d], first.prefill_fill[row_p])
    return Planned(
        machine=machine.name,
        layout=layout_of(lanes, row_d),
        instances=int(i[best]),
        batch=int(lanes.batch[row_d] * groups[row_d]),
        time_per_token=float(per_token[best]),
        time_to_first_token=float(ready[best]) + wait,
        load=load,
        requests_per_second=rate_,
        output_tokens_per_second=rate_ * demand.output,
        running_cost=float(running[best]),
        cost_per_token=float(running[best]) / (rate_ * demand.output * sold),
        capital=float(capital[best]),
        provisioned_power=float(power[best]),
        memory_share=float(np.exp(fill)),
        score=float(value[best]),
        prefill_layout=layout_of(lanes, row_p),
        prefill_instances=int(j[best]),
    )


def _undominated(chips: np.ndarray, costs: list[np.ndarray]) -> np.ndarray:
    """Rows that no other of as many chips beats in every column or equals in all and precedes."""
    table = np.stack(costs, axis=1)
    no_worse = (table[None] <= table[:, None]).all(axis=2) & (chips[None] == chips[:, None])
    better = no_worse & (table[None] < table[:, None]).any(axis=2)
    twin = no_worse & ~better & (np.arange(len(chips))[None] < np.arange(len(chips))[:, None])
    return ~(better | twin).any(axis=1)
