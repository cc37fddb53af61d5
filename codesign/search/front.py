"""The search as a whole: weightings → relaxed starts → certified integers → front, checked on the exact model."""

import contextlib
import dataclasses
import functools
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from codesign.evaluate import evaluate_table
from codesign.hardware.design import Design
from codesign.hardware.technology import Technology
from codesign.outcome import LIMIT_NAMES, Outcome, stack_limits
from codesign.performance.execution import Execution, Operatorwise
from codesign.performance.step import operator_names
from codesign.physical.area import area
from codesign.search.choices import Choice, Tree, plans_and_dies, taken
from codesign.search.goals import Goal, goals, log_goals
from codesign.search.integers import Problems, Solved, Task, descend, solve_tasks
from codesign.search.program import LIFTED, MONOMIAL_LIMITS, POSYNOMIAL_LIMITS, SILICON, SYNC
from codesign.search.refinement import GAPS, ROUNDS, between, longest_gaps
from codesign.search.relaxation import QUICK_COMPILATION, Relaxed, outcome_at, relax
from codesign.search.space import CONTINUOUS, Space, at_bound, design_at
from codesign.workload.operators import operator_table, pad
from codesign.workload.workload import Workload

Progress = Callable[[str, int, int], None]

LEAST_WEIGHT = 1e-4
"""No objective weighs less: a weight of zero would certify only weak efficiency."""

CERTIFIED = 1e-6
"""Largest certified gap, in log units, that is called GLOBAL."""

ROUNDING = 1e-9
"""A gap further below zero than this says that the bound is wrong: never GLOBAL."""

EXACT_LANES = 64
"""Designs checked in one call of the exact model."""

BINDING = 1e-4
"""A limit binds where ln(used/allowed) is above minus this."""


class Infeasible(ValueError):
    """No design in the space meets the limits; the message names those in conflict."""


@dataclasses.dataclass(frozen=True)
class Front:
    """Designs that no other found design dominates, best first by the last objective.

    Shapes: N designs, G objectives. ``values`` are in the objectives' units, larger or smaller better by their sense;
    ``certified_gap`` is the weighted sum of log objectives above its proved bound for the design's own choice and integers.
    ``multipliers`` say how much that weighted sum would gain per log unit of each limit. ``box`` is −1, 0, 1 for the five
    continuous quantities, chips and batch.
    """

    designs: Design
    batch: np.ndarray
    choice: np.ndarray
    choices: tuple[Choice, ...]
    outcomes: Outcome
    objectives: tuple[Any, ...]
    values: np.ndarray
    weights: np.ndarray
    status: tuple[str, ...]
    certified_gap: np.ndarray
    binding: tuple[tuple[str, ...], ...]
    multipliers: dict[str, np.ndarray]
    box: np.ndarray
    timings: dict[str, float]

    def __len__(self) -> int:
        return len(self.batch)


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
    space: Space, choices: Sequence[Choice], workload: Workload, technology: Technology, objectives: Sequence[Goal], *,
    execution: Execution | None = None, weights: int = 48, seed: int = 0, progress: Progress | None = None,
) -> Front:  # fmt: skip
    """Search for the Pareto front of designs.

    Args:
        space: box of the continuous quantities, ranges of chips and batch, base design.
        choices: plans and packages to choose among.
        workload: what the machine must do; its batch is overwritten.
        technology: limits and prices.
        objectives: what is wanted (``objectives.objective``).
        execution: ``Operatorwise()`` unless told.
        weights: number of weightings.
        seed: of weightings and starts.
        progress: called with (stage, done, total).

    Raises:
        Infeasible: no weighting found a feasible design; limits in conflict are named.
        ValueError: an objective that cannot be proved.
    """
    with double_precision():
        world = _in_double((workload, technology, Operatorwise() if execution is None else execution))
        return _optimize(_in_double(space), tuple(map(_in_double, choices)), *world, objectives, weights, seed, progress)


@contextlib.contextmanager
def double_precision() -> Iterator[None]:
    """Search and certificate need float64 (float32 leaves gaps of 9 to 16 log units) and Optax mixes dtypes; thread-local."""
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        yield


def _in_double(tree: Tree) -> Tree:
    return jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf), dtype=jnp.float64), tree)


