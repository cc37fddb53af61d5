"""Kernel times by shape, in the schema of the kernel tables of aiconfigurator: the work of one
kernel a row, and its time.

Shapes go to bytes and FLOPs as in ``workload.operators``; experts are touched as in
``workload.experts``. Tables of 8- and 4-bit products include the quantisation of activations, which
served engines fuse: a library's offset of its own takes it up.
"""

import csv
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from codesign.calibration.features import StepWork
from codesign.calibration.kernel_rows import WIDTHS, KernelRows
from codesign.calibration.machine import Machine, MachineFinder
from codesign.performance.calibrated import (
    ATTENTION,
    EXPERTS,
    LATENT,
    PRODUCT,
    PROMPT,
    ChipRates,
    CollectiveWork,
    KernelWork,
)
from codesign.workload.experts import busiest_rows, busiest_touched


def read_kernels(path: str | Path, find_machine: MachineFinder) -> KernelRows | None:
    """Read one kernel table, or None where its columns are of no known kind or no row is of a known
    machine."""
    path = Path(path)
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    reader = next((read for column, read in _READERS.items() if rows and column in rows[0]), None)
    if reader is None or "hardware" not in rows[0]:
        return None
    kind, count = reader
    made = [
        (row, machine, count(row))
        for row in rows
        if (machine := find_machine(row["hardware"], float(row.get("num_gpus") or 8)))
    ]
    made = [(row, machine, work) for row, machine, work in made if work is not None]
    return _stack(path.stem, kind, made) if made else None


def _stack(
    name: str, kind: int | None, made: list[tuple[dict[str, str], Machine, dict[str, float]]]
) -> KernelRows:
    def column(key: str) -> jax.Array:
        return jnp.asarray([[work.get(key, 0.0)] for _, _, work in made])

    width = [int(work.get("width", 16)) for _, _, work in made]
    machines = [machine for _, machine, _ in made]
    peak = jnp.asarray(
        [machine.peaks[{16: 0, 8: 1, 4: 2}[w]] for machine, w in zip(machines, width, strict=True)]
    )
    rates = ChipRates(
        memory=jnp.asarray([m.memory_bandwidth for m in machines]),
        matrix=peak[:, None],
        attention=jnp.asarray(
            [
                m.peaks[1 if work.get("narrow") else 0]
                for m, (_, _, work) in zip(machines, made, strict=True)
            ]
        ),
        link=jnp.asarray([m.link_bandwidth for m in machines]),
        sync_latency=jnp.asarray([m.sync_latency for m in machines]),
    )
    kernels = KernelWork(
        bytes=column("bytes"),
        flops=column("flops"),
        kernels=column("kernels"),
        touched=column("touched"),
        kind=jnp.full((len(made), 1), float(PRODUCT if kind is None else kind)),
    )

    def collective(steps: str, inner: str) -> CollectiveWork:
        return CollectiveWork(
            column("count"),
            column(steps),
            column("peers"),
            column(inner),
            column("outer"),
            column("exchange"),
        )

    work = StepWork(
        kernels, collective("steps_one", "inner_one"), collective("steps_two", "inner_two")
    )
    keys = [_keys(*one) for one in made]
    seconds = np.array([work["seconds"] for _, _, work in made])
    return KernelRows(name, work, rates, seconds, keys, _shapes([row for row, _, _ in made]))


def _keys(row: dict[str, str], machine: Machine, work: dict[str, float]) -> dict[str, str]:
    """What the coefficients of a row are shared by."""
    software = row.get("software", row.get("impl", "")).split("-")[0]
    named = ("gemm_dtype", "moe_dtype", "kv_cache_dtype", "impl")
    data_type = next((row[name] for name in named if row.get(name)), "")
    form = f"{machine.architecture}/{work.get('stored', 16.0):g}x{int(work.get('width', 16))}"
    return {
        "generic": "",
        "vendor": machine.vendor,
        "architecture": machine.architecture,
        "device": machine.name,
        "format": form,
        "expert_format": form,
        "library": f"{software}/{data_type}",
    }


NO_SHAPE = {
    "latency_us",
    "hardware",
    "software",
    "power_w",
    "kernel",
    "kernel_source",
    "impl",
    "distribution",
}
"""Columns that say nothing of what is computed."""


def _shapes(rows: list[dict[str, str]]) -> np.ndarray:
    """A number for each row, the same for rows that compute the same."""
    numbers: dict[tuple[str, ...], int] = {}
    told = (tuple(v for k, v in row.items() if k not in NO_SHAPE) for row in rows)
    return np.array([numbers.setdefault(one, len(numbers)) for one in told])


def _product(row: dict[str, str]) -> dict[str, float] | None:
    m, n, k = (float(row[c]) for c in "mnk")
    weights, activations, width = WIDTHS[row["gemm_dtype"]]
    moved = n * k * weights / 8 + m * (n + k) * activations / 8
    return {
        "seconds": float(row["latency_us"]) * 1e-6,
        "bytes": moved,
        "flops": 2 * m * n * k,
        "kernels": 1.0,
        "width": width,
        "stored": weights,
    }


