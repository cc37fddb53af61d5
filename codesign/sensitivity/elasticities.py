"""Elasticities: by how many per cent an outcome changes for one per cent of what goes in."""

from collections.abc import Callable
from typing import TypeVar

import jax

from codesign.numerics.fields import Real, Tree

Beside = TypeVar("Beside")


def elasticities(outcome: Callable[[Tree], Real], at: Tree) -> Tree:
    """Take the elasticity of an outcome by every number of a tree.

        e_i = ∂ ln f / ∂ ln x_i = (x_i / f) · ∂f/∂x_i

    One reverse pass serves all of them. Where x_i is zero, so is e_i; at a tie the slope is that of
    a stated side (``codesign.numerics.ties``).

    Args:
        outcome: a scalar function of the tree, such as ``lambda design: evaluate(design,
            …).step_time``.
        at: where: a ``Design``, a ``Technology``, a ``Plan``, a tuple of them, or any tree of
            floats.

    Returns:
        A tree like ``at`` with the elasticities [1].

    Raises:
        TypeError: the outcome is not a scalar (by ``jax.grad``).

    Source: the chain rule in logarithms; Euler's theorem on homogeneous functions makes them sum to
    the degree of the outcome.

    >>> import codesign, hardware_priors
    >>> chip = hardware_priors.device("h100").design(chips=8)
    >>> world = hardware_priors.technology("N4", "HBM3", "NVLink4")
    >>> decode = codesign.Decode(batch=8, context=4096)
    >>> work = codesign.Workload(codesign.model("llama-3.1-8b"), decode)
    >>> of = lambda design: codesign.evaluate(design, work, technology=world).user_tokens_per_second
    >>> found = elasticities(of, chip)
    >>> 0 < float(found.memory_bandwidth) < 1 and float(found.sync_latency) < 0
    True
    """
    return elasticities_beside(lambda x: (outcome(x), None), at)[0]


def elasticities_beside(
    outcome: Callable[[Tree], tuple[Real, Beside]], at: Tree
) -> tuple[Tree, Beside]:
    """Take elasticities, and hand on what the outcome was computed beside.

    Args:
        outcome: gives a scalar, and anything else.
        at: where (``elasticities``).

    Returns:
        The elasticities [1], and what else the outcome gave there: one evaluation serves both.

    Raises:
        TypeError: the outcome is not a scalar (by ``jax.grad``).

    >>> slopes, area = elasticities_beside(lambda x: (x**3, x * x), 2.0)
    >>> float(slopes), float(area)
    (3.0, 4.0)
    """
    (value, beside), gradient = jax.value_and_grad(outcome, has_aux=True)(at)
    return jax.tree.map(lambda slope, x: slope * x / value, gradient, at), beside


def exchange_rate(
    outcome: Callable[[Tree], Real],
    at: Tree,
    given: Callable[[Tree], Real],
    taken: Callable[[Tree], Real],
) -> Real:
    """Say how much of one quantity replaces a unit of another at constant outcome.

        dx_given / dx_taken = − (∂f/∂x_taken) / (∂f/∂x_given)

    Args:
        outcome: a scalar function of the tree.
        at: where.
        given: picks the quantity that is added, such as ``lambda design: design.memory_bandwidth``.
        taken: picks the quantity that changes by one unit.

    Returns:
        Units of ``given`` for one unit of ``taken`` more: with bandwidth for sync latency [B/s per
            s], positive where more latency has to be paid for with bandwidth. To first order.

    >>> import jax.numpy as jnp
    >>> y, at = lambda x: x[0] * x[1] ** -2.0, jnp.array([6.0, 3.0])
    >>> float(exchange_rate(y, at, lambda x: x[0], lambda x: x[1]))
    4.0
    """
    gradient = jax.grad(outcome)(at)
    return -taken(gradient) / given(gradient)
