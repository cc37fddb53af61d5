"""A race for the front: NSGA-II, random search and ``codesign.search.optimize`` on three problems,
all on the exact model.

All three get the same box of log-scaled quantities, and only designs that keep every limit of the
exact model count. A front's worth is its hypervolume in the logarithms of tokens/s/$, tokens/s/W
and tokens/s/user, as a share of the box between the best of each and a reference point, both taken
over all fronts of the race.

NSGA-II (Deb et al., 2002, doi:10.1109/4235.996017) is pymoo's with its defaults: 200 designs, 500
generations, feasible designs before infeasible ones. All three are credited with every design that
they ever met, not with the last population or front only. Integers are rounded in the evaluation,
and what may be chosen enters by one integer an option.
"""

import dataclasses
import functools
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import codesign
import hardware_priors
from codesign.limits import LIMIT_NAMES
from codesign.numerics.fields import real
from codesign.performance.schedules import Operatorwise
from codesign.search import Choice, Kind, Service, Space, optimize, service
from codesign.search.integers.formulation import Subproblem
from codesign.search.optimize import pose
from codesign.search.solver.lanes import double_precision
from codesign.search.statement.goals import log_goals
from codesign.search.statement.problem import ProblemBatch, assemble
from codesign.search.statement.relaxed_fleet import box, fleet_at
from codesign.search.statement.space import CONTINUOUS
from codesign.search.verification.exact_check import check_exactly
from codesign.workload.catalogue import model

POPULATION, GENERATIONS = 200, 500
MOMENTS = (5, 10, 25, 50, 100, 150, 200, 300, 400, 500)
"""Generations of NSGA-II at which its hypervolume is told."""

QUANTITIES = (*CONTINUOUS, "white_silicon", "power_cap", "chips")
"""Of each kind of machine, in the order of a lane of the relaxed search."""

CHUNK = 2000
"""Designs of random search in one call."""

PATIENCE = 600.0
"""Longest that both calls of ``optimize`` together may take [s]: without an answer they count as
infinitely long."""

NEVER = 50.0
"""ln(used/allowed) told to NSGA-II where the exact model has no finite answer."""


@dataclasses.dataclass(frozen=True)
class Aim:
    """An objective of a fleet, to be maximised."""

    name: str
    exponents: Mapping[str, float]
    sense: int = 1


AIMS = (
    Aim("tokens/s/$", {"tokens_per_second_per_dollar": 1.0}),
    Aim("tokens/s/W", {"tokens_per_second_per_watt": 1.0}),
    Aim("tokens/s/user", {"user_tokens_per_second": 1.0}),
)


class Contest(NamedTuple):
    """A problem: the arguments of ``optimize``, and in how many ways each option can be chosen (the
    last one fastest)."""

    spaces: tuple[Space, ...]
    services: tuple[Service, ...]
    choices: tuple[Choice, ...]
    options: tuple[int, ...]


def space(technology: codesign.Technology) -> Space:
    """The box of the built-in scenario (``experiments/scenarios/llama-405b.toml``), with clocks as
    slow and fast as can be."""
    base = codesign.Design(
        1e12,
        1e11,
        1e15,
        8,
        1e-6,
        1e11,
        scale_out_bandwidth=50e9,
        scale_out_latency=20e-6,
        sram_bandwidth=1e12,
    )
    clocks = float(technology.logic.clock_fewest), float(technology.logic.clock_most)
    low, high = (
        [5e11, 8e9, 5e13, 0.3e-6, 2e10, clocks[0]],
        [5e13, 2e12, 2e16, 20e-6, 4e12, clocks[1]],
    )
    return Space(base, low, high, chips=(1, 512))


def plan(algorithm: str) -> codesign.Plan:
    """Tensor parallelism over all chips with one all-reduce algorithm."""
    return codesign.Plan(all_reduce=real(codesign.ALGORITHMS[algorithm])[None])


