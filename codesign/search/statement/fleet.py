"""The exact model of a whole fleet: what every search result is checked on, and what the penalty
search descends.

Everything is per output token of the fleet: a kind of machine is busy for G = Σ c_k·T_k
machine-seconds a token, c_k steps of kind k taking T_k each; so the fleet costs Σ G · price, and
burns Σ G · power, per token a second.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from codesign.evaluation import judge_table
from codesign.hardware.design import Design
from codesign.hardware.technology import Technology
from codesign.limits import LIMIT_NAMES, LimitRow, Machine, stack_limits, sums_of
from codesign.numerics.fields import Quantity, Real, RealArray, quantity
from codesign.outcome import Outcome
from codesign.performance.execution import Execution
from codesign.performance.load import prompt_cache
from codesign.performance.queueing import transfer_time
from codesign.physical.power import static_power
from codesign.search.statement.choices import Kind
from codesign.search.statement.problem import ProblemBatch
from codesign.search.statement.services import (
    Service,
    StepKind,
    first_token_times,
    interleaved,
    machine_seconds,
    phase_of,
    requests_of,
    token_times,
)
from codesign.search.statement.space import Space, design_at
from codesign.workload import phases
from codesign.workload.operators import OperatorTable
from codesign.workload.phases import Serving
from codesign.workload.transformer import UNLIMITED
from codesign.workload.workload import Workload


class Totals(eqx.Module):
    """Outcomes of a fleet, by the names that objectives use; those of one machine are NaN where
    there are several kinds or steps.

    ``user_tokens_per_second`` of several services is that of the one slowest against its promise,
    told as the first one's.
    """

    step_time: Quantity = quantity("s", "time of one step")
    time_per_token: Quantity = quantity("s", "time between two tokens of a user")
    user_tokens_per_second: Quantity = quantity("token/s", "speed that one user sees")
    system_tokens_per_second: Quantity = quantity("token/s", "tokens of all users of one machine")
    capital_cost: Quantity = quantity("USD", "equipment and facility of one machine")
    provisioned_power: Quantity = quantity(
        "W", "facility, for the rated power of all chips of one machine"
    )
    running_cost: Quantity = quantity("USD/s", "capital paid back, and energy, of one machine")
    cost_per_token: Quantity = quantity(
        "USD", "running cost over output tokens, idle time included"
    )
    energy_per_token: Quantity = quantity("J", "facility energy of one output token")
    tokens_per_second_per_dollar: Quantity = quantity(
        "token/s/USD", "output tokens/s over capital cost"
    )
    tokens_per_second_per_watt: Quantity = quantity(
        "token/s/W", "output tokens/s over provisioned power"
    )


class ServiceTimes(NamedTuple):
    """What each service's user waits for: mean time per output token and, of services with prompts,
    to the first [s].

    Both have shape (services,); ``first_token`` is NaN for services of one phase.
    """

    token: RealArray
    first_token: RealArray


class Fleet(NamedTuple):
    """A fleet on the exact model: a design a kind of machine, an outcome a step, totals, and
    ln(used/allowed) of every limit."""

    designs: tuple[Design, ...]
    outcomes: tuple[Outcome, ...]
    machine_seconds: RealArray  # (kinds,) per output token [s]
    totals: Totals
    limits: RealArray  # (ProblemBatch.limit_names,)
    times: ServiceTimes


def design_of(
    space: Space, kind: Kind, values: Float[Array, "continuous"], chips: Real, white_silicon: Real,
    power_cap: Real = 0.0,
) -> Design:  # fmt: skip
    """A machine of a space and of a choice's kind; without a power cap unless told [W]."""
    design = design_at(space, values, chips, white_silicon)
    return dataclasses.replace(
        design,
        power_cap=jnp.asarray(power_cap, jnp.result_type(design.clock)),
        dies=kind.dies,
        sram_capacity=kind.sram_capacity,
        scale_up_domain=kind.scale_up_domain,
    )


