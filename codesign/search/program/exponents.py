"""Exponents of all monomials and functions of a program: numbers of its structure."""

import functools
from typing import NamedTuple

import numpy as np

from codesign.search.program.keys import KIND_DEFINITIONS, PHYSICAL, SPECIALS, TEMPERED, TIMES
from codesign.search.program.structure import Structure

STEP_POWERS = {
    "energy ratio": (0.0, True, False),
    "busy time": (1.0, True, True),
    "time": (1.0, False, False),
    "1/time": (-1.0, False, False),
    "energy ratio/time": (-1.0, True, False),
    "busy": (0.0, True, True),
}
"""Monomials of a step: power of its time, whether times the energy ratio of its clock, and whether
times the matrix rate at its clock."""


class Exponents(NamedTuple):
    """Numbers of a structure: numpy constants of the compiled program."""

    basis: np.ndarray  # (basis, variables)
    special: np.ndarray  # (basis, kinds · SPECIALS + steps), 0 or 1
    argument: np.ndarray  # (kinds · SPECIALS + steps,) the variable of each special function
    powers: np.ndarray  # (functions, variables)


@functools.lru_cache(maxsize=64)
def exponents(structure: Structure) -> Exponents:
    """Exponents of all monomials and functions."""
    basis = np.zeros((len(structure.basis), len(structure.variables)))
    of_kinds = structure.kinds * len(SPECIALS)
    special = np.zeros((len(structure.basis), of_kinds + len(structure.steps)))
    for p in range(structure.kinds):
        for name in PHYSICAL:
            row = structure.monomial(name, p)
            _physical(structure, basis[row], special[row], name, p)
        for name in ("one", *PHYSICAL):
            row = structure.monomial(name, p, busy=True)
            basis[row, structure.variable("machine seconds", p)] = 1.0
            _physical(structure, basis[row], special[row], name, p)
        for name, (variable, power) in TIMES.items():
            basis[structure.monomial(name, p), structure.variable(variable, p)] = power
    for k, (_, p) in enumerate(structure.steps):
        for name, (power, hot, busy) in STEP_POWERS.items():
            row = structure.monomial(name, k)
            special[row, of_kinds + k] = float(hot)
            basis[row, structure.variable("time", k)] = power
            basis[row, structure.variable("peak_flops", p)] = float(busy)
            basis[row, structure.variable("step clock", k)] = float(busy)
            basis[row, structure.variable("clock", p)] = -float(busy)
    argument = [
        structure.variable(name, p)
        for p in range(structure.kinds)
        for name in ("silicon", "sync_latency", "clock")
    ]
    argument += [structure.variable("step clock", k) for k in range(len(structure.steps))]
    return Exponents(basis, special, np.array(argument), _powers(structure))


def _physical(
    structure: Structure, row: np.ndarray, special: np.ndarray, name: str, p: int
) -> None:
    """Exponents of one physical monomial of a kind: hot is times the energy ratio of the clock,
    cold over the clock."""
    first = p * len(SPECIALS)
    if name in SPECIALS:
        special[first + SPECIALS.index(name)] = 1.0
    elif name in TEMPERED:
        variable, clock, is_hot = TEMPERED[name]
        row[structure.variable(variable, p)] += 1.0
        row[structure.variable("clock", p)] += clock
        special[first + SPECIALS.index("energy ratio")] = float(is_hot)
    elif name != "one":
        row[structure.variable(name, p)] += 1.0


def _powers(structure: Structure) -> np.ndarray:
    powers = np.zeros((len(structure.functions), len(structure.variables)))
    for p in range(structure.kinds):
        silicon = structure.variable("silicon", p)
        for name in KIND_DEFINITIONS:
            powers[structure.function(name, p), silicon] = -1.0
        for name, own in structure.limits_of_machines:
            for variable, power in own:
                powers[structure.function(name, p), structure.variable(variable, p)] = power
        powers[structure.function("rate", p), structure.variable("machine seconds", p)] = -1.0
    for k, (_, p) in enumerate(structure.steps):
        clock, running = structure.variable("clock", p), structure.variable("step clock", k)
        powers[structure.function("power", k), structure.variable("power cap", p)] = -1.0
        powers[structure.function("throttle", k), [running, clock]] = 1.0, -1.0
        capacity = structure.variable("memory_capacity", p)
        powers[structure.function("capacity", k), capacity] = -1.0
        splits = [structure.function("step", k, r) for r in range(structure.operators[k] + 1)]
        powers[splits, structure.variable("time", k)] = -1.0
        powers[splits, running], powers[splits, clock] = -1.0, 1.0
    for s in range(len(structure.services)):
        powers[structure.function("pace", s), structure.variable("pace")] = -1.0
    for b, (_, pace, rate) in enumerate(structure.bounds):
        row = structure.function("bound", b)
        powers[row, structure.variable("pace")] = pace
        powers[row, structure.variable("machine seconds", 0)] = rate
    return powers
