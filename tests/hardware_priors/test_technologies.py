"""Technologies: every leaf has a source, derived rows follow from their facts, unknown names get
the nearest."""

import math
from functools import partial

import jax
import numpy as np
import pytest

from codesign.hardware.technology import Technology
from hardware_priors.choices import CHOICES, technology_names
from hardware_priors.prior import lookup
from hardware_priors.technologies import (
    ZERO_BY_CONSTRUCTION,
    technology,
    technology_priors,
    unsourced,
)

approx = partial(pytest.approx, rel=1e-9, abs=0.0)
"""The default absolute tolerance of pytest, 1e-12, would let any SI coefficient of links or
energies pass."""

ONE_OF_EACH = [{argument: name} for argument, offered in CHOICES.items() for name in offered]


def leaves(tree: Technology) -> dict[str, float]:
    return {
        f"{part}.{leaf}": float(value)
        for part, module in vars(tree).items()
        if module is not None
        for leaf, value in vars(module).items()
    }


@pytest.mark.parametrize("choices", ONE_OF_EACH, ids=lambda choices: "-".join(choices.values()))
def test_every_leaf_has_a_prior_and_equals_it_in_si(choices):
    priors, values = technology_priors(**choices), leaves(technology(**choices))
    assert set(priors) == set(values) and len(values) == len(jax.tree.leaves(technology(**choices)))
    memories = {
        "memory": choices.get("memory", "HBM4"),
        "pool": choices.get("pool", "photonic-pool"),
    }
    zeros = {
        f"{part}.{leaf}"
        for part, name in memories.items()
        for leaf in ZERO_BY_CONSTRUCTION.get(name, ())
    }
    for key, value in values.items():
        assert value == approx(priors[key].si.value, rel=1e-12), key
        assert math.isfinite(value) and (value == 0 if key in zeros else value > 0), key


def test_all_nodes_carry_the_memories_of_all_generations():
    for node in CHOICES["node"]:
        for memory in CHOICES["memory"]:
            assert float(technology(node, memory).memory.phy_area) > 0


def test_magnitudes_in_si():
    n4 = technology("N4", "HBM3E", price_basis="buyer")
    expected = {
        "logic.matrix_density": 2e18,
        "logic.matrix_energy": 0.32e-12,
        "logic.leakage": 1e5,
        "logic.wafer_price": 16500,
        "logic.defect_density": 1000,
        "logic.sram_density": 0.55e12,
        "memory.stack_bandwidth": 1.18e12,
        "memory.access_energy": 4.6 * 8e-12,
        "memory.phy_area": 14.5e-6,
        "links.area": 0.07e-15,
        "links.edge_density": 37.5e12,
        "links.energy": 80e-12,
        "links.idle_power": 80e-12,
        "links.price": 8e-9,
        "links.lane_rate": 25e9,
        "links.endpoint_latency": 0.2e-6,
        "links.switch_latency": 0.25e-6,
        "links.wire_latency": 20e-9,
        "links.software_latency": 5e-6,
        "links.radix": 72,
        "links.sync_price": 200e-6,
        "packaging.area_price": 0.37e6,
        "cooling.power_density": 1.2e6,
        "packaging.interposer_most": 5.5 * 858e-6,
        "packaging.expansion_mismatch": 4e-6,
        "packaging.substrate_modulus": 25e9,
        "packaging.warpage_most": 0.22e-3,
        "cooling.area_resistance": 50e-6,
        "pool.layer_capacity": 256e9,
        "cooling.coolant_temperature": 313.15,
        "economics.electricity_price": 0.075 / 3.6e6,
        "economics.life": 5 * 365.25 * 86400,
        "economics.cost_of_capital": 0.09 / (365.25 * 86400),
        "economics.chip_markup": 6.25,
    }
    values = leaves(n4)
    for key, value in expected.items():
        assert values[key] == approx(value, rel=1e-9), key


@pytest.mark.parametrize(
    ("memory", "layers", "capacity", "per_gigabyte"),
    [
        ("HBM2E", 8, 16, 12.5),
        ("HBM3", 8, 16, 16.9),
        ("HBM3E", 8, 24, 15.1),
        ("HBM4", 12, 36, 18),
        ("HBM4E", 12, 48, 23.4),
    ],
)
def test_a_stack_as_sold_costs_its_published_price(memory, layers, capacity, per_gigabyte):
    stack = technology(memory=memory).memory
    assert float(stack.layer_capacity) * layers == approx(
        capacity * 2**30
    )  # dies of 2^n bits: a vendor's GB is a GiB
    price = float(stack.stack_price + layers * stack.layer_price)
    assert price == approx(capacity * per_gigabyte, rel=1e-4)
    twelve = float(stack.stack_price + 12 * stack.layer_price)
    assert float(stack.stack_price) / twelve == approx(0.2, abs=1e-4)


def test_memory_price_rows_agree_with_the_published_price_per_capacity():
    for memory in ("HBM2E", "HBM3", "HBM3E", "HBM4"):
        published = lookup("memory", memory, "price_per_capacity")
        layer, base = (
            lookup("memory", memory, quantity) for quantity in ("layer_price", "stack_price")
        )
        layers = 12 if memory == "HBM4" else 8
        capacity = lookup("memory", memory, "layer_capacity").value * layers
        for bound in ("low", "value", "high"):
            price = getattr(base, bound) + layers * getattr(layer, bound)
            assert price / capacity == approx(getattr(published, bound), rel=1e-4), (memory, bound)


