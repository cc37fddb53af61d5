"""The operator table: a model as a few small arrays, whatever its depth.

Each row is one operator of one kind of layer, already multiplied by the number of such layers. What
an operator does is linear in the step's variables (rows, rows × attended positions, sequences ×
cached positions), so the table holds only coefficients. Bytes stored and bytes read are separate
columns: a window, an indexer or a recurrent state reads less than, or differently from, what it
keeps. Tables of different models, padded to the same length, go through one compiled program.
"""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp

from codesign.numerics.fields import Real, real
from codesign.numerics.ties import at_least, lesser
from codesign.numerics.units import BITS_PER_BYTE
from codesign.workload.layer_operators import LayerWriter
from codesign.workload.operator import ATTENTION, EXPERT, FEED_FORWARD, HEAD, Operator
from codesign.workload.precision import Precision, uniform
from codesign.workload.transformer import LayerKind, Routing, Transformer

__all__ = [
    "ATTENTION",
    "EXPERT",
    "FEED_FORWARD",
    "HEAD",
    "Operator",
    "OperatorTable",
    "operator_table",
    "pad",
]


class OperatorTable(eqx.Module):
    """A model ready for the performance model: ``operators`` has columns of shape (rows,), the rest
    are scalars.

    Counts of layers drive the collectives, message sizes are bytes per row of the matrix products.
    """

    operators: Operator
    attention_layers: Real
    attention_reductions: Real  # attention layers that end in an all-reduce of their own
    dense_layers: Real
    expert_layers: Real
    shared_layers: Real  # expert layers that have a shared expert
    layers: Real
    experts: Real  # routed experts of an expert layer; 1 in a dense model
    active: Real  # experts per token; 1 in a dense model
    hidden_bytes: Real  # [B/row] one activation vector in a message
    expert_bytes: Real  # [B/row] what travels back from a routed expert
    dispatch_share: Real  # [1] bytes of what travels there over those
    # [B/row] partial attention output and its log-sum of the mean layer, for context parallelism
    merge_bytes: Real
    logit_bytes: Real  # [B/row]
    activation_bytes: Real  # [B] one activation element
    compute_bits: Real
    names: tuple[str, ...] = eqx.field(static=True)
    has_experts: bool = eqx.field(static=True)


@jax.jit
def operator_table(
    model: Transformer, precision: Precision, *, slice_columns: Real = 64.0
) -> OperatorTable:
    """Write a model as operators.

    Args:
        model: the transformer.
        precision: bits of each kind of data.
        slice_columns: narrowest useful slice of a matrix product [columns]
            (``Technology.attainable.slice_columns``).

    Returns:
        The table: one row an operator of a kind of layer, columns of shape (rows,).

    All mixtures of a model must have the same number of experts, all and active (``validity.check``
    refuses others).

    >>> import codesign
    >>> table = codesign.operator_table(codesign.model("llama-3.1-8b"), codesign.uniform(8))
    >>> table.names[:3]
    ('query', 'key-value', 'attention')
    """
    writer = LayerWriter(model, precision, real(slice_columns))
    rows: list[tuple[str, Operator]] = []
    for index, kind in enumerate(model.layers):
        suffix = f" {index + 1}" if len(model.layers) > 1 else ""
        rows += [
            (name + suffix, _grouped(name, op, kind, index)) for name, op in writer.layer(kind)
        ]
    last = 2.0 * len(model.layers)
    rows += [
        (name, dataclasses.replace(op, group=real(last + k)))
        for k, (name, op) in enumerate(writer.ends())
    ]
    names, operators = zip(*rows, strict=True)
    columns = _stack(operators)
    if model.nominal_parameters is not None:
        columns = _nominal(
            columns, model.nominal_parameters / _streamed_weights(model, slice_columns)
        )
    return _finish(model, precision, columns, names)


_JOINED = ("key-value", "experts down")
"""Operators without a kernel of their own: one product gives queries, keys and values, one kernel
does the experts of a layer."""


def _grouped(name: str, op: Operator, kind: LayerKind, index: int) -> Operator:
    """Multiply an operator by the number of its layers and give it the fusion group of its kind and
    half-layer."""
    per_layer = (
        "streamed row_flops context_flops expanded_context_flops cached_flops row_vector"
        " context_vector row_exponential context_exponential row_bytes whole_row_bytes state_read"
        " state_written state_stored state_fixed state_moved"
    ).split()
    scaled = {column: getattr(op, column) * kind.count for column in per_layer}
    scaled["stored"] = op.stored * kind.stored_count
    half = jnp.where(op.division == ATTENTION, 0.0, 1.0)
    kernels = jnp.zeros_like(kind.count) if name in _JOINED else kind.count
    return dataclasses.replace(op, **scaled, group=2.0 * index + half, kernels=kernels)


