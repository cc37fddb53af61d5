"""What is worth more on the machines of a year: bandwidth, capacity, arithmetic, sync, links or
chips, per dollar and per watt.

Run: python -m experiments.sensitivity.years [--models …] [--contexts …] [--csv FILE]
[--picture FILE].

Each case is decode under one promise. In a year with a machine on sale that machine runs it, with
the freedom that devices have beside a front (chips, batch, layouts); in a year without one, the
best design of that year's technologies does, searched and proved. A number is the per cent that an
objective gains for 1 % more of a quantity, all else held, what it costs included; its band is the
middle 90 % over technologies drawn from the ranges of the priors, the machine held.
"""

import argparse
import csv
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy.special import ndtri
from scipy.stats import qmc

from codesign.hardware.technology import Technology
from codesign.numerics.compilation import SELDOM, compiled
from codesign.search.solver.lanes import double_precision
from codesign.sensitivity.inputs import Inputs, as_reals, fleet_at
from codesign.sensitivity.optimum import find_optimum, inputs_at
from codesign.workload.catalogue import model
from codesign.workload.transformer import has_experts
from experiments.scenarios.problem import problem
from experiments.scenarios.schema import Scenario
from experiments.scenarios.toml_text import scenario_text
from experiments.sensitivity.points import of_device, statement
from experiments.sensitivity.priors import priors_of
from objectives import objective

QUANTITIES = (
    "memory_bandwidth",
    "memory_capacity",
    "peak_flops",
    "sync_latency",
    "link_bandwidth",
    "chips",
)
GOALS = ("tokens/s/$", "tokens/s/W")
MODELS = ("llama-3.1-405b", "deepseek-v3", "qwen3.5-397b-a17b")
CONTEXTS = (8192, 131072)
PROMISE = "50 ms"
DRAWS = 64


class Year(NamedTuple):
    """A year's technologies, and the machine on sale that stands for it (None: a design)."""

    year: int
    node: str
    memory: str
    link: str
    device: str | None


YEARS = (
    Year(2024, "N4", "HBM3E", "NVLink4", "h200"),
    Year(2026, "N3", "HBM4", "NVLink6", "rubin"),
    Year(2028, "N2", "HBM4E", "NVLink6", None),
)
"""Years in which each could be had: of 2028, the catalogue's newest node, memory and link (judged;
``codesign list technologies --sources``)."""


class Case(NamedTuple):
    """Elasticities (goals, quantities) at the nominal technology and at both ends of the band
    [1]."""

    year: int
    model: str
    context: int
    machine: str
    nominal: np.ndarray
    low: np.ndarray
    high: np.ndarray


def posed_case(name: str, context: int, year: Year) -> Scenario:
    """The scenario of one case: ``dense`` with this model, context, promise and technology.

    Args:
        name: a shipped model; its precision is that of its file.
        context: cached positions of a sequence [1].
        year: technologies, and the device beside the designs.
    """
    stated = tomllib.loads(scenario_text("dense"))
    stated["workload"] = {
        "model": name,
        "phase": "decode",
        "context": context,
        "promise": PROMISE,
    }
    stated["technology"] |= {"node": year.node, "memory": year.memory, "link": year.link}
    if has_experts(model(name)):
        stated["choices"] |= {"experts": ["sliced", "whole"], "attention_data": [1, 2, 4, 8]}
    stated["search"] |= {"objectives": ["tokens/s/$"]}
    return Scenario.model_validate({"name": f"{name}-{context}-{year.year}", **stated})


def machine_of(stated: Scenario, year: Year) -> tuple[str, Inputs]:
    """What the machine of a year is called, and all that goes into its outcomes.

    Raises:
        Refused: the device cannot serve the case, with the reason.
        Infeasible: no design can.
    """
    if year.device is not None:
        named = of_device(year.device, stated)
        return named.title.partition(" on ")[0], named.inputs
    found = find_optimum(statement(stated, problem(stated), objective("tokens/s/$")))
    inputs = inputs_at(found)
    chips = int(inputs.designs[0].chips)
    return f"{chips} × best of {year.node}, {year.memory}", inputs


