"""Where more bandwidth stops paying: the sync latency and the multiple of HBM3 at which its
elasticity falls below a half.

The elasticity of a goal y is e = ∂ln y/∂ln(bandwidth), by exact gradients. For tokens/s/user it is
the share of the step that waits for memory; in ``LimitStudy``, T = bytes/(chips·bandwidth) + k·s, a
half is where both terms are equal, which is also where the elasticity of sync has caught up.
Operator by operator the two part, so both are solved.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

import codesign
from codesign.numerics.compilation import SELDOM, compiled
from codesign.numerics.fields import Real, RealArray
from codesign.numerics.units import GIBI, KIBI, MICRO, PETA, TEBI
from codesign.workload.transformer import Transformer
from experiments.reproductions.flips.bands import Finding, Row, band, crossing, with_band
from experiments.reproductions.flips.machines import (
    EXECUTIONS,
    LINK_BANDWIDTH,
    Choices,
    execution_of,
    ideal_if_limit,
    plan_of,
    transformer,
    usual_sync,
    world,
)

STUDY_BANDWIDTH = 4 * TEBI  # xPU-HBM3 [B/s]
STUDY_CAPACITY = 96 * GIBI  # [B]
STUDY_MATRIX_RATE = 2.25 * PETA  # [FLOP/s]
MODEL = "llama-3.1-405b"
ALONE = (1.0, 4.0 * KIBI)  # users, positions
PRICED = (64.0, 8.0 * KIBI)
PRICED_CHIPS = 32
HALF = 0.5
RANGE = (1e-3, 1e3)  # of the scale factors


def log_goals(
    log_bandwidth: Real, log_sync: Real, chips: Real, service: tuple, work: Transformer,
    execution: codesign.Execution, technology: codesign.Technology,
) -> tuple[Real, Real]:  # fmt: skip
    """ln tokens/s/user and ln tokens/s/$ of the study's chip with another bandwidth and sync
    latency."""
    machine = codesign.Design(
        memory_bandwidth=jnp.exp(log_bandwidth),
        memory_capacity=STUDY_CAPACITY,
        peak_flops=STUDY_MATRIX_RATE,
        chips=chips,
        sync_latency=jnp.exp(log_sync),
        link_bandwidth=LINK_BANDWIDTH,
    )
    one = jnp.asarray(1.0)
    plan = ideal_if_limit(
        plan_of(Choices(jnp.asarray(chips), one, one, one, one, one, one)), execution
    )
    batch, context = service
    workload = codesign.Workload(work, codesign.Decode(batch=batch, context=context))
    found = codesign.evaluate(machine, workload, plan, technology=technology, execution=execution)
    return jnp.log(found.user_tokens_per_second), jnp.log(found.tokens_per_second_per_dollar)


class Stops(NamedTuple):
    """Where more bandwidth stops paying by each definition; technologies on the leading axis."""

    half: RealArray  # [x HBM3] elasticity of tokens/s/user below a half
    tie: RealArray  # [x HBM3] elasticity of tokens/s/user below that by shorter syncs
    dollars_half: RealArray  # [x HBM3] elasticity of tokens/s/$ below a half
    dollars_peak: RealArray  # [x HBM3] elasticity of tokens/s/$ below 0
    sync: RealArray  # [s] sync latency at which the elasticity of tokens/s/user falls below a half


@compiled(SELDOM)
def stops(
    multiple: Real,
    syncs: Real,
    chips: Real,
    service: tuple,
    work: Transformer,
    execution,
    technologies: codesign.Technology,
) -> Stops:
    """Solve all definitions.

    Args:
        multiple: of HBM3 bandwidth at which ``Stops.sync`` is asked [1].
        syncs: sync latency at which the others are asked, one for each technology [s].
        chips: all in one tensor group [1].
        service: users [1] and context [1].
        work: the model.
        execution: execution model.
        technologies: leading axis.
    """

    def surpluses(factor: Real, k: Real, sync: Real, technology: codesign.Technology) -> Real:
        bandwidth = jnp.where(k == 4, multiple, factor) * STUDY_BANDWIDTH
        latency = jnp.where(k == 4, factor, 1.0) * sync
        slopes = jax.jacfwd(log_goals, argnums=(0, 1))
        at = (jnp.log(bandwidth), jnp.log(latency))
        (user, by_sync), (dollars, _) = slopes(*at, chips, service, work, execution, technology)
        return jnp.stack([user - HALF, user + by_sync, dollars - HALF, dollars, user - HALF])[k]

    def one(sync: Real, technology: codesign.Technology) -> Stops:
        solve = jax.vmap(
            lambda k: crossing(lambda factor: surpluses(factor, k, sync, technology), *RANGE)
        )
        half, tie, dollars_half, dollars_peak, factor = solve(jnp.arange(5))
        return Stops(half, tie, dollars_half, dollars_peak, factor * sync)

    return jax.vmap(one)(syncs, technologies)


def asked(
    chips: int,
    sync: float | None,
    service: tuple[float, float],
    kind: str,
    technologies: codesign.Technology,
    multiple: float = 1.0,
) -> Stops:
    """``stops`` for plain numbers; ``sync`` [µs] is what a moderate price buys where None."""
    count = jnp.asarray(float(chips))
    usual = jax.vmap(lambda technology: usual_sync(technology, count))(technologies)
    syncs = usual if sync is None else jnp.full_like(usual, sync * MICRO)
    asking = tuple(jnp.asarray(value) for value in service)
    return stops(
        jnp.asarray(multiple),
        syncs,
        count,
        asking,
        transformer(MODEL),
        execution_of(kind, MODEL),
        technologies,
    )


def finding(seed: int) -> Finding:
    """The rows of this question."""
    technologies = world("HBM3", seed)
    rows, syncs, multiples = [], {}, {}
    for kind in EXECUTIONS:
        for chips in (8, 32, 128):
            for multiple in (1.0, 4.0):
                found = asked(chips, 1.5, ALONE, kind, technologies, multiple)
                syncs[kind, chips, multiple] = band(found.sync / MICRO)
                setting = f"405B, {chips} chips at {multiple:g}x HBM3, {kind}"
                told = "longer syncs: more bandwidth gives less than half of itself to the user"
                rows.append(
                    Row(
                        "sync that voids bandwidth",
                        setting,
                        syncs[kind, chips, multiple],
                        "µs",
                        told,
                    )
                )
        for chips in (32, 128):
            for sync in (0.5, 1.5, 2.5):
                found = asked(chips, sync, ALONE, kind, technologies)
                multiples[kind, chips, sync] = band(found.half)
                setting = f"405B, {chips} chips, syncs of {sync} µs, {kind}"
                told = (
                    "elasticity below ½; shorter syncs give more than bandwidth beyond"
                    f" {with_band(band(found.tie))}x"
                )
                rows.append(
                    Row("bandwidth that stops paying", setting, band(found.half), "x HBM3", told)
                )
        found = asked(PRICED_CHIPS, None, PRICED, kind, technologies)
        setting = f"405B, {PRICED_CHIPS} chips, 64 users at 8 Ki, per $, {kind}"
        multiples[kind, "half"], multiples[kind, "peak"] = (
            band(found.dollars_half),
            band(found.dollars_peak),
        )
        half, peak = (
            "elasticity of tokens/s/$ below ½",
            "tokens/s/$ peaks: beyond, bandwidth costs more than it brings",
        )
        rows.append(
            Row("bandwidth that stops paying", setting, multiples[kind, "half"], "x HBM3", half)
        )
        rows.append(
            Row("bandwidth that stops paying", setting, multiples[kind, "peak"], "x HBM3", peak)
        )
    return Finding(rows, _summary(syncs, multiples), list(_NOTES))


def _summary(syncs: dict, multiples: dict) -> list[str]:
    def stop(kind: str, chips: int, sync: float) -> str:
        return with_band(multiples[kind, chips, sync]) + "x"

    def void(kind: str, chips: int) -> str:
        return with_band(syncs[kind, chips, 4.0], "µs")

    half, peak = (with_band(multiples["operatorwise", name]) for name in ("half", "peak"))
    return [
        (
            "Bandwidth (405B, one user, 32 chips, syncs of 1.5 µs): stops paying at"
            f" {stop('limit', 32, 1.5)} HBM3 in the limit, {stop('operatorwise', 32, 1.5)} operator"
            f" by operator (study: about 4x); on 128 chips at {stop('limit', 128, 1.5)} and"
            f" {stop('operatorwise', 128, 1.5)}."
        ),
        (
            f"On 32 chips syncs of 0.5 µs move that to {stop('operatorwise', 32, 0.5)}, syncs of"
            f" 2.5 µs to {stop('operatorwise', 32, 2.5)}."
        ),
        (
            f"At 4x HBM3 on 32 chips syncs above {void('limit', 32)} void bandwidth in the limit,"
            f" above {void('operatorwise', 32)} operator by operator (study: 2.5 µs); on 128 chips"
            f" above {void('limit', 128)} and {void('operatorwise', 128)}."
        ),
        (
            f"Per $ (32 chips, 64 users) bandwidth gives less than half of itself beyond {half}x"
            f" HBM3, and tokens/s/$ peaks at {peak}x."
        ),
    ]


_NOTES = (
    (
        "Bandwidth stops paying where the elasticity of tokens/s/user by it falls below ½ (exact"
        " gradients, root by halving a log axis); in the limit this is also where shorter syncs"
        " give as much. 1x = 4 TiB/s a chip (xPU-HBM3, arXiv 2507.14397), 96 GiB, 2.25 PFLOP/s, one"
        " user at 4 Ki, sync latency as stated; no prior enters the limit there. A layer of 405B"
        " has 3 syncs in the limit but two all-reduces of one sync each operator by operator, which"
        " alone moves the crossing by 1.5x; attainable bandwidth does the rest. Per $: capital at"
        " builder's prices, bandwidth bought as HBM3 stacks at constant capacity, sync latency 1 µs"
        " above the floor of the prior; limits of edge and reticle are not imposed."
    ),
)
