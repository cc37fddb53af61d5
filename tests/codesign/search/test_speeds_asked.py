"""Weightings that ask for a speed: what they find, what their bounds hold for, and the dents that
they fill."""

import numpy as np
import pytest

from codesign.search.assembly import SPEED_ASKED
from codesign.search.integers.formulation import Subproblem
from codesign.search.integers.solution_pool import SolutionPool
from codesign.search.pareto.starts import adopt_better_integers, paces
from codesign.search.verification.optimality import front_gaps
from tests.codesign.search.conftest import GOALS, choices, posed, space, work

SUBPROBLEM = Subproblem(0, 0, (8, 32, 0, 0))
FRUGAL = (0.01, 0.98, 0.01)


@pytest.fixture(scope="module")
def problem(technology):
    return posed(space(), work(promise=20e-3), choices(technology), weights=[FRUGAL])


def test_the_most_frugal_design_of_a_speed_is_as_fast_as_asked_and_proved(problem):
    pool = problem.pool
    problem.solve([SUBPROBLEM])
    free = paces(pool, [SUBPROBLEM])[0]
    first = len(pool.weights)
    pool.ask(np.array([FRUGAL] * 4), free + np.array([1.0, -0.02, -0.05, -8.0]))
    subproblems = [SUBPROBLEM._replace(weighting=first + k) for k in range(4)]
    problem.solve(subproblems)
    slack, near, fast, impossible = subproblems
    assert pool.value(slack) == pytest.approx(pool.value(SUBPROBLEM), abs=1e-9), (
        "a speed that is reached anyway costs nothing"
    )
    assert pool.value(SUBPROBLEM) < pool.value(near) < pool.value(fast)
    np.testing.assert_allclose(
        paces(pool, [near, fast]), free + np.array([-0.02, -0.05]), atol=1e-8
    )
    assert np.isinf(pool.value(impossible))
    assert np.max(problem.exact([near, fast]).gap) <= 1e-8


def test_a_bound_speaks_only_of_designs_as_fast_as_asked():
    class Asked(SolutionPool):
        def __init__(self):
            self.weights, self.pace_limit = (
                np.array([[0.5, 0.5], [0.5, 0.5]]),
                np.array([np.inf, -1.0]),
            )
            self.bounds = np.array([0.9, 1.95])

    logs = np.array([[1.0, 1.0], [2.0, 2.0]])
    asked = Asked()
    np.testing.assert_allclose(front_gaps(asked, logs, np.array([-0.5, -1.5])), [0.1, 0.05])
    asked.bounds[:] = -np.inf
    assert np.isnan(front_gaps(asked, logs, np.array([-0.5, -1.5]))).all(), "nothing is proved"


def test_dents_of_the_front_are_filled(build_front):
    """With whole chips, batches and memory, weights alone leave gaps in speed; asking for a speed
    fills them."""
    bound = [SPEED_ASKED in names for names in build_front.binding]
    assert any(bound)
    assert np.isfinite(build_front.time_asked[bound]).all()
    np.testing.assert_allclose(
        build_front.totals.time_per_token[bound], build_front.time_asked[bound], rtol=1e-6
    )
    assert (build_front.multipliers[SPEED_ASKED][bound] > 0.0).all()


def test_no_weighting_keeps_integers_that_serve_it_worse_than_a_found_design(problem):
    """Two weightings; the first is given integers that serve it worse than the second's."""
    pool = problem.pool
    first = len(pool.weights)
    pool.ask(np.array([FRUGAL, (0.01, 0.01, 0.98)]), np.full(2, np.inf))
    crossed = [Subproblem(first, 0, (8, 4, 0, 0)), Subproblem(first + 1, 0, (8, 32, 0, 0))]
    problem.solve(crossed)
    before = [pool.value(subproblem) for subproblem in crossed]
    after = [pool.value(subproblem) for subproblem in adopt_better_integers(pool, GOALS, crossed)]
    assert after[0] < before[0] - 1e-3
    assert after[1] <= before[1]