ALGORITHMS = ("one-shot", "two-shot")
DIES = (1, 2)


def built_in() -> Contest:
    """Llama-3.1-405B decode at 8K context under 20 ms: 11 variables."""
    technology = hardware_priors.technology("N3", "HBM4", "NVLink6")
    work = codesign.Workload(
        model("llama-3.1-405b"), codesign.Decode(batch=1, context=8192), promise=real(0.02)
    )
    choices = tuple(
        Choice(f"{name} {dies}", (plan(name),), (Kind(technology, dies, 60e6, 72),))
        for name, dies in itertools.product(ALGORITHMS, DIES)
    )
    return Contest((space(technology),), (service(work, (1, 4096)),), choices, (2, 2))


def two_kinds() -> Contest:
    """Llama-3.1-70B, prompts of 4096 and answers of 1024, decode and prefill on machines of their
    own: 20 variables."""
    technology = hardware_priors.technology("N3", "HBM4", "NVLink6")
    work = codesign.Serving(prompt=real(4096), output=real(1024), batch=real(1))
    one = Service(
        model("llama-3.1-70b"),
        work,
        promise=real(0.02),
        first_promise=real(2.0),
        batch=(1, 4096),
        decode_kind=0,
        prefill_kind=1,
    )
    choices = tuple(
        Choice(
            f"{first} {second} {dies}",
            (plan(first), plan(second)),
            (Kind(technology, dies, 60e6, 72),) * 2,
        )
        for first, second, dies in itertools.product(ALGORITHMS, ALGORITHMS, DIES)
    )
    return Contest((space(technology),) * 2, (one,), choices, (2, 2, 2))


FLEET = (
    ("llama-3.1-405b", 0.4),
    ("llama-3.1-70b", 0.25),
    ("qwen3-235b-a22b", 0.25),
    ("llama-3.1-8b", 0.1),
)
"""Models and their shares of a fleet's tokens: judged."""


def four_kinds() -> Contest:
    """Four models at 8K context under 20 ms, each decoding on machines of its own: 40 variables."""
    technology = hardware_priors.technology("N3", "HBM4", "NVLink6")
    phase = codesign.Decode(batch=1, context=8192)
    services = tuple(
        Service(
            model(name),
            phase,
            promise=real(0.02),
            share=real(share),
            batch=(1, 4096),
            decode_kind=k,
        )
        for k, (name, share) in enumerate(FLEET)
    )
    choices = tuple(
        Choice(
            " ".join(names), tuple(map(plan, names)), (Kind(technology, 2, 60e6, 72),) * len(FLEET)
        )
        for names in itertools.product(ALGORITHMS, repeat=len(FLEET))
    )
    return Contest((space(technology),) * len(FLEET), services, choices, (2,) * len(FLEET))


CONTESTS: dict[str, Callable[[], Contest]] = {
    "built-in": built_in,
    "two kinds": two_kinds,
    "four kinds": four_kinds,
}


def posed(name: str) -> Contest:
    """A contest, with the same digits in every process."""
    with double_precision():
        return CONTESTS[name]()


class Met(NamedTuple):
    """Designs as they were met: when [s], logarithms of the aims to be minimised, and whether every
    limit is kept."""

    seconds: np.ndarray  # (designs,)
    logs: np.ndarray  # (designs, aims)
    feasible: np.ndarray  # (designs,)


