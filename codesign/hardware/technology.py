"""What physics and prices allow: the coefficients under which designs are judged.

A ``Technology`` is a pytree of floats, so that every outcome has a gradient with respect to every
coefficient. The numbers themselves, with source, date and range, live in ``hardware_priors``;
nothing here has a default.
"""

import equinox as eqx

from codesign.numerics.fields import Quantity, RealArray, quantity


class Logic(eqx.Module):
    """A logic process and what is built in it."""

    matrix_density: Quantity = quantity(
        "FLOP/s/m^2", "dense 16-bit matrix rate per core area (MAC, registers, L1)"
    )
    density_gain_8bit: Quantity = quantity("1", "rate per area at 8 bit over 16 bit")
    density_gain_4bit: Quantity = quantity("1", "rate per area at 4 bit over 16 bit")
    matrix_energy: Quantity = quantity("J/FLOP", "energy of one 16-bit matrix FLOP")
    energy_ratio_8bit: Quantity = quantity("1", "energy per FLOP at 8 bit over 16 bit")
    energy_ratio_4bit: Quantity = quantity("1", "energy per FLOP at 4 bit over 16 bit")
    vector_ratio: Quantity = quantity("1", "vector FLOP/s over 16-bit matrix FLOP/s")
    exponential_ratio: Quantity = quantity("1", "exponentials per second over 16-bit matrix FLOP/s")
    sram_density: Quantity = quantity("B/m^2", "on-chip cache per area, tags and crossbar included")
    sram_bandwidth_density: Quantity = quantity(
        "B/s/m^2", "most bandwidth that on-chip SRAM gives per area"
    )
    sram_energy: Quantity = quantity("J/B", "energy of an on-chip SRAM access")
    voltage_floor: Quantity = quantity(
        "1", "share of the nominal supply voltage that does not fall with the clock"
    )
    clock_fewest: Quantity = quantity("1", "slowest useful clock over the nominal one")
    clock_most: Quantity = quantity("1", "fastest clock over the nominal one")
    leakage: Quantity = quantity("W/m^2", "static power per die area at the nominal voltage")
    ungated_share: Quantity = quantity(
        "1",
        "share of the matrix units' peak power that a chip at work draws whether or not they have"
        " products to compute: clocks, control, register files",
    )
    fixed_area: Quantity = quantity("m^2", "control, host interface and other area of every die")
    overhead_fraction: Quantity = quantity(
        "1", "share of the die left after core, cache, memory PHY and links"
    )
    reticle_area: Quantity = quantity("m^2", "largest die that one exposure can print")
    wafer_price: Quantity = quantity("USD", "processed 300 mm wafer")
    wafer_diameter: Quantity = quantity("m", "wafer diameter")
    edge_exclusion: Quantity = quantity("m", "unusable ring at the wafer's edge")
    defect_density: Quantity = quantity("1/m^2", "defects per area")
    defect_clustering: Quantity = quantity("1", "alpha of the negative binomial")
    critical_fraction: Quantity = quantity(
        "1", "share of the area where a defect kills after harvesting"
    )


class Memory(eqx.Module):
    """A stacked (or packaged) memory: a stack has a base die, a number of layers, an edge and a
    PHY.

    As a pool, a stack is a port of it; layers per port, stacks on the package and the coupling of
    heat do not apply.
    """

    stack_bandwidth: Quantity = quantity("B/s", "bandwidth of one stack")
    layer_capacity: Quantity = quantity("B", "capacity of one DRAM layer")
    min_layers: Quantity = quantity("1", "fewest layers of a stack on sale")
    max_layers: Quantity = quantity("1", "most layers of a stack on sale")
    stack_price: Quantity = quantity(
        "USD", "base die and stacking of one stack, without its layers"
    )
    layer_price: Quantity = quantity("USD", "one DRAM layer, stacked and tested")
    access_energy: Quantity = quantity("J/B", "energy of moving a byte, PHY included")
    layer_power: Quantity = quantity("W", "refresh and standby power of one layer")
    phy_area: Quantity = quantity("m^2", "PHY and controller of one stack on the logic die")
    edge: Quantity = quantity("m", "die edge taken by one stack")
    footprint: Quantity = quantity("m^2", "package area of one stack")
    max_stacks: Quantity = quantity("1", "most stacks on one package")
    thermal_coupling: Quantity = quantity(
        "1", "temperature rise of the memory over that of the logic, above the coolant"
    )
    staged: Quantity = quantity(
        "1", "1 where on-chip SRAM stands beside it, 0 where it is that SRAM"
    )


class Links(eqx.Module):
    """Scale-up links and the network they form."""

    area: Quantity = quantity("m^2/(B/s)", "PHY and controller area per one-way bandwidth")
    edge_density: Quantity = quantity("B/s/m", "one-way bandwidth per die edge")
    energy: Quantity = quantity("J/B", "energy of a byte sent, both ends and the switch")
    idle_power: Quantity = quantity(
        "W/(B/s)", "power of the links of a chip per one-way bandwidth, always on"
    )
    price: Quantity = quantity(
        "USD/(B/s)", "cables and switches per one-way bandwidth of a chip and tier"
    )
    lane_rate: Quantity = quantity("B/s", "bandwidth of one SerDes lane, one direction")
    radix: Quantity = quantity("1", "chips that one tier of switches joins")
    endpoint_latency: Quantity = quantity("s", "both network endpoints of a message, hardware only")
    switch_latency: Quantity = quantity("s", "port to port of one switch")
    wire_latency: Quantity = quantity("s", "flight time to a switch and from it")
    software_latency: Quantity = quantity(
        "s", "launch and synchronisation of one exposed collective with today's stacks"
    )
    sync_price: Quantity = quantity(
        "USD s", "price of a chip's low latency is sync_price / (latency - floor)"
    )
    scale_out_price: Quantity = quantity(
        "USD/(B/s)", "optics, switches and network card per one-way bandwidth of a chip"
    )


