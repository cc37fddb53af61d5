"""Solved designs on the exact model: what they are worth, and whether they keep every limit."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from codesign.numerics.compilation import SELDOM, compiled
from codesign.numerics.fields import IntArray, RealArray
from codesign.physical.area import area
from codesign.search.integers.formulation import Formulation, Subproblem
from codesign.search.integers.solution_pool import SolutionPool
from codesign.search.program.box import HAIR
from codesign.search.program.structure import Structure
from codesign.search.solver.lanes import in_batches
from codesign.search.solver.packing import PackedProblems, each_lane
from codesign.search.statement.fleet import Fleet, design_of, fleet_of
from codesign.search.statement.goals import Bound, Goal, bounds_exceeded, log_goals
from codesign.search.statement.problem import ProblemBatch
from codesign.search.statement.space import CONTINUOUS

SAME_PACE = 1e-9
"""Rounding of ln of a time per token that a weighting asks for."""


def check_exactly(
    formulation: Formulation, subproblems: Sequence[Subproblem], y: np.ndarray
) -> Fleet:
    """Fleets of solved subproblems on the exact model, leaves (subproblems, …)."""

    def checked(rows: list[int]) -> Fleet:
        numbers = np.array([subproblems[k].integers for k in rows], dtype=float)
        return exact_fleets(
            formulation.structure,
            formulation.packed,
            np.array([subproblems[k].choice for k in rows]),
            numbers,
            y[rows],
        )

    return in_batches(checked, range(len(subproblems)))


@compiled(SELDOM, static_argnums=(0,))
def exact_fleets(
    structure: Structure,
    problems: PackedProblems,
    choices: IntArray,
    integers: RealArray,
    y: RealArray,
) -> Fleet:
    """Fleets on the exact model; silicon beyond the sum of the parts becomes white silicon."""

    def fleet(problem: ProblemBatch, numbers: jax.Array, point: jax.Array) -> Fleet:
        values, designs = jnp.exp(point), []
        for p, space in enumerate(problem.spaces):
            kind = problem.kinds[p]
            first, silicon = (
                structure.variable(CONTINUOUS[0], p),
                values[structure.variable("silicon", p)],
            )
            chosen = values[first : first + len(CONTINUOUS)]
            cap = values[structure.variable("power cap", p)]
            bare = design_of(space, kind, chosen, numbers[p], jnp.zeros_like(silicon), cap)
            bits = [
                problem.tables[j].compute_bits
                for j, step in enumerate(problem.steps)
                if step.kind == p
            ]
            parts = area(bare, kind.technology, jnp.max(jnp.stack(bits))).total
            designs.append(
                dataclasses.replace(bare, white_silicon=jnp.maximum(silicon - parts, 0.0))
            )
        batches = numbers[structure.kinds : structure.kinds + len(problem.services)]
        clocks = [values[structure.variable("step clock", k)] for k in range(len(problem.steps))]
        return fleet_of(problem, tuple(designs), batches, clocks=clocks)

    return each_lane(fleet, problems, choices, integers, y)


class Verified(NamedTuple):
    """Solved subproblems on the exact model."""

    fleet: Fleet
    logs: RealArray
    limits: np.ndarray  # (subproblems, limits and bounds)
    gap: np.ndarray


def verify(
    pool: SolutionPool,
    objectives: Sequence[Goal],
    bounds: Sequence[Bound],
    subproblems: Sequence[Subproblem],
) -> Verified:
    """Exact values and gaps of solved subproblems."""
    found = check_exactly(
        pool.formulation,
        subproblems,
        np.stack([pool.done[subproblem].point.y for subproblem in subproblems]),
    )
    logs = log_goals(objectives, found.totals)
    limits = np.concatenate(
        [
            found.limits - _hairs(pool.formulation.problems, subproblems),
            bounds_exceeded(bounds, found.totals),
        ],
        axis=1,
    )
    weights = pool.weights[[subproblem.weighting for subproblem in subproblems]]
    bound = np.array([pool.done[subproblem].bound for subproblem in subproblems])
    return Verified(found, logs, limits, (weights * logs).sum(axis=1) - bound)


def _hairs(problems: ProblemBatch, subproblems: Sequence[Subproblem]) -> np.ndarray:
    """What the limits on layers are relaxed by where a memory has one possible number of layers and
    stacks are free."""
    names = problems.limit_names
    hairs = np.zeros((len(subproblems), len(names)))
    at = [names.index(name) for name in ("layers_most", "layers_fewest")]
    for space, kind in zip(problems.spaces, problems.kinds, strict=True):
        memory = kind.technology.memory
        single = np.asarray(memory.max_layers <= memory.min_layers * (1.0 + 1e-9)) & (
            not space.buildable
        )
        hairs[:, at] = np.maximum(
            hairs[:, at],
            np.where(single[[subproblem.choice for subproblem in subproblems]], HAIR, 0.0)[:, None],
        )
    return hairs
