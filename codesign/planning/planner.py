"""``codesign.plan``: which machines, how many, laid out how, at which batch."""

from collections.abc import Callable, Sequence

import jax
import numpy as np

from codesign.numerics.fields import Tree
from codesign.numerics.units import GIBI, MILLI
from codesign.planning import answer
from codesign.planning.answer import MachineAnswer, Planned, Plans
from codesign.planning.batches import MOST_BATCH, Sought, replicas, score, seek, served_rate
from codesign.planning.demand import OBJECTIVES, Demand, Objective
from codesign.planning.intervals import with_intervals
from codesign.planning.lanes import (
    Asked,
    Lanes,
    Offers,
    Steps,
    asked,
    evaluate,
    lanes_of,
    layout_of,
    offers,
)
from codesign.planning.layouts import layouts
from codesign.planning.machine import Machine
from codesign.planning.rates import Served, first_token, shared
from codesign.planning.tails import with_tails
from codesign.workload.transformer import Transformer

FURTHER = 8
"""Times the most chips within which a machine that is too small is told what would fit."""

RANKED = 12
"""Layouts of a machine that an answer keeps."""


def plan(
    model: Transformer,
    demand: Demand,
    machines: Sequence[Machine],
    *,
    most_chips: int = 64,
    objective: Objective = "cost",
    disaggregate: bool = False,
    intervals: bool = True,
    tell: Callable[[str], None] | None = None,
) -> Plans:
    """Find the best machines, layouts and batches for a demand.

    Every layout that engines can run (``planning.layouts``) is timed on every machine in one
    compiled program; the batch of each is sought exactly over whole sequences a group
    (``planning.batches``). Ranked is by ``objective``: the cost of a token is running cost over
    output tokens, at the stated rate, or at the largest rate that keeps both promises and memory
    times the technology's utilisation (1 where a price by the hour is stated).

    Args:
        model: the transformer.
        demand: requests, promises, and a rate or users.
        machines: what is on offer (``hardware_priors.plannable``).
        most_chips: most chips of one machine's answer, all instances together [1].
        objective: a key of ``planning.demand.OBJECTIVES``.
        disaggregate: also prefill and decode on instances of their own, where that is better.
        intervals: 90 % intervals of each machine's best, where its execution is calibrated, and
            quantiles of its users' waiting.
        tell: is called with what is being done.

    Returns:
        Answers of all machines, best first; those that cannot serve say by how much.

    Raises:
        ValueError: no machine, or a number or word outside its range.

    >>> import codesign, hardware_priors
    >>> llama = codesign.dense(
    ...     hidden=4096, layers=32, heads=32, kv_heads=8, width=14336, vocabulary=128256)
    >>> h100 = hardware_priors.device("h100")
    >>> machine = codesign.Machine(
    ...     "h100", h100.design(1), hardware_priors.technology_of(h100))
    >>> demand = codesign.Demand(prompt=2048, output=512, token_promise=0.02)
    >>> found = codesign.plan(llama, demand, [machine], most_chips=4)
    >>> found.best.layout.chips in (1, 2, 4), found.machines[0].status
    (True, 'PLANNED')
    """
    if not machines:
        raise ValueError("no machine is on offer; expected at least one")
    if objective not in OBJECTIVES:
        raise ValueError(f"objective is {objective!r}; expected one of {', '.join(OBJECTIVES)}")
    if most_chips < 1:
        raise ValueError(f"most chips is {most_chips}; expected at least 1")
    if disaggregate and demand.users is not None:
        raise ValueError("users are stated for pools of their own; expected a rate, or neither")
    if objective == "speed" and demand.rate is not None:
        raise ValueError("the fastest tokens at a rate are not sought; expected users or no rate")
    tell = tell or (lambda stage: None)
    tell(f"reading {len(machines)} machines")
    question, found, count = asked(demand), [], 0
    for group in offers(model, machines):
        lanes = _lanes(model, group, most_chips)
        tell(f"timing {len(lanes.machine)} layouts on {len(group.machines)} machines")
        sought = seek(group, lanes, question, demand, objective)
        count += len(lanes.machine)
        answers = _answers(group, sought, question, demand, objective, most_chips)
        if disaggregate:
            from codesign.planning.pools import with_pools

            answers = with_pools(group, lanes, answers, question, demand, objective, most_chips)
        if intervals:
            tell("intervals")
            answers = with_intervals(group, answers, question, demand)
            answers = with_tails(group, answers, question, demand)
        failed = [k for k, one in enumerate(answers) if one.best is None]
        for k in failed:
            answers[k] = _explained(model, group, k, sought, question, demand, most_chips)
        found += answers
    order = sorted(found, key=lambda one: (one.best is None, _place(one)))
    return Plans(tuple(order), objective, most_chips, count)


