"""Which designs no other dominates."""

import numpy as np

from codesign.numerics.fields import RealArray


def non_dominated(logs: RealArray, tolerance: float = 1e-7) -> np.ndarray:
    """Indices of rows that are finite and that no other row beats or equals in every column; of
    equal rows, the first."""
    order = np.argsort(
        np.where(np.isfinite(logs).all(axis=1), logs.sum(axis=1), np.inf), kind="stable"
    )
    kept: list[int] = []
    for k in order:  # a row can only be beaten by one with a smaller sum, up to the tolerance
        if not np.isfinite(logs[k]).all():
            break
        if not kept or not (logs[kept] <= logs[k] + tolerance).all(axis=1).any():
            kept.append(int(k))
    return np.array(sorted(kept), dtype=int)
