"""An attention kind of one's own: every layer keeps one mean key and value for a block."""

import codesign
import hardware_priors
from codesign.numerics.fields import Quantity, Real, quantity


class BlockMean(codesign.AttentionKind):
    """Multi-query attention over the means of blocks of positions."""

    heads: Quantity = quantity("1", "query heads")
    head_dim: Quantity = quantity("1", "width of a head")
    block: Quantity = quantity("1", "positions to a mean")

    def matrices(self, hidden: Real) -> list[codesign.Matrix]:
        width = self.heads * self.head_dim
        fused = codesign.Matrix("query-key-value", hidden, width + 2.0 * self.head_dim, self.heads)
        return [fused, codesign.Matrix("output", width, hidden, self.heads, by_rows=True)]

    def core(self, write: codesign.Writer) -> list[tuple[str, codesign.Operator]]:
        kept = 2.0 * self.head_dim / self.block
        return [("means", write.scores(self.heads, kept, kept))]

    def caches(self) -> list[codesign.Cache]:
        return [codesign.Cache(2.0 * self.head_dim / self.block)]

    def merged_elements(self) -> Real:
        return self.heads * (self.head_dim + 2.0)


def speed(block: float) -> float:
    """Tokens per second of a user at 128K positions on one H200."""
    layer = codesign.LayerKind(BlockMean(32, 128, block), codesign.FeedForward(14336), 32)
    model = codesign.Transformer((layer,), hidden=4096, vocabulary=128256)
    work = codesign.Workload(model, codesign.Decode(batch=8, context=131072))
    world = hardware_priors.technology("N4", "HBM3E", "NVLink4")
    chip = hardware_priors.device("h200").design(chips=1)
    return float(codesign.evaluate(chip, work, technology=world).user_tokens_per_second)
