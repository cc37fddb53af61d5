"""Back-casts: the comparison's arithmetic, the rule, the explanation; one search."""

import dataclasses

import pytest

from experiments.reproductions import backcast, backcast_results
from experiments.reproductions.backcast_cases import CASES
from experiments.reproductions.backcast_notes import explained, told
from experiments.reproductions.backcast_results import (
    JUDGED,
    SHOWN,
    Machine,
    Result,
    chosen,
    factors,
    misses,
    published,
)
from tests.examples import nightly

H100 = published("h100")


def scaled(**by: float) -> Machine:
    """H100 with some quantities multiplied, at a dollar a token."""
    own = {name: getattr(H100, name) * factor for name, factor in by.items()}
    return dataclasses.replace(H100, dollars_per_token=1.0, **own)


def result(change: str = "", **by: float) -> Result:
    return Result(CASES[0], change, [scaled(**by)])


def test_published_devices_by_hand():
    """3.35 TB/s over 989.4 TFLOP/s; B200 7.7 TB/s over 2250 TFLOP/s, 183,359 MiB, two dies of 800
    mm² together."""
    h100, b200 = H100.quantities, published("b200").quantities
    assert h100["bytes per FLOP, 16 bit"] == pytest.approx(3.35 / 989.4)
    assert h100["bytes per FLOP, 8 bit"] == pytest.approx(3.35 / 1979)
    assert b200["bytes per FLOP, 16 bit"] == pytest.approx(7.7 / 2250)
    assert (b200["capacity"], b200["area"], b200["power"]) == pytest.approx(
        (183359 * 2**20, 1600e-6, 1000)
    )


def test_a_device_is_once_itself():
    assert factors(H100, H100) == pytest.approx(dict.fromkeys(SHOWN, 1.0))


def test_factors_are_ours_over_published():
    found = factors(scaled(bandwidth=3.0, peak_16_bit=2.0, capacity=0.4), H100)
    assert found["bytes per FLOP, 16 bit"] == pytest.approx(1.5)
    assert found["bytes per FLOP, 8 bit"] == pytest.approx(3.0)
    assert found["capacity"] == pytest.approx(0.4)
    assert misses(found) == ["bytes per FLOP, 8 bit", "capacity"]


@pytest.mark.parametrize(
    ("factor", "outside"), [(0.49, True), (0.51, False), (1.99, False), (2.01, True)]
)
@pytest.mark.parametrize("name", JUDGED)
def test_within_is_twofold_either_way(name, factor, outside):
    assert misses(dict.fromkeys(SHOWN, 1.0) | {name: factor}) == ([name] if outside else [])


def test_power_and_bandwidth_are_not_judged():
    assert not misses(dict.fromkeys(SHOWN, 1.0) | {"power": 9.0, "bandwidth": 9.0})


def test_the_rule_takes_the_cheapest_token():
    dear, cheap = scaled(), dataclasses.replace(scaled(), dollars_per_token=0.5)
    assert chosen([dear, cheap, dear]) is cheap


def test_told_has_numbers_range_and_verdict():
    front = [scaled(capacity=2.5), dataclasses.replace(scaled(capacity=0.5), dollars_per_token=2.0)]
    line = told(Result(CASES[0], "", front))
    assert "capacity 213.8 against 85.52 GB (2.50, over the front 0.50–2.50)" in line
    assert line.endswith("outside 2x: capacity.")


def test_explained_names_what_moves_most_and_what_cures():
    lines = explained(
        result(capacity=4.0),
        [
            result("small", capacity=3.0),
            result("large", capacity=9.0),
            result("cure", capacity=1.9),
        ],
    )
    (line,) = (line for line in lines if "capacity" in line)
    assert "capacity (4.00): large moves it most, to 9.00; outside" in line
    assert line.endswith("outside as stated, brought within by cure (1.90).")
    (line,) = (
        line
        for line in explained(result(capacity=4.0), [result("large", capacity=9.0)])
        if "capacity" in line
    )
    assert line.endswith("nothing that was tried brings it within.")


def test_a_whole_number_of_layers_may_land_on_the_limit():
    assert not misses(dict.fromkeys(SHOWN, 1.0) | {"capacity": 0.5 - 1e-12, "area": 2.0 + 1e-12})


def test_explained_where_nothing_moves():
    lines = explained(result(capacity=1.2), [result("other", capacity=1.201)])
    assert [line.split(": ")[1] for line in lines] == ["nothing that was tried moves it."] * 3


def test_explained_where_nothing_misses():
    assert not any(
        "outside" in line for line in explained(result(), [result("other", capacity=1.5)])
    )


def test_changes_change_one_thing():
    case = CASES[0]
    told_apart = {
        name: {
            f.name
            for f in dataclasses.fields(case)
            if getattr(change(case), f.name) != getattr(case, f.name)
        }
        for name, change in backcast_results.CHANGES.items()
    }
    assert told_apart == {
        "all generated": {"prompt", "output"},
        "promise doubled": {"promise"},
        "buyer's prices": {"price_basis"},
        "device's stack speed": {"scaled"},
    }
    longer = backcast_results.CHANGES["all generated"](case)
    assert longer.prompt + longer.output == case.prompt + case.output
    memory = backcast_results.CHANGES["device's stack speed"](case).technology().memory
    assert float(memory.stack_bandwidth) == pytest.approx(3.35e12 / 5)


def test_every_case_has_its_changes_and_its_device():
    assert [name for name, _ in backcast_results.TRIED] == [case.name for case in CASES]
    assert {case.era.device for case in CASES} == {"h100", "b200"}


def test_the_table_of_results():
    table = backcast.tabulated([result(capacity=4.0), result("all generated", capacity=1.0)])
    first, second = (
        {c.name: v for c, v in zip(table.columns, row, strict=True)} for row in table.rows
    )
    assert (first["device"], first["change"], first["within 2x"]) == (
        "H100",
        "as stated",
        "outside: capacity",
    )
    assert (second["change"], second["within 2x"]) == ("all generated", "all within")
    assert first["cost"] == pytest.approx(1e6)
    assert len(table.summary) == 1
    assert any("brought within by all generated (1.00)" in line for line in table.notes)


@nightly
def test_a_design_of_2022_by_search():
    """Whole stacks, one reticle at most, and the promise kept at the cheapest token."""
    front = backcast_results.designs(CASES[0])
    machine, technology = chosen(front), CASES[0].technology()
    stacks = machine.bandwidth / float(technology.memory.stack_bandwidth)
    assert stacks == pytest.approx(round(stacks), abs=1e-6)
    layers = machine.capacity / round(stacks) / float(technology.memory.layer_capacity)
    assert layers == pytest.approx(round(layers), abs=1e-6)
    assert machine.area <= 858e-6 * (1 + 1e-6)
    assert machine.peak_8_bit == pytest.approx(2 * machine.peak_16_bit)
    assert min(other.dollars_per_token for other in front) == machine.dollars_per_token
