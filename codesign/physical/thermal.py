"""Temperatures of logic and memory through one thermal resistance per area, in the steady state.

The flux is the package's power over its logic silicon, as in published figures (rated power over
die area): memory power is counted in it, and the resistances are calibrated on the same ratio. Hot
spots are not resolved.
"""

import jax.numpy as jnp

from codesign.hardware.technology import Cooling, Memory
from codesign.numerics.curvature import Curvature, declares
from codesign.numerics.fields import Real
from codesign.numerics.ties import at_least

LEAST_RISE = 1e-9
"""Smallest temperature rise that a logarithm is taken of [K]: no heat, or a memory that the die
does not warm."""


@declares(Curvature.MONOMIAL, power=(1.0, 1e4), silicon=(1e-5, 5e-3))
def junction_rise(power: Real, silicon: Real, cooling: Cooling) -> Real:
    """Junction above coolant: area resistance × power / area [K].

    Args:
        power: of the package [W].
        silicon: logic area of the package, all dies [m²].
        cooling: its resistance from junction to coolant.
    """
    return cooling.area_resistance * power / silicon


@declares(Curvature.CONVEX, power=(1.0, 1e4), silicon=(1e-5, 5e-3))
def junction_temperature(power: Real, silicon: Real, cooling: Cooling) -> Real:
    """Temperature of the logic: T_coolant + R·P/A (arguments as ``junction_rise``) [K]."""
    return cooling.coolant_temperature + junction_rise(power, silicon, cooling)


@declares(Curvature.CONVEX, power=(1.0, 1e4), silicon=(1e-5, 5e-3))
def memory_temperature(power: Real, silicon: Real, memory: Memory, cooling: Cooling) -> Real:
    """Temperature of the memory: T_coolant + coupling·R·P/A [K].

    DRAM bonded onto the logic has its temperature (coupling 1); beside it on the interposer it is
    cooler, on the board cooler still. The other arguments are those of ``junction_rise``.
    """
    return cooling.coolant_temperature + memory.thermal_coupling * junction_rise(
        power, silicon, cooling
    )


def temperature_excess(temperature: Real, allowed: Real, coolant: Real) -> Real:
    """ln of the rise over the allowed rise, both above the coolant: at most 0 where the temperature
    is allowed [1].

    The offset drops out, which leaves ln of a monomial in power and area.
    """
    rise = at_least(temperature - coolant, LEAST_RISE)
    return jnp.log(rise / at_least(allowed - coolant, LEAST_RISE))