class Evaluator:
    """The exact model of a contest, compiled for so many designs at a time."""

    def __init__(self, contest: Contest, rows: int):
        self.contest, self.rows = contest, rows
        with double_precision():
            parts = jax.tree.map(
                lambda leaf: jnp.asarray(np.asarray(leaf), jnp.float64), contest[:3]
            )
            self.problems: ProblemBatch = jax.tree.map(
                jnp.asarray, assemble(parts[0], parts[1], parts[2], Operatorwise())
            )
        low, high = box(self.problems)
        self.lane = len(low)
        ways = np.array(contest.options)
        self.low, self.high = np.append(low, np.full(len(ways), -0.5)), np.append(high, ways - 0.5)
        count = len(contest.spaces)
        own = len(CONTINUOUS) + 2
        self.whole = np.array(
            [*(own * p + own - 1 for p in range(count)), *range(own * count, self.lane)]
        )
        start = time.perf_counter()
        self.run = self._compiled()
        self.compilation = time.perf_counter() - start

    def _compiled(self) -> Any:
        def one(values: Any, choice: Any) -> tuple[Any, Any]:
            found = fleet_at(values, self.problems.at(choice))
            return log_goals(AIMS, found.totals), found.limits

        with double_precision():
            shapes = (
                jax.ShapeDtypeStruct((self.rows, self.lane), np.float64),
                jax.ShapeDtypeStruct((self.rows,), np.int64),
            )
            return jax.jit(jax.vmap(one)).lower(*shapes).compile()

    def decoded(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Quantities in SI with whole chips and batches, and the choice, of points of the box."""
        values = np.exp(x[:, : self.lane])
        values[:, self.whole] = np.round(values[:, self.whole])
        ways = np.array(self.contest.options)
        option = np.clip(np.round(x[:, self.lane :]), 0, ways - 1).astype(int)
        return values, np.asarray(np.ravel_multi_index(tuple(option.T), self.contest.options))

    def __call__(self, values: np.ndarray, choice: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logarithms of the aims, shape (designs, aims), and ln(used/allowed), shape (designs,
        limits)."""
        missing = -len(values) % self.rows
        values = np.concatenate([values, np.repeat(values[-1:], missing, axis=0)])
        choice = np.concatenate([choice, np.repeat(choice[-1:], missing)]).astype(np.int64)
        with double_precision():
            parts = [
                self.run(values[first : first + self.rows], choice[first : first + self.rows])
                for first in range(0, len(values), self.rows)
            ]
        logs, limits = (np.concatenate([np.asarray(part[k]) for part in parts]) for k in (0, 1))
        keep = len(logs) - missing
        return logs[:keep], limits[:keep]


class Recorder:
    """An evaluator on a clock that remembers all that it was asked."""

    def __init__(self, evaluator: Evaluator):
        self.evaluator, self.met = evaluator, []
        self.start = time.perf_counter()

    def __call__(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logs, limits = self.evaluator(*self.evaluator.decoded(x))
        now = np.full(len(x), time.perf_counter() - self.start)
        self.met.append(Met(now, logs, kept(logs, limits)))
        return logs, limits

    @property
    def history(self) -> Met:
        return Met(*map(np.concatenate, zip(*self.met, strict=True)))


def kept(logs: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """Whether designs keep every limit, shape (designs,) [bool]."""
    return np.asarray(np.isfinite(logs).all(axis=1) & (limits <= 0.0).all(axis=1))


def random_search(evaluator: Evaluator, count: int, seed: int) -> Met:
    """Designs spread evenly over the box."""
    random, recorder = np.random.default_rng(seed), Recorder(evaluator)
    for _ in range(0, count, evaluator.rows):
        recorder(
            random.uniform(evaluator.low, evaluator.high, (evaluator.rows, len(evaluator.low)))
        )
    return recorder.history


def nsga2(evaluator: Evaluator, generations: int, seed: int) -> Met:
    """pymoo's NSGA-II with its default operators and its constraint handling."""
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.core.problem import Problem
    from pymoo.optimize import minimize

    class Posed(Problem):
        def __init__(self) -> None:
            limits = len(LIMIT_NAMES) + 1
            super().__init__(
                len(evaluator.low),
                len(AIMS),
                n_ieq_constr=limits,
                xl=evaluator.low,
                xu=evaluator.high,
            )

        def _evaluate(self, x: np.ndarray, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
            logs, limits = recorder(x)
            out["F"] = np.nan_to_num(logs, nan=NEVER, posinf=NEVER, neginf=NEVER)
            out["G"] = np.clip(np.nan_to_num(limits, nan=NEVER), -NEVER, NEVER)

    recorder = Recorder(evaluator)
    minimize(
        Posed(), NSGA2(pop_size=evaluator.rows), ("n_gen", generations), seed=seed, verbose=False
    )
    return recorder.history


class Remembering:
    """A memory that finds nothing again, but knows every program that was solved: key and entry of
    ``integers.Known``."""

    def __init__(self) -> None:
        self.entries: list[Any] = []
        self.solves = 0  # those of one kind of machine by itself included

    def get(self, key: Any) -> None:
        return None

    def put(self, entries: Any) -> None:
        self.entries += [
            (key, entry) for key, entry in entries if key[0] == "solve" and "kind" not in key
        ]
        self.solves += sum(key[0] == "solve" for key, _ in entries)

    def met(self, contest: "Contest") -> tuple[np.ndarray, np.ndarray]:
        """Quantities as in ``Evaluator.decoded`` and choices of every feasible design that was
        met."""
        with double_precision():
            parts = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), contest[:3])
            search, _ = pose(assemble(parts[0], parts[1], parts[2], Operatorwise()), AIMS, ())
            counted = len(contest.spaces) + len(contest.services)
            feasible = [(key, entry) for key, entry in self.entries if np.isfinite(entry[0][0])]
            free = (0,) * (2 * len(contest.spaces))
            tasks = [
                Subproblem(0, key[1], (*map(int, key[2 : 2 + counted]), *free))
                for key, _ in feasible
            ]
            variables = len(search.structure.variables)
            found = check_exactly(
                search, tasks, np.stack([entry[0][2 : 2 + variables] for _, entry in feasible])
            )
        own = [
            np.stack([getattr(design, key) for key in QUANTITIES], axis=1)
            for design in found.designs
        ]
        batches = np.array([task.integers[len(contest.spaces) : counted] for task in tasks], float)
        return np.concatenate([*own, batches], axis=1), np.array([task.choice for task in tasks])


class Ours(NamedTuple):
    """What ``optimize`` met, and how long it took: in a process that has compiled nothing, and a
    second time [s]."""

    values: np.ndarray  # (designs, quantities) as in ``Evaluator.decoded``
    choice: np.ndarray  # (designs,)
    cold: float
    warm: float
    solves: float  # convex programs


def ours(name: str, weights: int, seed: int) -> Ours:
    """``optimize`` twice in a fresh process with nothing compiled before."""
    root = Path(__file__).parents[2]
    environment = {
        key: value for key, value in os.environ.items() if key != "JAX_COMPILATION_CACHE_DIR"
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "found.npz"
        command = [
            sys.executable,
            "-m",
            "tests.benchmarks.race",
            name,
            str(weights),
            str(seed),
            str(file),
        ]
        try:
            subprocess.run(
                command,
                cwd=root,
                env={**environment, "JAX_PLATFORMS": "cpu"},
                check=True,
                timeout=PATIENCE,
            )
        except subprocess.TimeoutExpired:
            return Ours(np.zeros((0, 0)), np.zeros(0, int), np.inf, np.inf, 0)
        with np.load(file) as found:
            return Ours(found["values"], found["choice"], *map(float, found["told"]))


class Row(NamedTuple):
    """A line of the table: a method at one moment."""

    method: str
    evaluations: int
    cold: float  # [s], compilation included
    warm: float  # [s]
    volume: float  # share of the box between the best of each aim and the reference


def race(
    name: str, seed: int, *, weights: Sequence[int] = (4, 12), generations: int = GENERATIONS
) -> list[Row]:
    """Run all three on a contest and tell their hypervolumes; NSGA-II's at ``MOMENTS``.

    Ours counts one evaluation per convex program solved; the exact model's evaluations in its
    relaxed search come on top (120 a start) and are in its seconds.
    """
    contest = posed(name)
    rows: list[Row] = []
    few, many = Evaluator(contest, POPULATION), Evaluator(contest, CHUNK)
    genetic, spread = (
        nsga2(few, generations, seed),
        random_search(many, POPULATION * generations, seed),
    )
    found = [(count, ours(name, count, seed)) for count in weights]
    fronts = [feasible_front(many, one) for _, one in found]
    logs = np.concatenate([front_of(genetic), front_of(spread), *fronts])
    best, worst = logs.min(axis=0), logs.max(axis=0)
    volume = functools.partial(share, best=best, reference=worst + 0.1 * (worst - best))
    for moment in (m for m in MOMENTS if m <= generations):
        count = moment * POPULATION
        until = Met(*(part[:count] for part in genetic))
        seconds = float(until.seconds[-1])
        rows.append(
            Row("NSGA-II", count, few.compilation + seconds, seconds, volume(front_of(until)))
        )
    seconds = float(spread.seconds[-1])
    rows.append(
        Row(
            "random",
            len(spread.logs),
            many.compilation + seconds,
            seconds,
            volume(front_of(spread)),
        )
    )
    for (count, one), front in zip(found, fronts, strict=True):
        rows.append(
            Row(f"ours, {count} weightings", int(one.solves), one.cold, one.warm, volume(front))
        )
    return rows


def front_of(met: Met) -> np.ndarray:
    """Logarithms of the feasible designs that none dominates."""
    from moocore import filter_dominated

    logs = met.logs[met.feasible]
    return filter_dominated(logs) if len(logs) else logs


def feasible_front(evaluator: Evaluator, found: Ours) -> np.ndarray:
    """The best of the designs that we met, on the contest's evaluator."""
    if not len(found.values):
        return np.zeros((0, len(AIMS)))
    logs, limits = evaluator(found.values, found.choice)
    return front_of(Met(np.zeros(len(logs)), logs, kept(logs, limits)))


def share(logs: np.ndarray, best: np.ndarray, reference: np.ndarray) -> float:
    """Hypervolume over that of the box from the best of each aim to the reference [1]."""
    from moocore import hypervolume

    return float(hypervolume(logs, ref=reference) / np.prod(reference - best)) if len(logs) else 0.0


def table(rows: Sequence[Row]) -> str:
    """The rows as text, each beside NSGA-II's last."""
    last = next(row for row in reversed(rows) if row.method == "NSGA-II")
    lines = [
        f"{'':22}{'evaluations':>12}{'cold [s]':>10}{'warm [s]':>10}{'hypervolume':>13}"
        f"{'cold ×':>9}{'warm ×':>9}"
    ]
    for row in rows:
        shares = f"{row.cold / last.cold:9.3f}{row.warm / last.warm:9.3f}"
        times = f"{row.cold:10.2f}{row.warm:10.2f}{row.volume:13.4f}{shares}"
        lines.append(f"{row.method:22}{row.evaluations:12d}{times}")
    return "\n".join(lines)


def run_ours(name: str, weights: int, seed: int, file: str) -> None:
    """What ``ours`` runs in its process."""
    contest = posed(name)
    seconds, memory = [], Remembering()
    for _ in range(2):
        memory, start = Remembering(), time.perf_counter()
        front = optimize(*contest[:3], AIMS, weights=weights, seed=seed, memory=memory)
        seconds.append(time.perf_counter() - start)
        print(
            name,
            weights,
            "designs:",
            len(front),
            "GLOBAL:",
            front.status.count("GLOBAL"),
            front.timings,
            flush=True,
        )
    values, choice = memory.met(contest)
    np.savez(file, values=values, choice=choice, told=[*seconds, memory.solves])


if __name__ == "__main__":
    run_ours(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
