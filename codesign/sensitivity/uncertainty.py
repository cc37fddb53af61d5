"""An optimum in many sampled worlds: hardware is decided before, sizes and batch after the world is
known.

A *hardware* is a choice and its whole numbers but the batches. In each world all its continuous
quantities are optimised anew, with a bound that no other sizes beat (``solver.dual_bound``), and
its batch is the best of a ladder: a smaller batch never needs more memory nor more time, so the
largest that has a design is found by bisection, and compared with the next below.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np

from codesign.search.integers.formulation import Solved, Subproblem
from codesign.search.solver.interior_point import Point
from codesign.search.solver.lanes import double_precision
from codesign.sensitivity.flips import Path, runners_up
from codesign.sensitivity.motion import value_slopes_at
from codesign.sensitivity.optimum import Optimum
from codesign.sensitivity.worlds import solve_worlds, worlds_of

LADDER = (0.35, 0.5, 0.65, 0.8, 0.9, 1.0, 1.15, 1.35, 1.7)
"""Batches that a hardware may run, over its own at the nominal technology."""

Tell = Callable[[int], None]


class FixedIntegers(NamedTuple):
    """The optimum's own integers in every world: ln of the objective to be minimised (+∞ without a
    design), the proved gap, and the optimal sizes."""

    value: np.ndarray  # (worlds,)
    gap: np.ndarray  # (worlds,)
    y: np.ndarray  # (worlds, variables)


def fixed_integers(
    found: Optimum, path: Path, z: np.ndarray, tell: Tell = lambda done: None
) -> FixedIntegers:
    """Optimise the sizes of the optimum's integers in every world, each certified.

    Args:
        found: the optimum.
        path: technologies at deviates.
        z: deviates (worlds, priors).
        tell: hears how many are done.

    Returns:
        Value, design and certified gap of every world.

    >>> from experiments.examples.small_space import memory_worlds, optimum
    >>> found = fixed_integers(optimum(), memory_worlds, np.array([[-1.0], [0.0], [1.0]]))
    >>> found.value.round(3).tolist(), bool(found.gap.max() < 1e-6)
    ([0.867, 0.877, 0.892], True)
    """
    with double_precision():
        worlds = worlds_of(found, path(z, found.subproblem.choice))
        solved = solve_worlds(worlds, found.subproblem, tell=tell)
    with np.errstate(invalid="ignore"):
        gap = np.where(np.isfinite(solved.value), solved.value - solved.bound, np.nan)
    return FixedIntegers(np.asarray(solved.value), gap, np.asarray(solved.point.y))


def hardware_of(found: Optimum, subproblem: Subproblem) -> tuple[int, ...]:
    """Choice and whole numbers but the batches: what is decided before the world is known."""
    structure = found.pool.formulation.structure
    batches = range(structure.kinds, structure.counted)
    kept = [n for k, n in enumerate(subproblem.integers) if k not in batches]
    return (subproblem.choice, *map(int, kept))


ROOMIER, FEWER_STACKS = (1.5, 2.0, 3.0, 4.0), 0.75
"""Chips, and stacks a chip, over the optimum's, of hardware with room where priors disappoint."""


def candidates(found: Optimum, most: int = 5) -> list[Subproblem]:
    """The optimum, the best runners-up of other hardware, each at its best batch, best first; and
    hardware with ``ROOMIER`` chips, fewer stacks on each and as much more batch, which loses
    nominally and has a design in more worlds."""
    seen: dict[tuple[int, ...], Subproblem] = {}
    for subproblem in (found.subproblem, *runners_up(found)):
        seen.setdefault(hardware_of(found, subproblem), subproblem)
    chosen = list(seen.values())[:most]
    structure, (low, high) = found.pool.formulation.structure, found.pool.formulation.ranges
    known = {hardware_of(found, subproblem) for subproblem in chosen}
    for factor in ROOMIER:
        integers = list(found.subproblem.integers)
        for k in range(structure.counted):
            integers[k] = int(min(math.ceil(integers[k] * factor), high[k]))
        for k in range(structure.counted, structure.counted + structure.kinds):
            integers[k] = max(round(integers[k] * FEWER_STACKS), int(low[k]))
        roomier = found.subproblem._replace(integers=tuple(integers))
        if hardware_of(found, roomier) not in known:
            known.add(hardware_of(found, roomier))
            chosen.append(roomier)
    return chosen


