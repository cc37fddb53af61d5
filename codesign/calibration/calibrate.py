"""Calibrate: measured cases and a prior profile → posterior profile."""

import dataclasses
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from codesign.calibration.cases import Case
from codesign.calibration.features import Counted, features
from codesign.calibration.fit import (
    FREEDOM,
    MOST,
    NORMAL_90,
    T4_MEDIAN,
    Block,
    Posterior,
    carry,
    fit,
)
from codesign.calibration.layers import case_keys, layer_spread, membership, parameters
from codesign.calibration.profile import Profile
from codesign.calibration.service import QUANTITIES, predict_rows, reader

PREDICTIONS = {
    ("decode", "time_per_token"): "decode",
    ("interleaved", "time_per_token"): "interleaved",
    ("static", "time_per_token"): "static",
    ("disaggregated", "time_per_token"): "decode",
    ("interleaved", "time_to_first_token"): "time_to_first_token",
    ("prefill", "time_to_first_token"): "prompt",
    ("static", "time_to_first_token"): "prompt",
    ("static", "end_to_end"): "static_end_to_end",
    ("interleaved", "end_to_end"): "end_to_end",
    ("interleaved", "throughput"): "throughput",
    ("static", "throughput"): "static_throughput",
    ("max_load", "throughput"): "max_load",
    ("disaggregated", "throughput"): "disaggregated_throughput",
    ("interleaved", "power"): "power",
    ("disaggregated", "power"): "power",
    ("interleaved", "energy"): "energy",
    ("disaggregated", "energy"): "energy",
}
"""Which prediction answers to which measured quantity under which protocol."""

SPREAD = {
    "time_per_token": 0.10,
    "time_to_first_token": 0.30,
    "end_to_end": 0.10,
    "throughput": 0.12,
    "power": 0.07,
    "energy": 0.12,
}
"""Standard deviation of one row about its group [natural log]; judged from repeated releases at one
point (about 10 %)."""

ROUGH = ("Argonne", "llama.cpp", "ollama", "XiongjieDai", "AccelMark", "Neuron")
"""Sources whose rows count as half again as uncertain: engines of 2024, lengths or formats not
stated."""


def row_spread(case: Case) -> float:
    """Standard deviation of a row about its group [natural log]."""
    source = case.measurement.text.get("source", "")
    return SPREAD[case.quantity] * (1.5 if any(name in source for name in ROUGH) else 1.0)


def prediction_of(case: Case) -> int | None:
    """Index in ``QUANTITIES`` of what predicts a case, or None where nothing does."""
    name = PREDICTIONS.get((case.protocol, case.quantity))
    if name == "time_to_first_token" and case.measurement.text["metric"].endswith("median"):
        name = "median_to_first_token"
    return None if name is None else QUANTITIES.index(name)


def learns_from(case: Case) -> bool:
    """Whether the fit uses a case: of a protocol it learns from, saying what no other row says, and
    not held to a queue.

    Throughput is another reading of the times of the same run, and energy of its power.
    """
    if not case.fitted or case.derived or prediction_of(case) is None:
        return False
    return case.quantity in ("time_per_token", "time_to_first_token", "power") and not (
        case.protocol == "disaggregated" and case.quantity != "time_per_token"
    )


def block(
    cases: Sequence[Case], counted: Counted, index: dict[str, int], weights: dict[str, float]
) -> Block:
    """Cases as a block of a fit; each configuration is predicted once, whatever was measured of it.
    ``weights`` scale the spreads."""
    first = counted.first
    members, _ = membership([case_keys(cases[k]) for k in first], index, {})
    which = np.array([prediction_of(case) for case in cases])
    return Block(
        members=members,
        values=np.log([case.value for case in cases]),
        spread=np.array([row_spread(case) * weights.get(case.quantity, 1.0) for case in cases]),
        predict=reader(counted.features, counted.index, which),
        configuration=counted.index,
    )


