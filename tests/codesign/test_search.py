"""The front: feasible, integer, non-dominated, robust against perturbation, and mostly inside the box."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import codesign
import objectives
from codesign.evaluate import evaluate_table
from codesign.outcome import stack_limits
from codesign.performance.execution import Operatorwise
from codesign.search import CONTINUOUS, Choice, Front, Infeasible, Space, optimize
from codesign.search.front import non_dominated, weightings
from codesign.search.goals import log_goals

GOALS = [objectives.objective(name) for name in ("tokens/s/$", "tokens/s/W", "tokens/s/user")]


@pytest.fixture(scope="module")
def space(machine) -> Space:
    return Space(
        base=machine, low=[5e11, 8e9, 5e13, 0.505e-6, 2e10], high=[5e13, 2e12, 2e16, 2e-5, 4e12],
        chips=(1, 512), batch=(1, 4096),
    )  # fmt: skip


@pytest.fixture(scope="module")
def choices() -> list[Choice]:
    return [
        Choice(f"{name}, {dies} dies", codesign.Plan(all_reduce=codesign.ALGORITHMS[name][None]), dies)
        for name in ("one-shot", "two-shot")
        for dies in (1, 2)
    ]


@pytest.fixture(scope="module")
def workload(llama_405b) -> codesign.Workload:
    return codesign.Workload(llama_405b, codesign.Decode(batch=1, context=8192), promise=0.020)


@pytest.fixture(scope="module")
def front(space, choices, workload, technology) -> Front:
    return optimize(space, choices, workload, technology, GOALS, weights=24, seed=0)


@pytest.fixture(scope="module")
def exact(choices, workload, technology):
    """The exact model, compiled once: (design, batch, choice) → (log goals to minimise, limits)."""
    table = codesign.operator_table(workload.model, workload.precision)
    plans = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[choice.plan for choice in choices])

    @jax.jit
    @jax.vmap
    def run(design, batch, choice):
        work = eqx.tree_at(lambda w: w.phase.batch, workload, batch)
        plan = jax.tree.map(lambda leaf: leaf[choice], plans)
        outcome = evaluate_table(design, table, work, plan, technology, Operatorwise())
        return log_goals(GOALS, outcome), stack_limits(outcome.limits)

    return run


def test_every_point_is_feasible_and_integer(front, exact):
    logs, limits = exact(front.designs, jnp.asarray(front.batch, float), jnp.asarray(front.choice))
    assert np.asarray(limits).max() <= 0.0
    assert (front.designs.chips == np.round(front.designs.chips)).all()
    assert (front.batch == np.round(front.batch)).all() and front.batch.min() >= 1
    senses = np.array([goal.sense for goal in GOALS])
    np.testing.assert_allclose(np.exp(-np.asarray(logs) * senses), front.values, rtol=1e-12)


def test_points_are_not_dominated(front):
    logs = -np.log(front.values)
    assert len(non_dominated(logs)) == len(logs) >= 10


def test_every_design_is_certified(front):
    assert set(front.status) == {"GLOBAL"}
    assert np.abs(front.certified_gap).max() < 1e-6
    assert front.certified_gap.min() > -1e-10, "an exact value below its proved bound: bound or program is wrong"


def test_few_points_rest_on_the_box(front):
    assert (front.box != 0).any(axis=1).mean() <= 0.05


def dominating(logs, limits, reference):
    """Rows that are feasible, nowhere worse than the reference and somewhere better by more than 0.1 %."""
    feasible = (limits <= 0.0).all(axis=1)
    better = reference - logs
    return feasible & (better >= 0.0).all(axis=1) & (better > 1e-3).any(axis=1)


def test_no_perturbation_dominates(front, exact):
    random = np.random.default_rng(0)
    count = 10_000
    for k in range(len(front)):
        size = 10 ** random.uniform(-3, -1, (count, 1)) * random.choice([-1.0, 1.0], (count, 6))
        active = random.random((count, 6)) < random.uniform(0.2, 1.0, (count, 1))
        factors = 1.0 + size * active
        design = jax.tree.map(lambda leaf, k=k: jnp.full((count,), leaf[k]), front.designs)
        names = (*CONTINUOUS, "white_silicon")
        moved = {name: getattr(design, name) * factors[:, j] for j, name in enumerate(names)}
        batch = jnp.full((count,), float(front.batch[k]))
        logs, limits = exact(dataclasses.replace(design, **moved), batch, jnp.full((count,), front.choice[k]))
        assert not dominating(np.asarray(logs), np.asarray(limits), -np.log(front.values[k])).any(), k


def test_no_neighbouring_integers_dominate(front, exact):
    for k in range(len(front)):
        around = [
            (chips, batch)
            for chips in front.designs.chips[k] + np.array([-1, 0, 1])
            for batch in front.batch[k] + np.array([-1, 0, 1])
            if chips >= 1 and batch >= 1
        ]
        numbers = np.array(around, float)
        shape = (len(around),)
        design = jax.tree.map(lambda leaf, k=k, shape=shape: jnp.full(shape, leaf[k]), front.designs)
        design = dataclasses.replace(design, chips=jnp.asarray(numbers[:, 0]))
        logs, limits = exact(design, jnp.asarray(numbers[:, 1]), jnp.full((len(around),), front.choice[k]))
        assert not dominating(np.asarray(logs), np.asarray(limits), -np.log(front.values[k])).any(), k


def test_a_worse_design_would_be_caught(front, exact):
    """The perturbation test can fail: a front point made 1 % worse is dominated."""
    reference = -np.log(front.values[0]) + 0.01
    logs, limits = exact(front.designs, jnp.asarray(front.batch, float), jnp.asarray(front.choice))
    assert dominating(np.asarray(logs), np.asarray(limits), reference).any()


def test_same_seed_same_front(space, choices, workload, technology, front):
    again = optimize(space, choices, workload, technology, GOALS, weights=24, seed=0)
    np.testing.assert_array_equal(again.values, front.values)


def test_impossible_promise_is_infeasible_and_named(space, choices, workload, technology):
    impossible = dataclasses.replace(workload, promise=jnp.asarray(1e-5))
    with pytest.raises(Infeasible, match="promise"):
        optimize(space, choices, impossible, technology, GOALS, weights=24, seed=0)


@pytest.mark.parametrize(
    "plan",
    [
        codesign.Plan(tiers=codesign.TierShares()),
        codesign.Plan(all_reduce=np.stack([codesign.ALGORITHMS["one-shot"], codesign.ALGORITHMS["two-shot"]])),
    ],
)
def test_what_cannot_be_proved_is_refused(space, workload, technology, plan):
    with pytest.raises(ValueError, match="expected no tiers and one algorithm a choice"):
        optimize(space, [Choice("both", plan)], workload, technology, GOALS)


def test_prefill_for_cost_and_energy_is_certified_too(space, choices, workload, technology):
    """Running cost and energy are outcomes of their own; in prefill the tokens served are not the token yielded."""
    prefill = dataclasses.replace(workload, phase=codesign.Prefill(batch=1, prompt=2048), promise=jnp.asarray(1.0))
    wanted = [objectives.objective(name) for name in ("$/token", "J/token", "tokens/s/user")]
    front = optimize(space, choices[2:], prefill, technology, wanted, weights=4)
    assert set(front.status) == {"GLOBAL"}
    assert np.abs(front.certified_gap).max() < 1e-6


def test_weights_are_on_the_simplex():
    weights = weightings(48, 3, seed=0)
    assert weights.shape == (48, 3)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    assert weights.min() >= 1e-4 / 1.001


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"low": [5e13, 8e9, 5e13, 1e-6, 2e10]}, "memory_bandwidth is 5e"),
        ({"low": [-1.0, 8e9, 5e13, 1e-6, 2e10]}, "memory_bandwidth is -1"),
        ({"chips": (0, 8)}, "chips is 0 to 8"),
        ({"batch": (9, 8)}, "batch is 9 to 8"),
    ],
)
def test_bad_spaces_are_refused(space, change, message):
    fields = {name: getattr(space, name) for name in ("base", "low", "high", "chips", "batch")}
    if "low" in change and change["low"][0] > 1e13:
        fields["high"] = space.low
    with pytest.raises(ValueError, match=message):
        Space(**{**fields, **change})
