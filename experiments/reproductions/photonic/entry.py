"""Where a pool enters: the prices per GB and per port and the energy per bit below which machines
with one beat all machines of HBM alone, both sides searched over the same choices.

Capital is affine in the prices of the pool's DRAM and ports, and provisioned power in the energy of
its bytes, so that with v the speed of a machine, C₀ its capital at free DRAM of c bytes, and V the
best tokens/s/$ of HBM alone, a machine beats it while

    v / (C₀ + p c) > V,   p < (v / V − C₀) / c,

and the largest of these prices over all machines is where the pool enters: exact, nothing is
re-solved. The same with the price of a port, and with watts: e < (v / W − P₀) / bandwidth.
"""

import dataclasses
import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import codesign
import hardware_priors
from codesign.numerics.compilation import SELDOM, compiled
from codesign.numerics.fields import Real, RealArray
from codesign.numerics.units import BITS_PER_BYTE, GIGA, PICO

CHIP = "b200"
"""Logic, dies and links of every machine; its memory and its pool are chosen."""
STACKS = (1.0, 2.0, 4.0, 6.0, 8.0)
PORTS = (0.0, 1.0, 2.0, 4.0, 8.0)
CHIPS = (1.0, 2.0, 4.0, 8.0, 16.0)
BATCHES = tuple(2.0**k for k in range(0, 13))
SHARES = (0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0)
PROMISE = 0.05  # [s] a token
IMPOSED = ("capacity", "shoreline", "stacks", "layers_most", "promise")


class Machines(NamedTuple):
    """What each machine that was tried does, takes and costs; shape (machines,)."""

    speed: np.ndarray  # [token/s], 0 where a limit breaks
    capital: np.ndarray  # [USD] with free DRAM and ports of the pool
    power: np.ndarray  # [W] provisioned, bytes of the pool free
    pooled: np.ndarray  # [B] of pool
    ports: np.ndarray  # [1] of it
    streamed: np.ndarray  # [W/(J/B)] provisioned power over the energy of a pool's byte


class Entry(NamedTuple):
    """Where a pool enters a machine's front; None: at no price, or energy, above zero."""

    price: float | None  # [USD/GB] for tokens/s/$, at the priors' port and energy
    free_ports: float | None  # [USD/GB] the same if ports cost nothing
    port: float | None  # [USD] a port for tokens/s/$, at the priors' DRAM
    energy: float | None  # [pJ/bit] for tokens/s/W
    gain_per_dollar: float  # [x] best with a pool over best without, at the priors
    gain_per_watt: float  # [x]


def choices() -> np.ndarray:
    """Stacks, ports, chips, batch, and shares of weights and cache in the pool; a pool is used
    where it is bought, and no other shares differ without one."""
    rows = itertools.product(STACKS, PORTS, CHIPS, BATCHES, SHARES, SHARES)
    return np.array([row for row in rows if (row[1] > 0) == (row[4] + row[5] > 0)])


