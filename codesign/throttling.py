"""What a step draws, and how long it takes under its machine's power cap."""

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from codesign.hardware.design import Design
from codesign.hardware.technology import Technology
from codesign.numerics.compilation import computed_once
from codesign.numerics.fields import Real
from codesign.numerics.ties import at_most
from codesign.performance.execution import Execution
from codesign.performance.step import Step
from codesign.physical.power import Work, busy_power, step_energies
from codesign.physical.power_cap import Draw, fastest_clock, room_above
from codesign.physical.voltage import energy_ratio
from codesign.workload.operators import OperatorTable


def mean_work(timed: Step) -> Work:
    """What the mean chip computes and moves in a step: routed experts leave it less than the
    busiest."""
    share, moved = timed.load.mean_bytes, timed.traffic
    return Work(
        flops=jnp.sum(timed.equivalent_flops * timed.load.mean_flops),
        memory_bytes=jnp.sum(moved.main * share),
        on_chip_bytes=jnp.sum(moved.on_chip * share),
        wire_bytes=timed.wire,
        pool_bytes=jnp.sum(moved.pool * share),
    )


def measured_power(
    design: Design, technology: Technology, table: OperatorTable, timed: Step, execution: Execution
) -> Real | None:
    """Mean power of a chip as measurements of it say [W], None where the execution knows none
    (``Execution.mean_power``)."""
    work = mean_work(timed)
    operations = (
        work.flops
        * at_most(table.compute_bits / 16.0, 1.0)
        * energy_ratio(design.clock, technology.logic)
    )
    moved = work.memory_bytes + work.pool_bytes
    return execution.mean_power(moved, operations, timed.time)


def run_under_cap(
    design: Design,
    technology: Technology,
    compute_bits: Real,
    timed: Step,
    clock: Real | None,
    idle: Real,
    rated: Real,
    *,
    throttled: bool = True,
) -> tuple[Real, Real, Real]:
    """Time [s], clock [1] and mean power [W] of a step under a machine's power cap.

    A machine without one runs at its own clock, and so does one that is not ``throttled``.
    """
    hot, cold = step_energies(mean_work(timed), technology, compute_bits)
    busy = busy_power(design, technology, compute_bits)
    draw = Draw(timed.time, hot, cold, busy, design.clock, technology.logic)
    if not throttled or _is_none(design.power_cap):  # a third of the program is not written at all
        return timed.time, design.clock, draw.power_at(design.clock, timed.time) + idle
    # all outcomes follow from these: XLA would work them out anew for each
    draw, room = computed_once((draw, room_above(idle, rated)))
    capped = design.power_cap > 0.0
    if clock is None:
        clock = computed_once(jnp.where(capped, fastest_clock(draw, room), design.clock))
    time = jnp.where(capped, draw.time_at(clock, room), timed.time)
    return computed_once((time, clock, draw.power_at(clock, time) + idle))


def _is_none(power_cap: Real) -> bool:
    """Whether a power cap is known to be none before anything runs."""
    return not isinstance(power_cap, Tracer) and not np.any(np.asarray(power_cap) > 0.0)
