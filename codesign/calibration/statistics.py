"""How good predictions are: errors, bias, ranks, ratios, and whether intervals cover what was
measured."""

import dataclasses
import itertools
from collections.abc import Callable, Sequence

import numpy as np
import scipy.stats

from codesign.calibration.calibrate import Predictions
from codesign.calibration.cases import Case
from codesign.calibration.fit import NORMAL_90

GROUPINGS: dict[str, Callable[[Case], str]] = {
    "device": lambda case: case.machine.name,
    "model": lambda case: case.model,
    "engine": lambda case: case.engine.variant,
    "precision": lambda case: case.formats.name,
    "concurrency": lambda case: concurrency_band(case.concurrency),
    "layout": lambda case: (
        f"{case.protocol}, tensor {case.tensor:g}, data {case.data:g}, expert {case.expert:g}"
    ),
}
"""How rows are grouped in a validation."""


def concurrency_band(concurrency: float) -> str:
    """The band of a concurrency per replica.

    >>> concurrency_band(20.0)
    '9-64'
    """
    if not np.isfinite(concurrency):
        return "as many as fit"
    return (
        "1-8"
        if concurrency <= 8
        else "9-64"
        if concurrency <= 64
        else "65-256"
        if concurrency <= 256
        else "over 256"
    )


@dataclasses.dataclass(frozen=True)
class Score:
    """Statistics of some rows; percentages are of the measured value, widths of the predicted
    one."""

    n: int
    mean_absolute_percentage_error: float
    trimmed_mean_absolute_percentage_error: float
    median_absolute_percentage_error: float
    bias_percent: float
    spearman: float | None
    interval_coverage: float
    interval_width: float
    crps: float


def score(log_measured: np.ndarray, predicted: Predictions) -> Score:
    """Score predictions.

    Args:
        log_measured: natural logarithms of what was measured (rows,).
        predicted: what a profile says.

    Returns:
        ``trimmed_mean_absolute_percentage_error`` leaves the worst 5 % of the rows out,
        ``bias_percent`` is the median of predicted over measured, less one; ``interval_width`` the
        median of half the 90 % interval over the prediction [1]; ``crps`` the continuous ranked
        probability score of the logarithm (Gneiting and Raftery, JASA 2007, eq. 21), in natural
        logs: 0.1 is like a sharp prediction 10 % off.
    """
    off = predicted.log - log_measured
    error = np.abs(np.expm1(off))
    spread = predicted.total
    z = off / spread
    ranked = spread * (
        z * (2.0 * scipy.stats.norm.cdf(z) - 1.0)
        + 2.0 * scipy.stats.norm.pdf(z)
        - 1.0 / np.sqrt(np.pi)
    )
    varies = len(off) > 2 and np.ptp(predicted.log) > 0 and np.ptp(log_measured) > 0
    return Score(
        n=len(off),
        mean_absolute_percentage_error=100.0 * float(error.mean()),
        trimmed_mean_absolute_percentage_error=100.0
        * float(np.sort(error)[: max(1, int(0.95 * len(error)))].mean()),
        median_absolute_percentage_error=100.0 * float(np.median(error)),
        bias_percent=100.0 * float(np.expm1(np.median(off))),
        spearman=(
            float(
                np.corrcoef(
                    scipy.stats.rankdata(predicted.log), scipy.stats.rankdata(log_measured)
                )[0, 1]
            )
            if varies
            else None
        ),
        interval_coverage=float(np.mean(np.abs(z) <= NORMAL_90)),
        interval_width=float(np.median(np.expm1(NORMAL_90 * spread))),
        crps=float(ranked.mean()),
    )


@dataclasses.dataclass(frozen=True)
class Ratios:
    """How well ratios between configurations that differ in one thing are met."""

    n: int
    mean_absolute_percentage_error: float
    median_absolute_percentage_error: float
    right_sign: (
        float  # share of the pairs that differ by more than 5 % whose faster one is told right
    )


def ratios(
    cases: Sequence[Case],
    log_measured: np.ndarray,
    log_predicted: np.ndarray,
    between: str,
    most: int = 20000,
) -> Ratios | None:
    """Score ratios of times per token between devices, or between layouts of one device, everything
    else equal.

    Args:
        cases: rows of time per token.
        log_measured, log_predicted: natural logarithms (rows,).
        between: ``device`` or ``layout``.
        most: most pairs.
    """

    def rest(case: Case) -> tuple[object, ...]:
        common = (
            case.model,
            case.formats.name,
            case.engine.family,
            case.protocol,
            case.prompt,
            case.output,
        )
        layout = (case.tensor, case.data, case.pipeline, case.expert)
        total = case.concurrency * case.replicas
        return (
            (*common, total, *layout)
            if between == "device"
            else (*common, total, case.machine.name, case.engine.variant)
        )

    def side(case: Case) -> object:
        return (
            case.machine.name
            if between == "device"
            else (case.tensor, case.data, case.pipeline, case.expert)
        )

    alike: dict[tuple[object, ...], list[int]] = {}
    for k, case in enumerate(cases):
        if case.quantity == "time_per_token" and np.isfinite(case.concurrency):
            alike.setdefault(rest(case), []).append(k)
    pairs = [
        (a, b)
        for rows in alike.values()
        for a, b in itertools.combinations(rows, 2)
        if side(cases[a]) != side(cases[b])
    ][:most]
    if not pairs:
        return None
    first, second = np.array(pairs).T
    truth, told = (
        log_measured[first] - log_measured[second],
        log_predicted[first] - log_predicted[second],
    )
    apart = np.abs(truth) > np.log(1.05)
    right = float(np.mean(np.sign(truth[apart]) == np.sign(told[apart]))) if apart.any() else 1.0
    error = 100.0 * np.abs(np.expm1(told - truth))
    return Ratios(len(pairs), float(error.mean()), float(np.median(error)), right)
