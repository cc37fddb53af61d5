"""How a measured case was laid out over its chips."""

import dataclasses
import re
from typing import Literal

from codesign.calibration.machine import Machine
from codesign.calibration.measurements import Measurement
from codesign.calibration.names import Formats

Protocol = Literal["decode", "interleaved", "static", "max_load", "prefill", "disaggregated"]


class NotComparable(Exception):
    """Why a row has no prediction."""


@dataclasses.dataclass(frozen=True)
class Layout:
    tensor: float
    pipeline: float
    data: float
    expert: float
    replicas: float
    chips: float  # of all replicas
    assumed: bool = False
    prefill_chips: float = float("nan")


_POOL = re.compile(r"(\d+)x\(([^)]*)\)(?: on (\d+) GPUs)?")


def _layout(
    row: Measurement, protocol: Protocol, model: str, machine: Machine, bits: Formats
) -> Layout:
    """The layout of one replica; fleets of a disaggregated service by their decode pool."""
    text = row.text
    if protocol == "disaggregated":
        return _decode_pool(row)
    tensor, chips = row.number("tp"), row.number("n_chips")
    if chips == 0.0:
        raise NotComparable("the number of chips is given as 0")
    pipeline = row.number("pp") or 1.0
    expert = max(row.number("ep") or 1.0, 1.0)
    if tensor is None:
        if chips is None:
            raise NotComparable("neither the number of chips nor the tensor degree is stated")
        return Layout(*_assumed_degrees(chips, model, machine, bits), chips=chips, assumed=True)
    attention_groups = (
        (row.number("dp_attn") or 0.0) if "InferenceX" in text.get("source", "") else 0.0
    )
    is_2026 = text.get("dp_attn") in ("0", "1") and "AIC" not in text.get("source", "")
    if is_2026:
        groups = tensor if attention_groups else 1.0
        return Layout(
            tensor / groups, pipeline, groups, min(expert, tensor), 1.0, tensor * pipeline
        )
    if "Neuron" in text.get("source", "") or machine.vendor == "aws":
        tensor = tensor / 2.0  # the degree counts cores, two a chip
    group = tensor * pipeline
    chips = chips or group
    if expert > 1.0 and chips == tensor * expert and "AIC" in text.get("source", ""):
        chips = max(tensor, expert)
    if (
        chips > group and expert == chips
    ):  # whole experts over all chips, attention in groups of the tensor degree
        return Layout(tensor, pipeline, chips / group, expert, 1.0, chips)
    if chips < group:
        chips = group
    if "llama.cpp" in text["software"].lower():  # splits layers over its chips unless told
        pipeline, group = chips / tensor, chips
    return Layout(tensor, pipeline, 1.0, min(expert, group), chips / group, chips)


def _decode_pool(row: Measurement) -> Layout:
    """One worker of the decode pool; the fleet's concurrency is shared by all workers."""
    pool = _pool(row.text.get("decode_layout", ""))
    prefill = _pool(row.text.get("prefill_layout", ""))
    if pool is None:
        tensor, chips = row.number("tp"), row.number("n_chips")
        note = re.search(r"(\d+) prefill \+ (\d+) decode", row.text.get("params_note", ""))
        if tensor is None or chips is None or note is None:
            raise NotComparable("the layout of the decode pool is not stated")
        workers = float(note.group(2))
        return Layout(
            tensor,
            1.0,
            1.0,
            max(row.number("ep") or 1.0, 1.0),
            workers,
            workers * tensor,
            prefill_chips=float(note.group(1)) * tensor,
        )
    each = pool.chips / pool.workers
    groups = (
        each
        if pool.attention_groups
        or (row.number("dp_attn") == 1.0 and "dpattn" not in row.text["decode_layout"])
        else 1.0
    )
    experts = pool.expert
    if (
        pool.tensor == 1.0 and each > 1.0
    ):  # workers whose degrees were not recorded: one attention group a chip, whole experts
        groups, experts = each, each
    prefill_chips = prefill.chips if prefill is not None else float("nan")
    return Layout(
        each / groups,
        1.0,
        groups,
        min(max(experts, 1.0), each),
        pool.workers,
        pool.chips,
        prefill_chips=prefill_chips,
    )


@dataclasses.dataclass(frozen=True)
class _Pool:
    workers: float
    tensor: float
    expert: float
    attention_groups: bool
    chips: float


def _pool(printed: str) -> _Pool | None:
    """Read ``2x(tp8 ep8 dpattn1) on 16 GPUs``; None where it says nothing of use."""
    match = _POOL.match(printed)
    if match is None or match.group(1) == "0":
        return None
    degrees = {
        name: float(value)
        for name, value in re.findall(r"(tp|ep|dpattn|dp|pp)(\d+)", match.group(2))
    }
    workers, tensor = float(match.group(1)), degrees.get("tp", 1.0)
    chips = float(match.group(3)) if match.group(3) else workers * tensor
    return _Pool(workers, tensor, degrees.get("ep", 1.0), degrees.get("dpattn", 0.0) == 1.0, chips)


def _assumed_degrees(
    chips: float, model: str, machine: Machine, bits: Formats
) -> tuple[float, float, float, float, float]:
    """The smallest power-of-two tensor degree whose memory holds the weights one and a half times;
    as many replicas as chips allow."""
    from codesign.calibration.structures import weight_bytes

    need = 1.5 * weight_bytes(model, bits) / machine.memory_capacity
    tensor = 1.0
    while tensor < need and tensor < min(chips, machine.scale_up_domain, 8.0):
        tensor *= 2.0
    return min(tensor, chips), 1.0, 1.0, 1.0, max(chips / tensor, 1.0)
