"""Random models, loads, layouts and machines to compare the model and its oracle on.

A program is compiled for a structure of input, not for its numbers. So that few are compiled, all
models that do not test otherwise have the ``FRAME`` of one structure: a layer of every kind, of
which some occur 0 times.
"""

import dataclasses

import jax
import numpy as np
from hypothesis import strategies as st

import codesign
from codesign.hardware.technology import Attainable
from codesign.workload.precision import PARTS, PartPrecision
from codesign.workload.transformer import (
    CompressedAttention,
    Compression,
    CrossAttention,
    FeedForward,
    GroupedAttention,
    Indexer,
    LatentAttention,
    LayerKind,
    LinearAttention,
    MixtureOfExperts,
    PerLayerEmbedding,
    ResidualStreams,
    SelectiveScan,
    ShortConvolution,
    Transformer,
)


def between(low: float, high: float) -> st.SearchStrategy[float]:
    """Real numbers, spread over decades."""
    return st.floats(0.0, 1.0).map(lambda share: low * (high / low) ** share)


def count(low: int, high: int) -> st.SearchStrategy[float]:
    return st.integers(low, high).map(float)


# ---- Models --------------------------------------------------------------------------------------
# --------------------

WINDOWS = st.one_of(count(1, 900), st.just(1e18))

GROUPED, GATED = (
    st.builds(
        GroupedAttention, heads=count(8, 64), kv_heads=count(1, 16), head_dim=count(8, 256), window=WINDOWS,
        gated=st.just(gated),
    )
    for gated in (False, True)
)  # fmt: skip
INDEXER, UNWEIGHTED = (
    st.builds(Indexer, heads=count(1, 64), dim=count(1, 128), weighted=st.just(weighted)) for weighted in (True, False)
)  # fmt: skip
LATENT, SPARSE = (
    st.builds(
        LatentAttention, heads=count(4, 128), latent_rank=count(16, 512), rope_dim=count(8, 64),
        nope_dim=count(8, 128), value_dim=count(8, 128), query_rank=st.one_of(st.just(0.0), count(16, 1024)),
        latent_reads=count(1, 2), top_k=WINDOWS, indexer=indexer,
    )
    for indexer in (st.none(), INDEXER)
)  # fmt: skip
LINEAR, UNGATED_LINEAR = (
    st.builds(
        LinearAttention, key_heads=count(1, 32), value_heads=count(1, 64), key_dim=count(8, 128),
        value_dim=count(8, 128), convolution=count(0, 5), controls=count(0, 128), gated=st.just(gated),
    )
    for gated in (True, False)
)  # fmt: skip
MLP, UNGATED_MLP = (
    st.builds(FeedForward, width=count(64, 20000), gated=st.just(gated)) for gated in (True, False)
)  # fmt: skip


def mixtures(experts: float, active: float, gated: bool) -> st.SearchStrategy[MixtureOfExperts]:
    return st.builds(
        MixtureOfExperts, experts=st.just(experts), active=st.just(active), width=count(64, 4000),
        shared_width=st.one_of(st.just(0.0), count(64, 4000)), gated=st.just(gated),
    )  # fmt: skip


@st.composite
def framed_models(draw: st.DrawFn, parallel_blocks: bool = False) -> Transformer:
    """Layers of all kinds, 0 to 2 of each; all mixtures have the same number of experts, as the
    model demands."""
    experts = draw(count(2, 64))
    active = draw(count(1, min(int(experts), 8)))
    routed, ungated = (mixtures(experts, active, gated) for gated in (True, False))
    parts = (
        (GROUPED, MLP), (GROUPED, MLP), (LINEAR, MLP), (LATENT, MLP), (GROUPED, routed),
        (SPARSE, ungated), (GATED, UNGATED_MLP), (UNGATED_LINEAR, st.none()), (st.none(), MLP),
    )  # fmt: skip
    kinds = tuple(
        draw(st.builds(LayerKind, count=count(0, 2), attention=a, feed_forward=f)) for a, f in parts
    )
    return draw(transformers(kinds, parallel_blocks=parallel_blocks))


