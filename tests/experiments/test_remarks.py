"""Nothing silent: what an evaluation ignores, assumes or charges without a reader's knowing is a
sentence of its warnings."""

import math

import pytest

import codesign
import hardware_priors
from codesign.workload.catalogue import model
from experiments.points.remarks import remarks
from tests.examples import nightly

WIDE = ("--weight-bits", 16, "--kv-bits", 16, "--activation-bits", 16)
EIGHT = ("--weight-bits", 8, "--kv-bits", 8, "--activation-bits", 8)
LLAMA = ("evaluate", "--model", "llama-3.1-70b", "--execution", "operatorwise", "--json")
"""What is remarked upon does not depend on the execution; this one compiles fastest."""

OWN = """
memory_bandwidth = "4 TB/s"
memory_capacity = "96 GB"
peak_flops_8bit = "296 TFLOP/s"
peak_flops_16bit = "148 TFLOP/s"
sync_latency = "5 us"
link_bandwidth = "450 GB/s"
technology = ["N4", "HBM3", "NVLink4"]
"""


def warnings(run, *arguments: object) -> str:
    """The warnings of an evaluation, which its table for people shows too."""
    found = run(*arguments).json["warnings"]
    shown = " ".join(run(*(word for word in arguments if word != "--json")).out.split())
    assert all(" ".join(sentence.split()) in shown for sentence in found)
    return "\n".join(found)


def test_an_ordinary_point_has_none(run):
    assert warnings(run, *LLAMA, "--device", "h100", "--chips", 8, "--batch", 16) == ""


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("llama-3.1-70b", {"chips": 3}, "tensor degree 3 does not divide the 64 query heads.* 24 of them; the nearest that divide .* 2 and 4"),
        ("llama-3.1-70b", {"chips": 12}, "tensor degree 12 neither divides the 8 KV heads nor is a multiple.* which has 1; the nearest that do are 8 and 16"),
        ("qwen3.5-397b-a17b", {"chips": 32}, "tensor degree 32 does not divide the 16 key heads.* the nearest .* 16"),
        ("llama-3.1-70b", {"chips": 4000}, "tensor degree 4000 exceeds the 64 query heads.* 3936 of 4000 ranks have none"),
        ("deepseek-v3", {"chips": 256}, "tensor degree 256 exceeds the 128 query heads"),
        ("deepseek-v3", {"chips": 48, "data": 48, "expert": 48, "batch": 480}, "48 expert groups do not divide the 256 experts: .* holds 6"),
        ("mixtral-8x7b", {"chips": 16, "data": 16, "expert": 1e18, "batch": 64}, "16 expert groups for 8 experts: .* over 2 chips"),
        ("llama-3.1-70b", {"chips": 8, "data": 8, "batch": 2}, "batch 2 over 8 data groups and pipeline stages: 6 of them wait"),
        ("llama-3.1-70b", {"chips": 31, "data": 8, "batch": 8}, "31 chips over 8 groups are 3.875 each: .* a group of 3"),
        ("gpt2", {"chips": 16, "pipeline": 16, "batch": 16, "context": 1024}, "pipeline 16 exceeds the 12 layers"),
    ],
)  # fmt: skip
def test_layouts(name, arguments, told):
    import re

    stated = {"chips": 1, "batch": 1, "context": 1024, **arguments}
    phase = codesign.Decode(batch=stated.pop("batch"), context=stated.pop("context"))
    design = hardware_priors.device("h100").design(stated.pop("chips"))
    found = remarks(model(name), phase, codesign.Plan(**stated), design)
    assert any(re.search(told, sentence) for sentence in found), found


@pytest.mark.parametrize(
    ("name", "chips"),
    [
        ("llama-3.1-70b", 8),
        ("llama-3.1-70b", 64),
        ("deepseek-v3", 16),
        ("qwen3-next-80b-a3b", 4),
        ("gpt2", 4),
    ],
)
def test_layouts_that_engines_have(name, chips):
    phase = codesign.Decode(batch=64, context=1024)
    assert (
        remarks(model(name), phase, codesign.Plan(), hardware_priors.device("h100").design(chips))
        == []
    )


