"""From the arguments of ``plan`` to a model, a demand and machines."""

import dataclasses
import math
import re
from typing import TYPE_CHECKING

import codesign
import hardware_priors
from codesign.calibration.execution import ANY_ENGINE
from codesign.numerics.fields import real
from codesign.planning.demand import Demand
from codesign.planning.machine import Machine
from codesign.workload.catalogue import reading
from codesign.workload.reading import Reading, one_width, override
from codesign.workload.transformer import has_experts, layer_count
from experiments.points.calibrated import served_by, shipped_or_own
from experiments.points.cautions import too_long
from experiments.points.operating_point import LIMIT_STUDY_BITS
from experiments.terminal.refusal import Refused
from hardware_priors.plannable import on_sale, plannable
from hardware_priors.quantities import parse

if TYPE_CHECKING:
    from experiments.planning.arguments import PlanArguments

PERIODS = {"s": 1.0, "second": 1.0, "min": 60.0, "minute": 60.0, "h": 3600.0, "hour": 3600.0}
"""Seconds of what a rate is per."""


@dataclasses.dataclass(frozen=True)
class Request:
    """All that a plan needs, and what was left out of it with the reason."""

    arguments: "PlanArguments"
    reading: Reading
    demand: Demand
    machines: tuple[Machine, ...]
    left_out: dict[str, str]

    @property
    def warnings(self) -> list[str]:
        """What a reader must know before believing the numbers."""
        demand, found = (
            self.demand,
            too_long(int(self.demand.prompt + self.demand.output), self.reading),
        )
        desktop = [
            one.name
            for one in self.machines
            if one.name not in on_sale() and one.hourly is None and one.price is None
        ]
        if desktop:
            found.append(
                f"{', '.join(desktop)}: charged a data-centre server, network and facility around"
                " the chip; --hourly or --price states what yours costs"
            )
        if demand.first_promise < math.inf or demand.rate is not None:
            found.append(
                "promises hold in the mean, waiting included: tails are longer (docs/planning.md)"
            )
        return found


def request(arguments: "PlanArguments") -> Request:
    """Look everything up.

    Raises:
        Refused, ValueError: an unknown name or an impossible combination, in one sentence.
    """
    read = reading(arguments.model)
    if arguments.expert_weight_bits is not None and not has_experts(read.model):
        raise Refused(f"--expert-weight-bits is given, but {read.model.name} has no experts")
    names = ("weight_bits", "expert_weight_bits", "kv_bits", "activation_bits")
    stated = (
        codesign.uniform(LIMIT_STUDY_BITS) if arguments.execution == "limit" else read.precision
    )
    precision = one_width(override(stated, **{name: getattr(arguments, name) for name in names}))
    read = dataclasses.replace(read, precision=precision)
    demand = stated_demand(arguments, read)
    machines, left_out = machines_of(arguments, read)
    if not machines:
        told = "; ".join(left_out.values())
        raise Refused(f"--devices {arguments.devices}: no device can be planned with: {told}")
    return Request(arguments, read, demand, tuple(machines), left_out)


def stated_demand(arguments: "PlanArguments", read: Reading) -> Demand:
    """The demand of the arguments.

    Raises:
        Refused: a rate or promise that cannot be read, options that contradict each other.
    """
    if arguments.rate is not None and arguments.users is not None:
        raise Refused("--rate and --users are both given; expected one of them")
    if arguments.rate is not None and arguments.by == "speed":
        raise Refused("--by speed is given with --rate; expected --users, or no --rate")
    return Demand(
        prompt=arguments.prompt,
        output=arguments.output,
        cached=arguments.cached,
        rate=None if arguments.rate is None else rate_of(arguments.rate),
        users=arguments.users,
        token_promise=seconds("promise", arguments.promise),
        first_promise=seconds("first-promise", arguments.first_promise),
        chunk=arguments.chunk,
        draft=_draft(arguments, read),
    )


def rate_of(text: str) -> float:
    """Requests per second of a text.

    >>> rate_of("200/min"), rate_of("3.5 / s")
    (3.3333333333333335, 3.5)
    """
    found = re.fullmatch(r"\s*([0-9.eE+-]+)\s*(?:/|per)\s*([a-z]+)\s*", text)
    try:
        value = float(found.group(1)) / PERIODS[found.group(2)] if found else math.nan
    except (ValueError, KeyError):
        value = math.nan
    if not 0 < value < math.inf:
        raise Refused(f'--rate is {text!r}; expected requests per s, min or h, such as "200/min"')
    return value


def seconds(option: str, text: str | None) -> float:
    """A promise in seconds; infinite where none is made."""
    if text is None:
        return math.inf
    try:
        value = parse(text, like="s")
    except ValueError as error:
        raise Refused(f"--{option} is {text!r}: {error}") from None
    if not 0 < value < math.inf:
        raise Refused(f"--{option} is {text!r}; expected a time above zero")
    return value


