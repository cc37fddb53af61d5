"""Fit parameters to logarithms of measurements: robust nonlinear least squares with priors, and
Laplace covariance.

The posterior density of parameters θ is that of prior N(m, S) and of residuals with Student's t
density (four degrees of freedom, so that a row that is simply wrong pulls little). With S = L Lᵀ,
θ = m + L z and r the residual of a row, its mode is the least sum of squares of z and of

    sign(r) √((ν + 1) ln(1 + r²/ν)),

which SciPy's trust-region method finds (Branch, Coleman and Li, SIAM J. Sci. Comput. 1999, with
LSMR for the steps). The covariance is the inverse of the Gauss–Newton matrix there (Laplace's
method: Tierney and Kadane, JASA 1986).

Since a row's prediction depends on θ only through its thirty-odd coefficients, these are sums of
parameters, and rows of one device, engine, model and format share them all, neither the Jacobian
nor its square is ever multiplied out: JAX differentiates each row by its own coefficients.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import numpy as np
import scipy.linalg
import scipy.optimize
import scipy.sparse
from scipy.sparse.linalg import LinearOperator

FREEDOM = 4.0
"""Degrees of freedom of the residuals' t density; judged: a few per cent of the rows are off by
much."""

T4_MEDIAN = 0.7407
"""Median of the absolute value of Student's t with these degrees of freedom."""

NORMAL_90 = 1.6448536269514722
"""Half-width of the central 90 % of a normal distribution, in standard deviations."""

TRUSTED = 1e6
"""Degrees of freedom for rows that somebody measured himself: as good as normal."""

MOST = 100
"""Most evaluations of a fit; three thousand parameters from nothing but priors need about 40."""

GAIN = 1e-4
"""Share of the loss below which a step is the last one: of eight thousand rows, a change of the log
posterior by one."""

INNER = 100
"""Most products with the Jacobian for a step."""


