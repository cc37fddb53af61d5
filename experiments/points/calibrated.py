"""The calibrated execution of one operating point: its coefficients, its intervals, and how well it
knows machine, model and engine."""

import dataclasses
import math
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import jax.numpy as jnp
from jax import Array

import codesign
from codesign.calibration.execution import ANY_ENGINE, calibrated, interval
from codesign.calibration.machine import Machine
from codesign.calibration.names import ENGINES, Engine, architecture_name
from codesign.calibration.names import engine as engine_named
from codesign.calibration.profile import Profile
from codesign.calibration.structures import formats_of
from codesign.numerics.fields import Real
from codesign.performance.step import Step
from codesign.search.statement.services import Service
from codesign.workload.reading import Reading
from experiments.points.breakdown import parts
from experiments.points.operator_tables import outcome_of, table_of, without_model
from experiments.points.records import (
    Breakdown,
    Interval,
    Knowledge,
    Parts,
    PartsOfExecution,
    Resource,
)
from experiments.terminal.refusal import Refused, expected
from hardware_priors.devices import Device, device
from hardware_priors.families import family
from hardware_priors.machines import machine_of
from hardware_priors.own_device import OwnDevice
from hardware_priors.profiles import profile

if TYPE_CHECKING:
    from experiments.points.arguments import PointArguments
    from experiments.points.operating_point import OperatingPoint


MEASURED_ENGINE = {"nvidia": "vllm", "amd": "vllm"}
"""By vendor, the open engine with most rows in the shipped profile: 1,623 and 790."""


def named_engine(name: str | None, device: str) -> Engine:
    """The serving software that was named, on a device; any where none was.

    Raises:
        Refused: an engine that no profile knows.
    """
    found = ANY_ENGINE if name is None else engine_named(name, hardware=device.upper())
    if found.family == "other":
        raise Refused(f"--engine is {name!r}; {expected(str(name), ENGINES)}")
    return found


def served_by(arguments: "PointArguments", device: str) -> Engine:
    """The serving software that was named, else the one with most measurements on the vendor's
    machines; any on machines that it was not measured on."""
    if arguments.engine is None and family(device)[0] in MEASURED_ENGINE:
        return named_engine(MEASURED_ENGINE[family(device)[0]], device)
    return named_engine(arguments.engine, device)


def shipped_or_own(name: str | None) -> Profile:
    """The profile that was named, the newest shipped one where none was.

    Raises:
        Refused: in one sentence.
    """
    try:
        return profile(name)
    except ValueError as error:
        raise Refused(f"--profile: {error}") from None


def calibrated_execution(
    arguments: "PointArguments",
    device: Device | OwnDevice,
    read: Reading,
    precision: codesign.Precision,
) -> codesign.Calibrated:
    """The calibrated execution of the device, engine and model, by the profile that was named.

    Raises:
        Refused: an engine or a profile that is not known, or a device without the rates that are
            needed.
    """
    try:
        machine = machine_of(device, arguments.chips)
    except ValueError as error:
        raise Refused(f"--execution calibrated: {error}") from None
    engine = served_by(arguments, device.name)
    return calibrated(
        shipped_or_own(arguments.profile), machine, formats_of(precision), engine, read.model.name
    )


NOBODY = Machine(
    name="",
    vendor="",
    architecture="",
    memory_bandwidth=math.nan,
    memory_capacity=math.nan,
    peaks=(math.nan, math.nan, math.nan),
    link_bandwidth=math.nan,
    scale_up_domain=math.nan,
    scale_out_bandwidth=math.nan,
    scale_out_latency=math.nan,
    sync_latency=math.nan,
    rated_power=math.nan,
)
"""A machine without relatives: the generic level of every coefficient."""


def design_execution(
    like: str | None, engine: str | None, name: str | None, services: Sequence[Service]
) -> codesign.Calibrated:
    """The calibrated execution of machines that are yet to be designed.

    Args:
        like: catalogue name of a device whose kernels they inherit; the generic level where none is
            named.
        engine: serving software.
        name: of the profile.
        services: what they serve (``codesign.search.Service``); the formats are the first one's,
            the model too if it is alone.

    Raises:
        Refused: a name that is not known.
    """
    machine = NOBODY if like is None else machine_of(device(like))
    model = services[0].model.name if len(services) == 1 else ""
    found = calibrated(
        shipped_or_own(name),
        machine,
        formats_of(services[0].precision),
        named_engine(engine, like or ""),
        model,
    )
    return dataclasses.replace(
        found, rated_power=None
    )  # energy is the technology's: a rating is what the search chooses


FIGURES = {
    "step_time_s": "step_time",
    "time_per_token_s": "time_per_token",
    "user_tokens_per_second": "user_tokens_per_second",
    "system_tokens_per_second": "system_tokens_per_second",
    "energy_per_token_j": "energy_per_token",
    "cost_per_million_tokens_usd": "cost_per_token",
    "tokens_per_second_per_dollar": "tokens_per_second_per_dollar",
    "tokens_per_second_per_watt": "tokens_per_second_per_watt",
}
"""Outcomes that depend on what was calibrated, by their names in the report."""

PARTS: tuple[Resource, ...] = ("memory", "compute", "sync", "transfer", "floor", "host")


