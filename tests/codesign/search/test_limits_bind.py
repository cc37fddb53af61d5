"""Each limit in turn is the one that binds: the search lands on it, says so, and its multiplier
foretells what 1 % more gains.

One decode step of an 8B model at fixed chips and batch, so that all cases are numbers of one
compiled program.
"""

from typing import Any, NamedTuple

import equinox as eqx
import numpy as np
import pytest

import codesign
from codesign.hardware.technology import Technology
from codesign.limits import FIRST_TOKEN, LIMIT_NAMES
from codesign.performance.execution import Execution
from codesign.search import Bound, Choice, Front, Kind, Service, Space, optimize, service
from codesign.search.assembly import LAST_DIGITS
from codesign.search.integers.formulation import Subproblem
from codesign.search.integers.solution_pool import SolutionPool
from codesign.search.optimize import _in_double, pose
from codesign.search.solver.lanes import double_precision
from codesign.search.statement.problem import assemble
from codesign.search.verification.exact_check import verify
from codesign.search.verification.optimality import BINDING
from codesign.workload.catalogue import model
from codesign.workload.phases import Serving
from codesign.workload.workload import Workload
from tests.codesign.search.conftest import GOALS, plan, space, work

CHIPS, BATCH = 8, 32

ACTIVE = 1e-4
"""[1] A multiplier above this is a limit's that binds: the interior point leaves about 1e-9 on
slack ones."""

EASED = 0.005
"""Relative change of a limit, both ways: over 1 % in all, its multiplier must foretell the gain."""

FORETOLD = 0.1
"""Relative error of that: third order, and where a neighbouring limit comes or goes within that 1
%."""


def changed(technology: Technology, **numbers: float) -> Technology:
    """A technology with other numbers, named ``part__field``; its structure stays, so nothing is
    compiled again."""
    for name, number in numbers.items():
        part, field = name.split("__")
        technology = eqx.tree_at(
            lambda t, part=part, field=field: getattr(getattr(t, part), field),
            technology,
            np.asarray(number, float),
        )
    return technology


def number(technology: Technology, name: str) -> float:
    """A number named ``part__field`` [SI]."""
    part, field = name.split("__")
    return float(getattr(getattr(technology, part), field))


def searched(
    technology: Technology,
    *,
    chips: tuple[int, int] = (CHIPS, CHIPS),
    batch: tuple[int, int] = (BATCH, BATCH),
    workload: Workload | None = None,
    sram_capacity: float = 60e6,
    budget: float = 1e12,
    box: Space | None = None,
    execution: Execution | None = None,
) -> Front:
    """The best design by tokens/s/$ with one way to build it, whose machines cost at most
    ``budget`` [USD].

    All tests bound the capital, mostly to no effect: they then share compiled programs with those
    that need it.
    """
    choice = Choice("only", (plan(),), (Kind(technology, 1.0, sram_capacity, 72.0),))
    asked = service(work() if workload is None else workload, batch)
    return optimize(
        space(chips) if box is None else box,
        asked,
        [choice],
        GOALS,
        weights=1,
        bounds=(Bound("capital_cost", most=budget),),
        execution=execution,
    )


def loss(front: Front) -> float:
    """What the search minimises: the weighted sum of log objectives of its first design [1]."""
    senses = np.array([goal.sense for goal in front.objectives])
    return float(-(front.weights[0] * senses * np.log(front.values[0])).sum())


class Case(NamedTuple):
    """Numbers under which a limit binds, and the number that sets it: ``sense`` −1 where a smaller
    one allows more."""

    limit: str
    setting: dict[str, float]
    sets: str
    sense: float = 1.0
    batch: int = BATCH
    context: float = 8192.0
    promise: float = 1.2e-3


LONG = {"batch": 256, "context": 65536.0, "promise": 1.0}
"""A workload of many long sequences: caches fill the memory."""

CASES = (
    Case("die_area", {}, "logic__reticle_area"),
    Case("shoreline", {}, "packaging__usable_edge"),
    Case("stacks", {"memory__max_stacks": 3.0}, "memory__max_stacks"),
    Case("layers_most", {"memory__max_layers": 8.0}, "memory__max_layers", **LONG),
    Case("layers_fewest", {}, "memory__min_layers", -1.0),
    Case("power_density", {"cooling__power_density": 2.5e5}, "cooling__power_density"),
    Case("package_power", {"cooling__package_power": 220.0}, "cooling__package_power"),
    Case("temperature", {"cooling__logic_temperature": 326.0}, "cooling__logic_temperature"),
    Case(
        "memory_temperature", {"cooling__memory_temperature": 323.0}, "cooling__memory_temperature"
    ),
    Case("interposer", {"packaging__interposer_most": 1.2e-3}, "packaging__interposer_most"),
    Case("warpage", {"packaging__warpage_most": 2e-5}, "packaging__warpage_most"),
    Case("clock_fewest", {"logic__clock_fewest": 0.9}, "logic__clock_fewest", -1.0),
    Case(
        "clock_most", {"logic__matrix_density": 2.6e17}, "logic__clock_most", 1.0, 256, 8192.0, 1.0
    ),
    Case("promise", {"logic__wafer_price": 1e6}, "promise", promise=6e-4),
    Case("capacity", {}, "", **LONG),
)


