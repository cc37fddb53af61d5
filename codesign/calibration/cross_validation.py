"""Leave whole devices, models, engines, groups or runs out in turn, and predict them from the rest.

A device left out keeps nothing of its own but its catalogue entry: its offsets leave the prior, and
where the prior is made of kernel tables (``prior_without``) so does what they taught its relatives.
"""

import dataclasses
from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np

from codesign.calibration.calibrate import Predictions, calibrate, predictions
from codesign.calibration.cases import Case
from codesign.calibration.features import TOKEN_BUDGET, Counted
from codesign.calibration.fit import MOST, NORMAL_90, TRUSTED
from codesign.calibration.layers import PRIORS, case_keys, membership
from codesign.calibration.profile import LeftOutScores, Profile
from codesign.calibration.statistics import ratios, score


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """Predictions of rows that the fit did not see.

    Attributes:
        layer: what was left out in turn: ``device``, ``model``, ``engine``, ``group``, ``run``.
        rows: positions of the predicted rows among the cases.
        members: what each of them was left out with.
        seen: whether the fit saw the variant of the row's engine, on whatever device.
        predictions: in the order of ``rows``.
    """

    layer: str
    rows: np.ndarray
    members: list[str]
    seen: np.ndarray
    predictions: Predictions


def member_of(case: Case, layer: str) -> str:
    """What a case is left out with."""
    if layer == "run":
        return f"{case.group}|{case.prompt:g}|{case.output:g}|{case.concurrency:g}|{case.chips:g}"
    return case_keys(case)[layer]


def forget(profile: Profile, layer: str, members: Collection[str]) -> Profile:
    """A profile without the parameters of some members of a layer."""
    kept = [
        k
        for k, name in enumerate(profile.names)
        if not (name.split("|")[1] == layer and name.split("|", 2)[2] in members)
    ]
    return profile.keep(np.array(kept))


def leave_out(
    cases: Sequence[Case],
    counted: Counted,
    prior: Profile,
    layer: str,
    folds: Sequence[Collection[str]],
    most: int = MOST,
    anchors: int = 0,
    start: Profile | None = None,
    weights: dict[str, float] | None = None,
    prior_without: Callable[[str], Profile] | None = None,
) -> dict[int, LeftOut]:
    """Predict the rows of some members of a layer from a fit without them, fold by fold.

    Args:
        cases: all of them that can be compared; fits learn from those of ``learns_from``.
        counted: their features.
        prior: what was known before (kernel tables).
        layer: ``device``, ``model``, ``engine``, ``group`` or ``run``.
        folds: members that are left out together (``folds_of``).
        most: most evaluations of each fit.
        anchors: rows of each left-out group given back after a first prediction (as by ``calibrate
            --anchor``), and not judged.
        start: where each fit begins.
        weights: as of ``calibrate``.
        prior_without: the prior of a fit that never saw a member; ``prior`` less the member's own
            parameters otherwise.

    Returns:
        Predictions of all rows that were left out, by the rows of each group that were given back:
        0, and ``anchors`` where these are some.
    """
    keys = np.array([member_of(case, layer) for case in cases])
    variants = np.array([case.engine.variant for case in cases])
    found: dict[int, list[LeftOut]] = {0: []}

    def told(rows: np.ndarray, seen: np.ndarray, profile: Profile) -> LeftOut:
        made = predictions([cases[k] for k in rows.tolist()], counted.take(rows), profile)
        return LeftOut(layer, rows, keys[rows].tolist(), seen, made)

    for members in folds:
        inside = np.isin(keys, list(members))
        rest, out = np.flatnonzero(~inside), np.flatnonzero(inside)
        known = prior if prior_without is None else prior_without(*members)
        profile, _ = calibrate(
            [cases[k] for k in rest.tolist()],
            counted.take(rest),
            forget(known, layer, members),
            start,
            most,
            weights=weights,
        )
        if start is not None:
            profile = dataclasses.replace(profile, noise={**start.noise, **profile.noise})
        found[0].append(told(out, np.isin(variants[out], variants[rest]), profile))
        for judged, moved in anchored(cases, counted, out, profile, anchors, weights):
            seen = np.isin(variants[judged], variants[rest])
            found.setdefault(anchors, []).append(told(judged, seen, moved))
    return {count: _joined(parts) for count, parts in found.items()}


