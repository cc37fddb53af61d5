"""Latent attention and experts ("Rethinking LLM Inference Bottlenecks", arXiv 2507.15465):
intensities, thresholds, reordering, and whether attention needs hardware of its own."""

import dataclasses

import jax.numpy as jnp
import numpy as np

import codesign
import hardware_priors
from codesign.numerics.units import KIBI, MEBI, PETA, TERA
from codesign.workload.operators import EXPERT
from codesign.workload.parameters import state_bytes_per_token
from experiments.reproductions.claims import (
    Claim,
    added,
    bound,
    compare,
    not_reproducible,
    tabulate,
)
from experiments.reproductions.latent_attention.optimum import BASE, best_chip, kinds
from experiments.reproductions.latent_attention.reordering import (
    decode_gain,
    decode_times,
    prefill_penalty,
    widths,
)
from experiments.reproductions.latent_attention.throughput import per_device
from experiments.reproductions.table import Column, Settings, Table

CONTEXT = 4096
RIDGE = "h200"
B200 = (2.25 * PETA, 8.0 * TERA)
THRESHOLDS = {"mixtral-8x7b": 825, "qwen2-57b-a14b": 1649, "deepseek-v3": 6597}
CACHES = {"gpt3-175b": (4.5, MEBI), "llama-4-maverick": (192, KIBI), "deepseek-r1": (68.6, KIBI)}
POINTS = ((1024, 8192), (1024, 65536), (8192, 8192))
"""Sequences over 64 chips, and their positions."""


def table(settings: Settings) -> Table:
    """Published rows, and the best chip for each kind of attention; ``settings.batches`` and
    ``settings.contexts`` replace the points of the latter."""
    points = POINTS
    if settings.batches or settings.contexts:
        batches, contexts = settings.batches or (1024,), settings.contexts or (8192,)
        points = tuple((batch, context) for batch in batches for context in contexts)
    ratios = chips(points)
    return tabulate(
        "Latent attention (arXiv 2507.15465)",
        [*intensities(), *reordering(), *thresholds(), *sizes(), *speeds()],
        summary=[verdict(ratios)],
        notes=NOTES,
        more=[ratios],
    )


def intensity(name: str, latent_reads: float = 1.0) -> float:
    """FLOPs of decode attention per byte of cache read, BF16 [FLOP/B]."""
    model = codesign.model(name)
    layers = tuple(
        dataclasses.replace(
            each, attention=dataclasses.replace(
                each.attention, latent_reads=jnp.asarray(latent_reads)
            )
        )
        if isinstance(each.attention, codesign.LatentAttention)
        else each
        for each in model.layers
    )  # fmt: skip
    changed = dataclasses.replace(model, layers=layers)
    op = codesign.operator_table(changed, codesign.uniform(16)).operators
    return float(jnp.sum(op.context_flops) / jnp.sum(op.state_read))


def intensities() -> list[Claim]:
    """Of the kinds of attention; what the paper plots is read off, not printed."""
    return [
        compare("MHA (GPT-3) [FLOP/B]", 1.0, intensity("gpt3-175b"), 0.01),
        compare("GQA (Maverick) [FLOP/B]", 5.0, intensity("llama-4-maverick"), 0.05),
        compare("MLA, two kernels [FLOP/B]", 100.0, intensity("deepseek-v3", 2.0), 0.1),
        compare("MLA, FlashMLA [FLOP/B]", 200.0, intensity("deepseek-v3"), 0.1),
        added("MLA without reordering, made each step [FLOP/B]", _plain_intensity()),
    ]


def _plain_intensity() -> float:
    """Keys and values of all positions made from the latent in each step, in one kernel."""
    of = widths(BASE)
    return (of.expand + of.attend) / (2.0 * (of.latent + of.rope))


def reordering() -> list[Claim]:
    """Gain in decode and penalty in prefill."""
    of = widths(BASE)
    times = decode_times(of, *B200)
    span = (
        times["plain, one kernel"] / times["reordered"],
        times["plain"] / times["reordered, one kernel"],
    )
    penalties = [
        prefill_penalty(of, CONTEXT, causal=causal, projections=projections)
        for causal in (True, False)
        for projections in (True, False)
    ]
    return [
        compare("decode gain of reordering, arithmetic [x]", 119.0, decode_gain(of, CONTEXT), 0.02),
        added("the same in time on B200, by fusion [x]", f"{span[0]:.0f} to {span[1]:.0f}"),
        compare("prefill penalty, block unmasked [x]", 2.02, penalties[2], 0.02),
        added(
            "prefill penalty: block, core, causal [x]", f"{penalties[0]:.2f}, {penalties[1]:.2f}"
        ),
    ]