def intervals(
    point: "OperatingPoint", execution: codesign.Calibrated, told: Collection[str], spent: Parts
) -> dict[str, Interval | dict[str, Interval]]:
    """Low and high ends of 90 % intervals, each in the unit of its key: what calibration does not
    know, at this design and these prices.

    Args:
        point: what is evaluated.
        execution: coefficients and covariance.
        told: keys of the numbers themselves.
        spent: seconds of the step by part; those that take no time have no interval.
    """
    work, table = without_model(point.workload), table_of(point)
    low, _, high = interval(
        _figures, execution, point.design, table, work, point.plan, point.technology
    )
    ends = [[float(a), float(b)] for a, b in zip(low, high, strict=True)]
    keys = (*FIGURES, "power_w", "time_to_first_token_s")
    found = {key: end for key, end in zip(keys, ends, strict=False) if key in told}
    if (cost := "cost_per_million_tokens_usd") in found:
        found[cost] = [1e6 * end for end in found[cost]]
    by_part = zip(PARTS, ends[len(keys) :], strict=True)
    return {**found, "breakdown": {name: end for name, end in by_part if spent.get(name, 0.0) > 0}}


def _figures(
    execution: codesign.Calibrated,
    design: codesign.Design,
    table: codesign.OperatorTable,
    workload: codesign.Workload,
    plan: codesign.Plan,
    technology: codesign.Technology,
) -> Array:
    """What has an interval, in the order of ``intervals``; 1 for parts that take no time."""
    outcome = codesign.evaluate_table(design, table, workload, plan, technology, execution)
    power = outcome.energy_per_token * outcome.system_tokens_per_second
    figures = [getattr(outcome, name) for name in FIGURES.values()]
    first = outcome.step_time + execution.request_time()
    spent = jnp.stack([part_seconds(outcome.step)[name] for name in PARTS])
    return jnp.concatenate([jnp.stack([*figures, power, first]), jnp.where(spent > 0, spent, 1.0)])


def part_seconds(step: Step) -> dict[str, Real]:
    """Seconds of a calibrated step by part, as ``breakdown.parts`` says, differentiable."""
    waits, turns = step.memory >= step.compute, step.turns > 0
    return {
        "memory": jnp.sum(jnp.where(waits | turns, step.memory, 0.0)),
        "compute": jnp.sum(jnp.where(~waits | turns, step.compute, 0.0)),
        "sync": jnp.sum(step.latency),
        "transfer": jnp.sum(step.transfer),
        "floor": jnp.sum(step.floor),
        "host": step.host,
    }


def knowledge(point: "OperatingPoint") -> Knowledge:
    """Which profile predicts, and how many measured rows it has of the device, the model and the
    engine."""
    about = shipped_or_own(point.arguments.profile).about
    engine = served_by(point.arguments, point.device.name)
    vendor, architecture = family(point.device.name)
    relatives = {
        name: count
        for name, count in about.get("devices", {}).items()
        if family(name)[1] == architecture
    }
    return {
        "profile": about.get("name", point.arguments.profile or "unnamed"),
        "date": about.get("date"),
        "rows": about.get("rows"),
        "device_rows": relatives.get(point.device.name, 0),
        "architecture": architecture,
        "architecture_rows": sum(relatives.values()),
        "vendor": vendor,
        "model_rows": about.get("models", {}).get(architecture_name(point.workload.model.name), 0),
        "engine": engine.variant or "any",
        "engine_assumed": bool(engine.variant) and point.arguments.engine is None,
        "engine_rows": about.get("engines", {}).get(engine.variant, 0),
    }


def knowledge_line(known: Knowledge, device: str, model: str) -> str:
    """``knowledge`` as a sentence."""

    def rows(count: int) -> str:
        return f"{count:,} measured rows" if count else "no measured row"

    where = rows(known["device_rows"]) + f" of {device}"
    if not known["device_rows"]:
        where += f" (of its architecture {known['architecture']}: {known['architecture_rows']:,})"
    assumed = ", which is assumed (--engine says another)" if known["engine_assumed"] else ""
    software = (
        f"{rows(known['engine_rows'])} of {known['engine']}{assumed}"
        if known["engine"] != "any"
        else "no engine said (--engine): the mean of all"
    )
    return (
        f"Calibrated by profile {known['profile']} of {known['date']}: {where},"
        f" {rows(known['model_rows'])} of {model}, {software}."
    )


def under(step_time: float, breakdown: Breakdown) -> PartsOfExecution:
    """The parts of a step, without its operators and collectives."""
    whole: PartsOfExecution = {
        "step_time_s": step_time,
        "memory": breakdown["memory"],
        "compute": breakdown["compute"],
        "vector": breakdown["vector"],
        "sync": breakdown["sync"],
        "transfer": breakdown["transfer"],
    }
    if "floor" in breakdown and "host" in breakdown:
        whole["floor"], whole["host"] = breakdown["floor"], breakdown["host"]
    return whole


def executions(point: "OperatingPoint") -> dict[str, PartsOfExecution]:
    """The step under the limit study, operator-wise and calibrated, by part [s]."""
    made = point.execution
    if not isinstance(made, codesign.Calibrated):
        made = calibrated_execution(
            point.arguments, point.device, point.reading, point.workload.precision
        )
    found: dict[str, PartsOfExecution] = {}
    for name, execution in (
        ("limit", codesign.LimitStudy()),
        ("operatorwise", codesign.Operatorwise()),
        ("calibrated", made),
    ):
        outcome = outcome_of(point, execution)
        breakdown = parts(outcome.step, point.operators.names)
        found[name] = under(float(outcome.step_time), breakdown)
    last = found["calibrated"]
    ends = intervals(point, made, ("step_time_s",), last)["step_time_s"]
    if isinstance(ends, list):
        last["interval"] = ends
    return found
