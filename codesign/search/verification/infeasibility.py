"""Proof that no design exists, which limits are in conflict, and the smallest relaxation that would
admit one.

All limits are let off by one factor e^t, and t is minimised over all integers and choices by the
same branch and bound: a bound above zero proves that there is no design; the multipliers at the
best point say which limits stand against each other. Then each of those alone is let off, as little
as admits a design.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from codesign.limits import limit_words
from codesign.numerics.fields import units_of
from codesign.search.integers.branch_and_bound import prove
from codesign.search.integers.formulation import Formulation, Subproblem
from codesign.search.integers.solution_pool import SolutionPool
from codesign.search.program.keys import OUTCOMES, Key, Of
from codesign.search.program.objectives import Goals
from codesign.search.statement.fleet import Totals
from codesign.search.statement.problem import integer_ranges

MOST = 30.0
"""Largest relaxation sought, in log units."""

TOLERANCE = 0.01
"""Log units to which the smallest relaxation is found."""

ROOM = 1e-6
"""ln(used/allowed) below zero by which a design must be inside its limits to count as one."""

INVOLVED = 0.02
"""Least share of the multipliers with which a limit counts as in conflict."""


class Conflict(NamedTuple):
    """Why there is no design.

    ``least`` is the proved least ln of the factor by which all limits in conflict must be relaxed
    together; ``relaxations`` the ln of the factor of each alone that admits a design (absent where
    none up to e^30 does); ``proved`` is False where the bound does not exclude a design. Below
    ``-ROOM``, ``least`` says that there is a design after all: ``subproblem`` is one. ``asked`` is
    what the user's bounds ask for, in SI with unit. A bound that nothing meets even with the user's
    other wishes let off is among the limits.
    """

    proved: bool
    least: float
    limits: tuple[str, ...]
    relaxations: dict[str, float]
    subproblem: Subproblem
    asked: Mapping[str, str] = MappingProxyType({})


def conflict(formulation: Formulation, names: Sequence[str], *, most_boxes: int = 2000) -> Conflict:
    """Find the conflict of a problem without a design.

    Args:
        formulation: the problem in the program's terms.
        names: of the bounds on outcomes.
        most_boxes: of branch and bound.
    """
    rows = formulation.structure.limits
    best, value, bound, multipliers = _least(formulation, rows, most_boxes)
    if value <= -ROOM:
        return Conflict(False, value, (), {}, best)
    shares = {name: float(multipliers[own].sum()) for name, own in rows.items()}
    total = max(sum(shares.values()), 1e-300)
    involved = sorted(
        (name for name, share in shares.items() if share > INVOLVED * total),
        key=lambda name: -shares[name],
    )
    if (
        np.isfinite(value) and value < MOST - 1.0
    ):  # else no relaxation that is sought tells them apart
        involved += _impossible(
            formulation, [name for name in rows if name not in involved], most_boxes
        )
    relaxations = {}
    for name in involved:
        alone = _least(formulation, {name: rows[name]}, most_boxes)
        if np.isfinite(alone[1]) and alone[1] < MOST - 1.0:
            relaxations[name] = (
                max(alone[1], 0.0) + TOLERANCE
            )  # less leaves the search no room inside the limits
    told = {name: _full(name, names) for name in involved}
    return Conflict(
        bound > 0.0,
        value,
        tuple(told.values()),
        {told[name]: factor for name, factor in relaxations.items()},
        best,
        {
            name: _asked(name, float(limit))
            for name, limit in zip(names, np.asarray(formulation.bounds.limits), strict=True)
        },
    )


def _is_wish(limit: Key) -> bool:
    """Whether a limit is the user's own: a bound or a promise."""
    return limit.of is Of.BOUND or limit.name in ("promise", "first_token")


