"""Two executions side by side: the best designs of each, and what is missing."""

import numpy as np

from experiments.accuracy.executions import BEST, Found, rows
from experiments.runs.columns import Column


def front(**best: list[float]) -> Found:
    """Two designs of 2 and 4 chips."""
    values = {
        "chips": [2.0, 4.0],
        "batch": [100.0, 50.0],
        "memory_bandwidth": [1e12, 2e12],
        "memory_capacity": [1e11, 2e11],
        "peak_flops": [1e15, 2e15],
        "link_bandwidth": [1e11, 2e11],
        **{key: [1.0, 2.0] for key in BEST},
        **best,
    }
    columns = {name: Column(name, "", np.array(column)) for name, column in values.items()}
    return Found(columns, ("GLOBAL", "LOCAL"))


def test_each_line_has_the_design_that_is_best_by_it():
    one, other = front(), front(**{"tokens/s/$": [3.0, 2.0]})
    lines = list(rows("some", one, other))
    assert [line.split(" | ")[1] for line in lines] == list(BEST)
    assert "2: 4 chips, batch 50, 2.0 TB/s, 200 GB, 2.0 PFLOP/s, link 0.20 TB/s" in lines[0]
    assert "3: 2 chips, batch 100, 1.0 TB/s" in lines[0].split(" | ")[3]


def test_what_cannot_be_built_has_no_design():
    assert all("no design" in line for line in rows("some", front(), None))


def test_the_share_is_of_designs_proved_over_everything():
    assert front().share == "1 of 2"
