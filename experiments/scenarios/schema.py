"""Scenarios: what to design for, under which technology, in which box; in TOML, every quantity with
its unit."""

import math
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    model_validator,
)

from experiments.scenarios.own_numbers import UTILISATION, Overrides, OwnLimits, leaves_of
from experiments.scenarios.values import (
    AnyOf,
    Bits,
    Bound,
    Chips,
    Count,
    Integer,
    Name,
    Number,
    Sequences,
    Text,
    catalogue_device,
    in_order,
    known_objective,
    known_outcome,
    named_apart,
    on_offer,
    once,
    one_on_offer,
    quantity,
    quantity_range,
    several,
)
from experiments.scenarios.work import SHARES, Section, Work

MOST_CHOICES = 4096
"""Combinations of alternatives that one run tries; each is compiled arrays of its own."""


PARTS = ("node", "memory", "link", "cooling", "packaging", "machine_class")
"""Parts of a technology of which several may compete."""


class Technologies(Section):
    """Names of ``hardware_priors.technology``; several of one kind compete."""

    node: on_offer("node")  # pyright: ignore[reportInvalidTypeForm]
    memory: on_offer("memory")  # pyright: ignore[reportInvalidTypeForm]
    link: on_offer("link")  # pyright: ignore[reportInvalidTypeForm]
    cooling: on_offer("cooling") = ("cold-plate",)  # pyright: ignore[reportInvalidTypeForm]
    packaging: on_offer("packaging") = ("CoWoS-L",)  # pyright: ignore[reportInvalidTypeForm]
    machine_class: on_offer("machine_class") = ("scale-up rack",)  # pyright: ignore[reportInvalidTypeForm]
    """what stands around the chips and is bought with them"""
    price_basis: Literal["builder", "buyer"] = "builder"
    region: one_on_offer("region") = "US"  # pyright: ignore[reportInvalidTypeForm]
    """whose electricity is paid"""
    utilisation: Annotated[Number, Field(gt=0, le=1)] | None = None
    """share of the time in which the machine earns; the prior's nominal where left out"""


class Machine(Section):
    """One kind of machine, where it is made with something else than the others."""

    name: Name | Literal[""] = ""
    node: on_offer("node") | None = None  # pyright: ignore[reportInvalidTypeForm]
    memory: on_offer("memory") | None = None  # pyright: ignore[reportInvalidTypeForm]
    link: on_offer("link") | None = None  # pyright: ignore[reportInvalidTypeForm]
    cooling: on_offer("cooling") | None = None  # pyright: ignore[reportInvalidTypeForm]
    packaging: on_offer("packaging") | None = None  # pyright: ignore[reportInvalidTypeForm]
    machine_class: on_offer("machine_class") | None = None  # pyright: ignore[reportInvalidTypeForm]


SYNC_RANGE = ("0.1 us", "100 us")


class Box(Section):
    """Ranges in which designs are sought, and whether they must be buildable."""

    mode: Literal["build", "limit"] = "build"
    memory_bandwidth: quantity_range("B/s")  # pyright: ignore[reportInvalidTypeForm]
    memory_capacity: quantity_range("B")  # pyright: ignore[reportInvalidTypeForm]
    peak_flops: quantity_range("FLOP/s")  # pyright: ignore[reportInvalidTypeForm]
    sync_latency: quantity_range("s") = SYNC_RANGE  # pyright: ignore[reportInvalidTypeForm]
    """free in limit mode; what network and software give in build mode"""
    link_bandwidth: quantity_range("B/s")  # pyright: ignore[reportInvalidTypeForm]
    chips: Annotated[tuple[Chips, Chips], AfterValidator(in_order)]
    batch: Annotated[tuple[Sequences, Sequences], AfterValidator(in_order)]


class Fixed(Section):
    """Quantities of a design that are not searched."""

    scale_out_bandwidth: quantity("B/s") = "50 GB/s"  # pyright: ignore[reportInvalidTypeForm]
    scale_out_latency: quantity("s") = "20 us"  # pyright: ignore[reportInvalidTypeForm]


