"""The batch of every layout: whole sequences a group, sought exactly, all layouts side by side.

Within a layout, the rate that an instance serves rises with its batch until memory or a promise
ends it, or the wait for the first token eats the gain; it has one peak. (The logarithm of
B/(a + cB) is concave in B, and so is that of the share of it that the first promise leaves.) A grid
of powers brackets the peak, and each round cuts the bracket ``PARTS`` times until whole numbers are
left. Layouts that even a batch beyond their bracket would not lift to the best of their machine are
dropped. Tests hold the answer to an enumeration of every batch, within 0.1 %: where arithmetic
binds, the rate is flat and its peak lies anywhere.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from codesign.planning.demand import Demand, Objective
from codesign.planning.lanes import Asked, Lanes, Offers, Steps, evaluate
from codesign.planning.rates import Served, shared

MOST_BATCH = 4096
"""Sequences of one group: more than any engine is run with."""

GRID = 4
"""Ratio of two batches of the grid."""

PARTS = 8
"""Parts into which a round cuts a bracket."""

DROPPED = 0.03
"""Log units from the best of its machine beyond which a layout's bracket is not closed: power, and
with it the price of energy, is not known to better before."""


class Sought(NamedTuple):
    """The batch of each lane, 0 where none will do; what it runs like; and at one sequence a
    group."""

    lanes: Lanes
    steps: Steps
    served: Served
    alone: Steps  # at one sequence a group
    closed: np.ndarray  # whether the batch is the best, not just good enough to be dropped


def score(
    objective: Objective,
    lanes: Lanes,
    steps: Steps,
    served: Served,
    demand: Demand,
    rate: np.ndarray,
) -> np.ndarray:
    """What is minimised, infinite where nothing is served.

    Args:
        objective: what counts.
        lanes, steps, served: what runs.
        demand: a rate or users make it a matter of whole instances.
        rate: requests that an instance serves [1/s], or its users where the demand states users.

    Returns:
        Seconds per token; chips; or [USD/s], [USD] or [W] of all instances over requests a second.
    """
    if objective == "speed":
        return np.where(rate > 0, served.time_per_token, np.inf)
    each = np.where(rate > 0, rate, np.nan)
    target = demand.rate if demand.rate is not None else demand.users
    many = np.ones(len(each)) if target is None else np.ceil(target / each - 1e-9)
    if objective == "chips":
        return np.where(rate > 0, many * lanes.chips, np.inf)
    of_one = {
        "cost": steps.decode_running,
        "per-dollar": steps.capital,
        "per-watt": steps.provisioned,
    }[objective]
    if demand.rate is not None:
        requests = np.full(len(each), demand.rate)
    elif demand.users is not None:
        requests = served.capacity * demand.users / (lanes.batch * lanes.groups)
    else:
        requests = each
    return np.where(rate > 0, of_one * many / requests, np.inf)


def least_score(
    objective: Objective, lanes: Lanes, steps: Steps, served: Served, demand: Demand
) -> np.ndarray:
    """What no smaller batch of the same layout can beat, promises aside: an instance never serves
    less with more sequences."""
    if demand.users is None:
        return score(objective, lanes, steps, served, demand, served.capacity)
    if objective == "chips":
        batch = (lanes.batch * lanes.groups).astype(float)
        return score(objective, lanes, steps, served, demand, batch)
    filled = dataclasses.replace(demand, users=None)
    return score(objective, lanes, steps, served, filled, served.capacity)


def served_rate(served: Served, lanes: Lanes, demand: Demand) -> np.ndarray:
    """What a batch is chosen for: requests a second, or users of an instance where their number is
    stated."""
    if demand.users is None:
        return served.goodput
    return np.where(served.goodput > 0, lanes.batch * lanes.groups, 0.0)


def seek(
    found: Offers,
    lanes: Lanes,
    question: Asked,
    demand: Demand,
    objective: Objective,
    serve: Callable[[Steps, Lanes, Demand], Served] = shared,
    *,
    exact: bool = False,
) -> Sought:
    """The batch of every lane by which an instance serves most within memory and promises.

    Args:
        found: machines of one structure.
        lanes: layouts; their batches are put in.
        question: ``asked(demand)``.
        demand: promises, and a rate or users.
        objective: by what layouts are compared, to drop hopeless ones early.
        serve: what steps serve: ``rates.shared``, or ``pools.decoding``.
        exact: drop none.
    """

    def run(at: Lanes) -> tuple[Steps, Served, np.ndarray]:
        steps = evaluate(found, at, question)
        served = serve(steps, at, demand)
        return steps, served, served_rate(served, at, demand)

    cap = np.full(len(lanes.machine), MOST_BATCH)
    if demand.users is not None:
        cap = np.minimum(np.ceil(demand.users / lanes.groups), cap).astype(int)
    ones = lanes._replace(batch=np.ones(len(lanes.machine), int))
    steps, served, rate = run(ones)
    alone, value = steps, rate.copy()
    best = np.where(rate > 0, 1, 0)
    leader = np.full(len(found.machines), np.inf)
    np.minimum.at(leader, lanes.machine, score(objective, ones, steps, served, demand, rate))
    low, high, open_ = np.ones_like(best), np.ones_like(best), best > 0
    if objective == "speed" and demand.users is None:
        open_ &= False
    cheapest, hope = steps.decode_running.copy(), np.full(len(best), np.inf)

    def look(rows: np.ndarray, batches: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Run lanes at several batches each (batches, rows); what they serve, and the least score
        that no batch up to each can beat."""
        shape, flat = batches.shape, np.broadcast_to(rows, batches.shape).ravel()
        at = Lanes(lanes.machine[flat], lanes.layout[flat], batches.ravel())
        steps, served, rate = run(at)
        np.minimum.at(leader, at.machine, score(objective, at, steps, served, demand, rate))
        np.minimum.at(cheapest, flat, steps.decode_running)
        floor = steps._replace(decode_running=cheapest[flat])
        bound = least_score(objective, at, floor, served, demand)
        for rates, batch in zip(rate.reshape(shape), batches, strict=True):
            better = rates > value[rows]
            value[rows] = np.where(better, rates, value[rows])
            best[rows] = np.where(better, batch, best[rows])
        return rate.reshape(shape), bound.reshape(shape)

    while (rows := np.flatnonzero(open_ & (high < cap))).size:
        ahead = np.minimum(high[rows] * GRID, cap[rows])
        rate, bound = look(rows, ahead[None])
        going = rate[0] >= value[rows]
        low[rows] = np.where(going, high[rows], low[rows])
        high[rows], hope[rows], open_[rows] = ahead, bound[0], going
    within = np.exp(DROPPED)
    while True:
        near = exact | (hope <= leader[lanes.machine] * within)
        rows = np.flatnonzero((best > 0) & near & (high - low > 1))
        if not rows.size:
            break
        # cut every bracket, ends included, and keep the neighbours of the best
        ends = low[rows] + (high[rows] - low[rows]) * np.arange(PARTS + 1)[:, None] // PARTS
        _, bound = look(rows, np.clip(ends[1:-1], low[rows], high[rows]))
        bound = np.concatenate([bound[:1], bound, hope[rows][None]])
        peak = best[rows]
        done = high[rows] - low[rows] <= PARTS
        above = np.where(ends > peak, ends, high[rows]).min(axis=0)
        below = np.where(ends < peak, ends, low[rows]).max(axis=0)
        hope[rows] = bound[(ends >= above).argmax(axis=0), np.arange(len(rows))]
        low[rows], high[rows] = np.where(done, peak, below), np.where(done, peak, above)
    steps, served, _ = run(lanes._replace(batch=np.maximum(best, 1)))
    closed = (best > 0) & (high - low <= 1)
    return Sought(lanes._replace(batch=best), steps, served, alone, closed)


def replicas(demand: Demand, rate: float) -> int:
    """Instances that a demand takes, where one of them serves ``rate``; 1 where it states none."""
    target = demand.rate if demand.rate is not None else demand.users
    return 1 if target is None else int(np.ceil(target / rate - 1e-9))
