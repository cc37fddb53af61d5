"""Discrete choices: plans and packages, enumerated."""

from collections.abc import Sequence
from typing import Any, TypeVar

import equinox as eqx
import jax
import numpy as np

from codesign.numerics.fields import Real, real
from codesign.performance.plan import Plan

Tree = TypeVar("Tree")


class Choice(eqx.Module):
    """One way to lay a model out and to package a chip; all choices of a search have arrays of the same shapes."""

    name: str = eqx.field(static=True)
    plan: Plan
    dies: Real = eqx.field(converter=real, default=1.0)


def stacked(trees: Sequence[Tree]) -> Tree:
    """Equal trees with their leaves stacked along a new leading axis, in numpy: nothing to compile."""
    return jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *trees)


def plans_and_dies(choices: Sequence[Choice]) -> tuple[Plan, np.ndarray]:
    """Plans and numbers of dies of all choices, stacked: shapes (choices, …)."""
    return stacked([choice.plan for choice in choices]), np.stack([np.asarray(choice.dies) for choice in choices])


def taken(tree: Tree, index: Any) -> Tree:
    """Row ``index`` of every leaf."""
    return jax.tree.map(lambda leaf: leaf[index], tree)
