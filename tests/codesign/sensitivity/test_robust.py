"""Robust choices and values of information against brute force on small tables."""

import itertools

import numpy as np
import pytest

from codesign.sensitivity.robust import (
    chance_to_beat,
    conditional_value_at_risk,
    expected,
    largest_regret,
    regrets,
    value_of_information,
)

TABLE = np.array([[1.0, 4.0, 2.0, 8.0], [3.0, 3.0, 3.0, 3.0], [0.0, 9.0, 0.0, 9.0]])


def test_means_tails_and_regrets():
    np.testing.assert_allclose(expected(TABLE), [3.75, 3.0, 4.5])
    np.testing.assert_allclose(conditional_value_at_risk(TABLE, 0.5), [1.5, 3.0, 0.0])
    # three tenths of four worlds: the worst, and a fifth of the next
    np.testing.assert_allclose(conditional_value_at_risk(TABLE, 0.3)[0], (1.0 + 0.2 * 2.0) / 1.2)
    np.testing.assert_allclose(largest_regret(TABLE), [2 / 3, 2 / 3, 1.0])
    assert regrets(np.zeros((2, 3))).max() == 0.0


def test_the_tail_as_the_minimum_of_rockafellar_and_uryasev():
    """CVaR is the largest over a of a − mean(max(a − x, 0)) / tail, at one of the values."""
    table = np.random.default_rng(0).normal(size=(3, 40))
    for tail in (0.1, 0.25, 0.9):
        brute = [max(a - np.maximum(a - row, 0.0).mean() / tail for a in row) for row in table]
        np.testing.assert_allclose(conditional_value_at_risk(table, tail), brute)


def test_who_beats_whom():
    beats = chance_to_beat(TABLE)
    for i, j in itertools.product(range(3), repeat=2):
        wins = sum(a > b for a, b in zip(TABLE[i], TABLE[j], strict=True))
        ties = sum(a == b for a, b in zip(TABLE[i], TABLE[j], strict=True))
        assert beats[i, j] == (wins + 0.5 * ties) / 4
    np.testing.assert_allclose(beats + beats.T, 1.0)


def test_information_about_the_prior_that_decides_is_worth_all_of_it():
    """Two candidates: one is good where the first deviate is positive, the other where it is not;
    the second deviate says nothing."""
    z = np.random.default_rng(1).standard_normal((4000, 2))
    sign = np.where(z[:, 0] > 0, 1.0, -1.0)
    found = value_of_information(np.stack([2.0 + sign, 2.0 - sign]), z)
    assert found.perfect == pytest.approx(0.5, abs=0.03)
    assert found.each[0] == pytest.approx(found.perfect, abs=0.03)
    assert found.each[1] < 0.01 and 0.0 <= found.floor < 0.05


def test_a_single_candidate_has_nothing_to_learn():
    z = np.random.default_rng(2).standard_normal((64, 1))
    found = value_of_information(np.ones((1, 64)), z)
    assert found.perfect == 0.0 and found.each[0] == 0.0
