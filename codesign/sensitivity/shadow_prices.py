"""Shadow prices: what one more unit of each limit is worth at the optimum, and how far that holds.

The multiplier λ of ln(used) ≤ ln(allowed) is the gain in ln of the objective for a log unit more of
what is allowed (Boyd, Vandenberghe, *Convex Optimization*, 2004, §5.6.3), integers and choice as
they are. It changes as the limit does: a price holds as long as re-solving gives a multiplier
within ``HOLDS`` of it.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from codesign.limits import limit_words
from codesign.numerics.fields import Real, units_of
from codesign.physical.area import usable_edge
from codesign.search.integers.formulation import (
    Solved,
    Subproblem,
    programs_of,
    solve_programs,
)
from codesign.search.program.structure import DEFINITIONS, OUTCOMES
from codesign.search.solver.lanes import LANES, double_precision, in_batches
from codesign.search.statement.fleet import Totals
from codesign.search.statement.problem import integer_names
from codesign.search.statement.space import CONTINUOUS
from codesign.sensitivity.optimum import Optimum, exact_fleet

PRICED = 1e-4
"""Multiplier from which on a limit counts as having a price [1]."""

HOLDS = 0.1
"""Relative change of a multiplier up to which its price is said to hold."""

GRID = tuple(0.002 * 2.0**k for k in range(9))
"""Steps, in log units, at which a limit is moved to see how far its price holds."""

ROUNDS = 8
"""Halvings of the step between holding and not."""


class ShadowPrice(NamedTuple):
    """One limit at the optimum.

    ``allowed`` is what is allowed in ``unit`` (SI), ``elasticity`` the gain in ln objective by ln
    allowed [1]. ``low`` and ``high`` are the factors on what is allowed between which the price
    holds: at the ends a re-solved price is off by ``HOLDS``, or there is no design (``low``), or
    the search went no farther (``open_low``, ``open_high``).
    """

    limit: str
    row: int
    kind: int
    allowed: float
    unit: str
    elasticity: float
    low: float
    high: float
    open_low: bool
    open_high: bool

    def gain(self, amount: float) -> float:
        """Relative gain of the objective by so much more of the limit [1], to first order."""
        return self.elasticity * amount / self.allowed


def shadow_prices(found: Optimum) -> list[ShadowPrice]:
    """Price every limit that binds at an optimum, the dearest first.

    Args:
        found: the optimum; integers and choice stay.

    Returns:
        A price for each limit with a multiplier above ``PRICED``, with the range over which it
        holds, by re-solving.

    >>> from experiments.examples.small_space import optimum
    >>> [(price.limit, round(price.elasticity, 2)) for price in shadow_prices(optimum())][:2]
    [('shoreline', 0.66), ('die area', 0.26)]
    """
    structure, multipliers = found.pool.formulation.structure, np.asarray(found.point.multipliers)
    names = structure.functions[len(OUTCOMES) :]
    rows = [
        row
        for row, name in enumerate(names)
        if multipliers[row] > PRICED and name.name not in DEFINITIONS
    ]
    rows.sort(key=lambda row: -multipliers[row])
    ranges = _ranges(found, rows, multipliers)
    prices = []
    for row, (low, high, *is_open) in zip(rows, ranges, strict=True):
        word, number = names[row].name, names[row].index
        allowed, unit = _allowed(found, word, number)
        prices.append(
            ShadowPrice(
                _words(found, word, number),
                row,
                number,
                allowed,
                unit,
                float(multipliers[row]),
                math.exp(low),
                math.exp(high),
                *is_open,
            )
        )
    return prices


def moved_limits(
    found: Optimum, moves: Sequence[tuple[int, float]], subproblem: Subproblem | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Re-solve an optimum with one limit let off by a factor e^move, for each move.

    Args:
        found: the optimum.
        moves: (row of the limit, log of the factor).
        subproblem: other integers, if not the optimum's.

    Returns:
        ln of the objective to be minimised (moves,), +∞ without a design; multipliers (moves,
        limits).
    """
    formulation = found.pool.formulation
    chosen = found.subproblem if subproblem is None else subproblem
    if not moves:
        return np.zeros(0), np.zeros((0, 0))

    def solved(batch: list[tuple[int, float]]) -> Solved:
        programs = programs_of(formulation, [chosen] * LANES)
        coefficients = np.array(programs.coefficients)
        for lane, (row, move) in enumerate(batch):
            coefficients[lane, len(OUTCOMES) + row] -= move
        programs = dataclasses.replace(programs, coefficients=coefficients)
        return solve_programs(
            formulation.solved,
            programs,
            formulation.goals,
            np.ones((LANES, 1)),
            np.full(LANES, np.inf),
            np.full(LANES, np.inf),
        )

    with double_precision():
        solutions = in_batches(solved, list(moves))
    return np.asarray(solutions.value), np.asarray(solutions.point.multipliers)


