"""From the arguments of ``evaluate`` to a design, a workload, a plan, a technology and an execution
model."""

import dataclasses
from functools import cached_property
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

import codesign
import hardware_priors
from codesign.numerics.fields import real
from codesign.numerics.units import MICRO, MILLI
from codesign.workload.catalogue import reading
from codesign.workload.reading import Reading, one_width, override
from codesign.workload.transformer import (
    UNLIMITED,
    Transformer,
    has_experts,
)
from experiments.points.cautions import refuse_more_stages, too_long
from experiments.points.parallelism import Parallelism
from experiments.terminal.refusal import Refused
from hardware_priors.choices import choice
from hardware_priors.devices import Device
from hardware_priors.machines import machine_of
from hardware_priors.own_device import OwnDevice
from hardware_priors.plannable import computable
from hardware_priors.quantities import parse

if TYPE_CHECKING:
    from experiments.points.arguments import PointArguments


LIMIT_STUDY_BITS = 8.0
"""Weights, cache and activations of the limit study (arXiv 2507.14397 section 3): its execution has
them unless told."""


@dataclasses.dataclass(frozen=True)
class OperatingPoint:
    """All that one evaluation needs, and what the user called it."""

    arguments: "PointArguments"
    shares: Parallelism
    reading: Reading
    device: Device | OwnDevice
    design: codesign.Design
    workload: codesign.Workload
    plan: codesign.Plan
    choices: dict[str, str]
    technology: codesign.Technology
    execution: codesign.Execution
    own_technology: tuple[str, str, str] | None

    @cached_property
    def operators(self) -> codesign.OperatorTable:
        """The model's operators, under their own names."""
        with jax.disable_jit():  # some hundred additions, which nobody asks for twice
            return codesign.operator_table(
                self.workload.model,
                self.workload.precision,
                slice_columns=self.technology.attainable.slice_columns,
            )

    @property
    def warnings(self) -> list[str]:
        """What a reader must know before believing the numbers."""
        arguments = self.arguments
        length = (
            arguments.context
            if arguments.phase == "decode"
            else arguments.prompt or arguments.context
        )
        return too_long(length, self.reading)


WHAT_IF = {
    "memory_bandwidth": "B/s",
    "memory_capacity": "B",
    "peak_flops": "FLOP/s",
    "link_bandwidth": "B/s",
    "pool_bandwidth": "B/s",
    "pool_capacity": "B",
}
"""Quantities of a design that an option may state instead of the device, with their units."""


def operating_point(arguments: "PointArguments", shares: Parallelism) -> OperatingPoint:
    """Look everything up by name.

    Raises:
        Refused, ValueError: an unknown name or an impossible combination, in one sentence.
    """
    read = reading(arguments.model, nominal_parameters=arguments.nominal_parameters)
    transformer = read.model
    if arguments.expert != 1 and not has_experts(transformer):
        raise Refused(
            f"--expert is {arguments.expert!r}, but {transformer.name} has no experts; expected 1"
        )
    if arguments.expert_weight_bits is not None and not has_experts(transformer):
        raise Refused(
            f"--expert-weight-bits is {arguments.expert_weight_bits:g}, but {transformer.name} has"
            " no experts; expected it left out"
        )
    refuse_more_stages(shares.pipeline, transformer, "--pipeline")
    device = hardware_priors.device(arguments.device)
    if arguments.execution is None:
        arguments = dataclasses.replace(arguments, execution=usual_execution(arguments, device))
    precision = computable(device, stated_precision(arguments, read))
    design = machine(arguments, device, float(precision.compute_bits))
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
        execution=execution(arguments, device, read, precision),
        own_technology=_own_technology(device),
    )


def machine(
    arguments: "PointArguments", device: Device | OwnDevice, bits: float
) -> codesign.Design:
    """The device's design for products of a width [bit], with what the arguments state instead.

    Raises:
        Refused: a quantity that cannot be read, or bytes in a pool that is not there.
    """
    stated: dict[str, float] = {}
    for name, unit in WHAT_IF.items():
        if (text := getattr(arguments, name)) is not None:
            stated[name] = _quantity(name, text, unit)
    if arguments.sync_latency_us is not None:
        stated["sync_latency"] = arguments.sync_latency_us * MICRO
    if arguments.scale_up_domain is not None:
        stated["scale_up_domain"] = arguments.scale_up_domain
    design = device.design(arguments.chips, bits)
    design = dataclasses.replace(design, **{name: real(value) for name, value in stated.items()})
    lacking = [
        name for name in ("pool_capacity", "pool_bandwidth") if not float(getattr(design, name)) > 0
    ]
    for option in ("weights_in_pool", "state_in_pool"):
        if getattr(arguments, option) > 0 and lacking:
            raise Refused(
                f"--{option.replace('_', '-')} is {getattr(arguments, option):g}, but {device.name}"
                " has no pool; expected"
                f" {' and '.join('--' + name.replace('_', '-') for name in lacking)}, or a device"
                " file that states them"
            )
    if len(lacking) == 1:
        other = "pool_bandwidth" if lacking[0] == "pool_capacity" else "pool_capacity"
        raise Refused(
            f"--{other.replace('_', '-')} is given without --{lacking[0].replace('_', '-')};"
            " expected both"
        )
    return design


