"""Leave whole devices, models, engines or groups out in turn, and predict them from the rest.

A device left out keeps nothing of its own: its kernel tables leave the prior too, and only its
catalogue entry remains.
"""

import dataclasses
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import scipy.stats

from codesign.calibration.calibrate import Predictions, calibrate, learns_from, predictions
from codesign.calibration.cases import Case
from codesign.calibration.features import Counted
from codesign.calibration.fit import NORMAL_90, TRUSTED
from codesign.calibration.layers import PRIORS, case_keys
from codesign.calibration.profile import Profile
from codesign.calibration.statistics import score, select


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """Predictions of rows that the fit did not see.

    Attributes:
        layer: what was left out in turn: ``device``, ``model``, ``engine``, ``group``.
        rows: positions of the predicted rows among the cases.
        members: what each of them was left out with.
        predictions: in the order of ``rows``.
    """

    layer: str
    rows: np.ndarray
    members: list[str]
    predictions: Predictions


def forget(profile: Profile, layer: str, member: str) -> Profile:
    """A profile without the parameters of one member; a device's also under other layers that
    belong to it alone."""
    kept = [
        k
        for k, name in enumerate(profile.names)
        if not (name.split("|")[1] == layer and name.split("|", 2)[2] == member)
    ]
    return profile.keep(np.array(kept))


def leave_out(
    cases: Sequence[Case],
    counted: Counted,
    prior: Profile,
    layer: str,
    members: Sequence[str],
    most: int = 12,
    anchors: int = 0,
    start: Profile | None = None,
    weights: dict[str, float] | None = None,
) -> LeftOut:
    """Predict the rows of each member of a layer from a fit without them.

    Args:
        cases: all of them.
        counted: their features.
        prior: what was known before (kernel tables).
        layer: ``device``, ``model``, ``engine`` or ``group``.
        members: which of it to leave out in turn.
        most: most iterations of each fit.
        anchors: rows of each left-out member's groups that are given back after the fit
            (``calibrate --anchor``), the least and the most concurrent ones first; they are not
            judged.
        start: where each fit begins.
        weights: as of ``calibrate``.

    Returns:
        Predictions of all rows that were left out and have a prediction.
    """
    keys = [case_keys(case)[layer] for case in cases]
    chosen: list[np.ndarray] = []
    names: list[str] = []
    parts: list[Predictions] = []
    for member in members:
        inside = np.array([key == member for key in keys])
        rest = np.flatnonzero(~inside)
        profile, _ = calibrate(
            [cases[k] for k in rest.tolist()],
            counted.take(rest),
            forget(prior, layer, member),
            start,
            most,
            weights=weights,
        )
        out = np.array([k for k in np.flatnonzero(inside).tolist() if learns_from(cases[k])])
        if not len(out):
            continue
        if anchors:
            given = anchor_rows(cases, out, anchors)
            profile, _ = calibrate(
                [cases[k] for k in given],
                counted.take(given),
                profile,
                profile,
                most,
                TRUSTED,
                weights,
            )
            out = np.array(sorted(set(out) - set(given)))
        if len(out):
            chosen.append(out)
            names += [member] * len(out)
            parts.append(predictions([cases[k] for k in out], counted.take(out), profile))
    joined = Predictions(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("log", "parameter", "total")
        )
    )
    return LeftOut(layer, np.concatenate(chosen), names, joined)


LEAST_ROWS = 60
"""Times per token below which a member is not left out: too few to say how well it is predicted."""


def members_of(cases: Sequence[Case], layer: str) -> list[str]:
    """Members of a layer with enough rows to be left out in turn."""
    keys = [case_keys(case)[layer] for case in cases if case.quantity == "time_per_token"]
    return [name for name in sorted(set(keys)) if keys.count(name) >= LEAST_ROWS]


Scores: TypeAlias = dict[str, dict[str, dict[str, float]]]
"""Statistics (``validation.Score``) by quantity and by member."""


def scores(cases: Sequence[Case], left: LeftOut) -> Scores:
    """Statistics of rows that were left out: of all members by what was measured, and of each
    member's times per token."""
    measured = np.log([cases[k].value for k in left.rows])
    quantity = np.array([cases[k].quantity for k in left.rows])
    members = np.array(left.members)

    def scored(rows: np.ndarray) -> dict[str, float]:
        return dataclasses.asdict(score(measured[rows], select(left.predictions, rows)))

    timed = quantity == "time_per_token"
    return {
        "quantities": {
            str(name): scored(np.flatnonzero(quantity == name)) for name in sorted(set(quantity))
        },
        "members": {
            str(name): scored(np.flatnonzero(timed & (members == name)))
            for name in sorted(set(members))
        },
    }


def widen(profile: Profile, found: dict[str, Scores]) -> Profile:
    """A profile whose layers are as much wider as left-out members were worse than their intervals
    said, with the figures kept in it.

    Where a share c of 90 % intervals held, the standard deviation of the layers grows by Φ⁻¹(0.95)
    / Φ⁻¹((1 + c) / 2), the worst layer's; it never shrinks. What is measured keeps its interval:
    only members without a parameter of their own take a layer's.

    Args:
        profile: what was cross-validated.
        found: ``scores`` by what was left out; those with anchors do not count, for two rows narrow
            what an unknown member may be.
    """
    held = [
        entry["quantities"]["time_per_token"]["interval_coverage"]
        for name, entry in found.items()
        if "anchor" not in name
    ]
    factor = max(
        [
            1.0,
            *(
                NORMAL_90 / float(scipy.stats.norm.ppf(0.5 * (1.0 + min(max(share, 0.1), 0.999))))
                for share in held
            ),
        ]
    )
    judged = {
        f"{coefficient}|{layer}": sd
        for coefficient, prior in PRIORS.items()
        for layer, sd in prior.layers.items()
    }
    spreads = {name: factor * sd for name, sd in {**judged, **profile.spreads}.items()}
    about = profile.about.copy()
    about["left_out"] = {**profile.about.get("left_out", {}), **found}
    about["widened"] = factor * profile.about.get("widened", 1.0)
    return dataclasses.replace(profile, spreads=spreads, about=about)


def anchor_rows(cases: Sequence[Case], rows: np.ndarray, count: int) -> np.ndarray:
    """Of each group's times per token, the least and the most concurrent rows and what lies evenly
    between."""
    groups: dict[str, list[int]] = {}
    for k in rows:
        if cases[k].quantity == "time_per_token":
            groups.setdefault(cases[k].group, []).append(int(k))
    given: list[int] = []
    for members in groups.values():
        ordered = sorted(members, key=lambda k: cases[k].concurrency)
        places = np.unique(
            np.linspace(0.1 * (len(ordered) - 1), 0.9 * (len(ordered) - 1), count)
            .round()
            .astype(int)
        )
        given += [ordered[place] for place in places]
    return np.array(sorted(given))
