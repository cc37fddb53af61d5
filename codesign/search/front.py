"""The search as a whole: weightings → relaxed starts → certified integers → front, checked on the exact model."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from codesign.hardware.design import Design
from codesign.outcome import Outcome
from codesign.performance.execution import Execution, Operatorwise
from codesign.search.approach import approach
from codesign.search.batches import double_precision
from codesign.search.branch import TOLERANCE
from codesign.search.choices import Choice, Tree
from codesign.search.coefficients import operator_counts
from codesign.search.decomposition import prove as bounded
from codesign.search.descent import descend
from codesign.search.exact import FLEET_LIMITS, ServiceTimes, Totals
from codesign.search.goals import LEAST_WEIGHT, Bound, BoundRows, Goal, bound_rows, goals
from codesign.search.infeasible import ROOM, Conflict, conflict, sentence
from codesign.search.integers import Known, Memory, Search, Task
from codesign.search.judgement import (
    BINDING,
    always_convex,
    audited,
    convex,
    front_gaps,
    integer_bounds,
    judge,
    non_dominated,
    residuals,
)
from codesign.search.kinds import descended, polished
from codesign.search.layout import layout
from codesign.search.placement import placed
from codesign.search.problem import Problems, Service, assemble, check_dies, integer_names, integer_ranges
from codesign.search.program import BoundNumbers
from codesign.search.refinement import ROUNDS
from codesign.search.relaxation import Relaxed, Wanted, lanes, relax
from codesign.search.space import CONTINUOUS, Space, at_bound
from codesign.search.starts import adopted, completed, exchanged, first_tasks, middle_starts, points, refined
from codesign.search.warm_up import compile_ahead

Progress = Callable[[str, int, int], None]

CERTIFIED = 1e-6
"""Largest certified gap, in log units, of a design that counts as proved at its own integers."""

GLOBAL, GLOBAL_AT_ITS_INTEGERS, LOCAL = "GLOBAL", "GLOBAL AT ITS INTEGERS", "LOCAL"
"""What a status claims: proved over all integers, choices and plans of the problem to within ``branch.TOLERANCE``; proved to within
``CERTIFIED`` for the design's own; proved of neither."""

STARTS = 2
"""Random starts of the relaxed search for each weighting and choice."""

ROUNDING = 1e-9
"""A gap further below zero than this says that the bound is wrong: never more than LOCAL."""


LAST_DIGITS = 1e-12
"""ln(used/allowed) of a limit that is met with equality, as by the most stacks on a package: rounding of a quotient."""


SPEED_ASKED = "speed asked"
"""Name of the limit that a weighting sets by itself, where weights alone find no design."""


class Infeasible(ValueError):
    """No design in the space meets the limits; the message names those in conflict and what would relax them."""

    def __init__(self, message: str, conflict: Conflict | None = None):
        super().__init__(message)
        self.conflict = conflict


@dataclasses.dataclass(frozen=True)
class Front:
    """Designs that no other found design dominates, best first by the last objective.

    Shapes: N designs, G objectives. ``designs`` holds a machine of each kind, ``outcomes`` an outcome of each step (``step_kinds``:
    on which kind), ``totals`` the fleet's, ``times`` what users of each service wait for (N, services). ``integers`` are in the order
    of ``integer_names`` (0: left free). ``values`` are in the objectives' units, larger or smaller better by their sense;
    ``certified_gap`` is the weighted sum of log objectives above its proved bound for the design's own choice and integers,
    ``front_gap`` above the bound over all choices and integers (NaN unless proved).
    ``status`` is ``GLOBAL`` where the front gap is proved to be at most ``branch.TOLERANCE``, ``GLOBAL AT ITS INTEGERS`` where only the
    certified gap is (at most ``CERTIFIED``), ``LOCAL`` where nothing is. ``residual`` is the norm of the exact model's optimality
    conditions of a ``LOCAL`` design (NaN otherwise), ``spread`` how far the relaxed search's starts ended apart for its weighting and
    choice (NaN for weightings added later).
    ``multipliers`` say how much that weighted sum would gain per log unit of each limit. A design is the best for its ``weights``
    among those whose time per token is at most ``time_asked`` [s] (+∞: among all); where that binds, ``SPEED_ASKED`` is among its
    limits. ``box`` is −1, 0, 1 for the continuous quantities of each kind and then chips and batches.
    """

    designs: tuple[Design, ...]
    outcomes: tuple[Outcome, ...]
    totals: Totals
    machine_seconds: np.ndarray
    times: ServiceTimes
    step_kinds: tuple[int, ...]
    integers: np.ndarray
    integer_names: tuple[str, ...]
    choice: np.ndarray
    choices: tuple[Choice, ...]
    objectives: tuple[Any, ...]
    values: np.ndarray
    weights: np.ndarray
    time_asked: np.ndarray
    status: tuple[str, ...]
    certified_gap: np.ndarray
    front_gap: np.ndarray
    residual: np.ndarray
    spread: np.ndarray
    binding: tuple[tuple[str, ...], ...]
    multipliers: dict[str, np.ndarray]
    box: np.ndarray
    buildable: bool
    timings: dict[str, float]

    def __len__(self) -> int:
        return len(self.values)

    @property
    def design(self) -> Design:
        """The machines of the first kind."""
        return self.designs[0]

    @property
    def batch(self) -> np.ndarray:
        """Batches of the first service, shape (N,)."""
        return self.integers[:, len(self.designs)]


