"""The search over every offer: a sweep, scans, and fronts filled up."""

from collections.abc import Sequence

import numpy as np

from codesign.search.statement.goals import Bound, Goal
from experiments.rivals.machines import Sought
from experiments.rivals.offers import Integers, Offers


def search(
    offers: Offers, objectives: Sequence[Goal], bounds: Sequence[Bound], speed: int
) -> Sought:
    """Try every offer; kinds of machine that only prefill are sized by themselves, before the
    decoding kind and after it.

    Args:
        offers: devices and layouts.
        objectives: what is wanted of a machine.
        bounds: limits on outcomes.
        speed: which of the objectives is the speed of a user.

    Raises:
        ValueError: several kinds of machine decode; expected one.
    """
    decoding = {step.kind for step in offers.steps if not step.prefill}
    if len(decoding) > 1:
        raise ValueError(f"{len(decoding)} kinds of machine decode; expected one")
    (decode,) = decoding
    prefilling = [p for p in range(offers.fewest.shape[1]) if p != decode]
    sought = Sought(offers, objectives, bounds)
    count = len(offers.device)
    most = np.full((count, offers.fewest.shape[1]), offers.chips[1])
    start = Integers(
        np.arange(count), most, np.full((count, len(offers.services)), offers.batch[0])
    )
    for kind in prefilling:
        start = sought.scan(kind, start)
    sought.sweep(decode, start.offer, start.chips)
    if prefilling and len(sought.seen[0].offer):
        again = sought.leaders()
        for kind in prefilling:
            again = sought.scan(kind, again)
        tried = {
            (one, *others)
            for one, others in zip(start.offer, map(tuple, start.chips[:, prefilling]), strict=True)
        }
        fresh = [
            k
            for k, one in enumerate(again.offer)
            if (one, *again.chips[k, prefilling]) not in tried
        ]
        sought.sweep(decode, again.offer[fresh], again.chips[fresh])
    if len(sought.seen[0].offer):
        sought.fill_fronts(speed, decode)
    return sought
