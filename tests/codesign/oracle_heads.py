"""Query heads of the busiest rank, dealt out one by one: part of the independent model of
``oracle``."""

import itertools
import math
from collections.abc import Iterator


def busiest_heads(heads: float, kv_heads: float, ranks: float) -> float:
    """Deal KV heads to ranks one by one, as many rounds as all ranks can have whole; ranks then
    share those left, with a second rank for each before any has a third."""
    kv_heads = min(float(round(kv_heads)), heads)
    ranks, left, own = round(ranks), kv_heads, 0
    while left > ranks:
        left, own = left - ranks, own + 1
    sharers = [0] * round(left)
    for rank in range(ranks):
        sharers[rank % len(sharers)] += 1
    size = heads / kv_heads
    return min(math.ceil(own * size - 1e-9) + math.ceil(size / min(sharers) - 1e-9), heads)


def least_of_all(heads: int, kv_heads: int, ranks: int) -> tuple[int, int]:
    """KV heads and query heads of the busiest rank: the fewest of the first, and with them of the
    second, over every way to deal the query heads of each KV head."""
    ways = list(_ways(heads // kv_heads, ranks))
    found = (kv_heads, heads)
    for dealt in itertools.combinations_with_replacement(ways, kv_heads):
        by_rank = list(zip(*dealt, strict=True))
        caches = max(sum(part > 0 for part in rank) for rank in by_rank)
        found = min(found, (caches, max(sum(rank) for rank in by_rank)))
    return found


def _ways(heads: int, ranks: int) -> Iterator[tuple[int, ...]]:
    """Every way to write so many heads as a sum over ranks."""
    if ranks == 1:
        yield (heads,)
        return
    for first in range(heads + 1):
        for rest in _ways(heads - first, ranks - 1):
            yield (first, *rest)