def _quantity(name: str, text: str, unit: str) -> float:
    option = f"--{name.replace('_', '-')} is {text!r}"
    try:
        value = parse(text, like=unit)
    except ValueError as error:
        raise Refused(f"{option}: {error}") from None
    if not 0 < value < float("inf"):
        raise Refused(f"{option}; expected a finite quantity above zero [{unit}]")
    return value


def _own_technology(device: Device | OwnDevice) -> tuple[str, str, str] | None:
    try:
        return device.technology_names()
    except ValueError:  # a file of one's own may state none
        return None


def stated_precision(arguments: "PointArguments", read: Reading) -> codesign.Precision:
    """What the file says (in the limit study: what that has), with what the user says instead."""
    stated = (
        codesign.uniform(LIMIT_STUDY_BITS) if arguments.execution == "limit" else read.precision
    )
    names = ("weight_bits", "expert_weight_bits", "kv_bits", "activation_bits")
    return one_width(override(stated, **{name: getattr(arguments, name) for name in names}))


def kv_heads(transformer: Transformer) -> float:
    """The most ranks that a layer's cache divides over; a latent counts as one head [1]."""
    kinds = (kind.attention for kind in transformer.layers if kind.attention is not None)
    counts = [1.0, *(float(heads) for kind in kinds if (heads := kind.cache_heads()) is not None)]
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
    pooled = arguments.weights_in_pool > 0 or arguments.state_in_pool > 0
    tiers = (
        codesign.TierShares(
            weights_in_pool=arguments.weights_in_pool, state_in_pool=arguments.state_in_pool
        )
        if pooled
        else None
    )
    return codesign.Plan(
        pipeline=real(shares.pipeline),
        context=real(shares.context),
        data=real(shares.data),
        expert=real(
            codesign.WHOLE_EXPERTS if isinstance(arguments.expert, str) else float(arguments.expert)
        ),
        kv_ideal=real(1.0 if arguments.kv_split == "ideal" else 0.0),
        all_reduce=jnp.stack(
            [jnp.asarray(codesign.ALGORITHMS[name]) for name in arguments.collective]
        ),
        tiers=tiers,
    )


def usual_execution(arguments: "PointArguments", device: Device | OwnDevice) -> str:
    """Calibrated for a machine that exists; operator-wise for the limit study's, which nobody
    measured or will, and for one whose rates are not published in full."""
    if device.name.startswith("xpu-") and arguments.profile is None and arguments.engine is None:
        return "operatorwise"
    try:
        machine_of(device, arguments.chips)
    except ValueError:
        return "operatorwise"
    return "calibrated"


def execution(
    arguments: "PointArguments",
    device: Device | OwnDevice,
    read: Reading,
    precision: codesign.Precision,
) -> codesign.Execution:
    """The execution model by its name."""
    if arguments.execution == "calibrated":
        from experiments.points.calibrated import calibrated_execution

        return calibrated_execution(arguments, device, read, precision)
    if arguments.execution == "limit":
        names = ("syncs_per_layer", "syncs_per_expert_layer")
        told = {
            name: real(value) for name in names if (value := getattr(arguments, name)) is not None
        }
        return codesign.LimitStudy(**told)
    return codesign.Dataflow() if arguments.execution == "dataflow" else codesign.Operatorwise()


def technology_choices(arguments: "PointArguments", device: Device | OwnDevice) -> dict[str, str]:
    """Node, memory, link: the device's own where the user names none."""
    stated: dict[str, str | None] = {
        "node": arguments.node,
        "memory": arguments.memory,
        "link": arguments.link,
    }
    if None in stated.values():
        own = device.technology_names()
        stated = {name: value or own[k] for k, (name, value) in enumerate(stated.items())}
    stated |= {"cooling": arguments.cooling, "pool": arguments.pool}
    names = {name: _choice(name, value) for name, value in stated.items() if value is not None}
    own = {"machine_class": device.machine_class}
    return {**names, **own, "price_basis": arguments.price_basis}


def _choice(name: str, value: str) -> str:
    try:
        return choice(name, value)
    except ValueError as error:
        asked = {
            "link": "--link-bandwidth and --sync-latency-us",
            "memory": "--memory-bandwidth and --memory-capacity",
        }.get(name)
        raise Refused(
            f"{error}" + (f"; what other speeds would do: {asked}" if asked else "")
        ) from None
