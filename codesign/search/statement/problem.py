"""A design problem: which services a fleet renders, on which kinds of machine, among which choices.

A *service* is a stream of requests to one model. It needs one or two kinds of *step*: decode,
prefill, or both. A step runs on machines of one *kind*; a fleet has as many machines of each kind
as its services keep busy, in proportion. So everything is said per output token of the fleet:
machine-seconds, dollars, joules.
"""

import dataclasses
from collections.abc import Sequence

import equinox as eqx
import jax
import numpy as np

from codesign.hardware.technology import Memory
from codesign.limits import FIRST_TOKEN, LIMIT_NAMES, LimitRow
from codesign.numerics.compilation import SELDOM, compiled
from codesign.numerics.fields import Real
from codesign.performance.collectives import AllReduce
from codesign.performance.execution import Execution
from codesign.performance.plan import Plan
from codesign.search.statement.choices import Choice, Kind, stacked
from codesign.search.statement.services import Service, StepKind, steps
from codesign.search.statement.space import Space
from codesign.workload.operators import OperatorTable, operator_table, pad
from codesign.workload.precision import Precision
from codesign.workload.transformer import Transformer


class ProblemBatch(eqx.Module):
    """What all problems of one search share, and what choices differ in, stacked along a leading
    axis (choices, …).

    ``at`` takes a choice out of it: the leading axis is gone, and what is left is one problem.
    """

    spaces: tuple[Space, ...]
    services: tuple[Service, ...]
    kinds: tuple[Kind, ...]
    plans: tuple[Plan, ...]
    tables: tuple[OperatorTable, ...]
    execution: Execution
    limits: tuple[LimitRow, ...] = eqx.field(static=True, default=())

    @property
    def limit_names(self) -> tuple[str, ...]:
        """Names of a fleet's limits: those of its machines, the time to the first token, and the
        user's own."""
        return (*LIMIT_NAMES, FIRST_TOKEN.name, *(row.name for row in self.limits))

    @property
    def choices(self) -> int:
        """How many choices are stacked [1]."""
        return np.shape(self.kinds[0].dies)[0]

    @property
    def steps(self) -> tuple[StepKind, ...]:
        """Every kind of step."""
        return steps(self.services)

    def at(self, choice: int | np.integer | jax.Array) -> "ProblemBatch":
        """The problem of one choice; inside ``jax.jit``, or every leaf is an operation
        (``placement`` is for many choices)."""
        kinds, plans, tables = jax.tree.map(
            lambda leaf: leaf[choice], (self.kinds, self.plans, self.tables)
        )
        return dataclasses.replace(self, kinds=kinds, plans=plans, tables=tables)


def assemble(
    spaces: Sequence[Space],
    services: Sequence[Service],
    choices: Sequence[Choice],
    execution: Execution,
    limits: Sequence[LimitRow] = (),
) -> ProblemBatch:
    """Check and stack a problem's parts.

    Raises:
        ValueError: a choice with the wrong number of plans or kinds, with memory tiers or several
            all-reduce algorithms; a service on a kind that does not exist.
    """
    wanted = steps(services)
    for one in wanted:
        if not 0 <= one.kind < len(spaces):
            raise ValueError(
                f"service {one.service} runs on kind {one.kind}; expected 0 to {len(spaces) - 1}"
            )
    for choice in choices:
        _check(choice, len(spaces), len(wanted), len(services))
    tables = tuple(_tables(services[one.service], one, choices) for one in wanted)
    return ProblemBatch(
        spaces=tuple(spaces),
        services=tuple(services),
        kinds=tuple(stacked([choice.kinds[p] for choice in choices]) for p in range(len(spaces))),
        plans=tuple(stacked([choice.plans[k] for choice in choices]) for k in range(len(wanted))),
        tables=tables,
        execution=execution,
        limits=tuple(limits),
    )


