"""Scenarios: what to design for, under which technology, in which box; in TOML, every quantity with its unit."""

import tomllib
import typing
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from experiments.refusal import Refused, nearest
from hardware_priors.quantities import parse


def _quantity(unit: str) -> Any:
    """A text such as "20 ms" that converts to a unit; kept as written, so that a scenario survives being written."""

    def check(text: str) -> str:
        value = parse(text, like=unit)
        if not 0 < value < float("inf"):
            raise ValueError(f"{text!r} is not above zero")
        return text

    return Annotated[str, AfterValidator(check)]


def _range(unit: str) -> Any:
    quantity = _quantity(unit)

    def check(ends: tuple[str, str]) -> tuple[str, str]:
        low, high = (parse(end, like=unit) for end in ends)
        if low > high:
            raise ValueError(f"the range {ends[0]!r} to {ends[1]!r} is reversed; expected the lower end first")
        return ends

    return Annotated[tuple[quantity, quantity], AfterValidator(check)]


def _in_order(ends: tuple[int, int]) -> tuple[int, int]:
    if ends[0] > ends[1]:
        raise ValueError(f"the range {ends[0]} to {ends[1]} is reversed; expected the lower end first")
    return ends


def _several(value: Any) -> Any:
    """One alternative may be written without brackets."""
    return value if isinstance(value, list | tuple) else [value]


