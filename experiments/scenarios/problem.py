"""From a scenario to what the search takes: spaces, services, choices, objectives, bounds,
execution."""

import itertools
from collections.abc import Iterable
from typing import NamedTuple

from jax import Array

import codesign
from codesign.limits import LimitRow
from codesign.numerics.fields import real
from codesign.search import CONTINUOUS, Bound, Choice, Kind, Service, Space
from codesign.search.statement.services import steps
from codesign.workload.catalogue import reading
from codesign.workload.phases import Phase, Serving
from codesign.workload.reading import one_width, override
from codesign.workload.transformer import UNLIMITED, has_experts
from experiments.points.cautions import refuse_more_stages, too_long
from experiments.scenarios.schema import Scenario
from experiments.scenarios.technologies import combinations, limit_rows, offered, technology
from experiments.scenarios.work import Work
from hardware_priors.quantities import parse
from objectives import Objective, objective

EXECUTIONS: dict[str, type] = {
    "operatorwise": codesign.Operatorwise,
    "dataflow": codesign.Dataflow,
    "limit": codesign.LimitStudy,
}

OUTWARD = 1e3
"""Widening of the clock's range beyond what any process allows: the process's own limit is to bind,
not the box."""


class Problem(NamedTuple):
    """The arguments of ``codesign.search.optimize``."""

    spaces: list[Space]
    services: list[Service]
    choices: list[Choice]
    objectives: list[Objective]
    bounds: list[Bound]
    limits: tuple[LimitRow, ...]
    execution: codesign.Execution


def problem(scenario: Scenario) -> Problem:
    """Look up a scenario's names and convert its quantities to SI.

    Raises:
        ValueError: an unknown model, technology or objective, with the nearest.
    """
    services = [service(work, scenario.space.batch) for work in scenario.workload]
    for work, one in zip(scenario.workload, services, strict=True):
        refuse_more_stages(
            max(scenario.choices.pipeline), one.model, f"choices.pipeline for {work.model}"
        )
    return Problem(
        spaces=[space(scenario) for _ in scenario.machines],
        services=services,
        choices=choices(scenario, services),
        objectives=[objective(name) for name in scenario.search.objectives],
        bounds=[Bound(limit.outcome, limit.least, limit.most) for limit in scenario.bounds],
        limits=limit_rows(scenario),
        execution=execution(scenario, services),
    )


def execution(scenario: Scenario, services: list[Service]) -> codesign.Execution:
    """The execution that a scenario names."""
    search = scenario.search
    if search.execution == "calibrated":
        from experiments.points.calibrated import design_execution

        return design_execution(search.like, search.engine, search.profile, services)
    return EXECUTIONS[search.execution]()


def warnings(scenario: Scenario) -> list[str]:
    """What a reader must know before believing the numbers."""
    asked = [
        (work.context or 0) if work.phase == "decode" else (work.prompt or 0) + (work.output or 0)
        for work in scenario.workload
    ]
    told = [
        too_long(most, reading(work.model))
        for most, work in zip(asked, scenario.workload, strict=True)
    ]
    if scenario.search.execution == "calibrated":
        kin = scenario.search.like
        whose = (
            f"of {kin} and its family"
            if kin
            else "of no device in particular (the generic level of all vendors)"
        )
        told.append(
            [
                f"floors, losses and host time are {whose}, at their central values: what is proved"
                " is proved of these, and a design that nobody built may differ by the band that"
                " codesign evaluate --execution calibrated prints for an unmeasured device"
            ]
        )
    return list(dict.fromkeys(line for lines in told for line in lines))


def service(work: Work, batch: tuple[int, int]) -> Service:
    """Model, phase, precision and promises; the batch is the search's to choose and stands at 1.

    Raises:
        ValueError: an unknown model, or a width of experts that it has not.
    """
    read = reading(work.model)
    if work.expert_weight_bits is not None and not has_experts(read.model):
        raise ValueError(
            f"expert_weight_bits of {work.model} has no effect: it has no experts; expected no"
            " such key"
        )
    names = ("weight_bits", "expert_weight_bits", "kv_bits", "activation_bits", "message_bits")
    precision = one_width(override(read.precision, **{name: getattr(work, name) for name in names}))
    first = UNLIMITED if work.first_promise is None else parse(work.first_promise, like="s")
    return Service(
        read.model,
        phase(work),
        precision,
        real(parse(work.promise, like="s")),
        real(first),
        real(work.share),
        batch,
        work.decode_machine,
        work.prefill_machine,
    )


def _given(positions: float | None) -> Array:
    """A number of positions, which the schema has checked to be there."""
    assert positions is not None
    return real(positions)


def phase(work: Work) -> Phase | Serving:
    """The phase of a service at batch 1."""
    draft = None
    if work.draft_length:
        draft = codesign.Draft(work.draft_length, work.draft_acceptance, work.draft_cost)
    if work.phase == "decode":
        return codesign.Decode(batch=real(1), context=_given(work.context), draft=draft)
    if work.phase == "prefill":
        return codesign.Prefill(batch=real(1), prompt=_given(work.prompt), cached=real(work.cached))
    return codesign.Serving(
        _given(work.prompt),
        _given(work.output),
        real(1),
        cached=work.cached,
        load=work.load,
        draft=draft,
    )


