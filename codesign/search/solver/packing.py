"""Problems laid out for compiled programs: what their choices differ in is one matrix, a row a
choice, and all else one vector.

A model, technologies, plans and operators are hundreds of small arrays. Taking each of them apart
by choice is several operations an array to trace and to compile, and handing them over takes as
long as using them.
"""

from collections.abc import Callable, Hashable
from typing import Generic, ParamSpec

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from codesign.limits import LimitRow
from codesign.numerics.fields import IntArray, RealArray, Tree
from codesign.performance.execution import Execution
from codesign.performance.plan import Plan
from codesign.search.statement.choices import Kind
from codesign.search.statement.problem import ProblemBatch
from codesign.search.statement.services import Service
from codesign.search.statement.space import Space
from codesign.workload.operators import OperatorTable

Rest = ParamSpec("Rest")


class Packing(eqx.Module, Generic[Tree]):
    """How a tree of arrays is laid out in one vector."""

    structure: Hashable = eqx.field(static=True)
    shapes: tuple[tuple[int, ...], ...] = eqx.field(static=True)

    def tree(self, numbers: RealArray) -> Tree:
        """The tree whose numbers these are."""
        ends = np.cumsum([int(np.prod(shape)) for shape in self.shapes])
        leaves = [
            jnp.reshape(part, shape)
            for part, shape in zip(jnp.split(numbers, ends[:-1]), self.shapes, strict=True)
        ]
        return jax.tree.unflatten(self.structure, leaves)


class PackedProblems(eqx.Module):
    """``ProblemBatch`` of every choice, in two arrays."""

    shared: RealArray  # (numbers,)
    rows: RealArray  # (choices, numbers)
    packings: tuple[
        Packing[tuple[tuple[Space, ...], tuple[Service, ...], Execution]],
        Packing[tuple[tuple[Kind, ...], tuple[Plan, ...], tuple[OperatorTable, ...]]],
    ]
    limits: tuple[LimitRow, ...] = eqx.field(static=True, default=())

    def problem(self, row: RealArray) -> ProblemBatch:
        """The problem of one row."""
        spaces, services, execution = self.packings[0].tree(self.shared)
        kinds, plans, tables = self.packings[1].tree(row)
        return ProblemBatch(spaces, services, kinds, plans, tables, execution, self.limits)


def pack(problems: ProblemBatch) -> PackedProblems:
    """Problems on the device, in the numbers' own precision."""
    shared, structure = jax.tree.flatten((problems.spaces, problems.services, problems.execution))
    own, structures = jax.tree.flatten((problems.kinds, problems.plans, problems.tables))
    packings = (
        Packing(structure, tuple(np.shape(leaf) for leaf in shared)),
        Packing(structures, tuple(np.shape(leaf)[1:] for leaf in own)),
    )
    numbers = np.concatenate([np.ravel(leaf) for leaf in shared])
    rows = np.concatenate([np.reshape(leaf, (len(leaf), -1)) for leaf in own], axis=1)
    return jax.device_put(PackedProblems(numbers, rows, packings, problems.limits))


def each_lane(
    function: Callable[..., Tree], problems: PackedProblems, choices: IntArray, *arrays: object
) -> Tree:
    """``function(problem of a choice, …)`` for every choice with its rows of the arrays."""

    def lane(row: RealArray, rest: tuple[object, ...]) -> Tree:
        return function(problems.problem(row), *rest)

    return jax.vmap(lane)(problems.rows[choices], arrays)
