"""Devices: published numbers in SI, the format that serves a width, what joins them, sync by chip
count, files of one's own."""

from functools import partial

import jax
import numpy as np
import pytest

import codesign
from codesign.hardware.design import Design
from hardware_priors.devices import FLOATING_FORMATS, Device, device, device_names, refused_devices
from hardware_priors.machines import machine_of
from hardware_priors.plannable import plannable

approx = partial(pytest.approx, rel=1e-9, abs=0.0)
"""The default absolute tolerance of pytest, 1e-12, would let any SI coefficient of links or
energies pass."""


def test_h100_is_the_published_h100():
    design = device("h100").design(8)
    published = {
        "memory_bandwidth": 3.35e12,
        "memory_capacity": 81559 * 2**20,
        "peak_flops": 1.979e15,
        "link_bandwidth": 450e9,
    }
    published |= {
        "chips": 8,
        "scale_up_domain": 8,
        "scale_out_bandwidth": 50e9,
        "sram_capacity": 50e6,
    }
    for quantity, value in published.items():
        assert float(getattr(design, quantity)) == approx(value), quantity
    assert 3e-6 < float(design.sync_latency) < 6e-6 and float(design.scale_out_latency) == approx(
        46.5e-6
    )


@pytest.mark.parametrize(
    ("name", "bits", "peak"),
    [
        ("h100", 16, 989.4e12),
        ("a100", 8, 312e12),  # its int8 peak does not serve FP8
        ("tpu-v6e", 8, 918e12),
        ("b200", 4, 9e15),
        ("h100", 4, 1.979e15),  # no FP4 unit: the next wider format
        ("b200", 6, 4.5e15),
        ("groq-lpu", 16, 188e12),
        ("b300", 8, 4.5e15),  # its int8 peak is a thirtieth of that
        ("mi355x", 8, 5.033e15),
        ("l40s", 16, 362e12),  # 733 is with sparsity
        ("l40", 16, 181e12),
        ("h20", 8, 296e12),
        ("h100-pcie", 8, 1513e12),
        ("rtx-3090", 16, 71.2e12),  # GeForce: half rate with FP32 accumulation
        ("rtx-4090", 8, 330.3e12),
        ("rtx-5090", 16, 209.5e12),
        ("rtx-5090", 4, 1676e12),  # 3352 is with sparsity
        ("t4", 8, 65.1e12),  # no FP8 and no BF16
        ("mi250x", 8, 383e12),
        ("tpu-v6e", 4, 918e12),
    ],
)
def test_the_narrowest_format_that_is_wide_enough(name, bits, peak):
    assert float(device(name).design(1, bits).peak_flops) == approx(peak)


def test_integer_and_sparse_peaks_never_serve_floating_point():
    served = {quantity for quantities in FLOATING_FORMATS.values() for quantity in quantities}
    assert not any("int" in quantity or "sparse" in quantity for quantity in served)
    for name in device_names():
        floating = {
            prior.si.value for quantity, prior in Device(name).priors.items() if quantity in served
        }
        for bits in (4, 8):
            assert Device(name).peak(bits).si.value in floating, (name, bits)


@pytest.mark.parametrize(
    ("name", "reported"),
    [
        ("h100", 85.5e9),
        ("h200", 150.8e9),
        ("gb200", 198.7e9),
        ("b300", 288.4e9),
        ("gb300", 298.0e9),
        ("b200", 192.3e9),
        ("a100", 85.9e9),
        ("l40s", 48.3e9),
        ("rtx-4090", 25.76e9),
        ("rtx-pro-6000-server", 102.6e9),
        ("mi300x", 206141652992),
        ("mi355x", 309220868096),
        ("tpu-v5e", 17.2e9),
        ("tpu-v7", 206e9),
    ],
)
def test_capacities_are_what_the_driver_reports(name, reported):
    """nvidia-smi, rocm-smi and JAX count MiB and bytes where the vendor's page prints GB."""
    assert float(device(name).design(1).memory_capacity) == pytest.approx(reported, rel=1.5e-3)


