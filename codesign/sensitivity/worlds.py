"""Other worlds: an optimum's problem under many technologies, each solved at fixed integers and
bounded."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from codesign.hardware.technology import Technology
from codesign.numerics.compilation import SELDOM, compiled
from codesign.performance.plan import Plan
from codesign.search.integers.formulation import (
    Formulation,
    Solved,
    Subproblem,
    fixed_programs,
    solve_programs,
)
from codesign.search.program.geometric_program import Program
from codesign.search.solver.lanes import LANES, double_precision, side_by_side
from codesign.search.solver.packing import PackedProblems
from codesign.search.statement.choices import Kind
from codesign.sensitivity.optimum import Optimum
from codesign.workload.operators import OperatorTable, operator_table, pad
from codesign.workload.precision import Precision
from codesign.workload.transformer import Transformer

Technologies = tuple[Technology, ...]
"""A technology of each kind of machine, leaves (worlds,)."""


class Worlds(NamedTuple):
    """Many technologies laid out as a compiled program takes them: a row each (worlds, numbers)."""

    formulation: Formulation
    rows: np.ndarray

    def packed(self, places: Sequence[int]) -> PackedProblems:
        """Those of a few worlds."""
        return PackedProblems(
            self.formulation.packed.shared,
            self.rows[np.asarray(places)],
            self.formulation.packed.packings,
        )


def worlds_of(found: Optimum, technologies: Technologies, choice: int | None = None) -> Worlds:
    """Lay many technologies out in the place of an optimum's own.

    Args:
        found: the optimum.
        technologies: of each kind of machine, leaves (worlds,) in SI.
        choice: whose package and plan are kept, if not the optimum's.

    Returns:
        The rows; the operators are written anew where ``slice_columns`` differs.
    """
    formulation = found.pool.formulation
    kept = found.subproblem.choice if choice is None else choice
    base = np.asarray(formulation.packed.rows)[kept]
    count = len(np.asarray(technologies[0].logic.wafer_price))
    rows = np.tile(base, (count, 1))
    places = columns_of(formulation)
    for p, technology in enumerate(technologies):
        for place, leaf in zip(
            jax.tree.leaves(places.kinds[p].technology), jax.tree.leaves(technology), strict=True
        ):
            rows[:, int(place)] = np.asarray(leaf)
    for k, step in enumerate(formulation.problems.steps):
        widths = np.asarray(technologies[step.kind].attainable.slice_columns)
        own = float(base[int(places.kinds[step.kind].technology.attainable.slice_columns)])
        if (widths != own).any():
            _write_operators(found, rows, places, k, widths, kept)
    return Worlds(formulation, rows)


class _Places(NamedTuple):
    kinds: tuple[Kind, ...]
    plans: tuple[Plan, ...]
    tables: tuple[OperatorTable, ...]


def columns_of(formulation: Formulation) -> _Places:
    """The column of every number of a choice in its packed row: trees of places."""
    packing = formulation.packed.packings[1]
    count = int(np.asarray(formulation.packed.rows).shape[1])
    ends = np.cumsum([int(np.prod(shape)) for shape in packing.shapes])
    leaves = [
        np.reshape(part, shape)
        for part, shape in zip(np.split(np.arange(count), ends[:-1]), packing.shapes, strict=True)
    ]
    return _Places(*jax.tree.unflatten(packing.structure, leaves))


def _write_operators(
    found: Optimum, rows: np.ndarray, places: _Places, k: int, widths: np.ndarray, choice: int
) -> None:
    step = found.pool.formulation.problems.steps[k]
    one, precisions = found.services[step.service], found.choices[choice].precisions
    precision = precisions[step.service] if precisions else one.precision
    with double_precision():
        tables = _operators(one.model, precision, jnp.asarray(widths, dtype=float))
    for place, leaf in zip(jax.tree.leaves(places.tables[k]), jax.tree.leaves(tables), strict=True):
        rows[:, np.ravel(place)] = np.reshape(np.asarray(leaf), (len(rows), -1))


@compiled(SELDOM)
def _operators(
    model: Transformer, precision: Precision, widths: Float[Array, "worlds"]
) -> OperatorTable:
    def one(columns: Float[Array, ""]) -> OperatorTable:
        table = operator_table(model, precision, slice_columns=columns)
        return pad(table, -(-len(table.names) // 4) * 4)

    return jax.vmap(one)(widths)


def solve_worlds(
    worlds: Worlds,
    subproblem: Subproblem,
    weights: np.ndarray | None = None,
    places: Sequence[int] | None = None,
    change: Callable[[Program, Sequence[int]], Program] | None = None,
    tell: Callable[[int], None] = lambda done: None,
) -> Solved:
    """Solve the same integers in many worlds, each to its last digits and with its proved bound.

    Args:
        worlds: the technologies.
        subproblem: integers (its choice is the worlds').
        weights: of the objectives; the first alone unless told.
        places: which worlds; all unless told.
        change: what is done to the programs of a batch before they are solved, by the worlds'
            places.
        tell: hears how many are done.

    Returns:
        ``value`` (+∞ where no design is feasible), ``bound`` and ``point``, leaves (places, …).
    """
    chosen = list(range(len(worlds.rows))) if places is None else list(places)
    formulation = worlds.formulation
    weights = np.ones(1) if weights is None else weights
    numbers = np.tile(np.array(subproblem.integers, dtype=float), (LANES, 1))
    done = 0

    def solved(batch: list[int]) -> Solved:
        nonlocal done
        filled = batch + [batch[-1]] * (LANES - len(batch))
        programs = fixed_programs(
            formulation.structure,
            worlds.packed(filled),
            formulation.bounds,
            np.arange(LANES),
            numbers,
        )
        if change is not None:
            programs = change(programs, filled)
        found = solve_programs(
            formulation.structure,
            programs,
            formulation.goals,
            np.tile(weights, (LANES, 1)),
            np.full(LANES, np.inf),
            np.full(LANES, np.inf),
        )
        done += len(batch)
        tell(min(done, len(chosen)))
        return jax.tree.map(lambda leaf: np.asarray(leaf)[: len(batch)], found)

    batches = [chosen[first : first + LANES] for first in range(0, len(chosen), LANES)]
    parts = side_by_side(solved, batches)
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)
