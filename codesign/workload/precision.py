"""Bits of weights, cache, activations and messages."""

import equinox as eqx

from codesign.numerics.fields import Number, Real, quantity, real
from codesign.numerics.ties import greater
from codesign.numerics.units import BITS_PER_BYTE


class Precision(eqx.Module):
    """How many bits each kind of data takes.

    Block formats store a scale beside the elements: ``weight_scale_bits`` is its share per element, 8/32 = 0.25 bit for
    MXFP4 and 8/16 = 0.5 bit for NVFP4 (OCP Microscaling Formats v1.0, 2023, table 1; NVIDIA Blackwell documentation).
    Arithmetic runs at the wider of weights and activations, so 4-bit weights under 16-bit activations compute at 16 bit.
    """

    weight_bits: Real = quantity("bit", "weights outside routed experts", default=8.0)
    expert_weight_bits: Real = quantity("bit", "weights of routed experts", default=8.0)
    state_bits: Real = quantity("bit", "KV cache", default=8.0)
    activation_bits: Real = quantity("bit", "activations between operators", default=8.0)
    message_bits: Real = quantity("bit", "activations in collectives", default=16.0)
    recurrent_bits: Real = quantity("bit", "recurrent state of linear attention", default=32.0)
    weight_scale_bits: Real = quantity("bit", "block scale per weight element", default=0.0)

    @property
    def compute_bits(self) -> Real:
        """Width of the matrix arithmetic [bit]."""
        return greater(self.weight_bits, self.activation_bits)

    @property
    def weight_bytes(self) -> Real:
        """Bytes of one weight, its scale included [B]."""
        return (self.weight_bits + self.weight_scale_bits) / BITS_PER_BYTE

    @property
    def expert_weight_bytes(self) -> Real:
        """Bytes of one expert weight, its scale included [B]."""
        return (self.expert_weight_bits + self.weight_scale_bits) / BITS_PER_BYTE


def uniform(bits: Number, state_bits: Number | None = None) -> Precision:
    """Weights, activations and (unless told) the cache at the same width; messages stay at 16 bit.

    >>> float(uniform(8).compute_bits)
    8.0
    """
    state = bits if state_bits is None else state_bits
    return Precision(weight_bits=real(bits), expert_weight_bits=real(bits), state_bits=real(state), activation_bits=real(bits))
