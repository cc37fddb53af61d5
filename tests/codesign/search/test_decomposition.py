"""A fleet of two kinds of machine taken apart: nothing is lost at the optimum it was taken apart at, and nothing claimed elsewhere."""

import itertools

import numpy as np
import pytest

import codesign
from codesign.search import Bound, Choice, Kind, Service
from codesign.search.integers.block_pattern_search import descended, polished
from codesign.search.integers.branch_and_bound import TOLERANCE
from codesign.search.integers.formulation import Task
from codesign.search.integers.lagrangian_decomposition import OUTCOMES_AND_PACE, prove, taken_apart
from codesign.search.integers.solution_pool import WORTHWHILE, Known
from codesign.search.optimize import _in_double, pose
from codesign.search.pareto.starts import points
from codesign.search.program.single_kind import owner_of_integers, parts
from codesign.search.program.structure import OUTCOMES
from codesign.search.solver.lanes import double_precision
from codesign.search.statement.problem import assemble, integer_names, integer_ranges
from codesign.search.verification.exact_check import check_exactly
from codesign.workload.catalogue import model
from tests.codesign.search.conftest import COSTS, plan, space

WEIGHTS = np.array([[0.5, 0.2, 0.3], [0.9997, 1e-4, 2e-4], [1e-4, 1e-4, 0.9998]])


def fleet(technology, *, chips: int, batch: tuple[int, int], cheapest: float) -> Known:
    """Machines that decode and machines that prefill, in two choices; output tokens cost at most ``cheapest`` [USD]."""
    phase = codesign.Serving(prompt=2048.0, output=256.0, batch=1.0, load=0.5)
    asked = Service(model("llama-3.1-8b"), phase, promise=4e-3, first_promise=0.3, batch=batch, decode_kind=0, prefill_kind=1)
    kind = Kind(technology, 1.0, 60e6, 72.0)
    among = [Choice(name, (plan(name), plan("two-shot")), (kind, kind)) for name in ("one-shot", "two-shot")]
    machine = space((1, chips), buildable=True)
    with double_precision():
        problems = assemble(*_in_double(((machine, machine), (asked,), tuple(among), codesign.Operatorwise())))
        search, _ = pose(problems, COSTS, (Bound("cost_per_token", most=cheapest),))
        return Known(search, WEIGHTS)


@pytest.fixture(scope="module")
def roomy(technology) -> Known:
    return fleet(technology, chips=64, batch=(1, 512), cheapest=1.0)


def test_every_coefficient_belongs_to_one_kind(roomy):
    layout = roomy.search.layout
    owners = np.zeros((len(layout.functions), len(layout.basis)), int)
    for part in parts(layout):
        owners[np.ix_(part.functions, part.basis)] += part.own
    assert (owners <= 1).all()
    functions = np.array(layout.functions)
    shared = np.char.startswith(functions, "bound") | np.isin(functions, OUTCOMES)
    assert (owners[~shared].max(axis=1) == 1).all() and (owners[np.char.startswith(functions, "bound")] == 0).all()
    assert owner_of_integers(layout) == (0, 1, 0, 0, 1, 0, 1)
    assert integer_names(roomy.search.problems) == ("chips 0", "chips 1", "batch", "stacks 0", "stacks 1", "layers 0", "layers 1")


def alone(known: Known, tasks: list[Task], at: list[Task]) -> np.ndarray:
    """The bound on each of ``at`` by taking apart the task before it in ``tasks``: sums over kinds, each solved by itself."""
    with double_precision():
        split = taken_apart(known, tasks)
        total = split.constants.copy()
        for part in parts(known.search.layout):
            own = Known(known.search._replace(goals=OUTCOMES_AND_PACE, part=part), split.weights[:, part.kind])
            own.slowest = known.slowest[[task.weighting for task in tasks]]
            mine = [Task(k, task.choice, task.integers) for k, task in enumerate(at)]
            own.learn(mine)
            total += [own.value(task) for task in mine]
    return total


def near_best(known: Known) -> list[Task]:
    """A feasible task of each weighting."""
    tasks = [Task(0, 0, (4, 2, 32, 2, 2, 2, 2)), Task(1, 1, (2, 1, 64, 2, 2, 2, 2)), Task(2, 0, (8, 2, 2, 4, 2, 1, 1))]
    with double_precision():
        known.learn(tasks)
    assert np.isfinite([known.value(task) for task in tasks]).all()
    return tasks


def test_kinds_add_up_to_the_fleet_where_it_was_taken_apart(roomy):
    tasks = near_best(roomy)
    np.testing.assert_allclose(alone(roomy, tasks, tasks), [roomy.value(task) for task in tasks], atol=1e-8)


