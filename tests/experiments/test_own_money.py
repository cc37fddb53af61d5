"""Money as people pay it in a scenario: numbers of one's own, limits of one's own, and development
over the fleet that bears it."""

import dataclasses
import json

import jax
import numpy as np
import pytest

import codesign
from codesign.limits import Machine, Sums
from codesign.numerics.units import GIGA, MEGA
from codesign.physical.cost import CAPITAL_PARTS
from codesign.search.statement.fleet import technologies_of
from experiments.commands import optimize as optimize_command
from experiments.rivals.break_even import as_record, break_even, sentences
from experiments.rivals.comparison import compared
from experiments.rivals.points import device_points, device_technology
from experiments.runs.columns import columns
from experiments.runs.details import run_record
from experiments.scenarios.problem import problem
from experiments.scenarios.schema import FleetSize
from experiments.scenarios.technologies import names_of, priced, rack_power, technology
from experiments.scenarios.toml_text import read, written
from hardware_priors.leaves import development_cost
from tests.experiments.small_scenario import SMALL

STATED = """
[overrides]
memory.layer_price = "40 $"
economics.spares = 1.05
[limits]
die_area = "400 mm2"
rack_power = "40 kW"
[fleet]
power = "5 MW"
"""

OWN_RUBIN = """
name = "rubin"
memory_bandwidth = "22 TB/s"
memory_capacity = "288 GB"
peak_flops_8bit = "17 PFLOP/s"
sync_latency = "2 us"
link_bandwidth = "900 GB/s"
scale_up_domain = 8
technology = ["N3", "HBM4", "NVLink6"]
machine_class = "scale-up rack"
"""


@pytest.fixture(scope="module")
def own():
    """The small scenario with numbers of its own, searched; (scenario, front, devices)."""
    stated = read(SMALL + STATED, "own", "own")
    front, devices, _ = optimize_command.search(stated, lambda *stage: None)
    return stated, front, devices


def with_fleet(world: codesign.Technology, watts: float, names: dict[str, str]):
    """A technology whose chips are developed for a fleet of so many watts."""
    import hardware_priors

    charged = hardware_priors.technology(**names, stated={"development.fleet_power": watts})
    return dataclasses.replace(world, development=charged.development)


def spent_at(front, stated, row: int, watts: float) -> float:
    """Capital of a token a second of a design, on the exact model, in a fleet of so many watts."""
    choice = front.choices[front.choice[row]]
    world = with_fleet(choice.kinds[0].technology, watts, names_of(stated, choice, 0))
    design = jax.tree.map(lambda leaf: np.asarray(leaf)[row], front.designs[0])
    service = problem(stated).services[0]
    work = codesign.Workload(
        service.model,
        dataclasses.replace(service.phase, batch=float(front.integers[row, 1])),
        service.precision,
    )
    outcome = codesign.evaluate(design, work, choice.plans[0], technology=world)
    return 1.0 / float(outcome.tokens_per_second_per_dollar)


def test_a_small_fleet_buys_and_a_large_one_builds_with_the_crossing_between(found):
    stated, front, devices, *_ = found
    even = break_even(front, devices, stated)
    assert even is not None and 5 * MEGA < even.power.nominal < GIGA
    assert even.power.low < even.power.nominal < even.power.high
    rows = np.lexsort((np.asarray(front.values)[:, 1],))[::-1]
    first = int(rows[even.design])
    assert spent_at(front, stated, first, even.power.nominal) == pytest.approx(
        even.bought, rel=1e-5
    )
    assert spent_at(front, stated, first, 5 * MEGA) > even.bought
    assert spent_at(front, stated, first, GIGA) < even.bought
    at = f"{even.power.nominal / MEGA:.3g} MW"
    (silent, told) = sentences(even, stated)
    assert "Development is not charged" in silent
    assert told.startswith(f"Building pays from a fleet of {at}") and even.device in told
    for power, verdict in (("5 MW", "buys"), ("1 GW", "builds")):
        sized = stated.model_copy(update={"fleet": FleetSize(power=power)})
        (line,) = sentences(even, sized)
        assert line.endswith(f"a fleet of {power} {verdict}.")
    record = as_record(even)
    assert record is not None and record["development_usd"] == development_cost("N3")._asdict()


