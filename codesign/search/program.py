"""The design problem as a geometric program in arrays: one shape for all plans, chips, batches and technologies.

With plan, chips n and batch B fixed, everything that the exact model says of a design is a posynomial in the chosen
quantities, in two variables lifted out of it (silicon A ≥ sum of its parts, step time T ≥ time of the step), in the time τ_r
of each operator (≥ each of its resources' times) and in two prices that are log-convex though not posynomials: of a die, as
a function of A, and of low latency, as a function of s. In the logarithms y of the variables

    log f_j(y) = log Σ_m exp(C_jm + e_m(y)) + D_j·y

with *basis monomials* e_m common to all functions, so that a problem is only the coefficients C (and the constants c of
the constraints that are plain monomials, c + D·y ≤ 0). They are read off the exact model's own functions: those are affine in the
quantities, so one evaluation and its Jacobian at any point give them (`affine`), and nothing is written twice.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from codesign.evaluate import mean_work, run_step
from codesign.hardware.design import Design
from codesign.hardware.technology import Logic, Technology
from codesign.numerics.fields import Real
from codesign.performance.execution import Dataflow, Execution, Limit
from codesign.performance.load import footprint
from codesign.performance.plan import Plan, degrees
from codesign.performance.step import Step
from codesign.physical.area import area, needed_edge, usable_edge
from codesign.physical.cost import annuity, priced
from codesign.physical.power import dynamic_energy, peak_power, static_power
from codesign.physical.wafer import die_price
from codesign.search.space import CONTINUOUS, Space, is_free
from codesign.workload import phases
from codesign.workload.operators import OperatorTable
from codesign.workload.workload import Workload

BANDWIDTH, CAPACITY, FLOPS, SYNC, LINK, SILICON, TIME = range(7)
"""Positions of the variables in y; the operators' times follow."""
LIFTED = 7

AFFINE = ("memory_bandwidth", "memory_capacity", "peak_flops", "link_bandwidth", "silicon", "die price", "sync price")
ONE, DIE, SYNC_PRICE, PER_TIME, LATENCY, PER_LINK = 0, 6, 7, 8, 9, 10
"""Positions in the basis: 1, the seven of ``AFFINE``, 1/T, s, 1/link, then the operators' times."""
FIXED_BASIS = 11

OUTCOMES = ("capital", "provisioned", "running", "mean power")
POSYNOMIAL_LIMITS = ("step", "silicon", "shoreline", "power_density", "package_power")
MONOMIAL_LIMITS = ("capacity", "die_area", "stacks", "layers_most", "layers_fewest", "promise")
ABSENT = -1e4  # log of a coefficient that is zero


class Shape(NamedTuple):
    """Exponents, the same for every problem with as many operators: numpy constants of the compiled program."""

    basis: np.ndarray  # (basis, variables), the rows of the two special prices are zero
    powers: np.ndarray  # (functions, variables), D of the posynomials
    monomials: np.ndarray  # (monomial limits, variables)


class Program(eqx.Module):
    """One problem: coefficients in the order of ``OUTCOMES`` + ``POSYNOMIAL_LIMITS``, and the box of y."""

    coefficients: Float[Array, "functions basis"]
    monomials: Float[Array, "monomials"]
    low: Float[Array, "variables"]
    high: Float[Array, "variables"]
    objective_constants: Float[Array, "4"]  # ln of tokens yielded, served, served to all; of the utilisation
    logic: Logic
    dies: Real
    sync_floor: Real
    sync_price: Real


def shape(operators: int) -> Shape:
    """Exponents of a problem whose step has so many operators (or fused groups)."""
    variables, size = LIFTED + operators, FIXED_BASIS + operators
    basis = np.zeros((size, variables))
    for row, column in enumerate((BANDWIDTH, CAPACITY, FLOPS, LINK, SILICON), start=1):
        basis[row, column] = 1.0
    basis[PER_TIME, TIME], basis[LATENCY, SYNC], basis[PER_LINK, LINK] = -1.0, 1.0, -1.0
    basis[FIXED_BASIS:, LIFTED:] = np.eye(operators)
    powers = np.zeros((len(OUTCOMES) + len(POSYNOMIAL_LIMITS), variables))
    first = len(OUTCOMES)
    powers[first + 0, TIME] = powers[first + 1, SILICON] = powers[first + 3, SILICON] = -1.0
    powers[first + 2, SILICON] = -0.5
    monomials = np.zeros((2 * operators + len(MONOMIAL_LIMITS), variables))
    for r in range(operators):
        monomials[2 * r, [FLOPS, LIFTED + r]] = monomials[2 * r + 1, [BANDWIDTH, LIFTED + r]] = -1.0
    rest = monomials[2 * operators :]
    rest[0, CAPACITY], rest[1, SILICON], rest[2, BANDWIDTH], rest[5, TIME] = -1.0, 1.0, 1.0, 1.0
    rest[3, [CAPACITY, BANDWIDTH]], rest[4, [CAPACITY, BANDWIDTH]] = (1.0, -1.0), (-1.0, 1.0)
    return Shape(basis, powers, monomials)


