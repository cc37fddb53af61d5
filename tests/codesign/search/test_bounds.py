"""Nothing that the exact model allows lies below a proved bound: grids, samples near optima, and
bounds from any multipliers."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from codesign.search.integers.formulation import Subproblem, fixed_programs
from codesign.search.pareto.starts import points
from codesign.search.solver.dual_bound import lower_bound
from codesign.search.solver.interior_point import Point, model_at
from codesign.search.solver.lanes import double_precision
from codesign.search.statement.fleet import fleet
from codesign.search.statement.goals import log_goals
from codesign.search.statement.space import CONTINUOUS
from codesign.search.verification.exact_check import check_exactly
from tests.codesign.search.conftest import GOALS, Posed, choices, posed, space, work
from tests.examples import nightly

FROZEN = {
    "memory_bandwidth": 1.2e13,
    "memory_capacity": 6e10,
    "peak_flops": 1e15,
    "sync_latency": 2e-6,
    "link_bandwidth": 5e11,
    "clock": 0.8,
}
"""Where a slice holds what it does not vary."""

SUBPROBLEM = Subproblem(0, 0, (8, 32, 0, 0))
WEIGHTS = ((0.4, 0.3, 0.3), (1.0, 1e-4, 1e-4), (1e-4, 1.0, 1e-4), (1e-4, 1e-4, 1.0))
MILLION = 2**20
CHUNK = 2**16


@functools.partial(jax.jit, static_argnums=(0,))
def weighted(goals: Any, problems: Any, weights: Any, values: Any, white_silicon: Any) -> Any:
    """Weighted log goals of many designs at the integers of ``TASK`` on the exact model, +∞ where a
    limit is broken; each with the least power cap at which its step runs at the design's clock."""

    def one(x: Any, white: Any) -> Any:
        chips, batch = (jnp.asarray([float(number)]) for number in SUBPROBLEM.integers[:2])
        without = fleet(problems.at(0), x[None], chips, batch, white[None], jnp.zeros(1))
        caps = without.outcomes[0].mean_power[None]
        found = fleet(problems.at(0), x[None], chips, batch, white[None], caps)
        return jnp.where(
            jnp.max(found.limits) <= 0.0, weights @ log_goals(GOALS, found.totals), jnp.inf
        )

    return jax.vmap(one)(values, white_silicon)


def least(
    problem: Posed, weights: Any, values: np.ndarray, white_silicon: np.ndarray | None = None
) -> tuple[float, int]:
    """Smallest weighted goal of the feasible designs, in chunks, and how many there were."""
    white = np.zeros(len(values)) if white_silicon is None else white_silicon
    best, feasible = np.inf, 0
    with double_precision():
        for first in range(0, len(values), CHUNK):
            rows = slice(first, first + CHUNK)
            found = np.asarray(
                weighted(None, problem.problems, jnp.asarray(weights), values[rows], white[rows])
            )
            best, feasible = min(best, found.min()), feasible + int(np.isfinite(found).sum())
    return best, feasible


def slice_of(technology, *free: str) -> Posed:
    """The problem with all but the named quantities frozen."""
    frozen = {name: value for name, value in FROZEN.items() if name not in free}
    return posed(space(**frozen), work(promise=1e-2), choices(technology), weights=WEIGHTS)


def grid(problem: Posed, free: tuple[str, ...]) -> np.ndarray:
    """At least a million points, logarithmically spaced over the whole range of the free
    quantities."""
    box = problem.problems.spaces[0]
    low, high = np.asarray(box.low), np.asarray(box.high)
    count = int(np.ceil(MILLION ** (1.0 / len(free))))
    axes = [
        np.geomspace(low[k], high[k], count) if name in free else low[k : k + 1]
        for k, name in enumerate(CONTINUOUS)
    ]
    values = np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1)
    return np.concatenate([values, np.repeat(values[-1:], -len(values) % CHUNK, axis=0)])


@pytest.mark.parametrize(
    "free",
    [
        pytest.param(("memory_bandwidth", "peak_flops"), marks=nightly),
        ("memory_bandwidth", "peak_flops", "link_bandwidth"),
    ],
)
def test_no_grid_point_is_below_a_bound(technology, free, record_property):
    """More than a million designs on a slice of two or three quantities; the best comes near the
    bound, none below it."""
    problem = slice_of(technology, *free)
    subproblems = [SUBPROBLEM._replace(weighting=k) for k in range(2)]
    problem.solve(subproblems)
    values = grid(problem, free)
    assert len(values) >= MILLION
    for subproblem in subproblems[: 3 - len(free) + 1]:
        best, feasible = least(problem, problem.pool.weights[subproblem.weighting], values)
        margin = best - problem.pool.done[subproblem].bound
        record_property(f"margin {subproblem.weighting}", float(margin))
        print(
            f"{len(free)} variables, {len(values)} points, {feasible} feasible: margin {margin:.2e}"
        )
        assert feasible > 10_000
        assert 0.0 <= margin < 0.1, "below the bound, or a grid that comes nowhere near it"


