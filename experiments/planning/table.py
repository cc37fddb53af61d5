"""Plans as people read them: the answer, the devices, what would do; 30 lines of 80 columns."""

import math

from codesign.planning.answer import MachineAnswer, Planned, Plans
from codesign.planning.demand import OBJECTIVES
from experiments.planning.request import Request
from experiments.planning.why import sentences, shares
from experiments.terminal.number_format import digits
from experiments.terminal.screen import PIPE, columns, plain
from experiments.terminal.text_table import Printed, table_lines, wrapped

SHOWN = 12
"""Devices, or layouts, in the table."""


def lines(request: Request, found: Plans, width: int) -> list[str]:
    """Everything that is printed."""
    best = found.best
    assert best is not None
    told = [answer_sentence(request, best), ""]
    served = [one for one in found.machines if one.best is not None]
    named = next(one for one in served if one.machine == best.machine)
    if request.arguments.show_layouts:
        rows = [(way, way.words()) for way in named.ranked[:SHOWN]]
        told += [f"layouts of {best.machine}, best first ({named.layouts} were timed):"]
        told += _table(rows, width, best, chips="chips", name="layout")
    else:
        rows = [(one.best, _name(one)) for one in served[:SHOWN] if one.best]
        told += _table(rows, width, best)
    told += ["", *wrapped(_rest(request, found, served), width)]
    return told


def answer_sentence(request: Request, best: Planned) -> str:
    """The answer in one sentence."""
    cost, low_high = 1e6 * best.cost_per_token, ""
    if best.interval is not None:
        low, high = (digits(1e6 * end) for end in best.interval)
        low_high = f" ({low}–{high}, 90 %)"
    return (
        f"{best.chips} × {best.machine} as {best.words()}, {best.batch} sequences at a time"
        f"{' an instance' if best.instances > 1 else ''}: {digits(cost)} USD per million tokens"
        f"{low_high}, {digits(best.user_tokens_per_second)} tokens/s a user, first token after"
        f" {seconds(best.time_to_first_token)}, {digits(best.output_tokens_per_second)} tokens/s in"
        " all."
    )


def seconds(value: float) -> str:
    """A time for people.

    >>> seconds(0.0123), seconds(2.5)
    ('12.3 ms', '2.50 s')
    """
    return f"{digits(value)} s" if value >= 1 else f"{digits(1e3 * value)} ms"


def _name(one: MachineAnswer) -> str:
    return f"{one.machine}*" if one.announced else one.machine


def _table(
    rows: list[tuple[Planned, str]],
    width: int,
    best: Planned,
    chips: str = "chips",
    name: str = "device",
) -> list[str]:
    def column(key: str, header: tuple[str, ...], cells: list[str], text: bool = False) -> Printed:
        return Printed(key, header, tuple((cell,) for cell in cells), text)

    ways = [way for way, _ in rows]
    found = [column(name, (name,), [plain(word) for _, word in rows], True)]
    found.append(column("chips", (chips,), [str(way.chips) for way in ways]))
    if name == "device":
        found.append(column("layout", ("layout",), [way.words() for way in ways], True))
    found += [
        column("batch", ("batch",), [str(way.batch) for way in ways]),
        column("speed", ("tok/s", "/user"), [digits(way.user_tokens_per_second) for way in ways]),
        column("first", ("first", "token"), [seconds(way.time_to_first_token) for way in ways]),
        column("cost", ("USD", "/Mtok"), [digits(1e6 * way.cost_per_token) for way in ways]),
    ]
    if any(way.interval for way in ways) and name == "device":
        found.append(column("interval", ("90 %",), [_interval(way) for way in ways]))
    if name == "layout":
        loses = [way.score / best.score - 1.0 for way in ways]
        found.append(column("loses", ("loses",), [f"{100 * one:.1f} %" for one in loses]))
    return [plain(line) for line in table_lines(found, width)]


def _interval(way: Planned) -> str:
    if way.interval is None:
        return ""
    return "–".join(digits(1e6 * end) for end in way.interval)


def _rest(request: Request, found: Plans, served: list[MachineAnswer]) -> list[str]:
    """What the table does not say: other devices, what cannot serve, what was assumed."""
    told = []
    if request.arguments.why and found.best is not None:
        told += sentences(shares(request, found.best))
    beyond = served[SHOWN:]
    if beyond and not request.arguments.show_layouts:
        told.append(
            f"{len(beyond)} more serve, up to {digits(1e6 * max(_cost(one) for one in beyond))}"
            " USD/Mtok (--csv FILE lists all)."
        )
    if any(one.announced for one in served[:SHOWN]) and not request.arguments.show_layouts:
        told.append("* announced: not on sale, not the answer where another serves.")
    failed = [one for one in found.machines if one.best is None]
    for status in dict.fromkeys(one.status for one in failed):
        same = [one for one in failed if one.status == status]
        shown = same if request.arguments.why else same[: 1 if len(failed) > 3 else 3]
        names = "; ".join(f"{one.machine} ({one.reason})" for one in shown)
        rest = len(same) - len(shown)
        more = f"; {rest} more, farther off" if rest else ""
        told.append(f"{status}: {names}{more}.")
    if request.left_out:
        told.append(
            f"NOT KNOWN: {', '.join(request.left_out)} ({next(iter(request.left_out.values()))}…)."
        )
    if found.best is not None and found.best.first_quantiles:
        middle, late, last = map(seconds, found.best.first_quantiles)
        told.append(
            f"First token of {found.best.machine}, Poisson arrivals: p50 {middle}, p95 {late}, p99"
            f" {last}."
        )
    elif found.best is not None and request.arguments.why:
        told.append(f"No tails of {found.best.machine}: {found.best.no_quantiles}.")
    word = OBJECTIVES[found.objective]  # pyright: ignore[reportArgumentType]
    told.append(
        f"Ranked by {word}; {found.evaluations:,} layouts on at most {found.most_chips} chips,"
        f" {request.arguments.execution} execution."
    )
    return told + [f"Note: {warning}." for warning in request.warnings]


def _cost(one: MachineAnswer) -> float:
    return one.best.cost_per_token if one.best else math.nan


def show(request: Request, found: Plans) -> None:
    """Print a plan to standard output."""
    import sys

    width = columns(sys.stdout) or PIPE
    for line in lines(request, found, width):
        for part in wrapped([line], width) if len(line) > width else [line]:
            print(plain(part))


def nearest_sentence(request: Request, found: Plans) -> str:
    """Why nothing serves, in one sentence with the nearest device."""
    one = found.machines[0]
    return (
        f"no machine serves {request.reading.model.name} so: the nearest is {one.machine},"
        f" {one.status.casefold()}: {one.reason}"
    )
