"""Attention over a cache of keys and values: grouped queries, and to encoded positions."""

import equinox as eqx

from codesign.numerics.fields import Quantity, Real, quantity
from codesign.numerics.ties import NEITHER, lesser
from codesign.workload.attention.indexer import Indexer, index_keys, index_scores, indexer_matrices
from codesign.workload.attention.kind import AttentionKind
from codesign.workload.operator import UNLIMITED, Operator
from codesign.workload.shapes import Cache, Matrix
from codesign.workload.writer import SOFTMAX_FLOPS, Rows, Writer


class GroupedAttention(AttentionKind):
    """Multi-head (kv_heads = heads), multi-query (1) and grouped-query attention.

    ``window`` limits what is read *and* kept, ``top_k`` (with an indexer or block scores) only what
    is read. ``value_dim`` is given where values are not as wide as keys (MiMo-V2), ``input_width``
    where queries, keys and values are projected from more than the hidden state (Zamba 2, of it and
    the embedding). ``gated`` adds an output gate as wide as the values of all heads (Qwen3-Next).
    Without ``own_values`` one projection serves as key and value, which are cached both (Gemma 4,
    global layers). Without ``own_cache`` a layer reads what an earlier one wrote, and has no key
    and value projections (Gemma 3n). With a ``query_rank`` queries come from a latent of that
    width, which every rank has (Step 3, multi-matrix factorisation, arXiv 2412.19255 §3).
    """

    heads: Quantity = quantity("1", "query heads")
    kv_heads: Quantity = quantity("1", "key-value heads")
    head_dim: Quantity = quantity("1", "width of a query or key head")
    window: Quantity = quantity("1", "positions a token can see", default=UNLIMITED)
    top_k: Quantity = quantity("1", "positions a token reads of those it sees", default=UNLIMITED)
    value_dim: Real | None = quantity(
        "1", "width of a value head where it is not that of a key", default=None
    )
    input_width: Real | None = quantity(
        "1", "width of what is projected where it is not the model's", default=None
    )
    query_rank: Real | None = quantity(
        "1", "width of the latent that queries come from, where there is one", default=None
    )
    indexer: Indexer | None = None
    gated: bool = eqx.field(static=True, default=False)
    own_values: bool = eqx.field(static=True, default=True)
    own_cache: bool = eqx.field(static=True, default=True)

    @property
    def value_width(self) -> Real:
        """Width of a value head [1]."""
        return self.head_dim if self.value_dim is None else self.value_dim

    def matrices(self, hidden: Real) -> list[Matrix]:
        values, source = (
            self.heads * self.value_width,
            hidden if self.input_width is None else self.input_width,
        )
        latent = (
            [] if self.query_rank is None else [Matrix("query latent", source, self.query_rank)]
        )
        query = Matrix(
            "query",
            source if self.query_rank is None else self.query_rank,
            self.heads * self.head_dim + (values if self.gated else 0.0),
            self.heads,
        )
        cached = self.kv_heads * (self.head_dim + (self.value_width if self.own_values else 0.0))
        key_value = [Matrix("key-value", source, cached, self.kv_heads)] if self.own_cache else []
        output = Matrix("output", values, hidden, self.heads, by_rows=True)
        return [*latent, query, *key_value, output, *indexer_matrices(self.indexer, hidden, hidden)]

    def caches(self) -> list[Cache]:
        if not self.own_cache:
            return []
        elements = self.kv_heads * (self.head_dim + self.value_width)
        return [Cache(elements, self.window), *index_keys(self.indexer)]

    def core(self, write: Writer) -> Rows:
        width = self.head_dim + self.value_width
        kept = {} if self.own_cache else {"state_written": 0.0, "state_stored": 0.0}
        core = write.scores(
            self.heads,
            width,
            self.kv_heads * width,
            row_bytes=self.heads * width * write.activation,
            read_window=lesser(self.window, self.top_k, NEITHER),
            store_window=self.window,
            state_slices=self.kv_heads,
            tile=self.head_dim,
            **kept,
        )
        return [("attention", core), *index_scores(self.indexer, write)]

    def merged_elements(self) -> Real:
        return self.heads * (self.value_width + 2.0)

    def whole_heads(self) -> tuple[Real, str]:
        return self.heads, "query heads"

    def cache_heads(self) -> Real:
        return self.kv_heads


class CrossAttention(AttentionKind):
    """Attention to the encoded positions of something else, an image say (Llama 3.2 Vision).

    Their keys and values are made once for a request and then only read: ``positions = 0``, text
    alone, keeps nothing. The prefill of the encoded positions is no part of a step.
    """

    heads: Quantity = quantity("1", "query heads")
    kv_heads: Quantity = quantity("1", "key-value heads")
    head_dim: Quantity = quantity("1", "width of a head")
    positions: Quantity = quantity("1", "encoded positions of a sequence", default=0.0)

    def matrices(self, hidden: Real) -> list[Matrix]:
        width = self.heads * self.head_dim
        return [
            Matrix("query", hidden, width, self.heads),
            Matrix(
                "encoded key-value",
                hidden,
                2.0 * self.kv_heads * self.head_dim,
                self.kv_heads,
                rows=False,
            ),
            Matrix("output", width, hidden, self.heads, by_rows=True),
        ]

    def encoded_elements(self) -> Real:
        """Keys and values of encoded positions, kept of one sequence in one layer and only read
        [1]."""
        return 2.0 * self.kv_heads * self.head_dim * self.positions

    def core(self, write: Writer) -> Rows:
        width, kept = self.heads * self.head_dim, self.encoded_elements() * write.state
        core = Operator(
            row_flops=4.0 * width * self.positions,
            row_vector=SOFTMAX_FLOPS * self.heads * self.positions,
            row_exponential=self.heads * self.positions,
            row_bytes=2.0 * width * write.activation,
            state_fixed=kept,
            state_moved=kept,
            slices=self.heads,
            state_slices=self.kv_heads,
            compute_bits=write.precision.core_bits,
        )
        return [("cross attention", core)]

    def merged_elements(self) -> Real:
        return self.heads * (self.head_dim + 2.0)

    def whole_heads(self) -> tuple[Real, str]:
        return self.heads, "query heads"

    def cache_heads(self) -> Real:
        return self.kv_heads
