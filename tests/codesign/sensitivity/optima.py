"""Optima that several tests take derivatives at; statements with a changed world."""

import dataclasses
import functools

import equinox as eqx

from codesign.sensitivity.optimum import Optimum, Statement, find_optimum, optimum_at
from experiments.scenarios.problem import problem
from experiments.scenarios.toml_text import read, scenario
from experiments.sensitivity.points import statement, wanted_of
from tests.experiments.small_scenario import SMALL

SCENARIOS = ("dense", "llama-405b", "fast-70b", "reasoning")
"""Built-in scenarios on which the nightly run re-solves."""

AT = {"small": (1, 229, 6, 1), "tight": (1, 67, 6, 1)}
"""Chips, batch, stacks and layer steps of the small scenarios."""


def stated(name: str):
    if name == "small":
        return read(SMALL, "small", "small")
    if name == "tight":
        return read(SMALL.replace('"20 ms"', '"2 ms"'), "tight", "tight")
    return scenario(name)


@functools.cache
def question(name: str) -> Statement:
    chosen = stated(name)
    return statement(chosen, problem(chosen), wanted_of(chosen, None))


@functools.cache
def optimum(name: str) -> Optimum:
    """The optimum of a scenario; of the small ones at integers where a search ends, or at a promise
    that binds, so that no search is needed."""
    if name in AT:
        return optimum_at(question(name), 0, AT[name])
    return find_optimum(question(name))


def again(name: str, change) -> float:
    """ln of the objective, to be minimised, of the same integers in a changed statement."""
    found = optimum(name)
    changed = optimum_at(change(question(name)), found.subproblem.choice, found.subproblem.integers)
    return changed.value


def with_leaf(leaf: str, factor: float):
    """A change of one number of every technology, by its name."""
    part, field = leaf.split(".")[-2:]

    def change(asked: Statement) -> Statement:
        choices = [
            eqx.tree_at(
                lambda c: [getattr(getattr(k.technology, part), field) for k in c.kinds],
                choice,
                [getattr(getattr(k.technology, part), field) * factor for k in choice.kinds],
            )
            for choice in asked.choices
        ]
        return asked._replace(choices=choices)

    return change


def with_promise(factor: float):
    def change(asked: Statement) -> Statement:
        services = [
            dataclasses.replace(one, promise=one.promise * factor) for one in asked.services
        ]
        return asked._replace(services=services)

    return change
