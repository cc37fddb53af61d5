"""``codesign optimize``: the main job, from a scenario to a Pareto front in a run folder."""

import contextlib
import dataclasses
import functools
import json as json_format
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from experiments.terminal.arguments import one_of, whole
from experiments.terminal.refusal import INFEASIBLE, Refused
from experiments.terminal.refusal import sentence as on_one_line

if TYPE_CHECKING:
    from codesign.search import Front
    from experiments.rivals.points import DevicePoint
    from experiments.runs.ledger import Ledger
    from experiments.scenarios.schema import Scenario

Tell = Callable[[str, int, int], None]

EXECUTIONS = ("operatorwise", "dataflow", "limit", "calibrated")
OF_CALIBRATED = ("like", "engine", "profile")
"""Options that mean something with ``--execution calibrated`` only."""


@dataclasses.dataclass(frozen=True)
class Optimize:
    """Design hardware: the Pareto front of a scenario, as a table and a run folder."""

    scenario: tyro.conf.Positional[str] = "llama-405b"
    """built-in name (codesign list scenarios), or path of a TOML file"""
    output: str | None = None
    """run folder to write; runs/<scenario>-<hash> unless told"""
    weights: Annotated[int, whole("weights")] | None = None
    """number of weightings of the objectives, instead of the scenario's"""
    seed: Annotated[int, whole("seed", least=0)] | None = None
    """seed of weightings and starts, instead of the scenario's"""
    prove: bool = False
    """bound chips, batch, memory and choices too, by branch and bound, though the scenario says not
    to"""
    no_prove: bool = False
    """search only: faster for fleets of several kinds of machine, and no design is called GLOBAL"""
    execution: Annotated[str, one_of("execution", EXECUTIONS)] | None = None
    """how operators share time, instead of the scenario's; calibrated: as machines were measured"""
    like: str | None = None
    """device whose kernels the designs inherit (with --execution calibrated)"""
    engine: str | None = None
    """serving software (with --execution calibrated)"""
    profile: str | None = None
    """calibration profile, a shipped name or a path (with --execution calibrated)"""
    fleet_power: str | None = None
    """size of the fleet that bears the chip's development, such as "200 MW"; the scenario's unless
    told"""
    resume: bool = False
    """show a finished run of the same scenario and versions instead of repeating it; an unfinished
    one goes on by itself"""
    write_template: str | None = None
    """write the scenario's annotated file here, to be edited, and search nothing"""
    json: bool = False
    """only JSON on standard output"""

    def run(self) -> int:
        """Search, write the run folder, print it.

        Raises:
            Refused: bad input, or (exit code 3) no design meets the limits; nothing is written
                then.
        """
        clock = time.perf_counter()
        from experiments.runs.folder import check_writable, damage, default_folder, unfinished
        from experiments.terminal.screen import say

        if self.write_template is not None:
            return write_template(self.scenario, Path(self.write_template))
        stated = self.stated()
        folder = default_folder(stated) if self.output is None else Path(self.output)
        check_writable(folder, stated)
        if self.resume and (changed := damage(folder, stated)) is not None:
            if not changed:
                say(f"{folder} is finished: nothing is repeated")
                return self._show(folder)
            say(f"{folder} is not as the run wrote it ({', '.join(changed)}): the run is repeated")
        with unfinished(folder, stated) as ledger, progress() as tell:
            front, devices, timings = search(stated, tell, ledger)
            tell("writing the run folder", 0, 1)
            write(folder, stated, front, devices, {**timings, "start": clock}, ledger.resumed)
            tell("writing the run folder", 1, 1)
        return self._show(folder)

    def stated(self) -> "Scenario":
        """The scenario, with what the options say instead."""
        from pydantic import ValidationError

        from experiments.scenarios.toml_text import scenario

        if self.prove and self.no_prove:
            raise Refused("--prove and --no-prove are both given; expected one of them")
        stated = scenario(self.scenario)
        options = ("weights", "seed", "execution", *OF_CALIBRATED)
        overrides: dict[str, object] = {
            name: getattr(self, name) for name in options if getattr(self, name) is not None
        }
        if self.prove or self.no_prove:
            overrides["prove"] = self.prove
        kept = stated.search.model_dump()
        if overrides.get("execution", "calibrated") != "calibrated":
            kept |= dict.fromkeys(
                OF_CALIBRATED
            )  # the scenario's, which another execution has no use for
        try:
            search = type(stated.search).model_validate({**kept, **overrides})
        except ValidationError as error:
            told = error.errors()[0]
            where = f"--{told['loc'][-1]}: " if told["loc"] else ""
            raise Refused(f"{where}{told['msg'].removeprefix('Value error, ')}") from None
        stated = stated.model_copy(update={"search": search})
        return stated if self.fleet_power is None else with_fleet(stated, self.fleet_power)

    def _show(self, folder: Path) -> int:
        show_run(folder, json=self.json)
        return 0


