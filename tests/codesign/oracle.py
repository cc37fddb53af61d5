"""A second performance model to hold the first against: plain Python that walks over layers,
operators and collectives.

Written from the specification of the physics without sight of the model's code, so that a mistake
has to be made twice to go unnoticed. Nothing is vectorised, differentiable or fast. It shares with
the model only the dataclasses of its input and the statistics of expert routing
(``codesign.workload.experts``), which have simulations of their own as tests. Not covered:
``nominal_parameters``, ``TierShares`` and the smoothing temperature.

Everything is per chip and in SI units. All chips of an ideal division carry the same load, so one
of them is followed. What it computes, reads and keeps is in ``oracle_work``, what it sends in
``oracle_collectives``; here are time and sums.
"""

import dataclasses
import math

from codesign import Dataflow, Decode, Design, Execution, LimitStudy, Plan, Technology, Workload
from codesign.workload.transformer import MixtureOfExperts
from tests.codesign.oracle_collectives import Network, messages
from tests.codesign.oracle_work import Chip, Operator


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a step costs, drafts included.

    Step time [s], time per token [s], bytes that all chips keep [B]; FLOPs [FLOP], bytes of memory
    traffic [B] and bytes sent [B] of one chip.
    """

    step_time: float
    time_per_token: float
    capacity: float
    flops: float
    moved: float
    wire: float


def answer(
    design: Design, workload: Workload, plan: Plan, technology: Technology, execution: Execution
) -> Answer:
    """What a step costs: a pass that verifies and, before it, one after the other, passes that
    draft a token each."""
    draft = workload.phase.draft if isinstance(workload.phase, Decode) else None
    length, acceptance, cost = (
        (0.0, 0.0, 0.0)
        if draft is None
        else map(float, (draft.length, draft.acceptance, draft.cost))
    )
    verifying = Step(design, workload, plan, technology, execution, drafted=length)
    plain = Step(design, workload, plan, technology, execution, drafted=0.0)
    drafts = round(length) * cost  # by a model of ``cost`` times the size
    time = verifying.time() + drafts * plain.time()
    return Answer(
        step_time=time,
        time_per_token=time / sum(acceptance**accepted for accepted in range(round(length) + 1)),
        capacity=(1 + cost) * verifying.capacity(),  # of both models
        flops=verifying.flops() + drafts * plain.flops(),
        moved=verifying.moved() + drafts * plain.moved(),
        wire=verifying.wire() + drafts * plain.wire(),
    )


class Step:
    """One pass through the model, ``drafted`` rows beside the one of each sequence."""

    def __init__(
        self,
        design: Design,
        workload: Workload,
        plan: Plan,
        technology: Technology,
        execution: Execution,
        drafted: float,
    ):
        self.design, self.execution, self.ideal = (
            design,
            execution,
            isinstance(execution, LimitStudy),
        )
        good, logic = technology.attainable, technology.logic
        compute, memory = (1.0, 1.0) if self.ideal else (float(good.compute), float(good.memory))
        self.chip = Chip(design, workload, plan, float(good.slice_columns), self.ideal, drafted)
        self.network = Network(design, float(good.link), plan.all_reduce)
        self.batch = float(workload.phase.batch)
        peak = float(design.peak_flops)
        self.gains = {
            16.0: 1.0,
            8.0: float(logic.density_gain_8bit),
            4.0: float(logic.density_gain_4bit),
        }
        at_16_bit = peak / self.gains[self.chip.bits]
        self.matrix_rate = peak * compute
        self.vector_rate = at_16_bit * float(logic.vector_ratio)
        self.exponential_rate = at_16_bit * float(logic.exponential_ratio)
        self.bandwidth = float(design.memory_bandwidth) * memory

    def time(self) -> float:
        groups = list(self.chip.groups())
        if self.ideal:
            compute = sum(
                operator.flops / self.rate(operator) for group in groups for operator in group
            )
            memory = (
                sum(
                    operator.streamed + operator.state_read
                    for group in groups
                    for operator in group
                )
                / self.bandwidth
            )
            return max(compute, memory) + self.limit_synchronisation()
        return sum(map(self.group_time, groups)) + sum(
            seconds for seconds, _ in messages(self.chip, self.network)
        )

    def wire(self) -> float:
        return 0.0 if self.ideal else sum(sent for _, sent in messages(self.chip, self.network))

    def flops(self) -> float:
        return sum(operator.flops for group in self.chip.groups() for operator in group)

    def moved(self) -> float:
        """Bytes, whether they take time or not; the limit study forgets that a cache that grows is
        written."""
        moved = 0.0
        for group in self.chip.groups():
            for operator in group:
                moved += operator.streamed + operator.state_read + operator.activations
                moved += 0.0 if self.ideal else operator.state_written
        return moved

    def group_time(self, group: list[Operator]) -> float:
        if not isinstance(self.execution, Dataflow):
            return sum(max(self.resource_times(operator)) for operator in group)
        fused = [dataclasses.replace(operator, activations=0.0) for operator in group]
        times = [self.resource_times(operator) for operator in fused]
        return max((sum(resource) for resource in zip(*times, strict=True)), default=0.0)

    def rate(self, operator: Operator) -> float:
        """What the matrix unit does at an operator's width [FLOP/s]."""
        return self.matrix_rate * self.gains[operator.bits] / self.gains[self.chip.bits]

    def resource_times(self, operator: Operator) -> tuple[float, float, float]:
        """Seconds of matrix unit, vector unit and memory."""
        compute = operator.flops / self.rate(operator)
        vector = operator.vector / self.vector_rate + operator.exponential / self.exponential_rate
        moved = (
            operator.streamed + operator.state_read + operator.state_written + operator.activations
        )
        elements = float(self.design.sram_capacity) / self.chip.activation
        reused = operator.row_flops / math.sqrt(
            elements
        ) + operator.context_flops * operator.tile / (4 * elements)
        return compute, vector, max(moved, self.chip.activation * reused) / self.bandwidth

    def limit_synchronisation(self) -> float:
        assert isinstance(self.execution, LimitStudy)
        if self.chip.chips <= 1:
            return 0.0
        syncs = 0.0
        for kind in self.chip.layers():
            syncs += float(self.execution.syncs_per_layer)
            if isinstance(kind.feed_forward, MixtureOfExperts):
                syncs += float(self.execution.syncs_per_expert_layer)
        return syncs * float(self.design.sync_latency)

    def capacity(self) -> float:
        """Bytes of weights and of caches on all chips. A chip holds 1/pipeline of everything."""
        users = max(self.batch / self.chip.data, 1.0)
        held = 0.0
        for group in self.chip.groups():
            for operator in group:
                held += (operator.stored + operator.kept * users) / self.chip.pipeline
        return self.chip.chips * held
