"""Energy per token against what ML.ENERGY measured: same model, device, number of GPUs, batch and
context.

Measured energy is of the GPUs alone, so it is set beside the energy of our chips without host,
conversion and cooling. Energy per token is power × time, and both are measured: the error is split
into the two. Nothing is fitted to the measurements.
"""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np

import codesign
import hardware_priors
from codesign.numerics.units import PICO
from codesign.physical.power import byte_energy, static_power
from codesign.throttling import mean_work
from codesign.workload.catalogue import model
from experiments.reproductions.energy_points import Compared, Measured, read
from experiments.reproductions.table import Column, Settings, Table
from experiments.terminal.refusal import Refused

FILE = "energy_mlenergy.csv"


@dataclasses.dataclass(frozen=True)
class Errors:
    """How predictions stand to measurements [%], and in what order."""

    mean_absolute_percentage: float
    median_absolute_percentage: float
    bias_percent: float
    """mean signed error"""
    n: int
    spearman: float | None
    """None for fewer than three points, or where either side does not vary"""


def errors(predicted: Sequence[float], measured: Sequence[float]) -> Errors:
    """Relative errors and rank correlation.

    >>> errors([1.0, 2.0, 6.0], [2.0, 2.0, 4.0]).median_absolute_percentage
    50.0
    """
    from scipy.stats import spearmanr

    ours, theirs = np.asarray(predicted, float), np.asarray(measured, float)
    relative = 100.0 * (ours / theirs - 1.0)
    ranked = len(ours) >= 3 and np.ptp(ours) > 0 and np.ptp(theirs) > 0
    return Errors(
        mean_absolute_percentage=float(np.mean(np.abs(relative))),
        median_absolute_percentage=float(np.median(np.abs(relative))),
        bias_percent=float(np.mean(relative)),
        n=len(ours),
        spearman=(float(spearmanr(ours, theirs).statistic) if ranked else None),  # pyright: ignore[reportAttributeAccessIssue]
    )


def predict(point: Measured) -> Compared | str:
    """Our prediction, operator by operator with nominal technology; or why there is none."""
    device = hardware_priors.device(point.device)
    technology = hardware_priors.technology_of(device)
    work = codesign.Workload(
        model(point.model),
        codesign.Decode(batch=point.batch, context=point.context),  # pyright: ignore[reportArgumentType]
        codesign.uniform(point.bits, 16),
    )
    # Chips beyond the tensor degree hold attention of their own (data parallel); experts are dealt
    # over the expert groups.
    plan = codesign.Plan(data=point.chips / point.tensor, expert=point.expert)  # pyright: ignore[reportArgumentType]
    try:
        design = device.design(point.chips, point.bits)
        outcome = codesign.evaluate(
            design, work, plan, technology=technology, execution=codesign.Operatorwise()
        )
    except ValueError as error:
        return f"{point.model} on {point.device}: {error}"
    if not outcome.fits_memory:
        return (
            f"{point.model} on {point.device}: caches of {point.batch:.0f} sequences do not fit by"
            " our account"
        )
    return Compared(
        measured=point,
        power=float(outcome.mean_power),
        seconds=float(outcome.step_time),
        static=float(static_power(design, technology, outcome.area.total)),
        moved=float(mean_work(outcome.step).memory_bytes),
        rating=None if device.tdp is None else device.tdp.si.value,
    )


COLUMNS = (
    Column("device"),
    Column("group"),
    *(Column(name, "%") for name in ("mean |error|", "median |error|", "bias")),
    *(
        Column(name, "1")
        for name in (
            "n",
            "Spearman",
            "energy",
            "= power",
            "× time",
            "at their pace",
            "our load",
            "their load",
        )
    ),
)
"""Ratios are ours over measured; loads are mean power over rating."""


def row(device: str, group: str, members: Sequence[Compared]) -> tuple[object, ...]:
    """One row of the table; ratios are geometric means, so that power × time is energy."""
    found = errors([each.energy for each in members], [each.measured.energy for each in members])
    rated = all(each.rating for each in members)
    return (
        device,
        group,
        *dataclasses.astuple(found),
        _ratio(members, lambda each: each.energy / each.measured.energy),
        _ratio(members, lambda each: each.power / each.measured.power),
        _ratio(members, _time_ratio),
        _ratio(members, lambda each: each.energy_at_measured_pace / each.measured.energy),
        _ratio(members, lambda each: each.power / (each.rating or 1.0)) if rated else None,
        _ratio(members, lambda each: each.measured.power / (each.rating or 1.0)) if rated else None,
    )


def _time_ratio(each: Compared) -> float:
    return each.seconds / each.measured.seconds


def _ratio(members: Iterable[Compared], of: Callable[[Compared], float]) -> float:
    return float(np.exp(np.mean([np.log(of(each)) for each in members])))


SMALL, MEDIUM, LARGE = "≤ 16", "17–128", "> 128"


def batch_group(batch: float) -> str:
    """Small batches stream weights; large ones stream caches and compute.

    >>> [batch_group(batch) for batch in (8, 16, 100, 2000)]
    ['≤ 16', '≤ 16', '17–128', '> 128']
    """
    return SMALL if batch <= 16.5 else MEDIUM if batch <= 128.5 else LARGE


