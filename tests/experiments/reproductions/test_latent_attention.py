"""Latent attention (arXiv 2507.15465): hand calculations, verdicts, and the chip that is asked
for."""

import numpy as np
import pytest

import codesign
from experiments.reproductions import latent_attention
from experiments.reproductions.latent_attention import optimum
from experiments.reproductions.latent_attention.reordering import (
    decode_gain,
    decode_times,
    prefill_penalty,
    widths,
)

HEADS, LATENT, ROPE, NOPE, VALUE = 128, 512, 64, 128, 128


@pytest.fixture(scope="module")
def deepseek():
    return widths("deepseek-v3")


def test_arithmetic_of_both_orders_by_hand(deepseek):
    assert deepseek.expand == 2 * LATENT * HEADS * (NOPE + VALUE)
    assert deepseek.attend == 2 * HEADS * (NOPE + ROPE + VALUE)
    assert deepseek.attend_latent == 278_528
    by_hand = 4096 * (33_554_432 + 81_920) / (4096 * 278_528 + 33_554_432)
    assert decode_gain(deepseek, 4096) == pytest.approx(by_hand, rel=1e-12)
    assert by_hand == pytest.approx(119, rel=0.02)


def test_arithmetic_agrees_with_the_operator_table(deepseek):
    """Of the whole model, 61 layers."""
    table = codesign.operator_table(codesign.model("deepseek-v3"), codesign.uniform(16))
    op = table.operators
    attended = [float(np.asarray(each).sum()) for each in (
        op.context_flops, op.expanded_context_flops
    )]  # fmt: skip
    assert attended == pytest.approx([61 * deepseek.attend_latent, 61 * deepseek.attend])


def test_penalties_bracket_the_published_one(deepseek):
    found = [
        prefill_penalty(deepseek, 4096, causal=causal, projections=projections)
        for causal in (True, False)
        for projections in (True, False)
    ]
    assert min(found) < 2.02 < max(found)
    assert found == pytest.approx([1.743, 3.000, 2.135, 3.182], abs=1e-3)
    assert prefill_penalty(deepseek, 1, causal=True, projections=True) < 1.01


def test_fused_kernels_are_no_slower(deepseek):
    times = decode_times(deepseek, 2.25e15, 8e12)
    assert times["reordered, one kernel"] <= times["reordered"] < times["plain, one kernel"]
    assert times["plain, one kernel"] < times["plain"]
    assert times["reordered"] == pytest.approx(2 * (2 * LATENT + ROPE) / 8e12)


def test_what_has_no_latent_attention_is_refused():
    with pytest.raises(ValueError, match="no latent attention"):
        widths("llama-3.1-8b")


def test_verdicts():
    found = {
        each.quantity: each.verdict
        for part in ("intensities", "reordering", "thresholds", "sizes")
        for each in getattr(latent_attention, part)()
    }
    missed = {name for name, verdict in found.items() if verdict.startswith("off by")}
    assert missed == {
        "MLA, two kernels [FLOP/B]",
        "MLA, FlashMLA [FLOP/B]",
        "prefill penalty, block unmasked [x]",
    }
    assert sum(verdict == "met" for verdict in found.values()) == 11


def test_grouped_heads_ask_for_more_arithmetic_than_many():
    work = optimum.kinds()
    many, few = (
        optimum.best_chip(kind, work[kind], 1024, 8192) for kind in ("MHA", "GQA, 8 KV heads")
    )
    assert many.cache == 16 * few.cache
    assert many.ratio == pytest.approx(23.1, rel=0.02)
    assert few.ratio == pytest.approx(40.6, rel=0.02)
