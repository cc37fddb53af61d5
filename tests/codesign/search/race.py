"""Random problems on which the unproved search runs against its own branch and bound."""

from typing import Any, NamedTuple

import numpy as np

import objectives
from codesign.search import Infeasible
from codesign.search.integers.branch_and_bound import prove
from codesign.search.optimize import search_weightings
from codesign.search.pareto.starts import complete
from codesign.search.program.objectives import bound_rows
from codesign.search.solver.lanes import double_precision
from codesign.search.statement.goals import Wanted
from tests.codesign.search.conftest import CHIPS, choices, posed, space, stretched, work

NAMES = ("tokens/s/$", "tokens/s/W", "tokens/s/user", "$/token", "J/token")


class Contest(NamedTuple):
    """One random problem: by how much the unproved search misses the proved best of each weighting,
    in log units."""

    told: str
    loss: np.ndarray
    closed: bool


def contest(
    random: np.random.Generator, technologies: list[Any], *, buildable: bool, goals: int
) -> Contest | None:
    """Search a random problem without a proof, then prove it; None where it has no design."""
    at = random.integers(len(technologies))
    context, promise = np.exp(random.uniform(np.log([1024, 8e-4]), np.log([131072, 0.2])))
    bits = {
        "weight_bits": random.choice([4.0, 8.0, 16.0]),
        "state_bits": random.choice([8.0, 16.0]),
    }
    among = choices(technologies[at], dies=random.choice([1.0, 2.0]))
    names = list(map(str, random.choice(NAMES, goals, replace=False)))
    weights = [stretched(random.dirichlet(np.ones(goals))) for _ in range(4 if goals > 1 else 1)]
    wanted = tuple(objectives.objective(name) for name in names)
    problem = posed(
        space(CHIPS, buildable=buildable),
        work(float(context), float(promise), **bits),
        among,
        wanted,
        weights,
    )
    told = f"technology {at}, {context:.0f} positions, {promise * 1e3:.3g} ms, {bits}, {names}"
    with double_precision():
        try:
            subproblems, _ = search_weightings(
                problem.pool, Wanted(wanted), bound_rows(()), seed=0, prove=False
            )
        except Infeasible:
            return None
        best = complete(problem.pool, subproblems)[: len(weights)]
        found = problem.pool.values(best)
        proof = prove(problem.pool, best)
    return Contest(told, found - problem.pool.values(proof.best), proof.closed)
