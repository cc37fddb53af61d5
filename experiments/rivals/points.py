"""Real devices on a scenario's work, with the freedom that its designs have and on the same prices.

Each device may take every number of chips and every batch of the scenario's ranges, every layout of
its ``[choices]``, and must keep the same promises and bounds. It brings its own technology (node,
memory, links: what prices its silicon), its own scale-up domain and its published rates. Chips
beyond that domain are allowed, as they are to the designs beyond theirs: the model charges both for
the scale-out network, at the scenario's latency. So the comparison is between machines, not between
vendors' margins or searches.
"""

import dataclasses

import numpy as np

import codesign
from codesign.physical.cost import CAPITAL_PARTS
from codesign.search import Choice, Kind
from codesign.search.solver.packing import pack
from codesign.search.statement.choices import stacked
from codesign.search.statement.goals import log_goals
from codesign.search.statement.problem import assemble
from codesign.search.statement.services import StepKind
from experiments.rivals.comparison import Compared, compared
from experiments.rivals.dominating import own_front
from experiments.rivals.machines import Sought
from experiments.rivals.offers import Integers, Machines, Offers, evaluate
from experiments.rivals.search import search
from experiments.scenarios.problem import Layout, Problem, layouts
from experiments.scenarios.schema import Scenario
from experiments.scenarios.technologies import priced_device
from hardware_priors.devices import Device
from hardware_priors.own_device import OwnDevice
from objectives import Objective, objective


def leading(scenario: Scenario) -> str:
    """The objective by which a device's best machine is told: tokens/s/$ where it is asked for,
    else the first.

    >>> from experiments.scenarios.toml_text import scenario
    >>> leading(scenario("llama-405b")), leading(scenario("chat"))
    ('tokens/s/$', '$/token')
    """
    asked = scenario.search.objectives
    return PER_DOLLAR if PER_DOLLAR in asked else asked[0]


SPEED = "tokens/s/user"
PER_DOLLAR = "tokens/s/$"


@dataclasses.dataclass(frozen=True)
class Machine:
    """One machine made of a device: integers, layout, and what it yields."""

    chips: tuple[int, ...]  # of each kind of machine: decode first
    batch: tuple[int, ...]  # of each service
    plan: str
    values: dict[str, float]  # objectives by name
    user_tokens_per_second: float
    tokens_per_second_per_dollar: float
    tokens_per_second_per_watt: float
    cost_per_token: float
    chips_busy: float  # chip-seconds of an output token [s]
    capital: dict[str, float]  # by part [USD/(token/s)]; sums to 1 / tokens_per_second_per_dollar


@dataclasses.dataclass(frozen=True)
class DevicePoint:
    """One device: its best machine for ``leading`` objective, and its own front; or the reason why
    there is none."""

    name: str
    year: int | None = None
    technology: tuple[str, str, str] | None = None  # node, memory, link
    same_generation: bool = False
    best: Machine | None = None
    front: tuple[Machine, ...] = ()  # by rising speed
    absent_because: str = ""
    announced: bool = False
    device: Device | OwnDevice | None = None

    @property
    def chips(self) -> int:
        """Of the kind of machine that decodes; 0 where there is none."""
        return self.best.chips[0] if self.best else 0

    @property
    def batch(self) -> int:
        """Of the first service."""
        return self.best.batch[0] if self.best else 0

    @property
    def user_tokens_per_second(self) -> float:
        """Of the best machine."""
        return self.best.user_tokens_per_second if self.best else float("nan")

    @property
    def tokens_per_second_per_dollar(self) -> float:
        """Of the best machine."""
        return self.best.tokens_per_second_per_dollar if self.best else float("nan")

    @property
    def tokens_per_second_per_watt(self) -> float:
        """Of the best machine."""
        return self.best.tokens_per_second_per_watt if self.best else float("nan")

    @property
    def size(self) -> str:
        """``×5``, or ``×16+8`` where machines of two kinds work together."""
        return "×" + "+".join(map(str, self.best.chips)) if self.best else ""