class Alternatives(Section):
    """Discrete choices; every combination is tried."""

    collectives: Annotated[
        list[Literal["one-shot", "two-shot", "ring", "tree", "in-network"]],
        AfterValidator(once),
        Field(min_length=1),
    ]
    """of decode; prefill, whose messages are long, takes two-shot"""
    dies: AnyOf
    pipeline: AnyOf = (1,)
    sram: Annotated[tuple[quantity("B"), ...], BeforeValidator(several)] = ("60 MB",)  # pyright: ignore[reportInvalidTypeForm]
    domain: AnyOf = (72,)
    """chips joined by the scale-up network"""
    experts: Annotated[tuple[Literal["sliced", "whole"], ...], BeforeValidator(several)] = (
        "sliced",
    )
    """of models that have them: cut over all chips, or dealt whole to as many groups as there are
    chips"""
    attention_data: AnyOf = (1,)
    """groups of chips that attend to sequences of their own"""
    context_parallel: AnyOf = (1,)
    weight_bits: Annotated[tuple[Bits, ...], BeforeValidator(several)] = ()
    """of all services, instead of their own; what quality few bits cost is not modelled"""

    def combinations(self) -> int:
        """How many there are for one machine of one technology."""
        return math.prod(max(len(getattr(self, name)), 1) for name in type(self).model_fields)


class Limit(Section):
    """A bound on an outcome, in SI: ``codesign list objectives`` names them."""

    outcome: Annotated[str, AfterValidator(known_outcome)]
    least: Bound | None = None
    most: Bound | None = None

    @model_validator(mode="after")
    def _bounds(self) -> "Limit":
        if self.least is None and self.most is None:
            raise ValueError("neither 'least' nor 'most' is given; expected one of them, or both")
        if self.least is not None and self.most is not None and self.least > self.most:
            raise ValueError(f"least = {self.least:g} is more than most = {self.most:g}")
        return self


class FleetSize(Section):
    """How large a fleet is: so many provisioned watts bear what its chips cost to develop."""

    power: quantity("W") | None = None  # pyright: ignore[reportInvalidTypeForm]


class Compare(Section):
    """Which devices stand beside the designs."""

    devices: Annotated[
        tuple[Annotated[str, AfterValidator(catalogue_device)], ...],
        BeforeValidator(several),
        AfterValidator(once),
        AfterValidator(named_apart),
    ] = ()
    """names of the catalogue or device files; none: all that datacentres run"""


class Search(Section):
    """How to search, and for what."""

    execution: Literal["operatorwise", "dataflow", "limit", "calibrated"] = "operatorwise"
    """calibrated: floors, losses and host time as fitted to measurements (codesign.calibration), at
    their central values"""
    profile: str | None = None
    """calibration profile (execution calibrated): a shipped name or a path; the newest shipped one
    where left out"""
    engine: str | None = None
    """serving software (execution calibrated)"""
    like: Annotated[str, AfterValidator(catalogue_device)] | None = None
    """device whose kernels the designs inherit (execution calibrated); the generic level of all
    vendors where left out"""
    objectives: Annotated[
        list[Annotated[str, AfterValidator(known_objective)]],
        AfterValidator(once),
        Field(min_length=1, max_length=4),
    ]
    weights: Count = 48
    seed: Annotated[Integer, Field(ge=0, lt=2**63)] = 0
    prove: Annotated[bool, Field(strict=True)] = True
    """bound chips, batch, memory and choices too, by branch and bound"""

    @model_validator(mode="after")
    def _calibrated(self) -> "Search":
        for name in ("profile", "engine", "like"):
            if getattr(self, name) is not None and self.execution != "calibrated":
                raise ValueError(
                    f'{name} has no effect with execution = "{self.execution}"; expected execution'
                    ' = "calibrated"'
                )
        return self


