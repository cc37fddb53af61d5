"""Second stage: integers by descent over neighbours, each neighbour solved to a proved optimum.

For every weighting the relaxed search names a start; a pattern search with shrinking steps ends where no neighbour (one integer
one up or down, or two at once) in the same choice is better. Every solve is convex and certified for its own integers. Fleets of
several kinds of machine are searched a kind at a time (``kinds``).
"""

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from codesign.numerics.compilation import OFTEN, SELDOM, compiled
from codesign.numerics.fields import Real
from codesign.search.batches import in_batches
from codesign.search.certificate import lower_bound
from codesign.search.goals import Goals
from codesign.search.interior_point import Point, model_at, solve
from codesign.search.layout import OUTCOMES, Layout
from codesign.search.part import Part, only, owner_of_integers
from codesign.search.placement import Placed, each_lane
from codesign.search.problem import Problems, integer_ranges, layer_steps
from codesign.search.program import BoundNumbers, Program, fixed_program

FEASIBLE = 1e-9
"""Largest ln(used/allowed) that still counts as converged inside the limits; the exact model has the last word."""

WORTHWHILE = 1e-6
"""Log units by which a neighbour must be better to be moved to: flat valleys are long."""


class Task(NamedTuple):
    """One problem to solve: indices, and integers in the order of ``problem.integer_names``."""

    weighting: int
    choice: int
    integers: tuple[int, ...]


class Solved(NamedTuple):
    """Solved problems; ``value`` is +∞ where no feasible point was found. Arrays of JAX inside, of numpy outside."""

    value: Any  # (lanes,)
    bound: Any  # (lanes,)
    point: Point


class Memory(Protocol):
    """Where finished solves are kept, so that a search that was killed loses none of them."""

    def get(self, key: tuple[Any, ...]) -> tuple[np.ndarray, ...] | None: ...
    def put(self, entries: Sequence[tuple[tuple[Any, ...], tuple[np.ndarray, ...]]]) -> None: ...


