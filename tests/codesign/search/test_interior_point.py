"""The linear algebra of a Newton step, and how a solve ends where there is no design."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from codesign.search.integers.formulation import Subproblem
from codesign.search.solver.interior_point import solve_positive_definite
from codesign.search.solver.lanes import double_precision
from tests.codesign.search.conftest import choices, posed, space, work


@pytest.mark.parametrize("size", [1, 13, 50])
def test_positive_definite_systems_are_solved(size):
    random = np.random.default_rng(size)
    root = random.normal(size=(5, size, size))
    matrices = root @ root.transpose(0, 2, 1) + 0.1 * np.eye(size)
    right = random.normal(size=(5, size))
    with double_precision():
        found = np.asarray(jax.jit(jax.vmap(solve_positive_definite))(matrices, right))
    wanted = np.linalg.solve(matrices, right[..., None])[..., 0]
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9 * np.abs(wanted).max())


def test_an_ill_conditioned_system_is_solved_as_well_as_by_cholesky():
    """As near the end of an interior point: diagonal of one, eigenvalues over eleven decades."""
    random = np.random.default_rng(0)
    turned, _ = np.linalg.qr(random.normal(size=(13, 13)))
    matrix = turned @ np.diag(np.logspace(0.0, -11.0, 13)) @ turned.T
    scale = 1.0 / np.sqrt(np.diag(matrix))
    matrix = matrix * scale[:, None] * scale
    right = matrix @ np.ones(13)
    with double_precision():
        ours = np.asarray(solve_positive_definite(jnp.asarray(matrix), jnp.asarray(right)))
    lapack = np.linalg.solve(matrix, right)
    assert (
        np.abs(matrix @ ours - right).max() <= 1e-14 + 10.0 * np.abs(matrix @ lapack - right).max()
    )


def test_what_has_no_design_is_shown_to_have_none(technology):
    """Integers at which the promise cannot be kept, by far and by a hair: the bound is above
    everything, not only the value."""
    fast = work(promise=1.2e-3)
    subproblem = Subproblem(0, 0, (8, 32, 0, 0))
    roomy = posed(space(), fast, choices(technology), weights=[[1e-4, 1e-4, 0.9998]])
    roomy.solve([subproblem])
    fastest = float(np.exp(roomy.pool.done[subproblem].point.y[roomy.structure.variable("pace")]))
    for promise, feasible in (
        (0.5 * fastest, False),
        (fastest * (1.0 - 1e-3), False),
        (fastest * (1.0 + 1e-3), True),
    ):
        problem = posed(
            space(), work(promise=promise), choices(technology), weights=[[1e-4, 1e-4, 0.9998]]
        )
        problem.solve([subproblem])
        value, bound, _ = problem.pool.done[subproblem]
        assert np.isfinite(value) == feasible
        assert (bound > 1e6) != feasible
