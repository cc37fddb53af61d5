"""What would have been designed in each case, under each change of what is judged."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np

import codesign
from codesign.numerics.fields import real
from codesign.numerics.units import GIGA, MEGA, TERA
from codesign.physical.area import precision_ratio
from codesign.search import CONTINUOUS, Choice, Front, Kind, Service, Space, optimize
from codesign.workload.catalogue import model
from codesign.workload.parameters import state_bytes_per_token
from codesign.workload.phases import Serving
from experiments.reproductions.backcast_cases import CASES, OBJECTIVES, WIDEST, Case
from hardware_priors.devices import Device
from objectives import objective

FACTOR = 2.0
"""Ours over published, either way, that counts as within."""


LAST_DIGITS = 1e-9
"""Whole layers can land on a factor of two exactly; rounding does not decide."""


LEAST_MOVE = 0.01
"""A factor that moves by less (in log units) has not moved."""


JUDGED = ("bytes per FLOP, 16 bit", "bytes per FLOP, 8 bit", "capacity", "area")
"""Quantities that the target is stated for; the others stand beside them."""


@dataclasses.dataclass(frozen=True)
class Machine:
    """One chip of a design, or a device: what is compared (SI), and how it is used where that is
    known."""

    bandwidth: float
    capacity: float
    peak_16_bit: float
    peak_8_bit: float
    area: float
    power: float
    dollars_per_token: float = math.nan
    chips: int = 1
    batch: int = 1
    binding: tuple[str, ...] = ()

    @property
    def quantities(self) -> dict[str, float]:
        """By the names of the table, in SI."""
        return {
            JUDGED[0]: self.bandwidth / self.peak_16_bit,
            JUDGED[1]: self.bandwidth / self.peak_8_bit,
            JUDGED[2]: self.capacity,
            JUDGED[3]: self.area,
            "bandwidth": self.bandwidth,
            "peak, 16 bit": self.peak_16_bit,
            "power": self.power,
        }


SHOWN = {
    JUDGED[0]: ("B/FLOP", 1.0),
    JUDGED[1]: ("B/FLOP", 1.0),
    JUDGED[2]: ("GB", GIGA),
    JUDGED[3]: ("mm^2", 1e-6),
    "bandwidth": ("TB/s", TERA),
    "peak, 16 bit": ("TFLOP/s", TERA),
    "power": ("W", 1.0),
}
"""Unit of each quantity for people, and that unit in SI."""


def published(name: str) -> Machine:
    """A device of the catalogue, dense peaks, its rating as power."""
    device = Device(name)
    at = {
        quantity: device.fact(quantity).si.value
        for quantity in ("memory_bandwidth", "memory_capacity", "die_area", "tdp")
    }
    wide, narrow = device.peak(16).si.value, device.peak(8).si.value
    return Machine(
        at["memory_bandwidth"], at["memory_capacity"], wide, narrow, at["die_area"], at["tdp"]
    )


def factors(ours: Machine, theirs: Machine) -> dict[str, float]:
    """Ours over theirs, quantity by quantity [1]."""
    others = theirs.quantities
    return {name: value / others[name] for name, value in ours.quantities.items()}


def misses(found: Mapping[str, float]) -> list[str]:
    """Judged quantities whose factor is not within.

    >>> ratio = {"bytes per FLOP, 16 bit": 2.1, "bytes per FLOP, 8 bit": 2.0}
    >>> misses({**ratio, "capacity": 0.4, "area": 0.5, "power": 9.0})
    ['bytes per FLOP, 16 bit', 'capacity']
    """
    return [name for name in JUDGED if abs(math.log(found[name])) > math.log(FACTOR) + LAST_DIGITS]


def chosen(front: Sequence[Machine]) -> Machine:
    """The rule: of the designs that keep the promise, the one with the cheapest token."""
    return min(front, key=lambda machine: machine.dollars_per_token)


def designs(case: Case) -> list[Machine]:
    """The front of a case, every design with whole stacks and whole layers.

    Raises:
        Infeasible: no machine keeps the promise.
    """
    technology = case.technology()
    low, high = ([WIDEST[name][end] for name in CONTINUOUS] for end in (0, 1))
    base = codesign.Design(
        **{name: real(ends[0]) for name, ends in WIDEST.items()},
        chips=real(1),
        sram_bandwidth=real(1e9),  # nothing is kept on chip: what its bytes take is its area
    )
    space = Space(base, low, high, chips=(1, 64), buildable=True)
    work = dataclasses.replace(
        model(case.model), name="model"
    )  # a name of its own would compile the same search again
    bits = real(case.bits)
    precision = codesign.Precision(
        weight_bits=bits, expert_weight_bits=bits, state_bits=bits, activation_bits=bits
    )
    phase = Serving(real(case.prompt), real(case.output), real(1))
    service = Service(work, phase, precision, promise=real(case.promise), batch=(1, 4096))
    plans = tuple(
        codesign.Plan(all_reduce=real(codesign.ALGORITHMS[name])[None])
        for name in ("one-shot", "two-shot")
    )
    kind = Kind(technology, real(case.era.dies), scale_up_domain=real(case.era.domain))
    goals = [objective(name) for name in OBJECTIVES]
    front = optimize(space, service, [Choice("machine", plans, (kind,))], goals, weights=len(goals))
    return [_machine(front, k, case.bits, technology) for k in range(len(front))]


def _machine(front: Front, k: int, bits: float, technology: codesign.Technology) -> Machine:
    logic, design, outcome = technology.logic, front.design, front.outcomes[0]

    def gain(width: float) -> float:
        return float(precision_ratio(real(width), logic.density_gain_8bit, logic.density_gain_4bit))

    peak = float(design.peak_flops[k]) / gain(bits)
    return Machine(
        bandwidth=float(design.memory_bandwidth[k]),
        capacity=float(design.memory_capacity[k]),
        peak_16_bit=peak,
        peak_8_bit=peak * gain(8.0),
        area=float(np.asarray(outcome.area.total)[k]),
        power=float(np.asarray(outcome.rated_power)[k]),
        dollars_per_token=float(front.values[k, 0]),
        chips=int(front.integers[k, 0]),
        batch=int(front.integers[k, 1]),
        binding=front.binding[k],
    )


def stacks_at_its_speed(case: Case) -> Case:
    """The case with memory stacks as fast as the era's device runs its own, below what their
    generation allows."""
    device = Device(case.era.device)
    own = device.fact("memory_bandwidth").si.value / device.fact("stacks").value
    factor = own / float(case.technology().memory.stack_bandwidth)
    return dataclasses.replace(case, scaled=(*case.scaled, ("memory.stack_bandwidth", factor)))


CHANGES: Mapping[str, Callable[[Case], Case]] = MappingProxyType(
    {
        "all generated": lambda case: dataclasses.replace(
            case, prompt=1.0, output=case.prompt + case.output - 1.0
        ),
        "promise doubled": lambda case: dataclasses.replace(case, promise=2.0 * case.promise),
        "buyer's prices": lambda case: dataclasses.replace(case, price_basis="buyer"),
        "device's stack speed": stacks_at_its_speed,
    }
)
"""One thing at a time: two of the work (sequences as long as before but without prompts; slower
users), two of the priors."""


TRIED = (
    ("70B", ("all generated", "buyer's prices", "device's stack speed")),
    ("175B", ("promise doubled", "device's stack speed")),
    ("405B", ("all generated", "buyer's prices")),
)
"""Which changes are tried on which case: each takes a search."""


@dataclasses.dataclass(frozen=True)
class Result:
    """A case's front and what was chosen from it, under what change."""

    case: Case
    change: str
    front: Sequence[Machine]

    @property
    def machine(self) -> Machine:
        """What the rule chooses."""
        return chosen(self.front)

    @property
    def factors(self) -> dict[str, float]:
        """The chosen design over the device [1]."""
        return factors(self.machine, published(self.case.era.device))


def results() -> list[Result]:
    """Every case, then its changes."""
    found = []
    for case in CASES:
        found.append(Result(case, "", designs(case)))
        changes = dict(TRIED)[case.name]
        found += [Result(case, change, designs(CHANGES[change](case))) for change in changes]
    return found


def cached(case: Case) -> float:
    """Cache of one token [MB]."""
    return float(state_bytes_per_token(model(case.model), case.bits / 8.0)) / MEGA