BLOCK_SPARSE = st.builds(
    GroupedAttention, heads=count(8, 64), kv_heads=count(1, 16), head_dim=count(8, 256), window=WINDOWS, top_k=WINDOWS,
    value_dim=count(8, 256), input_width=count(64, 4096), indexer=UNWEIGHTED,
)  # fmt: skip
ONE_PROJECTION = st.builds(
    GroupedAttention,
    heads=count(8, 64),
    kv_heads=count(1, 16),
    head_dim=count(8, 256),
    query_rank=count(16, 1024),
    own_values=st.just(False),
)
BORROWED = st.builds(
    GroupedAttention, heads=count(8, 64), kv_heads=count(1, 16), head_dim=count(8, 256), window=WINDOWS, own_cache=st.just(False)
)  # fmt: skip
CROSS = st.builds(
    CrossAttention,
    heads=count(8, 64),
    kv_heads=count(1, 16),
    head_dim=count(8, 256),
    positions=count(0, 6404),
)
GATED_LATENT = st.builds(
    LatentAttention, heads=count(4, 128), latent_rank=count(16, 512), rope_dim=count(8, 64), nope_dim=count(8, 128),
    value_dim=count(8, 128), gated=st.just(True),
)  # fmt: skip
COMPRESSIONS = (
    st.builds(Compression, ratio=count(2, 128)),
    st.builds(
        Compression, ratio=count(2, 8), top_k=WINDOWS, indexer=INDEXER, overlapping=st.just(True)
    ),
    st.none(),
)
COMPRESSED = [
    st.builds(
        CompressedAttention, heads=count(8, 128), head_dim=count(16, 512), query_rank=count(16, 1024), output_groups=count(1, 16),
        output_rank=count(8, 512), window=count(1, 500), compression=compression,
    )
    for compression in COMPRESSIONS
]  # fmt: skip
DELTA = st.builds(
    LinearAttention, key_heads=count(1, 32), value_heads=count(1, 64), key_dim=count(8, 128), value_dim=count(8, 128),
    convolution=count(0, 5), controls=count(0, 128), decay_rank=count(1, 128), gate_rank=count(1, 128),
)  # fmt: skip
LIGHTNING = st.builds(
    LinearAttention, key_heads=count(1, 32), value_heads=count(1, 64), key_dim=count(8, 128), value_dim=count(8, 128),
    delta=st.just(False),
)  # fmt: skip
SCAN = st.builds(
    SelectiveScan,
    width=count(64, 8192),
    state_dim=count(1, 64),
    step_rank=count(1, 256),
    convolution=count(0, 5),
)
CONVOLUTION = st.builds(ShortConvolution, width=count(64, 8192), taps=count(1, 5))


@st.composite
def models_of_pieces(draw: st.DrawFn) -> Transformer:
    """Every kind of attention that ``framed_models`` has not, experts of another width, weights
    shared by layers."""
    kinds = (
        BLOCK_SPARSE, ONE_PROJECTION, BORROWED, CROSS, GATED_LATENT, *COMPRESSED, DELTA, LIGHTNING, SCAN, CONVOLUTION,
    )  # fmt: skip
    layers = [
        draw(st.builds(LayerKind, count=count(0, 2), attention=kind, feed_forward=st.none()))
        for kind in kinds
    ]
    narrow = dataclasses.replace(
        draw(mixtures(16.0, 2.0, True)), latent_width=draw(count(16, 2048))
    )
    layers.append(LayerKind(count=draw(count(0, 2)), attention=None, feed_forward=narrow))
    shared = st.builds(
        LayerKind, count=count(2, 3), attention=GROUPED, feed_forward=MLP, weight_sets=count(1, 2)
    )
    streams = st.builds(
        ResidualStreams, count=count(1, 4), mixing=count(1, 200), end_projections=count(0, 6)
    )
    table = st.builds(PerLayerEmbedding, vocabulary=count(50, 200000), width=count(1, 256))
    model = draw(transformers((*layers, draw(shared))))
    return dataclasses.replace(model, streams=draw(streams), per_layer_embedding=draw(table))


@st.composite
def dense_models(draw: st.DrawFn) -> Transformer:
    """Without experts, nor room for them; the two ends share their table."""
    kinds = (draw(st.builds(LayerKind, count=count(1, 5), attention=GROUPED, feed_forward=MLP)),)
    return draw(transformers(kinds, tied_embeddings=True))


def transformers(kinds: tuple[LayerKind, ...], **options: bool) -> st.SearchStrategy[Transformer]:
    return st.builds(
        Transformer, hidden=count(64, 8192), vocabulary=count(50, 200000), layers=st.just(kinds),
        positions=count(0, 2048), **{name: st.just(value) for name, value in options.items()},
    )  # fmt: skip


MODELS = {
    "any": framed_models(),
    "parallel": framed_models(parallel_blocks=True),
    "dense": dense_models(),
    "pieces": models_of_pieces(),
}


def small_frame() -> tuple[LayerKind, ...]:
    grouped = GroupedAttention(heads=8, kv_heads=2, head_dim=8)
    latent = LatentAttention(heads=8, latent_rank=8, rope_dim=8, nope_dim=8, value_dim=8)
    sparse = dataclasses.replace(latent, indexer=Indexer(heads=8, dim=8))
    linear = LinearAttention(key_heads=8, value_heads=8, key_dim=8, value_dim=8)
    mlp, routed = FeedForward(width=8), MixtureOfExperts(experts=1, active=1, width=8)
    parts = (
        (grouped, mlp), (grouped, mlp), (linear, mlp), (latent, mlp), (grouped, routed),
        (sparse, dataclasses.replace(routed, gated=False)),
        (dataclasses.replace(grouped, gated=True), dataclasses.replace(mlp, gated=False)),
        (dataclasses.replace(linear, gated=False), None), (None, mlp),
    )  # fmt: skip
    return tuple(LayerKind(count=0, attention=a, feed_forward=f) for a, f in parts)


