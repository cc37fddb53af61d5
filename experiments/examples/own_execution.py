"""An execution of one's own: arithmetic and memory traffic overlap by a share only."""

import jax.numpy as jnp

import codesign
import hardware_priors
from codesign.numerics.fields import Quantity, Real, quantity


class PartlyOverlapped(codesign.Execution):
    """The shorter of arithmetic and traffic hides behind the longer by ``overlap``."""

    overlap: Quantity = quantity("1", "share of the shorter one that is hidden", default=0.8)

    def schedule(self, alone: codesign.OperatorTimes) -> Real:
        busy = jnp.maximum(alone.compute, alone.vector)
        longer, shorter = jnp.maximum(busy, alone.memory), jnp.minimum(busy, alone.memory)
        return alone.times * (longer + (1.0 - self.overlap) * shorter)


def step_times() -> list[float]:
    """Seconds of a decode step of Llama-3.1-8B on one H100, overlapping by 0, 80 and 100 %."""
    work = codesign.Workload(
        codesign.model("llama-3.1-8b"), codesign.Decode(batch=64, context=4096)
    )
    chip = hardware_priors.device("h100").design(chips=1)
    world = hardware_priors.technology("N4", "HBM3", "NVLink4")
    ways = [PartlyOverlapped(overlap=share) for share in (0.0, 0.8, 1.0)]
    steps = [codesign.evaluate(chip, work, technology=world, execution=way) for way in ways]
    return [float(step.step_time) for step in steps]
