"""Coefficients of the physical model fitted to published figures: a maximum a posteriori in
standard deviates.

A free coefficient multiplies one or more leaves of a technology by exp(z · spread); its prior is
the range of its row, low and high being the 5 % and 95 % quantiles. What is minimised is Σ (ln
predicted − ln published)² / σ² + Σ z², so a coefficient that no figure speaks of stays at its prior
(z = 0).
"""

import dataclasses
import functools
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from codesign.hardware.design import Design
from codesign.hardware.technology import Technology
from codesign.numerics.fields import Real, RealArray
from codesign.physical.area import area
from codesign.physical.cost import priced
from codesign.physical.power import peak_power
from codesign.physical.wafer import die_price
from hardware_priors.prior import Prior
from hardware_priors.sampling import NORMAL_QUANTILE_95

QUANTITIES = ("area", "power", "bill of materials")
"""What is predicted of a device, in this order, in m^2, W and USD."""


@dataclasses.dataclass(frozen=True)
class Coefficient:
    """One free coefficient: what it multiplies, and the prior whose relative range it has."""

    name: str
    leaves: tuple[str, ...]
    """``"logic.leakage"``; ``"scratchpad"`` is the SRAM density of devices whose SRAM software
    manages"""
    prior: Prior
    nodes: tuple[str, ...] = ()
    """processes that it holds for; all when empty"""

    @property
    def spread(self) -> tuple[float, float]:
        """Standard deviations of the logarithm below and above the nominal value [1]."""
        below, above = (
            np.log(self.prior.value / self.prior.low),
            np.log(self.prior.high / self.prior.value),
        )
        return float(below / NORMAL_QUANTILE_95), float(above / NORMAL_QUANTILE_95)


class Machine(eqx.Module):
    """One device as the model sees it: its design and technology, and the dies below its compute
    dies if there are any."""

    design: Design
    technology: Technology
    base: Technology
    base_dies: (
        Real  # [1] dies that carry memory interface, cache and links; 0 where all dies are equal
    )


def silicon(machine: Machine, compute_bits: float = 16.0) -> tuple[Real, Real]:
    """Logic area of the compute dies and of the dies below them [m²].

    Equal dies hold everything. Where compute dies stand on base dies, the matrix units are above,
    memory interface, cache and links below, each in its own process; the joint between them is a
    bond and takes no die edge.
    """
    stacked = jnp.where(machine.base_dies > 0.0, 1.0, 0.0)
    flat = 1.0 - stacked
    above = eqx.tree_at(
        lambda d: (d.memory_bandwidth, d.sram_capacity, d.sram_bandwidth, d.link_bandwidth),
        machine.design,
        replace_fn=lambda leaf: leaf * flat,
    )
    bonded = eqx.tree_at(
        lambda t: t.packaging.die_to_die_area,
        machine.technology,
        replace_fn=lambda leaf: leaf * flat,
    )
    below = eqx.tree_at(
        lambda d: (d.peak_flops, d.dies),
        machine.design,
        (jnp.zeros_like(machine.design.peak_flops), machine.base_dies),
    )
    bits = jnp.asarray(compute_bits, machine.design.peak_flops.dtype)
    return area(above, bonded, bits).total, stacked * area(below, machine.base, bits).total


def outcomes(machine: Machine, compute_bits: float = 16.0) -> RealArray:
    """Area [m²], peak power [W] and bill of materials [USD] of one device; shape (3,).

    Stacked compute dies take no interposer area: they stand on the base dies, which do.
    """
    above, below = silicon(machine, compute_bits)
    design, technology = machine.design, machine.technology
    total = jnp.asarray(above + below)
    bits = jnp.asarray(compute_bits, total.dtype)
    power = peak_power(design, technology, total, bits)
    dies = jnp.maximum(machine.base_dies, 1.0)
    floor = jnp.maximum(below, 1e-6)  # a die of 1 mm^2 where there is none, priced at nothing
    base = jnp.where(
        machine.base_dies > 0.0, dies * die_price(machine.base.logic, floor / dies), 0.0
    )
    logic = design.dies * die_price(technology.logic, above / design.dies) + base
    on_interposer = jnp.where(machine.base_dies > 0.0, below, above)
    bill = priced(
        design, technology, on_interposer, power, logic / design.dies, jnp.zeros_like(total)
    ).bill_of_materials
    return jnp.stack([total, power, bill])


