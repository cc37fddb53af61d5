"""At which price, energy, sync latency and promised speed machines of DRAM and machines of SRAM
alone cross, per $ and per W.

Dollars a token per second are affine in the price of DRAM, in its access energy and in the sync
latency, watts in the latter two, and so is the step time in the latency. So one axis of a machine
is two evaluations, and the best machine of each side along it is a minimum of straight lines.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

import codesign
from codesign.numerics.fields import Real, RealArray
from codesign.numerics.units import KIBI, MICRO
from codesign.workload.transformer import Transformer
from experiments.reproductions.flips.bands import (
    crossing,
)
from experiments.reproductions.flips.machines import (
    STAGE,
    Choices,
    access_energy,
    evaluated,
    memory_price,
    usual_sync,
    with_memory,
)

NAMES = ("llama-3.1-70b", "llama-3.1-405b")
CONTEXT = 8 * KIBI
BATCHES = tuple(2**k for k in range(13))
GOALS = ("$", "W")
SPEEDS = (50, 500)  # promised [token/s/user]
RANGE = (1e-3, 1e3)  # of the scale factors
FASTEST = 1e6  # [token/s/user]
JUST_BEYOND = 1.0001  # a crossing: does SRAM keep the promise there, or do both fail?
AXES = {
    "price": ("USD/GB", "DRAM price"),
    "energy": ("pJ/bit", "DRAM access energy"),
    "sync": ("µs", "least sync latency"),
    "slow": ("µs", "most sync latency"),
}


class Lines(NamedTuple):
    """What each machine on offer pays for a token per second, and its time per token, at factors 0
    and 1; (choices,) each."""

    cost: tuple[Real, Real]  # dollars, then watts on a leading axis [USD/(token/s), W/(token/s)]
    time: tuple[Real, Real]  # [s]


def cost_at(machines: Lines, speed: Real, factor: Real) -> Array:
    """Cost of a token per second of every machine, infinite for those that do not fit or keep a
    speed; (choices,)."""

    def line(ends: tuple[Real, Real]) -> Real:
        return ends[0] + factor * (ends[1] - ends[0])

    # where nothing fits the line is infinity less infinity: NaN, which keeps no promise
    return jnp.where(line(machines.time) * speed <= 1.0 + 1e-9, line(machines.cost), jnp.inf)


def best(machines: Lines, speed: Real, factor: Real) -> Array:
    """Least cost of a token per second among machines that keep a speed, infinity if none does."""
    return jnp.min(cost_at(machines, speed, factor))


def advantage(dram: Real, sram: Real) -> Array:
    """How many times more tokens/s per $ (or W) DRAM gives: infinity where SRAM cannot, 0 where
    DRAM cannot [1]."""
    return jnp.where(jnp.isfinite(dram), sram / jnp.where(jnp.isfinite(dram), dram, 1.0), 0.0)


class Side(NamedTuple):
    """DRAM or SRAM: its technology, the machines on offer and their matrix rate [FLOP/s]."""

    technology: codesign.Technology
    offered: Choices
    matrix_rate: Real


SCALES = ((1.0, 1.0, 1.0), (0.0, 1.0, 1.0), (1.0, 0.0, 1.0), (1.0, 1.0, 0.0))
"""Price, energy and latency of the four evaluations from which all lines follow."""


def lines(
    side: Side, work: Transformer, context: Real, execution: codesign.Execution
) -> dict[str, Lines]:
    """All axes of one side. Faster syncs come at the same money: the latency scales, what was paid
    for it stays."""

    def at(scale: RealArray) -> tuple[RealArray, ...]:
        scaled = with_memory(side.technology, scale[0], scale[1])
        found = evaluated(
            scaled, side.offered, side.matrix_rate, work, context, execution, scale[2]
        )
        fits = jnp.asarray(found.fits_memory)
        return found.capital_cost, found.provisioned_power, found.step_time, fits

    capital, watts, time, fits = jax.vmap(at)(jnp.asarray(SCALES))

    def along(variant: int, paid: int) -> tuple[RealArray, RealArray]:
        cost = jnp.stack([capital[paid], watts[paid]]) * (time[variant] / side.offered.batch)[None]
        return jnp.where(fits[0][None], cost, jnp.inf), jnp.where(fits[0], time[variant], jnp.inf)

    base = along(0, 0)
    low = {"price": along(1, 1), "energy": along(2, 2), "sync": along(3, 0)}
    return {axis: Lines(*zip(ends, base, strict=True)) for axis, ends in low.items()}


class Crossings(NamedTuple):
    """DRAM's advantage, and where it ends on each axis, in the units of ``AXES``."""

    ratio: RealArray
    price: RealArray
    energy: RealArray
    sync: RealArray  # below it SRAM leads
    slow: RealArray  # above it SRAM leads
    speed: RealArray  # [token/s/user]
    instant: RealArray  # DRAM's advantage if syncs took no time [1]
    leaders: tuple[Real, Real]  # which choice of DRAM and of SRAM is best