class StepCoefficients(NamedTuple):
    """A step as a function of rates: operator r takes max(matrix_r/F, memory_r/bandwidth)."""

    matrix: Float[Array, "operators"]  # [FLOP], vector work expressed in it
    memory: Float[Array, "operators"]  # [B]
    syncs: Real  # [1]
    wire: Real  # [B]
    rest: Real  # [s] what depends on neither


def step_coefficients(design: Design, timed: Step, execution: Execution) -> StepCoefficients:
    """Read a step's coefficients off one evaluation of it.

    Args:
        design: the design it was evaluated on.
        timed: that evaluation.
        execution: decides which operators overlap.
    """
    matrix = jnp.stack([timed.compute, timed.vector]) * design.peak_flops
    memory = timed.memory * design.memory_bandwidth
    if isinstance(execution, Limit):
        matrix = jnp.zeros_like(matrix).at[:, 0].set(jnp.sum(matrix, axis=1) * jnp.array([1.0, 0.0]))
        memory = jnp.zeros_like(memory).at[0].set(jnp.sum(memory))
    if isinstance(execution, Dataflow):
        first = jnp.argmax(timed.group[:, None] == timed.group[None, :], axis=1)
        onto = jnp.where(first[None, :] == jnp.arange(len(first))[:, None], 1.0, 0.0)
        matrix, memory = matrix @ onto.T, onto @ memory
    communication = jnp.sum(timed.latency) + jnp.sum(timed.transfer)
    rest = communication - timed.syncs * design.sync_latency - timed.inner_wire / design.link_bandwidth
    return StepCoefficients(jnp.max(matrix, axis=0), memory, timed.syncs, timed.inner_wire, jnp.maximum(rest, 0.0))


def build(
    space: Space, chips: Real, batch: Real, plan: Plan, dies: Real,
    table: OperatorTable, workload: Workload, technology: Technology, execution: Execution,
) -> Program:  # fmt: skip
    """The program of one integer choice: coefficients read off the exact model at the middle of the box.

    ``jit`` and ``vmap`` it over chips, batch, plan, dies or technology.
    """
    workload = eqx.tree_at(lambda w: w.phase.batch, workload, batch)
    middle = jnp.sqrt(space.low * space.high)
    design = dataclasses.replace(
        space.base, chips=chips, dies=dies, white_silicon=jnp.zeros_like(dies),
        **{name: middle[k] for k, name in enumerate(CONTINUOUS)},
    )  # fmt: skip

    timed = run_step(design, table, workload, plan, technology, execution)
    coefficients = step_coefficients(design, timed, execution)
    energy = dynamic_energy(mean_work(timed), technology, table.compute_bits)
    degree = degrees(design, plan, table.experts)
    kept = footprint(table, workload.phase, plan, degree, ideal=isinstance(execution, Limit))
    rows = _physical_rows(design, technology, table.compute_bits, energy)
    size = len(coefficients.memory)
    matrix = jnp.zeros((len(OUTCOMES) + len(POSYNOMIAL_LIMITS), FIXED_BASIS + size))
    matrix = matrix.at[:4, :9].set(rows.outcomes).at[5:, :9].set(rows.limits)
    step_row = jnp.stack([coefficients.rest, coefficients.syncs, coefficients.wire])
    matrix = matrix.at[4, jnp.array([ONE, LATENCY, PER_LINK])].set(step_row)
    works = jnp.maximum(coefficients.matrix, coefficients.memory) > 0  # padding takes no time
    matrix = matrix.at[4, FIXED_BASIS:].set(jnp.where(works, 1.0, 0.0))
    low, high = _box(space, design, coefficients, technology)
    tokens, served = phases.tokens_per_step(workload.phase), phases.tokens_served(workload.phase)
    return Program(
        coefficients=_log(matrix),
        monomials=_monomials(coefficients, design, kept.weights + kept.state, technology, workload, tokens),
        low=low,
        high=high,
        objective_constants=jnp.log(jnp.stack([tokens, served, served * batch, technology.economics.utilisation])),
        logic=technology.logic,
        dies=dies,
        sync_floor=technology.links.sync_floor,
        sync_price=technology.links.sync_price,
    )


