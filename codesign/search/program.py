"""The program of a problem in arrays: a box, coefficients, and the values and derivatives of all its functions."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from codesign.hardware.technology import Logic
from codesign.numerics.fields import Real
from codesign.physical.voltage import energy_ratio
from codesign.physical.wafer import die_price
from codesign.search.choices import Kind
from codesign.search.coefficients import Sample, sample
from codesign.search.layout import SPECIALS, Exponents, Layout
from codesign.search.problem import Problems, layer_steps, machine_seconds
from codesign.search.space import CONTINUOUS, Space

SETTLED = 50.0
"""ln by which a limit on stacks or layers that is settled by their number is kept (or broken, where it is)."""
HAIR = 1e-6
"""Slack, in log units, of a number of layers that is fixed while the number of stacks is not."""


class Program(eqx.Module):
    """One problem at given integers, or a relaxation of it over a box of integers.

    ``tilt`` are exponents of each coefficient in the integers (``Layout.integers``), zero where these are fixed; ``slack`` says
    which functions the variable "relaxation" relaxes: ln f_j ≤ slack_j · relaxation.
    """

    coefficients: Float[Array, "functions basis"]
    tilt: Float[Array, "functions basis integers"]
    slack: Float[Array, "functions"]
    low: Float[Array, "variables"]
    high: Float[Array, "variables"]
    constants: Float[Array, "3"]  # ln of tokens yielded and served by a step of the first service, and of the utilisation
    specials: "Specials"


class Specials(eqx.Module):
    """What the functions of one variable need, leading axis the kinds of machine."""

    logic: Logic
    dies: Real
    sync_floor: Real
    sync_price: Real


class BoundNumbers(NamedTuple):
    """Numbers of the bounds on outcomes (``goals.bound_rows``)."""

    constants: Any  # (bounds, 3)
    limits: Any  # (bounds,)


def fixed_program(layout: Layout, problems: Problems, integers: Float[Array, "all"], bounds: BoundNumbers) -> Program:
    """The program at fixed integers.

    Args:
        layout: structure.
        problems: the problem of one choice.
        integers: in the order of ``problem.integer_names``; 0 for stacks and layers that are free.
        bounds: on outcomes.
    """
    count = layout.counted
    at = sample(layout, problems, integers[:count])
    together = jax.tree.map(lambda leaf: leaf[None], at)
    level = jnp.zeros((*at.coefficients.shape, count))
    return framed(layout, problems, at.coefficients, level, together, integers, integers, bounds)


def framed(
    layout: Layout, problems: Problems, coefficients: Any, tilt: Any, samples: Sample,
    low: Float[Array, "all"], high: Float[Array, "all"], bounds: BoundNumbers,
) -> Program:  # fmt: skip
    """A program with its box: over integers from ``low`` to ``high`` (equal where fixed)."""
    kinds = problems.kinds
    bottom, top = [], []
    chips, services = layout.kinds, len(layout.services)
    asked_low, asked_high = _rates(layout, problems, low, high, samples)
    for p, space in enumerate(problems.spaces):
        whole = _whole_memory(space, kinds[p], chips + services + p, 2 * chips + services + p, low, high)
        ends = _continuous_box(space, kinds[p], samples.sync_floor[:, p], whole)
        silicon = kinds[p].technology.logic.fixed_area * kinds[p].dies, kinds[p].dies * kinds[p].technology.logic.reticle_area
        bottom += [ends[0], jnp.log(jnp.stack([silicon[0] * 0.5, asked_low[p] * 0.5, low[p]]))]
        top += [ends[1], jnp.log(jnp.stack([silicon[1] * 2.0, asked_high[p] * 2.0, high[p]]))]
        names = ("stacks", "layers_most", "layers_fewest")
        rows = np.array([layout.function(name, p) for name in names])
        coefficients = coefficients.at[rows, 0].set(jnp.where(whole.settled != 0.0, whole.settled, coefficients[rows, 0] + whole.shift))
    times_low, times_high = jnp.min(samples.fastest, axis=0) * 0.5, jnp.max(samples.slowest, axis=0) * 2.0
    bottom += [jnp.log(times_low), jnp.log(low[chips : chips + services])]
    top += [jnp.log(times_high), jnp.log(high[chips : chips + services])]
    bottom.append(jnp.stack([jnp.log(jnp.min(times_low)) - 12.0, jnp.zeros(())]))
    top.append(jnp.stack([jnp.log(jnp.sum(times_high)) + 12.0, jnp.zeros(())]))
    if layout.bounds:
        first = layout.function("bound", 0)
        shift = bounds.constants @ samples.constants[0] - bounds.limits
        coefficients = coefficients.at[first : first + len(layout.bounds)].add(shift[:, None])
    return Program(
        coefficients=coefficients,
        tilt=tilt,
        slack=jnp.zeros(len(layout.functions)),
        low=jnp.concatenate(bottom),
        high=jnp.concatenate(top),
        constants=samples.constants[0],
        specials=Specials(
            logic=jax.tree.map(lambda *leaves: jnp.stack(leaves), *[kind.technology.logic for kind in kinds]),
            dies=jnp.stack([kind.dies for kind in kinds]),
            sync_floor=jnp.min(samples.sync_floor, axis=0),
            sync_price=jnp.stack([kind.technology.links.sync_price for kind in kinds]),
        ),
    )


def _rates(layout: Layout, problems: Problems, low: Any, high: Any, samples: Sample) -> tuple[list[Real], list[Real]]:
    """Machine-seconds per output token of each kind, at least and at most [s]."""
    least, most = [jnp.asarray(0.0)] * layout.kinds, [jnp.asarray(0.0)] * layout.kinds
    for k, step in enumerate(problems.steps):
        one, s = problems.services[step.service], step.service
        asked = [machine_seconds(one, step, ends[layout.kinds + s]) for ends in (high, low)]
        least[step.kind] = least[step.kind] + asked[0] * jnp.min(samples.fastest[:, k])
        most[step.kind] = most[step.kind] + asked[1] * jnp.max(samples.slowest[:, k])
    return [jnp.maximum(value, 1e-30) for value in least], [jnp.maximum(value, 1e-29) for value in most]


class _WholeMemory(NamedTuple):
    """Whole stacks and layers of a kind: ranges of bandwidth and capacity, and what becomes of the limits on stacks and layers."""

    pinned: Any  # bool: whether stacks and layers are numbers at all
    bandwidth: tuple[Any, Any]  # [B/s]
    capacity: tuple[Any, Any]  # [B]
    shift: Float[Array, "3"]  # of ln of the limits (stacks, layers_most, layers_fewest)
    settled: Float[Array, "3"]  # instead of them, where not zero


def _whole_memory(space: Space, kind: Kind, stacks: int, layers: int, low: Any, high: Any) -> _WholeMemory:
    memory = kind.technology.memory
    pinned = low[stacks] > 0
    step = layer_steps(space, memory)
    s, t = jnp.maximum(low[stacks], 1.0), jnp.maximum(high[stacks], 1.0)
    a, b = jnp.maximum(low[layers], 1.0) * step, jnp.maximum(high[layers], 1.0) * step
    most, fewest = jnp.minimum(b, memory.max_layers), jnp.maximum(a, memory.min_layers)
    hair = jnp.where(most <= fewest * (1.0 + 1e-9), HAIR, 0.0)
    shift = jnp.stack([jnp.zeros_like(hair), jnp.log(memory.max_layers / most) - hair, jnp.log(fewest / memory.min_layers) - hair])
    tolerance = 1.0 + 1e-9
    allowed = jnp.stack([s <= memory.max_stacks * tolerance, a <= memory.max_layers * tolerance, b * tolerance >= memory.min_layers])
    one_number = jnp.stack([s >= t, (s >= t) & (a >= b), (s >= t) & (a >= b)])
    settled = jnp.where(~allowed, SETTLED, jnp.where(one_number, -SETTLED, 0.0))
    return _WholeMemory(
        pinned,
        (s * memory.stack_bandwidth, t * memory.stack_bandwidth),
        (s * a * memory.layer_capacity, t * b * memory.layer_capacity),
        jnp.where(pinned, shift, jnp.where(memory.max_layers <= memory.min_layers * tolerance, -HAIR, 0.0)),
        jnp.where(pinned, settled, 0.0),
    )


def _continuous_box(space: Space, kind: Kind, floors: Real, whole: _WholeMemory) -> tuple[Any, Any]:
    """Bounds of a kind's continuous variables in logarithms: the space's, what the network gives, what is pinned."""
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


class Values(NamedTuple):
    """All functions at a point: logarithms with their Jacobian, and what their Hessians are made of."""

    value: Float[Array, "functions"]
    jacobian: Float[Array, "functions variables"]
    shares: tuple[Any, ...]  # of each block's monomials
    mean: Float[Array, "functions variables"]  # share-weighted gradient of each function's monomials
    local: tuple[Any, ...]  # of each block: gradients of its monomials' logarithms
    bend: Float[Array, "specials"]  # second derivatives of the special functions' logarithms


class Packed(NamedTuple):
    """Coefficients and tilts of one block of functions (``Layout.blocks``): only the monomials that it may have."""

    coefficients: Any  # (functions, monomials)
    tilt: Any  # (functions, monomials, integers)


def packed(layout: Layout, program: Program) -> tuple[Packed, ...]:
    """The blocks of a program, taken out once before a solve."""
    found, first = [], 0
    for block in layout.blocks:
        rows, columns = slice(first, first + len(block.functions)), np.array(block.columns)
        found.append(Packed(program.coefficients[rows][:, columns], program.tilt[rows][:, columns]))
        first += len(block.functions)
    return tuple(found)


def special_values(specials: Specials, arguments: Float[Array, "kinds SPECIALS"]) -> tuple[Any, Any, Any]:
    """ln of the special functions with first and second derivative, shapes (kinds · SPECIALS,)."""

    def of_kind(own: Specials, at: Float[Array, "SPECIALS"]) -> Float[Array, "SPECIALS"]:
        die = jnp.log(die_price(own.logic, jnp.exp(at[0]) / own.dies))
        slack = jnp.maximum(jnp.exp(at[1]) - own.sync_floor, 1e-3 * own.sync_floor)
        return jnp.stack([die, jnp.log(own.sync_price) - jnp.log(slack), jnp.log(energy_ratio(jnp.exp(at[2]), own.logic))])

    def all_kinds(at: Float[Array, "kinds SPECIALS"]) -> Float[Array, "kinds SPECIALS"]:
        return jax.vmap(of_kind)(specials, at)

    def value_and_slope(at: Any) -> tuple[Any, Any]:
        return jax.jvp(all_kinds, (at,), (jnp.ones_like(at),))  # each depends on its own argument alone

    (value, slope), (_, bend) = jax.jvp(value_and_slope, (arguments,), (jnp.ones_like(arguments),))
    return value.ravel(), slope.ravel(), bend.ravel()


def functions(
    layout: Layout, shape: Exponents, program: Program, y: Float[Array, "variables"], blocks: tuple[Packed, ...] | None = None
) -> Values:
    """Logarithms of all functions and their derivatives at y, in closed form.

    Positions are picked by products with constants of 0 and 1: XLA makes loops of gathers and scatters.
    """
    blocks = packed(layout, program) if blocks is None else blocks
    special, slope, bend = special_values(program.specials, y[shape.argument].reshape(layout.kinds, len(SPECIALS)))
    bent = slope[:, None] * units(layout, shape.argument)
    integers = units(layout, layout.integers)
    values, shares, means, local = [], [], [], []
    for block, own in zip(layout.blocks, blocks, strict=True):
        basis, specials = (jnp.asarray(part[np.array(block.columns)]) for part in (shape.basis, shape.special))
        terms = own.coefficients + (basis @ y + specials @ special) + own.tilt @ (integers @ y)
        largest = jnp.max(terms, axis=1, keepdims=True)
        parts = jnp.exp(terms - largest)
        total = jnp.sum(parts, axis=1, keepdims=True)
        values.append((largest + jnp.log(total))[:, 0])
        shares.append(parts / total)
        local.append(basis + specials @ bent)
        means.append(shares[-1] @ local[-1] + jnp.sum(shares[-1][:, :, None] * own.tilt, axis=1) @ integers)
    value, mean = jnp.concatenate(values), jnp.concatenate(means)
    relaxation = units(layout, [layout.variable("relaxation")])
    powers = jnp.asarray(shape.powers) - program.slack[:, None] * relaxation
    return Values(value + powers @ y, mean + powers, tuple(shares), mean, tuple(local), bend)


def units(layout: Layout, positions: Any) -> np.ndarray:
    """Rows of the unit matrix at the positions of some variables, shape (positions, variables) [1]."""
    return np.eye(len(layout.variables))[np.asarray(positions)]


def weighted_hessian(
    layout: Layout, shape: Exponents, blocks: tuple[Packed, ...], values: Values, weights: Float[Array, "functions"]
) -> Float[Array, "variables variables"]:
    """Σ_j weight_j ∇² log f_j: covariance of the monomials' gradients under the shares, plus the special functions' own bend."""
    integers, arguments = units(layout, layout.integers), units(layout, shape.argument)
    hessian = -values.mean.T @ (weights[:, None] * values.mean)
    bend, first = jnp.zeros(len(shape.argument)), 0
    for block, own, shares, local in zip(layout.blocks, blocks, values.shares, values.local, strict=True):
        weighted = weights[first : first + len(block.functions), None] * shares
        first += len(block.functions)
        mass = jnp.sum(weighted, axis=0)
        hessian = hessian + local.T @ (mass[:, None] * local)
        bend = bend + mass @ jnp.asarray(shape.special[np.array(block.columns)])
        by_tilt = weighted[:, :, None] * own.tilt
        cross = local.T @ jnp.sum(by_tilt, axis=0) @ integers
        hessian = hessian + cross + cross.T + integers.T @ jnp.einsum("jmu,jmv->uv", by_tilt, own.tilt) @ integers
    return hessian + arguments.T @ ((bend * values.bend)[:, None] * arguments)
