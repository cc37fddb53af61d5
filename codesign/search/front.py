"""The search as a whole: weightings → relaxed starts → certified integers → front, checked on the exact model."""

import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from codesign.hardware.design import Design
from codesign.outcome import Outcome
from codesign.performance.execution import Execution, Operatorwise
from codesign.physical.area import area
from codesign.search.approach import FROM_NEARBY, approach, settled
from codesign.search.audit import POINTS, TOLERANCE, differences
from codesign.search.branch import Proof
from codesign.search.branch import prove as branch
from codesign.search.choices import Choice, Tree, taken
from codesign.search.coefficients import operator_counts
from codesign.search.exact import FLEET_LIMITS, Fleet, Totals, design_of, fleet_of
from codesign.search.goals import Bound, BoundRows, Goal, bound_rows, bounds_exceeded, goals, log_goals
from codesign.search.infeasible import Conflict, conflict, sentence
from codesign.search.integers import QUICK_COMPILATION, Known, Memory, Search, Task, descend, solve_tasks
from codesign.search.layout import layout
from codesign.search.problem import Problems, Service, assemble, check_dies, integer_names, integer_ranges
from codesign.search.program import HAIR, BoundNumbers
from codesign.search.refinement import GAPS, ROUNDS, between, longest_gaps
from codesign.search.relaxation import Relaxed, Wanted, first_integers, fleet_at, relax
from codesign.search.space import CONTINUOUS, Space, at_bound

Progress = Callable[[str, int, int], None]

LEAST_WEIGHT = 1e-4
"""No objective weighs less: a weight of zero would certify only weak efficiency."""

CERTIFIED = 1e-6
"""Largest certified gap, in log units, that is called GLOBAL."""

ROUNDING = 1e-9
"""A gap further below zero than this says that the bound is wrong: never GLOBAL."""

EXACT_LANES = 64
"""Designs checked in one call of the exact model."""

LAST_DIGITS = 1e-12
"""ln(used/allowed) of a limit that is met with equality, as by the most stacks on a package: rounding of a quotient."""

BINDING = 1e-4
"""A limit binds where ln(used/allowed) is above minus this."""


class Infeasible(ValueError):
    """No design in the space meets the limits; the message names those in conflict and what would relax them."""

    def __init__(self, message: str, conflict: Conflict | None = None):
        super().__init__(message)
        self.conflict = conflict


