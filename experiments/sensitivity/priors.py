"""The priors of a scenario as independent deviates: which facts move together, and the technologies
that they make."""

import dataclasses
import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import ndtr, ndtri

from codesign.hardware.technology import Technology
from codesign.search import Choice
from codesign.search.solver.lanes import double_precision
from experiments.scenarios.problem import Problem
from experiments.scenarios.schema import Scenario
from experiments.scenarios.technologies import names_of, priced
from hardware_priors.prior import Prior
from hardware_priors.quantities import unit
from hardware_priors.sampling import quantile
from hardware_priors.technologies import assemble

WHOLE = {"memory.max_layers": 4.0, "memory.max_stacks": 1.0, "packaging.max_dies": 1.0}
"""Facts that are counted, and in which steps: a draw is rounded to what could be on sale."""


class UncertainPrior(NamedTuple):
    """One standard normal deviate: a fact, or facts of one group that move together."""

    name: str
    facts: tuple[tuple[str, Prior], ...]  # leaf, fact

    def at(self, z: float) -> list[tuple[str, float, str]]:
        """Its facts at a deviate about the nominal: (leaf, value, unit of the source)."""
        return [
            (
                leaf,
                float(quantile(fact, jnp.asarray(about_nominal(fact, np.asarray(z))))),
                fact.unit,
            )
            for leaf, fact in self.facts
        ]


@dataclasses.dataclass(frozen=True)
class Priors:
    """What is uncertain about a scenario's technologies; ``facts`` of every choice and kind."""

    uncertain: tuple[UncertainPrior, ...]
    facts: tuple[tuple[dict[str, Prior], ...], ...]  # choice, kind

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the deviates."""
        return tuple(prior.name for prior in self.uncertain)

    def technologies(self, z: np.ndarray, choice: int) -> tuple[Technology, ...]:
        """Technologies of a choice's kinds at deviates (worlds, priors), leaves (worlds,) in SI.

        At zero every fact has its nominal value, as in the scenario itself; below and above, each
        side by itself, the quantiles of its distribution (``about_nominal``).
        """
        return self._technologies(z, choice, about=True)

    def drawn(self, z: np.ndarray, choice: int) -> tuple[Technology, ...]:
        """The same for standard normal draws: each fact at the quantile of its deviate."""
        return self._technologies(z, choice, about=False)

    def _technologies(self, z: np.ndarray, choice: int, about: bool) -> tuple[Technology, ...]:
        with double_precision():
            return tuple(self._technology(z, facts, about) for facts in self.facts[choice])

    def _technology(self, z: np.ndarray, facts: dict[str, Prior], about: bool) -> Technology:
        column = {prior.name: k for k, prior in enumerate(self.uncertain)}
        leaves: dict[str, object] = {}
        for leaf, fact in facts.items():
            word, known = fact.group or leaf, unit(fact.unit)
            value = np.full(len(z), fact.si.value)
            if word in column:
                deviates = z[:, column[word]]
                deviates = about_nominal(fact, deviates) if about else deviates
                moved = np.asarray(quantile(fact, jnp.asarray(deviates)))
                moved = moved * known.factor + known.offset
                value = np.where((z[:, column[word]] == 0.0) & about, value, moved)
            if leaf in WHOLE:  # what is on sale comes in whole numbers
                value = np.maximum(np.round(value / WHOLE[leaf]), 1.0) * WHOLE[leaf]
            leaves[leaf] = value
        return jax.tree.map(np.asarray, assemble(leaves))


def about_nominal(fact: Prior, z: np.ndarray) -> np.ndarray:
    """Deviates that are zero at a fact's nominal value, as those of its own distribution.

    A triangular fact has its nominal value at the share F₀ of its distribution, seldom the median;
    below it z takes F₀ · 2Φ(z), above it F₀ + (1 − F₀)(2Φ(z) − 1).
    """
    if fact.distribution != "triangular":
        return z
    share = (fact.value - fact.low) / (fact.high - fact.low)
    twice = 2.0 * ndtr(z)
    below, above = share * twice, share + (1.0 - share) * (twice - 1.0)
    return ndtri(np.clip(np.where(z < 0, below, above), 1e-15, 1.0 - 1e-15))


def priors_of(stated: Scenario, posed: Problem) -> Priors:
    """Gather the facts behind every technology of a scenario and group those that move together.

    Fixed facts are certain, and so is what the scenario states; a memory pool that no design has is
    left out.
    """
    facts = tuple(
        tuple(_facts(stated, choice, p) for p in range(len(stated.machines)))
        for choice in posed.choices
    )
    words: dict[str, dict[str, Prior]] = {}
    for own in itertools.chain.from_iterable(facts):
        for leaf, fact in own.items():
            fixed = fact.distribution == "fixed" or fact.low == fact.high
            if not fixed and not leaf.startswith("pool."):
                words.setdefault(fact.group or leaf, {}).setdefault(leaf, fact)
    uncertain = tuple(UncertainPrior(word, tuple(own.items())) for word, own in words.items())
    return Priors(uncertain, facts)


def _facts(stated: Scenario, choice: Choice, p: int) -> dict[str, Prior]:
    return priced(stated, names_of(stated, choice, p)).priors()
