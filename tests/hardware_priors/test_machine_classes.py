"""What stands around the chips: every device has a class, and pays what its class costs."""

from functools import partial

import pytest

import codesign
import hardware_priors
from codesign.physical.cost import Cost
from hardware_priors.choices import CHOICES
from hardware_priors.devices import Device, device, device_names
from hardware_priors.technologies import technology_of, technology_priors

approx = partial(pytest.approx, rel=1e-9, abs=0.0)

WORK = codesign.Workload(codesign.model("llama-3.1-8b"), codesign.Decode(batch=8, context=2048))
DATA_CENTRE = ("scale-up rack", "8-way server")


def cost_of(name: str, price_basis: str = "buyer") -> Cost:
    """The share of one chip."""
    found = device(name)
    world = technology_of(found, price_basis=price_basis)
    return codesign.evaluate(found.design(1), WORK, technology=world).cost


def within(value, name: str) -> bool:
    """Whether a price lies in the range of prices at which a device was sold."""
    price = Device(name).price
    assert price is not None
    return price.low <= float(value) <= price.high


def test_every_shipped_device_has_a_class_on_offer():
    assert len(device_names()) == 94
    assert {Device(name).machine_class for name in device_names()} == set(CHOICES["machine_class"])


def test_a_card_a_box_and_a_wafer_cost_what_they_are_sold_at():
    card, box, wafer = cost_of("rtx-4090"), cost_of("gb10"), cost_of("wse-3")
    assert within(card.bill_of_materials + card.margin, "rtx-4090")  # without its computer
    assert within(box.equipment, "gb10")  # with all that is in the box
    assert within(wafer.equipment, "wse-3")  # with its chassis


def test_no_eight_way_share_stands_beside_a_card_or_a_box():
    share = float(cost_of("h100").server + cost_of("h100").network)
    assert share == approx(15801.29, rel=1e-4)
    for name in ("rtx-4090", "gb10", "m4-max"):
        own = cost_of(name, "builder")
        assert float(own.server + own.network) < 0.1 * share, name
        assert float(own.facility) < 0.3 * float(own.equipment), name  # a wall for its rating


def test_racks_and_eight_way_servers_cost_what_the_data_centre_does():
    for built in DATA_CENTRE:
        facts = technology_priors(machine_class=built)
        assert facts == technology_priors()
    assert facts["economics.server_price"].name == "data centre"


def test_a_class_changes_money_and_the_wall_alone():
    usual = technology_priors(price_basis="buyer")
    changed = {
        leaf
        for built in CHOICES["machine_class"]
        for leaf, fact in technology_priors(price_basis="buyer", machine_class=built).items()
        if fact != usual[leaf]
    }
    assert changed == {
        *("economics.server_price", "economics.power_overhead", "economics.pue"),
        *("economics.facility_price", "economics.chip_markup"),
        *("packaging.assembly_price", "cooling.price", "logic.critical_fraction"),
    }


def test_a_region_changes_the_price_of_electricity_alone():
    usual = technology_priors()
    for region in CHOICES["region"]:
        facts = technology_priors(region=region)
        changed = {leaf for leaf in facts if facts[leaf] != usual[leaf]}
        assert changed <= {"economics.electricity_price"}
    dear = technology_priors(region="Ireland")["economics.electricity_price"]
    assert dear.value == 0.276 and dear.unit == "USD/kWh"


FILE = """
memory_bandwidth = "1 TB/s"
memory_capacity = "24 GB"
peak_flops_8bit = "0.3 PFLOP/s"
sync_latency = "26 us"
link_bandwidth = "32 GB/s"
scale_up_domain = 2
technology = ["N4", "GDDR6X", "PCIe4"]
"""


def test_a_file_without_a_class_says_which_it_took(tmp_path):
    path = tmp_path / "card.toml"
    path.write_text(FILE, encoding="utf-8")
    plain = device(str(path))
    assert plain.machine_class == "scale-up rack"
    assert "machine_class scale-up rack" in plain.assumed(1)
    path.write_text(FILE + 'machine_class = "Desktop"\n', encoding="utf-8")
    own = device(str(path))
    assert own.machine_class == "desktop" and "machine_class" not in " ".join(own.assumed(1))
    assert "scale_out_bandwidth 1.25 GB/s" in own.assumed(3)
    assert float(own.design(3).scale_out_bandwidth) == 1.25e9
    assert float(technology_of(own).economics.server_price) == 1200.0
    path.write_text(FILE + 'machine_class = "dektop"\n', encoding="utf-8")
    with pytest.raises(ValueError, match="unknown machine_class 'dektop'; did you mean 'desktop'"):
        device(str(path))


def test_numbers_of_ones_own_replace_facts_and_are_certain():
    facts = technology_priors(stated={"memory.layer_price": 40.0, "economics.utilisation": 0.5})
    layer = facts["memory.layer_price"]
    assert (layer.low, layer.value, layer.high) == (40.0, 40.0, 40.0)
    assert layer.distribution == "fixed" and layer.source == "stated by the user"
    world = hardware_priors.technology(stated={"memory.layer_price": 40.0})
    assert float(world.memory.layer_price) == 40.0


@pytest.mark.parametrize(
    ("stated", "complaint"),
    [
        ({"memory.layer_prize": 1.0}, "did you mean 'memory.layer_price'"),
        ({"memory.layer_price": -1.0}, "memory.layer_price = -1 .USD.: expected .* 0 or more"),
        ({"memory.stack_bandwidth": 0.0}, "expected a finite value above 0"),
        ({"economics.pue": 0.9}, "economics.pue = 0.9 .1.: expected a finite value at least 1"),
        ({"economics.utilisation": 1.5}, "above 0 and at most 1"),
        ({"development.masks": 1e6}, "no effect without a fleet's power"),
    ],
)
def test_a_number_that_no_technology_has_is_refused(stated, complaint):
    with pytest.raises(ValueError, match=complaint):
        hardware_priors.technology(stated=stated)
