"""Answers that take several calls of a model: what one costs, how fast it comes, what it is worth.

A query is answered by K calls whose answers are voted on; with a filter, each call's answer is read
by one more call first. In a machine that decodes B sequences at a time, with step time t and
prefill time p of a prompt, an answer keeps the machine busy for

    busy(K) = P p + K O t / B + K (p_f + O_f t / B),   P = 1 if the prompt's cache is shared, else K

(``queueing.aggregated`` with K = 1). It comes after

    together:     p + max(K / B, 1) (O s + p_f + O_f s)
    in sequence:  P p + K (O s + p_f + O_f s),     s = busy · B / tokens written

seconds, s being the time of a step with the prefills between steps of a full machine. What an
answer is worth is the user's function of K; ``majority`` is what a vote makes of calls that are
right independently.

Sources: Chen et al., "Are More LLM Calls All You Need?", arXiv 2403.02419 (voting and filtered
voting); Condorcet's jury theorem for the vote.
"""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from codesign.evaluation import evaluate
from codesign.hardware.design import Design
from codesign.hardware.technology import Technology
from codesign.numerics.fields import Quantity, Real, RealArray, quantity, real
from codesign.numerics.ties import greater
from codesign.performance.execution import Execution
from codesign.performance.plan import Plan
from codesign.workload.phases import Decode, Prefill
from codesign.workload.precision import Precision
from codesign.workload.transformer import Transformer
from codesign.workload.workload import Workload

NODES = 64
"""Of the quadrature of ``majority``."""


class Calls(eqx.Module):
    """How a query is answered.

    ``filtered`` = 1 adds a call to each, which reads the answer behind the cached prompt and writes
    ``filter_output`` tokens. ``together`` = 1 runs the K calls at once, 0 one after the other.
    ``shared`` = 1 prefills the prompt once for all of them.
    """

    calls: Quantity = quantity("1", "calls per query, K, real-valued", default=1.0)
    prompt: Quantity = quantity("1", "positions of a query's prompt", default=2048.0)
    output: Quantity = quantity("1", "tokens of a call's output", default=512.0)
    batch: Quantity = quantity("1", "sequences decoding at a time in the machine", default=32.0)
    together: Quantity = quantity("1", "1 all calls at once, 0 one after the other", default=1.0)
    shared: Quantity = quantity("1", "1 the prompt is prefilled once, 0 by each call", default=1.0)
    filtered: Quantity = quantity("1", "1 each call's answer is read by a filter", default=0.0)
    filter_output: Quantity = quantity("1", "tokens that a filter writes", default=8.0)


class Answers(eqx.Module):
    """What answers cost and how fast they come."""

    busy: Quantity = quantity("s", "machine time of an answer")
    answers_per_second: Quantity = quantity("1/s", "of the machine at capacity")
    tokens_per_answer: Quantity = quantity("1", "written by all calls and filters")
    latency: Quantity = quantity("s", "from a query to its answer, without waiting")
    time_per_token: Quantity = quantity("s", "between tokens of a call, machine full")
    cost: Quantity = quantity("USD", "running cost of an answer")
    answers_per_dollar: Quantity = quantity("1/s/USD", "answers a second per capital")
    capacity: Quantity = quantity("1", "ln of bytes kept over bytes there, at most 0 where it fits")


def answer(
    calls: Calls,
    model: Transformer,
    design: Design,
    *,
    technology: Technology,
    plan: Plan | None = None,
    precision: Precision | None = None,
    execution: Execution | None = None,
) -> Answers:
    """Price an answer that takes several calls on a machine.

    Pure, with a gradient by every leaf of the arguments, K included. Caches of calls that share a
    prompt are held and read once each, as without a shared prompt: only the prefill is saved.

    Args:
        calls: how many, how long, how they run.
        model, design, technology, plan, execution: as for ``codesign.evaluate``.
        precision: 8 bit unless told.

    Returns:
        Machine time, latency and cost of an answer.

    Raises:
        ValueError: fewer than one call, or what ``evaluate`` refuses.

    >>> import codesign, hardware_priors
    >>> h100 = hardware_priors.device("h100").design(chips=1)
    >>> world = hardware_priors.technology("N4", "HBM3", "NVLink4")
    >>> model = codesign.model("llama-3.1-8b")
    >>> one, nine = (
    ...     answer(Calls(calls=k), model, h100, technology=world) for k in (1, 9)
    ... )
    >>> 5.0 < float(nine.cost / one.cost) < 9.0  # the prompt is prefilled once
    True
    """
    check_calls(calls)
    precision = Precision() if precision is None else precision

    def run(phase: Decode | Prefill):
        work = Workload(model, phase, precision)
        return evaluate(design, work, plan, technology=technology, execution=execution)

    decode = run(Decode(batch=calls.batch, context=calls.prompt + 0.5 * calls.output))
    one = jnp.ones_like(calls.prompt)
    prefill = run(Prefill(batch=one, prompt=calls.prompt))
    read = calls.prompt + calls.output
    filtering = run(Prefill(batch=one, prompt=read, cached=calls.prompt / read))
    share = calls.filtered
    number, step = calls.calls, decode.step_time
    prompts = jnp.where(calls.shared > 0, 1.0, number)
    written = number * (calls.output + share * calls.filter_output)
    parts = (
        (decode, written * step / calls.batch),
        (prefill, prompts * prefill.step_time),
        (filtering, number * share * filtering.step_time),
    )
    busy = sum((time for _, time in parts), start=jnp.zeros_like(number))
    paid = sum((each.running_cost * time for each, time in parts), start=jnp.zeros_like(number))
    # between two steps of a full machine its mix of prefills is done: busy time over token time
    slowed = busy * calls.batch / written
    call = calls.output * slowed + share * (filtering.step_time + calls.filter_output * slowed)
    rounds = jnp.where(calls.together > 0, greater(number / calls.batch, 1.0), number)
    first = prefill.step_time * jnp.where(calls.together > 0, 1.0, prompts)
    return Answers(
        busy=busy,
        answers_per_second=1.0 / busy,
        tokens_per_answer=written,
        latency=first + rounds * call,
        time_per_token=slowed,
        cost=paid / technology.economics.utilisation,
        answers_per_dollar=1.0 / busy / decode.capital_cost,
        capacity=decode.limits.capacity,
    )


