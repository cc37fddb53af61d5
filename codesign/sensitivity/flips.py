"""When the integers or the choice of an optimum flip: how far a prior must be off until another
design is better.

A prior moves the technology along a path θ(z). The optimum at its own integers and every runner-up
q move with it; by the envelope theorem they meet at

    z = (V_q − V) / (dV/dz − dV_q/dz),

which is then corrected by re-solving both there, in secant steps. Before that the optimum may lose
its last design (a cache no longer fits): found by bisection. What is not among the runners-up is
not seen: a flip is at the latest where it is said to be.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np

from codesign.search.integers.formulation import Subproblem
from codesign.search.integers.solution_pool import WORTHWHILE
from codesign.search.solver.lanes import double_precision
from codesign.search.statement.problem import integer_names
from codesign.sensitivity.motion import value_slopes
from codesign.sensitivity.optimum import Optimum
from codesign.sensitivity.worlds import Technologies, solve_worlds, worlds_of

RUNNERS_UP = 24
"""Solved subproblems that an optimum is compared with."""

BEHIND = 0.15
"""Log units by which a runner-up may be worse."""

FARTHEST = 1.6448536269514722
"""Standard deviations that a prior is followed: to the 5 % and 95 % quantiles."""

HALVINGS, SECANTS = 10, 4

Path = Callable[[np.ndarray, int], Technologies]
"""Technologies of a choice at standard normal deviates of all priors: (worlds, priors), choice →
leaves (worlds,)."""


class Flip(NamedTuple):
    """Another design becomes better, or the optimum loses its last one.

    ``z`` is the deviate of the prior, in standard deviations; ``error`` how far the last step moved
    it, and ``predicted`` where slopes alone said that it is. ``to`` is the better design (None: no
    runner-up has any there); where ``lost`` the optimum's own integers have no design beyond ``z``.
    """

    prior: str
    z: float
    error: float
    predicted: float
    to: Subproblem | None
    change: str
    lost: bool


def runners_up(found: Optimum) -> list[Subproblem]:
    """Solve what is next to an optimum, and pick the best of all that is solved: other integers
    and choices, best first; none that is as good as the optimum, as along flat valleys."""
    low, high = found.pool.formulation.ranges
    near = []
    for k in range(len(low)):
        for sign in (-2, -1, 1, 2):
            integers = list(found.subproblem.integers)
            integers[k] += sign
            if low[k] <= integers[k] <= high[k] and low[k] < high[k]:
                near.append(found.subproblem._replace(integers=tuple(integers)))
    near += [
        found.subproblem._replace(choice=choice)
        for choice in range(len(found.choices))
        if choice != found.subproblem.choice
    ]
    with double_precision():
        found.pool.learn(near)
    others = [
        other
        for other, (value, *_) in found.pool.done.items()
        if other != found.subproblem
        and other.weighting == found.subproblem.weighting
        and math.isfinite(value)
        and found.value + WORTHWHILE < value < found.value + BEHIND
        and (np.array(other.integers) >= low).all()  # stacks that are left free build nothing
    ]
    return sorted(others, key=lambda other: (found.pool.value(other), other))[:RUNNERS_UP]


def flips(found: Optimum, path: Path, priors: Sequence[str]) -> list[Flip]:
    """Say for every prior, on each side, when the optimum's integers or choice stop being the best.

    Args:
        found: the optimum.
        path: technologies at deviates of the priors; at zero the optimum's own.
        priors: names, in the order of the deviates.

    Returns:
        Flips within ``FARTHEST`` standard deviations, the nearest first.

    >>> from experiments.examples.small_space import memory_worlds, optimum
    >>> flips(optimum(), memory_worlds, ("memory.layer_price",))  # no price of a layer changes it
    []
    """
    rivals = runners_up(found)
    logs = {choice: _logs(path, choice, len(priors)) for choice in {found.subproblem.choice}}
    slopes = {found.subproblem: value_slopes(found, found.subproblem)}
    for rival in rivals:
        slopes[rival] = value_slopes(found, rival)
        if rival.choice not in logs:
            logs[rival.choice] = _logs(path, rival.choice, len(priors))
    candidates: list[tuple[int, float, float, Subproblem | None]] = []
    for k in range(len(priors)):
        for side, sign in enumerate((-1.0, 1.0)):
            own = float(slopes[found.subproblem] @ logs[found.subproblem.choice][side, k]) * sign
            nearest: tuple[float, Subproblem | None] = (FARTHEST, None)
            for rival in rivals:
                other = float(slopes[rival] @ logs[rival.choice][side, k]) * sign
                if own - other > 1e-12:
                    z = (found.pool.value(rival) - found.value) / (own - other)
                    nearest = min(nearest, (z, rival), key=lambda pair: pair[0])
            candidates.append((k, sign, nearest[0], nearest[1]))
    lost = _lost(found, path, len(priors), [(k, sign) for k, sign, *_ in candidates])
    beaten = [(k, sign, z, rival) for k, sign, z, rival in candidates if rival is not None]
    corrected = dict(
        zip(
            [(k, sign) for k, sign, *_ in beaten],
            _corrected(found, path, len(priors), beaten),
            strict=True,
        )
    )
    told, ended = [], []
    for (k, sign, z, rival), end in zip(candidates, lost, strict=True):
        error, first = 0.0, z
        if rival is not None:
            z, error = corrected[k, sign]
        if end is not None and (rival is None or end < z):
            ended.append((k, sign, end))
        elif rival is not None and z <= FARTHEST:
            z, first = sign * z, sign * first
            words = change(found, rival)
            told.append(Flip(str(priors[k]), z, error, first, rival, words, False))
    width = FARTHEST * 0.5**HALVINGS
    for (k, sign, end), rival in zip(
        ended, _best_there(found, path, len(priors), ended, rivals), strict=True
    ):
        words = "no design" if rival is None else change(found, rival)
        told.append(Flip(str(priors[k]), sign * end, width, sign * end, rival, words, True))
    return sorted(told, key=lambda flip: abs(flip.z))


def _best_there(
    found: Optimum,
    path: Path,
    count: int,
    ended: Sequence[tuple[int, float, float]],
    rivals: Sequence[Subproblem],
) -> list[Subproblem | None]:
    """The best runner-up where the optimum has lost its last design."""
    asked = [(k, sign * end, rival) for k, sign, end in ended for rival in rivals]
    values = _values(found, path, count, asked).reshape(len(ended), len(rivals))
    return [
        rivals[int(np.argmin(own))] if len(own) and np.isfinite(own).any() else None
        for own in values
    ]


def change(found: Optimum, other: Subproblem) -> str:
    """What another design differs in: ``batch 102 → 101; 1 die → 2 dies``."""
    names = integer_names(found.pool.formulation.problems)
    told = [
        f"{name} {here} → {there}"
        for name, here, there in zip(names, found.subproblem.integers, other.integers, strict=True)
        if here != there
    ]
    if other.choice != found.subproblem.choice:
        told.append(f"{found.choice.name} → {found.choices[other.choice].name}")
    return "; ".join(told)


def _logs(path: Path, choice: int, count: int) -> np.ndarray:
    """d ln θ/dz of every number of the technologies, below and above zero: (sides, priors,
    numbers)."""
    step = 1e-4
    sides = []
    for sign in (-1.0, 1.0):
        moved = np.concatenate([np.zeros((1, count)), sign * step * np.eye(count)])
        leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(path(moved, choice))]
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = [np.where(leaf[1:] > 0, leaf[1:] / leaf[0], 1.0) for leaf in leaves]
        sides.append(np.log(np.stack(ratios, axis=1)) / (sign * step))
    return np.stack(sides)


def _values(
    found: Optimum, path: Path, count: int, asked: Sequence[tuple[int, float, Subproblem]]
) -> np.ndarray:
    """ln of the objective of subproblems, each with one prior at a deviate."""
    values = np.full(len(asked), np.inf)
    for subproblem in sorted({one for *_, one in asked}):
        rows = [j for j, (*_, one) in enumerate(asked) if one == subproblem]
        z = np.zeros((len(rows), count))
        for row, j in enumerate(rows):
            z[row, asked[j][0]] = asked[j][1]
        worlds = worlds_of(found, path(z, subproblem.choice), subproblem.choice)
        with double_precision():
            values[rows] = solve_worlds(worlds, subproblem).value
    return values


def _corrected(
    found: Optimum, path: Path, count: int, rows: Sequence[tuple[int, float, float, Subproblem]]
) -> list[tuple[float, float]]:
    """Where two optima meet, by secant steps from where their slopes say, both solved anew at every
    step; and how far the last step went."""
    before = np.zeros(len(rows))
    gaps = np.array([found.pool.value(rival) - found.value for *_, rival in rows])
    here = np.array([min(z, 2.0 * FARTHEST) for _, _, z, _ in rows])
    step = here.copy()
    for _ in range(SECANTS):
        asked = [(k, sign * z) for (k, sign, *_), z in zip(rows, here, strict=True)]
        own = _values(found, path, count, [(k, z, found.subproblem) for k, z in asked])
        other = _values(
            found, path, count, [(k, z, row[3]) for (k, z), row in zip(asked, rows, strict=True)]
        )
        known = np.isfinite(own) & np.isfinite(other)
        now = np.where(known, np.where(known, other, 0.0) - np.where(known, own, 0.0), np.inf)
        falling = known & (np.abs(gaps - now) > 1e-15)
        slope = np.where(falling, gaps - now, 1.0)
        forward = np.where(falling, (here - before) * np.where(falling, now, 0.0) / slope, 0.0)
        moved = np.clip(here + forward, 0.0, 2.0 * FARTHEST)
        step = np.where(falling, np.abs(moved - here), step)
        before = np.where(falling, here, before)
        gaps, here = np.where(falling, now, gaps), np.where(known, moved, np.inf)
        here = np.where(np.isfinite(here), here, 2.0 * FARTHEST)
    # what is still apart at the farthest place is no flip
    return [
        (float(z) if z < 2.0 * FARTHEST else math.inf, float(error))
        for z, error in zip(here, step, strict=True)
    ]


def _lost(
    found: Optimum, path: Path, count: int, sides: Sequence[tuple[int, float]]
) -> list[float | None]:
    """Deviate at which the optimum's integers have no design any more; None where they have one up
    to ``FARTHEST``."""
    far = _values(found, path, count, [(k, s * FARTHEST, found.subproblem) for k, s in sides])
    open_sides = [j for j in range(len(sides)) if not math.isfinite(far[j])]
    inside, outside = np.zeros(len(sides)), np.full(len(sides), FARTHEST)
    for _ in range(HALVINGS):
        if not open_sides:
            break
        middles = 0.5 * (inside + outside)
        values = _values(
            found, path, count,
            [(sides[j][0], sides[j][1] * middles[j], found.subproblem) for j in open_sides],
        )  # fmt: skip
        for j, value in zip(open_sides, values, strict=True):
            if math.isfinite(value):
                inside[j] = middles[j]
            else:
                outside[j] = middles[j]
    return [float(outside[j]) if j in open_sides else None for j in range(len(sides))]
