"""Batches: any number of items, in their order, several at a time."""

import os
import threading

import jax.numpy as jnp
import numpy as np
import pytest

from codesign.search.solver.lanes import LANES, in_batches, side_by_side


@pytest.mark.parametrize("count", [1, LANES - 1, LANES, 3 * LANES + 2])
def test_results_are_in_the_order_of_the_items(count):
    sizes = []

    def squares(items):
        sizes.append(len(items))
        return {"square": np.square(items), "pair": (np.array(items),)}

    found = in_batches(squares, range(count))
    np.testing.assert_array_equal(found["square"], np.arange(count) ** 2)
    np.testing.assert_array_equal(found["pair"][0], np.arange(count))
    assert set(sizes) == {LANES}


def test_batches_run_at_the_same_time_and_in_double_precision(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    meeting = threading.Barrier(2, timeout=10.0)  # broken unless two are there at once

    def meet(item):
        meeting.wait()
        return jnp.asarray(item, float).dtype

    assert side_by_side(meet, [1.0, 2.0]) == [np.dtype("float64")] * 2