def at_batch(found: Optimum, subproblem: Subproblem, factor: float) -> Subproblem:
    """A hardware at a multiple of its batches, within their ranges."""
    structure, (low, high) = found.pool.formulation.structure, found.pool.formulation.ranges
    integers = list(subproblem.integers)
    for k in range(structure.kinds, structure.counted):
        integers[k] = int(np.clip(round(integers[k] * factor), low[k], high[k]))
    return subproblem._replace(integers=tuple(integers))


class Row(NamedTuple):
    """One hardware in every world: ln of the objective to be minimised (+∞ without a design), and
    the factor on its batch."""

    value: np.ndarray
    factor: np.ndarray


def hardware_values(
    found: Optimum,
    subproblem: Subproblem,
    path: Path,
    z: np.ndarray,
    ladder: Sequence[float] = LADDER,
    tell: Tell = lambda done: None,
) -> Row:
    """What a hardware is worth in every world, at the best batch of the ladder.

    Args:
        found: the optimum whose problem it is.
        subproblem: the hardware at its nominal batch.
        path: technologies at deviates.
        z: deviates (worlds, priors).
        ladder: factors on the batch, rising.
        tell: hears how many are done.

    Returns:
        The best value over the ladder in every world.

    >>> from experiments.examples.small_space import memory_worlds, optimum
    >>> best, z = optimum(), np.array([[-1.0], [1.0]])
    >>> hardware_values(best, best.subproblem, memory_worlds, z).value.round(3).tolist()
    [0.867, 0.892]
    """
    count = len(z)
    with double_precision():
        worlds = worlds_of(found, path(z, subproblem.choice), subproblem.choice)
    known = np.full((len(ladder), count), np.nan)

    def solve(places: np.ndarray, rungs: np.ndarray) -> None:
        for rung in sorted(set(rungs.tolist())):
            own = places[rungs == rung]
            own = own[np.isnan(known[rung, own])]
            if len(own):
                batch = at_batch(found, subproblem, ladder[rung])
                with double_precision():
                    solved: Solved = solve_worlds(worlds, batch, places=own.tolist())
                known[rung, own] = solved.value

    low, high = np.full(count, -1), np.full(count, len(ladder))  # has a design, has none
    nominal = int(np.argmin(np.abs(np.asarray(ladder) - 1.0)))
    middle = np.full(count, nominal)
    while (high - low > 1).any():
        places = np.flatnonzero(high - low > 1)
        solve(places, middle[places])
        feasible = np.isfinite(known[middle[places], places])
        low[places] = np.where(feasible, middle[places], low[places])
        high[places] = np.where(feasible, high[places], middle[places])
        middle = (low + high) // 2
        tell(int((high - low <= 1).sum()))
    places = np.flatnonzero(low > 0)
    solve(places, low[places] - 1)
    values = np.where(np.isnan(known), np.inf, known)
    best = np.argmin(values, axis=0)
    return Row(values[best, np.arange(count)], np.asarray(ladder)[best])


def slopes_in_worlds(
    found: Optimum, subproblem: Subproblem, path: Path, z: np.ndarray, step: float = 1e-3
) -> np.ndarray:
    """Slopes of ln of the objective (to be minimised) by every deviate, in every world in which the
    integers have a design: (worlds that have, priors); by the envelope theorem in each.

    Args:
        found: the optimum whose problem it is.
        subproblem: the integers.
        path: technologies at deviates.
        z: deviates (worlds, priors).
        step: of the deviates, for d ln θ/dz of the paths.
    """
    with double_precision():
        worlds = worlds_of(found, path(z, subproblem.choice), subproblem.choice)
        solved = solve_worlds(worlds, subproblem)
    rows = np.flatnonzero(np.isfinite(solved.value))
    slopes = []
    for row in rows:
        point = Point(*(leaf[row] for leaf in solved.point))
        by_log = value_slopes_at(found, subproblem, worlds.rows[row], point)
        moved = np.repeat(z[row : row + 1], 2 * z.shape[1], axis=0)
        moved[: z.shape[1]] -= step * np.eye(z.shape[1])
        moved[z.shape[1] :] += step * np.eye(z.shape[1])
        leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(path(moved, subproblem.choice))]
        logs = np.log(np.maximum(np.stack(leaves, axis=1), 1e-300)).reshape(2, z.shape[1], -1)
        slopes.append((logs[1] - logs[0]) / (2.0 * step) @ by_log)
    return np.array(slopes).reshape(-1, z.shape[1])
