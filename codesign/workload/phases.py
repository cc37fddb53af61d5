"""What a step of inference asks of a model: how many rows, sequences and positions.

A *row* is a token that passes through the matrices. Both phases give the same quantities, so that
one operator table serves both.
"""

from typing import TypeAlias

import equinox as eqx
import jax.numpy as jnp

from codesign.numerics.fields import Quantity, Real, quantity
from codesign.numerics.ties import greater, lesser


class Draft(eqx.Module):
    """Multi-token decoding: ``length`` tokens are drafted one after the other, then verified in one
    step.

    ``cost`` is the size of the draft model over that of the target (weights, cache and arithmetic
    alike).
    """

    length: Quantity = quantity("1", "drafted tokens per step")
    acceptance: Quantity = quantity(
        "1", "probability that a drafted token is accepted, given all before were"
    )
    cost: Quantity = quantity("1", "draft model over target model")


class Decode(eqx.Module):
    """One decoding step of ``batch`` sequences whose caches hold ``context`` positions each."""

    batch: Quantity = quantity("1", "sequences in the step")
    context: Quantity = quantity("1", "cached positions per sequence")
    draft: Draft | None = None


class Prefill(eqx.Module):
    """The prompts of ``batch`` sequences in one step; a share ``cached`` of each prompt is already
    in the cache."""

    batch: Quantity = quantity("1", "sequences in the step")
    prompt: Quantity = quantity("1", "positions of a prompt")
    cached: Quantity = quantity("1", "share of the prompt already cached", default=0.0)


Phase: TypeAlias = Decode | Prefill


class Serving(eqx.Module):
    """Requests of one kind: a prompt comes in, an output goes out, ``batch`` of them decode at a
    time in an instance.

    Prompts are prefilled one at a time, in chunks of ``chunk`` positions where prefill and decode
    share a machine. ``load`` is the share of its capacity that is asked of the machine: it sets how
    long a request waits.
    """

    prompt: Quantity = quantity("1", "positions of a prompt")
    output: Quantity = quantity("1", "tokens of an output")
    batch: Quantity = quantity("1", "sequences decoding at a time in one instance")
    cached: Quantity = quantity("1", "share of the prompt already cached", default=0.0)
    chunk: Quantity = quantity("1", "positions prefilled between two decode steps", default=2048.0)
    load: Quantity = quantity("1", "offered load over capacity", default=0.0)
    draft: Draft | None = None

    @property
    def decode(self) -> Decode:
        """The decode step halfway through the output."""
        return Decode(batch=self.batch, context=self.prompt + 0.5 * self.output, draft=self.draft)

    @property
    def prefill(self) -> Prefill:
        """The prefill of one prompt."""
        return Prefill(batch=jnp.ones_like(self.prompt), prompt=self.prompt, cached=self.cached)

    @property
    def chunks(self) -> Real:
        """Chunks that what is new of a prompt is prefilled in: max(prompt · (1 − cached) / chunk,
        1)."""
        longest = greater(
            self.prompt, self.chunk / (1.0 - self.cached), (1.0, 1.0)
        )  # each of the three counts from above
        return longest * (1.0 - self.cached) / self.chunk


def rows(phase: Phase) -> Real:
    """Tokens that pass through the matrices in one step [1]."""
    return phase.batch * rows_per_sequence(phase)


def rows_per_sequence(phase: Phase) -> Real:
    """New tokens of one sequence in one step [1]."""
    if isinstance(phase, Decode):
        return jnp.ones_like(phase.batch) if phase.draft is None else 1.0 + phase.draft.length
    return phase.prompt * (1.0 - phase.cached)


def tokens_per_step(phase: Phase) -> Real:
    """Tokens that one step yields for each sequence [1].

    With drafting, the expected accepted prefix plus one: (1 − a^(k+1)) / (1 − a) (Leviathan et al.,
    arXiv 2211.17192, eq. 1). A prefill yields the first token.
    """
    if isinstance(phase, Prefill) or phase.draft is None:
        return jnp.ones_like(phase.batch)
    return _geometric(phase.draft.acceptance, phase.draft.length)


def _geometric(a: Real, k: Real) -> Real:
    """(1 − a^(k+1)) / (1 − a) for real k ≥ 0, with its derivatives at both ends of 0 ≤ a ≤ 1.

    Near 1 by the binomial series in 1 − a, Σ_j C(k + 1, j + 1) (a − 1)^j; at 0 it begins with 1 + a
    (1 without drafts).
    """
    a = jnp.asarray(a)
    tiny, near = jnp.finfo(a.dtype).tiny, 1e-3
    inside = jnp.clip(a, tiny, 1.0 - near)
    middle = -jnp.expm1((k + 1.0) * jnp.log(inside)) / (1.0 - inside)
    series = jnp.ones_like(a)
    for j in range(6, 0, -1):
        series = 1.0 + series * (a - 1.0) * (k + 1.0 - j) / (j + 1.0)
    start = 1.0 + jnp.where(k > 0, a, 0.0)
    return jnp.where(a >= 1.0 - near, (k + 1.0) * series, jnp.where(a > tiny, middle, start))


def tokens_served(phase: Phase) -> Real:
    """Tokens that one step serves for each sequence: those it yields in decode, the new prompt
    positions in prefill [1]."""
    return tokens_per_step(phase) if isinstance(phase, Decode) else rows_per_sequence(phase)


def attended(phase: Phase, window: Real) -> Real:
    """Mean number of positions that a row attends to, itself included in prefill [1].

    Decode: min(context, window). Prefill, causal: the mean of min(i, window) over the new positions
    i, in closed form. A window that no position reaches takes no part in it: adjoints of its size
    would cancel in reverse mode, and not to the last digit.
    """
    if isinstance(phase, Decode):
        return lesser(window, phase.context)
    first, last = phase.prompt * phase.cached, phase.prompt
    low, high = lesser(window, first), lesser(window, last)
    growing = (
        0.5 * (high - low) * (high + low + 1.0)
    )  # positions that still see everything before them
    reached = jnp.where(window <= last, window, 0.0)
    saturated = reached * ((last - high) - (first - low))  # the others see one window each
    return (growing + saturated) / (last - first)


def read_positions(phase: Phase, window: Real) -> Real:
    """Cached positions that one sequence streams from memory in one step [1].

    A prefill reads its whole visible cache once: rows of one sequence share what they read, tile by
    tile.
    """
    if isinstance(phase, Decode):
        return lesser(window, phase.context)
    return lesser(window, phase.prompt * phase.cached) + rows_per_sequence(phase)


def head_rows(phase: Phase) -> Real:
    """Rows that need logits: all of a decode step, the last of each sequence in prefill [1]."""
    return rows(phase) if isinstance(phase, Decode) else phase.batch


def stored_positions(phase: Phase, window: Real) -> Real:
    """Positions that one sequence keeps in memory [1]."""
    length = phase.context if isinstance(phase, Decode) else phase.prompt
    return lesser(window, length)
