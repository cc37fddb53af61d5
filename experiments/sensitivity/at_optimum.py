"""Shadow prices, steps of integers, motion and flips of an optimum, ready for JSON."""

import math

import numpy as np

from codesign.numerics.units import GIGA, MILLI
from codesign.search.statement.space import CONTINUOUS
from codesign.sensitivity.flips import Flip, flips
from codesign.sensitivity.motion import Motion, motion
from codesign.sensitivity.optimum import Optimum
from codesign.sensitivity.shadow_prices import (
    HOLDS,
    ShadowPrice,
    box_prices,
    integer_steps,
    shadow_prices,
)
from experiments.scenarios.problem import problem
from experiments.scenarios.schema import Scenario
from experiments.sensitivity.priors import Priors, priors_of

AMOUNTS = {"m^2": 1e-6, "m": MILLI, "s": MILLI, "W": 10.0, "K rise": 1.0, "B": GIGA, "W/m^2": 1e4}
"""One more of a limit, in SI, by its unit: a mm², a mm, a ms, 10 W, a kelvin, a GB, a W/cm²; of
others a hundredth."""

MOTIONS = 30
"""Priors whose motion is told, those that move the value most."""


def amount_of(price: ShadowPrice) -> float:
    """What one speaks of as one more of a limit, in SI: less where that would double it."""
    amount = AMOUNTS.get(price.unit, 0.01 * price.allowed)
    while amount > 0.2 * price.allowed:
        amount *= 0.1
    return amount


def at_optimum(found: Optimum) -> dict[str, object]:
    """Prices of limits, of whole numbers and of the box."""
    prices = shadow_prices(found)
    return {
        "integers": _integers(found),
        "choice": found.choice.name,
        "front_gap_log": found.gap if math.isfinite(found.gap) else None,
        "shadow_prices": [
            {
                "limit": price.limit,
                "allowed": price.allowed,
                "unit": price.unit,
                "elasticity": price.elasticity,
                "amount": amount_of(price),
                "gain_percent": 100.0 * price.gain(amount_of(price)),
                "holds_from": price.allowed * price.low,
                "holds_to": price.allowed * price.high,
                "holds_beyond": {"below": price.open_low, "above": price.open_high},
                "holds_within": HOLDS,
            }
            for price in prices
        ],
        "integer_steps": [
            {
                "integer": step.name,
                "step": step.step,
                "gain_percent": None if math.isnan(step.gain) else 100.0 * step.gain,
            }
            for step in integer_steps(found)
        ],
        "box_prices": [price._asdict() for price in box_prices(found)],
    }


def _integers(found: Optimum) -> dict[str, int]:
    from codesign.search.statement.problem import integer_names

    names = integer_names(found.pool.formulation.problems)
    return dict(zip(names, map(int, found.subproblem.integers), strict=True))


def by_priors(found: Optimum, stated: Scenario) -> dict[str, object]:
    """How value and design move with every prior, and when the integers flip."""
    priors = priors_of(stated, problem(stated))
    moved = motion(found)
    known = {prior.name: prior for prior in priors.uncertain}
    return {
        "motion": _motion(moved, len(found.choice.kinds)),
        "degenerate_limits": list(moved.degenerate),
        "flips": [
            _flip(flip, priors, known[flip.prior].at(flip.z))
            for flip in flips(found, priors.technologies, priors.names)
        ],
    }


def _motion(moved: Motion, kinds: int) -> list[dict[str, object]]:
    order = np.argsort(-np.abs(moved.value))[:MOTIONS]
    prefixes = [""] if kinds == 1 else [f"machine {p} " for p in range(kinds)]
    return [
        {
            "input": moved.names[k],
            "value": float(moved.values[k]),
            "objective": -float(moved.value[k]),
            "design": {
                prefix + name: float(moved.designs[p, j, k])
                for p, prefix in enumerate(prefixes)
                for j, name in enumerate(CONTINUOUS)
            },
        }
        for k in order
        if abs(moved.value[k]) > 1e-9
    ]


def _flip(flip: Flip, priors: Priors, facts: list[tuple[str, float, str]]) -> dict[str, object]:
    leaf, value, unit = facts[0]
    own = next(prior for prior in priors.uncertain if prior.name == flip.prior)
    nominal = own.facts[0][1]
    return {
        "prior": flip.prior,
        "leaf": leaf,
        "nominal": nominal.value,
        "value": value,
        "unit": unit,
        "deviate": float(flip.z),
        "error": float(flip.error),
        "predicted": float(flip.predicted),
        "to": flip.change,
        "own_integers_lost": flip.lost,
    }
