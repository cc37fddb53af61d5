"""Bits of weights, cache, activations and messages, by part of the model where the parts differ."""

from typing import Literal, TypeAlias

import equinox as eqx

from codesign.numerics.fields import Quantity, Real, quantity, real
from codesign.numerics.ties import greater
from codesign.numerics.units import BITS_PER_BYTE

Part: TypeAlias = Literal["attention", "dense", "experts", "shared", "embedding", "head"]
"""Parts of a model whose weights may be stored differently; norms and routers go with the
attention."""

PARTS: tuple[Part, ...] = ("attention", "dense", "experts", "shared", "embedding", "head")


class PartPrecision(eqx.Module):
    """How the weights of one part are stored, and at which width it computes.

    Block formats store a scale beside the elements: ``scale_bits`` is its share per element, 8/32 =
    0.25 bit for MXFP4 and 8/16 = 0.5 bit for NVFP4 (OCP Microscaling Formats v1.0, 2023, table 1;
    NVIDIA Blackwell documentation).
    """

    weight_bits: Quantity = quantity("bit", "one weight of this part, without its scale")
    scale_bits: Quantity = quantity("bit", "block scale per weight", default=0.0)
    input_bits: Quantity = quantity("bit", "its inputs as the matrix unit takes them", default=16.0)

    @property
    def compute_bits(self) -> Real:
        """Width of its matrix arithmetic [bit]: 4-bit weights under 16-bit inputs compute at 16
        bit."""
        return greater(
            self.input_bits, self.weight_bits
        )  # at a tie the inputs: all parts on the side of the width that holds for all

    @property
    def weight_bytes(self) -> Real:
        """Bytes of one weight, its scale included [B]."""
        return (self.weight_bits + self.scale_bits) / BITS_PER_BYTE


class Precision(eqx.Module):
    """How many bits each kind of data takes.

    ``weight_bits``, ``expert_weight_bits`` and ``weight_scale_bits`` hold for every part that is
    not given of its own. Arithmetic runs at the wider of weights and activations, so 4-bit weights
    under 16-bit activations compute at 16 bit; scores and weighted sums of attention run at
    ``activation_bits`` where its part is given, for they have no weights.
    """

    weight_bits: Quantity = quantity("bit", "weights outside routed experts", default=8.0)
    expert_weight_bits: Quantity = quantity("bit", "weights of routed experts", default=8.0)
    state_bits: Quantity = quantity("bit", "KV cache", default=8.0)
    activation_bits: Quantity = quantity("bit", "activations between operators", default=8.0)
    message_bits: Quantity = quantity("bit", "activations in collectives", default=16.0)
    recurrent_bits: Quantity = quantity("bit", "recurrent state of linear attention", default=32.0)
    weight_scale_bits: Quantity = quantity("bit", "block scale per weight element", default=0.0)
    attention: PartPrecision | None = None
    dense: PartPrecision | None = None
    experts: PartPrecision | None = None
    shared: PartPrecision | None = None
    embedding: PartPrecision | None = None
    head: PartPrecision | None = None

    def part(self, name: Part) -> PartPrecision:
        """One part, its own or what holds for all."""
        own = getattr(self, name)
        if own is not None:
            return own
        weights = self.expert_weight_bits if name == "experts" else self.weight_bits
        return PartPrecision(
            weights, self.weight_scale_bits, greater(self.weight_bits, self.activation_bits)
        )

    @property
    def compute_bits(self) -> Real:
        """Width of the matrix arithmetic [bit]; the widest of the parts where they differ."""
        own = [
            part
            for name in PARTS
            if name != "embedding" and (part := getattr(self, name)) is not None
        ]
        found = greater(self.weight_bits, self.activation_bits)
        if len(own) == len(PARTS) - 1:  # nothing computes at the width that holds for all
            found = own[0].compute_bits
        for part in own:
            found = greater(found, part.compute_bits)
        return found

    @property
    def core_bits(self) -> Real:
        """Width at which attention multiplies queries, keys and values [bit]."""
        return self.compute_bits if self.attention is None else self.activation_bits


def uniform(bits: Real, state_bits: Real | None = None) -> Precision:
    """Keep weights, activations and (unless told) the cache at the same width; messages stay at 16
    bit.

    Args:
        bits: of weights and activations [bit].
        state_bits: of the cache [bit]; ``bits`` unless told.

    Returns:
        The precision.

    >>> float(uniform(8).compute_bits)
    8.0
    """
    state = bits if state_bits is None else state_bits
    return Precision(
        weight_bits=real(bits),
        expert_weight_bits=real(bits),
        state_bits=real(state),
        activation_bits=real(bits),
    )