def with_fleet(stated: "Scenario", power: str) -> "Scenario":
    """The scenario with a fleet of another size.

    Raises:
        Refused: a power that cannot be read.
    """
    from pydantic import ValidationError

    from experiments.scenarios.schema import FleetSize

    try:
        fleet = FleetSize.model_validate({"power": power})
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise Refused(f"--fleet-power: {message}") from None
    return stated.model_copy(update={"fleet": fleet})


def write_template(name_or_path: str, path: Path) -> int:
    """Write a scenario's annotated file where there is none yet.

    Raises:
        Refused: there is something at the path.
    """
    from experiments.scenarios.toml_text import scenario_text

    text = scenario_text(name_or_path)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise Refused(
            f"--write-template is {str(path)!r}, which is there already; expected the name of a new"
            " file"
        ) from None
    print(f"Written: {path}; edit it, then: codesign optimize {path}")
    return 0


def show_run(folder: Path, *, json: bool = False, everything: bool = False) -> None:
    """Print a run from its folder: the same whether it has just ended or is shown again."""
    from experiments.runs.answer import folder_line
    from experiments.runs.front_table import print_run
    from experiments.runs.record import read_run
    from experiments.terminal.screen import plain, results, say

    run = read_run(folder)
    for warning in run.details["warnings"]:
        say(f"warning: {warning}")
    if json:
        print(
            json_format.dumps(
                {**run.as_json(), "run_folder": str(folder)}, indent=1, allow_nan=False
            )
        )
        return
    print(
        plain(print_run(run, results().width, everything=everything, last=folder_line(run, folder)))
    )


def search(
    stated: "Scenario", tell: Tell, memory: "Ledger | None" = None
) -> tuple["Front", list["DevicePoint"], dict[str, float]]:
    """The front of a scenario and the devices to compare it with; seconds by stage.

    Raises:
        Refused: exit code 3, no design meets the limits.
    """
    from codesign.search import Infeasible, optimize
    from experiments.rivals.points import device_points
    from experiments.scenarios.problem import problem

    posed = problem(stated)
    settings = stated.search
    with ThreadPoolExecutor(1) as beside:  # the devices are compared while the search goes on
        waiting: list[Future[list[DevicePoint]]] = []

        def told(stage: str, done: int, total: int) -> None:
            tell(stage, done, total)
            if stage == "integers" and not waiting:
                waiting.append(beside.submit(device_points, stated, posed))

        try:
            front = optimize(
                posed.spaces,
                posed.services,
                posed.choices,
                posed.objectives,
                bounds=posed.bounds,
                limits=posed.limits,
                execution=posed.execution,
                weights=settings.weights,
                seed=settings.seed,
                prove=settings.prove,
                memory=memory,
                progress=told,
            )
        except Infeasible as error:
            raise Refused(on_one_line(error), INFEASIBLE) from None
        tell("real devices", 0, 1)
        clock = time.perf_counter()
        devices = waiting[0].result()
        tell("real devices", 1, 1)
    return front, devices, {**front.timings, "real devices": time.perf_counter() - clock}


def write(
    folder: Path,
    stated: "Scenario",
    front: "Front",
    devices: list["DevicePoint"],
    timings: dict[str, float],
    resumed: int = 0,
) -> None:
    """Write the run folder."""
    from experiments.rivals.device_rows import devices_csv
    from experiments.runs.columns import csv_text
    from experiments.runs.details import run_record
    from experiments.runs.device_files import device_files
    from experiments.runs.folder import write_run
    from experiments.runs.page import write_report
    from experiments.runs.picture import draw_front
    from experiments.scenarios.toml_text import written

    run = run_record(front, stated, devices)

    def finish() -> dict[str, object]:
        seconds = {**timings, "total": time.perf_counter() - timings.pop("start")}
        took = {name: round(value, 3) for name, value in seconds.items() if name != "start"}
        return {**run.details, "resumed_entries": resumed, "timings_s": took}

    write_run(
        folder,
        {
            "scenario.toml": lambda path: _text(path, written(stated)),
            "front.csv": lambda path: _text(path, csv_text(run.columns)),
            "devices.csv": lambda path: _text(path, devices_csv(devices, stated)),
            "front.png": lambda path: draw_front(path, front, devices, stated),
            "report.html": lambda path: write_report(path, run, devices, stated),
            **{
                f"designs/{name}": functools.partial(_text, text=text)
                for name, text in device_files(front, stated).items()
            },
        },
        finish,
    )


def _text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def progress() -> Iterator[Tell]:
    """A function to call with (stage, done, total): bars on a terminal, a line a stage elsewhere;
    on standard error."""
    from experiments.terminal.screen import messages

    console = messages()
    if not console.is_terminal:
        started: set[str] = set()

        def line(stage: str, done: int, total: int) -> None:
            if stage not in started:
                started.add(stage)
                console.print(f"{stage} …")

        yield line
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TaskID,
        TextColumn,
        TimeElapsedColumn,
    )

    look = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*look, console=console, transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def bar(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield bar