class Scenario(Section):
    """A whole scenario; ``name`` is its file's unless told."""

    name: Name
    description: Text = ""
    workload: Annotated[tuple[Work, ...], BeforeValidator(several), Field(min_length=1)]
    technology: Technologies
    machines: Annotated[tuple[Machine, ...], BeforeValidator(several), Field(min_length=1)] = (
        Machine(),
    )
    space: Box
    fixed: Fixed = Fixed()
    choices: Alternatives
    overrides: Overrides = Field(default_factory=dict)
    limits: OwnLimits = Field(default_factory=dict)
    bounds: Annotated[tuple[Limit, ...], BeforeValidator(several)] = ()
    fleet: FleetSize = FleetSize()
    compare: Compare = Compare()
    search: Search

    @model_validator(mode="after")
    def _every_key_matters(self) -> "Scenario":
        if len(self.workload) == 1 and self.main.share != 1.0:
            raise ValueError(
                f"share = {self.main.share:g} has no effect with one [[workload]]; expected 1, or"
                " several that share a fleet"
            )
        for name in ("weight_bits", "expert_weight_bits") if self.choices.weight_bits else ():
            if own := [work.model for work in self.workload if getattr(work, name) is not None]:
                raise ValueError(
                    f"{name} of {own[0]} has no effect beside choices.weight_bits; expected one of"
                    " them"
                )
        if all(work.phase == "prefill" for work in self.workload):
            if set(self.choices.collectives) != {"two-shot"}:
                raise ValueError(
                    f"choices.collectives = {self.choices.collectives} has no effect on prefill,"
                    ' whose long messages take two-shot; expected ["two-shot"]'
                )
        if self.space.mode == "build" and "sync_latency" in self.space.model_fields_set:
            raise ValueError(
                'space.sync_latency has no effect in mode = "build", where network and software set'
                ' it; expected mode = "limit"'
            )
        return self

    @model_validator(mode="after")
    def _numbers_are_stated_once(self) -> "Scenario":
        if UTILISATION in self.overrides and self.technology.utilisation is not None:
            raise ValueError(
                f"technology.utilisation and overrides.{UTILISATION} are one number; expected one"
                " of them"
            )
        twice = set(self.overrides) & set(leaves_of({}, self.limits))
        if twice:
            raise ValueError(
                f"overrides.{min(twice)} is also set by [limits]; expected one of them"
            )
        develops = [leaf for leaf in self.overrides if leaf.startswith("development.")]
        if develops and (self.fleet.power is None or self.technology.price_basis != "builder"):
            raise ValueError(
                f"overrides.{develops[0]} has no effect without [fleet] power and price_basis ="
                ' "builder": nothing bears the development'
            )
        return self

    @model_validator(mode="after")
    def _machines_exist(self) -> "Scenario":
        for work in self.workload:
            for name in ("decode_machine", "prefill_machine"):
                if getattr(work, name) >= len(self.machines):
                    raise ValueError(
                        f"{work.model} has {name} = {getattr(work, name)}; expected 0 to"
                        f" {len(self.machines) - 1}, the number of [[machines]] less one"
                    )
        return self

    @model_validator(mode="after")
    def _machines_work(self) -> "Scenario":
        used = {number for work in self.workload for number in work.machines}
        for number in range(len(self.machines)):
            if number not in used:
                raise ValueError(
                    f"no service uses machine {number}; expected it as a decode_machine or"
                    " prefill_machine, or left out"
                )
        return self

    @model_validator(mode="after")
    def _choices_can_be_counted(self) -> "Scenario":
        count = self.choices.combinations()
        for machine in self.machines:
            count *= math.prod(
                len(getattr(machine, part) or getattr(self.technology, part)) for part in PARTS
            )
        if count > MOST_CHOICES:
            raise ValueError(
                f"choices, technology and machines offer {count} combinations; expected at most"
                f" {MOST_CHOICES} in one run"
            )
        return self

    @model_validator(mode="after")
    def _layouts_have_chips(self) -> "Scenario":
        degrees = (
            self.choices.pipeline,
            self.choices.attention_data,
            self.choices.context_parallel,
        )
        fewest = math.prod(map(min, degrees))
        if fewest > self.space.chips[1]:
            raise ValueError(
                "every layout of choices (pipeline, attention_data, context_parallel) takes at"
                f" least {fewest} chips, more than space.chips = {list(self.space.chips)} has"
            )
        return self

    @model_validator(mode="after")
    def _shares_are_shares(self) -> "Scenario":
        total = sum(work.share for work in self.workload)
        if abs(total - 1.0) > SHARES:
            raise ValueError(f"the shares of the services sum to {total:g}; expected 1")
        return self

    @property
    def title(self) -> str:
        """What a reader is told first, on one line."""
        return " ".join(self.description.split()) or self.name

    @property
    def main(self) -> Work:
        """The first service."""
        return self.workload[0]
