"""A scenario's answer under the ranges of its priors: sampled, resumable, ready for JSON."""

import math
from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from codesign.hardware.technology import Technology
from codesign.limits import LIMIT_NAMES
from codesign.search.integers.formulation import Subproblem
from codesign.search.solver.lanes import double_precision
from codesign.search.statement.problem import integer_names
from codesign.search.statement.space import CONTINUOUS
from codesign.sensitivity.flips import change
from codesign.sensitivity.global_indices import derivative_bounds, design, indices, quasi_normal
from codesign.sensitivity.inputs import Inputs, fleet_at
from codesign.sensitivity.motion import value_slopes
from codesign.sensitivity.optimum import Optimum
from codesign.sensitivity.robust import (
    chance_to_beat,
    conditional_value_at_risk,
    expected,
    largest_regret,
    value_of_information,
)
from codesign.sensitivity.uncertainty import (
    LADDER,
    at_batch,
    candidates,
    fixed_integers,
    hardware_values,
    slopes_in_worlds,
)
from experiments.runs.ledger import Ledger
from experiments.sensitivity.priors import Priors
from objectives import Objective

BLOCK = 500
"""Worlds between two entries of the ledger."""

FREE_MOST = 1000
"""Worlds in which other hardware is tried too: it costs tens of times as much."""

INDEX_PRIORS, INDEX_POINTS, SLOPE_WORLDS = 8, 128, 24
"""Priors whose Sobol indices are estimated (those of the largest slopes), points of each estimate,
and worlds in which slopes are taken."""

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

Tell = Callable[[str, int, int], None]


class Sampled(NamedTuple):
    """What was sampled: deviates, values of the optimum's own integers, and of every candidate."""

    z: np.ndarray  # (samples, priors)
    fixed: np.ndarray  # (samples,) value of the objective; 0 or +∞, whichever is worse, without
    gap: np.ndarray
    sizes: np.ndarray  # (samples, CONTINUOUS) of the first kind
    table: np.ndarray  # (candidates, free samples)
    factors: np.ndarray  # of their batches
    rivals: dict[str, np.ndarray]


def sample(
    found: Optimum, priors: Priors, count: int, seed: int, ledger: Ledger, tell: Tell
) -> Sampled:
    """Draw worlds and optimise in each, block by block; finished blocks are taken from the
    ledger."""
    z = quasi_normal(count, len(priors.names), seed)
    structure, sense = found.pool.formulation.structure, found.objective.sense
    first = structure.variable(CONTINUOUS[0], 0)

    def block(
        kind: tuple[int | str, ...], work: Callable[[], tuple[np.ndarray, ...]]
    ) -> tuple[np.ndarray, ...]:
        key = ("uncertainty", *kind, count, seed)
        if (kept := ledger.get(key)) is None:
            ledger.put([(key, tuple(np.asarray(part) for part in work()))])
            kept = ledger.get(key)
        assert kept is not None, "what was put is there"
        return kept

    fixed = []
    for start in range(0, count, BLOCK):
        rows = z[start : start + BLOCK]

        def own(rows: np.ndarray = rows) -> tuple[np.ndarray, ...]:
            solved = fixed_integers(found, priors.drawn, rows)
            return solved.value, solved.gap, solved.y[:, first : first + len(CONTINUOUS)]

        fixed.append(block(("fixed", start), own))
        tell("worlds, integers fixed", min(start + BLOCK, count), count)
    value, gap, y = (np.concatenate(parts) for parts in zip(*fixed, strict=True))
    chosen, free = candidates(found), min(count, FREE_MOST)
    table = []
    for k, subproblem in enumerate(chosen):
        parts = []
        for start in range(0, free, BLOCK):
            rows = z[start : min(start + BLOCK, free)]
            parts.append(
                block(
                    ("free", subproblem.choice, *subproblem.integers, start),
                    lambda rows=rows, s=subproblem: tuple(
                        hardware_values(found, s, priors.drawn, rows)
                    ),
                )
            )
        table.append([np.concatenate(own) for own in zip(*parts, strict=True)])
        tell("worlds, hardware free", k + 1, len(chosen))
    values = np.stack([row[0] for row in table])
    factors = np.stack([row[1] for row in table])
    return Sampled(z, _worth(value, sense), gap, np.exp(y), _worth(values, sense), factors, {})


