"""The model of a point as a table of operators in a shape that most models share, so that one
compiled program evaluates them all."""

import dataclasses

import codesign
from codesign.evaluation import evaluate_table
from codesign.numerics.compilation import SELDOM, compiled
from codesign.outcome import Outcome
from codesign.workload.operators import unnamed
from codesign.workload.transformer import no_model
from experiments.points.operating_point import OperatingPoint

ROWS = 32
"""Operators come in multiples of this; most models have fewer."""


def table_of(point: OperatingPoint) -> codesign.OperatorTable:
    """The model's operators under names that no model has, padded to a multiple of ``ROWS``."""
    return unnamed(point.operators, ROWS)


def without_model(workload: codesign.Workload) -> codesign.Workload:
    """Phase and promise, which is all that is read beside a table."""
    return dataclasses.replace(workload, model=no_model(), precision=codesign.uniform(16.0))


run_table = compiled(SELDOM)(evaluate_table)
"""``codesign.evaluate_table``, compiled once for all points of one shape."""


def outcome_of(point: OperatingPoint, execution: codesign.Execution | None = None) -> Outcome:
    """The outcome of a point, whose concrete arguments were checked; by its own execution unless
    told."""
    return run_table(
        point.design,
        table_of(point),
        without_model(point.workload),
        point.plan,
        point.technology,
        point.execution if execution is None else execution,
    )
