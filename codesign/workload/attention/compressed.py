"""Attention with one head that is key and value in one, over a window and a compressed rest."""

import equinox as eqx

from codesign.numerics.fields import Quantity, Real, quantity
from codesign.workload.attention.indexer import Indexer, index_keys, index_scores, indexer_matrices
from codesign.workload.attention.kind import AttentionKind
from codesign.workload.operator import UNLIMITED
from codesign.workload.shapes import Cache, Matrix
from codesign.workload.writer import SOFTMAX_FLOPS, Rows, Writer


class Compression(eqx.Module):
    """A cache that keeps one entry for every ``ratio`` positions (DeepSeek-V4: 4, sparse; 128, all
    of it read).

    ``top_k`` entries are read. ``overlapping`` entries are made of two windows, with projections
    twice as wide.
    """

    ratio: Quantity = quantity("1", "positions to an entry")
    top_k: Quantity = quantity("1", "entries that a token reads", default=UNLIMITED)
    indexer: Indexer | None = None
    overlapping: bool = eqx.field(static=True, default=False)


class CompressedAttention(AttentionKind):
    """Attention with one head that is key and value in one, over a short window and a compressed
    rest (DeepSeek-V4).

    Queries come from a latent; the output is projected in ``output_groups`` groups of heads to
    ``output_rank`` each, and from there to the model width.
    """

    heads: Quantity = quantity("1", "query heads")
    head_dim: Quantity = quantity("1", "width of a head, and of a cached entry")
    query_rank: Quantity = quantity("1", "width of the query latent")
    output_groups: Quantity = quantity("1", "groups of heads of the output projection")
    output_rank: Quantity = quantity("1", "width of one group's output")
    window: Quantity = quantity("1", "latest positions, which are read as they are")
    compression: Compression | None = None

    def matrices(self, hidden: Real) -> list[Matrix]:
        """Shared key-value attention with grouped output (``modeling_deepseek_v4.py``, transformers
        5.24)."""
        part, middle = self.compression, self.output_groups * self.output_rank
        # an entry and its gate are projected from the hidden state, twice as wide where two windows
        # overlap
        windows = 0.0 if part is None else 4.0 if part.overlapping else 2.0
        return [
            Matrix("latent", hidden, self.query_rank + (1.0 + windows) * self.head_dim),
            Matrix("query", self.query_rank, self.heads * self.head_dim, self.heads),
            Matrix(
                "output groups",
                self.heads * self.head_dim,
                middle,
                self.output_groups,
                blocks=self.output_groups,
            ),
            Matrix("output", middle, hidden, self.output_groups, by_rows=True),
            *(
                indexer_matrices(part.indexer, self.query_rank, hidden, windows)
                if part is not None
                else []
            ),
        ]

    def caches(self) -> list[Cache]:
        near, part = Cache(self.head_dim, self.window), self.compression
        if part is None:
            return [near]
        return [near, Cache(self.head_dim / part.ratio), *index_keys(part.indexer, part.ratio)]

    def core(self, write: Writer) -> Rows:
        """The latest positions as they are, then the compressed entries, of which one stands for
        ``ratio`` positions."""
        rows = self.heads * 2.0 * self.head_dim * write.activation
        window = {"read_window": self.window, "store_window": self.window, "tile": self.head_dim}
        near = write.scores(
            self.heads, 2.0 * self.head_dim, self.head_dim, row_bytes=rows, **window
        )
        part = self.compression
        if part is None:
            return [("attention", near)]
        share = 1.0 / part.ratio
        far = write.scores(
            self.heads, 2.0 * self.head_dim * share, self.head_dim * share,
            context_vector=SOFTMAX_FLOPS * self.heads * share,
            context_exponential=self.heads * share,
            read_window=part.top_k * part.ratio, tile=self.head_dim,
        )  # fmt: skip
        return [
            ("attention", near),
            ("compressed attention", far),
            *index_scores(part.indexer, write, share),
        ]

    def merged_elements(self) -> Real:
        return self.heads * (self.head_dim + 2.0)

    def whole_heads(self) -> tuple[Real, str]:
        return self.heads, "query heads"