def anchored(
    cases: Sequence[Case],
    counted: Counted,
    out: np.ndarray,
    profile: Profile,
    anchors: int,
    weights: dict[str, float] | None,
) -> Iterator[tuple[np.ndarray, Profile]]:
    """The rows of each group among ``out`` but the ``anchors`` that are given back, and the profile
    that these move."""
    given = anchor_rows(cases, out, anchors) if anchors else np.array([], int)
    for group in dict.fromkeys(cases[k].group for k in given.tolist()):
        own = np.array([k for k in given.tolist() if cases[k].group == group])
        others = np.array([k for k in out.tolist() if cases[k].group == group])
        part = touched_by([cases[k] for k in others], profile)
        moved, _ = calibrate(
            [cases[k] for k in own],
            counted.take(own),
            part,
            part,
            freedom=TRUSTED,
            weights=weights,
        )
        if len(judged := np.setdiff1d(others, own)):
            yield judged, moved


def touched_by(cases: Sequence[Case], profile: Profile) -> Profile:
    """A profile of the parameters that some cases have, and no others: what their rows say of the
    rest does not concern them."""
    members, _ = membership([case_keys(case) for case in cases], profile.index, {})
    return profile.keep(np.unique(members[members < len(profile.names)]))


def _joined(parts: Sequence[LeftOut]) -> LeftOut:
    fields = [field.name for field in dataclasses.fields(Predictions)]
    return LeftOut(
        parts[0].layer,
        np.concatenate([part.rows for part in parts]),
        [member for part in parts for member in part.members],
        np.concatenate([part.seen for part in parts]),
        Predictions(
            *(np.concatenate([getattr(p.predictions, name) for p in parts]) for name in fields)
        ),
    )


LEAST_ROWS = {"device": 60, "model": 60, "engine": 60, "group": 30, "run": 1}
"""Times per token below which a member is not left out: too few to say how well it is predicted."""

TOGETHER = 10
"""Folds of members that are left out many at a time: groups and runs."""


def folds_of(cases: Sequence[Case], layer: str) -> list[list[str]]:
    """Members of a layer with enough rows to be left out: one by one, or groups and runs in ten
    folds, every tenth of them together."""
    timed = [member_of(case, layer) for case in cases if case.quantity == "time_per_token"]
    names = [name for name in sorted(set(timed)) if timed.count(name) >= LEAST_ROWS[layer]]
    if layer in ("group", "run"):
        return [names[k::TOGETHER] for k in range(min(TOGETHER, len(names)))]
    return [[name] for name in names]


