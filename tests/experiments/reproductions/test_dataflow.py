"""Dataflow (arXiv 2502.18403): traffic by hand, and verdicts as they stand."""

import pytest

from experiments.reproductions import dataflow
from experiments.reproductions.dataflow.graph import GRANULARITIES, moved, saved, widths

HIDDEN, KV, INNER = 4096, 1024, 14336


def test_a_layer_of_kernels_by_hand():
    of = widths("llama-3.1-8b")
    assert of == (HIDDEN, HIDDEN, KV, INNER)
    assert of.weights == 2 * HIDDEN * (HIDDEN + KV) + 3 * HIDDEN * INNER
    products = (
        (HIDDEN + HIDDEN + 2 * KV)  # query, key, value
        + (HIDDEN + 2 * KV + HIDDEN)  # attention
        + 2 * HIDDEN  # output
        + (HIDDEN + 2 * INNER)  # gate, up
        + (2 * INNER + HIDDEN)  # down
    )
    assert moved(of, "kernels", 3.0) == 3.0 * products


def test_finer_graphs_and_longer_prompts_have_more_to_save():
    of = widths("llama-3.1-8b")
    by_graph = [saved(of, each, 1024) for each in GRANULARITIES]
    assert by_graph == sorted(by_graph) and by_graph[0] < 0.4907 < by_graph[-1]
    by_prompt = [saved(of, "operators", prompt) for prompt in (1, 512, 4096)]
    assert by_prompt == sorted(by_prompt) and by_prompt[0] < 0.001
    with pytest.raises(ValueError, match="not dense"):
        widths("deepseek-v3")


def test_verdicts_misses_included():
    found = {each.quantity: each for each in dataflow.traffic("a100", 1024)}
    assert found["decode: traffic saved [%]"].verdict == "met"
    assert found["decode: speed [x]"].verdict == "met"
    assert found["prefill: saved, nine operators of our table [%]"].verdict.startswith("off by -16")
    assert found["prefill: speed [x]"].verdict.startswith("not met")


def test_on_chip_memory_buys_traffic_of_long_prompts_only():
    short, long = dataflow.on_chip_memory("a100", (512, 4096)).rows
    assert short[1] == 0.0 and -0.5 <= long[1] < -0.3
    assert long[2] == pytest.approx(0.0, abs=1e-9)
