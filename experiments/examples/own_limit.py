"""A limit of one's own: 64 packages of a rack may draw 20 kW together. It keeps the proof."""

import codesign
import objectives
from experiments.examples.small_space import search

GOALS = [objectives.objective("tokens/s/$")]
RACK = codesign.LimitRow("rack_power", lambda sums, machine: 64.0 * sums.peak / 20e3)


def package_power(front: codesign.Front) -> float:
    """Watts of the best design's package at its peak."""
    return float(front.outcomes[0].peak_power[0])


def with_and_without() -> tuple[codesign.Front, codesign.Front]:
    """The best design of the small space with and without the rack's limit."""
    return search(GOALS, limits=[RACK]), search(GOALS)
