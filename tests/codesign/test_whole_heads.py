"""Query heads go with the KV head that they share: the busiest rank, held to every way to deal
them."""

import math

import pytest

import codesign
from codesign.performance.whole_parts import busiest_rank, copies
from tests.codesign.oracle_heads import busiest_heads, least_of_all
from tests.codesign.test_whole_parts import outcome

SMALL = [
    (size * kv_heads, kv_heads, ranks)
    for kv_heads, most in ((1, 6), (2, 5), (3, 3), (4, 2))
    for size in range(1, most + 1)
    for ranks in range(1, 5)
]


@pytest.mark.parametrize(("heads", "kv_heads", "ranks"), SMALL)
def test_no_layout_has_fewer_heads_on_its_busiest_rank(heads, kv_heads, ranks):
    """Every way to deal query heads: the fewest KV heads of the busiest rank come first."""
    caches, most = least_of_all(heads, kv_heads, ranks)
    assert caches == math.ceil(kv_heads / ranks)
    assert float(busiest_rank(float(heads), float(ranks), float(kv_heads))) == most


def test_the_closed_form_is_the_deal_of_head_after_head():
    for kv_heads in range(1, 17):
        for size in (1, 2, 3, 5, 8):
            for ranks in range(1, 40):
                heads, ranked = float(kv_heads * size), float(min(ranks, kv_heads * size))
                found = float(busiest_rank(heads, ranked, float(kv_heads)))
                assert found == busiest_heads(heads, float(kv_heads), ranked)
                assert found >= heads / ranks
                assert 1.0 <= float(copies(heads, ranked, float(kv_heads))) <= 2.0
                if ranks in (kv_heads, heads) or kv_heads % ranks == 0:
                    assert found == math.ceil(heads / ranks)


@pytest.mark.parametrize(
    ("chips", "heads", "kv_heads"), [(3, 11, 2), (4, 8, 1), (6, 8, 1), (8, 4, 1), (12, 3, 1)]
)
def test_a_chip_reads_the_cache_of_every_head_that_it_works_on(technology, chips, heads, kv_heads):
    """Qwen3-30B-A3B: 32 query heads, 8 to a KV head. Over 6 chips, 6 heads each would read two."""
    work = codesign.Workload(
        codesign.model("qwen3-30b-a3b"), codesign.Decode(batch=32.0, context=8192.0)
    )
    alone, split = (
        outcome(technology, work, float(n), 1.0, 1.0, 1.0).step.load for n in (1, chips)
    )
    attention = int(alone.exponential.argmax())
    share = {
        name: float(getattr(split, name)[attention] / getattr(alone, name)[attention])
        for name in ("exponential", "state")
    }
    assert share == pytest.approx({"exponential": heads / 32, "state": kv_heads / 4})
