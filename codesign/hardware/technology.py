"""What physics and prices allow: the coefficients under which designs are judged.

A ``Technology`` is a pytree of floats, so that every outcome has a gradient with respect to every
coefficient. The numbers themselves, with source, date and range, live in ``hardware_priors``;
nothing here has a default.
"""

import equinox as eqx

from codesign.numerics.fields import Real, quantity


class Logic(eqx.Module):
    """A logic process and what is built in it."""

    matrix_density: Real = quantity(
        "FLOP/s/m^2", "dense 16-bit matrix rate per core area (MAC, registers, L1)"
    )
    density_gain_8bit: Real = quantity("1", "rate per area at 8 bit over 16 bit")
    density_gain_4bit: Real = quantity("1", "rate per area at 4 bit over 16 bit")
    matrix_energy: Real = quantity("J/FLOP", "energy of one 16-bit matrix FLOP")
    energy_ratio_8bit: Real = quantity("1", "energy per FLOP at 8 bit over 16 bit")
    energy_ratio_4bit: Real = quantity("1", "energy per FLOP at 4 bit over 16 bit")
    vector_ratio: Real = quantity("1", "vector FLOP/s over 16-bit matrix FLOP/s")
    exponential_ratio: Real = quantity("1", "exponentials per second over 16-bit matrix FLOP/s")
    sram_density: Real = quantity("B/m^2", "on-chip cache per area, tags and crossbar included")
    sram_bandwidth_density: Real = quantity(
        "B/s/m^2", "most bandwidth that on-chip SRAM gives per area"
    )
    sram_energy: Real = quantity("J/B", "energy of an on-chip SRAM access")
    voltage_floor: Real = quantity(
        "1", "share of the nominal supply voltage that does not fall with the clock"
    )
    clock_fewest: Real = quantity("1", "slowest useful clock over the nominal one")
    clock_most: Real = quantity("1", "fastest clock over the nominal one")
    leakage: Real = quantity("W/m^2", "static power per die area at the nominal voltage")
    fixed_area: Real = quantity("m^2", "control, host interface and other area of every die")
    overhead_fraction: Real = quantity(
        "1", "share of the die left after core, cache, memory PHY and links"
    )
    reticle_area: Real = quantity("m^2", "largest die that one exposure can print")
    wafer_price: Real = quantity("USD", "processed 300 mm wafer")
    wafer_diameter: Real = quantity("m", "wafer diameter")
    edge_exclusion: Real = quantity("m", "unusable ring at the wafer's edge")
    defect_density: Real = quantity("1/m^2", "defects per area")
    defect_clustering: Real = quantity("1", "alpha of the negative binomial")
    critical_fraction: Real = quantity(
        "1", "share of the area where a defect kills after harvesting"
    )


class Memory(eqx.Module):
    """A stacked (or packaged) memory: a stack has a base die, a number of layers, an edge and a
    PHY.

    As a pool, a stack is a port of it; layers per port, stacks on the package and the coupling of
    heat do not apply.
    """

    stack_bandwidth: Real = quantity("B/s", "bandwidth of one stack")
    layer_capacity: Real = quantity("B", "capacity of one DRAM layer")
    min_layers: Real = quantity("1", "fewest layers of a stack on sale")
    max_layers: Real = quantity("1", "most layers of a stack on sale")
    stack_price: Real = quantity("USD", "base die and stacking of one stack, without its layers")
    layer_price: Real = quantity("USD", "one DRAM layer, stacked and tested")
    access_energy: Real = quantity("J/B", "energy of moving a byte, PHY included")
    layer_power: Real = quantity("W", "refresh and standby power of one layer")
    phy_area: Real = quantity("m^2", "PHY and controller of one stack on the logic die")
    edge: Real = quantity("m", "die edge taken by one stack")
    footprint: Real = quantity("m^2", "package area of one stack")
    max_stacks: Real = quantity("1", "most stacks on one package")
    thermal_coupling: Real = quantity(
        "1", "temperature rise of the memory over that of the logic, above the coolant"
    )
    staged: Real = quantity("1", "1 where on-chip SRAM stands beside it, 0 where it is that SRAM")


