"""A step of the exact model as a function of rates: what its operators compute, move and wait
for."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from codesign.evaluation import run_step
from codesign.hardware.design import Design
from codesign.hardware.technology import Technology
from codesign.numerics.fields import Real
from codesign.performance.execution import Execution, OverlappingWork
from codesign.performance.plan import Plan
from codesign.performance.step import Step, operator_names
from codesign.physical.power import step_energies
from codesign.search.statement.problem import ProblemBatch
from codesign.search.statement.space import CONTINUOUS
from codesign.throttling import mean_work
from codesign.workload.operator import PerOperator
from codesign.workload.operators import OperatorTable
from codesign.workload.phases import Serving
from codesign.workload.workload import Workload


class StepWork(NamedTuple):
    """A step as a function of rates: operator r takes max(matrix_r/F, memory_r/bandwidth); those
    whose arithmetic and streaming take turns do nothing here, and are sums below."""

    matrix: PerOperator  # [FLOP], vector work expressed in it
    memory: PerOperator  # [B]
    turns_matrix: Real  # [FLOP] of what takes turns
    turns_memory: Real  # [B]
    syncs: Real  # [1]
    wire: Real  # [B]
    rest: Real  # [s] what depends on neither


def step_work(design: Design, timed: Step, execution: Execution) -> StepWork:
    """Read a step's work off one evaluation of it.

    Args:
        design: the design it was evaluated on.
        timed: that evaluation.
        execution: decides which operators overlap.
    """
    matrix = jnp.stack([timed.compute, timed.vector]) * design.peak_flops
    memory = timed.memory * design.memory_bandwidth
    turns_matrix, turns_memory = jnp.sum(matrix * timed.turns[None]), jnp.sum(memory * timed.turns)
    matrix, memory = matrix * (1.0 - timed.turns)[None], memory * (1.0 - timed.turns)
    matrix, memory = execution.overlapping(OverlappingWork(matrix, memory), timed.group)
    communication = jnp.sum(timed.latency) + jnp.sum(timed.transfer)
    rest = (
        communication - timed.syncs * design.sync_latency - timed.inner_wire / design.link_bandwidth
    )
    rest = jnp.where(rest > 1e-12 * communication, rest, 0.0)  # a difference of rounding is none
    rest = rest + jnp.sum(timed.floor) + timed.host
    work = jnp.max(matrix, axis=0), memory, turns_matrix, turns_memory
    return StepWork(*work, timed.syncs, timed.inner_wire, rest)


def by_ratio(work: StepWork) -> Int[Array, "operators"]:
    """Operators from the most to the least matrix work per byte."""
    return jnp.argsort(
        -jnp.log(jnp.maximum(work.matrix, 1e-30)) + jnp.log(jnp.maximum(work.memory, 1e-30))
    )


def thresholds(work: StepWork, order: Int[Array, "operators"]) -> tuple[Array, Array]:
    """Matrix and memory work of every split of the operators, shapes (operators + 1,): [FLOP], [B].

    Each split is a lower bound on Σ max; in the order of ``by_ratio`` the largest of them is the
    sum itself.
    """
    none = jnp.zeros(1, work.matrix.dtype)
    matrix = jnp.concatenate([none, jnp.cumsum(work.matrix[order])])
    memory = jnp.concatenate([none, jnp.cumsum(work.memory[order][::-1])])[::-1]
    return matrix + work.turns_matrix, memory + work.turns_memory


def time_at(
    work: StepWork, rates: Float[Array, "continuous"], latencies: Float[Array, "continuous"]
) -> Real:
    """Time of a step at given rates and a given latency [s]."""
    at = {name: k for k, name in enumerate(CONTINUOUS)}
    flops, bandwidth = rates[at["peak_flops"]], rates[at["memory_bandwidth"]]
    busy = jnp.maximum(work.matrix / flops, work.memory / bandwidth)
    waiting = (
        work.turns_matrix / flops
        + work.turns_memory / bandwidth
        + work.syncs * latencies[at["sync_latency"]]
        + work.wire / rates[at["link_bandwidth"]]
        + work.rest
    )
    return jnp.sum(busy) + waiting


def time_and_energy(
    design: Design,
    table: OperatorTable,
    work: Workload,
    plan: Plan,
    technology: Technology,
    execution: Execution,
) -> tuple[StepWork, tuple[Real, Real]]:
    """A step's work, and its energy on one chip at the nominal clock: matrix arithmetic, everything
    else [J]."""
    timed = run_step(design, table, work, plan, technology, execution)
    energies = step_energies(mean_work(timed), technology, table.compute_bits)
    return step_work(design, timed, execution), energies


def operator_counts(problems: ProblemBatch) -> tuple[int, ...]:
    """Operators of each step, those of drafting passes included."""
    counts = []
    for k, step in enumerate(problems.steps):
        phase = problems.services[step.service].phase
        if isinstance(phase, Serving):
            phase = phase.prefill if step.prefill else phase.decode
        counts.append(len(operator_names(problems.tables[k], phase)))
    return tuple(counts)
