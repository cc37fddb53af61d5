"""Why a configuration is refused: its memory is too small, or a token takes longer than was
promised."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np

import codesign
from codesign.evaluation import evaluate_table
from codesign.numerics.compilation import SELDOM, compiled
from codesign.numerics.fields import Real
from codesign.numerics.units import GIBI, MILLI
from codesign.outcome import Outcome
from experiments.points.operating_point import OperatingPoint
from experiments.points.operator_tables import table_of, without_model

MOST_CHIPS = 65536
"""How many chips are tried when asking how many would fit."""

TRIED = 256
"""Numbers of chips tried at a time."""


def failure(point: OperatingPoint, outcome: Outcome) -> str | None:
    """Why the configuration is refused, in one sentence; None if it is not."""
    arguments = point.arguments
    if not bool(outcome.fits_memory):
        return _does_not_fit(point, outcome)
    if arguments.promise_ms is not None and float(outcome.limits.promise) > 0:
        takes = float(outcome.time_per_token) / MILLI
        return (
            f"a token takes {takes:.3g} ms, more than the promised {arguments.promise_ms:g} ms;"
            f" expected a promise of at least {takes:.3g} ms or a faster machine"
        )
    return None


def _does_not_fit(point: OperatingPoint, outcome: Outcome) -> str:
    arguments, design = point.arguments, point.design
    needed, available = (
        float(outcome.capacity_needed) / GIBI,
        float(outcome.capacity_available) / GIBI,
    )
    length = (
        arguments.context if arguments.phase == "decode" else arguments.prompt or arguments.context
    )
    what = (
        f"{point.workload.model.name} with batch {arguments.batch} at {length} positions needs"
        f" {needed:.1f} GiB"
    )
    machines = f"{arguments.chips} × {point.device.name}"
    if point.plan.tiers is not None:
        over, pool = (
            math.exp(float(outcome.limits.capacity)),
            float(design.pool_capacity) * arguments.chips / GIBI,
        )
        main = float(design.memory_capacity) * arguments.chips / GIBI
        return (
            f"{what}, of which {arguments.weights_in_pool:.0%} of the weights and"
            f" {arguments.state_in_pool:.0%} of the cache go to a pool; {machines} have {main:.1f}"
            f" GiB and pools of {pool:.1f} GiB, and the fuller of both would hold {over:.3g} times"
            " what it can; expected other shares in --weights-in-pool and --state-in-pool, or more"
            " chips"
        )
    idle = (
        "; their pools hold what --weights-in-pool and --state-in-pool say"
        if float(design.pool_capacity) > 0
        else ""
    )
    return (
        f"{what} and {machines} have {available:.1f} GiB to fill: {needed - available:.1f} GiB are"
        f" missing; {_advice(point)}{idle}"
    )


def _advice(point: OperatingPoint) -> str:
    least, domain = least_chips(point), float(point.design.scale_up_domain)
    if not least:
        return f"no tensor degree up to {MOST_CHIPS} chips makes it fit"
    beyond = f", beyond the scale-up domain of {domain:g}" if least > domain else ""
    kept = 1.0 - float(point.execution.fillable(point.technology.attainable))
    reserve = f"{kept:.0%} of memory" if kept > 0 else "nothing"
    return (
        f"the least number of chips that fits is {least} (by bytes alone, {reserve} reserved for"
        f" activations and the engine{beyond})"
    )


def least_chips(point: OperatingPoint) -> int | None:
    """Fewest chips, by more tensor parallelism alone, on which weights and caches fit; None if no
    number does. More chips never leave less room, so the numbers tried lie ever closer."""
    group = point.shares.chips // point.shares.tensor
    table, workload = table_of(point), without_model(point.workload)
    too_few, step = 0, -(-max(MOST_CHIPS // group, 1) // TRIED)
    while True:
        tried = too_few + step * np.arange(1, TRIED + 1)
        fullness = _fullness(
            jnp.asarray(group * tried, float),
            point.design,
            table,
            workload,
            point.plan,
            point.technology,
            point.execution,
        )
        fitting = np.asarray(fullness) <= 0
        if not fitting.any():
            return None
        first = int(tried[fitting.argmax()])
        if step == 1:
            return group * first
        too_few, step = first - step, -(-step // TRIED)


@compiled(SELDOM)
def _fullness(
    chips: Real,
    design: codesign.Design,
    table: codesign.OperatorTable,
    workload: codesign.Workload,
    plan: codesign.Plan,
    technology: codesign.Technology,
    execution: codesign.Execution,
) -> Real:
    """ln(used / allowed) of memory for every number of chips."""

    def used(count: Real) -> Real:
        machine = dataclasses.replace(design, chips=count)
        outcome = evaluate_table(machine, table, workload, plan, technology, execution)
        return outcome.limits.capacity

    return jax.vmap(used)(chips)