@compiled(SELDOM)
def _judged(
    model: codesign.Transformer, table: codesign.OperatorTable, design: codesign.Design,
    technology: codesign.Technology, context: Real, rows: Real,
) -> tuple[Real, ...]:  # fmt: skip
    memory, pool = technology.memory, technology.pool

    def outcome(row: RealArray, held: Real, pooled: Real) -> codesign.Outcome:
        stacks, ports, chips, batch, weights, state = row
        machine = dataclasses.replace(
            design, memory_bandwidth=stacks * memory.stack_bandwidth, memory_capacity=held,
            chips=chips, pool_bandwidth=ports * pool.stack_bandwidth, pool_capacity=pooled,
        )  # fmt: skip
        phase = codesign.Decode(batch=batch, context=context)
        work = codesign.Workload(model, phase, codesign.uniform(8), PROMISE)
        tiers = codesign.TierShares(weights_in_pool=weights, state_in_pool=state)
        return codesign.evaluate_table(
            machine, table, work, codesign.Plan(tiers=tiers), technology, codesign.Operatorwise()
        )

    def one(row: RealArray) -> tuple[Real, ...]:
        stacks, ports, chips, _, weights, state = row
        fewest, most = (
            stacks * layers * memory.layer_capacity
            for layers in (memory.min_layers, memory.max_layers)
        )
        kept = outcome(row, most, most).footprint  # bytes do not depend on the memory
        pooled = kept.weights * weights + kept.state * state
        main = (kept.weights + kept.state - pooled) / technology.attainable.capacity
        found = outcome(row, jnp.clip(main, fewest, most), pooled)
        worst = jnp.max(jnp.stack([found.limits.values[name] for name in IMPOSED]))
        speed = jnp.where(worst <= 1e-9, found.system_tokens_per_second, 0.0)
        dram = pooled / pool.layer_capacity * pool.layer_price
        free = found.capital_cost - chips * (dram + ports * pool.stack_price)
        economics = technology.economics
        slope = ports * pool.stack_bandwidth * chips * economics.power_overhead * economics.pue
        power = found.provisioned_power - slope * pool.access_energy
        return speed, free, power, pooled * chips, ports * chips, slope

    return jax.lax.map(one, rows, batch_size=4096)


def machines(
    name: str, context: int, technology: codesign.Technology, rows: np.ndarray | None = None
) -> Machines:
    """Try machines on a model at a context: those of ``choices`` unless rows of it are given."""
    model = codesign.model(name)
    table = codesign.operator_table(
        model, codesign.uniform(8), slice_columns=technology.attainable.slice_columns
    )
    chip = hardware_priors.device(CHIP).design(1, 8)
    # provisioned for all parts at their peaks: a rating without a pool says nothing of one with it
    wide = dataclasses.replace(chip, scale_up_domain=jnp.asarray(max(CHIPS)), power_cap=0.0)
    rows = choices() if rows is None else rows
    found = _judged(model, table, wide, technology, jnp.asarray(float(context)), jnp.asarray(rows))
    return Machines(*(np.asarray(each) for each in found))


def world() -> codesign.Technology:
    """Prices and physics: N4, HBM3E, builder's prices, whose margin is 1."""
    return hardware_priors.technology("N4", "HBM3E", "NVLink5")


def enter(tried: Machines, technology: codesign.Technology) -> Entry | None:
    """Where a pool enters among machines that were tried; None where HBM alone serves nothing.

    Args:
        tried: with and without pools, ``machines``.
        technology: for today's prices and energy.
    """
    alone, able = tried.pooled == 0, tried.speed > 0
    if not np.any(alone & able):
        return None
    price = float(technology.pool.layer_price / technology.pool.layer_capacity)
    port, energy = (float(getattr(technology.pool, n)) for n in ("stack_price", "access_energy"))
    dollar, watt = (
        float(np.max(np.where(alone, tried.speed / each, 0.0)))
        for each in (tried.capital, tried.power)
    )
    speed, capital, power, pooled, ports, streamed = (
        np.asarray(each)[~alone & able] for each in tried
    )
    spare, cool = speed / dollar - capital, speed / watt - power  # [USD], [W] left for the pool
    bought, drawn = capital + price * pooled + port * ports, power + energy * streamed
    return Entry(
        price=_most((spare - port * ports) / pooled * GIGA),
        free_ports=_most(spare / pooled * GIGA),
        port=_most((spare - price * pooled) / ports),
        energy=_most(cool / streamed / BITS_PER_BYTE / PICO),
        gain_per_dollar=float(np.max(speed / bought, initial=0.0)) / dollar,
        gain_per_watt=float(np.max(speed / drawn, initial=0.0)) / watt,
    )


def _most(values: np.ndarray) -> float | None:
    """The largest, None where none is above zero."""
    largest = float(np.max(values, initial=0.0))
    return largest if largest > 0 else None
