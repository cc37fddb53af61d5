"""No free lunches where kernels have floors: those of ``test_free_lunches``, on a B200 as it was
measured."""

import dataclasses
from typing import Any

import pytest

from codesign.calibration.execution import calibrated
from codesign.calibration.names import engine
from codesign.calibration.structures import formats_of
from hardware_priors.machines import machine as machine_of
from hardware_priors.profiles import profile
from tests.codesign.search.conftest import work
from tests.codesign.search.test_free_lunches import LUNCHES
from tests.codesign.search.test_limits_bind import LONG, changed, loss, number, searched
from tests.examples import nightly

MEASURED_PROMISE = 5e-3
"""[s] Floors of 32 layers take half of it; caches of 32K positions the rest, so that edges bind."""


NOT_WORTH_TAKING = ("links and stacks on one edge", "unlimited 3D DRAM")
"""More bandwidth than the promise asks for buys little where floors take half of a step: with or
without an edge, designs have the bandwidth that the promise asks for."""


@pytest.fixture(scope="module")
def measured():
    """As a B200 was measured with vLLM."""
    bits = formats_of(work().precision)
    found = calibrated(profile(None), machine_of("b200"), bits, engine("vllm"), "llama-3.1-8b")
    return dataclasses.replace(found, rated_power=None)  # a search chooses the rating


@nightly
@pytest.mark.parametrize("lunch", LUNCHES, ids=lambda lunch: lunch.name)
def test_lunches_are_taken_and_returned_as_machines_were_measured(lunch, technology, measured):
    """The same with floors and losses, which make lunches smaller; the promise leaves the room that
    floors take."""
    options: dict[str, Any] = {"execution": measured, "workload": work(32768.0, MEASURED_PROMISE)}
    if "long" in lunch.options:
        options |= {
            "batch": (LONG["batch"], LONG["batch"]),
            "workload": work(LONG["context"], LONG["promise"]),
        }
    priced = changed(technology, **lunch.among)
    free = changed(priced, **lunch.free)
    restored = changed(free, **{name: number(priced, name) for name in lunch.free})
    before, without, after = (searched(one, **options) for one in (priced, free, restored))
    assert {*before.status, *without.status} == {"GLOBAL"}
    if lunch.name in NOT_WORTH_TAKING:
        assert lunch.grows(without) == pytest.approx(lunch.grows(before), rel=1e-3)
    else:
        assert lunch.grows(without) > 1.01 * lunch.grows(before)
        assert loss(without) < loss(before)
    assert loss(after) == pytest.approx(loss(before), abs=1e-9)
    assert lunch.grows(after) == pytest.approx(lunch.grows(before), rel=1e-3)
