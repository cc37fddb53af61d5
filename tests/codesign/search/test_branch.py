"""Branch and bound against the enumeration of everything, in limit and in build mode."""

import itertools

import numpy as np
import pytest

from codesign.search import service
from codesign.search.integers.box_relaxation import BoxBounds
from codesign.search.integers.boxes import Box, halves, roots
from codesign.search.integers.branch_and_bound import (
    CANDIDATE_EVERY,
    TOLERANCE,
    _candidates,
    prove,
)
from codesign.search.integers.formulation import Subproblem
from codesign.search.solver.lanes import double_precision
from codesign.search.statement.problem import integer_ranges
from tests.codesign.search.conftest import Posed, choices, posed, space, work

WEIGHTS = ((0.4, 0.3, 0.3), (1.0, 1e-4, 1e-4), (1e-4, 1e-4, 1.0))


def enumerated(problem: Posed) -> tuple[np.ndarray, int]:
    """The least value of each weighting over all integers of all choices, and how many were
    solved."""
    low, high = integer_ranges(problem.problems)
    every = list(itertools.product(*(range(a, b + 1) for a, b in zip(low, high, strict=True))))
    subproblems = [
        Subproblem(k, c, tuple(map(int, one)))
        for k in range(len(problem.pool.weights))
        for c in range(2)
        for one in every
    ]
    problem.solve(subproblems)
    values = np.array([problem.pool.value(subproblem) for subproblem in subproblems]).reshape(
        len(problem.pool.weights), -1
    )
    assert np.isfinite(values).any(axis=1).all()
    return values.min(axis=1), len(subproblems)


CASES = {
    "limit": (space((1, 12)), work(promise=4e-3), (1, 40)),
    "build": (space((2, 4), buildable=True), work(promise=4e-3), (6, 9)),
}


@pytest.mark.parametrize("mode", CASES)
def test_branch_and_bound_agrees_with_enumeration(mode, technology, record_property):
    box, workload, batch = CASES[mode]
    fresh = posed(box, workload, choices(technology, dies=2.0), weights=WEIGHTS, batch=batch)
    low, _ = integer_ranges(fresh.problems)
    starts = [Subproblem(k, 0, tuple(map(int, low))) for k in range(len(WEIGHTS))]
    starts = [
        subproblem._replace(integers=(4, 8, *subproblem.integers[2:])) for subproblem in starts
    ]  # feasible, and far from the best
    fresh.solve(starts)
    with double_precision():
        proof = prove(fresh.pool, starts)
    values = np.array([fresh.pool.value(subproblem) for subproblem in proof.best])
    assert proof.closed
    met = len(fresh.pool.done)
    best, count = enumerated(fresh)
    record_property("proof", (int(proof.boxes), int(proof.solves), int(count)))
    print(
        f"{mode}: {proof.boxes} boxes, {proof.solves} relaxations, {met} solves against {count}"
        " enumerated;"
    )
    print(f"best found above best there is {values - best}, bounds below it {best - proof.bounds}")
    assert (values - best <= TOLERANCE).all(), (
        "something better by more than the tolerance was missed"
    )
    assert (proof.bounds <= best + 1e-9).all(), "a bound above the best there is"
    assert (values - proof.bounds <= TOLERANCE * 1.001).all()
    assert met < count / 10


def test_more_boxes_are_rounded_to_designs_where_a_tree_is_wide(technology):
    """Of each weighting by itself, those with the lowest bounds; none that is beaten already."""
    fresh = posed(space((1, 128)), work(), choices(technology), weights=WEIGHTS[:2])
    formulation = fresh.pool.formulation
    best = [Subproblem(k, 0, (1, 1, 0, 0)) for k in range(2)]
    count = 3 * CANDIDATE_EVERY
    boxes = [Box(0, (n, n, 0, 0), (n, n, 0, 0)) for n in range(1, count + 1)]
    pairs = [(box, 0) for box in boxes] + [(boxes[0], 1), (boxes[1], 1)]
    bound = np.array([*range(count, 0, -1), 1.0, 5.0])
    found = BoxBounds(bound, np.zeros((len(pairs), len(formulation.solved.variables))))
    target = np.array([2.0 * CANDIDATE_EVERY + 0.5, 0.0])
    near = _candidates(fresh.pool, pairs, found, best, target, -np.inf)
    lowest = [(0, Subproblem(0, 0, (n, n, 0, 0))) for n in range(count, count - 3, -1)]
    assert near == lowest


def test_bounds_hold_when_boxes_run_out(technology):
    box, workload, batch = CASES["limit"]
    fresh = posed(box, workload, choices(technology, dies=2.0), weights=WEIGHTS, batch=batch)
    starts = [Subproblem(k, 0, (4, 8, 0, 0)) for k in range(len(WEIGHTS))]
    fresh.solve(starts)
    with double_precision():
        proof = prove(fresh.pool, starts, most_boxes=8)
    best, _ = enumerated(fresh)
    assert not proof.closed
    assert (proof.bounds <= best + 1e-9).all()
    assert (proof.bounds < best - TOLERANCE).any()


def test_roots_hold_everything_once_and_end_at_the_domain(technology):
    problem = posed(space((1, 128)), work(), choices(technology), batch=(1, 64))
    found = roots(problem.pool.formulation)
    chips = sorted((box.low[0], box.high[0]) for box in found if box.choice == 1)
    assert chips == [(1, 72), (73, 128)]
    assert {box.low[1:] for box in found} == {(1, 0, 0)} and {box.high[1:] for box in found} == {
        (64, 0, 0)
    }


def test_halves_hold_everything_once():
    random = np.random.default_rng(0)
    for _ in range(200):
        low = random.integers(1, 50, 4)
        box = Box(1, tuple(map(int, low)), tuple(map(int, low + random.integers(0, 50, 4))))
        if box.single:
            continue
        one, other = halves(box)
        sizes = [
            int(np.prod(np.array(part.high) - np.array(part.low) + 1)) for part in (box, one, other)
        ]
        assert sizes[0] == sizes[1] + sizes[2] and min(sizes[1:]) >= 1
        assert one.low == box.low and other.high == box.high


def test_a_service_has_the_batches_it_is_given():
    assert service(work(), (6, 10)).batch == (6, 10)