def _log(coefficients: Float[Array, "..."]) -> Float[Array, "..."]:
    present = coefficients > 1e-300
    return jnp.where(present, jnp.log(jnp.where(present, coefficients, 1.0)), ABSENT)


class _Rows(NamedTuple):
    outcomes: Float[Array, "4 9"]
    limits: Float[Array, "4 9"]


def _physical_rows(design: Design, technology: Technology, bits: Real, energy: Real) -> _Rows:
    """Capital, power, running cost, area, edge: affine in the seven of ``AFFINE``, so value and Jacobian say it all."""
    economics = technology.economics

    def outputs(z: Float[Array, "7"]) -> Float[Array, "6"]:
        moved = dataclasses.replace(design, memory_bandwidth=z[0], memory_capacity=z[1], peak_flops=z[2], link_bandwidth=z[3])
        peak = peak_power(moved, technology, z[4], bits)
        price = priced(moved, technology, z[4], peak, z[5], z[6])
        parts = area(moved, technology, bits).total
        idle = static_power(moved, technology, z[4])
        return jnp.stack([price.equipment, price.facility, peak, idle, parts, needed_edge(moved, technology)])

    point = jnp.stack(
        [design.memory_bandwidth, design.memory_capacity, design.peak_flops, design.link_bandwidth,
         technology.logic.reticle_area, technology.logic.wafer_price, technology.logic.wafer_price]
    )  # fmt: skip
    slope = jax.jacfwd(outputs)(point)
    affine = jnp.concatenate([(outputs(point) - slope @ point)[:, None], slope, jnp.zeros((6, 1))], axis=1)
    affine = jnp.where(
        jnp.abs(affine) * jnp.append(jnp.insert(point, 0, 1.0), 1.0) > 1e-12 * jnp.abs(outputs(point))[:, None],
        affine,
        0.0,
    )
    equipment, facility, peak, idle, parts, edge = affine
    mean = idle.at[PER_TIME].set(energy)
    overhead = economics.power_overhead * economics.pue
    energy_price = overhead * economics.electricity_price * economics.utilisation
    running = equipment * annuity(economics.cost_of_capital, economics.life)
    running = running + facility * annuity(economics.cost_of_capital, economics.facility_life) + mean * energy_price
    outcomes = jnp.stack([equipment + facility, peak * overhead, running, mean * overhead]) * design.chips
    one = jnp.ones_like(design.chips)
    cooling = technology.cooling
    limits = [
        parts,
        edge / usable_edge(design, technology, one),
        peak / cooling.power_density,
        peak / cooling.package_power,
    ]
    return _Rows(outcomes, jnp.stack(limits))


def _monomials(
    step: StepCoefficients, design: Design, kept: Real, technology: Technology, workload: Workload, tokens: Real
) -> Float[Array, "monomials"]:
    memory = technology.memory
    per_stack = memory.layer_capacity / memory.stack_bandwidth
    limits = jnp.stack(
        [
            jnp.log(kept),
            -jnp.log(design.dies * technology.logic.reticle_area),
            -jnp.log(memory.stack_bandwidth * memory.max_stacks),
            -jnp.log(per_stack * memory.max_layers),
            jnp.log(per_stack * memory.min_layers),
            -jnp.log(workload.promise * tokens),
        ]
    )
    operators = jnp.stack([_log(step.matrix), _log(step.memory)], axis=1).ravel()
    return jnp.concatenate([operators, limits])


