"""Each limit in turn made impossible: no design is proved, the right limit is named, and what the
message says would do, does."""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pytest

from codesign.hardware.technology import Technology
from codesign.limits import limit_words
from codesign.search import Bound, Choice, Front, Infeasible, Kind, Space, optimize
from codesign.search.statement.space import CONTINUOUS
from codesign.search.verification.infeasibility import Conflict
from tests.codesign.search.conftest import plan, service, space, work
from tests.codesign.search.test_limits_bind import CASES, GOALS, changed, let_off, searched

CHIPS, BATCH = (6, 8), (1, 2)

SETS = {case.limit: (case.sets, case.sense) for case in CASES}
"""The number that sets each limit, and −1 where a smaller one allows more."""


class Problem(NamedTuple):
    """A problem by what a user may let off: numbers of the technology, the promise, the range of
    memory, a budget."""

    technology: Technology
    promise: float = 1.2e-3
    memory: float = 0.0  # [B] of a chip, 0 for the whole range
    budget: float = 1e12  # [USD] of a machine
    chips: tuple[int, int] = CHIPS
    buildable: bool = False


def formulation(problem: Problem) -> Front:
    """Search it."""
    box = space(problem.chips, buildable=problem.buildable)
    box = with_memory(box, problem.memory) if problem.memory else box
    return searched(
        problem.technology,
        batch=BATCH,
        workload=work(promise=problem.promise),
        box=box,
        budget=problem.budget,
    )


def with_memory(box: Space, capacity: float) -> Space:
    """A space whose chips have so much memory, no more and no less."""
    k = CONTINUOUS.index("memory_capacity")
    low, high = (np.asarray(side, float).copy() for side in (box.low, box.high))
    low[k] = high[k] = capacity
    return dataclasses.replace(box, low=low, high=high)


def relaxed(problem: Problem, limit: str, factor: float) -> Problem:
    """A problem with one limit let off, as its user would."""
    if limit == "promise":
        return problem._replace(promise=problem.promise * factor)
    if limit == "capacity":
        return problem._replace(memory=problem.memory * factor)
    if limit == "capital_cost at most":
        return problem._replace(budget=problem.budget * factor)
    return problem._replace(technology=let_off(problem.technology, *SETS[limit], factor))


class Impossible(NamedTuple):
    """A limit and the numbers that nothing can meet."""

    limit: str
    setting: Mapping[str, float] = MappingProxyType({})
    others: Mapping[str, Any] = MappingProxyType({})


IMPOSSIBLE = (
    Impossible("promise", others={"promise": 1e-4}),
    Impossible("promise", others={"promise": 1.5e-4, "chips": (1, 8), "buildable": True}),
    Impossible("capacity", others={"memory": 2.5e9, "chips": (1, 2), "promise": 1.0}),
    Impossible("die_area", {"logic__reticle_area": 1.1e-4}),
    Impossible("shoreline", {"packaging__usable_edge": 0.02}),
    Impossible("stacks", {"memory__max_stacks": 0.1}),
    Impossible("layers_most", {"memory__max_layers": 0.05, "memory__min_layers": 0.01}),
    Impossible("power_density", {"cooling__power_density": 2e4}),
    Impossible("package_power", {"cooling__package_power": 20.0}),
    Impossible("temperature", {"cooling__logic_temperature": 314.0}),
    Impossible("memory_temperature", {"cooling__memory_temperature": 314.0}),
    Impossible("interposer", {"packaging__interposer_most": 1e-4}),
    Impossible("warpage", {"packaging__warpage_most": 1e-6}),
    Impossible("clock_fewest", {"logic__clock_fewest": 1.5}),
    Impossible("clock_most", {"logic__clock_most": 0.3}),
    Impossible("capital_cost at most", others={"budget": 50000.0}),
)


def refused(problem: Problem) -> tuple[Conflict, str]:
    """Why a problem has no design."""
    with pytest.raises(Infeasible) as caught:
        formulation(problem)
    assert caught.value.conflict is not None
    return caught.value.conflict, str(caught.value)


@pytest.mark.parametrize(
    "case",
    IMPOSSIBLE,
    ids=lambda case: case.limit + (" built" if case.others.get("buildable") else ""),
)
def test_the_impossible_limit_is_named_and_its_relaxation_admits_a_design(case, technology):
    problem = Problem(changed(technology, **case.setting), **case.others)
    found, message = refused(problem)
    assert found.proved
    assert case.limit in found.limits
    assert case.limit in found.relaxations, "the one limit at fault can be let off alone"
    assert limit_words(case.limit) in message and "\n" not in message and ". " not in message
    for limit, factor in found.relaxations.items():
        assert factor > 0.0
        assert len(formulation(relaxed(problem, limit, float(np.exp(factor))))) > 0, limit


def test_every_bound_that_nothing_meets_is_named_with_what_it_asks(technology):
    """Of two budgets out of reach the multipliers name one; the other would have been the next
    refusal."""
    bounds = [Bound("capital_cost", most=5.0), Bound("user_tokens_per_second", least=1e7)]
    problem = Problem(technology)
    box = space(problem.chips, buildable=False)
    with pytest.raises(Infeasible) as caught:
        optimize(
            box,
            service(work(promise=problem.promise), BATCH),
            [Choice("only", (plan(),), (Kind(technology),))],
            GOALS,
            bounds=bounds,
        )
    assert caught.value.conflict is not None and caught.value.conflict.proved
    assert {"capital_cost at most", "user_tokens_per_second at least"} <= set(
        caught.value.conflict.limits
    )
    assert "capital cost at most 5 USD" in str(
        caught.value
    ) and "user tokens per second at least 1e+07 token/s" in str(caught.value)


def test_a_bound_beyond_all_relaxations_is_told_so(technology):
    _, message = refused(Problem(technology, budget=1e-12))
    assert "inf" not in message and "there would be none with every limit relaxed by" in message
