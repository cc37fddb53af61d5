"""90 % intervals of what is planned: what calibration does not know, to first order.

The covariance of the logarithms of the coefficients goes through the derivatives of the outcomes
by them, as ``codesign.calibration.execution.interval`` says; the cost of a token is taken as that
of as many instances, whole or not, as the capacity then asks for. Derivatives are central
differences over lanes of the program that made the plan: one call for all machines, nothing else to
compile.
"""

import dataclasses
import math

import jax
import numpy as np

from codesign.calibration.execution import SCALES, off_the_peaks, scaled_covariance
from codesign.calibration.fit import NORMAL_90
from codesign.performance.calibrated_execution import Calibrated
from codesign.performance.queueing import waiting_time
from codesign.planning.answer import MachineAnswer, Planned
from codesign.planning.demand import Demand
from codesign.planning.lanes import Asked, Lanes, Offers, evaluate
from codesign.planning.pools import decoding
from codesign.planning.rates import lone_prompt, shared

STEP = 1e-3
"""Half-width of the differences, in the logarithm of a coefficient."""

WIDEST = math.log(100.0)
"""Half-width in logarithms beyond which a first-order interval says nothing: near saturation the
wait follows 1/(1 − load), and none is told."""

OUTCOMES = ("cost_per_token", "time_per_token", "time_to_first_token", "output_tokens_per_second")
"""What gets an interval."""


def with_intervals(
    group: Offers, answers: list[MachineAnswer], question: Asked, demand: Demand
) -> list[MachineAnswer]:
    """Answers with intervals of each machine's best, where its execution is calibrated."""
    rows = [
        k
        for k, (one, machine) in enumerate(zip(answers, group.machines, strict=True))
        if one.best is not None and isinstance(machine.execution, Calibrated)
    ]
    if not rows:
        return answers
    chosen = [answers[k].ranked[0] for k in rows]
    slopes, peaks = _slopes(group, rows, chosen, question, demand)
    answers = list(answers)
    for k, best, slope, peak in zip(rows, chosen, slopes, peaks, strict=True):
        execution = group.machines[k].execution
        assert isinstance(execution, Calibrated)
        spread = np.sqrt(np.einsum("ok,kl,ol->o", slope, scaled_covariance(execution), slope))
        half = NORMAL_90 * spread
        found = {
            name: _ends(getattr(best, name), *map(float, told))
            for name, *told in zip(OUTCOMES, half, slope @ SCALES, peak, strict=True)
            if told[0] <= WIDEST
        }
        best = dataclasses.replace(best, interval=found.get("cost_per_token"), intervals=found)
        answers[k] = dataclasses.replace(answers[k], ranked=(best, *answers[k].ranked[1:]))
    return answers


def _ends(value: float, half: float, by_scale: float, peak: float) -> tuple[float, float]:
    """Low and high end, which do not pass the outcome at the machine's peaks: ``peak`` times the
    value."""
    low, high, peak = value * math.exp(-half), value * math.exp(half), value * peak
    if by_scale > 0.0:
        return max(low, min(peak, value)), high
    return low, min(high, max(peak, value))


def _slopes(
    group: Offers, rows: list[int], chosen: list[Planned], question: Asked, demand: Demand
) -> tuple[np.ndarray, np.ndarray]:
    """Derivatives of ln of the outcomes by the logarithms of the coefficients (machines, outcomes,
    coefficients), and the outcomes at the machine's peaks over those here (machines, outcomes);
    batch, instances and load stay."""
    at = coefficients_at(group)
    count = at.stop - at.start
    many = 2 * count + 2
    here = group.rows[rows][:, None, at]
    off = off_the_peaks(here)
    moved = [off + np.eye(count) * STEP, off - np.eye(count) * STEP, here, here - 30.0 * SCALES]
    matrix = np.repeat(group.rows[rows], many, axis=0)
    matrix[:, at] = np.concatenate(moved, axis=1).reshape(-1, count)

    def each(values: list) -> np.ndarray:
        return np.repeat(np.array(values, float), many, axis=0)

    lanes = Lanes(
        np.repeat(rows, many),
        each([one.layout for one in chosen]),
        each([-(-one.batch // one.layout.groups) for one in chosen]),
    )
    steps = evaluate(group, lanes, question, matrix)
    served = shared(steps, lanes, demand)
    load, rate, running = each([one.load for one in chosen]), served.capacity, steps.decode_running
    per_token, alone, wait_for = served.time_per_token, served.first_alone, served.served
    if any(one.prefill_layout for one in chosen):
        own = each([one.prefill_layout is not None for one in chosen]) > 0
        first = lanes._replace(
            layout=each([one.prefill_layout or one.layout for one in chosen]),
            batch=np.ones(len(lanes.batch)),
        )
        passes = evaluate(group, first, question, matrix)
        i, j = (
            each([one.instances for one in chosen]),
            each([one.prefill_instances for one in chosen]),
        )
        lone, decoded = lone_prompt(passes, first, demand.chunks), decoding(steps, lanes, demand)
        filled = j * first.groups / passes.prefill
        sent = passes.cache / np.minimum(steps.scale_out, passes.scale_out)
        rate = np.where(own, np.minimum(filled, i * decoded.capacity), rate)
        pooled = i * steps.decode_running + j * passes.prefill_running
        running = np.where(own, pooled, running)
        per_token = np.where(own, decoded.time_per_token, per_token)
        alone = np.where(own, passes.request + lone + sent, alone)
        wait_for = np.where(own, lone / first.groups, wait_for)
        load = np.where(own, load * rate / np.where(own, filled, 1.0), load)
    if demand.rate is not None:  # the load follows the capacity, and so would whole instances
        mean = rate.reshape(len(rows), many)[:, :-2].mean(axis=1)
        load = np.minimum(load * np.repeat(mean, many) / rate, 1.0 - 1e-6)
    waited = alone + np.asarray(waiting_time(wait_for, load))
    logs = np.log(np.stack([running / rate, per_token, waited, rate]))
    logs = logs.reshape(len(OUTCOMES), len(rows), many)
    up, down = logs[:, :, :count], logs[:, :, count:-2]
    gained = np.exp(logs[:, :, -1] - logs[:, :, -2])
    return np.moveaxis((up - down) / (2.0 * STEP), 0, 1), gained.T


def coefficients_at(group: Offers) -> slice:
    """Where the logarithms of the coefficients stand in a row."""
    marked = jax.tree.unflatten(group.packing.structure, list(range(len(group.packing.shapes))))
    leaf = marked.execution.logs
    sizes = [int(np.prod(shape)) for shape in group.packing.shapes]
    start = sum(sizes[:leaf])
    return slice(start, start + sizes[leaf])