def check_calls(calls: Calls) -> None:
    """Refuse fewer than one call, where the number is known."""
    if not isinstance(calls.calls, Tracer) and not bool(jnp.all(calls.calls >= 1)):
        raise ValueError(f"calls = {float(jnp.min(calls.calls)):g}: expected at least 1")


def majority(right: Real, calls: Real) -> Real:
    """Probability that a majority of independent calls is right, each with the same probability.

    Of an odd number K it is the binomial sum over more than K/2, which for real K is

        I_p(a, a) = ∫₀^p u^(a−1) (1 − u)^(a−1) du / B(a, a),   a = (K + 1)/2,

    with a derivative by K (by quadrature in ln(u/(1 − u)); ``jax.scipy.special.betainc`` has none).

    Args:
        right: probability p that a call is right, 0 < p < 1 [1].
        calls: K ≥ 1 [1].

    >>> round(float(majority(0.6, 1.0)), 6), round(float(majority(0.6, 3.0)), 6)
    (0.6, 0.648)
    """
    p, a = real(right), 0.5 * (real(calls) + 1.0)
    points, weights = np.polynomial.legendre.leggauss(NODES)
    # u = σ(x): density σ(x)^a σ(−x)^a / B, even in x; what lies between 0 and ln(p/(1 − p))
    end = jnp.log(p) - jnp.log1p(-p)
    reach = 8.0 / jnp.sqrt(a) + 40.0 / a  # beyond it nothing of float64 is left
    inside = jnp.clip(end, -reach, reach)
    x = 0.5 * inside[..., None] * (jnp.asarray(points) + 1.0)
    logs = a[..., None] * (jax.nn.log_sigmoid(x) + jax.nn.log_sigmoid(-x))
    beta = 2.0 * jax.scipy.special.gammaln(a) - jax.scipy.special.gammaln(2.0 * a)
    between = 0.5 * inside * jnp.sum(jnp.asarray(weights) * jnp.exp(logs - beta[..., None]), -1)
    return 0.5 + between


def vote(shares: Real, right: Real, calls: Real) -> Real:
    """Quality of a vote on queries of several difficulties: Σ_d share_d · majority(right_d, K) [1].

    With easy queries (right above 1/2) and hard ones (below) it may rise and then fall, or fall and
    then rise (arXiv 2403.02419).

    Args:
        shares: of the queries, summing to 1, shape (difficulties,) [1].
        right: probability that one call is right, shape (difficulties,) [1].
        calls: K [1].
    """
    each = jax.vmap(lambda p: majority(p, calls))(real(right))
    return jnp.sum(real(shares) * each)


class Best(NamedTuple):
    """The best number of calls on a machine."""

    calls: int  # [1]
    quality: float  # [1]
    worth: float  # what was maximised


def best_calls(
    quality: Callable[[Array], RealArray],
    cost: Callable[[Array], RealArray],
    most: int = 101,
    value: float | None = None,
    step: int = 2,
) -> Best:
    """Choose the number of calls of most worth.

    Args:
        quality: the user's function: calls → quality [1].
        cost: calls → cost of an answer (``answer``), or any other price per answer [USD].
        most: largest number to try.
        value: what a unit of quality is worth: maximise value · quality − cost; quality per dollar
            without it [USD].
        step: between numbers tried; 2 keeps votes odd.

    >>> found = best_calls(lambda k: 1.0 - 0.5**k, lambda k: 0.01 * k, value=1.0, step=1)
    >>> found.calls  # 0.5^k · ln 2 = 0.01 at k = 6.1
    6
    """
    numbers = jnp.arange(1.0, most + 1.0, step)
    good, paid = jax.vmap(quality)(numbers), jax.vmap(cost)(numbers)
    worth = good / paid if value is None else value * good - paid
    at = int(jnp.argmax(worth))
    return Best(int(numbers[at]), float(good[at]), float(worth[at]))