def _worth(logs: np.ndarray, sense: int) -> np.ndarray:
    """The objective from its logarithm turned to be minimised; without a design nothing: 0, or
    for what is to be small +∞."""
    return np.exp(-sense * logs)


def gains(table: np.ndarray, sense: int) -> np.ndarray:
    """The same turned so that larger is better and no design is 0: costs as what they buy."""
    return table if sense > 0 else np.where(np.isfinite(table), 1.0 / table, 0.0)


def against(
    rival: Inputs, priors: Priors, facts: tuple, wanted: Objective, z: np.ndarray
) -> np.ndarray:
    """A device's machine in the same worlds, at the best batch that fits and keeps its promise;
    its own technology drawn with the same deviates."""
    own = Priors(priors.uncertain, (facts,))
    technologies = own.drawn(z, 0)

    def value(technologies: tuple[Technology, ...], factor: Array) -> Array:
        services = tuple(
            eqx.tree_at(
                lambda s: s.phase.batch, one, jnp.maximum(jnp.floor(one.phase.batch * factor), 1.0)
            )
            for one in rival.services
        )
        moved = Inputs(rival.designs, services, rival.plans, technologies, rival.execution)
        fleet = fleet_at(moved)
        kept = jnp.stack([outcome.limits.capacity for outcome in fleet.outcomes]).max()
        late = fleet.limits[LIMIT_NAMES.index("promise")]
        gain = wanted(fleet.totals) ** wanted.sense  # pyright: ignore[reportArgumentType]
        return jnp.where((kept <= 0.0) & (late <= 0.0), gain, 0.0)

    each = jax.jit(jax.vmap(value, in_axes=(0, None)))
    with double_precision():
        values = [
            np.asarray(each(jax.tree.map(jnp.asarray, technologies), factor)) for factor in LADDER
        ]
    return np.max(values, axis=0)


def report(
    found: Optimum, priors: Priors, sampled: Sampled, wanted: Objective, tell: Tell
) -> dict[str, object]:
    """Everything that ``uncertainty --json`` prints."""
    table = gains(sampled.table, wanted.sense)
    chosen = candidates(found)
    names = [_name(found, subproblem) for subproblem in chosen]
    best = table.max(axis=0)
    won = [int(((table == best) & (best > 0))[k].sum()) for k in range(len(chosen))]
    worth = value_of_information(table, sampled.z[: table.shape[1]])
    beats = chance_to_beat(table)
    feasible = np.isfinite(sampled.fixed) & (sampled.fixed > 0)
    tell("indices", 0, 1)
    global_ones = _indices(found, priors)
    tell("indices", 1, 1)
    mean, risk, regret = expected(table), conditional_value_at_risk(table), largest_regret(table)
    return {
        "objective": wanted.name,
        "unit": wanted.unit,
        "sense": wanted.sense,
        "nominal": float(np.exp(-wanted.sense * found.value)),
        "samples": len(sampled.z),
        "samples_hardware_free": table.shape[1],
        "priors": [
            {"name": prior.name, "leaves": [leaf for leaf, _ in prior.facts]}
            for prior in priors.uncertain
        ],
        "integers_fixed": {
            **_distribution(sampled.fixed[feasible]),
            "share_without_design": float(1.0 - feasible.mean()),
            "largest_certified_gap_log": _number(np.nanmax(sampled.gap, initial=-np.inf)),
            "sizes": {
                name: _distribution(sampled.sizes[feasible, k]) for k, name in enumerate(CONTINUOUS)
            },
        },
        "hardware_free": {
            **_distribution(best[best > 0] ** wanted.sense),
            "share_without_design": float((best <= 0).mean()),
            "proved": "sizes of each candidate at each batch; not over other hardware",
        },
        "candidates": [
            {
                "name": name,
                "wins": won[k] / table.shape[1],
                "beats_nominal": float(beats[k, 0]),
                "without_design": float((table[k] <= 0).mean()),
                "mean": _number(mean[k] ** wanted.sense if mean[k] > 0 else math.nan),
                "worst_tenth_mean": _number(risk[k] ** wanted.sense if risk[k] > 0 else math.nan),
                "largest_regret": float(regret[k]),
            }
            for k, name in enumerate(names)
        ],
        "robust": {
            "mean": _best(names, mean),
            "worst_tenth_mean": _best(names, risk),
            "minimax_regret": _best(names, 1.0 - regret),
        },
        "rivals": {
            name: {
                "nominal_design_beats": float(chance_to_beat(np.stack([table[0], own]))[0, 1]),
                "best_candidate_beats": float(chance_to_beat(np.stack([best, own]))[0, 1]),
                **_distribution(own[own > 0] ** wanted.sense),
            }
            for name, own in sampled.rivals.items()
        },
        "value_of_information": {
            "perfect": worth.perfect,
            "each": dict(
                sorted(
                    zip(priors.names, map(float, worth.each), strict=True),
                    key=lambda pair: -pair[1],
                )[:INDEX_PRIORS]
            ),
            "floor": worth.floor,
        },
        "indices": global_ones,
        "error_by_samples": _errors(sampled, best),
    }


