"""Branch and bound for fleets of several kinds of machine: each kind by itself.

A fleet's outcome is a sum over kinds, f_o = Σ_p f_op, and for any shares θ_op ≥ 0 with Σ_p θ_op = 1

    ln f_o ≥ Σ_p θ_op (ln f_op − ln θ_op)

(concavity of the logarithm), with equality where θ are the shares. So the weighted sum of a fleet's
goals is at least a constant plus one such sum for each kind, in which nothing of another kind
occurs: Lagrangian decomposition (M. Guignard and S. Kim, Mathematical Programming 39, 1987). Bounds
on outcomes enter with their multipliers, and each kind has a pace of its own. With shares and
multipliers of the optimum at given integers this loses nothing there. Boxes of all integers at once
would number the product of those of each kind; these number the sum.
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jax import Array

from codesign.numerics.compilation import SELDOM, compiled
from codesign.numerics.fields import RealArray
from codesign.search.integers.branch_and_bound import TOLERANCE, Proof
from codesign.search.integers.branch_and_bound import prove as prove_together
from codesign.search.integers.formulation import Subproblem, programs_of
from codesign.search.integers.solution_pool import WORTHWHILE, SolutionPool
from codesign.search.program.exponents import exponents
from codesign.search.program.functions import functions
from codesign.search.program.geometric_program import Program
from codesign.search.program.keys import OUTCOMES
from codesign.search.program.objectives import Goals
from codesign.search.program.single_kind import Part, kind_of_service, owner_of_integers, parts
from codesign.search.program.structure import Structure
from codesign.search.solver.lanes import in_batches

ROUNDS = 4
"""How often weightings whose designs became better are taken apart anew."""

ROOM = 0.1
"""Share of the tolerance that is kept for what integers lose in the decomposition."""

NO_SHARE = 1e-12
"""Least share of an outcome: the logarithm of none is not finite."""

OUTCOMES_AND_PACE = Goals(
    pace=np.array([0.0] * len(OUTCOMES) + [1.0]),
    rate=np.zeros(len(OUTCOMES) + 1),
    outcomes=np.concatenate([np.eye(len(OUTCOMES)), np.zeros((1, len(OUTCOMES)))]),
    constants=np.zeros((len(OUTCOMES) + 1, 3)),
    relaxation=np.zeros(len(OUTCOMES) + 1),
)
"""Goals of a kind by itself: ln of its share of each outcome, and ln of its pace."""


class Split(NamedTuple):
    """Weighted sums taken apart: constants (subproblems,) and weights of ``OUTCOMES_AND_PACE`` of
    each kind (subproblems, kinds, goals)."""

    constants: np.ndarray
    weights: np.ndarray


def prove(
    pool: SolutionPool,
    best: list[Subproblem],
    *,
    tolerance: float = TOLERANCE,
    progress: Callable[[int, int], None] = lambda done, still_open: None,
) -> Proof:
    """Bound the weighted sums of subproblems over all choices and integers, as
    ``branch_and_bound.prove`` does.

    Args:
        pool: solves so far; what is met on the way is added.
        best: the best known subproblem of each weighting to be bounded.
        tolerance: how much better an unexplored design may be, in log units.
        progress: told (boxes done, pairs open).
    """
    if pool.formulation.structure.kinds == 1:
        return prove_together(pool, best, tolerance=tolerance, progress=progress)
    best, bounds = list(best), np.full(len(best), -np.inf)
    still, boxes, solves = list(range(len(best))), 0, 0

    def improve(rows: list[int], found: Proof) -> list[int]:
        """Take over what was found; rows whose design became better."""
        nonlocal boxes, solves
        boxes, solves = boxes + found.boxes, solves + found.solves
        bounds[rows] = np.maximum(bounds[rows], found.bounds)
        better = [
            k
            for k, new in zip(rows, found.best, strict=True)
            if pool.value(new) < pool.value(best[k]) - WORTHWHILE
        ]
        for k, new in zip(rows, found.best, strict=True):
            best[k] = min(best[k], new, key=pool.value)
        return better

    def too_far() -> np.ndarray:
        return pool.values(best) - bounds > tolerance

    for _ in range(ROUNDS):
        told, open_ = functools.partial(_after, progress, boxes), [best[k] for k in still]
        better = improve(still, _each_kind(pool, open_, tolerance, told))
        still = [k for k in better if too_far()[k]]
        if not still:
            break
    rest = [int(k) for k in np.flatnonzero(too_far())]
    if rest:  # other shares and multipliers do not close these: integers leave a duality gap
        told, open_ = functools.partial(_after, progress, boxes), [best[k] for k in rest]
        improve(rest, prove_together(pool, open_, tolerance=tolerance, progress=told))
    found = pool.values(best)
    rows = [subproblem.weighting for subproblem in best]
    pool.bounds[rows] = np.maximum(pool.bounds[rows], np.minimum(bounds, found))
    return Proof(
        np.minimum(bounds, found),
        best,
        boxes,
        solves,
        bool((found - bounds <= tolerance * 1.001).all()),
    )


def _each_kind(
    pool: SolutionPool,
    best: list[Subproblem],
    tolerance: float,
    progress: Callable[[int, int], None],
) -> Proof:
    """Sums of the kinds' bounds, and the best of the subproblems in which kinds have the integers
    that serve them best."""
    formulation = pool.formulation
    split = split_by_multipliers(pool, best)
    bounds, boxes, solves, closed = split.constants.copy(), 0, 0, True
    left = np.full(len(best), tolerance * (1.0 - ROOM))
    offers: list[list[Subproblem]] = [[subproblem] for subproblem in best]
    owner = owner_of_integers(formulation.structure)
    fewest_first = sorted(parts(formulation.structure), key=lambda part: owner.count(part.kind))
    for turn, part in enumerate(fewest_first):
        own, one, starts = alone(pool, best, split, part)
        one.learn(starts)
        tell = functools.partial(_after, progress, boxes)
        proof = prove_together(
            one, starts, tolerance=left / (len(fewest_first) - turn), progress=tell
        )
        left = left - np.maximum(one.values(proof.best) - proof.bounds, 0.0)
        bounds, boxes, solves = bounds + proof.bounds, boxes + proof.boxes, solves + proof.solves
        closed &= proof.closed
        for k, subproblem in enumerate(proof.best):
            offers[k] += [mixed(old, subproblem, own) for old in offers[k]]
    pool.learn(subproblem for offer in offers for subproblem in offer)
    return Proof(bounds, [min(offer, key=pool.value) for offer in offers], boxes, solves, closed)


def alone(
    pool: SolutionPool, subproblems: list[Subproblem], split: Split, part: Part
) -> tuple[np.ndarray, SolutionPool, list[Subproblem]]:
    """A kind of machine by itself around each subproblem: which integers are its own, its pool, its
    subproblems (weightings 0, 1, …)."""
    lowest = pool.formulation.ranges[0]
    own = np.array(owner_of_integers(pool.formulation.structure)) == part.kind
    one = SolutionPool(
        pool.formulation._replace(goals=OUTCOMES_AND_PACE, part=part), split.weights[:, part.kind]
    )
    one.pace_limit, one.underestimators = (
        pool.pace_limit[[subproblem.weighting for subproblem in subproblems]],
        pool.underestimators,
    )
    return (
        own,
        one,
        [
            Subproblem(k, subproblem.choice, _put(lowest, subproblem.integers, own))
            for k, subproblem in enumerate(subproblems)
        ],
    )


def mixed(subproblem: Subproblem, other: Subproblem, own: np.ndarray) -> Subproblem:
    """A subproblem with some integers, and the choice, of another."""
    return subproblem._replace(
        choice=other.choice, integers=_put(subproblem.integers, other.integers, own)
    )


Integers = Sequence[int] | np.ndarray


def _put(integers: Integers, others: Integers, own: np.ndarray) -> tuple[int, ...]:
    """One vector of integers with another's where they are a kind's own."""
    return tuple(int(v) for v in np.where(own, others, integers))


def _after(progress: Callable[[int, int], None], before: int, done: int, still_open: int) -> None:
    progress(before + done, still_open)


def split_by_multipliers(pool: SolutionPool, subproblems: list[Subproblem]) -> Split:
    """Constants and weights with which the sum over kinds is below the weighted sum of each
    subproblem's weighting, and equal at the subproblem.

    Any shares, multipliers and division of the pace would give a bound; these are the optimum's.
    """
    formulation, structure = pool.formulation, pool.formulation.structure
    goals, weights = (
        formulation.goals,
        pool.weights[[subproblem.weighting for subproblem in subproblems]],
    )
    multipliers = np.stack([pool.done[subproblem].point.multipliers for subproblem in subproblems])
    monomials, numbers = _shares(pool, subproblems)
    own = [monomials[:, :, part.basis] * part.own[: len(OUTCOMES)] for part in parts(structure)]
    shares = np.maximum(
        np.stack([part.sum(axis=2) for part in own], axis=1), NO_SHARE
    )  # (subproblems, kinds, outcomes)
    shares = shares / shares.sum(axis=1, keepdims=True)
    outcomes, pace = weights @ goals.outcomes, weights @ goals.pace
    constants = np.einsum("kg,gc,kc->k", weights, goals.constants, numbers)
    for b, (outcome, slope, _) in enumerate(structure.bounds):
        price = np.maximum(multipliers[:, structure.function("bound", b) - len(OUTCOMES)], 0.0)
        if outcome >= 0:
            outcomes[:, outcome] += price
        pace = pace + price * slope
        constants = constants + price * (
            numbers @ np.asarray(formulation.bounds.constants)[b]
            - float(formulation.bounds.limits[b])
        )
    divided = np.full((len(subproblems), structure.kinds), 1e-30)
    for s in range(len(structure.services)):
        divided[:, kind_of_service(structure, s)] += multipliers[
            :, structure.function("pace", s) - len(OUTCOMES)
        ]
    divided = pace[:, None] * divided / divided.sum(axis=1, keepdims=True)
    constants = constants - np.einsum("ko,kpo->k", outcomes, shares * np.log(shares))
    return Split(
        constants, np.concatenate([outcomes[:, None, :] * shares, divided[:, :, None]], axis=2)
    )


def _shares(pool: SolutionPool, subproblems: list[Subproblem]) -> tuple[np.ndarray, np.ndarray]:
    """Share of each monomial in each outcome (subproblems, outcomes, basis), and the programs'
    constants (subproblems, 3)."""

    def shares(batch: list[Subproblem]) -> tuple[Array, Array]:
        programs = programs_of(pool.formulation, batch)
        return (
            shares_at(
                pool.formulation.structure,
                programs,
                np.stack([pool.done[subproblem].point.y for subproblem in batch]),
            ),
            programs.constants,
        )

    found, constants = in_batches(shares, subproblems)
    return np.asarray(found), np.asarray(constants)


@compiled(SELDOM, static_argnums=(0,))
def shares_at(structure: Structure, programs: Program, y: RealArray) -> Array:
    """Share of each monomial in each outcome at points of programs, leading axis the programs."""
    shape = exponents(structure)
    return jax.vmap(
        lambda program, point: functions(structure, shape, program, point).shares[0][
            : len(OUTCOMES)
        ]
    )(programs, y)
