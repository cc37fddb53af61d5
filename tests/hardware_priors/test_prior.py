"""The data files: every row is valid, sourced or flagged, and bad rows are refused by name."""

import pytest

from hardware_priors.prior import CONFIDENCES, DISTRIBUTIONS, FILES, find, load, lookup, parse_rows
from hardware_priors.quantities import unit

ROW = {
    **{
        "name": "x",
        "quantity": "tdp",
        "value": "700",
        "low": "600",
        "high": "800",
        "unit": "W",
        "year": "2022",
    },
    **{"source": "a page", "confidence": "A", "distribution": "lognormal", "note": "", "group": ""},
}


def test_files_hold_what_was_collected():
    assert sum(len(load(file)) for file in FILES) > 1000


def test_every_row_is_in_range_sourced_and_of_a_known_unit():
    for file in FILES:
        for prior in load(file):
            assert prior.low <= prior.value <= prior.high, prior
            assert (
                prior.source.strip()
                and prior.confidence in CONFIDENCES
                and prior.distribution in DISTRIBUTIONS
            ), prior
            assert unit(prior.unit).factor > 0, prior
            assert prior.flagged == (prior.source == "unsourced"), prior


def test_a_fixed_fact_has_no_range():
    assert [
        p for file in FILES for p in load(file) if p.distribution == "fixed" and p.low < p.high
    ] == []


def test_sources_name_something_a_reader_can_look_for():
    for file in FILES:
        for prior in load(file):
            text = f"{prior.source} {prior.note}"
            assert "/work" not in text and "shared/" not in text and "README" not in text, prior
            for word in ("derived:", "judged:"):
                assert not prior.source.startswith(word) or len(prior.source) > len(word) + 10, (
                    prior
                )


def test_si_converts_value_and_range():
    capacity = lookup("devices", "xpu-hbm3", "memory_capacity").si
    assert (capacity.value, capacity.unit) == (96 * 2**30, "B")
    assert lookup("cooling", "cold-plate", "coolant_temperature").si.low == pytest.approx(298.15)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"low": "750"}, "outside its range"),
        ({"unit": "Watt"}, "unknown 'Watt'"),
        ({"source": ""}, "source"),
        ({"confidence": "D"}, "confidence 'D'"),
        ({"distribution": "normal"}, "distribution 'normal'"),
        ({"value": "nan"}, "value 'nan'"),
        ({"low": "0"}, "positive range"),
        ({"source": "unsourced"}, "both say 'unsourced'"),
        ({"source": "judged: because"}, "confidence C"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_bad_row_is_refused_by_name(change, named):
    with pytest.raises(ValueError, match=named) as error:
        parse_rows([ROW | change], "mine.csv")
    assert "mine.csv: x tdp" in str(error.value)


def test_a_row_stated_twice_is_refused():
    with pytest.raises(ValueError, match="stated twice for 2022"):
        parse_rows([ROW, ROW], "mine.csv")


def test_the_newest_fact_wins():
    assert lookup("memory", "DDR5", "price_per_capacity").year == 2026


@pytest.mark.parametrize(
    ("arguments", "nearest"),
    [
        (("memry", "HBM4", "edge"), "'memory'"),
        (("memory", "HBM9", "edge"), "'HBM"),
        (("memory", "HBM4", "edges"), "'edge'"),
    ],
)
def test_unknown_names_offer_the_nearest(arguments, nearest):
    with pytest.raises(ValueError, match=f"nearest .*{nearest}"):
        lookup(*arguments)
    assert find("memory", "HBM9", "edge") is None
