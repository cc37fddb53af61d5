"""Power that must be provisioned, and energy that a step takes."""

import equinox as eqx

from codesign.hardware.design import Design
from codesign.hardware.technology import Technology
from codesign.numerics.curvature import Curvature, declares
from codesign.numerics.fields import Real
from codesign.physical.area import layers, precision_ratio


def flop_energy(technology: Technology, compute_bits: Real) -> Real:
    """Energy of one matrix FLOP at a precision [J/FLOP]."""
    logic = technology.logic
    return logic.matrix_energy * precision_ratio(compute_bits, logic.energy_ratio_8bit, logic.energy_ratio_4bit)


def byte_energy(technology: Technology) -> Real:
    """Energy of a byte from memory: it is read there, written to on-chip SRAM and read again by the matrix unit [J/B]."""
    return technology.memory.access_energy + 2.0 * technology.logic.sram_energy


@declares(
    Curvature.CONVEX,
    design__memory_capacity=(1e9, 1e13),
    design__link_bandwidth=(1e9, 1e13),
    silicon=(1e-5, 5e-3),
)
def static_power(design: Design, technology: Technology, silicon: Real) -> Real:
    """Power of one chip that does nothing: leakage, DRAM refresh, links that never sleep [W]."""
    refresh = layers(design, technology) * technology.memory.layer_power
    return technology.logic.leakage * silicon + refresh + technology.links.idle_power * design.link_bandwidth


@declares(
    Curvature.CONVEX,
    design__memory_bandwidth=(1e11, 1e14),
    design__memory_capacity=(1e9, 1e13),
    design__peak_flops=(1e13, 1e17),
    design__link_bandwidth=(1e9, 1e13),
    silicon=(1e-5, 5e-3),
)
def peak_power(design: Design, technology: Technology, silicon: Real, compute_bits: Real) -> Real:
    """Power of one chip with matrix units, memory and links all at their peaks [W].

    An upper bound on what a rating must cover: P = e_f·F + (e_m + 2·e_SRAM)·B + links + leakage·A; a byte from memory is
    written to SRAM once and read once.
    """
    matrix = flop_energy(technology, compute_bits) * design.peak_flops
    memory = byte_energy(technology) * design.memory_bandwidth
    wire = (technology.links.energy - technology.links.idle_power) * design.link_bandwidth
    return matrix + memory + wire + static_power(design, technology, silicon)


class Work(eqx.Module):
    """What one step moves and computes on the mean chip."""

    flops: Real  # [FLOP]
    memory_bytes: Real  # [B] from main memory or a pool
    on_chip_bytes: Real  # [B] weights that stay in SRAM
    wire_bytes: Real  # [B]


@declares(
    Curvature.CONVEX,
    work__flops=(1e9, 1e16),
    work__memory_bytes=(1e6, 1e13),
    work__wire_bytes=(1e3, 1e12),
)
def dynamic_energy(work: Work, technology: Technology, compute_bits: Real) -> Real:
    """Energy of one step on one chip beyond its static power [J]."""
    matrix = flop_energy(technology, compute_bits) * work.flops
    wire = (technology.links.energy - technology.links.idle_power) * work.wire_bytes
    resident = technology.logic.sram_energy * work.on_chip_bytes
    return matrix + byte_energy(technology) * work.memory_bytes + resident + wire


@declares(Curvature.MONOMIAL, chip_peak=(1.0, 1e4), chips=(1.0, 1e4))
def provisioned_power(chip_peak: Real, chips: Real, technology: Technology) -> Real:
    """Facility power to be provisioned: chips at their peak, host and conversion, cooling [W]."""
    economics = technology.economics
    return chip_peak * chips * economics.power_overhead * economics.pue
