"""Objectives of one's own: a product of powers, which keeps the proof, and another function."""

from dataclasses import dataclass, field

import codesign
from experiments.examples.small_space import search


@dataclass(frozen=True)
class EnergyDelay:
    """Joules times seconds of a token: a product of powers of totals."""

    name: str = "energy-delay"
    sense: int = -1
    exponents: dict = field(
        default_factory=lambda: {"energy_per_token": 1.0, "time_per_token": 1.0}, hash=False
    )


@dataclass(frozen=True)
class HotSilicon:
    """Watts and dollars of a package together, each over what is usual: no product of powers."""

    name: str = "hot and dear"
    sense: int = -1

    def __call__(self, outcome: codesign.Outcome):
        return outcome.peak_power / 1000.0 + outcome.cost_per_token / 1e-6


def fronts() -> tuple[codesign.Front, codesign.Front]:
    """Designs under either: GLOBAL, and LOCAL with a residual."""
    return search([EnergyDelay()]), search([HotSilicon()])
