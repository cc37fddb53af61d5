"""Parameters and growing state of a transformer, in closed form and with a gradient in every
dimension.

Left out, because together they are under 0.1 % of any shipped model: norms, biases, attention
sinks, and the scalar gates of shared experts. Modules for drafting (multi-token prediction) and
vision towers are no part of a ``Transformer``.
"""

import jax.numpy as jnp

from codesign.numerics.fields import Real
from codesign.workload.transformer import (
    UNLIMITED,
    LayerKind,
    Transformer,
    layer_count,
)


def parameter_count(model: Transformer) -> Real:
    """All weights [1], embeddings included and counted once if tied; ``nominal_parameters`` is not
    looked at.

    >>> from codesign.workload.transformer import dense
    >>> llama = dense(hidden=4096, layers=32, heads=32, kv_heads=8, width=14336, vocabulary=128256)
    >>> round(float(parameter_count(llama)) / 1e9, 2)
    8.03
    """
    tables = (1.0 if model.tied_embeddings else 2.0) * model.vocabulary + model.positions
    layers = [kind.stored_count * layer_parameters(kind, model.hidden) for kind in model.layers]
    return model.hidden * tables + residual_parameters(model) + sum(layers, start=jnp.zeros(()))


def active_parameter_count(model: Transformer) -> Real:
    """Weights that serve one token [1]: all but the routed experts it is not sent to.

    Both embedding tables count, as in most model cards; gpt-oss's leaves out the input table.
    """
    idle = [
        kind.stored_count * (routing.experts - routing.active) * routing.weights
        for kind in model.layers
        if kind.feed_forward is not None
        and (routing := kind.feed_forward.routing(model.hidden)) is not None
    ]
    return parameter_count(model) - sum(idle, start=jnp.zeros(()))


def layer_parameters(kind: LayerKind, hidden: Real) -> Real:
    """Weights of one layer [1]."""
    attention, feed_forward = jnp.zeros(()), jnp.zeros_like(hidden)
    if kind.attention is not None:
        matrices = [matrix.weights for matrix in kind.attention.matrices(hidden)]
        attention = sum(matrices, start=kind.attention.other_weights())
    if kind.feed_forward is not None:
        feed_forward = kind.feed_forward.weights(hidden)
    return attention + feed_forward


def residual_parameters(model: Transformer) -> Real:
    """Weights of residual streams and of the embeddings of every layer [1]."""
    found, layers = jnp.zeros(()), layer_count(model)
    if model.streams is not None:
        found = found + model.hidden * (
            model.streams.mixing * layers + model.streams.end_projections * model.hidden
        )
    if model.per_layer_embedding is not None:
        table = model.per_layer_embedding
        found = found + layers * table.width * (
            table.vocabulary + 3.0 * model.hidden
        )  # table; gate, projection, and input's
    return found


def state_bytes_per_token(
    model: Transformer, bytes_per_element: Real, *, beyond_windows: bool = False
) -> Real:
    """Growth of one sequence's cache per position [B], within every window or beyond them all.

    Recurrent states keep their size and add nothing. The keys of an indexer count at the same width
    as the rest.
    """
    elements = [
        kind.count * jnp.where((cache.window < UNLIMITED) & beyond_windows, 0.0, cache.elements)
        for kind in model.layers
        if kind.attention is not None
        for cache in kind.attention.caches()
    ]
    return sum(elements, start=jnp.zeros(())) * bytes_per_element


def recurrent_elements_per_sequence(model: Transformer) -> Real:
    """Elements of all recurrent states of one sequence [1]."""
    return sum(
        (
            kind.count * kind.attention.recurrent_elements()
            for kind in model.layers
            if kind.attention is not None
        ),
        start=jnp.zeros(()),
    )


def convolution_elements_per_sequence(model: Transformer) -> Real:
    """Inputs that all causal convolutions keep of one sequence [1]."""
    return sum(
        (
            kind.count * kind.attention.convolution_elements()
            for kind in model.layers
            if kind.attention is not None
        ),
        start=jnp.zeros(()),
    )
