"""Fit parameters to logarithms of measurements: robust nonlinear least squares with priors, and
Laplace covariance.

The posterior density of parameters θ is that of prior N(m, S) and of residuals with Student's t
density (four degrees of freedom, so that a row that is simply wrong pulls little). SciPy's trust
region (Conn, Gould and Toint 2000, §7.3) finds its mode with Gauss–Newton matrices; the covariance
is the inverse of the last one (Laplace's method: Tierney and Kadane, JASA 1986).

Since a row's prediction depends on θ only through its thirty-odd coefficients, and these are sums
of parameters, JAX differentiates each row by its own coefficients, and the Jacobian follows by
indexing.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import scipy.linalg
import scipy.optimize
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
        most: most iterations of the trust region.
        freedom: degrees of freedom of the residuals' t density; very many make it normal, for rows
            that are trusted.

    Returns:
        The posterior by Laplace's method.
    """
    covariance = np.diag(prior_covariance) if prior_covariance.ndim == 1 else prior_covariance
    precision = _inverse(covariance)
    seen: dict[bytes, tuple[float, np.ndarray, np.ndarray]] = {}

    def expand(theta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Minus the log posterior, its gradient, and its Gauss–Newton matrix."""
        key = theta.tobytes()
        if key not in seen:
            off = theta - prior_mean
            value, gradient, curvature = (
                0.5 * off @ precision @ off,
                precision @ off,
                precision.copy(),
            )
            for block in blocks:
                at, matrix = block.residuals(theta), block.jacobian(theta)
                weight = (freedom + 1.0) / (freedom + at**2)
                value += 0.5 * (freedom + 1.0) * np.log1p(at**2 / freedom).sum()
                gradient = gradient + matrix.T @ (weight * at)
                curvature += (matrix.T @ matrix.multiply(weight[:, None]).tocsr()).toarray()
            seen.clear()
            seen[key] = (float(value), gradient, curvature)
        return seen[key]

    scale = np.sqrt(np.diag(covariance))  # steps are measured in prior standard deviations

    def value_and_gradient(z: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient, _ = expand(prior_mean + scale * z)
        return value, gradient * scale

    def curvature(z: np.ndarray) -> np.ndarray:
        return expand(prior_mean + scale * z)[2] * np.outer(scale, scale)

    begin = np.zeros_like(prior_mean) if start is None else (start - prior_mean) / scale
    options = {"initial_trust_radius": 8.0, "max_trust_radius": 64.0, "gtol": 0.3, "maxiter": most}
    found = scipy.optimize.minimize(
        value_and_gradient, begin, jac=True, hess=curvature, method="trust-exact", options=options
    )
    theta = prior_mean + scale * found.x
    return Posterior(theta, _inverse(expand(theta)[2]), int(found.nit), bool(found.success))


def _inverse(matrix: np.ndarray) -> np.ndarray:
    """The inverse of a positive definite matrix, symmetric to the last bit."""
    factor = scipy.linalg.cho_factor(matrix)
    inverse = scipy.linalg.cho_solve(factor, np.eye(len(matrix)))
    return 0.5 * (inverse + inverse.T)
