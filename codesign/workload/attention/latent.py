"""Multi-head latent attention."""

import equinox as eqx
import jax.numpy as jnp

from codesign.numerics.fields import Quantity, Real, quantity
from codesign.workload.attention.indexer import Indexer, index_keys, index_scores, indexer_matrices
from codesign.workload.attention.kind import AttentionKind
from codesign.workload.operator import UNLIMITED
from codesign.workload.shapes import Cache, Matrix
from codesign.workload.writer import Rows, Writer


class LatentAttention(AttentionKind):
    """Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434 §2.1), optionally sparse (V3.2:
    top-k with indexer).

    The cache holds ``latent_rank + rope_dim`` elements a position, shared by all heads.
    ``query_rank = 0`` means that queries are projected in one step. ``latent_reads`` is how often a
    decode kernel streams the latent: once when scores and values are fused (FlashMLA), twice
    otherwise. ``top_k`` limits what is read, not what is kept; a layer may have it and no indexer
    of its own, and reads the positions that an earlier layer chose (GLM-5.2). ``gated`` adds an
    output gate as wide as the values of all heads (Kimi-K3).
    """

    heads: Quantity = quantity("1", "heads")
    latent_rank: Quantity = quantity("1", "width of the cached latent (kv_lora_rank)")
    rope_dim: Quantity = quantity("1", "rotary part of a head, cached once")
    nope_dim: Quantity = quantity("1", "non-rotary part of a head")
    value_dim: Quantity = quantity("1", "width of a value head")
    query_rank: Quantity = quantity("1", "width of the query latent, 0 for none", default=0.0)
    latent_reads: Quantity = quantity("1", "times a decode step streams the latent", default=1.0)
    top_k: Quantity = quantity("1", "positions the indexer keeps", default=UNLIMITED)
    indexer: Indexer | None = None
    gated: bool = eqx.field(static=True, default=False)

    def matrices(self, hidden: Real) -> list[Matrix]:
        """Multi-head latent attention (arXiv 2405.04434 §2.1)."""
        values, source = self.heads * self.value_dim, self.query_source(hidden)
        gate = [Matrix("output gate", hidden, values, self.heads)] if self.gated else []
        return [
            Matrix("latent", hidden, self.latent_rank + self.rope_dim + self.query_rank),
            Matrix("query", source, self.heads * (self.nope_dim + self.rope_dim), self.heads),
            Matrix(
                "latent up",
                self.latent_rank,
                self.heads * (self.nope_dim + self.value_dim),
                self.heads,
                expands=True,
            ),
            *gate,
            Matrix("output", values, hidden, self.heads, by_rows=True),
            *indexer_matrices(self.indexer, source, hidden),
        ]

    def query_source(self, hidden: Real) -> Real:
        """Width of what queries are projected from: their latent, or the hidden state without one
        [1]."""
        return jnp.where(self.query_rank > 0, self.query_rank, hidden)

    def caches(self) -> list[Cache]:
        return [Cache(self.latent_rank + self.rope_dim), *index_keys(self.indexer)]

    def core(self, write: Writer) -> Rows:
        head = self.nope_dim + self.rope_dim
        cache = self.latent_rank + self.rope_dim
        core = write.scores(
            self.heads, 2.0 * self.latent_rank + self.rope_dim, cache,
            expanded_context_flops=2.0 * self.heads * (head + self.value_dim),
            row_bytes=self.heads * (head + self.value_dim) * write.activation,
            state_read=(cache + (self.latent_reads - 1.0) * self.latent_rank) * write.state,
            read_window=self.top_k, tile=self.latent_rank,
        )  # fmt: skip
        return [("attention", core), *index_scores(self.indexer, write)]

    def merged_elements(self) -> Real:
        return self.heads * (self.latent_rank + 2.0)

    def whole_heads(self) -> tuple[Real, str]:
        return self.heads, "query heads"
