"""The model against an independent one in plain Python, at random, and against numbers worked out
by hand."""

import dataclasses

import jax
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import strategies as st

import codesign
from codesign.hardware.technology import Attainable
from codesign.workload.transformer import (
    AttentionKind,
    FeedForward,
    FeedForwardKind,
    GroupedAttention,
    LatentAttention,
    LayerKind,
    LinearAttention,
    MixtureOfExperts,
    Transformer,
)
from tests.codesign import oracle
from tests.codesign.oracle_examples import (
    ATTAINABLE,
    DESIGNS,
    EXECUTIONS,
    FRAME,
    MODELS,
    PHASES,
    PLANS,
    PRECISIONS,
    PRECISIONS_BY_PART,
    TWO_ALGORITHMS,
    count,
    framed,
    framed_models,
)
from tests.examples import examples

CASES = [("any", phase, "operatorwise") for phase in PHASES] + [
    ("any", "decode", "dataflow"),
    ("any", "draft", "dataflow"),
]
CASES += [("any", "decode", "limit"), ("any", "prefill", "limit")]
CASES += [
    ("pieces", "decode", "operatorwise"),
    ("pieces", "prefill", "dataflow"),
    ("pieces", "decode", "limit"),
]
CASES += [
    ("parallel", "decode", "operatorwise"),
    ("dense", "decode", "operatorwise"),
    ("dense", "prefill", "dataflow"),
]


SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]


@pytest.mark.parametrize(("model", "phase", "execution"), CASES)
@examples(12, suppress_health_check=SLOW, phases=set(Phase) - {Phase.explain})
@given(data=st.data())
def test_agrees_with_the_oracle(model, phase, execution, technology, data):
    plan, design = data.draw(PLANS), data.draw(DESIGNS)
    if model == "dense":
        plan = dataclasses.replace(plan, all_reduce=data.draw(TWO_ALGORITHMS))
    groups = float(plan.pipeline * plan.context * plan.data)
    chips = groups + data.draw(
        st.one_of(st.just(0.0), count(0, 60), count(0, 7).map(lambda k: k * groups))
    )
    design = dataclasses.replace(design, chips=chips)
    precision = data.draw(PRECISIONS_BY_PART if model == "pieces" else PRECISIONS)
    workload = codesign.Workload(data.draw(MODELS[model]), data.draw(PHASES[phase]), precision)
    technology = dataclasses.replace(technology, attainable=data.draw(ATTAINABLE))
    how = data.draw(EXECUTIONS[execution])
    outcome = codesign.evaluate(design, workload, plan, technology=technology, execution=how)
    load = outcome.step.load
    assert dataclasses.asdict(oracle.answer(design, workload, plan, technology, how)) == {
        "step_time": close(outcome.step_time),
        "time_per_token": close(outcome.time_per_token),
        "capacity": close(outcome.capacity_needed),
        "flops": close(np.sum(load.flops)),
        "moved": close(np.sum(load.weights + load.state + load.activations)),
        "wire": close(outcome.step.wire),
    }


def close(value):
    return pytest.approx(float(value), rel=1e-9, abs=0.0)


@examples(3)
@given(model=framed_models())
def test_random_models_share_a_program_with_those_below(model):
    assert jax.tree.structure(model.layers) == jax.tree.structure(FRAME)
    assert jax.tree.structure(framed(one_layer()).layers) == jax.tree.structure(FRAME)


# ---- By hand ----------------------------------------------------------------------
#
# One resource runs at 1 unit a second and all others at 10^30, so that a step takes as many seconds
# as it moves bytes, counts FLOPs, sends bytes, or waits. Everything has 16 bit = 2 bytes an
# element. The model has 1 layer of width 4:
#
#   grouped attention, 4 heads of width 8 (32 query columns), 2 KV heads (2·2·8 = 32 key and value
#   columns)
#     weights: query 4·32 = 128, key-value 4·32 = 128, output 32·4 = 128
#   MLP of width 16, gated: up 4·(2·16) = 128, down 16·4 = 64
#   vocabulary 100: head 4·100 = 400, embedding 400 (kept, not streamed); norms 2·4 = 8 (kept, not
#   streamed)

