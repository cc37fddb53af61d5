"""Branch and bound for fleets of several kinds of machine: each kind by itself.

A fleet's outcome is a sum over kinds, f_o = Σ_p f_op, and for any shares θ_op ≥ 0 with Σ_p θ_op = 1

    ln f_o ≥ Σ_p θ_op (ln f_op − ln θ_op)

(concavity of the logarithm), with equality where θ are the shares. So the weighted sum of a fleet's goals is at least a constant plus
one such sum for each kind, in which nothing of another kind occurs: Lagrangian decomposition (M. Guignard and S. Kim, Mathematical
Programming 39, 1987). Bounds on outcomes enter with their multipliers, and each kind has a pace of its own. With shares and
multipliers of the optimum at given integers this loses nothing there. Boxes of all integers at once would number the product of those
of each kind; these number the sum.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from codesign.numerics.compilation import SELDOM, compiled
from codesign.numerics.fields import Real
from codesign.search.integers.branch_and_bound import TOLERANCE, Proof
from codesign.search.integers.branch_and_bound import prove as prove_together
from codesign.search.integers.formulation import Task, programs_of
from codesign.search.integers.solution_pool import WORTHWHILE, Known
from codesign.search.program.functions import functions
from codesign.search.program.geometric_program import Program
from codesign.search.program.objectives import Goals
from codesign.search.program.single_kind import Part, kind_of_service, owner_of_integers, parts
from codesign.search.program.structure import OUTCOMES, Layout, exponents
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
    """Weighted sums taken apart: constants (tasks,) and weights of ``OUTCOMES_AND_PACE`` of each kind (tasks, kinds, goals)."""

    constants: np.ndarray
    weights: np.ndarray


def prove(
    known: Known, best: list[Task], *, tolerance: float = TOLERANCE, progress: Callable[[int, int], None] = lambda done, still_open: None
) -> Proof:
    """Bound the weighted sums of tasks over all choices and integers, as ``branch.prove`` does.

    Args:
        known: solves so far; what is met on the way is added.
        best: the best known task of each weighting to be bounded.
        tolerance: how much better an unexplored design may be, in log units.
        progress: told (boxes done, pairs open).
    """
    if known.search.layout.kinds == 1:
        return prove_together(known, best, tolerance=tolerance, progress=progress)
    best, bounds = list(best), np.full(len(best), -np.inf)
    still, boxes, solves = list(range(len(best))), 0, 0

    def improve(rows: list[int], found: Proof) -> list[int]:
        """Take over what was found; rows whose design became better."""
        nonlocal boxes, solves
        boxes, solves = boxes + found.boxes, solves + found.solves
        bounds[rows] = np.maximum(bounds[rows], found.bounds)
        better = [k for k, new in zip(rows, found.best, strict=True) if known.value(new) < known.value(best[k]) - WORTHWHILE]
        for k, new in zip(rows, found.best, strict=True):
            best[k] = min(best[k], new, key=known.value)
        return better

    def too_far() -> np.ndarray:
        return known.values(best) - bounds > tolerance

    for _ in range(ROUNDS):
        better = improve(still, _each_kind(known, [best[k] for k in still], tolerance, functools.partial(_after, progress, boxes)))
        still = [k for k in better if too_far()[k]]
        if not still:
            break
    rest = [int(k) for k in np.flatnonzero(too_far())]  # other shares and multipliers do not close these: integers leave a duality gap
    if rest:
        improve(
            rest, prove_together(known, [best[k] for k in rest], tolerance=tolerance, progress=functools.partial(_after, progress, boxes))
        )
    found = known.values(best)
    rows = [task.weighting for task in best]
    known.bounds[rows] = np.maximum(known.bounds[rows], np.minimum(bounds, found))
    return Proof(np.minimum(bounds, found), best, boxes, solves, bool((found - bounds <= tolerance * 1.001).all()))


def _each_kind(known: Known, best: list[Task], tolerance: float, progress: Callable[[int, int], None]) -> Proof:
    """Sums of the kinds' bounds, and the best of the tasks in which kinds have the integers that serve them best."""
    search = known.search
    split = taken_apart(known, best)
    bounds, boxes, solves, closed = split.constants.copy(), 0, 0, True
    left = np.full(len(best), tolerance * (1.0 - ROOM))
    offers: list[list[Task]] = [[task] for task in best]
    owner = owner_of_integers(search.layout)
    fewest_first = sorted(parts(search.layout), key=lambda part: owner.count(part.kind))
    for turn, part in enumerate(fewest_first):
        own, one, starts = alone(known, best, split, part)
        one.learn(starts)
        tell = functools.partial(_after, progress, boxes)
        proof = prove_together(one, starts, tolerance=left / (len(fewest_first) - turn), progress=tell)
        left = left - np.maximum(one.values(proof.best) - proof.bounds, 0.0)
        bounds, boxes, solves = bounds + proof.bounds, boxes + proof.boxes, solves + proof.solves
        closed &= proof.closed
        for k, task in enumerate(proof.best):
            offers[k] += [mixed(old, task, own) for old in offers[k]]
    known.learn(task for offer in offers for task in offer)
    return Proof(bounds, [min(offer, key=known.value) for offer in offers], boxes, solves, closed)


