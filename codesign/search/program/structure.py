"""Which variables, monomials and functions the program of a problem has: the same for all its
choices and integers.

With choice, chips and batches fixed, everything that the exact model says is a posynomial in the
chosen quantities and in variables lifted out of it (silicon A of each kind, time T of each step,
machine-seconds G of each kind and pace π of the users) and in three functions of one variable that
are log-convex though not posynomials: the price of a die (of A), the price of low latency (of s),
and the energy at a clock relative to the nominal one (of x). In the logarithms y of the variables

    log f_j(y) = log Σ_m exp(C_jm + e_m(y)) + D_j·y

with monomials e_m common to all functions, so that a problem is only the coefficients C. The
exponents of e and D are here.
"""

import dataclasses
import functools
from typing import NamedTuple

import numpy as np

from codesign.search.statement.problem import ProblemBatch
from codesign.search.statement.services import interleaved
from codesign.search.statement.space import CONTINUOUS
from codesign.workload.phases import Serving

KIND_VARIABLES = (*CONTINUOUS, "silicon", "machine seconds", "chips")
PHYSICAL = (
    "memory_bandwidth",
    "memory_capacity",
    "peak_flops",
    "link_bandwidth",
    "silicon",
    "die price",
    "sync price",
    "hot flops",
    "hot silicon",
    "cold flops",
)
"""Monomials of a kind besides 1; hot is times the energy ratio of the clock, cold over the clock.
"""
TIMES = ("sync_latency", "1/link", "1/flops", "1/bandwidth")
SPECIALS = ("die price", "sync price", "energy ratio")
"""Functions of one variable of each kind."""

