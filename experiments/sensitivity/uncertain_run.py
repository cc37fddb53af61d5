"""From a scenario to its sampled worlds, and what the run folder says of them."""

import csv
import io
from typing import Any

import numpy as np

from experiments.rivals.comparison import compared
from experiments.runs.folder import fingerprint, versions
from experiments.runs.ledger import Ledger
from experiments.scenarios.problem import problem
from experiments.scenarios.schema import Scenario
from experiments.scenarios.technologies import priced_device
from experiments.sensitivity.points import Tell, of_device, statement
from experiments.sensitivity.points import refused as refusing
from experiments.sensitivity.priors import priors_of
from experiments.sensitivity.uncertain import Sampled, against, report, sample
from objectives import Objective


def sampled_report(
    stated: Scenario,
    wanted: Objective,
    count: int,
    seed: int,
    rival: str | None,
    ledger: Ledger,
    tell: Tell,
) -> tuple[dict[str, Any], Sampled]:
    """Find the nominal optimum, sample the priors about it, and tell what came of it."""
    from codesign.sensitivity.optimum import find_optimum

    posed = problem(stated)
    other = None if rival is None else of_device(rival, stated)
    found = refusing(
        find_optimum,
        statement(stated, posed, wanted),
        seed=stated.search.seed,
        prove=stated.search.prove,
        memory=ledger,
        progress=tell,
    )
    priors = priors_of(stated, posed)
    sampled = sample(found, priors, count, seed, ledger, tell)
    if other is not None and rival is not None:
        named = stated.model_copy(
            update={"compare": stated.compare.model_copy(update={"devices": (rival,)})}
        )
        (one,) = compared(named)
        assert one.technology is not None
        facts = priced_device(stated, one.technology, one.device.machine_class).priors()
        z = sampled.z[: sampled.table.shape[1]]
        values = against(other.inputs, priors, (facts,) * len(posed.spaces), wanted, z)
        sampled = sampled._replace(rivals={other.title: values})
    return {
        "scenario": stated.name,
        "seed": seed,
        "nominal_front_gap_log": found.gap if np.isfinite(found.gap) else None,
        **report(found, priors, sampled, wanted, tell),
    }, sampled


def run_details(stated: Scenario, told: dict[str, Any]) -> dict[str, Any]:
    """What ``run.json`` says of a run of worlds."""
    return {
        "kind": "uncertainty",
        "scenario": stated.name,
        "fingerprint": f"{fingerprint(stated)}-uncertainty",
        "versions": versions(),
        "seed": told["seed"],
        "samples": told["samples"],
        "objective": told["objective"],
    }


def worlds_csv(told: dict[str, Any], sampled: Sampled) -> str:
    """A line a world: deviates of all priors, and the objective there."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    unit, names = told["unit"], [prior["name"] for prior in told["priors"]]
    worths = [f"integers fixed [{unit}]"]
    worths += [f"{one['name']} [{unit}]" for one in told["candidates"]]
    writer.writerow(["world [1]", *worths, *(f"{name} [deviate]" for name in names)])
    free = sampled.table.shape[1]
    for k, row in enumerate(sampled.z):
        values = [sampled.fixed[k], *(sampled.table[:, k] if k < free else ())]
        cells = [f"{value:.9g}" if 0 < value < np.inf else "" for value in values]
        cells += [""] * (len(worths) - len(cells))
        writer.writerow([k, *cells, *(f"{value:.9g}" for value in row)])
    return text.getvalue()
