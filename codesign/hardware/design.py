"""What is chosen: the quantities of one machine."""

import equinox as eqx

from codesign.numerics.fields import Quantity, quantity


class Design(eqx.Module):
    """A machine of ``chips`` equal chips, stated by what it can do.

    All leaves are floats ≥ 0 of any common shape; chips may be fractional (it has a gradient).

    The first six are the axes of every sensitivity. ``peak_flops`` is the dense matrix rate at the
    compute precision of the workload, reached at ``clock``: a slower clock takes more area for the
    same rate, and less energy. ``link_bandwidth`` is one direction of one chip's scale-up links.
    ``sync_latency`` is the time of one exposed minimal collective within a scale-up domain. A chip
    without a pool has ``pool_bandwidth`` and ``pool_capacity`` zero. ``power_cap`` is what is
    provisioned and cooled for; a step that would draw more runs at a slower clock.
    """

    memory_bandwidth: Quantity = quantity("B/s", "main-memory bandwidth of a chip")
    memory_capacity: Quantity = quantity("B", "main-memory capacity of a chip")
    peak_flops: Quantity = quantity(
        "FLOP/s", "dense matrix rate of a chip at the compute precision"
    )
    chips: Quantity = quantity("1", "number of chips")
    sync_latency: Quantity = quantity("s", "one exposed minimal collective")
    link_bandwidth: Quantity = quantity("B/s", "scale-up bandwidth of a chip, one direction")
    sram_capacity: Quantity = quantity(
        "B", "on-chip SRAM of a chip that software can fill", default=50e6
    )
    sram_bandwidth: Quantity = quantity("B/s", "bandwidth of that SRAM", default=20e12)
    dies: Quantity = quantity("1", "equal logic dies in a package", default=1.0)
    white_silicon: Quantity = quantity(
        "m^2", "logic area left empty, for edge or for cooling, all dies", default=0.0
    )
    pool_bandwidth: Quantity = quantity("B/s", "bandwidth of a chip to a memory pool", default=0.0)
    pool_capacity: Quantity = quantity("B", "capacity of the pool per chip", default=0.0)
    scale_up_domain: Quantity = quantity("1", "chips joined by the scale-up network", default=1e9)
    scale_out_bandwidth: Quantity = quantity(
        "B/s", "bandwidth of a chip beyond its domain, one direction", default=50e9
    )
    scale_out_latency: Quantity = quantity(
        "s", "one exposed minimal collective between domains", default=20e-6
    )
    clock: Quantity = quantity("1", "clock over the node's nominal clock", default=1.0)
    power_cap: Quantity = quantity(
        "W", "most that a package may draw; 0 where all its parts may peak at once", default=0.0
    )


DESIGN_VARIABLES = (
    "memory_bandwidth",
    "memory_capacity",
    "peak_flops",
    "chips",
    "sync_latency",
    "link_bandwidth",
)
"""The six quantities that every elasticity is taken with respect to."""
