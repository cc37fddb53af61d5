"""Motion of the optimum against problems solved anew under a moved technology, and flips just
before and after they are said to happen."""

import dataclasses

import jax
import numpy as np
import pytest

from codesign.search.statement.space import CONTINUOUS
from codesign.sensitivity.flips import flips
from codesign.sensitivity.motion import motion, value_slopes
from codesign.sensitivity.worlds import solve_worlds, worlds_of
from experiments.scenarios.problem import problem
from experiments.sensitivity.priors import priors_of
from tests.codesign.sensitivity.optima import SCENARIOS, optimum, stated
from tests.examples import thorough

NAMES = ("tight", *SCENARIOS) if thorough() else ()  # a minute of a processor each
STEP = 1e-4


def resolved(found, steps: np.ndarray):
    """The optimum's integers solved with every number of the technologies times e^steps (worlds,
    numbers)."""
    own = tuple(kind.technology for kind in found.choice.kinds)
    leaves, shape = jax.tree.flatten(own)
    moved = [float(leaf) * np.exp(steps[:, k]) for k, leaf in enumerate(leaves)]
    return solve_worlds(worlds_of(found, jax.tree.unflatten(shape, moved)), found.subproblem)


@pytest.mark.parametrize("name", NAMES)
def test_value_and_design_move_as_re_solved(name):
    found = optimum(name)
    moved, structure = motion(found), found.pool.formulation.structure
    count = len(moved.names)
    sides = [resolved(found, sign * STEP * np.eye(count)) for sign in (-1.0, 1.0)]
    # a least number of layers that a stack has already is an end: no design beyond
    solvable = np.isfinite(sides[0].value) & np.isfinite(sides[1].value)
    assert solvable.sum() >= count - 4
    slopes = (sides[1].value[solvable] - sides[0].value[solvable]) / (2 * STEP)
    np.testing.assert_allclose(moved.value[solvable], slopes, rtol=0.01, atol=1e-5)
    for p in range(structure.kinds):
        first = structure.variable(CONTINUOUS[0], p)
        y = [side.point.y[:, first : first + len(CONTINUOUS)] for side in sides]
        walked = ((y[1] - y[0]) / (2 * STEP))[solvable].T
        np.testing.assert_allclose(
            moved.designs[p][:, solvable], walked, rtol=0.01, atol=2e-3 if thorough() else 1e-4
        )
    np.testing.assert_allclose(value_slopes(found, found.subproblem), moved.value, atol=1e-12)
    assert np.abs(moved.value).max() > 0.1 and np.abs(moved.designs).max() > 0.1


@pytest.mark.parametrize("name", ("small", *(SCENARIOS[:2] if thorough() else ())))
def test_a_flip_happens_where_it_is_said_to(name):
    found, chosen = optimum(name), stated(name)
    priors = priors_of(chosen, problem(chosen))
    told = flips(found, priors.technologies, priors.names)
    assert told
    beaten = [flip for flip in told if not flip.lost]
    check_flips(found, priors.technologies, priors.names, [*told[:6], *beaten[:4]])


def test_a_runner_up_wins_where_it_is_said_to():
    """Prices of memory and of the facility move widely: another batch is best."""
    found = optimum("tight")
    own = found.choice.kinds[0].technology

    def path(z, choice):
        technology = jax.tree.map(lambda leaf: np.full(len(z), float(leaf)), own)
        memory, economics = technology.memory, technology.economics
        price, power = np.exp(2.0 * z[:, 0]), np.exp(1.5 * z[:, 1])
        memory = dataclasses.replace(
            memory,
            layer_price=np.asarray(memory.layer_price) * price,
            stack_price=np.asarray(memory.stack_price) * price,
        )
        economics = dataclasses.replace(
            economics, facility_price=np.asarray(economics.facility_price) * power
        )
        moved = dataclasses.replace(technology, memory=memory, economics=economics)
        return (jax.tree.map(np.asarray, moved),)

    told = flips(found, path, ("price", "power"))
    beaten = [flip for flip in told if not flip.lost]
    assert beaten
    # slopes alone say it to within a part of the way
    assert np.median([abs(flip.predicted / flip.z - 1.0) for flip in beaten]) < 0.5
    assert max(flip.error for flip in beaten) < 0.05
    check_flips(found, path, ("price", "power"), told)


def check_flips(found, path, names, told):
    """Just before a flip the optimum's integers are better, just beyond the others are."""
    for flip in told:
        k = names.index(flip.prior)
        margin = max(2.0 * flip.error, 0.02 * abs(flip.z))
        z = np.zeros((2, len(names)))
        z[:, k] = np.sign(flip.z) * np.array([max(abs(flip.z) - margin, 0.0), abs(flip.z) + margin])
        values = []
        for subproblem in (found.subproblem, flip.to):
            if subproblem is None:
                values.append(np.full(2, np.inf))
                continue
            technologies = path(z, subproblem.choice)
            worlds = worlds_of(found, technologies, subproblem.choice)
            values.append(solve_worlds(worlds, subproblem).value)
        own, other = values
        assert np.isfinite(own[0]) and own[0] <= other[0] + 1e-9, flip
        assert (not np.isfinite(own[1])) if flip.lost else own[1] >= other[1] - 1e-9, flip


def test_priors_at_zero_are_the_scenario_itself():
    chosen = stated("small")
    posed = problem(chosen)
    priors = priors_of(chosen, posed)
    zero = np.zeros((1, len(priors.names)))
    for made, own in zip(
        jax.tree.leaves(priors.technologies(zero, 0)),
        jax.tree.leaves(tuple(kind.technology for kind in posed.choices[0].kinds)),
        strict=True,
    ):
        assert float(made[0]) == float(own)
    # a triangular fact keeps its ends on both sides of its mode
    share = np.linspace(-6.0, 6.0, 5)[:, None] * np.ones(len(priors.names))
    for leaf in ("memory", "compute"):
        values = np.asarray(getattr(priors.technologies(share, 0)[0].attainable, leaf))
        assert (np.diff(values) > 0).all()
