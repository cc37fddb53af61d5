"""Clock and supply voltage: what a FLOP and a leaking die cost away from the node's nominal
clock."""

from codesign.hardware.technology import Logic
from codesign.numerics.curvature import Curvature, declares
from codesign.numerics.fields import Real


@declares(Curvature.CONVEX, clock=(0.1, 4.0))
def energy_ratio(clock: Real, logic: Logic) -> Real:
    """Energy of a switched capacitance at a clock over that at the nominal clock: (V/V₀)², with
    V/V₀ = v₀ + (1 − v₀)·x [1].

    Dynamic energy is C·V² (Weste and Harris, "CMOS VLSI Design", 4th ed., §5.2); the line is the
    supply needed for clock x around the nominal one. A foundry's pair of claims for a new node
    gives its slope: the same speed at power 1 − p, or speed 1 + s at the same power, mean (1 −
    p)·(1 + s)·(v₀ + (1 − v₀)·(1 + s))² = 1. Positive coefficients: a posynomial.

    Leakage takes the same factor: its power V·I(V) grows with V by itself and through drain-induced
    barrier lowering, together about as V² near the nominal supply (judged: 40 mV/V and 85 mV a
    decade give V^1.8).

    Args:
        clock: over the node's nominal clock [1].
        logic: the process, for its ``voltage_floor`` v₀.

    >>> import hardware_priors
    >>> logic = hardware_priors.technology("N3").logic
    >>> round(float(energy_ratio(1.0, logic)), 6)
    1.0
    """
    return (logic.voltage_floor + (1.0 - logic.voltage_floor) * clock) ** 2
