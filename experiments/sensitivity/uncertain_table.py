"""An answer under the priors for people: the answer and its band first."""

import math
from typing import Any

from experiments.terminal.number_format import written
from experiments.terminal.text_table import Printed, table_lines, wrapped

TOLD = 7
"""Candidates and priors that are told."""


def uncertainty_lines(report: dict[str, Any], folder: str, width: int) -> list[str]:
    """Write a report: distribution, candidates, what matters, what to measure first."""
    name, unit = report["objective"], report["unit"]

    def value(number: float | None) -> str:
        return "none" if number is None else written(number, name, unit)

    free, fixed = report["hardware_free"], report["integers_fixed"]
    quantiles = free["quantiles"]
    lines = wrapped(
        [
            f"{report['scenario']}: {value(quantiles.get('0.5'))} ({value(quantiles.get('0.05'))}"
            f" to {value(quantiles.get('0.95'))}, 90 % of worlds) where the priors lie in their"
            f" ranges; nominally {value(report['nominal'])}.",
            f"{report['samples_hardware_free']} worlds with a choice of"
            f" {len(report['candidates'])} hardwares, {free['share_without_design']:.0%} of them"
            " without any design; sizes and batch optimised in each.",
            f"The nominal whole numbers kept to the last one, batch included:"
            f" {fixed['share_without_design']:.0%} of {report['samples']} worlds have no design"
            f" then; median of the others {value(fixed['quantiles'].get('0.5'))}, sizes proved to"
            f" {fixed['largest_certified_gap_log'] or math.nan:.0e}.",
        ],
        width,
    )
    lines += ["", *_candidates(report, value)]
    words = {
        "mean": "best mean",
        "worst_tenth_mean": "best in its worst tenth",
        "minimax_regret": "least regret",
    }
    told = [
        f"{word}: {robust}"
        if (robust := report["robust"][key])
        else f"{word}: none (each has worlds without a design)"
        for key, word in words.items()
    ]
    if len(set(report["robust"].values())) == 1 and report["robust"]["mean"]:
        told = [f"{', '.join(words.values())}: {report['robust']['mean']}"]
    lines += wrapped(
        [
            f"{'; '.join(told)}.".replace("b", "B", 1),
            *(
                f"The nominal hardware is better than {rival} in"
                f" {own['nominal_design_beats']:.0%} of worlds; the best candidate in"
                f" {own['best_candidate_beats']:.0%}."
                for rival, own in report["rivals"].items()
            ),
        ],
        width,
    )
    lines += ["", *_priors(report)]
    worth = report["value_of_information"]
    each = [f"{prior} {gain:.2%}" for prior, gain in worth["each"].items() if gain > 1e-4][:3]
    lines += wrapped(
        [
            f"Knowing the world before choosing the hardware is worth {worth['perfect']:.1%}"
            f" of {name}" + (f"; one prior alone: {', '.join(each)}." if each else "."),
            f"Run folder: {folder}",
        ],
        width,
    )
    return lines


def _candidates(report: dict[str, Any], value: Any) -> list[str]:
    rows = report["candidates"][:TOLD]

    def short(name: str) -> str:
        return name if len(name) <= 30 else f"{name[:29]}…"

    columns = [
        Printed("name", ("hardware",), tuple((short(row["name"]),) for row in rows), text=True),
        Printed("wins", ("best in",), tuple((f"{row['wins']:.0%}",) for row in rows)),
        Printed("none", ("no design",), tuple((f"{row['without_design']:.0%}",) for row in rows)),
        Printed("mean", ("mean",), tuple((value(row["mean"]),) for row in rows)),
        Printed(
            "regret", ("worst regret",), tuple((f"{row['largest_regret']:.0%}",) for row in rows)
        ),
    ]
    return table_lines(columns, 80)


def _priors(report: dict[str, Any]) -> list[str]:
    rows = report["indices"]["inputs"][: TOLD - 3]
    columns = [
        Printed("prior", ("prior",), tuple((row["prior"],) for row in rows), text=True),
        Printed(
            "slope", ("% per", "deviate"), tuple((f"{100 * row['slope']:+.1f}",) for row in rows)
        ),
        Printed("first", ("Sobol", "first"), tuple((f"{row['first']:.2f}",) for row in rows)),
        Printed("total", ("", "total"), tuple((f"{row['total']:.2f}",) for row in rows)),
        Printed("error", ("", "±"), tuple((f"{row['total_error']:.2f}",) for row in rows)),
    ]
    return table_lines(columns, 80)