Count = Annotated[int, Field(ge=1)]
Counts = Annotated[tuple[Count, Count], AfterValidator(_in_order)]
Bits = Annotated[float, Field(gt=0, le=32)]
Share = Annotated[float, Field(ge=0, lt=1)]
Names = Annotated[tuple[str, ...], BeforeValidator(_several), Field(min_length=1)]
"""Alternatives that compete in one run."""
AnyOf = Annotated[tuple[Count, ...], BeforeValidator(_several), Field(min_length=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Work(_Section):
    """One service: model, phase, precision, promises."""

    model: str
    phase: Literal["decode", "prefill", "serving"] = "decode"
    context: Count | None = None
    """cached positions per sequence (decode)"""
    prompt: Count | None = None
    """positions of a prompt (prefill, serving)"""
    output: Count | None = None
    """tokens of an output (serving)"""
    cached: Share = 0.0
    """share of the prompt already in a cache"""
    load: Share = 0.7
    """offered load over capacity: how long prompts wait (serving)"""
    draft_length: Annotated[int, Field(ge=0)] = 0
    draft_acceptance: Share = 0.0
    draft_cost: Annotated[float, Field(ge=0)] = 0.0
    """draft model over target model"""
    weight_bits: Bits | None = None
    """of all weights; as the model's file says where left out, like the widths that follow"""
    expert_weight_bits: Bits | None = None
    kv_bits: Bits | None = None
    activation_bits: Bits | None = None
    message_bits: Bits = 16.0
    promise: _quantity("s")  # pyright: ignore[reportInvalidTypeForm]
    first_promise: _quantity("s") | None = None  # pyright: ignore[reportInvalidTypeForm]
    """longest mean time to the first token (serving)"""
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """of the fleet's output tokens"""
    decode_machine: Annotated[int, Field(ge=0)] = 0
    prefill_machine: Annotated[int, Field(ge=0)] = 0
    """which of the machines decodes and which prefills; the same one interleaves both"""

    @model_validator(mode="after")
    def _whole(self) -> "Work":
        needed = {"decode": ("context",), "prefill": ("prompt",), "serving": ("prompt", "output")}[self.phase]
        for name in needed:
            if getattr(self, name) is None:
                raise ValueError(f"the phase {self.phase!r} needs {name!r}, which is missing")
        return self


class Technologies(_Section):
    """Names of ``hardware_priors.technology``; several of one kind compete."""

    node: Names
    memory: Names
    link: Names
    cooling: Names = ("cold-plate",)
    packaging: Names = ("CoWoS-L",)
    price_basis: Literal["builder", "buyer"] = "builder"
    utilisation: Annotated[float, Field(gt=0, le=1)] | None = None
    """share of the time in which the machine earns; the prior's nominal where left out"""


class Machine(_Section):
    """One kind of machine, where it is made with something else than the others."""

    name: str = ""
    node: Names | None = None
    memory: Names | None = None
    link: Names | None = None
    cooling: Names | None = None
    packaging: Names | None = None


class Box(_Section):
    """Ranges in which designs are sought, and whether they must be buildable."""

    mode: Literal["build", "limit"] = "build"
    memory_bandwidth: _range("B/s")  # pyright: ignore[reportInvalidTypeForm]
    memory_capacity: _range("B")  # pyright: ignore[reportInvalidTypeForm]
    peak_flops: _range("FLOP/s")  # pyright: ignore[reportInvalidTypeForm]
    sync_latency: _range("s") = ("0.1 us", "100 us")  # pyright: ignore[reportInvalidTypeForm]
    """free in limit mode; what network and software give in build mode"""
    link_bandwidth: _range("B/s")  # pyright: ignore[reportInvalidTypeForm]
    chips: Counts
    batch: Counts


class Fixed(_Section):
    """Quantities of a design that are not searched."""

    scale_out_bandwidth: _quantity("B/s") = "50 GB/s"  # pyright: ignore[reportInvalidTypeForm]
    scale_out_latency: _quantity("s") = "20 us"  # pyright: ignore[reportInvalidTypeForm]


class Alternatives(_Section):
    """Discrete choices; every combination is tried."""

    collectives: Annotated[list[Literal["one-shot", "two-shot", "ring", "tree", "in-network"]], Field(min_length=1)]
    """of decode; prefill, whose messages are long, takes two-shot"""
    dies: AnyOf
    pipeline: AnyOf = (1,)
    sram: Annotated[tuple[_quantity("B"), ...], BeforeValidator(_several)] = ("60 MB",)  # pyright: ignore[reportInvalidTypeForm]
    domain: AnyOf = (72,)
    """chips joined by the scale-up network"""
    experts: Annotated[tuple[Literal["sliced", "whole"], ...], BeforeValidator(_several)] = ("sliced",)
    """of models that have them: cut over all chips, or dealt whole to as many groups as there are chips"""
    attention_data: AnyOf = (1,)
    """groups of chips that attend to sequences of their own"""
    context_parallel: AnyOf = (1,)
    weight_bits: Annotated[tuple[Bits, ...], BeforeValidator(_several)] = ()
    """of all services, instead of their own; what quality few bits cost is not modelled"""


class Limit(_Section):
    """A bound on an outcome, in SI: ``codesign list objectives`` names them."""

    outcome: str
    least: Annotated[float, Field(gt=0)] | None = None
    most: Annotated[float, Field(gt=0)] | None = None


class FleetSize(_Section):
    """How large a fleet the report speaks of."""

    power: _quantity("W") | None = None  # pyright: ignore[reportInvalidTypeForm]


class Search(_Section):
    """How to search, and for what."""

    execution: Literal["operatorwise", "dataflow", "limit"] = "operatorwise"
    objectives: Annotated[list[str], Field(min_length=1, max_length=4)]
    weights: Count = 48
    seed: Annotated[int, Field(ge=0)] = 0
    prove: bool = False
    """bound chips, batch, memory and choices too, by branch and bound"""


class Scenario(_Section):
    """A whole scenario; ``name`` is its file's."""

    name: str
    description: str = ""
    workload: Annotated[tuple[Work, ...], BeforeValidator(_several), Field(min_length=1)]
    technology: Technologies
    machines: Annotated[tuple[Machine, ...], BeforeValidator(_several), Field(min_length=1)] = (Machine(),)
    space: Box
    fixed: Fixed = Fixed()
    choices: Alternatives
    bounds: Annotated[tuple[Limit, ...], BeforeValidator(_several)] = ()
    fleet: FleetSize = FleetSize()
    search: Search

    @model_validator(mode="after")
    def _machines_exist(self) -> "Scenario":
        for work in self.workload:
            for name in ("decode_machine", "prefill_machine"):
                if getattr(work, name) >= len(self.machines):
                    raise ValueError(
                        f"{work.model} has {name} = {getattr(work, name)}; expected 0 to {len(self.machines) - 1}, "
                        "the number of [[machines]] less one"
                    )
        return self

    @property
    def main(self) -> Work:
        """The first service."""
        return self.workload[0]


@cache
def _built_in() -> dict[str, Any]:
    folder = resources.files("experiments") / "scenarios"
    return {file.name.removesuffix(".toml"): file for file in folder.iterdir() if file.name.endswith(".toml")}


def scenario_names() -> list[str]:
    """Names of the built-in scenarios.

    >>> "chat" in scenario_names()
    True
    """
    return sorted(_built_in())


def scenario(name_or_path: str) -> Scenario:
    """A built-in scenario by name, or one of your own by its TOML file.

    Raises:
        Refused: unknown name, unreadable file, unknown key (with the nearest), wrong unit, reversed range.
    """
    built_in = _built_in()
    if name_or_path in built_in:
        return read(built_in[name_or_path].read_text(encoding="utf-8"), name_or_path, name_or_path)
    path = Path(name_or_path).expanduser()
    if not path.is_file():
        offered = nearest(name_or_path, list(built_in))
        raise Refused(f"there is no scenario {name_or_path!r}, neither built in nor as a TOML file; {offered}")
    return read(path.read_text(encoding="utf-8"), path.stem, str(path))


def read(text: str, name: str, origin: str) -> Scenario:
    """A scenario from the text of a TOML file; ``origin`` is named in complaints."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Refused(f"{origin}: not a TOML file: {error}") from None
    try:
        return Scenario.model_validate({"name": name, **content})
    except ValidationError as error:
        raise Refused(f"{origin}: {_complaint(error)}") from None


def _complaint(error: ValidationError) -> str:
    """pydantic's first complaint in one sentence; unknown keys first, for they explain the missing ones."""
    problems = sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    problem = problems[0]
    where = ".".join(f"{part}" for part in problem["loc"])
    where = where.replace("workload.0", "workload")
    if problem["type"] == "extra_forbidden":
        section = _section(problem["loc"][:-1])
        return f"unknown key {where!r}; {nearest(str(problem['loc'][-1]), list(section.model_fields))}"
    if problem["type"] == "missing":
        return f"the key {where!r} is missing"
    message = problem["msg"].removeprefix("Value error, ")
    if not where or isinstance(problem["input"], dict | BaseModel):
        return f"{where}{': ' if where else ''}{message}"
    return f"{where} = {problem['input']!r}: {message[0].lower()}{message[1:]}"


def _section(location: tuple[int | str, ...]) -> type[BaseModel]:
    section: type[BaseModel] = Scenario
    for part in location:
        if not isinstance(part, int):
            annotation = section.model_fields[part].annotation
            section = next((one for one in typing.get_args(annotation) if isinstance(one, type)), annotation)  # pyright: ignore[reportAssignmentType]
    return section


def written(resolved: Scenario) -> str:
    """A scenario as TOML, every default filled in; ``read`` gives the same scenario back."""
    content = resolved.model_dump(exclude_none=True)
    lines = [f"{key} = {_toml(value)}" for key, value in content.items() if isinstance(value, str)]
    for section, entries in content.items():
        if isinstance(entries, str):
            continue
        several = not isinstance(entries, dict)
        for table in entries if several else [entries]:
            header = f"[[{section}]]" if several else f"[{section}]"
            lines += ["", header, *(f"{key} = {_toml(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(entry) for entry in value)}]"
    return repr(value)
