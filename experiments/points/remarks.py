"""What a reader must be told before trusting a point: layouts no engine has, prices of another
machine, what was assumed."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import codesign
from codesign.numerics.units import GIBI
from codesign.performance.whole_parts import busiest_rank
from codesign.workload.attention import AttentionKind
from codesign.workload.transformer import Transformer, routings
from experiments.points.records import PointReport
from hardware_priors.own_device import OwnDevice

if TYPE_CHECKING:
    from experiments.points.operating_point import OperatingPoint

FULL = 0.85
"""Share of the memory above which a limit study, which fills it all, is worth a remark: vLLM leaves
10 % by default (``gpu_memory_utilization`` 0.9, docs.vllm.ai) and takes activations and graphs from
what it has. Other executions keep a reserve."""


def remarks(
    model: Transformer, phase: codesign.Phase, plan: codesign.Plan, design: codesign.Design
) -> list[str]:
    """Where a layout or a length is outside what the model or any engine does; the time model goes
    on as the sentence says."""
    stage = float(design.chips / plan.pipeline)
    tensor = stage / float(plan.context * plan.data)
    found = [*_heads(model, tensor), *_experts(model, plan, stage), *_groups(model, phase, plan)]
    if not _whole(tensor) and tensor > 1.0:
        groups = float(plan.pipeline * plan.context * plan.data)
        found.append(
            f"{float(design.chips):g} chips over {groups:g} groups are"
            f" {tensor:.4g} each: the time is that of a group of {math.floor(tensor)}"
        )
    return list(dict.fromkeys(found))


def _heads(model: Transformer, tensor: float) -> Iterator[str]:
    for kind in model.layers:
        attention = kind.attention
        whole = None if attention is None else attention.whole_heads()
        if attention is None or whole is None:  # channels, of which there are thousands
            continue
        heads, what = float(whole[0]), whole[1]
        if tensor > heads:
            yield (
                f"tensor degree {tensor:g} exceeds the {heads:g} {what}: no engine cuts a head, and"
                f" {tensor - heads:g} of {tensor:g} ranks have none (execution limit divides them"
                f" anyway); expected at most {heads:g}"
            )
        elif not _whole(heads / tensor):
            yield (
                f"tensor degree {tensor:g} does not divide the {heads:g} {what}: vLLM, SGLang and"
                " TensorRT-LLM refuse it, and the time is that of the busiest rank, which has"
                f" {_most(heads, tensor, attention)} of them; {_divisors(heads, tensor)}"
            )
        keys = attention.whole_keys()
        if keys is not None and keys > 1.0 and not _whole(float(keys) / tensor):
            yield (
                f"tensor degree {tensor:g} does not divide the {float(keys):g} key heads of"
                " recurrent layers: vLLM refuses it, and copies of keys on several ranks are not"
                f" charged; {_divisors(float(keys), tensor)}"
            )
        if what == "query heads" and (parts := attention.cache_heads()) is not None:
            shared = float(parts)
            if tensor <= heads and not _whole(shared / tensor) and not _whole(tensor / shared):
                yield (
                    f"tensor degree {tensor:g} neither divides the {shared:g} KV heads nor is a"
                    " multiple of them: the cache is charged as that of the busiest rank, which has"
                    f" {_most(shared, min(tensor, shared))}; {_fitting(shared, heads, tensor)}"
                )


def _most(heads: float, tensor: float, attention: AttentionKind | None = None) -> int:
    """Heads of the busiest rank of the smallest group of chips, which has as few heads of the cache
    as it can."""
    shared = None if attention is None else attention.cache_heads()
    ranks = max(math.floor(tensor + 1e-9), 1)
    return round(float(busiest_rank(heads, float(ranks), 1.0 if shared is None else shared)))


def _whole(ratio: float) -> bool:
    return abs(ratio - round(ratio)) < 1e-9


def _divisors(count: float, near: float) -> str:
    """The nearest degrees on both sides that divide a count."""
    divide = [degree for degree in range(1, round(count) + 1) if round(count) % degree == 0]
    return f"the nearest that divide them are {_sides(divide, near)}"


def _fitting(shared: float, heads: float, near: float) -> str:
    """The nearest degrees on both sides that divide KV heads or are a multiple of them."""
    whole = [round(shared), round(heads)]
    fit = [
        degree
        for degree in range(1, whole[1] + 1)
        if whole[0] % degree == 0 or (degree % whole[0] == 0 and whole[1] % degree == 0)
    ]
    return f"the nearest that do are {_sides(fit, near)}"


def _sides(degrees: list[int], near: float) -> str:
    """The nearest of some degrees below and above."""
    sides = (
        max((d for d in degrees if d <= near), default=None),
        min((d for d in degrees if d >= near), default=None),
    )
    return " and ".join(str(side) for side in dict.fromkeys(sides) if side)


def _experts(model: Transformer, plan: codesign.Plan, stage: float) -> Iterator[str]:
    for mixture in routings(model):
        copies, groups = float(mixture.experts * plan.expert_copies), min(float(plan.expert), stage)
        if groups > copies:
            cut = stage / copies
            yield (
                f"{groups:g} expert groups for {copies:g} experts: {copies:g} groups are used, each"
                f" expert cut over {cut:.3g} chips"
            )
        elif groups > 1.0 and not _whole(copies / groups):
            yield (
                f"{groups:g} expert groups do not divide the {copies:g} experts: the time is that"
                f" of the fullest group, which holds {math.ceil(copies / groups)}"
            )


def _groups(model: Transformer, phase: codesign.Phase, plan: codesign.Plan) -> Iterator[str]:
    stages, groups, batch = (
        float(plan.pipeline),
        float(plan.pipeline * plan.data),
        float(phase.batch),
    )
    layers = sum(float(kind.count) for kind in model.layers)
    if stages > layers:
        yield (
            f"pipeline {stages:g} exceeds the {layers:g} layers: a stage would have none; expected"
            f" at most {layers:g}"
        )
    if groups > batch:
        yield (
            f"batch {batch:g} over {groups:g} data groups and pipeline stages: {groups - batch:g}"
            " of them wait for a sequence"
        )


def price_remarks(point: "OperatingPoint", report: PointReport) -> list[str]:
    """What the price is of, where that is not the machine whose time is told."""
    arguments, choices = point.arguments, point.choices
    own = (
        dict(zip(("node", "memory", "link"), point.own_technology, strict=True))
        if point.own_technology
        else {}
    )
    speeds = {
        "node": "--peak-flops states another speed",
        "memory": "--memory-bandwidth and --memory-capacity state another memory",
        "link": "--link-bandwidth and --sync-latency-us state other links",
    }
    found = [
        f"--{part} {choices[part]} changes prices, energy, area and limits only: time is that of"
        f" the device's own {name}; {speeds[part]}"
        for part, name in own.items()
        if choices[part] != name
        and not (part != "node" and getattr(arguments, f"{part}_bandwidth") is not None)
    ]
    memory = own.get("memory", choices["memory"])
    if not memory.startswith("HBM"):
        parts = report["capital_by_part_usd_per_chip"]
        chip = sum(parts[name] for name in ("logic", "memory", "package", "margin"))
        found.append(
            "a chip is charged what stands around it in a machine of class"
            f" {point.device.machine_class} (judged): of {sum(parts.values()):,.0f} USD, server"
            f" {parts['server']:,.0f}, network"
            f" {parts['network']:,.0f}, facility {parts['facility']:,.0f} and the chip with its"
            f" memory {chip:,.0f}"
        )
    return found


def device_remarks(point: "OperatingPoint", report: PointReport) -> list[str]:
    """What was assumed of a device, and what of it lies idle."""
    arguments, device, design = point.arguments, point.device, report["inputs"]["design_si"]
    bits, found = float(point.workload.precision.compute_bits), []
    width = device.width(bits)
    if arguments.peak_flops is None and width > next(one for one in (4, 8, 16, 32) if one >= bits):
        found.append(
            f"{device.name} has no rate for {bits:g}-bit products: those of {width} bits are used"
        )
    if assumed := device.assumed(arguments.chips):
        found.append(f"{device.name} does not state everything; assumed: {', '.join(assumed)}")
    if isinstance(device, OwnDevice) and (device.own_price or device.own_hourly):
        stated = "price" if device.own_price else "hourly"
        found.append(
            f"{device.name} states its own {stated}, which codesign plan takes: capital and cost"
            " here are those of the parts that its technology has"
        )
    if design["pool_capacity"] > 0 and point.plan.tiers is None:
        found.append(
            f"the pool of {design['pool_capacity'] / GIBI:,.4g} GiB a chip lies idle: "
            "--weights-in-pool and --state-in-pool say which share is kept there"
        )
    share = (
        math.exp(report["limits"]["capacity"]) if report["limits"]["capacity"] is not None else 0.0
    )
    if point.execution.ideal and FULL < share <= 1.0:
        found.append(
            f"memory is {share:.0%} full and the limit study reserves nothing for activations,"
            " graphs and the engine itself (vLLM leaves 10 % by default): it may not fit in"
            " practice"
        )
    return found