@dataclasses.dataclass(frozen=True)
class Block:
    """Rows that are predicted alike.

    Attributes:
        members: parameters that add up to each coefficient (configurations, coefficients, layers);
        ``len(θ)`` for none. values: logarithms of what was measured (rows,). spread: standard
        deviation of a row's residual (rows,) [natural log]. predict: logarithms of the coefficients
        (configurations, coefficients) → predictions (rows,) and their derivatives (rows,
        coefficients). configuration: the configuration of each row (rows,); without it, each row is
        one.
    """

    members: np.ndarray
    values: np.ndarray
    spread: np.ndarray
    predict: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    configuration: np.ndarray | None = None

    @functools.cached_property
    def _alike(self) -> tuple[np.ndarray, np.ndarray]:
        """Distinct memberships (kinds, coefficients, layers), and that of each configuration."""
        shape = self.members.shape[1:]
        flat = self.members.reshape(len(self.members), shape[0] * shape[1])
        distinct, kind = np.unique(flat, axis=0, return_inverse=True)
        return distinct.reshape(-1, *shape), kind.ravel()

    def incidence(self, count: int) -> scipy.sparse.csr_array:
        """1 where a parameter adds to a coefficient of a membership (kinds × coefficients,
        count)."""
        distinct = self._alike[0]
        kind, coefficient, layer = np.nonzero(distinct < count)
        row = kind * distinct.shape[1] + coefficient
        return scipy.sparse.csr_array(
            (np.ones(len(row)), (row, distinct[kind, coefficient, layer])),
            shape=(distinct.shape[0] * distinct.shape[1], count),
        )

    def evaluate(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Predictions over measurements, in standard deviations (rows,), and their derivatives by
        the coefficients (rows, coefficients)."""
        distinct, kind = self._alike
        predicted, slopes = self.predict(np.append(theta, 0.0)[distinct].sum(axis=2)[kind])
        return (predicted - self.values) / self.spread, slopes / self.spread[:, None]

    def spread_slopes(self, slopes: np.ndarray) -> scipy.sparse.csr_array:
        """Derivatives by the coefficients of every membership (rows, kinds × coefficients) from
        those by a row's own (rows, coefficients)."""
        distinct, kind = self._alike
        kind = kind if self.configuration is None else kind[self.configuration]
        rows, width = slopes.shape
        columns = kind[:, None] * width + np.arange(width)
        return scipy.sparse.csr_array(
            (slopes.ravel(), columns.ravel(), np.arange(rows + 1) * width),
            shape=(rows, len(distinct) * width),
        )


@dataclasses.dataclass(frozen=True)
class Posterior:
    """Mode and covariance of the parameters, how the search ended, and the loss there: minus the
    log posterior but for a constant."""

    mean: np.ndarray
    covariance: np.ndarray
    iterations: int
    converged: bool
    loss: float


class _Stacked(LinearOperator):
    """The product of some matrices over the identity: rows, and the prior below them."""

    def __init__(
        self,
        forth: Sequence[scipy.sparse.csr_array],
        back: Sequence[scipy.sparse.csr_array],
        rows: int,
        size: int,
    ):
        super().__init__(np.dtype(float), (rows + size, size))
        self.forth, self.back, self.rows = forth, back, rows

    def _matvec(self, x: np.ndarray) -> np.ndarray:
        step = x.ravel()
        through = functools.reduce(lambda vector, matrix: matrix @ vector, self.forth, step)
        return np.concatenate([through, step])

    def _rmatvec(self, x: np.ndarray) -> np.ndarray:
        own, prior = np.split(x.ravel(), [self.rows])
        return functools.reduce(lambda vector, matrix: matrix @ vector, self.back, own) + prior


class _Problem:
    """Residuals and Jacobian as SciPy asks for them, in standard deviations of the prior."""

    def __init__(
        self, blocks: Sequence[Block], mean: np.ndarray, covariance: np.ndarray, freedom: float
    ):
        self.blocks, self.mean, self.freedom = blocks, mean, freedom
        self.root = _root(covariance)
        self.incidence = scipy.sparse.csr_array(
            scipy.sparse.vstack([block.incidence(len(mean)) for block in blocks])
        )
        self._last: tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]]] | None = None

    def theta(self, z: np.ndarray) -> np.ndarray:
        """Parameters."""
        return self.mean + self.root @ z

    def at(self, z: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Residuals and slopes of each block; SciPy asks for both at one point in turn."""
        if self._last is None or not np.array_equal(self._last[0], z):
            self._last = (z.copy(), [block.evaluate(self.theta(z)) for block in self.blocks])
        return self._last[1]

    def residuals(self, z: np.ndarray) -> np.ndarray:
        """Square roots of the losses of rows, and of the prior."""
        return np.concatenate([*(compressed(r, self.freedom)[0] for r, _ in self.at(z)), z])

    def jacobian(self, z: np.ndarray) -> LinearOperator:
        """Derivatives of ``residuals``."""
        parts = []
        for block, (residuals, slopes) in zip(self.blocks, self.at(z), strict=True):
            rate = compressed(residuals, self.freedom)[1]
            parts.append(block.spread_slopes(rate[:, None] * slopes))
        rows = scipy.sparse.csr_array(scipy.sparse.block_diag(parts))
        forth = (self.root, self.incidence, rows)
        back = [matrix.T.tocsr() for matrix in reversed(forth)]
        count = sum(len(block.values) for block in self.blocks)
        return _Stacked(forth, back, count, len(z))

    def covariance(self, z: np.ndarray) -> np.ndarray:
        """The inverse of the Gauss–Newton matrix, rows weighed by their density."""
        squared = []
        for block, (residuals, slopes) in zip(self.blocks, self.at(z), strict=True):
            weight = np.sqrt((self.freedom + 1.0) / (self.freedom + residuals**2))
            weighed = block.spread_slopes(weight[:, None] * slopes)
            squared.append(weighed.T @ weighed)
        middle = scipy.sparse.csr_array(scipy.sparse.block_diag(squared))
        joint = self.incidence @ self.root
        curvature = scipy.sparse.csr_array(joint.T @ (middle @ joint))
        seen = np.flatnonzero(curvature.diagonal() > 0.0)  # the rest stay as the prior has them
        inverse = np.eye(len(z))
        inverse[np.ix_(seen, seen)] = _inverse(
            curvature[seen][:, seen].toarray() + np.eye(len(seen))
        )
        return self.root @ (self.root @ inverse).T


def compressed(residual: np.ndarray, freedom: float) -> tuple[np.ndarray, np.ndarray]:
    """A number whose square is the loss of a residual, and its derivative.

    >>> value, slope = compressed(np.array([-2.0, 0.0, 1.0]), 1e9)
    >>> bool(np.allclose(value, [-2.0, 0.0, 1.0]) and np.allclose(slope, 1.0))
    True
    """
    value = np.sign(residual) * np.sqrt((freedom + 1.0) * np.log1p(residual**2 / freedom))
    near = np.abs(residual) < 1e-4
    slope = (freedom + 1.0) * residual / (freedom + residual**2) / np.where(near, 1.0, value)
    return value, np.where(near, np.sqrt((freedom + 1.0) / freedom), slope)


def fit(
    blocks: Sequence[Block],
    prior_mean: np.ndarray,
    prior_covariance: np.ndarray,
    start: np.ndarray | None = None,
    most: int = MOST,
    freedom: float = FREEDOM,
) -> Posterior:
    """Find the mode of the posterior, and its curvature.

    Args:
        blocks: what was measured.
        prior_mean: prior means (parameters,).
        prior_covariance: prior covariance (parameters, parameters), or its diagonal.
        start: where to begin; default the prior mean.
        most: most evaluations of all rows.
        freedom: degrees of freedom of the residuals' t density; very many make it normal, for rows
            that are trusted.

    Returns:
        The posterior by Laplace's method.
    """
    problem = _Problem(blocks, prior_mean, prior_covariance, freedom)
    begin = np.zeros(len(prior_mean))
    if start is not None:
        begin = scipy.sparse.linalg.spsolve_triangular(problem.root, start - prior_mean)
    found = scipy.optimize.least_squares(
        problem.residuals,
        begin,
        problem.jacobian,  # pyright: ignore[reportArgumentType]
        method="trf",
        tr_solver="lsmr",
        tr_options={"maxiter": INNER},
        ftol=GAIN,
        max_nfev=most,
    )
    return Posterior(
        problem.theta(found.x),
        problem.covariance(found.x),
        int(found.njev or 0),
        found.status > 0,
        float(found.cost),
    )


def carry(
    mean: np.ndarray, covariance: np.ndarray, touched: np.ndarray, found: Posterior
) -> tuple[np.ndarray, np.ndarray]:
    """Posterior mean and covariance of all parameters, where rows touch some of them: the rest
    follow by their prior covariance with these.

    Args:
        mean, covariance: of the prior (parameters,), (parameters, parameters).
        touched: positions of the parameters that were fitted.
        found: their posterior.
    """
    prior = covariance[np.ix_(touched, touched)]
    gain = scipy.linalg.solve(prior, covariance[touched], assume_a="pos").T
    return (
        mean + gain @ (found.mean - mean[touched]),
        covariance - gain @ (prior - found.covariance) @ gain.T,
    )


def _inverse(matrix: np.ndarray) -> np.ndarray:
    """The inverse of a positive definite matrix, symmetric to the last bit."""
    factor = scipy.linalg.cholesky(matrix, lower=True)
    invert = scipy.linalg.get_lapack_funcs("potri", [factor])
    lower = np.tril(invert(factor, lower=1)[0])  # pyright: ignore[reportCallIssue]
    return lower + np.tril(lower, -1).T


def _root(covariance: np.ndarray) -> scipy.sparse.csr_array:
    """The Cholesky factor of a covariance most of whose rows have nothing but their diagonal; or of
    its diagonal."""
    if covariance.ndim == 1:
        return scipy.sparse.csr_array(scipy.sparse.diags_array(np.sqrt(covariance)))
    joined = np.flatnonzero(np.count_nonzero(covariance, axis=1) > 1)
    alone = np.sqrt(np.diag(covariance))
    alone[joined] = 0.0
    factor = scipy.linalg.cholesky(covariance[np.ix_(joined, joined)], lower=True)
    row, column = np.nonzero(factor)
    block = scipy.sparse.csr_array(
        (factor[row, column], (joined[row], joined[column])), shape=covariance.shape
    )
    return scipy.sparse.csr_array(scipy.sparse.diags_array(alone) + block)
