"""The model against an independent one in plain Python, at random, and against numbers worked out by hand."""

import dataclasses

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import codesign
from codesign.hardware.technology import Attainable
from codesign.workload.transformer import (
    FeedForward,
    GroupedAttention,
    LatentAttention,
    LayerKind,
    LinearAttention,
    MixtureOfExperts,
    Transformer,
)
from tests.codesign import oracle


def between(low: float, high: float) -> st.SearchStrategy[float]:
    """Real numbers, spread over decades."""
    return st.floats(0.0, 1.0).map(lambda share: low * (high / low) ** share)


def count(low: int, high: int) -> st.SearchStrategy[float]:
    return st.integers(low, high).map(float)


WINDOWS = st.one_of(count(1, 900), st.just(1e18))

GROUPED = st.builds(
    GroupedAttention, heads=count(8, 64), kv_heads=count(1, 16), head_dim=count(8, 256), window=WINDOWS,
)  # fmt: skip
GATED = st.builds(
    GroupedAttention, heads=count(8, 64), kv_heads=count(1, 16), head_dim=count(8, 256), gated=st.just(True)
)
LATENT = st.sampled_from([(0, 0), (1, 64)]).flatmap(
    lambda indexer: st.builds(
        LatentAttention, heads=count(4, 128), latent_rank=count(16, 512), rope_dim=count(8, 64),
        nope_dim=count(8, 128), value_dim=count(8, 128), query_rank=st.one_of(st.just(0.0), count(16, 1024)),
        latent_reads=count(1, 2), top_k=WINDOWS, indexer_heads=count(*indexer), indexer_dim=count(*indexer),
    )
)  # fmt: skip
LINEAR = {
    gated: st.builds(
        LinearAttention, key_heads=count(1, 32), value_heads=count(1, 64), key_dim=count(8, 128),
        value_dim=count(8, 128), convolution=count(0, 5), gated=st.just(gated),
    )
    for gated in (False, True)
}  # fmt: skip
MLP = {gated: st.builds(FeedForward, width=count(64, 20000), gated=st.just(gated)) for gated in (False, True)}


def mixtures(experts: float, active: float, *, gated: bool = True) -> st.SearchStrategy[MixtureOfExperts]:
    return st.builds(
        MixtureOfExperts, experts=st.just(experts), active=st.just(active), width=count(64, 4000),
        shared_width=st.one_of(st.just(0.0), count(64, 4000)), gated=st.just(gated),
    )  # fmt: skip


@st.composite
def models(draw: st.DrawFn, name: str) -> Transformer:
    experts = draw(count(2, 64))
    active = draw(count(1, min(int(experts), 8)))
    routed, ungated = mixtures(experts, active), mixtures(experts, active, gated=False)
    parts = {
        "dense": ((GROUPED, MLP[True]), (GATED, MLP[False])),
        "latent": ((LATENT, MLP[True]), (LATENT, routed)),
        "hybrid": ((LINEAR[True], ungated), (GROUPED, routed)),
        "halves": ((LINEAR[False], st.none()), (st.none(), MLP[False]), (st.none(), routed)),
    }[name]
    kinds = tuple(draw(st.builds(LayerKind, count=count(1, 3), attention=a, feed_forward=f)) for a, f in parts)
    return Transformer(
        hidden=draw(count(64, 8192)), vocabulary=draw(count(50, 200000)), layers=kinds,
        positions=draw(count(0, 2048)), tied_embeddings=name == "hybrid", parallel_blocks=name == "dense",
    )  # fmt: skip


MODELS = ("dense", "latent", "hybrid", "halves")
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
    "limit": st.builds(codesign.Limit, syncs_per_layer=st.floats(0.0, 4.0), syncs_per_expert_layer=st.floats(0.0, 4.0)),
}

BITS = st.sampled_from([4.0, 8.0, 16.0])
PRECISIONS = st.builds(
    codesign.Precision, weight_bits=BITS, expert_weight_bits=BITS, state_bits=BITS, activation_bits=BITS,
    message_bits=st.sampled_from([8.0, 16.0, 32.0]), recurrent_bits=st.sampled_from([16.0, 32.0]),
    weight_scale_bits=st.sampled_from([0.0, 0.25, 0.5]),
)  # fmt: skip

ALGORITHM = st.sampled_from(sorted(codesign.ALGORITHMS))
PLANS = st.builds(
    codesign.Plan, pipeline=count(1, 4), context=count(1, 3), data=count(1, 4),
    expert=st.one_of(count(1, 16), st.just(codesign.WHOLE_EXPERTS)), expert_copies=count(1, 2),
    routing_skew=st.floats(1.0, 2.0), kv_ideal=count(0, 1),
    all_reduce=st.lists(ALGORITHM, min_size=2, max_size=2).map(
        lambda names: np.stack([codesign.ALGORITHMS[name] for name in names])
    ),
)  # fmt: skip

DESIGNS = st.builds(
    codesign.Design, memory_bandwidth=between(1e11, 1e14), memory_capacity=between(1e10, 1e12),
    peak_flops=between(1e13, 1e17), chips=st.just(1.0), sync_latency=between(1e-8, 1e-4),
    link_bandwidth=between(1e9, 1e13), sram_capacity=between(1e4, 1e9), scale_up_domain=count(1, 64),
    scale_out_bandwidth=between(1e8, 1e12), scale_out_latency=between(1e-8, 1e-4),
)  # fmt: skip

ATTAINABLE = st.builds(
    Attainable, memory=st.floats(0.1, 1.0), compute=st.floats(0.1, 1.0), link=st.floats(0.1, 1.0),
    slice_columns=count(1, 256),
)  # fmt: skip


def compare(design, workload, plan, technology, execution) -> None:
    outcome = codesign.evaluate(design, workload, plan, technology=technology, execution=execution)
    expected = oracle.answer(design, workload, plan, technology, execution)
    found = oracle.Answer(
        float(outcome.step_time), float(outcome.time_per_token), float(outcome.capacity_needed), float(outcome.step.wire)
    )
    for name in ("step_time", "time_per_token", "capacity", "wire"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-9, abs=0.0), name


@pytest.mark.parametrize("execution", EXECUTIONS)
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("model", MODELS)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_agrees_with_the_oracle(model, phase, execution, technology, data):
    plan, design = data.draw(PLANS), data.draw(DESIGNS)
    groups = float(plan.pipeline * plan.context * plan.data)
    chips = groups + data.draw(st.one_of(st.just(0.0), count(0, 60), count(0, 7).map(lambda k: k * groups)))
    design = dataclasses.replace(design, chips=chips)
    workload = codesign.Workload(data.draw(models(model)), data.draw(PHASES[phase]), data.draw(PRECISIONS))
    technology = dataclasses.replace(technology, attainable=data.draw(ATTAINABLE))
    compare(design, workload, plan, technology, data.draw(EXECUTIONS[execution]))
