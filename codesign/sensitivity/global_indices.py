"""Global sensitivity on quasi-random points: Sobol indices, and bounds on them from derivatives.

For f of independent inputs, the first-order index of input i is Var(E[f | x_i]) / Var f, the total
one E[Var(f | all but x_i)] / Var f (Sobol, Math. Comput. Simul. 55, 2001). With A and B two
independent sets of points and A_B^i the first with column i of the second, they are estimated by

    S_i = mean(f(B) (f(A_B^i) − f(A))) / Var f,    T_i = mean((f(A) − f(A_B^i))²) / (2 Var f)

(Saltelli et al., Comput. Phys. Commun. 181, 2010; Jansen, ibid. 117, 1999). For standard normal
inputs the Poincaré inequality bounds T_i ≤ E[(∂f/∂x_i)²] / Var f (Sobol, Kucherenko, Math. Comput.
Simul. 79, 2009).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


def quasi_uniform(count: int, inputs: int, seed: int) -> np.ndarray:
    """Scrambled Sobol points of the unit cube, (count, inputs); the same for the same seed.

    >>> quasi_uniform(6, 2, seed=0).shape
    (6, 2)
    """
    from scipy.stats import qmc

    power = max(count - 1, 0).bit_length()  # the sequence is balanced at powers of two
    points = qmc.Sobol(inputs, scramble=True, rng=np.random.default_rng(seed)).random_base2(power)
    return points[:count]


def quasi_normal(count: int, inputs: int, seed: int) -> np.ndarray:
    """Scrambled Sobol points as independent standard normal deviates, (count, inputs)."""
    from scipy.special import ndtri

    return ndtri(np.clip(quasi_uniform(count, inputs, seed), 1e-12, 1.0 - 1e-12))


class Indices(NamedTuple):
    """First-order and total Sobol indices (inputs,) [1], with standard errors of the estimates from
    a bootstrap over points."""

    first: np.ndarray
    total: np.ndarray
    first_error: np.ndarray
    total_error: np.ndarray
    variance: float


class Design(NamedTuple):
    """Points of an estimate: A, B (points, inputs) and A_B^i (inputs, points, inputs)."""

    a: np.ndarray
    b: np.ndarray
    mixed: np.ndarray

    @property
    def stacked(self) -> np.ndarray:
        """All of them, one under the other: ((inputs + 2) · points, inputs)."""
        return np.concatenate([self.a, self.b, self.mixed.reshape(-1, self.a.shape[1])])


def design(count: int, inputs: int, seed: int, *, normal: bool = False) -> Design:
    """Points at which a function must be known for its Sobol indices.

    Args:
        count: points of A and of B; a power of two is balanced.
        inputs: of the function.
        seed: of the scrambling.
        normal: standard normal deviates instead of uniform ones on [0, 1].
    """
    both = (quasi_normal if normal else quasi_uniform)(count, 2 * inputs, seed)
    a, b = both[:, :inputs], both[:, inputs:]
    mixed = np.tile(a, (inputs, 1, 1))
    for i in range(inputs):
        mixed[i, :, i] = b[:, i]
    return Design(a, b, mixed)


def indices(points: Design, values: np.ndarray, draws: int = 200) -> Indices:
    """Sobol indices from the values at ``points.stacked``; points with a value that is not finite
    are left out.

    Args:
        points: the design.
        values: ((inputs + 2) · points,).
        draws: of the bootstrap.

    >>> points = design(1024, 2, seed=1)
    >>> x = points.stacked
    >>> found = indices(points, 3.0 * x[:, 0] + 4.0 * x[:, 1])
    >>> bool(np.allclose(found.first, [0.36, 0.64], atol=0.01))
    True
    """
    count, inputs = points.a.shape
    table = values.reshape(inputs + 2, count)
    table = table[:, np.isfinite(table).all(axis=0)]
    first, total, variance = _estimates(table)
    rng = np.random.default_rng(0)
    again = [
        _estimates(table[:, rng.integers(0, table.shape[1], table.shape[1])])[:2]
        for _ in range(draws)
    ]
    errors = np.std(np.array(again), axis=0)
    return Indices(first, total, errors[0], errors[1], variance)


def _estimates(table: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    a, b, mixed = table[0], table[1], table[2:]
    variance = float(np.var(table[:2]))
    centre = table[:2].mean()
    scale = max(variance, 1e-300)
    first = ((b - centre) * (mixed - a)).mean(axis=1) / scale
    total = 0.5 * ((a - mixed) ** 2).mean(axis=1) / scale
    return first, total, variance


def sobol_indices(
    function: Callable[[np.ndarray], np.ndarray],
    inputs: int,
    count: int,
    seed: int,
    *,
    normal: bool = False,
) -> Indices:
    """Estimate first and total Sobol indices, S_i = Var(E[f | x_i]) / Var f and its complement's
    rest, by Saltelli's scheme (Computer Physics Communications 181, 2010).

    Args:
        function: of points (points, inputs) → (points,).
        inputs: their number.
        count: base points, a power of two.
        seed: of the scrambling.
        normal: inputs are standard normal instead of uniform on 0 … 1.

    Returns:
        First and total indices with their errors.

    >>> found = sobol_indices(lambda x: x[:, 0] + 2 * x[:, 1], 2, 256, 0)
    >>> [round(float(v), 1) for v in found.first]
    [0.2, 0.8]
    """
    points = design(count, inputs, seed, normal=normal)
    return indices(points, function(points.stacked))


def derivative_bounds(slopes: np.ndarray, variance: float) -> np.ndarray:
    """Upper bounds on total indices from slopes at standard normal points (points, inputs) [1]:
    E[(∂f/∂x_i)²] / Var f."""
    return np.mean(slopes**2, axis=0) / variance
