"""Fit parameters to logarithms of measurements: robust nonlinear least squares with priors, and
Laplace covariance.

The posterior density of parameters θ is that of prior N(m, S) and of residuals with Student's t
density (four degrees of freedom, so that a row that is simply wrong pulls little). Steps of
Levenberg and Marquardt, damped in standard deviations of the prior, find its mode (Nocedal and
Wright 2006, §10.3); the covariance is the inverse of the last Gauss–Newton matrix (Laplace's
method: Tierney and Kadane, JASA 1986).

Since a row's prediction depends on θ only through its thirty-odd coefficients, and these are sums
of parameters, JAX differentiates each row by its own coefficients, and the Jacobian follows by
indexing.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import scipy.linalg
import scipy.sparse

FREEDOM = 4.0
"""Degrees of freedom of the residuals' t density; judged: a few per cent of the rows are off by
much."""

T4_MEDIAN = 0.7407
"""Median of the absolute value of Student's t with these degrees of freedom."""

NORMAL_90 = 1.6448536269514722
"""Half-width of the central 90 % of a normal distribution, in standard deviations."""

TRUSTED = 1e6
"""Degrees of freedom for rows that somebody measured himself: as good as normal."""


@dataclasses.dataclass(frozen=True)
class Block:
    """Rows that are predicted alike.

    Attributes:
        members: parameters that add up to each coefficient (configurations, coefficients, layers);
        ``len(θ)`` for none. values: logarithms of what was measured (rows,). spread: standard
        deviation of a row's residual (rows,) [natural log]. predict: logarithms of the coefficients
        (configurations, coefficients) → predictions (rows,). differentiate: the same → derivatives
        (rows, coefficients). configuration: the configuration of each row (rows,); without it, each
        row is one.
    """

    members: np.ndarray
    values: np.ndarray
    spread: np.ndarray
    predict: Callable[[np.ndarray], np.ndarray]
    differentiate: Callable[[np.ndarray], np.ndarray]
    configuration: np.ndarray | None = None

    def coefficients(self, theta: np.ndarray) -> np.ndarray:
        """Logarithms of the coefficients of each configuration (configurations, coefficients)."""
        return np.append(theta, 0.0)[self.members].sum(axis=2)

    def residuals(self, theta: np.ndarray) -> np.ndarray:
        """Prediction over measurement, in standard deviations (rows,)."""
        return (np.asarray(self.predict(self.coefficients(theta))) - self.values) / self.spread

    def jacobian(self, theta: np.ndarray) -> scipy.sparse.csr_matrix:
        """Derivatives of the residuals by the parameters (rows, parameters)."""
        slopes = np.asarray(self.differentiate(self.coefficients(theta))) / self.spread[:, None]
        members = self.members if self.configuration is None else self.members[self.configuration]
        return spread_slopes(slopes, members, len(theta))


def spread_slopes(slopes: np.ndarray, members: np.ndarray, count: int) -> scipy.sparse.csr_matrix:
    """Derivatives by parameters (rows, count) from derivatives by coefficients (rows,
    coefficients)."""
    used = (members < count) & (slopes != 0.0)[:, :, None]
    row, coefficient, _ = np.nonzero(used)
    return scipy.sparse.csr_matrix(
        (slopes[row, coefficient], (row, members[used])), shape=(len(slopes), count)
    )


@dataclasses.dataclass(frozen=True)
class Posterior:
    """Mode and covariance of the parameters, and how the search ended."""

    mean: np.ndarray
    covariance: np.ndarray
    iterations: int
    converged: bool


def fit(
    blocks: Sequence[Block],
    prior_mean: np.ndarray,
    prior_covariance: np.ndarray,
    start: np.ndarray | None = None,
    most: int = 25,
    freedom: float = FREEDOM,
) -> Posterior:
    """Find the mode of the posterior, and its curvature.

    Args:
        blocks: what was measured.
        prior_mean: prior means (parameters,).
        prior_covariance: prior covariance (parameters, parameters), or its diagonal.
        start: where to begin; default the prior mean.
        most: most steps.
        freedom: degrees of freedom of the residuals' t density; very many make it normal, for rows
            that are trusted.

    Returns:
        The posterior by Laplace's method.
    """
    precision = (
        np.diag(1.0 / prior_covariance)
        if prior_covariance.ndim == 1
        else _inverse_of_blocks(prior_covariance)
    )
    damped = np.diag(precision)

    def value_at(theta: np.ndarray) -> tuple[float, list[np.ndarray]]:
        """Minus the log posterior, and the residuals of each block."""
        off, at = theta - prior_mean, [block.residuals(theta) for block in blocks]
        losses = [0.5 * (freedom + 1.0) * np.log1p(r**2 / freedom).sum() for r in at]
        return float(0.5 * off @ precision @ off + sum(losses)), at

    def expand(theta: np.ndarray, at: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Gradient and Gauss–Newton matrix of minus the log posterior."""
        gradient, curvature = precision @ (theta - prior_mean), precision.copy()
        for block, residuals in zip(blocks, at, strict=True):
            matrix, weight = block.jacobian(theta), (freedom + 1.0) / (freedom + residuals**2)
            gradient = gradient + matrix.T @ (weight * residuals)
            curvature += (matrix.T @ matrix.multiply(weight[:, None]).tocsr()).toarray()
        return gradient, curvature

    theta = np.array(prior_mean if start is None else start, float)
    value, at = value_at(theta)
    gradient, curvature = expand(theta, at)
    damping, taken, converged = 0.0, 0, False
    while taken < most and damping < MOST_DAMPING and not converged:
        factor = scipy.linalg.cho_factor(curvature + damping * np.diag(damped))
        step = -scipy.linalg.cho_solve(factor, gradient)
        converged = damping == 0.0 and -gradient @ step < DECREMENT
        other, residuals = value_at(theta + step)
        if other < value:
            theta, value, at = theta + step, other, residuals
            gradient, curvature = expand(theta, at)
            damping, taken = (damping / 8.0 if damping > 0.1 else 0.0), taken + 1
        else:
            damping = max(16.0 * damping, 1.0)
    return Posterior(theta, _inverse(curvature), taken, bool(converged))


DECREMENT = 0.2
"""Newton decrement, squared, at which the mode is found: no parameter is then farther from it than
0.45 of its standard deviations, and a hundred of them together no more."""

MOST_DAMPING = 1e4
"""Damping beyond which no step makes the posterior larger."""


def _inverse_of_blocks(covariance: np.ndarray) -> np.ndarray:
    """The inverse of a matrix most of whose rows have nothing but their diagonal."""
    inverse = np.diag(1.0 / np.diag(covariance))
    joined = np.flatnonzero(np.count_nonzero(covariance, axis=1) > 1)
    if len(joined):
        inverse[np.ix_(joined, joined)] = _inverse(covariance[np.ix_(joined, joined)])
    return inverse


def _inverse(matrix: np.ndarray) -> np.ndarray:
    """The inverse of a positive definite matrix, symmetric to the last bit."""
    factor = scipy.linalg.cho_factor(matrix)
    inverse = scipy.linalg.cho_solve(factor, np.eye(len(matrix)))
    return 0.5 * (inverse + inverse.T)
