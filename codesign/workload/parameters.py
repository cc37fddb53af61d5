"""Parameters and growing state of a transformer, in closed form and with a gradient in every dimension.

Left out, because together they are under 0.1 % of any shipped model: norms, biases, attention sinks, and the scalar
gates of linear attention and shared experts. Modules for drafting (multi-token prediction) and vision towers are no
part of a ``Transformer``.
"""

import jax.numpy as jnp

from codesign.numerics.fields import Number, Real
from codesign.workload.transformer import (
    AttentionKind,
    FeedForwardKind,
    GroupedAttention,
    LatentAttention,
    LinearAttention,
    MixtureOfExperts,
    Transformer,
)


def parameter_count(model: Transformer) -> Real:
    """All weights [1], embeddings included and counted once if tied; ``nominal_parameters`` is not looked at.

    >>> from codesign.workload.transformer import dense
    >>> llama = dense(hidden=4096, layers=32, heads=32, kv_heads=8, width=14336, vocabulary=128256)
    >>> round(float(parameter_count(llama)) / 1e9, 2)
    8.03
    """
    tables = (1.0 if model.tied_embeddings else 2.0) * model.vocabulary + model.positions
    layers = [
        kind.count * (attention_parameters(kind.attention, model.hidden) + feed_forward_parameters(kind.feed_forward, model.hidden))
        for kind in model.layers
    ]
    return model.hidden * tables + sum(layers, start=jnp.zeros(()))


def active_parameter_count(model: Transformer) -> Real:
    """Weights that serve one token [1]: all but the routed experts it is not sent to.

    Both embedding tables count, as in most model cards; gpt-oss's leaves out the input table.
    """
    idle = [
        kind.count * idle_expert_parameters(kind.feed_forward, model.hidden)
        for kind in model.layers
        if isinstance(kind.feed_forward, MixtureOfExperts)
    ]
    return parameter_count(model) - sum(idle, start=jnp.zeros(()))


def state_bytes_per_token(model: Transformer, bytes_per_element: Number) -> Real:
    """Growth of one sequence's cache per position [B], as long as the context is shorter than every window.

    Linear attention keeps a state of constant size and adds nothing. The keys of a sparse-attention indexer count
    at the same width as the rest.
    """
    elements = [kind.count * state_elements(kind.attention) for kind in model.layers]
    return sum(elements, start=jnp.zeros(())) * bytes_per_element


def attention_parameters(attention: AttentionKind | None, hidden: Real) -> Real:
    """Projections of one attention layer [1]."""
    match attention:
        case None:
            return jnp.zeros_like(hidden)
        case GroupedAttention():
            of_queries = (3.0 if attention.gated else 2.0) * attention.heads  # queries, outputs and the output gate
            return hidden * attention.head_dim * (of_queries + 2.0 * attention.kv_heads)
        case LatentAttention():
            return latent_parameters(attention, hidden)
        case LinearAttention():
            keys, values = attention.key_heads * attention.key_dim, attention.value_heads * attention.value_dim
            projections = hidden * (2.0 * keys + (3.0 if attention.gated else 2.0) * values)
            return projections + attention.convolution * (2.0 * keys + values)


def latent_parameters(attention: LatentAttention, hidden: Real) -> Real:
    """Multi-head latent attention [1] (arXiv 2405.04434 §2.1), with the indexer of DeepSeek-V3.2 if it has one.

    The indexer takes its queries from the query latent, and one key and a weight per head from the hidden state
    (DeepSeek-V3.2-Exp technical report, 2025-09, eq. 1).
    """
    queries = attention.heads * (attention.nope_dim + attention.rope_dim)
    has_latent = attention.query_rank > 0
    source = jnp.where(has_latent, attention.query_rank, hidden)
    key_values = hidden * (attention.latent_rank + attention.rope_dim) + attention.latent_rank * attention.heads * (
        attention.nope_dim + attention.value_dim
    )
    outputs = attention.heads * attention.value_dim * hidden
    index_queries = source * attention.indexer_heads * attention.indexer_dim
    index_keys = hidden * (attention.indexer_dim + attention.indexer_heads)
    return hidden * attention.query_rank + source * queries + key_values + outputs + index_queries + index_keys


def feed_forward_parameters(part: FeedForwardKind | None, hidden: Real) -> Real:
    """Matrices of one MLP, or of all experts, the shared ones and the router [1]."""
    if part is None:
        return jnp.zeros_like(hidden)
    matrices = 3.0 if part.gated else 2.0
    if isinstance(part, MixtureOfExperts):
        return hidden * (matrices * (part.experts * part.width + part.shared_width) + part.experts)
    return matrices * hidden * part.width


def idle_expert_parameters(part: MixtureOfExperts, hidden: Real) -> Real:
    """Matrices of the routed experts that a token is not sent to [1]."""
    return (3.0 if part.gated else 2.0) * hidden * part.width * (part.experts - part.active)


def state_elements(attention: AttentionKind | None) -> Real:
    """Cached elements per position of one layer [1]."""
    match attention:
        case GroupedAttention():
            return 2.0 * attention.kv_heads * attention.head_dim
        case LatentAttention():
            return attention.latent_rank + attention.rope_dim + attention.indexer_dim
        case _:
            return jnp.zeros(())
