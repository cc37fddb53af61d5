"""Real devices on the same workload: for each, the machine with most tokens/s/$ under the promise.

Each is priced by the same model as the designs, on the scenario's price basis and with the technology of its own node,
memory and links; so the picture compares machines, not vendors' margins.
"""

import dataclasses
import functools
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import codesign
import hardware_priors
from codesign.search.choices import stacked
from codesign.search.relaxation import QUICK_COMPILATION
from experiments.problem import Problem
from experiments.scenario import Scenario

DEVICES = ("a100", "h100", "h200", "b200", "gb200", "mi300x", "mi355x", "tpu-v5p", "tpu-v6e", "tpu-v7", "trainium2")
CHIPS = (1, 2, 4, 8, 16, 32, 64, 72, 128)


@dataclasses.dataclass(frozen=True)
class DevicePoint:
    """One device at its best; ``missing`` says why there is no such point."""

    name: str
    chips: int = 0
    batch: int = 0
    user_tokens_per_second: float = float("nan")
    tokens_per_second_per_dollar: float = float("nan")
    tokens_per_second_per_watt: float = float("nan")
    missing: str = ""


class _Speeds(NamedTuple):
    user: jax.Array
    per_dollar: jax.Array
    per_watt: jax.Array
    capacity: jax.Array
    promise: jax.Array


@functools.partial(jax.jit, compiler_options=QUICK_COMPILATION)
def _all(
    designs: codesign.Design, technologies: codesign.Technology, batches: jax.Array,
    workload: codesign.Workload, plan: codesign.Plan, execution: codesign.Execution,
) -> _Speeds:  # fmt: skip
    """Every machine (rows) at every batch (columns): one program for all devices."""

    def lane(design: codesign.Design, technology: codesign.Technology, batch: jax.Array) -> _Speeds:
        work = eqx.tree_at(lambda w: w.phase.batch, workload, batch)
        found = codesign.evaluate(design, work, plan, technology=technology, execution=execution)
        return _Speeds(
            found.user_tokens_per_second,
            found.tokens_per_second_per_dollar,
            found.tokens_per_second_per_watt,
            found.limits.capacity,
            found.limits.promise,
        )

    columns = jax.vmap(lane, in_axes=(None, None, 0))
    return jax.vmap(columns, in_axes=(0, 0, None))(designs, technologies, batches)


def device_points(scenario: Scenario, problem: Problem, names: tuple[str, ...] = DEVICES) -> list[DevicePoint]:
    """The best machine of each device, all collectives of the scenario on offer; those that cannot, with the reason."""
    bits = max(scenario.workload.weight_bits, scenario.workload.activation_bits)
    machines = [(name, chips) for name in names for chips in _counts(name)]
    designs = stacked([hardware_priors.device(name).design(chips, bits) for name, chips in machines])
    own = {name: _technology(name, scenario) for name in names}
    technologies = stacked([own[name] for name, _ in machines])
    low, high = problem.space.batch
    batches = np.array([2**k for k in range(20) if low <= 2**k <= high] or [low], dtype=float)
    offered = jnp.stack([jnp.asarray(codesign.ALGORITHMS[name]) for name in scenario.choices.collectives])
    plan = codesign.Plan(all_reduce=offered)
    found = jax.tree.map(np.asarray, _all(designs, technologies, jnp.asarray(batches), problem.workload, plan, problem.execution))
    rows = {name: [k for k, (owner, _) in enumerate(machines) if owner == name] for name in names}
    return [_best(name, rows[name], machines, batches, found) for name in names]


def _counts(name: str) -> list[int]:
    device = hardware_priors.device(name)
    domain = device.find("scale_up_domain")  # pyright: ignore[reportAttributeAccessIssue]
    return [chips for chips in CHIPS if domain is None or chips <= domain.value]


def _technology(name: str, scenario: Scenario) -> codesign.Technology:
    node, memory, link = hardware_priors.device(name).technology_names()
    chosen = scenario.technology
    return hardware_priors.technology(
        node, memory, link, cooling=chosen.cooling, price_basis=chosen.price_basis, packaging=chosen.packaging
    )


def _best(name: str, rows: list[int], machines: list[Any], batches: np.ndarray, found: _Speeds) -> DevicePoint:
    fits = found.capacity[rows] <= 0
    good = fits & (found.promise[rows] <= 0)
    if not good.any():
        why = "too slow for the promise" if fits.any() else "too small for the model"
        return DevicePoint(name, missing=f"{why} in one scale-up domain")
    value = np.where(good, found.per_dollar[rows], -np.inf)
    machine, batch = np.unravel_index(int(value.argmax()), value.shape)
    at = (rows[machine], batch)
    return DevicePoint(
        name,
        machines[rows[machine]][1],
        int(batches[batch]),
        float(found.user[at]),
        float(found.per_dollar[at]),
        float(found.per_watt[at]),
    )
