"""Which variables, monomials and functions the program of a problem has: the same for all its
choices and integers.

With choice, chips and batches fixed, everything that the exact model says is a posynomial in the
chosen quantities and in variables lifted out of it (silicon A and power cap P of each kind, time T
and clock c of each step, machine-seconds G of each kind and pace π of the users) and in functions
of one variable that are log-convex though not posynomials: the price of a die (of A), the price of
low latency (of s), and the energy at a clock relative to the nominal one (of x, of each c). In the
logarithms y of the variables

    log f_j(y) = log Σ_m exp(C_jm + e_m(y)) + D_j·y

with monomials e_m common to all functions, so that a problem is only the coefficients C. The
exponents of e and D are in ``exponents``, the names in ``keys``.
"""

import dataclasses
import functools
from typing import NamedTuple

import numpy as np

from codesign.limits import LimitRow
from codesign.search.program.keys import (
    DEFINITIONS,
    DRAWN,
    ENERGIES,
    IDLE,
    KIND_DEFINITIONS,
    KIND_VARIABLES,
    MACHINE_ROWS,
    OUTCOMES,
    PHYSICAL,
    SERVICE_LIMITS,
    STEP_MONOMIALS,
    STEP_VARIABLES,
    TIMES,
    Key,
    Of,
)
from codesign.search.statement.problem import ProblemBatch
from codesign.search.statement.services import interleaved
from codesign.workload.phases import Serving

Powers = tuple[tuple[str, float], ...]


class Block(NamedTuple):
    """Functions next to each other with the same few monomials."""

    functions: tuple[Key, ...]
    columns: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Structure:
    """Structure of a problem, hashable: all that a compiled program depends on.

    Args:
        kinds: kinds of machine.
        steps: (service, kind) of each step.
        services: (steps, whether they share machines, whether prompts come first) of each service.
        operators: operators of each step.
        bounds: (outcome, slope on pace, slope on rate) of each bound that the user puts on an
            outcome; −1 for no outcome.
        limits_of_machines: (name, exponents) of each limit of a machine.
    """

    kinds: int
    steps: tuple[tuple[int, int], ...]
    services: tuple[tuple[tuple[int, ...], bool, bool], ...]
    operators: tuple[int, ...]
    bounds: tuple[tuple[int, float, float], ...] = ()
    limits_of_machines: tuple[tuple[str, Powers], ...] = tuple(
        (row.name, tuple(row.powers.items())) for row in MACHINE_ROWS
    )

    @property
    def kind_functions(self) -> tuple[str, ...]:
        """Functions that every kind of machine has: definitions of its silicon, and its limits."""
        return (*KIND_DEFINITIONS, *(name for name, _ in self.limits_of_machines))

    @functools.cached_property
    def variables(self) -> tuple[Key, ...]:
        """Keys of the variables."""
        return (
            *(Key(Of.KIND, p, name) for p in range(self.kinds) for name in KIND_VARIABLES),
            *(Key(Of.STEP, k, name) for k in range(len(self.steps)) for name in STEP_VARIABLES),
            *(Key(Of.SERVICE, s, "batch") for s in range(len(self.services))),
            *(Key(Of.FLEET, 0, name) for name in ("pace", "relaxation")),
        )

    def variable(self, name: str, index: int = 0) -> int:
        """Position of a variable."""
        return self._positions(self.variables)[name, index, 0, False]

    @functools.cached_property
    def basis(self) -> tuple[Key, ...]:
        """Keys of the monomials."""
        found = [Key(Of.FLEET, 0, "constant")]
        for p in range(self.kinds):
            found += [Key(Of.KIND, p, name) for name in PHYSICAL]
            found += [Key(Of.KIND, p, name, busy=True) for name in ("one", *PHYSICAL)]
            found += [Key(Of.KIND, p, name) for name in TIMES]
        for k in range(len(self.steps)):
            found += [Key(Of.STEP, k, name) for name in STEP_MONOMIALS]
        return tuple(found)

    def monomial(self, name: str, index: int = 0, *, busy: bool = False) -> int:
        """Position of a monomial."""
        return self._positions(self.basis)[name, index, 0, busy]

    @functools.cached_property
    def functions(self) -> tuple[Key, ...]:
        """Keys of the functions: outcomes first, then what must be at most 1; in the order of
        ``blocks``."""
        return tuple(name for block in self.blocks for name in block.functions)

    @functools.cached_property
    def blocks(self) -> tuple[Block, ...]:
        """Functions that share the few monomials which they may have: most functions have few, and
        none is worth its zeros."""
        steps, services = range(len(self.steps)), range(len(self.services))
        times = [self.monomial("time", k) for k in steps]
        outcomes = [Key(Of.FLEET, 0, name) for name in OUTCOMES]
        outcomes += [Key(Of.BOUND, b, "bound") for b in range(len(self.bounds))]
        found = [Block(tuple(outcomes), tuple(range(len(self.basis))))]
        for p in range(self.kinds):
            own = (0, *(self.monomial(name, p) for name in PHYSICAL))
            found.append(Block(tuple(Key(Of.KIND, p, name) for name in self.kind_functions), own))
        small = [Key(Of.KIND, p, "rate") for p in range(self.kinds)]
        small += [Key(Of.STEP, k, name) for name in ("capacity", "plan") for k in steps]
        small += [Key(Of.SERVICE, s, name) for s in services for name in SERVICE_LIMITS]
        found.append(Block(tuple(small), (0, *times)))
        for k, (_, p) in enumerate(self.steps):
            drawn = (*(self.monomial(name, p) for name in IDLE),)
            drawn += tuple(self.monomial(name, k) for name in DRAWN)
            found.append(
                Block((Key(Of.STEP, k, "power"), Key(Of.STEP, k, "throttle")), (0, *drawn))
            )
            own = (0, *(self.monomial(name, p) for name in TIMES))
            splits = tuple(Key(Of.STEP, k, "step", r) for r in range(self.operators[k] + 1))
            found.append(Block(splits, own))
        return tuple(found)

    def function(self, name: str, index: int = 0, row: int = 0) -> int:
        """Position of a function."""
        return self._positions(self.functions)[name, index, row, False]

    @staticmethod
    @functools.lru_cache(maxsize=64)
    def _positions(keys: tuple[Key, ...]) -> dict[tuple[str, int, int, bool], int]:
        return {(key.name, key.index, key.row, key.busy): k for k, key in enumerate(keys)}

    @property
    def counted(self) -> int:
        """How many integers are chips of a kind or batch of a service: the first of
        ``problem.integer_names``."""
        return self.kinds + len(self.services)

    @property
    def integers(self) -> np.ndarray:
        """Positions of chips of each kind and batch of each service among the variables."""
        chips = [self.variable("chips", p) for p in range(self.kinds)]
        return np.array(chips + [self.variable("batch", s) for s in range(len(self.services))])

    @property
    def limits(self) -> dict[Key, list[int]]:
        """Rows among the limits (functions after the outcomes) by limit, all kinds, steps and
        services together; bounds are apart, and definitions left out."""
        rows: dict[Key, list[int]] = {}
        for row, key in enumerate(self.functions[len(OUTCOMES) :]):
            if key.name not in DEFINITIONS:
                limit = key if key.of is Of.BOUND else Key(Of.FLEET, 0, key.name)
                rows.setdefault(limit, []).append(row)
        return rows


