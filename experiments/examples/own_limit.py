"""A limit of one's own: 64 packages of a rack may draw 20 kW together. It keeps the proof."""

import codesign
import objectives
from experiments.examples.small_space import search

GOALS = [objectives.objective("tokens/s/$")]
RACK = codesign.LimitRow("rack_power", lambda sums, machine: 64.0 * sums.rated / 20e3)


def package_power(front: codesign.Front) -> float:
    """Most that the best design's package may draw [W]."""
    return float(front.outcomes[0].rated_power[0])


def with_and_without() -> tuple[codesign.Front, codesign.Front]:
    """The best design of the small space with and without the rack's limit."""
    return search(GOALS, limits=[RACK]), search(GOALS)
