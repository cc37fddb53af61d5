"""An outcome that nobody wants, for arguments outside their range."""

import dataclasses
from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp

from codesign.limits import Limits
from codesign.numerics.fields import Real, RealArray, Truth
from codesign.outcome import GAINS, Outcome

NOTHING = 1e-18
"""What a gain is at most where an argument is illegal, and one over what a cost is at least: finite
in single precision, with logarithm."""


Judged = TypeVar("Judged", bound=eqx.Module)


def spoiled(outcome: Judged, distance: Real) -> Judged:
    """The outcome as it is where ``distance`` is 0; elsewhere one that nobody wants.

    With b = ln(1 + distance), every limit is b > 0, every gain ``NOTHING`` / (1 + b), and every
    cost, time, area and byte one over that.
    """
    # all follows from one logarithm: XLA copies cheap operations into every loop that uses them,
    # but not that one
    beyond = jnp.log1p(
        jnp.where(distance <= 1.0 / NOTHING, distance, 1.0 / NOTHING)
    )  # NaN is far out too
    return _spoiled(
        outcome, beyond == 0.0, beyond, NOTHING / (1.0 + beyond), (1.0 + beyond) / NOTHING
    )


def _spoiled(
    outcome: Judged, good: Truth, limit: RealArray, gain: RealArray, cost: RealArray
) -> Judged:
    found = {}
    for field in dataclasses.fields(outcome):  # pyright: ignore[reportArgumentType]
        value = getattr(outcome, field.name)
        worst = (
            limit
            if isinstance(value, Limits) or field.name == "first_token"
            else gain
            if field.name in GAINS
            else cost
        )
        if isinstance(value, Outcome):
            found[field.name] = _spoiled(value, good, limit, gain, cost)
        else:
            found[field.name] = jax.tree.map(
                lambda leaf, worst=worst: jnp.where(good, leaf, worst.astype(leaf.dtype)), value
            )
    return dataclasses.replace(outcome, **found)  # pyright: ignore[reportArgumentType]
