"""Devices at every number of chips, every batch and every layout of a scenario: what
``device_points`` is held to.

Written apart from the search: single steps through ``codesign.evaluate``'s table, put together by
hand. Run it by

    python -m tests.benchmarks.enumerate_devices llama-405b b200 rubin
    python -m tests.benchmarks.enumerate_devices chat b200 --chips 1 64
"""

import argparse
import dataclasses
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import codesign
import hardware_priors
from codesign.evaluation import evaluate_table
from codesign.workload.operators import operator_table
from experiments.scenarios.problem import layouts, problem
from experiments.scenarios.schema import Scenario
from experiments.scenarios.toml_text import scenario

LANES = 8192


@jax.jit
def _steps(
    base: codesign.Design,
    table: Any,
    work: codesign.Workload,
    plan: Any,
    technology: Any,
    execution: Any,
    chips: Any,
    sync: Any,
    batch: Any,
) -> Any:
    def one(chips: Any, sync: Any, batch: Any) -> Any:
        design = dataclasses.replace(base, chips=chips, sync_latency=sync)
        phase = dataclasses.replace(work.phase, batch=batch)
        found = evaluate_table(
            design, table, dataclasses.replace(work, phase=phase), plan, technology, execution
        )
        return found.step_time, found.capital_cost, found.limits.capacity

    return jax.vmap(one)(chips, sync, batch)


