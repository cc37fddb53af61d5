"""Whether a package stays within its temperatures with hot spots, and within its bow."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from codesign.hardware.technology import Technology
from codesign.numerics.fields import Real
from codesign.physical.package.chiplets import CELLS, Assembly, Package, heat
from codesign.physical.package.placement import Allowed
from codesign.physical.thermal import junction_rise
from codesign.physical.warpage import warpage


class Judgement(NamedTuple):
    """A package against its limits; rises are above the coolant."""

    logic: float  # [K] hottest spot of the logic
    memory: float  # [K] hottest spot of the stacks, 0 without any
    logic_band: float  # [K] half of a 90 % band over the assembly's ranges
    memory_band: float  # [K]
    even_logic: float  # [K] R·P/A of physical.thermal, without hot spots
    even_memory: float  # [K]
    allowed: Allowed  # [K]
    bow: float  # [m]
    bow_most: float  # [m]

    @property
    def within(self) -> bool:
        """Whether both temperatures are allowed, nominally."""
        return self.logic <= self.allowed.logic and self.memory <= self.allowed.memory

    @property
    def sure(self) -> bool:
        """Whether the answer is the same over the whole band."""
        sides = (
            self.allowed.logic - self.logic - self.logic_band,
            self.allowed.memory - self.memory - self.memory_band,
        )
        over = (
            self.logic - self.allowed.logic - self.logic_band,
            self.memory - self.allowed.memory - self.memory_band,
        )
        return min(sides) >= 0 or max(over) >= 0


def allowed_rises(technology: Technology) -> Allowed:
    """What logic and memory may rise above the coolant [K]."""
    cooling = technology.cooling
    return Allowed(
        float(cooling.logic_temperature - cooling.coolant_temperature),
        float(cooling.memory_temperature - cooling.coolant_temperature),
    )


def _hottest(
    logs: Assembly, package: Package, positions: Array, cells: tuple[int, int]
) -> tuple[Array, Array]:
    """Hottest logic and memory, of the logarithms of an assembly; twice, for a Jacobian."""
    around = jax.tree.map(jnp.exp, logs)
    found = heat(dataclasses.replace(package, assembly=around), positions, cells)
    stacks = package.chiplets.memory > 0
    kinds = [jnp.where(stacks == kind, found.hottest, 0.0) for kind in (False, True)]
    # by place: XLA may compute a value anew, and a maximum that equals none has no derivative
    rises = jnp.stack([each[jnp.argmax(each)] for each in kinds])
    return rises, rises


_sloped = jax.jit(jax.jacrev(_hottest, has_aux=True), static_argnums=3)


def judge(
    package: Package,
    positions: Float[Array, "chiplets 2"],
    technology: Technology,
    spread: Assembly | None = None,
    cells: tuple[int, int] = CELLS,
) -> Judgement:
    """Judge a package by the hottest spots of its chiplets and by its bow.

    The band is of first order: √Σ (∂T/∂ln θ · w)² over the quantities θ of the assembly, each
    gradient from one adjoint solve; the power is taken as given.

    Args:
        package, positions: what is judged [m].
        technology: what is allowed, and the even rise to compare with.
        spread: w, half of the logarithm of high over low of each quantity of the assembly; no band
            without it [1].
        cells: rows and columns of the grid.

    >>> import hardware_priors
    >>> from codesign.physical.package.layout import package_of
    >>> b200 = hardware_priors.device("b200")
    >>> world = hardware_priors.technology_of(b200)
    >>> laid = package_of(b200.design(1), world, hardware_priors.assembly(), power=1000.0)
    >>> found = judge(*laid, world)
    >>> found.within, found.logic > found.even_logic
    (True, True)
    """
    logs = jax.tree.map(jnp.log, package.assembly)
    slopes, rises = _sloped(logs, package, positions, cells)
    band = jnp.zeros(2)
    if spread is not None:
        parts = jax.tree.map(lambda slope, width: (slope * width) ** 2, slopes, spread)
        band = jnp.sqrt(sum(jax.tree.leaves(parts), start=jnp.zeros(2)))
    chiplets = package.chiplets
    logic = jnp.sum((1.0 - chiplets.memory) * chiplets.width * chiplets.height)
    even = float(junction_rise(jnp.sum(chiplets.power), logic, technology.cooling))
    return Judgement(
        *(float(rise) for rise in rises),
        *(float(each) for each in band),
        even_logic=even,
        even_memory=even * float(technology.memory.thermal_coupling),
        allowed=allowed_rises(technology),
        bow=float(warpage(package.width * package.height, technology.packaging)),
        bow_most=float(technology.packaging.warpage_most),
    )


def power_at_limit(found: Judgement, power: Real) -> float:
    """Largest power at which both temperatures are allowed, as rises are proportional to it [W]."""
    shares = [
        limit / rise
        for rise, limit in (
            (found.logic, found.allowed.logic),
            (found.memory, found.allowed.memory),
        )
        if rise > 0
    ]
    return float(power) * min(shares)