def calibrate(
    cases: Sequence[Case],
    counted: Counted,
    prior: Profile | None = None,
    start: Profile | None = None,
    most: int = MOST,
    freedom: float = FREEDOM,
    weights: dict[str, float] | None = None,
) -> tuple[Profile, Posterior]:
    """Fit a profile to cases.

    Args:
        cases: those of ``map_rows``; ``learns_from`` chooses.
        counted: their features.
        prior: what was known before (kernel tables, or a shipped profile whose user adds rows of
            his own).
        start: where to begin, such as a fit to nearly the same rows; the prior means otherwise.
        most: most evaluations of all rows.
        freedom: degrees of freedom of the residuals; ``TRUSTED`` for anchors.
        weights: by what was measured, how far a row lies about its group over the judged ``SPREAD``
            (``row_scales``).

    Returns:
        The posterior as a profile, and how the search ended.
    """
    chosen = np.array([k for k, case in enumerate(cases) if learns_from(case)])
    used = [cases[k] for k in chosen]
    rows = counted.take(chosen)
    spreads = {} if prior is None else prior.spreads
    layered = parameters([case_keys(case) for case in used], spreads)
    names, mean, covariance = combine(layered.names, layered.mean, layered.spread, prior)
    index = {name: k for k, name in enumerate(names)}
    begin = mean.copy()
    if start is not None:
        for name, value in zip(start.names, start.mean, strict=True):
            if name in index:
                begin[index[name]] = value
    members, _ = membership([case_keys(case) for case in used], index, {})
    touched = np.unique(members[members < len(names)])
    made = block(used, rows, {names[k]: at for at, k in enumerate(touched)}, weights or {})
    found = fit(
        [made],
        mean[touched],
        covariance[np.ix_(touched, touched)],
        begin[touched],
        most=most,
        freedom=freedom,
    )
    profile = Profile(names, *carry(mean, covariance, touched, found), spreads=spreads)
    off = np.abs(made.evaluate(found.mean)[0] * made.spread) / np.array(
        [row_spread(case) for case in used]
    )
    inherited = {} if prior is None else prior.noise
    return (
        dataclasses.replace(
            profile, noise={**inherited, **_by_quantity(used, off, 0.9, NORMAL_90)}
        ),
        found,
    )


LEAST_KNOWN = 30
"""Rows of a quantity below which their spread about the prediction says nothing of other rows."""


def _by_quantity(
    cases: Sequence[Case], off: np.ndarray, quantile: float, over: float
) -> dict[str, float]:
    quantity = np.array([case.quantity for case in cases])
    return {
        str(name): float(np.quantile(off[quantity == name], quantile) / over)
        for name in sorted(set(quantity))
        if np.sum(quantity == name) >= LEAST_KNOWN
    }


def row_scales(cases: Sequence[Case], counted: Counted, profile: Profile) -> dict[str, float]:
    """How far rows lie from a profile's predictions over the judged ``SPREAD``, by what was
    measured: the scale of the fit's t density."""
    chosen = np.array([k for k, case in enumerate(cases) if learns_from(case)])
    used = [cases[k] for k in chosen]
    off = predictions(used, counted.take(chosen), profile).log - np.log(
        [case.value for case in used]
    )
    return _by_quantity(
        used, np.abs(off) / np.array([row_spread(case) for case in used]), 0.5, T4_MEDIAN
    )


def observed_noise(cases: Sequence[Case], counted: Counted, profile: Profile) -> dict[str, float]:
    """By what was measured, the scale of the rows' own spread at which 90 % of the rows lie in
    their 90 % intervals.

    Args:
        cases: with a prediction, those that no fit learns from too: throughput and energy scatter
            otherwise than times.
        counted: their features.
        profile: that predicts.
    """
    told = predictions(cases, counted, profile)
    off = np.abs(told.log - np.log([case.value for case in cases]))
    own, quantity = (
        np.array([row_spread(case) for case in cases]),
        np.array([case.quantity for case in cases]),
    )
    found = {}
    for name in sorted(set(quantity)):
        rows = quantity == name
        if rows.sum() >= LEAST_KNOWN:
            beyond = np.maximum((off[rows] / NORMAL_90) ** 2 - told.parameter[rows] ** 2, 0.0)
            found[str(name)] = max(float(np.quantile(np.sqrt(beyond) / own[rows], 0.9)), 0.1)
    return found


def prune(profile: Profile, least: float = 0.03) -> Profile:
    """Leave out what was not learnt: members of models and groups whose parameter is still as
    uncertain as before any data.

    Without its parameter a member counts as unknown, which says the same in fewer numbers.
    """

    def learnt(k: int, name: str) -> bool:
        coefficient, layer, _ = name.split("|", 2)
        if layer == "generic":
            return True
        unknown = layer_spread(profile.spreads, coefficient, layer) ** 2
        return bool(profile.covariance[k, k] < (1.0 - least) * unknown)

    return profile.keep(np.array([k for k, name in enumerate(profile.names) if learnt(k, name)]))