class Search(NamedTuple):
    """A problem with its objectives: what every solve needs."""

    layout: Layout
    problems: Problems  # leaves in numpy, for the host
    placed: Placed  # the same for compiled programs
    goals: Goals
    bounds: BoundNumbers
    memory: Memory | None = None
    slack: Any = None  # (functions,) which functions the variable "relaxation" relaxes; none unless told
    slack_range: tuple[float, float] = (0.0, 0.0)
    part: Part | None = None  # the kind of machine that is meant by itself; none where the fleet is

    @property
    def solved(self) -> Layout:
        """The layout of the programs that are solved."""
        return self.layout if self.part is None else self.part.layout

    @property
    def ranges(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest of every integer; of a kind of machine by itself, those of others are at their lowest."""
        low, high = integer_ranges(self.problems)
        if self.part is not None:
            high = np.where(np.array(owner_of_integers(self.layout)) == self.part.kind, high, low)
        return low, high

    @property
    def positions(self) -> np.ndarray:
        """Which of all integers the variables ``solved.integers`` are."""
        return np.arange(self.layout.counted) if self.part is None else self.part.integers


@compiled(SELDOM, static_argnums=(0,))
def fixed_programs(layout: Layout, problems: Placed, bounds: BoundNumbers, choices: Any, integers: Real) -> Program:
    """Programs at fixed integers, a lane a choice and a row of integers."""
    return each_lane(lambda problem, numbers: fixed_program(layout, problem, numbers, bounds), problems, choices, integers)


def programs_of(search: Search, tasks: Sequence[Task]) -> Program:
    """Programs of ``LANES`` tasks, leading axis the tasks."""
    programs = fixed_programs(
        search.layout,
        search.placed,
        search.bounds,
        np.array([task.choice for task in tasks]),
        np.array([task.integers for task in tasks], dtype=float),
    )
    return asked(search, programs)


def asked(search: Search, programs: Program) -> Program:
    """Programs as a search asks for them: of one kind of machine by itself, or with limits that may be relaxed."""
    if search.part is not None:
        return only(search.layout, search.part.kind, programs)
    if search.slack is None:
        return programs
    column = search.layout.variable("relaxation")
    low, high = np.array(programs.low), np.array(programs.high)
    low[:, column], high[:, column] = search.slack_range
    for p in range(search.layout.kinds):  # the box of silicon ends where the reticle does, which may be what is relaxed
        high[:, search.layout.variable("silicon", p)] += search.slack_range[1]
    slack = np.broadcast_to(search.slack, programs.slack.shape)
    return dataclasses.replace(programs, slack=slack, low=low, high=high)


@compiled(OFTEN, static_argnums=(0,))
def solve_programs(layout: Layout, programs: Program, goals: Goals, weights: Real, slowest: Real, enough: Real) -> Solved:
    """Solve ``LANES`` programs (leading axis) and bound them: one compiled program for the whole search.

    Args:
        layout: structure.
        programs: the problems.
        goals: objectives.
        weights: of the objectives.
        slowest: ln of the longest time per token that is asked for [s]; +∞ for no such demand.
        enough: what a bound need exceed, so that no more need be known (``interior_point.decided``); +∞ to solve to the last digits.
    """
    pace = layout.variable("pace")
    programs = dataclasses.replace(programs, high=programs.high.at[:, pace].min(slowest))

    def judged(program: Program, weighting: Real, point: Point) -> Solved:
        model = model_at(layout, program, goals, weighting, point)
        feasible = (jnp.max(model.limits) <= FEASIBLE) & jnp.isfinite(model.value) & jnp.all(program.high >= program.low)
        return Solved(jnp.where(feasible, model.value, jnp.inf), lower_bound(program, point, model), point)

    return jax.vmap(judged)(programs, weights, solve(layout, programs, goals, weights, enough))


def solve_tasks(search: Search, weights: np.ndarray, slowest: np.ndarray, tasks: list[Task]) -> Solved:
    """Solve problems; shapes (tasks, …), as numpy arrays."""

    def solved(batch: list[Task]) -> Solved:
        rows = [task.weighting for task in batch]
        to_the_end = np.full(len(batch), np.inf)
        return solve_programs(search.solved, programs_of(search, batch), search.goals, weights[rows], slowest[rows], to_the_end)

    return in_batches(solved, tasks)


class Known:
    """Solves that are done, in this process or in one before it (``Memory``).

    A weighting is a row of ``weights`` (weightings, objectives) and an entry of ``slowest`` (weightings,): ln of the longest time per
    token that it asks for [s], +∞ for none. ``bounds`` (weightings,) is what its weighted sum is proved not to be below, over all
    choices and integers; −∞ until something is.
    """

    def __init__(self, search: Search, weights: np.ndarray):
        self.search, self.weights = search, weights
        self.slowest = np.full(len(weights), np.inf)
        self.bounds = np.full(len(weights), -np.inf)
        self.done: dict[Task, tuple[float, float, Point]] = {}
        self.below: dict[Any, Any] = {}  # ranges of chips and batch, relaxed (``boxes``)

    def ask(self, weights: np.ndarray, slowest: np.ndarray) -> None:
        """Add weightings."""
        self.weights, self.slowest = np.concatenate([self.weights, weights]), np.concatenate([self.slowest, slowest])
        self.bounds = np.concatenate([self.bounds, np.full(len(weights), -np.inf)])

    def asked(self, weighting: int) -> tuple[float | str, ...]:
        """All that a weighting is, for keys of ``Memory``."""
        part = () if self.search.part is None else ("kind", self.search.part.kind)
        return (*part, *map(float, self.weights[weighting]), float(self.slowest[weighting]))

    def learn(self, tasks: Iterable[Task]) -> None:
        """Solve what is not known yet."""
        fresh = sorted(task for task in set(tasks) - self.done.keys() if not self._remembered(task))
        if not fresh:
            return
        solved = solve_tasks(self.search, self.weights, self.slowest, fresh)
        for k, task in enumerate(fresh):
            self.done[task] = (float(solved.value[k]), float(solved.bound[k]), Point(*(leaf[k] for leaf in solved.point)))
        if self.search.memory is not None:
            self.search.memory.put([(self._key(task), self._entry(task)) for task in fresh])

    def value(self, task: Task) -> float:
        """The weighted sum of a known task; +∞ where it has no feasible design."""
        return self.done[task][0]

    def values(self, tasks: Sequence[Task]) -> np.ndarray:
        """``value`` of several, shape (tasks,)."""
        return np.array([self.value(task) for task in tasks])

    def _key(self, task: Task) -> tuple[Any, ...]:
        return ("solve", task.choice, *task.integers, *self.asked(task.weighting))

    def _entry(self, task: Task) -> tuple[np.ndarray, ...]:
        value, bound, point = self.done[task]
        return (np.concatenate([[value, bound], *point]),)  # one array: thousands of small ones take long to write

    def _remembered(self, task: Task) -> bool:
        found = None if self.search.memory is None else self.search.memory.get(self._key(task))
        if found is None:
            return False
        layout = self.search.solved
        variables, limits = len(layout.variables), len(layout.functions) - len(OUTCOMES)
        ends = np.cumsum([2, variables, limits, limits, variables])
        (value, bound), *point = np.split(found[0], ends)
        self.done[task] = (float(value), float(bound), Point(*point))
        return True


def best_of(known: Known, rows: list[list[Task]], most: int) -> list[list[Task]]:
    """The best few tasks of each row, solved, those without a design left out."""
    known.learn(task for tasks in rows for task in tasks)
    return [sorted({t for t in tasks if np.isfinite(known.value(t))}, key=lambda t: (known.value(t), t))[:most] for tasks in rows]


def rounded_memory(known: Known, task: Task) -> list[Task]:
    """Tasks with stacks and layers rounded both ways from the free optimum of a task."""
    search, problems = known.search, known.search.problems
    low, high = search.ranges
    kinds, first = search.layout.kinds, search.layout.counted
    ways: list[list[int]] = [[number] for number in task.integers]
    y = known.done[task][2].y
    for p, space in enumerate(problems.spaces):
        if not space.buildable or (search.part is not None and search.part.kind != p):
            continue
        memory, own = problems.kinds[p].technology.memory, 0 if search.part is not None else p
        stacks = np.exp(y[search.solved.variable("memory_bandwidth", own)]) / float(memory.stack_bandwidth[task.choice])
        layers = np.exp(y[search.solved.variable("memory_capacity", own)]) / float(memory.layer_capacity[task.choice])
        step = float(np.asarray(layer_steps(space, memory))[task.choice])
        steps = layers / stacks / step
        for k, value in ((first + p, stacks), (first + kinds + p, steps)):
            both = {int(np.clip(f(value), low[k], high[k])) for f in (np.floor, np.ceil)}
            ways[k] = sorted(both)
    return [task._replace(integers=integers) for integers in itertools.product(*ways)]
