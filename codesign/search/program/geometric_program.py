"""The program of a problem in arrays: a box, coefficients, and the values and derivatives of all
its functions."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from codesign.hardware.technology import Logic
from codesign.numerics.fields import ProgramArray, Real, RealArray
from codesign.search.program.box import HAIR, continuous_box, machine_second_range, whole_memory
from codesign.search.program.coefficients import Sample, sample
from codesign.search.program.structure import Structure
from codesign.search.statement.problem import ProblemBatch
from codesign.search.statement.space import CONTINUOUS

LEAST_CAP = 1.0
"""Least power cap that is looked at [W]."""

SLOWEST = 8.0
"""How much longer than at its own clock a step may take under a power cap."""


class Program(eqx.Module):
    """One problem at given integers, or a relaxation of it over a box of integers.

    ``tilt`` are exponents of each coefficient in the integers (``Structure.integers``), zero where
    these are fixed; ``slack`` says which functions the variable "relaxation" relaxes: ln f_j ≤
    slack_j · relaxation.
    """

    coefficients: Float[ProgramArray, "... functions basis"]
    tilt: Float[ProgramArray, "... functions basis integers"]
    slack: Float[ProgramArray, "... functions"]
    low: Float[ProgramArray, "... variables"]
    high: Float[ProgramArray, "... variables"]
    constants: Float[
        ProgramArray, "... 3"
    ]  # ln of tokens yielded and served by a step of the first service, and of the utilisation
    specials: "Specials"


class KindSpecials(eqx.Module):
    """What a kind's functions of one variable need, leading axis the kinds of machine."""

    logic: Logic
    dies: Real
    sync_floor: Real
    sync_price: Real


class Specials(eqx.Module):
    """What the functions of one variable need: those of kinds, and the process of each step's
    machine for the energy at its clock."""

    kinds: KindSpecials
    steps: Logic  # leading axis the steps


class BoundNumbers(NamedTuple):
    """Numbers of the bounds on outcomes (``objectives.bound_rows``)."""

    constants: RealArray  # (bounds, 3)
    limits: RealArray  # (bounds,)


def fixed_program(
    structure: Structure,
    problems: ProblemBatch,
    integers: Float[Array, "all"],
    bounds: BoundNumbers,
) -> Program:
    """The program at fixed integers.

    Args:
        structure: functions and monomials of the program.
        problems: the problem of one choice.
        integers: in the order of ``problem.integer_names``; 0 for stacks and layers that are free.
        bounds: on outcomes.
    """
    count = structure.counted
    at = sample(structure, problems, integers[:count])
    together = jax.tree.map(lambda leaf: leaf[None], at)
    level = jnp.zeros((*at.coefficients.shape, count))
    return framed(structure, problems, at.coefficients, level, together, integers, integers, bounds)


def framed(
    structure: Structure, problems: ProblemBatch, coefficients: Array, tilt: Array, samples: Sample,
    low: Float[Array, "all"], high: Float[Array, "all"], bounds: BoundNumbers,
) -> Program:  # fmt: skip
    """A program with its box: over integers from ``low`` to ``high`` (equal where fixed)."""
    kinds = problems.kinds
    bottom, top = [], []
    chips, services = structure.kinds, len(structure.services)
    asked_low, asked_high = machine_second_range(structure, problems, low, high, samples)
    for p, space in enumerate(problems.spaces):
        whole = whole_memory(
            space, kinds[p], chips + services + p, 2 * chips + services + p, low, high
        )
        ends = continuous_box(space, kinds[p], samples.sync_floor[:, p], whole)
        silicon = (
            kinds[p].technology.logic.fixed_area * kinds[p].dies,
            kinds[p].dies * kinds[p].technology.logic.reticle_area,
        )
        most = kinds[p].technology.cooling.package_power * 2.0
        least = jnp.full_like(most, LEAST_CAP)
        bottom += [
            ends[0],
            jnp.log(jnp.stack([silicon[0] * 0.5, least, asked_low[p] * 0.5, low[p]])),
        ]
        top += [ends[1], jnp.log(jnp.stack([silicon[1] * 2.0, most, asked_high[p] * 2.0, high[p]]))]
        names = ("stacks", "layers_most", "layers_fewest")
        rows = np.array([structure.function(name, p) for name in names])
        coefficients = coefficients.at[rows, 0].set(
            jnp.where(whole.settled != 0.0, whole.settled, coefficients[rows, 0] + whole.shift)
        )
    times_low, times_high = (
        jnp.min(samples.fastest, axis=0) * 0.5,
        jnp.max(samples.slowest, axis=0)
        * 4.0  # whole heads may take four times an even share
        * SLOWEST,
    )
    for k, (_, p) in enumerate(structure.steps):
        own, clock = kinds[p].technology.logic, problems.spaces[p]
        at = CONTINUOUS.index("clock")
        clocks = jnp.minimum(own.clock_fewest, clock.low[at]) * (1.0 - HAIR), clock.high[at]
        bottom.append(jnp.log(jnp.stack([times_low[k], clocks[0]])))
        top.append(jnp.log(jnp.stack([times_high[k], clocks[1] * (1.0 + HAIR)])))
    bottom.append(jnp.log(low[chips : chips + services]))
    top.append(jnp.log(high[chips : chips + services]))
    bottom.append(jnp.stack([jnp.log(jnp.min(times_low)) - 12.0, jnp.zeros(())]))
    top.append(jnp.stack([jnp.log(jnp.sum(times_high)) + 12.0, jnp.zeros(())]))
    if structure.bounds:
        first = structure.function("bound", 0)
        shift = bounds.constants @ samples.constants[0] - bounds.limits
        coefficients = coefficients.at[first : first + len(structure.bounds)].add(shift[:, None])
    return Program(
        coefficients=coefficients,
        tilt=tilt,
        slack=jnp.zeros(len(structure.functions)),
        low=jnp.concatenate(bottom),
        high=jnp.concatenate(top),
        constants=samples.constants[0],
        specials=Specials(
            KindSpecials(
                logic=_stacked([kind.technology.logic for kind in kinds]),
                dies=jnp.stack([kind.dies for kind in kinds]),
                sync_floor=jnp.min(samples.sync_floor, axis=0),
                sync_price=jnp.stack([kind.technology.links.sync_price for kind in kinds]),
            ),
            _stacked([kinds[p].technology.logic for _, p in structure.steps]),
        ),
    )


def _stacked(logics: list[Logic]) -> Logic:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *logics)
