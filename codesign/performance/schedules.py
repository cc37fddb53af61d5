"""The executions that differ in which operators overlap: none, those of a half-layer, all."""

import dataclasses
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp

from codesign.hardware.design import Design
from codesign.numerics.fields import Quantity, Real, optional_real, quantity
from codesign.numerics.smooth import smooth_maximum
from codesign.numerics.ties import greater
from codesign.performance import collectives
from codesign.performance.collectives import Cost
from codesign.performance.execution import Execution, OperatorTimes, OverlappingWork
from codesign.performance.plan import Plan
from codesign.workload.operator import PerOperator
from codesign.workload.operators import OperatorTable
from codesign.workload.phases import Phase


class Operatorwise(Execution):
    """One operator after the other, each bound by its slowest resource, then the collectives;
    attainable fractions of the peaks.

    A ``temperature`` smooths each operator's maximum for gradient search (``numerics.smooth``):
    time exceeds the exact one by at most a factor 3^temperature. ``None`` is exact.
    """

    log_convex: ClassVar[bool] = True
    temperature: Real | None = eqx.field(converter=optional_real, default=None)

    def schedule(self, alone: OperatorTimes) -> PerOperator:
        resources = (alone.compute, alone.vector, alone.memory)
        if self.temperature is not None:
            return alone.times * smooth_maximum(jnp.stack(resources), self.temperature)
        return alone.times * greater(greater(*resources[:2]), resources[2])

    def softened(self, temperature: Real) -> Execution:
        return Operatorwise(temperature=temperature)


class Dataflow(Execution):
    """Operators of one half-layer are fused: they overlap, and what passes between them stays on
    chip (arXiv 2502.18403)."""

    log_convex: ClassVar[bool] = True
    fused: ClassVar[bool] = True

    def schedule(self, alone: OperatorTimes) -> PerOperator:
        """The slowest resource of a group names each member's share."""
        compute, vector, memory, group, times = alone
        same = jnp.where(group[:, None] == group[None, :], 1.0, 0.0).astype(compute.dtype)
        sums = jnp.stack([same @ compute, same @ vector, same @ memory])
        binding = jnp.argmax(sums, axis=0)
        return times * jnp.where(binding == 0, compute, jnp.where(binding == 1, vector, memory))

    def overlapping(self, work: OverlappingWork, group: PerOperator) -> OverlappingWork:
        first = jnp.argmax(group[:, None] == group[None, :], axis=1)
        onto = jnp.where(first[None, :] == jnp.arange(len(first))[:, None], 1.0, 0.0)
        return OverlappingWork(work.matrix @ onto.T, onto @ work.memory)


class LimitStudy(Execution):
    """The limit study (arXiv 2507.14397): everything overlaps but synchronisation, at the full
    peaks, on ideal slices.

    T = max(ΣFLOP/peak, Σbytes/bandwidth) + layers · syncs · sync_latency. The paper's numbers
    identify only the product of syncs per layer and latency, 4.5 µs beyond eight chips; three syncs
    of 1.5 µs are its natural reading.
    """

    log_convex: ClassVar[bool] = True
    ideal: ClassVar[bool] = True
    syncs_per_layer: Quantity = quantity("1", "exposed syncs of a layer", default=3.0)
    syncs_per_expert_layer: Quantity = quantity(
        "1", "further exposed syncs of a layer with experts", default=0.0
    )

    def schedule(self, alone: OperatorTimes) -> PerOperator:
        compute, _, memory, _, times = alone
        return times * jnp.where(
            jnp.sum(times * compute) >= jnp.sum(times * memory), compute, memory
        )

    def overlapping(self, work: OverlappingWork, group: PerOperator) -> OverlappingWork:
        """All work in the first operator; the study has no vector unit."""
        matrix, memory = work
        matrix_unit = jnp.sum(matrix, axis=1) * jnp.array([1.0, 0.0])
        return OverlappingWork(
            jnp.zeros_like(matrix).at[:, 0].set(matrix_unit),
            jnp.zeros_like(memory).at[0].set(jnp.sum(memory)),
        )

    def communication(
        self, design: Design, table: OperatorTable, phase: Phase, plan: Plan, efficiency: Real
    ) -> Cost:
        """A latency per sync, and no bytes."""
        syncs = jnp.where(design.chips > 1.0, 1.0, 0.0)
        none = collectives.nothing(syncs)
        one = dataclasses.replace(none, latency=syncs * design.sync_latency, syncs=syncs)
        layers = one.times(table.layers * self.syncs_per_layer)
        experts = one.times(table.expert_layers * self.syncs_per_expert_layer)
        costs = (layers, none, experts, none, none, none, none)
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *costs)
