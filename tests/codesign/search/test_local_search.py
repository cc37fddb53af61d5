"""What no geometric program says is searched by gradients: LOCAL, with a residual, and as good as
what is proved where both can be had."""

import dataclasses

import numpy as np
import pytest

import codesign
import objectives
from codesign.limits import LimitRow
from codesign.search import GLOBAL, LOCAL, Bound
from codesign.search.statement.goals import check_objective
from experiments.examples.own_execution import PartlyOverlapped
from experiments.examples.small_space import search
from tests.examples import nightly

CHEAP = [objectives.objective("$/token")]


@dataclasses.dataclass(frozen=True)
class Own:
    """A function of an outcome, by name."""

    outcome: str
    name: str = "own"
    sense: int = -1

    def __call__(self, outcome: codesign.Outcome):
        return getattr(outcome, self.outcome)


@pytest.fixture(scope="module")
def proved() -> codesign.Front:
    return search(CHEAP)


def test_a_function_is_searched_to_what_is_proved(proved):
    found = search([Own("cost_per_token")])
    assert proved.status == (GLOBAL,) and found.status == (LOCAL,)
    assert np.isnan(found.front_gap).all() and np.isnan(found.certified_gap).all()
    assert 0.0 <= found.residual[0] < 1e-2
    short = np.log(found.values[0, 0] / proved.values[0, 0])
    assert -1e-3 <= short < 0.02
    assert (found.outcomes[0].limits.values["promise"] <= 1e-9).all()


def test_an_execution_of_ones_own_is_searched(proved):
    found = search(CHEAP, execution=PartlyOverlapped(overlap=1.0))
    assert found.status == (LOCAL,) and np.isfinite(found.residual).all()
    assert abs(np.log(found.values[0, 0] / proved.values[0, 0])) < 0.02  # all of it overlapped


def test_an_area_is_bounded_with_proof(proved):
    most = 0.8 * float(proved.outcomes[0].area.total[0])
    found = search(CHEAP, bounds=[Bound("area.total", most=most)])
    assert found.status == (GLOBAL,) and "area.total at most" in found.binding[0]
    assert float(found.outcomes[0].area.total[0]) == pytest.approx(most, rel=1e-6)


def test_a_cost_part_is_bounded_by_gradients(proved):
    most = 0.8 * float(proved.outcomes[0].cost.logic[0])
    found = search(CHEAP, bounds=[Bound("cost.logic", most=most)])
    assert found.status == (LOCAL,)
    assert float(found.outcomes[0].cost.logic[0]) <= most * (1.0 + 1e-9)
    assert found.values[0, 0] > proved.values[0, 0]


@nightly
def test_a_limit_that_is_no_sum_of_monomials_is_found_out():
    """Its row would say less than the limit does; the audit compares both, and proves nothing."""
    squared = LimitRow("squared", lambda sums, machine: (sums.peak / 1000.0) ** 2)
    found = search(CHEAP, limits=[squared])
    assert found.status == (LOCAL,)


def test_what_cannot_be_kept_is_named():
    with pytest.raises(codesign.Infeasible, match="searched by gradients, not proved"):
        search([Own("cost_per_token")], bounds=[Bound("cost.logic", most=1.0)])


@dataclasses.dataclass(frozen=True)
class Liar:
    """Exponents that say one thing and a function that says another."""

    name: str = "liar"
    sense: int = -1
    exponents: dict = dataclasses.field(default_factory=lambda: {"cost_per_token": 1.0}, hash=False)

    def __call__(self, outcome):
        return outcome.cost_per_token * outcome.time_per_token


def test_an_objective_of_its_own_function_is_not_ignored():
    with pytest.raises(TypeError, match="'liar' has exponents and a __call__ that says otherwise"):
        check_objective(Liar())
    for one in objectives.OBJECTIVES.values():
        check_objective(one)


@pytest.mark.wrongly_typed
@pytest.mark.parametrize(
    ("objective", "lacks"),
    [("tokens/s/$", "has no name"), (dataclasses.make_dataclass("Bare", [])(), "has no name")],
)
def test_what_is_no_objective_is_refused(objective, lacks):
    with pytest.raises(TypeError, match=lacks):
        search([objective])


def test_an_unknown_outcome_is_named():
    with pytest.raises(ValueError, match=r"no outcome 'cost\.logik': 'logik' is none of logic"):
        search([Own("cost_per_token")], bounds=[Bound("cost.logik", most=1.0)])
