"""Assemblies: what stands around the chiplets of a package, put together from the priors."""

import math
from functools import cache

from codesign.numerics.fields import units_of
from codesign.physical.package.chiplets import Assembly
from codesign.physical.package.layout import calibrate_film, package_of
from hardware_priors.choices import choice
from hardware_priors.devices import Device
from hardware_priors.prior import Prior, find, lookup
from hardware_priors.technologies import technology

REFERENCE = "h100"
"""The package on which the film is calibrated: one die of nearly a reticle, for which
``Cooling.area_resistance`` was derived."""


def assembly_priors(packaging: str = "CoWoS-L", cooling: str = "cold-plate") -> dict[str, Prior]:
    """The fact behind every quantity of an assembly but its film, in the units of its source.

    Raises:
        ValueError: an unknown choice, with the nearest on offer.

    >>> assembly_priors("glass")["interposer_conductivity"].value
    1.1
    """
    packaging, cooling = choice("packaging", packaging), choice("cooling", cooling)
    found = {}
    for leaf in units_of(Assembly):
        if leaf == "film":
            continue
        named = (
            ("packaging", packaging),
            ("cooling", cooling),
            ("packaging", "any packaging"),
        )
        own = (find(file, name, leaf) for file, name in named)
        stated = next((prior for prior in own if prior is not None), None)
        found[leaf] = stated or lookup("cooling", "any cooling", leaf)
    return found


@cache
def assembly(packaging: str = "CoWoS-L", cooling: str = "cold-plate") -> Assembly:
    """The nominal assembly of these choices, in SI, its film calibrated.

    The film (cold plate and its interface) is what makes the mean logic of an H100 on a silicon
    interposer, rated 700 W, rise by ``Cooling.area_resistance`` times its flux.

    Args:
        packaging: interposer.
        cooling: how heat leaves.

    Raises:
        ValueError: an unknown choice, with the nearest on offer.

    >>> glass = assembly("glass")
    >>> round(float(glass.interposer_thickness) * 1e3, 2)  # [mm]
    0.5
    >>> bool(glass.film == assembly("CoWoS-S").film)
    True
    """
    packaging, cooling = choice("packaging", packaging), choice("cooling", cooling)
    leaves = {name: prior.si.value for name, prior in assembly_priors(packaging, cooling).items()}
    return Assembly(**leaves, film=_film(cooling))


@cache
def _film(cooling: str) -> float:
    facts = assembly_priors("CoWoS-S", cooling)
    around = Assembly(**{name: prior.si.value for name, prior in facts.items()}, film=1e-4)
    reference = Device(REFERENCE)
    world = technology(*reference.technology_names(), cooling=cooling, packaging="CoWoS-S")
    package, centres = package_of(
        reference.design(1), world, around,
        power=reference.fact("tdp").si.value, stacks=round(reference.fact("stacks").value),
    )  # fmt: skip
    return float(calibrate_film(around, world.cooling.area_resistance, package, centres).film)


@cache
def assembly_spread(packaging: str = "CoWoS-L", cooling: str = "cold-plate") -> Assembly:
    """Half of ln(high / low) of each quantity of an assembly; the film has that of
    ``Cooling.area_resistance`` [1].

    >>> round(float(assembly_spread("glass").interposer_conductivity), 3)
    0.112
    """
    packaging, cooling = choice("packaging", packaging), choice("cooling", cooling)
    facts = assembly_priors(packaging, cooling)
    facts["film"] = lookup("cooling", cooling, "area_resistance")
    return Assembly(**{name: 0.5 * math.log(f.high / f.low) for name, f in facts.items()})