def fleet(
    problems: ProblemBatch,
    values: Float[Array, "kinds continuous"],
    chips: Float[Array, "kinds"],
    batches: Float[Array, "services"],
    white_silicon: Float[Array, "kinds"],
    power_caps: Float[Array, "kinds"],
    execution: Execution | None = None,
    *,
    throttled: bool = True,
) -> Fleet:
    """Run a fleet on the exact model.

    Args:
        problems: the problem of one choice.
        values: continuous quantities of each kind, SI.
        chips, batches: as real numbers.
        white_silicon: logic area left empty on each kind [m²].
        power_caps: of a package of each kind [W].
        execution: instead of the problem's.
        throttled: whether caps slow steps down; else their limit says how far these are over.
    """
    designs = tuple(
        design_of(space, problems.kinds[p], values[p], chips[p], white_silicon[p], power_caps[p])
        for p, space in enumerate(problems.spaces)
    )
    return fleet_of(problems, designs, batches, execution, throttled=throttled)


def fleet_of(
    problems: ProblemBatch, designs: tuple[Design, ...], batches: Float[Array, "services"],
    execution: Execution | None = None, clocks: Sequence[Real] | None = None,
    *, throttled: bool = True,
) -> Fleet:  # fmt: skip
    """``fleet`` of given designs; each step at its clock, over the nominal one, or at the fastest
    under its machine's power cap."""
    kinds, plans, tables = problems.kinds, problems.plans, problems.tables
    technologies = technologies_of(kinds)
    outcomes, seconds = (
        [],
        [jnp.zeros_like(chips) for chips in (design.chips for design in designs)],
    )
    for k, step in enumerate(problems.steps):
        one = problems.services[step.service]
        work = workload_of(one, step, batches[step.service])
        technology = technologies[step.kind]
        outcome = judge_table(
            designs[step.kind],
            tables[k],
            work,
            plans[k],
            technology,
            execution or problems.execution,
            None if clocks is None else clocks[k],
            throttled=throttled,
        )
        outcomes.append(outcome)
        asked = machine_seconds(one, step, batches[step.service])
        seconds[step.kind] = seconds[step.kind] + asked * outcome.step_time
    times = service_times(problems, designs, outcomes, batches)
    promises = jnp.stack([one.promise for one in problems.services])
    pace = jnp.max(times.token * promises[0] / promises)
    totals = _totals(problems, kinds, designs, outcomes, jnp.stack(seconds), batches, pace)
    return Fleet(
        designs,
        tuple(outcomes),
        jnp.stack(seconds),
        totals,
        _limits(problems, designs, outcomes, times),
        times,
    )


def technologies_of(kinds: Sequence[Kind]) -> tuple[Technology, ...]:
    """The technology of each kind of machine of a fleet, with the development of all of them.

    Every watt of the fleet bears the same share of what all its chips cost to develop.
    """
    own = [kind.technology.development for kind in kinds]
    known = [one for one in own if one is not None]
    if len(known) < 2:
        return tuple(kind.technology for kind in kinds)
    together = jax.tree.map(lambda *leaves: sum(leaves), *known)
    return tuple(
        dataclasses.replace(
            kind.technology,
            development=one and dataclasses.replace(together, fleet_power=one.fleet_power),
        )
        for kind, one in zip(kinds, own, strict=True)
    )


def workload_of(one: Service, step: StepKind, batch: Real) -> Workload:
    """The workload of a step; promises are the service's, not the step's, where it has two
    steps."""
    promise = (
        jnp.full_like(one.promise, UNLIMITED) if isinstance(one.phase, Serving) else one.promise
    )
    return Workload(one.model, phase_of(one, batch, prefill=step.prefill), one.precision, promise)


def cache_transfer(
    one: Service, table: OperatorTable, designs: tuple[Design, ...], kinds: tuple[Kind, ...]
) -> Real:
    """Time to move a prompt's cache from a service's prefill machines to those that decode [s]."""
    return transfer_time(
        prompt_cache(table, requests_of(one).prefill),
        designs[one.prefill_kind],
        designs[one.decode_kind],
        kinds[one.prefill_kind].technology.attainable.link,
    )


def service_times(
    problems: ProblemBatch,
    designs: tuple[Design, ...],
    outcomes: list[Outcome],
    batches: Float[Array, "services"],
) -> ServiceTimes:
    """Time each service: between two tokens of a user, and to the first token."""
    tokens, firsts = [], []
    for s, one in enumerate(problems.services):
        times = [
            outcomes[k].step_time for k, step in enumerate(problems.steps) if step.service == s
        ]
        decode, prefill = token_times(one, batches[s])
        tokens.append(decode * times[0] + (prefill * times[1] if len(times) > 1 else 0.0))
        served = isinstance(one.phase, Serving)
        firsts.append(
            first_token(problems, s, designs, times)
            if served
            else jnp.full_like(tokens[-1], jnp.nan)
        )
    return ServiceTimes(jnp.stack(tokens), jnp.stack(firsts))


