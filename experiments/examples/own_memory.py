"""A memory tier of one's own: a pool behind optical links, stated by its bandwidth, capacity, price
of a byte and energy of a bit; weights stay in main memory, the cache lies in the pool."""

import dataclasses

import codesign
import hardware_priors
from codesign.hardware.technology import Technology


def optical_pool(world: Technology, price_per_byte: float, energy_per_bit: float) -> Technology:
    """The technology with that pool; a port carries 100 GB/s, a layer is a byte [USD/B, J/bit]."""
    pool = dataclasses.replace(
        world.pool,
        stack_bandwidth=100e9,
        layer_capacity=1.0,
        layer_price=price_per_byte,
        layer_power=0.0,
        access_energy=8.0 * energy_per_bit,
    )
    return dataclasses.replace(world, pool=pool)


def step(world: Technology, bandwidth: float, capacity: float) -> codesign.Outcome:
    """Llama-3.1-70B on four chips, each with so much of the pool [B/s], [B]."""
    phase = codesign.Decode(batch=128, context=32768)
    work = codesign.Workload(codesign.model("llama-3.1-70b"), phase)
    chip = hardware_priors.device("h100").design(chips=4)
    chip = dataclasses.replace(chip, pool_bandwidth=bandwidth, pool_capacity=capacity)
    plan = codesign.Plan(tiers=codesign.TierShares(state_in_pool=1.0))
    return codesign.evaluate(chip, work, plan, technology=world)


WORLD = hardware_priors.technology("N4", "HBM3", "NVLink4")
