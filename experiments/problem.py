"""From a scenario to what the search takes: space, choices, workload, technology, objectives, execution."""

import itertools
from typing import NamedTuple

import jax.numpy as jnp

import codesign
import hardware_priors
from codesign.numerics.fields import real
from codesign.search import Choice, Space
from codesign.search.space import CONTINUOUS
from codesign.workload.catalogue import model
from experiments.scenario import Scenario
from hardware_priors.quantities import parse
from objectives import Objective, objective

EXECUTIONS: dict[str, type] = {
    "operatorwise": codesign.Operatorwise,
    "dataflow": codesign.Dataflow,
    "limit": codesign.Limit,
}


class Problem(NamedTuple):
    """The arguments of ``codesign.search.optimize``."""

    space: Space
    choices: list[Choice]
    workload: codesign.Workload
    technology: codesign.Technology
    objectives: list[Objective]
    execution: codesign.Execution


def problem(scenario: Scenario) -> Problem:
    """Look up a scenario's names and convert its quantities to SI.

    Raises:
        ValueError: an unknown model, technology or objective, with the nearest.
    """
    return Problem(
        space=space(scenario),
        choices=choices(scenario),
        workload=workload(scenario),
        technology=hardware_priors.technology(**scenario.technology.model_dump()),
        objectives=[objective(name) for name in scenario.search.objectives],
        execution=EXECUTIONS[scenario.search.execution](),
    )


def workload(scenario: Scenario) -> codesign.Workload:
    """Model, phase, precision and promise; the batch is the search's to choose and stands at 1."""
    work = scenario.workload
    if work.phase == "decode":
        phase: codesign.Phase = codesign.Decode(batch=real(1), context=real(work.context))
    else:
        phase = codesign.Prefill(batch=real(1), prompt=real(work.context))
    precision = codesign.Precision(
        weight_bits=real(work.weight_bits),
        expert_weight_bits=real(work.weight_bits),
        state_bits=real(work.kv_bits),
        activation_bits=real(work.activation_bits),
        message_bits=real(work.message_bits),
    )
    return codesign.Workload(model(work.model), phase, precision, promise=real(parse(work.promise, like="s")))


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
    ends = {name: [parse(end, like=units[name]) for end in getattr(box, name)] for name in CONTINUOUS}
    base = codesign.Design(
        **{name: real(low) for name, (low, _) in ends.items()},
        chips=real(box.chips[0]),
        sram_capacity=real(parse(fixed.sram_capacity, like="B")),
        scale_up_domain=real(fixed.scale_up_domain),
        scale_out_bandwidth=real(parse(fixed.scale_out_bandwidth, like="B/s")),
        scale_out_latency=real(parse(fixed.scale_out_latency, like="s")),
    )
    low, high = (jnp.asarray([ends[name][k] for name in CONTINUOUS]) for k in (0, 1))
    return Space(base=base, low=low, high=high, chips=box.chips, batch=box.batch)


def choices(scenario: Scenario) -> list[Choice]:
    """Every combination of the alternatives, named so that a person recognises it."""
    offered = scenario.choices
    offered_plans = itertools.product(offered.collectives, offered.dies, offered.pipeline)
    return [
        Choice(
            name=f"{collective}, {dies} {'die' if dies == 1 else 'dies'}" + (f", {stages} stages" if stages > 1 else ""),
            plan=codesign.Plan(pipeline=real(stages), all_reduce=real(codesign.ALGORITHMS[collective])[None]),
            dies=real(dies),
        )
        for collective, dies, stages in offered_plans
    ]
