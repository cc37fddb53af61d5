"""Silicon: area of the parts, stacks at the edge, and how much edge there is.

Every term is a posynomial in the design's quantities, or a maximum of two; see
``numerics.curvature`` for what that is worth.
"""

import equinox as eqx
import jax.numpy as jnp

from codesign.hardware.design import Design
from codesign.hardware.technology import Technology
from codesign.numerics.curvature import Curvature, declares
from codesign.numerics.fields import Real
from codesign.numerics.ties import at_least, greater


def precision_ratio(bits: Real, at_8_bit: Real, at_4_bit: Real) -> Real:
    """A quantity relative to its value at 16 bit, log-log interpolated between 16, 8 and 4 bit and
    held beyond [1].

    >>> import jax.numpy as jnp
    >>> round(float(precision_ratio(jnp.array(8.0), jnp.array(2.0), jnp.array(4.0))), 6)
    2.0
    """
    halvings = 4.0 - jnp.log2(
        bits
    )  # 0 at 16 bit, 1 at 8 bit, 2 at 4 bit; at each of them the derivative is from more bits
    first = jnp.where(bits >= 16.0, 0.0, jnp.where(bits >= 8.0, halvings, 1.0))
    second = jnp.where(bits >= 8.0, 0.0, jnp.where(bits >= 4.0, halvings - 1.0, 1.0))
    return jnp.exp(first * jnp.log(at_8_bit) + second * (jnp.log(at_4_bit) - jnp.log(at_8_bit)))


class Area(eqx.Module):
    """Silicon of one package by part, all dies together [m²]."""

    core: Real
    sram: Real
    memory_interface: Real
    links: Real
    die_to_die: Real
    fixed: Real
    unmodelled: Real
    white: Real

    @property
    def total(self) -> Real:
        """Silicon of one package [m²]."""
        parts = (
            self.core
            + self.sram
            + self.memory_interface
            + self.links
            + self.die_to_die
            + self.fixed
        )
        return parts + self.unmodelled + self.white


def stacks(design: Design, technology: Technology) -> Real:
    """Memory stacks of one chip, fractional: bandwidth over that of a stack [1]."""
    return design.memory_bandwidth / technology.memory.stack_bandwidth


def layers(design: Design, technology: Technology) -> Real:
    """DRAM layers of one chip, all stacks together, fractional [1]."""
    return design.memory_capacity / technology.memory.layer_capacity


def pool_ports(design: Design, technology: Technology) -> Real:
    """Ports of one chip to the memory pool, fractional: bandwidth over that of a port [1]."""
    return design.pool_bandwidth / technology.pool.stack_bandwidth


def pool_layers(design: Design, technology: Technology) -> Real:
    """One chip's share of the pool, in layers of it, fractional [1]."""
    return design.pool_capacity / technology.pool.layer_capacity


@declares(Curvature.MONOMIAL, design__peak_flops=(1e13, 1e17), design__clock=(0.1, 4.0))
def core_area(design: Design, technology: Technology, compute_bits: Real) -> Real:
    """Matrix units with their registers and L1: F / (ρ · gain of the precision · clock) [m²]."""
    logic = technology.logic
    gain = precision_ratio(compute_bits, logic.density_gain_8bit, logic.density_gain_4bit)
    unit = (
        1e-15  # a derivative squares what divides; unscaled, 1e18 FLOP/s/m² squared leaves float32
    )
    return (unit * design.peak_flops) / (unit * logic.matrix_density * gain * design.clock)


@declares(Curvature.CONVEX, design__sram_capacity=(1e6, 1e10), design__sram_bandwidth=(1e12, 1e15))
def sram_area(design: Design, technology: Technology) -> Real:
    """On-chip SRAM: the larger of what its bytes and what its ports and wires take, max(S/σ,
    bandwidth/β) [m²]."""
    logic = technology.logic
    return greater(
        design.sram_capacity / logic.sram_density,
        design.sram_bandwidth / logic.sram_bandwidth_density,
    )


@declares(
    Curvature.CONVEX,
    design__memory_bandwidth=(1e11, 1e14),
    design__peak_flops=(1e13, 1e17),
    design__link_bandwidth=(1e9, 1e13),
    design__sram_capacity=(1e6, 1e10),
    design__pool_bandwidth=(1e9, 1e13),
    design__clock=(0.1, 4.0),
)
def area(design: Design, technology: Technology, compute_bits: Real) -> Area:
    """Area of one package's logic silicon by part [m²].

    A = (core + SRAM + stacks · PHY + pool ports · PHY + links + die-to-die + fixed) / (1 −
    overhead), the form of LLMCompass (ISCA 2024, §V) with lumped coefficients. Where main memory is
    the on-chip SRAM itself (``Memory.staged`` = 0), the two are the same silicon and the larger
    counts: what exceeds main memory is entered as ``sram``.
    """
    logic, memory = technology.logic, technology.memory
    core = core_area(design, technology, compute_bits)
    main = stacks(design, technology) * memory.phy_area
    sram = at_least(sram_area(design, technology) - (1.0 - memory.staged) * main, 0.0)
    interface = main + pool_ports(design, technology) * technology.pool.phy_area
    links = design.link_bandwidth * technology.links.area
    die_to_die = (design.dies - 1.0) * technology.packaging.die_to_die_area
    fixed = logic.fixed_area * design.dies
    modelled = core + sram + interface + links + die_to_die + fixed
    share = logic.overhead_fraction
    unmodelled = modelled * share / (1.0 - share)
    return Area(
        core, sram, interface, links, die_to_die, fixed, unmodelled, white=design.white_silicon
    )


@declares(Curvature.MONOMIAL, silicon=(1e-5, 5e-3))
def usable_edge(design: Design, technology: Technology, silicon: Real) -> Real:
    """Edge that memory and links may take: dies of equal squares in a row, less what assembly and
    power need [m].

    The outline of d squares of side a in a row is 2(d + 1)·a; edges between dies belong to the
    die-to-die links.
    """
    side = jnp.sqrt(silicon / design.dies)
    return technology.packaging.usable_edge * 2.0 * (design.dies + 1.0) * side


@declares(
    Curvature.CONVEX,
    design__memory_bandwidth=(1e11, 1e14),
    design__link_bandwidth=(1e9, 1e13),
    design__pool_bandwidth=(1e9, 1e13),
)
def needed_edge(design: Design, technology: Technology) -> Real:
    """Edge taken by memory stacks, by ports of a pool and by scale-up links [m]."""
    memory = (
        stacks(design, technology) * technology.memory.edge
        + pool_ports(design, technology) * technology.pool.edge
    )
    return memory + design.link_bandwidth / technology.links.edge_density


@declares(
    Curvature.CONVEX,
    design__memory_bandwidth=(1e11, 1e14),
    design__pool_bandwidth=(1e9, 1e13),
    silicon=(1e-5, 5e-3),
)
def interposer_area(design: Design, technology: Technology, silicon: Real) -> Real:
    """Interposer of one package: a little more than the silicon and the stacks that stand on it
    [m²].

    Args:
        design: for its stacks and its ports to a pool.
        technology: their footprints, and the interposer's area over what it carries.
        silicon: logic area of the package, all dies [m²].
    """
    stacked = stacks(design, technology) * technology.memory.footprint
    stacked = stacked + pool_ports(design, technology) * technology.pool.footprint
    return technology.packaging.area_ratio * (silicon + stacked)
