"""A proof over wide ranges finds the good integers while its tree is small."""

import numpy as np

from codesign.search.integers.branch_and_bound import TOLERANCE, prove
from codesign.search.integers.formulation import Subproblem
from codesign.search.integers.solution_pool import SolutionPool
from codesign.search.optimize import pose
from codesign.search.solver.lanes import double_precision
from codesign.search.statement.problem import assemble
from experiments.scenarios.problem import problem
from experiments.scenarios.toml_text import read
from tests.examples import nightly

TIGHT = """
[workload]
model = "deepseek-v3"
context = 20000
weight_bits = 8
kv_bits = 8
draft_length = 2
draft_acceptance = 0.7
draft_cost = 0.02
promise = "30 ms"
[technology]
node = "N3"
memory = "HBM4"
link = "UALink"
[space]
memory_bandwidth = ["700 GB/s", "60 TB/s"]
memory_capacity = ["30 GB", "2 TB"]
peak_flops = ["80 TFLOP/s", "9 PFLOP/s"]
link_bandwidth = ["60 GB/s", "4 TB/s"]
chips = [1, 200]
batch = [1, 4000]
[choices]
collectives = ["two-shot"]
dies = [2]
[search]
objectives = ["$/token"]
"""
"""Few chips, as full as they may be: integers rounded from a relaxed optimum seldom fit."""

FAR, GOOD, MOST_BOXES = (100, 100, 8, 4), (3, 263, 9, 4), 2000
"""Chips, batch, stacks and layer steps: feasible and many times dearer than the good ones."""


@nightly
def test_a_wide_tree_shrinks_once_its_boxes_are_rounded_to_designs():
    """Where only the box with the lowest bound was, 26,516 boxes were cut, the budget was spent and
    the answer stayed at the far ones."""
    posed = problem(read(TIGHT, "tight", "tight"))
    with double_precision():
        assembled = assemble(posed.spaces, posed.services, posed.choices, posed.execution)
        formulation, _ = pose(assembled, posed.objectives, posed.bounds)
        pool = SolutionPool(formulation, np.ones((1, 1)))
        pool.learn([Subproblem(0, 0, FAR), Subproblem(0, 0, GOOD)])
        far = pool.value(Subproblem(0, 0, FAR))
        proof = prove(pool, [Subproblem(0, 0, FAR)], most_boxes=MOST_BOXES)
    assert np.isfinite(far) and proof.closed and proof.boxes < MOST_BOXES
    assert pool.value(proof.best[0]) < far - 2.9
    assert pool.value(proof.best[0]) <= pool.value(Subproblem(0, 0, GOOD)) + TOLERANCE
