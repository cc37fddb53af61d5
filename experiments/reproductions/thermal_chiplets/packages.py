"""The packages that are judged: machines on sale, and what a search leads with."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

import codesign
import hardware_priors
import objectives
from codesign.physical.package.chiplets import Package
from codesign.physical.package.judgement import allowed_rises
from codesign.physical.package.layout import package_of
from codesign.physical.package.placement import Placed, anneal, best_of, place

SEARCHED = "leading design"
SILICON, GLASS = "CoWoS-S", "glass"
COOLING = "cold-plate"
STEPS = 150
"""Of Adam, from each of four starts."""


class Laid(NamedTuple):
    """A package laid out by hand."""

    name: str
    package: Package
    centres: Array  # [m]
    technology: codesign.Technology
    packaging: str

    @property
    def power(self) -> float:
        """Of the package [W]."""
        return float(jnp.sum(self.package.chiplets.power))


@functools.cache
def leading_design() -> tuple[codesign.Design, codesign.Technology]:
    """The design with most tokens/s/$ of a small search: Llama-3.1-8B at 8K, 8 bit, N3 with
    HBM3E, 20 ms a token, one to eight chips."""
    world = hardware_priors.technology("N3", "HBM3E", "NVLink5")
    model = codesign.model("llama-3.1-8b")
    work = codesign.Workload(model, codesign.Decode(batch=1, context=8192), promise=0.02)
    space = codesign.Space(
        hardware_priors.device("b200").design(chips=2),
        [1e12, 3e10, 1e14, 3e-7, 5e10, 0.5], [3e13, 1e12, 1e16, 2e-5, 2e12, 1.2], chips=(1, 8),
    )  # fmt: skip
    front = codesign.optimize(
        space, codesign.service(work, batch=(1, 256)),
        [codesign.Choice("N3", (codesign.Plan(),), (codesign.Kind(world),))],
        (objectives.objective("tokens/s/$"),), prove=False,
    )  # fmt: skip
    return jax.tree.map(lambda leaf: jnp.asarray(leaf)[0], front.design), world


@functools.cache
def lay_out(name: str, packaging: str = "CoWoS-L") -> Laid:
    """Lay out a device at its rating, or what the search leads with at its peak."""
    around = hardware_priors.assembly(packaging, COOLING)
    if name == SEARCHED:
        design, world = leading_design()
        other = hardware_priors.technology("N3", "HBM3E", "NVLink5", packaging=packaging)
        package, centres = package_of(design, other, around)
        return Laid(name, package, centres, other, packaging)
    device = hardware_priors.device(name)
    names = device.technology_names()
    world = hardware_priors.technology(*names, cooling=COOLING, packaging=packaging)
    rated, stacks = device.tdp, device.stacks
    package, centres = package_of(
        device.design(1, device.width(8)), world, around, device.width(8),
        power=None if rated is None else rated.si.value,
        stacks=None if stacks is None else round(stacks.value),
    )  # fmt: skip
    return Laid(device.name, package, centres, world, packaging)


def compare_searches(laid: Laid, seed: int, steps: int = STEPS) -> dict[str, Placed]:
    """The layout by hand, by gradients, and by annealing of as many evaluations."""
    allowed = allowed_rises(laid.technology)
    package, centres = laid.package, laid.centres
    moved = place(package, centres, allowed, steps=steps, seed=seed)
    return {
        "by hand": best_of(package, [centres], allowed, 1),
        "by gradients": moved,
        "by annealing": anneal(package, centres, allowed, moved.evaluations, seed),
    }
