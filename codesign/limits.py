"""The limits, one row each: name, words, owner, what is used over what is allowed.

    limit = ln(used / allowed) = ln share(sums) + Σ_k power_k · ln variable_k  ≤  0

``Limits`` of an outcome, the rows of a search's geometric program with their derivatives'
structure, the audit of that program against the exact model, tables and refusals all follow from
``ROWS``. A limit of the user's own is one more row (``LimitRow``), passed to ``optimize``.
"""

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp

from codesign.hardware.design import Design
from codesign.hardware.technology import Technology
from codesign.numerics.fields import Real
from codesign.numerics.ties import at_least, greater
from codesign.performance.load import Footprint
from codesign.performance.plan import Plan
from codesign.physical.area import interposer_area, needed_edge, usable_edge
from codesign.physical.latency import sync_floor
from codesign.physical.power_cap import TIE
from codesign.physical.thermal import LEAST_RISE, junction_rise
from codesign.physical.warpage import warpage


class Sums(NamedTuple):
    """What a machine's limits are made of: sums of monomials in its quantities.

    Numbers on the exact model; in a geometric program arrays of coefficients, one a monomial, so
    that a share which is linear in them says both.
    """

    one: Real  # [1] a constant
    equipment: Real  # [USD] one chip with its share of network and server
    peak: Real  # [W] one package, everything at its peak
    idle: Real  # [W] one chip that does nothing
    rated: Real  # [W] most that one package may draw: what is cooled and provisioned for
    edge: Real  # [m] taken by memory and links
    interposer: Real  # [m²]


class Machine(NamedTuple):
    """What is given of a machine beside its sums."""

    design: Design
    technology: Technology


class Judged(NamedTuple):
    """All that a limit may look at on the exact model."""

    sums: Sums
    machine: Machine
    silicon: Real  # [m²] logic area of a package
    plan: Plan
    kept: Footprint  # bytes on the fullest chip
    filled: Real  # [1] share of main memory that they may fill
    time_per_token: Real  # [s]
    promise: Real  # [s]
    drawn: Real  # [W] mean power of a chip


class Owner(enum.Enum):
    """What a limit is of."""

    MACHINE = "machine"  # a row of the program for each kind of machine
    CHOICE = "choice"  # settled by a choice or by the box
    STEP = "step"
    SERVICE = "service"


def _nothing() -> Mapping[str, float]:
    return MappingProxyType({})


@dataclass(frozen=True)
class LimitRow:
    """One limit: what is used over what is allowed, at most 1.

        used / allowed = share(sums, machine) · Π_k variable_k ^ power_k

    Args:
        name: of the limit, an identifier.
        share: linear in ``Sums`` (each a sum of monomials), any function of ``Machine``; the audit
            of a search finds it out where it is not linear.
        powers: exponents of ``silicon`` [m²], ``memory_bandwidth`` [B/s], ``memory_capacity`` [B],
            ``peak_flops`` [FLOP/s], ``link_bandwidth`` [B/s] or ``clock`` [1].
        words: what people read; the name unless told.
        description: what is limited.
        monomial: whether the share is a constant, so that the limit is a straight line in
            logarithms.
        integral: whether whole stacks and layers settle it.
        owner: what it is of; a user's own are of a machine.
        exact: instead of share and powers, ln(used / allowed) of what no machine owns.

    Source: Boyd, Kim, Vandenberghe, Hassibi, "A tutorial on geometric programming", Optim. Eng. 8
    (2007), §2: a posynomial that is at most 1.

    >>> rack = LimitRow("rack_power", lambda sums, machine: 72.0 * sums.rated / 120e3)
    >>> rack.title, rack.owner.value
    ('rack power', 'machine')
    """

    name: str
    share: Callable[[Sums, Machine], Real] | None = None
    powers: Mapping[str, float] = field(default_factory=_nothing, hash=False)
    words: str = ""
    description: str = ""
    monomial: bool = False
    integral: bool = False
    owner: Owner = Owner.MACHINE
    exact: Callable[[Judged], Real] | None = None

    @property
    def title(self) -> str:
        """What people read."""
        return self.words or self.name.replace("_", " ")

    def log_ratio(self, sums: Sums, machine: Machine, silicon: Real) -> Real:
        """ln(used / allowed) of a machine's limit on the exact model [1]."""
        total = jnp.log(self.share(sums, machine))  # pyright: ignore[reportOptionalCall]
        for name, power in self.powers.items():
            value = silicon if name == "silicon" else getattr(machine.design, name)
            total = total + power * jnp.log(value)
        return total

    def judge(self, judged: Judged) -> Real:
        """ln(used / allowed) on the exact model, of whatever owns it [1]."""
        if self.exact is not None:
            return self.exact(judged)
        return self.log_ratio(judged.sums, judged.machine, judged.silicon)


