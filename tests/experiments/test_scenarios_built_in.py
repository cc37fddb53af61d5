"""The built-in scenarios: what the files promise, that they pose problems, and that every line says
why or whence."""

from importlib import resources

import pytest

import codesign
import hardware_priors
from experiments.scenarios.problem import problem
from experiments.scenarios.schema import Scenario
from experiments.scenarios.toml_text import scenario, scenario_names
from hardware_priors.quantities import parse

ISSUED = (
    "dense",
    "dense-128k",
    "chat",
    "reasoning",
    "fast-70b",
    "fast-gpt-oss",
    "offline",
    "fleet",
)
EXPLAINED = ("workload", "technology", "machines", "space", "fixed", "choices", "fleet", "search")
"""Sections in which every line says why or whence."""
UNEXPLAINED = ("execution", "objectives", "weights", "seed")
"""Keys of ``[search]`` that name themselves."""


def text(name: str) -> str:
    return (resources.files("experiments") / "scenarios" / f"{name}.toml").read_text(
        encoding="utf-8"
    )


def silent_lines(content: str) -> list[str]:
    """Lines of a scenario that set something without saying why or whence."""
    section, found = "", []
    for line in map(str.strip, content.splitlines()):
        if line.startswith("["):
            section = line.split("#")[0].strip().strip("[]")
        elif section in EXPLAINED and "=" in line and not line.startswith("#"):
            key, said = (
                line.split("=", 1)[0].strip(),
                line.rpartition("#")[2].strip() if "#" in line else "",
            )
            if len(said) < 8 and key not in UNEXPLAINED:
                found.append(line)
    return found


def test_all_are_shipped():
    assert set(ISSUED) <= set(scenario_names())


@pytest.mark.parametrize("name", scenario_names())
def test_every_line_says_why_or_whence(name):
    assert name == "llama-405b" or silent_lines(text(name)) == []
    assert max(map(len, text(name).splitlines())) <= 140


def test_a_silent_line_is_found():
    assert silent_lines(
        "[space]\nchips = [1, 2]\nbatch = [1, 2] # why it is so\n[search]\nseed = 0"
    ) == ["chips = [1, 2]"]


@pytest.mark.parametrize("name", ISSUED)
def test_sources_are_named(name):
    """A paper of every model but those that refer to another scenario, and the tables that figures
    of technology are from."""
    content = text(name)
    assert "arXiv 2" in content
    for table in ("memory.csv", "links.csv", "devices.csv", "cooling.csv", "packaging.csv"):
        assert table in content, table


@pytest.mark.parametrize("name", ISSUED)
def test_no_machine_leaves_its_domain_with_experts_dealt_whole(name):
    """Beyond a scale-up domain nothing is proved of experts dealt whole
    (``codesign.search.verification.optimality.convex``)."""
    stated = scenario(name)
    if "whole" in stated.choices.experts:
        assert stated.space.chips[1] <= min(stated.choices.domain)


@pytest.mark.parametrize("name", ISSUED)
def test_few_choices_in_build_mode(name):
    stated = scenario(name)
    posed = problem(stated)
    assert stated.space.mode == "build" and 1 <= len(posed.choices) <= 6
    assert len({choice.name for choice in posed.choices}) == len(posed.choices)
    assert [objective.name for objective in posed.objectives] == [
        "$/token",
        "tokens/s/W",
        "tokens/s/user",
    ]


def promises(stated: Scenario) -> list[float]:
    return [parse(work.promise, like="s") for work in stated.workload]


