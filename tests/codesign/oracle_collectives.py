"""What the chips send each other in a step: part of the independent model of ``oracle``."""

import math
from collections.abc import Iterator

import numpy as np

from codesign import Design
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
from tests.codesign.oracle_work import Chip

ONE = 1.0 + 1e-6
"""Groups up to this size are one chip: degrees are quotients, and rounded."""


class Network:
    """Two tiers of links and the collectives over them; ``link`` is the attained share of their
    bandwidth [1].

    A collective is a pair: its seconds and the bytes that a chip sends.
    """

    def __init__(self, design: Design, link: float, algorithms):
        self.domain, self.algorithms = float(design.scale_up_domain), np.asarray(algorithms, float)
        self.inner_latency, self.outer_latency = (
            float(design.sync_latency),
            float(design.scale_out_latency),
        )
        self.inner_bandwidth = float(design.link_bandwidth) * link
        self.outer_bandwidth = float(design.scale_out_bandwidth) * link

    def all_reduce(self, ranks: float, message: float) -> tuple[float, float]:
        if ranks <= ONE:
            return 0.0, 0.0
        inside = min(ranks, self.domain)
        options = []
        for s0, s1, s2, v0, v1, v2 in self.algorithms:
            steps = s0 + s1 * (inside - 1) + s2 * math.log2(inside)
            sent = (v0 + v1 * (inside - 1) + v2 * (inside - 1) / inside) * message
            options.append((steps * self.inner_latency + sent / self.inner_bandwidth, sent))
        seconds, sent = min(options) if inside > ONE else (0.0, 0.0)
        if ranks > self.domain:  # then between the domains, each rank with its share of the sum
            domains = ranks / self.domain
            across = 2 * (domains - 1) / domains * message / inside
            seconds += 2 * self.outer_latency + across / self.outer_bandwidth
            sent += across
        return seconds, sent

    def all_to_all(self, ranks: float, message: float) -> tuple[float, float]:
        if ranks <= ONE:
            return 0.0, 0.0
        inside, latency = min(ranks, self.domain), self.inner_latency
        if ranks > self.domain:
            latency = max(latency, self.outer_latency)
        near, far = (inside - 1) / ranks * message, (ranks - inside) / ranks * message
        return latency + max(near / self.inner_bandwidth, far / self.outer_bandwidth), near + far

    def exchange(self, ranks: float, message: float, active: float) -> tuple[float, float]:
        """All copies of a chip's rows to experts anywhere; one copy of a row into each domain."""
        if ranks <= self.domain:
            return self.all_to_all(ranks, message)
        domains = ranks / self.domain
        others = domains - 1
        # of `active` experts, each in a domain of its own choice, how many other domains see one
        seen = others * (1 - (others / domains) ** active)
        near, far = (self.domain - 1) / self.domain * message, seen * message / active
        latency = max(self.inner_latency, self.outer_latency)
        return latency + max(near / self.inner_bandwidth, far / self.outer_bandwidth), near + far

    def hop(self, leaves: bool, message: float) -> tuple[float, float]:
        """From chip to chip, one way."""
        if leaves:
            return self.outer_latency + message / self.outer_bandwidth, message
        return self.inner_latency + message / self.inner_bandwidth, message


def messages(chip: Chip, network: Network) -> Iterator[tuple[float, float]]:
    """Every collective of a step, one after the other."""
    row = chip.hidden * chip.message
    group_message = chip.work.rows * row
    merged = chip.work.rows * merge_elements(chip) / chip.tensor * chip.message
    yield network.all_reduce(chip.feed_forward, group_message)  # embedding, its table sliced
    for kind in chip.layers():
        if kind.attention is not None:
            yield network.all_to_all(chip.context, merged)
            if not (chip.model.parallel_blocks and isinstance(kind.feed_forward, FeedForward)):
                # of two blocks side by side, the partial sums of attention are added along with
                # those of the MLP
                yield network.all_reduce(chip.tensor, group_message)
        if isinstance(kind.feed_forward, MixtureOfExperts):
            yield from expert_messages(chip, network, kind.feed_forward, row)
        elif kind.feed_forward is not None:
            yield network.all_reduce(chip.feed_forward, group_message)
    yield network.all_to_all(chip.feed_forward, chip.work.logits * chip.vocabulary * chip.message)
    for _ in range(round(chip.pipeline) - 1):
        yield network.hop(chip.chips > network.domain, 2 * chip.stage_rows * row / chip.stage)


def expert_messages(
    chip: Chip, network: Network, part: MixtureOfExperts, row: float
) -> Iterator[tuple[float, float]]:
    groups = chip.expert_groups(part)
    if groups <= 1:
        yield network.all_reduce(chip.stage, chip.stage_rows * row)
        return
    travelling = row if part.latent_width is None else float(part.latent_width) * chip.message
    routed = chip.stage_rows * float(part.active) * travelling
    narrower = min(max(chip.expert_input, 1.0), chip.message) / chip.message
    copies = routed / chip.stage
    yield network.exchange(chip.stage, narrower * copies, float(part.active))  # dispatch
    yield network.exchange(chip.stage, copies, float(part.active))  # combine
    yield network.all_reduce(chip.stage / groups, routed / groups)
    if float(part.shared_width) > 0:
        yield network.all_reduce(chip.feed_forward, chip.work.rows * row)


def merge_elements(chip: Chip) -> float:
    """Elements of a row of partial attention in the mean layer: sums, largest score and normaliser
    of every head."""
    layers = [elements_of(kind) for kind in chip.layers() if kind.attention is not None]
    return sum(layers) / max(len(layers), 1)


def elements_of(kind: LayerKind) -> float:
    part = kind.attention
    if isinstance(part, GroupedAttention):
        return float(part.heads) * (
            float(part.head_dim if part.value_dim is None else part.value_dim) + 2
        )
    if isinstance(part, CrossAttention | CompressedAttention):
        return float(part.heads) * (float(part.head_dim) + 2)
    if isinstance(part, LatentAttention):
        return float(part.heads) * (float(part.latent_rank) + 2)
    if isinstance(part, SelectiveScan | ShortConvolution):
        return float(part.width)
    assert isinstance(part, LinearAttention)
    return float(part.value_heads) * float(part.value_dim)
