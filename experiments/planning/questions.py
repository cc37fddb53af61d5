"""One question, one line: the largest batch or context, the fewest chips, a price at which two
devices break even, the gain of one option."""

import dataclasses
from typing import NamedTuple, get_args, get_type_hints

import codesign
from codesign.planning import largest
from codesign.planning.answer import Planned, Plans
from codesign.planning.demand import Demand, Objective
from experiments.planning.arguments import PlanArguments
from experiments.planning.request import Request, request
from experiments.planning.table import nearest_sentence
from experiments.scenarios.sizes import MOST_POSITIONS
from experiments.terminal.number_format import digits
from experiments.terminal.refusal import INFEASIBLE, Refused, expected


class Said(NamedTuple):
    """An answer for people and for programs."""

    sentence: str
    record: dict[str, object]


def answer(stated: Request, question: str) -> Said:
    """Answer the question that an option asks.

    Raises:
        Refused: what it names cannot be read, or (exit code 3) no machine serves.
    """
    return {
        "largest_batch": largest_batch,
        "largest_context": largest_context,
        "fewest_chips": fewest_chips,
        "break_even": break_even,
        "gain": gain,
    }[question](stated)


def planned(stated: Request, demand: Demand | None = None, by: Objective | None = None) -> Plans:
    """The plan of a request, with another demand or ranking."""
    arguments = stated.arguments
    return codesign.plan(
        stated.reading.model,
        demand or stated.demand,
        stated.machines,
        most_chips=arguments.max_chips,
        objective=by or arguments.by,  # pyright: ignore[reportArgumentType]
        disaggregate=arguments.disaggregate and by is None,
        intervals=by is None,
    )


def served(stated: Request, found: Plans) -> Planned:
    """The best of a plan.

    Raises:
        Refused: exit code 3; there is none.
    """
    if found.best is None:
        raise Refused(nearest_sentence(stated, found), INFEASIBLE)
    return found.best


def _where(best: Planned) -> str:
    return f"{best.chips} × {best.machine} as {best.words()}"


def largest_batch(stated: Request) -> Said:
    """Most sequences at a time of one instance, over devices and layouts."""
    found = largest.largest_batch(
        stated.reading.model, stated.demand, stated.machines, stated.arguments.max_chips
    )
    if found is None:
        served(stated, planned(stated, dataclasses.replace(stated.demand, rate=None, users=None)))
        raise Refused("no machine serves one sequence", INFEASIBLE)
    sentence = (
        f"at most {found.batch:,} sequences at a time, on {found.layout.chips} × {found.machine} as"
        f" {found.layout.words()}; what ends it is {found.ended_by}"
    )
    record = {
        "question": "largest batch",
        "batch": found.batch,
        "device": found.machine,
        "chips": found.layout.chips,
        "layout": found.layout.words(),
        "ended_by": found.ended_by,
    }
    return Said(sentence, record)


def largest_context(stated: Request) -> Said:
    """Longest prompt that some layout serves, by bisection: exact."""
    if stated.demand.rate is not None:
        raise Refused("--rate is given with --largest-context; expected --users, or neither")
    users = stated.demand.users or 1
    low, high, best = 0, 1, None
    while low < high:
        demand = dataclasses.replace(stated.demand, prompt=high, users=users, rate=None)
        one = planned(stated, demand, by="chips").best
        if one is not None:
            low, best = high, one
            high = min(2 * high, MOST_POSITIONS)
            if low == MOST_POSITIONS:
                break
        else:
            break
    while high - low > 1:
        middle = (low + high) // 2
        demand = dataclasses.replace(stated.demand, prompt=middle, users=users, rate=None)
        one = planned(stated, demand, by="chips").best
        low, high, best = (middle, high, one) if one is not None else (low, middle, best)
    if best is None:
        demand = dataclasses.replace(stated.demand, prompt=1, users=users, rate=None)
        served(stated, planned(stated, demand, by="chips"))
        raise Refused("no machine serves a prompt of one position", INFEASIBLE)
    limit = stated.reading.context_limit
    beyond = f"; the model was made for {limit:,}" if limit and low > limit else ""
    sentence = (
        f"prompts of at most {low:,} positions with {stated.demand.output:g} tokens of output for"
        f" {users} at a time, on {_where(best)}{beyond}"
    )
    return Said(
        sentence,
        {
            "question": "largest context",
            "prompt": low,
            "users": users,
            "device": best.machine,
            "chips": best.chips,
            "layout": best.words(),
        },
    )


