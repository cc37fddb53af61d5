"""Scenarios: what to design for, under which technology, in which box; in TOML, every quantity with its unit."""

import tomllib
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from experiments.refusal import Refused, nearest
from experiments.scenario_faults import faults, refusal
from hardware_priors.quantities import parse
from objectives import OBJECTIVES


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


def _on_offer(part: str) -> Any:
    """Check the name of a technology's part; as it is spelled on offer."""

    def check(name: str) -> str:
        from hardware_priors.technologies import choice  # needs JAX: only when a scenario is read

        return choice(part, name)

    return Annotated[tuple[Annotated[str, AfterValidator(check)], ...], BeforeValidator(_several), Field(min_length=1)]


def _objective(name: str) -> str:
    if name not in OBJECTIVES:
        raise ValueError(f"unknown objective {name!r}; {nearest(name, list(OBJECTIVES))}")
    return name


def _outcome(name: str) -> str:
    from codesign.search.goals import MEANINGS

    if name not in MEANINGS:
        raise ValueError(f"unknown outcome {name!r}; {nearest(name, list(MEANINGS))}")
    return name


def _model(name: str) -> str:
    from codesign.workload.catalogue import model

    model(name)
    return name


Count = Annotated[int, Field(ge=1)]
Counts = Annotated[tuple[Count, Count], AfterValidator(_in_order)]
Bits = Annotated[float, Field(gt=0, le=32)]
Share = Annotated[float, Field(ge=0, lt=1)]
AnyOf = Annotated[tuple[Count, ...], BeforeValidator(_several), Field(min_length=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Work(_Section):
    """One service: model, phase, precision, promises."""

    model: Annotated[str, AfterValidator(_model)]
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
    weight_bits: Bits = 8.0
    kv_bits: Bits = 8.0
    activation_bits: Bits = 8.0
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

    node: _on_offer("node")  # pyright: ignore[reportInvalidTypeForm]
    memory: _on_offer("memory")  # pyright: ignore[reportInvalidTypeForm]
    link: _on_offer("link")  # pyright: ignore[reportInvalidTypeForm]
    cooling: _on_offer("cooling") = ("cold-plate",)  # pyright: ignore[reportInvalidTypeForm]
    packaging: _on_offer("packaging") = ("CoWoS-L",)  # pyright: ignore[reportInvalidTypeForm]
    price_basis: Literal["builder", "buyer"] = "builder"
    utilisation: Annotated[float, Field(gt=0, le=1)] | None = None
    """share of the time in which the machine earns; the prior's nominal where left out"""


class Machine(_Section):
    """One kind of machine, where it is made with something else than the others."""

    name: str = ""
    node: _on_offer("node") | None = None  # pyright: ignore[reportInvalidTypeForm]
    memory: _on_offer("memory") | None = None  # pyright: ignore[reportInvalidTypeForm]
    link: _on_offer("link") | None = None  # pyright: ignore[reportInvalidTypeForm]
    cooling: _on_offer("cooling") | None = None  # pyright: ignore[reportInvalidTypeForm]
    packaging: _on_offer("packaging") | None = None  # pyright: ignore[reportInvalidTypeForm]


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

    outcome: Annotated[str, AfterValidator(_outcome)]
    least: Annotated[float, Field(gt=0)] | None = None
    most: Annotated[float, Field(gt=0)] | None = None


class FleetSize(_Section):
    """How large a fleet the report speaks of."""

    power: _quantity("W") | None = None  # pyright: ignore[reportInvalidTypeForm]


class Search(_Section):
    """How to search, and for what."""

    execution: Literal["operatorwise", "dataflow", "limit"] = "operatorwise"
    objectives: Annotated[list[Annotated[str, AfterValidator(_objective)]], Field(min_length=1, max_length=4)]
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
    text = scenario_text(name_or_path)
    if name_or_path in _built_in():
        return read(text, name_or_path, name_or_path)
    path = Path(name_or_path).expanduser()
    return read(text, path.stem, str(path))


def scenario_text(name_or_path: str) -> str:
    """The text of a scenario's file as it is, comments and all.

    Raises:
        Refused: unknown name.
    """
    built_in = _built_in()
    if name_or_path in built_in:
        return built_in[name_or_path].read_text(encoding="utf-8")
    path = Path(name_or_path).expanduser()
    if not path.is_file():
        offered = nearest(name_or_path, list(built_in))
        raise Refused(f"there is no scenario {name_or_path!r}, neither built in nor as a TOML file; {offered}")
    return path.read_text(encoding="utf-8")


def read(text: str, name: str, origin: str) -> Scenario:
    """A scenario from the text of a TOML file; ``origin`` is named in complaints."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Refused(f"{origin}: not a TOML file: {error}") from None
    try:
        return _validated({"name": name, **content})
    except ValidationError:
        sound = tomllib.loads(_built_in()["llama-405b"].read_text(encoding="utf-8"))
        raise refusal(origin, faults(_validated, {"name": name, **content}, Scenario, {"name": "sound", **sound})) from None


def _validated(content: dict[str, Any]) -> Scenario:
    return Scenario.model_validate(content)


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
