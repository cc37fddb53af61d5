"""Compound inference ("Are More LLM Calls All You Need?", arXiv 2403.02419): votes that gain and
lose by more calls, what an answer costs, and which machine and number of calls to take."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

import codesign
import hardware_priors
from codesign.compound import Answers, Calls, answer, majority, vote
from codesign.numerics.fields import Real
from codesign.numerics.units import TERA
from experiments.reproductions.claims import Claim, added, judge, not_reproducible, tabulate
from experiments.reproductions.table import Column, Settings, Table
from experiments.terminal.refusal import Refused

MODEL, CHIPS, PROMPT, OUTPUT = "llama-3.1-70b", 8, 2048, 256.0
DEVICES = ("a100", "h100", "h200", "b200", "mi300x")
BATCHES = (8, 16, 32, 64, 128, 256)
PROMISE = 0.05  # [s] a token
ODD = np.arange(1.0, 102.0, 2.0)
EASY, HARD = 0.75, 0.40
"""Probability that one call is right on an easy and on a hard query."""
MIXED = (0.55, 0.45)
"""Shares of easy and hard queries."""
VALUES = (0.01, 0.1, 1.0)
"""What a right answer is worth [USD]."""
RATES = np.geomspace(1e15, 1e17, 61)  # [FLOP/s]
STACKS, DIES = 8.0, 2.0


def table(settings: Settings) -> Table:
    """The paper's finding on its closed form; cost of answers on machines of ``settings.chips``
    chips, prompts of ``settings.contexts``, batches of ``settings.batches``."""
    for name in ("models", "chips", "contexts"):
        if len(getattr(settings, name) or ()) > 1:
            raise Refused(f"--{name}: expected one for reproduce compound-calls")
    (model,) = settings.models or (MODEL,)
    (chips,) = settings.chips or (CHIPS,)
    (prompt,) = settings.contexts or (PROMPT,)
    devices = DEVICES if settings.device is None else (settings.device,)
    batches = settings.batches or BATCHES
    design = by_design(model, prompt)
    return tabulate(
        "Compound calls (arXiv 2403.02419)",
        [*findings(), asked_for(design)],
        notes=NOTES,
        more=[
            by_machine(model, devices, chips, prompt, batches),
            by_calls(model, devices[-1], chips, prompt, batches),
            design,
        ],
    )


def asked_for(design: Table) -> Claim:
    """How the best chip moves with the number of calls."""
    told = ", ".join(f"{row[2]:.0f} at {row[0]}" for row in design.rows if row[2] is not None)
    return added("best chip by calls [FLOP/B]", told or "none fits")


@jax.jit
def _mixed(numbers: Real) -> Real:
    shares, right = jnp.asarray(MIXED), jnp.asarray((EASY, HARD))
    return jax.vmap(lambda k: vote(shares, right, k))(numbers)


def quality() -> np.ndarray:
    """Quality of a vote on the mix by odd numbers of calls [1]."""
    return np.asarray(_mixed(jnp.asarray(ODD)))


def findings() -> list[Claim]:
    """What the abstract says of votes, on the binomial law of independent calls."""
    kinds = [
        np.asarray(jax.vmap(lambda k, p=p: majority(p, k))(jnp.asarray(ODD)))
        for p in (EASY, HARD)
    ]  # fmt: skip
    mixed = quality()
    top = int(np.argmax(mixed))
    told = [f"{each[0]:.2f} → {each[10]:.2f}" for each in kinds]
    return [
        judge("easy queries, 1 → 21 calls", "more calls, better", told[0],
              bool(np.all(np.diff(kinds[0]) > 0))),
        judge("hard queries, 1 → 21 calls", "more calls, worse", told[1],
              bool(np.all(np.diff(kinds[1]) < 0))),
        judge(
            "both, by calls",
            "first better, then worse",
            f"{mixed[0]:.3f} at 1, {mixed[top]:.3f} at {ODD[top]:.0f}, {mixed[-1]:.3f} at 101",
            0 < top < len(ODD) - 1,
        ),
        judge(
            "best number of calls",
            "can be computed",
            f"{ODD[top]:.0f}; by 200,000 drawn queries {drawn_best()}",
            abs(drawn_best() - ODD[top]) <= 4,
        ),
        not_reproducible(
            "accuracy of models on its data sets", "curves", "its answers are not known to us"
        ),
    ]  # fmt: skip


@functools.cache
def drawn_best(queries: int = 200_000, seed: int = 0) -> int:
    """The best number of calls of drawn queries: votes counted, no closed form."""
    rng = np.random.default_rng(seed)
    right = np.where(rng.random(queries) < MIXED[0], EASY, HARD)
    counts = [np.mean(rng.binomial(int(k), right) > k / 2) for k in ODD[:20]]
    return int(ODD[int(np.argmax(counts))])


@jax.jit
def _answers(
    model: codesign.Transformer,
    design: codesign.Design,
    technology: codesign.Technology,
    prompt: Real,
    batches: Real,
    numbers: Real,
) -> Answers:
    """Answers by batch and number of calls, leaves of shape (batches, numbers)."""

    def one(batch: Real, number: Real) -> Answers:
        calls = Calls(calls=number, prompt=prompt, output=OUTPUT, batch=batch)
        return answer(calls, model, design, technology=technology)

    return jax.vmap(jax.vmap(one, (None, 0)), (0, None))(batches, numbers)


def best_batch(
    model: str, device: str, chips: int, prompt: int, batches: Sequence[int]
) -> Answers | None:
    """Answers of a machine at the batch of most answers per second that fits and keeps the promise,
    for each number of calls; None where none does."""
    machine = hardware_priors.device(device)
    world = hardware_priors.technology_of(machine)
    design = machine.design(chips, machine.width(8))
    asked = (jnp.asarray(float(prompt)), jnp.asarray(batches, float), jnp.asarray(ODD))
    found = _answers(codesign.model(model), design, world, *asked)
    good = (found.capacity <= 0.0) & (found.time_per_token <= PROMISE)
    if not bool(jnp.all(jnp.any(good, axis=0))):
        return None
    at = jnp.argmax(jnp.where(good, found.answers_per_second, 0.0), axis=0)
    return jax.tree.map(lambda leaf: leaf[at, jnp.arange(len(ODD))], found)


def by_machine(
    model: str, devices: Sequence[str], chips: int, prompt: int, batches: Sequence[int]
) -> Table:
    """The number of calls of most worth on each machine, by what a right answer is worth."""
    rows, good = [], quality()
    for device in devices:
        found = best_batch(model, device, chips, prompt, batches)
        if found is None:
            rows.append((device, *(None,) * (3 + len(VALUES))))
            continue
        paid = np.asarray(found.cost)
        best = [int(np.argmax(value * good - paid)) for value in VALUES]
        told = [f"{ODD[k]:.0f} ({1e3 * (v * good[k] - paid[k]):.3g})" for v, k in
                zip(VALUES, best, strict=True)]  # fmt: skip
        ratio = int(np.argmax(good / paid))
        rows.append((device, 1e3 * paid[0], 1e3 * paid[4], ODD[ratio], *told))
    return Table(
        f"{model} on {chips}, prompt {prompt}, {OUTPUT:.0f} tokens a call: best number of calls,"
        " and 1000 × (worth - cost) in USD (ours; builder's prices)",
        (
            Column("device"),
            Column("1000 answers, K = 1", "USD"),
            Column("K = 9", "USD"),
            Column("K, quality per $", "1"),
            *(Column(f"K at {value:g} USD a right answer") for value in VALUES),
        ),
        rows,
    )


def by_calls(model: str, device: str, chips: int, prompt: int, batches: Sequence[int]) -> Table:
    """What an answer costs and how fast it comes, by number of calls and how they run."""
    machine = hardware_priors.device(device)
    world = hardware_priors.technology_of(machine)
    design = machine.design(chips, machine.width(8))
    held, batch = codesign.model(model), float(max(min(batches), min(32, max(batches))))

    @jax.jit
    def run(log_calls: Real, together: Real, shared: Real, filtered: Real) -> tuple[Real, Answers]:
        found = answer(
            Calls(jnp.exp(log_calls), prompt, OUTPUT, batch, together, shared, filtered),
            held, design, technology=world,
        )  # fmt: skip
        return jnp.log(found.cost), found

    sloped = jax.jit(jax.value_and_grad(run, has_aux=True))
    rows = []
    for calls in (1, 9, 27):
        for name, flags in list(WAYS.items())[: 1 if calls == 1 else None]:
            (_, found), slope = sloped(*(jnp.asarray(each) for each in (np.log(calls), *flags)))
            rows.append(
                (
                    calls,
                    name,
                    float(found.answers_per_second),
                    float(found.answers_per_second * found.tokens_per_answer),
                    1e3 * float(found.cost),
                    float(found.latency),
                    float(slope),
                )
            )
    return Table(
        f"{model} on {chips} {device}, batch {batch:.0f} (ours)",
        (
            Column("calls", "1"),
            Column("run"),
            Column("answers", "1/s"),
            Column("written", "token/s"),
            Column("1000 answers", "USD"),
            Column("latency", "s"),
            Column("d ln cost / d ln K", "1"),
        ),
        rows,
    )


WAYS = {
    "together, prompt shared": (1.0, 1.0, 0.0),
    "together, filtered": (1.0, 1.0, 1.0),
    "together, prompts apart": (1.0, 0.0, 0.0),
    "in sequence": (0.0, 1.0, 0.0),
}
"""Together, shared, filtered."""


@jax.jit
def _gains(
    model: codesign.Transformer, technology: codesign.Technology, prompt: Real, rates: Real,
    batches: Real, calls: Real,
) -> Real:  # fmt: skip
    """Answers per second and dollar by rate and batch, 0 where the promise breaks."""

    memory = technology.memory

    def one(rate: Real, batch: Real) -> Real:
        design = codesign.Design(
            memory_bandwidth=STACKS * memory.stack_bandwidth,
            memory_capacity=STACKS * memory.max_layers * memory.layer_capacity,
            peak_flops=rate, chips=1.0, sync_latency=2e-6, link_bandwidth=900e9, dies=DIES,
        )  # fmt: skip
        asked = Calls(calls=calls, prompt=prompt, output=OUTPUT, batch=batch)
        found = answer(asked, model, design, technology=technology)
        good = (found.capacity <= 0.0) & (found.time_per_token <= PROMISE)
        return jnp.where(good, found.answers_per_dollar, 0.0)

    return jax.vmap(jax.vmap(one, (None, 0)), (0, None))(rates, batches)


def by_design(model: str, prompt: int) -> Table:
    """The compute-to-bandwidth ratio with most answers/s/$, by number of calls."""
    world = hardware_priors.technology("N3", "HBM4", "NVLink6", cooling="cold-plate")
    held, rows = codesign.model(model), []
    batches = jnp.asarray([2.0**k for k in range(3, 12)])
    bandwidth = STACKS * float(world.memory.stack_bandwidth)
    for calls in (1, 3, 9, 27, 81):
        gains = np.asarray(
            _gains(held, world, jnp.asarray(float(prompt)), jnp.asarray(RATES), batches,
                   jnp.asarray(float(calls)))
        )  # fmt: skip
        if not gains.max() > 0:
            rows.append((calls, None, None, None))
            continue
        rate, batch = np.unravel_index(int(np.argmax(gains)), gains.shape)
        rows.append((calls, RATES[rate] / TERA, RATES[rate] / bandwidth, float(batches[batch])))
    return Table(
        f"The chip with most answers/s/$ beside eight HBM4 stacks, {model}, prompt {prompt}"
        " shared (ours)",
        (
            Column("calls", "1"),
            Column("8-bit rate", "TFLOP/s"),
            Column("over bandwidth", "FLOP/B"),
            Column("batch", "1"),
        ),
        rows,
    )


NOTES = (
    (
        f"Votes: calls right independently, {EASY:g} on easy and {HARD:g} on hard queries, shares"
        f" {MIXED[0]:g} and {MIXED[1]:g}: our numbers, not the paper's, whose abstract alone we"
        " set beside ours. The quality of an answer is the user's own function (codesign.compound)."
    ),
    (
        f"8 bit, operator by operator, {1e3 * PROMISE:.0f} ms a token with prefills between steps,"
        " the batch of most answers/s; a shared prompt is prefilled once, its cache held and read"
        " by every call."
    ),
    (
        "Best chip: limits of edge, heat and reticle not imposed; memory filled to its most"
        " layers, so its price is the same throughout."
    ),
)
