"""A relaxation of a problem never has a worse optimum than the problem: properties of the proved
search."""

import dataclasses

import numpy as np
import pytest

import objectives
from codesign.search import Front, optimize, service
from codesign.search.integers.branch_and_bound import TOLERANCE
from tests.codesign.search.conftest import choices, space, work

DOLLARS = (objectives.objective("tokens/s/$"),)
PROMISE = 6e-3


def best(spaces, among, promise: float = PROMISE, batch: tuple[int, int] = (1, 1024)) -> Front:
    return optimize(spaces, service(work(promise=promise), batch), among, DOLLARS, weights=1)


def no_worse(relaxed: Front, tight: Front) -> bool:
    """Both are proved to within the tolerance, so the relaxed one may be found that much short."""
    assert set(relaxed.status) == set(tight.status) == {"GLOBAL"}
    return bool(relaxed.values.max() >= tight.values.max() * (1.0 - TOLERANCE * 1.01))


@pytest.fixture(scope="module")
def tight(technology) -> Front:
    return best(space(buildable=True), choices(technology)[:1] * 2)


def test_limit_mode_is_no_worse_than_build_mode(technology, tight):
    assert no_worse(best(space(), choices(technology)[:1] * 2), tight)


def test_more_choices_are_no_worse(technology, tight):
    assert no_worse(best(space(buildable=True), choices(technology)), tight)


def test_a_wider_box_is_no_worse(technology, tight):
    narrow = space(buildable=True)
    middle = np.sqrt(np.asarray(narrow.low) * np.asarray(narrow.high))
    inner = dataclasses.replace(
        narrow,
        low=np.maximum(narrow.low, middle * 0.1),
        high=np.minimum(narrow.high, middle * 10.0),
    )
    assert no_worse(tight, best(inner, choices(technology)[:1] * 2))


def test_wider_ranges_of_integers_are_no_worse(technology, tight):
    fewer = best(space((2, 3), buildable=True), choices(technology)[:1] * 2, batch=(1, 200))
    assert no_worse(tight, fewer)


@pytest.mark.parametrize("factor", [0.3, 0.7])
def test_a_looser_promise_is_no_worse(factor, technology, tight):
    assert no_worse(
        tight, best(space(buildable=True), choices(technology)[:1] * 2, promise=factor * PROMISE)
    )
