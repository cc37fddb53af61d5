"""Is the program the exact model? Asked at random points before anything is called more than LOCAL.

A proof speaks of the program. Its coefficients were read off the exact model at one point, under the assumption that everything is
affine in the monomials of the layout; so both are compared elsewhere in the box. A term that is declared wrongly, or a model that is
not convex, shows as a difference.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from codesign.numerics.compilation import SELDOM, compiled
from codesign.outcome import LIMIT_NAMES
from codesign.search.integers.formulation import Search, Task, programs_of
from codesign.search.program.functions import special_values
from codesign.search.program.geometric_program import Program, Specials
from codesign.search.program.structure import OUTCOMES, SPECIALS, Layout, exponents
from codesign.search.solver.lanes import in_batches
from codesign.search.statement.fleet import FLEET_LIMITS, Fleet

TOLERANCE = 1e-8
"""Largest difference, in log units, that rounding explains."""

POINTS = 64
"""Random points at which program and exact model are compared."""

BENDS = 65
"""Points of each range at which convexity of the functions of one variable is checked."""

WHITE = 1.1
"""Silicon of the points over the sum of the parts."""


def differences(
    search: Search, tasks: Sequence[Task], exact: Callable[[Search, Sequence[Task], np.ndarray], Fleet], seed: int = 0
) -> np.ndarray:
    """Largest difference in log units between program and exact model at a random point of each task, shape (tasks,).

    Args:
        search: the problem.
        tasks: choices and integers.
        exact: the exact model of tasks at points (``judgement.check_exactly``).
        seed: of the points.
    """
    layout = search.layout
    programs = in_batches(functools.partial(programs_of, search), tasks)
    unit = np.random.default_rng(seed).uniform(0.0, 1.0, programs.low.shape)
    y = programs.low + unit * (programs.high - programs.low)
    y, values = lifted(layout, programs, y)
    found = exact(search, tasks, y)
    off = np.max(np.abs(_compared(layout, y, values, found)), axis=1)
    return np.where(least_bend(layout, programs) >= -TOLERANCE, off, np.inf)


def least_bend(layout: Layout, programs: Program) -> np.ndarray:
    """Least second derivative in log-log, over their ranges, of the functions of one variable, shape (lanes,).

    They alone can break convexity: all else is a logarithm of a sum of monomials.
    """
    argument = exponents(layout).argument
    low, high = programs.low[:, argument], programs.high[:, argument]
    shape = (len(low), layout.kinds, len(SPECIALS))
    bends = [
        np.asarray(_special_values(programs.specials, (low + part * (high - low)).reshape(shape))[2]).min(axis=1)
        for part in np.linspace(0.0, 1.0, BENDS)
    ]
    return np.min(bends, axis=0)


def lifted(layout: Layout, programs: Program, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lifted variables set to what they are at least (silicon a little more), and all functions there."""
    y, first = y.copy(), {name: row for row, name in enumerate(layout.functions)}

    def raise_to(variable: int, rows: list[int], more: float = 0.0) -> None:
        values = values_at(layout, programs, y)
        y[:, variable] += values[:, rows].max(axis=1) + more

    for p in range(layout.kinds):
        raise_to(layout.variable("silicon", p), [first[f"silicon {p}"], first[f"silicon_small {p}"]], np.log(WHITE))
    for k, operators in enumerate(layout.operators):
        raise_to(layout.variable("time", k), [first[f"step {k} {r}"] for r in range(operators + 1)])
    for p in range(layout.kinds):
        raise_to(layout.variable("machine seconds", p), [first[f"rate {p}"]])
    raise_to(layout.variable("pace"), [first[f"pace {s}"] for s in range(len(layout.services))])
    return y, values_at(layout, programs, y)


_special_values = compiled(SELDOM)(jax.vmap(special_values))


def values_at(layout: Layout, programs: Program, y: np.ndarray) -> np.ndarray:
    """Logarithms of all functions, shape (lanes, functions); in numpy, to compile nothing large."""
    shape = exponents(layout)
    specials: Specials = programs.specials
    special = np.asarray(_special_values(specials, y[:, shape.argument].reshape(len(y), layout.kinds, len(SPECIALS)))[0])
    logs = y @ shape.basis.T + special @ shape.special.T
    terms = programs.coefficients + logs[:, None, :]
    largest = terms.max(axis=2, keepdims=True)
    sums = np.log(np.exp(terms - largest).sum(axis=2)) + largest[:, :, 0]
    return sums + y @ shape.powers.T


def _compared(layout: Layout, y: np.ndarray, values: np.ndarray, found: Fleet) -> np.ndarray:
    """Differences of outcomes, pace and limits, shape (lanes, compared)."""
    totals = found.totals
    pairs: list[tuple[Any, Any]] = [
        (values[:, OUTCOMES.index("capital")], -np.log(totals.tokens_per_second_per_dollar)),
        (values[:, OUTCOMES.index("provisioned")], -np.log(totals.tokens_per_second_per_watt)),
        (values[:, OUTCOMES.index("running")], np.log(totals.cost_per_token)),
        (values[:, OUTCOMES.index("energy")], np.log(totals.energy_per_token)),
        (y[:, layout.variable("pace")], np.log(totals.time_per_token)),
    ]
    for k, outcome in enumerate(found.outcomes):
        pairs.append((y[:, layout.variable("time", k)], np.log(outcome.step_time)))
    for name, rows in layout.limits.items():
        column = FLEET_LIMITS.index(name) if name in FLEET_LIMITS else None
        if column is None or name in ("stacks", "layers_most", "layers_fewest", "first_token"):
            continue  # settled by whole numbers, or without an equal where there is no prompt
        used = values[:, [len(OUTCOMES) + row for row in rows]].max(axis=1)
        assert name in LIMIT_NAMES
        exact = found.limits[:, column]
        there = np.isfinite(exact) & (exact > -20.0)  # no use of a resource has no logarithm
        pairs.append((np.where(there, used, 0.0), np.where(there, exact, 0.0)))
    return np.stack([one - other for one, other in pairs], axis=1)
