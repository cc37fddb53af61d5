"""What a user names, as inputs of the model: a row of a run, a scenario's best design, a device."""

import dataclasses
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, ParamSpec, TypeVar

import jax
import numpy as np

import codesign
import hardware_priors
from codesign.files import own_path
from codesign.numerics.fields import real
from codesign.search import CONTINUOUS, Infeasible
from codesign.search.statement.fleet import design_of
from codesign.search.statement.problem import layer_steps
from codesign.sensitivity.inputs import Inputs, inputs_of
from codesign.sensitivity.optimum import (
    Optimum,
    Statement,
    find_optimum,
    inputs_at,
    inputs_of_design,
    optimum_at,
)
from experiments.commands.show import run_folder_of
from experiments.rivals.points import device_points, leading
from experiments.runs.columns import machine_prefix, service_prefix
from experiments.runs.record import RunRecord, read_run
from experiments.scenarios.problem import Problem, layouts, problem
from experiments.scenarios.schema import Scenario
from experiments.scenarios.toml_text import scenario, scenario_names
from experiments.terminal.refusal import INFEASIBLE, Refused, nearest, sentence
from objectives import Objective, objective

if TYPE_CHECKING:
    from experiments.points.arguments import PointArguments

Tell = Callable[[str, int, int], None]


class Named(NamedTuple):
    """A point with what it is called; ``optimum`` where it belongs to a scenario, solved when asked
    for."""

    title: str
    inputs: Inputs
    stated: Scenario | None = None
    optimum: Callable[[], Optimum] | None = None


Given = ParamSpec("Given")
Result = TypeVar("Result")


def statement(stated: Scenario, posed: Problem, wanted: Objective) -> Statement:
    """A scenario's question for one objective alone."""
    return Statement(
        posed.spaces,
        posed.services,
        posed.choices,
        wanted,
        posed.bounds,
        posed.execution,
        posed.limits,
    )


def wanted_of(stated: Scenario | None, name: str | None) -> Objective:
    """The objective that was named, else the scenario's leading one, else tokens/s/$.

    Raises:
        ValueError: an unknown name, with the nearest.
    """
    if name is not None:
        return objective(name)
    return objective(leading(stated) if stated is not None else "tokens/s/$")


def is_scenario(what: str) -> bool:
    """Whether a text names a scenario: a built-in one, or a TOML file with a workload."""
    path = own_path(what)
    if what in scenario_names():
        return True
    if path.suffix != ".toml" or not path.is_file():
        return False
    return "[workload]" in path.read_text(encoding="utf-8", errors="replace")


def run_and_row(what: str) -> tuple[Path, str] | None:
    """The run folder and the row that ``RUN[:ROW]`` names; None where it names no folder."""
    folder, _, row = what.rpartition(":") if ":" in what else (what, "", "")
    found = run_folder_of(folder)
    return None if found is None else (found, row)


def of_run(folder: Path, row: str, name: str | None) -> Named:
    """A row of a run's front; the best for the objective where no row is given.

    Raises:
        Refused: a row that is not there, or a run of another version.
    """
    run = read_run(folder)
    stated = scenario(str(folder / "scenario.toml"))
    wanted = wanted_of(stated, name)
    if row and not (row.isdecimal() and int(row) < len(run)):
        raise Refused(f"{folder}:{row} is no row of the front; expected 0 to {len(run) - 1}")
    k = int(row) if row else _best(run, wanted)
    posed = problem(stated)
    names = [choice.name for choice in posed.choices]
    plan = str(run.column("plan").values[k])
    if plan not in names:
        raise Refused(f"{folder} has a plan {plan!r} that its scenario does not offer")
    choice = names.index(plan)
    batches = [
        float(run.column(f"{service_prefix(s, len(posed.services))}batch").values[k])
        for s in range(len(posed.services))
    ]
    designs = tuple(_design(run, posed, choice, p, k) for p in range(len(posed.spaces)))
    inputs = inputs_of_design(
        designs, posed.services, posed.choices[choice], batches, posed.execution
    )
    integers = [*_numbers(run, "chips", k), *batches]
    for what in ("stacks", "layers"):
        numbers = _numbers(run, what, k)
        if what == "layers":
            numbers = [number / _layer_step(posed, choice, p) for p, number in enumerate(numbers)]
        integers += [
            round(number) if space.buildable else 0
            for number, space in zip(numbers, posed.spaces, strict=True)
        ]

    def solve() -> Optimum:
        asked = statement(stated, posed, wanted)
        return refused(optimum_at, asked, choice, [round(x) for x in integers])

    return Named(f"{folder.name}:{k}", inputs, stated, solve)


