"""No free lunches: with a constraint gone the optimum exploits its absence, with it back the
optimum returns.

Lunches that a search can take are tables of numbers of one compiled program; those of plans, phases
and tiers, which the search is told and does not choose, are shown on the model itself.
"""

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pytest

import codesign
from codesign.hardware.technology import Technology
from codesign.outcome import Outcome
from codesign.performance.plan import TierShares
from codesign.search import Bound, Choice, Front, Kind, optimize, service
from codesign.workload.catalogue import model
from codesign.workload.phases import Draft, Phase
from tests.codesign.search.conftest import GOALS, plan, space, work
from tests.codesign.search.test_limits_bind import LONG, changed, loss, number, searched


def bandwidth(front: Front) -> float:
    """Of memory [B/s]."""
    return float(front.design.memory_bandwidth[0])


def bandwidth_per_capacity(front: Front) -> float:
    """Of memory [1/s]."""
    return bandwidth(front) / float(front.design.memory_capacity[0])


def responsiveness(front: Front) -> float:
    """One over the latency above its floor of 0.47 µs [1/s]."""
    return 1.0 / (float(front.design.sync_latency[0]) - 4.7e-7)


def clock(front: Front) -> float:
    """Over the nominal one [1]."""
    return float(front.design.clock[0])


def worth(front: Front) -> float:
    """What the search maximises [1]."""
    return float(np.exp(-loss(front)))


def batch_per_chip(front: Front) -> float:
    """Sequences [1]."""
    return float(front.batch[0] / front.design.chips[0])


class Lunch(NamedTuple):
    """A lunch: numbers without the constraint, what then grows, by at least which factor; what both
    searches have in common."""

    name: str
    free: dict[str, float]
    grows: Callable[[Front], float]
    factor: float = 1.5
    among: Mapping[str, float] = MappingProxyType({})
    options: Mapping[str, Any] = MappingProxyType({})


STACKED = {
    "memory__edge": 1e-9,
    "memory__phy_area": 1e-9,
    "memory__max_stacks": 1e4,
    "memory__thermal_coupling": 1.0,
}
"""DRAM on the logic: no edge, no PHY, any bandwidth, and the logic's temperature."""

SLOWEST = 0.61**2
"""[1] Energy at N3's slowest clock over that at the nominal one: (0.22 + 0.78 · 0.5)²."""

SAME_VOLTAGE = {
    "logic__voltage_floor": 1.0,
    "logic__matrix_energy": 2.4e-13 * SLOWEST,
    "logic__leakage": 1e5 * SLOWEST,
}
"""Any clock at the energy of the slowest."""

LUNCHES = (
    Lunch("bandwidth without capacity", {"memory__min_layers": 1e-3}, bandwidth_per_capacity),
    Lunch(
        "capacity without bandwidth",
        {"memory__max_layers": 1e3},
        worth,
        1.05,
        {"memory__max_layers": 7.5},
        {"long": True},
    ),
    Lunch("latency at its floor", {"links__sync_price": 2e-14}, responsiveness),
    Lunch(
        "chips without network",
        {"links__price": 1e-15, "links__scale_out_price": 1e-15},
        worth,
        1.3,
    ),
    Lunch("links and stacks on one edge", {"packaging__usable_edge": 1e3}, bandwidth),
    Lunch("FLOP/s by frequency", SAME_VOLTAGE, clock),
    Lunch(
        "clocks and registers that rest",
        {"logic__ungated_share": 1e-9},
        worth,
        1.01,
    ),
    Lunch(
        "power without a facility",
        {"economics__facility_price": 1e-9, "economics__electricity_price": 1e-15},
        worth,
        1.15,
    ),
    Lunch(
        "memory at its trough price",
        {"memory__layer_price": 0.43, "memory__stack_price": 1.3},
        worth,
        1.03,
    ),
    Lunch(
        "unlimited 3D DRAM",
        {
            "cooling__memory_temperature": 1e5,
            "cooling__logic_temperature": 1e5,
            "cooling__power_density": 1e9,
            "cooling__package_power": 1e9,
        },
        bandwidth,
        1.5,
        {**STACKED, "cooling__memory_temperature": 323.0},  # 10 K above the coolant
    ),
)
"""Where a factor is below 1.5 the lunch is small: memory is a small part of what a machine costs,
and worth is all of it."""


