"""Leave whole devices, models, engines or groups out in turn, and predict them from the rest.

A device left out keeps nothing of its own but its catalogue entry: its offsets leave the prior, and
where the prior is made of kernel tables (``prior_without``) so does what they taught its relatives.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from codesign.calibration.calibrate import Predictions, calibrate, learns_from, predictions
from codesign.calibration.cases import Case
from codesign.calibration.features import Counted
from codesign.calibration.fit import NORMAL_90, TRUSTED
from codesign.calibration.layers import PRIORS, case_keys
from codesign.calibration.profile import LeftOutScores, Profile
from codesign.calibration.statistics import ratios, score


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
    prior_without: Callable[[str], Profile] | None = None,
) -> dict[int, LeftOut]:
    """Predict the rows of each member of a layer from a fit without them.

    Args:
        cases: all of them.
        counted: their features.
        prior: what was known before (kernel tables).
        layer: ``device``, ``model``, ``engine`` or ``group``.
        members: which of it to leave out in turn.
        most: most iterations of each fit.
        anchors: rows of each left-out member's groups that are given back after a first
            prediction (``calibrate --anchor``), the least and the most concurrent ones first; they
            are not judged.
        start: where each fit begins.
        weights: as of ``calibrate``.
        prior_without: the prior of a fit that never saw a member; ``prior`` less the member's own
            parameters otherwise.

    Returns:
        Predictions of all rows that were left out and have a prediction, by the rows of each group
        that were given back: 0, and ``anchors`` where these are some.
    """
    keys = [case_keys(case)[layer] for case in cases]
    found: dict[int, list[tuple[str, np.ndarray, Predictions]]] = {0: []}
    for member in members:
        inside = np.array([key == member for key in keys])
        rest = np.flatnonzero(~inside)
        profile, _ = calibrate(
            [cases[k] for k in rest.tolist()],
            counted.take(rest),
            forget(prior if prior_without is None else prior_without(member), layer, member),
            start,
            most,
            weights=weights,
        )
        out = np.array([k for k in np.flatnonzero(inside).tolist() if learns_from(cases[k])])
        if len(out):
            found[0].append((member, out, _told(cases, counted, out, profile)))
        given = anchor_rows(cases, out, anchors) if anchors and len(out) else np.array([], int)
        if len(given):
            own = [cases[k] for k in given]
            moved, _ = calibrate(own, counted.take(given), profile, profile, most, TRUSTED, weights)
            kept = np.setdiff1d(out, given)
            found.setdefault(anchors, []).append((member, kept, _told(cases, counted, kept, moved)))
    return {
        count: LeftOut(
            layer,
            np.concatenate([rows for _, rows, _ in parts]),
            [member for member, rows, _ in parts for _ in rows],
            _joined([told for _, _, told in parts]),
        )
        for count, parts in found.items()
    }


def _told(
    cases: Sequence[Case], counted: Counted, rows: np.ndarray, profile: Profile
) -> Predictions:
    return predictions([cases[k] for k in rows.tolist()], counted.take(rows), profile)


def _joined(parts: Sequence[Predictions]) -> Predictions:
    fields = [field.name for field in dataclasses.fields(Predictions)]
    return Predictions(*(np.concatenate([getattr(p, name) for p in parts]) for name in fields))


LEAST_ROWS = 60
"""Times per token below which a member is not left out: too few to say how well it is predicted."""


def members_of(cases: Sequence[Case], layer: str) -> list[str]:
    """Members of a layer with enough rows to be left out in turn."""
    keys = [case_keys(case)[layer] for case in cases if case.quantity == "time_per_token"]
    return [name for name in sorted(set(keys)) if keys.count(name) >= LEAST_ROWS]


def scores(cases: Sequence[Case], left: LeftOut) -> LeftOutScores:
    """Statistics of rows that were left out: of all members by what was measured, and of each
    member's times per token."""
    measured = np.log([cases[k].value for k in left.rows])
    quantity = np.array([cases[k].quantity for k in left.rows])
    members = np.array(left.members)

    def scored(rows: np.ndarray) -> dict[str, float]:
        return dataclasses.asdict(score(measured[rows], left.predictions.take(rows)))

    timed = quantity == "time_per_token"
    judged = [cases[k] for k in left.rows]
    compared = {
        between: ratios(judged, measured, left.predictions.log, between)
        for between in ("device", "layout")
    }
    return {
        "ratios": {
            between: None if found is None else dataclasses.asdict(found)
            for between, found in compared.items()
        },
        "quantities": {
            str(name): scored(np.flatnonzero(quantity == name)) for name in sorted(set(quantity))
        },
        "members": {
            str(name): scored(np.flatnonzero(timed & (members == name)))
            for name in sorted(set(members))
        },
    }


def widening(cases: Sequence[Case], left: LeftOut) -> float:
    """How many times as wide layers nobody measured must be for 90 % of the times per token left
    out to lie in their 90 % intervals, and at least 1."""
    timed = np.array([cases[k].quantity == "time_per_token" for k in left.rows])
    told = left.predictions.take(np.flatnonzero(timed))
    off = np.abs(told.log - np.log([cases[k].value for k in left.rows[timed]])) / NORMAL_90
    beyond = off**2 - told.total**2 + told.unknown**2
    factors = np.sqrt(np.maximum(beyond, 0.0)) / np.maximum(told.unknown, 1e-12)
    return max(float(np.quantile(factors, 0.9)), 1.0)


WIDENED_WITH = {
    "device": ("vendor", "architecture", "device", "format", "expert_format"),
    "model": ("model", "group"),
    "engine": ("engine", "variant", "release"),
}
"""Layers that a new device, model or engine has no members of."""


def widen(profile: Profile, factors: dict[str, float], found: dict[str, LeftOutScores]) -> Profile:
    """A profile whose layers are so many times as wide, with the figures of what was left out kept
    in it.

    What is measured keeps its interval: only members without a parameter of their own take a
    layer's.

    Args:
        profile: what was cross-validated.
        factors: ``widening`` of what was left out, by ``device``, ``model`` and ``engine``.
        found: ``scores`` by what was left out.
    """
    times = {layer: factors.get(left, 1.0) for left, of in WIDENED_WITH.items() for layer in of}
    judged = {
        f"{coefficient}|{layer}": sd
        for coefficient, prior in PRIORS.items()
        for layer, sd in prior.layers.items()
    }
    spreads = {
        name: times.get(name.split("|")[1], 1.0) * sd
        for name, sd in {**judged, **profile.spreads}.items()
    }
    before = profile.about.get("widened", {})
    about = profile.about.copy()
    about["left_out"] = {**profile.about.get("left_out", {}), **found}
    about["widened"] = {
        **before,
        **{layer: factor * before.get(layer, 1.0) for layer, factor in factors.items()},
    }
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
