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
    CompressedAttention,
    CrossAttention,
    FeedForward,
    GroupedAttention,
    LatentAttention,
    LayerKind,
    LinearAttention,
    MixtureOfExperts,
    SelectiveScan,
    ShortConvolution,
)

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


class Chip:
    """One chip and its part of every operator, with ``drafted`` rows beside the one of each
    sequence.

    ``ideal``: the limit study cuts everything as finely as there are chips.
    """

    def __init__(
        self,
        design: Design,
        workload: Workload,
        plan: Plan,
        slice_columns: float,
        ideal: bool,
        drafted: float,
    ):
        self.model, self.plan, self.ideal, self.slice_columns = (
            workload.model,
            plan,
            ideal,
            slice_columns,
        )
        self.chips, self.pipeline, self.context, self.data = map(
            float, (design.chips, plan.pipeline, plan.context, plan.data)
        )
        self.stage = self.chips / self.pipeline
        self.tensor = self.stage / (self.context * self.data)
        self.feed_forward = self.tensor * self.context
        # what the smallest stage and the smallest attention group have, whole chips each
        self.least_stage = max(math.floor(self.chips / self.pipeline + 1e-9), 1)
        groups = self.pipeline * self.context * self.data
        self.least_tensor = max(math.floor(self.chips / groups + 1e-9), 1)
        self.work = Work(workload.phase, self.pipeline * self.data, drafted)
        self.stage_rows = self.work.rows * self.data
        self.hidden, self.vocabulary = float(self.model.hidden), float(self.model.vocabulary)
        precision = workload.precision
        self.parts = {
            name: Form.of(precision, name)
            for name in ("attention", "dense", "experts", "shared", "embedding", "head")
        }
        self.bits = max(
            form.bits
            for name, form in self.parts.items()
            if name != "embedding" and (name != "experts" or precision.experts is not None)
        )
        self.core_bits = (
            self.bits if precision.attention is None else float(precision.activation_bits)
        )
        self.activation = float(precision.activation_bits) / 8
        self.state = float(precision.state_bits) / 8
        self.message = float(precision.message_bits) / 8
        self.expert_input = float(precision.part("experts").input_bits) / 8
        self.recurrent = float(precision.recurrent_bits) / 8

    def layers(self) -> Iterator[LayerKind]:
        """Every layer, one after the other."""
        for kind in self.model.layers:
            for _ in range(round(float(kind.count))):
                yield kind

    def share(self, kind: LayerKind) -> float:
        """The part of a layer's weights that it need not share with another."""
        return 1.0 if kind.weight_sets is None else float(kind.weight_sets) / float(kind.count)

    def groups(self) -> Iterator[list[Operator]]:
        """Operators that overlap, in the order in which they run: layer by layer, then both
        ends."""
        for kind in self.layers():
            share = self.share(kind)
            operators = [
                dataclasses.replace(operator, stored=operator.stored * share)
                for operator in self.layer(kind)
            ]
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
        elif isinstance(kind.attention, CrossAttention):
            yield from self.cross(kind.attention)
        elif isinstance(kind.attention, CompressedAttention):
            yield from self.compressed(kind.attention)
        elif isinstance(kind.attention, SelectiveScan):
            yield from self.scan(kind.attention)
        elif isinstance(kind.attention, ShortConvolution):
            yield from self.convolution(kind.attention)
        if isinstance(kind.feed_forward, MixtureOfExperts):
            yield from self.mixture(kind.feed_forward)
        elif isinstance(kind.feed_forward, FeedForward):
            yield from self.mlp(float(kind.feed_forward.width), kind.feed_forward.gated, "dense")
        yield from self.residual()

    def slices(self, ranks: float, limit: float, *, heads: bool = True) -> float:
        """What divides the busiest chip's part: whole heads of the smallest attention group,
        columns anywhere."""
        if self.ideal:
            return ranks
        if heads:
            return limit / math.ceil(limit / min(self.least_tensor, limit) - 1e-9)
        return min(self.least_tensor * self.context, limit)

    def columns(self, width: float) -> float:
        """Slices of a matrix that keep the matrix unit busy."""
        return max(width / self.slice_columns, 1.0)

    def product(
        self,
        inner,
        outer,
        ranks,
        limit,
        *,
        by_rows=False,
        rows=None,
        half="attention",
        extra_rows=0.0,
        part="attention",
        blocks=1.0,
    ) -> Operator:
        """Weights cut by columns (reads its input whole) or by rows (writes its output whole, a
        partial sum)."""
        rows = self.work.rows if rows is None else rows
        slices = self.slices(ranks, limit, heads=half == "attention")
        elements = inner / slices + outer if by_rows else inner + outer / slices
        weights = inner * outer / blocks * self.parts[part].weight / slices
        return Operator(
            half,
            bits=self.parts[part].bits,
            row_flops=2 * inner * outer / blocks * (rows + extra_rows) / slices,
            streamed=weights,
            activations=self.activation * rows * elements,
            stored=weights,
        )

    def norms(self, parts: int) -> Operator:
        ranks = self.slices(self.tensor, 1.0)
        streams = 1.0 if self.model.streams is None else float(self.model.streams.count)
        return Operator(
            "attention",
            vector=parts * streams * 8 * self.hidden * self.work.rows / ranks,
            activations=parts * streams * 4 * self.hidden * self.activation * self.work.rows,
            stored=parts * self.hidden * self.parts["attention"].weight / ranks,
        )

    def residual(self) -> Iterator[Operator]:
        """What every layer does to its residual besides."""
        model, table = self.model, self.model.per_layer_embedding
        if model.streams is not None:
            yield self.product(self.hidden, float(model.streams.mixing), self.tensor, 1.0)
        if table is not None:
            own = self.product(self.hidden, 3 * float(table.width), self.tensor, 1.0, part="dense")
            entries = float(table.vocabulary) * float(table.width) * self.parts["embedding"].weight
            yield dataclasses.replace(
                own, stored=own.stored + entries / self.slices(self.tensor, 1.0)
            )

    def state_ranks(self, heads: float) -> float:
        if float(self.plan.kv_ideal) == 1.0:
            return self.tensor
        if self.ideal:
            return min(self.tensor, heads)
        return heads / math.ceil(heads / min(self.least_tensor, heads) - 1e-9)

    def grouped(self, part: GroupedAttention) -> Iterator[Operator]:
        heads, kv_heads, width = float(part.heads), float(part.kv_heads), float(part.head_dim)
        value = width if part.value_dim is None else float(part.value_dim)
        source = self.hidden if part.input_width is None else float(part.input_width)
        window, work = float(part.window), self.work
        seen = min(window, float(part.top_k))
        yield self.product(
            source, heads * (width + (value if part.gated else 0)), self.tensor, heads
        )
        if part.own_cache:
            yield self.product(
                source,
                kv_heads * (width + (value if part.own_values else 0)),
                self.tensor,
                kv_heads,
            )
        ranks = self.slices(self.tensor, heads)
        looked_at = work.attended(seen) / ranks / self.context
        position = (
            kv_heads * (width + value) * self.state / self.state_ranks(kv_heads) / self.context
        )
        yield Operator(
            "attention",
            bits=self.core_bits,
            context_flops=2 * heads * (width + value) * looked_at,
            vector=4 * heads * looked_at,
            exponential=heads * looked_at,
            activations=heads * (width + value) * self.activation * work.rows / ranks,
            state_read=position * work.read(seen),
            state_written=position * work.rows if part.own_cache else 0.0,
            kept=position * work.kept(window) if part.own_cache else 0.0,
            tile=width,
        )
        yield self.product(heads * value, self.hidden, self.tensor, heads, by_rows=True)
        if part.indexer is not None:
            yield from self.indexer(part.indexer, self.hidden)

    def cross(self, part: CrossAttention) -> Iterator[Operator]:
        heads, kv_heads, width, positions = map(
            float, (part.heads, part.kv_heads, part.head_dim, part.positions)
        )
        rows, ranks = self.work.rows, self.slices(self.tensor, heads)
        yield self.product(self.hidden, heads * width, self.tensor, heads)
        encoder = self.hidden * 2 * kv_heads * width * self.parts["attention"].weight
        yield Operator("attention", stored=encoder / self.slices(self.tensor, kv_heads))
        sequence = 2 * kv_heads * width * positions * self.state / self.state_ranks(kv_heads)
        yield Operator(
            "attention",
            bits=self.core_bits,
            row_flops=4 * heads * width * positions * rows / ranks,
            vector=4 * heads * positions * rows / ranks,
            exponential=heads * positions * rows / ranks,
            activations=2 * heads * width * self.activation * rows / ranks,
            state_read=sequence * self.work.sequences,
            kept=sequence,
        )
        yield self.product(heads * width, self.hidden, self.tensor, heads, by_rows=True)

    def compressed(self, part: CompressedAttention) -> Iterator[Operator]:
        heads, width, query_rank, groups, rank, window = map(
            float,
            (
                part.heads,
                part.head_dim,
                part.query_rank,
                part.output_groups,
                part.output_rank,
                part.window,
            ),
        )
        work, far = self.work, part.compression
        projections = 0 if far is None else 2 * (2 if far.overlapping else 1)
        yield self.product(self.hidden, query_rank + (1 + projections) * width, self.tensor, 1.0)
        yield self.product(query_rank, heads * width, self.tensor, heads)
        ranks = self.slices(self.tensor, heads)

        def looking(ratio: float, seen: float, kept: float, rows: float) -> Operator:
            looked_at = work.attended(seen) / ratio / ranks / self.context
            position = width * self.state / ratio / self.state_ranks(1.0) / self.context
            return Operator(
                "attention",
                bits=self.core_bits,
                context_flops=4 * heads * width * looked_at,
                vector=4 * heads * looked_at,
                exponential=heads * looked_at,
                activations=2 * heads * width * self.activation * rows / ranks,
                state_read=position * work.read(seen),
                state_written=position * work.rows,
                kept=position * work.kept(kept),
                tile=width,
            )

        yield looking(1.0, window, window, work.rows)
        if far is not None:
            yield looking(float(far.ratio), float(far.top_k) * float(far.ratio), UNLIMITED, 0.0)
        yield self.product(heads * width, groups * rank, self.tensor, groups, blocks=groups)
        yield self.product(groups * rank, self.hidden, self.tensor, groups, by_rows=True)
        if far is not None and far.indexer is not None:
            yield from self.indexer(far.indexer, query_rank, projections, float(far.ratio))

    def latent(self, part: LatentAttention) -> Iterator[Operator]:
        heads, rank, rope, nope, value, query_rank, reads, top_k = map(
            float,
            (
                part.heads,
                part.latent_rank,
                part.rope_dim,
                part.nope_dim,
                part.value_dim,
                part.query_rank,
                part.latent_reads,
                part.top_k,
            ),
        )
        work, source = self.work, query_rank or self.hidden
        if part.gated:
            yield self.product(self.hidden, heads * value, self.tensor, heads)
        yield self.product(self.hidden, rank + rope + query_rank, self.tensor, 1.0)
        yield self.product(source, heads * (nope + rope), self.tensor, heads)
        again = work.sequences * work.cached  # cached positions are expanded once more
        yield self.product(rank, heads * (nope + value), self.tensor, heads, extra_rows=again)
        ranks = self.slices(self.tensor, heads)
        looked_at = work.attended(top_k) / ranks / self.context
        per_position = (
            2 * heads * (nope + rope + value) if work.prefill else 2 * heads * (2 * rank + rope)
        )
        position = (rank + rope) * self.state / self.state_ranks(1.0) / self.context
        rereads = (reads - 1) * rank * self.state / self.state_ranks(1.0) / self.context
        yield Operator(
            "attention",
            bits=self.core_bits,
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
        if part.indexer is not None:
            yield from self.indexer(part.indexer, source)

    def indexer(
        self, part, source: float, keys: float = 1, ratio: float = 1.0
    ) -> Iterator[Operator]:
        heads, width = float(part.heads), float(part.dim)
        work, ranks = self.work, self.slices(self.tensor, 1.0)
        yield self.product(source, heads * width, self.tensor, 1.0)
        yield self.product(
            self.hidden, keys * width + (heads if part.weighted else 0), self.tensor, 1.0
        )
        looked_at = work.attended(UNLIMITED) / ratio / ranks / self.context
        position = width / ratio * self.state / self.state_ranks(1.0) / self.context
        yield Operator(
            "attention",
            bits=self.core_bits,
            context_flops=2 * heads * width * looked_at,
            vector=2 * heads * looked_at,
            state_read=position * work.read(UNLIMITED),
            state_written=position * work.rows,
            kept=position * work.kept(UNLIMITED),
            tile=max(width, 1.0),
        )

    def linear(self, part: LinearAttention) -> Iterator[Operator]:
        heads, key_dim, value_dim, taps = map(
            float, (part.value_heads, part.key_dim, part.value_dim, part.convolution)
        )
        keys, values = float(part.key_heads) * key_dim, heads * value_dim
        convolved = 2 * keys + values
        gate = values if part.gated and part.gate_rank is None else 0.0
        ranks_of = [
            0.0 if rank is None else float(rank) for rank in (part.decay_rank, part.gate_rank)
        ]
        inputs = 2 * keys + values + gate + float(part.controls) + sum(ranks_of)
        yield self.product(self.hidden, inputs, self.tensor, heads)
        if part.decay_rank is not None:
            yield self.product(ranks_of[0], keys, self.tensor, heads)
        if part.gate_rank is not None:
            yield self.product(ranks_of[1], values, self.tensor, heads)
        rows, ranks = self.work.rows, self.slices(self.tensor, heads)
        sequence = heads * key_dim * value_dim * self.recurrent + convolved * taps * self.activation
        sequence /= self.state_ranks(heads)
        yield Operator(
            "attention",
            bits=self.core_bits,
            row_flops=(8 if part.delta else 6) * heads * key_dim * value_dim * rows / ranks,
            vector=2 * convolved * taps * rows / ranks,
            activations=2 * convolved * self.activation * rows / ranks,
            state_read=2
            * sequence
            * self.work.sequences,  # the limit study counts its writing too: as much as reading
            stored=convolved * taps * self.parts["attention"].weight / ranks,
            kept=sequence,
        )
        yield self.product(values, self.hidden, self.tensor, heads, by_rows=True)

    def scan(self, part: SelectiveScan) -> Iterator[Operator]:
        width, state, rank, taps = map(
            float, (part.width, part.state_dim, part.step_rank, part.convolution)
        )
        rows, ranks = self.work.rows, self.slices(self.tensor, width)
        yield self.product(self.hidden, 2 * width, self.tensor, width)
        yield self.product(width, rank + 2 * state, self.tensor, width, by_rows=True)
        yield self.product(rank, width, self.tensor, width)
        sequence = (
            width * state * self.recurrent + width * taps * self.activation
        ) / self.state_ranks(width)
        yield Operator(
            "attention",
            vector=(6 * width * state + 2 * width * taps) * rows / ranks,
            exponential=width * state * rows / ranks,
            activations=4 * width * self.activation * rows / ranks,
            state_read=2 * sequence * self.work.sequences,
            stored=width * (taps + state + 3) * self.parts["attention"].weight / ranks,
            kept=sequence,
        )
        yield self.product(width, self.hidden, self.tensor, width, by_rows=True)

    def convolution(self, part: ShortConvolution) -> Iterator[Operator]:
        width, taps = float(part.width), float(part.taps)
        rows, ranks = self.work.rows, self.slices(self.tensor, width)
        yield self.product(self.hidden, 3 * width, self.tensor, width)
        sequence = width * taps * self.activation / self.state_ranks(width)
        yield Operator(
            "attention",
            vector=2 * width * (taps + 1) * rows / ranks,
            activations=4 * width * self.activation * rows / ranks,
            state_read=2 * sequence * self.work.sequences,
            stored=width * taps * self.parts["attention"].weight / ranks,
            kept=sequence,
        )
        yield self.product(width, self.hidden, self.tensor, width, by_rows=True)

    def mlp(self, width: float, gated: bool, part: str) -> Iterator[Operator]:
        limit, half = self.columns(width), "feed-forward"
        up = self.product(
            self.hidden, width * (2 if gated else 1), self.feed_forward, limit, half=half, part=part
        )
        per_row = width * self.work.rows / self.slices(self.feed_forward, limit, heads=False)
        yield dataclasses.replace(up, vector=4 * per_row, exponential=per_row)
        yield self.product(
            width, self.hidden, self.feed_forward, limit, by_rows=True, half=half, part=part
        )

    def expert_groups(self, part: MixtureOfExperts) -> float:
        most = min(self.stage, float(part.experts) * float(self.plan.expert_copies))
        return max(1.0, min(float(self.plan.expert), most))

    def mixture(self, part: MixtureOfExperts) -> Iterator[Operator]:
        yield self.product(self.hidden, float(part.experts), self.tensor, 1.0)
        copies = float(part.experts) * float(self.plan.expert_copies)
        width, groups, ranks = float(part.width), self.expert_groups(part), self.stage
        ranks /= groups
        fullest = groups * ranks
        if not self.ideal:
            dealt = max(round(min(groups, self.least_stage)), 1)
            groups = copies / math.ceil(copies / dealt - 1e-9)
            ranks = max(self.least_stage // dealt, 1)
            fullest = groups * ranks
        touched = busiest_touched(copies, float(part.active), self.stage_rows, groups)
        pairs = busiest_rows(copies, float(part.active), self.stage_rows, groups) * float(
            self.plan.routing_skew
        )
        slices = ranks if self.ideal else min(ranks, self.columns(width))
        expanded = width * (2 if part.gated else 1)
        if part.latent_width is None:
            travelling = self.hidden
        else:
            travelling = float(part.latent_width)
            limit, half = self.columns(travelling), "feed-forward"
            yield self.product(
                self.hidden, travelling, self.feed_forward, limit, half=half, part="shared"
            )
            yield self.product(
                travelling,
                self.hidden,
                self.feed_forward,
                limit,
                by_rows=True,
                half=half,
                part="shared",
            )
        for inner, outer, by_rows in ((travelling, expanded, False), (width, travelling, True)):
            elements = inner / slices + outer if by_rows else inner + outer / slices
            expert = inner * outer * self.parts["experts"].weight
            yield Operator(
                "feed-forward",
                bits=self.parts["experts"].bits,
                row_flops=2 * inner * outer * pairs / slices,
                vector=0.0 if by_rows else 4 * width * pairs / slices,
                exponential=0.0 if by_rows else width * pairs / slices,
                streamed=expert * touched / slices,
                activations=elements * self.activation * pairs,
                stored=expert * copies / fullest,
            )
        if float(part.shared_width) > 0:
            yield from self.mlp(float(part.shared_width), part.gated, "shared")

    def ends(self) -> Iterator[Operator]:
        limit = self.columns(self.vocabulary)
        rows = self.work.logits
        entries = (0.0 if self.model.tied_embeddings else self.vocabulary) + float(
            self.model.positions
        )
        yield Operator(
            "embedding",
            activations=2 * self.hidden * self.activation * rows,
            stored=entries
            * self.hidden
            * self.parts["embedding"].weight
            / self.slices(self.feed_forward, limit, heads=False),
        )
        yield self.product(
            self.hidden,
            self.vocabulary,
            self.feed_forward,
            limit,
            rows=rows,
            half="head",
            part="head",
        )
        if self.model.streams is not None:
            square = float(self.model.streams.end_projections) * self.hidden
            yield self.product(
                self.hidden,
                square,
                self.feed_forward,
                self.columns(self.hidden),
                half="streams",
                part="dense",
            )


@functools.cache
def busiest_touched(total: float, active: float, rows: float, groups: float) -> float:
    return float(_touched(total, active, rows, groups))


@functools.cache
def busiest_rows(total: float, active: float, rows: float, groups: float) -> float:
    return float(_rows(total, active, rows, groups))


_touched, _rows = jax.jit(experts.busiest_touched), jax.jit(experts.busiest_rows)
