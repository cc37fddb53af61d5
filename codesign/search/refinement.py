"""Where a front has holes: new weightings between the two ends of its longest gaps."""

import numpy as np

from codesign.search.integers import Task

ROUNDS = 2
GAPS = 10
"""Rounds of refinement, and new weightings in each."""


def longest_gaps(logs: np.ndarray, count: int) -> list[tuple[int, int]]:
    """The longest edges of the front's minimum spanning tree, as pairs of rows, longest first.

    Args:
        logs: ln of the objectives, shape (designs, objectives); each is scaled to its range over the front.
        count: at most so many pairs.
    """
    from scipy.sparse.csgraph import minimum_spanning_tree
    from scipy.spatial.distance import cdist

    if len(logs) < 2:
        return []
    spread = np.ptp(logs, axis=0)
    scaled = logs / np.where(spread > 0, spread, 1.0)
    tree = minimum_spanning_tree(cdist(scaled, scaled) + 1e-12).tocoo()
    order = np.argsort(-tree.data, kind="stable")[:count]
    return [(int(tree.row[k]), int(tree.col[k])) for k in order]


def between(gap: tuple[int, int], weights: np.ndarray, tasks: list[Task], index: int) -> tuple[np.ndarray, list[Task]]:
    """A weighting between two designs, and where to start for it: both ends, and their geometric mean in both plans.

    Args:
        gap: rows of the two designs.
        weights: weightings of all designs, shape (designs, objectives).
        tasks: their integers.
        index: number of the new weighting.
    """
    ends = [tasks[row] for row in gap]
    chips, batch = (round(float(np.sqrt(one * other))) for one, other in zip(ends[0][2:], ends[1][2:], strict=True))
    starts = {end._replace(weighting=index) for end in ends}
    starts |= {end._replace(weighting=index, chips=chips, batch=batch) for end in ends}
    return weights[list(gap)].mean(axis=0), sorted(starts)
