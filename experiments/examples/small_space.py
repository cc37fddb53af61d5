"""The small search that the examples of limits and objectives share."""

import functools

import equinox as eqx
import jax
import numpy as np

import codesign
import hardware_priors
import objectives
from codesign.sensitivity.optimum import optimum_at

CHIP = hardware_priors.device("b200").design(chips=2)
LOW = [1e12, 3e10, 1e14, 3e-7, 5e10, 0.5]  # bandwidth, capacity, FLOP/s, sync, link, clock
HIGH = [3e13, 1e12, 1e16, 2e-5, 2e12, 1.2]
SPACE = codesign.Space(CHIP, LOW, HIGH, chips=(1, 8))
WORLD = hardware_priors.technology("N3", "HBM3E", "NVLink5")
CHOICES = [codesign.Choice("N3", (codesign.Plan(),), (codesign.Kind(WORLD),))]
MODEL = codesign.dense(
    hidden=4096, layers=32, heads=32, kv_heads=8, width=14336, vocabulary=128256, name="8B"
)
WORK = codesign.Workload(MODEL, codesign.Decode(batch=1, context=8192), promise=0.005)
SERVICE = codesign.service(WORK, batch=(1, 256))


def search(goals, **wanted) -> codesign.Front:
    """The front of the small space."""
    return codesign.optimize(SPACE, SERVICE, CHOICES, goals, weights=2, **wanted)


def question(objective: str = "tokens/s/$"):
    """The small search for one objective, as ``codesign.find_optimum`` takes it."""
    return codesign.Statement((SPACE,), (SERVICE,), CHOICES, objectives.objective(objective))


@functools.cache
def optimum():
    """The small space at the integers that its search ends at."""
    return optimum_at(question(), 0, (1, 47, 0, 0))


def memory_worlds(z, choice):
    """Technologies whose DRAM layers cost exp(0.3 z) times as much; ``z`` is (worlds, 1)."""
    factor = np.exp(0.3 * np.asarray(z)[:, 0])
    alike = jax.tree.map(lambda leaf: np.full(len(factor), float(leaf)), WORLD)
    price = factor * float(WORLD.memory.layer_price)
    return (eqx.tree_at(lambda world: world.memory.layer_price, alike, price),)
