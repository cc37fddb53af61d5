"""At which price, energy, sync latency and promised speed machines of DRAM and machines of SRAM
alone cross, per $ and per W.

Dollars a token per second are affine in the price of DRAM, in its access energy and in the sync
latency, watts in the latter two, and so is the step time in the latency. So one axis of a machine
is two evaluations, and the best machine of each side along it is a minimum of straight lines.
"""

import functools
import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import codesign
from codesign.numerics.fields import Real
from codesign.numerics.units import KIBI, MICRO
from codesign.workload.transformer import Transformer
from experiments.reproductions.flips.bands import (
    Band,
    Finding,
    Row,
    band,
    crossing,
    percent,
    with_band,
)
from experiments.reproductions.flips.machines import (
    EXECUTIONS,
    MATRIX_RATE,
    STAGE,
    TITLES,
    Choices,
    access_energy,
    choices,
    evaluated,
    execution_of,
    memory_price,
    transformer,
    usual_sync,
    with_memory,
    world,
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


def cost_at(machines: Lines, speed: Real, factor: Real) -> Real:
    """Cost of a token per second of every machine, infinite for those that do not fit or keep a
    speed; (choices,)."""

    def line(ends: tuple[Real, Real]) -> Real:
        return ends[0] + factor * (ends[1] - ends[0])

    # where nothing fits the line is infinity less infinity: NaN, which keeps no promise
    return jnp.where(line(machines.time) * speed <= 1.0 + 1e-9, line(machines.cost), jnp.inf)


def best(machines: Lines, speed: Real, factor: Real) -> Real:
    """Least cost of a token per second among machines that keep a speed, infinity if none does."""
    return jnp.min(cost_at(machines, speed, factor))


def advantage(dram: Real, sram: Real) -> Real:
    """How many times more tokens/s per $ (or W) DRAM gives: infinity where SRAM cannot, 0 where
    DRAM cannot [1]."""
    return jnp.where(jnp.isfinite(dram), sram / jnp.where(jnp.isfinite(dram), dram, 1.0), 0.0)


class Side(NamedTuple):
    """DRAM or SRAM: its technology, the machines on offer and their matrix rate [FLOP/s]."""

    technology: Any
    offered: Choices
    matrix_rate: Real


SCALES = ((1.0, 1.0, 1.0), (0.0, 1.0, 1.0), (1.0, 0.0, 1.0), (1.0, 1.0, 0.0))
"""Price, energy and latency of the four evaluations from which all lines follow."""


def lines(
    side: Side, work: Transformer, context: Real, execution: codesign.Execution
) -> dict[str, Lines]:
    """All axes of one side. Faster syncs come at the same money: the latency scales, what was paid
    for it stays."""

    def at(scale: Real) -> tuple[Real, ...]:
        scaled = with_memory(side.technology, scale[0], scale[1])
        found = evaluated(
            scaled, side.offered, side.matrix_rate, work, context, execution, scale[2]
        )
        return found.capital_cost, found.provisioned_power, found.step_time, found.fits_memory

    capital, watts, time, fits = jax.vmap(at)(jnp.asarray(SCALES))

    def along(variant: int, paid: int) -> tuple[Real, Real]:
        cost = jnp.stack([capital[paid], watts[paid]]) * time[variant] / side.offered.batch
        return jnp.where(fits[0], cost, jnp.inf), jnp.where(fits[0], time[variant], jnp.inf)

    base = along(0, 0)
    low = {"price": along(1, 1), "energy": along(2, 2), "sync": along(3, 0)}
    return {axis: Lines(*zip(ends, base, strict=True)) for axis, ends in low.items()}


class Crossings(NamedTuple):
    """DRAM's advantage, and where it ends on each axis, in the units of ``AXES``."""

    ratio: Real
    price: Real
    energy: Real
    sync: Real  # below it SRAM leads
    slow: Real  # above it SRAM leads
    speed: Real  # [token/s/user]
    instant: Real  # DRAM's advantage if syncs took no time [1]
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
        goals: Any = {axis: Lines(cost=0, time=None) for axis in left}  # pyright: ignore[reportArgumentType]
        per_goal = jax.vmap(functools.partial(_crossings, units), in_axes=(goals, goals, None))
        return jax.vmap(per_goal, in_axes=(None, None, 0))(left, right, speeds)

    return jax.vmap(one, out_axes=-1)(dram.technology, sram.technology)


def _crossings(
    units: tuple, dram: dict[str, Lines], sram: dict[str, Lines], speed: Real
) -> Crossings:
    """Crossings for one goal and one promised speed."""

    def at(axis: str, factor: Real, scales_sram: bool = False, promise: Real = speed) -> Real:
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


def finding(seed: int) -> Finding:
    """The rows of this question."""
    dram, sram = (
        Side(world(memory, seed), choices(memory, BATCHES), jnp.asarray(MATRIX_RATE[memory]))
        for memory in ("HBM4", "SRAM")
    )
    rows, found = [], {}
    for name in NAMES:
        for kind in EXECUTIONS:
            at = (transformer(name), jnp.asarray(CONTEXT), execution_of(kind, name))
            both = jax.tree.map(
                np.asarray, crossings(dram, sram, *at, jnp.asarray(SPEEDS, dtype=float))
            )
            for (j, speed), (k, goal) in itertools.product(enumerate(SPEEDS), enumerate(GOALS)):
                found[name, kind, speed, goal] = numbers = jax.tree.map(
                    lambda leaf, j=j, k=k: leaf[j, k], both
                )
                leaders = [
                    _machine(side.offered, int(k[0]))
                    for side, k in zip((dram, sram), numbers.leaders, strict=True)
                ]
                told = (
                    f"HBM4's tokens/s over those of SRAM alone: {leaders[0]} against {leaders[1]}"
                )
                rows.append(
                    Row(
                        "DRAM over SRAM",
                        _setting(name, kind, speed, goal),
                        band(numbers.ratio),
                        "x",
                        told,
                    )
                )
                rows += _rows(name, kind, speed, goal, numbers)
    price, energy = band(memory_price(dram.technology)), band(access_energy(dram.technology))
    return Finding(rows, _summary(found, price, energy), list(_NOTES))


def _setting(name: str, kind: str, speed: int, goal: str) -> str:
    return f"{TITLES[name]}, ≥ {speed} tokens/s/user, per {goal}, {kind}"


def _machine(offered: Choices, k: int) -> str:
    chips, users = float(offered.stage[k] * offered.pipeline[k]), float(offered.batch[k])
    return (
        f"{chips:g} chips of {float(offered.stacks[k]):g}×{float(offered.layers[k]):g} for"
        f" {users:g} users"
    )


def _rows(name: str, kind: str, speed: int, goal: str, found: Crossings) -> list[Row]:
    rows, setting = [], _setting(name, kind, speed, goal)
    for axis, (unit, what) in AXES.items() if kind == "operatorwise" else ():
        if (axis, goal) == ("price", "W"):
            continue  # watts cost no dollars
        values = getattr(found, axis)
        rows.append(
            Row(
                f"{what} at which they cross",
                setting,
                band(values),
                unit,
                _meaning(axis, values, found),
            )
        )
    if speed == SPEEDS[0]:
        told = (
            f"SRAM alone leads beyond it; it never does in {percent(np.isinf(found.speed))} of the"
            " draws"
        )
        promised = f"{TITLES[name]}, per {goal}, {kind}"
        rows.append(
            Row(
                "promised speed at which they cross",
                promised,
                band(found.speed),
                "token/s/user",
                told,
            )
        )
    return rows


def _meaning(axis: str, values: np.ndarray, found: Crossings) -> str:
    """What a crossing means, and what it is where a draw has none."""
    if axis == "sync":
        told = (
            "SRAM alone leads below it; with no sync at all HBM4 gives"
            f" {with_band(band(found.instant))}x"
        )
        never, already = values <= 0, np.isinf(values)
    else:
        told = "SRAM alone leads above it" + (
            ", where DRAM breaks the promise first" if axis == "slow" else ""
        )
        never, already = np.isinf(values), values <= 0
    return f"{told}; HBM4 leads at any in {percent(never)} of the draws, SRAM in {percent(already)}"


def _summary(found: dict, price: Band, energy: Band) -> list[str]:
    def ratio(name: str, speed: int, goal: str, kind: str = "operatorwise") -> str:
        return with_band(band(found[name, kind, speed, goal].ratio)) + "x"

    def where(axis: str, goal: str, speed: int) -> str:
        return with_band(
            band(getattr(found["llama-3.1-405b", "operatorwise", speed, goal], axis)), AXES[axis][0]
        )

    def promised(name: str, goal: str) -> str:
        return with_band(band(found[name, "operatorwise", SPEEDS[0], goal].speed))

    def instant(speed: int) -> str:
        return with_band(band(found["llama-3.1-405b", "operatorwise", speed, "$"].instant)) + "x"

    slow, fast = SPEEDS
    big, small = "llama-3.1-405b", "llama-3.1-70b"
    ideal = (
        f"limit: {ratio(big, slow, '$', 'limit')} and {ratio(big, slow, 'W', 'limit')}; study:"
        " about 10x"
    )
    energies = [where("energy", goal, speed) for speed in SPEEDS for goal in GOALS]
    return [
        (
            f"DRAM against SRAM alone (405B, at least {slow} tokens/s/user): HBM4 gives"
            f" {ratio(big, slow, '$')} the tokens/s/$ and {ratio(big, slow, 'W')} the tokens/s/W"
            f" ({ideal}); at {fast} tokens/s/user {ratio(big, fast, '$')} and"
            f" {ratio(big, fast, 'W')}."
        ),
        (
            f"They cross per $ at a DRAM price of {where('price', '$', slow)} at {slow}"
            f" tokens/s/user and of {where('price', '$', fast)} at {fast}; HBM4 costs"
            f" {with_band(price)} USD/GB a layer."
        ),
        (
            f"They cross at an access energy of {energies[0]} per $ and {energies[1]} per W at"
            f" {slow} tokens/s/user, {energies[2]} and {energies[3]} at {fast}; HBM4 takes"
            f" {with_band(energy)} pJ/bit."
        ),
        (
            f"Shorter syncs help SRAM: with none at all HBM4 keeps {instant(slow)} per $ at {slow}"
            f" tokens/s/user and {instant(fast)} at {fast}, where they cross at"
            f" {where('sync', '$', fast)} over {STAGE} chips."
        ),
        (
            f"SRAM alone leads from {promised(big, '$')} tokens/s/user per $ and"
            f" {promised(big, 'W')} per W (405B), {promised(small, '$')} and {promised(small, 'W')}"
            " (70B)."
        ),
    ]


_NOTES = (
    (
        "DRAM is HBM4 (8 stacks of 4, 8 or 12 layers or 4 of 12, 2.25 PFLOP/s), SRAM alone keeps"
        " weights and caches in 1 to 4 slabs of 100 mm² on chip (1.13 PFLOP/s as the study's"
        " xPU-SRAM); both on N3 with NVLink5 at builder's prices, decode at 8 Ki, best of stages of"
        " 1 to 128 chips, 1 to 64 pipeline stages, context degrees 1 to 16 and batches 1 to 4096:"
        " promised speeds resolve to that grid. Every chip pays the same host, board and cold"
        " plate, which weighs on SRAM's many chips; limits of edge, heat and reticle are not"
        " imposed."
    ),
    (
        "Price, energy and sync axes scale one prior by 1/1000 to 1000 with all others as drawn:"
        " the price of layers (stack and base die stay), the energy of the DRAM side, the latency"
        " of both sides at the same money (told for 128 chips). tokens/s/$ is of capital with"
        " facility, tokens/s/W of provisioned power."
    ),
)
