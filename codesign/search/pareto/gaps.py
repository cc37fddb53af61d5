"""Where a front has holes: new weightings, or speeds to ask for, between the two ends of its
longest gaps."""

import numpy as np

from codesign.numerics.fields import RealArray
from codesign.search.program.objectives import LEAST_WEIGHT, Goals

ROUNDS = 4
GAPS = 12
"""Rounds of refinement, and new weightings in each."""

BY_SPEED = 0.25
"""Share of a gap's squared length above which it is one in speed: a third where all of three
objectives differ alike."""


def longest_gaps(logs: RealArray, count: int) -> list[tuple[int, int]]:
    """The longest edges of the front's minimum spanning tree, as pairs of rows, longest first.

    Args:
        logs: ln of the objectives, shape (designs, objectives); each is scaled to its range over
            the front.
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


def asked_between(
    gaps: list[tuple[int, int]],
    weights: np.ndarray,
    logs: RealArray,
    paces: np.ndarray,
    goals: Goals,
) -> tuple[np.ndarray, np.ndarray]:
    """Weightings between the ends of gaps: weights (gaps, objectives), and the ln of the longest
    time per token asked for (gaps,).

    Weights between those of the ends find a design between them only where the front bulges; with
    whole chips and batches it has dents. Where the ends differ much in speed, the speed halfway is
    asked for instead, and weighed least (the ε-constraint method, Miettinen, Nonlinear
    Multiobjective Optimization, 1999, §3.2).

    Args:
        gaps: pairs of designs.
        weights: their weightings, shape (designs, objectives).
        logs: their goals, shape (designs, objectives).
        paces: ln of their times per token [s], shape (designs,).
        goals: the objectives.
    """
    spread = np.ptp(logs, axis=0)
    found, pace_limit = [], []
    for one, other in gaps:
        mean, fast = 0.5 * (weights[one] + weights[other]), goals.pace > 0.0
        length = ((logs[one] - logs[other]) / np.where(spread > 0, spread, 1.0)) ** 2
        by_speed = length[fast].sum() > BY_SPEED * length.sum()
        mean = np.where(fast & by_speed, LEAST_WEIGHT, mean) if not fast.all() else mean
        found.append(mean / mean.sum())
        pace_limit.append(0.5 * (paces[one] + paces[other]) if by_speed else np.inf)
    return np.array(found), np.array(pace_limit)