ATTENTION = GroupedAttention(heads=4, kv_heads=2, head_dim=8)
MATRICES = FeedForward(width=16)
DECODE = codesign.Decode(batch=3, context=10)


def layer(attention, feed_forward) -> LayerKind:
    return LayerKind(count=1, attention=attention, feed_forward=feed_forward)


def one_layer(
    attention: AttentionKind = ATTENTION, feed_forward: FeedForwardKind = MATRICES, **options
) -> Transformer:
    return several_layers(layer(attention, feed_forward), **options)


def several_layers(*kinds: LayerKind, **options) -> Transformer:
    return Transformer(hidden=4, vocabulary=100, layers=kinds, **options)


def run(
    technology,
    model,
    phase,
    plan=None,
    *,
    chips: float = 1,
    execution=None,
    exponential_ratio=1e30,
    **machine,
):
    """Step on a machine where all that ``machine`` does not name is free; ``model`` gets room for
    layers it has not."""
    free = {
        "memory_bandwidth": 1e30,
        "memory_capacity": 1e9,
        "peak_flops": 1e30,
        "sync_latency": 0.0,
        "link_bandwidth": 1e30,
        "sram_capacity": 1e60,
        "scale_out_bandwidth": 1e30,
        "scale_out_latency": 0.0,
    }
    vector_ratio = machine.pop("vector_ratio", 1e30)
    technology = dataclasses.replace(
        technology,
        attainable=Attainable(memory=1, compute=1, link=1, capacity=1, slice_columns=1),
        logic=dataclasses.replace(
            technology.logic, vector_ratio=vector_ratio, exponential_ratio=exponential_ratio
        ),
    )
    workload = codesign.Workload(framed(model), phase, codesign.uniform(16))
    design = codesign.Design(chips=chips, **(free | machine))
    return codesign.evaluate(design, workload, plan, technology=technology, execution=execution)


def seconds(*arguments, **options) -> float:
    return float(run(*arguments, **options).step_time)


def exactly(value: float):
    return pytest.approx(value, rel=1e-12)


READING = {"memory_bandwidth": 1.0}
COMPUTING = {"peak_flops": 1.0}
SENDING = {"link_bandwidth": 1.0}
WAITING = {"sync_latency": 1.0}


def test_more_tensor_ranks_than_kv_heads(technology):
    # 4 chips, 3 rows, 10 positions. Each KV head lies on two chips.
    weights = 128 / 4 + 128 / 2 + 128 / 4 + 128 / 4 + 64 / 4 + 400 / 4  # 276 elements a chip
    state = 3 * 10 * 32 / 2 + 3 * 32 / 2  # read 480, written 48
    activations = 3 * (
        (4 + 32 / 4)  # query: input whole, output by columns
        + (4 + 32 / 2)  # key-value
        + 2 * 32 / 4  # core: queries in, sums out
        + (32 / 4 + 4)  # output: a partial sum is written whole
        + 2 * 4 * 4  # two norms
        + (4 + 32 / 4) + (16 / 4 + 4)  # MLP
        + 2 * 4 + (4 + 100 / 4)  # embedding, head
    )  # fmt: skip
    assert (weights, state, activations) == (276, 528, 447)
    assert seconds(technology, one_layer(), DECODE, chips=4, **READING) == exactly(
        2 * (276 + 528 + 447)
    )
    # kept by a chip: 276 streamed, 8 of the norms whole, 400/4 of the embedding, a cache of 480
    kept = run(technology, one_layer(), DECODE, chips=4).capacity_needed
    assert float(kept) == exactly(4 * 2 * (276 + 8 + 100 + 480))
    # The limit study may cut the cache in four: (960 + 96)/4 = 264
    ideal = codesign.Plan(kv_ideal=1)
    assert seconds(technology, one_layer(), DECODE, ideal, chips=4, **READING) == exactly(
        2 * (276 + 264 + 447)
    )
    # FLOPs: 2 a weight and row (two chips repeat each KV head's projection), scores and sums
    # 4·32·10 a row over 4 heads
    work = 3 * 2 * 276 + 3 * 1280 / 4
    assert seconds(technology, one_layer(), DECODE, chips=4, **COMPUTING) == exactly(work)


