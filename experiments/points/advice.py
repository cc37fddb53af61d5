"""The batch that a machine should run, what memory that frees, and how many replicas fill it."""

import dataclasses
import re
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

import codesign
from codesign.batching import Advice, advise_batch, slopes_of_batch
from codesign.numerics.compilation import SELDOM, compiled
from codesign.numerics.fields import Real, RealArray
from codesign.numerics.units import MILLI
from codesign.performance.replicas import share_device
from codesign.workload.operators import OperatorTable
from experiments.points.operating_point import OperatingPoint
from experiments.terminal.refusal import INFEASIBLE, Refused
from hardware_priors.quantities import parse

REFERENCE = 32
"""The batch whose latency a promise of "2x" is a multiple of (arXiv 2503.08311)."""


Parts: TypeAlias = tuple[
    codesign.Design,
    codesign.Workload,
    codesign.Plan,
    codesign.Technology,
    codesign.Execution,
]
"""What one evaluation takes."""


class Steps(NamedTuple):
    """Decode steps by batch, arrays of shape (batches,)."""

    time: RealArray  # [s]
    idle: RealArray  # the device waits: launches, host, exposed syncs [s]
    busy: RealArray  # (batches, 2): bound by memory, bound by arithmetic [s]
    needed: RealArray  # weights and caches [B]
    weights: RealArray  # [B]
    available: RealArray  # [B]


class Replicas(NamedTuple):
    """Replicas of one batch on the device."""

    replicas: int
    time_per_token: float  # [s]
    tokens_per_second: float
    most: float  # [token/s] that no schedule exceeds


class Advised(NamedTuple):
    """The whole answer."""

    advice: Advice
    batches: np.ndarray
    steps: Steps
    promise: float  # [s]
    efficiency: float  # [1]
    largest: int  # index of the largest batch that fits
    shared: list[Replicas]  # from one to as many as fit
    elasticities: dict[str, float]  # of the batch, by promise, bandwidth and compute


def _steps(point: Parts, table: OperatorTable, batches: Real, context: Real) -> Steps:
    design, work, plan, technology, execution = point

    def one(batch: Real) -> Steps:
        workload = dataclasses.replace(work, phase=codesign.Decode(batch=batch, context=context))
        found = codesign.evaluate_table(design, table, workload, plan, technology, execution)
        step = found.step
        worked = step.operators - step.floor
        waits = step.memory >= step.compute
        memory = jnp.sum(jnp.where(waits, worked, 0.0))
        busy = jnp.stack([memory, jnp.sum(worked) - memory])
        weights = found.footprint.weights * design.chips
        available = found.capacity_available
        return Steps(
            jnp.asarray(step.time),
            step.time - jnp.sum(busy),
            busy,
            found.capacity_needed,
            weights,
            available,
        )

    return jax.vmap(one)(batches)


_compiled_steps = compiled(SELDOM)(_steps)


def model_steps(
    point: OperatingPoint, batches: Sequence[float] | np.ndarray, context: float
) -> Steps:
    """Decode steps of an operating point at other batches."""
    parts, table = _parts(point)
    found = _compiled_steps(parts, table, jnp.asarray(batches, float), jnp.asarray(float(context)))
    return jax.tree.map(np.asarray, found)


def _parts(point: OperatingPoint) -> tuple[Parts, OperatorTable]:
    work = point.workload
    columns = point.technology.attainable.slice_columns
    table = codesign.operator_table(work.model, work.precision, slice_columns=columns)
    return (point.design, work, point.plan, point.technology, point.execution), table


def read_promise(text: str) -> float | str:
    """``"40 ms"`` as seconds; ``"2x"``, a multiple of the latency at batch 32, as it is.

    Raises:
        Refused: neither.

    >>> read_promise("40 ms"), read_promise("2x")
    (0.04, '2x')
    """
    if re.fullmatch(r"\d+(\.\d+)?x", text) and float(text[:-1]) > 0:
        return text
    asked = f"--latency-promise is {text!r}"
    try:
        seconds = parse(text, like="s")
    except ValueError as error:
        raise Refused(f'{asked}: {error}; or "2x", of the latency at batch {REFERENCE}') from None
    if not 0 < seconds < float("inf"):
        raise Refused(f"{asked}; expected a time above zero, such as 40 ms")
    return seconds


def advise(point: OperatingPoint, promise: float | str, floor: float, most: int) -> Advised:
    """Choose the batch, and fill what memory it leaves with replicas.

    Args:
        point: machine, model and execution; its phase is decode.
        promise: longest mean time between tokens [s], or a multiple of that at batch 32.
        floor: least efficiency of the batch [1].
        most: largest batch looked at.

    Raises:
        Refused: no batch keeps the promise in the memory there is (exit code 3).
    """
    context = point.arguments.context
    if isinstance(promise, str):
        reference = model_steps(point, [REFERENCE], context).time[0]
        promise = float(promise[:-1]) * float(reference)
    batches = np.arange(1, most + 1)
    steps = model_steps(point, batches, context)
    fits = steps.needed <= steps.available
    if not fits[0]:
        raise Refused(
            f"{point.workload.model.name} with one sequence of {context:,} positions does not fit"
            f" {point.arguments.chips} × {point.device.name}; expected more chips or a shorter"
            " context",
            INFEASIBLE,
        )
    advice = advise_batch(
        batches.tolist(), list(batches / steps.time), list(steps.time), promise, floor, list(fits)
    )
    if advice is None:
        raise Refused(
            f"a batch of 1 takes {steps.time[0] / MILLI:.3g} ms a token, longer than the promise of"
            f" {promise / MILLI:.3g} ms; expected a longer promise or a faster machine",
            INFEASIBLE,
        )
    index = advice.index
    count = max(int(steps.available[index] // steps.needed[index]), 1)
    return Advised(
        advice=advice,
        batches=batches,
        steps=steps,
        promise=promise,
        efficiency=float(steps.time[0] / steps.time[index]),
        largest=int(np.flatnonzero(fits)[-1]),
        shared=[replicas_of(steps, batches, index, each) for each in range(1, min(count, 8) + 1)],
        elasticities=elasticities_of(point, float(advice.batch)),
    )


def replicas_of(steps: Steps, batches: np.ndarray, index: int, count: int) -> Replicas:
    """So many replicas of one batch, sharing the device."""
    shared = share_device(jnp.asarray(steps.idle[index]), jnp.asarray(steps.busy[index]), count)
    batch = float(batches[index])
    return Replicas(
        count,
        float(shared.step_time),
        batch * float(shared.steps_per_second),
        batch * float(shared.most),
    )


def elasticities_of(point: OperatingPoint, batch: float) -> dict[str, float]:
    """How the real-valued batch at the promise moves with the promise and with the machine [1]."""
    parts, table = _parts(point)
    context = jnp.asarray(float(point.arguments.context))
    design = parts[0]

    def latency(size: RealArray, rates: RealArray) -> RealArray:
        changed = dataclasses.replace(design, memory_bandwidth=rates[0], peak_flops=rates[1])
        return _steps((changed, *parts[1:]), table, size[None], context).time[0]

    rates = jnp.stack([design.memory_bandwidth, design.peak_flops])
    by_promise, by_rates = jax.jit(lambda size, at: slopes_of_batch(latency, size, at))(
        jnp.asarray(batch), rates
    )
    names = ("promise", "memory_bandwidth", "peak_flops")
    return dict(zip(names, (float(by_promise), *map(float, by_rates)), strict=True))
