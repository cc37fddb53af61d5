"""A fleet of two kinds of machine taken apart: nothing is lost at the optimum it was taken apart
at, and nothing claimed elsewhere."""

import itertools

import numpy as np
import pytest

import codesign
from codesign.search import Bound, Choice, Kind, Service
from codesign.search.integers.block_pattern_search import descend_by_kind, improve_by_kind
from codesign.search.integers.branch_and_bound import TOLERANCE
from codesign.search.integers.formulation import Subproblem
from codesign.search.integers.lagrangian_decomposition import (
    OUTCOMES_AND_PACE,
    prove,
    split_by_multipliers,
)
from codesign.search.integers.solution_pool import WORTHWHILE, SolutionPool
from codesign.search.optimize import _in_double, pose
from codesign.search.pareto.starts import points
from codesign.search.program.keys import OUTCOMES, Of
from codesign.search.program.single_kind import owner_of_integers, parts
from codesign.search.solver.lanes import double_precision
from codesign.search.statement.problem import assemble, integer_names, integer_ranges
from codesign.search.verification.exact_check import check_exactly
from codesign.workload.catalogue import model
from tests.codesign.search.conftest import COSTS, plan, space
from tests.examples import nightly

WEIGHTS = np.array([[0.5, 0.2, 0.3], [0.9997, 1e-4, 2e-4], [1e-4, 1e-4, 0.9998]])


def fleet(technology, *, chips: int, batch: tuple[int, int], cheapest: float) -> SolutionPool:
    """Machines that decode and machines that prefill, in two choices; output tokens cost at most
    ``cheapest`` [USD]."""
    phase = codesign.Serving(prompt=2048.0, output=256.0, batch=1.0, load=0.5)
    asked = Service(
        model("llama-3.1-8b"),
        phase,
        promise=4e-3,
        first_promise=0.3,
        batch=batch,
        decode_kind=0,
        prefill_kind=1,
    )
    kind = Kind(technology, 1.0, 60e6, 72.0)
    among = [
        Choice(name, (plan(name), plan("two-shot")), (kind, kind))
        for name in ("one-shot", "two-shot")
    ]
    machine = space((1, chips), buildable=True)
    with double_precision():
        problems = assemble(
            *_in_double(((machine, machine), (asked,), tuple(among), codesign.Operatorwise()))
        )
        formulation, _ = pose(problems, COSTS, (Bound("cost_per_token", most=cheapest),))
        return SolutionPool(formulation, WEIGHTS)


@pytest.fixture(scope="module")
def roomy(technology) -> SolutionPool:
    return fleet(technology, chips=64, batch=(1, 512), cheapest=1.0)


def test_every_coefficient_belongs_to_one_kind(roomy):
    structure = roomy.formulation.structure
    owners = np.zeros((len(structure.functions), len(structure.basis)), int)
    for part in parts(structure):
        owners[np.ix_(part.functions, part.basis)] += part.own
    assert (owners <= 1).all()
    bounded = np.array([key.of is Of.BOUND for key in structure.functions])
    shared = bounded | np.array([key.name in OUTCOMES for key in structure.functions])
    assert (owners[~shared].max(axis=1) == 1).all() and (owners[bounded] == 0).all()
    assert owner_of_integers(structure) == (0, 1, 0, 0, 1, 0, 1)
    assert integer_names(roomy.formulation.problems) == (
        "chips 0",
        "chips 1",
        "batch",
        "stacks 0",
        "stacks 1",
        "layers 0",
        "layers 1",
    )


def alone(pool: SolutionPool, subproblems: list[Subproblem], at: list[Subproblem]) -> np.ndarray:
    """The bound on each of ``at`` by taking apart the subproblem before it in ``subproblems``: sums
    over kinds, each solved by itself."""
    with double_precision():
        split = split_by_multipliers(pool, subproblems)
        total = split.constants.copy()
        for part in parts(pool.formulation.structure):
            own = SolutionPool(
                pool.formulation._replace(goals=OUTCOMES_AND_PACE, part=part),
                split.weights[:, part.kind],
            )
            own.slowest = pool.pace_limit[[subproblem.weighting for subproblem in subproblems]]
            mine = [
                Subproblem(k, subproblem.choice, subproblem.integers)
                for k, subproblem in enumerate(at)
            ]
            own.learn(mine)
            total += [own.value(subproblem) for subproblem in mine]
    return total


def near_best(pool: SolutionPool) -> list[Subproblem]:
    """A feasible subproblem of each weighting."""
    subproblems = [
        Subproblem(0, 0, (4, 2, 32, 2, 2, 2, 2)),
        Subproblem(1, 1, (2, 1, 64, 2, 2, 2, 2)),
        Subproblem(2, 0, (8, 2, 2, 4, 2, 1, 1)),
    ]
    with double_precision():
        pool.learn(subproblems)
    assert np.isfinite([pool.value(subproblem) for subproblem in subproblems]).all()
    return subproblems


def test_kinds_add_up_to_the_fleet_where_it_was_taken_apart(roomy):
    subproblems = near_best(roomy)
    np.testing.assert_allclose(
        alone(roomy, subproblems, subproblems),
        [roomy.value(subproblem) for subproblem in subproblems],
        atol=1e-8,
    )


