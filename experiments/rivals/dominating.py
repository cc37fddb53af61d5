"""Which machines lead: fronts of many, and steps on a grid of whole numbers."""

import numpy as np

POINTS = 24
"""Speeds at which a device's own front keeps the best machine for each objective."""


def geometric(low: int, high: int, step: float) -> np.ndarray:
    """Whole numbers from low to high, at most ``step`` times apart or next to each other."""
    count = int(np.ceil(np.log(max(high / low, 1.0)) / np.log(step))) + 1
    return np.unique(np.round(np.geomspace(low, max(high, low), count))).astype(int)


def _between(grid: np.ndarray, at: int) -> np.ndarray:
    """Numbers between a number of a grid and its neighbours there."""
    place = int(np.searchsorted(grid, at))
    low, high = grid[max(place - 1, 0)], grid[min(place + 1, len(grid) - 1)]
    inside = np.arange(low + 1, high)
    return inside[inside != at]


def leading_rows(logs: np.ndarray, speed: int) -> np.ndarray:
    """Rows that are best for some objective among those of about the same speed, at ``POINTS``
    speeds.

    Args:
        logs: ln of the objectives, to be minimised (machines, objectives).
        speed: which of them is the speed.
    """
    at = logs[:, speed]
    places = np.minimum((at - at.min()) / max(np.ptp(at), 1e-12) * POINTS, POINTS - 1).astype(int)
    order = np.argsort(logs.sum(axis=1), kind="stable")
    rows = set(order[logs[order].argmin(axis=0)].tolist())
    for column in logs.T:
        best = np.lexsort((logs.sum(axis=1), column, places))
        rows |= set(best[np.unique(places[best], return_index=True)[1]].tolist())
    return np.array(sorted(rows), dtype=int)


def own_front(logs: np.ndarray, speed: int) -> np.ndarray:
    """Rows of a device's own front, by rising speed: the leading ones that no row at all beats;
    arguments of ``leading_rows``."""
    rows = leading_rows(logs, speed)
    kept = [
        k
        for k in rows
        if not ((logs <= logs[k]).all(axis=1) & (logs < logs[k] - 1e-9).any(axis=1)).any()
    ]
    unique = {tuple(np.round(logs[k], 9)): k for k in kept}
    return np.array(sorted(unique.values(), key=lambda k: -logs[k, speed]), dtype=int)


def moved(numbers: np.ndarray, step: float, direction: int | np.ndarray) -> np.ndarray:
    """Numbers larger or smaller by a ratio, and by one at least."""
    far = np.round(numbers * step**direction).astype(int)
    return np.where(far == numbers, numbers + direction, far)
