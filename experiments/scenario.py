"""Scenarios: what to design for, under which technology, in which box; in TOML, every quantity with its unit."""

import tomllib
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

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


Count = Annotated[int, Field(ge=1)]
Counts = Annotated[tuple[Count, Count], AfterValidator(_in_order)]
Bits = Annotated[float, Field(gt=0, le=32)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Work(_Section):
    """The workload: model, phase, precision, promise."""

    model: str
    phase: Literal["decode", "prefill"] = "decode"
    context: Count
    weight_bits: Bits = 8
    kv_bits: Bits = 8
    activation_bits: Bits = 8
    message_bits: Bits = 16
    promise: _quantity("s")  # pyright: ignore[reportInvalidTypeForm]


class Technologies(_Section):
    """Names of ``hardware_priors.technology``."""

    node: str
    memory: str
    link: str
    cooling: str = "cold-plate"
    price_basis: str = "builder"
    packaging: str = "CoWoS-L"


class Box(_Section):
    """Ranges in which designs are sought."""

    memory_bandwidth: _range("B/s")  # pyright: ignore[reportInvalidTypeForm]
    memory_capacity: _range("B")  # pyright: ignore[reportInvalidTypeForm]
    peak_flops: _range("FLOP/s")  # pyright: ignore[reportInvalidTypeForm]
    sync_latency: _range("s")  # pyright: ignore[reportInvalidTypeForm]
    link_bandwidth: _range("B/s")  # pyright: ignore[reportInvalidTypeForm]
    chips: Counts
    batch: Counts


class Fixed(_Section):
    """Quantities of a design that are not searched."""

    sram_capacity: _quantity("B") = "60 MB"  # pyright: ignore[reportInvalidTypeForm]
    scale_up_domain: Count = 72
    scale_out_bandwidth: _quantity("B/s") = "50 GB/s"  # pyright: ignore[reportInvalidTypeForm]
    scale_out_latency: _quantity("s") = "20 us"  # pyright: ignore[reportInvalidTypeForm]


class Alternatives(_Section):
    """Discrete choices; every combination is tried."""

    collectives: Annotated[list[Literal["one-shot", "two-shot", "ring", "tree", "in-network"]], Field(min_length=1)]
    dies: Annotated[list[Count], Field(min_length=1)]
    pipeline: Annotated[list[Count], Field(min_length=1)]


class Search(_Section):
    """How to search, and for what."""

    execution: Literal["operatorwise", "dataflow", "limit"] = "operatorwise"
    objectives: Annotated[list[str], Field(min_length=1)]
    weights: Count = 48
    seed: Annotated[int, Field(ge=0)] = 0


class Scenario(_Section):
    """A whole scenario; ``name`` is its file's."""

    name: str
    description: str = ""
    workload: Work
    technology: Technologies
    space: Box
    fixed: Fixed = Fixed()
    choices: Alternatives
    search: Search


@cache
def _built_in() -> dict[str, Any]:
    folder = resources.files("experiments") / "scenarios"
    return {file.name.removesuffix(".toml"): file for file in folder.iterdir() if file.name.endswith(".toml")}


def scenario_names() -> list[str]:
    """Names of the built-in scenarios.

    >>> scenario_names()
    ['llama-405b']
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
    if problem["type"] == "extra_forbidden":
        section = _section(problem["loc"][:-1])
        return f"unknown key {where!r}; {nearest(str(problem['loc'][-1]), list(section.model_fields))}"
    if problem["type"] == "missing":
        return f"the key {where!r} is missing"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{where} = {problem['input']!r}: {message[0].lower()}{message[1:]}"


def _section(location: tuple[int | str, ...]) -> type[BaseModel]:
    section: type[BaseModel] = Scenario
    for part in location:
        section = section.model_fields[str(part)].annotation  # pyright: ignore[reportAssignmentType]
    return section


def written(resolved: Scenario) -> str:
    """A scenario as TOML, every default filled in; ``read`` gives the same scenario back."""
    content = resolved.model_dump()
    lines = [f"{key} = {_toml(value)}" for key, value in content.items() if not isinstance(value, dict)]
    for section, entries in content.items():
        if isinstance(entries, dict):
            lines += ["", f"[{section}]", *(f"{key} = {_toml(value)}" for key, value in entries.items())]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(entry) for entry in value)}]"
    return repr(value)
