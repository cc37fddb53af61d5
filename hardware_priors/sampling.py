"""Whole technologies drawn from the ranges of the priors, and projected along the trends.

A lognormal fact has its value as the median and low and high as the 5 % and 95 % quantiles, with a
spread of its own on each side (ranges from sources are rarely symmetric). A triangular fact has its
value as the mode and low and high as the ends. Facts of one ``group`` are drawn from one standard
normal: the memory prices of a draw are all high or all low together.
"""

import zlib
from typing import Unpack

import jax
import jax.numpy as jnp
from jax.scipy.stats import norm
from jaxtyping import Array, Float

from codesign.hardware.technology import Technology
from codesign.numerics.fields import Real, units_of
from hardware_priors.choices import Names
from hardware_priors.leaves import PARTS, checked_utilisation
from hardware_priors.prior import Prior, lookup, names
from hardware_priors.quantities import unit
from hardware_priors.technologies import assemble, technology_priors

NORMAL_QUANTILE_95 = 1.6448536269514722
"""Standard normal quantile at 95 %: low and high of a lognormal lie this many spreads from the
median."""

BASE_YEAR = 2026
"""The year that the nominal technology stands for, unless a prior says otherwise."""


def quantile(prior: Prior, z: Float[Array, "..."]) -> Real:
    """The value of a fact, in its own unit, at a standard normal deviate ``z``.

    >>> price = Prior("x", "price", 10, 5, 40, "USD", 2026, "a page", "B", "lognormal")
    >>> [round(float(quantile(price, jnp.asarray(z))), 2) for z in (-1.6448536, 0.0, 1.6448536)]
    [5.0, 10.0, 40.0]
    """
    value, low, high = prior.value, prior.low, prior.high
    if prior.distribution == "fixed" or low == high:
        return jnp.full_like(z, value)
    if prior.distribution == "lognormal":
        below, above = (
            jnp.log(ratio) / NORMAL_QUANTILE_95 for ratio in (value / low, high / value)
        )
        return value * jnp.exp(z * jnp.where(z < 0, below, above))
    share, width = norm.cdf(z), high - low
    rising = low + jnp.sqrt(share * width * (value - low))
    falling = high - jnp.sqrt((1 - share) * width * (high - value))
    return jnp.where(share * width < value - low, rising, falling)


def _deviates(key: Array, word: str, shape: tuple[int, ...]) -> Float[Array, "..."]:
    """Normal deviates of a key and a word alone, so that two technologies share what they have in
    common."""
    return jax.random.normal(
        jax.random.fold_in(key, zlib.crc32(word.encode())), shape, dtype=jnp.result_type(float)
    )


def _in_si(prior: Prior, value: Real) -> Real:
    """Convert a drawn value with the factor and offset of its unit."""
    known = unit(prior.unit)
    return value * known.factor + known.offset


def sample_technologies(
    key: Array, n: int, utilisation: float | None = None, **choices: Unpack[Names]
) -> Technology:
    """``n`` technologies drawn from the ranges, as one with a leading batch axis of ``n`` on every
    leaf.

    Args:
        key: JAX random key; the same key gives the same technologies, and the same draws of what
            two of them share.
        n: how many, ≥ 1.
        utilisation: fixed for all draws when given [1].
        choices: ``node``, ``memory``, ``link``, ``cooling``, ``price_basis``, ``packaging``, as in
            ``technology``.

    Raises:
        ValueError: fewer than one draw, or an unknown choice.

    >>> drawn = sample_technologies(jax.random.key(0), 5, memory="HBM3E")
    >>> drawn.memory.layer_price.shape
    (5,)
    """
    if n < 1:
        raise ValueError(f"n = {n!r}: expected at least one draw")
    leaves: dict[str, object] = {}
    for leaf, prior in technology_priors(**choices).items():
        leaves[leaf] = _in_si(prior, quantile(prior, _deviates(key, prior.group or leaf, (n,))))
    if utilisation is not None:
        leaves["economics.utilisation"] = jnp.full((n,), checked_utilisation(utilisation))
    return assemble(leaves)


def growth_priors() -> dict[str, Prior]:
    """The yearly growth of every leaf that has a trend, by leaf.

    >>> growth_priors()["memory.stack_bandwidth"].value
    1.275
    """
    leaves = {f"{part}.{leaf}" for part, module in PARTS.items() for leaf in units_of(module)}
    return {
        name: lookup("trends", name, "growth_per_year")
        for name in names("trends")
        if name in leaves
    }


def projected(
    technology: Technology, year: float, key: Array | None = None, base_year: float = BASE_YEAR
) -> Technology:
    """A technology as the trends have it in another year, earlier or later.

    Leaves without a trend stay. The node, memory and link keep their names but not their numbers,
    so project *or* choose a later generation, not both: HBM4 projected to 2029 is what the trend of
    HBM promises, not a product.

    Args:
        technology: nominal, or a batch from :func:`sample_technologies`.
        year: may be fractional.
        key: draws the growth from its range, per element of the batch; the nominal growth when
            None.
        base_year: the year that ``technology`` stands for.

    >>> from hardware_priors.technologies import technology
    >>> now = technology()
    >>> bool(projected(now, 2028).memory.stack_bandwidth == now.memory.stack_bandwidth * 1.275**2)
    True
    """
    leaves: dict[str, object] = {
        f"{part}.{leaf}": getattr(getattr(technology, part), leaf)
        for part, module in PARTS.items()
        for leaf in units_of(module)
    }
    for leaf, growth in growth_priors().items():
        now = jnp.asarray(leaves[leaf])
        deviates = (
            jnp.zeros(now.shape)
            if key is None
            else _deviates(key, f"growth of {growth.group or leaf}", now.shape)
        )
        leaves[leaf] = now * (quantile(growth, deviates) ** (year - base_year)).astype(now.dtype)
    return assemble(leaves)
