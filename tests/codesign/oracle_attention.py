"""Attention of every kind on one chip: part of the independent model of ``oracle``."""

from collections.abc import Iterator

from codesign.workload.transformer import (
    CompressedAttention,
    CrossAttention,
    GroupedAttention,
    LatentAttention,
    LinearAttention,
    SelectiveScan,
    ShortConvolution,
)
from tests.codesign.oracle_load import UNLIMITED, Operator


class AttentionWork:
    """Operators of attention; ``Chip`` has the rest."""

    def grouped(self, part: GroupedAttention) -> Iterator[Operator]:
        heads, kv_heads, width = float(part.heads), float(part.kv_heads), float(part.head_dim)
        value = width if part.value_dim is None else float(part.value_dim)
        source = self.hidden if part.input_width is None else float(part.input_width)
        window, work = float(part.window), self.work
        seen = min(window, float(part.top_k))
        if part.query_rank is not None:
            yield self.product(source, float(part.query_rank), self.tensor, 1.0)
        yield self.product(
            source if part.query_rank is None else float(part.query_rank),
            heads * (width + (value if part.gated else 0)),
            self.tensor,
            heads,
            bundles=kv_heads,
        )
        if part.own_cache:
            yield self.product(
                source,
                kv_heads * (width + (value if part.own_values else 0)),
                self.tensor,
                kv_heads,
            )
        ranks = self.slices(self.tensor, heads, bundles=kv_heads)
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
        yield self.product(
            heads * value, self.hidden, self.tensor, heads, by_rows=True, bundles=kv_heads
        )
        if part.indexer is not None:
            yield from self.indexer(part.indexer, self.hidden)

    def cross(self, part: CrossAttention) -> Iterator[Operator]:
        heads, kv_heads, width, positions = map(
            float, (part.heads, part.kv_heads, part.head_dim, part.positions)
        )
        rows, ranks = self.work.rows, self.slices(self.tensor, heads, bundles=kv_heads)
        yield self.product(self.hidden, heads * width, self.tensor, heads, bundles=kv_heads)
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
        yield self.product(
            heads * width, self.hidden, self.tensor, heads, by_rows=True, bundles=kv_heads
        )

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