def alone(known: Known, tasks: list[Task], split: Split, part: Part) -> tuple[np.ndarray, Known, list[Task]]:
    """A kind of machine by itself around each task: which integers are its own, its search, and its tasks (weightings 0, 1, …)."""
    lowest = known.search.ranges[0]
    own = np.array(owner_of_integers(known.search.layout)) == part.kind
    one = Known(known.search._replace(goals=OUTCOMES_AND_PACE, part=part), split.weights[:, part.kind])
    one.slowest, one.below = known.slowest[[task.weighting for task in tasks]], known.below
    return own, one, [Task(k, task.choice, _put(lowest, task.integers, own)) for k, task in enumerate(tasks)]


def mixed(task: Task, other: Task, own: np.ndarray) -> Task:
    """A task with some integers, and the choice, of another."""
    return task._replace(choice=other.choice, integers=_put(task.integers, other.integers, own))


def _put(integers: Any, others: Any, own: np.ndarray) -> tuple[int, ...]:
    return tuple(int(v) for v in np.where(own, others, integers))


def _after(progress: Callable[[int, int], None], before: int, done: int, still_open: int) -> None:
    progress(before + done, still_open)


def taken_apart(known: Known, tasks: list[Task]) -> Split:
    """Constants and weights with which the sum over kinds is below the weighted sum of each task's weighting, and equal at the task.

    Any shares, multipliers and division of the pace would give a bound; these are the optimum's.
    """
    search, layout = known.search, known.search.layout
    goals, weights = search.goals, known.weights[[task.weighting for task in tasks]]
    multipliers = np.stack([known.done[task][2].multipliers for task in tasks])
    monomials, numbers = _shares(known, tasks)
    own = [monomials[:, :, part.basis] * part.own[: len(OUTCOMES)] for part in parts(layout)]
    shares = np.maximum(np.stack([part.sum(axis=2) for part in own], axis=1), NO_SHARE)  # (tasks, kinds, outcomes)
    shares = shares / shares.sum(axis=1, keepdims=True)
    outcomes, pace = weights @ goals.outcomes, weights @ goals.pace
    constants = np.einsum("kg,gc,kc->k", weights, goals.constants, numbers)
    for b, (outcome, slope, _) in enumerate(layout.bounds):
        price = np.maximum(multipliers[:, layout.function("bound", b) - len(OUTCOMES)], 0.0)
        if outcome >= 0:
            outcomes[:, outcome] += price
        pace = pace + price * slope
        constants = constants + price * (numbers @ np.asarray(search.bounds.constants)[b] - float(search.bounds.limits[b]))
    divided = np.full((len(tasks), layout.kinds), 1e-30)
    for s in range(len(layout.services)):
        divided[:, kind_of_service(layout, s)] += multipliers[:, layout.function("pace", s) - len(OUTCOMES)]
    divided = pace[:, None] * divided / divided.sum(axis=1, keepdims=True)
    constants = constants - np.einsum("ko,kpo->k", outcomes, shares * np.log(shares))
    return Split(constants, np.concatenate([outcomes[:, None, :] * shares, divided[:, :, None]], axis=2))


def _shares(known: Known, tasks: list[Task]) -> tuple[np.ndarray, np.ndarray]:
    """Share of each monomial in each outcome (tasks, outcomes, basis), and the programs' constants (tasks, 3)."""

    def shares(batch: list[Task]) -> tuple[Any, Any]:
        programs = programs_of(known.search, batch)
        return shares_at(known.search.layout, programs, np.stack([known.done[task][2].y for task in batch])), programs.constants

    return in_batches(shares, tasks)


@compiled(SELDOM, static_argnums=(0,))
def shares_at(layout: Layout, programs: Program, y: Real) -> Any:
    """Share of each monomial in each outcome at points of programs, leading axis the programs."""
    shape = exponents(layout)
    return jax.vmap(lambda program, point: functions(layout, shape, program, point).shares[0][: len(OUTCOMES)])(programs, y)
