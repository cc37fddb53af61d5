"""Problems in batches of a fixed size, so that one compiled program serves any number; several
batches at a time.

XLA keeps one core busy with arrays as small as these, and does not hold the interpreter's lock
meanwhile.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import jax
import numpy as np

from codesign.numerics.fields import Tree

LANES = 8
"""Problems in one call: most rounds of a search bring few, and empty lanes cost as much as full
ones."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextlib.contextmanager
def double_precision() -> Iterator[None]:
    """Search and certificate need float64 (float32 leaves gaps of 9 to 16 log units) and Optax
    mixes dtypes; thread-local."""
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        yield


def side_by_side(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Results in the order of the items, as many at a time as there are cores; in double
    precision."""

    def precisely(item: Item) -> Result:
        with double_precision():
            return work(item)

    if len(items) <= 1:
        return [precisely(item) for item in items]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return list(threads.map(precisely, items))


def in_batches(
    work: Callable[[list[Item]], Tree], items: Sequence[Item], lanes: int = LANES
) -> Tree:
    """Results of ``work`` on so many items at a time, leaves (items, …) in numpy; the last batch is
    filled up and cut."""
    batches = [list(items[first : first + lanes]) for first in range(0, len(items), lanes)]

    def filled(batch: list[Item]) -> Tree:
        found = work(batch + [batch[-1]] * (lanes - len(batch)))
        return jax.tree.map(lambda leaf: np.asarray(leaf)[: len(batch)], found)

    return jax.tree.map(lambda *parts: np.concatenate(parts), *side_by_side(filled, batches))
