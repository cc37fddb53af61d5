"""Real devices on the same workload: for each, the machine with most tokens/s/$ under the promise.

Each is priced by the same model as the designs, on the scenario's price basis and with the technology of its own node,
memory and links; so the picture compares machines, not vendors' margins.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import codesign
import hardware_priors
from codesign.numerics.compilation import SELDOM, compiled
from codesign.numerics.fields import real
from codesign.search import Choice, Kind
from codesign.search.choices import stacked
from codesign.search.exact import FLEET_LIMITS, fleet_of
from codesign.search.placement import Placed, each_lane, placed
from codesign.search.problem import Problems, assemble, steps
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
    user: Any
    per_dollar: Any
    per_watt: Any
    capacity: Any
    late: Any


@compiled(SELDOM)
def _all(problems: Placed, designs: codesign.Design, batches: jax.Array) -> _Speeds:
    """Every machine (rows, the problem's choices) at every batch (columns): one program for all devices."""

    def machine(problem: Problems, design: codesign.Design) -> _Speeds:
        def at(batch: jax.Array) -> _Speeds:
            found = fleet_of(problem, (design,) * len(problem.spaces), batch[None])
            limit = dict(zip(FLEET_LIMITS, found.limits, strict=True))
            return _Speeds(
                found.totals.user_tokens_per_second,
                found.totals.tokens_per_second_per_dollar,
                found.totals.tokens_per_second_per_watt,
                limit["capacity"],
                jnp.maximum(limit["promise"], limit["first_token"]),
            )

        return jax.vmap(at)(batches)

    return each_lane(machine, problems, np.arange(len(problems.rows)), designs)


def device_points(scenario: Scenario, problem: Problem, names: tuple[str, ...] = DEVICES) -> list[DevicePoint]:
    """The best machine of each device over the scenario's collectives; those that cannot, with the reason.

    A service with prefill runs on the same device in both roles. Fleets of several services are not compared: no one device
    is their yardstick.
    """
    if len(problem.services) > 1:
        return []
    bits = float(problem.services[0].precision.compute_bits)
    machines = [(name, chips, collective) for name in names for chips in _counts(name) for collective in scenario.choices.collectives]
    designs = stacked([hardware_priors.device(name).design(chips, bits) for name, chips, _ in machines])
    own = {name: _technology(name, scenario) for name in names}
    kinds = len(problem.spaces)
    choices = []
    for name, chips, collective in machines:
        design = hardware_priors.device(name).design(chips, bits)
        kind = Kind(own[name], design.dies, design.sram_capacity, design.scale_up_domain)
        plan = codesign.Plan(all_reduce=real(codesign.ALGORITHMS[collective])[None])
        choices.append(Choice(name, (plan,) * len(steps(problem.services)), (kind,) * kinds))
    problems = assemble(problem.spaces, problem.services, choices, problem.execution)
    low, high = scenario.space.batch
    batches = np.array([2**k for k in range(20) if low <= 2**k <= high] or [low], dtype=float)
    found = jax.tree.map(np.asarray, _all(placed(problems), designs, jnp.asarray(batches)))
    rows = {name: [k for k, (owner, *_) in enumerate(machines) if owner == name] for name in names}
    return [_best(name, rows[name], machines, batches, found) for name in names]


def _counts(name: str) -> list[int]:
    device = hardware_priors.device(name)
    domain = device.find("scale_up_domain")  # pyright: ignore[reportAttributeAccessIssue]
    return [chips for chips in CHIPS if domain is None or chips <= domain.value]


def _technology(name: str, scenario: Scenario) -> codesign.Technology:
    node, memory, link = hardware_priors.device(name).technology_names()
    chosen = scenario.technology
    return hardware_priors.technology(
        node, memory, link, cooling=chosen.cooling[0], price_basis=chosen.price_basis, packaging=chosen.packaging[0],
        utilisation=chosen.utilisation,
    )  # fmt: skip


def _best(name: str, rows: list[int], machines: list[Any], batches: np.ndarray, found: _Speeds) -> DevicePoint:
    fits = found.capacity[rows] <= 0
    good = fits & (found.late[rows] <= 0)
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