class Owners(NamedTuple):
    """On which integer each coefficient depends: positions in ``Structure.integers``, −1 for none;
    shapes (functions, basis)."""

    chips: np.ndarray
    batch: np.ndarray


@functools.lru_cache(maxsize=64)
def owners(structure: Structure) -> Owners:
    """What each coefficient depends on: chips of one kind, batch of one service.

    Coefficients of a kind's rows depend on its chips; those of a step on its kind's chips and its
    service's batch; the time to move a cache depends on two kinds and is given to none.
    """
    shape = (len(structure.functions), len(structure.basis))
    chips, batch = np.full(shape, -1), np.full(shape, -1)
    outcomes = [
        *range(len(OUTCOMES)),
        *(structure.function("bound", b) for b in range(len(structure.bounds))),
    ]
    for p in range(structure.kinds):
        busy = [structure.monomial(name, p, busy=True) for name in ("one", *PHYSICAL)]
        chips[np.ix_(outcomes, busy)] = p
        for name in structure.kind_functions:
            chips[structure.function(name, p)] = p
    for k, (service, p) in enumerate(structure.steps):
        own = structure.kinds + service
        each = [structure.monomial(name, k) for name in ENERGIES]
        chips[np.ix_(outcomes, each)], batch[np.ix_(outcomes, each)] = p, own
        splits = [structure.function("step", k, r) for r in range(structure.operators[k] + 1)]
        rows = [*(structure.function(name, k) for name in ("capacity", "power")), *splits]
        chips[rows], batch[rows] = p, own
        time = structure.monomial("time", k)
        rate = structure.function("rate", p)
        chips[rate, time], batch[rate, time] = -1, own
        for name in ("promise", "pace"):
            batch[structure.function(name, service), time] = own
    return Owners(chips, batch)


def structure_of(
    problems: ProblemBatch,
    operators: tuple[int, ...],
    bounds: tuple[tuple[int, float, float], ...] = (),
) -> Structure:
    """The structure of a problem whose steps have so many operators."""
    steps = problems.steps
    services = tuple(
        (
            tuple(k for k, step in enumerate(steps) if step.service == s),
            interleaved(one),
            isinstance(one.phase, Serving),
        )
        for s, one in enumerate(problems.services)
    )
    return Structure(
        len(problems.spaces),
        tuple((step.service, step.kind) for step in steps),
        services,
        operators,
        bounds,
        tuple((row.name, tuple(row.powers.items())) for row in machine_rows(problems)),
    )


def machine_rows(problems: ProblemBatch) -> tuple[LimitRow, ...]:
    """Limits of every kind of machine: the technology's, then the user's own."""
    return (*MACHINE_ROWS, *problems.limits)