def test_fused_and_limit(technology):
    # Fused: weights and state of the above without activations. Limit study: ideal slices, (128·4 +
    # 64 + 400)/4 = 244 weights, state read but not written: 480
    fused, limit = codesign.Dataflow(), codesign.LimitStudy(syncs_per_layer=3)
    assert seconds(technology, one_layer(), DECODE, chips=4, execution=fused, **READING) == exactly(
        2 * (276 + 528)
    )
    assert seconds(technology, one_layer(), DECODE, chips=4, execution=limit, **READING) == exactly(
        2 * (244 + 480)
    )
    assert seconds(technology, one_layer(), DECODE, chips=4, execution=limit, **WAITING) == exactly(
        3
    )
    # Half-layers overlap: at 1 B/s and 4 FLOP/s on one chip, 3 rows, bytes against seconds of
    # FLOPs:   attention   2·(3·128 + 960 + 96) = 2880 B,  3·(2·384 + 1280)/4 = 1536 s   MLP
    # 2·192 = 384 B,                  3·2·192/4 = 288 s   head        2·400 = 800 B,
    # 3·2·400/4 = 600 s
    overlap = {"memory_bandwidth": 1.0, "peak_flops": 4.0, "execution": fused}
    assert seconds(technology, one_layer(), DECODE, **overlap) == exactly(2880 + 384 + 800)
    # ... and at 2 FLOP/s all three are bound by compute: the half of attention 3072, MLP 576, head
    # 1200
    overlap["peak_flops"] = 2.0
    assert seconds(technology, one_layer(), DECODE, **overlap) == exactly(3072 + 576 + 1200)


def test_vector_exponential_and_sram(technology):
    # One chip. Vector FLOPs a row: norms 2·8·4 = 64, scores 4·4·10 = 160, MLP 4·16 = 64.
    # Exponentials: 4·10 + 16 = 56.
    per_second = {"peak_flops": 1e30, "vector_ratio": 1e-30}
    assert seconds(technology, one_layer(), DECODE, **per_second) == exactly(3 * (64 + 160 + 64))
    assert seconds(technology, one_layer(), DECODE, exponential_ratio=1e-30) == exactly(3 * 56)
    # With an SRAM of 8 B = 4 elements, products of 2mnk FLOPs move 2mnk/√4 elements and scores
    # FLOPs·8/(4·4), which is more than their weights, state and activations. A row: query, key-
    # value, output and up 2·128/2 each, down 2·64/2, head 2·400/2, scores 1280·8/16; norms and
    # embedding have no such bound and move their 32 + 8.
    crowd, a_row = codesign.Decode(batch=300, context=10), 4 * 128 + 64 + 400 + 640 + 32 + 8
    assert seconds(technology, one_layer(), crowd, sram_capacity=8, **READING) == exactly(
        2 * 300 * a_row
    )


