"""The indexer that several kinds of attention share."""

import equinox as eqx

from codesign.numerics.fields import Quantity, Real, quantity
from codesign.numerics.ties import at_least
from codesign.workload.shapes import Cache, Matrix
from codesign.workload.writer import Rows, Writer


class Indexer(eqx.Module):
    """Narrow heads that score every cached position with one shared key, so that attention reads
    the best only.

    The lightning indexer of DeepSeek-V3.2-Exp (technical report, 2025-09, eq. 1); ``weighted``
    projects a weight for each of its heads from the hidden state, which MiniMax-M3 does without.
    """

    heads: Quantity = quantity("1", "heads of the indexer")
    dim: Quantity = quantity("1", "width of an indexer head, and of its cached key")
    weighted: bool = eqx.field(static=True, default=True)


def indexer_matrices(
    indexer: Indexer | None, source: Real, hidden: Real, keys: Real = 1.0
) -> list[Matrix]:
    """Queries of all heads; ``keys`` projections as wide as a key, and a weight for each head."""
    if indexer is None:
        return []
    weights = indexer.heads if indexer.weighted else 0.0
    return [
        Matrix("indexer query", source, indexer.heads * indexer.dim),
        Matrix("indexer key", hidden, keys * indexer.dim + weights),
    ]


def index_keys(indexer: Indexer | None, ratio: Real = 1.0) -> list[Cache]:
    """One key for ``ratio`` positions."""
    return [] if indexer is None else [Cache(indexer.dim / ratio)]


def index_scores(indexer: Indexer | None, write: Writer, share: Real = 1.0) -> Rows:
    """A few narrow heads score the whole cache with one shared key; one key for 1 / ``share``
    positions."""
    if indexer is None:
        return []
    score = write.scores(
        indexer.heads,
        indexer.dim * share,
        indexer.dim * share,
        context_vector=2.0 * indexer.heads * share,
        context_exponential=0.0,
        slices=1.0,
        tile=at_least(indexer.dim, 1.0),
    )
    return [("index scores", score)]
