"""From polished designs to a front of ``LOCAL`` ones: non-dominated, each with its residual."""

from collections.abc import Sequence

import numpy as np
from jax.tree_util import tree_map

from codesign.limits import limit_words
from codesign.search.pareto.dominance import non_dominated
from codesign.search.pareto.front import LOCAL, Front, Infeasible
from codesign.search.pareto.local_search import (
    LocalOptimum,
    fleets_at,
    local_optima,
    pinned,
    slopes_at,
)
from codesign.search.pareto.penalty_search import PenaltyOptima, lanes, search_by_penalty
from codesign.search.solver.lanes import in_batches
from codesign.search.solver.packing import PackedProblems, pack
from codesign.search.statement.choices import Choice
from codesign.search.statement.fleet import Fleet
from codesign.search.statement.goals import Wanted, bound_names, bounds_exceeded, log_goals
from codesign.search.statement.problem import ProblemBatch, integer_names
from codesign.search.statement.relaxed_fleet import OWN
from codesign.search.statement.space import CONTINUOUS
from codesign.search.verification.optimality import BINDING, binding, least_residual, resting

STARTS = 4
"""Random starts of the penalty search for each weighting and choice: nothing else looks around."""


def search_locally(
    problems: ProblemBatch,
    choices: tuple[Choice, ...],
    wanted: Wanted,
    weights: np.ndarray,
    seed: int,
) -> Front:
    """Search by gradients and put what is found together.

    Args:
        problems: the exact model.
        choices: told in the front.
        wanted: objectives and bounds.
        weights: one weighting a row.
        seed: of the starts.

    Raises:
        Infeasible: no design was found that keeps every limit; the most broken one is named.
    """
    arguments = lanes(problems, wanted, weights, starts=STARTS, seed=seed)
    relaxed = search_by_penalty(arguments, (len(weights), len(choices), STARTS))
    found = local_optima(problems, wanted, weights, relaxed)
    if not found:
        raise Infeasible(
            "no design was found that meets every limit (searched by gradients, not proved); most"
            f" in the way: {_most_broken(problems, wanted, relaxed)}; widen the space or the limits"
        )
    return _front(problems, choices, wanted, weights, found, relaxed)


def _most_broken(problems: ProblemBatch, wanted: Wanted, relaxed: PenaltyOptima) -> str:
    """The limit that is most broken where the penalty search ended best."""
    best = np.unravel_index(np.nanargmin(relaxed.loss), np.shape(relaxed.loss))
    used = slopes_at(pack(problems), wanted, best[1], np.log(relaxed.end[best]))[1]
    names = (*problems.limit_names, *bound_names(wanted.bounds))
    return limit_words(names[int(np.nanargmax(used))])


def _front(
    problems: ProblemBatch,
    choices: tuple[Choice, ...],
    wanted: Wanted,
    weights: np.ndarray,
    found: Sequence[LocalOptimum],
    relaxed: PenaltyOptima,
) -> Front:
    packed = pack(problems)

    def fleets(some: list[LocalOptimum]) -> Fleet:
        chosen = np.array([one.choice for one in some])
        return fleets_at(packed, chosen, np.stack([one.point for one in some]))

    fleet = in_batches(fleets, found)
    logs = log_goals(wanted.objectives, fleet.totals, fleet.outcomes)
    keep = non_dominated(logs)
    keep = keep[np.argsort(logs[keep, -1], kind="stable")]
    kept = [found[k] for k in keep]
    fleet, logs = tree_map(lambda leaf: leaf[keep], fleet), logs[keep]
    integers = np.array([one.integers for one in kept])
    names = (*problems.limit_names, *bound_names(wanted.bounds))
    exceeded = bounds_exceeded(wanted.bounds, fleet.totals, fleet.outcomes)
    used = np.concatenate([fleet.limits, exceeded], axis=1)
    judged = [_optimality(problems, packed, wanted, weights[one.weighting], one) for one in kept]
    values = np.exp(np.stack([one.point for one in kept]))
    quantities = [
        values[:, p * OWN : p * OWN + len(CONTINUOUS)] for p in range(len(problems.spaces))
    ]
    nothing = np.full(len(kept), np.nan)
    return Front(
        designs=fleet.designs,
        outcomes=fleet.outcomes,
        totals=fleet.totals,
        machine_seconds=fleet.machine_seconds,
        times=fleet.times,
        step_kinds=tuple(step.kind for step in problems.steps),
        integers=integers,
        integer_names=integer_names(problems),
        choice=np.array([one.choice for one in kept]),
        choices=choices,
        objectives=wanted.objectives,
        values=np.exp(-logs * np.array([objective.sense for objective in wanted.objectives])),
        weights=weights[[one.weighting for one in kept]],
        time_asked=np.full(len(kept), np.inf),
        status=(LOCAL,) * len(kept),
        certified_gap=nothing,
        front_gap=nothing,
        residual=np.array([residual for residual, _ in judged]),
        spread=np.array([float(np.ptp(relaxed.loss[one.weighting, one.choice])) for one in kept]),
        binding=binding(names, used),
        multipliers={
            name: np.array([prices[k] for _, prices in judged]) for k, name in enumerate(names)
        },
        box=resting(problems, quantities, integers),
        buildable=all(space.buildable for space in problems.spaces),
        timings={},
    )


def _optimality(
    problems: ProblemBatch,
    packed: PackedProblems,
    wanted: Wanted,
    weights: np.ndarray,
    one: LocalOptimum,
) -> tuple[float, np.ndarray]:
    """Norm of the optimality conditions of a design, and the multiplier of each limit and bound.

    A quantity at an end of its box counts as a limit that binds, without a name.
    """
    low, high = pinned(problems, one.choice, one.integers)
    x, free = one.point, high > low
    _, used, slope, slopes = (np.asarray(v) for v in slopes_at(packed, wanted, one.choice, x))
    ends = [
        sign * np.eye(len(x))[k]
        for k in np.flatnonzero(free)
        for sign, room in ((1.0, high[k] - x[k]), (-1.0, x[k] - low[k]))
        if room < BINDING
    ]
    every = np.concatenate([slopes, np.reshape(ends, (-1, len(x)))])
    binds = np.concatenate([used > -BINDING, np.ones(len(ends), bool)])
    residual, prices = least_residual(weights @ slope, every, binds, free)
    return residual, prices[: len(used)]