def objectives_of(scenario: Scenario) -> list[Objective]:
    """Those of the scenario, and the speed a user sees: a device's front always has it."""
    names = list(scenario.search.objectives)
    return [objective(name) for name in [*names, *([] if SPEED in names else [SPEED])]]


def device_points(scenario: Scenario, problem: Problem) -> list[DevicePoint]:
    """Every device of the comparison, those of the scenario's generation first; what cannot serve,
    with the reason."""
    devices = compared(scenario)
    found = {one.name: _point(one, absent_because=one.absent_because) for one in devices}
    asked = [one for one in devices if not one.absent_because]
    described, ways = [], layouts(scenario, problem.services)
    for one in asked:
        try:
            described.append(
                (one, [one_chip(one, product_bits(problem, way), problem) for way in ways])
            )
        except ValueError as error:
            found[one.name] = _point(
                one, absent_because=str(error).removeprefix(f"{one.name}: ").split(";")[0]
            )
    if described:
        try:
            goals = objectives_of(scenario)
            speed = [one.name for one in goals].index(SPEED)
            sought = search(
                _offers(scenario, problem, ways, described), goals, problem.bounds, speed
            )
        except ValueError as error:
            return [_point(one, absent_because=one.absent_because or str(error)) for one in devices]
        found |= {
            point.name: point
            for point in _points(scenario, [one for one, _ in described], ways, sought)
        }
    return [found[one.name] for one in devices]


def _point(
    one: Compared,
    *,
    best: Machine | None = None,
    front: tuple[Machine, ...] = (),
    absent_because: str = "",
) -> DevicePoint:
    return DevicePoint(
        one.name,
        one.year,
        one.technology,
        one.same_generation,
        best=best,
        front=front,
        absent_because=absent_because,
        announced=one.announced,
        device=one.device,
    )


def product_bits(problem: Problem, way: Layout) -> float:
    """Width of the products: the widest that any service multiplies with [bit]."""
    precisions = way.precisions or [one.precision for one in problem.services]
    return max(float(one.compute_bits) for one in precisions)


def one_chip(one: Compared, bits: float, problem: Problem) -> codesign.Design:
    """One chip; the catalogue has no scale-out latency of single devices, so all take the
    scenario's."""
    design = one.device.design(1, bits)
    if isinstance(one.device, Device):
        design = dataclasses.replace(
            design, scale_out_latency=problem.spaces[0].base.scale_out_latency
        )
    return design


def device_technology(one: Compared, scenario: Scenario) -> codesign.Technology:
    """What prices the device beside the scenario's designs."""
    assert one.technology is not None
    return priced_device(scenario, one.technology, one.device.machine_class).technology()


def _offers(
    scenario: Scenario,
    problem: Problem,
    ways: list[Layout],
    described: list[tuple[Compared, list[codesign.Design]]],
) -> Offers:
    kinds, choices, bases, waits, edges = len(problem.spaces), [], [], [], []
    numbers = np.arange(scenario.space.chips[1] + 1)
    for one, designs in described:
        technology = device_technology(one, scenario)
        for way, design in zip(ways, designs, strict=True):
            kind = Kind(technology, design.dies, design.sram_capacity, design.scale_up_domain)
            choices.append(Choice(one.name, way.plans, (kind,) * kinds, way.precisions))
            bases.append(design)
            waits.append(sync_latencies(one, design, numbers))
            edges.append(_edges(one, design))
    problems = assemble(problem.spaces, problem.services, choices, problem.execution)
    return Offers(
        problems=pack(problems),
        steps=problems.steps,
        services=problems.services,
        device=np.repeat(np.arange(len(described)), len(ways)),
        bases=stacked(bases),
        latencies=np.array(waits),
        fewest=np.tile([_fewest(way, problems.steps, kinds) for way in ways], (len(described), 1)),
        steps_at=np.array(edges),
        chips=scenario.space.chips,
        batch=scenario.space.batch,
    )