def _place(one: MachineAnswer) -> float:
    return one.best.score if one.best else one.excess


def _lanes(model: Transformer, group: Offers, most: int, least: int = 0) -> Lanes:
    machine, chosen = [], []
    for k, one in enumerate(group.machines):
        own = [way for way in layouts(model, one.domain, most) if way.chips > least]
        machine += [k] * len(own)
        chosen += own
    return lanes_of(machine, chosen)


def _answers(
    group: Offers,
    sought: Sought,
    question: Asked,
    demand: Demand,
    objective: Objective,
    most: int,
) -> list[MachineAnswer]:
    """Each machine's layouts that serve, best first."""
    lanes, steps, served = sought.lanes, sought.steps, sought.served
    many = np.ones(len(lanes.machine), int)
    target = demand.rate if demand.rate is not None else demand.users
    rate = np.where(lanes.batch > 0, served_rate(served, lanes, demand), 0.0)
    if target is not None:
        many = np.ceil(target / np.where(rate > 0, rate, np.inf) - 1e-9).astype(int)
        many = np.maximum(many, 1)
    if demand.users is not None:
        lanes, many = _shared_out(lanes, many, demand.users, objective, most)
        any_batch, lanes = lanes.batch > 0, lanes._replace(batch=np.maximum(lanes.batch, 1))
        steps = evaluate(group, lanes, question)
        served = shared(steps, lanes, demand)
        rate = np.where(any_batch, served_rate(served, lanes, demand), 0.0)
    values = score(objective, lanes, steps, served, demand, rate)
    cost = score("cost", lanes, steps, served, demand, rate)
    good = (rate > 0) & (many * lanes.chips <= most)
    busy = [float(one.technology.economics.utilisation) for one in group.machines]
    used = [1.0 if one.hourly else share for one, share in zip(group.machines, busy, strict=True)]
    shares = [np.array(each)[lanes.machine] for each in (used, busy)]
    columns = outcomes(lanes, steps, served, demand, many, *shares)
    answers = []
    for k, machine in enumerate(group.machines):
        own = np.flatnonzero(lanes.machine == k)
        rows = own[good[own]]
        # among equals the cheaper, then the smaller
        rows = rows[np.lexsort((lanes.chips[rows], cost[rows], values[rows]))]
        ranked = tuple(
            Planned(
                machine=machine.name,
                layout=layout_of(lanes, row),
                instances=int(many[row]),
                score=float(values[row]),
                **{name: column[row].item() for name, column in columns.items()},
            )
            for row in rows[:RANKED]
        )
        status = answer.PLANNED if ranked else ""
        answers.append(
            MachineAnswer(
                machine.name, status, ranked, announced=machine.announced, layouts=len(own)
            )
        )
    return answers


