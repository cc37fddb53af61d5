"""A collective of one's own: all-reduce on a square torus, a ring along each side."""

import jax.numpy as jnp

import codesign
import hardware_priors
from codesign.numerics.fields import Real


class Torus(codesign.AllReduce):
    """Reduce-scatter and all-gather along one side, then along the other."""

    def steps_and_volume(self, n: Real) -> tuple[Real, Real]:
        return 4.0 * (jnp.sqrt(n) - 1.0), 2.0 * (n - 1.0) / n


def communication(plan: codesign.Plan) -> float:
    """Seconds that a decode step of Llama-3.1-405B communicates on 64 TPUs v7."""
    phase = codesign.Decode(batch=256, context=8192)
    work = codesign.Workload(codesign.model("llama-3.1-405b"), phase)
    world = hardware_priors.technology("N3", "HBM3E", "ICI")
    chips = hardware_priors.device("tpu-v7").design(chips=64)
    step = codesign.evaluate(chips, work, plan, technology=world).step
    return float(jnp.sum(step.latency) + jnp.sum(step.transfer))


RING = codesign.Plan(all_reduce=codesign.ALGORITHMS["ring"][None])
OWN = codesign.Plan(all_reduce=Torus())
