"""Power that must be provisioned, and energy that a step takes."""

import equinox as eqx

from codesign.hardware.design import Design
from codesign.hardware.technology import Technology
from codesign.numerics.curvature import Curvature, declares
from codesign.numerics.fields import Real
from codesign.physical.area import layers, pool_layers, precision_ratio
from codesign.physical.voltage import energy_ratio


def flop_energy(technology: Technology, compute_bits: Real, clock: Real | float = 1.0) -> Real:
    """Energy of one matrix FLOP at a precision and at a clock over the nominal one [J/FLOP]."""
    logic = technology.logic
    ratio = precision_ratio(compute_bits, logic.energy_ratio_8bit, logic.energy_ratio_4bit)
    return logic.matrix_energy * ratio * energy_ratio(clock, logic)


def byte_energy(technology: Technology) -> Real:
    """Energy of a byte from main memory: read there, written to on-chip SRAM and read again by the
    matrix unit [J/B].

    Where main memory is that SRAM (``Memory.staged`` = 0), it is read once. SRAM, memory and links
    have supplies of their own, which do not follow the clock of the matrix units.
    """
    return (
        technology.memory.access_energy
        + 2.0 * technology.memory.staged * technology.logic.sram_energy
    )


def pool_byte_energy(technology: Technology) -> Real:
    """Energy of a byte from the memory pool, staged in on-chip SRAM as ``byte_energy`` says
    [J/B]."""
    return (
        technology.pool.access_energy + 2.0 * technology.pool.staged * technology.logic.sram_energy
    )


@declares(
    Curvature.CONVEX,
    design__memory_capacity=(1e9, 1e13),
    design__link_bandwidth=(1e9, 1e13),
    design__pool_capacity=(1e9, 1e13),
    design__clock=(0.1, 4.0),
    silicon=(1e-5, 5e-3),
)
def static_power(design: Design, technology: Technology, silicon: Real) -> Real:
    """Power of one chip that does nothing: leakage, refresh of its memory and of its share of a
    pool, links never asleep [W].

    Leakage falls with the supply voltage, see ``voltage.energy_ratio``.
    """
    refresh = layers(design, technology) * technology.memory.layer_power
    refresh = refresh + pool_layers(design, technology) * technology.pool.layer_power
    leakage = technology.logic.leakage * energy_ratio(design.clock, technology.logic) * silicon
    return leakage + refresh + technology.links.idle_power * design.link_bandwidth


@declares(Curvature.CONVEX, design__peak_flops=(1e13, 1e17), clock=(0.1, 4.0))
def busy_power(
    design: Design, technology: Technology, compute_bits: Real, clock: Real | float = 1.0
) -> Real:
    """Power that a chip at work draws at a clock whether or not its matrix units have work [W].

    Clocks, control and register files switch on: a share κ of e_f·(V/V₀)²·F·c/x, F the peak rate at
    the design's clock x.
    """
    peak = flop_energy(technology, compute_bits, clock) * design.peak_flops
    return technology.logic.ungated_share * peak * clock / design.clock


@declares(
    Curvature.CONVEX,
    design__memory_bandwidth=(1e11, 1e14),
    design__memory_capacity=(1e9, 1e13),
    design__peak_flops=(1e13, 1e17),
    design__link_bandwidth=(1e9, 1e13),
    design__pool_bandwidth=(1e9, 1e13),
    design__pool_capacity=(1e9, 1e13),
    design__clock=(0.1, 4.0),
    silicon=(1e-5, 5e-3),
)
def peak_power(design: Design, technology: Technology, silicon: Real, compute_bits: Real) -> Real:
    """Power of one chip with matrix units, memory and links all at their peaks [W].

    An upper bound on what a rating must cover: P = e_f·(V/V₀)²·F + (e_m + 2·e_SRAM)·B + pool +
    links + leakage·(V/V₀)²·A; a byte from memory is written to SRAM once and read once.
    """
    matrix = flop_energy(technology, compute_bits, design.clock) * design.peak_flops
    memory = (
        byte_energy(technology) * design.memory_bandwidth
        + pool_byte_energy(technology) * design.pool_bandwidth
    )
    wire = (technology.links.energy - technology.links.idle_power) * design.link_bandwidth
    return matrix + memory + wire + static_power(design, technology, silicon)


class Work(eqx.Module):
    """What one step moves and computes on the mean chip."""

    flops: Real  # [FLOP]
    memory_bytes: Real  # [B] from main memory
    on_chip_bytes: Real  # [B] weights that stay in SRAM
    wire_bytes: Real  # [B]
    pool_bytes: Real  # [B] from a memory pool


@declares(
    Curvature.CONVEX,
    work__flops=(1e9, 1e16),
    work__memory_bytes=(1e6, 1e13),
    work__wire_bytes=(1e3, 1e12),
    work__pool_bytes=(1e3, 1e13),
    clock=(0.1, 4.0),
)
def dynamic_energy(
    work: Work, technology: Technology, compute_bits: Real, clock: Real | float = 1.0
) -> Real:
    """Energy of one step on one chip beyond its static and its busy power [J].

    Args:
        work: what the step computes and moves.
        technology: energies at the nominal clock.
        compute_bits: width of the matrix arithmetic [bit].
        clock: at which it runs, over the nominal one [1].
    """
    hot, cold = step_energies(work, technology, compute_bits)
    return hot * energy_ratio(clock, technology.logic) + cold


def step_energies(work: Work, technology: Technology, compute_bits: Real) -> tuple[Real, Real]:
    """Energy of one step on one chip at the nominal clock beyond its static and its busy power:
    matrix arithmetic, which follows the clock, and everything else [J]."""
    wire = (technology.links.energy - technology.links.idle_power) * work.wire_bytes
    resident = technology.logic.sram_energy * work.on_chip_bytes
    memory = (
        byte_energy(technology) * work.memory_bytes + pool_byte_energy(technology) * work.pool_bytes
    )
    product = flop_energy(technology, compute_bits) * (1.0 - technology.logic.ungated_share)
    return product * work.flops, memory + resident + wire


@declares(Curvature.MONOMIAL, rated=(1.0, 1e4), chips=(1.0, 1e4))
def provisioned_power(rated: Real, chips: Real, technology: Technology) -> Real:
    """Facility power to be provisioned: what chips may draw, host and conversion, cooling [W]."""
    economics = technology.economics
    return rated * chips * economics.power_overhead * economics.pue
