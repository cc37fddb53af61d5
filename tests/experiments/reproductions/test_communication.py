"""Communication of plans (arXiv 2507.14392): verdicts as they stand, and the advice."""

import pytest

from experiments.reproductions import communication
from experiments.reproductions.communication.plans import Request, best, layouts, offered, times
from experiments.terminal.refusal import Refused


def test_counts_and_shapes_are_met():
    count, shape, _ = communication.patterns()
    assert count.verdict == shape.verdict == "met"


def test_times_and_their_verdicts():
    found = {each.quantity: each for each in communication.latencies()}
    assert found["TP4 over TP2, speed [1]"].ours == pytest.approx(1.48, rel=0.12)
    assert found["end to end, TP2 [ms]"].verdict.startswith("off by +")
    jump = found["TP8, two nodes, over TP4, token [1]"]
    assert jump.verdict.startswith("off by -") and isinstance(jump.ours, float) and jump.ours > 2.0
    assert all(each.verdict == "met" for each in communication.tendencies())


def test_the_tie_of_latencies_between_nodes_is_one():
    tie = communication.between_nodes().ours
    assert isinstance(tie, float)
    at = ("llama-3.1-8b", "h100")
    tensor = times(*at, 8, 1, Request(), tie * 1e-6).end
    assert tensor == pytest.approx(times(*at, 4, 2, Request()).end, rel=1e-3)


def test_the_advice_is_the_least_and_the_fastest_of_all_layouts():
    assert layouts(8) == [(1, 8), (2, 4), (4, 2), (8, 1)]
    found = offered("llama-3.1-8b", "h100", 8, Request(prompt=512, batch=4))
    least, fastest = best(found)
    assert least.traffic == min(each.traffic for each in found)
    assert fastest.end == min(each.end for each in found)
    (row,) = communication.advise("llama-3.1-8b", "h100", 8, [Request(512, 128, 4)]).rows
    assert row[2] == least.name == "PP8" and row[5] == fastest.name == "TP4 PP2"


def test_a_plan_that_does_not_fit_is_not_advised():
    assert not times("llama-3.1-70b", "h100", 1, 1, Request()).fits  # 141 GB in 86
    assert times("llama-3.1-70b", "h100", 4, 1, Request()).fits
    with pytest.raises(Refused, match="fit no plan"):
        best(offered("llama-3.1-70b", "h100", 1, Request()))


def test_one_model_and_one_number_of_chips(refused):
    assert "expected one" in refused("reproduce", "communication", "--chips", "4,8")