def fewest_chips(stated: Request) -> Said:
    """Fewest chips that serve the demand, one user where none is stated."""
    best = served(stated, planned(stated, by="chips"))
    sentence = (
        f"{best.chips} chips: {_where(best)}, {digits(best.user_tokens_per_second)} tokens/s a"
        f" user, memory {100 * best.memory_share:.0f} % full"
    )
    return Said(
        sentence,
        {
            "question": "fewest chips",
            "chips": best.chips,
            "device": best.machine,
            "layout": best.words(),
            "batch": best.batch,
            "memory_share": best.memory_share,
        },
    )


def break_even(stated: Request) -> Said:
    """Price of an hour of one device at which its tokens cost what another's do.

    Raises:
        Refused: two devices are not named, or one of them does not serve.
    """
    names = [name.strip().casefold() for name in (stated.arguments.break_even or "").split(",")]
    known = {machine.name.casefold(): machine for machine in stated.machines}
    unknown = [name for name in names if name not in known]
    if len(names) != 2 or unknown or names[0] == names[1]:
        raise Refused(
            f"--break-even is {stated.arguments.break_even!r}; expected two names of --devices"
            f" joined by a comma, out of {', '.join(known)}"
        )
    one, other = (known[name] for name in names)
    rented = dataclasses.replace(other, hourly=1.0, price=None)
    found = [
        served(stated, planned(dataclasses.replace(stated, machines=(machine,))))
        for machine in (one, rented)
    ]
    at = found[0].cost_per_token / found[1].cost_per_token
    own = found[0].running_cost * 3600.0 / found[0].chips
    sentence = (
        f"{other.name} breaks even with {one.name} at {digits(at)} USD a chip-hour: then both cost"
        f" {digits(1e6 * found[0].cost_per_token)} USD per million tokens ({_where(found[0])},"
        f" {digits(own)} USD a chip-hour; {_where(found[1])})"
    )
    return Said(
        sentence,
        {
            "question": "break-even",
            "device": other.name,
            "against": one.name,
            "hourly_usd": at,
            "cost_per_million_tokens_usd": 1e6 * found[0].cost_per_token,
        },
    )


GAINS = (
    *("kv-bits", "weight-bits", "expert-weight-bits", "activation-bits", "draft", "cached"),
    *("link-bandwidth", "scale-up-domain", "max-chips", "chunk", "prompt", "output", "users"),
)
"""Options whose gain can be asked for."""


def gain(stated: Request) -> Said:
    """What the best answer gains by another value of one option."""
    text = stated.arguments.gain or ""
    option, equals, value = text.partition("=")
    if not equals or option not in GAINS:
        raise Refused(f"--gain is {text!r}; expected OPTION=VALUE, {expected(option, GAINS)}")
    changed = _changed(stated.arguments, option, value)
    before = served(stated, planned(stated))
    after = served(stated, planned(request(changed)))
    costs = [1e6 * one.cost_per_token for one in (before, after)]
    speeds = [one.user_tokens_per_second for one in (before, after)]
    sentence = (
        f"{option} {value}: {digits(costs[0])} → {digits(costs[1])} USD per million tokens"
        f" ({100 * (costs[1] / costs[0] - 1):+.1f} %), {digits(speeds[0])} → {digits(speeds[1])}"
        f" tokens/s a user; {_where(before)} → {_where(after)}"
    )
    return Said(
        sentence,
        {
            "question": "gain",
            "option": option,
            "value": value,
            "cost_per_million_tokens_usd": costs,
            "user_tokens_per_second": speeds,
            "device": [one.machine for one in (before, after)],
            "layout": [one.words() for one in (before, after)],
        },
    )


def _changed(arguments: PlanArguments, option: str, value: str) -> PlanArguments:
    """The arguments with one option at another value, read as the command line reads it."""
    name = option.replace("-", "_")
    hint = get_type_hints(PlanArguments, include_extras=True)[name]
    specs = [
        part
        for arm in (hint, *get_args(hint))
        for part in getattr(arm, "__metadata__", ())
        if hasattr(part, "instance_from_str")
    ]
    read = specs[0].instance_from_str([value]) if specs else value
    return dataclasses.replace(arguments, **{name: read})
