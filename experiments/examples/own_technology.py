"""A technology of one's own: memory whose stacks have twice the bandwidth at half as much again."""

import dataclasses

import codesign
import hardware_priors
from codesign.hardware.technology import Technology


def wide_memory(world: Technology) -> Technology:
    """HBM with twice the bandwidth of a stack, at 1.5 times the price and energy."""
    memory = world.memory
    mine = dataclasses.replace(
        memory,
        stack_bandwidth=2.0 * memory.stack_bandwidth,
        layer_price=1.5 * memory.layer_price,
        access_energy=1.5 * memory.access_energy,
    )
    return dataclasses.replace(world, memory=mine)


def tokens_per_dollar(world: Technology, bandwidth: float) -> codesign.Outcome:
    """Llama-3.1-70B on four chips of that bandwidth [B/s], in that technology."""
    work = codesign.Workload(
        codesign.model("llama-3.1-70b"), codesign.Decode(batch=64, context=8192)
    )
    chip = hardware_priors.device("b200").design(chips=4)
    chip = dataclasses.replace(chip, memory_bandwidth=bandwidth, power_cap=0.0)  # of all that it is
    return codesign.evaluate(chip, work, technology=world)


WORLD = hardware_priors.technology("N4", "HBM3E", "NVLink5")
