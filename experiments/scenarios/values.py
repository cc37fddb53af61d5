"""What the values of a scenario may be: quantities with units, names, counts, alternatives."""

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from experiments.scenarios.sizes import FEWEST_BITS, MOST_CHIPS, MOST_POSITIONS, MOST_SEQUENCES
from experiments.terminal.refusal import nearest, shortened
from hardware_priors.quantities import parse, require_physical
from objectives import OBJECTIVES


def _plain(value: object) -> object:
    """A number as TOML has it: neither ``true`` nor a text, which would be read as 1 or as what it
    spells."""
    if isinstance(value, bool | str):
        raise ValueError("expected a number, without quotes")
    return value


def quantity(unit: str) -> Any:
    """A text such as "20 ms" that converts to a unit; kept as written, so that a scenario survives
    being written."""

    def has_unit(value: object) -> object:
        if not isinstance(value, str):
            raise ValueError(f"expected a text with a unit, such as '20 {unit}'")
        return value

    def check(text: str) -> str:
        value = parse(text, like=unit)
        if not value > 0:
            raise ValueError(f"{text!r} is not above zero")
        require_physical(value, unit)
        return text

    return Annotated[str, BeforeValidator(has_unit), AfterValidator(check)]


def quantity_range(unit: str) -> Any:
    """Two such texts, the lower end first."""
    end = quantity(unit)

    def check(ends: tuple[str, str]) -> tuple[str, str]:
        low, high = (parse(text, like=unit) for text in ends)
        if low > high:
            raise ValueError(
                f"the range {ends[0]!r} to {ends[1]!r} is reversed; expected the lower end first"
            )
        return ends

    return Annotated[tuple[end, end], AfterValidator(check)]


def in_order(ends: tuple[int, int]) -> tuple[int, int]:
    """Two whole numbers, refused where the first is larger."""
    if ends[0] > ends[1]:
        raise ValueError(
            f"the range {ends[0]} to {ends[1]} is reversed; expected the lower end first"
        )
    return ends


def several(value: object) -> object:
    """One alternative may be written without brackets."""
    return value if isinstance(value, list | tuple) else [value]


def _name(name: str) -> str:
    """A name is a name: it becomes part of a folder's, and never leads elsewhere."""
    wrong = re.search(r"[/\\]|^\.|\.\.|^\s|\s$", name) or not name.isprintable()
    if wrong or not 0 < len(name.encode("utf-8", "replace")) <= LONGEST_NAME:
        raise ValueError(
            f"expected a name of 1 to {LONGEST_NAME} bytes, such as 'chat-2027': no path, no dot in"
            " front, no control characters"
        )
    return name


LONGEST_NAME = 100
LONGEST_TEXT = 1000


def once(values: Sequence[object]) -> object:
    """Alternatives, refused where one is given twice: it would only cost time."""
    for place, value in enumerate(values):
        if value in values[:place]:
            raise ValueError(f"{value!r} is given twice; expected each once")
    return values


def one_on_offer(part: str) -> Any:
    """One name of a technology's part, as it is spelled on offer."""

    def check(name: str) -> str:
        from hardware_priors.choices import choice  # needs JAX: only when a scenario is read

        return choice(part, name)

    return Annotated[str, AfterValidator(check)]


def on_offer(part: str) -> Any:
    """Names of a technology's part that compete in one run, as they are spelled on offer."""
    return Annotated[
        tuple[one_on_offer(part), ...],  # pyright: ignore[reportInvalidTypeForm]
        BeforeValidator(several),
        AfterValidator(once),
        Field(min_length=1),
    ]


def _known(kind: str, name: str, known: Iterable[str]) -> str:
    if name not in known:
        raise ValueError(
            f"unknown {kind} {shortened(repr(name), 100)}; {nearest(name, list(known))}"
        )
    return name


def known_objective(name: str) -> str:
    """A name of ``objectives.OBJECTIVES``."""
    return _known("objective", name, OBJECTIVES)


def known_outcome(name: str) -> str:
    """An outcome that can be bounded."""
    from codesign.search.program.objectives import (
        MEANINGS,
    )  # needs JAX: only when a scenario is read

    return _known("outcome", name, MEANINGS)


def catalogue_model(name: str) -> str:
    """A shipped model, or a config.json that can be read."""
    from codesign.workload.catalogue import model

    model(name)
    return name


def catalogue_device(name: str) -> str:
    """A device of the catalogue, or a device file that can be read."""
    from hardware_priors.devices import device

    found = device(name)
    return name if name.endswith(".toml") else found.name


def named_apart(devices: tuple[str, ...]) -> tuple[str, ...]:
    """Devices, refused where two go by one name: nobody could tell them apart in an answer."""
    from hardware_priors.devices import device

    names: dict[str, str] = {}
    for one in devices:
        other = names.setdefault(device(one).name, one)
        if other != one:
            raise ValueError(
                f"{other!r} and {one!r} are both named {device(one).name!r}; expected a name of"
                " its own in each device file"
            )
    return devices


Integer = Annotated[int, BeforeValidator(_plain)]
Number = Annotated[float, BeforeValidator(_plain)]
Count = Annotated[Integer, Field(ge=1, le=10_000)]
Chips = Annotated[Integer, Field(ge=1, le=MOST_CHIPS)]
Positions = Annotated[Integer, Field(ge=1, le=MOST_POSITIONS)]
Sequences = Annotated[Integer, Field(ge=1, le=MOST_SEQUENCES)]
Name = Annotated[str, AfterValidator(_name)]
Text = Annotated[str, Field(max_length=LONGEST_TEXT)]
Bits = Annotated[Number, Field(ge=FEWEST_BITS, le=32)]
Share = Annotated[Number, Field(ge=0, lt=1)]
AnyOf = Annotated[
    tuple[Chips, ...], BeforeValidator(several), AfterValidator(once), Field(min_length=1)
]
Bound = Annotated[Number, Field(ge=1e-30, le=1e30)]
