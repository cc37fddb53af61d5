"""What one chip computes, reads and keeps: part of the independent model of ``oracle``."""

import dataclasses
import functools
import math
from collections.abc import Iterator

import jax
import numpy as np

from codesign import Decode, Design, Plan, Workload
from codesign.workload import experts
from codesign.workload.transformer import (
    FeedForward,
    GroupedAttention,
    LatentAttention,
    LayerKind,
    LinearAttention,
    MixtureOfExperts,
)

UNLIMITED = math.inf


@dataclasses.dataclass(frozen=True)
class Operator:
    """One operator on one chip for one microbatch. FLOPs [FLOP], bytes [B]; ``tile`` is the width of a score's tile."""

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

    @property
    def flops(self) -> float:
        return self.row_flops + self.context_flops


class Work:
    """What one attention group sees of a phase at a time: sequences, rows and the positions that they look at."""

    def __init__(self, phase, groups: float, drafted: float):
        batch = float(phase.batch)
        self.share = min(groups, max(batch, 1.0))  # a group without a whole sequence still works on one
        self.sequences = batch / self.share
        self.prefill = not isinstance(phase, Decode)
        if self.prefill:
            prompt = float(phase.prompt)
            self.cached = round(float(phase.cached) * prompt)
            self.positions = np.arange(self.cached + 1, round(prompt) + 1)  # of the new rows of one sequence
            self.context, self.new = prompt, float(len(self.positions))
        else:
            self.cached, self.context, self.new = 0.0, float(phase.context), 1.0 + drafted
        self.rows = self.sequences * self.new
        self.logits = self.sequences if self.prefill else self.rows

    def attended(self, window: float) -> float:
        """Positions that all rows together attend to."""
        if not self.prefill:
            return self.rows * min(self.context, window)
        return self.sequences * float(sum(min(int(position), window) for position in self.positions))

    def read(self, window: float) -> float:
        """Positions that all sequences together read: in prefill all that any of a sequence's rows sees."""
        visible = window + self.new if self.prefill else window
        return self.sequences * min(self.context, visible)

    def kept(self, window: float) -> float:
        """Positions that one sequence keeps."""
        return min(self.context, window)