def _box(space: Space, design: Design, step: StepCoefficients, technology: Technology) -> tuple[Real, Real]:
    """Bounds of y: the space's own, and for the lifted variables what no sensible design leaves (interval arithmetic).

    A frozen quantity keeps a sliver of a range, far below any tolerance of the search.
    """
    sliver = jnp.where(is_free(space), 0.0, 1e-7)
    low, high = jnp.log(space.low) - sliver, jnp.log(space.high) + sliver
    fastest = jnp.maximum(step.matrix / space.high[FLOPS], step.memory / space.high[BANDWIDTH])
    slowest = jnp.maximum(step.matrix / space.low[FLOPS], step.memory / space.low[BANDWIDTH])
    fastest = jnp.maximum(fastest, 1e-12)
    waiting_low = step.syncs * space.low[SYNC] + step.wire / space.high[LINK] + step.rest
    waiting_high = step.syncs * space.high[SYNC] + step.wire / space.low[LINK] + step.rest
    smallest = technology.logic.fixed_area * design.dies
    largest = design.dies * technology.logic.reticle_area
    ends_low = jnp.log(jnp.stack([smallest, jnp.sum(fastest) + waiting_low]) * 0.5)
    ends_high = jnp.log(jnp.stack([largest, jnp.sum(slowest) + waiting_high]) * 2.0)
    operators_low = jnp.log(fastest * 0.5)
    operators_high = jnp.maximum(jnp.log(jnp.maximum(slowest, 1e-12) * 2.0), operators_low + 1.0)
    return jnp.concatenate([low, ends_low, operators_low]), jnp.concatenate([high, ends_high, operators_high])


class Values(NamedTuple):
    """All functions at a point: outcomes and limits with their Jacobians, and what their Hessians are made of."""

    value: Float[Array, "functions"]
    jacobian: Float[Array, "functions variables"]
    shares: Float[Array, "functions basis"]
    local: Float[Array, "basis variables"]  # gradient of each basis monomial's logarithm
    bend: Float[Array, "2"]  # second derivative of the two special prices' logarithms


def log_die_price(program: Program, log_silicon: Real) -> Real:
    """ln of a die's price as a function of ln of the package's silicon."""
    return jnp.log(die_price(program.logic, jnp.exp(log_silicon) / program.dies))


def log_sync_price(program: Program, log_sync: Real) -> Real:
    """ln of the price of low latency, c/(s − floor), as a function of ln s."""
    slack = jnp.maximum(jnp.exp(log_sync) - program.sync_floor, 1e-3 * program.sync_floor)
    return jnp.log(program.sync_price) - jnp.log(slack)


def with_two_derivatives(function: Callable[[Real], Real], x: Real) -> tuple[Real, Real, Real]:
    """A function of one variable with its first and second derivative, in one forward pass over forward mode."""

    def value_and_slope(x: Real) -> tuple[Real, Real]:
        return jax.jvp(function, (x,), (jnp.ones_like(x),))

    (value, slope), (_, bend) = jax.jvp(value_and_slope, (x,), (jnp.ones_like(x),))
    return value, slope, bend


def functions(shape: Shape, program: Program, y: Float[Array, "variables"]) -> Values:
    """Posynomials' logarithms and derivatives at y, in closed form."""
    die, die_slope, die_bend = with_two_derivatives(lambda v: log_die_price(program, v), y[SILICON])
    sync, sync_slope, sync_bend = with_two_derivatives(lambda v: log_sync_price(program, v), y[SYNC])
    logs = (jnp.asarray(shape.basis) @ y).at[DIE].set(die).at[SYNC_PRICE].set(sync)
    local = jnp.asarray(shape.basis).at[DIE, SILICON].set(die_slope).at[SYNC_PRICE, SYNC].set(sync_slope)
    bend = jnp.stack([die_bend, sync_bend])
    terms = program.coefficients + logs
    value = jax.nn.logsumexp(terms, axis=1)
    shares = jnp.exp(terms - value[:, None])
    return Values(value + shape.powers @ y, shares @ local + shape.powers, shares, local, bend)


def weighted_hessian(values: Values, shape: Shape, weights: Float[Array, "functions"]) -> Float[Array, "variables variables"]:
    """Σ_j weight_j ∇² log f_j: covariance of the basis gradients under the shares, plus the special prices' own bend."""
    mass = weights @ values.shares
    mean = values.jacobian - shape.powers
    hessian = values.local.T @ (mass[:, None] * values.local) - mean.T @ (weights[:, None] * mean)
    hessian = hessian.at[SILICON, SILICON].add(mass[DIE] * values.bend[0])
    return hessian.at[SYNC, SYNC].add(mass[SYNC_PRICE] * values.bend[1])
