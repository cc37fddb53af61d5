"""The execution that carries what calibration learned: kernels with floors, collectives, host."""

import dataclasses
import functools
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from codesign.hardware.design import Design
from codesign.numerics.fields import Quantity, Real, quantity
from codesign.numerics.ties import greater
from codesign.performance import calibrated
from codesign.performance.communication import communication
from codesign.performance.execution import Execution, OperatorTimes, traffic
from codesign.performance.kernel_coefficients import Coefficients, from_logs
from codesign.performance.load import Load, expert_load, micro_batch, repeated, step_load
from codesign.performance.plan import Plan, degrees
from codesign.performance.step import Rates, Step, Traffic, draft_of, memory_time
from codesign.workload.operator import PerOperator
from codesign.workload.operators import OperatorTable
from codesign.workload.phases import Decode, Phase


class Calibrated(Execution):
    """One kernel after the other, each with a floor and at attainable rates, then collectives and
    the host's time.

    The terms are those of ``codesign.performance.calibrated``; the coefficients come from a profile
    fitted to measurements (``hardware_priors.profiles``) and are natural logarithms here, so that
    their covariance is that of relative errors.

    ``covariance`` (of no rows where nobody asks) is theirs for one device, engine and model, with
    what nobody measured about these; ``residual`` is the standard deviation of a measured time
    about the prediction if the coefficients were known. With a ``rated_power``, energy and
    power are the fitted ones of that machine; without, they are those of the technology, as for
    designs that nobody built.
    """

    log_convex: ClassVar[bool] = True
    full_peaks: ClassVar[bool] = True  # the coefficients are losses of the peaks
    logs: Float[Array | np.ndarray, "coefficients"]
    covariance: Float[Array | np.ndarray, "known known"]
    residual: Quantity = quantity(
        "1", "standard deviation of ln(measured / predicted) at known coefficients", default=0.1
    )
    rated_power: Real | None = quantity(
        "W", "rating of the chip, which its mean power does not exceed", default=None
    )

    @property
    def coefficients(self) -> Coefficients:
        """The coefficients by name, in SI units."""
        return from_logs(self.logs)

    def schedule(self, alone: OperatorTimes) -> PerOperator:
        """Kernels without their floors."""
        return alone.times * greater(alone.compute, alone.memory)

    def request_time(self) -> Real:
        """The host's time from a request to its first token [s]."""
        return self.coefficients.first_token

    def waited_share(self) -> Real:
        """As measured [1]."""
        return self.coefficients.interference

    def mean_power(self, moved: Real, operations: Real, time: Real) -> Real | None:
        """The fitted power of a machine whose rating is known [W]."""
        if self.rated_power is None:
            return None
        return calibrated.mean_power(moved, operations, time, self.rated_power, self.coefficients)

    def step(
        self,
        design: Design,
        table: OperatorTable,
        phase: Phase,
        plan: Plan,
        rates: Rates,
        link_efficiency: Real,
    ) -> Step:
        """Time one step by the calibrated terms (``performance.calibrated``), whose losses of the
        link stand for ``link_efficiency``."""
        del link_efficiency
        coefficients, draft = self.coefficients, draft_of(phase)
        scale = coefficients.step_scale if isinstance(phase, Decode) else coefficients.prefill_scale
        passes: list[tuple[Phase, Real]] = [(phase, jnp.ones_like(scale))]
        if draft is not None:
            passes.append((dataclasses.replace(phase, draft=None), draft.length * draft.cost))
        together = [
            _one_pass(design, table, each, plan, rates, self, times, scale)
            for each, times in passes
        ]
        kernels, moved, load = (
            jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *(part[k] for part in together))
            for k in range(3)
        )
        sums = jax.tree.map(
            lambda *leaves: functools.reduce(jnp.add, leaves), *(part[3] for part in together)
        )
        latency, transfer, wire, syncs, inner = sums
        group = table.operators.group
        if draft is not None:
            group = jnp.concatenate([group, group + jnp.max(group) + 1.0])
        host = jnp.zeros_like(
            design.chips
        )  # what a request waits for beside its prefill is no machine's time (``request_time``)
        if isinstance(phase, Decode):
            host = (
                coefficients.host_step
                + coefficients.host_sequence
                * micro_batch(phase, degrees(design, plan, table.experts)).sequences
            )
        return Step(
            compute=kernels.compute,
            vector=jnp.zeros_like(kernels.compute),
            memory=kernels.memory,
            operators=kernels.operators,
            floor=kernels.floor,
            turns=kernels.turns,
            equivalent_flops=load.flops * rates.reference / jnp.tile(rates.matrix, len(passes)),
            latency=latency,
            transfer=transfer,
            host=host,
            time=jnp.sum(kernels.operators) + jnp.sum(latency) + jnp.sum(transfer) + host,
            load=load,
            traffic=moved,
            wire=wire,
            syncs=syncs,
            inner_wire=inner,
            group=group,
        )


def _one_pass(
    design: Design,
    table: OperatorTable,
    phase: Phase,
    plan: Plan,
    rates: Rates,
    execution: Calibrated,
    times: Real,
    scale: Real,
) -> tuple[calibrated.KernelTimes, Traffic, Load, tuple[Real, ...]]:
    """Kernels, traffic, load and collectives of one pass that runs ``times`` times; times of
    kernels and collectives × ``scale``."""
    coefficients, degree = execution.coefficients, degrees(design, plan, table.experts)
    load = step_load(table, phase, plan, degree, design.sram_capacity, ideal=False)
    moved = traffic(load, plan, execution)
    touched = jnp.zeros_like(design.chips)
    if table.has_experts:
        touched = expert_load(
            table, plan, degree, micro_batch(phase, degree).stage_rows
        ).busiest_touched
    chip = calibrated.ChipRates(
        memory=rates.memory,
        matrix=rates.matrix,
        attention=rates.matrix_16_bit,
        link=design.link_bandwidth,
        sync_latency=design.sync_latency,
    )
    alone = calibrated.kernel_times(
        calibrated.kernel_work(table, phase, load, moved.main, touched), chip, coefficients, scale
    )
    other = memory_time(
        dataclasses.replace(moved, main=jnp.zeros_like(moved.main)), plan, rates, design
    )
    # nobody measured memory behind the main one: it is as fast as it says
    memory, compute, floor = (
        times * greater(alone.memory, other),
        times * alone.compute,
        times * alone.floor,
    )
    kernels = calibrated.KernelTimes(
        memory, compute, floor, floor + calibrated.busy(memory, compute, alone.turns), alone.turns
    )
    cost = communication(design, table, phase, plan, jnp.ones_like(design.chips))
    work = calibrated.collective_work(design, table, phase, plan, degree, cost)
    taken = calibrated.collective_times(work, coefficients, scale)
    latency, transfer = taken.seconds(design.sync_latency, design.link_bandwidth)
    sums = (jnp.sum(cost.wire), jnp.sum(taken.syncs), jnp.sum(taken.sent))
    collective = (times * latency, times * transfer, *(times * each for each in sums))
    many = jnp.broadcast_to(times, load.flops.shape)
    return kernels, jax.tree.map(lambda leaf: leaf * many, moved), repeated(load, many), collective