@dataclasses.dataclass(frozen=True)
class Front:
    """Designs that no other found design dominates, best first by the last objective.

    Shapes: N designs, G objectives. ``designs`` holds a machine of each kind, ``outcomes`` an outcome of each step, ``totals`` the
    fleet's. ``integers`` are in the order of ``integer_names`` (0: left free). ``values`` are in the objectives' units, larger
    or smaller better by their sense; ``certified_gap`` is the weighted sum of log objectives above its proved bound for the
    design's own choice and integers, ``front_gap`` above the bound over all choices and integers (NaN unless proved).
    ``residual`` is the norm of the exact model's optimality conditions of a design that is not ``GLOBAL`` (NaN otherwise), ``spread``
    how far the relaxed search's starts ended apart for its weighting and choice (NaN for weightings added later).
    ``multipliers`` say how much that weighted sum would gain per log unit of each limit. ``box`` is −1, 0, 1 for the
    continuous quantities of each kind and then chips and batches.
    """

    designs: tuple[Design, ...]
    outcomes: tuple[Outcome, ...]
    totals: Totals
    machine_seconds: np.ndarray
    integers: np.ndarray
    integer_names: tuple[str, ...]
    choice: np.ndarray
    choices: tuple[Choice, ...]
    objectives: tuple[Any, ...]
    values: np.ndarray
    weights: np.ndarray
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

    Exponential spacings of a scrambled Sobol sequence are uniform on the simplex. No weight is below ``LEAST_WEIGHT``.
    """
    from scipy.stats import qmc

    random = qmc.Sobol(objectives, rng=np.random.default_rng(seed)).random_base2(max(1, int(np.ceil(np.log2(max(count, 2))))))
    spread = -np.log(np.clip(random, 1e-9, 1.0))
    spread /= spread.sum(axis=1, keepdims=True)
    weights = np.concatenate([np.eye(objectives), spread])[:count]
    weights = np.maximum(weights, LEAST_WEIGHT)
    return weights / weights.sum(axis=1, keepdims=True)


def optimize(
    spaces: Space | Sequence[Space], services: Service | Sequence[Service], choices: Sequence[Choice],
    objectives: Sequence[Goal], *, bounds: Sequence[Bound] = (), execution: Execution | None = None, weights: int = 48,
    seed: int = 0, prove: bool = False, memory: Memory | None = None, progress: Progress | None = None,
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
        prove: bound choices and integers too, by branch and bound (``Front.front_gap``).
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


@contextlib.contextmanager
def double_precision() -> Iterator[None]:
    """Search and certificate need float64 (float32 leaves gaps of 9 to 16 log units) and Optax mixes dtypes; thread-local."""
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        yield


def _in_double(tree: Tree) -> Tree:
    return jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf), dtype=jnp.float64), tree)


def pose(problems: Problems, objectives: Sequence[Goal], bounds: Sequence[Bound], memory: Memory | None = None) -> tuple[Search, BoundRows]:
    """A problem in the program's terms."""
    alone = len(problems.steps) == 1
    rows = bound_rows(bounds, one_machine=alone)
    structure = layout(problems, operator_counts(problems), rows.structure)
    numbers = BoundNumbers(jnp.asarray(rows.constants), jnp.asarray(rows.limits))
    return Search(structure, problems, goals(objectives, one_machine=alone), numbers, memory), rows


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
    weighting = weightings(weights, len(objectives), seed)
    wanted = Wanted(objectives, bounds)
    ranges = integer_ranges(problems)
    known = Known(search, weighting)
    tell("relaxed search", 0, 1)
    with ThreadPoolExecutor() as pool:  # XLA compiles outside the interpreter lock: later stages compile meanwhile
        waiting = [pool.submit(_warm_up, stage, search, weighting, ranges[0]) for stage in (solve_tasks, check_exactly)]
        relaxed = None
        if len(problems.steps) == 1:
            relaxed = jax.block_until_ready(relax(problems, wanted, jnp.asarray(weighting), starts=2, seed=seed))
        for future in waiting:
            future.result()
    starts = approach(known, middle_starts(known, ranges)) if relaxed is None else first_tasks(relaxed, problems, ranges)
    lap("relaxed search")
    tell("relaxed search", 1, 1)
    tasks = descend(known, starts, None if relaxed is not None else functools.partial(settled, known))
    tell("integers", 1, 1 + ROUNDS)
    lap("integers")
    if not tasks:
        found = conflict(search, rows.names)
        raise Infeasible(sentence(found, search), found)
    for done in range(ROUNDS):
        tasks = refined(known, objectives, tasks)
        tell("integers", 2 + done, 1 + ROUNDS)
    lap("refinement")
    proof = None
    if prove:
        proof = branch(known, completed(known, tasks), progress=lambda boxes, still: tell("proof", boxes, boxes + still))
        tasks = [task for task in proof.best if np.isfinite(known.value(task))]
        lap("proof")
    front = _assemble(known, choices, objectives, bounds, rows, archive(known, tasks), relaxed, proof, timings)
    lap("exact check")
    return front


def first_tasks(relaxed: Relaxed, problems: Problems, ranges: tuple[np.ndarray, np.ndarray]) -> list[list[Task]]:
    """Where the descent starts for each weighting: relaxed optima of every choice, and the same at the end of a scale-up domain.

    Communication jumps where a machine outgrows its domain, and a gradient does not see across.
    """
    starts = first_integers(relaxed, problems, ranges)
    found = []
    for k, row in enumerate(starts):
        tasks = {Task(k, choice, numbers) for choice, numbers in enumerate(row)}
        for p, kind in enumerate(problems.kinds):
            for task in list(tasks):
                edge = int(np.clip(np.asarray(kind.scale_up_domain)[task.choice], ranges[0][p], ranges[1][p]))
                tasks.add(task._replace(integers=(*task.integers[:p], edge, *task.integers[p + 1 :])))
        found.append(sorted(tasks))
    return found


