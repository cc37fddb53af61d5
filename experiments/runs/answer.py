"""What a run answers, in sentences: the best designs, promises and what was reached, what binds,
what was proved."""

import math
from collections import Counter

import numpy as np

from codesign.search import GLOBAL, GLOBAL_AT_ITS_INTEGERS
from experiments.runs.record import ObjectiveRecord, PromiseRecord, RunRecord
from experiments.terminal.number_format import in_scale, scale, written
from experiments.terminal.text_table import SHORT_STATUS

BEST = {
    "tokens/s/$": "best per $",
    "tokens/s/W": "best per W",
    "tokens/s/user": "fastest",
    "tokens/s": "most tokens/s",
    "$/token": "cheapest",
    "J/token": "least energy",
    "capital": "least capital",
    "power": "least power",
}
"""What the best design for an objective is called."""


def best_lines(run: RunRecord, width: int = 10_000) -> list[str]:
    """Name the best design for each objective, a line each: value, unit, chips, batch, status; in
    fewer words where it must be."""
    for words in (_in_full, _briefly, _most_briefly):
        lines = _aligned([words(run, objective) for objective in run.objectives])
        if max(map(len, lines)) <= width:
            break
    return lines


def _aligned(cells: list[list[str]]) -> list[str]:
    widths = [max(len(row[place]) for row in cells) for place in range(3)]
    return [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]])
        for row in cells
    ]


def _in_full(run: RunRecord, objective: ObjectiveRecord) -> list[str]:
    k, batches = run.best(objective), "+".join(_counts(run, objective, "batch"))
    chips = "+".join(_counts(run, objective, "chips"))
    value = written(
        float(run.column(objective["name"]).values[k]), objective["name"], objective["unit"]
    )
    made = f"{chips} {'chip' if chips == '1' else 'chips'}, batch {batches} (design {k})"
    return [
        f"{BEST.get(objective['name'], 'best ' + objective['name'])}:",
        value,
        made,
        str(run.column("status").values[k]),
    ]


def _briefly(run: RunRecord, objective: ObjectiveRecord) -> list[str]:
    """Batches of several services as a span, the design as its number."""
    name, value, _, status = _in_full(run, objective)
    chips, batches = "+".join(_counts(run, objective, "chips")), _counts(run, objective, "batch")
    ends = min(batches, key=float), max(batches, key=float)
    span = "–".join(ends) if len(batches) > 1 else batches[0]
    return [name, value, f"{chips} chips, batch {span} (#{run.best(objective)})", status]


def _most_briefly(run: RunRecord, objective: ObjectiveRecord) -> list[str]:
    *rest, status = _briefly(run, objective)
    return [*rest, SHORT_STATUS.get(status, status)]


def _counts(run: RunRecord, objective: ObjectiveRecord, name: str) -> list[str]:
    found = run.each_service(name) if name == "batch" else run.each_machine(name)
    return [f"{column.values[run.best(objective)]:.0f}" for column in found]


def device_line(run: RunRecord) -> list[str]:
    """Name the best device of the scenario's generation; of all, where none of its own keeps the
    promises."""
    found = run.details["advantage"]
    if found is None:
        return []
    device = next(one for one in run.details["devices"] if one["name"] == found["device"])
    objective = next(one for one in run.objectives if one["name"] == found["objective"])
    chips, batches = (
        "+".join(map(str, device[name])) for name in ("machine_chips", "service_batches")
    )
    which = "" if found["same_generation"] else ", of another generation"
    value = written(device["values"][objective["name"]], objective["name"], objective["unit"])
    name = f"{device['name']} ×{chips}{' (announced)' if device.get('announced') else ''}"
    return [f"best device{which}: {name}, {value}, batch {batches}"]


def promise_lines(run: RunRecord) -> list[str]:
    """Say what was promised and what was reached, over all designs."""
    return [_kept(promise) for promise in run.details["promises"]]


def _kept(promise: PromiseRecord) -> str:
    asked = promise["most"] if promise["most"] is not None else promise["least"] or 0.0
    unit = promise["unit"]
    chosen = scale(promise["name"], unit, [asked])
    low, high = (in_scale(value, chosen, unit) for value in promise["reached"])
    word = "at most" if promise["most"] is not None else "at least"
    span = low if low == high else f"{low} to {high}"
    return (
        f"promised: {promise['name']} {word} {in_scale(asked, chosen, unit)} {chosen.unit};"
        f" reached: {span}".replace("  ", " ")
    )


