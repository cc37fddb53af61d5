"""Values and derivatives of all functions of a geometric program in convex form."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from codesign.physical.voltage import energy_ratio
from codesign.physical.wafer import die_price
from codesign.search.program.exponents import Exponents
from codesign.search.program.geometric_program import KindSpecials, Program, Specials
from codesign.search.program.keys import SPECIALS
from codesign.search.program.structure import Structure


class Values(NamedTuple):
    """All functions at a point: logarithms with their Jacobian, and what their Hessians are made
    of."""

    value: Float[Array, "functions"]
    jacobian: Float[Array, "functions variables"]
    shares: tuple[Array, ...]  # of each block's monomials
    mean: Float[
        Array, "functions variables"
    ]  # share-weighted gradient of each function's monomials
    local: Float[Array, "basis variables"]  # gradients of the monomials' logarithms
    bend: Float[Array, "specials"]  # second derivatives of the special functions' logarithms


class Packed(NamedTuple):
    """Coefficients and tilts of one block of functions (``Structure.blocks``): only the monomials
    that it may have."""

    coefficients: Array  # (functions, monomials)
    tilt: Array  # (integers, functions, monomials)


def packed(structure: Structure, program: Program) -> tuple[Packed, ...]:
    """The blocks of a program, taken out once before a solve."""
    found, first = [], 0
    for block in structure.blocks:
        rows, columns = slice(first, first + len(block.functions)), np.array(block.columns)
        tilt = jnp.moveaxis(program.tilt[rows][:, columns], 2, 0)
        found.append(Packed(program.coefficients[rows][:, columns], tilt))
        first += len(block.functions)
    return tuple(found)


def special_values(
    specials: Specials, arguments: Float[Array | np.ndarray, "specials"]
) -> tuple[Array, Array, Array]:
    """ln of the special functions with first and second derivative, shapes (kinds · SPECIALS +
    steps,): those of each kind, then the energy ratio at each step's clock."""
    kinds = jnp.shape(specials.kinds.dies)[0]

    def of_kind(own: KindSpecials, at: Float[Array, "SPECIALS"]) -> Float[Array, "SPECIALS"]:
        die = jnp.log(die_price(own.logic, jnp.exp(at[0]) / own.dies))
        slack = jnp.maximum(jnp.exp(at[1]) - own.sync_floor, 1e-3 * own.sync_floor)
        return jnp.stack(
            [
                die,
                jnp.log(own.sync_price) - jnp.log(slack),
                jnp.log(energy_ratio(jnp.exp(at[2]), own.logic)),
            ]
        )

    def all_kinds(at: Float[Array, "specials"]) -> Float[Array, "specials"]:
        own, steps = at[: kinds * len(SPECIALS)], at[kinds * len(SPECIALS) :]
        found = jax.vmap(of_kind)(specials.kinds, own.reshape(kinds, len(SPECIALS)))
        ratios = jnp.log(jax.vmap(energy_ratio)(jnp.exp(steps), specials.steps))
        return jnp.concatenate([found.ravel(), ratios])

    def value_and_slope(at: Array) -> tuple[Array, Array]:
        return jax.jvp(
            all_kinds, (at,), (jnp.ones_like(at),)
        )  # each depends on its own argument alone

    (value, slope), (_, bend) = jax.jvp(value_and_slope, (arguments,), (jnp.ones_like(arguments),))
    return value.ravel(), slope.ravel(), bend.ravel()