def let_off(technology: Technology, sets: str, sense: float, factor: float) -> Technology:
    """A technology whose limit allows ``factor`` times as much; of a temperature that is the rise
    above the coolant."""
    base = (
        number(technology, "cooling__coolant_temperature") if sets.endswith("_temperature") else 0.0
    )
    return changed(technology, **{sets: base + (number(technology, sets) - base) * factor**sense})


def solved(case: Case, technology: Technology, eased: float = 0.0) -> Front:
    """A case, its limit let off by a relative amount."""
    own, promise = changed(technology, **case.setting), case.promise
    if case.sets == "promise":
        promise *= 1.0 + eased
    elif case.sets:
        own = let_off(own, case.sets, case.sense, 1.0 + eased)
    return searched(own, batch=(case.batch, case.batch), workload=work(case.context, promise))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.limit)
def test_the_limit_binds_and_its_multiplier_foretells_the_gain(case, technology):
    front = solved(case, technology)
    assert front.status == ("GLOBAL",)
    assert case.limit in front.binding[0]
    multipliers = {name: float(values[0]) for name, values in front.multipliers.items()}
    assert multipliers[case.limit] > 5e-3
    assert {name for name, value in multipliers.items() if value > ACTIVE} == set(
        front.binding[0]
    ), "what binds has a price, and only that"
    if case.sets:
        gain = loss(solved(case, technology, -EASED)) - loss(solved(case, technology, EASED))
        assert gain == pytest.approx(multipliers[case.limit] * 2.0 * EASED, rel=FORETOLD)


def test_every_limit_has_its_case():
    """Dies are checked before the search and the floor of latency is never reached: both below; a
    search chooses the power cap."""
    assert {case.limit for case in CASES} | {
        "dies",
        "sync_floor",
        "first_token",
        "power_cap",
    } == set((*LIMIT_NAMES, FIRST_TOKEN.name))


def test_without_its_cause_the_limit_does_not_bind(technology):
    """Of all limits whose case changes a number, none but the slowest clock binds without it."""
    named = set(searched(technology).binding[0])
    assert named == {"die_area", "shoreline", "layers_fewest", "clock_fewest"}


def test_latency_never_reaches_its_floor(technology):
    """Its price rises as 1/(latency − floor): a hundredth of the price leaves about a tenth of the
    slack; only free it reaches it."""
    floor = 2e-7 + 2.5e-7 + 2e-8  # [s] endpoints, switch and wire of NVLink6, one tier
    price = number(technology, "links__sync_price")
    slack = []
    for share in (1.0, 1e-2):
        front = searched(changed(technology, links__sync_price=price * share))
        assert "sync_floor" not in front.binding[0]
        slack.append(float(front.design.sync_latency[0]) - floor)
    assert slack[0] > 0.1 * floor
    assert slack[1] / slack[0] == pytest.approx(0.1, rel=0.3)
    free = searched(changed(technology, links__sync_price=price * 1e-10))
    assert "sync_floor" in free.binding[0]
    assert float(free.design.sync_latency[0]) == pytest.approx(1.001 * floor, rel=1e-4)


def test_too_many_dies_are_refused_before_the_search(technology):
    choice = Choice(
        "two", (plan(),), (Kind(changed(technology, packaging__max_dies=1.0), 2.0, 60e6, 72.0),)
    )
    with pytest.raises(ValueError, match="has 2 dies; expected at most 1"):
        optimize(space((CHIPS, CHIPS)), service(work(), (BATCH, BATCH)), [choice], GOALS, weights=1)


def test_the_time_to_the_first_token_binds(technology):
    """Chat on one kind of machine, prefill between decode steps: nine tenths of the time that the
    first token takes unasked."""
    serving = Serving(prompt=2048.0, output=256.0, batch=1.0, chunk=2048.0, load=0.5)
    choice = Choice("only", (plan(), plan()), (Kind(technology, 1.0, 60e6, 72.0),))
    subproblem = Subproblem(0, 0, (CHIPS, BATCH, 0, 0))

    def first_token(promise: float) -> tuple[float, Any, dict[str, float]]:
        one = Service(
            model("llama-3.1-8b"), serving, codesign.Precision(), 1.0, promise, batch=(BATCH, BATCH)
        )
        with double_precision():
            parts = _in_double(
                ((space((CHIPS, CHIPS)),), (one,), (choice,), codesign.Operatorwise())
            )
            goals = (GOALS[0],)
            formulation, _ = pose(assemble(*parts), goals, ())
            pool = SolutionPool(formulation, np.ones((1, 1)))
            pool.learn([subproblem])
            seen = verify(pool, goals, (), [subproblem])
        prices = pool.done[subproblem].point.multipliers
        named = {
            key.name: float(prices[rows].sum())
            for key, rows in formulation.structure.limits.items()
        }
        return pool.value(subproblem), seen.limits[0], named

    _, limits, prices = first_token(1.0)
    free = float(
        np.exp(limits[(*LIMIT_NAMES, FIRST_TOKEN.name).index("first_token")])
    )  # [s] of one second
    assert prices["first_token"] < ACTIVE
    _, limits, prices = first_token(0.9 * free)
    assert limits.max() <= LAST_DIGITS
    assert limits[(*LIMIT_NAMES, FIRST_TOKEN.name).index("first_token")] > -BINDING
    assert prices["first_token"] > 5e-3
    tight, loose = (first_token(0.9 * free * (1.0 + sign * EASED))[0] for sign in (-1.0, 1.0))
    assert tight - loose == pytest.approx(prices["first_token"] * 2.0 * EASED, rel=FORETOLD)