def _draft(arguments: "PlanArguments", read: Reading) -> codesign.Draft | None:
    if arguments.draft == 0:
        if (arguments.gain or "").startswith("draft="):
            return None
        given = [n for n in ("acceptance", "draft_cost") if getattr(arguments, n) is not None]
        if given:
            raise Refused(f"--{given[0].replace('_', '-')} is given without --draft; expected both")
        return None
    if arguments.acceptance is None:
        raise Refused(
            f"--draft is {arguments.draft} without --acceptance; expected the chance that a drafted"
            " token is accepted, such as 0.8"
        )
    cost = arguments.draft_cost
    cost = 1.0 / float(layer_count(read.model)) if cost is None else cost
    return codesign.Draft(length=arguments.draft, acceptance=arguments.acceptance, cost=cost)


def machines_of(arguments: "PlanArguments", read: Reading) -> tuple[list[Machine], dict[str, str]]:
    """Machines on offer, and devices that cannot be planned with, each with the reason.

    Raises:
        Refused: a device, a price, an engine or a profile that cannot be read.
    """
    named = arguments.devices != "all"
    words = [word.strip() for word in arguments.devices.split(",")] if named else on_sale()
    words = list(
        dict.fromkeys(word for text in words for word in ([text] if text != "all" else on_sale()))
    )
    if "" in words:
        raise Refused(
            f"--devices is {arguments.devices!r}; expected all, or names joined by commas"
        )
    devices = {word: hardware_priors.device(word) for word in words}
    hourly, price = (
        prices(option, getattr(arguments, option), [one.name for one in devices.values()])
        for option in ("hourly", "price")
    )
    calibrates = arguments.execution == "calibrated"
    for option in ("profile", "engine"):
        if getattr(arguments, option) is not None and not calibrates:
            raise Refused(
                f"--{option} is given with --execution {arguments.execution}; expected --execution"
                " calibrated"
            )
    profile = shipped_or_own(arguments.profile) if calibrates else None
    others = {"dataflow": codesign.Dataflow(), "limit": codesign.LimitStudy()}
    found, left_out = [], {}
    for word, device in devices.items():
        engine = served_by(arguments, device.name) if calibrates else ANY_ENGINE  # pyright: ignore[reportArgumentType]
        try:
            one = plannable(
                device,
                read.precision,
                profile=profile,
                engine=engine,
                model=read.model.name,
                execution=others.get(arguments.execution),
                hourly=hourly.get(device.name, hourly.get("")),
                price=price.get(device.name, price.get("")),
                price_basis=arguments.price_basis,
            )
        except ValueError as error:
            if named and word != "all" and len(devices) == 1:
                raise
            left_out[device.name] = str(error).removeprefix(f"{device.name}: ").split(";")[0]
            continue
        found.append(_what_if(one, arguments))
    return found, left_out


def _what_if(machine: Machine, arguments: "PlanArguments") -> Machine:
    stated: dict[str, float] = {}
    if arguments.link_bandwidth is not None:
        try:
            stated["link_bandwidth"] = parse(arguments.link_bandwidth, like="B/s")
            if not 1e3 <= stated["link_bandwidth"] <= 1e18:
                raise ValueError("expected from 1 kB/s to 1 EB/s")
        except ValueError as error:
            raise Refused(f"--link-bandwidth is {arguments.link_bandwidth!r}: {error}") from None
    if arguments.scale_up_domain is not None:
        stated["scale_up_domain"] = arguments.scale_up_domain
    if not stated:
        return machine
    changed = {name: real(value) for name, value in stated.items()}
    return dataclasses.replace(machine, design=dataclasses.replace(machine.design, **changed))


def prices(option: str, text: str | None, names: list[str]) -> dict[str, float]:
    """Own prices by device, under the empty name that of all others.

    >>> prices("hourly", "h100=2.2,rtx-4090=0.4", ["h100", "rtx-4090"])
    {'h100': 2.2, 'rtx-4090': 0.4}
    """
    found: dict[str, float] = {}
    for word in text.split(",") if text else ():
        name, _, value = word.strip().rpartition("=")
        name = name.strip().casefold()
        try:
            amount = float(value.strip().removeprefix("$"))
        except ValueError:
            amount = math.nan
        if not 0 < amount < math.inf:
            raise Refused(
                f'--{option} has {word.strip()!r}; expected a price above 0, or "DEVICE=PRICE"'
            )
        folded = {one.casefold(): one for one in names}
        if name and name not in folded:
            raise Refused(f"--{option} names {name!r}, which is not in --devices")
        found[folded.get(name, "")] = amount
    return found