def table(settings: Settings) -> Table:
    """Errors of energy per token over all that can be compared, and by device, task, batch and
    model.

    Raises:
        Refused: no folder of measured files, no such file in it, or nothing in it to compare with.
    """
    if settings.data is None or not (settings.data / FILE).is_file():
        told = (
            "no --data is given" if settings.data is None else f"{settings.data} has no such file"
        )
        raise Refused(
            f"reproduce energy compares with measurements, but {told}; expected --data FOLDER with"
            f" {FILE} in it"
        )
    compared: list[Compared] = []
    points, reasons = read(settings.data / FILE)
    for point in points:
        if isinstance(found := predict(point), Compared):
            compared.append(found)
        else:
            reasons.append(found)
    if not compared:
        raise Refused(
            f"nothing in {settings.data / FILE} can be compared: {'; '.join(Counter(reasons))}"
        )
    groups: tuple[Callable[[Compared], tuple[str, str]], ...] = (
        lambda each: ("all", ""),
        lambda each: (each.measured.device, ""),
        lambda each: (each.measured.device, each.measured.task),
        lambda each: (each.measured.device, f"batch {batch_group(each.measured.batch)}"),
        lambda each: (each.measured.device, each.measured.model),
    )
    rows = []
    for named in groups:
        names = dict.fromkeys(
            map(
                named,
                sorted(compared, key=lambda each: (each.measured.device, each.measured.batch)),
            )
        )
        rows += [row(*name, [each for each in compared if named(each) == name]) for name in names]
    return Table(
        "Energy per token, GPUs alone: ours (operator by operator, nominal technology) beside"
        " measured (ML.ENERGY)",
        COLUMNS,
        rows,
        summary=_summary(compared, len(compared) + len(reasons)),
        notes=_notes(reasons),
    )


def _summary(compared: Sequence[Compared], total: int) -> list[str]:
    _, _, mean, median, bias, n, rank, energy, power, time, paced, ours, theirs = row(
        "all", "", compared
    )
    told = [
        f"{n} of {total} operating points compared: mean absolute error {mean:.0f} %, median"
        f" {median:.0f} %, bias {bias:+.0f} %"
        + (
            f", Spearman {rank:.2f} (the ranks follow batch and model size)."
            if rank is not None
            else "."
        ),
        (
            f"Energy is power × time: ours is {energy:.2f} of the measured = {power:.2f} in power ×"
            f" {time:.2f} in time; at the measured pace, with our work and our static power, it"
            f" would be {paced:.2f}."
        ),
    ]
    if ours is not None:
        told.append(
            f"A rating is a cap: mean power is {theirs:.2f} of it as measured, {ours:.2f} by our"
            " account."
        )
    devices = sorted({each.measured.device for each in compared})
    for group in (SMALL, LARGE):
        found = {device: _of(compared, device, group) for device in devices}
        times = [
            f"{device} {_ratio(members, _time_ratio):.2f}"
            for device, members in found.items()
            if members
        ]
        told += [f"Time at batch {group}, ours over measured: {', '.join(times)}."] if times else []
    return told + [line for device in devices if (line := _per_byte(compared, device))]


def _of(compared: Sequence[Compared], device: str, group: str) -> list[Compared]:
    return [
        each
        for each in compared
        if each.measured.device == device and batch_group(each.measured.batch) == group
    ]


def _per_byte(compared: Sequence[Compared], device: str) -> str | None:
    """What measured powers leave for a byte moved, beside ours; None where too few points say so.

    At small batches arithmetic is a few per cent of our dynamic power, so nearly all of what the
    measured power leaves above our static power belongs to bytes: e = (P - static) / (bytes/s) at
    the measured pace. A diagnosis, used nowhere.
    """
    members = _of(compared, device, SMALL)
    if len(members) < 3:
        return None
    left = [
        (each.measured.power - each.static) * each.measured.seconds / each.moved / PICO
        for each in members
    ]
    low, median, high = np.percentile(left, [25, 50, 75])
    technology = hardware_priors.technology_of(hardware_priors.device(device))
    return (
        f"{device}, batch {SMALL}: above our {members[0].static:.0f} W of static power, measured"
        f" powers leave {median:.0f} pJ (quartiles {low:.0f}–{high:.0f}, {len(members)} points) for"
        f" a byte moved; ours is {float(byte_energy(technology)) / PICO:.0f} pJ."
    )


def _notes(reasons: Sequence[str]) -> list[str]:
    return [
        (
            "Measured: ML.ENERGY leaderboard v3 (vLLM), mean over a saturated window; energy and"
            " mean power of all GPUs, nothing else of the server. The time per token follows from"
            " both, and holds the prefill of other prompts and the gaps that the serving stack"
            " leaves; ours holds neither."
        ),
        (
            "Energy, power, time: ours over measured, geometric means, so that energy = power ×"
            " time; load: mean power over rating. Context is half the output: lengths of prompts"
            " are not published. Cache at 16 bit (not stated). Chips beyond the tensor degree are"
            " data parallel in attention."
        ),
        (
            "At their pace: our work and our static power over the measured time, so that what is"
            " left of the error is not of time. We read it as energy that our memory and SRAM"
            " accesses do not name: wires across the die, registers, instructions, clocks, losses"
            " of voltage regulators. Nothing is fitted to these measurements."
        ),
        *(f"Not compared, {count}: {reason}." for reason, count in Counter(reasons).items()),
    ]