def test_the_best_design_of_a_small_fleet_is_dearer_than_the_device(own):
    stated, front, devices = own
    even = break_even(front, devices, stated)
    assert even is not None
    assert 1.0 / np.max(front.totals.tokens_per_second_per_dollar) > even.bought
    assert set(front.status) == {"GLOBAL"}
    table = {column.name: column.values for column in columns(front)}
    parts = sum(table[f"capital_{name}"] for name in CAPITAL_PARTS)
    np.testing.assert_allclose(parts, table["capital_per_chip"], rtol=1e-9)
    assert (table["capital_development"] > table["capital_facility"]).all()
    assert (table["capital_spares"] > 0).all()


def test_development_is_the_cost_of_a_chip_over_the_chips_of_the_fleet(own):
    _, front, _ = own
    total = development_cost("N3").nominal
    watts = np.asarray(front.outcomes[0].provisioned_power) / np.asarray(front.designs[0].chips)
    share = np.asarray(front.outcomes[0].cost.development)
    np.testing.assert_allclose(share, total / (5e6 / watts), rtol=1e-9)


def test_limits_of_ones_own_hold_and_bind(own):
    _, front, _ = own
    economics = front.choices[0].kinds[0].technology.economics
    rack = 72.0 * np.asarray(front.outcomes[0].rated_power) * float(economics.power_overhead)
    assert (rack <= 40e3 * (1 + 1e-9)).all() and rack.max() > 0.95 * 40e3  # whole stacks: not quite
    die = np.asarray(front.outcomes[0].area.total)
    assert (die <= 400e-6 * (1 + 1e-9)).all() and (die > 0.999 * 400e-6).any()
    assert "die_area" in {name for names in front.binding for name in names}


def test_the_power_of_a_rack_is_that_of_the_chips_of_a_domain(own):
    _, front, _ = own
    world, design = front.choices[0].kinds[0].technology, front.designs[0]
    cap = np.asarray(front.outcomes[0].rated_power)
    one = np.ones_like(cap)
    sums = Sums(one, one, one, one, rated=cap, edge=one, interposer=one)
    used = rack_power(40e3).log_ratio(sums, Machine(design, world), one)
    np.testing.assert_allclose(used, np.log(72 * cap * 1.45 / 40e3), rtol=1e-6)


def test_the_run_records_what_was_stated_and_survives_being_written(own):
    stated, front, devices = own
    details = run_record(front, stated, devices).details
    assert details["overrides"] == {"memory.layer_price": "40 $", "economics.spares": "1.05"}
    assert details["limits"] == {"die_area": "400 mm2", "rack_power": "40 kW"}
    assert "a fleet of 5 MW buys" in details["fleet"][-2]
    assert "memory.layer_price = 40 $" in details["fleet"][-1]
    json.dumps(details["break_even"], allow_nan=False)
    assert read(written(stated), "own", "own") == stated


def test_an_override_holds_for_devices_that_the_same_fact_prices(own):
    stated, _, _ = own
    worlds = {
        one.name: device_technology(one, stated)
        for one in compared(stated)
        if one.name in ("rubin", "h100", "l40s")
    }
    assert float(worlds["rubin"].memory.layer_price) == 40.0  # HBM4 too
    assert float(worlds["h100"].memory.layer_price) != 40.0  # HBM3 is another fact
    assert all(float(world.economics.spares) == 1.05 for world in worlds.values())
    assert all(world.development is None for world in worlds.values())
    reticle = float(worlds["rubin"].logic.reticle_area)
    assert reticle > 400e-6  # limits are of designs