@pytest.mark.parametrize(
    ("name", "models", "seconds", "watts"),
    [
        ("dense", ["llama-3.1-405b"], [0.020], None),
        ("dense-128k", ["llama-3.1-405b"], [0.020], None),
        ("chat", ["deepseek-v3"], [0.020], 100e6),
        ("reasoning", ["kimi-k2"], [0.010], 50e6),
        ("fast-70b", ["llama-3.3-70b"], [0.001], 10e6),
        ("fast-gpt-oss", ["gpt-oss-120b"], [0.001], 10e6),
        ("offline", ["qwen3-235b-a22b"], [0.200], 20e6),
        (
            "fleet",
            ["deepseek-v3", "kimi-k2", "llama-3.3-70b", "qwen3-235b-a22b"],
            [0.020, 0.010, 0.020, 0.200],
            1e9,
        ),
    ],
)
def test_services(name, models, seconds, watts):
    stated = scenario(name)
    assert [work.model for work in stated.workload] == models
    assert promises(stated) == pytest.approx(seconds)
    assert sum(work.share for work in stated.workload) == pytest.approx(1.0)
    assert (
        stated.fleet.power is None
        if watts is None
        else parse(str(stated.fleet.power), like="W") == watts
    )


def test_dense_contexts():
    assert scenario("dense").main.context == 8192 and scenario("dense-128k").main.context == 131072


def test_chat():
    chat = scenario("chat").main
    assert (chat.prompt, chat.output, chat.cached, chat.first_promise) == (4096, 1024, 0.5, "2 s")
    assert (chat.draft_length, chat.draft_acceptance, chat.weight_bits) == (1, 0.8, 8)
    assert chat.decode_machine != chat.prefill_machine
    stated = scenario("chat").technology
    assert (stated.node, stated.memory, stated.utilisation) == (("N3",), ("HBM4",), 0.5)


def test_reasoning_and_offline():
    reasoning, offline = scenario("reasoning").main, scenario("offline").main
    assert (reasoning.prompt, reasoning.output, reasoning.weight_bits) == (2048, 16384, 4)
    assert (offline.prompt, offline.output, offline.weight_bits) == (8192, 512, 8)
    stated = scenario("offline").technology
    assert stated.memory == ("HBM3E", "GDDR7") and stated.utilisation == 0.9


@pytest.mark.parametrize("name", ["fast-70b", "fast-gpt-oss"])
def test_3d_dram_is_cooled_through_and_nothing_else_is(name):
    """Memories and coolings compete, but not every pair can be built."""
    stated = scenario(name)
    assert stated.technology.memory == ("HBM4", "3D-DRAM", "SRAM")
    made = [choice.name for choice in problem(stated).choices]
    assert {"3d-stack" in name for name in made if "3D-DRAM" in name} == {True}
    assert {"3d-stack" in name for name in made if "3D-DRAM" not in name} == {False}
    assert all(any(memory in name for name in made) for memory in stated.technology.memory)


def test_shares_of_the_fleet():
    assert [work.share for work in scenario("fleet").workload] == [0.4, 0.25, 0.25, 0.1]


def test_figures_quoted_from_the_tables_are_in_them():
    """Comments quote nominal figures of the priors; where those move, comments must."""

    def made(node: str, memory: str, link: str) -> codesign.Technology:
        return hardware_priors.technology(node=node, memory=memory, link=link)

    rubin, slabs = made("N3", "HBM4", "NVLink6"), made("N3", "SRAM", "NVLink6")
    assert float(rubin.memory.stack_bandwidth) == pytest.approx(2.75e12)  # "2.75 TB/s a stack"
    assert float(rubin.links.radix) == 72  # "one switch tier joins 72 chips"
    assert float(rubin.links.software_latency) == pytest.approx(
        5e-6
    )  # "5.5 us" with a floor of half a microsecond
    assert float(slabs.memory.stack_bandwidth * slabs.memory.max_stacks) == pytest.approx(
        363e12, rel=1e-3
    )  # "363 TB/s"
    assert float(slabs.memory.layer_capacity) == pytest.approx(0.2e9)  # "a slab of SRAM is 0.2 GB"
    stacks, devices = made("N4", "HBM3E", "NVLink5").memory, made("N4", "GDDR7", "NVLink5").memory
    assert float(stacks.stack_bandwidth) == pytest.approx(1.2e12, rel=0.02)  # "1.2 TB/s"
    assert (
        float(devices.stack_bandwidth) == pytest.approx(128e9)
        and float(devices.layer_capacity) == 3 * 2**30
    )
