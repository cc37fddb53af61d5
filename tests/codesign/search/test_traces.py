"""Numbers are data: changing them compiles nothing."""

import dataclasses

import numpy as np

import codesign
import hardware_priors
from codesign.search.integers.formulation import Subproblem, fixed_programs, solve_programs
from codesign.search.pareto.penalty_search import search_lanes
from codesign.search.verification.exact_check import exact_fleets
from tests.codesign.search.conftest import COSTS, GOALS, choices, plan, posed, run, space, work

STAGES = {
    "search": search_lanes,
    "programs": fixed_programs,
    "solve": solve_programs,
    "exact": exact_fleets,
}


def compiled() -> dict[str, int]:
    """How many programs each stage holds."""
    return {name: stage.jitted._cache_size() for name, stage in STAGES.items()}


def other_technologies() -> list:
    kinds = choices(
        hardware_priors.technology("N5", "HBM3", "NVLink4"), dies=2.0, sram_capacity=9e7
    )
    return [
        dataclasses.replace(choice, plans=(plan(name),))
        for choice, name in zip(kinds, ("ring", "tree"), strict=True)
    ]


def test_other_numbers_do_not_recompile(limit_front, technology):
    """Whole searches with other numbers find every stage compiled."""
    before = compiled()
    requests = work(promise=1.3e-3, context=4096.0, weight_bits=4.0)
    found = run(space(peak_flops=1e15), requests, choices(technology), seed=1)
    assert compiled() == before, (
        "promise, context, precision, continuous ranges and seed are numbers"
    )
    assert not np.isin(found.values[:, 0], limit_front.values[:, 0]).any(), (
        "hardly anything changed"
    )
    run(space((1, 3)), work(promise=5e-3), other_technologies())
    assert compiled() == before, "technology, dies, SRAM, plan and ranges of integers are numbers"


def test_other_weights_and_objectives_share_the_solver(technology):
    problems = [
        posed(space(), work(), choices(technology), goals, [weights])
        for goals in (GOALS, COSTS)
        for weights in ((0.5, 0.3, 0.2), (0.2, 0.3, 0.5))
    ]
    problems[0].solve([Subproblem(0, 0, (8, 32, 0, 0))])
    before = compiled()
    for problem in problems[1:]:
        problem.solve([Subproblem(0, 1, (4, 64, 0, 0))])
    assert compiled() == before


def test_structure_does_recompile(technology):
    """The counter can count: the operators of a draft are another program."""
    posed(space(), work(), choices(technology)).solve([Subproblem(0, 0, (8, 32, 0, 0))])
    before = fixed_programs.jitted._cache_size()
    drafting = dataclasses.replace(
        work(), phase=codesign.Decode(1, 4096, codesign.Draft(1, 0.8, 0.1))
    )
    posed(space(), drafting, choices(technology)).solve([Subproblem(0, 0, (8, 32, 0, 0))])
    assert fixed_programs.jitted._cache_size() > before