def test_three_cards_and_a_full_memory(run):
    """Llama-70B BF16 on A100 (field F14): TP3 was answered without a remark; on two a limit study
    fits on paper only."""
    assert "does not divide the 64 query heads" in warnings(
        run, *LLAMA, "--device", "a100", "--chips", 3, *WIDE
    )
    two = (*LLAMA, "--device", "a100", "--chips", 2, "--batch", 4, *WIDE)
    kept = (
        70.55e9 * 2 + 4 * 8192 * 80 * 2 * 8 * 128 * 2
    )  # weights; keys and values of 80 layers, 8 heads of 128
    full = kept / (2 * 81920 * 2**20)
    assert f"memory is {full:.0%} full and the limit study reserves nothing" in warnings(
        run, *two, "--execution", "limit"
    )
    assert warnings(run, *two) == "" and run(*two).json["limits"]["capacity"] == pytest.approx(
        math.log(full / 0.9), abs=2e-3
    )


def test_prices_of_another_machine(run):
    """--link and --memory changed the price alone, and nobody said so (field F39)."""
    arguments = (*LLAMA, "--device", "h100", "--chips", 8, *EIGHT)
    told = warnings(run, *arguments, "--link", "Ethernet", "--memory", "HBM4", "--node", "N3")
    for part, own in (("link Ethernet", "NVLink4"), ("memory HBM4", "HBM3"), ("node N3", "N4")):
        assert (
            f"--{part} changes prices, energy, area and limits only: time is that of the device's"
            f" own {own}" in told
        )
    assert warnings(run, *arguments, "--link", "NVLink4") == ""
    slow = (
        *arguments,
        "--link",
        "Ethernet",
        "--link-bandwidth",
        "64 GB/s",
        "--sync-latency-us",
        20,
    )
    assert warnings(run, *slow) == ""
    as_sold, without = run(*arguments).json, run(*slow).json
    assert without["step_time_s"] > 1.5 * as_sold["step_time_s"]  # eight H100 without NVLink
    assert without["inputs"]["design_si"]["link_bandwidth"] == 64e9


def test_what_if_quantities(run, refused):
    arguments = (*LLAMA, "--device", "h100", "--chips", 8)
    twice = run(
        *arguments,
        "--memory-bandwidth",
        "6.7 TB/s",
        "--memory-capacity",
        "160 GB",
        "--peak-flops",
        "3.958 PFLOP/s",
    ).json
    assert twice["inputs"]["design_si"]["memory_capacity"] == 160e9
    assert twice["breakdown"]["memory"] == pytest.approx(
        0.5 * run(*arguments).json["breakdown"]["memory"], rel=1e-3
    )
    far = run(*arguments, "--scale-up-domain", 2).json
    assert far["step_time_s"] > run(*arguments).json["step_time_s"]
    assert "--link-bandwidth is '64': " in refused(*arguments, "--link-bandwidth", 64)
    assert "--memory-capacity is '-1 GB'; expected a finite quantity above zero [B]" in refused(
        *arguments, "--memory-capacity", "-1 GB"
    )
    assert "what other speeds would do: --link-bandwidth" in refused(*arguments, "--link", "PCIe9")


def test_what_is_drawn_is_provisioned_for(run):
    report = run("evaluate", "--model", "llama-3.1-8b", "--device", "rtx-4090", "--json").json
    assert report["provisioned_power_w"] >= report["power_w"] * (1.0 - 1e-9)


def test_cards_say_what_stands_around_them(run):
    """18,977 USD for a 4090 without a word (fields F11, F12)."""
    told = warnings(run, "evaluate", "--model", "llama-3.1-8b", "--device", "rtx-4090", "--json")
    assert "a machine of class desktop (judged): of 2," in told
    assert "and the chip with its memory" in told


