"""Where the chiplets of a package should stand: cool, close together, on the interposer and apart.

    minimise  max_i soft_i / allowed_i + λ Σ_s b_s gap_s / Σ_s b_s + penalty

``soft_i`` is the smoothed hottest spot of a chiplet above the coolant, allowed for logic and memory
apart; gap_s the wire from a stack to the nearest die, edge to edge along both axes, b_s its
bandwidth, and of each die to the next one in turn; the penalty is quadratic in what overlaps or
stands out. Positions move by Adam from several starts at once, each gradient one adjoint solve; not
convex, so nothing is proved: the best of all starts is a local optimum.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from codesign.numerics.fields import Real
from codesign.numerics.ties import at_least
from codesign.numerics.units import MILLIMETRE
from codesign.physical.package.chiplets import Heat, Package, heat

CELLS = (24, 28)
"""Grid on which positions are searched; what is found is judged on a finer one."""
APART, TOUCHING = 5e-4, 5e-5
"""Distance that the penalty asks for, and the least that counts as apart [m]."""
STRICT = 1e3
"""Weight of the square of an intrusion, in mm² of a pair and in mm beyond the interposer."""
SOFTLY = 0.1
"""The same weight for annealing, which has to pass through what overlaps."""
RATE, SCATTER = 0.4, 4.0
"""First step of Adam and scatter of starts [mm]."""


class Allowed(NamedTuple):
    """What a placement may use."""

    logic: float  # [K] above the coolant
    memory: float  # [K]
    wire: float = 0.02  # [1/mm] λ: share of the allowed rise that a millimetre of wire is worth


class Placed(NamedTuple):
    """A placement and what it is worth."""

    positions: Float[Array, "chiplets 2"]  # [m]
    value: float  # [1] minimised, penalty included
    wire: float  # [m] mean length of a wire
    legal: bool  # whether nothing overlaps and nothing stands out
    evaluations: int  # solves of the heat equation


def gaps(package: Package, positions: Float[Array, "chiplets 2"]) -> Float[Array, "chiplets"]:
    """Wire of each chiplet: of a stack to the nearest die, of a die to the nearest one before it,
    edge to edge along both axes; 0 of the first die [m]."""
    parts = package.chiplets
    sizes = jnp.stack([parts.width, parts.height], axis=1)
    clear = jnp.abs(positions[:, None] - positions[None]) - 0.5 * (sizes[:, None] + sizes[None])
    apart = jnp.sum(at_least(clear, 0.0), axis=2)
    place = jnp.arange(len(parts.power))
    before = (parts.memory[None, :] == 0.0) & (place[None, :] < place[:, None])
    nearest = jnp.min(jnp.where(before, apart, jnp.inf), axis=1)
    return jnp.where(place == 0, 0.0, nearest)


def mean_wire(package: Package, positions: Float[Array, "chiplets 2"]) -> Real:
    """Mean length of a wire, by bandwidth [m]."""
    parts = package.chiplets
    weight = parts.bandwidth.at[0].set(0.0)
    wired = jnp.sum(weight * jnp.where(weight > 0, gaps(package, positions), 0.0))
    return wired / at_least(jnp.sum(weight), 1.0)


def intrusion(
    package: Package, positions: Float[Array, "chiplets 2"], apart: Real
) -> tuple[Real, Real]:
    """What is closer than ``apart``: of each pair the product of the ways, along both axes, that
    would part it [m²]; and the way that each chiplet stands beyond the interposer [m]."""
    parts = package.chiplets
    sizes = jnp.stack([parts.width, parts.height], axis=1)
    near = (
        0.5 * (sizes[:, None] + sizes[None]) + apart - jnp.abs(positions[:, None] - positions[None])
    )
    shared = jnp.prod(at_least(near, 0.0), axis=2)
    pairs = jnp.triu(shared, k=1)
    board = jnp.stack([package.width, package.height])
    return pairs, at_least(jnp.abs(positions) + 0.5 * sizes - 0.5 * board[None], 0.0)


def is_legal(package: Package, positions: Float[Array, "chiplets 2"]) -> bool:
    """Whether chiplets are apart and on the interposer."""
    pairs, beyond = intrusion(package, positions, TOUCHING)
    return bool(jnp.max(pairs) <= 0.0) and bool(jnp.max(beyond) <= 0.0)


def hotness(package: Package, found: Heat, allowed: Allowed) -> Real:
    """Hottest chiplet over what is allowed for its kind, smoothed spots [1]."""
    limit = jnp.where(package.chiplets.memory > 0, allowed.memory, allowed.logic)
    used = found.soft / limit
    return used[jnp.argmax(used)]


def objective(
    package: Package, positions: Float[Array, "chiplets 2"], allowed: Allowed, strict: Real
) -> Real:
    """What a placement minimises [1]; see the module."""
    pairs, beyond = intrusion(package, positions, APART)
    penalty = jnp.sum((pairs / MILLIMETRE**2) ** 2) + jnp.sum((beyond / MILLIMETRE) ** 2)
    wire = allowed.wire * mean_wire(package, positions) / MILLIMETRE
    return hotness(package, heat(package, positions, CELLS), allowed) + wire + strict * penalty


@jax.jit
def _value(package: Package, positions: Array, allowed: Allowed, strict: Array) -> Real:
    return objective(package, positions, allowed, strict)


@functools.partial(jax.jit, static_argnums=3)
def _descend(package: Package, starts: Array, allowed: Allowed, steps: int) -> Array:
    """Positions of each start after so many steps of Adam; the penalty hardens on the way."""
    optimiser = optax.adam(optax.cosine_decay_schedule(RATE, steps, 0.02))
    ramp = jnp.asarray(STRICT * np.geomspace(1e-6, 1.0, steps))

    def one(start: Array) -> Array:
        def step(state, strict):
            places, memory = state
            slope = jax.grad(lambda at: objective(package, at * MILLIMETRE, allowed, strict))
            change, memory = optimiser.update(slope(places), memory)
            moved: Array = optax.apply_updates(places, change)  # pyright: ignore[reportAssignmentType]
            return (moved, memory), None

        places = start / MILLIMETRE
        (places, _), _ = jax.lax.scan(step, (places, optimiser.init(places)), ramp)
        return places * MILLIMETRE

    return jax.lax.map(one, starts)


def place(
    package: Package,
    start: Float[Array, "chiplets 2"],
    allowed: Allowed,
    *,
    starts: int = 4,
    steps: int = 150,
    seed: int = 0,
) -> Placed:
    """Move the chiplets of a package to where it is coolest and its wires short.

    Args:
        package: what is placed; its interposer stays as large as it is.
        start: a first placement; the others scatter about it [m].
        allowed: rises, and what a millimetre of wire is worth.
        starts, steps: of Adam.
        seed: of the scatter.

    Returns:
        The best legal placement, the first one included: at worst it is returned.
    """
    draws = np.random.default_rng(seed).normal(size=(starts, *np.shape(start)))
    draws[0] = 0.0
    with jax.numpy_dtype_promotion("standard"):  # Optax counts its steps in integers
        moved = _descend(
            package, start[None] + SCATTER * MILLIMETRE * jnp.asarray(draws), allowed, steps
        )
    spent = starts * (2 * steps + 1) + 1
    offers = [start, *moved]
    return best_of(package, offers, allowed, spent)


def best_of(package: Package, offers: list[Array], allowed: Allowed, spent: int) -> Placed:
    """The best legal one of some placements; the first where none is."""
    values = [float(_value(package, each, allowed, jnp.asarray(0.0))) for each in offers]
    legal = [is_legal(package, each) for each in offers]
    ranked = sorted(range(len(offers)), key=lambda k: (not legal[k], values[k]))
    best = ranked[0] if any(legal) else 0
    at = offers[best]
    return Placed(at, values[best], float(mean_wire(package, at)), legal[best], spent)


def anneal(
    package: Package,
    start: Float[Array, "chiplets 2"],
    allowed: Allowed,
    evaluations: int,
    seed: int = 0,
) -> Placed:
    """The same by simulated annealing (``scipy.optimize.dual_annealing`` without local search).

    Args:
        package, start, allowed: as for ``place``.
        evaluations: solves of the heat equation to spend.
        seed: of its draws.
    """  # fmt: skip
    from scipy.optimize import dual_annealing

    board = 0.5 * np.array([float(package.width), float(package.height)])
    sizes = np.stack([package.chiplets.width, package.chiplets.height], axis=1) / 2.0
    room = (board - sizes).ravel()
    best: tuple[float, Array] = (np.inf, start)
    spent = 0

    def value(at: np.ndarray) -> float:
        nonlocal best, spent
        spent += 1
        where = jnp.asarray(at.reshape(-1, 2))
        worth = float(_value(package, where, allowed, jnp.asarray(SOFTLY)))
        if worth < best[0] and is_legal(package, where):
            best = worth, where
        return worth

    dual_annealing(
        value, list(zip(-room, room, strict=True)), maxfun=evaluations, no_local_search=True,
        x0=np.asarray(start).ravel(), rng=np.random.default_rng(seed),
    )  # fmt: skip
    return best_of(package, [start, best[1]], allowed, spent)
