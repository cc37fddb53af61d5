"""Exponents of all monomials and functions of a program: numbers of its structure."""

import functools
from typing import NamedTuple

import numpy as np

from codesign.search.program.keys import KIND_DEFINITIONS, PHYSICAL, SPECIALS, TEMPERED, TIMES
from codesign.search.program.structure import Structure


class Exponents(NamedTuple):
    """Numbers of a structure: numpy constants of the compiled program."""

    basis: np.ndarray  # (basis, variables)
    special: np.ndarray  # (basis, kinds · SPECIALS), 0 or 1
    argument: np.ndarray  # (kinds · SPECIALS,) the variable of each special function
    powers: np.ndarray  # (functions, variables)


@functools.lru_cache(maxsize=64)
def exponents(structure: Structure) -> Exponents:
    """Exponents of all monomials and functions."""
    basis = np.zeros((len(structure.basis), len(structure.variables)))
    special = np.zeros((len(structure.basis), structure.kinds * len(SPECIALS)))
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
        at = p * len(SPECIALS) + SPECIALS.index("energy ratio")
        special[structure.monomial("energy ratio", k), at] = 1.0
        basis[structure.monomial("time", k), structure.variable("time", k)] = 1.0
    argument = [
        structure.variable(name, p)
        for p in range(structure.kinds)
        for name in ("silicon", "sync_latency", "clock")
    ]
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
        variable, is_hot = TEMPERED[name]
        row[structure.variable(variable, p)] += 1.0
        if is_hot:
            special[first + SPECIALS.index("energy ratio")] = 1.0
        else:
            row[structure.variable("clock", p)] -= 1.0
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
        capacity = structure.variable("memory_capacity", p)
        powers[structure.function("capacity", k), capacity] = -1.0
        splits = [structure.function("step", k, r) for r in range(structure.operators[k] + 1)]
        powers[splits, structure.variable("time", k)] = -1.0
    for s in range(len(structure.services)):
        powers[structure.function("pace", s), structure.variable("pace")] = -1.0
    for b, (_, pace, rate) in enumerate(structure.bounds):
        row = structure.function("bound", b)
        powers[row, structure.variable("pace")] = pace
        powers[row, structure.variable("machine seconds", 0)] = rate
    return powers
