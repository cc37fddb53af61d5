"""Serving requests: prefill and decode on one machine, or on two designed apart."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer

from codesign.argument_types import check_types, require_type
from codesign.evaluation import evaluate_table
from codesign.hardware.design import Design
from codesign.hardware.technology import Technology
from codesign.limits import Limits
from codesign.numerics.compilation import computed_once
from codesign.numerics.fields import Quantity, Real, quantity
from codesign.numerics.units import GIBI
from codesign.outcome import Outcome
from codesign.performance.execution import Execution
from codesign.performance.load import prompt_cache
from codesign.performance.plan import Plan
from codesign.performance.queueing import Service, aggregated, disaggregated, transfer_time
from codesign.performance.schedules import Operatorwise
from codesign.spoiling import spoiled
from codesign.validity import check, check_part, far_from_legal, legal
from codesign.workload import phases
from codesign.workload.operators import OperatorTable, operator_table
from codesign.workload.phases import Serving
from codesign.workload.precision import Precision
from codesign.workload.transformer import UNLIMITED, Transformer
from codesign.workload.workload import Workload


class Pool(eqx.Module):
    """Equal instances of a design: each holds the model once."""

    design: Design
    plan: Plan = eqx.field(default_factory=Plan)
    instances: Quantity = quantity("1", "instances in the pool", default=1.0)


class ServingOutcome(eqx.Module):
    """A service with its price: of all pools, but for ``decode`` and ``prefill``, which are of one
    instance each.

    ``limits`` are the worse of both phases; their ``promise`` is ``token_promise``, and
    ``first_token`` the other one.
    """

    decode: Outcome
    prefill: Outcome
    limits: Limits
    first_token: Quantity = quantity("1", "ln of the time to the first token over its promise")
    time_to_first_token: Quantity = quantity("s", "mean, waiting included")
    time_per_token: Quantity = quantity("s", "mean time between tokens of a user")
    requests_per_second: Quantity = quantity("1/s", "capacity")
    output_tokens_per_second: Quantity = quantity("token/s", "capacity")
    goodput: Quantity = quantity(
        "1/s", "largest rate that keeps both promises in the mean; 0 where memory does not fit"
    )
    capital_cost: Quantity = quantity("USD", "equipment and facility of all pools")
    provisioned_power: Quantity = quantity("W", "facility, all pools")
    running_cost: Quantity = quantity("USD/s", "capital paid back, and energy")
    cost_per_output_token: Quantity = quantity(
        "USD", "running cost over output tokens, idle time included"
    )


def serve(
    model: Transformer,
    serving: Serving,
    decode: Pool,
    prefill: Pool | None = None,
    *,
    technology: Technology,
    precision: Precision | None = None,
    execution: Execution | None = None,
    first_promise: Real = UNLIMITED,
    token_promise: Real = UNLIMITED,
) -> ServingOutcome:
    """Serve requests on one pool (prefill interleaved with decode) or on a decode and a prefill
    pool.

    Args:
        model: the transformer.
        serving: prompt, output, batch, cached share, chunk, load.
        decode: machines that decode, and prefill too if ``prefill`` is ``None``.
        prefill: machines that only prefill.
        technology: prices and physics.
        precision: default 8 bit.
        execution: ``Operatorwise()`` unless told.
        first_promise, token_promise: longest allowed mean times to the first and between further
            tokens [s].

    Returns:
        Times, capacity, goodput and price of the service, and the outcome of each phase.

    Raises:
        TypeError: an argument of another type, or an array where one number is meant.
        ValueError: a concrete argument is outside its range, or weights and caches of concrete ones
            do not fit. Traced ones that do not fit have ``limits.capacity`` above zero and no
            goodput; illegal ones spoil both phases (``codesign.evaluate``).

    >>> import codesign, hardware_priors
    >>> pool = codesign.Pool(hardware_priors.device("h100").design(chips=1))
    >>> world = hardware_priors.technology("N5", "HBM3", "NVLink4")
    >>> asked = codesign.Serving(prompt=1024, output=256, batch=16)
    >>> found = codesign.serve(codesign.model("llama-3.1-8b"), asked, pool, technology=world)
    >>> 0.0 < float(found.goodput) <= float(found.requests_per_second)
    True
    """
    precision = Precision() if precision is None else precision
    execution = Operatorwise() if execution is None else execution
    require_type("model", model, Transformer, "codesign.model('llama-3.1-8b'), say")
    require_type("serving", serving, Serving, "codesign.Serving(prompt=…, output=…, batch=…)")
    for name, pool in (("decode", decode), ("prefill", decode if prefill is None else prefill)):
        require_type(name, pool, Pool, "codesign.Pool(design, plan)")
    other = decode if prefill is None else prefill
    check_part("phase", serving)
    check_part("first_promise", first_promise)
    check_part("token_promise", token_promise)
    for pool, phase in ((decode, serving.decode), (other, serving.prefill)):
        check_part("instances", pool.instances)
        work = Workload(model, phase, precision)
        check_types(pool.design, work, pool.plan, technology, execution)
        check(pool.design, work, pool.plan, technology)
    given = (
        model,
        serving,
        decode,
        prefill,
        technology,
        precision,
        execution,
        first_promise,
        token_promise,
    )
    outcome = _serve(*computed_once(given))
    for role, phase in (("decode", outcome.decode), ("prefill", outcome.prefill)):
        _require_memory(role, phase)
    return outcome


def _require_memory(role: str, outcome: Outcome) -> None:
    if isinstance(outcome.limits.capacity, Tracer) or bool(jnp.all(outcome.fits_memory)):
        return
    worst = jnp.argmax(outcome.limits.capacity)
    needed, there = (
        float(jnp.ravel(size)[worst]) / GIBI
        for size in (outcome.capacity_needed, outcome.capacity_available)
    )
    over = float(jnp.exp(jnp.max(outcome.limits.capacity)))
    raise ValueError(
        f"{role} needs {needed:.4g} GiB for weights and caches and an instance has {there:.4g} GiB"
        f" (its fullest memory {over:.3g} times over); expected more chips or capacity, a smaller"
        " batch or shorter requests"
    )


@jax.jit
def _serve(
    model: Transformer,
    serving: Serving,
    decode: Pool,
    prefill: Pool | None,
    technology: Technology,
    precision: Precision,
    execution: Execution,
    first_promise: Real,
    token_promise: Real,
) -> ServingOutcome:
    table = operator_table(model, precision, slice_columns=technology.attainable.slice_columns)
    other = decode if prefill is None else prefill
    decoding = _run(table, model, decode, serving.decode, technology, precision, execution)
    filling = _run(table, model, other, serving.prefill, technology, precision, execution)
    tokens = phases.tokens_per_step(serving.decode)
    if prefill is None:
        one = aggregated(
            decoding.step_time,
            filling.step_time,
            serving.chunks,
            tokens,
            serving.batch,
            serving.output,
            serving.load,
            first_promise,
            token_promise,
            execution.waited_share(),
            execution.request_time(),
        )
        each = decode.instances
        service = dataclasses.replace(
            one, requests_per_second=one.requests_per_second * each, goodput=one.goodput * each
        )
        pools = [(decode, decoding)]
    else:
        service = disaggregated(
            decoding.step_time,
            filling.step_time,
            transfer_time(
                prompt_cache(table, serving.prefill),
                prefill.design,
                decode.design,
                technology.attainable.link,
            ),
            tokens,
            serving.batch,
            serving.output,
            serving.load,
            prefill.instances,
            decode.instances,
            first_promise,
            token_promise,
            execution.request_time(),
        )
        pools = [(decode, decoding), (prefill, filling)]
    limits = jax.tree.map(jnp.maximum, decoding.limits, filling.limits)
    limits = Limits({**limits.values, "promise": jnp.log(service.time_per_token / token_promise)})
    service = dataclasses.replace(
        service, goodput=jnp.where(limits.capacity <= 0.0, service.goodput, 0.0)
    )
    outcome = _priced(
        service,
        serving,
        pools,
        (decoding, filling),
        limits,
        jnp.log(service.time_to_first_token / first_promise),
        technology,
    )
    distance = legal(decode.design, serving.decode, token_promise, decode.plan).distance
    distance = distance + legal(other.design, serving.prefill, first_promise, other.plan).distance
    machines = [(decode.design, decode.plan), (other.design, other.plan)]
    parts = (
        ("precision", precision),
        ("phase", serving),
        ("instances", decode.instances),
        ("instances", other.instances),
    )
    return spoiled(outcome, distance + far_from_legal(model, technology, machines, *parts))


def _run(
    table: OperatorTable,
    model: Transformer,
    pool: Pool,
    phase: phases.Phase,
    technology: Technology,
    precision: Precision,
    execution: Execution,
) -> Outcome:
    return evaluate_table(
        pool.design, table, Workload(model, phase, precision), pool.plan, technology, execution
    )


def _priced(
    service: Service,
    serving: Serving,
    pools: list[tuple[Pool, Outcome]],
    steps: tuple[Outcome, Outcome],
    limits: Limits,
    first_token: Real,
    technology: Technology,
) -> ServingOutcome:

    def total(name: str) -> Real:
        return sum(
            (getattr(outcome, name) * pool.instances for pool, outcome in pools),
            start=jnp.zeros_like(serving.batch),
        )

    tokens = service.requests_per_second * serving.output
    return ServingOutcome(
        time_to_first_token=service.time_to_first_token,
        time_per_token=service.time_per_token,
        requests_per_second=service.requests_per_second,
        output_tokens_per_second=tokens,
        goodput=service.goodput,
        capital_cost=total("capital_cost"),
        provisioned_power=total("provisioned_power"),
        running_cost=total("running_cost"),
        cost_per_output_token=total("running_cost") / (tokens * technology.economics.utilisation),
        limits=limits,
        first_token=first_token,
        decode=steps[0],
        prefill=steps[1],
    )