def _fullest_tier(judged: Judged) -> Real:
    """Largest ratio of bytes kept to bytes that may be filled, over the tiers in use [1]; the
    reserve is main memory's."""
    tiers, design, kept = judged.plan.tiers, judged.machine.design, judged.kept
    if tiers is None:
        return (kept.weights + kept.state) / (judged.filled * design.memory_capacity)
    main = kept.weights * (1.0 - tiers.weights_on_chip - tiers.weights_in_pool) + kept.state * (
        1.0 - tiers.state_in_pool
    )
    pool = kept.weights * tiers.weights_in_pool + kept.state * tiers.state_in_pool
    on_chip = kept.weights * tiers.weights_on_chip / design.sram_capacity
    return greater(
        greater(main / (judged.filled * design.memory_capacity), on_chip),
        pool / at_least(design.pool_capacity, 1.0),
    )


def _layer_capacity(machine: Machine) -> Real:
    """Capacity of a layer over the bandwidth of a stack [s]."""
    return machine.technology.memory.layer_capacity / machine.technology.memory.stack_bandwidth


def _rise(sums: Sums, machine: Machine) -> Real:
    """Rise of the junction above the coolant, times the silicon [K m²]."""
    return junction_rise(sums.rated, jnp.ones(()), machine.technology.cooling)


def _room(allowed: Real, machine: Machine) -> Real:
    """Allowed rise above the coolant [K]."""
    return at_least(allowed - machine.technology.cooling.coolant_temperature, LEAST_RISE)


ROWS: tuple[LimitRow, ...] = (
    LimitRow(
        "capacity", words="memory capacity", description="memory capacity", owner=Owner.STEP,
        exact=lambda j: jnp.log(_fullest_tier(j)),
    ),
    LimitRow(
        "die_area", description="die area against the reticle", monomial=True,
        share=lambda s, m: s.one / (m.design.dies * m.technology.logic.reticle_area),
        powers={"silicon": 1.0},
    ),
    LimitRow(
        "dies", words="dies in a package", description="logic dies in the package",
        owner=Owner.CHOICE,
        exact=lambda j: jnp.log(j.machine.design.dies / j.machine.technology.packaging.max_dies),
    ),
    LimitRow(
        "shoreline", description="die edge for memory and links",
        share=lambda s, m: s.edge / usable_edge(m.design, m.technology, jnp.ones(())),
        powers={"silicon": -0.5},
    ),
    LimitRow(
        "stacks", words="memory stacks", description="memory stacks on the package",
        monomial=True, integral=True,
        share=lambda s, m: s.one / (
            m.technology.memory.stack_bandwidth * m.technology.memory.max_stacks
        ),
        powers={"memory_bandwidth": 1.0},
    ),
    LimitRow(
        "layers_most", words="most layers", monomial=True, integral=True,
        description="layers per stack against the most on sale",
        share=lambda s, m: s.one / (_layer_capacity(m) * m.technology.memory.max_layers),
        powers={"memory_capacity": 1.0, "memory_bandwidth": -1.0},
    ),
    LimitRow(
        "layers_fewest", words="fewest layers", monomial=True, integral=True,
        description="layers per stack against the fewest on sale",
        share=lambda s, m: s.one * (_layer_capacity(m) * m.technology.memory.min_layers),
        powers={"memory_capacity": -1.0, "memory_bandwidth": 1.0},
    ),
    LimitRow(
        "power_density", description="heat flux of the die",
        share=lambda s, m: s.rated / m.technology.cooling.power_density,
        powers={"silicon": -1.0},
    ),
    LimitRow(
        "package_power", description="power of the package",
        share=lambda s, m: s.rated / m.technology.cooling.package_power,
    ),
    LimitRow(
        "power_cap", owner=Owner.CHOICE,
        description="mean power against the power cap",
        exact=lambda j: jnp.log(j.drawn / (j.sums.rated * (1.0 + TIE))),
    ),
    LimitRow(
        "temperature", words="junction temperature",
        description="rise of the junction above the coolant",
        share=lambda s, m: _rise(s, m) / _room(m.technology.cooling.logic_temperature, m),
        powers={"silicon": -1.0},
    ),
    LimitRow(
        "memory_temperature", description="rise of the memory above the coolant",
        share=lambda s, m: (
            _rise(s, m)
            * m.technology.memory.thermal_coupling
            / _room(m.technology.cooling.memory_temperature, m)
        ),
        powers={"silicon": -1.0},
    ),
    LimitRow(
        "interposer", words="interposer area",
        description="interposer area against the largest of the year",
        share=lambda s, m: s.interposer / m.technology.packaging.interposer_most,
    ),
    LimitRow(
        "warpage", description="bow of the interposer",
        share=lambda s, m: s.interposer * (
            warpage(jnp.ones(()), m.technology.packaging) / m.technology.packaging.warpage_most
        ),
    ),
    LimitRow(
        "clock_fewest", words="slowest clock", monomial=True,
        description="clock against the slowest useful one",
        share=lambda s, m: s.one * m.technology.logic.clock_fewest,
        powers={"clock": -1.0},
    ),
    LimitRow(
        "clock_most", words="fastest clock", description="clock against the fastest one",
        monomial=True,
        share=lambda s, m: s.one / m.technology.logic.clock_most,
        powers={"clock": 1.0},
    ),
    LimitRow(
        "sync_floor", words="sync latency floor",
        description="sync latency against its floor", owner=Owner.CHOICE,
        exact=lambda j: jnp.log(
            1.001
            * sync_floor(
                j.machine.design.chips,
                j.machine.design.scale_up_domain,
                j.machine.technology.links,
            )
            / j.machine.design.sync_latency
        ),
    ),
    LimitRow(
        "promise", description="time per token against the promise", owner=Owner.SERVICE,
        exact=lambda j: jnp.log(j.time_per_token / j.promise),
    ),
)  # fmt: skip
"""Every limit of an outcome, in the order in which it is told."""

