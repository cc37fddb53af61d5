"""Hypervolume against wall time and evaluations, beside NSGA-II and random search, on three
problems.

Run by hand: ``python -m pytest tests/benchmarks/test_race.py --benchmark-enable -n 0 -s``. The
table gives seconds cold (all that must be compiled included) and warm, and both over NSGA-II's.
Figures depend on the machine: compare within one run.
"""

import pytest

from tests.benchmarks.race import CONTESTS, race, table


@pytest.mark.parametrize("name", CONTESTS)
@pytest.mark.parametrize("seed", [0])
def test_race(benchmark, name, seed):
    if benchmark.disabled:
        pytest.skip("minutes long: run with --benchmark-enable")
    rows = benchmark.pedantic(lambda: race(name, seed), rounds=1)
    print(f"\n{name}, seed {seed}\n{table(rows)}")
    genetic = [row.volume for row in rows if row.method == "NSGA-II"]
    assert rows[-1].volume > genetic[-1], (
        "ours with the most weightings has the smaller hypervolume"
    )
    assert genetic == sorted(genetic), "a hypervolume of all designs met cannot fall"
