"""Fit parameters to logarithms of measurements: robust nonlinear least squares with priors, and Laplace covariance.

The posterior density of parameters θ is that of prior N(m, S) and of residuals with Student's t density (four degrees of
freedom, so that a row that is simply wrong pulls little). SciPy's trust region finds its mode; the covariance is the inverse
of the Gauss–Newton matrix there (Laplace's method: Tierney and Kadane, JASA 1986).

Since a row's prediction depends on θ only through its thirty-odd coefficients, and these are sums of parameters, JAX
differentiates each row by its own coefficients, and the Jacobian follows by indexing.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import scipy.optimize
import scipy.sparse

FREEDOM = 4.0
"""Degrees of freedom of the residuals' t density; judged: a few per cent of the rows are off by much."""


@dataclasses.dataclass(frozen=True)
class Block:
    """Rows that are predicted alike.

    Attributes:
        members: parameters that add up to each coefficient (rows, coefficients, layers); ``len(θ)`` where there is none.
        values: logarithms of what was measured (rows,).
        spread: standard deviation of a row's residual (rows,) [natural log].
        predict: logarithms of the coefficients (rows, coefficients) → predictions (rows,).
        differentiate: the same → derivatives (rows, coefficients).
    """

    members: np.ndarray
    values: np.ndarray
    spread: np.ndarray
    predict: Callable[[np.ndarray], np.ndarray]
    differentiate: Callable[[np.ndarray], np.ndarray]

    def coefficients(self, theta: np.ndarray) -> np.ndarray:
        """Logarithms of the coefficients of each row (rows, coefficients)."""
        return np.append(theta, 0.0)[self.members].sum(axis=2)

    def residuals(self, theta: np.ndarray) -> np.ndarray:
        """Prediction over measurement, in standard deviations (rows,)."""
        return (np.asarray(self.predict(self.coefficients(theta))) - self.values) / self.spread

    def jacobian(self, theta: np.ndarray) -> scipy.sparse.csr_matrix:
        """Derivatives of the residuals by the parameters (rows, parameters)."""
        slopes = np.asarray(self.differentiate(self.coefficients(theta))) / self.spread[:, None]
        return spread_slopes(slopes, self.members, len(theta))


def spread_slopes(slopes: np.ndarray, members: np.ndarray, count: int) -> scipy.sparse.csr_matrix:
    """Derivatives by parameters (rows, count) from derivatives by coefficients (rows, coefficients)."""
    used = (members < count) & (slopes != 0.0)[:, :, None]
    row, coefficient, _ = np.nonzero(used)
    return scipy.sparse.csr_matrix((slopes[row, coefficient], (row, members[used])), shape=(len(slopes), count))


@dataclasses.dataclass(frozen=True)
class Posterior:
    """Mode and covariance of the parameters, and how the search ended."""

    mean: np.ndarray
    covariance: np.ndarray
    iterations: int
    converged: bool


def fit(
    blocks: Sequence[Block], prior_mean: np.ndarray, prior_root: np.ndarray, start: np.ndarray | None = None, most: int = 25, tolerance: float = 1e-4
) -> Posterior:
    """Find the mode of the posterior, and its curvature.

    Args:
        blocks: what was measured.
        prior_mean: prior means (parameters,).
        prior_root: a matrix R with R'R the prior's precision (parameters, parameters), or the vector of its diagonal.
        start: where to begin; default the prior mean.
        most: most evaluations of the trust region.
        tolerance: relative change of the objective at which it stops.

    Returns:
        The posterior by Laplace's method.
    """
    root = np.diag(prior_root) if prior_root.ndim == 1 else prior_root
    rows = sum(len(block.values) for block in blocks)

    def residuals(theta: np.ndarray) -> np.ndarray:
        return np.concatenate([*(block.residuals(theta) for block in blocks), root @ (theta - prior_mean)])

    def jacobian(theta: np.ndarray) -> np.ndarray:
        return np.concatenate([*(block.jacobian(theta).toarray() for block in blocks), root])

    def loss(squares: np.ndarray) -> np.ndarray:
        """Student's t for the rows, squares for the prior: value, first and second derivative by the square."""
        scaled = 1.0 + squares / FREEDOM
        rho = np.stack([(FREEDOM + 1.0) * np.log(scaled), (FREEDOM + 1.0) / FREEDOM / scaled, -(FREEDOM + 1.0) / FREEDOM**2 / scaled**2])
        rho[:, rows:] = np.stack([squares[rows:], np.ones_like(squares[rows:]), np.zeros_like(squares[rows:])])
        return rho

    begin = prior_mean if start is None else start
    found = scipy.optimize.least_squares(
        residuals, begin, jacobian, method="trf", loss=loss, ftol=tolerance, xtol=1e-6, gtol=1e-8, max_nfev=most
    )
    theta = found.x
    matrix, at = jacobian(theta), residuals(theta)
    weights = np.sqrt(loss(at**2)[1])
    curvature = (matrix * weights[:, None]).T @ (matrix * weights[:, None])
    covariance = np.linalg.inv(curvature + 1e-12 * np.eye(len(theta)))
    return Posterior(theta, 0.5 * (covariance + covariance.T), int(found.nfev), found.status > 0)
