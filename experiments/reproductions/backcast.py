"""What the search would have designed in 2022 and 2024 for the models of the day, beside H100 and
B200.

Only technology and work are given: process, memory, links, cooling, package, dies and domain of the
day. Bandwidth, capacity, matrix rate, link bandwidth, clock, chips and batch are searched. Where a
design misses the device, one prior or one part of the work at a time is changed, to see which of
them accounts for it.
"""

from collections.abc import Sequence

from codesign.numerics.units import MICRO
from experiments.reproductions.backcast_notes import explained, notes, told
from experiments.reproductions.backcast_results import FACTOR, SHOWN, Result, misses, results
from experiments.reproductions.table import Column, Settings, Table


def table(settings: Settings) -> Table:
    """Designs of 2022 and 2024 over H100 and B200, quantity by quantity. Needs no data; its
    searches take minutes."""
    del settings
    return tabulated(results())


def tabulated(found: Sequence[Result]) -> Table:
    """Results as a table: factors are ours over published."""
    rows = []
    for one in found:
        machine, ratios = one.machine, one.factors
        verdict = ", ".join(misses(ratios)) or "all"
        rows.append(
            (
                one.case.era.device.upper(),
                one.case.name,
                one.change or "as stated",
                *ratios.values(),
                machine.chips,
                machine.batch,
                machine.dollars_per_token / MICRO,
                "all within" if verdict == "all" else f"outside: {verdict}",
            )
        )
    columns = (
        *(Column(name) for name in ("device", "model", "change")),
        *(Column(name, "1") for name in (*SHOWN, "chips", "batch")),
        Column("cost", "USD/Mtoken"),
        Column(f"within {FACTOR:g}x"),
    )
    plain = [one for one in found if not one.change]
    return Table(
        "The cheapest design of the day over the device that was built (factors: ours over"
        " published)",
        columns,
        rows,
        summary=[told(one) for one in plain],
        notes=[
            line
            for one in plain
            for line in explained(one, [o for o in found if o.change and o.case == one.case])
        ]
        + notes(found),
    )
