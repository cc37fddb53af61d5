"""What may be chosen of one kind of machine: continuous quantities in a box, integers in a
range."""

import dataclasses

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float

from codesign.hardware.design import Design
from codesign.numerics.fields import Real, real, units_of

CONTINUOUS = (
    "memory_bandwidth",
    "memory_capacity",
    "peak_flops",
    "sync_latency",
    "link_bandwidth",
    "clock",
)
"""Quantities of a design that the search chooses freely, in the order of ``Space.low`` and
``Space.high``."""


class Space(eqx.Module):
    """The box in which one kind of machine is sought; shapes (6,), in the order of ``CONTINUOUS``
    and SI units.

    ``base`` supplies every quantity that is not searched. A range of one value freezes a quantity.

    ``buildable``: memory comes in whole stacks of whole layers (``layer_step`` at a time) at the
    bandwidth of a stack, and the sync latency is what network and software give
    (``physical.latency``). Otherwise bandwidth, capacity and latency are free within what a
    technology's stacks and floor allow, as in limit studies; the designs are then not buildable as
    they are.
    """

    base: Design
    low: Float[Array, "6"] = eqx.field(converter=real)
    high: Float[Array, "6"] = eqx.field(converter=real)
    chips: tuple[Real, Real]
    buildable: bool = eqx.field(static=True, default=False)
    layer_step: int = eqx.field(static=True, default=4)

    def __check_init__(self) -> None:
        units = units_of(Design)
        if np.shape(self.low) != (len(CONTINUOUS),) or np.shape(self.high) != (len(CONTINUOUS),):
            shapes = f"{np.shape(self.low)} and {np.shape(self.high)}"
            raise ValueError(
                f"low and high have shapes {shapes}; expected ({len(CONTINUOUS)},) for"
                f" {', '.join(CONTINUOUS)}"
            )
        for k, name in enumerate(CONTINUOUS):
            low, high = float(self.low[k]), float(self.high[k])
            if not 0 < low <= high < float("inf"):
                raise ValueError(
                    f"range of {name} is {low:g} to {high:g} {units[name]}; expected 0 < low <="
                    " high"
                )
        low, high = self.chips
        if not 1 <= low <= high:
            raise ValueError(f"range of chips is {low:g} to {high:g}; expected 1 <= low <= high")


def design_at(space: Space, values: Float[Array, "6"], chips: Real, white_silicon: Real) -> Design:
    """The base design with the searched quantities put in."""
    chosen = {name: values[k] for k, name in enumerate(CONTINUOUS)}
    return dataclasses.replace(space.base, chips=chips, white_silicon=white_silicon, **chosen)


def at_bound(
    space: Space, values: np.ndarray, chips: np.ndarray, tolerance: float = 1e-4
) -> np.ndarray:
    """−1, 0 or 1 where a quantity rests on its lower bound, on none, on its upper bound; frozen
    ones never count.

    ``values`` has a row a design, ``chips`` its number of chips; ``tolerance`` is a relative
    distance. A buildable machine's latency follows from its network: it never counts either, nor
    does a clock at the end of what its process allows, which is a limit of its own, nor links and
    latency of a single chip.
    """
    low, high = np.asarray(space.low), np.asarray(space.high)
    free = (high > low * (1.0 + 1e-9)) & np.array([name != "clock" for name in CONTINUOUS])
    if space.buildable:
        free &= np.array([name != "sync_latency" for name in CONTINUOUS])
    alone = (
        np.isin(CONTINUOUS, ("sync_latency", "link_bandwidth")) & (chips <= 1)[:, None]
    )  # one chip talks to nobody
    free = free & ~alone
    at_low = (np.log(values / low) < tolerance) & free
    at_high = (np.log(high / values) < tolerance) & free
    return np.where(at_low, -1, np.where(at_high, 1, 0))