LIMIT_NAMES = tuple(row.name for row in ROWS)
"""Names of the limits, in the order of ``ROWS``."""

FIRST_TOKEN = LimitRow("first_token", words="first-token promise", owner=Owner.SERVICE)
"""The limit of a fleet that none of its steps has."""

_TITLES = {row.name: row.title for row in (*ROWS, FIRST_TOKEN)}


class Limits(eqx.Module):
    """ln(used / allowed) of every limit of ``ROWS`` by its name: at most 0 where the design
    respects it [1].

    ``layers_most`` and ``layers_fewest`` are the layers per memory stack; the two temperatures are
    rises above the coolant; ``clock_fewest`` and ``clock_most`` bound the clock; ``sync_floor`` is
    the latency that no money buys, ``promise`` the time per token.
    """

    values: dict[str, Real]

    def __getattr__(self, name: str) -> Real:
        if name.startswith("__") or name == "values" or name not in self.values:
            raise AttributeError(f"limits have no {name!r}; expected one of {', '.join(_TITLES)}")
        return self.values[name]


def judge_limits(judged: Judged) -> Limits:
    """Judge every limit on the exact model."""
    return Limits({row.name: row.judge(judged) for row in ROWS})


def stack_limits(limits: Limits) -> Real:
    """The limits as one array, last axis in the order of ``LIMIT_NAMES`` [1]."""
    return jnp.stack([limits.values[name] for name in LIMIT_NAMES], axis=-1)


def limit_words(name: str) -> str:
    """Call a limit by its words; a bound that a user put on an outcome has its own.

    >>> limit_words("layers_most"), limit_words("cost_per_token at most")
    ('most layers', 'cost per token at most')
    """
    return _TITLES.get(name, name.replace("_", " "))


def sums_of(
    design: Design, technology: Technology, silicon: Real, equipment: Real,
    peak: Real, idle: Real, rated: Real,
) -> Sums:  # fmt: skip
    """Gather what a machine's limits are made of on the exact model.

    Args:
        design, technology: the machine.
        silicon: logic area of a package [m²].
        equipment: price of a chip with its share of network and server [USD].
        peak, idle: power of a package at its peak, and of a chip that does nothing [W].
        rated: most that it may draw [W].
    """
    return Sums(
        jnp.ones_like(silicon),
        equipment,
        peak,
        idle,
        rated,
        needed_edge(design, technology),
        interposer_area(design, technology, silicon),
    )
