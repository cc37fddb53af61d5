"""Exact routing statistics by enumeration, for whole numbers: an oracle without random error.

The number of touched experts is a Markov chain: a token that meets n touched experts out of E adds
a new ones with the hypergeometric probability C(E − n, a) C(n, k − a) / C(E, k). Given their
number, every set of touched experts is as likely, so the largest count on a chip is at most j with
probability [xⁿ] (Σ_{i ≤ j} C(s, i) xⁱ)^G / C(E, n), where s = E/G.
"""

from functools import cache

import numpy as np
from scipy.special import gammaln


def log_binomial(n: np.ndarray, k: np.ndarray) -> np.ndarray:
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)


@cache
def touched_distribution(experts: int, active: int, rows: tuple[int, ...]) -> np.ndarray:
    """P(n experts touched) after each of the numbers of tokens, (rows, experts + 1)."""
    touched = np.arange(experts + 1)
    step = np.zeros((active + 1, experts + 1))
    for new in range(active + 1):
        known = touched[(experts - touched >= new) & (touched >= active - new)]
        ways = (
            log_binomial(experts - known, new)
            + log_binomial(known, active - new)
            - log_binomial(experts, active)
        )
        step[new, known] = np.exp(ways)
    distribution, found = np.eye(1, experts + 1)[0], {}
    for token in range(1, max(rows) + 1):
        moved = [
            np.pad(distribution * step[new], (new, 0))[: experts + 1] for new in range(active + 1)
        ]
        distribution = np.sum(moved, axis=0)
        if token in rows:
            found[token] = distribution
    return np.stack([found[token] for token in rows])


@cache
def largest_count(experts: int, groups: int) -> np.ndarray:
    """Expected largest number on a chip of n out of all slots drawn, for every n from 0; (experts +
    1,)."""
    slots = experts // groups
    counts, drawn = np.arange(slots + 1), np.arange(experts + 1)
    ways = np.exp(log_binomial(slots, counts) - slots * np.log(2.0))
    all_ways = np.exp(log_binomial(experts, drawn) - experts * np.log(2.0))
    above = [1.0 - _power(ways[: j + 1], groups, experts) / all_ways for j in range(slots)]
    return np.clip(above, 0.0, 1.0).sum(axis=0)


def _power(polynomial: np.ndarray, exponent: int, degree: int) -> np.ndarray:
    result = np.ones(1)
    while exponent:
        if exponent % 2:
            result = np.convolve(result, polynomial)[: degree + 1]
        exponent //= 2
        polynomial = np.convolve(polynomial, polynomial)[: degree + 1]
    return np.pad(result, (0, degree + 1 - len(result)))


def busiest_touched(experts: int, active: int, rows: tuple[int, ...], groups: int) -> np.ndarray:
    """Expected largest number of touched experts on a chip, for each number of tokens."""
    return touched_distribution(experts, active, rows) @ largest_count(experts, groups)
