"""Where the integer search starts for each weighting, and where it looks again."""

from collections.abc import Callable, Sequence

import numpy as np

from codesign.search.integers.block_pattern_search import improve_by_kind
from codesign.search.integers.formulation import Subproblem
from codesign.search.integers.solution_pool import WORTHWHILE, SolutionPool
from codesign.search.pareto.dominance import non_dominated
from codesign.search.pareto.gaps import GAPS, asked_between, longest_gaps
from codesign.search.pareto.penalty_search import PenaltyOptima, first_integers
from codesign.search.statement.goals import Goal, log_goals
from codesign.search.statement.problem import ProblemBatch
from codesign.search.verification.exact_check import check_exactly

OFFERS = 8
"""Weightings nearby whose integers are tried."""


def first_subproblems(
    relaxed: PenaltyOptima, problems: ProblemBatch, ranges: tuple[np.ndarray, np.ndarray]
) -> list[list[Subproblem]]:
    """Where the descent starts for each weighting: relaxed optima of every choice, and the same at
    the end of a scale-up domain.

    Communication jumps where a machine outgrows its domain, and a gradient does not see across.
    """
    starts = first_integers(relaxed, problems, ranges)
    found = []
    for k, row in enumerate(starts):
        subproblems = {Subproblem(k, choice, numbers) for choice, numbers in enumerate(row)}
        for p, kind in enumerate(problems.kinds):
            for subproblem in list(subproblems):
                edge = int(
                    np.clip(
                        np.asarray(kind.scale_up_domain)[subproblem.choice],
                        ranges[0][p],
                        ranges[1][p],
                    )
                )
                subproblems.add(
                    subproblem._replace(
                        integers=(*subproblem.integers[:p], edge, *subproblem.integers[p + 1 :])
                    )
                )
        found.append(sorted(subproblems))
    return found


def middle_starts(
    pool: SolutionPool, ranges: tuple[np.ndarray, np.ndarray]
) -> list[list[Subproblem]]:
    """For each weighting the middle of the ranges in every choice, stacks and layers free."""
    counted = pool.formulation.structure.counted
    middle = np.sqrt(np.maximum(ranges[0], 1) * np.maximum(ranges[1], 1)).round().astype(int)
    integers = tuple(int(v) if k < counted else 0 for k, v in enumerate(middle))
    choices = pool.formulation.problems.choices
    return [
        [Subproblem(k, choice, integers) for choice in range(choices)]
        for k in range(len(pool.weights))
    ]


def complete(pool: SolutionPool, subproblems: Sequence[Subproblem]) -> list[Subproblem]:
    """The best known subproblem of each weighting; where it has none, another's integers."""
    best: dict[int, Subproblem] = {}
    for subproblem in subproblems:
        if subproblem.weighting not in best or pool.value(subproblem) < pool.value(
            best[subproblem.weighting]
        ):
            best[subproblem.weighting] = subproblem
    found = [best.get(k, subproblems[0]._replace(weighting=k)) for k in range(len(pool.weights))]
    pool.learn(found)
    return found


def exchange_integers(pool: SolutionPool, subproblems: Sequence[Subproblem]) -> list[Subproblem]:
    """Subproblems that took over the integers of a weighting nearby where these serve them better,
    and descended from there.

    A descent ends where no single step helps; what another weighting found is often several steps
    away.
    """
    best = {subproblem.weighting: subproblem for subproblem in complete(pool, subproblems)}
    rows = sorted(best)
    far = np.linalg.norm(pool.weights[rows][:, None, :] - pool.weights[rows][None, :, :], axis=2)
    offers = {
        k: [
            best[rows[j]]._replace(weighting=k)
            for j in np.argsort(far[i], kind="stable")[1 : 1 + OFFERS]
        ]
        for i, k in enumerate(rows)
    }
    pool.learn(subproblem for subproblems in offers.values() for subproblem in subproblems)
    moved = []
    for k in rows:
        better = min(offers[k], key=pool.value, default=best[k])
        if pool.value(better) < pool.value(best[k]) - WORTHWHILE:
            moved.append([better])
    found = (
        {subproblem.weighting: subproblem for subproblem in improve_by_kind(pool, moved)}
        if moved
        else {}
    )
    return [found.get(k, best[k]) for k in rows if np.isfinite(pool.value(found.get(k, best[k])))]


def adopt_better_integers(
    pool: SolutionPool, objectives: Sequence[Goal], subproblems: list[Subproblem]
) -> list[Subproblem]:
    """Subproblems that took over the integers of any design that serves their weighting better than
    their own, and descended from there."""
    logs = log_goals(
        objectives, check_exactly(pool.formulation, subproblems, points(pool, subproblems)).totals
    )
    own = [subproblem.weighting for subproblem in subproblems]
    fast_enough = paces(pool, subproblems)[None, :] <= pool.pace_limit[own][:, None]
    worth = np.where(
        fast_enough & np.isfinite(logs).all(axis=1),
        pool.weights[own] @ np.nan_to_num(logs).T,
        np.inf,
    )  # (weighting, design)
    best = np.argmin(worth, axis=1)
    offers = {
        k: subproblems[j]._replace(weighting=subproblem.weighting)
        for k, (subproblem, j) in enumerate(zip(subproblems, best, strict=True))
        if worth[k, j] < pool.value(subproblem) - WORTHWHILE
    }
    pool.learn(offers.values())
    better = [k for k, offer in offers.items() if pool.value(offer) < pool.value(subproblems[k])]
    moved = improve_by_kind(pool, [[offers[k]] for k in better]) if better else []
    found = dict(zip(better, moved, strict=True))
    return [found.get(k, subproblem) for k, subproblem in enumerate(subproblems)]


def refine(
    pool: SolutionPool,
    objectives: Sequence[Goal],
    subproblems: list[Subproblem],
    settle: Callable[[list[list[Subproblem]]], list[Subproblem]],
) -> list[Subproblem]:
    """More designs, between those that are farthest apart on the front.

    Args:
        pool: solves so far.
        objectives: what the front is of.
        subproblems: designs so far.
        settle: finds the best integers of new weightings from the designs at both ends.
    """
    found = check_exactly(pool.formulation, subproblems, points(pool, subproblems))
    logs = log_goals(objectives, found.totals)
    front = non_dominated(logs)
    ends = [subproblems[k] for k in front]
    gaps = longest_gaps(logs[front], GAPS)
    if not gaps:
        return subproblems
    weights = pool.weights[[subproblem.weighting for subproblem in ends]]
    weights, pace_limit = asked_between(
        gaps, weights, logs[front], paces(pool, ends), pool.formulation.goals
    )
    first = len(pool.weights)
    pool.ask(weights, pace_limit)
    return subproblems + settle(
        [[ends[row]._replace(weighting=first + k) for row in gap] for k, gap in enumerate(gaps)]
    )


def paces(pool: SolutionPool, subproblems: Sequence[Subproblem]) -> np.ndarray:
    """ln of the time per token of known subproblems [s], shape (subproblems,)."""
    return points(pool, subproblems)[:, pool.formulation.structure.variable("pace")]


def points(pool: SolutionPool, subproblems: Sequence[Subproblem]) -> np.ndarray:
    """Solutions of known subproblems, shape (subproblems, variables)."""
    return np.stack([pool.done[subproblem].point.y for subproblem in subproblems])