def test_a_bound_on_an_outcome_is_priced(roomy, technology):
    """With a budget for tokens that binds: its multiplier goes where the outcome is."""
    fastest = near_best(roomy)[2:]
    with double_precision():
        free = check_exactly(roomy.search, fastest, points(roomy, fastest)).totals.cost_per_token
    known = fleet(technology, chips=64, batch=(1, 512), cheapest=0.95 * float(free[0]))
    with double_precision():
        known.learn(fastest)
    assert known.value(fastest[0]) > roomy.value(fastest[0]) + 1e-3, "the budget does not bind: the test is too easy"
    np.testing.assert_allclose(alone(known, fastest, fastest), [known.value(task) for task in fastest], atol=1e-8)


def test_kinds_are_never_above_the_fleet(roomy):
    """Taken apart at one task, bounded at others: 60 random ones of each weighting."""
    random = np.random.default_rng(1)
    low, high = integer_ranges(roomy.search.problems)
    tasks, at = [], []
    for task in near_best(roomy):
        for _ in range(60):
            steps = np.exp(random.normal(0.0, 0.5, len(low)))
            moved = np.clip(np.round(np.array(task.integers) * steps), low, high).astype(int)
            tasks.append(task)
            at.append(task._replace(choice=int(random.integers(2)), integers=tuple(map(int, moved))))
    with double_precision():
        roomy.learn(at)
    together = np.array([roomy.value(task) for task in at])
    apart = alone(roomy, tasks, at)
    feasible = np.isfinite(together)
    assert feasible.sum() > 30
    assert (apart[feasible] <= together[feasible] + 1e-8).all()
    assert np.max(together[feasible] - apart[feasible]) > 1e-3, "all are equal: the test is too easy"


def test_nothing_is_below_the_proof(technology, record_property):
    """Every neighbour of the best, all integers one up or down at once, and as many at random."""
    known = fleet(technology, chips=8, batch=(1, 16), cheapest=1.0)
    low, high = integer_ranges(known.search.problems)
    starts = [Task(k, 0, (3, 3, 6, 3, 3, 3, 3)) for k in range(len(WEIGHTS))]
    with double_precision():
        known.learn(starts)
        proof = prove(known, starts)
        shifts = np.array(list(itertools.product((-1, 0, 1), repeat=len(low))))
        for k, task in enumerate(proof.best):
            near = np.clip(np.array(task.integers) + shifts, low, high)
            far = np.random.default_rng(k).integers(low, high + 1, shifts.shape)
            known.learn(Task(k, choice, tuple(map(int, row))) for row in np.concatenate([near, far]) for choice in range(2))
    assert proof.closed
    found = np.array([known.value(task) for task in proof.best])
    record_property("proof", (proof.boxes, proof.solves, (found - proof.bounds).tolist()))
    assert (found - proof.bounds <= TOLERANCE * 1.001).all()
    least = [min(known.value(task) for task in known.done if task.weighting == k) for k in range(len(WEIGHTS))]
    assert (proof.bounds <= np.array(least) + 1e-9).all(), "a bound above a design that there is"
    assert (found < [known.value(task) - 0.01 for task in starts]).all(), "the starts were as good: the test is too easy"


def neighbours(task: Task, low: np.ndarray, high: np.ndarray) -> list[Task]:
    """Tasks with one or two integers one up or down, inside the ranges."""
    units = np.eye(len(low), dtype=int)
    shifts = {tuple(a * units[j] + b * units[k]) for j in range(len(low)) for k in range(len(low)) for a in (-1, 0, 1) for b in (-1, 1)}
    near = [np.array(task.integers) + np.array(shift) for shift in sorted(shifts) if any(shift) and max(np.abs(shift)) == 1]
    return [task._replace(integers=tuple(map(int, one))) for one in near if (low <= one).all() and (one <= high).all()]


def test_a_descent_kind_by_kind_ends_where_no_neighbour_is_better(roomy):
    """Sums over kinds are below the fleet, so what improves no kind by itself does not improve the fleet."""
    starts = near_best(roomy)
    low, high = roomy.search.ranges
    with double_precision():
        found = polished(roomy, [[task] for task in starts])
        around = [(task, near) for task in found for near in neighbours(task, low, high)]
        roomy.learn(near for _, near in around)
    gained = [roomy.value(task) - roomy.value(better) for task, better in zip(starts, found, strict=True)]
    assert min(gained) > 0.01, "the starts were as good: the test is too easy"
    assert len(around) > 100
    assert max(roomy.value(task) - roomy.value(near) for task, near in around) <= 2 * WORTHWHILE  # each kind stops by itself


def test_stacks_and_layers_left_free_are_made_whole(roomy):
    free = [task._replace(integers=(*task.integers[:3], 0, 0, 0, 0)) for task in near_best(roomy)]
    with double_precision():
        found = descended(roomy, [[task] for task in free])
        roomy.learn(free)
    assert [task.weighting for task in found] == [0, 1, 2]
    for task, start in zip(found, free, strict=True):
        assert min(task.integers) >= 1
        near = roomy.value(task) - roomy.value(start)  # free memory is a relaxation at its own chips and batch; these moved too
        assert np.isfinite(near) and near < 0.1
