"""A workload: which model, in which phase, at which precision, under which promise."""

import equinox as eqx

from codesign.numerics.fields import Quantity, quantity
from codesign.workload.phases import Decode, Phase, Prefill
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
    promise: Quantity = quantity(
        "s", "longest time per output token (prefill: to the first token)", default=UNLIMITED
    )

    def __check_init__(self) -> None:
        if not isinstance(self.model, Transformer):
            told = repr(self.model) if isinstance(self.model, str) else type(self.model).__name__
            raise TypeError(
                f"model is {told}; expected a Transformer: codesign.model('llama-3.1-8b'), say"
            )
        if not isinstance(self.phase, Decode | Prefill):
            told = repr(self.phase) if isinstance(self.phase, str) else type(self.phase).__name__
            raise TypeError(
                f"phase is {told}; expected codesign.Decode or codesign.Prefill (codesign.serve"
                " takes a Serving)"
            )
