"""Gaps of a front and what is tried between their ends."""

import numpy as np

from codesign.search.pareto.gaps import asked_between, longest_gaps
from codesign.search.program.objectives import Goals


def test_the_longest_gap_comes_first():
    logs = np.array([[0.0, 4.0], [1.0, 3.0], [3.5, 0.5], [4.0, 0.0]])
    gaps = longest_gaps(logs, 2)
    assert set(gaps[0]) == {1, 2}
    assert len(gaps) == 2


def test_gaps_do_not_depend_on_units():
    logs = np.random.default_rng(0).random((12, 3))
    assert longest_gaps(logs, 5) == longest_gaps(logs * np.array([1.0, 10.0, 0.1]), 5)


def test_one_design_has_no_gap():
    assert longest_gaps(np.zeros((1, 3)), 5) == []


def test_a_speed_is_asked_for_where_the_ends_differ_in_speed():
    speed = Goals(
        np.array([0.0, 1.0]), np.zeros(2), np.zeros((2, 4)), np.zeros((2, 3)), np.zeros(2)
    )
    logs = np.array([[0.0, -5.0], [0.1, -9.0], [2.0, -9.1]])
    weights = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    asked, pace_limit = asked_between([(0, 1), (1, 2)], weights, logs, logs[:, 1], speed)
    np.testing.assert_allclose(pace_limit, [-7.0, np.inf])
    np.testing.assert_allclose(asked[1], [0.25, 0.75])
    assert asked[0, 0] > 0.999
    assert asked[0, 1] > 0.0