def _ranges(
    found: Optimum, rows: Sequence[int], multipliers: np.ndarray
) -> list[tuple[float, float, bool, bool]]:
    """For each limit the log factors between which its price holds, and whether each end is open:
    the price still held at the farthest step tried."""
    sides = [(row, sign) for row in rows for sign in (-1.0, 1.0)]

    def holds(moves: list[tuple[int, float]]) -> np.ndarray:
        values, found_multipliers = moved_limits(found, moves)
        own = np.array(
            [found_multipliers[k, row] / multipliers[row] for k, (row, _) in enumerate(moves)]
        )
        return np.isfinite(values) & (np.abs(own - 1.0) <= HOLDS)

    grid = [(row, sign * step) for row, sign in sides for step in GRID]
    held = holds(grid).reshape(len(sides), len(GRID)) if sides else np.zeros((0, len(GRID)), bool)
    inside, outside = [], []
    for own in held:
        first = int(np.argmin(own)) if not own.all() else len(GRID)
        inside.append(GRID[first - 1] if first else 0.0)
        outside.append(GRID[first] if first < len(GRID) else math.inf)
    for _ in range(ROUNDS):
        middles = [
            0.5 * (a + b) if math.isfinite(b) else a for a, b in zip(inside, outside, strict=True)
        ]
        kept = holds([(row, sign * m) for (row, sign), m in zip(sides, middles, strict=True)])
        for k, middle in enumerate(middles):
            if not math.isfinite(outside[k]):
                continue
            if kept[k]:
                inside[k] = middle
            else:
                outside[k] = middle
    ends = [(inside[k], not math.isfinite(outside[k])) for k in range(len(sides))]
    return [
        (-ends[2 * j][0], ends[2 * j + 1][0], ends[2 * j][1], ends[2 * j + 1][1])
        for j in range(len(rows))
    ]


def _words(found: Optimum, word: str, number: int) -> str:
    formulation = found.pool.formulation
    if word == "bound":
        return limit_words(found.rows.names[number])
    counts = {
        "capacity": len(formulation.structure.steps),
        "promise": len(formulation.structure.services),
        "first_token": len(formulation.structure.services),
    }
    several = counts.get(word, formulation.structure.kinds) > 1
    return limit_words(word) + (f" {number}" if several else "")