@compiled(SELDOM)
def elasticities_over(inputs: Inputs, technologies: Technology) -> Array:
    """Elasticities of the goals by the quantities, (worlds, goals, quantities) [1].

    Args:
        inputs: one machine and one service.
        technologies: leaves (worlds,), in the place of the inputs' own.
    """

    def log_goals(moves: Array, technology: Technology) -> Array:
        design = inputs.designs[0]
        moved = eqx.tree_at(
            lambda d: [getattr(d, name) for name in QUANTITIES],
            design,
            [
                getattr(design, name) * jnp.exp(move)
                for name, move in zip(QUANTITIES, moves, strict=True)
            ],
        )
        tree = eqx.tree_at(lambda i: (i.designs, i.technologies), inputs, ((moved,), (technology,)))
        totals = fleet_at(tree).totals
        return jnp.stack([jnp.log(objective(name)(totals)) for name in GOALS])  # pyright: ignore[reportArgumentType]

    return jax.lax.map(
        lambda one: jax.jacrev(log_goals)(jnp.zeros(len(QUANTITIES)), one), technologies
    )


def drawn(stated: Scenario, count: int) -> Technology:
    """The nominal technology of a scenario and draws from the ranges of its priors (scrambled Sobol
    points), leaves (1 + count,)."""
    posed = problem(stated)
    priors = priors_of(stated, posed)
    points = qmc.Sobol(len(priors.names), rng=0).random(count)
    (nominal,) = priors.technologies(np.zeros((1, len(priors.names))), 0)
    (worlds,) = priors.drawn(ndtri(np.clip(points, 1e-9, 1.0 - 1e-9)), 0)
    return jax.tree.map(lambda one, more: np.concatenate([one, more]), nominal, worlds)


def case(name: str, context: int, year: Year, draws: int = DRAWS) -> Case:
    """Elasticities of one case, with their bands."""
    stated = posed_case(name, context, year)
    machine, inputs = machine_of(stated, year)
    with double_precision():
        found = np.asarray(elasticities_over(as_reals(inputs), drawn(stated, draws)))
    low, high = np.nanquantile(found[1:], [0.05, 0.95], axis=0)
    return Case(year.year, name, context, machine, found[0], low, high)


def write_csv(path: Path, cases: list[Case]) -> None:
    """Write a row a case, objective and quantity."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(
            "year,model,context,machine,objective,quantity,elasticity,low_90,high_90".split(",")
        )
        for one in cases:
            for (g, q), value in np.ndenumerate(one.nominal):
                band = (f"{end[g, q]:.4f}" for end in (one.low, one.high))
                known = one.year, one.model, one.context, one.machine
                rows.writerow([*known, GOALS[g], QUANTITIES[q], f"{value:.4f}", *band])


def draw_cases(path: Path, cases: list[Case]) -> None:
    """Draw the elasticities of every case with their bands, a panel an objective."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(
        1, len(GOALS), figsize=(13.0, 1.2 + 0.34 * len(cases)), sharey=True, layout="constrained"
    )
    for g, axis in enumerate(axes):
        values = np.array([one.nominal[g] for one in cases])
        axis.imshow(values, cmap="PuOr", vmin=-1.0, vmax=1.0, aspect="auto")
        for (k, q), value in np.ndenumerate(values):
            ends = f"{cases[k].low[g, q]:+.2f} … {cases[k].high[g, q]:+.2f}"
            axis.text(q, k, f"{value:+.2f}\n{ends}", ha="center", va="center", fontsize=6)
        axis.set_xticks(
            range(len(QUANTITIES)), [name.replace("_", "\n") for name in QUANTITIES], fontsize=8
        )
        axis.set_title(
            f"{GOALS[g]}: % gained for 1 % more, 90 % band".replace("$", r"\$"), fontsize=9
        )
    axes[0].set_yticks(
        range(len(cases)),
        [f"{one.year}, {one.model}, {one.context // 1024}K\n{one.machine}" for one in cases],
        fontsize=7,
    )
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def main(words: list[str]) -> None:
    """Print the leading quantity of every case; write table and picture where asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--contexts", nargs="+", type=int, default=CONTEXTS)
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--picture", type=Path)
    asked = parser.parse_args(words)
    cases = []
    for name in asked.models:
        for context in asked.contexts:
            for year in YEARS:
                cases.append(case(name, context, year))
                print(summary(cases[-1]), flush=True)
    if asked.csv is not None:
        write_csv(asked.csv, cases)
    if asked.picture is not None:
        draw_cases(asked.picture, cases)


def summary(one: Case) -> str:
    """One line: per objective, the quantities in the order of what 1 % of each is worth."""
    told = []
    for g, goal in enumerate(GOALS):
        order = np.argsort(-np.abs(one.nominal[g]))[:3]
        parts = (f"{QUANTITIES[q]} {one.nominal[g, q]:+.2f}" for q in order)
        told.append(f"{goal}: " + ", ".join(parts))
    return f"{one.year} {one.model} {one.context:,}: {one.machine}; " + "; ".join(told)


if __name__ == "__main__":
    from experiments.cli import prepare_jax

    prepare_jax()
    main(sys.argv[1:])