def scores(cases: Sequence[Case], left: LeftOut) -> LeftOutScores:
    """Statistics of rows that were left out: by what was measured, of each member's times per
    token, of each file, of engines that were seen elsewhere and of those that were not, and how
    many rows of each group lie in their intervals."""
    judged = [cases[k] for k in left.rows]
    measured = np.log([case.value for case in judged])
    quantity = np.array([case.quantity for case in judged])
    timed, first = quantity == "time_per_token", quantity == "time_to_first_token"

    def scored(rows: np.ndarray) -> dict[str, float]:
        return dataclasses.asdict(
            score(measured[rows], left.predictions.take(np.flatnonzero(rows)))
        )

    def by(names: Sequence[str], least: int = 1) -> dict[str, dict[str, float]]:
        found = np.array(names)
        chosen = {str(name): timed & (found == name) for name in sorted(set(names))}
        return {name: scored(rows) for name, rows in chosen.items() if rows.sum() >= least}

    idle = np.array([unsaturated(case) for case in judged])
    files = by([case.measurement.file for case in judged], LEAST_JUDGED)
    firsts = {
        f"{name}, first token": first & (np.array([c.measurement.file for c in judged]) == name)
        for name in sorted({case.measurement.file for case in judged})
    }
    parts = {
        "time per token, engine seen elsewhere": timed & left.seen,
        "time per token, engine seen nowhere else": timed & ~left.seen,
        "time to first token, below saturation": first & idle,
    }
    compared = {
        between: ratios(judged, measured, left.predictions.log, between)
        for between in ("device", "layout")
    }
    return {
        "ratios": {
            between: None if found is None else dataclasses.asdict(found)
            for between, found in compared.items()
        },
        "quantities": {str(name): scored(quantity == name) for name in sorted(set(quantity))},
        "parts": {name: scored(rows) for name, rows in parts.items() if rows.any()},
        "files": files
        | {name: scored(rows) for name, rows in firsts.items() if rows.sum() >= LEAST_JUDGED},
        "members": by(left.members) if left.layer not in ("group", "run") else {},
        "coverage": coverage(by([case.group for case in judged], LEAST_JUDGED)),
    }


LEAST_JUDGED = 30
"""Rows of a group or a file below which its coverage says nothing."""


def unsaturated(case: Case) -> bool:
    """Whether all prompts in flight fit into one step's token budget: no request then waits for
    more than one prefill of others."""
    return bool(case.concurrency * case.prompt <= TOKEN_BUDGET * case.data)


def coverage(groups: dict[str, dict[str, float]]) -> dict[str, float]:
    """How many groups have 85 to 95 % of their rows, and at least 85 %, in the 90 % interval; the
    least share, and the mean of half the intervals' widths over the predictions."""
    if not groups:
        return {}
    shares = np.array([entry["interval_coverage"] for entry in groups.values()])
    return {
        "groups": float(len(shares)),
        "nominal": float(np.sum((shares >= 0.85) & (shares <= 0.95))),
        "enough": float(np.sum(shares >= 0.85)),
        "least": float(shares.min()),
        "width": float(np.mean([entry["interval_width"] for entry in groups.values()])),
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
    "engine": ("engine", "variant", "release", "engine_format"),
}
"""Layers that a new device, model or engine has no members of."""


def narrowed(profile: Profile) -> dict[str, float]:
    """The spreads of a profile's layers as members measured lie apart, before any widening."""
    times = _times(profile.about.get("widened", {}))
    return {name: sd / times.get(name.split("|")[1], 1.0) for name, sd in profile.spreads.items()}


def widen(profile: Profile, factors: dict[str, float], found: dict[str, LeftOutScores]) -> Profile:
    """A profile whose layers are so many times as wide as members measured lie apart, with the
    figures of what was left out kept in it.

    What is measured keeps its interval: only members without a parameter of their own take a
    layer's.

    Args:
        profile: what was cross-validated.
        factors: ``widening`` of what was left out, by ``device``, ``model`` and ``engine``; those
            that are not named stay as they are.
        found: ``scores`` by what was left out.
    """
    widened = {**profile.about.get("widened", {}), **factors}
    times = _times(widened)
    judged = {
        f"{coefficient}|{layer}": sd
        for coefficient, prior in PRIORS.items()
        for layer, sd in prior.layers.items()
    }
    spreads = {
        name: times.get(name.split("|")[1], 1.0) * sd
        for name, sd in {**judged, **narrowed(profile)}.items()
    }
    about = profile.about.copy()
    about["left_out"] = {**profile.about.get("left_out", {}), **found}
    about["widened"] = widened
    return dataclasses.replace(profile, spreads=spreads, about=about)


def _times(widened: dict[str, float]) -> dict[str, float]:
    """How many times as wide each layer is."""
    return {layer: widened.get(left, 1.0) for left, of in WIDENED_WITH.items() for layer in of}


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
