"""What a chip architect draws: areas, clock, stacks and lanes, from which the quantities of a
design follow."""

import equinox as eqx

from codesign.numerics.fields import Quantity, quantity


class Build(eqx.Module):
    """A machine of ``chips`` equal chips, stated by what it is made of.

    ``codesign.realize`` derives what it can do. All leaves are floats ≥ 0 of any common shape;
    counts may be fractional.
    """

    matrix_area: Quantity = quantity(
        "m^2", "matrix units with registers and L1, all dies of a package"
    )
    sram_area: Quantity = quantity("m^2", "on-chip SRAM with its wires, all dies of a package")
    clock: Quantity = quantity("1", "clock over the node's nominal clock")
    stacks: Quantity = quantity("1", "memory stacks of a package")
    layers: Quantity = quantity("1", "DRAM layers of one stack")
    lanes: Quantity = quantity("1", "SerDes lanes of a package, one direction")
    dies: Quantity = quantity("1", "equal logic dies in a package")
    white_silicon: Quantity = quantity("m^2", "logic area left empty, all dies")
    scale_up_domain: Quantity = quantity("1", "chips joined by the scale-up network")
    chips: Quantity = quantity("1", "number of chips")