def middle_starts(known: Known, ranges: tuple[np.ndarray, np.ndarray]) -> list[list[Task]]:
    """For each weighting the middle of the ranges in every choice, stacks and layers free."""
    counted = known.search.layout.kinds + len(known.search.layout.services)
    middle = np.sqrt(np.maximum(ranges[0], 1) * np.maximum(ranges[1], 1)).round().astype(int)
    integers = tuple(int(v) if k < counted else 0 for k, v in enumerate(middle))
    choices = len(known.search.problems.kinds[0].dies)
    return [[Task(k, choice, integers) for choice in range(choices)] for k in range(len(known.weights))]


def completed(known: Known, tasks: Sequence[Task]) -> list[Task]:
    """The best known task of each weighting; where it has none, another's integers."""
    best: dict[int, Task] = {}
    for task in tasks:
        if task.weighting not in best or known.value(task) < known.value(best[task.weighting]):
            best[task.weighting] = task
    found = [best.get(k, tasks[0]._replace(weighting=k)) for k in range(len(known.weights))]
    known.learn(found)
    return found


def refined(known: Known, objectives: Sequence[Goal], tasks: list[Task]) -> list[Task]:
    """More designs, between those that are farthest apart on the front."""
    found = check_exactly(known.search, tasks, points(known, tasks))
    logs = log_goals(objectives, found.totals)
    front = non_dominated(logs)
    ends = [tasks[k] for k in front]
    weights = known.weights[[task.weighting for task in ends]]
    first, counted = len(known.weights), known.search.layout.kinds + len(known.search.layout.services)
    gaps = longest_gaps(logs[front], GAPS)
    news = [between(gap, weights, ends, first + k, counted) for k, gap in enumerate(gaps)]
    if not news:
        return tasks
    known.weights = np.concatenate([known.weights, [weighting for weighting, _ in news]])
    starts = [starts for _, starts in news]
    if len(known.search.problems.steps) == 1:
        return tasks + descend(known, starts)
    return tasks + descend(known, approach(known, starts, FROM_NEARBY), functools.partial(settled, known))


def archive(known: Known, tasks: Sequence[Task]) -> list[Task]:
    """The tasks, and all others that were solved on the way and have a design: each is certified as well as they are."""
    chosen = set(tasks)
    return [*tasks, *sorted(task for task in known.done if task not in chosen and np.isfinite(known.value(task)) and _whole(known, task))]


def _whole(known: Known, task: Task) -> bool:
    """Whether a task has whole stacks and layers where they must be."""
    kinds, services = known.search.layout.kinds, len(known.search.layout.services)
    return all(
        task.integers[kinds + services + p] > 0 and task.integers[2 * kinds + services + p] > 0
        for p, space in enumerate(known.search.problems.spaces)
        if space.buildable
    )


def points(known: Known, tasks: Sequence[Task]) -> np.ndarray:
    """Solutions of known tasks, shape (tasks, variables)."""
    return np.stack([known.done[task][2].y for task in tasks])


def _warm_up(stage: Callable[..., Any], search: Search, weighting: np.ndarray, lowest: np.ndarray) -> None:
    """Compile a stage by running it once on the smallest problem."""
    task = Task(0, 0, tuple(map(int, lowest)))
    with double_precision():
        if stage is solve_tasks:
            solve_tasks(search, weighting, [task])
        else:
            stage(search, [task], np.zeros((1, len(search.layout.variables))))