def combine(
    names: tuple[str, ...], mean: np.ndarray, spread: np.ndarray, prior: Profile | None
) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """Prior means and covariance of parameters: a profile's where it knows them, the layers'
    elsewhere."""
    if prior is None:
        return names, mean, np.diag(spread**2)
    known = set(prior.names)
    fresh = [k for k, name in enumerate(names) if name not in known]
    all_names = prior.names + tuple(names[k] for k in fresh)
    covariance = np.zeros((len(all_names), len(all_names)))
    size = len(prior.names)
    covariance[:size, :size] = prior.covariance
    covariance[range(size, len(all_names)), range(size, len(all_names))] = spread[fresh] ** 2
    return all_names, np.concatenate([prior.mean, mean[fresh]]), covariance


def count(cases: Sequence[Case], profile: Profile, counted: Counted | None = None) -> Counted:
    """Features of cases, with the sequences that decode by Little's law under a profile;
    ``counted`` are those where all requests in flight decode, if they are known.

    Of the requests in flight, those that decode are a share output · time per token of the whole
    time in the system; behind a separate prefill pool they are no more than its throughput times
    the time that they decode.
    """
    counted = features(cases) if counted is None else counted
    return features(cases, running_share(cases, counted, profile))


def running_share(cases: Sequence[Case], counted: Counted, profile: Profile) -> np.ndarray:
    """Share of the requests in flight that decode, by case [1]."""
    values = np.exp(
        np.asarray(
            predict_rows(jnp.asarray(coefficients(cases, counted, profile)), counted.features)
        )
    )[counted.index]
    column = {name: values[:, k] for k, name in enumerate(QUANTITIES)}
    share = np.ones(len(cases))
    for k, case in enumerate(cases):
        if case.protocol == "interleaved":
            share[k] = column["running"][k]
        elif case.protocol == "disaggregated" and np.isfinite(case.prefill_chips):
            prompts_per_second = case.prefill_chips / (case.chips * column["prefill"][k])
            share[k] = min(
                1.0,
                prompts_per_second * case.output * column["decode"][k] / max(case.concurrency, 1.0),
            )
    return np.clip(share, 0.02, 1.0)


def coefficients(cases: Sequence[Case], counted: Counted, profile: Profile) -> np.ndarray:
    """Logarithms of the coefficients that a profile gives each configuration (configurations,
    coefficients)."""
    members, _ = membership(
        [case_keys(cases[k]) for k in counted.first], profile.index, profile.spreads
    )
    return np.append(profile.mean, 0.0)[members].sum(axis=2)


@dataclasses.dataclass(frozen=True)
class Predictions:
    """What a profile says of cases: natural logarithms and their standard deviations.

    ``parameter`` is the part of the deviation that comes from parameters and from layers nobody
    measured, ``unknown`` the part of the latter alone; ``total`` adds the row's own.
    """

    log: np.ndarray
    parameter: np.ndarray
    total: np.ndarray
    unknown: np.ndarray

    def take(self, rows: np.ndarray) -> "Predictions":
        """Some of the predictions."""
        return Predictions(
            self.log[rows], self.parameter[rows], self.total[rows], self.unknown[rows]
        )

    def widened(self, factor: float) -> "Predictions":
        """The same with layers nobody measured so many times as wide."""
        more = (factor**2 - 1.0) * self.unknown**2
        return Predictions(
            self.log,
            np.sqrt(self.parameter**2 + more),
            np.sqrt(self.total**2 + more),
            factor * self.unknown,
        )


def predictions(cases: Sequence[Case], counted: Counted, profile: Profile) -> Predictions:
    """Predict cases with a profile; every case must have a prediction (``prediction_of``)."""
    first, index = counted.first, counted.index
    members, unknown = membership(
        [case_keys(cases[k]) for k in first], profile.index, profile.spreads
    )
    logs = np.append(profile.mean, 0.0)[members].sum(axis=2)
    which = np.array([prediction_of(case) for case in cases])
    log, slopes = reader(counted.features, index, which)(logs)
    nobody = (slopes**2 * unknown[index]).sum(axis=1)
    known = np.zeros(len(cases))
    distinct, alike = np.unique(members.reshape(len(members), -1), axis=0, return_inverse=True)
    for kind, its in enumerate(distinct.reshape(-1, *members.shape[1:])):
        rows = alike.ravel()[index] == kind
        part = slopes[rows]
        known[rows] = np.einsum("rc,cd,rd->r", part, profile.covariance_of(its), part)
    noise = np.array([row_spread(case) * profile.noise.get(case.quantity, 1.0) for case in cases])
    return Predictions(
        log, np.sqrt(known + nobody), np.sqrt(known + nobody + noise**2), np.sqrt(nobody)
    )
