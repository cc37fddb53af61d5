"""What may be chosen: continuous quantities in a box, integers in a range."""

import dataclasses

import equinox as eqx
import numpy as np
from jaxtyping import Array, Bool, Float

from codesign.hardware.design import Design
from codesign.numerics.fields import Real, real, units_of

CONTINUOUS = ("memory_bandwidth", "memory_capacity", "peak_flops", "sync_latency", "link_bandwidth")
"""Quantities of a design that the search chooses freely, in the order of ``Space.low`` and ``Space.high``."""


class Space(eqx.Module):
    """The box in which designs are sought; shapes (5,), in the order of ``CONTINUOUS`` and SI units.

    ``base`` supplies every quantity that is not searched. A range of one value freezes a quantity.
    """

    base: Design
    low: Float[Array, "5"] = eqx.field(converter=real)
    high: Float[Array, "5"] = eqx.field(converter=real)
    chips: tuple[int, int] = eqx.field(static=True)
    batch: tuple[int, int] = eqx.field(static=True)

    def __check_init__(self) -> None:
        units = units_of(Design)
        for k, name in enumerate(CONTINUOUS):
            low, high = float(self.low[k]), float(self.high[k])
            if not 0 < low <= high < float("inf"):
                raise ValueError(f"range of {name} is {low:g} to {high:g} {units[name]}; expected 0 < low <= high")
        for name, (low, high) in (("chips", self.chips), ("batch", self.batch)):
            if not 1 <= low <= high:
                raise ValueError(f"range of {name} is {low} to {high}; expected 1 <= low <= high")


def design_at(space: Space, values: Float[Array, "5"], chips: Real, white_silicon: Real) -> Design:
    """The base design with the searched quantities put in."""
    chosen = {name: values[k] for k, name in enumerate(CONTINUOUS)}
    return dataclasses.replace(space.base, chips=chips, white_silicon=white_silicon, **chosen)


def at_bound(space: Space, values: np.ndarray, tolerance: float = 1e-4) -> np.ndarray:
    """−1, 0 or 1 where a quantity rests on its lower bound, on none, on its upper bound; frozen ones never count.

    ``tolerance`` is a relative distance.
    """
    low, high = np.asarray(space.low), np.asarray(space.high)
    free = high > low * (1.0 + 1e-9)
    at_low = (np.log(values / low) < tolerance) & free
    at_high = (np.log(high / values) < tolerance) & free
    return np.where(at_low, -1, np.where(at_high, 1, 0))


def is_free(space: Space) -> Bool[Array, "5"]:
    """Which quantities have a range of more than one value [bool]."""
    return space.high > space.low * (1.0 + 1e-9)