def _impossible(formulation: Formulation, names: Sequence[Key], most_boxes: int) -> list[Key]:
    """The wishes among limits that nothing meets even with all other wishes let off.

    Multipliers name the wish that is furthest out of reach and hide the others.
    """
    wishes = [name for name in formulation.structure.limits if _is_wish(name)]
    found = []
    for name in (name for name in names if _is_wish(name)):
        others = {other: formulation.structure.limits[other] for other in wishes if other != name}
        value = _least(formulation, others, most_boxes)[1]
        found += [name] if not np.isfinite(value) or value >= MOST - 1.0 else []
    return found


def _asked(name: str, limit: float) -> str:
    """What a bound asks for, from its name and the logarithm of its limit."""
    outcome, _, side = name.rpartition(" at ")
    unit = units_of(Totals).get(outcome, "1")
    return f"{np.exp(limit if side == 'most' else -limit):.4g}" + (
        f" {unit}" if unit != "1" else ""
    )


def _full(limit: Key, bounds: Sequence[str]) -> str:
    return bounds[limit.index] if limit.of is Of.BOUND else limit.name


def _least(
    formulation: Formulation, relaxed: dict[Key, list[int]], most_boxes: int
) -> tuple[Subproblem, float, float, np.ndarray]:
    """The subproblem and the least ln of the factor by which some limits must be let off; its
    proved bound; multipliers there."""
    count = len(formulation.structure.functions) - len(OUTCOMES)
    slack = np.zeros(count)
    for own in relaxed.values():
        slack[own] = 1.0
    zero = np.zeros(1)
    only = Goals(zero, zero, np.zeros((1, len(OUTCOMES))), np.zeros((1, 3)), np.ones(1))
    easing = formulation._replace(
        goals=only,
        memory=None,
        slack=np.concatenate([np.zeros(len(OUTCOMES)), slack]),
        slack_range=(-MOST, MOST),
    )
    pool = SolutionPool(easing, np.ones((1, 1)))
    low, high = integer_ranges(formulation.problems)
    middle = np.sqrt(np.maximum(low, 1) * np.maximum(high, 1)).round().astype(int)
    start = [
        int(v) if most > 0 else 0 for v, most in zip(middle, high, strict=True)
    ]  # whole memory: free stacks build nothing
    choices = formulation.problems.choices
    subproblems = [Subproblem(0, choice, tuple(start)) for choice in range(choices)]
    pool.learn(subproblems)
    first = min(subproblems, key=pool.value)
    proof = prove(pool, [first], tolerance=TOLERANCE, most_boxes=most_boxes, enough=-ROOM)
    best = proof.best[0]
    return (
        best,
        pool.value(best),
        float(proof.bounds[0]),
        np.asarray(pool.done[best].point.multipliers),
    )


def sentence(found: Conflict, formulation: Formulation) -> str:
    """The conflict in one sentence."""
    counted = formulation.structure.counted
    from codesign.search.statement.problem import integer_names

    at = ", ".join(
        f"{name} {number}"
        for name, number in zip(
            integer_names(formulation.problems)[:counted],
            found.subproblem.integers[:counted],
            strict=True,
        )
    )
    told = {
        name: f"{limit_words(name)} {found.asked.get(name, '')}".strip() for name in found.limits
    }
    limits = " and ".join(told.values()) or "integrality"
    ways = "; ".join(
        f"{limit_words(name)} relaxed by {_percent(factor)} alone would do"
        for name, factor in found.relaxations.items()
    )
    head = (
        "no design in the space meets every limit (proved)"
        if found.proved
        else "no design was found that meets every limit"
    )
    together = f"in conflict: {limits}; "
    if np.isfinite(found.least) and found.least < MOST - 1.0:
        together += (
            f"with every limit relaxed by {_percent(max(found.least, 0.0))} there would be one"
            f" ({at})"
        )
    else:
        together += f"there would be none with every limit relaxed by {_percent(MOST - 1.0)} either"
    return f"{head}; {together}{'; ' + ways if ways else ''}"


def _percent(log: float) -> str:
    factor = float(np.expm1(log))
    return f"{factor:.2g} times" if factor > 10 else f"{factor:.1%}"
