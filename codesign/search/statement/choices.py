"""Discrete choices: technologies, packages and plans, enumerated."""

from collections.abc import Sequence

import equinox as eqx
import jax
import numpy as np

from codesign.hardware.technology import Technology
from codesign.numerics.fields import Quantity, Tree, quantity
from codesign.performance.plan import Plan
from codesign.workload.precision import Precision


class Kind(eqx.Module):
    """What one kind of machine is made with, in one choice."""

    technology: Technology
    dies: Quantity = quantity("1", "equal logic dies in a package", default=1.0)
    sram_capacity: Quantity = quantity(
        "B", "on-chip SRAM of a chip that software can fill", default=60e6
    )
    scale_up_domain: Quantity = quantity("1", "chips joined by the scale-up network", default=72.0)


class Choice(eqx.Module):
    """One way to build every kind of machine and to lay out every step; all choices of a search
    have the same shapes.

    Args:
        name: for people.
        plans: layout of each step (``problem.steps``: one a service, decode before prefill where it
            has both).
        kinds: one a kind of machine.
        precisions: one a service, instead of the services' own; none where it is not a matter of
            choice. How much quality few bits lose, no model here knows.
    """

    name: str = eqx.field(static=True)
    plans: tuple[Plan, ...]
    kinds: tuple[Kind, ...]
    precisions: tuple[Precision, ...] = ()


def stacked(trees: Sequence[Tree]) -> Tree:
    """Equal trees with their leaves stacked along a new leading axis, in numpy: nothing to
    compile."""
    return jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *trees)
