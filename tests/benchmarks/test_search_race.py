"""The unproved search against its own branch and bound on 120 random problems: one and three
objectives, limit and build mode.

``python -m pytest tests/benchmarks/test_search_race.py --benchmark-enable -n 0 -s`` prints the
share within 0.1 % and every miss.
"""

import numpy as np

from tests.codesign.search.conftest import technologies as technologies
from tests.codesign.search.race import contest

PROBLEMS = 30
"""Of each of the four kinds."""


def test_share_of_problems_within_a_thousandth(technologies, benchmark):
    def race() -> tuple[np.ndarray, int]:
        losses, problems = [], 0
        for goals in (1, 3):
            for buildable in (False, True):
                random = np.random.default_rng([7, goals, buildable])
                for _ in range(PROBLEMS):
                    one = contest(random, technologies, buildable=buildable, goals=goals)
                    if one is None:
                        continue
                    assert one.closed, one.told
                    problems += 1
                    losses.append(one.loss)
                    if one.loss.max() > 1e-3:
                        print(
                            f"{goals} goals, {'build' if buildable else 'limit'}: missed by"
                            f" {one.loss.max():.4f}: {one.told}",
                            flush=True,
                        )
        return np.concatenate(losses), problems

    losses, problems = benchmark.pedantic(race, rounds=1)
    print(
        f"{problems} problems, {len(losses)} weightings: {np.mean(losses <= 1e-3):.1%} within 0.1"
        f" %, worst {losses.max():.4f}"
    )
    assert np.mean(losses <= 1e-3) >= 0.99
