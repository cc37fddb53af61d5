"""The unproved search against its own branch and bound; a hundred problems and more in
``tests/benchmarks/test_search_race.py``."""

import numpy as np
import pytest

from tests.codesign.search.race import contest
from tests.examples import thorough

PROBLEMS = 20 if thorough() else 1
"""Of each kind; some 10 s of a processor each."""


@pytest.mark.parametrize("buildable", [False, True], ids=["limit", "build"])
@pytest.mark.parametrize("goals", [1, 3])
def test_the_search_finds_what_branch_and_bound_proves(goals, buildable, technologies):
    random = np.random.default_rng([goals, buildable])
    found = [
        one
        for _ in range(PROBLEMS)
        if (one := contest(random, technologies, buildable=buildable, goals=goals))
    ]
    losses = np.concatenate([one.loss for one in found])
    assert len(found) >= PROBLEMS / 3
    assert all(one.closed for one in found)
    assert np.mean(losses <= 1e-3) >= 0.9, [(one.told, one.loss) for one in found]
