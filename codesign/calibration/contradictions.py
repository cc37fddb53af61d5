"""Rows that cannot be what they say: contradicted by physics, by repeats, or by their own
neighbours.

Nothing is left out in silence: every row that a rule finds is named with it, in what ``calibrate``
and ``validate`` print. The fit does not learn from such rows; ``validate`` predicts and scores them
all the same.

1. *Faster than memory*: less time per token than the step's bytes take at the full bandwidth of the
   memory. Where prefills are interleaved, how many sequences decode is not known, and only the
   weights outside routed experts count.
2. *Against its repeats*: more than 2.5 times away from the median of at least three measurements of
   one configuration.
3. *Falling*: of one series in concurrency, a time that is less than half of one at less
   concurrency. More sequences are never faster; of two rows that contradict each other, the one
   goes that contradicts most others, else the one farther from its neighbours.
4. *A spike*: more than three times above or below the line between both its neighbours in
   concurrency.
5. *A start in it*: of static batches, a time per token more than twice that of a run with longer
   outputs and prompts longer in proportion at the least. Longer contexts are never faster; what
   outputs of any length share is the engine's start.
6. *Slowed*: two rows or more of longer outputs, and prompts no longer in proportion, that take more
   than 2.5 times as long per token as a run of no less concurrency with less than half the context,
   reading their caches at a third of the bandwidth allowed for. Longer contexts cost that reading
   and no more; all rows of such a run go, since what slowed it is not stated.
"""

from collections.abc import Callable, Sequence

import jax.numpy as jnp
import numpy as np

from codesign.calibration.calibrate import learns_from, prediction_of
from codesign.calibration.cases import Case
from codesign.calibration.features import Counted, features
from codesign.performance.calibrated import ATTENTION, LATENT, PRODUCT

FASTER = "faster than the memory bandwidth allows"
REPEATS = "more than 2.5 times away from its repeats"
FALLING = "a time that falls to less than half as concurrency rises"
START = "a time per token that falls to less than half as prompts and outputs grow"
SLOWED = "slower than shorter contexts by more than their caches explain"
SPIKE = "more than 3 times off the line between its neighbours in concurrency"

REPEATS_FACTOR, FALLING_FACTOR, SPIKE_FACTOR, START_FACTOR = 2.5, 2.0, 3.0, 2.0
SLOWED_FACTOR, CACHE_FACTOR = 2.5, 3.0

TOLERANCE = 0.95
"""Share of the time at full bandwidth below which a row is impossible: sources round, and name
memories by their rating."""


def contradictions(cases: Sequence[Case], counted: Counted) -> dict[int, str]:
    """The rule that each contradicted case breaks, by its position; only cases that a fit would
    learn from are looked at.

    Args:
        cases: those of ``map_rows``.
        counted: their features.
    """
    found: dict[int, str] = {}
    rules: tuple[tuple[str, Callable[[], set[int]]], ...] = (
        (FASTER, lambda: _faster(cases, counted)),
        (REPEATS, lambda: _against_repeats(cases, found)),
        (START, lambda: _starting(cases, found)),
        (SLOWED, lambda: _slowed(cases, counted, found)),
        (FALLING, lambda: _falling(cases, found)),
        (SPIKE, lambda: _spikes(cases, found)),
    )
    for name, rule in rules:
        for k in rule():
            found.setdefault(k, name)
    return found


def honest(cases: Sequence[Case]) -> tuple[list[Case], Counted | None, dict[str, int]]:
    """Cases that can be compared without those that contradict, their features, and how many were
    left out for each rule.

    Args:
        cases: those of ``map_rows``.
    """
    usable = [case for case in cases if case.fitted and prediction_of(case) is not None]
    if not usable:
        return [], None, {}
    counted = features(usable)
    found = contradictions(usable, counted)
    kept = np.array([k for k in range(len(usable)) if k not in found])
    return [usable[k] for k in kept], counted.take(kept), summary(found)


def summary(found: dict[int, str]) -> dict[str, int]:
    """How many rows break each rule."""
    return {
        name: list(found.values()).count(name)
        for name in (FASTER, REPEATS, START, SLOWED, FALLING, SPIKE)
        if name in found.values()
    }


def _faster(cases: Sequence[Case], counted: Counted) -> set[int]:
    kernels, bandwidth = counted.features.decode.kernels, counted.features.rates.memory
    whole = np.asarray(jnp.sum(kernels.bytes, axis=1) / bandwidth)[counted.index]
    weights = np.asarray(
        jnp.sum(jnp.where(kernels.kind == PRODUCT, kernels.bytes, 0.0), axis=1) / bandwidth
    )[counted.index]
    together = np.array(
        [case.protocol in ("decode", "static") or case.concurrency <= 1.0 for case in cases]
    )
    least = TOLERANCE * np.where(together, whole, weights)
    timed = [
        k for k, case in enumerate(cases) if learns_from(case) and case.quantity == "time_per_token"
    ]
    return {k for k in timed if cases[k].value < least[k]}


def _configuration(case: Case) -> tuple[object, ...]:
    return (*_served(case), case.prompt, case.output)


