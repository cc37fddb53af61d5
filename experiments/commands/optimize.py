"""``codesign optimize``: the main job, from a scenario to a Pareto front in a run folder."""

import contextlib
import dataclasses
import functools
import json as json_format
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from experiments.arguments import whole
from experiments.refusal import INFEASIBLE, Refused
from experiments.refusal import sentence as on_one_line

if TYPE_CHECKING:
    from codesign.search import Front
    from experiments.device_points import DevicePoint
    from experiments.ledger import Ledger
    from experiments.scenario import Scenario

Tell = Callable[[str, int, int], None]


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
    """bound chips, batch, memory and choices too, by branch and bound: how far the whole front is from the best"""
    resume: bool = False
    """show a finished run of the same scenario and versions instead of repeating it; an unfinished one goes on by itself"""
    json: bool = False
    """only JSON on standard output"""

    def run(self) -> int:
        """Search, print, write the run folder.

        Raises:
            Refused: bad input, or (exit code 3) no design meets the limits; nothing is written then.
        """
        clock = time.perf_counter()
        from experiments.run_folder import check_writable, damage, default_folder, unfinished
        from experiments.scenario import scenario
        from experiments.screen import say

        stated = scenario(self.scenario)
        overrides = {name: getattr(self, name) for name in ("weights", "seed") if getattr(self, name) is not None}
        overrides |= {"prove": True} if self.prove else {}
        stated = stated.model_copy(update={"search": stated.search.model_copy(update=overrides)})
        folder = default_folder(stated) if self.output is None else Path(self.output)
        check_writable(folder, stated)
        if self.resume and (changed := damage(folder, stated)) is not None:
            if not changed:
                return self._show_again(folder)
            say(f"{folder} is not as the run wrote it ({', '.join(changed)}): the run is repeated")
        with unfinished(folder, stated) as ledger, progress() as tell:
            front, devices, timings = search(stated, tell, ledger)
            tell("writing the run folder", 0, 1)
            details = write(folder, stated, front, devices, {**timings, "start": clock}, ledger.resumed)
            tell("writing the run folder", 1, 1)
        self._show(stated, front, folder, details)
        for warning in details["warnings"]:
            say(f"warning: {warning}")
        return 0

    def _show(self, stated: "Scenario", front: "Front", folder: Path, details: dict[str, Any]) -> None:
        from experiments.front_table import columns, records, rich_table

        if self.json:
            answer = {**details, "front": records(columns(front)), "run_folder": str(folder)}
            print(json_format.dumps(answer, indent=1, allow_nan=False))
            return
        from experiments.screen import results

        console = results()
        console.print(rich_table(front, stated.title))
        for line in [*details["summary"], f"Run folder: {folder} (front.csv, devices.csv, front.png, report.html, run.json)."]:
            console.print(line, soft_wrap=True)

    def _show_again(self, folder: Path) -> int:
        from experiments.manifest import recorded
        from experiments.screen import results

        run = recorded(folder) or {}
        if self.json:
            print(json_format.dumps({**run, "run_folder": str(folder)}, indent=1, allow_nan=False))
        else:
            for line in (f"Finished before, nothing repeated: {folder}.", *run["summary"]):
                results().print(line, soft_wrap=True)
        return 0


def search(stated: "Scenario", tell: Tell, memory: "Ledger | None" = None) -> tuple["Front", list["DevicePoint"], dict[str, float]]:
    """The front of a scenario and the devices to compare it with; seconds by stage.

    Raises:
        Refused: exit code 3, no design meets the limits.
    """
    from codesign.search import Infeasible, optimize
    from experiments.device_points import device_points
    from experiments.problem import problem

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
                posed.spaces, posed.services, posed.choices, posed.objectives, bounds=posed.bounds, execution=posed.execution,
                weights=settings.weights, seed=settings.seed, prove=settings.prove, memory=memory, progress=told,
            )  # fmt: skip
        except Infeasible as error:
            raise Refused(on_one_line(error), INFEASIBLE) from None
        tell("real devices", 0, 1)
        clock = time.perf_counter()
        devices = waiting[0].result()
        tell("real devices", 1, 1)
    return front, devices, {**front.timings, "real devices": time.perf_counter() - clock}


def write(
    folder: Path, stated: "Scenario", front: "Front", devices: list["DevicePoint"], timings: dict[str, float], resumed: int = 0
) -> dict[str, Any]:
    """Write the run folder; what ``run.json`` says of the run."""
    from experiments.advantage import advantage, as_record, sentence
    from experiments.device_points import devices_csv, record
    from experiments.figures import draw_front
    from experiments.front_table import columns, csv_text, fleet_lines, order, scope, summary
    from experiments.problem import warnings
    from experiments.report import write_report
    from experiments.run_folder import fingerprint, versions, write_run
    from experiments.scenario import written

    rows, found = order(front), advantage(front, devices, stated)
    details: dict[str, Any] = {
        "scenario": stated.name,
        "fingerprint": fingerprint(stated),
        "versions": versions(),
        "seed": stated.search.seed,
        "weights": stated.search.weights,
        "objectives": [{"name": o.name, "unit": o.unit, "sense": o.sense} for o in front.objectives],
        "scope": scope(front),
        "statuses": [front.status[k] for k in rows],
        "resumed_entries": resumed,
        "warnings": warnings(stated),
        "front_gaps_log": [_number(float(front.front_gap[k])) for k in rows],
        "certified_gaps_log": [float(front.certified_gap[k]) for k in rows],
        "weightings": [list(map(float, front.weights[k])) for k in rows],
        "times_per_token_asked_s": [_number(float(front.time_asked[k])) for k in rows],
        "multipliers": {name: [float(values[k]) for k in rows] for name, values in front.multipliers.items()},
        "devices": [record(point) for point in devices],
        "advantage": as_record(found),
        "summary": [*summary(front), sentence(found, stated), *fleet_lines(front, stated)],
    }

    from experiments.device_files import device_files

    def finish() -> dict[str, Any]:
        start = timings.pop("start")
        details["timings_s"] = {
            **{k: round(v, 3) for k, v in timings.items()},
            "total": round(time.perf_counter() - start, 3),
        }
        return details

    write_run(
        folder,
        {
            "scenario.toml": lambda path: _text(path, written(stated)),
            "front.csv": lambda path: _text(path, csv_text(columns(front))),
            "devices.csv": lambda path: _text(path, devices_csv(devices, stated)),
            "front.png": lambda path: draw_front(path, front, devices, stated),
            "report.html": lambda path: write_report(path, front, devices, stated),
            **{f"designs/{name}": functools.partial(_text, text=text) for name, text in device_files(front, stated).items()},
        },
        finish,
    )
    return details


def _number(value: float) -> float | None:
    """A number that JSON can hold."""
    return value if math.isfinite(value) else None


def _text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def progress() -> Iterator[Tell]:
    """A function to call with (stage, done, total): bars on a terminal, a line a stage elsewhere; on standard error."""
    from experiments.screen import messages

    console = messages()
    if not console.is_terminal:
        started: set[str] = set()

        def line(stage: str, done: int, total: int) -> None:
            if stage not in started:
                started.add(stage)
                console.print(f"{stage} …")

        yield line
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    look = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*look, console=console, transient=True) as bars:
        tasks: dict[str, Any] = {}

        def bar(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield bar
