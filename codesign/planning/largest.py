"""The largest batch that one instance holds and serves within its promises."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

from codesign.planning.batches import MOST_BATCH, seek
from codesign.planning.demand import Demand
from codesign.planning.lanes import asked, evaluate, lanes_of, layout_of, offers
from codesign.planning.layouts import Layout, layouts
from codesign.planning.machine import Machine
from codesign.workload.transformer import Transformer


class LargestBatch(NamedTuple):
    """A machine in a layout at its largest batch, and what ends it."""

    machine: str
    layout: Layout
    batch: int
    ended_by: str


def largest_batch(
    model: Transformer, demand: Demand, machines: Sequence[Machine], most_chips: int
) -> LargestBatch | None:
    """Find the machine and layout that decode most sequences at a time in one instance; None where
    none decodes one.

    Args:
        model: the transformer.
        demand: lengths and promises; rate and users are ignored.
        machines: what is on offer.
        most_chips: most chips of an instance [1].
    """
    question, best = asked(demand), None
    for group in offers(model, machines):
        ways = [layouts(model, one.domain, most_chips) for one in group.machines]
        lanes = lanes_of(
            [k for k, own in enumerate(ways) for _ in own], [way for own in ways for way in own]
        )
        everyone = int(lanes.groups.max(initial=1)) * MOST_BATCH
        full = dataclasses.replace(demand, rate=None, users=everyone)
        sought = seek(group, lanes, question, full, "chips", exact=True)
        batch = sought.lanes.batch * lanes.groups
        at = int(batch.argmax())
        if batch[at] > 0 and (best is None or batch[at] > best.batch):
            more = sought.lanes[[at]]._replace(batch=sought.lanes.batch[[at]] + 1)
            over = evaluate(group, more, question).decode_fill[0] > 0
            capped = sought.lanes.batch[at] >= MOST_BATCH
            why = f"{MOST_BATCH} a group" if capped else "memory" if over else "a promise"
            best = LargestBatch(
                group.machines[int(lanes.machine[at])].name,
                layout_of(lanes, at),
                int(batch[at]),
                why,
            )
    return best
