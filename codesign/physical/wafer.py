"""From a wafer to a good die: dies per wafer, yield, and the price of silicon that works."""

import jax.numpy as jnp

from codesign.hardware.technology import Logic
from codesign.numerics.curvature import Curvature, declares
from codesign.numerics.fields import Real
from codesign.numerics.ties import at_least, greater


@declares(Curvature.CONCAVE, die_area=(1e-5, 2e-3))
def dies_per_wafer(die_area: Real, diameter: Real, edge_exclusion: Real) -> Real:
    """Whole dies on a wafer, edge-corrected [1].

    π(D/2 − e)²/A − π(D − 2e)/√(2A) (de Vries, IEEE Trans. Semicond. Manuf. 18, 2005, eq. 3 with the
    usable diameter). Its inverse is log-convex in A although it is a difference: 1/(1 − f) with f
    log-convex and below 1.

    >>> import jax.numpy as jnp
    >>> round(float(dies_per_wafer(jnp.array(814e-6), jnp.array(0.3), jnp.array(0.005))), 1)
    58.6
    """
    usable = diameter - 2.0 * edge_exclusion
    gross = jnp.pi * (usable / 2.0) ** 2 / die_area
    lost = jnp.pi * usable / jnp.sqrt(2.0 * die_area)
    # Never below a twentieth of the gross count: dies of more than a quarter wafer keep a finite,
    # steep price.
    return greater(gross - lost, 0.05 * gross)


@declares(Curvature.CONCAVE, critical_area=(1e-6, 5e-3), defect_density=(10.0, 1e4))
def negative_binomial_yield(critical_area: Real, defect_density: Real, clustering: Real) -> Real:
    """Share of dies without a killing defect: (1 + A·D₀/α)^−α (Stapper, IBM J. Res. Dev. 27, 1983)
    [1].

    ``clustering`` → ∞ is Poisson's exp(−A·D₀).
    """
    return jnp.exp(-clustering * jnp.log1p(critical_area * defect_density / clustering))


@declares(Curvature.CONCAVE, critical_area=(1e-6, 5e-3), defect_density=(10.0, 1e4))
def poisson_yield(critical_area: Real, defect_density: Real) -> Real:
    """Share of dies without a killing defect if defects fall independently: exp(−A·D₀) [1]."""
    return jnp.exp(-critical_area * defect_density)


@declares(Curvature.CONCAVE, critical_area=(1e-6, 5e-3), defect_density=(10.0, 1e4))
def murphy_yield(critical_area: Real, defect_density: Real) -> Real:
    """Share of dies without a killing defect: ((1 − e^(−A·D₀))/(A·D₀))² (Murphy, Proc. IEEE 52,
    1537, 1964) [1].

    Defect density spread over wafers as a triangle; between Poisson and strong clustering.
    """
    defects = critical_area * defect_density
    safe = at_least(defects, 1e-4)
    return jnp.where(
        defects < 1e-4, 1.0 - defects + 7.0 / 12.0 * defects**2, (-jnp.expm1(-safe) / safe) ** 2
    )


@declares(Curvature.CONCAVE, die_area=(1e-5, 2e-3))
def sellable_yield(logic: Logic, die_area: Real) -> Real:
    """Share of dies that can be sold, negative binomial [1].

    Harvesting (selling dies with some units switched off) is a critical share of the area: only
    there does a defect kill.
    """
    return negative_binomial_yield(
        die_area * logic.critical_fraction, logic.defect_density, logic.defect_clustering
    )


@declares(Curvature.CONVEX, die_area=(1e-5, 2e-3))
def die_price(logic: Logic, die_area: Real) -> Real:
    """Price of one sellable die: wafer / (dies on it × share of them that sells) [USD]."""
    sold = dies_per_wafer(die_area, logic.wafer_diameter, logic.edge_exclusion) * sellable_yield(
        logic, die_area
    )
    return logic.wafer_price / sold
