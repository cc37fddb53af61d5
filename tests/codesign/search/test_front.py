"""The front: feasible, integer, non-dominated, robust against perturbation, and mostly inside the
box; in limit and in build mode."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import codesign
from codesign.physical.latency import sync_floor
from codesign.search import CONTINUOUS, Bound, Choice, Front, Infeasible, Space, optimize, service
from codesign.search.assembly import LAST_DIGITS
from codesign.search.integers.formulation import Subproblem
from codesign.search.optimize import weightings
from codesign.search.pareto.dominance import non_dominated
from codesign.search.program.keys import Key, Of
from codesign.search.solver.lanes import double_precision
from codesign.search.statement.fleet import fleet_of
from codesign.search.statement.goals import log_goals
from tests.codesign.search.conftest import (
    BATCH,
    BUILD_PROMISE,
    CHIPS,
    COSTS,
    GOALS,
    TIGHT_PROMISE,
    choices,
    plan,
    posed,
    run,
    space,
    work,
)  # fmt: skip

PROMISES = {"limit": TIGHT_PROMISE, "build": BUILD_PROMISE}


@pytest.fixture(params=["limit", "build"])
def mode(request) -> str:
    return request.param


@pytest.fixture
def front(mode, request) -> Front:
    return request.getfixturevalue(f"{mode}_front")


@functools.partial(jax.jit, static_argnums=())
def exactly(problems: Any, choice: Any, design: Any, batch: Any) -> tuple[Any, Any]:
    """Log goals and limits of many designs (leading axis) on the exact model."""

    def one(k: Any, machine: Any, size: Any) -> tuple[Any, Any]:
        found = fleet_of(problems.at(k), (machine,), size[None])
        return log_goals(GOALS, found.totals), found.limits

    return jax.vmap(one)(choice, design, batch)


@pytest.fixture
def exact(mode, technology):
    """The exact model of the front's own problem, in one compiled size: (designs, batches, choices)
    → (log goals, limits)."""
    problems = posed(
        space(buildable=mode == "build"), work(promise=PROMISES[mode]), choices(technology)
    ).problems
    lanes = 4096

    def evaluate(design: Any, batch: Any, choice: Any) -> tuple[np.ndarray, np.ndarray]:
        count = len(batch)

        def padded(leaf: Any) -> np.ndarray:
            leaf = np.broadcast_to(np.asarray(leaf), (count,))
            return np.concatenate([leaf, np.repeat(leaf[-1:], -count % lanes)]).reshape(-1, lanes)

        whole = jax.tree.map(padded, (np.asarray(choice), design, np.asarray(batch, float)))
        with double_precision():
            rows = len(padded(batch))
            parts = [
                exactly(problems, *jax.tree.map(lambda leaf, row=row: leaf[row], whole))
                for row in range(rows)
            ]
        return tuple(np.concatenate(part)[:count] for part in zip(*parts, strict=True))  # pyright: ignore[reportReturnType]

    return evaluate


def test_every_design_is_feasible_and_integer(front, exact):
    logs, limits = exact(front.design, front.batch, front.choice)
    assert limits.max() <= LAST_DIGITS
    np.testing.assert_array_equal(front.design.chips, front.integers[:, 0])
    assert front.integers.dtype.kind == "i" and front.integers[:, :2].min() >= 1
    senses = np.array([goal.sense for goal in GOALS])
    np.testing.assert_allclose(np.exp(-logs * senses), front.values, rtol=1e-9)
    np.testing.assert_allclose(front.values[:, 2], front.totals.user_tokens_per_second, rtol=1e-9)
    assert len(front.design.chips) == len(front) == len(front.status)


def test_designs_are_not_dominated(front):
    assert len(non_dominated(-np.log(front.values))) == len(front) >= 8


def test_every_design_is_certified(front):
    assert set(front.status) == {"GLOBAL"}
    assert np.abs(front.certified_gap).max() < 1e-6
    assert front.certified_gap.min() > -1e-9, (
        "an exact value below its proved bound: bound or program is wrong"
    )


def test_few_designs_rest_on_the_box(front):
    assert (front.box != 0).any(axis=1).mean() <= 0.05


def test_buildable_memory_is_whole_and_latency_is_what_network_and_software_give(
    build_front, technology
):
    design, memory, links = build_front.design, technology.memory, technology.links
    stacks, layers = build_front.integers[:, 2], build_front.integers[:, 3] * 4
    assert (stacks >= 1).all() and (stacks <= float(memory.max_stacks)).all()
    assert (layers >= float(memory.min_layers)).all() and (layers <= float(memory.max_layers)).all()
    np.testing.assert_allclose(
        design.memory_bandwidth, stacks * float(memory.stack_bandwidth), rtol=1e-9
    )
    np.testing.assert_allclose(
        design.memory_capacity, stacks * layers * float(memory.layer_capacity), rtol=1e-9
    )
    floor = jax.vmap(lambda chips: sync_floor(chips, jnp.asarray(72.0), links))(
        jnp.asarray(design.chips)
    )
    np.testing.assert_allclose(
        design.sync_latency, np.asarray(floor) + float(links.software_latency), rtol=1e-9
    )
    assert build_front.buildable


def test_limit_studies_leave_stacks_free(limit_front):
    assert (limit_front.integers[:, 2:] == 0).all() and not limit_front.buildable


def dominating(logs: np.ndarray, limits: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Rows that are feasible, nowhere worse than the reference and somewhere better by more than
    0.1 %."""
    better = reference - logs
    return (
        (limits <= LAST_DIGITS).all(axis=1)
        & (better >= 0.0).all(axis=1)
        & (better > 1e-3).any(axis=1)
    )


