"""Traffic of one layer by how finely its graph of operators is cut.

Bulk-synchronous software reads the inputs of every operator from memory and writes its outputs
there; a fused group keeps what passes between its members on chip (arXiv 2502.18403). What fusion
saves therefore grows with the number of operators that the software would have run: the graph of
eager PyTorch, which writes the parts of a norm one by one, has more to save than nine kernels.
"""

from typing import NamedTuple

import codesign


class Widths(NamedTuple):
    """Of a dense layer with grouped attention, in elements a token [1]."""

    hidden: float
    query: float
    kv: float
    inner: float

    @property
    def weights(self) -> float:
        """Elements of weights."""
        projections = self.hidden * (self.query + 2.0 * self.kv) + self.query * self.hidden
        return projections + 3.0 * self.hidden * self.inner


class Operator(NamedTuple):
    """One operator of a layer; elements a token that it reads and writes."""

    name: str
    read: float
    written: float
    finest: int  # the coarsest graph in which it stands alone: 0 kernels, 1 operators, 2 eager


GRANULARITIES = ("kernels", "operators", "eager")


def widths(name: str) -> Widths:
    """Of a model's first layer.

    Raises:
        ValueError: it has no grouped attention or no dense MLP.
    """
    model = codesign.model(name)
    layer = model.layers[0]
    attention, mlp = layer.attention, layer.feed_forward
    if not isinstance(attention, codesign.GroupedAttention) or not isinstance(
        mlp, codesign.FeedForward
    ):
        raise ValueError(f"{name} is not dense with grouped attention; expected llama-3.1-8b, say")
    head = float(attention.head_dim)
    sizes = (model.hidden, attention.heads * head, attention.kv_heads * head, mlp.width)
    return Widths(*(float(each) for each in sizes))


def operators(of: Widths, granularity: str) -> list[Operator]:
    """One layer's operators at a granularity.

    Kernels: norms, rotations, residuals and the activation are folded into the products beside
    them. Operators: each of these alone, one kernel. Eager: as PyTorch writes the Llama of Hugging
    Face without a compiler (norms in 32 bit, in six steps; rotations by parts).
    """
    level = GRANULARITIES.index(granularity)
    h, q, kv, f = of
    products = [
        Operator("query, key, value", h if level == 0 else 3.0 * h, q + 2.0 * kv, 0),
        Operator("attention", q + 2.0 * kv, q, 0),
        Operator("output", q, h, 0),
        Operator("gate, up", h if level == 0 else 2.0 * h, 2.0 * f, 0),
        Operator("down", 2.0 * f if level == 0 else f, h, 0),
    ]
    between = [
        Operator("norms", 2.0 * h, 2.0 * h, 1),
        Operator("rotations", q + kv, q + kv, 1),
        Operator("residuals", 4.0 * h, 2.0 * h, 1),
        Operator("activation and product", 2.0 * f, f, 1),
    ]
    steps = [
        Operator("norms, step by step", 2.0 * 10.0 * h, 2.0 * 8.0 * h, 2),
        Operator("rotations, by parts", 6.0 * (q + kv), 5.0 * (q + kv), 2),
        Operator("keys and values repeated", 2.0 * kv, 2.0 * q, 2),
        Operator("residuals", 4.0 * h, 2.0 * h, 2),
        Operator("activation", f, f, 2),
        Operator("product", 2.0 * f, f, 2),
    ]
    return products + ([] if level == 0 else between if level == 1 else steps)


def moved(of: Widths, granularity: str, tokens: float) -> float:
    """Elements that the operators of a layer read and write, weights apart [1]."""
    return tokens * sum(each.read + each.written for each in operators(of, granularity))


def kept_on_chip(of: Widths, granularity: str, tokens: float) -> float:
    """Elements that stay on chip under full fusion [1].

    A fused layer reads its input, writes its output, and writes its new keys and values.
    """
    return moved(of, granularity, tokens) - tokens * 2.0 * (of.hidden + of.kv)


def saved(of: Widths, granularity: str, tokens: float) -> float:
    """Share of a layer's off-chip bytes that full fusion saves; weights are read once either way
    [1].

    Args:
        of: widths of the layer.
        granularity: one of ``GRANULARITIES``.
        tokens: rows of the step [1].

    >>> round(saved(widths("llama-3.1-8b"), "operators", 1024), 2)
    0.44
    """
    kept = kept_on_chip(of, granularity, tokens)
    return kept / (of.weights + moved(of, granularity, tokens))
