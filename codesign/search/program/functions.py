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
from codesign.search.program.geometric_program import Program, Specials
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
    local: tuple[Array, ...]  # of each block: gradients of its monomials' logarithms
    bend: Float[Array, "specials"]  # second derivatives of the special functions' logarithms


class Packed(NamedTuple):
    """Coefficients and tilts of one block of functions (``Structure.blocks``): only the monomials
    that it may have."""

    coefficients: Array  # (functions, monomials)
    tilt: Array  # (functions, monomials, integers)


def packed(structure: Structure, program: Program) -> tuple[Packed, ...]:
    """The blocks of a program, taken out once before a solve."""
    found, first = [], 0
    for block in structure.blocks:
        rows, columns = slice(first, first + len(block.functions)), np.array(block.columns)
        found.append(Packed(program.coefficients[rows][:, columns], program.tilt[rows][:, columns]))
        first += len(block.functions)
    return tuple(found)


def special_values(
    specials: Specials, arguments: Float[Array | np.ndarray, "kinds SPECIALS"]
) -> tuple[Array, Array, Array]:
    """ln of the special functions with first and second derivative, shapes (kinds · SPECIALS,)."""

    def of_kind(own: Specials, at: Float[Array, "SPECIALS"]) -> Float[Array, "SPECIALS"]:
        die = jnp.log(die_price(own.logic, jnp.exp(at[0]) / own.dies))
        slack = jnp.maximum(jnp.exp(at[1]) - own.sync_floor, 1e-3 * own.sync_floor)
        return jnp.stack(
            [
                die,
                jnp.log(own.sync_price) - jnp.log(slack),
                jnp.log(energy_ratio(jnp.exp(at[2]), own.logic)),
            ]
        )

    def all_kinds(at: Float[Array, "kinds SPECIALS"]) -> Float[Array, "kinds SPECIALS"]:
        return jax.vmap(of_kind)(specials, at)

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

    Positions are picked by products with constants of 0 and 1: XLA makes loops of gathers and
    scatters.
    """
    blocks = packed(structure, program) if blocks is None else blocks
    special, slope, bend = special_values(
        program.specials, y[shape.argument].reshape(structure.kinds, len(SPECIALS))
    )
    bent = slope[:, None] * units(structure, shape.argument)
    integers = units(structure, structure.integers)
    values, shares, means, local = [], [], [], []
    for block, own in zip(structure.blocks, blocks, strict=True):
        basis, specials = (
            jnp.asarray(part[np.array(block.columns)]) for part in (shape.basis, shape.special)
        )
        powers = basis @ y + specials @ special
        terms = own.coefficients + powers[None] + own.tilt @ (integers @ y)
        largest = jnp.max(terms, axis=1, keepdims=True)
        parts = jnp.exp(terms - largest)
        total = jnp.sum(parts, axis=1, keepdims=True)
        values.append((largest + jnp.log(total))[:, 0])
        shares.append(parts / total)
        local.append(basis + specials @ bent)
        means.append(
            shares[-1] @ local[-1] + jnp.sum(shares[-1][:, :, None] * own.tilt, axis=1) @ integers
        )
    value, mean = jnp.concatenate(values), jnp.concatenate(means)
    relaxation = units(structure, [structure.variable("relaxation")])
    powers = jnp.asarray(shape.powers) - program.slack[:, None] * relaxation
    return Values(value + powers @ y, mean + powers, tuple(shares), mean, tuple(local), bend)


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
    hessian = -values.mean.T @ (weights[:, None] * values.mean)
    bend, first = jnp.zeros(len(shape.argument)), 0
    for block, own, shares, local in zip(
        structure.blocks, blocks, values.shares, values.local, strict=True
    ):
        weighted = weights[first : first + len(block.functions), None] * shares
        first += len(block.functions)
        mass = jnp.sum(weighted, axis=0)
        hessian = hessian + local.T @ (mass[:, None] * local)
        bend = bend + mass @ jnp.asarray(shape.special[np.array(block.columns)])
        by_tilt = weighted[:, :, None] * own.tilt
        cross = local.T @ jnp.sum(by_tilt, axis=0) @ integers
        hessian = (
            hessian
            + cross
            + cross.T
            + integers.T @ jnp.einsum("jmu,jmv->uv", by_tilt, own.tilt) @ integers
        )
    return hessian + arguments.T @ ((bend * values.bend)[:, None] * arguments)
