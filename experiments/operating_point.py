"""From the arguments of ``evaluate`` to a design, a workload, a plan, a technology and an execution model."""

import dataclasses
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp

import codesign
import hardware_priors
from codesign.numerics.fields import real
from codesign.numerics.units import MICRO, MILLI
from codesign.workload.catalogue import reading
from codesign.workload.precision import PARTS
from codesign.workload.reading import Reading, one_width, override
from codesign.workload.transformer import UNLIMITED, GroupedAttention, LinearAttention, MixtureOfExperts, Transformer
from experiments.parallelism import Parallelism
from experiments.refusal import Refused

if TYPE_CHECKING:
    from experiments.point_arguments import PointArguments


LIMIT_STUDY_BITS = 8.0
"""Weights, cache and activations of the limit study (arXiv 2507.14397 section 3): its execution has them unless told."""


@dataclasses.dataclass(frozen=True)
class OperatingPoint:
    """All that one evaluation needs, and what the user called it."""

    arguments: "PointArguments"
    shares: Parallelism
    reading: Reading
    device: Any
    design: codesign.Design
    workload: codesign.Workload
    plan: codesign.Plan
    choices: dict[str, str]
    technology: codesign.Technology
    execution: codesign.Execution


def operating_point(arguments: "PointArguments", shares: Parallelism) -> OperatingPoint:
    """Look everything up by name.

    Raises:
        Refused, ValueError: an unknown name or an impossible combination, in one sentence.
    """
    read = reading(arguments.model, nominal_parameters=arguments.nominal_parameters)
    transformer = read.model
    if arguments.expert != 1 and not _has_experts(transformer):
        raise Refused(f"--expert is {arguments.expert!r}, but {transformer.name} has no experts; expected 1")
    device = hardware_priors.device(arguments.device)
    precision = computable(device, stated_precision(arguments, read))
    design = device.design(arguments.chips, float(precision.compute_bits))
    if arguments.sync_latency_us is not None:
        design = dataclasses.replace(design, sync_latency=real(arguments.sync_latency_us * MICRO))
    choices = technology_choices(arguments, device)
    promise = UNLIMITED if arguments.promise_ms is None else arguments.promise_ms * MILLI
    return OperatingPoint(
        arguments=arguments,
        shares=shares,
        reading=dataclasses.replace(read, precision=precision),
        device=device,
        design=design,
        workload=codesign.Workload(transformer, phase(arguments), precision, promise=real(promise)),
        plan=plan(arguments, shares),
        choices=choices,
        technology=hardware_priors.technology(**choices),  # pyright: ignore[reportArgumentType]
        execution=execution(arguments),
    )


def stated_precision(arguments: "PointArguments", read: Reading) -> codesign.Precision:
    """What the file says (in the limit study: what that has), with what the user says instead."""
    stated = codesign.uniform(LIMIT_STUDY_BITS) if arguments.execution == "limit" else read.precision
    names = ("weight_bits", "expert_weight_bits", "kv_bits", "activation_bits")
    return one_width(override(stated, **{name: getattr(arguments, name) for name in names}))


def computable(device: Any, precision: codesign.Precision) -> codesign.Precision:
    """The same storage, with arithmetic no narrower than the device has faster products for."""
    narrowest = float(precision.compute_bits)
    peaks = {bits: float(device.design(1, bits).peak_flops) for bits in (narrowest, 8.0, 4.0) if bits <= narrowest}
    for bits, peak in peaks.items():
        narrowest = bits if peak > 1.01 * peaks[narrowest] else narrowest
    own = {name: part for name in PARTS if (part := getattr(precision, name)) is not None}
    wide = {name: dataclasses.replace(part, input_bits=jnp.maximum(part.input_bits, narrowest)) for name, part in own.items()}
    return dataclasses.replace(precision, **wide)


def _has_experts(transformer: Transformer) -> bool:
    return any(isinstance(kind.feed_forward, MixtureOfExperts) for kind in transformer.layers)


def kv_heads(transformer: Transformer) -> float:
    """The most ranks that a layer's cache divides over; a latent counts as one head [1]."""
    counts = [1.0]
    for kind in transformer.layers:
        if isinstance(kind.attention, GroupedAttention):
            counts.append(float(kind.attention.kv_heads))
        elif isinstance(kind.attention, LinearAttention):
            counts.append(float(kind.attention.value_heads))
    return max(counts)


def phase(arguments: "PointArguments") -> codesign.Phase:
    """The step: decode, or prefill of a prompt."""
    if arguments.phase == "decode":
        return codesign.Decode(batch=real(arguments.batch), context=real(arguments.context))
    return codesign.Prefill(
        batch=real(arguments.batch),
        prompt=real(arguments.prompt or arguments.context),
        cached=real(arguments.cached or 0.0),
    )


def plan(arguments: "PointArguments", shares: Parallelism) -> codesign.Plan:
    """The layout, with the all-reduce algorithms on offer stacked."""
    return codesign.Plan(
        pipeline=real(shares.pipeline),
        context=real(shares.context),
        data=real(shares.data),
        expert=real(codesign.WHOLE_EXPERTS if arguments.expert == "whole" else arguments.expert),
        kv_ideal=real(1.0 if arguments.kv_split == "ideal" else 0.0),
        all_reduce=jnp.stack([jnp.asarray(codesign.ALGORITHMS[name]) for name in arguments.collective]),
    )


def execution(arguments: "PointArguments") -> codesign.Execution:
    """The execution model by its name."""
    if arguments.execution == "limit":
        names = ("syncs_per_layer", "syncs_per_expert_layer")
        told = {name: real(value) for name in names if (value := getattr(arguments, name)) is not None}
        return codesign.Limit(**told)
    return codesign.Dataflow() if arguments.execution == "dataflow" else codesign.Operatorwise()


def technology_choices(arguments: "PointArguments", device: Any) -> dict[str, str]:
    """Node, memory, link: the device's own where the user names none."""
    stated: dict[str, str | None] = {"node": arguments.node, "memory": arguments.memory, "link": arguments.link}
    if None in stated.values():
        own = device.technology_names()
        stated = {name: value or own[k] for k, (name, value) in enumerate(stated.items())}
    names = {name: value for name, value in stated.items() if value is not None}
    return {**names, "cooling": arguments.cooling, "price_basis": arguments.price_basis}
