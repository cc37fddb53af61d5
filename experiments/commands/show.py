"""``codesign show``: a run again, one of its designs as a sheet, or a scenario's annotated file."""

import dataclasses
import json as json_format
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from experiments.terminal.arguments import whole
from experiments.terminal.refusal import Refused, nearest

if TYPE_CHECKING:
    from experiments.runs.record import RunRecord


@dataclasses.dataclass(frozen=True)
class Show:
    """Print a run again, one of its designs as a sheet, or a scenario's file with its comments."""

    what: tyro.conf.Positional[str]
    """run folder (or its name under runs/), built-in scenario, or path of a TOML file"""
    all: bool = False
    """every design of a run, not only those that represent the front"""
    design: Annotated[int, whole("design", least=0)] | None = None
    """one design of a run as a sheet, by its number"""
    json: bool = False
    """only JSON on standard output"""

    def run(self) -> int:
        """Print; 0."""
        folder = run_folder_of(self.what)
        if folder is None:
            return self._scenario()
        from experiments.commands.optimize import show_run

        if self.design is None:
            show_run(folder, json=self.json, everything=self.all)
        else:
            self._sheet(folder, self.design)
        return 0

    def _sheet(self, folder: Path, k: int) -> None:
        from experiments.runs.columns import records
        from experiments.runs.record import read_run
        from experiments.runs.sheet import print_sheet
        from experiments.terminal.screen import plain, results

        run: RunRecord = read_run(folder)
        if k >= len(run):
            raise Refused(f"--design is {k}; {folder} has designs 0 to {len(run) - 1}")
        if self.json:
            print(json_format.dumps(records(run.columns)[k], indent=1, allow_nan=False))
        else:
            print(plain(print_sheet(run, k, results().width)))

    def _scenario(self) -> int:
        from experiments.scenarios.toml_text import scenario, scenario_names, scenario_text
        from experiments.terminal.screen import plain

        for option, given in (("--all", self.all), ("--design", self.design is not None)):
            if given:
                raise Refused(f"{option} is given, but {self.what!r} is no run folder")
        if self.what not in scenario_names() and not Path(self.what).expanduser().is_file():
            offered = [*scenario_names(), *(place.name for place in _runs())]
            raise Refused(
                f"there is no run folder and no scenario {self.what!r};"
                f" {nearest(self.what, offered)}"
            )
        if self.json:
            print(json_format.dumps(scenario(self.what).model_dump(), indent=1, allow_nan=False))
        else:
            print(plain(scenario_text(self.what).rstrip("\n").expandtabs(4)))
        return 0


def run_folder_of(what: str) -> Path | None:
    """The run folder of a path or of a name under ``runs/``; None where there is none."""
    places = (Path(what).expanduser(), Path("runs") / what)
    return next((place for place in places if place.is_dir()), None)


def _runs() -> list[Path]:
    return (
        sorted(place for place in Path("runs").glob("*") if place.is_dir())
        if Path("runs").is_dir()
        else []
    )
