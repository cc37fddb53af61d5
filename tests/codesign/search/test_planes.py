"""The relaxation over a box of integers lies below the exact program at every integer in it: what
branch and bound rests on."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import codesign
from codesign.numerics.compilation import SELDOM, compiled
from codesign.performance.plan import WHOLE_EXPERTS
from codesign.search import Choice, Kind
from codesign.search.integers.underestimators import boxed_program, divided_evenly, underestimate
from codesign.search.program.coefficients import sample
from codesign.search.program.geometric_program import Program, framed
from codesign.search.program.structure import Structure
from codesign.search.solver.lanes import double_precision
from codesign.workload.catalogue import model
from codesign.workload.phases import Draft
from tests.codesign.search.conftest import Posed, plan, posed, space, work
from tests.examples import thorough

PAIRS = 2048
DOMAIN = 72
TOLERANCE = 1e-12
MOST_CHIPS, MOST_BATCH = 1024, 4096
BOXES = 40 if thorough() else 4
"""Of each problem: more than 300 of 40 each were tried once, and none failed."""
LIFTED = ("time", "machine seconds", "pace")


class Margins(NamedTuple):
    """By how much the exact program is above its relaxation; below zero the relaxation is wrong.
    Leading axis the pairs."""

    coefficients: Any  # (pairs,) least over all coefficients, in log units
    box: Any  # (pairs,) by how much each side of the box is inside the relaxed one
    sync_floor: Any  # (pairs,) [1]


@compiled(SELDOM, static_argnums=(0,))
def margins(
    structure: Structure, problems: Any, bounds: Any, low: Any, high: Any, inside: Any
) -> Margins:
    count = structure.kinds + len(structure.services)
    relaxed = boxed_program(
        structure,
        problems,
        underestimate(structure, problems, low[:count], high[:count]),
        low,
        high,
        bounds,
    )
    middle = jnp.exp(0.5 * (jnp.log(low[:count]) + jnp.log(high[:count])))
    even = divided_evenly(structure, problems, low[:count], high[:count])
    orders = sample(structure, even, middle).orders

    def one(integers: Any) -> Margins:
        # the splits of the operators are those of the box's middle: each split is a bound on the
        # time, whatever its order
        at = sample(structure, problems, integers[:count], orders)
        together = jax.tree.map(lambda leaf: leaf[None], at)
        tilt = jnp.zeros((*at.coefficients.shape, count))
        exact = framed(
            structure, problems, at.coefficients, tilt, together, integers, integers, bounds
        )
        return compared(structure, exact, relaxed, jnp.log(integers[:count]))

    return jax.vmap(one)(inside)


def compared(structure: Structure, exact: Program, relaxed: Program, logs: Any) -> Margins:
    below = relaxed.coefficients + relaxed.tilt @ logs
    size = 1.0 + jnp.abs(exact.coefficients) + jnp.abs(relaxed.tilt) @ jnp.abs(logs)
    lifted = np.array([key.name in LIFTED for key in structure.variables])
    # times and what follows from them have boxes twice as wide as what the machine can do: that
    # much is not needed
    needed = jnp.where(lifted, jnp.log(2.0), 0.0)
    sides = jnp.concatenate([exact.low + needed - relaxed.low, relaxed.high + needed - exact.high])
    plans = np.array([structure.function("plan", k) for k in range(len(structure.steps))])
    enough = jnp.all(
        exact.coefficients[plans, 0] <= 0.0
    )  # else the plan has more groups than chips: nothing to bound
    return Margins(
        jnp.where(enough, jnp.min((exact.coefficients - below) / size), jnp.inf),
        jnp.min(sides),
        jnp.min(exact.specials.kinds.sync_floor / relaxed.specials.kinds.sync_floor - 1.0),
    )


def problem_of(
    technology, workload: codesign.Workload, structure: codesign.Plan, **kind: float
) -> Posed:
    made = Kind(technology, kind.get("dies", 1.0), 60e6, DOMAIN)
    among = [Choice(str(k), (structure,), (made,)) for k in range(2)]
    return posed(space((1, MOST_CHIPS)), workload, among, batch=(1, MOST_BATCH))


def decoding(name: str, draft: Draft | None = None) -> codesign.Workload:
    return codesign.Workload(
        model(name), codesign.Decode(batch=1, context=8192, draft=draft), promise=5e-2
    )


def dense_plans() -> list[codesign.Plan]:
    return [
        plan("one-shot"),
        plan("two-shot", data=4.0),  # batches below four leave groups idle
        plan("tree", pipeline=3.0, context=2.0),
        plan("ring", kv_ideal=1.0),
    ]


def problems_of(case: str, technology) -> list[Posed]:
    """Plans of one structure; KV heads (8) and grouped columns give the kinks, drafts a second
    pass, experts the rest."""
    if case == "dense":
        return [problem_of(technology, work(), one, dies=2.0) for one in dense_plans()]
    drafts = Draft(length=3.0, acceptance=0.7, cost=0.1)
    whole = [
        plan("one-shot", expert=WHOLE_EXPERTS),
        plan("two-shot", expert=8.0),
        plan("two-shot", expert=1.0, data=8.0),
    ]
    return [problem_of(technology, decoding("deepseek-v3", drafts), one) for one in whole]


def boxes(random: np.random.Generator, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Random boxes of chips and batch, none across the edge of the scale-up domain
    (``branch_and_bound.roots`` cuts there)."""
    found = []
    for _ in range(count):
        low = np.floor(np.exp(random.uniform(0.0, np.log([MOST_CHIPS, MOST_BATCH]))))
        high = np.minimum(
            np.floor(low * np.exp(random.exponential(1.5, 2))), [MOST_CHIPS, MOST_BATCH]
        )
        high[0] = min(high[0], DOMAIN) if low[0] <= DOMAIN else high[0]
        found.append((np.append(low, [0.0, 0.0]), np.append(high, [0.0, 0.0])))
    return found


