"""What an execution is: how the operators of a step share the resources of a chip.

``Execution`` is abstract and has one abstract method, ``schedule``; a user's own one is a class
with that method in a file of his own. What else executions differ in has a default, that of a chip
at attainable rates whose operators write what they pass on to main memory.
"""

import abc
import dataclasses
from typing import ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from codesign.hardware.design import Design
from codesign.hardware.technology import Attainable
from codesign.numerics.fields import Real
from codesign.numerics.ties import greater
from codesign.performance.collectives import Cost
from codesign.performance.communication import communication
from codesign.performance.load import Load, repeated, step_load
from codesign.performance.plan import Plan, degrees
from codesign.performance.step import Rates, Step, Traffic, draft_of, memory_time
from codesign.workload.operator import PerOperator
from codesign.workload.operators import OperatorTable
from codesign.workload.phases import Phase


class OperatorTimes(NamedTuple):
    """What each operator would take if one resource alone bound it, shapes (operators,)."""

    compute: PerOperator  # [s] matrix arithmetic
    vector: PerOperator  # [s] vector unit
    memory: PerOperator  # [s] traffic
    group: PerOperator  # [1] operators of one half-layer of one kind have one number
    times: PerOperator  # [1] how often each runs in a step


class OverlappingWork(NamedTuple):
    """Work of operators that overlap, summed in one of them: a step takes Σ_r max(matrix_r / peak,
    memory_r / bandwidth)."""

    matrix: Float[Array | np.ndarray, "2 operators"]  # [FLOP] of the matrix and of the vector unit
    memory: PerOperator  # [B]


class Execution(eqx.Module):
    """Abstract: how the operators of a step share the resources of a chip.

        T = Σ_r schedule_r + collectives

    A subclass states ``schedule``. It is a pytree: its float fields (``quantity``) have gradients.
    A search calls a step a convex function of the rates only where ``log_convex`` claims that the
    schedule is Σ_r max(compute_r, vector_r, memory_r) over what ``overlapping`` sums; the claim is
    audited against the schedule. Designs under other executions are searched by gradients and come
    out ``LOCAL``.

    >>> import codesign, jax.numpy as jnp
    >>> class Serial(codesign.Execution):
    ...     def schedule(self, alone):
    ...         return alone.times * (alone.compute + alone.vector + alone.memory)
    >>> one = jnp.ones(1)
    >>> float(Serial().schedule(codesign.OperatorTimes(one, one, one, one, one))[0])
    3.0
    """

    log_convex: ClassVar[bool] = False
    """Whether a step takes Σ_r max over the work that ``overlapping`` gives."""
    ideal: ClassVar[bool] = False
    """Whether operators are cut as finely as there are chips, nothing but weights and cache is
    kept or moved, and peaks are reached."""
    fused: ClassVar[bool] = False
    """Whether what passes between operators stays on chip."""
    full_peaks: ClassVar[bool] = False
    """Whether rates are the peaks, whatever fraction of them the technology calls attainable."""

    @abc.abstractmethod
    def schedule(self, alone: OperatorTimes) -> PerOperator:
        """Attribute seconds to each operator; their sum is the time of a step without collectives.

        Args:
            alone: what each operator would take on each resource alone.

        Returns:
            Seconds of each operator, all its runs together, shape (operators,) [s].
        """

    def overlapping(self, work: OverlappingWork, group: PerOperator) -> OverlappingWork:
        """Sum the work of operators that overlap in one of them; as it is, where none do."""
        del group
        return work

    def softened(self, temperature: Real) -> "Execution":
        """The same execution with smoothed maxima, for the first steps of a search by gradients;
        itself where it has none to smooth."""
        del temperature
        return self

    def fillable(self, attainable: Attainable) -> Real:
        """Share of main memory that weights and caches may fill [1]; all of it without
        activations."""
        return jnp.ones_like(attainable.capacity) if self.ideal else attainable.capacity

    def request_time(self) -> Real | float:
        """Host time from a request to its first token, beside the prefill: it delays the user and
        keeps no machine busy [s]."""
        return 0.0

    def waited_share(self) -> Real | float:
        """Share of interleaved prefills that decode steps wait for [1]; all of it where nobody
        measured."""
        return 1.0

    def mean_power(self, moved: Real, operations: Real, time: Real) -> Real | None:
        """Mean power of a chip as measurements of it say, None where there are none [W].

        Args:
            moved: bytes from memory in a step [B].
            operations: of a step, each as the share of a 16-bit one that its width is [FLOP].
            time: of the step [s].
        """
        del moved, operations, time
        return None

    def communication(
        self, design: Design, table: OperatorTable, phase: Phase, plan: Plan, efficiency: Real
    ) -> Cost:
        """Collectives of a step, leaves of shape (collectives,); those of the plan unless
        told otherwise."""
        return communication(design, table, phase, plan, efficiency)

    def step(
        self,
        design: Design,
        table: OperatorTable,
        phase: Phase,
        plan: Plan,
        rates: Rates,
        link_efficiency: Real,
    ) -> Step:
        """Time one step of a model on a design.

        Args:
            design: the machine.
            table: the model (``operator_table``).
            phase: ``Decode`` or ``Prefill``.
            plan: layout over the chips.
            rates: attained rates of one chip.
            link_efficiency: attained fraction of the link bandwidth [1].

        Returns:
            Seconds of operators and collectives, and the work that takes them.
        """
        degree = degrees(design, plan, table.experts)
        load = step_load(table, phase, plan, degree, design.sram_capacity, ideal=self.ideal)
        together = self.communication(design, table, phase, plan, link_efficiency)
        draft, group = draft_of(phase), table.operators.group
        times = jnp.ones_like(load.flops)
        if draft is not None:
            plain, passes = dataclasses.replace(phase, draft=None), draft.length * draft.cost
            drafting = step_load(table, plain, plan, degree, design.sram_capacity, ideal=self.ideal)
            sending = self.communication(design, table, plain, plan, link_efficiency)
            together = together + sending.times(passes)
            load = jax.tree.map(lambda one, other: jnp.concatenate([one, other]), load, drafting)
            times = jnp.concatenate([times, passes * times])
            group = jnp.concatenate([group, group + jnp.max(group) + 1.0])
        passes = 1 if draft is None else 2
        compute = load.flops / jnp.tile(rates.matrix, passes)
        vector = load.vector / rates.vector + load.exponential / rates.exponential
        moved = traffic(load, plan, self)
        memory = memory_time(moved, plan, rates, design)
        operators = self.schedule(OperatorTimes(compute, vector, memory, group, times))
        if draft is not None:
            compute, vector, memory = compute * times, vector * times, memory * times
            load, moved = repeated(load, times), jax.tree.map(lambda leaf: leaf * times, moved)
        return Step(
            compute=compute,
            vector=vector,
            memory=memory,
            operators=operators,
            floor=jnp.zeros_like(operators),
            turns=jnp.zeros_like(operators),
            equivalent_flops=compute * rates.reference,
            latency=together.latency,
            transfer=together.transfer,
            host=jnp.zeros_like(link_efficiency),
            time=jnp.sum(operators) + jnp.sum(together.latency) + jnp.sum(together.transfer),
            load=load,
            traffic=moved,
            wire=jnp.sum(together.wire),
            syncs=jnp.sum(together.syncs),
            inner_wire=jnp.sum(together.inner),
            group=group,
        )


