"""Golden outcomes: 240 operating points of all kinds of model, phase and execution, kept to the
last digits that matter.

``JAX_ENABLE_X64=1 python -m tests.codesign.golden`` prints what differs from the kept outcomes, the
worst of each figure first; the same with ``--bless`` keeps today's. A change that moves them is
told in the CHANGELOG.
"""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

import codesign
from codesign.evaluation import evaluate
from codesign.numerics.compilation import SELDOM, compiler_options
from tests.codesign.gradient_points import EXECUTIONS, MODELS, PHASES, Point, points

KEPT = Path(__file__).parent / "golden.csv"
EACH = 12
TOLERANCE = 1e-9
"""Relative: processors and versions of XLA round sums otherwise."""

COMBINATIONS = [
    (model, phase, list(EXECUTIONS)[(m + p) % len(EXECUTIONS)])
    for m, model in enumerate(MODELS)
    for p, phase in enumerate(PHASES)
]
"""Every model in every phase; executions in turn."""

FIGURES = (
    "step_time",
    "time_per_token",
    "capacity_needed",
    "tokens_per_second_per_dollar",
    "tokens_per_second_per_watt",
    "energy_per_token",
)
SERVED = (
    "time_to_first_token",
    "time_per_token",
    "requests_per_second",
    "goodput",
    "capital_cost",
    "cost_per_output_token",
)


def outcome_of(point: Point) -> dict[str, Any]:
    """The figures of one point, and the worst limit."""
    if point.serving is None:
        found = evaluate(
            point.design,
            point.work,
            point.plan,
            technology=point.technology,
            execution=point.execution,
        )
        names = FIGURES
    else:
        found = codesign.serve(
            point.work.model,
            point.serving,
            codesign.Pool(point.design, point.plan),
            technology=point.technology,
            precision=point.work.precision,
            execution=point.execution,
            first_promise=1e3,
            token_promise=1e3,
        )
        names = SERVED
    return {name: getattr(found, name) for name in names}


def outcomes(
    combinations: Sequence[tuple[str, str, str]] = COMBINATIONS,
) -> dict[tuple[str, ...], dict[str, float]]:
    """Today's figures by (model, phase, execution, number)."""
    found = {}
    for combination in combinations:
        run = jax.jit(
            lambda given: jax.lax.map(outcome_of, given), compiler_options=compiler_options(SELDOM)
        )
        figures = {
            name: np.asarray(values) for name, values in run(points(*combination, EACH)).items()
        }
        for k in range(EACH):
            found[(*combination, str(k))] = {
                name: float(values[k]) for name, values in figures.items()
            }
    return found


def kept() -> dict[tuple[str, ...], dict[str, float]]:
    """The kept figures."""
    with KEPT.open(encoding="utf-8", newline="") as file:
        found: dict[tuple[str, ...], dict[str, float]] = {}
        for model, phase, execution, number, name, value in csv.reader(file):
            found.setdefault((model, phase, execution, number), {})[name] = float(value)
    return found


def differences(
    now: dict[tuple[str, ...], dict[str, float]], before: dict[tuple[str, ...], dict[str, float]]
) -> list[str]:
    """A line for every figure that moved by more than the tolerance, the farthest first, and for
    points that came or went."""
    lines = [
        (np.inf, f"{' '.join(key)}: {'gone' if key in before else 'new'}")
        for key in now.keys() ^ before.keys()
    ]
    for key in now.keys() & before.keys():
        for name in now[key].keys() | before[key].keys():
            new, old = now[key].get(name, np.nan), before[key].get(name, np.nan)
            moved = 0.0 if new == old else abs(new - old) / max(abs(old), 1e-300)
            if not moved <= TOLERANCE:
                lines.append(
                    (moved, f"{' '.join(key)}: {name} {old:.9g} → {new:.9g} ({moved:+.2%})")
                )
    return [line for _, line in sorted(lines, key=lambda pair: (-pair[0], pair[1]))]


def bless(now: dict[tuple[str, ...], dict[str, float]]) -> None:
    """Keep today's figures."""
    with KEPT.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(
            [*key, name, f"{value:.12g}"]
            for key, figures in now.items()
            for name, value in figures.items()
        )


def main() -> None:
    """Print what differs; keep it where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bless", action="store_true", help="keep today's figures")
    asked = parser.parse_args()
    if not jax.config.read("jax_enable_x64"):
        raise SystemExit(
            "points are made in double precision; run JAX_ENABLE_X64=1 python -m"
            " tests.codesign.golden"
        )
    now = outcomes()
    lines = differences(now, kept()) if KEPT.exists() else ["nothing is kept yet"]
    print("\n".join(lines) or f"all {len(now)} points as kept")
    if asked.bless:
        bless(now)


if __name__ == "__main__":
    main()