def _decode_attention(row: dict[str, str]) -> dict[str, float]:
    batch, length, heads, kv_heads, dim = (
        float(row[c]) for c in ("batch_size", "kv_len", "q_heads", "kv_heads", "head_dim")
    )
    element = 1.0 if "fp8" in row["kv_cache_dtype"] else 2.0
    moved = batch * length * 2 * kv_heads * dim * element + batch * 2 * heads * dim * 2
    return {
        "seconds": float(row["latency_us"]) * 1e-6,
        "bytes": moved,
        "flops": 4 * batch * length * heads * dim,
        "kernels": 1.0,
    }


def _prefill_attention(row: dict[str, str]) -> dict[str, float]:
    batch, length, heads, kv_heads, dim = (
        float(row[c]) for c in ("batch_size", "isl", "q_heads", "kv_heads", "head_dim")
    )
    moved = batch * length * (2 * kv_heads * dim * 2 + 2 * heads * dim * 2)
    flops = 2 * batch * length * (length + 1) * heads * dim
    return {
        "seconds": float(row["latency_us"]) * 1e-6,
        "bytes": moved,
        "flops": flops,
        "kernels": 1.0,
        "narrow": float(row["attn_dtype"] == "fp8"),
    }


def _latent(row: dict[str, str]) -> dict[str, float]:
    """Ranks and head widths of DeepSeek-V3 (arXiv 2412.19437 §4.2): latent 512, rotary 64, query
    and value heads 128."""
    batch, heads = float(row["batch_size"]), float(row["num_heads"])
    element = 1.0 if "fp8" in row["kv_cache_dtype"] else 2.0
    if "kv_len" in row:
        length = float(row["kv_len"])
        moved, flops = (
            batch * (length * 576 * element + heads * 320 * 2),
            batch * length * heads * 2 * (2 * 512 + 64),
        )
    else:
        length = float(row["isl"])
        moved, flops = (
            batch * length * (576 * element + heads * (192 + 128) * 2 * 2),
            batch * length * (length + 1) * heads * (192 + 128),
        )
    return {
        "seconds": float(row["latency_us"]) * 1e-6,
        "bytes": moved,
        "flops": flops,
        "kernels": 1.0,
    }


def _experts(row: dict[str, str]) -> dict[str, float] | None:
    hidden, inner, active, experts, slices, groups, tokens = (
        float(row[c])
        for c in (
            "hidden_size",
            "inter_size",
            "topk",
            "num_experts",
            "moe_tp_size",
            "moe_ep_size",
            "num_tokens",
        )
    )
    if row["moe_dtype"] not in WIDTHS or row.get("distribution", "balanced") != "balanced":
        return None  # the terms route evenly: skewed rows would pass for slow arithmetic
    weights, activations, width = WIDTHS[row["moe_dtype"]]
    touched, pairs = _routing(experts, active, tokens, groups)
    each = 3 * hidden * inner / slices
    moved = (
        touched * each * weights / 8 + pairs * (2 * hidden + 3 * inner / slices) * activations / 8
    )
    seconds = float(row["latency_us"]) * 1e-6
    return {
        "seconds": seconds,
        "bytes": moved,
        "flops": 2 * pairs * each,
        "kernels": 1.0,
        "touched": touched,
        "width": width,
        "stored": weights,
    }


_ROUTING: dict[tuple[float, ...], tuple[float, float]] = {}


def _routing(experts: float, active: float, tokens: float, groups: float) -> tuple[float, float]:
    key = (experts, active, tokens, groups)
    if key not in _ROUTING:
        if groups > 1:
            _ROUTING[key] = float(busiest_touched(*key)), float(busiest_rows(*key))
        else:
            _ROUTING[key] = experts * (1 - (1 - active / experts) ** tokens), tokens * active
    return _ROUTING[key]


def _collective(row: dict[str, str]) -> dict[str, float] | None:
    if "eager" in row.get("impl", ""):
        return None  # bound by the host that launches it
    chips, message = float(row["num_gpus"]), float(row["message_bytes"])
    share = (chips - 1) / chips * message
    made = {"seconds": float(row["latency_us"]) * 1e-6, "count": 1.0, "peers": chips - 1.0}
    operation = row.get("op", "all_reduce")
    if operation == "all_reduce" and "impl" in row:
        return {
            **made,
            "steps_one": 1.0,
            "inner_one": (chips - 1) * message,
            "steps_two": 2.0,
            "inner_two": 2 * share,
        }
    if operation == "alltoall":
        return {
            **made,
            "steps_one": 1.0,
            "steps_two": 1.0,
            "inner_one": share,
            "inner_two": share,
            "exchange": 1.0,
        }
    return None


_READERS: dict[str, tuple[int | None, Callable[[dict[str, str]], dict[str, float] | None]]] = {
    "gemm_dtype": (PRODUCT, _product),
    "inter_size": (EXPERTS, _experts),
    "isl": (PROMPT, lambda row: _prefill_attention(row) if "q_heads" in row else _latent(row)),
    "q_heads": (ATTENTION, _decode_attention),
    "num_heads": (LATENT, _latent),
    "message_bytes": (None, _collective),
}
