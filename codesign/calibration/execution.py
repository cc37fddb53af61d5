"""From a profile to the execution of one device, engine and model, and the intervals that it
gives."""

import dataclasses
from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from codesign.calibration.calibrate import SPREAD
from codesign.calibration.fit import NORMAL_90
from codesign.calibration.layers import layer_keys, membership
from codesign.calibration.machine import Machine
from codesign.calibration.names import Engine, Formats
from codesign.calibration.profile import Profile
from codesign.numerics.compilation import SELDOM, compiled
from codesign.performance.calibrated_execution import Calibrated
from codesign.performance.kernel_coefficients import COEFFICIENTS

ANY_ENGINE = Engine("", "")
"""An engine that is not said: its offsets are unknown, and the intervals are as wide as that."""


def calibrated(
    profile: Profile, machine: Machine, bits: Formats, engine: Engine = ANY_ENGINE, model: str = ""
) -> Calibrated:
    """The execution that a profile gives a device, an engine and a model.

    Args:
        profile: fitted parameters.
        machine: the device; an unmeasured one inherits its architecture's, its vendor's or the
            generic coefficients.
        bits: formats of weights, cache and activations.
        engine: serving software; ``ANY_ENGINE`` where it is not said, its newest release where that
            is not.
        model: catalogue name.

    Returns:
        Coefficients with their covariance, the layers nobody measured included.
    """
    engine = dataclasses.replace(engine, release=engine.release or newest_release(profile, engine))
    members, unknown = membership(
        [layer_keys(machine, bits, engine, model)], profile.index, profile.spreads
    )
    covariance = profile.covariance_of(members[0]) + np.diag(unknown[0])
    logs = np.append(profile.mean, 0.0)[members[0]].sum(axis=1)
    residual = SPREAD["time_per_token"] * profile.noise.get("time_per_token", 1.0)
    rated = None if np.isnan(machine.rated_power) else machine.rated_power
    return Calibrated(jnp.asarray(logs), jnp.asarray(covariance), residual, rated)


def newest_release(profile: Profile, engine: Engine) -> str:
    """The newest half-year of an engine's releases that a profile knows; blank for none."""
    known = [
        name.rsplit("/", 1)[1]
        for name in profile.names
        if name.startswith(f"step_scale|release|{engine.variant}/")
    ]
    return max(known, default="")


def interval(
    outcome: Callable[..., Float[Array, " outcomes"]],
    execution: Calibrated,
    *arguments: object,
    coverage: float = NORMAL_90,
) -> tuple[Float[Array, " outcomes"], Float[Array, " outcomes"], Float[Array, " outcomes"]]:
    """Central 90 % intervals of positive outcomes of a calibrated execution, to first order in the
    logarithms.

    A measured time differs from the prediction by more than coefficients explain; that residual
    enters as a scale of the kernels' time, beside the scale that the profile fits. Slopes are those
    off the peaks (``off_the_peaks``), and an interval ends where the machine's peaks do.

    Args:
        outcome: positive outcomes of an execution and of ``arguments``; one function for many
            points is compiled once for them all.
        execution: coefficients and covariance.
        arguments: what else the outcomes depend on.
        coverage: half-width in standard deviations.

    Returns:
        Low, value and high of each outcome.
    """
    covariance = scaled_covariance(execution)

    value, peak, slopes = _with_slopes(outcome, execution, arguments)
    spread = jnp.sqrt(jnp.einsum("ok,kl,ol->o", slopes, covariance, slopes))
    low, high = value - coverage * spread, value + coverage * spread
    by_scale = slopes @ SCALES
    low = jnp.where(by_scale > 0, jnp.maximum(low, jnp.minimum(peak, value)), low)
    high = jnp.where(by_scale < 0, jnp.minimum(high, jnp.maximum(peak, value)), high)
    return jnp.exp(low), jnp.exp(value), jnp.exp(high)


SCALES = np.array([float(name in ("step_scale", "prefill_scale")) for name in COEFFICIENTS])
"""1 for the coefficients that are scales of a whole step, else 0."""


Logs = TypeVar("Logs", Array, np.ndarray)
"""Logarithms of coefficients, on the host or traced."""


def off_the_peaks(logs: Logs) -> Logs:
    """The same coefficients with scales that leave no kernel at its peak, where a scale would have
    no derivative: uncertainty of one is that of a slower step at the least."""
    below = 0.01 - logs
    return logs + SCALES * (0.5 * (below + abs(below)))


def _values_and_slopes(
    outcome: Callable[..., Array], execution: Calibrated, arguments: tuple[object, ...]
) -> tuple[Array, Array, Array]:
    """Logarithms of the outcomes, here and at the peaks, and their derivatives by the coefficients'
    logarithms off the peaks."""

    def logs_of(logs: Float[Array, " coefficients"]) -> Float[Array, " outcomes"]:
        return jnp.log(outcome(dataclasses.replace(execution, logs=logs), *arguments))

    logs = jnp.asarray(execution.logs)
    value, peak = jax.lax.map(logs_of, jnp.stack([logs, logs - 30.0 * SCALES]))
    return value, peak, jax.jacrev(logs_of)(off_the_peaks(logs))


# operation by operation it takes ten times as long
_with_slopes = compiled(SELDOM, static_argnums=(0,))(_values_and_slopes)


def scaled_covariance(
    execution: Calibrated,
) -> Float[Array | np.ndarray, "coefficients coefficients"]:
    """Covariance of the logarithms with the residual of a measured time as a scale of the kernels'
    [1]."""
    return execution.covariance + np.diag(SCALES) * execution.residual**2
