"""At which price, energy or software latency another memory or link enters: re-solved, not scaled.

Run: python -m experiments.sensitivity.entry SCENARIO … --names HBM4E 3D-DRAM SRAM (memories or
links) [--picture map.png].

Both sides get the same freedom: the scenario's optimum with its own technology, and the optimum
with the other one, integers and choices searched and proved for each. The other's price (energy,
latency) is then scaled until both are worth the same, among its solved runners-up, and the search
is run anew at that factor to see whether other integers enter earlier.
"""

import argparse
import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from codesign.hardware.technology import Technology
from codesign.numerics.fields import Real
from codesign.search import Infeasible
from codesign.search.integers.formulation import Subproblem
from codesign.search.solver.lanes import double_precision
from codesign.sensitivity.flips import runners_up
from codesign.sensitivity.optimum import Optimum, Statement, find_optimum
from codesign.sensitivity.worlds import solve_worlds, worlds_of
from experiments.scenarios.problem import problem
from experiments.scenarios.schema import Scenario
from experiments.scenarios.toml_text import scenario
from experiments.sensitivity.points import statement, wanted_of
from hardware_priors.choices import CHOICES
from objectives import Objective

SCALED: dict[str, tuple[tuple[str, str], ...]] = {
    "memory price": (("memory", "stack_price"), ("memory", "layer_price")),
    "memory energy": (("memory", "access_energy"), ("memory", "layer_power")),
    "link price": (("links", "price"),),
    "link energy": (("links", "energy"), ("links", "idle_power")),
    "sync latency": (("links", "software_latency"), ("links", "endpoint_latency")),
}
"""What is scaled together, by name."""

WIDEST = 16.0
"""Factor either way within which an entry is sought."""

GRID, ROUNDS, SAME = 17, 12, 1e-3
"""Factors of the first look, halvings after it, and log units to which a new search must agree."""


class Entry(NamedTuple):
    """A technology against the scenario's own.

    ``advantage`` is ln of how much better it is as it stands, negative where it is worse;
    ``factor`` what the quantity must be multiplied with for both to be worth the same (None: no
    factor within ``WIDEST`` does); ``searched`` is the advantage that a search anew finds there.
    """

    technology: str
    quantity: str
    advantage: float | None
    factor: float | None
    searched: float | None
    why_not: str = ""


def with_technology(stated: Scenario, part: str, name: str) -> Scenario:
    """A scenario with one memory or link instead of its own; memory on the logic brings the cooling
    of a stack."""
    own: dict[str, tuple[str, ...]] = {part: (name,)}
    if name == "3D-DRAM":
        own["cooling"] = ("3d-stack",)
    chosen = stated.technology.model_copy(update=own)
    machines = tuple(
        machine.model_copy(update={part: ()}) if getattr(machine, part, None) else machine
        for machine in stated.machines
    )
    return stated.model_copy(update={"technology": chosen, "machines": machines})


def scaled(technology: Technology, quantity: str, factor: Real) -> Technology:
    """A technology with the numbers of a quantity multiplied."""
    for part, field in SCALED[quantity]:
        own = getattr(technology, part)
        own = dataclasses.replace(own, **{field: getattr(own, field) * factor})
        technology = dataclasses.replace(technology, **{part: own})
    return technology


def values_at(
    found: Optimum, quantity: str, factors: np.ndarray, rivals: Sequence[Subproblem]
) -> np.ndarray:
    """ln of the objective, to be minimised, of the best of some solved integers at each factor."""
    best = np.full(len(factors), np.inf)
    for rival in rivals:
        technologies = tuple(
            jax.tree.map(
                lambda leaf: np.broadcast_to(np.asarray(leaf, dtype=float), (len(factors),)),
                scaled(kind.technology, quantity, factors),
            )
            for kind in found.choices[rival.choice].kinds
        )
        with double_precision():
            worlds = worlds_of(found, technologies, rival.choice)
            best = np.minimum(best, solve_worlds(worlds, rival).value)
    return best


