"""What one chip computes, reads and keeps: part of the independent model of ``oracle``."""

import dataclasses
import functools
import math
from collections.abc import Iterator

import jax

from codesign import Design, Plan, Workload
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
from tests.codesign.oracle_attention import AttentionWork
from tests.codesign.oracle_heads import busiest_heads
from tests.codesign.oracle_load import Form, Operator, Work


class Chip(AttentionWork):
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

    def slices(
        self, ranks: float, limit: float, *, heads: bool = True, bundles: float = 1.0
    ) -> float:
        """What divides the busiest chip's part: whole heads of the smallest attention group, by
        bundles that share a KV head, columns anywhere."""
        if self.ideal:
            return ranks
        if heads:
            return limit / busiest_heads(limit, bundles, min(self.least_tensor, limit))
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
        bundles=1.0,
    ) -> Operator:
        """Weights cut by columns (reads its input whole) or by rows (writes its output whole, a
        partial sum)."""
        rows = self.work.rows if rows is None else rows
        slices = self.slices(ranks, limit, heads=half == "attention", bundles=bundles)
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