def binding_line(run: RunRecord) -> str:
    """Count which limits bind."""
    bound = Counter(
        name for text in run.column("binding").values for name in str(text).split("; ") if name
    )
    most = sorted(bound.items(), key=lambda item: (-item[1], item[0]))
    return (
        f"What binds, of {_designs(len(run))}:"
        f" {', '.join(f'{name} {times}' for name, times in most) or 'nothing'}."
    )


def box_line(run: RunRecord) -> list[str]:
    """Say where designs rest on a bound of the box, if any does."""
    told = _flags(run, "box")
    return [f"BOX: the scenario's range decides, not a cost or a limit: {told}."] if told else []


def choice_line(run: RunRecord) -> list[str]:
    """Say at the end of which choices designs stand, if any does."""
    told = _flags(run, "choice_end")
    where = "what the scenario offers last, or only, decides, not a cost or a limit"
    return [f"CHOICE: {where}: {told}."] if told else []


def _flags(run: RunRecord, name: str) -> str:
    """Flags of a column, and how many designs have each; none of a run that has no such column."""
    column = run.find(name)
    flags = Counter(
        flag
        for text in (() if column is None else column.values)
        for flag in str(text).split("; ")
        if flag
    )
    ordered = sorted(flags.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{flag} {times}" for flag, times in ordered)


def status_lines(run: RunRecord, *, brief: bool = False) -> list[str]:
    """Say what each status that occurs claims, and for how many designs; ``brief`` does not name
    the integers."""
    counts = Counter(map(str, run.column("status").values))
    return [
        f"{status} ({count} of {len(run)}): {claim(run, status, brief=brief)}."
        for status, count in counts.most_common()
    ]


def claim(run: RunRecord, status: str, *, brief: bool = False) -> str:
    """What a status word claims in this run, with the largest gap among the designs that have
    it."""
    rows = run.column("status").values == status
    own, front = (
        _largest(run.column(name).values[rows]) for name in ("certified_gap", "front_gap")
    )
    integers = "chips, batches, stacks, layers" if run.details["buildable"] else "chips, batches"
    if status == GLOBAL:
        over = "integers and choices" if brief else f"{integers} and choices of the scenario"
        return f"proved over all {over}, within {front} in log"
    if status == GLOBAL_AT_ITS_INTEGERS:
        beyond = f"over all others within {front}" if front else "others were searched, not proved"
        return f"proved at its own choice and integers only, within {own} in log; {beyond}"
    return "the best that the search found; nothing is proved"


def _largest(gaps: np.ndarray) -> str | None:
    finite = gaps[np.isfinite(gaps)]
    return rounded_up(max(float(finite.max()), 0.0)) if len(finite) else None


def rounded_up(gap: float) -> str:
    """Write a gap with one digit, never smaller than it is by more than its tolerance (a thousandth
    of it).

    >>> rounded_up(0.00099), rounded_up(0.0010009), rounded_up(0.0121), rounded_up(0.0)
    ('0.001', '0.001', '0.02', '0')
    """
    if gap == 0.0:
        return "0"
    power = 10.0 ** math.floor(math.log10(gap))
    return f"{math.ceil(gap / power * (1.0 - 1e-3)) * power:.1g}"


def note_lines(run: RunRecord, *, brief: bool = False) -> list[str]:
    """What a reader must know to judge the designs, the shortest way.

    ``brief`` leaves out where the money goes and which integers there are.
    """
    plans = sorted(set(map(str, run.column("plan").values)))
    lines = [f"All designs: {plans[0]}."] if len(plans) == 1 else []
    lines += [
        binding_line(run),
        *box_line(run),
        *choice_line(run),
        *status_lines(run, brief=brief),
        " ".join(run.details["comparison"][: 1 if brief else None]),
    ]
    if not run.details["buildable"]:
        lines.append(
            "Limit mode: quantities are free within stacks, shoreline and area; not buildable as"
            " they are."
        )
    return [*lines, *run.details["fleet"]]


def folder_line(run: RunRecord, folder: object) -> str:
    """Where everything lies, and how to see more of it: one line of 80 columns for the folders of
    built-in scenarios."""
    return (
        f"Run folder: {folder}; codesign show has --all and --design {run.best(run.objectives[0])}."
    )


def _designs(count: int) -> str:
    return f"{count} {'design' if count == 1 else 'designs'}"