def test_context_parallel(technology):
    # 4 chips: 2 context ranks of 2 tensor ranks; the MLP and the head over all 4. Each sees half of
    # the 10 positions.
    weights = 3 * 128 / 2 + 128 / 4 + 64 / 4 + 400 / 4
    state = (3 * 10 * 32 + 3 * 32) / 2 / 2
    activations = 3 * (
        (4 + 16) + (4 + 16) + 64 / 2 + (16 + 4) + 32 + (4 + 8) + (4 + 4) + 8 + (4 + 25)
    )
    assert (weights, state, activations) == (340, 264, 543)
    plan = codesign.Plan(context=2)
    assert seconds(technology, one_layer(), DECODE, plan, chips=4, **READING) == exactly(
        2 * (340 + 264 + 543)
    )
    # Messages: 3 rows of 4 elements of 2 B = 24 B. A two-shot all-reduce over n chips sends 2(n −
    # 1)/n of them: over 2 after attention 24, over 4 after the MLP and the embedding 36 each.
    # Partial sums of 4 heads with two scalars each, 4·(8 + 2)/2 = 20 elements a row on a chip, 120
    # B: half goes to the other rank. Logits 3·100·2 B: three quarters.
    outcome = run(technology, one_layer(), DECODE, plan, chips=4, **SENDING)
    assert float(outcome.step_time) == exactly(24 + 36 + 36 + 60 + 450)
    assert float(outcome.step.wire) == exactly(24 + 36 + 36 + 60 + 450)
    # Two exposed latencies each all-reduce, one each all-to-all
    assert seconds(technology, one_layer(), DECODE, plan, chips=4, **WAITING) == exactly(
        2 + 2 + 2 + 1 + 1
    )


def test_attention_data_and_expert_parallel(technology):
    # 4 chips: 2 attention groups of 2 tensor ranks; 2 expert groups, each expert sliced over 2
    # chips. 4 sequences, so 2 rows a group and 4 a stage. All 4 of 4 experts serve every row, which
    # leaves nothing to chance: a group of chips holds 2 experts and gets 4·2 = 8 pairs, of which
    # the skew makes 10.
    mixture = MixtureOfExperts(experts=4, active=4, width=8, shared_width=8)
    plan = codesign.Plan(data=2, expert=2, routing_skew=1.25)
    phase = codesign.Decode(batch=4, context=10)
    weights = (
        3 * 128 / 2 + 16 + 2 * (64 + 32) / 2 + (64 + 32) / 2 + 400 / 2
    )  # router 4·4 whole; experts 4·16 + 8·4
    state = 2 * (10 * 32 + 32) / 2
    group = 2 * (
        (4 + 16) + (4 + 16) + 32 + (16 + 4) + 32 + (4 + 4) + (4 + 8) + (4 + 4) + 8 + (4 + 50)
    )
    pairs = 10 * ((4 + 8) + (4 + 4))
    assert (weights, state, group, pairs) == (552, 352, 428, 200)
    model = one_layer(feed_forward=mixture)
    assert seconds(technology, model, phase, plan, chips=4, **READING) == exactly(
        2 * (552 + 352 + 428 + 200)
    )
    # All-reduces over 2 chips send their message once: 2 rows of 8 B after attention, shared expert
    # and embedding, and 4 rows · 4 experts / 2 groups of 8 B within an expert group. Two all-to-
    # alls of 1 row · 4 experts · 8 B, 3/4 each. Logits: half of 2·100·2 B.
    assert seconds(technology, model, phase, plan, chips=4, **SENDING) == exactly(
        3 * 16 + 64 + 2 * 24 + 200
    )
    assert seconds(technology, model, phase, plan, chips=4, **WAITING) == exactly(4 * 2 + 2 * 1 + 1)
    # Kept by a chip: streamed attention 192, router 16, 4 of 4 experts over 4 chips, shared 48,
    # head and embedding 200 each, norms 8, and the caches of 2 sequences on 2 ranks
    kept = 192 + 16 + 96 + 48 + 200 + 200 + 8 + 2 * 320 / 2
    assert float(run(technology, model, phase, plan, chips=4).capacity_needed) == exactly(
        4 * 2 * kept
    )


