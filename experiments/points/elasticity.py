"""An outcome and its elasticities, differentiated once."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

import codesign
from codesign.evaluation import evaluate_table
from codesign.numerics.compilation import SELDOM, compiled
from codesign.numerics.fields import Real, RealArray
from codesign.outcome import Outcome
from codesign.sensitivity.elasticities import elasticities_beside
from codesign.validity import check
from experiments.points.operating_point import OperatingPoint
from experiments.points.operator_tables import table_of, without_model

PAST_STEP = 1.0 + 2e-6
"""Factor on chips past which the next one brings collectives; beyond float32's rounding."""


PER = ("tokens_per_second_per_dollar", "tokens_per_second_per_watt")


class Measured(NamedTuple):
    """An outcome, and elasticities of ``PER`` (rows) with respect to ``DESIGN_VARIABLES`` [1]."""

    outcome: Outcome
    elasticities: RealArray


@compiled(SELDOM)
def measure(
    design: codesign.Design,
    table: codesign.OperatorTable,
    workload: codesign.Workload,
    plan: codesign.Plan,
    technology: codesign.Technology,
    execution: codesign.Execution,
) -> Measured:
    """Evaluate a design, and differentiate ln tokens/s/$ and ln tokens/s/W in the logs of its six
    variables.

    Where the plan needs every chip (one chip, say), the next one brings collectives: a step, past
    which the derivative by chips is.
    """
    names = codesign.DESIGN_VARIABLES

    def slopes(factor: RealArray, chosen: RealArray) -> tuple[RealArray, Outcome]:
        """Elasticities of one of ``PER``, picked by a product: one program serves both."""

        def goal(at: codesign.Design) -> tuple[Real, Outcome]:
            found = evaluate_table(at, table, workload, plan, technology, execution)
            logs = jnp.log(jnp.stack([getattr(found, name) for name in PER]))
            return jnp.exp(chosen @ logs), found

        at = dataclasses.replace(design, chips=design.chips * factor)
        found, outcome = elasticities_beside(goal, at)
        return jnp.stack([getattr(found, name) for name in names]), outcome

    needed = design.chips <= plan.pipeline * plan.context * plan.data * (1.0 + 1e-9)
    chips = jnp.arange(len(names)) == names.index("chips")
    # a factor of exactly 1 keeps whole numbers of chips whole
    points = jnp.stack([jnp.ones(()), jnp.where(needed, PAST_STEP, 1.0)])
    each = jax.vmap(slopes, in_axes=(None, 0))
    both, outcomes = jax.vmap(each, in_axes=(0, None))(points, jnp.eye(len(PER)))
    here, past = both[0], both[1]
    return Measured(jax.tree.map(lambda leaf: leaf[0, 0], outcomes), jnp.where(chips, past, here))


def measured(point: OperatingPoint, plan: codesign.Plan | None = None) -> Measured:
    """``measure`` at an operating point, concrete arguments checked first."""
    plan = point.plan if plan is None else plan
    check(point.design, point.workload, plan, point.technology)
    work = without_model(point.workload)
    return measure(point.design, table_of(point), work, plan, point.technology, point.execution)
