"""A number with its 90 % band over the priors, and the point of an axis where something changes
sign."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import codesign
import hardware_priors
from codesign.numerics.fields import Real, RealArray, Truth

DRAWS = 200
HALVINGS = 24  # of a log axis: six decades to a relative 1e-6


class Band(NamedTuple):
    """Nominal value, 5 % and 95 % quantile; None where the axis searched has no such point."""

    nominal: float | None
    low: float | None
    high: float | None


class Row(NamedTuple):
    """One row of the table."""

    question: str
    setting: str
    band: Band
    unit: str
    meaning: str


class Finding(NamedTuple):
    """The rows of one question, what they say together, and how they were computed."""

    rows: list[Row]
    summary: list[str]
    notes: list[str]


def technologies(seed: int, draws: int = DRAWS, **choices: Any) -> codesign.Technology:
    """The nominal technology first, then whole technologies drawn from the ranges; leaves of shape
    (draws + 1,)."""
    drawn = hardware_priors.sample_technologies(jax.random.key(seed), draws, **choices)
    nominal = hardware_priors.technology(**choices)
    return jax.tree.map(
        lambda first, rest: jnp.concatenate([jnp.reshape(first, (1,)).astype(rest.dtype), rest]),
        nominal,
        drawn,
    )


def band(values: Real) -> Band:
    """The band of values whose first is the nominal one; 0, infinity and NaN mean that there is no
    such point."""
    values = np.asarray(values, dtype=float)
    # whole draws, not interpolated: half-way to infinity is no number
    low, high = np.quantile(
        np.where(np.isnan(values[1:]), np.inf, values[1:]),
        [0.05, 0.95],
        method="closest_observation",
    )
    return Band(_known(values[0]), _known(low), _known(high))


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) and value > 0 else None


def certain(value: float) -> Band:
    """A count, on which no prior bears."""
    return Band(value, value, value)


def percent(meets: Truth) -> str:
    """The share of the draws for which something holds (the first entry is nominal, no draw), for a
    sentence: ``12 %``."""
    return f"{100 * np.mean(np.asarray(meets, dtype=float)[1:]):.0f} %"


def crossing(surplus: Callable[[RealArray], Real], low: float, high: float) -> RealArray:
    """Where a falling scalar ``surplus`` passes through zero between ``low`` and ``high`` > 0, by
    halving the log axis.

    0 where it is not positive at ``low`` (the crossing lies before), infinity where it still is at
    ``high``. The ends are tried in the same loop as the middles, so that ``surplus`` is compiled
    once.

    >>> import jax.numpy as jnp
    >>> round(float(crossing(lambda x: 3.0 - x, 0.1, 100.0)), 6)
    3.0
    """
    first, last = (jnp.asarray(math.log(end), dtype=jnp.result_type(float)) for end in (low, high))

    def halve(k: RealArray, ends: tuple[RealArray, RealArray]) -> tuple[RealArray, RealArray]:
        between = jnp.clip(0.5 * (ends[0] + ends[1]), first, last)
        middle = jnp.where(k == 0, first, jnp.where(k == 1, last, between))
        positive = surplus(jnp.exp(middle)) > 0
        return jnp.where(positive, middle, ends[0]), jnp.where(positive, ends[1], middle)

    # begins with both ends undecided: what the first two tries leave at infinity tells on which
    # side there is no crossing
    below, above = jax.lax.fori_loop(
        0, HALVINGS + 2, halve, (-jnp.inf * jnp.ones_like(first), jnp.inf * jnp.ones_like(first))
    )
    return jnp.where(
        jnp.isinf(below), 0.0, jnp.where(jnp.isinf(above), jnp.inf, jnp.exp(0.5 * (below + above)))
    )


def shown(value: Real | None, unit: str = "") -> str:
    """A number for a sentence, three digits."""
    if value is None:
        return "none"
    digits = f"{value:,.0f}" if value >= 1000 else f"{float(f'{value:.3g}'):g}"
    return f"{digits} {unit}".strip()


def with_band(given: Band, unit: str = "") -> str:
    """``5.1 (4.2–6.0) x``: a number with its band."""
    if given.low is not None and given.low == given.high:
        return shown(given.nominal, unit)
    ends = f"{shown(given.low) if given.low else '…'}–{shown(given.high) if given.high else '…'}"
    return f"{shown(given.nominal)} ({ends}) {unit}".strip()