def test_no_perturbation_dominates(mode, front, exact):
    """Random steps of 0.1 to 10 % in everything that is free: in build mode bandwidth, capacity and
    latency are not."""
    random, count = np.random.default_rng(0), 4096
    names = [*CONTINUOUS, "white_silicon"]
    held = ("memory_bandwidth", "memory_capacity", "sync_latency") if mode == "build" else ()
    free = np.array([name not in held for name in names])
    for k in range(len(front)):
        size = 10 ** random.uniform(-3, -1, (count, 1)) * random.choice(
            [-1.0, 1.0], (count, len(names))
        )
        factors = (
            1.0
            + size
            * (random.random((count, len(names))) < random.uniform(0.2, 1.0, (count, 1)))
            * free
        )
        design = jax.tree.map(lambda leaf, k=k: np.full(count, leaf[k]), front.design)
        moved = {name: getattr(design, name) * factors[:, j] for j, name in enumerate(names)}
        found = exact(
            dataclasses.replace(design, **moved),
            np.full(count, front.batch[k]),
            np.full(count, front.choice[k]),
        )
        assert not dominating(*found, -np.log(front.values[k])).any(), k


def test_no_neighbouring_integers_dominate(mode, front, exact, technology):
    shifts = [
        (a, b, c, d) for a in (-1, 0, 1) for b in (-1, 0, 1) for c in (-1, 0, 1) for d in (-1, 0, 1)
    ]
    memory = technology.memory
    for k in range(len(front)):
        near = front.integers[k] + np.array(
            [shift for shift in shifts if mode == "build" or shift[2:] == (0, 0)]
        )
        near = near[(near[:, :2] >= 1).all(axis=1)]
        near = near[(near[:, 2:] >= 1).all(axis=1)] if mode == "build" else near
        design = jax.tree.map(
            lambda leaf, k=k, like=near[:, 0]: np.full(like.shape, leaf[k]), front.design
        )
        design = dataclasses.replace(design, chips=near[:, 0].astype(float))
        if mode == "build":
            count = near[:, 2].astype(float)
            floor = jax.vmap(lambda n: sync_floor(n, jnp.asarray(72.0), technology.links))(
                jnp.asarray(near[:, 0], float)
            )
            design = dataclasses.replace(
                design,
                memory_bandwidth=count * float(memory.stack_bandwidth),
                memory_capacity=count * near[:, 3] * 4.0 * float(memory.layer_capacity),
                sync_latency=np.asarray(floor) + float(technology.links.software_latency),
            )
        found = exact(design, near[:, 1], np.full(len(near), front.choice[k]))
        assert not dominating(*found, -np.log(front.values[k])).any(), k


def test_a_worse_design_would_be_caught(front, exact):
    """The perturbation test can fail: a front point made 1 % worse is dominated."""
    found = exact(front.design, front.batch, front.choice)
    assert dominating(*found, -np.log(front.values[0]) + 0.01).any()


def test_same_seed_same_front(limit_front, technology):
    again = run(space(), work(), choices(technology))
    np.testing.assert_array_equal(again.values, limit_front.values)
    np.testing.assert_array_equal(again.integers, limit_front.integers)