def test_kinds_of_one_fleet_bear_the_development_of_all(own):
    stated, _, _ = own
    posed = problem(stated)
    (kind,) = posed.choices[0].kinds
    assert technologies_of((kind,)) == (kind.technology,)
    both = technologies_of((kind, kind))
    alone = float(kind.technology.development.total)
    assert [float(one.development.total) for one in both] == [2 * alone, 2 * alone]
    assert float(both[0].development.fleet_power) == 5e6


def test_a_vendors_margin_pays_for_development(own):
    stated, front, devices = own
    bought = read(
        SMALL.replace("[space]", 'price_basis = "buyer"\n[space]') + '[fleet]\npower = "5 MW"\n',
        *("small", "small"),
    )
    names = {"node": "N3", "memory": "HBM4", "link": "NVLink6"}
    assert technology(bought, names).development is None
    assert technology(stated, names).development is not None
    assert break_even(front, devices, bought) is None
    assert sentences(None, bought) == [
        "Development is in the vendor's margin: designs are not charged for it."
    ]


def test_a_device_of_ones_own_is_bought_at_the_price_that_its_file_states(found, tmp_path):
    """A file of a name that the catalogue has is priced as the file says, not as the catalogue."""
    _, front, *_ = found
    spent = {}
    for price in (None, "30 k$", "60 k$"):
        stated = [f'price = "{price}"'] if price else []
        path = tmp_path / "own.toml"
        path.write_text("\n".join([OWN_RUBIN, *stated]))
        scenario = read(SMALL + f'\n[compare]\ndevices = ["{path}"]\n', "small", "small")
        even = break_even(front, device_points(scenario, problem(scenario)), scenario)
        assert even is not None and even.device == "rubin"
        spent[price] = even.bought
        words = "30,000 $ a chip, with server and network" if price == "30 k$" else ""
        assert words in even.terms and ("bill of materials" in even.terms) == (price is None)
    assert spent["60 k$"] > spent["30 k$"] != spent[None]


def test_what_is_stated_is_certain(own):
    stated, _, _ = own
    facts = priced(stated, {"node": "N3", "memory": "HBM4", "link": "NVLink6"}).priors()
    for leaf in ("memory.layer_price", "economics.spares", "logic.reticle_area"):
        assert facts[leaf].source == "stated by the user" and facts[leaf].distribution == "fixed"
    assert facts["development.masks"].source.startswith("derived:")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('[overrides]\nmemory.layer_prize = "40 $"', "did you mean 'memory.layer_price'"),
        ('[overrides]\nmemory.layer_price = "40 GB"', "expected one that converts to 'USD'"),
        ("[overrides]\nmemory.layer_price = 40", "write the unit too"),
        ('[overrides]\neconomics.spares = "0.9"', "expected a finite value at least 1"),
        ('[limits]\npackage_pwr = "1 kW"', "did you mean 'package_power'"),
        ('[limits]\nrack_power = "1 mm2"', "expected one that converts to 'W'"),
        ('[limits]\ntdp = "1 kW"\npackage_power = "1 kW"', "are one limit"),
        ('[overrides]\ndevelopment.masks = "1 M$"', "no effect without .fleet. power"),
        ('[overrides]\ndevelopment.fleet_power = "1 GW"', "what .fleet. power says"),
        (
            '[overrides]\ncooling.package_power = "1 kW"\n[limits]\ntdp = "2 kW"',
            "also set by .limits.",
        ),
    ],
)
def test_a_wrong_number_is_refused_with_what_was_expected(refused, tmp_path, text, complaint):
    import re

    path = tmp_path / "own.toml"
    path.write_text(f"{SMALL}\n{text}\n", encoding="utf-8")
    assert re.search(complaint, refused("optimize", path))


def test_the_size_of_a_fleet_is_an_option_too(refused, tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(SMALL, encoding="utf-8")
    asked = optimize_command.Optimize(scenario=str(path), fleet_power="200 MW")
    assert asked.stated().fleet.power == "200 MW"
    assert "--fleet-power: '2 GB'" in refused("optimize", path, "--fleet-power", "2 GB")
