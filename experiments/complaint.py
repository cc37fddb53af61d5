"""What pydantic says of a file that people write, in one sentence."""

import typing
from typing import Any

from pydantic import BaseModel, ValidationError

from experiments.refusal import nearest, shortened

MOST_TOLD = 5
"""Faults of a file that one sentence tells."""


def complaint(error: ValidationError, root: type[BaseModel]) -> str:
    """All that pydantic complains of, in one sentence; unknown keys first, for they explain the missing ones."""
    problems = sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    told = list(dict.fromkeys(_problem(problem, root) for problem in problems))
    return "; ".join(told[:MOST_TOLD]) + (f"; and {len(told) - MOST_TOLD} more" if len(told) > MOST_TOLD else "")


def _problem(problem: Any, root: type[BaseModel]) -> str:
    where = ".".join(f"{part}" for part in problem["loc"])
    where = where.replace("workload.0", "workload")
    if problem["type"] == "extra_forbidden":
        section = _section(problem["loc"][:-1], root)
        return f"unknown key {where!r}; {nearest(str(problem['loc'][-1]), list(section.model_fields))}"
    if problem["type"] == "missing":
        return f"the key {where!r} is missing"
    message = problem["msg"].removeprefix("Value error, ")
    if not where or isinstance(problem["input"], dict | BaseModel):
        return f"{where}{': ' if where else ''}{message}"
    shown = shortened(repr(problem["input"]), 100)
    return f"{where} = {shown}: {message[0].lower()}{message[1:]}"


def _section(location: tuple[int | str, ...], root: type[BaseModel]) -> type[BaseModel]:
    """The part of a file that a location is in."""
    section: type[BaseModel] = root
    for part in location:
        if not isinstance(part, int):
            annotation = section.model_fields[part].annotation
            section = next((one for one in typing.get_args(annotation) if isinstance(one, type)), annotation)  # pyright: ignore[reportAssignmentType]
    return section
