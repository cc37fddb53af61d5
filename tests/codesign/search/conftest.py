"""Problems that the tests of the search share: one structure, so that each stage compiles once for
all of them.

Technologies, plans, promises, contexts and continuous ranges are numbers; only the ranges of
integers, build mode, the number of choices and the shape of the model are structure.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import codesign
import hardware_priors
import objectives
from codesign.hardware.technology import Technology
from codesign.search import Bound, Choice, Front, Kind, Space, optimize, service
from codesign.search.integers.formulation import Subproblem
from codesign.search.integers.solution_pool import SolutionPool
from codesign.search.optimize import _in_double, pose
from codesign.search.solver.lanes import double_precision
from codesign.search.statement.problem import assemble
from codesign.search.verification.exact_check import verify
from codesign.workload.catalogue import model

GOALS = tuple(objectives.objective(name) for name in ("tokens/s/$", "tokens/s/W", "tokens/s/user"))
COSTS = tuple(objectives.objective(name) for name in ("$/token", "J/token", "tokens/s/user"))

CHIPS, BATCH = (1, 128), (1, 1024)
"""Ranges of integers of all problems but those that are enumerated."""

LOWEST = {
    "memory_bandwidth": 5e11,
    "memory_capacity": 8e9,
    "peak_flops": 5e13,
    "sync_latency": 3e-7,
    "link_bandwidth": 2e10,
}
HIGHEST = {
    "memory_bandwidth": 5e13,
    "memory_capacity": 2e12,
    "peak_flops": 2e16,
    "sync_latency": 2e-5,
    "link_bandwidth": 4e12,
}
"""Box of the continuous quantities; the clock's is a little wider than what processes allow, so
that its limits bind first."""

TIGHT_PROMISE, BUILD_PROMISE = 1.2e-3, 6e-4
"""[s] No single chip keeps them for an 8B model: all designs have links, none of which then rests
at its least bandwidth."""


def space(chips: tuple[int, int] = CHIPS, *, buildable: bool = False, **frozen: float) -> Space:
    """The box that tests search; ``frozen`` quantities have one value."""
    low, high = (
        {**side, "clock": clock, **frozen} for side, clock in ((LOWEST, 0.45), (HIGHEST, 1.3))
    )
    base = codesign.Design(
        1e12,
        1e11,
        1e15,
        8,
        1e-6,
        1e11,
        scale_out_bandwidth=5e10,
        scale_out_latency=2e-5,
        sram_bandwidth=1e12,
    )
    return Space(base, list(low.values()), list(high.values()), chips=chips, buildable=buildable)


def work(
    context: float = 8192.0, promise: float = TIGHT_PROMISE, **precision: float
) -> codesign.Workload:
    """Decoding by an 8B model."""
    phase = codesign.Decode(batch=1, context=context)
    return codesign.Workload(
        model("llama-3.1-8b"), phase, codesign.Precision(**precision), promise=promise
    )


def plan(algorithm: str = "one-shot", **degrees: float) -> codesign.Plan:
    """A plan with one all-reduce algorithm."""
    return codesign.Plan(all_reduce=codesign.ALGORITHMS[algorithm][None], **degrees)


def choices(
    technology: Technology, *, dies: float = 1.0, sram_capacity: float = 60e6
) -> list[Choice]:
    """Two choices, which differ in the all-reduce."""
    kind = Kind(technology, dies, sram_capacity, 72)
    return [Choice(name, (plan(name),), (kind,)) for name in ("one-shot", "two-shot")]


@dataclasses.dataclass(frozen=True)
class Posed:
    """A problem, solved where asked, and its exact model."""

    pool: SolutionPool
    goals: tuple[Any, ...]

    @property
    def problems(self) -> Any:
        return self.pool.formulation.problems

    @property
    def structure(self) -> Any:
        return self.pool.formulation.structure

    def solve(self, subproblems: Sequence[Subproblem]) -> None:
        """Solve subproblems at fixed integers."""
        with double_precision():
            self.pool.learn(subproblems)

    def exact(self, subproblems: Sequence[Subproblem]) -> Any:
        """Solved subproblems on the exact model."""
        with double_precision():
            return verify(self.pool, self.goals, (), list(subproblems))


def posed(
    spaces: Space,
    workload: codesign.Workload,
    among: Sequence[Choice],
    goals: Any = GOALS,
    weights: Any = None,
    batch: tuple[int, int] = BATCH,
    execution: Any = None,
    bounds: Sequence[Bound] = (),
) -> Posed:
    """A problem in the program's terms, nothing solved yet."""
    weights = np.array([[0.4, 0.3, 0.3]]) if weights is None else np.asarray(weights, float)
    with double_precision():
        execution = codesign.Operatorwise() if execution is None else execution
        parts = _in_double(((spaces,), (service(workload, batch),), tuple(among), execution))
        formulation, _ = pose(assemble(*parts), goals, bounds)
        return Posed(SolutionPool(formulation, weights), tuple(goals))


def run(
    spaces: Space,
    workload: codesign.Workload,
    among: Sequence[Choice],
    goals: Any = GOALS,
    **options: Any,
) -> Front:
    """A small search."""
    return optimize(spaces, service(workload, BATCH), among, goals, weights=6, **options)


@pytest.fixture(scope="session")
def limit_front(technology) -> Front:
    return run(space(), work(), choices(technology))


@pytest.fixture(scope="session")
def build_front(technology) -> Front:
    return run(space(buildable=True), work(promise=BUILD_PROMISE), choices(technology))


@pytest.fixture(scope="session")
def technologies() -> list[Technology]:
    """Different nodes, memories, links and coolings."""
    names = [
        ("N3", "HBM4", "NVLink6"),
        ("N5", "HBM3", "NVLink4"),
        ("N7", "HBM2E", "NVLink3"),
        ("N2", "HBM4E", "UALink"),
        ("N4", "HBM3E", "ICI"),
        ("N3", "HBM3E", "Infinity-Fabric"),
    ]
    return [hardware_priors.technology(*name) for name in names]


def stretched(weights: Sequence[float]) -> np.ndarray:
    """A weighting with no weight below the search's least."""
    floor = np.maximum(np.asarray(weights, float), 1e-4)
    return floor / floor.sum()
