"""From the arguments of ``evaluate`` to a design, a workload, a plan, a technology and an execution model."""

import dataclasses
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp

import codesign
import hardware_priors
from codesign.calibration.names import Formats
from codesign.numerics.fields import real
from codesign.numerics.units import MICRO, MILLI
from codesign.workload.catalogue import model
from codesign.workload.transformer import UNLIMITED, GroupedAttention, LinearAttention, MixtureOfExperts, Transformer
from experiments.parallelism import Parallelism
from experiments.refusal import Refused, expected

if TYPE_CHECKING:
    from experiments.point_arguments import PointArguments


@dataclasses.dataclass(frozen=True)
class OperatingPoint:
    """All that one evaluation needs, and what the user called it."""

    arguments: "PointArguments"
    shares: Parallelism
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
    transformer = model(arguments.model, nominal_parameters=arguments.nominal_parameters)
    if arguments.expert != 1 and not _has_experts(transformer):
        raise Refused(f"--expert is {arguments.expert!r}, but {transformer.name} has no experts; expected 1")
    device = hardware_priors.device(arguments.device)
    precision = codesign.Precision(
        weight_bits=real(arguments.weight_bits),
        expert_weight_bits=real(arguments.weight_bits),
        state_bits=real(arguments.kv_bits),
        activation_bits=real(arguments.activation_bits),
    )
    design = device.design(arguments.chips, max(arguments.weight_bits, arguments.activation_bits))
    if arguments.sync_latency_us is not None:
        design = dataclasses.replace(design, sync_latency=real(arguments.sync_latency_us * MICRO))
    choices = technology_choices(arguments, device)
    promise = UNLIMITED if arguments.promise_ms is None else arguments.promise_ms * MILLI
    return OperatingPoint(
        arguments=arguments,
        shares=shares,
        device=device,
        design=design,
        workload=codesign.Workload(transformer, phase(arguments), precision, promise=real(promise)),
        plan=plan(arguments, shares),
        choices=choices,
        technology=hardware_priors.technology(**choices),  # pyright: ignore[reportArgumentType]
        execution=execution(arguments, device, transformer.name),
    )


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


def execution(arguments: "PointArguments", device: Any, model_name: str) -> codesign.Execution:
    """The execution model by its name."""
    if arguments.execution == "limit":
        names = ("syncs_per_layer", "syncs_per_expert_layer")
        told = {name: real(value) for name in names if (value := getattr(arguments, name)) is not None}
        return codesign.Limit(**told)
    if arguments.execution == "calibrated":
        return calibrated_execution(arguments, device, model_name)
    return codesign.Dataflow() if arguments.execution == "dataflow" else codesign.Operatorwise()


def calibrated_execution(arguments: "PointArguments", device: Any, model_name: str) -> codesign.Calibrated:
    """The calibrated execution of the device, engine and model, by the profile that was named.

    Raises:
        Refused: an engine that no profile knows.
    """
    from codesign.calibration.execution import ANY_ENGINE, calibrated
    from codesign.calibration.names import engine as engine_named
    from hardware_priors.machines import machine_of
    from hardware_priors.profiles import profile

    engine = ANY_ENGINE if arguments.engine is None else engine_named(arguments.engine, hardware=arguments.device.upper())
    if engine.family == "other":
        known = ("vllm", "sglang", "tensorrt-llm", "atom", "llama.cpp", "neuron")
        raise Refused(f"--engine is {arguments.engine!r}; {expected(str(arguments.engine), known)}")
    bits = Formats(
        weights=arguments.weight_bits,
        experts=arguments.weight_bits,
        cache=arguments.kv_bits,
        activations=arguments.activation_bits,
        product_width=width(max(arguments.weight_bits, arguments.activation_bits)),
        expert_width=width(max(arguments.weight_bits, arguments.activation_bits)),
    )
    return calibrated(profile(arguments.profile), machine_of(device, arguments.chips), bits, engine, model_name)


def width(bits: float) -> int:
    """The width of the arithmetic that serves operands of so many bits: 4, 8 or 16."""
    return 4 if bits <= 4.9 else 8 if bits <= 8 else 16


def technology_choices(arguments: "PointArguments", device: Any) -> dict[str, str]:
    """Node, memory, link: the device's own where the user names none."""
    stated: dict[str, str | None] = {"node": arguments.node, "memory": arguments.memory, "link": arguments.link}
    if None in stated.values():
        own = device.technology_names()
        stated = {name: value or own[k] for k, (name, value) in enumerate(stated.items())}
    names = {name: value for name, value in stated.items() if value is not None}
    return {**names, "cooling": arguments.cooling, "price_basis": arguments.price_basis}