def _stack(operators: tuple[Operator, ...]) -> Operator:
    names = [field.name for field in dataclasses.fields(Operator)]
    dtype = jnp.result_type(*[getattr(op, name) for op in operators for name in names])
    return Operator(
        **{name: jnp.stack([getattr(op, name).astype(dtype) for op in operators]) for name in names}
    )


def _streamed_weights(model: Transformer, slice_columns: Real) -> Real:
    """Weights that a step streams, all experts [1]: what the table says at a byte a weight."""
    exact = dataclasses.replace(model, nominal_parameters=None)
    return jnp.sum(
        operator_table(
            exact, uniform(BITS_PER_BYTE), slice_columns=slice_columns
        ).operators.streamed
    )


def _nominal(columns: Operator, scale: Real) -> Operator:
    """Scale streamed weights (and their arithmetic) to a nominal parameter count; the embedding
    table is part of it."""
    is_matrix = columns.streamed > 0
    return dataclasses.replace(
        columns,
        streamed=columns.streamed * scale,
        stored=columns.streamed * scale,
        row_flops=jnp.where(is_matrix, columns.row_flops * scale, columns.row_flops),
    )


def _finish(
    model: Transformer, precision: Precision, columns: Operator, names: tuple[str, ...]
) -> OperatorTable:
    zero = jnp.zeros_like(model.hidden)
    attention, reductions, dense, expert, shared, merge = zero, zero, zero, zero, zero, zero
    dealt: list[Routing] = []
    for kind in model.layers:
        routing = None if kind.feed_forward is None else kind.feed_forward.routing(model.hidden)
        undivided = kind.feed_forward is not None and routing is None
        if kind.attention is not None:
            attention = attention + kind.count
            merge = merge + kind.count * kind.attention.merged_elements()
            joined = model.parallel_blocks and undivided
            reductions = reductions + (0.0 if joined else 1.0) * kind.count
        if undivided:
            dense = dense + kind.count
        if routing is not None:
            dealt.append(routing)
            expert = expert + kind.count
            shared = shared + kind.count * routing.shared
    one = jnp.ones_like(model.hidden)
    message = precision.message_bits / BITS_PER_BYTE
    return OperatorTable(
        operators=columns,
        attention_layers=attention,
        attention_reductions=reductions,
        dense_layers=dense,
        expert_layers=expert,
        shared_layers=shared,
        layers=sum((kind.count for kind in model.layers), start=zero),
        experts=dealt[0].experts if dealt else one,
        active=dealt[0].active if dealt else one,
        hidden_bytes=model.hidden * message,
        expert_bytes=(dealt[0].input_width if dealt else model.hidden) * message,
        dispatch_share=lesser(
            at_least(precision.part("experts").input_bits, 8.0) / precision.message_bits, one
        ),
        merge_bytes=merge / at_least(attention, 1.0) * message,
        logit_bytes=model.vocabulary * message,
        activation_bytes=precision.activation_bits / BITS_PER_BYTE,
        compute_bits=precision.compute_bits,
        names=names,
        has_experts=bool(dealt),
    )


def pad(table: OperatorTable, length: int) -> OperatorTable:
    """Append empty operators, so that tables of different models have one shape and share one
    compiled program.

    Args:
        table: of one model.
        length: rows of the result [1].

    Returns:
        A table of ``length`` rows.

    Raises:
        ValueError: if the table is longer than ``length``.

    >>> import codesign
    >>> table = codesign.operator_table(codesign.model("llama-3.1-8b"), codesign.uniform(8))
    >>> len(codesign.pad(table, 12).names)
    12
    """
    missing = length - len(table.names)
    if missing < 0:
        raise ValueError(
            f"cannot pad an operator table of {len(table.names)} rows to {length}; expected at"
            f" least {len(table.names)}"
        )
    empty = Operator()
    columns = {
        field.name: jnp.concatenate(
            [
                column := getattr(table.operators, field.name),
                jnp.full((missing,), getattr(empty, field.name), column.dtype),
            ]
        )
        for field in dataclasses.fields(Operator)
    }
    padding = tuple(f"padding {k + 1}" for k in range(missing))
    return dataclasses.replace(table, operators=Operator(**columns), names=table.names + padding)


def unnamed(table: OperatorTable, multiple: int) -> OperatorTable:
    """Pad a table to a multiple of so many rows, under names that no model has: models of about one
    size and kind share one compiled program.

    Args:
        table: of one model.
        multiple: the rows of the result are a multiple of it [1].

    >>> import codesign
    >>> table = codesign.operator_table(codesign.model("llama-3.1-8b"), codesign.uniform(8))
    >>> unnamed(table, 12).names[:2], len(unnamed(table, 12).names)
    (('row 1', 'row 2'), 12)
    """
    length = -(-len(table.names) // multiple) * multiple
    names = tuple(f"row {k + 1}" for k in range(length))
    return dataclasses.replace(pad(table, length), names=names)