def _tables(one: Service, step: StepKind, choices: Sequence[Choice]) -> OperatorTable:
    """The operators of a step in each choice, stacked; many choices have the same."""
    tables: dict[tuple[float, ...], OperatorTable] = {}
    found = []
    for choice in choices:
        precision = choice.precisions[step.service] if choice.precisions else one.precision
        columns = choice.kinds[step.kind].technology.attainable.slice_columns
        numbers = tuple(map(float, jax.tree.leaves((columns, precision))))
        if numbers not in tables:
            tables[numbers] = _operator_table(one.model, precision, columns)
        found.append(tables[numbers])
    return stacked(found)


@compiled(SELDOM)
def _operator_table(model: Transformer, precision: Precision, columns: Real) -> OperatorTable:
    table = operator_table(model, precision, slice_columns=columns)
    return pad(table, -(-len(table.names) // 4) * 4)


def _check(choice: Choice, kinds: int, count: int, services: int) -> None:
    if len(choice.precisions) not in (0, services):
        raise ValueError(
            f"choice {choice.name!r} has {len(choice.precisions)} precisions; expected {services},"
            " one a service, or none"
        )
    if len(choice.kinds) != kinds or len(choice.plans) != count:
        found = f"{len(choice.kinds)} kinds of machine and {len(choice.plans)} plans"
        raise ValueError(
            f"choice {choice.name!r} has {found}; expected {kinds} and {count}, one a step"
        )
    for plan in choice.plans:
        algorithms = 1 if isinstance(plan.all_reduce, AllReduce) else plan.all_reduce.shape[-2]
        if plan.tiers is not None or algorithms != 1:
            raise ValueError(
                f"choice {choice.name!r} has memory tiers or {algorithms} all-reduce algorithms;"
                " expected no tiers and one algorithm a choice, since nothing is proved for a"
                " minimum over them"
            )


def check_dies(choices: Sequence[Choice]) -> None:
    """Refuse choices that no package holds.

    Raises:
        ValueError: a choice with more dies than a package may hold.
    """
    for choice in choices:
        for kind in choice.kinds:
            most = float(kind.technology.packaging.max_dies)
            if float(kind.dies) > most:
                raise ValueError(
                    f"choice {choice.name!r} has {float(kind.dies):g} dies; expected at most"
                    f" {most:g} in a package"
                )


def integer_names(problems: ProblemBatch) -> tuple[str, ...]:
    """Names of the integers of a subproblem: chips of each kind, batch of each service, then stacks
    and layers of each kind."""
    kinds, served = len(problems.spaces), len(problems.services)

    def names(what: str, count: int) -> list[str]:
        return [what] if count == 1 else [f"{what} {k}" for k in range(count)]

    return (
        *names("chips", kinds),
        *names("batch", served),
        *names("stacks", kinds),
        *names("layers", kinds),
    )


def integer_ranges(problems: ProblemBatch) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest of every integer, over all choices; stacks and layers are 0 (free) where
    nothing need be built.

    Layers are counted in steps of ``Space.layer_step``.
    """
    low = [space.chips[0] for space in problems.spaces] + [
        one.batch[0] for one in problems.services
    ]
    high = [space.chips[1] for space in problems.spaces] + [
        one.batch[1] for one in problems.services
    ]
    memories = [kind.technology.memory for kind in problems.kinds]
    built = [space.buildable for space in problems.spaces]
    low += [1 if yes else 0 for yes in built]
    high += [
        int(np.max(memory.max_stacks)) if yes else 0
        for memory, yes in zip(memories, built, strict=True)
    ]
    for space, memory in zip(problems.spaces, memories, strict=True):
        step = np.asarray(layer_steps(space, memory))
        low.append(
            max(1, int(np.min(np.ceil(memory.min_layers / step - 1e-9)))) if space.buildable else 0
        )
        high.append(
            max(1, int(np.max(np.floor(memory.max_layers / step + 1e-9)))) if space.buildable else 0
        )
    return tuple(np.round(np.array(side, dtype=float)).astype(int) for side in (low, high))  # pyright: ignore[reportReturnType]


def layer_steps(space: Space, memory: Memory) -> Real:
    """Layers by which stacks grow: the space's step, or one where a memory may have fewer than that
    [1]."""
    return 1.0 + (space.layer_step - 1.0) * (
        memory.min_layers >= space.layer_step
    )  # for JAX and numpy alike
