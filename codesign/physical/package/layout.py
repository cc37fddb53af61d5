"""From a design to the chiplets of its package, and the layout that people draw by hand."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.optimize import root_scalar

from codesign.hardware.design import Design
from codesign.hardware.technology import Technology
from codesign.numerics.fields import Real
from codesign.physical import area as areas
from codesign.physical.package.chiplets import Assembly, Chiplets, Package, heat
from codesign.physical.power import flop_energy, peak_power

GAP = 5e-4
"""Between neighbouring chiplets of a layout drawn by hand [m]."""

_heat = jax.jit(heat, static_argnums=2)


def package_of(
    design: Design,
    technology: Technology,
    assembly: Assembly,
    compute_bits: float = 8.0,
    *,
    power: float | None = None,
    stacks: int | None = None,
) -> tuple[Package, Float[Array, "chiplets 2"]]:
    """Lay out the package of a design by hand: dies in a row, stacks along both long edges.

    Each die is a square of an equal share of the silicon; its matrix units make their heat in a
    square of their own area in the middle, everything else evenly. A stack makes what its bytes and
    its refresh take, PHY included. Memory without a footprint on the package (bonded to the logic,
    on the board) makes its heat in the dies, as in ``physical.thermal``. The interposer has the
    area of ``area.interposer_area``, in the proportions of the layout, and at least encloses it.

    Args:
        design: concrete numbers; dies and stacks are rounded to whole ones.
        technology: densities, energies, outlines.
        assembly: what stands around the chiplets.
        compute_bits: width of the matrix arithmetic [bit].
        power: of the package, all heat scaled to it; ``power.peak_power`` unless told [W].
        stacks: number of them; bandwidth over that of a stack unless told.

    Returns:
        The package, and centres of its chiplets from the middle, dies first, shape (chiplets, 2)
        [m].

    >>> import codesign, hardware_priors
    >>> b200 = hardware_priors.device("b200")
    >>> world = hardware_priors.technology_of(b200)
    >>> package, centres = package_of(
    ...     b200.design(1), world, hardware_priors.assembly(), power=1000.0, stacks=8
    ... )
    >>> centres.shape, round(float(package.chiplets.power.sum()))
    ((10, 2), 1000)
    """
    bits = jnp.asarray(float(compute_bits))
    silicon = areas.area(design, technology, bits)
    dies = max(1, round(float(design.dies)))
    memory = technology.memory
    beside = float(memory.footprint) > 0
    count = 0
    if beside:
        count = stacks or max(1, round(float(areas.stacks(design, technology))))
    total = float(peak_power(design, technology, silicon.total, bits))
    matrix = float(flop_energy(technology, bits, design.clock) * design.peak_flops)
    refresh = float(areas.layers(design, technology) * memory.layer_power)
    stacked = (float(memory.access_energy * design.memory_bandwidth) + refresh) if beside else 0.0
    side = math.sqrt(float(silicon.total) / dies)
    edge, depth = (float(memory.edge), float(memory.footprint / memory.edge)) if beside else (1, 1)
    scale = 1.0 if power is None else power / total

    def both(of_die: float, of_stack: float) -> Array:
        return jnp.asarray([of_die] * dies + [of_stack] * count, jnp.result_type(float))

    chiplets = Chiplets(
        width=both(side, edge),
        height=both(side, depth),
        power=scale * both((total - stacked) / dies, stacked / max(count, 1)),
        core_share=both(matrix / (total - stacked), 0.0),
        core_scale=both(math.sqrt(float(silicon.core / silicon.total)), 1.0),
        memory=both(0.0, 1.0),
        bandwidth=both(
            float(design.memory_bandwidth) / 2.0, float(design.memory_bandwidth) / max(count, 1)
        ),
    )
    centres = _by_hand(dies, side, count, edge, depth)
    reach = [
        2.0 * float(np.max(np.abs(centres[:, k]) + 0.5 * np.asarray(size))) + 2.0 * GAP
        for k, size in enumerate((chiplets.width, chiplets.height))
    ]
    asked = float(areas.interposer_area(design, technology, silicon.total))
    grown = max(1.0, math.sqrt(asked / (reach[0] * reach[1])))
    return Package(chiplets, assembly, reach[0] * grown, reach[1] * grown), jnp.asarray(centres)


def _by_hand(dies: int, side: float, stacks: int, edge: float, depth: float) -> np.ndarray:
    """Dies in a row, stacks above and below it, those that find no room there at its ends."""
    row = dies * side + (dies - 1) * GAP
    along = max(1, int((row + GAP + edge) // (edge + GAP)))  # half a stack may stand out
    places = [((k + 0.5 - dies / 2.0) * (side + GAP), 0.0) for k in range(dies)]
    above = min(along, (stacks + 1) // 2)
    below = min(along, stacks - above)
    out = 0.5 * (side + depth) + GAP
    for count, y in ((above, out), (below, -out)):
        places += [((k + 0.5 - count / 2.0) * (edge + GAP), y) for k in range(count)]
    beside = stacks - above - below
    for k in range(beside):  # turned, which hardly shows: a stack is nearly a square
        x = 0.5 * (row + edge) + GAP
        y = (k // 2 + 0.5 - (beside + 1) // 2 / 2.0) * (depth + GAP)
        places.append((x if k % 2 else -x, y))
    return np.asarray(places)


def calibrate_film(
    assembly: Assembly,
    resistance: Real,
    package: Package,
    positions: Float[Array, "chiplets 2"],
    cells: tuple[int, int] = (40, 48),
) -> Assembly:
    """Choose the film so that the mean logic of a reference package rises by R·P/A, as
    ``thermal.junction_rise`` says; hot spots come on top.

    Args:
        assembly: its film is a first guess.
        resistance: R, from junction to coolant, package power over logic area [K m²/W].
        package: the reference; its assembly is replaced.
        positions: of its chiplets [m].
        cells: rows and columns of the grid.

    Raises:
        ValueError: the lid and what lies below it resist more than R already.
    """
    parts = package.chiplets
    logic = (1.0 - parts.memory) * parts.width * parts.height
    wanted = float(resistance * jnp.sum(parts.power) / jnp.sum(logic))

    def mean(film: float) -> float:
        tried = dataclasses.replace(
            package, assembly=dataclasses.replace(assembly, film=jnp.asarray(film))
        )
        return float(jnp.sum(logic * _heat(tried, positions, cells).mean) / jnp.sum(logic))

    least, most = 1e-9, 1e-1
    if mean(least) >= wanted:
        raise ValueError(
            f"resistance = {float(resistance):.3g} K m²/W: the plates alone have"
            f" {mean(least) / wanted * float(resistance):.3g}; expected more"
        )
    ends = math.log(least), math.log(most)
    found = root_scalar(lambda log: mean(math.exp(log)) - wanted, bracket=ends, xtol=1e-6)
    return dataclasses.replace(assembly, film=jnp.asarray(math.exp(found.root)))