def test_pipeline_beyond_a_domain(technology):
    # 8 chips in domains of 2: 2 stages of 4 tensor ranks, 4 sequences in 2 microbatches of 2 rows.
    # Messages of 16 B. All-reduce over 4: two-shot inside a pair sends 16 B, then a ring over 2
    # pairs with half of it, 2·½·8 = 8 B. Logits 400 B: a quarter inside, half outside. One hop of
    # 2·2·8/4 = 8 B, outside, as the 8 chips leave the domain.
    plan, phase = codesign.Plan(pipeline=2), codesign.Decode(batch=4, context=10)
    options = {"chips": 8, "scale_up_domain": 2}
    assert seconds(technology, one_layer(), phase, plan, **options, link_bandwidth=1) == exactly(
        3 * 16 + 100
    )
    assert seconds(
        technology, one_layer(), phase, plan, **options, scale_out_bandwidth=1
    ) == exactly(3 * 8 + 200 + 8)
    assert seconds(technology, one_layer(), phase, plan, **options, sync_latency=1) == exactly(
        3 * 2 + 1
    )
    assert seconds(technology, one_layer(), phase, plan, **options, scale_out_latency=1) == exactly(
        3 * 2 + 1 + 1
    )
    # Weights pass once for each microbatch, and a stage keeps half of them and the caches of all 4
    # sequences.
    kept = (276 + 8 + 100 + 4 * 320 / 2) / 2
    assert float(run(technology, one_layer(), phase, plan, **options).capacity_needed) == exactly(
        8 * 2 * kept
    )


def test_one_drafted_token(technology):
    # One chip. 976 weights, 3 caches of 320 elements; a row writes 32 and passes 372 elements
    # between operators: 36 each of query, key-value, output and up, 64 core, 32 norms, 20 down, 8
    # embedding, 104 head. 6 rows are verified; drafting one token costs a tenth of a step of 3
    # rows. Half the drafts are right: 1.5 tokens a step.
    phase = codesign.Decode(
        batch=3, context=10, draft=codesign.Draft(length=1, acceptance=0.5, cost=0.1)
    )
    verifying, plain = 2 * (976 + 960 + 6 * 404), 2 * (976 + 960 + 3 * 404)
    assert (verifying, plain) == (8720, 6296)
    outcome = run(technology, one_layer(), phase, **READING)
    assert float(outcome.step_time) == exactly(8720 + 629.6)
    assert float(outcome.time_per_token) == exactly((8720 + 629.6) / 1.5)
    # The draft model keeps a tenth of the weights (with 400 of the embedding and 8 of the norms)
    # and of the caches
    assert float(outcome.capacity_needed) == exactly(1.1 * 2 * (976 + 408 + 960))


def test_drafting_sends_and_waits(technology):
    # Two tokens by a draft half as large: 2·½ = 1 step of 3 rows, which sends 558 B (the 36·3 + 450
    # of test_parallel_blocks_add_once), beside verifying 9 rows, which sends three times as much.
    # Three all-reduces of 2 latencies and the logits of 1, in either.
    phase = codesign.Decode(
        batch=3, context=10, draft=codesign.Draft(length=2, acceptance=0.5, cost=0.5)
    )
    outcome = run(technology, one_layer(), phase, chips=4, **SENDING)
    assert float(outcome.step.wire) == exactly(4 * 558)
    assert float(outcome.step_time) == exactly(4 * 558)
    assert float(np.sum(outcome.step.transfer)) == exactly(4 * 558)
    waiting = run(technology, one_layer(), phase, chips=4, **WAITING)
    assert float(waiting.step_time) == float(np.sum(waiting.step.latency)) == exactly(7 + 7)
    # On one chip all operators together compute 12 rows: 2 FLOPs a weight and 1280 of scores
    computing = run(technology, one_layer(), phase, chips=1, **COMPUTING)
    assert (
        float(computing.step_time)
        == float(np.sum(computing.step.operators))
        == exactly(12 * (2 * 976 + 1280))
    )