def test_a_bound_on_an_outcome_is_priced(roomy, technology):
    """With a budget for tokens that binds: its multiplier goes where the outcome is."""
    fastest = near_best(roomy)[2:]
    with double_precision():
        free = check_exactly(
            roomy.formulation, fastest, points(roomy, fastest)
        ).totals.cost_per_token
    pool = fleet(technology, chips=64, batch=(1, 512), cheapest=0.95 * float(free[0]))
    with double_precision():
        pool.learn(fastest)
    assert pool.value(fastest[0]) > roomy.value(fastest[0]) + 1e-3, (
        "the budget does not bind: the test is too easy"
    )
    np.testing.assert_allclose(
        alone(pool, fastest, fastest), [pool.value(subproblem) for subproblem in fastest], atol=1e-8
    )


def test_kinds_are_never_above_the_fleet(roomy):
    """Taken apart at one subproblem, bounded at others: 60 random ones of each weighting."""
    random = np.random.default_rng(1)
    low, high = integer_ranges(roomy.formulation.problems)
    subproblems, at = [], []
    for subproblem in near_best(roomy):
        for _ in range(60):
            steps = np.exp(random.normal(0.0, 0.5, len(low)))
            moved = np.clip(np.round(np.array(subproblem.integers) * steps), low, high).astype(int)
            subproblems.append(subproblem)
            at.append(
                subproblem._replace(choice=int(random.integers(2)), integers=tuple(map(int, moved)))
            )
    with double_precision():
        roomy.learn(at)
    together = np.array([roomy.value(subproblem) for subproblem in at])
    apart = alone(roomy, subproblems, at)
    feasible = np.isfinite(together)
    assert feasible.sum() > 30
    assert (apart[feasible] <= together[feasible] + 1e-8).all()
    assert np.max(together[feasible] - apart[feasible]) > 1e-3, (
        "all are equal: the test is too easy"
    )


@nightly
def test_nothing_is_below_the_proof(technology, record_property):
    """Every neighbour of the best, all integers one up or down at once, and as many at random."""
    pool = fleet(technology, chips=8, batch=(1, 16), cheapest=1.0)
    low, high = integer_ranges(pool.formulation.problems)
    starts = [Subproblem(k, 0, (3, 3, 6, 3, 3, 3, 3)) for k in range(len(WEIGHTS))]
    with double_precision():
        pool.learn(starts)
        proof = prove(pool, starts)
        shifts = np.array(list(itertools.product((-1, 0, 1), repeat=len(low))))
        for k, subproblem in enumerate(proof.best):
            near = np.clip(np.array(subproblem.integers) + shifts, low, high)
            far = np.random.default_rng(k).integers(low, high + 1, shifts.shape)
            pool.learn(
                Subproblem(k, choice, tuple(map(int, row)))
                for row in np.concatenate([near, far])
                for choice in range(2)
            )
    assert proof.closed
    found = np.array([pool.value(subproblem) for subproblem in proof.best])
    record_property("proof", (proof.boxes, proof.solves, (found - proof.bounds).tolist()))
    assert (found - proof.bounds <= TOLERANCE * 1.001).all()
    least = [
        min(pool.value(subproblem) for subproblem in pool.done if subproblem.weighting == k)
        for k in range(len(WEIGHTS))
    ]
    assert (proof.bounds <= np.array(least) + 1e-9).all(), "a bound above a design that there is"
    assert (found < [pool.value(subproblem) - 0.01 for subproblem in starts]).all(), (
        "the starts were as good: the test is too easy"
    )


def neighbours(subproblem: Subproblem, low: np.ndarray, high: np.ndarray) -> list[Subproblem]:
    """Subproblems with one or two integers one up or down, inside the ranges."""
    units = np.eye(len(low), dtype=int)
    shifts = {
        tuple(a * units[j] + b * units[k])
        for j in range(len(low))
        for k in range(len(low))
        for a in (-1, 0, 1)
        for b in (-1, 1)
    }
    near = [
        np.array(subproblem.integers) + np.array(shift)
        for shift in sorted(shifts)
        if any(shift) and max(np.abs(shift)) == 1
    ]
    return [
        subproblem._replace(integers=tuple(map(int, one)))
        for one in near
        if (low <= one).all() and (one <= high).all()
    ]


@nightly
def test_a_descent_kind_by_kind_ends_where_no_neighbour_is_better(roomy):
    """Sums over kinds are below the fleet, so what improves no kind by itself does not improve the
    fleet."""
    starts = near_best(roomy)
    low, high = roomy.formulation.ranges
    with double_precision():
        found = improve_by_kind(roomy, [[subproblem] for subproblem in starts])
        around = [
            (subproblem, near) for subproblem in found for near in neighbours(subproblem, low, high)
        ]
        roomy.learn(near for _, near in around)
    gained = [
        roomy.value(subproblem) - roomy.value(better)
        for subproblem, better in zip(starts, found, strict=True)
    ]
    assert min(gained) > 0.01, "the starts were as good: the test is too easy"
    assert len(around) > 100
    assert (
        max(roomy.value(subproblem) - roomy.value(near) for subproblem, near in around)
        <= 2 * WORTHWHILE
    )  # each kind stops by itself


def test_stacks_and_layers_left_free_are_made_whole(roomy):
    free = [
        subproblem._replace(integers=(*subproblem.integers[:3], 0, 0, 0, 0))
        for subproblem in near_best(roomy)
    ]
    with double_precision():
        found = descend_by_kind(roomy, [[subproblem] for subproblem in free])
        roomy.learn(free)
    assert [subproblem.weighting for subproblem in found] == [0, 1, 2]
    for subproblem, start in zip(found, free, strict=True):
        assert min(subproblem.integers) >= 1
        near = roomy.value(subproblem) - roomy.value(
            start
        )  # free memory is a relaxation at its own chips and batch; these moved too
        assert np.isfinite(near) and near < 0.1