def test_capacities_of_what_is_sold_are_counted_in_binary_units():
    """A GB of a data sheet is a GiB of DRAM: no driver leaves 10⁹ bytes a gigabyte."""
    decimal = {
        name for name in device_names() if Device(name).fact("memory_capacity").unit in ("GB", "MB")
    }
    on_sale = {
        name
        for name in decimal
        if Device(name).status == "two sources" and device(name).technology_names()[1] != "SRAM"
    }
    # whose owners print GB and whose drivers nobody outside has run, or whose page says otherwise
    assert on_sale <= {"maia-100", "maia-200", "mtia-300", "mtia-400", "ascend-950pr"}


@pytest.mark.parametrize(("chips", "microseconds"), [(1, 0.2), (8, 0.2), (9, 1.5), (128, 1.5)])
def test_sync_of_the_limit_study(chips, microseconds):
    assert float(device("xpu-hbm3").design(chips).sync_latency) == approx(microseconds * 1e-6)


def test_limit_study_is_in_binary_units():
    chips = {"xpu-hbm3": 4, "xpu-hbm4": 18, "xpu-3d-dram": 30, "xpu-sram": 117, "xpu-cows": 2250}
    for name, tebibytes in chips.items():
        assert float(device(name).design(8).memory_bandwidth) == tebibytes * 2**40


def test_a_torus_slows_with_its_size_and_stops_at_the_domain():
    chip = device("tpu-v5e")
    assert chip.sync_latency(256) == approx(16e-6)  # 2 x 16 / 2 hops of 1 us
    assert chip.sync_latency(1) == approx(1e-6)
    assert chip.sync_latency(1000) == chip.sync_latency(256)


MAY_BE_ZERO = ("white_silicon", "pool_capacity", "pool_bandwidth", "power_cap")
"""None of it, or none stated."""


def test_at_least_ninety_devices_build_finite_designs():
    assert len(device_names()) >= 90
    for name in device_names():
        design = device(name).design(8)
        assert isinstance(design, Design)
        for path, leaf in jax.tree_util.tree_leaves_with_path(design):
            may_be_zero = path[0].name in MAY_BE_ZERO
            assert np.isfinite(leaf) and (leaf > 0 or may_be_zero), (name, path)
        # Guards against a unit slip of a thousand: no chip sweeps its memory faster than 2 us or
        # slower than 700 ms.
        assert 2e-6 < float(design.memory_capacity / design.memory_bandwidth) < 0.7, name
        assert 1e13 < float(design.peak_flops) < 1e17, name
        assert 5e9 < float(design.link_bandwidth) < 6e12, name


def test_a_missing_quantity_is_named_only_when_needed():
    chip = device("l2")
    assert chip.tdp is None and float(chip.design(4).chips) == 4
    with pytest.raises(ValueError, match="l2: no tdp is published"):
        Device("l2").fact("tdp")
    with pytest.raises(
        ValueError,
        match=r"rubin-ultra: no peak_fp16 or wider is published \(found peak_fp4, peak_fp8\)",
    ):
        device("rubin-ultra").design(4, 16)


def test_cards_say_what_joins_them():
    """PCIe and consumer parts have no NVLink: their rate is the slot's, one way, and their domain a
    server."""
    rates = {"PCIe3": 16e9, "PCIe4": 32e9, "PCIe5": 64e9, "PCIe6": 128e9}
    cards = [name for name in device_names() if Device(name).technology_names()[2] in rates]
    assert len(cards) >= 20
    for name in cards:
        design, link = device(name).design(1), Device(name).technology_names()[2]
        lanes_of_eight = name in ("b60", "mtia-2")
        known = name == "corsair"  # two bridged cards
        assert known or float(design.link_bandwidth) == rates[link] / (
            2 if lanes_of_eight else 1
        ), name
        assert "PCIe" in Device(name).joined_by and (
            known or float(design.scale_up_domain) <= 12
        ), name
    assert (
        "host memory" in Device("rtx-4090").joined_by
        and "host memory" not in Device("l40s").joined_by
    )


