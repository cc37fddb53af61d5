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
    search = _Search(found, lanes, question, demand, objective, serve)
    cap = np.full(len(lanes.machine), MOST_BATCH)
    if demand.users is not None:
        cap = np.minimum(np.ceil(demand.users / lanes.groups), cap).astype(int)
    if objective != "speed" or demand.users is not None:  # nothing is faster than one sequence
        search.bracket(cap)
    search.close(exact)
    return search.result()


class _Search:
    """The best batch of every lane so far, and the bracket that its peak lies in.

    ``hope`` is the least score that no batch of the bracket can beat, ``leader`` the least score
    met of each machine, ``cheapest`` the least running cost met of each lane.
    """

    def __init__(
        self,
        found: Offers,
        lanes: Lanes,
        question: Asked,
        demand: Demand,
        objective: Objective,
        serve: Callable[[Steps, Lanes, Demand], Served],
    ):
        self.found, self.lanes, self.question = found, lanes, question
        self.demand, self.serve = demand, serve
        self.objective: Objective = objective
        count = len(lanes.machine)
        self.leader = np.full(len(found.machines), np.inf)
        self.alone, _, rate = self.run(lanes._replace(batch=np.ones(count, int)))
        self.cheapest = self.alone.decode_running.copy()
        self.value, self.best = rate.copy(), np.where(rate > 0, 1, 0)
        self.low, self.high = np.ones(count, int), np.ones(count, int)
        self.hope = np.full(count, np.inf)

    def run(self, at: Lanes) -> tuple[Steps, Served, np.ndarray]:
        """What lanes do at their batches; the best of each machine is noted."""
        steps = evaluate(self.found, at, self.question)
        served = self.serve(steps, at, self.demand)
        rate = served_rate(served, at, self.demand)
        scores = score(self.objective, at, steps, served, self.demand, rate)
        np.minimum.at(self.leader, at.machine, scores)
        return steps, served, rate

    def look(self, rows: np.ndarray, batches: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Run lanes at several batches each (batches, rows); what they serve, and the least score
        that no batch up to each can beat."""
        shape, flat = batches.shape, np.broadcast_to(rows, batches.shape).ravel()
        at = Lanes(self.lanes.machine[flat], self.lanes.layout[flat], batches.ravel())
        steps, served, rate = self.run(at)
        np.minimum.at(self.cheapest, flat, steps.decode_running)
        floor = steps._replace(decode_running=self.cheapest[flat])
        bound = least_score(self.objective, at, floor, served, self.demand)
        for rates, batch in zip(rate.reshape(shape), batches, strict=True):
            better = rates > self.value[rows]
            self.value[rows] = np.where(better, rates, self.value[rows])
            self.best[rows] = np.where(better, batch, self.best[rows])
        return rate.reshape(shape), bound.reshape(shape)

    def bracket(self, cap: np.ndarray) -> None:
        """Go up the grid of powers as long as a lane serves more, at most to ``cap``."""
        open_ = self.best > 0
        while (rows := np.flatnonzero(open_ & (self.high < cap))).size:
            ahead = np.minimum(self.high[rows] * GRID, cap[rows])
            rate, bound = self.look(rows, ahead[None])
            going = rate[0] >= self.value[rows]
            self.low[rows] = np.where(going, self.high[rows], self.low[rows])
            self.high[rows], self.hope[rows], open_[rows] = ahead, bound[0], going

    def close(self, exact: bool) -> None:
        """Cut every bracket, ends included, and keep the neighbours of the best, until whole
        numbers are left; unless ``exact``, leave lanes that cannot come near the best of their
        machine."""
        within = np.exp(DROPPED)
        while True:
            near = exact | (self.hope <= self.leader[self.lanes.machine] * within)
            rows = np.flatnonzero((self.best > 0) & near & (self.high - self.low > 1))
            if not rows.size:
                break
            low, high = self.low[rows], self.high[rows]
            ends = low + (high - low) * np.arange(PARTS + 1)[:, None] // PARTS
            _, bound = self.look(rows, np.clip(ends[1:-1], low, high))
            bound = np.concatenate([bound[:1], bound, self.hope[rows][None]])
            peak, done = self.best[rows], high - low <= PARTS
            above = np.where(ends > peak, ends, high).min(axis=0)
            below = np.where(ends < peak, ends, low).max(axis=0)
            self.hope[rows] = bound[(ends >= above).argmax(axis=0), np.arange(len(rows))]
            self.low[rows] = np.where(done, peak, below)
            self.high[rows] = np.where(done, peak, above)

    def result(self) -> Sought:
        """The best batches, run."""
        batches = self.lanes._replace(batch=self.best)
        steps, served, _ = self.run(batches._replace(batch=np.maximum(self.best, 1)))
        closed = (self.best > 0) & (self.high - self.low <= 1)
        return Sought(batches, steps, served, self.alone, closed)


def replicas(demand: Demand, rate: float) -> int:
    """Instances that a demand takes, where one of them serves ``rate``; 1 where it states none."""
    target = demand.rate if demand.rate is not None else demand.users
    return 1 if target is None else int(np.ceil(target / rate - 1e-9))
