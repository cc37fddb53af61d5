"""Every layout of a model over chips that serving engines can run.

Rules, each with who has it:

- *tensor* divides the query heads of every layer, and divides the KV heads or is a multiple of them
  (vLLM, SGLang and TensorRT-LLM refuse anything else); it divides the key heads, or groups, of a
  recurrent layer too where there is more than one (vLLM, ``qwen3_next.py``, ``mamba_mixer2.py``);
- *pipeline* divides the layers: every stage has as many;
- *data* (attention-data-parallel groups, vLLM ``--data-parallel-size``, SGLang
  ``--enable-dp-attention``) is for mixtures of experts, whose experts all groups share; groups of a
  dense model share nothing and are instances of their own;
- *expert*: experts are sliced over all chips of a stage (1), or dealt whole to all of them (vLLM
  ``--enable-expert-parallel``: tensor × data), filled up by redundant copies where their number
  does not divide (DeepSeek-V3, arXiv 2412.19437 §3.4: 256 experts and 32 copies on 72 or 144);
- *context* ranks, a power of two, split the cache of a sequence (Helix, arXiv 2507.07120; vLLM
  ``--decode-context-parallel-size``), where tensor ranks divide the KV heads;
- *chips*: products of twos and threes within a scale-up domain, whole domains beyond it.
"""

import math
from functools import lru_cache
from typing import NamedTuple

from codesign.workload.transformer import Transformer, layer_count, routings

MOST_COPIES = 1.25
"""Redundant copies of experts that an engine is asked to keep, over the experts themselves."""

MOST_CONTEXT = 16
"""Context ranks of one sequence."""

MOST_STAGES = 16
"""Pipeline stages."""


class Layout(NamedTuple):
    """Degrees of parallelism of one instance, whole numbers.

    ``expert`` is 1 where every expert is sliced over its stage, else the chips of a stage;
    ``copies`` are kept of every expert [1].
    """

    tensor: int = 1
    pipeline: int = 1
    data: int = 1
    context: int = 1
    expert: int = 1
    copies: float = 1.0

    @property
    def chips(self) -> int:
        """Chips of one instance."""
        return self.tensor * self.pipeline * self.data * self.context

    @property
    def groups(self) -> int:
        """Batches that run side by side: one a data group and pipeline stage."""
        return self.data * self.pipeline

    def words(self) -> str:
        """The layout as engines abbreviate it.

        >>> Layout(tensor=8).words(), Layout(tensor=2, data=4, expert=8).words(), Layout().words()
        ('TP8', 'TP2 DP4 EP8', 'TP1')
        """
        named = (
            ("TP", self.tensor if self.tensor > 1 or self.chips == 1 else 1),
            ("PP", self.pipeline),
            ("DP", self.data),
            ("CP", self.context),
            ("EP", self.expert),
        )
        found = [f"{name}{degree}" for name, degree in named if degree > 1]
        return " ".join(found) or "TP1"


class Heads(NamedTuple):
    """What the degrees of a model must divide."""

    query: tuple[int, ...]
    shared: tuple[int, ...]
    layers: int
    experts: int  # 1 in a dense model


def heads(model: Transformer) -> Heads:
    """Query heads, KV heads, layers and experts of a model; what every rank needs whole counts as
    one head."""
    query, shared = set(), set()
    experts = max([1, *(round(float(routing.experts)) for routing in routings(model))])
    for kind in model.layers:
        if kind.attention is not None and (whole := kind.attention.whole_heads()) is not None:
            divided = kind.attention.cache_heads()
            query.add(round(float(whole[0])))
            if (keys := kind.attention.whole_keys()) is not None and keys > 1:
                query.add(round(float(keys)))
            shared.add(1 if divided is None else round(float(divided)))
    return Heads(
        tuple(sorted(query)), tuple(sorted(shared)), round(float(layer_count(model))), experts
    )


def divisible(of: Heads, tensor: int) -> bool:
    """Whether engines accept a tensor degree.

    >>> llama = Heads((64,), (8,), 80, 1)
    >>> [degree for degree in range(1, 17) if divisible(llama, degree)]
    [1, 2, 4, 8, 16]
    """
    return all(heads % tensor == 0 for heads in of.query) and all(
        heads % tensor == 0 or tensor % heads == 0 for heads in of.shared
    )


def sizes(domain: int, most: int) -> list[int]:
    """Numbers of chips of one instance: 2^i·3^j within a domain, whole domains of such a number
    beyond.

    >>> sizes(8, 24), sizes(72, 9), sizes(4, 8)
    ([1, 2, 3, 4, 6, 8, 16, 24], [1, 2, 3, 4, 6, 8, 9], [1, 2, 3, 4, 8])
    """
    smooth = sorted(
        2**i * 3**j for i in range(31) for j in range(20) if 2**i * 3**j <= max(most, 1)
    )
    found = {n for n in smooth if n <= domain}
    found |= {n * domain for n in smooth if domain < n * domain <= most}
    return sorted(n for n in found if n <= most)


def layouts(model: Transformer, domain: int, most: int) -> tuple[Layout, ...]:
    """Every layout of one instance on at most so many chips, smallest first.

    Args:
        model: the transformer.
        domain: chips joined by scale-up links [1].
        most: chips of one instance [1].

    >>> import codesign
    >>> llama = codesign.dense(
    ...     hidden=64, layers=2, heads=8, kv_heads=2, width=64, vocabulary=99)
    >>> [one.words() for one in layouts(llama, 8, 4)]
    ['TP1', 'CP2', 'PP2', 'TP2', 'CP4', 'PP2 CP2', 'TP2 CP2', 'TP2 PP2', 'TP4']
    """
    return _layouts(heads(model), domain, most)


@lru_cache(maxsize=256)
def _layouts(of: Heads, domain: int, most: int) -> tuple[Layout, ...]:
    found: list[Layout] = []
    for chips in sizes(domain, most):
        here = [
            Layout(tensor, pipeline, rest // context, context, *placement)
            for tensor in _divisors(chips)
            if divisible(of, tensor)
            for pipeline in _divisors(chips // tensor)
            if of.layers % pipeline == 0 and pipeline <= MOST_STAGES
            for rest in [chips // tensor // pipeline]
            for context in _divisors(rest)
            if _splits_cache(of, tensor, context) and (of.experts > 1 or context == rest)
            for placement in placements(of, chips // pipeline)
        ]
        found += sorted(here)
    return tuple(found)


def _splits_cache(of: Heads, tensor: int, context: int) -> bool:
    if context == 1:
        return True
    whole = context <= MOST_CONTEXT and context & (context - 1) == 0
    return whole and all(heads % tensor == 0 for heads in of.shared or (1,))


def placements(of: Heads, stage: int) -> list[tuple[int, float]]:
    """Expert groups and copies of every expert on so many chips of a stage: sliced, or whole.

    >>> placements(Heads((128,), (1,), 61, 256), 72)
    [(1, 1.0), (72, 1.125)]
    """
    found = [(1, 1.0)]
    if of.experts > 1 and 1 < stage <= of.experts:
        copies = math.ceil(of.experts / stage) * stage / of.experts
        found += [(stage, copies)] if copies <= MOST_COPIES else []
    return found


@lru_cache(maxsize=4096)
def _divisors(number: int) -> tuple[int, ...]:
    return tuple(k for k in range(1, number + 1) if number % k == 0)