@pytest.mark.parametrize("lunch", LUNCHES, ids=lambda lunch: lunch.name)
def test_the_optimum_takes_the_lunch_and_returns(lunch, technology):
    options: dict[str, Any] = {}
    if "long" in lunch.options:
        options = {
            "batch": (LONG["batch"], LONG["batch"]),
            "workload": work(LONG["context"], LONG["promise"]),
        }
    priced = changed(technology, **lunch.among)
    free = changed(priced, **lunch.free)
    restored = changed(free, **{name: number(priced, name) for name in lunch.free})
    before, without, after = (searched(one, **options) for one in (priced, free, restored))
    assert {*before.status, *without.status} == {"GLOBAL"}
    assert lunch.grows(without) >= lunch.factor * lunch.grows(before)
    assert loss(without) < loss(before)
    assert loss(after) == pytest.approx(loss(before), abs=1e-9)
    assert lunch.grows(after) == pytest.approx(lunch.grows(before), rel=1e-3)


def test_infinite_batch_is_closed_by_the_promise(technology):
    ranges: dict[str, Any] = {"chips": (1, 8), "batch": (1, 256)}
    before, without, after = (
        searched(technology, workload=work(promise=promise), **ranges)
        for promise in (1.2e-3, 1.0, 1.2e-3)
    )
    assert batch_per_chip(without) >= 1.5 * batch_per_chip(before)
    assert loss(without) < loss(before) - 0.1
    assert loss(after) == pytest.approx(loss(before), abs=1e-9)


def of_dies(technology: Technology, dies: float) -> Front:
    """The best machine with so many dies in a package, each with 60 MB of SRAM."""
    choice = Choice("only", (plan(),), (Kind(technology, dies, 60e6 * dies, 72.0),))
    bounds = (Bound("capital_cost", most=1e12),)
    return optimize(
        space((8, 8)), service(work(), (32, 32)), [choice], GOALS, weights=1, bounds=bounds
    )


def test_many_dies_are_closed_by_the_package(technology):
    """Sixteen dies: refused; allowed, they do not pay on an interposer of this year's size; without
    package limits they do."""
    before = of_dies(technology, 4.0)
    with pytest.raises(ValueError, match="16 dies; expected at most 4"):
        of_dies(technology, 16.0)
    allowed = changed(technology, packaging__max_dies=64.0)
    small = of_dies(allowed, 16.0)
    assert "interposer" in small.binding[0] and loss(small) > loss(before) + 0.02
    free = changed(
        allowed,
        packaging__interposer_most=1.0,
        packaging__warpage_most=1.0,
        cooling__package_power=1e9,
        memory__max_stacks=1e4,
    )
    large = of_dies(free, 16.0)
    assert bandwidth(large) >= 1.5 * bandwidth(before) and loss(large) < loss(before) - 0.01


def run(
    technology: Technology,
    machine: codesign.Design,
    phase: Phase,
    name: str = "llama-3.1-8b",
    laid: codesign.Plan | None = None,
    **numbers: float,
) -> Outcome:
    """The model on the fixture's machine with other numbers."""
    machine = dataclasses.replace(
        machine, **{key: np.asarray(value, float) for key, value in numbers.items()}
    )
    return codesign.evaluate(
        machine, codesign.Workload(model(name), phase), plan=laid, technology=technology
    )


def speed_up(
    technology: Technology,
    machine: codesign.Design,
    phase: Phase,
    name: str,
    chips: tuple[float, float],
    **numbers: float,
) -> float:
    """Step time of few chips over that of many, tensor-parallel in one domain, caches divided
    ideally [1]."""
    ideal, wide = codesign.Plan(kv_ideal=1.0), {"scale_up_domain": 1e6, **numbers}
    few, many = (
        run(technology, machine, phase, name, ideal, chips=n, **wide).step_time for n in chips
    )
    return float(few / many)


def test_infinite_tensor_parallelism_is_closed_by_latency_and_narrow_slices(technology, machine):
    phase, chips = codesign.Decode(batch=1.0, context=8192.0), (64.0, 4096.0)
    with_both = speed_up(technology, machine, phase, "llama-3.1-8b", chips)
    any_slice = changed(technology, attainable__slice_columns=1e-6)
    without = speed_up(
        any_slice, machine, phase, "llama-3.1-8b", chips, sync_latency=1e-12, link_bandwidth=1e18
    )
    assert with_both < 1.1
    assert without >= 1.5 * with_both