def test_fused_drafts_overlap_among_themselves(technology):
    # At 1 B/s and 4 FLOP/s on one chip (test_fused_and_limit) 3 rows are bound by memory in each
    # half, 2880 + 384 + 800. Verifying 30 rows is bound by compute: 30/3·1536 = 15360, 30/3·288 =
    # 2880 and 30/3·600 = 6000. Nothing overlaps with the 9 drafts of a tenth of the size.
    phase = codesign.Decode(
        batch=3, context=10, draft=codesign.Draft(length=9, acceptance=0.5, cost=0.1)
    )
    fused = {"memory_bandwidth": 1.0, "peak_flops": 4.0, "execution": codesign.Dataflow()}
    expected = 15360 + 2880 + 6000 + 0.9 * (2880 + 384 + 800)
    assert seconds(technology, one_layer(), phase, **fused) == exactly(expected)


def test_window(technology):
    # A layer that sees 4 of 10 positions beside one that sees all: 4 + 10 positions are read, kept
    # and looked at.
    local = GroupedAttention(heads=4, kv_heads=2, head_dim=8, window=4)
    model = several_layers(layer(local, MATRICES), layer(ATTENTION, MATRICES))
    weights = 2 * 576 + 400
    read = (
        weights + 3 * 14 * 32 + 3 * 2 * 32 + 3 * (2 * 260 + 112)
    )  # as above: 404 a row are 32 + 260 + 112
    assert seconds(technology, model, DECODE, **READING) == exactly(2 * read)
    assert seconds(technology, model, DECODE, **COMPUTING) == exactly(
        3 * (2 * weights + 4 * 32 * 14)
    )
    kept = weights + 400 + 2 * 8 + 3 * 14 * 32
    assert float(run(technology, model, DECODE).capacity_needed) == exactly(2 * kept)


def test_hybrid_of_linear_and_grouped_attention(technology):
    # Linear: 2 key heads and 4 value heads of width 8, K = 16, V = 32, convolution of 3 taps over
    # 2·16 + 32 = 64. Input 4·(2·16 + 2·32 + 8 controls) = 416 weights, output 32·4 = 128; the 64·3
    # taps are kept. A state of 4·8·8 = 256 elements of 4 B and 64·3 of 2 B = 1408 B a sequence,
    # read and written, whatever the context.
    linear = LinearAttention(
        key_heads=2, value_heads=4, key_dim=8, value_dim=8, convolution=3, controls=8
    )
    model = several_layers(layer(linear, MATRICES), layer(ATTENTION, MATRICES))
    weights = 416 + 128 + 192 + 576 + 400
    rows = (4 + 104) + 2 * 64 + (32 + 4) + 32 + 36 + 20  # input, recurrence, output; norms and MLP
    read = 2 * (weights + 3 * (10 * 32 + 32) + 3 * (rows + 260 + 112)) + 3 * 2 * 1408
    assert seconds(technology, model, DECODE, **READING) == exactly(read)
    # 8·4·8·8 FLOPs of recurrence a row
    assert seconds(technology, model, DECODE, **COMPUTING) == exactly(
        3 * (2 * weights + 2048 + 1280)
    )
    assert seconds(technology, model, DECODE, peak_flops=1e30, vector_ratio=1e-30) == exactly(
        3 * (2 * 64 * 3 + 4 * 4 * 10 + 2 * 64 + 2 * 64)  # convolution, scores, norms, MLPs
    )
    kept = 2 * (weights + 64 * 3 + 400 + 16 + 3 * 320) + 3 * 1408
    assert float(run(technology, model, DECODE).capacity_needed) == exactly(kept)
    # On 8 chips of 2 context ranks each of 4 heads has its chip, and only the grouped layer's cache
    # is cut by context: 1408/4 a sequence; 2 KV heads · 2 context ranks
    fused, plan = codesign.Dataflow(), codesign.Plan(context=2)
    cut = 544 / 4 + (128 + 128 / 2 + 128 / 4) - 128 * 3 / 4 + (2 * 192 + 400) / 8
    state = 2 * 3 * (320 + 32) / 4 + 3 * 2 * 1408 / 4
    assert seconds(technology, model, DECODE, plan, chips=8, execution=fused, **READING) == exactly(
        2 * cut + state
    )