def test_memories_and_processes_of_cards():
    assert device("l40s").technology_names() == ("N4", "GDDR6", "PCIe4")
    assert device("rtx-4090").technology_names() == ("N4", "GDDR6X", "PCIe4")
    assert device("rtx-5090").technology_names() == ("N4", "GDDR7", "PCIe5")
    assert device("v100-sxm2-32").technology_names() == ("N12", "HBM2", "NVLink2")
    assert device("gb10").technology_names()[1] == "LPDDR5X"


def test_how_well_a_device_is_known_is_said():
    known = {name: Device(name).status for name in device_names()}
    assert set(known.values()) == {"two sources", "single source", "announced", "studied"}
    assert (known["h100"], known["m4-max"], known["rubin"]) == (
        "two sources",
        "single source",
        "announced",
    )
    for name, status in known.items():
        if status == "announced":
            assert min(prior.year for prior in Device(name).priors.values()) >= 2026, name


def test_what_is_left_out_is_refused_with_its_reason():
    assert not set(refused_devices()) & set(device_names())
    for name, reason in refused_devices().items():
        with pytest.raises(ValueError, match=f"{name}: not in the catalogue, because") as caught:
            device(name.upper())
        assert reason in str(caught.value)


def test_what_it_says_of_itself():
    chip = device("h100")
    assert (
        chip.tdp
        and chip.tdp.si.value == 700
        and chip.die_area
        and chip.die_area.si.value == approx(814e-6)
    )
    assert chip.stacks and chip.stacks.value == 5 and chip.bom and chip.bom.value == 3320
    assert (chip.node, chip.memory_type) == ("TSMC 4N", "HBM3")
    assert device("rubin").bom is None
    assert chip.priors["tdp"] == chip.tdp


def test_what_the_catalogue_knows_beyond_the_six():
    b200, h200, corsair = (device(name).design(1) for name in ("b200", "h200", "corsair"))
    assert float(b200.dies) == 2 and float(h200.dies) == 1
    assert float(h200.sram_bandwidth) == approx(8.138e12)
    assert float(corsair.pool_capacity) == approx(256e9) and float(
        corsair.memory_capacity
    ) == approx(2e9)


def test_every_device_can_be_priced():
    from hardware_priors.technologies import technology_priors

    for name in device_names():
        node, memory, link = device(name).technology_names()
        assert technology_priors(node, memory, link)


def test_bad_names_and_counts():
    with pytest.raises(ValueError, match="did you mean 'h100'"):
        device("h10")
    with pytest.raises(ValueError, match="chips = 0"):
        device("h100").design(0)
    with pytest.raises(ValueError, match=r"no peak_fp32 .*peak_bf16"):
        device("h100").design(1, 32)


FILE = """
memory_bandwidth = "3.35 TB/s"
memory_capacity = "96 GiB"
peak_flops_16bit = "0.99 PFLOP/s"
peak_flops_8bit = "1.979 PFLOP/s"
sync_latency = "1.5 us"
link_bandwidth = "450 GB/s"
scale_up_domain = 72
technology = ["n3", "hbm4", "nvlink5"]
"""