def pairs_inside(
    low: np.ndarray, high: np.ndarray, random: np.random.Generator
) -> tuple[np.ndarray, bool]:
    """All pairs of integers of a box, repeated to ``PAIRS`` (True), or as many random ones where
    there are more (False)."""
    sides = [np.arange(a, b + 1) for a, b in zip(low[:2], high[:2], strict=True)]
    every = len(sides[0]) * len(sides[1]) <= PAIRS
    if every:
        pairs = np.stack([side.ravel() for side in np.meshgrid(*sides, indexing="ij")], axis=1)
        pairs = np.resize(pairs, (PAIRS, 2))
    else:
        pairs = np.stack([random.choice(side, PAIRS) for side in sides], axis=1)
    return np.concatenate([pairs, np.zeros((PAIRS, 2))], axis=1), every


@pytest.mark.parametrize("case", ["dense", "experts and drafts"])
def test_every_coefficient_is_above_its_monomial(case, technology, record_property):
    """Random boxes, every integer inside enumerated where there are at most 2,048 of them, else
    sampled."""
    random = np.random.default_rng(3)
    worst, enumerated, total = Margins(np.inf, np.inf, np.inf), 0, 0
    for problem in problems_of(case, technology):
        formulation = problem.pool.formulation
        for low, high in boxes(random, BOXES):
            inside, every = pairs_inside(low, high, random)
            enumerated, total = enumerated + every, total + 1
            with double_precision():
                found = margins(
                    formulation.structure,
                    formulation.problems.at(0),
                    formulation.bounds,
                    low,
                    high,
                    inside,
                )
            seen = Margins(*(float(np.min(leaf)) for leaf in found))
            where = inside[int(np.argmin(found.coefficients)), :2]
            assert seen.coefficients >= -TOLERANCE, (low, high, where, seen)
            assert seen.box >= -TOLERANCE, (low, high, seen)
            assert seen.sync_floor >= -TOLERANCE, (low, high, seen)
            worst = Margins(*map(min, worst, seen))
    record_property("smallest margins", str(worst))
    print(
        f"{case}: {enumerated} boxes enumerated, {total - enumerated} sampled: smallest margins"
        f" {worst}"
    )
    assert enumerated >= total / 4