def _allowed(found: Optimum, word: str, number: int) -> tuple[float, str]:
    """What a limit allows, in SI with its unit."""
    formulation = found.pool.formulation
    if word == "bound":
        limit = float(np.asarray(formulation.bounds.limits)[number])
        name = found.rows.names[number]
        outcome, _, side = name.rpartition(" at ")
        return math.exp(limit if side == "most" else -limit), units_of(Totals)[outcome]
    if word in ("promise", "first_token"):
        one = found.services[number]
        return float(one.promise if word == "promise" else one.first_promise), "s"
    if word == "capacity":
        step = formulation.structure.steps[number]
        outcome = exact_fleet(found).outcomes[number]
        chips = found.subproblem.integers[step[1]]
        return float(outcome.capacity_available) / chips, "B"
    fleet = exact_fleet(found)
    kind = found.choice.kinds[number]
    technology, design = kind.technology, fleet.designs[number]
    cooling, packaging = technology.cooling, technology.packaging
    if word == "shoreline":
        outcomes = [
            outcome
            for outcome, (_, p) in zip(fleet.outcomes, formulation.structure.steps, strict=True)
            if p == number
        ]
        silicon = outcomes[0].area.total
        edge = usable_edge(*jax.tree.map(np.asarray, (design, technology, silicon)))
        return float(np.asarray(edge)), "m"
    coolant = cooling.coolant_temperature
    values: dict[str, tuple[Real, str]] = {
        "die_area": (technology.logic.reticle_area, "m^2"),
        "power_density": (cooling.power_density, "W/m^2"),
        "package_power": (cooling.package_power, "W"),
        "temperature": (cooling.logic_temperature - coolant, "K rise"),
        "memory_temperature": (cooling.memory_temperature - coolant, "K rise"),
        "interposer": (packaging.interposer_most, "m^2"),
        "warpage": (packaging.warpage_most, "m"),
        "stacks": (technology.memory.max_stacks, "1"),
        "layers_most": (technology.memory.max_layers, "1"),
        "layers_fewest": (1.0 / technology.memory.min_layers, "1/layer"),
        "clock_most": (technology.logic.clock_most, "1"),
        "clock_fewest": (1.0 / technology.logic.clock_fewest, "1"),
    }
    value, unit = values.get(word, (1.0, "1"))
    return float(value), unit


class IntegerStep(NamedTuple):
    """One integer one step away, everything else chosen anew: relative change of the objective for
    the better [1]; NaN where no design is."""

    name: str
    step: int
    gain: float


def integer_steps(found: Optimum) -> list[IntegerStep]:
    """Price one chip, one sequence, one stack and one layer step more and less.

    A limit on whole numbers has no multiplier; its price is the difference that a step makes, all
    other integers as they are and everything continuous optimised again.

    Args:
        found: the optimum; its choice stays.

    Returns:
        A row a step, with what it changes of the objective; NaN where no design is.

    >>> from experiments.examples.small_space import optimum
    >>> [(one.name, one.step, round(one.gain, 3)) for one in integer_steps(optimum())][:2]
    [('chips', 1, -0.175), ('batch', -1, -0.004)]
    """
    low, high = found.pool.formulation.ranges
    names = integer_names(found.pool.formulation.problems)
    steps = []
    for k, name in enumerate(names):
        for sign in (-1, 1):
            integers = list(found.subproblem.integers)
            integers[k] += sign
            if low[k] <= integers[k] <= high[k] and low[k] < high[k]:
                steps.append((name, sign, found.subproblem._replace(integers=tuple(integers))))
    with double_precision():
        found.pool.learn(subproblem for *_, subproblem in steps)
    gains = []
    for name, sign, subproblem in steps:
        value = found.pool.value(subproblem)
        gain = math.expm1(found.value - value) if math.isfinite(value) else math.nan
        gains.append(IntegerStep(name, sign, gain))
    return gains


class BoxPrice(NamedTuple):
    """A bound of the search's own box that a quantity rests on: gain in ln objective by ln of the
    bound moved outward [1]."""

    quantity: str
    side: str
    elasticity: float


def box_prices(found: Optimum) -> list[BoxPrice]:
    """Price the bounds of the space on which the optimum rests; a good space has none."""
    structure, point = found.pool.formulation.structure, found.point
    prices = []
    for p in range(structure.kinds):
        for name in CONTINUOUS:
            k = structure.variable(name, p)
            ends = found.pool.formulation.problems.spaces[p]
            at = CONTINUOUS.index(name)
            if float(ends.high[at]) <= float(ends.low[at]) * (1.0 + 1e-9):
                continue
            for side, lambdas, bound in (
                ("low", point.lower, float(np.log(ends.low[at]))),
                ("high", point.upper, float(np.log(ends.high[at]))),
            ):
                if lambdas[k] > PRICED and abs(float(point.y[k]) - bound) < 1e-4:
                    prices.append(BoxPrice(name, side, float(lambdas[k])))
    return prices