def _limits(
    problems: ProblemBatch,
    designs: tuple[Design, ...],
    outcomes: list[Outcome],
    times: ServiceTimes,
) -> Float[Array, "limits"]:
    """ln(used/allowed) of every limit, the worst over machines and services."""
    worst = jnp.max(jnp.stack([stack_limits(outcome.limits) for outcome in outcomes]), axis=0)
    promise = LIMIT_NAMES.index("promise")
    kept, first = [worst[promise]], [jnp.full_like(worst[promise], -jnp.inf)]
    for s, one in enumerate(problems.services):
        kept.append(jnp.log(times.token[s] / one.promise))
        if isinstance(one.phase, Serving):
            first.append(jnp.log(times.first_token[s] / one.first_promise))
    found = jnp.append(worst.at[promise].set(jnp.max(jnp.stack(kept))), jnp.max(jnp.stack(first)))
    own = [_worst(problems, row, designs, outcomes) for row in problems.limits]
    return jnp.concatenate([found, jnp.stack(own)]) if own else found


def _worst(
    problems: ProblemBatch, row: LimitRow, designs: tuple[Design, ...], outcomes: list[Outcome]
) -> Real:
    """ln(used/allowed) of a user's own limit, the worst over machines and steps [1]."""
    found = []
    for step, outcome in zip(problems.steps, outcomes, strict=True):
        design, technology = designs[step.kind], problems.kinds[step.kind].technology
        silicon = outcome.area.total
        idle = static_power(design, technology, silicon)
        cost, peak, rated = outcome.cost.equipment, outcome.peak_power, outcome.rated_power
        sums = sums_of(design, technology, silicon, cost, peak, idle, rated)
        found.append(row.log_ratio(sums, Machine(design, technology), silicon))
    return jnp.max(jnp.stack(found))


def first_token(
    problems: ProblemBatch, s: int, designs: tuple[Design, ...], times: Sequence[Real]
) -> Real:
    """Mean time to the first token of a service with prompts, waiting and the cache's transfer
    included [s]."""
    one = problems.services[s]
    on_decode, on_prefill = first_token_times(one)
    time = on_decode * times[0] + on_prefill * times[1] + problems.execution.request_time()
    if interleaved(one):
        return time
    k = next(k for k, step in enumerate(problems.steps) if step.service == s)
    return time + cache_transfer(one, problems.tables[k], designs, problems.kinds)


def _totals(
    problems: ProblemBatch,
    kinds: tuple[Kind, ...],
    designs: tuple[Design, ...],
    outcomes: list[Outcome],
    seconds: Float[Array, "kinds"],
    batches: Float[Array, "services"],
    pace: Real,
) -> Totals:
    shares = [
        (
            step.kind,
            machine_seconds(problems.services[step.service], step, batches[step.service])
            * outcome.step_time,
            outcome,
        )
        for step, outcome in zip(problems.steps, outcomes, strict=True)
    ]
    capital = sum(share * outcome.capital_cost for _, share, outcome in shares)
    provisioned = sum(share * outcome.provisioned_power for _, share, outcome in shares)
    running = sum(share * outcome.running_cost for _, share, outcome in shares)
    economics = [kind.technology.economics for kind in kinds]
    cost = sum(
        share * outcome.running_cost / economics[p].utilisation for p, share, outcome in shares
    )
    energy = sum(
        share
        * outcome.mean_power
        * designs[p].chips
        * economics[p].power_overhead
        * economics[p].pue
        for p, share, outcome in shares
    )
    first = problems.services[0]
    phase = phase_of(first, batches[0], prefill=False)
    yielded, served = phases.tokens_per_step(phase), phases.tokens_served(phase)
    one_machine = jnp.where(len(outcomes) == 1, 1.0, jnp.nan)
    rate = 1.0 / seconds[0]
    return Totals(
        step_time=outcomes[0].step_time * one_machine,
        time_per_token=pace,
        user_tokens_per_second=served / yielded / pace,
        system_tokens_per_second=rate * one_machine,
        capital_cost=capital * rate * one_machine,
        provisioned_power=provisioned * rate * one_machine,
        running_cost=running * rate * one_machine,
        cost_per_token=cost,
        energy_per_token=energy,
        tokens_per_second_per_dollar=1.0 / capital,
        tokens_per_second_per_watt=1.0 / provisioned,
    )