def _shared_out(
    lanes: Lanes, many: np.ndarray, users: int, objective: Objective, most: int
) -> tuple[Lanes, np.ndarray]:
    """Users dealt evenly to as few instances as serve them; for the fastest tokens, to as many as
    there may be."""
    if objective == "speed":
        many = np.maximum(many, np.minimum(most // lanes.chips, users)).astype(int)
    batch = np.where(lanes.batch > 0, np.ceil(np.ceil(users / many) / lanes.groups), 0).astype(int)
    return lanes._replace(batch=batch), many


def outcomes(
    lanes: Lanes,
    steps: Steps,
    served: Served,
    demand: Demand,
    instances: np.ndarray,
    used: np.ndarray,
    busy: np.ndarray,
) -> dict[str, np.ndarray]:
    """Columns of ``Planned`` for so many instances of each lane.

    Args:
        lanes, steps, served: what runs.
        demand: rate or users.
        instances: of each lane [1].
        used: share of the time that is paid for in which a machine earns, where the demand states
            no rate: all of it where it is rented by the hour [1].
        busy: share of that rate at which users wait [1].
    """
    batch = np.maximum(lanes.batch, 1) * lanes.groups
    if demand.rate is not None:
        requests, sold = np.full(len(batch), demand.rate), 1.0
        load = np.minimum(demand.rate / (instances * served.capacity), 1.0)
    elif demand.users is not None:
        requests, load, sold = served.capacity * demand.users / batch, np.zeros(len(batch)), used
        batch = np.ceil(demand.users / instances)
    else:
        requests, load = served.goodput * instances, busy * served.goodput / served.capacity
        sold = used
    running, fill = (
        instances * steps.decode_running,
        np.maximum(steps.decode_fill, steps.prefill_fill),
    )
    tokens = requests * demand.output
    with np.errstate(divide="ignore"):
        cost = running / (tokens * sold)
    return {
        "batch": batch.astype(int),
        "time_per_token": served.time_per_token,
        "time_to_first_token": first_token(served, load),
        "load": load,
        "requests_per_second": requests,
        "output_tokens_per_second": tokens,
        "running_cost": running,
        "cost_per_token": cost,
        "capital": instances * steps.capital,
        "provisioned_power": instances * steps.provisioned,
        "memory_share": np.exp(fill),
    }


def _row(tree: Tree, row: np.ndarray) -> Tree:
    return jax.tree.map(lambda leaf: leaf[row], tree)


def _explained(
    model: Transformer,
    group: Offers,
    k: int,
    sought: Sought,
    question: Asked,
    demand: Demand,
    most: int,
) -> MachineAnswer:
    """Why a machine cannot serve, by how much, and what would do."""
    machine, lanes = group.machines[k], sought.lanes
    rows = np.flatnonzero(lanes.machine == k)
    common = {"announced": machine.announced, "layouts": len(rows)}
    if not len(rows):
        return MachineAnswer(machine.name, answer.NO_LAYOUT, reason="no layout", **common)
    alone = Lanes(lanes.machine[rows], lanes.layout[rows], np.ones(len(rows), int))
    steps = _row(sought.alone, rows)
    served = shared(steps, alone, demand)
    fill = np.maximum(steps.decode_fill, steps.prefill_fill)
    if not served.fits.any():
        at = int(fill.argmin())
        reason = (
            f"{layout_of(alone, at).words()}: needs {steps.decode_needed[at] / GIBI:,.4g} GiB for"
            f" one sequence a group, has {steps.available[at] / GIBI:,.4g};"
            f" {_least(model, group, k, question, demand, most)}"
        )
        return MachineAnswer(
            machine.name, answer.NO_FIT, reason=reason, excess=float(fill[at]), **common
        )
    with np.errstate(divide="ignore"):  # no promise is never missed
        late = np.log(served.time_per_token / demand.token_promise)
        first = np.log(served.first_alone / demand.first_promise)
    over = np.where(served.fits, np.maximum(late, first), np.inf)
    at = int(over.argmin())
    if over[at] > 0:
        parts = []
        if late[at] > 0:
            parts.append(
                f"{_ms(served.time_per_token[at])} a token for {_ms(demand.token_promise)}"
            )
        if first[at] > 0:
            parts.append(
                f"first token after {_ms(served.first_alone[at])} for {_ms(demand.first_promise)}"
            )
        reason = f"{layout_of(alone, at).words()}, one sequence a group: {', '.join(parts)}"
        return MachineAnswer(
            machine.name, answer.TOO_SLOW, reason=reason, excess=float(over[at]), **common
        )
    own = _row(sought.lanes, rows)
    rate = served_rate(_row(sought.served, rows), own, demand)
    needed = np.array([replicas(demand, r) if r > 0 else MOST_BATCH**2 for r in rate]) * own.chips
    fewest = int(needed.argmin())
    reason = (
        f"needs {needed[fewest]:,.0f} chips ({layout_of(own, fewest).words()}), {most} are allowed"
    )
    return MachineAnswer(
        machine.name,
        answer.TOO_MANY,
        reason=reason,
        excess=float(np.log(needed[fewest] / most)),
        **common,
    )


def _ms(seconds: float) -> str:
    return f"{seconds / MILLI:,.3g} ms" if seconds < 1 else f"{seconds:,.3g} s"


def _least(
    model: Transformer, group: Offers, k: int, question: Asked, demand: Demand, most: int
) -> str:
    """The least number of chips beyond the most allowed on which the model fits."""
    only = group._replace(machines=(group.machines[k],), rows=group.rows[k : k + 1])
    lanes = _lanes(model, only, most * FURTHER, most)
    steps = evaluate(only, lanes, question)
    fits = np.maximum(steps.decode_fill, steps.prefill_fill) <= 0.0
    if not fits.any():
        return f"no layout on up to {most * FURTHER} chips does"
    chips = np.where(fits, lanes.chips, np.inf)
    at = int(chips.argmin())
    return f"{chips[at]:.0f} chips would do ({layout_of(lanes, at).words()})"