def test_perfect_expert_slicing_is_closed_by_narrow_slices(technology, machine):
    """Latency is let off in both: the width of a slice alone closes it."""
    phase, chips = codesign.Decode(batch=8.0, context=1024.0), (64.0, 512.0)
    with_it = speed_up(technology, machine, phase, "gpt-oss-120b", chips, sync_latency=1e-12)
    any_slice = changed(technology, attainable__slice_columns=1e-6)
    without = speed_up(any_slice, machine, phase, "gpt-oss-120b", chips, sync_latency=1e-12)
    assert with_it < 1.1
    assert without >= 1.5 * with_it


def test_pipeline_stages_are_not_free(technology, machine):
    """On the same chips every stage slows a token down; with chips of their own, stages cost more
    than they speed up."""
    phase = codesign.Decode(batch=32.0, context=8192.0)
    same = [
        run(technology, machine, phase, laid=codesign.Plan(pipeline=s), chips=8.0)
        for s in (1.0, 2.0, 4.0, 8.0)
    ]
    more = [
        run(technology, machine, phase, laid=codesign.Plan(pipeline=s), chips=8.0 * s)
        for s in (1.0, 2.0, 4.0, 8.0)
    ]
    assert (np.diff([float(outcome.step_time) for outcome in same]) > 0.0).all()
    assert (np.diff([float(outcome.tokens_per_second_per_dollar) for outcome in more]) < 0.0).all()


SRAM = (1e4, 1e5, 1e6, 1e7, 6e7, 3e8, 1e9, 1e10)


def test_neither_no_sram_nor_all_sram(technology, machine):
    """Prefill: less SRAM streams weights again and again, more takes area; with area free, more
    never hurts."""
    phase = codesign.Prefill(batch=1.0, prompt=8192.0)

    def worths(own: Technology) -> np.ndarray:
        found = [run(own, machine, phase, chips=1.0, sram_capacity=size) for size in SRAM]
        return np.array([float(outcome.tokens_per_second_per_dollar) for outcome in found])

    with_area, without = worths(technology), worths(changed(technology, logic__sram_density=1e18))
    best = with_area.max()
    assert with_area[0] < best / 1.5 and with_area[-1] < best / 1.5
    assert without[-1] == pytest.approx(without.max(), rel=1e-6)


def test_a_pool_at_the_speed_of_main_memory_is_closed_by_ports(technology, machine):
    """Half of everything in a pool as fast as main memory: ports take edge and money."""
    phase, halves = (
        codesign.Decode(batch=32.0, context=8192.0),
        codesign.Plan(tiers=TierShares(weights_in_pool=0.5, state_in_pool=0.5)),
    )
    nothing = dict.fromkeys(
        (
            f"pool__{field}"
            for field in (
                "edge",
                "phy_area",
                "stack_price",
                "layer_price",
                "layer_power",
                "access_energy",
            )
        ),
        0.0,
    )
    free = changed(technology, **nothing)
    speed = float(machine.memory_bandwidth)
    priced, gift = (
        run(one, machine, phase, laid=halves, pool_bandwidth=speed, pool_capacity=5e11)
        for one in (technology, free)
    )
    assert float(priced.limits.shoreline) > 0.0 > float(gift.limits.shoreline)
    assert float(gift.tokens_per_second_per_dollar) >= 1.5 * float(
        priced.tokens_per_second_per_dollar
    )


def test_speculation_is_closed_by_the_draft_and_by_what_is_rejected(technology, machine):
    """The best length is finite with a draft that costs and is sometimes wrong; a perfect free
    draft is best without end."""
    lengths = (1.0, 2.0, 4.0, 8.0, 16.0, 64.0)

    def speeds(acceptance: float, cost: float) -> np.ndarray:
        drafts = [Draft(length, acceptance, cost) for length in lengths]
        found = [
            run(technology, machine, codesign.Decode(batch=1.0, context=8192.0, draft=draft))
            for draft in drafts
        ]
        return np.array([float(outcome.user_tokens_per_second) for outcome in found])

    usual, gift = speeds(0.8, 0.1), speeds(1.0, 0.0)
    assert 0 < usual.argmax() < len(lengths) - 1
    assert (np.diff(gift) > 0.0).all()
    assert gift.max() >= 1.5 * usual.max()