def _name(found: Optimum, subproblem: Subproblem) -> str:
    if subproblem == found.subproblem:
        names = integer_names(found.pool.formulation.problems)
        whole = ", ".join(
            f"{name} {number}" for name, number in zip(names, subproblem.integers, strict=True)
        )
        return f"nominal ({whole}; {found.choice.name})"
    return change(found, subproblem)


def _best(names: list[str], worth: np.ndarray) -> str | None:
    """The candidate that is worth most; None where none is worth anything."""
    return names[int(np.argmax(worth))] if worth.max() > 1e-9 else None


def _distribution(values: np.ndarray) -> dict[str, object]:
    if not len(values):
        return {"mean": None, "quantiles": {}}
    return {
        "mean": float(np.mean(values)),
        "quantiles": {f"{q:g}": float(np.quantile(values, q)) for q in QUANTILES},
    }


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _indices(found: Optimum, priors: Priors) -> dict[str, object]:
    """Sobol indices of ln of the optimum's hardware at its best batch, over the priors with the
    largest slopes (others at their medians), and indices from slopes."""
    step = 1e-3
    slopes = value_slopes(found, found.subproblem)
    count = len(priors.names)
    moved = np.concatenate([-step * np.eye(count), step * np.eye(count)])
    leaves = [
        np.asarray(leaf)
        for leaf in jax.tree.leaves(priors.technologies(moved, found.subproblem.choice))
    ]
    logs = np.log(np.maximum(np.stack(leaves, axis=1), 1e-300)).reshape(2, count, -1)
    by_deviate = (logs[1] - logs[0]) / (2.0 * step) @ slopes
    active = np.argsort(-np.abs(by_deviate))[:INDEX_PRIORS]

    def padded(points: np.ndarray) -> np.ndarray:
        z = np.zeros((len(points), count))
        z[:, active] = points
        return z

    points = design(INDEX_POINTS, len(active), seed=0, normal=True)
    row = hardware_values(found, found.subproblem, priors.drawn, padded(points.stacked))
    estimate = indices(points, row.value)
    within = slopes_in_worlds(
        found,
        at_batch(found, found.subproblem, 0.8),
        priors.technologies,
        padded(points.a[:SLOPE_WORLDS]),
    )
    bounds = derivative_bounds(within[:, active], estimate.variance) if len(within) else None
    return {
        "of": "ln of the objective of the nominal hardware at its best batch; others at medians",
        "points": INDEX_POINTS,
        "inputs": [
            {
                "prior": priors.names[k],
                "first": float(estimate.first[j]),
                "first_error": float(estimate.first_error[j]),
                "total": float(estimate.total[j]),
                "total_error": float(estimate.total_error[j]),
                "derivative_index": None if bounds is None else float(bounds[j]),
                "slope": float(-by_deviate[k]),
            }
            for j, k in enumerate(active)
        ],
        "derivative_index_of": (
            "mean square of the slope by the deviate over the variance, at four fifths of the"
            f" batch, in the {len(within)} of {SLOPE_WORLDS} worlds where that has a design; the"
            " bound of theory on a total index holds where every world has one"
        ),
    }


def _errors(sampled: Sampled, best: np.ndarray) -> list[dict[str, float]]:
    """How far the mean of the first n worlds is from that of all: the error of quasi-random
    sampling against n."""
    mean, found, n = float(best.mean()), [], 32
    while n < len(best):
        found.append({"samples": n, "relative_error": abs(float(best[:n].mean()) / mean - 1.0)})
        n *= 2
    return found