def space(scenario: Scenario) -> Space:
    """The box in SI, and the design that supplies what is not searched."""
    units = {
        "memory_bandwidth": "B/s",
        "memory_capacity": "B",
        "peak_flops": "FLOP/s",
        "sync_latency": "s",
        "link_bandwidth": "B/s",
    }
    box, fixed = scenario.space, scenario.fixed
    ends = {
        name: [parse(end, like=unit) for end in getattr(box, name)] for name, unit in units.items()
    }
    ends["clock"] = [1.0 / OUTWARD, OUTWARD]  # the process says how slow and how fast
    base = codesign.Design(
        **{name: real(low) for name, (low, _) in ends.items()},
        chips=real(box.chips[0]),
        sram_bandwidth=real(1e9),  # nothing is kept on chip: what its bytes take is its area
        scale_out_bandwidth=real(parse(fixed.scale_out_bandwidth, like="B/s")),
        scale_out_latency=real(parse(fixed.scale_out_latency, like="s")),
    )
    low, high = ([ends[name][k] for name in CONTINUOUS] for k in (0, 1))
    return Space(base=base, low=low, high=high, chips=box.chips, buildable=box.mode == "build")


class Layout(NamedTuple):
    """How a scenario's models may be laid out and stored, whatever the machine: half of a
    ``Choice``."""

    words: tuple[str, ...]
    plans: tuple[codesign.Plan, ...]  # one a step
    bits: float | None  # of the weights; None: as each service says
    precisions: tuple[
        codesign.Precision, ...
    ]  # one a service, none where bits are no matter of choice


def layouts(scenario: Scenario, services: list[Service]) -> list[Layout]:
    """Every combination of the alternatives that any machine may take: designs and devices
    alike."""
    offered = scenario.choices
    dealt = any(has_experts(one.model) for one in services)
    if "experts" in offered.model_fields_set and not dealt:
        names = ", ".join(one.model.name for one in services)
        raise ValueError(
            f"choices.experts = {list(offered.experts)} has no effect: {names} has no experts;"
            " expected a model that has, or no such key"
        )
    ways = itertools.product(
        offered.collectives,
        offered.pipeline,
        offered.experts if dealt else ("",),
        offered.attention_data,
        offered.context_parallel,
    )
    found = []
    for way, bits in itertools.product(ways, offered.weight_bits or (None,)):
        plans = tuple(
            _plan(*way, prefill=step.prefill, one=services[step.service])
            for step in steps(services)
        )
        precisions = (
            () if bits is None else tuple(_with_weights(one.precision, bits) for one in services)
        )
        found.append(Layout(_words(*way), plans, bits, precisions))
    return found


def choices(scenario: Scenario, services: list[Service]) -> list[Choice]:
    """Every layout on every machine that the alternatives allow, named so that a person recognises
    it."""
    machines = [list(_kinds(scenario, number)) for number in range(len(scenario.machines))]
    found = []
    for way, kinds in itertools.product(layouts(scenario, services), itertools.product(*machines)):
        own = [" ".join(label.values()) for label, _ in kinds]
        name = ", ".join([*way.words, " + ".join(own) if len(machines) > 1 else own[0]])
        name += "" if way.bits is None else f", {way.bits:g}-bit weights"
        found.append(Choice(name, way.plans, tuple(kind for _, kind in kinds), way.precisions))
    return found


def _with_weights(precision: codesign.Precision, bits: float) -> codesign.Precision:
    return one_width(override(precision, weight_bits=bits))


def _kinds(scenario: Scenario, number: int) -> Iterable[tuple[dict[str, str], Kind]]:
    """What one kind of machine may be made with: what tells alternatives apart, and the kind
    itself."""
    alternatives, parts = scenario.choices, offered(scenario, number)
    for chosen in combinations(scenario, number):
        several = len(parts["cooling"]) > 1 and "3d-stack" in parts["cooling"]
        if several and (chosen["memory"] == "3D-DRAM") != (chosen["cooling"] == "3d-stack"):
            # of several coolings, memory on the logic takes the stack's, and nothing else does
            continue
        made = technology(scenario, chosen)
        told = {part: name for part, name in chosen.items() if len(parts[part]) > 1}
        for dies, sram, domain in itertools.product(
            alternatives.dies, alternatives.sram, alternatives.domain
        ):
            label = {**told, "dies": f"{dies} {'die' if dies == 1 else 'dies'}"}
            label |= {"sram": sram} if len(alternatives.sram) > 1 else {}
            label |= {"domain": f"domain {domain}"} if len(alternatives.domain) > 1 else {}
            yield label, Kind(made, real(dies), real(parse(sram, like="B")), real(domain))


def _plan(
    collective: str,
    pipeline: int,
    experts: str,
    data: int,
    context: int,
    *,
    prefill: bool,
    one: Service,
) -> codesign.Plan:
    collective = "two-shot" if prefill or isinstance(one.phase, codesign.Prefill) else collective
    return codesign.Plan(
        pipeline=real(pipeline),
        data=real(
            1 if prefill else data
        ),  # a prompt is one sequence: its attention is cut over all chips
        context=real(context),
        expert=real(codesign.WHOLE_EXPERTS if experts == "whole" else 1.0),
        all_reduce=real(codesign.ALGORITHMS[collective])[None],
    )


def _words(
    collective: str, pipeline: int, experts: str, data: int, context: int
) -> tuple[str, ...]:
    words = [collective]
    words += [f"{pipeline} stages"] if pipeline > 1 else []
    words += [f"{experts} experts"] if experts else []
    words += [f"{data} attention groups"] if data > 1 else []
    words += [f"context over {context}"] if context > 1 else []
    return tuple(words)
