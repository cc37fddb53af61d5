"""Machines on sale, on the exact model: many lanes of chips, batches and layouts at once."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from codesign.hardware.design import Design
from codesign.numerics.compilation import SELDOM, compiled
from codesign.numerics.fields import RealArray
from codesign.physical.cost import CAPITAL_PARTS
from codesign.search.solver.packing import PackedProblems, each_lane
from codesign.search.statement.fleet import Totals, first_token, fleet_of
from codesign.search.statement.problem import ProblemBatch
from codesign.search.statement.services import Service, StepKind, machine_seconds, token_times
from codesign.workload.phases import Serving

LANES = 2048
"""Machines a call of the compiled program: one program for everything."""


class Offers(NamedTuple):
    """What is on offer: every device in every layout; leading axis the offers."""

    problems: PackedProblems
    steps: tuple[StepKind, ...]
    services: tuple[Service, ...]
    device: np.ndarray  # (offers,) index of the device
    bases: Design  # leaves (offers,); chips and sync latency are put in
    latencies: np.ndarray  # (offers, most chips + 1) [s], by the number of chips
    fewest: np.ndarray  # (offers, kinds) chips over which the layout can be divided
    steps_at: np.ndarray  # (offers, …) numbers of chips beyond which the network changes
    chips: tuple[int, int]
    batch: tuple[int, int]


class Machines(NamedTuple):
    """Evaluated machines (fleets of one device), leading axis the machines; ln(used/allowed) of
    what may stop them."""

    totals: Totals
    capacity: RealArray  # (kinds,)
    late: RealArray  # (services,) time per token
    first: RealArray  # (services,) time to the first token
    chips_busy: RealArray  # chip-seconds of an output token [s]
    capital: RealArray  # (CAPITAL_PARTS,) [USD/(token/s)]


class Integers(NamedTuple):
    """Machines to evaluate."""

    offer: np.ndarray  # (machines,)
    chips: np.ndarray  # (machines, kinds)
    batch: np.ndarray  # (machines, services)

    def __getitem__(self, rows: np.ndarray) -> "Integers":  # pyright: ignore[reportIncompatibleMethodOverride]
        return Integers(self.offer[rows], self.chips[rows], self.batch[rows])


@compiled(SELDOM)
def _lanes(
    problems: PackedProblems,
    bases: Design,
    offer: jax.Array,
    chips: jax.Array,
    latency: jax.Array,
    batch: jax.Array,
) -> Machines:
    def lane(
        problem: ProblemBatch, base: Design, chips: jax.Array, latency: jax.Array, batch: jax.Array
    ) -> Machines:
        designs = tuple(
            dataclasses.replace(base, chips=chips[p], sync_latency=latency[p])
            for p in range(len(problem.spaces))
        )
        return _machine(problem, designs, batch)

    return each_lane(
        lane, problems, offer, jax.tree.map(lambda leaf: leaf[offer], bases), chips, latency, batch
    )


def _machine(problem: ProblemBatch, designs: tuple[Design, ...], batch: jax.Array) -> Machines:
    found = fleet_of(problem, designs, batch)
    capacity = [jnp.full_like(batch[0], -jnp.inf) for _ in designs]
    busy, capital = jnp.zeros_like(batch[0]), jnp.zeros(len(CAPITAL_PARTS), batch.dtype)
    for step, outcome in zip(problem.steps, found.outcomes, strict=True):
        capacity[step.kind] = jnp.maximum(capacity[step.kind], outcome.limits.capacity)
        asked = machine_seconds(problem.services[step.service], step, batch[step.service])
        chip_seconds = asked * outcome.step_time * designs[step.kind].chips
        busy = busy + chip_seconds
        capital = capital + chip_seconds * jnp.stack(
            [getattr(outcome.cost, name) for name in CAPITAL_PARTS]
        )
    late, first = [], []
    for s, one in enumerate(problem.services):
        times = [
            found.outcomes[k].step_time for k, step in enumerate(problem.steps) if step.service == s
        ]
        decode, prefill = token_times(one, batch[s])
        late.append(
            jnp.log(
                (decode * times[0] + (prefill * times[1] if len(times) > 1 else 0.0)) / one.promise
            )
        )
        waits = isinstance(one.phase, Serving)
        first.append(
            jnp.log(first_token(problem, s, designs, times) / one.first_promise)
            if waits
            else jnp.full_like(late[0], -jnp.inf)
        )
    return Machines(
        found.totals, jnp.stack(capacity), jnp.stack(late), jnp.stack(first), busy, capital
    )


def evaluate(offers: Offers, machines: Integers) -> Machines:
    """Run machines on the exact model, ``LANES`` at a time; arrays of numpy."""
    count = len(machines.offer)
    padded = machines[np.minimum(np.arange(-(-count // LANES) * LANES), count - 1)]
    latency = offers.latencies[padded.offer[:, None], padded.chips]
    found = []
    for start in range(0, len(padded.offer), LANES):
        rows = slice(start, start + LANES)
        lanes = _lanes(
            offers.problems,
            offers.bases,
            padded.offer[rows],
            padded.chips[rows].astype(float),
            latency[rows],
            padded.batch[rows].astype(float),
        )
        found.append(jax.tree.map(np.asarray, lanes))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[:count], *found)
