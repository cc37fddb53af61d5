"""Compiling ahead: tracing holds the interpreter's lock and compiling does not, so one program is
traced while another is compiled."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
from jax.stages import Lowered

from codesign.search.integers.box_relaxation import RANGES, relaxed_programs, relaxed_ranges
from codesign.search.integers.formulation import Formulation, fixed_programs, solve_programs
from codesign.search.pareto.penalty_search import search_lanes
from codesign.search.solver.lanes import LANES
from codesign.search.statement.problem import integer_ranges
from codesign.search.verification.exact_check import exact_fleets


def compile_ahead(
    formulation: Formulation, weightings: np.ndarray, *, relaxed: Sequence[object]
) -> None:
    """Trace what a search will run, one program after the other, and compile each while the next is
    traced.

    ``jax.jit`` finds what was compiled here when the same function is called with arguments of the
    same shapes.

    Args:
        formulation: the problem in the program's terms.
        weightings: one a row; only their shape matters.
        relaxed: arguments of the penalty search (``penalty_search.lanes``), empty if there will be
            none.
    """
    with ThreadPoolExecutor(2) as elsewhere:
        waiting = [
            elsewhere.submit(lowered.compile)
            for lowered in _traced(formulation, weightings, relaxed)
        ]
        for future in waiting:
            future.result()


def _traced(
    formulation: Formulation, weightings: np.ndarray, relaxed: Sequence[object]
) -> Iterator[Lowered]:
    if relaxed:
        yield search_lanes.jitted.lower(*relaxed)
    lowest = integer_ranges(formulation.problems)[0].astype(float)
    nothing = np.zeros(LANES, int)
    posed, numbers = (
        (formulation.structure, formulation.packed, formulation.bounds),
        np.tile(lowest, (LANES, 1)),
    )
    programs = fixed_programs.jitted.lower(*posed, nothing, numbers)
    yield programs
    free = np.full(LANES, np.inf)
    yield solve_programs.jitted.lower(
        formulation.structure, programs.out_info, formulation.goals, weightings[nothing], free, free
    )
    ranges = np.tile(lowest[: formulation.structure.counted], (RANGES, 1))
    monomials = relaxed_ranges.jitted.lower(
        formulation.structure, formulation.packed, nothing[:RANGES], ranges, ranges
    )
    yield monomials
    own = jax.tree.map(
        lambda leaf: np.zeros((LANES, *leaf.shape[1:]), leaf.dtype), monomials.out_info
    )
    yield relaxed_programs.jitted.lower(*posed, nothing, own, numbers, numbers)
    yield exact_fleets.jitted.lower(
        formulation.structure,
        formulation.packed,
        nothing,
        numbers,
        np.zeros((LANES, len(formulation.structure.variables))),
    )
