"""Second stage: integers by descent over neighbours, each neighbour solved to a proved optimum.

For every weighting the relaxed search names a start; a pattern search with shrinking steps ends where no neighbour (one integer
one up or down, or two at once) in the same choice is better. Every solve is convex and certified for its own integers. Fleets of
several kinds of machine are searched a kind at a time (``kinds``).
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

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

STRIDES = ((0.25, False), (0.08, False), (0.02, False), (0.0, False), (0.0, True))
"""Relative steps of the pattern search, in turn, and whether two integers move at once; zero means ±1."""


ONWARD = (1, 3, 9)
"""How many times the last move that helped is tried again."""

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


Settle: TypeAlias = Callable[[list[Task]], list[Task]]


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
    token that it asks for [s], +∞ for none.
    """

    def __init__(self, search: Search, weights: np.ndarray):
        self.search, self.weights = search, weights
        self.slowest = np.full(len(weights), np.inf)
        self.done: dict[Task, tuple[float, float, Point]] = {}

    def ask(self, weights: np.ndarray, slowest: np.ndarray) -> None:
        """Add weightings."""
        self.weights, self.slowest = np.concatenate([self.weights, weights]), np.concatenate([self.slowest, slowest])

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


def descend(known: Known, starts: list[list[Task]], settle: Settle | None = None) -> list[Task]:
    """For every weighting, the best integers that the pattern search reaches from its starts; those with a feasible design only.

    Where memory comes in whole stacks and layers, the descent first leaves them free, then rounds them both ways.

    Args:
        known: solves so far.
        starts: tasks from which each weighting starts.
        settle: moves tasks to better chips and batches by itself; long strides are then not tried.
    """
    low, high = known.search.ranges
    searched = high > 0
    counted = np.arange(len(searched)) < known.search.layout.counted
    if settle is None:
        best = _descent(known, starts, low, high, searched & counted, STRIDES[:-1] if searched[~counted].any() else STRIDES)
    else:
        known.learn(task for tasks in starts for task in tasks)
        best = [min(tasks, key=known.value) for tasks in starts]
    if searched[~counted].any():
        near = [[task, *_fewer_and_more_chips(known, task, low, high)] for task in best]
        known.learn(task for tasks in near for task in tasks)
        rounded = [[whole for task in tasks for whole in rounded_memory(known, task, low, high)] for tasks in near]
        known.learn(task for tasks in rounded for task in tasks)
        best = [min(tasks, key=known.value) for tasks in rounded]
        best = best if settle is None else settle(best)
        best = _descent(known, [[task] for task in best], low, high, searched, STRIDES[-3:])
    elif settle is not None:
        best = _descent(known, [[task] for task in best], low, high, searched, STRIDES[-3:])
    return [task for task in best if np.isfinite(known.value(task))]


def polish(known: Known, starts: list[list[Task]]) -> list[Task]:
    """Better neighbours of tasks with whole memory, until there is none."""
    low, high = known.search.ranges
    return _descent(known, starts, low, high, high > 0, STRIDES[-3:])


def _fewer_and_more_chips(known: Known, task: Task, low: np.ndarray, high: np.ndarray) -> list[Task]:
    """One chip less and one more of each kind: whole stacks may suit another number of chips better than free ones did."""
    chips = np.arange(len(task.integers)) < known.search.layout.kinds
    return neighbours(task, 0.0, low, high, chips, pairs=False)


def _descent(known: Known, starts: list[list[Task]], low: np.ndarray, high: np.ndarray, moves: np.ndarray, strides: Any) -> list[Task]:
    known.learn(task for tasks in starts for task in tasks)
    best = [min(tasks, key=known.value) for tasks in starts]
    for stride, pairs in strides:
        moving = set(range(len(best)))
        before = dict(enumerate(best))
        while moving:
            around = {k: neighbours(best[k], stride, low, high, moves, pairs=pairs) for k in moving}
            around = {k: [*tasks, *onward(before[k], best[k], low, high)] for k, tasks in around.items()}
            before = dict(enumerate(best))
            known.learn(task for tasks in around.values() for task in tasks)
            still = set()
            for k, tasks in around.items():
                candidate = min(tasks, key=known.value, default=best[k])
                if known.value(candidate) < known.value(best[k]) - WORTHWHILE:
                    best[k] = candidate
                    still.add(k)
            moving = still
    return best


def neighbours(task: Task, stride: float, low: np.ndarray, high: np.ndarray, moves: np.ndarray, *, pairs: bool = True) -> list[Task]:
    """Tasks ``stride`` away in relation and at least one, in one integer or (``pairs``) in two at once, inside the ranges."""
    which = np.flatnonzero(moves)
    steps = {k: max(1, round(stride * task.integers[k])) for k in which}
    shifts = [((k, sign),) for k in which for sign in (-1, 1)]
    if pairs:
        shifts += [((j, a), (k, b)) for j, k in itertools.combinations(which, 2) for a in (-1, 1) for b in (-1, 1)]
    around = []
    for shift in shifts:
        moved = list(task.integers)
        for k, sign in shift:
            moved[k] += sign * steps[k]
        if all(low[k] <= moved[k] <= high[k] for k, _ in shift):
            around.append(task._replace(integers=tuple(moved)))
    return around


def onward(before: Task, task: Task, low: np.ndarray, high: np.ndarray) -> list[Task]:
    """Tasks further along the last move, inside the ranges (R. Hooke and T. A. Jeeves, Journal of the ACM 8, 1961): valleys are long."""
    move = np.array(task.integers) - np.array(before.integers)
    if not move.any():
        return []
    far = [np.clip(np.array(task.integers) + factor * move, low, high) for factor in ONWARD]
    return [task._replace(integers=tuple(map(int, integers))) for integers in far]


def rounded_memory(known: Known, task: Task, low: np.ndarray, high: np.ndarray) -> list[Task]:
    """Tasks with stacks and layers rounded both ways from the free optimum of a task."""
    search, problems = known.search, known.search.problems
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