def sync_latencies(one: Compared, design: codesign.Design, numbers: np.ndarray) -> np.ndarray:
    """A device's sync latency at numbers of chips [s]."""
    if isinstance(one.device, Device):
        return one.device.sync_latencies(np.maximum(numbers, 1))
    return np.full(len(numbers), float(design.sync_latency))


def _edges(one: Compared, design: codesign.Design) -> list[int]:
    """Numbers of chips beyond which messages take another way: the domain, and where its latency
    changes."""
    threshold = one.device.find("sync_threshold") if isinstance(one.device, Device) else None
    domain = int(min(float(design.scale_up_domain), 1e9))
    return [domain, int(threshold.value) if threshold else domain]


def _fewest(way: Layout, steps: tuple[StepKind, ...], kinds: int) -> list[int]:
    """Chips that a layout needs of each kind: one for every stage, context and attention group."""
    needed = [1] * kinds
    for step, plan in zip(steps, way.plans, strict=True):
        groups = float(plan.pipeline) * float(plan.context) * float(plan.data)
        needed[step.kind] = max(needed[step.kind], round(groups))
    return needed


def _points(
    scenario: Scenario, devices: list[Compared], ways: list[Layout], sought: Sought
) -> list[DevicePoint]:
    machines, logs = sought.seen
    owner = sought.offers.device[machines.offer]
    names = [one.name for one in sought.objectives]
    lead, speed = names.index(leading(scenario)), names.index(SPEED)
    chosen = []
    for k in range(len(devices)):
        rows = np.flatnonzero(owner == k)
        chosen.append(rows[own_front(logs[rows], speed)] if len(rows) else rows)
    if not sum(map(len, chosen)):
        return [
            _point(one, absent_because=_reason(scenario, bool(fits)))
            for one, fits in zip(devices, sought.fits, strict=True)
        ]
    flat = np.concatenate(chosen).astype(int)
    told = _told(scenario, ways, machines[flat], evaluate(sought.offers, machines[flat]))
    points = []
    for one, rows, fits in zip(devices, chosen, sought.fits, strict=True):
        front, told = tuple(told[: len(rows)]), told[len(rows) :]
        best = front[int(logs[rows][:, lead].argmin())] if front else None
        points.append(
            _point(
                one,
                best=best,
                front=front,
                absent_because="" if front else _reason(scenario, bool(fits)),
            )
        )
    return points


def _reason(scenario: Scenario, fits: bool) -> str:
    if not fits:
        return f"too small for the model: up to {scenario.space.chips[1]} chips do not hold it"
    return (
        "too slow for the promise"
        if not scenario.bounds
        else "too slow for the promise, or beyond the bounds"
    )


def _told(
    scenario: Scenario, ways: list[Layout], integers: Integers, found: Machines
) -> list[Machine]:
    values = {
        one.name: np.exp(-one.sense * log_goals([one], found.totals)[:, 0])
        for one in objectives_of(scenario)
    }
    totals = found.totals
    return [
        Machine(
            chips=tuple(map(int, integers.chips[k])),
            batch=tuple(map(int, integers.batch[k])),
            plan=", ".join(_plan_words(ways[integers.offer[k] % len(ways)])),
            values={name: float(column[k]) for name, column in values.items()},
            user_tokens_per_second=float(totals.user_tokens_per_second[k]),
            tokens_per_second_per_dollar=float(totals.tokens_per_second_per_dollar[k]),
            tokens_per_second_per_watt=float(totals.tokens_per_second_per_watt[k]),
            cost_per_token=float(totals.cost_per_token[k]),
            chips_busy=float(found.chips_busy[k]),
            capital=dict(zip(CAPITAL_PARTS, map(float, found.capital[k]), strict=True)),
        )
        for k in range(len(integers.offer))
    ]


def _plan_words(way: Layout) -> tuple[str, ...]:
    return way.words if way.bits is None else (*way.words, f"{way.bits:g}-bit weights")
