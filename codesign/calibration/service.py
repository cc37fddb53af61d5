"""From coefficients and features to what was measured: a pure function of the logarithms of the
coefficients.

With T the decode step, P the time of a prompt at the token budget, B the sequences that decode and
O the output length:

- time per token, prefills interleaved: T + interference · B/O · P, since each of the B sequences
  that ends after O tokens makes room for one prompt;
- time to first token: host + prompt alone + half a step + queue · concurrency · P; the median has a
  queue of its own, for in a closed loop all requests start at once and those that come later meet
  few others;
- throughput at B by Little's law: concurrency · O / (time to first token + O · time per token);
- static batch: all prompts, then O steps;
- power: idle + energy of bytes and operations over the step, capped at the rating.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from codesign.calibration.features import Features, StepWork
from codesign.numerics.fields import Real
from codesign.performance.calibrated import ChipRates, collective_times, kernel_times, mean_power
from codesign.performance.kernel_coefficients import Coefficients, from_logs

QUANTITIES = (
    "decode",
    "interleaved",
    "time_to_first_token",
    "static",
    "static_throughput",
    "throughput",
    "max_load",
    "end_to_end",
    "static_end_to_end",
    "power",
    "energy",
    "prompt",
    "disaggregated_throughput",
    "running",
    "prefill",
    "median_to_first_token",
)
"""What ``predict`` returns, in order, as natural logarithms of SI values; ``running`` is the share
of the requests in flight that decode, ``prefill`` the time of a prompt at the token budget."""


ROWS = 1024
"""Rows are padded to a multiple of this."""


def step_seconds(
    work: StepWork, rates: ChipRates, c: Coefficients, scale: Real = 1.0
) -> Float[Array, ""]:
    """Kernels and collectives of a step in an engine of a scale [s]; the better of one-shot and
    two-shot for each all-reduce."""
    kernels = jnp.sum(kernel_times(work.kernels, rates, c, scale).operators)
    one, two = (
        sum(collective_times(each, c, scale).seconds(rates.sync_latency, rates.link))
        for each in (work.one_shot, work.two_shot)
    )
    return kernels + jnp.sum(jnp.minimum(one, two))


def predict(logs: Float[Array, " coefficients"], f: Features) -> Float[Array, " quantities"]:
    """Logarithms of all quantities of one configuration.

    Args:
        logs: logarithms of the coefficients that hold for it.
        f: its features (no leading axis).

    Returns:
        Natural logarithms in the order of ``QUANTITIES`` [s, 1/s, W, J].
    """
    c = from_logs(logs)
    each_group = f.batch / f.groups
    decode = (
        step_seconds(f.decode, f.rates, c, c.step_scale)
        + c.host_step
        + c.host_sequence * each_group
    )
    alone = step_seconds(f.prompt, f.rates, c, c.prefill_scale)
    budget = step_seconds(f.budget, f.rates, c, c.prefill_scale) / f.together
    in_flight = f.batch + f.waiting
    interleaved = decode + c.interference * f.batch / f.output * budget
    wait = (
        f.waiting / jnp.maximum(f.batch, 1.0) * f.output * interleaved
    )  # requests that do not fit wait for others to end
    ready = c.first_token + alone + 0.5 * decode
    first, median = (
        ready + c.queue * in_flight * budget,
        ready + c.queue_median * in_flight * budget,
    )
    throughput = in_flight * f.output / (first + wait + f.output * interleaved)
    prompts = jnp.maximum(alone, f.batch * budget) + c.first_token
    rounds = in_flight / f.batch
    static_total = rounds * (prompts + f.output * decode)
    disaggregated = f.batch / decode
    running = f.output * interleaved / (first + f.output * interleaved)
    max_load = f.batch * f.output / (f.output * decode + f.batch * budget)
    power = _power(f, c, decode, interleaved)
    energy = power * f.chips * interleaved / f.batch
    values = jnp.stack(
        [
            decode,
            interleaved,
            first + wait,
            static_total / f.output,
            in_flight * f.output / static_total,
            throughput,
            max_load,
            first + wait + f.output * interleaved,
            static_total,
            power,
            energy,
            alone + c.first_token,
            disaggregated,
            running,
            budget,
            median + wait,
        ]
    )
    return jnp.log(values)


def _power(f: Features, c: Coefficients, decode: Real, interleaved: Real) -> Real:
    """Mean power of a chip: idle, and the energy of a step and of the prefills between steps,
    capped at the rating [W]."""
    share = c.interference * f.batch / f.output / f.together
    moved = jnp.sum(f.decode.kernels.bytes) + share * jnp.sum(f.budget.kernels.bytes)
    flops = jnp.sum(f.decode.kernels.flops) + share * jnp.sum(f.budget.kernels.flops)
    rated = jnp.where(f.rated_power > 0, f.rated_power, 700.0)
    return mean_power(moved, flops / f.width_product, interleaved, rated, c)


_predict_rows = jax.jit(jax.vmap(predict))
_read_rows = jax.jit(
    jax.vmap(jax.value_and_grad(lambda logs, f, quantity: predict(logs, f)[quantity]))
)


def predict_rows(
    logs: Float[Array, "rows coefficients"], f: Features
) -> Float[Array, "rows quantities"]:
    """``predict`` for every row."""
    return _predict_rows(*_padded(logs, f))[: len(logs)]


def reader(
    f: Features, configuration: np.ndarray, quantity: np.ndarray
) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """What was measured of configurations, as a function of their coefficients.

    Args:
        f: features (configurations,).
        configuration: of each row (rows,).
        quantity: of each row, by its place in ``QUANTITIES`` (rows,).

    Returns:
        Logarithms of the coefficients (configurations, coefficients) → logarithms of the quantities
        (rows,) and their derivatives by the coefficients (rows, coefficients).
    """
    asked, place = np.unique(np.stack([configuration, quantity]), axis=1, return_inverse=True)
    of, which = asked[:, _up_to_rows(asked.shape[1])]
    features, index = jax.tree.map(lambda leaf: jnp.asarray(leaf)[of], f), jnp.asarray(which)

    def read(logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        values, slopes = _read_rows(jnp.asarray(logs[of]), features, index)
        return np.asarray(values)[place.ravel()], np.asarray(slopes)[place.ravel()]

    return read


def _padded(
    logs: Float[Array, "rows coefficients"], f: Features
) -> tuple[Float[Array, "padded coefficients"], Features]:
    """The same with the last row repeated up to a multiple of ``ROWS``, so that fits to parts of
    the rows share compiled programs."""
    at = _up_to_rows(len(logs))
    return jax.tree.map(lambda leaf: leaf[at], (logs, f))


def _up_to_rows(count: int) -> np.ndarray:
    """Positions of so many rows, the last repeated up to a multiple of ``ROWS``."""
    return np.minimum(np.arange(-(-count // ROWS) * ROWS), count - 1)