def check_exactly(search: Search, tasks: Sequence[Task], y: np.ndarray) -> Fleet:
    """Fleets of solved tasks on the exact model, leaves (tasks, …), in batches of one compiled size."""
    done = []
    for first in range(0, len(tasks), EXACT_LANES):
        batch = list(tasks[first : first + EXACT_LANES])
        padding = EXACT_LANES - len(batch)
        padded = batch + [batch[-1]] * padding
        rows = np.concatenate([y[first : first + len(batch)], np.repeat(y[first + len(batch) - 1][None], padding, axis=0)])
        numbers = np.array([task.integers for task in padded], dtype=float)
        choice = np.array([task.choice for task in padded])
        lanes = _exact(search.layout, search.problems, jnp.asarray(choice), jnp.asarray(numbers), jnp.asarray(rows))
        count = len(batch)
        done.append(jax.tree.map(lambda leaf, count=count: np.asarray(leaf)[:count], lanes))
    return jax.tree.map(lambda *parts: np.concatenate(parts), *done)


@functools.partial(jax.jit, static_argnums=(0,), compiler_options=QUICK_COMPILATION)
@functools.partial(jax.vmap, in_axes=(None, None, 0, 0, 0))
def _exact(structure: Any, problems: Problems, k: jax.Array, integers: jax.Array, y: jax.Array) -> Fleet:
    """One fleet on the exact model; silicon beyond the sum of the parts becomes white silicon."""
    values, designs = jnp.exp(y), []
    for p, space in enumerate(problems.spaces):
        kind = taken(problems.kinds[p], k)
        first, silicon = structure.variable(CONTINUOUS[0], p), values[structure.variable("silicon", p)]
        chosen = values[first : first + len(CONTINUOUS)]
        bare = design_of(space, kind, chosen, integers[p], jnp.zeros_like(silicon))
        bits = [problems.tables[j].compute_bits[k] for j, step in enumerate(problems.steps) if step.kind == p]
        parts = area(bare, kind.technology, jnp.max(jnp.stack(bits))).total
        designs.append(dataclasses.replace(bare, white_silicon=jnp.maximum(silicon - parts, 0.0)))
    batches = integers[structure.kinds : structure.kinds + len(problems.services)]
    return fleet_of(problems, k, tuple(designs), batches)


class Judged(NamedTuple):
    """Solved tasks on the exact model."""

    fleet: Fleet
    logs: np.ndarray
    limits: np.ndarray  # (tasks, limits and bounds)
    gap: np.ndarray


def judge(known: Known, objectives: Sequence[Goal], bounds: Sequence[Bound], tasks: Sequence[Task]) -> Judged:
    """Exact values and gaps of solved tasks."""
    found = check_exactly(known.search, tasks, points(known, tasks))
    logs = log_goals(objectives, found.totals)
    limits = np.concatenate([found.limits - _hairs(known.search.problems, tasks), bounds_exceeded(bounds, found.totals)], axis=1)
    weights = known.weights[[task.weighting for task in tasks]]
    bound = np.array([known.done[task][1] for task in tasks])
    return Judged(found, logs, limits, (weights * logs).sum(axis=1) - bound)


def _hairs(problems: Problems, tasks: Sequence[Task]) -> np.ndarray:
    """What the limits on layers are relaxed by where a memory has one possible number of layers and stacks are free."""
    hairs = np.zeros((len(tasks), len(FLEET_LIMITS)))
    at = [FLEET_LIMITS.index(name) for name in ("layers_most", "layers_fewest")]
    for space, kind in zip(problems.spaces, problems.kinds, strict=True):
        memory = kind.technology.memory
        single = np.asarray(memory.max_layers <= memory.min_layers * (1.0 + 1e-9)) & (not space.buildable)
        hairs[:, at] = np.maximum(hairs[:, at], np.where(single[[task.choice for task in tasks]], HAIR, 0.0)[:, None])
    return hairs


