"""What is told of the memories' crossings."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from experiments.reproductions.flips.bands import (
    Band,
    Finding,
    Row,
    band,
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
    execution_of,
    memory_price,
    transformer,
    world,
)
from experiments.reproductions.flips.memories import (
    AXES,
    BATCHES,
    CONTEXT,
    GOALS,
    NAMES,
    SPEEDS,
    Crossings,
    Side,
    crossings,
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