class Packaging(eqx.Module):
    """Interposer, assembly and what surrounds the die."""

    area_price: Quantity = quantity(
        "USD/m^2", "interposer, substrate and assembly per interposer area"
    )
    area_ratio: Quantity = quantity("1", "interposer area over silicon area")
    assembly_price: Quantity = quantity("USD", "test and assembly of one package")
    usable_edge: Quantity = quantity(
        "1", "share of the die's perimeter that memory and links may take"
    )
    max_dies: Quantity = quantity("1", "logic dies in one package")
    multi_die_price: Quantity = quantity("USD", "extra loss of a package with more than one die")
    die_to_die_area: Quantity = quantity(
        "m^2", "die-to-die interface per extra die, all dies together"
    )
    interposer_most: Quantity = quantity("m^2", "largest interposer of the year")
    interposer_thickness: Quantity = quantity("m", "thickness of the interposer")
    substrate_thickness: Quantity = quantity("m", "thickness of the package substrate")
    interposer_modulus: Quantity = quantity("Pa", "Young's modulus of the interposer")
    substrate_modulus: Quantity = quantity("Pa", "Young's modulus of the package substrate")
    expansion_mismatch: Quantity = quantity(
        "1/K", "difference of thermal expansion between substrate and interposer"
    )
    assembly_temperature: Quantity = quantity("K", "temperature span from stress-free to room")
    warpage_most: Quantity = quantity("m", "largest bow of the interposer that assembly bears")


class Cooling(eqx.Module):
    """How heat leaves the package."""

    power_density: Quantity = quantity("W/m^2", "largest average heat flux of the die")
    package_power: Quantity = quantity("W", "largest power of one package")
    area_resistance: Quantity = quantity(
        "K m^2/W", "junction to coolant, package power over logic area"
    )
    coolant_temperature: Quantity = quantity("K", "coolant inlet")
    logic_temperature: Quantity = quantity("K", "hottest allowed junction")
    memory_temperature: Quantity = quantity("K", "hottest allowed DRAM")
    price: Quantity = quantity("USD", "cold plate and manifolds of one chip")


class Economics(eqx.Module):
    """Server, facility, money and energy."""

    server_price: Quantity = quantity(
        "USD", "host, board, chassis and power supply of one chip, without its network"
    )
    power_overhead: Quantity = quantity("1", "IT power over chip power")
    pue: Quantity = quantity("1", "facility power over IT power")
    facility_price: Quantity = quantity("USD/W", "shell, power and cooling per provisioned IT watt")
    electricity_price: Quantity = quantity("USD/J", "energy")
    chip_markup: Quantity = quantity(
        "1", "selling price over bill of materials; 1 on the builder's price basis"
    )
    life: Quantity = quantity("s", "depreciation of servers")
    facility_life: Quantity = quantity("s", "depreciation of the facility")
    cost_of_capital: Quantity = quantity("1/s", "interest on capital")
    utilisation: Quantity = quantity("1", "share of the time in which the machine earns")
    spares: Quantity = quantity("1", "machines bought over machines that serve; 1 for none spare")
    replacements: Quantity = quantity(
        "1", "chips bought over a machine's life, over the chips that it has; 1 where none fails"
    )


class Attainable(eqx.Module):
    """Fractions of the peaks that good software reaches (execution ``Operatorwise`` and
    ``Dataflow``)."""

    memory: Quantity = quantity("1", "attained over peak memory bandwidth")
    compute: Quantity = quantity("1", "attained over peak matrix rate")
    link: Quantity = quantity("1", "attained over peak link bandwidth")
    capacity: Quantity = quantity(
        "1",
        "share of main memory that weights and caches may fill; activations and framework take the"
        " rest",
    )
    slice_columns: Quantity = quantity(
        "1", "narrowest slice of a matrix product that keeps the matrix unit busy"
    )


class Development(eqx.Module):
    """What the first chip costs before any is built, and the fleet that bears it."""

    masks: Quantity = quantity("USD", "mask set of the logic die, and of one respin")
    design: Quantity = quantity("USD", "architecture, verification, physical design, prototypes")
    ip: Quantity = quantity("USD", "licences: links, memory interfaces, processors")
    software: Quantity = quantity("USD", "compiler, kernels, drivers and firmware of the chip")
    fleet_power: Quantity = quantity("W", "provisioned power of the fleet that bears it, facility")

    @property
    def total(self) -> RealArray:
        """Development cost of one chip [USD]."""
        return self.masks + self.design + self.ip + self.software


class Technology(eqx.Module):
    """Everything about the world that a design does not choose.

    ``pool`` is the memory behind ``Design.pool_bandwidth`` and ``pool_capacity``; it costs nothing
    where both are zero. ``development`` is paid by whoever builds a chip for a fleet of a stated
    size; None where a chip is bought, or nobody says how large the fleet is.
    """

    logic: Logic
    memory: Memory
    pool: Memory
    links: Links
    packaging: Packaging
    cooling: Cooling
    economics: Economics
    attainable: Attainable
    development: Development | None = None
