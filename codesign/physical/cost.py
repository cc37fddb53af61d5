"""What a design costs to buy and to run."""

import dataclasses

import equinox as eqx
import jax.numpy as jnp

from codesign.hardware.design import Design
from codesign.hardware.technology import Economics, Technology
from codesign.numerics.curvature import Curvature, declares
from codesign.numerics.fields import Real
from codesign.numerics.ties import at_least, at_most, greater, lesser
from codesign.physical.area import interposer_area, layers, pool_layers, pool_ports, stacks
from codesign.physical.latency import sync_floor, tiers
from codesign.physical.wafer import die_price


class Cost(eqx.Module):
    """Price of one chip's share of the system, by part [USD].

    ``chip`` parts (logic, memory, package) are bills of materials; the vendor's markup applies to
    their sum. ``memory`` holds the chip's share of a pool too. ``spares`` are machines that stand
    by and chips that replace failed ones; ``development`` is this chip's share of what its design
    cost, 0 where the technology has none.
    """

    logic: Real
    memory: Real
    package: Real
    margin: Real
    network: Real
    server: Real
    spares: Real
    facility: Real
    development: Real

    @property
    def bill_of_materials(self) -> Real:
        """Logic, memory and package of one chip [USD]."""
        return self.logic + self.memory + self.package

    @property
    def equipment(self) -> Real:
        """One chip with its share of network, server and spares [USD]."""
        return self.bill_of_materials + self.margin + self.network + self.server + self.spares

    @property
    def capital(self) -> Real:
        """Equipment, facility and development [USD]."""
        return self.equipment + self.facility + self.development


CAPITAL_PARTS = tuple(field.name for field in dataclasses.fields(Cost))
"""Names of the parts of a chip's share of the capital, in the order in which they are told."""


@declares(
    Curvature.CONVEX,
    design__sync_latency=(1e-6, 1e-4),
)
def sync_price(design: Design, technology: Technology) -> Real:
    """Price of low latency, rising without limit towards the floor: c / (latency − floor) per chip
    [USD].

    Below the floor no price buys it: the slack is held at a thousandth of the floor, and the limit
    on latency is violated.
    """
    links = technology.links
    floor = sync_floor(design.chips, design.scale_up_domain, links)
    slack = greater(design.sync_latency - floor, 1e-3 * floor)
    return links.sync_price / slack


def cost(design: Design, technology: Technology, silicon: Real, chip_power: Real) -> Cost:
    """Capital of one chip's share of the system by part [USD].

    Args:
        design: the machine.
        technology: prices.
        silicon: logic area of a package, all dies [m²].
        chip_power: provisioned power of one chip [W].
    """
    die = die_price(technology.logic, silicon / design.dies)
    return priced(design, technology, silicon, chip_power, die, sync_price(design, technology))


@declares(
    Curvature.CONVEX,
    design__memory_bandwidth=(1e11, 1e14),
    design__memory_capacity=(1e9, 1e13),
    design__link_bandwidth=(1e9, 1e13),
    design__pool_bandwidth=(1e9, 1e13),
    design__pool_capacity=(1e9, 1e13),
    silicon=(1e-5, 5e-3),
    chip_power=(1.0, 1e4),
    die=(1.0, 1e5),
    low_latency=(1.0, 1e6),
)
def priced(
    design: Design,
    technology: Technology,
    silicon: Real,
    chip_power: Real,
    die: Real,
    low_latency: Real,
) -> Cost:
    """``cost`` with the prices of a die and of low latency given [USD].

    Affine, with coefficients ≥ 0, in memory bandwidth, capacity, link bandwidth, silicon, power and
    both prices: the two terms that are not posynomials stand outside, which is what the proofs of
    ``search`` need. Scale-up links are paid once a tier of switches: a larger domain costs each
    chip more.
    """
    packaging, memory, links, pool = (
        technology.packaging,
        technology.memory,
        technology.links,
        technology.pool,
    )
    logic = design.dies * die
    dram = (
        stacks(design, technology) * memory.stack_price
        + layers(design, technology) * memory.layer_price
    )
    dram = (
        dram
        + pool_ports(design, technology) * pool.stack_price
        + pool_layers(design, technology) * pool.layer_price
    )
    package = (
        packaging.area_price * interposer_area(design, technology, silicon)
        + packaging.assembly_price
    )
    package = package + packaging.multi_die_price * at_most(design.dies - 1.0, 1.0)
    joined = tiers(lesser(design.chips, design.scale_up_domain), links.radix)
    network = (
        links.price * design.link_bandwidth * joined
        + links.scale_out_price * design.scale_out_bandwidth
        + low_latency
    )
    economics = technology.economics
    chip = economics.chip_markup * (logic + dram + package)
    server = economics.server_price + technology.cooling.price
    return Cost(
        logic=logic,
        memory=dram,
        package=package,
        margin=(economics.chip_markup - 1.0) * (logic + dram + package),
        network=network,
        server=server,
        spares=(economics.spares - 1.0) * (chip + network + server)
        + (economics.replacements - 1.0) * chip,
        facility=economics.facility_price * chip_power * economics.power_overhead,
        development=development_price(technology)
        * chip_power
        * economics.power_overhead
        * economics.pue,
    )


def development_price(technology: Technology) -> Real:
    """Development cost per provisioned watt of the fleet that bears it [USD/W].

    A fleet of P watts has P/p chips of p watts each, facility included, so a chip bears
    (masks + design + IP + software)·p/P: linear in power, and log-convex as power is.

    >>> from hardware_priors import technology
    >>> world = technology("N3", stated={"development.fleet_power": 1e9})
    >>> round(float(development_price(world)), 3)
    0.665
    """
    development = technology.development
    if development is None:
        return jnp.zeros_like(technology.economics.pue)
    return development.total / development.fleet_power


@declares(Curvature.CONVEX, cost_of_capital=(1e-11, 3e-8))
def annuity(cost_of_capital: Real, life: Real) -> Real:
    """Payment per second that pays back one dollar over its life at continuous interest: r / (1 −
    e^(−r·life)) [1/s].

    u/(1 − e^(−u)) is log-convex; r → 0 gives 1/life.
    """
    u = cost_of_capital * life
    safe = at_least(u, 1e-4)
    return jnp.where(u < 1e-4, 1.0 + u / 2.0 + u**2 / 12.0, safe / -jnp.expm1(-safe)) / life


@declares(
    Curvature.CONVEX,
    chips=(1.0, 1e4),
    mean_power=(1.0, 1e7),
)
def running_cost(cost: Cost, chips: Real, mean_power: Real, economics: Economics) -> Real:
    """What the machine costs per second: capital paid back with interest, and energy at the meter
    [USD/s]. Development is paid back over the life of the servers: the next ones are other chips.

    Args:
        cost: price of one chip's share.
        chips: number of chips.
        mean_power: power that all chips draw on average while they work [W].
        economics: lives, interest, energy price.
    """
    own = cost.equipment + cost.development
    equipment = own * annuity(economics.cost_of_capital, economics.life)
    facility = cost.facility * annuity(economics.cost_of_capital, economics.facility_life)
    energy = mean_power * economics.power_overhead * economics.pue * economics.electricity_price
    return chips * (equipment + facility) + energy * economics.utilisation