def weightings(count: int, objectives: int, seed: int) -> np.ndarray:
    """Weights of the objectives: each alone, then quasi-random points of the simplex; shape (count, objectives), rows sum to 1.

    Exponential spacings of points that fill a cube are uniform on the simplex; here multiples of the powers of the generalised
    golden ratio, x^(objectives + 1) = x + 1 (M. Roberts, "The unreasonable effectiveness of quasirandom sequences", 2018). No weight
    is below ``LEAST_WEIGHT``.
    """
    golden = 2.0
    for _ in range(64):
        golden = (1.0 + golden) ** (1.0 / (objectives + 1.0))
    multiples = np.arange(1, count + 1)[:, None] * golden ** -np.arange(1.0, objectives + 1.0)
    spread = -np.log(np.clip((np.random.default_rng(seed).random(objectives) + multiples) % 1.0, 1e-9, 1.0))
    spread /= spread.sum(axis=1, keepdims=True)
    weights = np.concatenate([np.eye(objectives), spread])[:count]
    weights = np.maximum(weights, LEAST_WEIGHT)
    weights /= weights.sum(axis=1, keepdims=True)
    return weights[np.sort(np.unique(weights, axis=0, return_index=True)[1])]  # one objective has one weighting


def optimize(
    spaces: Space | Sequence[Space], services: Service | Sequence[Service], choices: Sequence[Choice],
    objectives: Sequence[Goal], *, bounds: Sequence[Bound] = (), execution: Execution | None = None, weights: int = 48,
    seed: int = 0, prove: bool = True, memory: Memory | None = None, progress: Progress | None = None,
) -> Front:  # fmt: skip
    """Search for the Pareto front of designs.

    Args:
        spaces: box, ranges and base design of each kind of machine.
        services: what the fleet must do.
        choices: technologies, packages and plans to choose among.
        objectives: what is wanted (``objectives.objective``).
        bounds: limits on outcomes.
        execution: ``Operatorwise()`` unless told.
        weights: number of weightings.
        seed: of weightings and starts.
        prove: bound choices and integers too, by branch and bound (``Front.front_gap``); without, no design is called ``GLOBAL``.
        memory: where finished solves are kept and found again.
        progress: called with (stage, done, total).

    Raises:
        Infeasible: no design in the space meets the limits; those in conflict are named.
        ValueError: an objective that cannot be proved, or a problem that does not fit together.
    """
    spaces = (spaces,) if isinstance(spaces, Space) else tuple(spaces)
    services = (services,) if isinstance(services, Service) else tuple(services)
    with double_precision():
        parts = _in_double((spaces, services, tuple(choices), Operatorwise() if execution is None else execution))
        check_dies(parts[2])
        problems = assemble(*parts)
        return _optimize(problems, parts[2], tuple(objectives), tuple(bounds), weights, seed, prove, memory, progress)


def _in_double(tree: Tree) -> Tree:
    return jax.tree.map(lambda leaf: np.asarray(leaf, dtype=np.float64), tree)