def functions(
    structure: Structure,
    shape: Exponents,
    program: Program,
    y: Float[Array | np.ndarray, "variables"],
    blocks: tuple[Packed, ...] | None = None,
) -> Values:
    """Logarithms of all functions and their derivatives at y, in closed form.

    What belongs to monomials is worked out once for all blocks, in as few products as there are:
    each costs XLA a call, and that is most of what a Newton step takes. Positions are picked by
    slices and by products with constants of 0 and 1: XLA makes loops of gathers and scatters.
    """
    blocks = packed(structure, program) if blocks is None else blocks
    special, slope, bend = special_values(program.specials, y[shape.argument])
    integers = units(structure, structure.integers)
    basis, specials = jnp.asarray(shape.basis), jnp.asarray(shape.special)
    powers = basis @ y + specials @ special
    local = basis + specials @ (slope[:, None] * units(structure, shape.argument))
    at = integers @ y
    values, shares, means, tilts = [], [], [], []
    for block, own in zip(structure.blocks, blocks, strict=True):
        terms = own.coefficients + _taken(powers, block.columns)[None]
        terms = terms + jnp.sum(own.tilt * at[:, None, None], axis=0)
        largest = jnp.max(terms, axis=1, keepdims=True)
        parts = jnp.exp(terms - largest)
        total = jnp.sum(parts, axis=1, keepdims=True)
        values.append((largest + jnp.log(total))[:, 0])
        shares.append(parts / total)
        means.append(shares[-1] @ _taken(local, block.columns))
        tilts.append(jnp.sum(shares[-1][None] * own.tilt, axis=2))
    value = jnp.concatenate(values)
    mean = jnp.concatenate(means) + jnp.concatenate(tilts, axis=1).T @ integers
    relaxation = units(structure, [structure.variable("relaxation")])
    exponents = jnp.asarray(shape.powers) - program.slack[:, None] * relaxation
    return Values(value + exponents @ y, mean + exponents, tuple(shares), mean, local, bend)


def _runs(columns: Sequence[int]) -> list[tuple[int, int]]:
    """Stretches of neighbouring columns, (first, one beyond the last)."""
    found: list[tuple[int, int]] = []
    for column in columns:
        if found and found[-1][1] == column:
            found[-1] = found[-1][0], column + 1
        else:
            found.append((column, column + 1))
    return found


def _taken(rows: Array, columns: Sequence[int]) -> Array:
    """Rows at the positions of a block's monomials, in slices."""
    return jnp.concatenate([rows[first:end] for first, end in _runs(columns)])


def _spread(columns: Sequence[int], values: Array, count: int) -> Array:
    """Values of a block's monomials, on the last axis, at their places among all."""
    parts, done, here = [], 0, 0
    for first, end in _runs(columns):
        parts += [jnp.zeros((*values.shape[:-1], first - done))] if first > done else []
        parts.append(values[..., here : here + end - first])
        done, here = end, here + end - first
    parts += [jnp.zeros((*values.shape[:-1], count - done))] if count > done else []
    return jnp.concatenate(parts, axis=-1)


def units(structure: Structure, positions: Sequence[int] | np.ndarray) -> np.ndarray:
    """Rows of the unit matrix at the positions of some variables, shape (positions, variables)
    [1]."""
    return np.eye(len(structure.variables))[np.asarray(positions)]


def weighted_hessian(
    structure: Structure,
    shape: Exponents,
    blocks: tuple[Packed, ...],
    values: Values,
    weights: Float[Array, "functions"],
) -> Float[Array, "variables variables"]:
    """Σ_j weight_j ∇² log f_j: covariance of the monomials' gradients under the shares, plus the
    special functions' own bend."""
    integers, arguments = units(structure, structure.integers), units(structure, shape.argument)
    local, first = values.local, 0
    mass = jnp.zeros((len(structure.basis), 1 + len(structure.integers)))
    squares = 0.0
    for block, own, shares in zip(structure.blocks, blocks, values.shares, strict=True):
        weighted = weights[first : first + len(block.functions), None] * shares
        first += len(block.functions)
        by_tilt = weighted[None] * own.tilt
        sums = jnp.concatenate([jnp.sum(weighted, axis=0)[None], jnp.sum(by_tilt, axis=1)])
        mass = mass + _spread(block.columns, sums, len(structure.basis)).T
        squares = squares + jnp.sum(by_tilt[:, None] * own.tilt[None], axis=(2, 3))
    cross = local.T @ mass[:, 1:] @ integers
    return (
        local.T @ (mass[:, :1] * local)
        - values.mean.T @ (weights[:, None] * values.mean)
        + cross
        + cross.T
        + integers.T @ squares @ integers
        + arguments.T @ (((mass[:, 0] @ shape.special) * values.bend)[:, None] * arguments)
    )
