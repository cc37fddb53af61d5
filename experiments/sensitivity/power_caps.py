"""What a power cap costs in speed, and what it saves: devices under lower caps, and designs sought
under them.

Run: python -m experiments.sensitivity.power_caps [SCENARIO] [--devices h100 b200] [--json]

A device runs a step at caps from its rating down (``codesign.physical.power_cap``: the clock falls,
and the supply with it). A design is sought anew at every cap, integers and choices searched and
proved, as ``[limits] package_power`` asks.
"""

import argparse
import dataclasses
import json
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

import codesign
import hardware_priors
from codesign.search import Infeasible
from codesign.sensitivity.optimum import exact_fleet, find_optimum
from experiments.scenarios.problem import problem
from experiments.scenarios.toml_text import scenario
from experiments.sensitivity.points import statement
from objectives import objective

SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
"""Caps of a device, over its rating."""

CAPS = (2000.0, 1500.0, 1200.0, 1000.0, 800.0, 600.0, 400.0)
"""Most that a package of a design may draw [W]."""

MODEL, BATCH, CONTEXT, PROMPT = "llama-3.1-70b", 64.0, 8192.0, 8192.0
"""What a device runs: decode of so many sequences at a context, and prefill of one prompt."""


class Capped(NamedTuple):
    """A device at one cap: speeds over those at its rating."""

    device: str
    share: float  # of the rating
    watts: float
    decode: float
    prefill: float
    decode_clock: float
    prefill_clock: float


class Sought(NamedTuple):
    """The best design per $ of packages that may draw so much."""

    most: float  # [W]
    cap: float  # that it has [W]
    chips: float
    batch: float
    compute: float  # [FLOP/s]
    per_dollar: float
    per_watt: float
    user: float


def devices(names: Sequence[str]) -> list[Capped]:
    """Run devices of eight chips under lower caps.

    >>> full, *_, half = devices(["h100"])
    >>> full.decode, full.prefill, half.prefill < 1.0
    (1.0, 1.0, True)
    """
    model, found = codesign.model(MODEL), []
    works = [
        codesign.Workload(model, phase)
        for phase in (codesign.Decode(BATCH, CONTEXT), codesign.Prefill(1.0, PROMPT))
    ]
    for name in names:
        device = hardware_priors.device(name)
        design, world = device.design(8), hardware_priors.technology_of(device)
        rated = float(design.power_cap)
        steps = []
        for share in SHARES:
            capped = dataclasses.replace(design, power_cap=share * rated)
            steps.append([codesign.evaluate(capped, work, technology=world) for work in works])
        for share, ran in zip(SHARES, steps, strict=True):
            speeds = [
                float(first.step_time / one.step_time)
                for first, one in zip(steps[0], ran, strict=True)
            ]
            clocks = [float(one.running_clock) for one in ran]
            found.append(Capped(name, share, share * rated, *speeds, *clocks))
    return found


def designs(name: str, caps: Sequence[float] = CAPS) -> list[Sought]:
    """Seek the best design per $ of a scenario under each cap; those that admit none are left
    out."""
    stated, found = scenario(name), []
    for most in caps:
        limited = stated.model_copy(update={"limits": {"package_power": f"{most:g} W"}})
        try:
            best = find_optimum(statement(limited, problem(limited), objective("tokens/s/$")))
        except Infeasible:
            continue
        fleet = exact_fleet(best)
        totals, outcome, design = fleet.totals, fleet.outcomes[0], fleet.designs[0]
        found.append(
            Sought(
                most,
                *(
                    float(np.asarray(value))
                    for value in (
                        outcome.rated_power,
                        design.chips,
                        best.subproblem.integers[len(fleet.designs)],
                        design.peak_flops,
                        totals.tokens_per_second_per_dollar,
                        totals.tokens_per_second_per_watt,
                        totals.user_tokens_per_second,
                    )
                ),
            )
        )
    return found


def tables(capped: Sequence[Capped], sought: Sequence[Sought]) -> str:
    """Both tables in Markdown."""
    lines = [
        "| device | cap [W] | of its rating | decode speed | prefill speed | clocks |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {one.device} | {one.watts:.0f} | {one.share:.0%} | {one.decode:.3f} |"
        f" {one.prefill:.3f} | {one.decode_clock:.2f}, {one.prefill_clock:.2f} |"
        for one in capped
    ]
    lines += [
        "",
        "| a package may draw [W] | cap chosen [W] | chips, batch | compute [PFLOP/s] |"
        " tokens/s/$ | tokens/s/W | tokens/s/user |",
        "|--:|--:|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {one.most:.0f} | {one.cap:.0f} | {one.chips:.0f}, {one.batch:.0f} |"
        f" {one.compute / 1e15:.3g} | {one.per_dollar:.3g} | {one.per_watt:.3g} | {one.user:.3g} |"
        for one in sought
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments.sensitivity.power_caps")
    parser.add_argument("scenario", nargs="?", default="llama-405b")
    parser.add_argument("--devices", nargs="+", default=["h100", "b200", "tpu-v7"])
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    capped, sought = devices(asked.devices), designs(asked.scenario)
    if asked.json:
        found = {
            "devices": [one._asdict() for one in capped],
            "designs": [one._asdict() for one in sought],
        }
        print(json.dumps(found, indent=1))
    else:
        print(tables(capped, sought))


if __name__ == "__main__":
    main()