def written(folder, text):
    path = folder / "my_chip.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_device_of_ones_own(tmp_path):
    chip = device(written(tmp_path, FILE))
    design = chip.design(16)
    assert (
        chip.name == "my_chip"
        and chip.technology_names() == ("N3", "HBM4", "NVLink5")
        and chip.tdp is None
    )
    assert float(design.memory_capacity) == 96 * 2**30 and float(design.scale_up_domain) == 72
    assert float(design.sync_latency) == approx(1.5e-6) and float(design.chips) == 16
    assert float(design.scale_out_bandwidth) == 50e9  # the default of Design


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("memory_capacity", "memory_capcity", "did you mean 'memory_capacity'"),
        ('"96 GiB"', '"-96 GiB"', "memory_capacity = '-96 GiB'.*above zero"),
        ('"96 GiB"', '"0 GiB"', "memory_capacity = '0 GiB'.*above zero"),
        ('"96 GiB"', '"96 GiB/s"', "converts to 'B'"),
        ('"96 GiB"', '"96 Gb"', "nearest known unit"),
        ('"96 GiB"', "96e9", "write the unit too"),
        ('memory_capacity = "96 GiB"', "", "missing memory_capacity"),
        ('"hbm4", ', "", "expected \\[node, memory, link\\]"),
        ('"hbm4"', '"hbm8"', "did you mean 'HBM"),
        ("= 72", "= = 72", "not a TOML file"),
        ("= 72", "= true", "scale_up_domain = True"),
        (
            "peak_flops_8bit",
            "peak_flops",
            (
                r"does not say at which width it holds and other rates do; write peak_flops_8bit ="
                r" '1.979"
            ),
        ),
        (
            "peak_flops_8bit",
            "peak_flops_bits = 12\npeak_flops",
            "peak_flops_bits = 12: expected one of 4, 8, 16, 32",
        ),
        ("peak_flops_8bit", "peak_flops_bits = 16\npeak_flops", "both state the rate at 16 bits"),
        ("scale_up", "peak_flops_bits = 8\nscale_up", "without peak_flops"),
        (
            "peak_flops_8bit",
            "peak_flops_9bit",
            "unknown key 'peak_flops_9bit'; did you mean 'peak_flops_",
        ),
        ("scale_up", 'pool_capacity = "512 GB"\nscale_up', "missing pool_bandwidth"),
        ("scale_up", "price = 35000\nscale_up", "price = 35000: write the unit too, .* 'USD'"),
        ("scale_up", 'price = "35 kW"\nscale_up', "price: '35 kW' has the wrong kind of unit"),
        ("scale_up", 'hourly = "2.2 $"\nscale_up', "hourly: '2.2 \\$' has the wrong kind of unit"),
        (
            "scale_up",
            'hourly = "-2 $/h"\nscale_up',
            "hourly = '-2 \\$/h': expected a finite value above",
        ),
        (
            "scale_up",
            'power = "0 W"\nscale_up',
            "power = '0 W': expected a finite value above zero",
        ),
        ("scale_up", 'price = "35 k$"\nhourly = "2 $/h"\nscale_up', "expected one of them"),
        ("scale_up", 'pirce = "35 k$"\nscale_up', "did you mean 'price'"),
    ],
)
def test_a_bad_file_is_refused_by_name(tmp_path, old, new, named):
    with pytest.raises(ValueError, match=named):
        device(written(tmp_path, FILE.replace(old, new)))


@pytest.mark.parametrize(
    ("line", "price", "hourly"),
    [('price = "35 k$"', 35000.0, None), ('hourly = "2.2 $/h"', None, 2.2), ("", None, None)],
)
def test_a_price_of_ones_own_is_planned_with(tmp_path, line, price, hourly):
    chip = device(written(tmp_path, f'{FILE}{line}\npower = "0.7 kW"\n'))
    planned = plannable(chip, codesign.uniform(8))
    assert (planned.price, planned.hourly) == (price, hourly and approx(hourly))
    assert plannable(chip, codesign.uniform(8), hourly=3.0).hourly == 3.0
    assert plannable(chip, codesign.uniform(8), hourly=3.0).price is None
    assert machine_of(device(written(tmp_path, FILE + 'power = "0.7 kW"'))).rated_power == 700.0