class Chip:
    """One chip and its part of every operator, with ``drafted`` rows beside the one of each sequence.

    ``ideal``: the limit study cuts everything as finely as there are chips.
    """

    def __init__(self, design: Design, workload: Workload, plan: Plan, slice_columns: float, ideal: bool, drafted: float):
        self.model, self.plan, self.ideal, self.slice_columns = workload.model, plan, ideal, slice_columns
        self.chips, self.pipeline, self.context, self.data = map(float, (design.chips, plan.pipeline, plan.context, plan.data))
        self.stage = self.chips / self.pipeline
        self.tensor = self.stage / (self.context * self.data)
        self.feed_forward = self.tensor * self.context
        self.work = Work(workload.phase, self.pipeline * self.data, drafted)
        self.stage_rows = self.work.rows * self.data
        self.hidden, self.vocabulary = float(self.model.hidden), float(self.model.vocabulary)
        precision = workload.precision
        scale = float(precision.weight_scale_bits)
        self.weight = (float(precision.weight_bits) + scale) / 8
        self.expert_weight = (float(precision.expert_weight_bits) + scale) / 8
        self.activation = float(precision.activation_bits) / 8
        self.state = float(precision.state_bits) / 8
        self.message = float(precision.message_bits) / 8
        self.recurrent = float(precision.recurrent_bits) / 8

    def layers(self) -> Iterator[LayerKind]:
        """Every layer, one after the other."""
        for kind in self.model.layers:
            for _ in range(round(float(kind.count))):
                yield kind

    def groups(self) -> Iterator[list[Operator]]:
        """Operators that overlap, in the order in which they run: layer by layer, then both ends."""
        for kind in self.layers():
            operators = list(self.layer(kind))
            yield [operator for operator in operators if operator.half == "attention"]
            yield [operator for operator in operators if operator.half == "feed-forward"]
        for operator in self.ends():
            yield [operator]

    def layer(self, kind: LayerKind) -> Iterator[Operator]:
        parts = (kind.attention is not None) + (kind.feed_forward is not None)
        yield self.norms(parts)
        if isinstance(kind.attention, GroupedAttention):
            yield from self.grouped(kind.attention)
        elif isinstance(kind.attention, LatentAttention):
            yield from self.latent(kind.attention)
        elif isinstance(kind.attention, LinearAttention):
            yield from self.linear(kind.attention)
        if isinstance(kind.feed_forward, MixtureOfExperts):
            yield from self.mixture(kind.feed_forward)
        elif isinstance(kind.feed_forward, FeedForward):
            yield from self.mlp(float(kind.feed_forward.width), kind.feed_forward.gated)

    def slices(self, ranks: float, limit: float) -> float:
        return ranks if self.ideal else min(ranks, limit)

    def columns(self, width: float) -> float:
        """Slices of a matrix that keep the matrix unit busy."""
        return max(width / self.slice_columns, 1.0)

    def product(self, inner, outer, ranks, limit, *, by_rows=False, rows=None, half="attention", extra_rows=0.0) -> Operator:
        """Weights cut by columns (reads its input whole) or by rows (writes its output whole, a partial sum)."""
        rows = self.work.rows if rows is None else rows
        slices = self.slices(ranks, limit)
        elements = inner / slices + outer if by_rows else inner + outer / slices
        weights = inner * outer * self.weight / slices
        return Operator(
            half,
            row_flops=2 * inner * outer * (rows + extra_rows) / slices,
            streamed=weights,
            activations=self.activation * rows * elements,
            stored=weights,
        )

    def norms(self, parts: int) -> Operator:
        ranks = self.slices(self.tensor, 1.0)
        return Operator(
            "attention",
            vector=parts * 8 * self.hidden * self.work.rows / ranks,
            activations=parts * 4 * self.hidden * self.activation * self.work.rows,
            stored=parts * self.hidden * self.weight / ranks,
        )

    def state_ranks(self, heads: float) -> float:
        return self.tensor if float(self.plan.kv_ideal) == 1.0 else min(self.tensor, heads)

    def grouped(self, part: GroupedAttention) -> Iterator[Operator]:
        heads, kv_heads, width = float(part.heads), float(part.kv_heads), float(part.head_dim)
        window, work = float(part.window), self.work
        yield self.product(self.hidden, heads * width * (2 if part.gated else 1), self.tensor, heads)
        yield self.product(self.hidden, 2 * kv_heads * width, self.tensor, kv_heads)
        ranks = self.slices(self.tensor, heads)
        looked_at = work.attended(window) / ranks / self.context
        position = 2 * kv_heads * width * self.state / self.state_ranks(kv_heads) / self.context
        yield Operator(
            "attention",
            context_flops=4 * heads * width * looked_at,
            vector=4 * heads * looked_at,
            exponential=heads * looked_at,
            activations=2 * heads * width * self.activation * work.rows / ranks,
            state_read=position * work.read(window),
            state_written=position * work.rows,
            kept=position * work.kept(window),
            tile=width,
        )
        yield self.product(heads * width, self.hidden, self.tensor, heads, by_rows=True)

    def latent(self, part: LatentAttention) -> Iterator[Operator]:
        heads, rank, rope, nope, value, query_rank, reads, top_k = map(
            float,
            (part.heads, part.latent_rank, part.rope_dim, part.nope_dim, part.value_dim, part.query_rank,
             part.latent_reads, part.top_k),
        )  # fmt: skip
        work, source = self.work, query_rank or self.hidden
        yield self.product(self.hidden, rank + rope + query_rank, self.tensor, 1.0)
        yield self.product(source, heads * (nope + rope), self.tensor, heads)
        again = work.sequences * work.cached  # cached positions are expanded once more
        yield self.product(rank, heads * (nope + value), self.tensor, heads, extra_rows=again)
        ranks = self.slices(self.tensor, heads)
        looked_at = work.attended(top_k) / ranks / self.context
        per_position = 2 * heads * (nope + rope + value) if work.prefill else 2 * heads * (2 * rank + rope)
        position = (rank + rope) * self.state / self.state_ranks(1.0) / self.context
        rereads = (reads - 1) * rank * self.state / self.state_ranks(1.0) / self.context
        yield Operator(
            "attention",
            context_flops=per_position * looked_at,
            vector=4 * heads * looked_at,
            exponential=heads * looked_at,
            activations=heads * (nope + rope + value) * self.activation * work.rows / ranks,
            state_read=(position + rereads) * work.read(top_k),
            state_written=position * work.rows,
            kept=position * work.kept(UNLIMITED),
            tile=rank,
        )
        yield self.product(heads * value, self.hidden, self.tensor, heads, by_rows=True)
        if float(part.indexer_heads) > 0:
            yield from self.indexer(float(part.indexer_heads), float(part.indexer_dim), source)

    def indexer(self, heads: float, width: float, source: float) -> Iterator[Operator]:
        work, ranks = self.work, self.slices(self.tensor, 1.0)
        weights = source * heads * width + self.hidden * (width + heads)
        yield Operator(
            "attention",
            row_flops=2 * weights * work.rows / ranks,
            streamed=weights * self.weight / ranks,
            activations=(source + heads * width / ranks) * self.activation * work.rows,
            stored=weights * self.weight / ranks,
        )
        looked_at = work.attended(UNLIMITED) / ranks / self.context
        position = width * self.state / self.state_ranks(1.0) / self.context
        yield Operator(
            "attention",
            context_flops=2 * heads * width * looked_at,
            vector=2 * heads * looked_at,
            state_read=position * work.read(UNLIMITED),
            state_written=position * work.rows,
            kept=position * work.kept(UNLIMITED),
            tile=max(width, 1.0),
        )

    def linear(self, part: LinearAttention) -> Iterator[Operator]:
        heads, key_dim, value_dim, taps = map(float, (part.value_heads, part.key_dim, part.value_dim, part.convolution))
        keys, values = float(part.key_heads) * key_dim, heads * value_dim
        convolved = 2 * keys + values
        yield self.product(self.hidden, 2 * keys + (2 if part.gated else 1) * values + 2 * heads, self.tensor, heads)
        rows, ranks = self.work.rows, self.slices(self.tensor, heads)
        sequence = heads * key_dim * value_dim * self.recurrent + convolved * taps * self.activation
        sequence /= self.state_ranks(heads)
        yield Operator(
            "attention",
            row_flops=8 * heads * key_dim * value_dim * rows / ranks,
            vector=2 * convolved * taps * rows / ranks,
            activations=2 * convolved * self.activation * rows / ranks,
            state_read=2 * sequence * self.work.sequences,  # the limit study counts its writing too: as much as reading
            stored=convolved * taps * self.weight / ranks,
            kept=sequence,
        )
        yield self.product(values, self.hidden, self.tensor, heads, by_rows=True)

    def mlp(self, width: float, gated: bool) -> Iterator[Operator]:
        limit, half = self.columns(width), "feed-forward"
        up = self.product(self.hidden, width * (2 if gated else 1), self.feed_forward, limit, half=half)
        per_row = width * self.work.rows / self.slices(self.feed_forward, limit)
        yield dataclasses.replace(up, vector=4 * per_row, exponential=per_row)
        yield self.product(width, self.hidden, self.feed_forward, limit, by_rows=True, half=half)

    def expert_groups(self, part: MixtureOfExperts) -> float:
        most = min(self.stage, float(part.experts) * float(self.plan.expert_copies))
        return max(1.0, min(float(self.plan.expert), most))

    def mixture(self, part: MixtureOfExperts) -> Iterator[Operator]:
        yield self.product(self.hidden, float(part.experts), self.tensor, 1.0)
        copies = float(part.experts) * float(self.plan.expert_copies)
        width, groups = float(part.width), self.expert_groups(part)
        touched = busiest_touched(copies, float(part.active), self.stage_rows, groups)
        pairs = busiest_rows(copies, float(part.active), self.stage_rows, groups) * float(self.plan.routing_skew)
        slices = self.slices(self.stage / groups, self.columns(width))
        expanded = width * (2 if part.gated else 1)
        for inner, outer, by_rows in ((self.hidden, expanded, False), (width, self.hidden, True)):
            elements = inner / slices + outer if by_rows else inner + outer / slices
            expert = inner * outer * self.expert_weight
            yield Operator(
                "feed-forward",
                row_flops=2 * inner * outer * pairs / slices,
                vector=0.0 if by_rows else 4 * width * pairs / slices,
                exponential=0.0 if by_rows else width * pairs / slices,
                streamed=expert * touched / slices,
                activations=elements * self.activation * pairs,
                stored=expert * copies / self.stage,
            )
        if float(part.shared_width) > 0:
            yield from self.mlp(float(part.shared_width), part.gated)

    def ends(self) -> Iterator[Operator]:
        limit = self.columns(self.vocabulary)
        rows = self.work.logits
        entries = (0.0 if self.model.tied_embeddings else self.vocabulary) + float(self.model.positions)
        yield Operator(
            "embedding",
            activations=2 * self.hidden * self.activation * rows,
            stored=entries * self.hidden * self.weight / self.slices(self.feed_forward, limit),
        )
        yield self.product(self.hidden, self.vocabulary, self.feed_forward, limit, rows=rows, half="head")


@functools.cache
def busiest_touched(total: float, active: float, rows: float, groups: float) -> float:
    return float(_touched(total, active, rows, groups))


@functools.cache
def busiest_rows(total: float, active: float, rows: float, groups: float) -> float:
    return float(_rows(total, active, rows, groups))


_touched, _rows = jax.jit(experts.busiest_touched), jax.jit(experts.busiest_rows)