def _assemble(
    known: Known, choices: tuple[Choice, ...], objectives: tuple[Goal, ...], bounds: tuple[Bound, ...], rows: BoundRows,
    tasks: list[Task], relaxed: Relaxed | None, proof: Proof | None, timings: dict[str, float],
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
    values = np.exp(points(known, kept))
    boxes = []
    for p, space in enumerate(problems.spaces):
        first = structure.variable(CONTINUOUS[0], p)
        boxes.append(at_bound(space, values[:, first : first + len(CONTINUOUS)], integers[:, p]))
    lambdas = np.stack([known.done[task][2].multipliers for task in kept])
    names = (*FLEET_LIMITS, *rows.names)
    return Front(
        designs=taken_rows(seen.fleet.designs),
        outcomes=taken_rows(seen.fleet.outcomes),
        totals=taken_rows(seen.fleet.totals),
        machine_seconds=taken_rows(seen.fleet.machine_seconds),
        integers=integers,
        integer_names=integer_names(problems),
        choice=np.array([task.choice for task in kept]),
        choices=choices,
        objectives=objectives,
        values=np.exp(-seen.logs[keep] * np.array([objective.sense for objective in objectives])),
        weights=known.weights[[task.weighting for task in kept]],
        status=tuple("GLOBAL" if yes else "LOCAL" for yes in proved),
        certified_gap=gap,
        front_gap=front_gaps(known.weights, seen.logs[keep], proof, sure=bool(sure.all()) and always_convex(problems)),
        residual=residuals(
            problems, Wanted(objectives, bounds), kept, known.weights[[t.weighting for t in kept]], taken_rows(seen.fleet.designs), proved
        ),
        spread=spread,
        binding=tuple(tuple(n for n, g in zip(names, row, strict=True) if g > -BINDING) for row in seen.limits[keep]),
        multipliers={_full_name(name, rows.names): lambdas[:, columns].sum(axis=1) for name, columns in structure.limits.items()},
        box=np.concatenate([*boxes, _integer_bounds(problems, integers)], axis=1).astype(int),
        buildable=all(space.buildable for space in problems.spaces),
        timings=timings,
    )


def front_gaps(weights: np.ndarray, logs: np.ndarray, proof: Proof | None, *, sure: bool) -> np.ndarray:
    """How much all objectives together could still improve on each design, over all choices and integers [log].

    The least, over the weightings with a proved bound, of the weighted sum above its bound (convexity.md §3).
    """
    if proof is None or not sure:
        return np.full(len(logs), np.nan)
    return np.min(logs @ weights.T - proof.bounds[None, :], axis=1)


def audited(search: Search, tasks: Sequence[Task]) -> np.ndarray:
    """Whether program and exact model agree at random points, for each task's choice, shape (tasks,) [bool]."""
    asked = [tasks[k] for k in np.linspace(0, len(tasks) - 1, POINTS).round().astype(int)]
    wrong = {task.choice for task, off in zip(asked, differences(search, asked, check_exactly), strict=True) if not off <= TOLERANCE}
    return np.array([task.choice not in wrong for task in tasks])


def _spread(relaxed: Relaxed | None, task: Task) -> float:
    if relaxed is None:
        return float("nan")
    loss = np.asarray(relaxed.loss)
    if task.weighting >= len(loss):
        return float("nan")
    ends = loss[task.weighting, task.choice]
    return float(np.ptp(ends[np.isfinite(ends)])) if np.isfinite(ends).any() else float("nan")


def residuals(
    problems: Problems, wanted: Wanted, tasks: Sequence[Task], weights: np.ndarray, designs: tuple[Design, ...], proved: np.ndarray
) -> np.ndarray:
    """Norm of Σ w ∇F + Σ λ ∇g of the exact model in logarithms of the free quantities, with the best λ ≥ 0 on what binds.

    NaN where proved: there the gap says more. At a tie of two resources the model has two slopes; JAX takes the one between.
    """
    from scipy.optimize import nnls

    found = np.full(len(tasks), np.nan)
    for k in np.flatnonzero(~proved):
        own = jax.tree.map(lambda leaf, k=k: leaf[k], designs)
        values = [
            np.array([*(float(getattr(design, name)) for name in CONTINUOUS), float(design.white_silicon), float(design.chips)])
            for design in own
        ]
        kinds = len(own)
        lane = np.log(np.maximum(np.concatenate([*values, tasks[k].integers[kinds : kinds + len(problems.services)]]), 1e-12))
        goal, slope, used, slopes = (np.asarray(part) for part in _slopes(jnp.asarray(lane), tasks[k].choice, problems, wanted))
        del goal
        free = np.concatenate([np.r_[np.ones(len(CONTINUOUS) + 1, bool), False]] * kinds + [np.zeros(len(problems.services), bool)])
        binds = used > -BINDING
        target = -(weights[k] @ slope)[free]
        found[k] = nnls(slopes[binds][:, free].T, target)[1] if binds.any() else np.linalg.norm(target)
    return found


@functools.partial(jax.jit, compiler_options=QUICK_COMPILATION)
def _slopes(lane: jax.Array, choice: jax.Array, problems: Problems, wanted: Wanted) -> tuple[Any, Any, Any, Any]:
    def both(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        found = fleet_at(jnp.exp(x), choice, problems)
        used = jnp.concatenate([found.limits, bounds_exceeded(wanted.bounds, found.totals)])
        return log_goals(wanted.objectives, found.totals), jnp.maximum(used, -100.0)

    values, slopes = both(lane), jax.jacfwd(both)(lane)
    return values[0], slopes[0], values[1], slopes[1]


def _full_name(name: str, bounds: tuple[str, ...]) -> str:
    return bounds[int(name.split()[1])] if name.startswith("bound ") else name


def convex(problems: Problems, tasks: Sequence[Task]) -> np.ndarray:
    """Whether the program is the exact model for each task, shape (tasks,) [bool].

    It is not where experts are exchanged beyond a scale-up domain: the slower of two networks then depends on the design.
    """
    choice = np.array([task.choice for task in tasks])
    integers = np.array([task.integers for task in tasks])
    sure = np.ones(len(tasks), bool)
    for k, step in enumerate(problems.steps):
        if problems.tables[k].has_experts:
            dealt = np.asarray(problems.plans[k].expert)[choice] > 1.0
            leaves = integers[:, step.kind] > np.asarray(problems.kinds[step.kind].scale_up_domain)[choice]
            sure &= ~(dealt & leaves)
    return sure


def always_convex(problems: Problems) -> bool:
    """Whether the program is the exact model for every choice and all integers (see ``convex``)."""
    most = integer_ranges(problems)[1]
    count = len(problems.kinds[0].dies)
    return bool(convex(problems, [Task(0, choice, tuple(map(int, most))) for choice in range(count)]).all())


def _integer_bounds(problems: Problems, integers: np.ndarray) -> np.ndarray:
    low, high = integer_ranges(problems)
    count = len(problems.spaces) + len(problems.services)
    columns = []
    for k in range(count):
        # one chip or one sequence is a fact of life, not a bound of the box
        at = np.where((integers[:, k] == low[k]) & (low[k] > 1), -1, np.where(integers[:, k] == high[k], 1, 0))
        columns.append(at if high[k] > low[k] else np.zeros_like(at))
    return np.stack(columns, axis=1)


def non_dominated(logs: np.ndarray, tolerance: float = 1e-7) -> np.ndarray:
    """Indices of rows that are finite and that no other row beats or equals in every column; of equal rows, the first."""
    order = np.argsort(np.where(np.isfinite(logs).all(axis=1), logs.sum(axis=1), np.inf), kind="stable")
    kept: list[int] = []
    for k in order:  # a row can only be beaten by one with a smaller sum, up to the tolerance
        if not np.isfinite(logs[k]).all():
            break
        if not kept or not (logs[kept] <= logs[k] + tolerance).all(axis=1).any():
            kept.append(int(k))
    return np.array(sorted(kept), dtype=int)