class Links(eqx.Module):
    """Scale-up links and the network they form."""

    area: Real = quantity("m^2/(B/s)", "PHY and controller area per one-way bandwidth")
    edge_density: Real = quantity("B/s/m", "one-way bandwidth per die edge")
    energy: Real = quantity("J/B", "energy of a byte sent, both ends and the switch")
    idle_power: Real = quantity(
        "W/(B/s)", "power of the links of a chip per one-way bandwidth, always on"
    )
    price: Real = quantity(
        "USD/(B/s)", "cables and switches per one-way bandwidth of a chip and tier"
    )
    lane_rate: Real = quantity("B/s", "bandwidth of one SerDes lane, one direction")
    radix: Real = quantity("1", "chips that one tier of switches joins")
    endpoint_latency: Real = quantity("s", "both network endpoints of a message, hardware only")
    switch_latency: Real = quantity("s", "port to port of one switch")
    wire_latency: Real = quantity("s", "flight time to a switch and from it")
    software_latency: Real = quantity(
        "s", "launch and synchronisation of one exposed collective with today's stacks"
    )
    sync_price: Real = quantity(
        "USD s", "price of a chip's low latency is sync_price / (latency - floor)"
    )
    scale_out_price: Real = quantity(
        "USD/(B/s)", "optics, switches and network card per one-way bandwidth of a chip"
    )


class Packaging(eqx.Module):
    """Interposer, assembly and what surrounds the die."""

    area_price: Real = quantity("USD/m^2", "interposer, substrate and assembly per interposer area")
    area_ratio: Real = quantity("1", "interposer area over silicon area")
    assembly_price: Real = quantity("USD", "test and assembly of one package")
    usable_edge: Real = quantity("1", "share of the die's perimeter that memory and links may take")
    max_dies: Real = quantity("1", "logic dies in one package")
    multi_die_price: Real = quantity("USD", "extra loss of a package with more than one die")
    die_to_die_area: Real = quantity("m^2", "die-to-die interface per extra die, all dies together")
    interposer_most: Real = quantity("m^2", "largest interposer of the year")
    interposer_thickness: Real = quantity("m", "thickness of the interposer")
    substrate_thickness: Real = quantity("m", "thickness of the package substrate")
    interposer_modulus: Real = quantity("Pa", "Young's modulus of the interposer")
    substrate_modulus: Real = quantity("Pa", "Young's modulus of the package substrate")
    expansion_mismatch: Real = quantity(
        "1/K", "difference of thermal expansion between substrate and interposer"
    )
    assembly_temperature: Real = quantity("K", "temperature span from stress-free to room")
    warpage_most: Real = quantity("m", "largest bow of the interposer that assembly bears")


class Cooling(eqx.Module):
    """How heat leaves the package."""

    power_density: Real = quantity("W/m^2", "largest average heat flux of the die")
    package_power: Real = quantity("W", "largest power of one package")
    area_resistance: Real = quantity(
        "K m^2/W", "junction to coolant, package power over logic area"
    )
    coolant_temperature: Real = quantity("K", "coolant inlet")
    logic_temperature: Real = quantity("K", "hottest allowed junction")
    memory_temperature: Real = quantity("K", "hottest allowed DRAM")
    price: Real = quantity("USD", "cold plate and manifolds of one chip")


class Economics(eqx.Module):
    """Server, facility, money and energy."""

    server_price: Real = quantity(
        "USD", "host, board, chassis and power supply of one chip, without its network"
    )
    power_overhead: Real = quantity("1", "IT power over chip power")
    pue: Real = quantity("1", "facility power over IT power")
    facility_price: Real = quantity("USD/W", "shell, power and cooling per provisioned IT watt")
    electricity_price: Real = quantity("USD/J", "energy")
    chip_markup: Real = quantity(
        "1", "selling price over bill of materials; 1 on the builder's price basis"
    )
    life: Real = quantity("s", "depreciation of servers")
    facility_life: Real = quantity("s", "depreciation of the facility")
    cost_of_capital: Real = quantity("1/s", "interest on capital")
    utilisation: Real = quantity("1", "share of the time in which the machine earns")


class Attainable(eqx.Module):
    """Fractions of the peaks that good software reaches (execution ``Operatorwise`` and
    ``Dataflow``)."""

    memory: Real = quantity("1", "attained over peak memory bandwidth")
    compute: Real = quantity("1", "attained over peak matrix rate")
    link: Real = quantity("1", "attained over peak link bandwidth")
    capacity: Real = quantity(
        "1",
        "share of main memory that weights and caches may fill; activations and framework take the"
        " rest",
    )
    slice_columns: Real = quantity(
        "1", "narrowest slice of a matrix product that keeps the matrix unit busy"
    )


class Technology(eqx.Module):
    """Everything about the world that a design does not choose.

    ``pool`` is the memory behind ``Design.pool_bandwidth`` and ``pool_capacity``; it costs nothing
    where both are zero.
    """

    logic: Logic
    memory: Memory
    pool: Memory
    links: Links
    packaging: Packaging
    cooling: Cooling
    economics: Economics
    attainable: Attainable
