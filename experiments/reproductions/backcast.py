"""What the search would have designed in 2022 and 2024 for the models of the day, beside H100 and
B200.

Only technology and work are given: process, memory, links, cooling, package, dies and domain of the
day. Bandwidth, capacity, matrix rate, link bandwidth, clock, chips and batch are searched. Where a
design misses the device, one prior or one part of the work at a time is changed, to see which of
them accounts for it.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import equinox as eqx
import numpy as np

import codesign
import hardware_priors
from codesign.numerics.fields import real
from codesign.numerics.units import GIGA, MEGA, MICRO, MILLI, TERA
from codesign.physical.area import precision_ratio
from codesign.search import CONTINUOUS, Choice, Front, Kind, Service, Space, optimize
from codesign.workload.catalogue import model
from codesign.workload.parameters import state_bytes_per_token
from codesign.workload.phases import Serving
from experiments.reproductions.table import Column, Settings, Table
from hardware_priors.devices import Device
from objectives import objective

OBJECTIVES = ("$/token", "tokens/s/W", "tokens/s/user")

FACTOR = 2.0
"""Ours over published, either way, that counts as within."""

LAST_DIGITS = 1e-9
"""Whole layers can land on a factor of two exactly; rounding does not decide."""

LEAST_MOVE = 0.01
"""A factor that moves by less (in log units) has not moved."""

JUDGED = ("bytes per FLOP, 16 bit", "bytes per FLOP, 8 bit", "capacity", "area")
"""Quantities that the target is stated for; the others stand beside them."""

WIDEST = {
    "memory_bandwidth": (0.5e12, 50e12),
    "memory_capacity": (8e9, 2e12),
    "peak_flops": (50e12, 20e15),
    "sync_latency": (0.3e-6, 20e-6),
    "link_bandwidth": (20e9, 4e12),
    "clock": (1e-3, 1e3),
}
"""Range of the search (SI), so wide that technology binds and not the box."""


@dataclasses.dataclass(frozen=True)
class Era:
    """What a year could build with: judged from what its device is made of."""

    device: str
    technology: Mapping[str, str]
    dies: float
    domain: float


H100 = Era(
    "h100",
    MappingProxyType(
        {
            "node": "N4",
            "memory": "HBM3",
            "link": "NVLink4",
            "cooling": "air",
            "packaging": "CoWoS-S",
        }
    ),
    dies=1.0,
    domain=8.0,
)
B200 = Era(
    "b200",
    MappingProxyType(
        {
            "node": "N4",
            "memory": "HBM3E",
            "link": "NVLink5",
            "cooling": "cold-plate",
            "packaging": "CoWoS-L",
        }
    ),
    dies=2.0,
    domain=72.0,
)


@dataclasses.dataclass(frozen=True)
class Case:
    """What is designed for: an era, a model and its requests, and the priors that are changed."""

    name: str
    era: Era
    model: str
    bits: float
    """of weights, caches and activations"""
    prompt: float
    output: float
    promise: float = 50 * MILLI
    """longest mean time between a user's tokens [s]; judged: 20 tokens/s, several times the speed
    of reading"""
    price_basis: str = "builder"
    scaled: tuple[tuple[str, float], ...] = ()
    """factors on leaves of the technology, keyed as ``hardware_priors.technology_priors``"""

    def technology(self) -> codesign.Technology:
        """Its technology, changed priors included."""
        found = hardware_priors.technology(**self.era.technology, price_basis=self.price_basis)  # pyright: ignore[reportArgumentType]
        for key, factor in self.scaled:
            part, leaf = key.split(".")
            found = eqx.tree_at(
                lambda t, p=part, q=leaf: getattr(getattr(t, p), q),
                found,
                replace_fn=lambda value, f=factor: value * f,
            )
        return found


CASES = (
    Case("70B", H100, "llama-3.1-70b", 16.0, 2048.0, 256.0),
    Case("175B", H100, "gpt3-175b", 16.0, 1792.0, 256.0),
    Case("405B", B200, "llama-3.1-405b", 8.0, 8192.0, 1024.0),
)
"""Dense models; seven or eight prompt tokens to an output token (judged), and the 175B fills its
window of 2048."""


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
        power=float(np.asarray(outcome.peak_power)[k]),
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


def table(settings: Settings) -> Table:
    """Designs of 2022 and 2024 over H100 and B200, quantity by quantity. Needs no data; its
    searches take minutes."""
    del settings
    return tabulated(results())


def tabulated(found: Sequence[Result]) -> Table:
    """Results as a table: factors are ours over published."""
    rows = []
    for one in found:
        machine, ratios = one.machine, one.factors
        verdict = ", ".join(misses(ratios)) or "all"
        rows.append(
            (
                one.case.era.device.upper(),
                one.case.name,
                one.change or "as stated",
                *ratios.values(),
                machine.chips,
                machine.batch,
                machine.dollars_per_token / MICRO,
                "all within" if verdict == "all" else f"outside: {verdict}",
            )
        )
    columns = (
        *(Column(name) for name in ("device", "model", "change")),
        *(Column(name, "1") for name in (*SHOWN, "chips", "batch")),
        Column("cost", "USD/Mtoken"),
        Column(f"within {FACTOR:g}x"),
    )
    plain = [one for one in found if not one.change]
    return Table(
        "The cheapest design of the day over the device that was built (factors: ours over"
        " published)",
        columns,
        rows,
        summary=[told(one) for one in plain],
        notes=[
            line
            for one in plain
            for line in explained(one, [o for o in found if o.change and o.case == one.case])
        ]
        + notes(found),
    )


def told(one: Result) -> str:
    """One case in a sentence: absolute numbers, and the range of the factors over the front."""
    theirs = published(one.case.era.device).quantities
    over = [factors(machine, published(one.case.era.device)) for machine in one.front]
    cells = []
    for name in JUDGED:
        unit, scale = SHOWN[name]
        low, high = (end(ratios[name] for ratios in over) for end in (min, max))
        ours = one.machine.quantities[name] / scale
        cells.append(
            f"{name} {ours:.4g} against {theirs[name] / scale:.4g} {unit} ({one.factors[name]:.2f},"
            f" over the front {low:.2f}–{high:.2f})"
        )
    outside = misses(one.factors)
    verdict = f"outside {FACTOR:g}x: {', '.join(outside)}" if outside else f"all within {FACTOR:g}x"
    return f"{one.case.era.device.upper()} for {one.case.name}: {'; '.join(cells)}; {verdict}."


def explained(one: Result, changed: Sequence[Result]) -> list[str]:
    """What moves each judged factor most of what was tried, and what brings a miss within."""
    lines, ratios = [], one.factors
    outside = misses(ratios)
    head = f"{one.case.era.device.upper()} for {one.case.name}"
    for name in JUDGED:
        if not changed or name == JUDGED[1]:  # moves as at 16 bit
            continue
        moves = {other.change: math.log(other.factors[name] / ratios[name]) for other in changed}
        most = max(changed, key=lambda other: abs(moves[other.change]))
        line = f"{head}, {name} ({ratios[name]:.2f}): "
        moved = abs(moves[most.change]) > LEAST_MOVE
        line += (
            f"{most.change} moves it most, to {most.factors[name]:.2f}"
            if moved
            else "nothing that was tried moves it"
        )
        if name in outside:
            cures = [
                f"{o.change} ({o.factors[name]:.2f})"
                for o in changed
                if name not in misses(o.factors)
            ]
            line += (
                f"; outside as stated, brought within by {', '.join(cures)}"
                if cures
                else "; nothing that was tried brings it within"
            )
        lines.append(line + ".")
    return lines


def _named_model(case: Case) -> str:
    return f"{case.name} is {case.model} ({_cached(case):.2g} MB cached a token)"


def _cached(case: Case) -> float:
    """Cache of one token [MB]."""
    return float(state_bytes_per_token(model(case.model), case.bits / 8.0)) / MEGA


def notes(found: Sequence[Result]) -> list[str]:
    """Method, what is judged, and what the comparison cannot say."""
    reticle = sum("die_area" in one.machine.binding for one in found)
    speeds = []
    for case in (CASES[0], CASES[-1]):
        device, memory = Device(case.era.device), case.technology().memory
        own = device.fact("memory_bandwidth").si.value / device.fact("stacks").value / GIGA
        speeds.append(
            f"{case.era.device.upper()} {own:.0f} of {float(memory.stack_bandwidth) / GIGA:.0f}"
        )
    return [
        (
            f"The rule: of the front over {', '.join(OBJECTIVES)} the design with the cheapest"
            " token, every design in whole stacks of whole layers. Judged: users get a token every"
            f" {CASES[0].promise / MILLI:.0f} ms or sooner; seven or eight prompt tokens to an"
            " output token, prompts and outputs on the same machines; 16 bit in 2022, 8 bit in"
            " 2024; domains of 8 and of 72 chips."
        ),
        (
            "Models:"
            f" {', '.join(map(_named_model, CASES))}."
            " The first stands for its size: its grouped heads are of 2024."
        ),
        (
            f"The area is the reticle's in {reticle} of {len(found)} designs (die_area binds): it"
            " agrees because makers filled the reticle too, which says little about the rest of"
            " the model."
        ),
        f"Stacks run below what their generation allows [GB/s]: {', '.join(speeds)}.",
        (
            "H100 and B200 were built to train as well, which asks for FLOP/s before memory; the"
            " search knows inference alone, in which prompts are the work that is most like"
            " training."
        ),
        (
            "Chips, batch, stacks and layers are found by descent and proved best in no case, so a"
            " change of some per cent may be the search's. Chips need not divide a model's heads."
        ),
        (
            "Prices are those of the catalogue for all years, not those of 2022. Power is"
            " everything at its peak at once, against a rating. B200 is the one of the catalogue;"
            " N4P counts as N4."
        ),
    ]
