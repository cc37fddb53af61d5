"""Tokens/s per dollar and per watt of the five technologies, with bands over the priors.

The study's own prices and watts are not known to us. Ours are bottom-up on the study's chips; each
technology takes its best group, pipeline and batch, and draws share what the technologies share, so
that ratios are of the same world.
"""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import codesign
from codesign.numerics.compilation import SELDOM, compiled
from codesign.workload.operators import OperatorTable
from experiments.reproductions.flips.bands import Band, band, technologies
from experiments.reproductions.limit_study.findings import BIG, side
from experiments.reproductions.limit_study.systems import (
    DEVICES,
    System,
    cooling,
    nominal,
    one_answer,
    system,
    table_of,
)

SLOW = 50.0  # promised to each user [token/s]: the study's low throughput
CONTEXT = 8192
GROUPS = (8, 32, 128)
STAGES = (1, 2, 4, 8, 16, 32, 64, 128)
BATCHES = tuple(4.0**k for k in range(7))
DRAWS = 60


def offered(device: str) -> list[System]:
    """Groups × stages × batches of a device's chips; as many for each, so that they share a
    program."""
    return [
        system(device, side(device, group), CONTEXT, batch, pipeline)
        for group, pipeline, batch in itertools.product(GROUPS, STAGES, BATCHES)
    ]


@compiled(SELDOM)
def _best(
    work: codesign.Transformer, table: OperatorTable, systems: System, worlds: codesign.Technology
) -> Array:
    """Most tokens/s/$ and tokens/s/W of each technology drawn (leading axis)."""

    def one(world: codesign.Technology) -> Array:
        found = jax.vmap(lambda each: one_answer(work, table, each, world))(systems)
        kept = found.fits & (found.user >= SLOW)
        return jnp.stack(
            [jnp.max(jnp.where(kept, gain, 0.0)) for gain in (found.per_dollar, found.per_watt)]
        )

    return jax.lax.map(one, worlds)


def best(device: str, seed: int) -> np.ndarray:
    """Nominal first, then draws: shape (draws + 1, 2), per $ and per W."""
    import hardware_priors

    node, memory, link = hardware_priors.device(device).technology_names()
    worlds = technologies(seed, DRAWS, node=node, memory=memory, link=link, cooling=cooling(device))
    systems = System(
        *(jnp.asarray(column, dtype=float) for column in zip(*offered(device), strict=True))
    )
    return np.asarray(_best(nominal(BIG), table_of(BIG), systems, worlds))


@functools.cache
def over_hbm4(seed: int) -> dict[str, tuple[Band, Band]]:
    """HBM4's tokens/s/$ and tokens/s/W over those of each technology; no number where one cannot
    serve."""
    found = {device: best(device, seed) for device in DEVICES}
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = {device: found["xpu-hbm4"] / values for device, values in found.items()}
    return {device: (band(each[:, 0]), band(each[:, 1])) for device, each in ratios.items()}
