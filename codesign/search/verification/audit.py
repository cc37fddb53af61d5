"""Is the program the exact model? Asked at random points before anything is called more than LOCAL.

A proof speaks of the program. Its coefficients were read off the exact model at one point, under
the assumption that everything is affine in the monomials of the structure; so both are compared
elsewhere in the box. A term that is declared wrongly, or a model that is not convex, shows as a
difference.
"""

import functools
from collections.abc import Callable, Sequence

import jax
import numpy as np

from codesign.limits import FIRST_TOKEN, ROWS
from codesign.numerics.compilation import SELDOM, compiled
from codesign.search.integers.formulation import Formulation, Subproblem, programs_of
from codesign.search.program.exponents import exponents
from codesign.search.program.functions import special_values
from codesign.search.program.geometric_program import Program, Specials
from codesign.search.program.keys import KIND_DEFINITIONS, OUTCOMES, Of
from codesign.search.program.structure import Structure
from codesign.search.solver.lanes import in_batches
from codesign.search.statement.fleet import Fleet

TOLERANCE = 1e-8
"""Largest difference, in log units, that rounding explains."""

POINTS = 64
"""Random points at which program and exact model are compared."""

BENDS = 65
"""Points of each range at which convexity of the functions of one variable is checked."""

NOT_COMPARED = (FIRST_TOKEN.name, *(row.name for row in ROWS if row.integral))
"""Limits settled by whole numbers, or without an equal where there is no prompt."""

WHITE = 1.1
"""Silicon of the points over the sum of the parts."""


def differences(
    formulation: Formulation,
    subproblems: Sequence[Subproblem],
    exact: Callable[[Formulation, Sequence[Subproblem], np.ndarray], Fleet],
    seed: int = 0,
) -> np.ndarray:
    """Largest difference in log units between program and exact model at a random point of each
    subproblem, shape (subproblems,).

    Args:
        formulation: the problem in the program's terms.
        subproblems: choices and integers.
        exact: the exact model of subproblems at points (``exact_check.check_exactly``).
        seed: of the points.
    """
    structure = formulation.structure
    programs = in_batches(functools.partial(programs_of, formulation), subproblems)
    unit = np.random.default_rng(seed).uniform(0.0, 1.0, programs.low.shape)
    y = programs.low + unit * (programs.high - programs.low)
    y, values = lifted(structure, programs, np.asarray(y))
    found = exact(formulation, subproblems, y)
    names = formulation.problems.limit_names
    off = np.max(np.abs(_compared(structure, names, y, values, found)), axis=1)
    return np.where(least_bend(structure, programs) >= -TOLERANCE, off, np.inf)


def least_bend(structure: Structure, programs: Program) -> np.ndarray:
    """Least second derivative in log-log, over their ranges, of the functions of one variable,
    shape (lanes,).

    They alone can break convexity: all else is a logarithm of a sum of monomials.
    """
    argument = exponents(structure).argument
    low, high = programs.low[:, argument], programs.high[:, argument]
    bends = [
        np.asarray(_special_values(programs.specials, low + part * (high - low))[2]).min(axis=1)
        for part in np.linspace(0.0, 1.0, BENDS)
    ]
    return np.min(bends, axis=0)


def lifted(structure: Structure, programs: Program, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lifted variables set to what they are at least (silicon a little more), and all functions
    there."""
    y, row = y.copy(), structure.function

    def raise_to(variable: int, rows: list[int], more: float = 0.0) -> None:
        values = values_at(structure, programs, y)
        y[:, variable] += values[:, rows].max(axis=1) + more

    for p in range(structure.kinds):
        defined = [row(name, p) for name in KIND_DEFINITIONS]
        raise_to(structure.variable("silicon", p), defined, np.log(WHITE))
    for k, operators in enumerate(structure.operators):
        splits = [row("step", k, r) for r in range(operators + 1)]
        clock = structure.variable("clock", structure.steps[k][1])
        running = structure.variable("step clock", k)
        y[:, running] = np.minimum(y[:, running], y[:, clock])
        raise_to(structure.variable("time", k), splits)
    for p in range(structure.kinds):
        drawn = [row("power", k) for k, (_, kind) in enumerate(structure.steps) if kind == p]
        raise_to(structure.variable("power cap", p), drawn)
    for p in range(structure.kinds):
        raise_to(structure.variable("machine seconds", p), [row("rate", p)])
    raise_to(structure.variable("pace"), [row("pace", s) for s in range(len(structure.services))])
    return y, values_at(structure, programs, y)


_special_values = compiled(SELDOM)(jax.vmap(special_values))


def values_at(structure: Structure, programs: Program, y: np.ndarray) -> np.ndarray:
    """Logarithms of all functions, shape (lanes, functions); in numpy, to compile nothing large."""
    shape = exponents(structure)
    specials: Specials = programs.specials
    special = np.asarray(_special_values(specials, y[:, shape.argument])[0])
    logs = y @ shape.basis.T + special @ shape.special.T
    terms = programs.coefficients + logs[:, None, :]
    largest = terms.max(axis=2, keepdims=True)
    sums = np.log(np.exp(terms - largest).sum(axis=2)) + largest[:, :, 0]
    return sums + y @ shape.powers.T


def _compared(
    structure: Structure,
    names: tuple[str, ...],
    y: np.ndarray,
    values: np.ndarray,
    found: Fleet,
) -> np.ndarray:
    """Differences of outcomes, pace and limits, shape (lanes, compared)."""
    totals = found.totals
    pairs: list[tuple[np.ndarray, np.ndarray]] = [
        (values[:, OUTCOMES.index("capital")], -np.log(totals.tokens_per_second_per_dollar)),
        (values[:, OUTCOMES.index("provisioned")], -np.log(totals.tokens_per_second_per_watt)),
        (values[:, OUTCOMES.index("running")], np.log(totals.cost_per_token)),
        (values[:, OUTCOMES.index("energy")], np.log(totals.energy_per_token)),
        (y[:, structure.variable("pace")], np.log(totals.time_per_token)),
    ]
    for k, outcome in enumerate(found.outcomes):
        pairs.append((y[:, structure.variable("time", k)], np.log(outcome.step_time)))
    for key, rows in structure.limits.items():
        if key.of is Of.BOUND or key.name in NOT_COMPARED:
            continue
        used = values[:, [len(OUTCOMES) + row for row in rows]].max(axis=1)
        exact = found.limits[:, names.index(key.name)]
        there = np.isfinite(exact) & (exact > -20.0)  # no use of a resource has no logarithm
        pairs.append((np.where(there, used, 0.0), np.where(there, exact, 0.0)))
    return np.stack([one - other for one, other in pairs], axis=1)
