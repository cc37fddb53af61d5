"""All that goes into the outcomes of a fleet, as one tree; its numbers by name, unit and idea."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import GetAttrKey, SequenceKey

from codesign.hardware.design import Design
from codesign.hardware.technology import Technology
from codesign.numerics.fields import Tree, real
from codesign.performance.execution import Execution
from codesign.performance.kernel_coefficients import COEFFICIENTS, Coefficients
from codesign.performance.plan import Plan
from codesign.performance.schedules import Operatorwise
from codesign.search.statement.choices import Kind
from codesign.search.statement.fleet import Fleet, Totals, fleet_of
from codesign.search.statement.problem import ProblemBatch
from codesign.search.statement.services import Service, service, steps
from codesign.workload.operators import operator_table
from codesign.workload.workload import Workload

OUTCOMES = tuple(field.name for field in dataclasses.fields(Totals))
"""Names of the outcomes that can be asked for."""


class Inputs(eqx.Module):
    """A machine of each kind, what it is asked to do, how, and what physics and prices allow.

    ``services`` carry their batch in ``phase.batch``; a ``plan`` belongs to a step
    (``search.statement.services.steps``), a ``technology`` to a kind of machine.
    """

    designs: tuple[Design, ...]
    services: tuple[Service, ...]
    plans: tuple[Plan, ...]
    technologies: tuple[Technology, ...]
    execution: Execution


def inputs_of(
    design: Design,
    workload: Workload,
    plan: Plan | None = None,
    *,
    technology: Technology,
    execution: Execution | None = None,
) -> Inputs:
    """Gather the arguments of ``codesign.evaluate`` into one tree.

    Args:
        design: the machine.
        workload: model, phase, precision, promise.
        plan: layout over the chips; default: tensor parallelism over all of them.
        technology: prices and physics.
        execution: ``Operatorwise()`` unless told.

    Returns:
        One machine and one service, every number a leaf.

    >>> import codesign, hardware_priors
    >>> chip = hardware_priors.device("h100").design(chips=8)
    >>> world = hardware_priors.technology("N4", "HBM3", "NVLink4")
    >>> decode = codesign.Decode(batch=8, context=4096)
    >>> work = codesign.Workload(codesign.model("llama-3.1-8b"), decode)
    >>> point = inputs_of(chip, work, technology=world)
    >>> float(point.designs[0].chips), float(point.services[0].phase.batch)
    (8.0, 8.0)
    """
    one = service(workload, (1, 1))
    return Inputs(
        (design,),
        (one,),
        (Plan() if plan is None else plan,),
        (technology,),
        Operatorwise() if execution is None else execution,
    )


def fleet_at(inputs: Inputs) -> Fleet:
    """Run the fleet of all inputs on the exact model (``search.statement.fleet``).

    The operators are written anew from model and precision, so that an outcome depends on them and
    has their derivatives.

    Args:
        inputs: legal ones: nothing is looked at (``codesign.validity.check``).

    Returns:
        Outcomes of every step, and ``totals`` by the names in ``OUTCOMES``, in SI.
    """
    services = tuple(inputs.services)
    wanted = steps(services)
    tables = tuple(
        operator_table(
            services[step.service].model,
            services[step.service].precision,
            slice_columns=inputs.technologies[step.kind].attainable.slice_columns,
        )
        for step in wanted
    )
    kinds = tuple(
        Kind(technology, design.dies, design.sram_capacity, design.scale_up_domain)
        for technology, design in zip(inputs.technologies, inputs.designs, strict=True)
    )
    problem = ProblemBatch((), services, kinds, inputs.plans, tables, inputs.execution)
    batches = jnp.stack([one.phase.batch for one in services])
    return fleet_of(problem, inputs.designs, batches)


class Leaf(NamedTuple):
    """One number of a tree: its place among the leaves and, of an array, in it; name, unit, idea.

    ``logarithm`` says that the number is one itself, as calibrated coefficients are.
    """

    leaf: int
    element: int | None
    name: str
    unit: str
    group: str
    logarithm: bool


def leaves_of(tree: object) -> list[Leaf]:
    """Name every float of a tree of inputs, in the order of its leaves.

    A part of which there is one is called by its singular: ``design.memory_bandwidth``,
    ``technology.logic.wafer_price``, ``workload.phase.context``, ``execution.product_floor``.

    >>> import codesign
    >>> plan = codesign.Plan()
    >>> [leaf.name for leaf in leaves_of(plan)][:2], leaves_of(plan)[0].unit
    (['pipeline', 'context'], '1')
    """
    paths = jax.tree_util.tree_flatten_with_path(tree)[0]
    found = []
    for k, (path, value) in enumerate(paths):
        if not eqx.is_inexact_array(value) and not isinstance(value, np.ndarray | float):
            continue
        name, unit = _name_and_unit(tree, path)
        if name == "workload.share":
            continue  # of the only service: one by its meaning
        if name.endswith("execution.logs") or name == "logs":
            fields = Coefficients.__dataclass_fields__
            for j, own in enumerate(COEFFICIENTS):
                own_unit = fields[own].metadata["unit"]
                found.append(Leaf(k, j, f"execution.{own}", own_unit, "execution", True))
        elif np.ndim(value) == 0:
            found.append(Leaf(k, None, name, unit, group_of(name, unit), False))
        elif not name.endswith("covariance"):
            for j in range(np.size(value)):
                found.append(Leaf(k, j, f"{name}[{j}]", unit, group_of(name, unit), False))
    return found


SINGULAR = {
    "designs": "design",
    "services": "workload",
    "plans": "plan",
    "technologies": "technology",
}


def _name_and_unit(tree: object, path: Sequence[Any]) -> tuple[str, str]:
    name, unit = "", "1"
    here: Any = tree  # whatever the path leads to
    for key in path:
        if isinstance(key, GetAttrKey):
            field = getattr(type(here), "__dataclass_fields__", {}).get(key.name)
            unit = field.metadata.get("unit", unit) if field is not None else unit
            name += f".{key.name}"
            here = getattr(here, key.name)
        elif isinstance(key, SequenceKey):
            last = name.rpartition(".")[2]
            if last in SINGULAR:
                number = f" {key.idx}" if len(here) > 1 else ""
                name = name.removesuffix(last) + SINGULAR[last] + number
            else:
                name += f"[{key.idx}]"
            here = here[key.idx]
        else:
            name += f".{getattr(key, 'key', key)}"
            here = here[key.key] if hasattr(key, "key") else here
    return name.removeprefix("."), unit


GROUPS = (
    "model",
    "precision",
    "context",
    "batch",
    "promise",
    "plan",
    "execution",
    "chips",
    "sizes",
    "links",
    "node",
    "memory technology",
    "package and cooling",
    "prices",
    "attainable fractions",
)
"""The ideas that inputs belong to."""

LINK_SIZES = (
    "sync_latency",
    "link_bandwidth",
    "scale_up_domain",
    "scale_out_bandwidth",
    "scale_out_latency",
)


def group_of(name: str, unit: str = "1") -> str:
    """The idea that an input belongs to, by its name and unit.

    Money is ``prices`` wherever it stands; a rate of a chip is ``sizes``, of its network ``links``.

    >>> group_of("technology.memory.layer_price", "USD"), group_of("design.memory_bandwidth")
    ('prices', 'sizes')
    """
    parts = [word.partition(" ")[0].partition("[")[0] for word in name.split(".")]
    part, rest = parts[0], parts[1:]
    if "USD" in unit or "economics" in parts:
        return "prices"
    if part == "technology" and rest:
        return {
            "logic": "node",
            "memory": "memory technology",
            "pool": "memory technology",
            "links": "links",
            "packaging": "package and cooling",
            "cooling": "package and cooling",
            "attainable": "attainable fractions",
        }.get(rest[0], "node")
    if part == "design":
        return (
            "chips" if rest == ["chips"] else "links" if rest and rest[0] in LINK_SIZES else "sizes"
        )
    if part == "workload" and rest:
        if rest[0] == "phase":
            return "batch" if rest[-1] == "batch" else "context"
        return {"model": "model", "precision": "precision"}.get(rest[0], "promise")
    return part if part in GROUPS else "plan"


RATES = (
    "memory_bandwidth",
    "peak_flops",
    "link_bandwidth",
    "sram_bandwidth",
    "scale_out_bandwidth",
    "pool_bandwidth",
)
LATENCIES = ("sync_latency", "scale_out_latency")


def is_rate(name: str) -> bool:
    """Whether an input is a rate of a machine: all rates × c and all latencies / c make a step take
    1/c of its time."""
    part, _, field = name.partition(".")
    return part.startswith("design") and field in RATES


def is_latency(leaf: Leaf) -> bool:
    """Whether an input is a time that a machine takes: a latency, or a floor of a calibrated
    execution."""
    part, _, field = leaf.name.partition(".")
    return (part.startswith("design") and field in LATENCIES) or (
        part == "execution" and leaf.unit == "s"
    )


def take(tree: object, leaf: Leaf) -> float:
    """The value of one number of a tree, in SI; of a logarithm, what it is the logarithm of."""
    value = jax.tree.leaves(tree)[leaf.leaf]
    number = float(value if leaf.element is None else np.ravel(value)[leaf.element])
    return math.exp(number) if leaf.logarithm else number


def as_reals(tree: Tree) -> Tree:
    """The same tree with every float leaf an array of float64, whatever it was."""
    return jax.tree.map(
        lambda leaf: (
            real(np.asarray(leaf, dtype=float))
            if eqx.is_inexact_array(leaf) or isinstance(leaf, np.ndarray | float)
            else leaf
        ),
        tree,
    )
