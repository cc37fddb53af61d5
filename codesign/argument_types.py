"""Which arguments are what they are called: what is of another kind is refused in one sentence."""

import jax
import numpy as np

from codesign.hardware.design import Design
from codesign.hardware.technology import Technology
from codesign.performance.execution import Execution
from codesign.performance.plan import Plan
from codesign.workload.workload import Workload

OFFERED = {
    Design: "hardware_priors.device('h100').design(chips=8), say",
    Workload: "codesign.Workload(codesign.model('llama-3.1-8b'), codesign.Decode(...)), say",
    Plan: "codesign.Plan(pipeline=2), say",
    Technology: "hardware_priors.technology('N4', 'HBM3', 'NVLink4'), say",
    Execution: "codesign.Operatorwise(), or a subclass of codesign.Execution with its schedule",
}
"""What makes one of each type."""


def require_type(name: str, value: object, expected: type, offered: str = "") -> None:
    """Refuse a value of another type.

    Args:
        name: of the argument.
        value: given.
        expected: its type.
        offered: what makes one.

    Raises:
        TypeError: naming argument, value, what was expected and what makes one.

    >>> require_type("plan", "tensor", Plan)
    Traceback (most recent call last):
    TypeError: plan is 'tensor'; expected a Plan: codesign.Plan(pipeline=2), say
    """
    if isinstance(value, expected):
        return
    plain = value if isinstance(value, str | int | float | bool | None) else None
    if isinstance(value, type):
        told = f"the class {value.__name__}"
    else:
        told = repr(plain)[:60] if plain is not None or value is None else _article(type(value))
    offer = offered or OFFERED.get(expected, "")
    raise TypeError(f"{name} is {told}; expected {_article(expected)}{offer and ': ' + offer}")


def _article(kind: type) -> str:
    return f"{'an' if kind.__name__[0] in 'AEIOU' else 'a'} {kind.__name__}"


def check_types(
    design: object, workload: object, plan: object, technology: object, execution: object
) -> None:
    """Refuse arguments of an evaluation that are something else.

    Raises:
        TypeError: naming the first of them.
    """
    if isinstance(design, Workload) and isinstance(workload, Design):
        raise TypeError(
            "design is a Workload and workload is a Design; expected the design first, then the"
            " workload"
        )
    for name, value, expected in (
        ("design", design, Design),
        ("workload", workload, Workload),
        ("plan", plan, Plan),
        ("technology", technology, Technology),
        ("execution", execution, Execution),
    ):
        require_type(name, value, expected)


def check_scalars(name: str, tree: object) -> None:
    """Refuse arrays where one number is meant: they would meet the axis of the operators.

    Raises:
        TypeError: naming the first array and its shape.
    """
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        where = jax.tree_util.keystr(path)
        if np.ndim(leaf) and "all_reduce" not in where:
            raise TypeError(
                f"{name}{where} has shape {np.shape(leaf)}; expected one number: jax.vmap goes"
                " over many"
            )