def _optimize(
    space: Space, choices: tuple[Choice, ...], workload: Workload, technology: Technology, execution: Execution,
    objectives: Sequence[Goal], weights: int, seed: int, progress: Progress | None,
) -> Front:  # fmt: skip
    tell = progress or (lambda stage, done, total: None)
    clock = time.perf_counter()
    timings: dict[str, float] = {}

    def lap(name: str) -> None:
        nonlocal clock
        timings[name], clock = time.perf_counter() - clock, time.perf_counter()

    space = affordable(space, choices, technology)
    columns = technology.attainable.slice_columns
    table = operator_table(workload.model, workload.precision, slice_columns=columns)
    table = pad(table, -(-len(table.names) // 4) * 4)
    weighting = weightings(weights, len(objectives), seed)
    plans, dies = plans_and_dies(choices)
    problems = Problems(space, plans, dies, table, workload, technology, execution)
    tell("relaxed search", 0, 1)
    with ThreadPoolExecutor() as pool:  # XLA compiles outside the interpreter lock: later stages compile meanwhile
        waiting = [pool.submit(_warm_up, stage, problems, objectives, weighting) for stage in (solve_tasks, check_exactly)]
        relaxed = jax.block_until_ready(
            relax(
                space,
                choices,
                table,
                workload,
                technology,
                execution,
                objectives,
                jnp.asarray(weighting),
                starts=2,
                seed=seed,
            )
        )
        for future in waiting:
            future.result()
    lap("relaxed search")
    tell("relaxed search", 1, 1)
    found = Found(weighting, *descend(problems, goals(objectives), weighting, first_tasks(relaxed, space), lambda *_: None))
    tell("integers", 1, 1 + ROUNDS)
    lap("integers")
    if not found.tasks:
        raise Infeasible(conflict(problems, relaxed))
    for done in range(ROUNDS):
        found = refined(problems, objectives, found)
        tell("integers", 2 + done, 1 + ROUNDS)
    lap("refinement")
    front = _assemble(problems, choices, objectives, found, timings)
    lap("exact check")
    return front


class Found(NamedTuple):
    """Certified designs so far: all weightings, the best integers of each that has a feasible design, their solutions."""

    weightings: np.ndarray
    tasks: list[Task]
    solved: Solved

    @property
    def weights(self) -> np.ndarray:
        """The weighting of each design, shape (designs, objectives)."""
        return self.weightings[[task.weighting for task in self.tasks]]


def refined(problems: Problems, objectives: Sequence[Goal], found: Found) -> Found:
    """More designs, between those that are farthest apart on the front."""
    logs = log_goals(objectives, check_exactly(problems, found.tasks, found.solved.point.y)[1])
    front = non_dominated(logs)
    weights, tasks = found.weights[front], [found.tasks[k] for k in front]
    first = len(found.weightings)
    gaps = longest_gaps(logs[front], GAPS)
    news = [between(gap, weights, tasks, first + k) for k, gap in enumerate(gaps)]
    if not news:
        return found
    weightings = np.concatenate([found.weightings, [weighting for weighting, _ in news]])
    more, solved = descend(problems, goals(objectives), weightings, [starts for _, starts in news], lambda *_: None)
    together = jax.tree.map(lambda one, other: np.concatenate([one, other]), found.solved, solved)
    return Found(weightings, found.tasks + more, together)


def affordable(space: Space, choices: Sequence[Choice], technology: Technology) -> Space:
    """The space above the floor of the sync latency, where its price is finite.

    Raises:
        ValueError: a choice has more dies than a package may hold, memory tiers or several all-reduce algorithms, or the space
            lies wholly below the floor.
    """
    most = float(technology.packaging.max_dies)
    for choice in choices:
        algorithms = choice.plan.all_reduce.shape[-2]
        if choice.plan.tiers is not None or algorithms != 1:
            raise ValueError(
                f"choice {choice.name!r} has memory tiers or {algorithms} all-reduce algorithms; "
                "expected no tiers and one algorithm a choice, since nothing is proved for a minimum over them"
            )
        if float(choice.dies) > most:
            raise ValueError(f"choice {choice.name!r} has {float(choice.dies):g} dies; expected at most {most:g} in a package")
    floor = float(technology.links.sync_floor) * (1.0 + 1e-3)
    if float(space.high[SYNC]) < floor:
        raise ValueError(f"sync latency is at most {float(space.high[SYNC]):g} s; expected more than its floor of {floor:g} s")
    return eqx.tree_at(lambda s: s.low, space, space.low.at[SYNC].max(floor))


def first_tasks(relaxed: Relaxed, space: Space) -> list[list[Task]]:
    """Integers around the best relaxed start of every choice, for each weighting."""
    loss, end = np.asarray(relaxed.loss), np.asarray(relaxed.end)
    starts = []
    for k in range(loss.shape[0]):
        tasks: list[Task] = []
        for choice in range(loss.shape[1]):
            best = int(np.nanargmin(loss[k, choice])) if np.isfinite(loss[k, choice]).any() else 0
            chips, batch = end[k, choice, best, len(CONTINUOUS) : len(CONTINUOUS) + 2]
            n, b = int(np.clip(round(chips), *space.chips)), int(np.clip(round(batch), *space.batch))
            tasks.append(Task(k, choice, n, b))
        starts.append(tasks)
    return starts


def _warm_up(stage: Callable[..., Any], problems: Problems, objectives: Sequence[Goal], weighting: np.ndarray) -> None:
    """Compile a stage by running it once on the smallest problem."""
    task = Task(0, 0, problems.space.chips[0], problems.space.batch[0])
    with double_precision():
        if stage is solve_tasks:
            solve_tasks(problems, goals(objectives), weighting, [task])
        else:
            stage(problems, [task], np.zeros((1, operators(problems) + LIFTED)))


def operators(problems: Problems) -> int:
    """Operators of a step, those of drafting passes included."""
    return len(operator_names(problems.table, problems.workload.phase))


def check_exactly(problems: Problems, tasks: list[Task], y: np.ndarray) -> tuple[Design, Outcome]:
    """Designs and outcomes of solved tasks on the exact model, shapes (tasks, …), in batches of one compiled size."""
    done = []
    for first in range(0, len(tasks), EXACT_LANES):
        batch = tasks[first : first + EXACT_LANES]
        padding = EXACT_LANES - len(batch)
        numbers = np.array(batch + [batch[-1]] * padding)
        rows = np.concatenate([y[first : first + EXACT_LANES], np.repeat(y[-1:], padding, axis=0)])
        real = [jnp.asarray(numbers[:, k], dtype=jnp.float64) for k in (2, 3)]
        lanes = _exact(problems, jnp.asarray(numbers[:, 1]), *real, jnp.asarray(rows))
        done.append(_first(lanes, len(batch)))
    return jax.tree.map(lambda *parts: np.concatenate(parts), *done)


def _first(tree: Any, count: int) -> Any:
    return jax.tree.map(lambda leaf: np.asarray(leaf)[:count], tree)


@functools.partial(jax.jit, compiler_options=QUICK_COMPILATION)
@functools.partial(jax.vmap, in_axes=(None, 0, 0, 0, 0))
def _exact(problems: Problems, k: jax.Array, n: jax.Array, b: jax.Array, y: jax.Array) -> tuple[Design, Outcome]:
    """One design on the exact model; silicon beyond the sum of the parts becomes white silicon."""
    values = jnp.exp(y)
    bare = design_at(problems.space, values[: len(CONTINUOUS)], n, jnp.zeros_like(n))
    bare = eqx.tree_at(lambda d: d.dies, bare, problems.dies[k])
    parts = area(bare, problems.technology, problems.table.compute_bits).total
    design = dataclasses.replace(bare, white_silicon=jnp.maximum(values[SILICON] - parts, 0.0))
    work = eqx.tree_at(lambda w: w.phase.batch, problems.workload, b)
    plan = taken(problems.plans, k)
    return design, evaluate_table(design, problems.table, work, plan, problems.technology, problems.execution)


def _assemble(
    problems: Problems, choices: Sequence[Choice], objectives: Sequence[Goal], found: Found, timings: dict[str, float]
) -> Front:
    numbers, solved, weights = np.array(found.tasks), found.solved, found.weights
    designs, outcomes = check_exactly(problems, found.tasks, solved.point.y)
    logs = log_goals(objectives, outcomes)
    limits = np.stack([getattr(outcomes.limits, name) for name in LIMIT_NAMES], axis=-1)
    gap = (weights * logs).sum(axis=1) - solved.bound
    feasible = limits.max(axis=1, keepdims=True) <= 0.0
    keep = non_dominated(np.where(feasible, logs, np.inf))
    if not len(keep):
        raise Infeasible("no design that the search found passes the check on the exact model; widen the space")
    keep = keep[np.argsort(logs[keep, -1], kind="stable")]

    def rows(tree: Any) -> Any:
        return jax.tree.map(lambda leaf: np.asarray(leaf)[keep], tree)

    names = (*POSYNOMIAL_LIMITS, *("",) * (2 * operators(problems)), *MONOMIAL_LIMITS)
    multipliers = {name: solved.point.multipliers[keep, k] for k, name in enumerate(names) if name in LIMIT_NAMES}
    proved = (convex(problems, numbers)[keep], gap[keep])
    bounds = np.asarray(at_bound(problems.space, np.exp(solved.point.y[:, : len(CONTINUOUS)])))
    return Front(
        designs=rows(designs),
        batch=numbers[keep, 3],
        choice=numbers[keep, 1],
        choices=tuple(choices),
        outcomes=rows(outcomes),
        objectives=tuple(objectives),
        values=np.exp(-logs[keep] * np.array([objective.sense for objective in objectives])),
        weights=weights[keep],
        status=tuple("GLOBAL" if sure and -ROUNDING <= g <= CERTIFIED else "LOCAL" for sure, g in zip(*proved, strict=True)),
        certified_gap=gap[keep],
        binding=tuple(tuple(n for n, g in zip(LIMIT_NAMES, row, strict=True) if g > -BINDING) for row in limits[keep]),
        multipliers=multipliers,
        box=np.concatenate([bounds, _integer_bounds(numbers, problems.space)], axis=1)[keep].astype(int),
        timings=timings,
    )


def convex(problems: Problems, numbers: np.ndarray) -> np.ndarray:
    """Whether the program is the exact model for each task, shape (tasks,) [bool].

    It is not where experts are exchanged beyond a scale-up domain: the slower of two networks then depends on the design.
    """
    dealt = np.asarray(problems.plans.expert)[numbers[:, 1]] > 1.0
    leaves = numbers[:, 2] > float(problems.space.base.scale_up_domain)
    return ~(dealt & leaves & problems.table.has_experts)


def _integer_bounds(numbers: np.ndarray, space: Space) -> np.ndarray:
    columns = []
    for column, (low, high) in ((2, space.chips), (3, space.batch)):
        # one chip or one sequence is a fact of life, not a bound of the box
        at = np.where((numbers[:, column] == low) & (low > 1), -1, np.where(numbers[:, column] == high, 1, 0))
        columns.append(at if high > low else np.zeros_like(at))
    return np.stack(columns, axis=1)


def non_dominated(logs: np.ndarray, tolerance: float = 1e-9) -> np.ndarray:
    """Indices of rows that are finite and that no other row beats or equals in every column; of equal rows, the first."""
    kept: list[int] = []
    for k, row in enumerate(logs):
        if not np.isfinite(row).all():
            continue
        others = np.delete(logs, k, axis=0)
        order = np.delete(np.arange(len(logs)), k)
        no_worse = (others <= row + tolerance).all(axis=1)
        better = (others < row - tolerance).any(axis=1)
        if not (no_worse & (better | (order < k))).any():
            kept.append(k)
    return np.array(kept, dtype=int)


@jax.jit
@functools.partial(jax.vmap, in_axes=(None, 0, 0))
def _limits_at(problems: Problems, values: jax.Array, k: jax.Array) -> jax.Array:
    p, plan = problems, taken(problems.plans, k)
    outcome = outcome_at(values, plan, p.dies[k], p.space, p.table, p.workload, p.technology, p.execution)
    return stack_limits(outcome.limits)


def conflict(problems: Problems, relaxed: Relaxed) -> str:
    """One sentence naming the limits that the least violated relaxed design breaks, and by how much."""
    flat = relaxed.end.reshape(-1, relaxed.end.shape[-1])
    choice = np.indices(relaxed.loss.shape)[1].ravel()
    limits = np.asarray(_limits_at(problems, flat, choice))
    best = int(np.nanargmin(np.where(np.isfinite(limits).all(axis=1), limits.max(axis=1), np.inf)))
    broken = [
        f"{name.replace('_', ' ')} (by {np.expm1(value):.0%})"
        for name, value in zip(LIMIT_NAMES, limits[best], strict=True)
        if value > 5e-3
    ]
    chips, batch = flat[best, len(CONTINUOUS)], flat[best, len(CONTINUOUS) + 1]
    return (
        f"no design in the space meets every limit: the nearest one found, {float(chips):.0f} chips at batch {float(batch):.0f}, "
        f"still breaks {' and '.join(broken) or 'integrality'}; relax that or widen the space"
    )