def test_cost_and_energy_goals_are_certified_too(technology):
    """Running cost and energy are outcomes of their own."""
    weights = [[0.4, 0.3, 0.3], [1.0, 1e-4, 1e-4], [1e-4, 1.0, 1e-4]]
    problem = posed(space(), work(promise=3e-3), choices(technology), COSTS, weights)
    subproblems = [Subproblem(k, choice, (8, 32, 0, 0)) for k in range(3) for choice in range(2)]
    problem.solve(subproblems)
    found = problem.exact(subproblems)
    assert found.limits.max() <= 0.0
    assert found.gap.min() > -1e-9 and found.gap.max() < 1e-6


def test_a_bound_on_an_outcome_is_kept_and_priced(technology):
    """Capital at most 85 % of what the free optimum costs: met, certified, and worth something."""
    subproblem, weights = Subproblem(0, 0, (8, 32, 0, 0)), [[0.1, 0.1, 0.8]]
    free = posed(space(), work(), choices(technology), weights=weights)
    free.solve([subproblem])
    spent = float(free.exact([subproblem]).fleet.totals.capital_cost[0])
    bounded = posed(
        space(),
        work(),
        choices(technology),
        weights=weights,
        bounds=(Bound("capital_cost", most=0.85 * spent),),
    )
    bounded.solve([subproblem])
    assert np.isfinite(bounded.pool.value(subproblem))
    found = bounded.exact([subproblem])
    assert float(found.fleet.totals.capital_cost[0]) <= 0.85 * spent
    assert 0.0 <= found.gap[0] < 1e-6
    assert bounded.pool.value(subproblem) > free.pool.value(subproblem) + 1e-2
    rows = bounded.structure.limits[Key(Of.BOUND, 0, "bound")]
    assert bounded.pool.done[subproblem].point.multipliers[rows].sum() > 0.1


def test_impossible_promise_is_infeasible_and_named(technology):
    with pytest.raises(Infeasible, match="promise"):
        run(space(), work(promise=1e-6), choices(technology))


@pytest.mark.parametrize(
    "refused",
    [
        codesign.Plan(tiers=codesign.TierShares()),
        codesign.Plan(
            all_reduce=np.stack([codesign.ALGORITHMS["one-shot"], codesign.ALGORITHMS["two-shot"]])
        ),
    ],
)
def test_what_cannot_be_proved_is_refused(technology, refused):
    kinds = choices(technology)[0].kinds
    with pytest.raises(ValueError, match="expected no tiers and one algorithm a choice"):
        run(space(), work(), [Choice("both", (refused,), kinds)])


def test_choices_that_do_not_fit_are_refused(technology):
    kinds = choices(technology)[0].kinds
    with pytest.raises(ValueError, match="2 plans; expected 1 and 1, one a step"):
        run(space(), work(), [Choice("two", (plan(), plan()), kinds)])
    with pytest.raises(ValueError, match="has 9 dies; expected at most 4"):
        run(space(), work(), choices(technology, dies=9.0))
    misplaced = dataclasses.replace(service(work(), BATCH), decode_kind=1)
    with pytest.raises(ValueError, match="runs on kind 1; expected 0 to 0"):
        optimize(space(), misplaced, choices(technology), GOALS)


def test_weights_are_on_the_simplex():
    weights = weightings(48, 3, seed=0)
    assert weights.shape == (48, 3)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    assert weights.min() >= 1e-4 / 1.001


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"low": [6e13, 8e9, 5e13, 1e-6, 2e10, 0.5]}, "memory_bandwidth is 6e"),
        ({"low": [-1.0, 8e9, 5e13, 1e-6, 2e10, 0.5]}, "memory_bandwidth is -1"),
        ({"low": [5e11, 8e9, 5e13, 1e-6, 2e10]}, r"shapes \(5,\)"),
        ({"chips": (0, 8)}, "chips is 0 to 8"),
    ],
)
def test_bad_spaces_are_refused(change, message):
    box = space()
    fields = {"base": box.base, "low": box.low, "high": box.high, "chips": CHIPS}
    with pytest.raises(ValueError, match=message):
        Space(**{**fields, **change})


def test_a_bad_range_of_batches_is_refused():
    with pytest.raises(ValueError, match="batch is 9 to 8"):
        service(work(), (9, 8))