def pose(problems: Problems, objectives: Sequence[Goal], bounds: Sequence[Bound], memory: Memory | None = None) -> tuple[Search, BoundRows]:
    """A problem in the program's terms."""
    alone = len(problems.steps) == 1
    rows = bound_rows(bounds, one_machine=alone)
    structure = layout(problems, operator_counts(problems), rows.structure)
    numbers = BoundNumbers(jnp.asarray(rows.constants), jnp.asarray(rows.limits))
    return Search(structure, problems, placed(problems), goals(objectives, one_machine=alone), numbers, memory), rows


def _optimize(
    problems: Problems, choices: tuple[Choice, ...], objectives: tuple[Goal, ...], bounds: tuple[Bound, ...],
    weights: int, seed: int, prove: bool, memory: Memory | None, progress: Progress | None,
) -> Front:  # fmt: skip
    tell = progress or (lambda stage, done, total: None)
    clock = time.perf_counter()
    timings: dict[str, float] = {}

    def lap(name: str) -> None:
        nonlocal clock
        timings[name], clock = time.perf_counter() - clock, time.perf_counter()

    search, rows = pose(problems, objectives, bounds, memory)
    known = Known(search, weightings(weights, len(objectives), seed))
    tasks, relaxed = searched(known, Wanted(objectives, bounds), rows, seed=seed, prove=prove, tell=tell, lap=lap)
    front = _assemble(known, choices, objectives, bounds, rows, tasks, relaxed, timings)
    lap("exact check")
    return front


def searched(
    known: Known, wanted: Wanted, rows: BoundRows, *, seed: int, prove: bool,
    tell: Progress = lambda stage, done, total: None, lap: Callable[[str], None] = lambda name: None,
) -> tuple[list[Task], Relaxed | None]:  # fmt: skip
    """The best task found of every weighting, and of those added between them; and where the relaxed search ended.

    One kind of machine is searched by branch and bound where a proof is wanted: it costs less than the local search. Fleets of
    several kinds are bounded last, around the best that was found.

    Raises:
        Infeasible: no design in the space meets the limits.
    """
    search, problems, objectives = known.search, known.search.problems, wanted.objectives
    ranges = integer_ranges(problems)
    tell("relaxed search", 0, 1)
    alone = len(problems.steps) == 1
    first = lanes(problems, wanted, known.weights, starts=STARTS, seed=seed) if alone else ()
    compile_ahead(search, known.weights, relaxed=first)
    choices = len(problems.kinds[0].dies)
    relaxed = relax(first, (len(known.weights), choices, STARTS)) if alone else None
    starts = approach(known, middle_starts(known, ranges)) if relaxed is None else first_tasks(relaxed, problems, ranges)
    lap("relaxed search")
    tell("relaxed search", 1, 1)
    tell("integers", 0, 1 + ROUNDS)
    together = prove and search.layout.kinds == 1

    def told(boxes: int, still: int) -> None:
        tell("proof", boxes, boxes + still)

    def settled(starts: list[list[Task]]) -> list[Task]:
        if not together:
            return [task for task in polished(known, starts) if np.isfinite(known.value(task))]
        known.learn(task for row in starts for task in row)
        return bounded(known, [min(row, key=known.value) for row in starts], progress=told).best

    tasks = descend(known, starts) if together else descended(known, starts)
    tasks = exchanged(known, tasks) if tasks and not together else tasks
    if not tasks:
        found = conflict(search, rows.names)
        if found.least > -ROOM:
            raise Infeasible(sentence(found, search), found)
        tasks = exchanged(known, polished(known, [[found.task._replace(weighting=k)] for k in range(len(known.weights))]))
    if together:
        tasks = bounded(known, completed(known, tasks), progress=told).best
    tell("integers", 1, 1 + ROUNDS)
    lap("integers")
    for done in range(ROUNDS):
        tasks = refined(known, objectives, tasks, settled)
        tell("integers", 2 + done, 1 + ROUNDS)
    tasks = adopted(known, objectives, tasks)
    lap("refinement")
    if prove and not together:
        tasks = bounded(known, completed(known, tasks), progress=told).best
        lap("proof")
    return [task for task in tasks if np.isfinite(known.value(task))], relaxed