def test_prefill_with_window_and_cached_share(technology):
    # 2 prompts of 12, half of it cached: 6 new rows each, at positions 7 … 12.
    local = GroupedAttention(heads=4, kv_heads=2, head_dim=8, window=8)
    phase = codesign.Prefill(batch=2, prompt=12, cached=0.5)
    seen = 7 + 8 + 8 + 8 + 8 + 8  # min(position, window)
    # 2·576 FLOPs a row, 2·400 a sequence for the one token wanted, 4·32 for each position seen
    work = 12 * 2 * 576 + 2 * 2 * 400 + 2 * 4 * 32 * seen
    assert seconds(technology, one_layer(local), phase, **COMPUTING) == exactly(work)
    # With a window of 4 the oldest row, 7, sees 4 … 7: of the cache and itself min(12, 4 + 6) = 10
    # are charged; 4 are kept
    local = GroupedAttention(heads=4, kv_heads=2, head_dim=8, window=4)
    read = 976 + 2 * 10 * 32 + 12 * 32 + 12 * 260 + 2 * 112
    assert seconds(technology, one_layer(local), phase, **READING) == exactly(2 * read)
    assert float(run(technology, one_layer(local), phase).capacity_needed) == exactly(
        2 * (976 + 408 + 2 * 4 * 32)
    )


def test_latent_attention(technology):
    # 4 heads, latent 6, rope 2, nope 4, value 4, no query latent: down 4·8, query 4·4·6, up 6·4·8,
    # output 16·4
    latent = LatentAttention(heads=4, latent_rank=6, rope_dim=2, nope_dim=4, value_dim=4)
    model, weights = one_layer(latent), 32 + 96 + 192 + 64 + 192 + 400
    # Decode: scores against the latent and rope, sums of the latent: 2·4·(2·6 + 2) = 112 FLOPs a
    # position
    assert seconds(technology, model, DECODE, **COMPUTING) == exactly(3 * (2 * weights + 10 * 112))
    # Prefill of 6 rows on 6 cached positions: whole heads, 2·4·(4 + 2 + 4) = 80; the cached are
    # expanded by `up` again
    phase = codesign.Prefill(batch=1, prompt=12, cached=0.5)
    work = 6 * 2 * (weights - 400) + 2 * 400 + 6 * 2 * 192 + 80 * (7 + 8 + 9 + 10 + 11 + 12)
    assert seconds(technology, model, phase, **COMPUTING) == exactly(work)
    # 2 chips cut everything but the down product and the cache of 6 + 2 elements a position
    cut = 32 + (weights - 32) / 2 + 3 * 10 * 8 + 3 * 8
    fused = codesign.Dataflow()
    assert seconds(technology, model, DECODE, chips=2, execution=fused, **READING) == exactly(
        2 * cut
    )


def test_parallel_blocks_add_once(technology):
    # 4 chips, 24 B: an all-reduce sends 36 B, one for the layer and one for the embedding; logits
    # 450
    parallel = one_layer(parallel_blocks=True)
    assert seconds(technology, parallel, DECODE, chips=4, **SENDING) == exactly(36 + 36 + 450)
    assert seconds(technology, one_layer(), DECODE, chips=4, **SENDING) == exactly(
        36 + 36 + 36 + 450
    )
    # Attention has nothing to be added with where there is no MLP, or experts have sums of their
    # own: one more of each
    linear = LinearAttention(key_heads=2, value_heads=4, key_dim=8, value_dim=8, gated=False)
    mixture = MixtureOfExperts(experts=4, active=4, width=8)
    model = several_layers(
        layer(ATTENTION, MATRICES),
        layer(linear, None),
        layer(ATTENTION, mixture),
        parallel_blocks=True,
    )
    assert seconds(technology, model, DECODE, chips=4, **SENDING) == exactly(
        36 + 36 + 36 + 36 + 36 + 450
    )


