"""The operators of one layer: dimensions and precision in, coefficients out.

Matrix products follow the lists of a kind's ``matrices``; what has no weights of its own (scores,
scans, recurrences) is its ``core``. ``operators`` puts the layers of a model together.
"""

import dataclasses

from codesign.numerics.fields import Real, real
from codesign.workload.attention import AttentionKind
from codesign.workload.operator import FEED_FORWARD, HEAD, Operator
from codesign.workload.precision import Precision
from codesign.workload.shapes import Matrix
from codesign.workload.transformer import LayerKind, Transformer
from codesign.workload.writer import NORM_FLOPS, Rows, Writer


class LayerWriter:
    """Writes the operators of one layer after another."""

    def __init__(self, model: Transformer, precision: Precision, slice_columns: Real):
        self.model, self.write = model, Writer(model.hidden, precision, slice_columns)

    def layer(self, kind: LayerKind) -> Rows:
        """All operators of one layer, its norms last."""
        rows = [] if kind.attention is None else self.attention(kind.attention)
        if kind.feed_forward is not None:
            rows += kind.feed_forward.operators(self.write)
        return [*rows, ("norms", self.norms(kind)), *self.residual()]

    def attention(self, attention: AttentionKind) -> Rows:
        """Projections, and between them and the output what stands at the centre of the kind.

        Heads of a projection go where the heads of the cache are that they belong to.
        """
        matrices, shared = attention.matrices(self.write.hidden), attention.cache_heads()
        follow = {} if shared is None else {"state_slices": real(shared)}
        products = [
            (matrix.name, dataclasses.replace(self.write.product(matrix, "attention"), **follow))
            for matrix in matrices
        ]
        first = next(
            (k for k, matrix in enumerate(matrices) if matrix.by_rows and matrix.name == "output"),
            len(matrices),
        )
        return products[:first] + attention.core(self.write) + products[first:]

    def norms(self, kind: LayerKind) -> Operator:
        """Norms and residual additions of a layer; several residual streams are all read and
        written."""
        norms = sum(part is not None for part in (kind.attention, kind.feed_forward))
        streams = 1.0 if self.model.streams is None else self.model.streams.count
        return Operator(
            row_vector=norms * NORM_FLOPS * self.write.hidden * streams,
            whole_row_bytes=norms * 4.0 * self.write.hidden * self.write.activation * streams,
            stored=norms * self.write.hidden * self.write.precision.part("attention").weight_bytes,
            compute_bits=self.write.precision.compute_bits,
        )

    def residual(self) -> Rows:
        """What a layer adds to or mixes in its residual: streams, embeddings of its own."""
        model, rows = self.model, []
        if model.streams is not None:
            rows.append(
                (
                    "stream mixing",
                    self.write.product(
                        Matrix("", self.write.hidden, model.streams.mixing), "attention"
                    ),
                )
            )
        if model.per_layer_embedding is not None:
            table = model.per_layer_embedding
            product = self.write.product(Matrix("", self.write.hidden, 3.0 * table.width), "dense")
            stored = (
                table.vocabulary * table.width * self.write.precision.part("embedding").weight_bytes
            )
            rows.append(
                ("layer embedding", dataclasses.replace(product, stored=product.stored + stored))
            )
        return rows

    def ends(self) -> Rows:
        """The embedding table (kept, hardly read) and the output head (read whole for every
        step)."""
        model, form = self.model, self.write.precision.part("embedding")
        slices = self.write.columns(model.vocabulary)
        head = self.write.product(
            Matrix("head", self.write.hidden, model.vocabulary, slices), "head", HEAD
        )
        table = (0.0 if model.tied_embeddings else 1.0) * model.vocabulary + model.positions
        embedding = Operator(
            stored=table * self.write.hidden * form.weight_bytes,
            whole_row_bytes=2.0 * self.write.hidden * self.write.activation,
            division=HEAD,
            slices=slices,
            compute_bits=self.write.precision.compute_bits,
        )
        rows = [("embedding", embedding), ("head", dataclasses.replace(head, kernels=real(1.0)))]
        if model.streams is not None:
            ends = Matrix(
                "",
                self.write.hidden,
                model.streams.end_projections * self.write.hidden,
                self.write.columns(self.write.hidden),
            )
            rows.append(("stream ends", self.write.product(ends, "dense", FEED_FORWARD)))
        return rows
