"""Arithmetic and bytes of latent attention with and without reordering (absorption).

Latent attention caches d_c + d_r elements a position for all H heads. Without reordering the keys
and values of every cached position are made from the latent, 2·d_c·H·(d_n + d_v) FLOPs each, and
attended at 2·H·(d_n + d_r + d_v). With it the up-projections move to the query and to the output,
the same FLOPs once a new token, and every position costs 2·H·(2·d_c + d_r) (arXiv 2405.04434 §2.1).
"""

from typing import NamedTuple

import codesign


class Attention(NamedTuple):
    """Widths of a latent attention [1]."""

    heads: float
    latent: float
    rope: float
    nope: float
    value: float
    query: float
    hidden: float

    @property
    def expand(self) -> float:
        """FLOPs that make keys and values of one position, or absorb them into one query and one
        output."""
        return 2.0 * self.latent * self.heads * (self.nope + self.value)

    @property
    def attend(self) -> float:
        """FLOPs of a query on one expanded position."""
        return 2.0 * self.heads * (self.nope + self.rope + self.value)

    @property
    def attend_latent(self) -> float:
        """FLOPs of a query on one latent position."""
        return 2.0 * self.heads * (2.0 * self.latent + self.rope)

    @property
    def project(self) -> float:
        """FLOPs of the projections of one token that both orders share."""
        queries = self.hidden * self.query + self.query * self.heads * (self.nope + self.rope)
        down = self.hidden * (self.latent + self.rope)
        return 2.0 * (queries + down + self.heads * self.value * self.hidden)


def widths(name: str) -> Attention:
    """Of the latent attention of a model, its first layer's."""
    model = codesign.model(name)
    kind = next(layer.attention for layer in model.layers if layer.attention is not None)
    if not isinstance(kind, codesign.LatentAttention):
        raise ValueError(f"{name} has no latent attention; expected deepseek-v3, say")
    own = (kind.heads, kind.latent_rank, kind.rope_dim, kind.nope_dim, kind.value_dim)
    return Attention(*(float(each) for each in (*own, kind.query_rank, model.hidden)))


def decode_gain(of: Attention, context: float) -> float:
    """FLOPs of one decode step of attention without reordering over those with it."""
    plain = context * (of.expand + of.attend)
    return plain / (context * of.attend_latent + of.expand)


def prefill_penalty(of: Attention, prompt: float, *, causal: bool, projections: bool) -> float:
    """FLOPs of a prefill of attention with reordering over those without it.

    Args:
        of: widths.
        prompt: positions [1].
        causal: count what is not masked, (prompt + 1) / 2 positions a token, or all of them.
        projections: with the projections that both orders share.
    """
    seen = 0.5 * (prompt + 1.0) if causal else prompt
    shared = of.expand + (of.project if projections else 0.0)
    return (seen * of.attend_latent + shared) / (seen * of.attend + shared)


def decode_times(
    of: Attention, rate: float, bandwidth: float, element: float = 2.0
) -> dict[str, float]:
    """Seconds a cached position of one sequence, by how kernels are fused.

    Args:
        of: widths.
        rate: matrix rate [FLOP/s].
        bandwidth: of memory [B/s].
        element: bytes of an element [B].
    """
    latent = element * (of.latent + of.rope)
    keys_values = element * of.heads * (of.nope + of.rope + of.value)

    def kernel(flops: float, moved: float) -> float:
        return max(flops / rate, moved / bandwidth)

    expand = kernel(of.expand, latent + keys_values)
    return {
        "plain": expand + kernel(of.attend, keys_values),
        "plain, one kernel": kernel(of.expand + of.attend, latent),
        "reordered": kernel(of.attend_latent, latent + element * of.latent),
        "reordered, one kernel": kernel(of.attend_latent, latent),
    }
