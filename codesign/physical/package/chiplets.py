"""Dies and stacks on an interposer under a lid, and how hot each of them becomes.

A footprint has edges of finite steepness, so that temperatures have gradients by position: of a box
from l to r, a cell from a to b is covered by

    (s / (b − a)) [f(b − l) − f(a − l) − f(b − r) + f(a − r)],  f(u) = ln(1 + exp(u / s)),

the mean of σ((x − l)/s) − σ((x − r)/s) over the cell; s → 0 is the box itself. Heat is dealt by
coverage over its sum, so none is lost. The plates are interposer, chiplets in mould, lid.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from codesign.numerics.fields import Quantity, RealArray, quantity
from codesign.numerics.ties import at_least
from codesign.physical.package.conduction import Plates, temperatures

CELLS = (40, 48)
"""Rows and columns of the grid unless told."""
SOFT = 0.02
"""Temperature of the smoothed hottest spot that a search follows [1]."""


class Chiplets(eqx.Module):
    """Dies and stacks of one package, leaves of shape (chiplets,).

    A chiplet makes ``core_share`` of its heat in the middle, in a box ``core_scale`` times as wide
    and high, and the rest evenly. A die makes its heat at the underside, a stack part of it
    (``Assembly.stack_base_share``) and the rest through its thickness. ``bandwidth`` is what a
    stack sends to the dies.
    """

    width: Float[Array, "chiplets"] = quantity("m", "along a row of the grid")
    height: Float[Array, "chiplets"] = quantity("m", "along a column of the grid")
    power: Float[Array, "chiplets"] = quantity("W", "heat made")
    core_share: Float[Array, "chiplets"] = quantity("1", "share of it made in the core")
    core_scale: Float[Array, "chiplets"] = quantity("1", "side of the core over the chiplet's")
    memory: Float[Array, "chiplets"] = quantity("1", "1 a memory stack, 0 logic")
    bandwidth: Float[Array, "chiplets"] = quantity("B/s", "of a stack; of a die to the next one")


class Assembly(eqx.Module):
    """What stands around the chiplets, and how heat leaves."""

    interposer_thickness: Quantity = quantity("m", "of the interposer")
    interposer_conductivity: Quantity = quantity(
        "W/m/K", "of the interposer, alike in all directions"
    )
    chiplet_thickness: Quantity = quantity("m", "of dies and stacks")
    die_conductivity: Quantity = quantity("W/m/K", "of a logic die")
    stack_lateral: Quantity = quantity("W/m/K", "of a memory stack in its plane")
    stack_vertical: Quantity = quantity("W/m/K", "of a memory stack across its layers")
    stack_base_share: Quantity = quantity("1", "share of a stack's heat made in its base die")
    mould_conductivity: Quantity = quantity("W/m/K", "between chiplets and beside the interposer")
    bump_resistance: Quantity = quantity("K m^2/W", "bumps and underfill below the chiplets")
    interface_resistance: Quantity = quantity("K m^2/W", "from chiplets to the lid")
    lid_thickness: Quantity = quantity(
        "m", "of the lid, or of the channel plate bonded in its place"
    )
    lid_conductivity: Quantity = quantity("W/m/K", "of the lid")
    lid_margin: Quantity = quantity("m", "lid beyond the interposer, each side")
    film: Quantity = quantity("K m^2/W", "from the lid to the coolant, its interface included")


class Package(eqx.Module):
    """Chiplets, what is around them, and the interposer that they stand on."""

    chiplets: Chiplets
    assembly: Assembly
    width: Quantity = quantity("m", "of the interposer, along a row of the grid")
    height: Quantity = quantity("m", "of the interposer, along a column of the grid")


class Heat(NamedTuple):
    """Temperatures of a package above the coolant."""

    rise: Float[Array, "rows columns"]  # [K] of the undersides
    hottest: Float[Array, "chiplets"]  # [K] of each chiplet
    mean: Float[Array, "chiplets"]  # [K]
    soft: Float[Array, "chiplets"]  # [K] hottest, smoothed; at most the hottest


def _edges(size: RealArray, cells: int) -> RealArray:
    return size * (jnp.arange(cells + 1, dtype=jnp.result_type(float)) / cells - 0.5)


def _covered(
    edges: RealArray, middle: RealArray, size: RealArray, steepness: RealArray
) -> RealArray:
    """Shares of cells that lie between middle ± size/2, shape (boxes, cells)."""
    ends = middle[:, None] + 0.5 * size[:, None] * jnp.array([[-1.0, 1.0]])
    below = jax.nn.softplus((edges[None, :, None] - ends[:, None, :]) / steepness)
    return steepness * jnp.diff(below[:, :, 0] - below[:, :, 1], axis=1) / jnp.diff(edges)[None]


def coverage(
    package: Package,
    positions: Float[Array, "boxes 2"],
    width: Float[Array | np.ndarray, "boxes"],
    height: Float[Array | np.ndarray, "boxes"],
    cells: tuple[int, int],
) -> Float[Array | np.ndarray, "boxes rows columns"]:
    """Share of each cell of the lid's grid that each box covers [1].

    Args:
        package: for the size of its lid; edges are a quarter of a cell steep.
        positions: centres from the middle of the interposer, x then y [m].
        width, height: of the boxes [m].
        cells: rows and columns.
    """
    sizes = lid(package)
    along, across = (
        _covered(
            _edges(size, count), positions[:, k], extent, 0.25 * size / count
        )
        for k, (size, count, extent) in enumerate(
            zip(sizes, (cells[1], cells[0]), (width, height), strict=True)
        )
    )  # fmt: skip
    return across[:, :, None] * along[:, None, :]


def lid(package: Package) -> tuple[RealArray, RealArray]:
    """Width and height of the lid [m]."""
    beyond = 2.0 * package.assembly.lid_margin
    return package.width + beyond, package.height + beyond


def heat(
    package: Package, positions: Float[Array, "chiplets 2"], cells: tuple[int, int] = CELLS
) -> Heat:
    """Temperatures of all chiplets of a package above the coolant.

    The underside is the hottest: what is made there, flux q, crosses half the thickness t to the
    cell's centre, and adds q·t/2k to its temperature; heat made evenly through the thickness, whose
    profile is a parabola, adds nothing (Fourier's law in one dimension).

    Args:
        package: chiplets and assembly.
        positions: centres from the middle of the interposer, x then y [m].
        cells: rows and columns of the grid over the lid.

    Returns:
        The map of the undersides and the temperatures of each chiplet [K].
    """
    plates, made, based, covered = _plates(package, positions, cells)
    rise = temperatures(plates, made)[1]
    below = 0.5 * plates.thickness[1] / plates.vertical[1]
    active = rise + based / (plates.cell_width * plates.cell_height) * below
    total = jnp.sum(covered, axis=(1, 2))
    inside = jnp.where(covered > 0.5, active[None], 0.0)
    spots = jnp.argmax(jnp.reshape(inside, (inside.shape[0], -1)), axis=1)
    weighed = covered / total[:, None, None]
    scale = jax.lax.stop_gradient(jnp.max(active))
    sharp = at_least(covered, 0.0) ** (1.0 / SOFT)  # leaves out cells that are only touched
    powered = jnp.sum(sharp * (active[None] / scale) ** (1.0 / SOFT), axis=(1, 2))
    soft = scale * (powered / jnp.sum(sharp, axis=(1, 2))) ** SOFT
    return Heat(
        rise=active,
        hottest=jnp.ravel(active)[spots],
        mean=jnp.sum(weighed * active[None], axis=(1, 2)),
        soft=soft,
    )


def _plates(
    package: Package, positions: Float[Array, "chiplets 2"], cells: tuple[int, int]
) -> tuple[Plates, RealArray, RealArray, RealArray]:
    """The plates, the heat made in each of their cells and at the undersides [W], and coverage by
    the chiplets."""
    parts, around = package.chiplets, package.assembly
    covered = coverage(package, positions, parts.width, parts.height, cells)
    core = coverage(
        package, positions, parts.core_scale * parts.width, parts.core_scale * parts.height, cells
    )
    share = parts.core_share[:, None, None]
    dealt = sum(
        part * boxes / jnp.sum(boxes, axis=(1, 2), keepdims=True)
        for part, boxes in ((1.0 - share, covered), (share, core))
    )
    stacks = parts.memory > 0
    of_each = parts.power[:, None, None] * dealt
    made = jnp.sum(of_each, axis=0)
    base_share = jnp.where(stacks, around.stack_base_share, 1.0)
    based = jnp.sum(base_share[:, None, None] * of_each, axis=0)

    def mixed(of_stack: RealArray) -> RealArray:
        own = jnp.where(stacks, of_stack, around.die_conductivity)
        over = own[:, None, None] - around.mould_conductivity
        return around.mould_conductivity + jnp.sum(over * covered, axis=0)

    whole = jnp.zeros((1, 2), covered.dtype)
    board = coverage(package, whole, package.width[None], package.height[None], cells)[0]
    board = around.mould_conductivity * (1.0 - board) + around.interposer_conductivity * board
    even = jnp.ones(cells, covered.dtype)
    sizes = lid(package)
    plates = Plates(
        thickness=jnp.stack(
            [around.interposer_thickness, around.chiplet_thickness, around.lid_thickness]
        ),
        lateral=jnp.stack([board, mixed(around.stack_lateral), around.lid_conductivity * even]),
        vertical=jnp.stack([board, mixed(around.stack_vertical), around.lid_conductivity * even]),
        contact=jnp.stack([around.bump_resistance * even, around.interface_resistance * even]),
        film=around.film,
        cell_width=sizes[0] / cells[1],
        cell_height=sizes[1] / cells[0],
    )
    none = jnp.zeros(cells, covered.dtype)
    return plates, jnp.stack([none, made, none]), based, covered