FRAME = small_frame()
"""The structure of ``framed_models``: no layer at all, room for every kind."""


def framed(model: Transformer) -> Transformer:
    """The same model with layers that occur 0 times beside its own, so that it has the structure of
    ``FRAME``."""
    left = list(model.layers)
    used = [kind.feed_forward for kind in left if isinstance(kind.feed_forward, MixtureOfExperts)]
    layers = []
    for empty in FRAME:
        place = next(
            (
                k
                for k, kind in enumerate(left)
                if jax.tree.structure(kind) == jax.tree.structure(empty)
            ),
            None,
        )
        if place is not None:
            layers.append(left.pop(place))
        elif used and isinstance(empty.feed_forward, MixtureOfExperts):
            same = dataclasses.replace(
                empty.feed_forward, experts=used[0].experts, active=used[0].active
            )
            layers.append(dataclasses.replace(empty, feed_forward=same))
        else:
            layers.append(empty)
    if left:
        raise ValueError(f"no room in the frame for {left}")
    return dataclasses.replace(model, layers=tuple(layers))


# ---- Loads, layouts and machines
# -------------------------------------------------------------------------------------

BATCHES = st.one_of(count(1, 8), between(1.0, 500.0))

PHASES = {
    "decode": st.builds(codesign.Decode, batch=BATCHES, context=between(1.0, 1e5)),
    "draft": st.builds(
        codesign.Decode, batch=BATCHES, context=between(1.0, 1e5),
        draft=st.builds(codesign.Draft, length=count(0, 5), acceptance=st.floats(0.0, 0.95), cost=st.floats(0.0, 0.3)),
    ),
    "prefill": st.integers(1, 1500).flatmap(
        lambda prompt: st.builds(
            codesign.Prefill, batch=BATCHES, prompt=st.just(float(prompt)),
            cached=st.integers(0, prompt - 1).map(lambda cached: cached / prompt),
        )
    ),
}  # fmt: skip

EXECUTIONS = {
    "operatorwise": st.just(codesign.Operatorwise()),
    "dataflow": st.just(codesign.Dataflow()),
    "limit": st.builds(
        codesign.LimitStudy,
        syncs_per_layer=st.floats(0.0, 4.0),
        syncs_per_expert_layer=st.floats(0.0, 4.0),
    ),
}

BITS = st.sampled_from([4.0, 8.0, 16.0])
PRECISIONS = st.builds(
    codesign.Precision, weight_bits=BITS, expert_weight_bits=BITS, state_bits=BITS, activation_bits=BITS,
    message_bits=st.sampled_from([8.0, 16.0, 32.0]), recurrent_bits=st.sampled_from([16.0, 32.0]),
    weight_scale_bits=st.sampled_from([0.0, 0.25, 0.5]),
)  # fmt: skip

FORMS = st.builds(
    PartPrecision, weight_bits=BITS, scale_bits=st.sampled_from([0.0, 0.25, 0.5]), input_bits=BITS
)
PRECISIONS_BY_PART = st.builds(
    codesign.Precision, weight_bits=BITS, expert_weight_bits=BITS, state_bits=BITS, activation_bits=BITS,
    recurrent_bits=st.sampled_from([16.0, 32.0]), **dict.fromkeys(PARTS, FORMS),
)  # fmt: skip

PLANS = st.builds(
    codesign.Plan, pipeline=count(1, 4), context=count(1, 3), data=count(1, 4),
    expert=st.one_of(count(1, 16), st.just(codesign.WHOLE_EXPERTS)), expert_copies=count(1, 2),
    routing_skew=st.floats(1.0, 2.0), kv_ideal=count(0, 1),
    all_reduce=st.sampled_from(sorted(codesign.ALGORITHMS)).map(lambda name: codesign.ALGORITHMS[name][None]),
)  # fmt: skip

TWO_ALGORITHMS = st.lists(
    st.sampled_from(sorted(codesign.ALGORITHMS)), min_size=2, max_size=2, unique=True
).map(lambda names: np.stack([codesign.ALGORITHMS[name] for name in names]))

DESIGNS = st.builds(
    codesign.Design, memory_bandwidth=between(1e11, 1e14), memory_capacity=between(1e10, 1e12),
    peak_flops=between(1e13, 1e17), chips=st.just(1.0), sync_latency=between(1e-8, 1e-4),
    link_bandwidth=between(1e9, 1e13), sram_capacity=between(1e4, 1e9), scale_up_domain=count(1, 64),
    scale_out_bandwidth=between(1e8, 1e12), scale_out_latency=between(1e-8, 1e-4),
)  # fmt: skip

ATTAINABLE = st.builds(
    Attainable, memory=st.floats(0.1, 1.0), compute=st.floats(0.1, 1.0), link=st.floats(0.1, 1.0),
    capacity=st.floats(0.1, 1.0), slice_columns=count(1, 256),
)  # fmt: skip