OUTCOMES = ("capital", "provisioned", "running", "energy")
"""Per output token of the fleet: USD s, W s, USD, J."""
KIND_LIMITS = (
    "silicon",
    "silicon_small",
    "shoreline",
    "power_density",
    "package_power",
    "temperature",
    "memory_temperature",
    "interposer",
    "warpage",
    "die_area",
    "stacks",
    "layers_most",
    "layers_fewest",
    "clock_fewest",
    "clock_most",
)
SERVICE_LIMITS = ("promise", "pace", "first_token")
DEFINITIONS = ("silicon", "silicon_small", "rate", "pace", "step", "plan")
"""Functions that only define a lifted variable (or that a plan has chips enough): no limit of a
technology or of a user."""


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
    """

    kinds: int
    steps: tuple[tuple[int, int], ...]
    services: tuple[tuple[tuple[int, ...], bool, bool], ...]
    operators: tuple[int, ...]
    bounds: tuple[tuple[int, float, float], ...] = ()

    @functools.cached_property
    def variables(self) -> tuple[str, ...]:
        """Names of the variables."""
        own = [f"{name} {p}" for p in range(self.kinds) for name in KIND_VARIABLES]
        return (
            *own,
            *(f"time {k}" for k in range(len(self.steps))),
            *(f"batch {s}" for s in range(len(self.services))),
            *("pace", "relaxation"),
        )

    def variable(self, name: str, index: int | None = None) -> int:
        """Position of a variable."""
        return self.variables.index(name if index is None else f"{name} {index}")

    @functools.cached_property
    def basis(self) -> tuple[str, ...]:
        """Names of the monomials."""
        own = []
        for p in range(self.kinds):
            own += [f"{name} {p}" for name in PHYSICAL] + [
                f"{name} × G {p}" for name in ("one", *PHYSICAL)
            ]
            own += [f"{name} {p}" for name in TIMES]
        each = [
            f"{name} {k}"
            for k in range(len(self.steps))
            for name in ("one", "energy ratio", "time")
        ]
        return ("one", *own, *each)

    def monomial(self, name: str, index: int | None = None) -> int:
        """Position of a monomial."""
        return self.basis.index(name if index is None else f"{name} {index}")

    @functools.cached_property
    def functions(self) -> tuple[str, ...]:
        """Names of the functions: outcomes first, then what must be at most 1; in the order of
        ``blocks``."""
        return tuple(name for block in self.blocks for name in block.functions)

    @functools.cached_property
    def blocks(self) -> "tuple[Block, ...]":
        """Functions that share the few monomials which they may have: most functions have few, and
        none is worth its zeros."""
        times = [self.monomial("time", k) for k in range(len(self.steps))]
        found = [
            Block(
                (*OUTCOMES, *(f"bound {b}" for b in range(len(self.bounds)))),
                tuple(range(len(self.basis))),
            )
        ]
        for p in range(self.kinds):
            own = (0, *(self.monomial(name, p) for name in PHYSICAL))
            found.append(Block(tuple(f"{name} {p}" for name in KIND_LIMITS), own))
        small = [f"rate {p}" for p in range(self.kinds)]
        small += [f"{name} {k}" for name in ("capacity", "plan") for k in range(len(self.steps))]
        small += [f"{name} {s}" for s in range(len(self.services)) for name in SERVICE_LIMITS]
        found.append(Block(tuple(small), (0, *times)))
        for k, (_, p) in enumerate(self.steps):
            own = (0, *(self.monomial(name, p) for name in TIMES))
            found.append(Block(tuple(f"step {k} {r}" for r in range(self.operators[k] + 1)), own))
        return tuple(found)

    def function(self, name: str, index: int) -> int:
        """Position of a function."""
        return self.functions.index(f"{name} {index}")

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
    def limits(self) -> dict[str, list[int]]:
        """Rows among the limits (functions after the outcomes) by name of limit; definitions are
        left out."""
        rows: dict[str, list[int]] = {}
        for row, name in enumerate(self.functions[len(OUTCOMES) :]):
            short = name.split()[0]
            if short not in DEFINITIONS:
                rows.setdefault(name if short == "bound" else short, []).append(row)
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
        busy = [structure.monomial(f"{name} × G", p) for name in ("one", *PHYSICAL)]
        chips[np.ix_(outcomes, busy)] = p
        for name in KIND_LIMITS:
            chips[structure.function(name, p)] = p
    for k, (service, p) in enumerate(structure.steps):
        own = structure.kinds + service
        each = [structure.monomial(name, k) for name in ("one", "energy ratio")]
        chips[np.ix_(outcomes, each)], batch[np.ix_(outcomes, each)] = p, own
        rows = [
            structure.function("capacity", k),
            *(
                structure.functions.index(f"step {k} {r}")
                for r in range(structure.operators[k] + 1)
            ),
        ]
        chips[rows], batch[rows] = p, own
        time = structure.monomial("time", k)
        chips[structure.function("rate", p), time], batch[structure.function("rate", p), time] = (
            -1,
            own,
        )
        for name in ("promise", "pace"):
            batch[structure.function(name, service), time] = own
    return Owners(chips, batch)


def structure_of(
    problems: ProblemBatch,
    operators: tuple[int, ...],
    bounds: tuple[tuple[int, float, float], ...] = (),
) -> Structure:
    """The layout of a problem whose steps have so many operators."""
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
    )


class Block(NamedTuple):
    """Functions next to each other with the same few monomials."""

    functions: tuple[str, ...]
    columns: tuple[int, ...]


class Exponents(NamedTuple):
    """Numbers of a layout: numpy constants of the compiled program."""

    basis: np.ndarray  # (basis, variables)
    special: np.ndarray  # (basis, kinds · SPECIALS), 0 or 1
    argument: np.ndarray  # (kinds · SPECIALS,) the variable of each special function
    powers: np.ndarray  # (functions, variables)


@functools.lru_cache(maxsize=64)
def exponents(structure: Structure) -> Exponents:
    """Exponents of all monomials and functions."""
    position = {name: k for k, name in enumerate(structure.variables)}
    basis = np.zeros((len(structure.basis), len(position)))
    special = np.zeros((len(structure.basis), structure.kinds * len(SPECIALS)))
    for p in range(structure.kinds):
        for prefix in ("", "× G "):
            for name in ("one", *PHYSICAL) if prefix else PHYSICAL:
                row = structure.monomial(f"{name} {prefix}".strip(), p)
                if prefix:
                    basis[row, position[f"machine seconds {p}"]] = 1.0
                _physical(basis[row], special[row], name, p, position)
        for name, variable, power in zip(
            TIMES,
            ("sync_latency", "link_bandwidth", "peak_flops", "memory_bandwidth"),
            (1, -1, -1, -1),
            strict=True,
        ):
            basis[structure.monomial(name, p), position[f"{variable} {p}"]] = power
    for k, (_, p) in enumerate(structure.steps):
        special[structure.monomial("energy ratio", k), p * len(SPECIALS) + 2] = 1.0
        basis[structure.monomial("time", k), position[f"time {k}"]] = 1.0
    argument = [
        position[f"{name} {p}"]
        for p in range(structure.kinds)
        for name in ("silicon", "sync_latency", "clock")
    ]
    return Exponents(basis, special, np.array(argument), _powers(structure, position))


def _physical(
    row: np.ndarray, special: np.ndarray, name: str, p: int, position: dict[str, int]
) -> None:
    """Exponents of one physical monomial."""
    if name in SPECIALS:
        special[p * len(SPECIALS) + SPECIALS.index(name)] = 1.0
        return
    temper, _, plain = name.partition(" ")
    if temper in ("hot", "cold"):
        row[position[f"{'peak_flops' if plain == 'flops' else 'silicon'} {p}"]] += 1.0
        if temper == "hot":
            special[p * len(SPECIALS) + 2] = 1.0
        else:
            row[position[f"clock {p}"]] -= 1.0
    elif name != "one":
        row[position[f"{name} {p}"]] += 1.0


def _powers(structure: Structure, position: dict[str, int]) -> np.ndarray:
    powers = np.zeros((len(structure.functions), len(position)))

    def put(name: str, index: int, **exponents: float) -> None:
        for variable, power in exponents.items():
            powers[structure.function(name, index), position[variable.replace("__", " ")]] = power

    for p in range(structure.kinds):
        own = {name: f"{name.replace(' ', '__')}__{p}" for name in KIND_VARIABLES}
        silicon, bandwidth, capacity = (
            own["silicon"],
            own["memory_bandwidth"],
            own["memory_capacity"],
        )
        for name in (
            "silicon",
            "silicon_small",
            "power_density",
            "temperature",
            "memory_temperature",
        ):
            put(name, p, **{silicon: -1.0})
        put("shoreline", p, **{silicon: -0.5})
        put("die_area", p, **{silicon: 1.0})
        put("stacks", p, **{bandwidth: 1.0})
        put("layers_most", p, **{capacity: 1.0, bandwidth: -1.0})
        put("layers_fewest", p, **{capacity: -1.0, bandwidth: 1.0})
        put("clock_most", p, **{own["clock"]: 1.0})
        put("clock_fewest", p, **{own["clock"]: -1.0})
        put("rate", p, **{own["machine seconds"]: -1.0})
    for k, (_, p) in enumerate(structure.steps):
        put("capacity", k, **{f"memory_capacity__{p}": -1.0})
        for r in range(structure.operators[k] + 1):
            powers[structure.functions.index(f"step {k} {r}"), position[f"time {k}"]] = -1.0
    for s in range(len(structure.services)):
        put("pace", s, pace=-1.0)
    for b, (_, pace, rate) in enumerate(structure.bounds):
        put("bound", b, pace=pace, machine__seconds__0=rate)
    return powers