def test_every_layer_merges_its_own_partial_sums(technology):
    # 2 chips are 2 context ranks. 3 rows of 2 B: grouped attention merges 4·(8 + 2) = 40 elements a
    # row, 240 B, linear attention 4·8 = 32, 192 B; half goes to the other rank. All-reduces over 2
    # of 24 B: two MLPs and the embedding. Half of the 600 B of logits.
    linear = LinearAttention(key_heads=2, value_heads=4, key_dim=8, value_dim=8)
    model = several_layers(layer(linear, MATRICES), layer(ATTENTION, MATRICES))
    expected = (240 + 192) / 2 + 3 * 24 + 300
    assert seconds(
        technology, model, DECODE, codesign.Plan(context=2), chips=2, **SENDING
    ) == exactly(expected)


def test_a_shared_expert_of_no_width_takes_no_time(technology):
    mixture = MixtureOfExperts(experts=4, active=4, width=8)
    # 128·3 attention, router 16, experts 4·96, head 400; a row: 32 of cache, 36·3 + 64 + 32 of
    # attention and norms, router 8, embedding and head 112; 4 pairs a row of (4 + 16) + (8 + 4)
    read = 384 + 16 + 384 + 400 + 960 + 3 * (32 + 204 + 8 + 112 + 4 * 32)
    assert seconds(technology, one_layer(feed_forward=mixture), DECODE, **READING) == exactly(
        2 * read
    )


def test_a_group_inside_its_domain_stays_there(technology):
    # The domain holds a billion chips: no latency of the outer tier, whatever fraction of a chip
    # there is
    mixture = MixtureOfExperts(experts=64, active=4, width=8)
    model = several_layers(layer(ATTENTION, MATRICES), layer(ATTENTION, mixture))
    plan = codesign.Plan(data=3, expert=7)
    for chips in np.linspace(3.5, 200.3, 100):
        outside = seconds(technology, model, DECODE, plan, chips=chips, scale_out_latency=1.0)
        assert outside < 1e-9, f"{chips} chips wait {outside} s"


def test_a_chip_has_nothing_to_say_to_itself(technology):
    # A chip for every data group and stage, up to rounding; a stage has 3 or 7 of them, and each
    # has experts of its own
    mixture = MixtureOfExperts(experts=64, active=4, width=8)
    for data in (3, 7):
        plan = codesign.Plan(data=data, expert=codesign.WHOLE_EXPERTS, pipeline=7)
        chips = 7 * data * (1 + 4e-16)
        alone = seconds(technology, one_layer(), DECODE, plan, chips=chips, **WAITING)
        assert alone == exactly(6)  # from stage to stage
        routing = seconds(
            technology, one_layer(feed_forward=mixture), DECODE, plan, chips=chips, **WAITING
        )
        assert routing == exactly(6 + 2)  # to the experts and back


@pytest.mark.parametrize(("other", "shown"), [((8, 2), "4, 8 experts"), ((4, 3), "2, 3 active")])
def test_refuses_mixtures_of_different_sizes(technology, other, shown):
    first, second = MixtureOfExperts(4, 2, width=8), MixtureOfExperts(*other, width=8)
    model = several_layers(
        layer(ATTENTION, first), layer(ATTENTION, dataclasses.replace(second, gated=False))
    )
    workload = codesign.Workload(model, DECODE)
    with pytest.raises(
        ValueError,
        match=f"layers with experts have {shown}.*expected the same number in all of them",
    ):
        codesign.evaluate(
            codesign.Design(**dict.fromkeys(codesign.DESIGN_VARIABLES, 1.0)),
            workload,
            technology=technology,
        )