def _layer_step(posed: Problem, choice: int, p: int) -> float:
    memory = jax.tree.map(np.asarray, posed.choices[choice].kinds[p].technology.memory)
    return float(layer_steps(posed.spaces[p], memory))


def _best(run: RunRecord, wanted: Objective) -> int:
    found = run.find(wanted.name)
    if found is None:
        return 0
    return int(np.argmax(wanted.sense * found.values))


def _numbers(run: RunRecord, name: str, k: int) -> list[float]:
    return [float(column.values[k]) for column in run.each_machine(name)]


def _design(run: RunRecord, posed: Problem, choice: int, p: int, k: int) -> codesign.Design:
    """A machine as ``front.csv`` has it, to nine digits."""
    prefix = machine_prefix(p, len(posed.spaces))
    values = np.array([float(run.column(prefix + name).values[k]) for name in CONTINUOUS])
    chips, white, cap = (
        float(run.column(prefix + name).values[k])
        for name in ("chips", "area_white", "package_power")
    )
    if run.find(prefix + "peak_power") is None:
        cap = 0.0  # an older run, whose package power is that of all parts at their peaks
    space, kind = posed.spaces[p], posed.choices[choice].kinds[p]
    return design_of(space, kind, real(values), real(chips), real(white), real(cap))


def of_scenario(what: str, name: str | None, tell: Tell) -> Named:
    """The best design of a scenario for an objective, over all its integers and choices.

    Raises:
        Refused: (exit code 3) no design meets the limits.
    """
    stated = scenario(what)
    posed = problem(stated)
    wanted = wanted_of(stated, name)
    found = refused(
        find_optimum,
        statement(stated, posed, wanted),
        seed=stated.search.seed,
        prove=stated.search.prove,
        progress=tell,
    )
    title = f"{stated.name}, best {wanted.name}"
    return Named(title, inputs_at(found), stated, lambda: found)


def refused(
    work: Callable[Given, Result], *arguments: Given.args, **options: Given.kwargs
) -> Result:
    try:
        return work(*arguments, **options)
    except Infeasible as error:
        raise Refused(sentence(error), INFEASIBLE) from None


def of_flags(arguments: "PointArguments") -> Named:
    """One machine running one workload, as ``codesign evaluate`` takes it.

    Raises:
        Refused: options that cannot be read or do not fit together, or (exit code 3) a machine that
            the model does not fit or that breaks its promise.
    """
    from codesign.validity import check
    from experiments.points.misfit import failure
    from experiments.points.operating_point import operating_point
    from experiments.points.operator_tables import outcome_of

    for option in ("model", "device"):
        if getattr(arguments, option) is None:
            raise Refused(
                f"--{option} is missing; expected it, or a run folder or a scenario instead"
            )
    point = operating_point(arguments, arguments.parallelism())
    check(point.design, point.workload, point.plan, point.technology)
    if (complaint := failure(point, outcome_of(point))) is not None:
        raise Refused(complaint, INFEASIBLE)
    inputs = inputs_of(
        point.design,
        point.workload,
        point.plan,
        technology=point.technology,
        execution=point.execution,
    )
    title = (
        f"{arguments.chips} × {point.device.name}, {point.workload.model.name}, {arguments.phase},"
        f" batch {arguments.batch:,}"
    )
    return Named(title, inputs)


