"""A profile against measured rows: the whole report that ``codesign validate`` prints."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from codesign.calibration.calibrate import Predictions, count, prediction_of, predictions
from codesign.calibration.cases import Case, Unmapped
from codesign.calibration.contradictions import contradictions
from codesign.calibration.profile import Profile
from codesign.calibration.statistics import GROUPINGS, ratios, score

LEAST_ROWS = 5
"""Groups with fewer rows are not shown: their statistics say nothing."""


def validate(
    cases: Sequence[Case], unmapped: Sequence[Unmapped], profile: Profile
) -> dict[str, object]:
    """Predict every mapped row and score the predictions.

    Args:
        cases, unmapped: of ``map_rows``.
        profile: whose predictions are judged.

    Returns:
        ``overall`` (times per token where there are any), ``quantities``, ``groups``, ``ratios``,
        ``unmapped`` and ``rows``, ready for JSON.

    Where no row can be predicted ``overall`` is None and the lists are empty.
    """
    judged, unmapped = [case for case in cases if prediction_of(case) is not None], list(unmapped)
    unmapped += [
        Unmapped(
            case.measurement,
            f"a {case.quantity.replace('_', ' ')} under the protocol {case.protocol!r} has no"
            " prediction",
        )
        for case in cases
        if prediction_of(case) is None
    ]
    if not judged:
        empty: dict[str, object] = {
            "overall": None,
            "quantities": {},
            "groups": [],
            "ratios": {},
            "contradicted": {},
        }
        return {**empty, **_left(unmapped)}
    counted = count(judged, profile)
    predicted = predictions(judged, counted, profile)
    finite = np.isfinite(predicted.log) & np.isfinite(predicted.total)
    kept = [case for case, fine in zip(judged, finite, strict=True) if fine]
    unmapped += [
        Unmapped(case.measurement, "no finite prediction")
        for case, fine in zip(judged, finite, strict=True)
        if not fine
    ]
    broken = list(contradictions(judged, counted).values())
    told = report(kept, predicted.take(np.flatnonzero(finite)), unmapped)
    return {**told, "contradicted": {rule: broken.count(rule) for rule in sorted(set(broken))}}


def _left(unmapped: Sequence[Unmapped]) -> dict[str, object]:
    rows = [
        {"file": row.measurement.file, "line": row.measurement.line, "reason": row.reason}
        for row in unmapped
    ]
    return {"unmapped": rows, "unmapped_reasons": summary(unmapped)}


def report(
    judged: Sequence[Case], predicted: Predictions, unmapped: Sequence[Unmapped]
) -> dict[str, object]:
    """The report of rows whose predictions are made."""
    measured = np.log([case.value for case in judged])
    quantity = np.array([case.quantity for case in judged])

    def scored(rows: np.ndarray) -> dict[str, object]:
        return dataclasses.asdict(score(measured[rows], predicted.take(rows)))

    quantities = {name: scored(np.flatnonzero(quantity == name)) for name in sorted(set(quantity))}
    main = "time_per_token" if "time_per_token" in quantities else next(iter(quantities))
    groups: list[dict[str, object]] = []
    for by, name_of in GROUPINGS.items():
        members = np.array([name_of(case) for case in judged])
        for name in sorted(quantities):
            for member in sorted(set(members)):
                rows = np.flatnonzero((members == member) & (quantity == name))
                if len(rows) >= LEAST_ROWS:
                    groups.append(
                        {"by": by, "member": str(member), "quantity": name, **scored(rows)}
                    )
    compared = {
        between: ratios(judged, measured, predicted.log, between)
        for between in ("device", "layout")
    }
    return {
        "overall": {"quantity": main, **quantities[main]},
        "quantities": quantities,
        "groups": groups,
        "ratios": {
            between: None if found is None else dataclasses.asdict(found)
            for between, found in compared.items()
        },
        **_left(unmapped),
    }


def summary(unmapped: Sequence[Unmapped]) -> dict[str, int]:
    """How many rows were left out for each reason, the commonest first."""
    reasons: dict[str, int] = {}
    for row in unmapped:
        reasons[row.reason] = reasons.get(row.reason, 0) + 1
    return dict(sorted(reasons.items(), key=lambda item: -item[1]))
