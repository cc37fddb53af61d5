"""A maximum that a gradient search can see through."""

import jax.numpy as jnp

from codesign.numerics.fields import Real


def smooth_maximum(values: Real, temperature: Real, axis: int = 0) -> Real:
    """A p-norm of positive values with p = 1/temperature: at least their maximum, smooth, and
    log-convex where they are.

    With k values it exceeds the maximum by at most a factor k^temperature, so it tends to the
    maximum as the temperature → 0. Scale-free: it does not matter in which unit the values are.
    Zeros are allowed if one value is positive.

    Args:
        values: positive numbers of one unit.
        temperature: above 0; 0.05 exceeds the maximum of three values by at most 5.7 % [1].
        axis: axis over which to take the maximum.

    >>> import jax.numpy as jnp
    >>> float(smooth_maximum(jnp.array([3.0, 3.0]), jnp.array(0.1))) / 3.0 <= 2**0.1 * (1 + 1e-6)
    True
    """
    largest = jnp.max(values, axis=axis, keepdims=True)
    scale = jnp.where(largest > 0, largest, 1.0)
    ratio = values / scale
    positive = jnp.where(ratio > 0, ratio, 1.0)
    powered = jnp.where(ratio > 0, jnp.exp(jnp.log(positive) / temperature), 0.0)
    total = jnp.sum(powered, axis=axis)
    total = jnp.where(total > 0, total, 1.0)
    return jnp.squeeze(largest, axis) * jnp.exp(temperature * jnp.log(total))
