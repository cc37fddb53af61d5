"""What an operator does, how a part is stored, and what one attention group sees: part of the
independent model of ``oracle``."""

import dataclasses
import math

import numpy as np

from codesign import Decode

UNLIMITED = math.inf


@dataclasses.dataclass(frozen=True)
class Operator:
    """One operator on one chip for one microbatch. FLOPs [FLOP], bytes [B]; ``tile`` is the width
    of a score's tile."""

    half: str
    row_flops: float = 0.0
    context_flops: float = 0.0
    vector: float = 0.0
    exponential: float = 0.0
    streamed: float = 0.0
    state_read: float = 0.0
    state_written: float = 0.0
    activations: float = 0.0
    stored: float = 0.0
    kept: float = 0.0
    tile: float = 1.0
    bits: float = 16.0  # width of its matrix arithmetic

    @property
    def flops(self) -> float:
        return self.row_flops + self.context_flops


@dataclasses.dataclass(frozen=True)
class Form:
    """How one part is stored and computes: bytes of a weight [B], bits of the arithmetic."""

    weight: float
    bits: float

    @classmethod
    def of(cls, precision, name: str) -> "Form":
        own = getattr(precision, name)
        if own is not None:
            return cls(
                (float(own.weight_bits) + float(own.scale_bits)) / 8,
                max(float(own.weight_bits), float(own.input_bits)),
            )
        bits = float(precision.expert_weight_bits if name == "experts" else precision.weight_bits)
        inputs = max(float(precision.weight_bits), float(precision.activation_bits))
        return cls((bits + float(precision.weight_scale_bits)) / 8, max(bits, inputs))


class Work:
    """What one attention group sees of a phase at a time: sequences, rows and the positions that
    they look at."""

    def __init__(self, phase, groups: float, drafted: float):
        batch = float(phase.batch)
        self.share = min(
            groups, max(batch, 1.0)
        )  # a group without a whole sequence still works on one
        self.sequences = batch / self.share
        self.prefill = not isinstance(phase, Decode)
        if self.prefill:
            prompt = float(phase.prompt)
            self.cached = round(float(phase.cached) * prompt)
            self.positions = np.arange(
                self.cached + 1, round(prompt) + 1
            )  # of the new rows of one sequence
            self.context, self.new = prompt, float(len(self.positions))
        else:
            self.cached, self.context, self.new = 0.0, float(phase.context), 1.0 + drafted
        self.rows = self.sequences * self.new
        self.logits = self.sequences if self.prefill else self.rows

    def attended(self, window: float) -> float:
        """Positions that all rows together attend to."""
        if not self.prefill:
            return self.rows * min(self.context, window)
        return self.sequences * float(
            sum(min(int(position), window) for position in self.positions)
        )

    def read(self, window: float) -> float:
        """Positions that all sequences together read: in prefill all that any of a sequence's rows
        sees."""
        visible = window + self.new if self.prefill else window
        return self.sequences * min(self.context, visible)

    def kept(self, window: float) -> float:
        """Positions that one sequence keeps."""
        return min(self.context, window)
