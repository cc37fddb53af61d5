"""From what a chip is made of to what it can do, and back."""

from codesign.hardware.build import Build
from codesign.hardware.design import Design
from codesign.hardware.technology import Technology
from codesign.numerics.fields import Real
from codesign.physical.area import core_area, layers, precision_ratio, sram_area, stacks
from codesign.physical.latency import sync_floor


def realize(build: Build, technology: Technology, compute_bits: Real) -> Design:
    """Derive the design that a build makes in a technology.

    peak FLOP/s = matrix area · ρ · gain(bits) · clock
    SRAM capacity, bandwidth = SRAM area · σ, SRAM area · β
    memory bandwidth = stacks · bandwidth of a stack
    memory capacity = stacks · layers · capacity of a layer
    link bandwidth = lanes · rate of a lane
    sync latency = floor(chips, domain) + today's software

    Differentiable in every leaf. Quantities of a design that a build does not state (pool,
    scale-out) keep their defaults.

    Args:
        build: areas, counts and clock.
        technology: densities and rates.
        compute_bits: width of the matrix arithmetic [bit].

    Returns:
        The design [SI].

    >>> import codesign, hardware_priors, jax.numpy as jnp
    >>> world = hardware_priors.technology("N4", "HBM3", "NVLink4")
    >>> build = codesign.Build(3e-4, 2e-4, 1.0, 5.0, 8.0, 18.0, 1.0, 0.0, 8.0, 1.0)
    >>> design = codesign.realize(build, world, jnp.asarray(8.0))
    >>> bool(design.memory_bandwidth == 5.0 * world.memory.stack_bandwidth)
    True
    """
    logic, memory, links = technology.logic, technology.memory, technology.links
    gain = precision_ratio(compute_bits, logic.density_gain_8bit, logic.density_gain_4bit)
    return Design(
        memory_bandwidth=build.stacks * memory.stack_bandwidth,
        memory_capacity=build.stacks * build.layers * memory.layer_capacity,
        peak_flops=build.matrix_area * logic.matrix_density * gain * build.clock,
        chips=build.chips,
        sync_latency=sync_floor(build.chips, build.scale_up_domain, links) + links.software_latency,
        link_bandwidth=build.lanes * links.lane_rate,
        sram_capacity=build.sram_area * logic.sram_density,
        sram_bandwidth=build.sram_area * logic.sram_bandwidth_density,
        dies=build.dies,
        white_silicon=build.white_silicon,
        scale_up_domain=build.scale_up_domain,
        clock=build.clock,
    )


def built(design: Design, technology: Technology, compute_bits: Real) -> Build:
    """Derive the build that makes a design, ``realize`` inverted.

    ``built(realize(build))`` is the build. The other way round, ``realize`` returns the six
    quantities but for the sync latency, which a build does not choose, and the larger of SRAM
    capacity and bandwidth with the other raised to what its area gives.

    Args:
        design: memory bandwidth above 0.
        technology: densities and rates.
        compute_bits: width of the matrix arithmetic [bit].

    Returns:
        The build: areas [m²], counts and clock [1].

    >>> import codesign, hardware_priors, jax.numpy as jnp
    >>> world = hardware_priors.technology("N4", "HBM3", "NVLink4")
    >>> chip = hardware_priors.device("h100").design(chips=1)
    >>> 4.0 < float(codesign.built(chip, world, jnp.asarray(8.0)).stacks) < 6.0
    True
    """
    return Build(
        matrix_area=core_area(design, technology, compute_bits),
        sram_area=sram_area(design, technology),
        clock=design.clock,
        stacks=stacks(design, technology),
        layers=layers(design, technology) / stacks(design, technology),
        lanes=design.link_bandwidth / technology.links.lane_rate,
        dies=design.dies,
        white_silicon=design.white_silicon,
        scale_up_domain=design.scale_up_domain,
        chips=design.chips,
    )
