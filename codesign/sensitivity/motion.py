"""How the optimum moves with the technology: implicit differentiation of the lifted KKT conditions.

At fixed choice and integers the optimum y* of the geometric program satisfies

    ∇_y L(y, λ; θ) = 0,    λ_j g_j(y; θ) = 0,    L = w · F + λ · g.

By the envelope theorem its value moves with ∂L/∂θ at fixed y and λ; the optimum itself with

    [ H   Jᵀ ] [dy]     [∂_θ ∇L]
    [ J  −s/λ] [dλ] = − [∂_θ g ]

(Fiacco, *Introduction to Sensitivity and Stability Analysis in Nonlinear Programming*, 1983,
chapter 3).

Maxima are limits of the lifted program, so there are no kinks to differentiate through. Where a
limit is met without a price (λ = s = 0), the two sides differ and the derivative is of neither:
``degenerate`` says so.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from codesign.hardware.technology import Technology
from codesign.numerics.compilation import SELDOM, compiled
from codesign.search.integers.formulation import Formulation, Subproblem
from codesign.search.program.geometric_program import BoundNumbers, Program, fixed_program
from codesign.search.program.objectives import Goals
from codesign.search.program.structure import OUTCOMES, Structure
from codesign.search.solver.interior_point import Model, Point, model_at
from codesign.search.solver.lanes import double_precision
from codesign.search.solver.packing import PackedProblems
from codesign.search.statement.space import CONTINUOUS
from codesign.sensitivity.optimum import Optimum
from codesign.workload.operators import operator_table, pad
from codesign.workload.precision import Precision
from codesign.workload.transformer import Transformer

WEAK = 1e-4
"""Multiplier and slack below which a limit is met without a price."""


class Motion(NamedTuple):
    """Derivatives of an optimum by ln of every number of the technologies.

    ``value`` is d(ln objective, to be minimised)/d ln θ [1]; ``designs`` are d ln x/d ln θ of each
    kind's continuous quantities (kinds, CONTINUOUS, numbers); ``silicon`` of its logic area.
    """

    names: tuple[str, ...]
    values: np.ndarray  # of the numbers [SI]
    value: np.ndarray  # (numbers,)
    designs: np.ndarray  # (kinds, CONTINUOUS, numbers)
    silicon: np.ndarray  # (kinds, numbers)
    multipliers: np.ndarray  # (limits, numbers) dλ/d ln θ
    degenerate: tuple[str, ...]  # limits that are met without a price


def technology_names(technologies: Sequence[Technology]) -> tuple[str, ...]:
    """Names of the numbers of the technologies of a fleet's kinds, in the order of their leaves.

    >>> import hardware_priors
    >>> technology_names([hardware_priors.technology()])[0]
    'technology.logic.matrix_density'
    """
    labels = [
        "technology" if len(technologies) == 1 else f"technology {p}"
        for p in range(len(technologies))
    ]
    return tuple(
        f"{label}{jax.tree_util.keystr(path)}"
        for label, technology in zip(labels, technologies, strict=True)
        for path, _ in jax.tree_util.tree_leaves_with_path(technology)
    )


def motion(found: Optimum, subproblem: Subproblem | None = None) -> Motion:
    """Differentiate an optimum by ln of every number of its technologies.

    Args:
        found: the optimum.
        subproblem: another solved subproblem of its pool, if not the optimum.

    Returns:
        Elasticities of value and design at fixed choice and integers [1]. Exact where no limit is
        met without a price.

    Source: Fiacco (1983), theorem 3.2.1; the envelope theorem for the value.

    >>> from experiments.examples.small_space import optimum
    >>> moved = motion(optimum())
    >>> price = moved.names.index("technology.memory.layer_price")
    >>> round(float(moved.value[price]), 3)  # 1 % dearer layers cost 0.041 % of tokens/s/$
    0.041
    """
    chosen = found.subproblem if subproblem is None else subproblem
    formulation, point = found.pool.formulation, found.pool.done[chosen].point
    structure = formulation.structure
    with double_precision():
        parts = _derivatives(*_arguments(formulation, found, chosen, point))
    program, model, value, moved = jax.tree.map(np.asarray, parts)
    free = np.asarray(program.high > program.low)
    sides = _solve(model, point, program, free, moved)
    d_y, d_multipliers = sides
    kinds = structure.kinds
    first = [structure.variable(CONTINUOUS[0], p) for p in range(kinds)]
    silicon = [structure.variable("silicon", p) for p in range(kinds)]
    names = structure.functions[len(OUTCOMES) :]
    weak = (np.asarray(point.multipliers) < WEAK) & (np.asarray(point.slack) < WEAK)
    technologies = [kind.technology for kind in formulation.problems.kinds]
    leaves = jax.tree.leaves(technologies)
    return Motion(
        technology_names(technologies),
        np.array([float(np.asarray(leaf)[chosen.choice]) for leaf in leaves]),
        value,
        np.stack([d_y[f : f + len(CONTINUOUS)] for f in first]),
        np.stack([d_y[k] for k in silicon]),
        d_multipliers,
        tuple(f"{key.name} {key.index}" for key, flag in zip(names, weak, strict=True) if flag),
    )


def value_slopes(found: Optimum, subproblem: Subproblem) -> np.ndarray:
    """d(ln objective, to be minimised)/d ln θ of a solved subproblem, by the envelope theorem [1]:
    much cheaper than ``motion``."""
    row = np.asarray(found.pool.formulation.packed.rows)[subproblem.choice]
    return value_slopes_at(found, subproblem, row, found.pool.done[subproblem].point)


def value_slopes_at(
    found: Optimum, subproblem: Subproblem, row: np.ndarray, point: Point
) -> np.ndarray:
    """``value_slopes`` in another world: its packed row (``worlds``), and the optimum there."""
    arguments = _arguments(found.pool.formulation, found, subproblem, point)
    own = PackedProblems(arguments.row.shared, row, arguments.row.packings)
    with double_precision():
        return np.asarray(_value_slopes(*arguments._replace(row=own)))


Operators: TypeAlias = tuple[tuple[Transformer, ...], tuple[Precision, ...]]
"""Models and precisions of the services: what tables of operators are written from."""


class _Arguments(NamedTuple):
    structure: Structure
    row: PackedProblems
    operators: Operators
    bounds: BoundNumbers
    goals: Goals
    integers: np.ndarray
    point: Point


def _arguments(
    formulation: Formulation, found: Optimum, chosen: Subproblem, point: Point
) -> _Arguments:
    row = PackedProblems(
        formulation.packed.shared,
        formulation.packed.rows[chosen.choice],
        formulation.packed.packings,
    )
    precisions = found.choices[chosen.choice].precisions or tuple(
        one.precision for one in found.services
    )
    models = tuple(one.model for one in found.services)
    operators = jax.tree.map(lambda leaf: np.asarray(leaf, dtype=float), (models, precisions))
    return _Arguments(
        formulation.structure,
        row,
        operators,
        formulation.bounds,
        formulation.goals,
        np.array(chosen.integers, dtype=float),
        point,
    )


def _program(
    structure: Structure,
    row: PackedProblems,
    operators: Operators,
    bounds: BoundNumbers,
    integers: Array,
    logs: Array,
) -> Program:
    """The program with every number of the technologies times e^logs; operators are written anew,
    for one of them is the narrowest slice."""
    problem = row.problem(row.rows)
    technologies = tuple(kind.technology for kind in problem.kinds)
    leaves, shape = jax.tree.flatten(technologies)
    scaled = [leaf * jnp.exp(log) for leaf, log in zip(leaves, logs, strict=True)]
    technologies = jax.tree.unflatten(shape, scaled)
    kinds = tuple(
        dataclasses.replace(kind, technology=technology)
        for kind, technology in zip(problem.kinds, technologies, strict=True)
    )
    models, precisions = operators
    tables = []
    for table, step in zip(problem.tables, problem.steps, strict=True):
        columns = technologies[step.kind].attainable.slice_columns
        anew = operator_table(models[step.service], precisions[step.service], slice_columns=columns)
        tables.append(pad(anew, len(table.names)))
    problem = dataclasses.replace(problem, kinds=kinds, tables=tuple(tables))
    return fixed_program(structure, problem, integers, bounds)


def _lagrangian(
    structure: Structure, program: Program, goals: Goals, point: Point
) -> tuple[Array, Model]:
    """L at the optimum, and the point with what is pinned where the program pins it."""
    free = jax.lax.stop_gradient(program.high > program.low)
    y = jnp.where(free, point.y, program.low)
    moved = point._replace(y=y)
    model = model_at(structure, program, goals, jnp.ones(1), moved)
    at_ends = point.lower * (program.low - y) - point.upper * (program.high - y)
    value = model.value + point.multipliers @ model.limits
    return value + jnp.sum(jnp.where(free, at_ends, 0.0)), model


def _numbers(row: PackedProblems) -> int:
    problem = row.problem(row.rows)
    return len(jax.tree.leaves(tuple(kind.technology for kind in problem.kinds)))


@compiled(SELDOM, static_argnums=(0,))
def _value_slopes(
    structure: Structure,
    row: PackedProblems,
    operators: Operators,
    bounds: BoundNumbers,
    goals: Goals,
    integers: Array,
    point: Point,
) -> Array:
    def lagrangian(logs: Array) -> Array:
        program = _program(structure, row, operators, bounds, integers, logs)
        return _lagrangian(structure, program, goals, point)[0]

    return jax.grad(lagrangian)(jnp.zeros(_numbers(row)))


@compiled(SELDOM, static_argnums=(0,))
def _derivatives(
    structure: Structure,
    row: PackedProblems,
    operators: Operators,
    bounds: BoundNumbers,
    goals: Goals,
    integers: Array,
    point: Point,
) -> tuple[Program, Model, Array, tuple[Array, ...]]:
    """Program and model at the optimum, the value's slopes, and how gradient, limits and box move
    with the technology while y stays (what is pinned moves with it)."""
    zero = jnp.zeros(_numbers(row))

    def moving(logs: Array) -> tuple[Array, ...]:
        program = _program(structure, row, operators, bounds, integers, logs)
        value, model = _lagrangian(structure, program, goals, point)
        gradient = model.gradient + model.jacobian.T @ point.multipliers
        return value, gradient, model.limits, program.low, program.high

    program = _program(structure, row, operators, bounds, integers, zero)
    _, model = _lagrangian(structure, program, goals, point)
    slopes = jax.jacfwd(moving)(zero)
    return program, model, slopes[0], slopes[1:]


def _solve(
    model: Model, point: Point, program: Program, free: np.ndarray, moved: tuple[np.ndarray, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """dy and dλ by every number: the KKT system in the form that stays well conditioned as slacks
    vanish; limits without a price are left out."""
    gradient, limits, low, high = moved
    y, slack, multipliers = (np.asarray(part) for part in point[:3])
    priced = multipliers > 1e-9
    below, above = np.where(free, y - program.low, 1.0), np.where(free, program.high - y, 1.0)
    to_low = np.where(free, np.asarray(point.lower) / below, 0.0)
    to_high = np.where(free, np.asarray(point.upper) / above, 0.0)
    hessian = (model.hessian + np.diag(to_low + to_high))[np.ix_(free, free)]
    jacobian = model.jacobian[np.ix_(priced, free)]
    pulled = to_low[:, None] * low + to_high[:, None] * high
    right = np.concatenate([-(gradient - pulled)[free], -limits[priced]])
    corner = -np.diag(slack[priced] / multipliers[priced])
    matrix = np.block([[hessian, jacobian.T], [jacobian, corner]])
    scale = 1.0 / np.sqrt(np.maximum(np.abs(matrix).max(axis=1), 1e-300))
    solved = np.linalg.lstsq(
        matrix * scale[:, None] * scale[None, :], scale[:, None] * right, rcond=1e-13
    )[0]
    solved *= scale[:, None]
    d_y = low.copy()  # what is pinned moves with its bounds
    d_y[free] = solved[: free.sum()]
    d_multipliers = np.zeros((len(multipliers), right.shape[1]))
    d_multipliers[priced] = solved[free.sum() :]
    return d_y, d_multipliers
