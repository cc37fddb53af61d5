"""The solution pool: subproblems that are solved, in this process or in one before it."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from codesign.search.integers.formulation import Search, Task, solve_tasks
from codesign.search.program.structure import OUTCOMES
from codesign.search.solver.interior_point import Point
from codesign.search.statement.problem import layer_steps

WORTHWHILE = 1e-6
"""Log units by which a neighbour must be better to be moved to: flat valleys are long."""


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