@nightly
def test_bytes_in_a_pool(run, refused, tmp_path):
    """DeepSeek-R1 at 4 bit on one 4090 with 512 GB of host memory (field F18): stated in a file, it
    was read and unused."""
    card = (
        OWN.replace("4 TB/s", "1 TB/s").replace("96 GB", "24 GB")
        + 'pool_capacity = "512 GB"\npool_bandwidth = "80 GB/s"\n'
    )
    (tmp_path / "card.toml").write_text(card)
    arguments = (
        "evaluate",
        "--model",
        "deepseek-r1",
        "--device",
        "card.toml",
        "--weight-bits",
        4,
        "--context",
        2048,
        "--json",
    )
    idle = run(*arguments)
    assert (
        idle.code == 3
        and "their pools hold what --weights-in-pool and --state-in-pool say" in idle.err
    )
    report = run(*arguments, "--weights-in-pool", 0.97).json
    streamed = (
        0.97 * 37.55e9 / 2 / 80e9
    )  # active parameters, half a byte each, over the host's memory bus
    assert report["fits"] and report["step_time_s"] == pytest.approx(streamed, rel=0.05)
    small = ("evaluate", "--model", "llama-3.1-8b", "--device", "card.toml", "--json", *EIGHT)
    assert "the pool of 476.8 GiB a chip lies idle" in warnings(run, *small)
    assert run(*small, "--state-in-pool", 1.0).json["capacity_available_bytes"] == pytest.approx(
        0.9 * 24e9 + 512e9
    )
    told = refused(
        *(word for word in arguments if word != "--json"), "--weights-in-pool", 0.5, code=3
    )
    assert "50% of the weights" in told and "the fuller of both would hold 7.77 times" in told
    nowhere = refused(
        "evaluate", "--model", "llama-3.1-8b", "--device", "h100", "--weights-in-pool", 0.5
    )
    assert (
        "--weights-in-pool is 0.5, but h100 has no pool; expected --pool-capacity and"
        " --pool-bandwidth" in nowhere
    )
    alone = refused(
        "evaluate", "--model", "llama-3.1-8b", "--device", "h100", "--pool-capacity", "1 TB"
    )
    assert "--pool-capacity is given without --pool-bandwidth; expected both" in alone


def test_a_rate_a_width_and_a_domain(run, refused, tmp_path):
    """278.9 ms at 8 bit and 280.4 at 16, and 16 chips in one domain that nobody had stated (field
    F40, an H20)."""
    (tmp_path / "h20.toml").write_text(OWN + "scale_up_domain = 8\n")
    arguments = (
        "evaluate",
        "--model",
        "llama-3.1-8b",
        "--device",
        "h20.toml",
        "--phase",
        "prefill",
        "--prompt",
        8192,
        "--json",
    )
    bare = ("--execution", "operatorwise")
    narrow, wide = run(*arguments, *EIGHT, *bare).json, run(*arguments, *WIDE, *bare).json
    assert wide["breakdown"]["compute"] == pytest.approx(
        2 * narrow["breakdown"]["compute"], rel=0.02
    )
    assert "h20 has no rate for 4-bit products: those of 8 bits are used" in warnings(
        run, *arguments, "--weight-bits", 4, "--activation-bits", 4
    )
    assert "h20 does not state everything; assumed: sram_capacity 50 MB" in warnings(
        run, *arguments
    )
    told = refused(*arguments, "--weight-bits", 32)
    assert (
        "h20: no rate for 32-bit products is stated (found peak_flops_8bit, peak_flops_16bit); add"
        " peak_flops_32bit" in told
    )
    (tmp_path / "h20.toml").write_text(OWN)
    assert "scale_up_domain is missing and 16 chips need it" in refused(*arguments, "--chips", 16)
    ampere = warnings(run, *LLAMA, "--device", "a100", "--chips", 4, *EIGHT)
    assert "a100 has no rate for 8-bit products: those of 16 bits are used" in ampere


def test_fits_is_memory_and_promise(run):
    arguments = (
        *LLAMA,
        "--device",
        "a100",
        "--chips",
        4,
    )  # two layers of its price model's memory more than are on sale
    report = run(*arguments).json
    assert report["fits"] and report["fits_memory"] and report["limits_broken"] == ["layers_most"]
    late = run(*arguments, "--promise-ms", 0.1)
    assert late.code == 3 and late.json["fits_memory"] and not late.json["fits"]


def test_the_hint_says_what_it_counts(run):
    """30 RTX 4090 'is the least that fits', by bytes, over a domain of 8 (field F17)."""
    arguments = ("evaluate", "--model", "deepseek-v3", "--device", "rtx-4090", "--chips", 28)
    assert (
        "by bytes alone, 10% of memory reserved for activations and the engine, beyond the scale-up"
        " domain of 8" in run(*arguments).err
    )
    assert (
        "by bytes alone, nothing reserved for activations"
        in run(*arguments[:-1], 24, "--execution", "limit").err
    )
