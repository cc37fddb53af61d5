"""A workload: which model, in which phase, at which precision, under which promise."""

import equinox as eqx

from codesign.numerics.fields import Real, quantity
from codesign.workload.phases import Phase
from codesign.workload.precision import Precision
from codesign.workload.transformer import UNLIMITED, Transformer


class Workload(eqx.Module):
    """What the machine is asked to do.

    ``promise`` is the longest allowed time per output token of a user in decode, and to the first
    token in prefill.
    """

    model: Transformer
    phase: Phase
    precision: Precision = eqx.field(default_factory=Precision)
    promise: Real = quantity(
        "s", "longest time per output token (prefill: to the first token)", default=UNLIMITED
    )