def test_critical_fraction_reproduces_the_harvested_yield_of_h100():
    logic = technology("N4").logic
    area, alpha = 814e-6, float(logic.defect_clustering)
    faults = area * float(logic.defect_density) * float(logic.critical_fraction)
    assert (1 + faults / alpha) ** -alpha == approx(0.88, abs=5e-4)


def test_links_follow_from_the_bidirectional_facts():
    area = lookup("links", "SerDes 200G", "area_per_bidirectional_bandwidth")
    edge = lookup("links", "SerDes edge density", "bw_density")
    price = lookup("links", "copper scale-up (NVLink)", "price_per_bidirectional_bandwidth")
    links = technology(link="NVLink5").links
    assert float(links.area) == approx(2 * area.si.value)
    assert float(links.edge_density) == approx(edge.si.value / 2)
    assert float(links.price) == approx(2 * price.si.value)


def test_idle_power_is_the_energy_of_links_that_never_sleep():
    for link in CHOICES["link"]:
        links = technology(link=link).links
        assert float(links.idle_power) == approx(float(links.energy), rel=1e-9), link


def test_a_buyer_pays_one_markup_and_nothing_else_changes():
    builder, buyer = leaves(technology()), leaves(technology(price_basis="buyer"))
    assert {key for key in builder if builder[key] != buyer[key]} == {"economics.chip_markup"}
    assert builder["economics.chip_markup"] == 1 and buyer["economics.chip_markup"] == approx(
        1 / (1 - 0.84)
    )


def test_utilisation_is_an_input():
    assert float(technology(utilisation=0.5).economics.utilisation) == 0.5
    for wrong in (0.0, 1.1, -0.2):
        with pytest.raises(ValueError, match=f"utilisation = {wrong}"):
            technology(utilisation=wrong)


@pytest.mark.parametrize(
    ("choices", "offered"),
    [
        ({"node": "N6"}, "'N"),
        ({"memory": "HBM5"}, "'HBM"),
        ({"link": "NVLink7"}, "'NVLink"),
        ({"cooling": "coldplate"}, "'cold-plate'"),
        ({"price_basis": "bulider"}, "'builder'"),
        ({"packaging": "CoWoS"}, "'CoWoS-"),
        ({"pool": "photonic"}, "'photonic-pool'"),
        ({"machine_class": "desk"}, "'desktop'"),
        ({"region": "Eire"}, "'Ireland'"),
    ],
)
def test_unknown_choices_offer_the_nearest(choices, offered):
    with pytest.raises(ValueError, match=f"did you mean {offered}"):
        technology(**choices)


def test_names_ignore_case():
    folded = technology("n4", "hbm3e", "nvlink5", "COLD-PLATE", "Buyer", packaging="cowos-l")
    assert leaves(folded) == leaves(technology("N4", "HBM3E", "NVLink5", price_basis="buyer"))


def test_what_is_on_offer():
    offered = technology_names()
    assert offered["node"] == ["N16", "N12", "8N", "N7", "N5", "N4", "N3", "N2"]
    assert len(offered["memory"]) == 14 and len(offered["link"]) == 22
    offered["node"].clear()
    assert technology_names()["node"], "a caller must not change the catalogue"


def test_unsourced_leaves_are_listed():
    assert set(unsourced({})) == {
        "links.price",
        "packaging.substrate_modulus",
    }
    assert set(unsourced({"memory": "GDDR7", "cooling": "air"})) == {
        *(
            "links.price",
            "packaging.substrate_modulus",
            "memory.stack_price",
            "memory.layer_price",
        ),
    }
    assert all(prior.source == "unsourced" for prior in unsourced().values())


def test_newer_nodes_are_denser_dearer_and_thriftier():
    nodes = [technology(node).logic for node in ("N12", "8N", "N7", "N5", "N3", "N2")]
    for field, direction in (
        ("matrix_density", 1),
        ("sram_density", 1),
        ("wafer_price", 1),
        ("matrix_energy", -1),
    ):
        steps = np.diff([direction * float(getattr(node, field)) for node in nodes])
        assert (steps > 0).all(), field


def test_the_voltage_slope_follows_from_the_foundry_claims():
    """V(1 + s)/V(1) = ((1 − p)(1 + s))^−1/2 at power −p or speed +s; its slope is 1 − v₀."""
    claims = [
        (0.34, 0.18),
        (0.275, 0.125),
        (0.275, 0.125),
        (0.35, 0.175),
        (0.175, 0.09),
    ]  # N3E, N3, N2, N2P, A16
    floors = [1 - (((1 - power) * (1 + speed)) ** -0.5 - 1) / speed for power, speed in claims]
    logic = technology_priors()["logic.voltage_floor"]
    assert logic.value == approx(float(np.mean(floors)), abs=5e-3)
    assert logic.low < min(floors) and max(floors) < logic.high


def test_the_scale_up_floor_of_nvlink_stays_near_half_a_microsecond():
    for link in ("NVLink4", "NVLink5", "NVLink6"):
        links = technology(link=link).links
        assert float(links.endpoint_latency + links.switch_latency + links.wire_latency) == approx(
            0.47e-6
        )


def test_a_pool_is_a_memory_of_its_own_choice():
    leaves_of = leaves(technology(memory="HBM3", pool="LPDDR5X"))
    other = leaves(technology(memory="LPDDR5X"))
    assert all(
        leaves_of[key.replace("memory.", "pool.")] == other[key]
        for key in other
        if key.startswith("memory.")
    )


def test_sram_as_memory_is_the_arrays_of_the_die():
    die = technology("N4", "SRAM")
    assert float(die.logic.sram_density) == approx(
        float(die.memory.layer_capacity / die.memory.phy_area)
    )
    assert float(die.memory.staged) == 0 and float(die.pool.staged) == 1