def _served(case: Case) -> tuple[object, ...]:
    """What is measured of what, but for the lengths."""
    layout = (
        case.tensor,
        case.pipeline,
        case.data,
        case.expert,
        case.prefill_chips,
        case.protocol,
        case.quantity,
    )
    metric = case.measurement.text["metric"]
    return (case.model, case.machine.name, case.formats, case.engine, *map(str, layout), metric)


def _grouped(
    cases: Sequence[Case], key: Callable[[Case], tuple[object, ...]], skip: dict[int, str]
) -> list[list[int]]:
    groups: dict[tuple[object, ...], list[int]] = {}
    for k, case in enumerate(cases):
        if k not in skip and learns_from(case) and case.quantity != "power":
            groups.setdefault(key(case), []).append(k)
    return list(groups.values())


def _against_repeats(cases: Sequence[Case], skip: dict[int, str]) -> set[int]:
    found = set()
    for rows in _grouped(cases, lambda case: (*_configuration(case), case.concurrency), skip):
        if len(rows) >= 3:
            logs = np.log([cases[k].value for k in rows])
            off = np.abs(logs - np.median(logs)) > np.log(REPEATS_FACTOR)
            found |= {rows[k] for k in np.flatnonzero(off)}
    return found


def _starting(cases: Sequence[Case], skip: dict[int, str]) -> set[int]:
    """Static batches whose time per token a run with longer prompts and outputs halves."""

    def key(case: Case) -> tuple[object, ...]:
        return (*_served(case), case.concurrency, case.measurement.file)

    found = set()
    for rows in _grouped(cases, key, skip):
        for k in rows:
            one = cases[k]
            if one.protocol == "static" and any(
                other.output > one.output
                and other.prompt / other.output >= one.prompt / one.output
                and START_FACTOR * other.value < one.value
                for other in (cases[j] for j in rows)
            ):
                found.add(k)
    return found


def _slowed(cases: Sequence[Case], counted: Counted, skip: dict[int, str]) -> set[int]:
    """Runs of longer contexts that something else than their caches slowed."""
    kernels, bandwidth = counted.features.decode.kernels, counted.features.rates.memory
    reads = (kernels.kind == ATTENTION) | (kernels.kind == LATENT)
    cache = np.asarray(jnp.sum(jnp.where(reads, kernels.bytes, 0.0), axis=1) / bandwidth)[
        counted.index
    ]
    found = set()
    for rows in _grouped(cases, lambda case: (*_served(case), case.measurement.file), skip):
        if cases[rows[0]].quantity != "time_per_token":
            continue
        output, prompt, value, at = (
            np.array([getattr(cases[k], name) for k in rows])
            for name in ("output", "prompt", "value", "concurrency")
        )
        context, prefills = prompt + 0.5 * output, prompt / output
        comparable = (
            (context[:, None] > 2.0 * context[None, :])
            & (prefills[:, None] <= prefills[None, :])
            & (at[None, :] >= 0.95 * at[:, None])
        )
        least = value[None, :] + CACHE_FACTOR * cache[rows][:, None]
        hit = (comparable & (value[:, None] > SLOWED_FACTOR * least)).any(axis=1)
        if hit.sum() >= 2:
            found |= {rows[k] for k in np.flatnonzero(context > 0.75 * context[hit].min())}
    return found


def _series(cases: Sequence[Case], skip: dict[int, str]) -> list[list[int]]:
    """Rows of one configuration, file and half-year of the engine, by concurrency."""

    def key(case: Case) -> tuple[object, ...]:
        text = case.measurement.text
        told = (text.get(name, "") for name in ("source", "prefill_layout", "decode_layout"))
        return (*_configuration(case), case.measurement.file, *told, case.replicas)

    times = [
        rows for rows in _grouped(cases, key, skip) if cases[rows[0]].quantity == "time_per_token"
    ]
    return [sorted(rows, key=lambda k: cases[k].concurrency) for rows in times if len(rows) >= 3]


def _falling(cases: Sequence[Case], skip: dict[int, str]) -> set[int]:
    found = set()
    for rows in _series(cases, skip):
        logs, at = (
            np.log([cases[k].value for k in rows]),
            np.log([cases[k].concurrency for k in rows]),
        )
        against = (logs[None, :] < logs[:, None] - np.log(FALLING_FACTOR)) & (
            at[None, :] > at[:, None]
        )
        against = against | against.T
        off = [
            abs(logs[k] - np.interp(at[k], np.delete(at, k), np.delete(logs, k)))
            for k in range(len(rows))
        ]
        while against.any():
            worst = int(np.lexsort((off, against.sum(axis=0)))[-1])
            against[worst], against[:, worst] = False, False
            found.add(rows[worst])
    return found


def _spikes(cases: Sequence[Case], skip: dict[int, str]) -> set[int]:
    found = set()
    for rows in _series(cases, skip):
        logs, at = (
            np.log([cases[k].value for k in rows]),
            np.log([cases[k].concurrency for k in rows]),
        )
        for k in range(1, len(rows) - 1):
            if at[k - 1] < at[k] < at[k + 1]:  # repeats are for the rule above
                line = np.interp(at[k], at[[k - 1, k + 1]], logs[[k - 1, k + 1]])
                if abs(logs[k] - line) > np.log(SPIKE_FACTOR):
                    found.add(rows[k])
    return found
