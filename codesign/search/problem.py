"""A design problem: which services a fleet renders, on which kinds of machine, among which choices.

A *service* is a stream of requests to one model. It needs one or two kinds of *step*: decode, prefill, or both. A step runs on
machines of one *kind*; a fleet has as many machines of each kind as its services keep busy, in proportion. So everything is said
per output token of the fleet: machine-seconds, dollars, joules.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from codesign.numerics.compilation import SELDOM, compiled
from codesign.numerics.fields import Real, quantity
from codesign.performance.execution import Execution
from codesign.performance.plan import Plan
from codesign.search.choices import Choice, Kind, stacked
from codesign.search.space import Space
from codesign.workload import phases
from codesign.workload.operators import OperatorTable, operator_table, pad
from codesign.workload.phases import Prefill, Serving
from codesign.workload.precision import Precision
from codesign.workload.transformer import UNLIMITED, Transformer
from codesign.workload.workload import Workload


class Service(eqx.Module):
    """A stream of requests to one model; the batch of ``phase`` is the search's to choose.

    ``promise`` is the longest mean time between output tokens (in a ``Prefill`` alone: to the first), ``first_promise`` that to
    the first token of a ``Serving``. ``share`` is the service's share of all output tokens of the fleet (of all new prompt
    tokens where the phase is a ``Prefill`` alone). ``decode_kind`` and ``prefill_kind`` say which kind of machine runs what;
    where they are the same, prefill is interleaved with decode.
    """

    model: Transformer
    phase: Any  # Decode, Prefill or Serving
    precision: Precision = eqx.field(default_factory=Precision)
    promise: Real = quantity("s", "longest time per output token", default=UNLIMITED)
    first_promise: Real = quantity("s", "longest time to the first token", default=UNLIMITED)
    share: Real = quantity("1", "share of the fleet's output tokens", default=1.0)
    batch: tuple[Any, Any] = (1, 4096)
    decode_kind: int = eqx.field(static=True, default=0)
    prefill_kind: int = eqx.field(static=True, default=0)

    def __check_init__(self) -> None:
        low, high = self.batch
        if not 1 <= low <= high:
            raise ValueError(f"range of batch is {low:g} to {high:g}; expected 1 <= low <= high")


def service(workload: Workload, batch: tuple[int, int]) -> Service:
    """The service of a workload in one phase, alone in its fleet."""
    return Service(workload.model, workload.phase, workload.precision, promise=workload.promise, batch=batch)


class StepKind(NamedTuple):
    """One kind of step: whose, where, and which."""

    service: int
    kind: int
    prefill: bool  # of a Serving: batch one


def steps(services: Sequence[Service]) -> tuple[StepKind, ...]:
    """Every step that the services need: decode before prefill, service by service."""
    found = []
    for k, one in enumerate(services):
        first = one.prefill_kind if isinstance(one.phase, Prefill) else one.decode_kind
        found.append(StepKind(k, first, False))
        if isinstance(one.phase, Serving):
            found.append(StepKind(k, one.prefill_kind, True))
    return tuple(found)


def interleaved(one: Service) -> bool:
    """Whether decode and prefill of a service share their machines."""
    return isinstance(one.phase, Serving) and one.decode_kind == one.prefill_kind


def phase_of(one: Service, batch: Real, *, prefill: bool) -> phases.Phase:
    """The phase of a step at a batch."""
    phase = eqx.tree_at(lambda p: p.batch, one.phase, batch)
    if isinstance(phase, Serving):
        return phase.prefill if prefill else phase.decode
    return phase


class Problems(eqx.Module):
    """What all problems of one search share, and what choices differ in, stacked along a leading axis (choices, …).

    ``at`` takes a choice out of it: the leading axis is gone, and what is left is one problem.
    """

    spaces: tuple[Space, ...]
    services: tuple[Service, ...]
    kinds: tuple[Kind, ...]
    plans: tuple[Plan, ...]
    tables: tuple[OperatorTable, ...]
    execution: Execution

    @property
    def steps(self) -> tuple[StepKind, ...]:
        """Every kind of step."""
        return steps(self.services)

    def at(self, choice: Any) -> "Problems":
        """The problem of one choice; inside ``jax.jit``, or every leaf is an operation (``placement`` is for many choices)."""
        kinds, plans, tables = jax.tree.map(lambda leaf: leaf[choice], (self.kinds, self.plans, self.tables))
        return Problems(self.spaces, self.services, kinds, plans, tables, self.execution)


def assemble(spaces: Sequence[Space], services: Sequence[Service], choices: Sequence[Choice], execution: Execution) -> Problems:
    """Check and stack a problem's parts.

    Raises:
        ValueError: a choice with the wrong number of plans or kinds, with memory tiers or several all-reduce algorithms; a service
            on a kind that does not exist.
    """
    wanted = steps(services)
    for one in wanted:
        if not 0 <= one.kind < len(spaces):
            raise ValueError(f"service {one.service} runs on kind {one.kind}; expected 0 to {len(spaces) - 1}")
    for choice in choices:
        _check(choice, len(spaces), len(wanted), len(services))
    tables = tuple(_tables(services[one.service], one, choices) for one in wanted)
    return Problems(
        spaces=tuple(spaces),
        services=tuple(services),
        kinds=tuple(stacked([choice.kinds[p] for choice in choices]) for p in range(len(spaces))),
        plans=tuple(stacked([choice.plans[k] for choice in choices]) for k in range(len(wanted))),
        tables=tables,
        execution=execution,
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
        raise ValueError(f"choice {choice.name!r} has {len(choice.precisions)} precisions; expected {services}, one a service, or none")
    if len(choice.kinds) != kinds or len(choice.plans) != count:
        found = f"{len(choice.kinds)} kinds of machine and {len(choice.plans)} plans"
        raise ValueError(f"choice {choice.name!r} has {found}; expected {kinds} and {count}, one a step")
    for plan in choice.plans:
        algorithms = plan.all_reduce.shape[-2]
        if plan.tiers is not None or algorithms != 1:
            raise ValueError(
                f"choice {choice.name!r} has memory tiers or {algorithms} all-reduce algorithms; "
                "expected no tiers and one algorithm a choice, since nothing is proved for a minimum over them"
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
                raise ValueError(f"choice {choice.name!r} has {float(kind.dies):g} dies; expected at most {most:g} in a package")


def machine_seconds(one: Service, step: StepKind, batch: Real) -> Real:
    """Steps that one output token of the fleet asks for [1]: times the step's time, its machine-seconds."""
    if step.prefill:
        return one.share / one.phase.output
    phase = phase_of(one, batch, prefill=False)
    return one.share / (phases.tokens_served(phase) * batch)


