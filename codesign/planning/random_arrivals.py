"""How long users wait, beyond the mean: quantiles of the time to the first token, and of the time
per token, under Poisson arrivals.

An instance decodes all its sequences in every step. While prompts wait, each step also prefills one
chunk of the first of them. To prompts it is a server of constant service time S (all chunks of a
prompt, each with the decode step beside it) that takes a vacation (a decode step d without a chunk)
whenever it finds no prompt. The wait is then that of M/D/1 plus what is left of a vacation,
independent of each other (Fuhrmann, Cooper, "Stochastic decompositions in the M/G/1 queue with
generalized vacations", Oper. Res. 33, 1985):

- M/D/1: P(W ≤ t) = (1 − ρ) Σ_{j ≤ t/S} (−λ(t − jS))^j / j! · e^{λ(t − jS)} (Crommelin, 1932; Tijms,
  *A First Course in Stochastic Models*, 2003, §9.6), and beyond ``EXACT`` service times its tail
  (1 − ρ)/(ρ e^{ηS} − 1) · e^{−ηt}, where λ(e^{ηS} − 1) = η;
- what is left of a vacation: uniform on (0, d).

Prompts come in bursts: the chunk steps of one bring more arrivals. Over many steps the number of
prompts that a sequence meets has F = 1/(1 − λP)² times the variance of a Poisson number, for
prompts of P seconds beside their decode steps (compound Poisson of busy periods, whose steps are
taken from the same count); one that has just been prefilled meets (F − 1)/2 more of them than the
mean (the Palm measure of a bursty stream). The sequences in flight have mean n = λ O τ and F times
the variance of a Poisson number; the service time of prompts follows them, slowly. The time per
token beyond the plain step is taken as a gamma distribution of that mean and variance.

Checked against a simulation of the steps (``tests/codesign/planning/test_random_arrivals.py``):
within 10 % at loads up to ``MOST_LOAD``, prefill up to ``MOST_BUSY``, free slots and no fewer than
``FEWEST`` sequences in flight. Beyond, nothing is said.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import gammaln
from scipy.stats import gamma

from codesign.planning.rates import MOST_LOAD

MOST_BUSY = 0.75
"""Share of the time in which prompts are prefilled beyond which none are told either."""

SPARE = 3.5
"""Standard deviations of the sequences in flight that must find a slot: who waits for one waits
longer than is said here."""

FED_BACK = 0.5
"""Share of the longer steps that more sequences cause which falls into a sequence's own time: those
around it have half of theirs behind them in the mean. Chosen on the simulation named above."""

FEWEST = 12.0
"""Sequences in flight, in the mean, below which their small number shapes the tails."""

EXACT = 8.0
"""Service times up to which M/D/1 is summed; beyond, its terms cancel."""

QUANTILES = (0.5, 0.95, 0.99)


class Waiting(NamedTuple):
    """Times of one instance under Poisson arrivals; quantiles in the order they were asked for."""

    first_mean: float  # [s]
    first: tuple[float, ...]  # [s]
    per_token_mean: float  # [s]
    per_token: tuple[float, ...]  # [s]
    in_flight: float  # [1] mean


def wait_at_most(service: float, utilisation: float, time: np.ndarray) -> np.ndarray:
    """P(W ≤ t) of M/D/1.

    Args:
        service: constant service time [s].
        utilisation: arrivals times service time, below 1 [1].
        time: t [s].

    >>> [round(float(p), 3) for p in wait_at_most(1.0, 0.5, np.array([0.0, 1.0, 3.0]))]
    [0.5, 0.824, 0.985]
    """
    time = np.asarray(time, float) / service
    load = utilisation
    low = 2e-3 * (1.0 / load - 1.0)
    root = float(brentq(lambda x: load * math.expm1(x) - x, low, 700.0))  # pyright: ignore[reportArgumentType]
    tail = (1.0 - load) / (load * math.exp(root) - 1.0) * np.exp(-root * time)
    terms = np.arange(int(EXACT) + 1.0)
    late = np.minimum(time, EXACT)[..., None] - terms
    with np.errstate(divide="ignore", invalid="ignore"):
        size = terms * np.log(load * np.abs(late)) - gammaln(terms + 1.0) + load * late
    size = np.where(terms == 0, load * late, size)
    summed = np.where(late >= 0, np.where(terms % 2 == 1, -1.0, 1.0) * np.exp(size), 0.0)
    exact = (1.0 - load) * summed.sum(axis=-1)
    return np.clip(np.where(time < EXACT, exact, 1.0 - tail), 0.0, 1.0)


def waiting(
    decode: Callable[[float], float],
    prompt: float,
    chunks: float,
    output: float,
    rate: float,
    slots: float,
    host: float = 0.0,
    quantiles: Sequence[float] = QUANTILES,
) -> Waiting | str:
    """Quantiles of the time to the first token and of the time per token; in words, why not.

    Args:
        decode: number of sequences → time of a decode step without a chunk [s].
        prompt: time of all chunks of a prompt, without the decode steps beside them [s].
        chunks: chunks of a prompt [1].
        output: tokens of an output, one a step [1].
        rate: requests [1/s].
        slots: most sequences at a time [1].
        host: time of a request outside the machine [s].
        quantiles: between 0 and 1.

    >>> found = waiting(lambda n: 0.01 + 1e-4 * n, 0.05, 1.0, 100.0, 8.0, 64.0)
    >>> round(found.first_mean, 3), [round(t, 3) for t in found.first]
    (0.097, [0.073, 0.191, 0.269])
    >>> waiting(lambda n: 0.01 + 1e-4 * n, 0.05, 1.0, 100.0, 15.0, 64.0)
    'the load of the instance is 1.13, above 0.85'
    """
    full = slots / (output * decode(slots) + slots * prompt)
    load = rate / full
    if load > MOST_LOAD:
        return f"the load of the instance is {load:.2f}, above {MOST_LOAD:g}"

    def step(n: float) -> tuple[float, float, float]:
        plain = decode(n)
        service = prompt + chunks * plain
        busy = rate * service
        return plain, service, 1.0 / (rate * chunks + max(1.0 - busy, 0.0) / plain)

    bursts = 1.0 / max(1.0 - rate * prompt, 1e-6) ** 2

    def per_token(n: float) -> float:
        return step(n)[2] + prompt / output * (bursts - 1.0) / 2.0

    n = 1.0
    for _ in range(200):  # a contraction: more in flight, longer steps, more in flight
        n = 0.5 * n + 0.5 * min(max(rate * output * per_token(n), 1e-3), slots)
    plain, service, mean = step(n)
    busy, spread = rate * service, math.sqrt(n * bursts)
    if n < FEWEST:
        return f"{n:.1f} sequences are in flight in the mean, fewer than {FEWEST:g}"
    if n + SPARE * spread > slots:
        return f"{n:.0f} sequences in flight in the mean are too near the {slots:.0f} there may be"
    if busy > MOST_BUSY:
        return f"prefill keeps the instance busy {busy:.2f} of the time, above {MOST_BUSY:g}"
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)
    around = [step(max(n + spread * x, 0.0))[:2] for x in nodes]
    end = (EXACT + 40.0 / (1.0 - busy)) * service + plain
    times = np.linspace(0.0, end, 20_001)
    below = np.zeros_like(times)
    for (vacation, own), weight in zip(around, weights / weights.sum(), strict=True):
        below += weight * _first_at_most(own, min(rate * own, 0.95), vacation, times)
    first = np.interp(quantiles, below, times)
    first_mean = float(np.trapezoid(1.0 - below, times))
    slope = (decode(1.01 * n + 0.01) - plain) / (0.01 * n + 0.01)
    extra, met, mean = prompt / output, rate * output * mean, per_token(n)
    bursts = 1.0 / max(1.0 - rate * (prompt + FED_BACK * output * slope), 0.1) ** 2
    variance = bursts * met * (slope**2 * 2.0 / 3.0 + slope * extra + extra**2)
    beyond = max(mean - plain, 1e-9)
    tokens = plain + gamma.ppf(quantiles, beyond**2 / variance, scale=variance / beyond)
    return Waiting(
        host + first_mean,
        tuple(float(host + t) for t in first),
        mean,
        tuple(map(float, tokens)),
        n,
    )


def _first_at_most(service: float, busy: float, vacation: float, times: np.ndarray) -> np.ndarray:
    """P(wait + what is left of a vacation + service ≤ t)."""
    left = times - service
    share = wait_at_most(service, max(busy, 1e-9), np.maximum(left, 0.0)) * (left >= 0)
    area = np.concatenate([[0.0], np.cumsum(0.5 * (share[1:] + share[:-1]) * np.diff(times))])
    return (area - np.interp(times - vacation, times, area, left=0.0)) / vacation
