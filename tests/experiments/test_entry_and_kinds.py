"""Entry factors against a solve at the factor; best fleets and break-even powers by hand; what is
drawn."""

import math

import numpy as np
import pytest

from experiments.scenarios.toml_text import scenario
from experiments.sensitivity import entry as entries
from experiments.sensitivity.entry import Entry, entry, scaled, told, values_at, with_technology
from experiments.sensitivity.kinds import best_fleets, break_even, fleets
from experiments.terminal.refusal import Refused
from tests.codesign.sensitivity.optima import optimum, question


def test_a_technology_enters_where_both_are_worth_the_same():
    """The small scenario's own memory as the other one, and an own optimum 2 % better: it enters
    at the price at which it is 2 % better than it is."""
    found, asked = optimum("small"), question("small")
    searched = []
    own = found.value - 0.02
    told_entry = entry(own, asked, "HBM4", "memory price", lambda a: searched.append(a) or found)
    assert told_entry.advantage == pytest.approx(-0.02)
    factor = told_entry.factor
    assert factor is not None and 0.2 < factor < 1.0
    there = values_at(found, "memory price", np.array([factor, 1.0]), [found.subproblem])
    assert there[1] == pytest.approx(found.value, abs=1e-9) and there[0] <= own + 0.02
    (memory,) = (kind.technology.memory for choice in searched[1].choices for kind in choice.kinds)
    before = asked.choices[0].kinds[0].technology.memory
    assert float(memory.layer_price) == pytest.approx(float(before.layer_price) * factor)
    assert float(memory.access_energy) == float(before.access_energy)


def test_no_factor_may_do():
    found = optimum("small")
    far = entry(found.value - 5.0, question("small"), "x", "memory price", lambda _: found)
    near = entry(found.value + 5.0, question("small"), "x", "memory price", lambda _: found)
    assert far.factor is near.factor is None
    assert (told(far), told(near)) == ("out", "in")
    assert told(Entry("x", "memory price", None, None, None, "why")) == "none"
    assert told(Entry("x", "memory price", 0.1, 2.0, 0.0)) == "×2"


def test_another_memory_takes_the_place_of_the_scenarios_own():
    stated = with_technology(scenario("llama-405b"), "memory", "3D-DRAM")
    assert stated.technology.memory == ("3D-DRAM",) and stated.technology.cooling == ("3d-stack",)
    technology = question("small").choices[0].kinds[0].technology
    moved = scaled(technology, "sync latency", 2.0).links
    assert float(moved.software_latency) == 2 * float(technology.links.software_latency)


def test_a_map_is_drawn(tmp_path):
    rows = {
        "a $b$": [Entry("x", "memory price", -0.1, 0.5, 0.0)],
        "b": [Entry("x", "p", 1.0, None, None)],
    }
    entries.draw_entries(tmp_path / "map.png", rows)
    assert (tmp_path / "map.png").read_bytes()[:4] == b"\x89PNG"


def test_the_best_fleets_by_hand():
    value = np.array([[1.0, 0.5, 0.9], [0.4, 2.0, 1.6], [0.0, 1.0, 0.8]])
    chosen, loss = best_fleets(value)
    assert chosen == [(2,), (0, 1), (0, 1, 2)]
    one = (1 / 0.9 + 2 / 1.6 + 1 / 0.8) / 3 - 1
    assert loss == pytest.approx([one, 0.0, 0.0])
    powers = break_even(loss, 5e8, 0.05)
    assert powers[0] == pytest.approx(5e8 / (one / (1 + one)) * 0.05)
    assert math.isinf(powers[1])


def test_fleets_of_machines_of_several_kinds_are_refused():
    with pytest.raises(Refused, match="several machines"):
        fleets(["chat"])
    with pytest.raises(Refused, match="unlike technologies"):
        fleets(["dense", "offline"])