def test_no_sample_near_an_optimum_is_below_its_bound(technology, record_property):
    """A million designs around the optima of four weightings, one-objective ones included."""
    problem = posed(space(), work(promise=1e-2), choices(technology), weights=WEIGHTS)
    subproblems = [SUBPROBLEM._replace(weighting=k) for k in range(len(WEIGHTS))]
    problem.solve(subproblems)
    random = np.random.default_rng(0)
    with double_precision():
        found = check_exactly(
            problem.pool.formulation, subproblems, points(problem.pool, subproblems)
        )
    first = problem.structure.variable(CONTINUOUS[0], 0)
    box = problem.problems.spaces[0]
    margins = []
    for k, subproblem in enumerate(subproblems):
        count = MILLION // len(subproblems)
        optimum = np.exp(problem.pool.done[subproblem].point.y[first : first + len(CONTINUOUS)])
        size = 10 ** random.uniform(-7, -0.5, (count, 1))
        moved = optimum * np.exp(
            size * random.normal(size=(count, len(CONTINUOUS))) * (random.random((count, 6)) < 0.6)
        )
        moved = np.clip(moved, np.asarray(box.low), np.asarray(box.high))
        white = float(found.designs[0].white_silicon[k]) * np.exp(
            size[:, 0] * random.normal(size=count)
        )
        best, feasible = least(problem, problem.pool.weights[subproblem.weighting], moved, white)
        margins.append(best - problem.pool.done[subproblem].bound)
        assert feasible > 1000, "hardly a sample is feasible"
    record_property("smallest margin", float(min(margins)))
    print(f"{MILLION} samples near four optima: margins {margins}")
    assert min(margins) >= 0.0
    assert max(margins) < 1e-2, "no sample comes near an optimum"


def test_a_bound_from_any_multipliers_holds(technology):
    """Points anywhere in the box, multipliers of any size: weaker bounds, never wrong ones; and the
    optimum's are the best."""
    problem = posed(space(), work(promise=1e-2), choices(technology), weights=WEIGHTS)
    subproblems = [SUBPROBLEM._replace(weighting=k) for k in range(len(WEIGHTS))]
    problem.solve(subproblems)
    random, count = np.random.default_rng(1), 2048
    formulation = problem.pool.formulation
    with double_precision():
        numbers = np.repeat(np.array([SUBPROBLEM.integers], float), 128, axis=0)
        programs = fixed_programs(
            formulation.structure,
            formulation.packed,
            formulation.bounds,
            np.zeros(128, int),
            numbers,
        )
        program = jax.tree.map(lambda leaf: leaf[0], programs)

        @jax.jit
        @jax.vmap
        def bounds(weights: Any, y: Any, multipliers: Any) -> Any:
            none = jnp.zeros_like(y)
            point = Point(y, jnp.ones_like(multipliers), multipliers, none, none)
            return lower_bound(
                program,
                point,
                model_at(formulation.structure, program, formulation.goals, weights, point),
            )

        for subproblem in subproblems:
            value, bound, best = problem.pool.done[subproblem]
            low, high = np.asarray(program.low), np.asarray(program.high)
            mixed = random.random((count, 1)) ** 3
            y = (1.0 - mixed) * best.y + mixed * (
                low + (high - low) * random.random((count, len(low)))
            )
            y = np.clip(y, low, high)
            noise = np.exp(
                random.normal(size=(count, len(best.multipliers)))
                * 10 ** random.uniform(-3, 1, (count, 1))
            )
            multipliers = np.where(
                random.random((count, 1)) < 0.5,
                best.multipliers * noise,
                random.exponential(size=noise.shape),
            )
            weights = np.repeat(problem.pool.weights[subproblem.weighting][None], count, axis=0)
            found = np.asarray(bounds(weights, y, multipliers))
            assert np.isfinite(found).any()
            assert found.max() <= value
            assert found.max() <= bound + 1e-9, "better than the optimum's own"
            assert np.isneginf(np.asarray(bounds(weights, y, multipliers - 1e3))).all(), (
                "a multiplier below zero"
            )
