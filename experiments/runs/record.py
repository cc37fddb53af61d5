"""A run as its folder tells it: all that is printed of a run is printed from this, whether it has
just ended or is shown again."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from experiments.runs.columns import Column, machine_prefix, read_csv, records, service_prefix
from experiments.runs.manifest import RUN, altered
from experiments.terminal.refusal import Refused
from experiments.terminal.screen import say

USED = (
    "title",
    "buildable",
    "promises",
    "devices",
    "advantage",
    "comparison",
    "proof",
    "warnings",
    "fleet",
)
"""What is printed of ``run.json``, beside objectives, machines and services."""


class ObjectiveRecord(TypedDict):
    """What was asked for."""

    name: str
    unit: str
    sense: int


class PromiseRecord(TypedDict):
    """What was promised, what was reached from the least to the most, and used over allowed of each
    design."""

    name: str
    unit: str
    least: float | None
    most: float | None
    reached: list[float]
    used: list[float]


@dataclass(frozen=True)
class RunRecord:
    """The columns of ``front.csv`` and the content of ``run.json``."""

    columns: tuple[Column, ...]
    details: dict[str, Any]

    def __len__(self) -> int:
        return len(self.columns[0].values)

    def find(self, name: str) -> Column | None:
        """The column of a name, if there is one."""
        return next((column for column in self.columns if column.name == name), None)

    def column(self, name: str) -> Column:
        """The column of a name.

        Raises:
            KeyError: there is none.
        """
        found = self.find(name)
        if found is None:
            raise KeyError(name)
        return found

    @property
    def objectives(self) -> list[ObjectiveRecord]:
        """What was asked for: name, unit and sense of each."""
        return self.details["objectives"]

    @property
    def machines(self) -> list[str]:
        """Names of the kinds of machine."""
        return self.details["machines"]

    @property
    def services(self) -> list[str]:
        """Names of the services."""
        return self.details["services"]

    def each_machine(self, name: str) -> list[Column]:
        """A quantity's columns, one a kind of machine."""
        prefixes = [machine_prefix(p, len(self.machines)) for p in range(len(self.machines))]
        return [column for prefix in prefixes if (column := self.find(prefix + name))]

    def each_service(self, name: str) -> list[Column]:
        """A quantity's columns, one a service that has it."""
        prefixes = [service_prefix(s, len(self.services)) for s in range(len(self.services))]
        return [column for prefix in prefixes if (column := self.find(prefix + name))]

    def best(self, objective: ObjectiveRecord) -> int:
        """Which design is the best for one objective alone."""
        return int(np.argmax(objective["sense"] * self.column(objective["name"]).values))

    def as_json(self) -> dict[str, object]:
        """What ``--json`` prints: everything, ``designs`` with every column of ``front.csv`` under
        the same name."""
        units = {column.name: column.unit for column in self.columns if column.unit}
        return {**self.details, "units": units, "designs": records(self.columns)}


def read_run(folder: Path) -> RunRecord:
    """Read a run folder, and say so where it is not as the run wrote it.

    Raises:
        Refused: it is none, or what it holds cannot be read.
    """
    try:
        details = json.loads((folder / RUN).read_text(encoding="utf-8"))
        columns = tuple(read_csv((folder / "front.csv").read_text(encoding="utf-8")))
        run = RunRecord(columns, details)
        for objective in run.objectives:
            run.column(objective["name"])
        _ = run.machines, run.services, details["promises"], *(details[name] for name in USED)
    except OSError as error:
        raise Refused(f"{folder} is not a run folder: {error.filename}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Refused(
            f"{folder} holds no whole run of this version: {type(error).__name__}: {error}"
        ) from None
    if changed := altered(folder):
        say(f"warning: {folder} is not as the run wrote it ({', '.join(changed)})")
    return run