def of_device(name: str, beside: Scenario) -> Named:
    """A device's best machine on a scenario, with the freedom that its designs have.

    Raises:
        Refused: (exit code 3) it cannot serve, with the reason.
    """
    from experiments.rivals.comparison import compared
    from experiments.rivals.points import (
        device_technology,
        one_chip,
        product_bits,
        sync_latencies,
    )

    stated = beside.model_copy(
        update={"compare": beside.compare.model_copy(update={"devices": (name,)})}
    )
    posed = problem(stated)
    (one,) = compared(stated)
    (point,) = device_points(stated, posed)
    if point.best is None:
        raise Refused(
            f"{point.name} cannot serve {stated.name}: {point.absent_because}", INFEASIBLE
        )
    best = point.best
    ways = layouts(stated, posed.services)
    words = [
        ", ".join([*way.words, *([] if way.bits is None else [f"{way.bits:g}-bit weights"])])
        for way in ways
    ]
    way = ways[words.index(best.plan)]
    base = one_chip(one, product_bits(posed, way), posed)
    latencies = sync_latencies(one, base, np.arange(max(best.chips) + 1))
    designs = tuple(
        dataclasses.replace(base, chips=float(chips), sync_latency=float(latencies[chips]))
        for chips in best.chips
    )
    kind = codesign.Kind(
        device_technology(one, stated), base.dies, base.sram_capacity, base.scale_up_domain
    )
    choice = codesign.Choice(one.name, way.plans, (kind,) * len(designs), way.precisions)
    inputs = inputs_of_design(designs, posed.services, choice, best.batch, posed.execution)
    return Named(f"{point.name} {point.size} on {stated.name}", inputs, stated)


def with_flags(words: list[str], common: "PointArguments") -> "PointArguments":
    """The options that hold for both sides of a comparison, with one side's own on top.

    Raises:
        Refused: an option that cannot be read.
    """
    import contextlib
    import io

    import tyro

    device, *own = words
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint), contextlib.redirect_stdout(complaint):
            return tyro.cli(
                type(common),
                args=own,
                default=dataclasses.replace(common, device=device),
                config=(tyro.conf.FlagCreatePairsOff,),
            )
    except SystemExit:
        raise Refused(
            f"{shlex.join(words)!r} cannot be read; expected a device and options of codesign"
            " evaluate, such as 'h100 --chips 8 --batch 64'"
        ) from None


def named(
    what: str,
    common: "PointArguments",
    name: str | None,
    tell: Tell,
    beside: Callable[[], Scenario | None] = lambda: None,
) -> Named:
    """Find what a text names: ``RUN[:ROW]``, a scenario, or a device with options of ``codesign
    evaluate`` after it.

    Args:
        what: the text.
        common: options given to the command itself.
        name: the objective, where one was named.
        tell: hears of progress.
        beside: the scenario that a device without a workload of its own runs.

    Raises:
        Refused: it names nothing.
    """
    if (run := run_and_row(what)) is not None:
        return of_run(*run, name)
    if is_scenario(what):
        return of_scenario(what, name, tell)
    words = shlex.split(what)
    if not words:
        raise Refused("a point without a name; expected a run, a scenario or a device")
    try:
        hardware_priors.device(words[0])
    except ValueError as error:
        if own_path(words[0]).is_file():
            raise
        offered = [*scenario_names(), *hardware_priors.device_names()]
        raise Refused(
            f"there is no run folder, scenario or device {words[0]!r}; {nearest(words[0], offered)}"
        ) from error
    stated = beside() if len(words) == 1 and common.model is None else None
    if stated is not None:
        return of_device(words[0], stated)
    return of_flags(with_flags(words, common))
