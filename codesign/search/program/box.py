"""The box of a program's variables: what the space allows, what whole stacks and layers pin, what
the network gives."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from codesign.numerics.fields import Real
from codesign.search.program.coefficients import Sample
from codesign.search.program.structure import Structure
from codesign.search.statement.choices import Kind
from codesign.search.statement.problem import ProblemBatch, layer_steps
from codesign.search.statement.services import machine_seconds
from codesign.search.statement.space import CONTINUOUS, Space

SETTLED = 50.0
"""ln by which a limit on stacks or layers that is settled by their number is kept (or broken, where
it is)."""
HAIR = 1e-6
"""Slack, in log units, of a number of layers that is fixed while the number of stacks is not."""


def machine_second_range(
    structure: Structure, problems: ProblemBatch, low: Array, high: Array, samples: Sample
) -> tuple[list[Real], list[Real]]:
    """Machine-seconds per output token of each kind, at least and at most [s]."""
    least, most = [jnp.asarray(0.0)] * structure.kinds, [jnp.asarray(0.0)] * structure.kinds
    for k, step in enumerate(problems.steps):
        one, s = problems.services[step.service], step.service
        asked = [machine_seconds(one, step, ends[structure.kinds + s]) for ends in (high, low)]
        least[step.kind] = least[step.kind] + asked[0] * jnp.min(samples.fastest[:, k])
        most[step.kind] = most[step.kind] + asked[1] * jnp.max(samples.slowest[:, k])
    return [jnp.maximum(value, 1e-30) for value in least], [
        jnp.maximum(value, 1e-29) for value in most
    ]


class _WholeMemory(NamedTuple):
    """Whole stacks and layers of a kind: ranges of bandwidth and capacity, and what becomes of the
    limits on stacks and layers."""

    pinned: Array  # bool: whether stacks and layers are numbers at all
    bandwidth: tuple[Array, Array]  # [B/s]
    capacity: tuple[Array, Array]  # [B]
    shift: Float[Array, "3"]  # of ln of the limits (stacks, layers_most, layers_fewest)
    settled: Float[Array, "3"]  # instead of them, where not zero


def whole_memory(
    space: Space, kind: Kind, stacks: int, layers: int, low: Array, high: Array
) -> _WholeMemory:
    memory = kind.technology.memory
    pinned = low[stacks] > 0
    step = layer_steps(space, memory)
    s, t = jnp.maximum(low[stacks], 1.0), jnp.maximum(high[stacks], 1.0)
    a, b = jnp.maximum(low[layers], 1.0) * step, jnp.maximum(high[layers], 1.0) * step
    most, fewest = jnp.minimum(b, memory.max_layers), jnp.maximum(a, memory.min_layers)
    hair = jnp.where(most <= fewest * (1.0 + 1e-9), HAIR, 0.0)
    shift = jnp.stack(
        [
            jnp.zeros_like(hair),
            jnp.log(memory.max_layers / most) - hair,
            jnp.log(fewest / memory.min_layers) - hair,
        ]
    )
    tolerance = 1.0 + 1e-9
    allowed = jnp.stack(
        [
            s <= memory.max_stacks * tolerance,
            a <= memory.max_layers * tolerance,
            b * tolerance >= memory.min_layers,
        ]
    )
    one_number = jnp.stack([s >= t, (s >= t) & (a >= b), (s >= t) & (a >= b)])
    settled = jnp.where(~allowed, SETTLED, jnp.where(one_number, -SETTLED, 0.0))
    return _WholeMemory(
        pinned,
        (s * memory.stack_bandwidth, t * memory.stack_bandwidth),
        (s * a * memory.layer_capacity, t * b * memory.layer_capacity),
        jnp.where(
            pinned, shift, jnp.where(memory.max_layers <= memory.min_layers * tolerance, -HAIR, 0.0)
        ),
        jnp.where(pinned, settled, 0.0),
    )


def continuous_box(
    space: Space, kind: Kind, floors: Real, whole: _WholeMemory
) -> tuple[Array, Array]:
    """Bounds of a kind's continuous variables in logarithms: the space's, what the network gives,
    what is pinned."""
    at = {name: k for k, name in enumerate(CONTINUOUS)}
    low, high, sync = space.low, space.high, at["sync_latency"]
    if space.buildable:
        latency = floors + kind.technology.links.software_latency
        low, high = low.at[sync].set(jnp.min(latency)), high.at[sync].set(jnp.max(latency))
    else:
        low = low.at[sync].max(jnp.minimum(jnp.min(floors) * (1.0 + 1e-3), high[sync]))
    for name, ends in (("memory_bandwidth", whole.bandwidth), ("memory_capacity", whole.capacity)):
        k = at[name]
        low = low.at[k].set(jnp.where(whole.pinned, ends[0], low[k]))
        high = high.at[k].set(jnp.where(whole.pinned, ends[1], high[k]))
    return jnp.log(low), jnp.log(high)