def _assemble(
    known: Known, choices: tuple[Choice, ...], objectives: tuple[Goal, ...], bounds: tuple[Bound, ...], rows: BoundRows,
    tasks: list[Task], relaxed: Relaxed | None, timings: dict[str, float],
) -> Front:  # fmt: skip
    problems, structure = known.search.problems, known.search.layout
    seen = judge(known, objectives, bounds, tasks)
    feasible = seen.limits.max(axis=1, keepdims=True) <= LAST_DIGITS
    keep = non_dominated(np.where(feasible, seen.logs, np.inf))
    if not len(keep):
        raise Infeasible("no design that the search found passes the check on the exact model; widen the space")
    keep = keep[np.argsort(seen.logs[keep, -1], kind="stable")]
    kept = [tasks[k] for k in keep]

    def taken_rows(tree: Any) -> Any:
        return jax.tree.map(lambda leaf: np.asarray(leaf)[keep], tree)

    integers = np.array([task.integers for task in kept])
    gap, sure = seen.gap[keep], convex(problems, kept) & audited(known.search, kept)
    proved = sure & (gap >= -ROUNDING) & (gap <= CERTIFIED)
    spread = np.array([_spread(relaxed, task) for task in kept])
    at = [task.weighting for task in kept]
    paces, values = np.log(np.asarray(seen.fleet.totals.time_per_token)[keep]), np.exp(points(known, kept))
    used = np.concatenate([seen.limits[keep], (paces - known.slowest[at])[:, None]], axis=1)
    boxes = []
    for p, space in enumerate(problems.spaces):
        first = structure.variable(CONTINUOUS[0], p)
        boxes.append(at_bound(space, values[:, first : first + len(CONTINUOUS)], integers[:, p]))
    lambdas = np.stack([known.done[task][2].multipliers for task in kept])
    prices = {_full_name(name, rows.names): lambdas[:, columns].sum(axis=1) for name, columns in structure.limits.items()}
    upper = np.array([known.done[task][2].upper[structure.variable("pace")] for task in kept])
    names = (*FLEET_LIMITS, *rows.names, SPEED_ASKED)
    gaps = front_gaps(known, seen.logs[keep], paces)
    if np.isfinite(gaps).any() and not (always_convex(problems) and audited(known.search, _each_choice(known, kept[0])).all()):
        gaps = np.full(len(gaps), np.nan)  # the program is not the exact model everywhere
    return Front(
        designs=taken_rows(seen.fleet.designs),
        outcomes=taken_rows(seen.fleet.outcomes),
        totals=taken_rows(seen.fleet.totals),
        machine_seconds=taken_rows(seen.fleet.machine_seconds),
        times=taken_rows(seen.fleet.times),
        step_kinds=tuple(step.kind for step in problems.steps),
        integers=integers,
        integer_names=integer_names(problems),
        choice=np.array([task.choice for task in kept]),
        choices=choices,
        objectives=objectives,
        values=np.exp(-seen.logs[keep] * np.array([objective.sense for objective in objectives])),
        weights=known.weights[at],
        time_asked=np.exp(known.slowest[at]),
        status=tuple(_status(own, gap) for own, gap in zip(proved, gaps, strict=True)),
        certified_gap=gap,
        front_gap=gaps,
        residual=residuals(known, Wanted(objectives, bounds), kept, taken_rows(seen.fleet.designs), proved),
        spread=spread,
        binding=tuple(tuple(n for n, g in zip(names, row, strict=True) if g > -BINDING) for row in used),
        multipliers={**prices, SPEED_ASKED: np.where(np.isfinite(known.slowest[at]), upper, 0.0)},
        box=np.concatenate([*boxes, integer_bounds(problems, integers)], axis=1).astype(int),
        buildable=all(space.buildable for space in problems.spaces),
        timings=timings,
    )


def _status(own: bool, front_gap: float) -> str:
    """What is proved of a design: at its own choice and integers, and over all of them."""
    if not own:
        return LOCAL
    return GLOBAL if front_gap <= TOLERANCE * (1.0 + 1e-3) else GLOBAL_AT_ITS_INTEGERS


def _each_choice(known: Known, task: Task) -> list[Task]:
    return [task._replace(choice=choice) for choice in range(len(known.search.problems.kinds[0].dies))]


def _spread(relaxed: Relaxed | None, task: Task) -> float:
    if relaxed is None:
        return float("nan")
    loss = np.asarray(relaxed.loss)
    if task.weighting >= len(loss):
        return float("nan")
    ends = loss[task.weighting, task.choice]
    return float(np.ptp(ends[np.isfinite(ends)])) if np.isfinite(ends).any() else float("nan")


def _full_name(name: str, bounds: tuple[str, ...]) -> str:
    return bounds[int(name.split()[1])] if name.startswith("bound ") else name