def thresholds() -> list[Claim]:
    """Batches at which experts turn compute-bound on an H200."""
    h200 = hardware_priors.device(RIDGE).design(chips=1, compute_bits=16)
    ridge = float(h200.peak_flops / h200.memory_bandwidth)
    found = [compare("ridge of H200, BF16 [FLOP/B]", 206.15, ridge, 0.005)]
    for name, published in THRESHOLDS.items():
        op = codesign.operator_table(codesign.model(name), codesign.uniform(16)).operators
        expert = np.asarray(op.division == EXPERT)
        flops, streamed = (
            float(np.asarray(each)[expert].sum()) for each in (op.row_flops, op.streamed)
        )
        found.append(compare(f"{name}: batch [1]", published, streamed / flops * ridge, 0.001))
    return found


def sizes() -> list[Claim]:
    """Caches and weights."""
    found = []
    for name, (published, unit) in CACHES.items():
        ours = float(state_bytes_per_token(codesign.model(name), 2.0)) / unit
        told = "MiB" if unit == MEBI else "KiB"
        found.append(compare(f"{name}: cache a position [{told}]", published, ours, 0.002))
    weights = {
        name: float(codesign.model(name, nominal_parameters=True).nominal_parameters or 0.0)
        for name in ("deepseek-r1", "gpt3-175b")
    }
    ratio = weights["deepseek-r1"] / weights["gpt3-175b"]
    return [*found, compare("R1 over GPT-3, parameters [1]", 3.8, ratio, 0.02)]


def speeds() -> list[Claim]:
    """Throughput per device against GPT-3."""
    gains = {
        context: per_device("deepseek-r1", context) / per_device("gpt3-175b", context)
        for context in (2048, 8192)
    }
    return [
        *(
            bound(f"R1 over GPT-3, token/s a B200, {context} [x]", 41.0, gain)
            for context, gain in gains.items()
        ),
        not_reproducible(
            "time of a token, R1 over GPT-3, Maverick [%]", "-30, -34", "set-up not known to us"
        ),
    ]


def chips(points: tuple[tuple[int, int], ...]) -> Table:
    """Compute-to-bandwidth ratio of the chip with most tokens/s/$, by kind of attention."""
    rows = []
    for kind, work in kinds().items():
        found = [best_chip(kind, work, *point) for point in points]
        rows.append((kind, found[0].cache / KIBI, *(each.ratio for each in found)))
    return Table(
        "FLOP/B of the chip with most tokens/s/$ beside eight HBM4 stacks (ours)",
        (
            Column("attention"),
            Column("cache", "KiB"),
            *(Column(f"{batch} x {context}", "FLOP/B") for batch, context in points),
        ),
        rows,
    )


def verdict(ratios: Table) -> str:
    """How much of the balance of chips on sale each kind of attention pays for."""
    sold = {
        name: float(one.peak_flops / one.memory_bandwidth)
        for name in (RIDGE, "b200")
        for one in (hardware_priors.device(name).design(1, 16),)
    }
    spans = {row[0]: (min(row[2:]), max(row[2:])) for row in ratios.rows}
    told = ", ".join(
        f"{kind} {low:.0f}" + (f" to {high:.0f}" if high > low else "")
        for kind, (low, high) in spans.items()
    )
    beside = ", ".join(f"{name} {ratio:.0f}" for name, ratio in sold.items())
    reached = [kind for kind, (_, high) in spans.items() if high >= min(sold.values())]
    return (
        f"FLOP/B that pay: {told}; on sale: {beside}. What such chips have is asked for by"
        f" {' and '.join(reached) or 'none of them'} here: the others leave arithmetic idle."
    )


NOTES = (
    (
        "Reordering: arithmetic at 4,096 positions, batch cancels. Without it keys and values of"
        " all positions are made in every step. Time: a B200 of 2.25 PFLOP/s and 8 TB/s, every"
        " kernel at its roofline. What the paper's 2.02 counts is not known: the block with its"
        " projections and no mask comes nearest."
    ),
    (
        "Intensities are read off a plot by others (about 1, 5, 100, 200); ours count the cache"
        " alone: 128 with the latent read for scores and for values, 242 read once."
    ),
    (
        "Best chip: 64 chips on N3, DeepSeek-V3 with its attention exchanged, experts dealt whole,"
        " attention data-parallel, decode at 16 bit, operator by operator; memory as large as it"
        " must be, limits of edge, heat and reticle not imposed. Columns: sequences × positions."
    ),
)