def steps(
    stated: Scenario, name: str, phase: Any, plan: Any, chips: np.ndarray, batch: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Step time [s], capital [USD] and ln(used/allowed) of the capacity at pairs of chips and
    batches."""
    posed = problem(stated)
    served, technology = posed.services[0], technology_of(stated, name)
    table = operator_table(
        served.model, served.precision, slice_columns=technology.attainable.slice_columns
    )
    device = hardware_priors.device(name)
    base = device.design(1, 8)
    base = dataclasses.replace(base, scale_out_latency=posed.spaces[0].base.scale_out_latency)
    work = codesign.Workload(served.model, phase, served.precision)
    sync = {n: device.sync_latency(n) for n in np.unique(chips).tolist()}
    found = []
    for start in range(0, len(chips), LANES):
        rows = np.minimum(np.arange(start, start + LANES), len(chips) - 1)
        own = np.array([sync[n] for n in chips[rows].tolist()])
        lanes = _steps(
            base,
            table,
            work,
            plan,
            technology,
            posed.execution,
            chips[rows] * 1.0,
            own,
            batch[rows] * 1.0,
        )
        found.append([np.asarray(leaf) for leaf in lanes])
    return tuple(np.concatenate(leaves)[: len(chips)] for leaves in zip(*found, strict=True))


def technology_of(stated: Scenario, name: str) -> codesign.Technology:
    """A device's technology at the scenario's prices."""
    chosen = stated.technology
    return hardware_priors.technology(
        *hardware_priors.device(name).technology_names(),
        cooling=chosen.cooling[0],
        packaging=chosen.packaging[0],
        price_basis=chosen.price_basis,
        utilisation=chosen.utilisation,
    )


def best_decode(
    stated: Scenario, name: str, chips: np.ndarray, batch: np.ndarray
) -> tuple[float, int, int]:
    """Most tokens/s/$ of a decoding scenario, with chips and batch."""
    posed = problem(stated)
    (served,) = posed.services
    n, b = (side.ravel() for side in np.meshgrid(chips, batch, indexing="ij"))
    best = (0.0, 0, 0)
    for way in layouts(stated, posed.services):
        time_, capital, capacity = steps(stated, name, served.phase, way.plans[0], n, b)
        value = np.where(
            (capacity <= 0) & (time_ <= float(served.promise)), b / time_ / capital, 0.0
        )
        k = int(value.argmax())
        best = max(best, (float(value[k]), int(n[k]), int(b[k])))
    return best


def best_pair(
    stated: Scenario, name: str, chips: np.ndarray, batch: np.ndarray, *, equal: bool = False
) -> tuple[float, int, int, int]:
    """Most tokens/s/$ of a service whose prefill has machines of its own; decode chips, prefill
    chips, batch."""
    posed = problem(stated)
    (served,) = posed.services
    serving, device = served.phase, hardware_priors.device(name)
    technology = technology_of(stated, name)
    table = operator_table(
        served.model, served.precision, slice_columns=technology.attainable.slice_columns
    )
    op = table.operators
    positions = float(serving.prompt)
    stored = jnp.minimum(positions, jnp.where(op.store_window > 0, op.store_window, jnp.inf))
    cache = float(jnp.sum(op.state_stored * stored + op.state_fixed))
    wire = float(device.design(1, 8).scale_out_bandwidth) * float(technology.attainable.link)
    rho = float(serving.load)
    best = (0.0, 0, 0, 0)
    for way in layouts(stated, posed.services):
        decode, prefill = way.plans
        groups = [
            float(plan.pipeline) * float(plan.context) * float(plan.data)
            for plan in (decode, prefill)
        ]
        n, b = (
            side.ravel() for side in np.meshgrid(chips[chips >= groups[0]], batch, indexing="ij")
        )
        time_d, capital_d, capacity_d = steps(stated, name, serving.decode, decode, n, b)
        draft = serving.draft
        a, k = float(draft.acceptance), float(draft.length)
        tokens = (1 - a ** (k + 1)) / (1 - a)
        dollars_d = time_d / (b * tokens) * capital_d
        dollars_d = np.where(
            (capacity_d <= 0) & (time_d / tokens <= float(served.promise)), dollars_d, np.inf
        )
        each = np.array([dollars_d[n == m].min() for m in chips[chips >= groups[0]]])
        at = np.array([b[n == m][dollars_d[n == m].argmin()] for m in chips[chips >= groups[0]]])
        m = chips[chips >= groups[1]]
        time_p, capital_p, capacity_p = steps(
            stated, name, serving.prefill, prefill, m, np.ones(len(m))
        )
        alone = (1 + rho / (2 * (1 - rho))) * time_p
        dollars_p = np.where(capacity_p <= 0, time_p / float(serving.output) * capital_p, np.inf)
        for i, decoders in enumerate(chips[chips >= groups[0]]):
            first = alone + cache / (np.minimum(decoders, m) * wire)
            total = np.where(first <= float(served.first_promise), each[i] + dollars_p, np.inf)
            total = np.where(m == decoders, total, np.inf) if equal else total
            j = int(total.argmin())
            best = max(best, (float(1 / total[j]), int(decoders), int(m[j]), int(at[i])))
    return best


def main() -> None:
    """Print the enumerated best beside what the search says."""
    from experiments.rivals.points import device_points

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenario")
    parser.add_argument("devices", nargs="+")
    parser.add_argument("--chips", type=int, nargs=2)
    parser.add_argument("--batch", type=int, nargs=3, help="first, last, step")
    parser.add_argument(
        "--equal", action="store_true", help="as many chips for prefill as for decode"
    )
    asked = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    stated = scenario(asked.scenario)
    only = stated.search.model_copy(update={"objectives": ["tokens/s/$"]})
    named = stated.compare.model_copy(update={"devices": tuple(asked.devices)})
    stated = stated.model_copy(update={"search": only, "compare": named})
    found = {point.name: point for point in device_points(stated, problem(stated))}
    low, high = asked.chips or stated.space.chips
    first, last, step = asked.batch or (*stated.space.batch, 1)
    chips, batch = np.arange(low, high + 1), np.arange(first, last + 1, step)
    for name in asked.devices:
        clock, point = time.perf_counter(), found[name]
        pair = len(problem(stated).spaces) == 2
        best = (
            best_pair(stated, name, chips, batch, equal=asked.equal)
            if pair
            else best_decode(stated, name, chips, batch)
        )
        ours = point.tokens_per_second_per_dollar
        print(
            f"{asked.scenario} {name}: enumerated {best[0]:.8g} at {best[1:]}, searched {ours:.8g}"
            f" at {point.size} batch {point.batch}, {100 * (ours / best[0] - 1):+.4f} %,"
            f" {time.perf_counter() - clock:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