def waits(one: Service) -> Real:
    """Mean wait over service time at the service's load: ρ/(2(1 − ρ)) (Pollaczek–Khinchine) [1]."""
    rho = jnp.clip(one.phase.load, 0.0, 1.0 - 1e-6)
    return rho / (2.0 * (1.0 - rho))


def token_times(one: Service, batch: Real) -> tuple[Real, Real]:
    """Time between a user's tokens as a sum over the service's steps: slopes on decode and on prefill [1].

    Interleaved, every sequence that ends after ``output`` tokens makes room for one prefill (``performance.serving``).
    """
    phase = phase_of(one, batch, prefill=False)
    decode = 1.0 / phases.tokens_per_step(phase)
    if not interleaved(one):
        return decode, jnp.zeros_like(decode)
    return decode, batch / one.phase.output


def first_token_times(one: Service) -> tuple[Real, Real]:
    """Time to the first token, waiting included and transfer not: slopes on decode and on prefill [1]."""
    factor = 1.0 + waits(one)
    if not interleaved(one):
        return jnp.zeros_like(factor), factor
    chunks = one.phase.chunks
    return factor * chunks, factor


def integer_names(problems: Problems) -> tuple[str, ...]:
    """Names of the integers of a task: chips of each kind, batch of each service, then stacks and layers of each kind."""
    kinds, served = len(problems.spaces), len(problems.services)

    def names(what: str, count: int) -> list[str]:
        return [what] if count == 1 else [f"{what} {k}" for k in range(count)]

    return (*names("chips", kinds), *names("batch", served), *names("stacks", kinds), *names("layers", kinds))


def integer_ranges(problems: Problems) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest of every integer, over all choices; stacks and layers are 0 (free) where nothing need be built.

    Layers are counted in steps of ``Space.layer_step``.
    """
    low = [space.chips[0] for space in problems.spaces] + [one.batch[0] for one in problems.services]
    high = [space.chips[1] for space in problems.spaces] + [one.batch[1] for one in problems.services]
    memories = [kind.technology.memory for kind in problems.kinds]
    built = [space.buildable for space in problems.spaces]
    low += [1 if yes else 0 for yes in built]
    high += [int(np.max(memory.max_stacks)) if yes else 0 for memory, yes in zip(memories, built, strict=True)]
    for space, memory in zip(problems.spaces, memories, strict=True):
        step = np.asarray(layer_steps(space, memory))
        low.append(max(1, int(np.min(np.ceil(memory.min_layers / step - 1e-9)))) if space.buildable else 0)
        high.append(max(1, int(np.max(np.floor(memory.max_layers / step + 1e-9)))) if space.buildable else 0)
    return tuple(np.round(np.array(side, dtype=float)).astype(int) for side in (low, high))  # pyright: ignore[reportReturnType]


def layer_steps(space: Space, memory: Any) -> Any:
    """Layers by which stacks grow: the space's step, or one where a memory may have fewer than that [1]."""
    return 1.0 + (space.layer_step - 1.0) * (memory.min_layers >= space.layer_step)  # for JAX and numpy alike
