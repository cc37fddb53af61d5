"""Everything that is wrong with a scenario's file, told at once."""

import copy
import typing
from collections.abc import Callable, Sequence
from typing import TypeAlias

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from experiments.terminal.refusal import Refused, nearest, shortened

Content: TypeAlias = dict[str, object]

MOST_TOLD = 20
"""Faults of a file that are told one by one."""

ROUNDS = 8
"""How often what is wrong is mended to see what else is."""


def refusal(origin: str, faults: Sequence[str]) -> Refused:
    """Turn a file down for its faults: one in a sentence, several counted in the first and then a
    line each."""
    if len(faults) == 1:
        return Refused(f"{origin}: {faults[0]}")
    more = [f"{origin}: and {len(faults) - MOST_TOLD} more"] if len(faults) > MOST_TOLD else []
    return Refused(
        f"{origin}: {len(faults)} faults",
        faults=[*(f"{origin}: {fault}" for fault in faults[:MOST_TOLD]), *more],
    )


def faults(
    check: Callable[[Content], object], content: Content, model: type[BaseModel], sound: Content
) -> list[str]:
    """Find every fault of a file.

    Checks of several values at once wait until each of them can be read. So what is wrong is
    mended, from a sound file, and the whole is checked again.

    Args:
        check: validates; raises ``ValidationError``.
        content: of the file.
        model: what it is validated as.
        sound: a file without a fault.
    """
    found: list[str] = []
    content = copy.deepcopy(content)
    for _ in range(ROUNDS):
        try:
            check(content)
        except ValidationError as error:
            before = copy.deepcopy(content)
            told = sorted(
                error.errors(), key=lambda problem: problem["type"] != "extra_forbidden"
            )  # they explain missing ones
            found += [
                fault for problem in told if (fault := complaint(problem, model)) not in found
            ]
            for problem in error.errors():
                _mend(content, problem, sound)
            if content == before:
                break
        else:
            break
    return found


def complaint(problem: ErrorDetails, model: type[BaseModel]) -> str:
    """One of pydantic's complaints in one sentence."""
    where = ".".join(f"{part}" for part in problem["loc"]).replace("workload.0", "workload")
    if problem["type"] == "extra_forbidden":
        section = _section(problem["loc"][:-1], model)
        return (
            f"unknown key {where!r}; {nearest(str(problem['loc'][-1]), list(section.model_fields))}"
        )
    if problem["type"] == "missing":
        if isinstance(problem["loc"][-1], int):  # of a range
            return f"{where.rpartition('.')[0]} has one end; expected two, the lower first"
        return f"the key {where!r} is missing"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "tuple_type" or problem.get("ctx", {}).get("field_type") == "Tuple":
        message = "expected two ends, the lower first, such as [1, 8]"
    if not where or isinstance(problem["input"], dict | BaseModel):
        return f"{where}{': ' if where else ''}{message}"
    return f"{where} = {shortened(repr(problem['input']), 100)}: {message[0].lower()}{message[1:]}"


def _section(location: tuple[int | str, ...], model: type[BaseModel]) -> type[BaseModel]:
    for part in location:
        if not isinstance(part, int):
            annotation = model.model_fields[part].annotation
            model = next(
                (one for one in typing.get_args(annotation) if isinstance(one, type)), annotation
            )  # pyright: ignore[reportAssignmentType]
    return model


def _mend(content: Content, problem: ErrorDetails, sound: Content) -> None:
    """Put a sound value in the place of a faulty one; a key that is not known goes."""
    section, key, table = _place(content, problem["loc"])
    if key is None:
        return
    if problem["type"] == "extra_forbidden":
        table.pop(key, None)
        return
    if section and section not in sound:
        content.pop(section, None)  # a sound file does without
        return
    source = sound[section] if section else sound
    if isinstance(source, dict) and key in source:
        table[key] = copy.deepcopy(source[key])
    else:
        table.pop(key, None)


def _place(content: Content, location: tuple[int | str, ...]) -> tuple[str, str | None, Content]:
    """Where a complaint's value stands: the section's name, the key, and the table that holds
    it."""
    names = [part for part in location if not isinstance(part, int)]
    if not names:
        return "", None, content
    table = content.get(names[0])
    if len(names) == 1 or not isinstance(table, dict | list):
        return "", names[0], content
    if isinstance(table, list):
        number = next((part for part in location[1:2] if isinstance(part, int)), 0)
        table = table[number] if number < len(table) else None
    return (names[0], names[1], table) if isinstance(table, dict) else ("", names[0], content)
