"""Optima in sampled worlds: certified, the nominal one at zero, the best batch of the ladder by
enumeration, slopes against differences."""

import numpy as np

from codesign.search.solver.lanes import double_precision
from codesign.sensitivity.global_indices import quasi_normal
from codesign.sensitivity.uncertainty import (
    LADDER,
    at_batch,
    candidates,
    fixed_integers,
    hardware_of,
    hardware_values,
    slopes_in_worlds,
)
from codesign.sensitivity.worlds import solve_worlds, worlds_of
from experiments.scenarios.problem import problem
from experiments.sensitivity.priors import priors_of
from tests.codesign.sensitivity.optima import optimum, stated


def small():
    chosen = stated("small")
    return optimum("small"), priors_of(chosen, problem(chosen))


def test_the_nominal_world_has_the_nominal_optimum_and_all_are_certified():
    found, priors = small()
    z = np.concatenate([np.zeros((1, len(priors.names))), quasi_normal(20, len(priors.names), 0)])
    there = fixed_integers(found, priors.technologies, z)
    assert abs(there.value[0] - found.value) < 1e-9
    feasible = np.isfinite(there.value)
    assert feasible.sum() >= 5 and (there.gap[feasible] < 1e-6).all()
    again = fixed_integers(found, priors.technologies, z)
    np.testing.assert_array_equal(there.value, again.value)


def test_the_batch_is_the_best_of_the_ladder():
    found, priors = small()
    z = quasi_normal(12, len(priors.names), 1)
    start = at_batch(found, found.subproblem, 0.7)  # so that worlds have room above and below
    row = hardware_values(found, start, priors.drawn, z)
    worlds = worlds_of(found, priors.drawn(z, 0))
    with double_precision():
        every = np.stack([solve_worlds(worlds, at_batch(found, start, f)).value for f in LADDER])
    best = every.min(axis=0)
    np.testing.assert_array_equal(np.isfinite(row.value), np.isfinite(best))
    kept = np.isfinite(best)
    assert kept.any() and len(set(row.factor[kept])) > 1
    assert (row.value[kept] <= best[kept] + 0.01).all()
    assert (row.value[kept] >= best[kept] - 1e-12).all()


def test_candidates_are_of_different_hardware():
    found, _ = small()
    chosen = candidates(found)
    assert chosen[0] == found.subproblem
    assert len({hardware_of(found, one) for one in chosen}) == len(chosen) > 2
    assert max(one.integers[0] for one in chosen) >= 4 * found.subproblem.integers[0]


def test_slopes_in_worlds_are_those_of_differences():
    found, priors = small()
    count = len(priors.names)
    z = 0.3 * quasi_normal(3, count, 2)
    smaller = at_batch(found, found.subproblem, 0.5)
    slopes = slopes_in_worlds(found, smaller, priors.technologies, z)
    worlds = [worlds_of(found, priors.technologies(z + s * 1e-4 * one, 0))
              for one in np.eye(count)[[priors.names.index("memory price"),
                                        priors.names.index("economics.facility_price")]]
              for s in (-1.0, 1.0)]  # fmt: skip
    with double_precision():
        values = [solve_worlds(own, smaller).value for own in worlds]
    kept = np.isfinite(values[0])
    assert len(slopes) == kept.sum() > 0
    for j, name in enumerate(("memory price", "economics.facility_price")):
        differences = (values[2 * j + 1] - values[2 * j])[kept] / 2e-4
        np.testing.assert_allclose(slopes[:, priors.names.index(name)], differences, rtol=0.01)
