"""One step of the busiest chip: rates in, seconds of operators and collectives out."""

import equinox as eqx

from codesign.hardware.design import Design
from codesign.numerics.fields import Real
from codesign.numerics.ties import at_least, greater
from codesign.performance.collectives import PerCollective
from codesign.performance.load import Load
from codesign.performance.plan import Plan
from codesign.workload.operator import PerOperator
from codesign.workload.operators import OperatorTable
from codesign.workload.phases import Decode, Draft, Phase


class Rates(eqx.Module):
    """What a chip attains: peaks times attainable fractions."""

    matrix: PerOperator  # [FLOP/s] at the width at which each operator computes
    vector: Real  # [FLOP/s]
    exponential: Real  # [1/s]
    reference: Real  # [FLOP/s] matrix rate at the width for which the design states its peak
    memory: Real  # [B/s]
    matrix_16_bit: Real  # [FLOP/s] the full peak at 16 bit, for products that no format narrows


class Traffic(eqx.Module):
    """Bytes of each operator by tier (operators,): main memory, pool, and weights that stay on chip
    [B]."""

    main: PerOperator
    pool: PerOperator
    on_chip: PerOperator


class Step(eqx.Module):
    """A step of the busiest chip, in seconds; shapes (operators,) and (collectives,).

    ``compute``, ``vector`` and ``memory`` are what each operator would take if that resource alone
    bound it; ``operators`` is what it takes under the execution model, ``floor`` the part of that
    which no resource shortens, and ``time`` the sum of operators, collectives and the ``host``'s
    time. With drafts the operators come twice, those of the drafting passes last
    (``operator_names``).
    """

    compute: PerOperator
    vector: PerOperator
    memory: PerOperator
    operators: PerOperator
    floor: PerOperator
    turns: PerOperator  # [1] 1 where arithmetic and streaming take turns
    equivalent_flops: PerOperator  # [FLOP] at the width for which the design states its peak
    latency: PerCollective
    transfer: PerCollective
    host: Real
    time: Real
    load: Load
    traffic: Traffic
    wire: Real  # [B] bytes one chip sends
    # [1] communication takes
    # syncs · sync latency + inner_wire / link bandwidth + what the outer tier takes
    syncs: Real
    inner_wire: Real  # [B]
    group: PerOperator  # which operators Dataflow may fuse


def draft_of(phase: Phase) -> Draft | None:
    """The draft of a phase, None where there is none."""
    return phase.draft if isinstance(phase, Decode) else None


def operator_names(table: OperatorTable, phase: Phase) -> tuple[str, ...]:
    """Names of the operators of a ``Step``, in order."""
    drafts = () if draft_of(phase) is None else tuple(f"draft: {name}" for name in table.names)
    return table.names + drafts


def memory_time(moved: Traffic, plan: Plan, rates: Rates, design: Design) -> PerOperator:
    """Streaming time of each operator; tiers stream side by side, so the slowest of them binds."""
    main = moved.main / rates.memory
    if plan.tiers is None:
        return main
    pool, on_chip = (
        moved.pool / at_least(design.pool_bandwidth, 1.0),
        moved.on_chip / design.sram_bandwidth,
    )
    return greater(greater(main, pool), on_chip)
