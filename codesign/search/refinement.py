"""Where a front has holes: new weightings between the two ends of its longest gaps."""

import numpy as np

from codesign.search.integers import Task

ROUNDS = 2
GAPS = 12
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


def between(gap: tuple[int, int], weights: np.ndarray, tasks: list[Task], index: int, counted: int) -> tuple[np.ndarray, list[Task]]:
    """A weighting between two designs, and where to start for it: both ends, and their geometric mean in both choices.

    Args:
        gap: rows of the two designs.
        weights: weightings of all designs, shape (designs, objectives).
        tasks: their integers.
        index: number of the new weighting.
        counted: how many of the integers are chips and batches; stacks and layers start free.
    """
    ends = [tasks[row] for row in gap]
    free = (0,) * (len(ends[0].integers) - counted)
    pairs = list(zip(*(end.integers[:counted] for end in ends), strict=True))
    middle = tuple(round(float(np.sqrt(one * other))) for one, other in pairs)
    starts = {end._replace(weighting=index, integers=(*end.integers[:counted], *free)) for end in ends}
    starts |= {end._replace(weighting=index, integers=(*middle, *free)) for end in ends}
    return weights[list(gap)].mean(axis=0), sorted(starts)
