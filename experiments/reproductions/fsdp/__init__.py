"""Fully sharded training (arXiv 2504.03655, abstract alone): its claim on the standard bound, and
the machines that train and serve well at once."""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import codesign
import hardware_priors
from codesign.numerics.fields import Real
from codesign.performance.training import Cluster, TrainingRun, TrainingStep, sharded_step
from experiments.reproductions.claims import Claim, added, judge, not_reproducible, tabulate
from experiments.reproductions.table import Column, Settings, Table
from experiments.terminal.refusal import Refused

MODEL, CHIPS, DEVICE = "llama-3.1-70b", 512, "h100"
DEVICES = ("a100", "h100", "h200", "b200", "mi300x")
KEPT = np.linspace(0.0, 1.0, 101)
SERVED = (64.0, 8192.0)
"""Sequences on eight chips, and their positions, where a machine serves."""


class Trained(NamedTuple):
    """The best share of activations kept, and the step with it."""

    kept: float
    step: TrainingStep
    slopes: Mapping[str, float]  # elasticities of the efficiency


def table(settings: Settings) -> Table:
    """The claim, and devices; ``settings.models`` and ``settings.chips`` replace 70B on 512."""
    for name in ("models", "chips"):
        if len(getattr(settings, name) or ()) > 1:
            raise Refused(f"--{name}: expected one for reproduce fsdp")
    (model,) = settings.models or (MODEL,)
    (chips,) = settings.chips or (CHIPS,)
    return tabulate(
        "Fully sharded training (arXiv 2504.03655)",
        claims(model, chips),
        notes=NOTES,
        more=[by_device(model, chips)],
    )


def run_of(name: str) -> TrainingRun:
    """Training a shipped model at 16 bit, sequences of 8,192."""
    model = codesign.model(name, nominal_parameters=True)
    size = model.nominal_parameters
    assert size is not None, "a nominal count was asked for"
    layers = sum(float(layer.count) for layer in model.layers)
    return TrainingRun(parameters=size, layers=layers, hidden=model.hidden)


def cluster_of(device: str, chips: int) -> Cluster:
    """So many of a device, each on its scale-out port."""
    one = hardware_priors.device(device).design(1, 16)
    return Cluster(
        chips=float(chips),
        peak_flops=one.peak_flops,
        memory_capacity=one.memory_capacity,
        network_bandwidth=one.scale_out_bandwidth,
    )


QUANTITIES: tuple[str, ...] = ("memory_capacity", "network_bandwidth", "peak_flops")


@jax.jit
def _efficiencies(run: TrainingRun, cluster: Cluster, kept: Real) -> Real:
    step = jax.vmap(lambda each: sharded_step(dataclasses.replace(run, kept=each), cluster))
    return step(kept).efficiency


@jax.jit
def _slopes(run: TrainingRun, cluster: Cluster) -> Real:
    def log_efficiency(logs: Real) -> Real:
        changed = dict(zip(QUANTITIES, jnp.exp(logs), strict=True))
        return jnp.log(sharded_step(run, dataclasses.replace(cluster, **changed)).efficiency)

    return jax.grad(log_efficiency)(
        jnp.log(jnp.stack([getattr(cluster, name) for name in QUANTITIES]))
    )


def train(run: TrainingRun, cluster: Cluster) -> Trained:
    """Search the share of activations kept on a grid.

    Raises:
        Refused: weights, gradients and optimizer do not fit.
    """
    found = np.asarray(_efficiencies(run, cluster, jnp.asarray(KEPT)))
    if not found.max() > 0:
        raise Refused("states do not fit the chips; expected more of them (--chips)", 3)
    kept = float(KEPT[int(np.argmax(found))])
    best = dataclasses.replace(run, kept=jnp.asarray(kept))
    slopes = dict(zip(QUANTITIES, map(float, _slopes(best, cluster)), strict=True))
    return Trained(kept, sharded_step(best, cluster), slopes)


def claims(model: str, chips: int) -> list[Claim]:
    """What the abstract says, where the network binds: a tenth of an H100's port."""
    run, cluster = run_of(model), cluster_of(DEVICE, chips)
    slow = dataclasses.replace(cluster, network_bandwidth=0.1 * cluster.network_bandwidth)
    found = train(run, slow)
    memory, network, rate = (found.slopes[name] for name in QUANTITIES)
    told = f"{memory:.2f}, {network:.2f}, {rate:.2f}"
    limit = float(
        2.0 * found.step.tokens * slow.network_bandwidth / (run.element * slow.peak_flops)
    )
    work = float(1.0 + 2.0 * run.layers * run.hidden * run.sequence / run.parameters)
    return [
        judge(
            f"{model}, {chips} H100, port/10: elasticity of MFU by memory, network, FLOP/s",
            "memory and network bind",
            told,
            memory >= 1.0 and network > 0.99 and rate < -0.99,
        ),
        added(
            "the same: MFU, and 2 E S / (Q F) with attention's work [1]",
            f"{float(found.step.efficiency):.3f}, {limit * work:.3f}",
        ),
        not_reproducible("its equations, tables and measured efficiencies", "–", "not known to us"),
    ]


def by_device(model: str, chips: int) -> Table:
    """Training and serving the same model, per dollar of the same chips."""
    rows = []
    for name in DEVICES:
        trained = train(run_of(model), cluster_of(name, chips))
        machine = hardware_priors.device(name)
        technology = hardware_priors.technology_of(machine)
        batch, context = SERVED
        work = codesign.Workload(
            codesign.model(model), codesign.Decode(batch=batch, context=context),
            codesign.uniform(8),
        )  # fmt: skip
        served = codesign.evaluate(machine.design(8, 8), work,
                                   technology=technology)  # fmt: skip
        capital = float(served.capital_cost) / 8.0 * chips
        rows.append(
            (
                name,
                100 * float(trained.step.efficiency),
                trained.kept,
                float(trained.step.tokens),
                1e3 * float(trained.step.tokens_per_second) / capital,
                1e3 * float(served.tokens_per_second_per_dollar)
                if bool(served.fits_memory)
                else None,
            )
        )
    return Table(
        f"{model}: trained on {chips}, served on 8 (ours; per 1000 USD at builder's prices)",
        (
            Column("device"),
            Column("MFU at most", "%"),
            Column("kept", "1"),
            Column("tokens a chip", "1"),
            Column("trained", "token/s"),
            Column("served", "token/s"),
        ),
        rows,
    )


NOTES = (
    (
        "The bound is the standard one and ours: the paper's equations and tables are not known to"
        " us. Adam in mixed precision, sequences of 8,192, the share of activations kept searched"
        " on a grid of 101; MFU at most, no kernel is slower than its peak. One scale-out port a"
        " chip, no hop latency, no intra-node tier."
    ),
    (
        "Served: decode at 8 bit, 64 sequences of 8,192 on eight chips, operator by operator;"
        " – where weights and caches do not fit."
    ),
)
