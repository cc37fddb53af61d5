"""A scaling law and a machine, designed at once: the shape of a model of a wanted loss, and its
chip, for the cheapest token (python -m experiments.examples.scaling_law)."""

import dataclasses

import jax
import jax.numpy as jnp
import optax

import codesign
import hardware_priors
from codesign.outcome import stack_limits

START = {"hidden": 8192.0, "layers": 80.0, "memory_bandwidth": 1e13, "memory_capacity": 3e11,
         "peak_flops": 2e15, "link_bandwidth": 5e11, "batch": 64.0}  # fmt: skip
WORLD = hardware_priors.technology("N3", "HBM4", "NVLink6")


def loss(hidden, layers, tokens=15e12):
    """Hoffmann et al., arXiv 2203.15556 (3); depth judged after arXiv 2001.08361, figure 5."""
    law = 1.69 + 406.4 / (12.6 * layers * hidden**2) ** 0.34 + 410.7 / tokens**0.28
    return law * (1.0 + 0.004 * jnp.log(hidden / (100.0 * layers)) ** 2)


def cost(logs, wanted):
    """ln of dollars a token, and penalties on a loss above the wanted one and on broken limits."""
    x = {name: jnp.exp(value) for name, value in logs.items()}
    model = codesign.dense(hidden=x["hidden"], layers=x["layers"], heads=x["hidden"] / 128,
                           kv_heads=8, width=3.5 * x["hidden"], vocabulary=128e3)  # fmt: skip
    sizes = {name: x[name] for name in START if name in codesign.DESIGN_VARIABLES}
    chip = dataclasses.replace(hardware_priors.device("h200").design(chips=8), **sizes)
    phase = codesign.Decode(batch=x["batch"], context=8192)
    work = codesign.Workload(model, phase, promise=0.02)
    told = codesign.evaluate(chip, work, technology=WORLD)
    broken = jax.nn.relu(jnp.maximum(stack_limits(told.limits), -9.0))
    late = jax.nn.relu(loss(x["hidden"], x["layers"]) / wanted - 1.0)
    return jnp.log(told.cost_per_token) + 1e2 * jnp.sum(broken**2) + 1e6 * late**2


def design(wanted, steps=1500):
    """Shape and machine by Adam on logarithms."""
    logs = {name: jnp.log(jnp.asarray(value)) for name, value in START.items()}
    descent = optax.adam(optax.cosine_decay_schedule(0.03, steps))

    def step(state, _):
        value, slopes = jax.value_and_grad(cost)(state[0], wanted)
        change, kept = descent.update(slopes, state[1])
        return (optax.apply_updates(state[0], change), kept), value

    (logs, _), costs = jax.lax.scan(step, (logs, descent.init(logs)), None, steps)
    return jax.tree.map(jnp.exp, logs), costs


if __name__ == "__main__":
    for target in (1.88, 1.86, 1.85):
        found, costs = design(target)
        print(
            target, f"{jnp.exp(costs[-1]):.3g} $/token", {k: f"{v:.3g}" for k, v in found.items()}
        )
