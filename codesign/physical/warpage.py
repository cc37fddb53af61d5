"""How far a package bows as it cools from assembly: two layers that shrink unlike.

Timoshenko, "Analysis of bi-metal thermostats", J. Opt. Soc. Am. 11, 233 (1925), for the interposer
on its substrate. Dies, lid and stiffener ring are left out, so the numbers rank packages; they do
not predict a measured bow.
"""

from codesign.hardware.technology import Packaging
from codesign.numerics.curvature import Curvature, declares
from codesign.numerics.fields import Real


def curvature(
    first_thickness: Real,
    second_thickness: Real,
    first_modulus: Real,
    second_modulus: Real,
    expansion_mismatch: Real,
    temperature_span: Real,
) -> Real:
    """Curvature of a strip of two bonded layers [1/m].

    κ = 6·Δα·ΔT·(1 + m)² / (h·[3(1 + m)² + (1 + mn)·(m² + 1/(mn))]), with h = t₁ + t₂, m = t₁/t₂, n
    = E₁/E₂. It does not matter which layer is called the first.

    Args:
        first_thickness: t₁, above 0 [m].
        second_thickness: t₂, above 0 [m].
        first_modulus: E₁, above 0 [Pa].
        second_modulus: E₂, above 0 [Pa].
        expansion_mismatch: Δα, absolute difference of the coefficients [1/K].
        temperature_span: ΔT from stress-free [K].

    >>> round(curvature(1e-3, 1e-3, 1e11, 1e11, 1e-5, 100.0), 6)  # equal layers: 3/2 · ΔαΔT/h
    0.75
    """
    m, n = first_thickness / second_thickness, first_modulus / second_modulus
    bending = 3.0 * (1.0 + m) ** 2 + (1.0 + m * n) * (m**2 + 1.0 / (m * n))
    return (
        6.0
        * expansion_mismatch
        * temperature_span
        * (1.0 + m) ** 2
        / ((first_thickness + second_thickness) * bending)
    )


@declares(Curvature.MONOMIAL, interposer_area=(1e-4, 1e-2))
def warpage(interposer_area: Real, packaging: Packaging) -> Real:
    """Bow of the interposer at room temperature: κ·L²/8, the sagitta of an arc of chord L [m].

    L is the side of a square of the interposer's area, so L² is the area; across the diagonal it
    would be twice as much.

    Args:
        interposer_area: of one package (``physical.area.interposer_area``) [m²].
        packaging: both layers and the temperature span.
    """
    bent = curvature(
        packaging.interposer_thickness,
        packaging.substrate_thickness,
        packaging.interposer_modulus,
        packaging.substrate_modulus,
        packaging.expansion_mismatch,
        packaging.assembly_temperature,
    )
    return bent * interposer_area / 8.0
