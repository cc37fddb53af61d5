"""How many kinds of chip should a fleet have: what each workload loses on the chip of another.

Run: python -m experiments.sensitivity.kinds SCENARIO SCENARIO … (of one machine each).

Every scenario's best machine by tokens/s/$ is written as a device, and each device runs every other
scenario with the freedom that devices have (chips, batch, layouts). With equal capital at the best
chip of each scenario, a fleet of k kinds is the k chips with the least mean loss, by enumeration.
One kind more pays from the capital at which what it saves is its development cost.
"""

import argparse
import itertools
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from codesign.sensitivity.optimum import exact_fleet, find_optimum
from experiments.rivals.points import device_points
from experiments.runs.device_files import PLAIN, WRITTEN, priced_with
from experiments.scenarios.problem import problem
from experiments.scenarios.schema import Scenario
from experiments.scenarios.technologies import names_of
from experiments.scenarios.toml_text import scenario, toml_text
from experiments.sensitivity.points import statement
from experiments.terminal.refusal import Refused
from hardware_priors.leaves import development_cost
from hardware_priors.own_device import WIDTHS
from objectives import objective

PER_DOLLAR = "tokens/s/$"


class Fleets(NamedTuple):
    """What fleets of few kinds lose.

    ``value[i, j]`` is tokens/s/$ of scenario i on the chip of scenario j (0: it cannot serve);
    ``chosen`` the chips of the best fleet of each size, ``loss`` what its capital buys less than
    that of as many kinds as scenarios; ``node`` what a chip's development is that of.
    """

    names: tuple[str, ...]
    value: np.ndarray
    watts_per_dollar: float
    chosen: list[tuple[int, ...]]
    loss: list[float]
    node: str


def best_fleets(value: np.ndarray) -> tuple[list[tuple[int, ...]], list[float]]:
    """The best chips of every number of kinds, by enumeration, and the capital that they cost over
    that of one kind a scenario, less 1 (+∞: a scenario cannot be served).

    >>> best_fleets(np.array([[1.0, 0.5], [0.8, 1.0]]))
    ([(0,), (0, 1)], [0.125, 0.0])
    """
    own = value.max(axis=1)
    chosen, loss = [], []
    for k in range(1, len(value) + 1):
        costs = {}
        for chips in itertools.combinations(range(value.shape[1]), k):
            reached = value[:, chips].max(axis=1)
            with np.errstate(divide="ignore"):
                costs[chips] = float(np.mean(own / reached) - 1.0)
        best = min(costs, key=lambda chips: (costs[chips], chips))
        chosen.append(best)
        loss.append(costs[best])
    return chosen, loss


def break_even(loss: Sequence[float], development: float, watts_per_dollar: float) -> list[float]:
    """Provisioned power of the fleet from which each kind more pays [W]: its development cost over
    the share of the capital that it saves."""
    found = []
    for fewer, more in itertools.pairwise(loss):
        saved = (fewer - more) / (1.0 + fewer) if np.isfinite(fewer) else 1.0
        capital = development / saved if saved > 1e-12 else np.inf
        found.append(float(capital * watts_per_dollar))
    return found


def fleets(names: Sequence[str]) -> Fleets:
    """Find every scenario's best chip and run every scenario on every chip.

    Raises:
        Refused: a scenario of several machines, or scenarios that may use unlike technologies:
            their chips would not have had the same freedom.
    """
    chosen = [scenario(name) for name in names]
    for one in chosen:
        if len(one.machines) > 1:
            raise Refused(f"{one.name} has several machines; expected scenarios of one")
        if one.technology != chosen[0].technology:
            raise Refused(
                f"{one.name} and {chosen[0].name} offer unlike technologies; expected scenarios"
                " whose [technology] is the same"
            )
    with tempfile.TemporaryDirectory() as folder:
        files, watts = [], []
        for one in chosen:
            text, per_dollar = _device(one)
            files.append(Path(folder) / f"{one.name}.toml")
            files[-1].write_text(text, encoding="utf-8")
            watts.append(per_dollar)
        value = np.zeros((len(chosen), len(chosen)))
        for i, one in enumerate(chosen):
            devices = tuple(str(path) for path in files)
            asked = one.model_copy(
                update={"compare": one.compare.model_copy(update={"devices": devices})}
            )
            points = {point.name: point for point in device_points(asked, problem(asked))}
            for j, other in enumerate(chosen):
                best = points[f"{other.name} chip"].best
                value[i, j] = best.tokens_per_second_per_dollar if best else 0.0
    node = chosen[0].technology.node[0]
    return Fleets(tuple(names), value, float(np.mean(watts)), *best_fleets(value), node)


def _device(stated: Scenario) -> tuple[str, float]:
    """A scenario's best chip by tokens/s/$ as a device file, and provisioned watts a dollar."""
    posed = problem(stated)
    found = find_optimum(statement(stated, posed, objective(PER_DOLLAR)))
    fleet = exact_fleet(found)
    design = fleet.designs[0]
    names = names_of(stated, found.choice, 0)
    precisions = found.choice.precisions or [one.precision for one in found.services]
    bits = max(float(precision.compute_bits) for precision in precisions)
    lines = [f"name = {toml_text(f'{stated.name} chip')}"]
    lines += [
        f'{name} = "{float(getattr(design, name)):.12g} {unit}"' for name, unit in WRITTEN.items()
    ]
    lines.append(f"peak_flops_bits = {next(width for width in WIDTHS if width >= bits)}")
    lines += [f"{name} = {float(getattr(design, name)):.12g}" for name in PLAIN]
    lines += priced_with(names)
    totals = fleet.totals
    watts = float(totals.tokens_per_second_per_dollar / totals.tokens_per_second_per_watt)
    return "\n".join(lines) + "\n", watts


def as_record(found: Fleets) -> dict[str, object]:
    """What is printed: the matrix, the best fleets, and from which power each kind more pays."""
    cost = development_cost(found.node)
    powers = {
        name: break_even(found.loss, value, found.watts_per_dollar)
        for name, value in cost._asdict().items()
    }
    return {
        "tokens_per_second_per_dollar": {
            name: dict(zip(found.names, map(float, row), strict=True))
            for name, row in zip(found.names, found.value, strict=True)
        },
        "fleets": [
            {
                "kinds": k + 1,
                "chips": [found.names[j] for j in chips],
                "capital_over_best": loss if np.isfinite(loss) else None,
            }
            for k, (chips, loss) in enumerate(zip(found.chosen, found.loss, strict=True))
        ],
        "break_even_w": {
            name: [value if np.isfinite(value) else None for value in own]
            for name, own in powers.items()
        },
        "development_usd": cost._asdict(),
        "watts_per_dollar": found.watts_per_dollar,
    }


def main() -> None:
    """Print the answer as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("scenarios", nargs="+")
    print(json.dumps(as_record(fleets(parser.parse_args().scenarios)), indent=1))


if __name__ == "__main__":
    from experiments.cli import prepare_jax

    prepare_jax()
    main()