def traffic(load: Load, plan: Plan, execution: Execution) -> Traffic:
    """What an execution moves: an ideal one only weights and cache, a fused one no activations,
    both tiers as the plan says."""
    kept = execution.ideal or execution.fused
    activations = jnp.zeros_like(load.activations) if kept else load.activations
    reused = jnp.zeros_like(load.reused) if execution.ideal else load.reused
    tiers = plan.tiers
    if tiers is None:
        none = jnp.zeros_like(load.weights)
        return Traffic(greater(load.weights + load.state + activations, reused), none, none)
    weights_main = 1.0 - tiers.weights_on_chip - tiers.weights_in_pool
    main = load.weights * weights_main + load.state * (1.0 - tiers.state_in_pool) + activations
    pool = load.weights * tiers.weights_in_pool + load.state * tiers.state_in_pool
    return Traffic(greater(main, reused), pool, load.weights * tiers.weights_on_chip)


def attained_rates(
    design: Design,
    attainable: Attainable,
    speed: PerOperator,
    matrix_16_bit: Real,
    vector_rate: Real,
    exponential_rate: Real,
    execution: Execution,
) -> Rates:
    """Rates of one chip: attainable fractions of the peaks, or the peaks where the execution says
    so.

    ``speed`` is each operator's matrix rate over that at the width for which the design states its
    peak [1].
    """
    full = execution.ideal or execution.full_peaks
    matrix = design.peak_flops * (1.0 if full else attainable.compute)
    return Rates(
        matrix=matrix * speed,
        reference=matrix,
        vector=vector_rate,
        exponential=exponential_rate,
        memory=design.memory_bandwidth * (1.0 if full else attainable.memory),
        matrix_16_bit=matrix_16_bit,
    )
