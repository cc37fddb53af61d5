"""What is not convex, or not the program's model, is never called GLOBAL.

Each lie is told under an execution model of its own type, so that nothing compiled before or after
is touched by it.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import codesign
from codesign.performance.plan import WHOLE_EXPERTS
from codesign.physical import cost as costs
from codesign.physical.wafer import die_price
from codesign.search import Bound, Choice, Kind
from codesign.search import assembly as assembling
from codesign.search.assembly import assemble_front
from codesign.search.integers.formulation import Subproblem
from codesign.search.pareto.penalty_search import PenaltyOptima
from codesign.search.program import functions as programs
from codesign.search.program.objectives import bound_rows
from codesign.search.solver.lanes import double_precision
from codesign.search.verification import audit as auditing
from codesign.search.verification.optimality import convex
from codesign.workload.catalogue import model
from tests.codesign.search.conftest import GOALS, Posed, choices, plan, posed, space, work

WEIGHTS = [[0.6, 0.2, 0.2]]
SUBPROBLEM = Subproblem(0, 0, (8, 32, 0, 0))
TIGHT = (Bound("capital_cost", most=1e12), Bound("provisioned_power", most=1e12))
"""Gives a program of a shape that no other test compiles, so that a lie told to its solver stays
here."""


@pytest.fixture(autouse=True)
def no_residuals(monkeypatch) -> None:
    """They say how far a LOCAL design is from optimal, which is not asked here, and take seconds to
    compile."""
    monkeypatch.setattr(assembling, "residuals", lambda *arguments: np.full(1, np.nan))


def statuses(
    problem: Posed,
    subproblems: Sequence[Subproblem],
    among: Sequence[Choice],
    bounds: Sequence[Bound] = (),
) -> dict[Subproblem, str]:
    """What the search would call each subproblem that it keeps."""
    problem.solve(subproblems)
    nothing = PenaltyOptima(np.zeros((0, 1, 1)), np.zeros((0, 1, 1, 1)))
    rows = bound_rows(bounds, one_machine=True)
    found = {}
    with double_precision():
        for subproblem in subproblems:  # one by one: none dominates another
            assert np.isfinite(problem.pool.value(subproblem)), "no design to judge"
            front = assemble_front(
                problem.pool, tuple(among), GOALS, tuple(bounds), rows, [subproblem], nothing, {}
            )
            found[subproblem] = front.status[0]
    return found


class Discounted(codesign.Operatorwise):
    """Under it the exact model gives a discount that the program does not know."""


class Wiggly(codesign.Operatorwise):
    """Under it the price of a die is declared convex and is not."""


def discounted(below: float) -> Callable[..., Any]:
    """Half price for logic and memory of machines with less than ``below`` [B/s] of memory
    bandwidth: not convex."""
    real = costs.cost

    def cost(design: Any, *rest: Any) -> Any:
        price = real(design, *rest)
        factor = jnp.where(design.memory_bandwidth < below, 0.5, 1.0)
        return dataclasses.replace(price, memory=price.memory * factor, logic=price.logic * factor)

    return cost


# both lies need the audit to look at the whole box and at the curvature of the functions of one
# variable
def test_a_discount_that_the_program_does_not_know_is_not_global(technology, monkeypatch):
    """Only the lowest sixth of the box is cheaper, far from the optimum, whose own gap is as small
    as ever: an audit must tell."""
    among = choices(technology)
    monkeypatch.setattr(costs, "cost", discounted(1e12))
    problem = posed(space(), work(promise=1e-2), among, weights=WEIGHTS, execution=Discounted())
    found = statuses(problem, [SUBPROBLEM], among)
    assert 0.0 <= problem.exact([SUBPROBLEM]).gap[0] < 1e-6, (
        "the gap alone gives the lie away: the test is too easy"
    )
    assert set(found.values()) == {"LOCAL"}


def test_a_price_wrongly_declared_convex_is_not_global(technology, monkeypatch):
    """Program and exact model agree everywhere, and neither is convex: steps in the price of a die
    by its area."""

    def steps(logic: Any, area: Any) -> Any:
        return die_price(logic, area) * jnp.exp(0.2 * jnp.sin(25.0 * jnp.log(area / 1e-4)))

    second = jax.vmap(jax.grad(jax.grad(lambda a: jnp.log(steps(technology.logic, jnp.exp(a))))))
    assert float(second(jnp.linspace(jnp.log(1e-4), jnp.log(8e-4), 50)).min()) < -1.0, (
        "convex after all"
    )
    monkeypatch.setattr(programs, "die_price", steps)
    monkeypatch.setattr(costs, "die_price", steps)
    monkeypatch.setattr(auditing, "_special_values", jax.jit(jax.vmap(programs.special_values)))
    among = choices(technology)
    problem = posed(
        space(), work(promise=1e-2), among, weights=WEIGHTS, execution=Wiggly(), bounds=TIGHT
    )
    subproblems = [SUBPROBLEM._replace(integers=(chips, 32, 0, 0)) for chips in (4, 8, 16)]
    found = statuses(problem, subproblems, among, TIGHT)
    assert set(found.values()) == {"LOCAL"}


def test_experts_dealt_beyond_the_domain_are_not_convex(technology):
    """The slower of two networks carries them: a minimum that the program does not have. Within the
    domain it has all."""
    workload = codesign.Workload(
        model("deepseek-v3"), codesign.Decode(batch=1, context=8192), promise=0.5
    )
    among = [
        Choice(str(groups), (plan(expert=groups),), (Kind(technology, 2.0, 60e6, 72.0),))
        for groups in (WHOLE_EXPERTS, 8.0, 1.0)
    ]
    problems = posed(space(), workload, among, weights=WEIGHTS).problems
    subproblems = [
        Subproblem(0, choice, (chips, 64, 0, 0)) for choice in range(3) for chips in (72, 73)
    ]
    assert convex(problems, subproblems).tolist() == [True, False, True, False, True, True]


def test_what_is_not_convex_is_not_global(technology, monkeypatch):
    among = choices(technology)
    problem = posed(space(), work(promise=1e-2), among, weights=WEIGHTS)
    assert set(statuses(problem, [SUBPROBLEM], among).values()) == {"GLOBAL AT ITS INTEGERS"}
    monkeypatch.setattr(
        assembling, "convex", lambda problems, subproblems: np.zeros(len(subproblems), bool)
    )
    assert set(statuses(problem, [SUBPROBLEM], among).values()) == {"LOCAL"}
