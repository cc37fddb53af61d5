"""Prices of a GPU-hour: the parts add up to what the model pays, and the ranges are the published
ones."""

import math

import pytest

import hardware_priors
from codesign.numerics.units import HOUR, YEAR
from codesign.physical.area import stacks
from codesign.physical.cost import running_cost
from experiments.reproductions import prices
from experiments.reproductions.prices import (
    PARTS,
    SOLD,
    as_sold,
    hour,
    markups_within,
    published,
    table,
    verdict,
    with_stacks,
)
from experiments.reproductions.table import Settings
from hardware_priors.prior import lookup


@pytest.fixture(scope="module")
def rows() -> dict:
    found = table(Settings())
    names = [column.name for column in found.columns]
    return {row[:2]: dict(zip(names, row, strict=True)) for row in found.rows}


@pytest.mark.parametrize("sold", SOLD, ids=lambda sold: sold.device)
@pytest.mark.parametrize("basis", ["builder", "buyer"])
def test_parts_add_up_to_the_running_cost(sold, basis):
    price, rating, economics = as_sold(sold, basis)
    parts = hour(price, rating, economics)
    assert parts.total == pytest.approx(
        float(running_cost(price, 1.0, rating, economics)) * HOUR, rel=1e-12
    )
    assert all(getattr(parts, part) > 0 for part in PARTS if part != "margin")


def test_an_hour_by_hand(rows):
    """H100, each part from the facts: five years, 9 %, 0.075 USD/kWh, a PUE of 1.15."""
    row, year = rows["H100", "buyer"], YEAR / HOUR
    assert row["margin"] == pytest.approx(5.25 * (row["logic"] + row["memory"] + row["package"]))
    assert row["server"] == pytest.approx((7700 + 150) / (5 * year))
    assert row["facility"] == pytest.approx(14 * 700 * 1.45 / (14 * year))
    assert row["energy"] == pytest.approx(0.7 * 1.45 * 1.15 * 0.075 * 0.7)
    # 5 stacks of HBM3, layers of 2 GiB (40 less what the driver keeps): 16.9 USD/GB at 8 layers, a
    # fifth of a 12-high stack its base.
    memory = hardware_priors.technology("N4", "HBM3", "NVLink4").memory
    dollars = 5 * float(memory.stack_price) + 81559 / 2048 * float(memory.layer_price)
    assert row["memory"] == pytest.approx(dollars / (5 * year))
    # Network: 450 GB/s at 8 USD, 50 GB/s at 75 USD, 200 USD us over 3.86 us less the floor of 0.47
    # us.
    links = hardware_priors.technology("N4", "HBM3", "NVLink4").links
    floor = 1e6 * float(links.endpoint_latency + links.switch_latency + links.wire_latency)
    assert floor == pytest.approx(0.47, abs=0.01)
    assert row["network"] == pytest.approx((450 * 8 + 50 * 75 + 200 / (3.86 - floor)) / (5 * year))


def test_the_builder_pays_no_margin_and_all_else_alike(rows):
    for sold in SOLD:
        builder, buyer = rows[sold.published, "builder"], rows[sold.published, "buyer"]
        assert builder["margin"] == 0
        same = [part for part in PARTS if part not in ("margin", "interest")]
        assert [builder[part] for part in same] == pytest.approx([buyer[part] for part in same])
        assert builder["total"] < buyer["total"]


def test_one_markup_for_all_devices(rows):
    ratios = [
        rows[sold.published, "buyer"]["margin"]
        / sum(rows[sold.published, "buyer"][part] for part in ("logic", "memory", "package"))
        for sold in SOLD
    ]
    assert ratios == pytest.approx([lookup("economics", "buyer", "chip_markup").value - 1] * 3)


def test_published_ranges_are_those_of_their_authors(rows):
    ranges = {"H100": (1.30, 1.69), "B200": (1.95, 2.34), "GB200": (2.21, 2.75)}
    for sold in SOLD:
        assert published(sold) == ranges[sold.published]
        for basis in ("builder", "buyer"):
            row = rows[sold.published, basis]
            assert row["verdict"] == verdict(row["total"], *ranges[sold.published])


def test_hours_are_where_they_were_when_this_was_written(rows):
    """0.78, 1.04 and 1.15 USD bottom up; prices and areas of the catalogue move, so within a
    tenth."""
    for name, dollars in {"H100": 0.78, "B200": 1.04, "GB200": 1.15}.items():
        assert rows[name, "builder"]["total"] == pytest.approx(dollars, rel=0.1)


def test_a_device_has_the_stacks_that_it_is_sold_with():
    device, technology = (
        hardware_priors.device("h100"),
        hardware_priors.technology("N4", "HBM3", "NVLink4"),
    )
    assert float(stacks(device.design(1), technology)) < 4.2
    assert float(
        stacks(with_stacks(device.design(1), technology, 5.0), technology)
    ) == pytest.approx(5)


def test_markups_within_are_where_the_hour_meets_its_range():
    sold = SOLD[0]
    one, two = (hour(*as_sold(sold, "buyer", chip_markup=markup)).total for markup in (1.0, 2.0))
    low, high = published(sold)
    for markup, bound in zip(markups_within(one, two - one, low, high), (low, high), strict=True):
        assert hour(*as_sold(sold, "buyer", chip_markup=markup)).total == pytest.approx(
            bound, rel=1e-6
        )


def test_variants_change_what_they_say(rows):
    now = [rows[sold.published, "buyer"]["total"] for sold in SOLD]
    shorter = prices._totals(life=4 * YEAR)
    assert all(ours > total for ours, total in zip(shorter, now, strict=True))
    # Air-cooled servers draw more than 1.45 times their chips, a rack of 72 a little less (1.42).
    h100, b200, gb200 = (
        ours - total for ours, total in zip(prices._own_ratings(), now, strict=True)
    )
    assert h100 > 0 and b200 > 0 and gb200 < 0


def test_another_bill_of_materials_scales_chip_margin_and_their_interest(rows):
    interest = 0.45 / (1 - math.exp(-0.45))  # continuous, 9 % over five years
    for sold, total in zip(SOLD, prices._published_bills(), strict=True):
        row, (name, gpus) = rows[sold.published, "buyer"], sold.bill
        ours = float(as_sold(sold, "buyer")[0].bill_of_materials)
        chip = row["logic"] + row["memory"] + row["package"] + row["margin"]
        scale = lookup("economics", name, "bom_total").value / gpus / ours
        assert total == pytest.approx(row["total"] + (scale - 1) * chip * interest)


def test_the_summary_says_which_markups_would_do(rows):
    lines = table(Settings()).summary
    assert any("One markup for all three" in line for line in lines)
    assert any(
        line.startswith(
            f"Buyer, one markup of {lookup('economics', 'buyer', 'chip_markup').value:g} on"
        )
        for line in lines
    )


def test_the_command_prints_it(run):
    answer = run("reproduce", "prices", "--json")
    assert answer.code == 0
    assert {row["device"] for row in answer.json["rows"]} == {"H100", "B200", "GB200"}
    assert answer.json["rows"][0]["total [USD/h]"] > 0