def entry(
    own: float,
    asked: Statement,
    name: str,
    quantity: str,
    find: Callable[[Statement], Optimum] = find_optimum,
) -> Entry:
    """Find the factor on a quantity at which a technology is worth as much as the scenario's own.

    Args:
        own: ln of the scenario's objective with its own technology, to be minimised.
        asked: the scenario with the other one.
        name: of the other one.
        quantity: of ``SCALED``.
        find: the search.
    """
    try:
        found = find(asked)
    except Infeasible as error:
        return Entry(name, quantity, None, None, None, str(error).split(";")[0])
    advantage = own - found.value
    rivals = [found.subproblem, *runners_up(found)]
    logs = np.linspace(-math.log(WIDEST), math.log(WIDEST), GRID)
    gains = own - values_at(found, quantity, np.exp(logs), rivals)
    better = gains > 0.0
    if better.all() or not better.any():
        return Entry(name, quantity, advantage, None, None)
    last = int(np.flatnonzero(better)[-1])
    low, high = logs[last], logs[min(last + 1, GRID - 1)]
    for _ in range(ROUNDS):
        middle = 0.5 * (low + high)
        gain = own - float(values_at(found, quantity, np.exp([middle]), rivals)[0])
        low, high = (middle, high) if gain > 0.0 else (low, middle)
    factor = math.exp(0.5 * (low + high))
    choices = [
        dataclasses.replace(
            choice,
            kinds=tuple(
                dataclasses.replace(kind, technology=scaled(kind.technology, quantity, factor))
                for kind in choice.kinds
            ),
        )
        for choice in asked.choices
    ]
    anew = find(asked._replace(choices=choices))
    return Entry(name, quantity, advantage, factor, own - anew.value)


def entries(
    stated: Scenario, names: Sequence[str], wanted: Objective, quantities: Sequence[str] = ()
) -> list[Entry]:
    """Entries of several memories or links into a scenario, by price and by energy (and, of links,
    latency)."""
    own = find_optimum(statement(stated, problem(stated), wanted)).value
    found = []
    for name in names:
        part = "memory" if name in CHOICES["memory"] else "link"
        posed = problem(with_technology(stated, part, name))
        asked = statement(stated, posed, wanted)
        default = [q for q in SCALED if q.startswith(part)]
        default += ["sync latency"] if part == "link" else []
        for quantity in quantities or default:
            found.append(entry(own, asked, name, quantity))
    return found


def draw_entries(path: Path, rows: dict[str, list[Entry]]) -> None:
    """Draw the map: what each quantity must be multiplied with to enter, by scenario (columns) and
    technology (rows).

    Args:
        path: file to write.
        rows: entries of each scenario, the same technologies and quantities in the same order.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    first = next(iter(rows.values()))
    logs = np.array(
        [
            [math.log2(one.factor) if one.factor else math.nan for one in own]
            for own in rows.values()
        ]
    ).T
    figure, axes = pyplot.subplots(figsize=(2.6 + 1.3 * len(rows), 1.2 + 0.42 * len(first)))
    limit = math.log2(WIDEST)
    image = axes.imshow(logs, cmap="PuOr", vmin=-limit, vmax=limit, aspect="auto")
    for (k, j), _ in np.ndenumerate(logs):
        one = list(rows.values())[j][k]
        axes.text(j, k, told(one), ha="center", va="center", fontsize=8)
    axes.set_xticks(range(len(rows)), list(rows), parse_math=False)
    names = [f"{one.technology}, {one.quantity}" for one in first]
    axes.set_yticks(range(len(first)), names, parse_math=False)
    bar = figure.colorbar(image, ax=axes)
    bar.set_label("enters at this factor on today's [log2]")
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def told(one: Entry) -> str:
    """A cell: the factor; ``in`` or ``out`` whatever the factor; ``none`` where nothing is
    feasible."""
    if one.factor is not None:
        return f"×{one.factor:.2g}"
    if one.advantage is None:
        return "none"
    return "in" if one.advantage > 0 else "out"


def main() -> None:
    """Print the entries of scenarios as JSON, and draw their map."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("scenarios", nargs="+")
    parser.add_argument("--names", nargs="+", required=True)
    parser.add_argument("--objective")
    parser.add_argument("--picture", type=Path)
    arguments = parser.parse_args()
    rows = {}
    for name in arguments.scenarios:
        stated = scenario(name)
        wanted = wanted_of(stated, arguments.objective)
        rows[name] = entries(stated, arguments.names, wanted)
    found = {name: [one._asdict() for one in own] for name, own in rows.items()}
    print(json.dumps(found, indent=1))
    if arguments.picture is not None:
        draw_entries(arguments.picture, rows)


if __name__ == "__main__":
    from experiments.cli import prepare_jax

    prepare_jax()
    main()
