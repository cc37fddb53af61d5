"""Steady heat conduction through stacked plates, by finite volumes on one grid of cells.

Of each cell, with heat q [W] made in it and conductances G [W/K] to its neighbours and to the
coolant,

    Σ_n G_n (T − T_n) + G_coolant T = q,   T above the coolant,

    G lateral  = t · Δy / (Δx/2k₁ + Δx/2k₂)            two half cells in series
    G vertical = Δx Δy / (t₁/2k₁ + contact + t₂/2k₂)
    G coolant  = Δx Δy / (t/2k + film)                 of the uppermost plate alone

Sides and underside are adiabatic. The matrix is symmetric and positive definite; conjugate
gradients solve it (``jax.scipy.sparse.linalg.cg``), whose adjoint is one more solve of the same
matrix. Source: Patankar, "Numerical Heat Transfer and Fluid Flow" (1980), §4.2 (interface
conductivity by the harmonic mean).
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.scipy.sparse.linalg import cg
from jaxtyping import Array, Float

from codesign.numerics.fields import Quantity, Real, quantity, real

MOST_ITERATIONS = 5000


class Plates(eqx.Module):
    """Plates on one grid, the lowest first; leaves may differ from cell to cell."""

    thickness: Float[Array, "plates"] = quantity("m", "of each plate")
    lateral: Float[Array, "plates rows columns"] = quantity("W/m/K", "conductivity in the plane")
    vertical: Float[Array, "plates rows columns"] = quantity("W/m/K", "conductivity across it")
    contact: Float[Array, "gaps rows columns"] = quantity(
        "K m^2/W", "resistance between a plate and the next"
    )
    film: Quantity = quantity("K m^2/W", "from the uppermost plate to the coolant")
    cell_width: Quantity = quantity("m", "of a cell, along a row")
    cell_height: Quantity = quantity("m", "of a cell, along a column")


class Conductances(eqx.Module):
    """Conductances [W/K]: to the coolant; between neighbours upwards, along rows, along columns."""

    coolant: Float[Array | np.ndarray, "rows columns"]  # first: it names the axes of the others
    upwards: Float[Array | np.ndarray, "gaps rows columns"]
    along: Float[Array, "plates rows columns-1"]
    across: Float[Array, "plates rows-1 columns"]


def conductances(plates: Plates) -> Conductances:
    """Conductances between the cells of plates, half cells in series [W/K]."""
    thick = plates.thickness[:, None, None]
    resistivity, across = 1.0 / plates.lateral, 0.5 * thick / plates.vertical
    ratio = plates.cell_height / plates.cell_width
    area = plates.cell_width * plates.cell_height
    return Conductances(
        coolant=area / (across[-1] + plates.film),
        upwards=area / (across[:-1] + plates.contact + across[1:]),
        along=2.0 * thick * ratio / (resistivity[:, :, 1:] + resistivity[:, :, :-1]),
        across=2.0 * thick / ratio / (resistivity[:, 1:, :] + resistivity[:, :-1, :]),
    )


def leaving(between: Conductances, rise: Float[Array, "plates rows columns"]) -> Real:
    """Heat that leaves each cell at given temperatures above the coolant [W]."""
    total = jnp.zeros_like(rise).at[-1].set(between.coolant * rise[-1])
    for axis, conductance in ((0, between.upwards), (1, between.across), (2, between.along)):
        flow = conductance * jnp.diff(rise, axis=axis)
        ends = [(1, 1) if axis == k else (0, 0) for k in range(3)]
        total = total - jnp.diff(jnp.pad(flow, ends), axis=axis)
    return total


def _diagonal(between: Conductances) -> Real:
    plates = between.upwards.shape[0] + 1
    total = jnp.zeros((plates, *between.coolant.shape), between.coolant.dtype)
    total = total.at[-1].add(between.coolant)
    for axis, conductance in ((0, between.upwards), (1, between.across), (2, between.along)):
        for end in ((1, 0), (0, 1)):
            total = total + jnp.pad(conductance, [end if axis == k else (0, 0) for k in range(3)])
    return total


def temperatures(
    plates: Plates, heat: Float[Array | np.ndarray, "plates rows columns"]
) -> Float[Array, "plates rows columns"]:
    """Solve for the temperatures of all cells above the coolant [K].

    Differentiable in every leaf of both arguments. In float64 the heat that leaves to the coolant
    equals the heat made to 1e-10 of it, in float32 to 1e-5.

    Args:
        plates: thicknesses, conductivities and resistances, all above 0 (contacts may be 0).
        heat: made in each cell, shape (plates, rows, columns) [W].

    Returns:
        Temperature rise at the centre of each cell, shape (plates, rows, columns) [K].

    >>> import jax.numpy as jnp
    >>> even = jnp.full((1, 4, 4), 400.0)
    >>> lid = Plates(jnp.array([2e-3]), even, even, jnp.zeros((0, 4, 4)), 2e-5, 1e-2, 1e-2)
    >>> rise = temperatures(lid, jnp.full((1, 4, 4), 5.0))  # 80 W over 16 cm²: 5 W/cm²
    >>> round(float(rise.max()), 6), round(float(rise.min()), 6)  # 5e4 W/m² · (20 + 2.5) K mm²/W
    (1.125, 1.125)
    """
    heat = real(heat)
    between = conductances(plates)
    diagonal = _diagonal(between)
    rise, _ = cg(
        lambda x: leaving(between, x),
        heat,
        tol=1e-12 if heat.dtype == jnp.float64 else 1e-6,
        maxiter=MOST_ITERATIONS,
        M=lambda residual: residual / diagonal,
    )
    return rise


def to_coolant(plates: Plates, rise: Float[Array, "plates rows columns"]) -> Real:
    """Heat that the coolant takes away at given temperatures [W]."""
    return jnp.sum(conductances(plates).coolant * rise[-1])
