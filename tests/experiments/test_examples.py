"""Parts of one's own work from files outside the package: each example is run, and its numbers are
what its part says."""

import ast
from pathlib import Path

import numpy as np
import pytest

from codesign.search import GLOBAL, LOCAL
from experiments.examples import (
    own_attention,
    own_collective,
    own_execution,
    own_limit,
    own_memory,
    own_objective,
    own_technology,
)

FILES = sorted((Path(__file__).parents[2] / "experiments" / "examples").glob("own_*.py"))
LINES = 30


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_example_is_short_and_uses_public_names_only(path):
    source = path.read_text(encoding="utf-8")
    code = [line for line in source.splitlines() if line.strip()]
    assert len(code) <= LINES
    names = {node.attr for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)}
    assert not {name for name in names if name.startswith("_")}


def test_own_execution():
    serial, partly, overlapped = own_execution.step_times()
    assert partly == pytest.approx(0.2 * serial + 0.8 * overlapped, rel=1e-5)
    assert overlapped < serial


def test_own_attention():
    assert own_attention.speed(64.0) > 1.05 * own_attention.speed(1.0)


def test_own_collective():
    own, ring = map(own_collective.communication, (own_collective.OWN, own_collective.RING))
    assert own < ring


def test_own_limit_keeps_the_proof():
    limited, free = own_limit.with_and_without()
    assert own_limit.package_power(free) > 20e3 / 64.0
    assert own_limit.package_power(limited) == pytest.approx(20e3 / 64.0, rel=1e-6)
    assert limited.status[0] == GLOBAL and "rack_power" in limited.binding[0]
    assert limited.multipliers["rack_power"][0] > 0.0
    assert limited.values[0, 0] < free.values[0, 0]


def test_own_objectives():
    proved, searched = own_objective.fronts()
    assert proved.status[0] == GLOBAL
    totals = proved.totals
    product = float(totals.energy_per_token[0] * totals.time_per_token[0])
    assert proved.values[0, 0] == pytest.approx(product, rel=1e-9)
    assert searched.status[0] == LOCAL and np.isnan(searched.front_gap[0])
    assert 0.0 <= searched.residual[0] < 0.1


def test_own_memory():
    cheap = own_memory.optical_pool(own_memory.WORLD, 1e-9, 2e-12)
    dear = own_memory.optical_pool(own_memory.WORLD, 3e-9, 5e-12)
    there, twice = (own_memory.step(cheap, bandwidth, 1e12) for bandwidth in (1e12, 2e12))
    more = own_memory.step(dear, 1e12, 1e12)
    assert float(more.cost.memory - there.cost.memory) == pytest.approx(2e-9 * 1e12, rel=1e-9)
    moved = float(np.sum(there.step.traffic.pool))  # of a chip; the cache binds its operators
    reads = np.asarray(there.step.traffic.pool) > 0
    assert np.asarray(there.step.memory)[reads] == pytest.approx(
        np.asarray(there.step.traffic.pool)[reads] / 1e12, rel=1e-9
    )
    assert float(there.step_time - twice.step_time) == pytest.approx(moved / 2e12, rel=1e-6)
    joules = float((more.mean_power - there.mean_power) * there.step_time)
    assert joules == pytest.approx(8.0 * 3e-12 * moved, rel=1e-6)
    assert not own_memory.step(cheap, 1e12, 1e10).fits_memory and there.fits_memory


def test_own_technology():
    world, mine = own_technology.WORLD, own_technology.wide_memory(own_technology.WORLD)
    same = [own_technology.tokens_per_dollar(one, 8e12) for one in (world, mine)]
    assert float(same[1].area.total) < float(same[0].area.total)
    assert float(same[0].step_time) == float(same[1].step_time)
