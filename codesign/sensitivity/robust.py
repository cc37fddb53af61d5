"""Decisions under uncertainty, from a table of what each candidate is worth in each world.

A table has a row a candidate and a column a world; larger is better, and 0 where a candidate has no
design. Worlds are equally likely.
"""

from typing import NamedTuple

import numpy as np


def expected(table: np.ndarray) -> np.ndarray:
    """Mean of every candidate (candidates,)."""
    return table.mean(axis=1)


def conditional_value_at_risk(table: np.ndarray, tail: float = 0.1) -> np.ndarray:
    """Mean of the worst share ``tail`` of worlds of every candidate (Rockafellar, Uryasev, J. Risk
    2, 2000): with n·tail worlds, the last one in part.

    >>> conditional_value_at_risk(np.array([[1.0, 2.0, 3.0, 4.0]]), 0.5)
    array([1.5])
    """
    count = table.shape[1]
    wanted = tail * count
    shares = np.clip(wanted - np.arange(count), 0.0, 1.0)
    return np.sort(table, axis=1) @ shares / wanted


def regrets(table: np.ndarray) -> np.ndarray:
    """What a candidate falls short of the best of its world, as a share of it (candidates, worlds);
    worlds in which none has a design count nothing."""
    best = table.max(axis=0)
    return np.where(best > 0, 1.0 - table / np.where(best > 0, best, 1.0), 0.0)


def largest_regret(table: np.ndarray) -> np.ndarray:
    """The largest regret of every candidate (candidates,) [1]; the least of them is minimax
    regret's choice (Savage, J. Am. Stat. Assoc. 46, 1951)."""
    return regrets(table).max(axis=1)


def chance_to_beat(table: np.ndarray) -> np.ndarray:
    """Probability that the candidate of a row is better than that of a column; ties count half
    (candidates, candidates)."""
    more = (table[:, None, :] > table[None, :, :]).mean(axis=2)
    same = (table[:, None, :] == table[None, :, :]).mean(axis=2)
    return more + 0.5 * same


class Information(NamedTuple):
    """Expected gain from knowing before deciding, as shares of the best expected value [1].

    ``perfect`` is of knowing the world; ``each`` of knowing one prior (priors,), less what chance
    alone would give (``floor``).
    """

    perfect: float
    each: np.ndarray
    floor: float


def value_of_information(
    table: np.ndarray, deviates: np.ndarray, bins: int = 16, seed: int = 0
) -> Information:
    """Value of perfect information, altogether and prior by prior.

        EVPI = E[max_d V_d] − max_d E[V_d],    EVPPI_i = E[max_d E[V_d | z_i]] − max_d E[V_d]

    The condition is on the bin of a prior's deviate; bins of few worlds flatter, so what shuffled
    deviates give is taken off (Strong, Oakley, Med. Decis. Making 33, 2013, on this bias).

    Args:
        table: (candidates, worlds).
        deviates: (worlds, priors).
        bins: equal shares of the worlds, by deviate.
        seed: of the shuffling.

    Returns:
        Value of knowing the world and of knowing each prior, as shares of the best expected value.

    >>> z = np.linspace(-1.0, 1.0, 64)[:, None]
    >>> found = value_of_information(np.stack([1 + z[:, 0], 1 - z[:, 0]]), z)
    >>> round(float(found.perfect), 2)
    0.51
    """
    best = float(expected(table).max())
    scale = max(best, 1e-300)
    rng = np.random.default_rng(seed)

    def partial(order: np.ndarray) -> float:
        parts = np.array_split(order, bins)
        means = [table[:, part].mean(axis=1).max() * len(part) for part in parts if len(part)]
        return (sum(means) / table.shape[1] - best) / scale

    floor = float(np.mean([partial(rng.permutation(table.shape[1])) for _ in range(20)]))
    each = np.array([partial(np.argsort(column, kind="stable")) for column in deviates.T])
    perfect = (float(table.max(axis=0).mean()) - best) / scale
    return Information(perfect, np.clip(each - floor, 0.0, None), floor)
