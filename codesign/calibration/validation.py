"""A profile against measured rows: the whole report that ``codesign validate`` prints."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from codesign.calibration.calibrate import Predictions, count, prediction_of, predictions
from codesign.calibration.cases import Case, Unmapped
from codesign.calibration.profile import Profile
from codesign.calibration.statistics import GROUPINGS, ratios, score, select

LEAST_ROWS = 5
"""Groups with fewer rows are not shown: their statistics say nothing."""


def validate(cases: Sequence[Case], unmapped: Sequence[Unmapped], profile: Profile) -> dict[str, Any]:
    """Predict every mapped row and score the predictions.

    Args:
        cases, unmapped: of ``map_rows``.
        profile: whose predictions are judged.

    Returns:
        ``overall`` (times per token where there are any), ``quantities``, ``groups``, ``ratios``, ``unmapped`` and ``rows``, ready
        for JSON.

    Raises:
        ValueError: no row could be mapped.
    """
    judged = [case for case in cases if prediction_of(case) is not None]
    if not judged:
        reasons = summary(unmapped)
        most = next(iter(reasons), "the file has no rows")
        raise ValueError(f"none of {len(unmapped)} rows can be predicted; the commonest reason: {most}")
    predicted = predictions(judged, count(judged, profile), profile)
    return report(judged, predicted, unmapped)


def report(judged: Sequence[Case], predicted: Predictions, unmapped: Sequence[Unmapped]) -> dict[str, Any]:
    """The report of rows whose predictions are made."""
    measured = np.log([case.value for case in judged])
    quantity = np.array([case.quantity for case in judged])

    def scored(rows: np.ndarray) -> dict[str, Any]:
        return dataclasses.asdict(score(measured[rows], select(predicted, rows)))

    quantities = {name: scored(np.flatnonzero(quantity == name)) for name in sorted(set(quantity))}
    main = "time_per_token" if "time_per_token" in quantities else next(iter(quantities))
    groups: list[dict[str, Any]] = []
    for by, name_of in GROUPINGS.items():
        members = np.array([name_of(case) for case in judged])
        for name in sorted(quantities):
            for member in sorted(set(members)):
                rows = np.flatnonzero((members == member) & (quantity == name))
                if len(rows) >= LEAST_ROWS:
                    groups.append({"by": by, "member": str(member), "quantity": name, **scored(rows)})
    compared = {between: ratios(judged, measured, predicted.log, between) for between in ("device", "layout")}
    return {
        "overall": {"quantity": main, **quantities[main]},
        "quantities": quantities,
        "groups": groups,
        "ratios": {between: None if found is None else dataclasses.asdict(found) for between, found in compared.items()},
        "unmapped": [{"file": row.measurement.file, "line": row.measurement.line, "reason": row.reason} for row in unmapped],
        "unmapped_reasons": summary(unmapped),
    }


def summary(unmapped: Sequence[Unmapped]) -> dict[str, int]:
    """How many rows were left out for each reason, the commonest first."""
    reasons: dict[str, int] = {}
    for row in unmapped:
        reasons[row.reason] = reasons.get(row.reason, 0) + 1
    return dict(sorted(reasons.items(), key=lambda item: -item[1]))
