"""What a fleet must do: services, the steps that machines run for them, and how long their users
wait."""

from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp

from codesign.numerics.fields import Quantity, Real, quantity
from codesign.workload import phases
from codesign.workload.phases import Phase, Prefill, Serving
from codesign.workload.precision import Precision
from codesign.workload.transformer import UNLIMITED, Transformer
from codesign.workload.workload import Workload


class Service(eqx.Module):
    """A stream of requests to one model; the batch of ``phase`` is the search's to choose.

    ``promise`` is the longest mean time between output tokens (in a ``Prefill`` alone: to the
    first), ``first_promise`` that to the first token of a ``Serving``. ``share`` is the service's
    share of all output tokens of the fleet (of all new prompt tokens where the phase is a
    ``Prefill`` alone). ``decode_kind`` and ``prefill_kind`` say which kind of machine runs what;
    where they are the same, prefill is interleaved with decode.
    """

    model: Transformer
    phase: Phase | Serving
    precision: Precision = eqx.field(default_factory=Precision)
    promise: Quantity = quantity("s", "longest time per output token", default=UNLIMITED)
    first_promise: Quantity = quantity("s", "longest time to the first token", default=UNLIMITED)
    share: Quantity = quantity("1", "share of the fleet's output tokens", default=1.0)
    batch: tuple[Real, Real] = (1, 4096)
    decode_kind: int = eqx.field(static=True, default=0)
    prefill_kind: int = eqx.field(static=True, default=0)

    def __check_init__(self) -> None:
        low, high = self.batch
        if not 1 <= low <= high:
            raise ValueError(f"range of batch is {low:g} to {high:g}; expected 1 <= low <= high")


def service(workload: Workload, batch: tuple[int, int]) -> Service:
    """Make the service of a workload in one phase, alone in its fleet.

    Args:
        workload: model, phase, precision and promise.
        batch: least and most sequences at a time [1].

    Returns:
        The service.

    >>> import codesign
    >>> decode = codesign.Decode(batch=1, context=1024)
    >>> work = codesign.Workload(codesign.model("llama-3.1-8b"), decode)
    >>> service(work, batch=(1, 64)).batch
    (1, 64)
    """
    return Service(
        workload.model, workload.phase, workload.precision, promise=workload.promise, batch=batch
    )


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


def machine_seconds(one: Service, step: StepKind, batch: Real) -> Real:
    """Steps that one output token of the fleet asks for [1]: times the step's time, its
    machine-seconds."""
    if step.prefill:
        return one.share / requests_of(one).output
    phase = phase_of(one, batch, prefill=False)
    return one.share / (phases.tokens_served(phase) * batch)


def requests_of(one: Service) -> Serving:
    """The requests of a service that has prompts and outputs."""
    assert isinstance(one.phase, Serving), "a phase alone has no requests"
    return one.phase


def waits(one: Service) -> Real:
    """Mean wait over service time at the service's load: ρ/(2(1 − ρ)) (Pollaczek–Khinchine) [1]."""
    rho = jnp.clip(requests_of(one).load, 0.0, 1.0 - 1e-6)
    return rho / (2.0 * (1.0 - rho))


def token_times(one: Service, batch: Real) -> tuple[Real, Real]:
    """Time between a user's tokens as a sum over the service's steps: slopes on decode and on
    prefill [1].

    Interleaved, every sequence that ends after ``output`` tokens makes room for one prefill
    (``performance.queueing``).
    """
    phase = phase_of(one, batch, prefill=False)
    decode = 1.0 / phases.tokens_per_step(phase)
    if not interleaved(one):
        return decode, jnp.zeros_like(decode)
    return decode, batch / requests_of(one).output


def first_token_times(one: Service) -> tuple[Real, Real]:
    """Time to the first token, waiting included and transfer not: slopes on decode and on prefill
    [1]."""
    factor = 1.0 + waits(one)
    if not interleaved(one):
        return jnp.zeros_like(factor), factor
    chunks = requests_of(one).chunks
    return factor * chunks, factor
