"""Gaps of a front and what is tried between their ends."""

import numpy as np

from codesign.search.integers import Task
from codesign.search.refinement import between, longest_gaps


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


def test_between_starts_at_both_ends_and_their_mean_with_memory_free():
    weights = np.array([[1.0, 0.0], [0.0, 1.0]])
    tasks = [Task(0, 1, (4, 100, 3, 2)), Task(1, 2, (16, 25, 0, 0))]
    weighting, starts = between((0, 1), weights, tasks, 7, counted=2)
    np.testing.assert_allclose(weighting, [0.5, 0.5])
    ends = {Task(7, 1, (4, 100, 0, 0)), Task(7, 2, (16, 25, 0, 0))}
    assert set(starts) == ends | {Task(7, 1, (8, 50, 0, 0)), Task(7, 2, (8, 50, 0, 0))}
    assert starts == sorted(starts)
