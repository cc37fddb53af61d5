"""The paper's two systems on our model: boards of eight H100, and the same silicon as one processor
on a photonic pool."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import codesign
import hardware_priors
from codesign.numerics.compilation import SELDOM, compiled
from codesign.numerics.fields import Real
from codesign.numerics.units import GIGA, TERA

BOARD = 8.0
RATE, BANDWIDTH, CAPACITY = 1979.0 * TERA, 3350.0 * GIGA, 80.0 * GIGA
"""Of a processor at 8 bit, as in the paper's table."""
NVLINK, INFINIBAND = 450.0 * GIGA, 50.0 * GIGA
"""One direction."""
POOL = 32.0 * TERA
LENGTHS = ((128, 128), (128, 4096), (4096, 128), (4096, 4096))
BATCHES = [2.0**k for k in range(13)]


class Compared(NamedTuple):
    """The pool over boards at the same lengths."""

    throughput: float  # [x] tokens/s at the best batch of each
    latency: float  # [x] time of a token at batch 1
    efficiency: tuple[float, float]  # model FLOPs over the peak: boards, pool
    batches: tuple[float, float]


def big_model() -> codesign.Transformer:
    """A dense model of 1e12 parameters in the proportions of Llama-3.1-405B: the paper's own is not
    known to us."""
    return codesign.dense(
        hidden=24576, layers=140, heads=192, kv_heads=8, width=79872, vocabulary=128256, name="1T"
    )


def measured_latency() -> float:
    """Of a small all-reduce on a board of eight H100 [s]."""
    return float(hardware_priors.device("h100").design(BOARD).sync_latency)


def system(pool: bool, boards: float, latency: float) -> codesign.Design:
    """So many boards with a sync latency [s]; as a pool each of them is one processor."""
    size = BOARD if pool else 1.0
    return codesign.Design(
        memory_bandwidth=size * BANDWIDTH,
        memory_capacity=POOL if pool else CAPACITY,
        peak_flops=size * RATE,
        chips=boards if pool else boards * BOARD,
        sync_latency=latency,
        link_bandwidth=NVLINK,
        scale_up_domain=1.0 if pool else BOARD,
        scale_out_bandwidth=NVLINK if pool else INFINIBAND,
        scale_out_latency=latency if pool else 20e-6,
    )


@compiled(SELDOM)
def _served(
    model: codesign.Transformer, table: codesign.OperatorTable, design: codesign.Design,
    technology: codesign.Technology, stages: Real, prompt: Real, output: Real, batches: Real,
) -> tuple[Real, Real, Real]:  # fmt: skip
    """Tokens per second, time of a token, and whether memory suffices, by batch."""
    plan = codesign.Plan(pipeline=stages)

    def run(phase: codesign.Phase) -> codesign.Outcome:
        work = codesign.Workload(model, phase, codesign.uniform(8))
        return codesign.evaluate_table(
            design, table, work, plan, technology, codesign.Operatorwise()
        )

    def one(batch: Real) -> tuple[Real, Real, Real]:
        decode = run(codesign.Decode(batch=batch, context=prompt + 0.5 * output))
        full = run(codesign.Decode(batch=batch, context=prompt + output))
        prefill = run(codesign.Prefill(batch=batch, prompt=prompt))
        total = prefill.step_time + output * decode.step_time
        return batch * output / total, decode.step_time, full.limits.capacity <= 0.0

    return jax.vmap(one)(batches)


def compare(
    model: codesign.Transformer, boards: int, prompt: int, output: int, latency: float | None = None
) -> Compared:
    """Set the pool beside boards, static batches, each at its best number of sequences.

    Args:
        model: what is served, 8 bit.
        boards: of eight H100, and processors of the pool; one pipeline stage each.
        prompt, output: tokens of a request.
        latency: of a sync on a board; measured unless given [s].
    """
    latency = measured_latency() if latency is None else latency
    world = hardware_priors.technology("N4", "HBM3", "NVLink4")
    table = codesign.operator_table(model, codesign.uniform(8))
    asked = (jnp.asarray(float(boards)), jnp.asarray(float(prompt)), jnp.asarray(float(output)))
    rates, times, batches = [], [], []
    for pool in (False, True):
        found = _served(
            model, table, system(pool, float(boards), latency), world, *asked, jnp.asarray(BATCHES)
        )
        speed, step, fits = (np.asarray(each) for each in found)
        best = int(np.argmax(np.where(fits, speed, 0.0)))
        rates.append(speed[best])
        times.append(step[0])
        batches.append(BATCHES[best])
    work = float(jnp.sum(table.operators.row_flops))
    peak = boards * BOARD * RATE
    efficiency = [work * rate * (prompt + output) / output / peak for rate in rates]
    return Compared(
        float(rates[1] / rates[0]),
        float(times[0] / times[1]),
        (efficiency[0], efficiency[1]),
        (batches[0], batches[1]),
    )