def test_rates_by_width(tmp_path):
    """One rate held at every width: twice too fast at 16 bit. The narrowest that is wide enough
    serves; none is invented."""
    chip = device(written(tmp_path, FILE))
    assert [float(chip.design(1, bits).peak_flops) for bits in (16, 12, 8, 4.25, 4)] == [
        0.99e15,
        0.99e15,
        1.979e15,
        1.979e15,
        1.979e15,
    ]
    assert [chip.width(bits) for bits in (16, 9, 8, 4)] == [16, 16, 8, 8]
    with pytest.raises(
        ValueError,
        match=(
            r"no rate for 32-bit products .*found peak_flops_8bit, peak_flops_16bit.*add"
            r" peak_flops_32bit"
        ),
    ):
        chip.design(1, 32)
    narrow = device(
        written(
            tmp_path,
            FILE.replace('peak_flops_16bit = "0.99 PFLOP/s"', "")
            .replace("_8bit", "")
            .replace("= 72", "= 72\npeak_flops_bits = 8"),
        )
    )
    assert float(narrow.design(1, 8).peak_flops) == 1.979e15
    with pytest.raises(ValueError, match="add peak_flops_16bit"):
        narrow.design(1, 16)
    assert (device("a100").width(8), device("h100").width(8), device("b200").width(4)) == (16, 8, 4)


def test_a_rate_without_its_width_is_an_assumption_that_is_told(tmp_path):
    chip = device(
        written(
            tmp_path, FILE.replace('peak_flops_16bit = "0.99 PFLOP/s"', "").replace("_8bit", "")
        )
    )
    assert [float(chip.design(1, bits).peak_flops) for bits in (4, 8, 16)] == [
        1.979e15,
        1.979e15,
        1.979e15 / 2,
    ]
    assert "peak_flops 1.979 PFLOP/s at 8 bits and half of it at 16" in chip.assumed(1)
    assert not any("peak_flops" in line for line in device(written(tmp_path, FILE)).assumed(1))


def test_a_domain_is_stated_where_chips_share_one(tmp_path):
    """Left out, it joined any number of chips: 16 H20 took 18.4 ms instead of 23.8 (field F40)."""
    chip = device(written(tmp_path, FILE.replace("scale_up_domain = 72", "")))
    assert float(chip.design(1).scale_up_domain) == 1
    with pytest.raises(
        ValueError, match="scale_up_domain is missing and 16 chips need it; add scale_up_domain = N"
    ):
        chip.design(16)


def test_what_a_file_leaves_out_is_told(tmp_path):
    chip = device(written(tmp_path, FILE))
    assert chip.assumed(16) == [
        "sram_capacity 50 MB",
        "sram_bandwidth 20 TB/s",
        "dies 1",
        "clock 1",
        "machine_class scale-up rack",
    ]
    assert chip.assumed(144)[-4:] == [
        "scale_out_bandwidth 50 GB/s",
        "scale_out_latency 20 us",
        "clock 1",
        "machine_class scale-up rack",
    ]
    assert device("h100").assumed(8) == [] and device("h100").assumed(16) == [
        "scale_out_latency 46.5 us"
    ]


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match="cannot read the device file"):
        device(str(tmp_path / "none.toml"))


def test_a_file_without_technology_still_designs(tmp_path):
    chip = device(written(tmp_path, FILE.replace('technology = ["n3", "hbm4", "nvlink5"]', "")))
    assert float(chip.design(1).chips) == 1
    with pytest.raises(ValueError, match="no technology is stated"):
        chip.technology_names()
    with pytest.raises(ValueError, match=r"chips = 0\.5"):
        chip.design(0.5)


@pytest.mark.parametrize(
    ("name", "gibibytes", "installed"),
    [
        ("m5-max", 107.52, 128),
        ("m4-max", 107.52, 128),
        ("m3-ultra", 464, 512),
        ("gb10", 119.7, 128),
    ],
)
def test_memory_shared_with_the_processor_is_what_the_gpu_may_take(name, gibibytes, installed):
    """macOS leaves the GPU 107.52 of 128 GiB and 464 of 512 unless iogpu.wired_limit_mb is set."""
    capacity = device(name).fact("memory_capacity")
    assert float(device(name).design(1, 16).memory_capacity) == pytest.approx(gibibytes * 2**30)
    assert capacity.low <= gibibytes < capacity.high == installed