@jax.jit
def crossings(
    dram: Side,
    sram: Side,
    work: Transformer,
    context: Real,
    execution: codesign.Execution,
    speeds: Real,
) -> Crossings:
    """Crossings of two sides whose technologies have a leading axis; leaves of shape (speeds, 2 for
    $ and W, technologies)."""

    def one(*technologies: codesign.Technology):
        sides = [
            side._replace(technology=technology)
            for side, technology in zip((dram, sram), technologies, strict=True)
        ]
        both = jax.tree.map(lambda *leaves: jnp.stack(leaves), *sides)  # one program for both sides
        found = jax.vmap(lambda side: lines(side, work, context, execution))(both)
        left, right = (jax.tree.map(lambda leaf, k=k: leaf[k], found) for k in (0, 1))
        here = technologies[0]
        units = (
            memory_price(here),
            access_energy(here),
            usual_sync(here, jnp.asarray(float(STAGE))) / MICRO,
        )
        goals: dict[str, Lines] = {axis: Lines(cost=0, time=None) for axis in left}  # pyright: ignore[reportArgumentType]
        per_goal = jax.vmap(functools.partial(_crossings, units), in_axes=(goals, goals, None))
        return jax.vmap(per_goal, in_axes=(None, None, 0))(left, right, speeds)

    return jax.vmap(one, out_axes=-1)(dram.technology, sram.technology)


def _crossings(
    units: tuple, dram: dict[str, Lines], sram: dict[str, Lines], speed: Real
) -> Crossings:
    """Crossings for one goal and one promised speed."""

    def at(axis: str, factor: Real, scales_sram: bool = False, promise: Real = speed) -> Array:
        other = best(sram[axis], promise, factor if scales_sram else one)
        return advantage(best(dram[axis], promise, factor), other)

    one = jnp.asarray(1.0)
    shortening = crossing(lambda x: at("sync", 1.0 / x, True) - 1.0, 1.0, RANGE[1])
    lengthening = crossing(lambda x: at("sync", x, True) - 1.0, 1.0, RANGE[1])
    kept = jnp.isfinite(best(sram["sync"], speed, lengthening * JUST_BEYOND))
    fastest = crossing(lambda promise: at("price", one, promise=promise) - 1.0, 1.0, FASTEST)
    overtaken = jnp.isfinite(best(sram["price"], fastest * JUST_BEYOND, one))
    return Crossings(
        ratio=at("price", one),
        price=crossing(lambda x: at("price", x) - 1.0, *RANGE) * units[0],
        energy=crossing(lambda x: at("energy", x) - 1.0, *RANGE) * units[1],
        sync=units[2]
        / shortening,  # SRAM leads already: 0 becomes infinity; at no latency: infinity becomes 0
        slow=jnp.where(kept, lengthening * units[2], jnp.inf),
        speed=jnp.where(overtaken, fastest, jnp.inf),
        instant=at("sync", jnp.asarray(0.0), True),
        leaders=(
            jnp.argmin(cost_at(dram["price"], speed, one)),
            jnp.argmin(cost_at(sram["price"], speed, one)),
        ),
    )