def _leaf(technology: Technology, path: str) -> Real:
    part, leaf = path.split(".")
    return getattr(getattr(technology, part), leaf)


class Model(eqx.Module):
    """Devices side by side, and which free coefficient touches which of them."""

    machines: Machine  # leaves have a leading axis of devices
    above: (
        Real  # (devices, coefficients): 1 where a coefficient holds for the compute dies' process
    )
    below: Real  # the same for the base dies' process
    spread: RealArray  # (coefficients, 2)
    leaves: tuple[tuple[str, ...], ...] = eqx.field(static=True)

    def log_outcomes(self, deviates: RealArray) -> RealArray:
        """ln of area, power and bill of materials at these standard deviates; (devices, 3)."""
        steps = deviates * jnp.where(deviates < 0.0, self.spread[:, 0], self.spread[:, 1])

        def one(machine: Machine, above: Real, below: Real) -> RealArray:
            moved = dataclasses.replace(
                machine,
                technology=self._scaled(machine.technology, steps * above),
                base=self._scaled(machine.base, steps * below),
            )
            return jnp.log(outcomes(moved))

        return jax.vmap(one)(self.machines, self.above, self.below)

    def _scaled(self, technology: Technology, steps: RealArray) -> Technology:
        for step, paths in zip(steps, self.leaves, strict=True):
            for path in paths:
                technology = eqx.tree_at(
                    functools.partial(_leaf, path=path),
                    technology,
                    replace_fn=lambda leaf, step=step: leaf * jnp.exp(step),
                )
        return technology


_predict = jax.jit(Model.log_outcomes)
_slopes = jax.jit(jax.jacfwd(Model.log_outcomes, argnums=1))


def side_by_side(
    machines: Sequence[Machine],
    nodes: Sequence[tuple[str, str]],
    scratchpads: Sequence[bool],
    free: Sequence[Coefficient],
) -> Model:
    """Put devices into one model.

    Args:
        machines: one per device.
        nodes: process of its compute dies and of its base dies.
        scratchpads: whether software manages its SRAM.
        free: the coefficients to be fitted.
    """

    def touches(coefficient: Coefficient, node: str, scratchpad: bool) -> float:
        if coefficient.leaves == ("scratchpad",):
            return float(scratchpad)
        return float(not coefficient.nodes or node in coefficient.nodes)

    def mask(side: int) -> jax.Array:
        rows = zip(nodes, scratchpads, strict=True)
        return jnp.asarray([[touches(one, node[side], pad) for one in free] for node, pad in rows])

    leaves = tuple(
        ("logic.sram_density",) if one.leaves == ("scratchpad",) else one.leaves for one in free
    )
    stacked = jax.tree.map(lambda *items: jnp.stack(items), *machines)
    return Model(stacked, mask(0), mask(1), jnp.asarray([one.spread for one in free]), leaves)


def predicted(model: Model, deviates: np.ndarray) -> np.ndarray:
    """Area [m²], power [W] and bill of materials [USD] of every device; (devices, 3)."""
    return np.exp(np.asarray(_predict(model, jnp.asarray(deviates))))


def fitted(model: Model, published: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """The deviates of highest posterior density.

    Args:
        model: devices.
        published: their figures in the units of ``predicted``; NaN where none counts. Shape
            (devices, 3).
        sigma: standard deviation of the logarithm of each figure about the model.
    """
    from scipy.optimize import least_squares

    known = np.isfinite(published)
    target, weight = np.log(published[known]), 1.0 / sigma[known]
    count = len(model.leaves)

    def residuals(z: np.ndarray) -> np.ndarray:
        return np.concatenate(
            [(np.asarray(_predict(model, jnp.asarray(z)))[known] - target) * weight, z]
        )

    def slopes(z: np.ndarray) -> np.ndarray:
        return np.concatenate(
            [np.asarray(_slopes(model, jnp.asarray(z)))[known] * weight[:, None], np.eye(count)]
        )

    return least_squares(residuals, np.zeros(count), jac=slopes, method="trf").x  # pyright: ignore[reportArgumentType]
