"""Reading config.json: layer patterns of every family worked out by hand, and every way to be
refused."""

import json
import math
from pathlib import Path

import pytest

from codesign.workload.config_json import FAMILIES, read_config
from codesign.workload.config_json.family import Family, Windowed
from codesign.workload.config_json.gemma import SharedCache
from codesign.workload.transformer import (
    UNLIMITED,
    FeedForward,
    GroupedAttention,
    LatentAttention,
    LinearAttention,
    MixtureOfExperts,
)
from tests.codesign import model_examples as fields
from tests.codesign.model_examples import EXAMPLES, EXPERTS, GPT, LATENT, LOCAL_EXPERTS

LLAMA = {"model_type": "llama", **fields.LLAMA}
OPT, FALCON = fields.EXAMPLES["opt"], fields.EXAMPLES["falcon"]
LINEAR = fields.LINEAR | {"shared_expert_intermediate_size": 24}


def of(model_type: str, **more) -> dict:
    """A small config of a type in the common field names."""
    return {**LLAMA, "model_type": model_type, **more}


def windows(config: dict) -> dict[float, float]:
    """How many layers see how much."""
    found: dict[float, float] = {}
    for kind in read_config(config).layers:
        assert isinstance(kind.attention, GroupedAttention)
        window = float(kind.attention.window)
        found[window] = found.get(window, 0.0) + float(kind.count)
    return found


def feed_forwards(config: dict) -> list[tuple[str, float]]:
    """Kinds of feed-forward parts in order, with their counts."""
    return [
        (type(kind.feed_forward).__name__, float(kind.count)) for kind in read_config(config).layers
    ]


def test_a_plain_llama_has_one_kind_of_layer():
    model = read_config(LLAMA)
    (kind,) = model.layers
    assert isinstance(kind.attention, GroupedAttention)
    assert isinstance(kind.feed_forward, FeedForward)
    assert (float(kind.count), float(model.hidden), float(model.vocabulary)) == (6, 64, 1000)
    assert (
        float(kind.attention.heads),
        float(kind.attention.kv_heads),
        float(kind.attention.head_dim),
    ) == (8, 2, 8)
    assert float(kind.attention.window) == UNLIMITED
    assert kind.feed_forward.gated and not model.tied_embeddings
    assert model.name == "llama"


def test_heads_of_their_own_unless_grouped():
    config = {name: value for name, value in LLAMA.items() if name != "num_key_value_heads"}
    assert float(read_config(config).layers[0].attention.kv_heads) == 8
    assert (
        float(read_config(of("qwen2", num_key_value_heads=None)).layers[0].attention.kv_heads) == 8
    )


def test_head_dim_is_read_where_it_differs_from_the_share():
    assert float(read_config({**LLAMA, "head_dim": 32}).layers[0].attention.head_dim) == 32
    assert float(read_config(of("qwen3")).layers[0].attention.head_dim) == 128


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (of("mistral", sliding_window=16), {16: 6}),
        (of("mistral", sliding_window=None), {UNLIMITED: 6}),
        (of("mistral"), {4096: 6}),
        (of("mixtral", **LOCAL_EXPERTS), {UNLIMITED: 6}),
        (of("phi3", sliding_window=2047), {2047: 6}),
        (
            of("qwen2", use_sliding_window=False, sliding_window=16, max_window_layers=2),
            {UNLIMITED: 6},
        ),
        (
            of("qwen2", use_sliding_window=True, sliding_window=16, max_window_layers=4),
            {UNLIMITED: 4, 16: 2},
        ),
        (
            of(
                "qwen3",
                layer_types=["full_attention"] * 5 + ["sliding_attention"],
                sliding_window=9,
            ),
            {UNLIMITED: 5, 9: 1},
        ),
        (of("qwen3_moe", use_sliding_window=True, sliding_window=16, **EXPERTS), {16: 6}),
        (of("gemma2", num_hidden_layers=5), {4096: 3, UNLIMITED: 2}),
        (of("gemma3_text", sliding_window=16), {16: 5, UNLIMITED: 1}),
        (
            of("gemma3_text", sliding_window=16, num_hidden_layers=14, sliding_window_pattern=3),
            {16: 10, UNLIMITED: 4},
        ),
        (of("gpt_oss", num_hidden_layers=7, **LOCAL_EXPERTS), {128: 4, UNLIMITED: 3}),
        (
            of("llama4_text", intermediate_size_mlp=99, num_hidden_layers=8, **LOCAL_EXPERTS),
            {8192: 6, UNLIMITED: 2},
        ),
        (
            of(
                "llama4_text",
                intermediate_size_mlp=99,
                no_rope_layers=[1, 1, 0, 1, 1, 0],
                **LOCAL_EXPERTS,
            ),
            {8192: 4, UNLIMITED: 2},
        ),
        (
            of(
                "llama4_text",
                intermediate_size_mlp=99,
                layer_types=["chunked_attention"] * 6,
                **LOCAL_EXPERTS,
            ),
            {8192: 6},
        ),
    ],
)
def test_windows(config, expected):
    assert windows(config) == expected


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (of("mixtral", **LOCAL_EXPERTS), [("MixtureOfExperts", 6)]),
        (of("qwen3_moe", **EXPERTS), [("MixtureOfExperts", 6)]),
        (
            of("qwen3_moe", decoder_sparse_step=3, **EXPERTS),
            [("FeedForward", 4), ("MixtureOfExperts", 2)],
        ),
        (
            of("qwen3_moe", mlp_only_layers=[0, 5], **EXPERTS),
            [("FeedForward", 2), ("MixtureOfExperts", 4)],
        ),
        (of("deepseek_v3", **LATENT), [("FeedForward", 1), ("MixtureOfExperts", 5)]),
        (
            of("deepseek_v2", **{**LATENT, "moe_layer_freq": 2}),
            [("FeedForward", 4), ("MixtureOfExperts", 2)],
        ),
        (
            of(
                "llama4_text",
                intermediate_size_mlp=99,
                moe_layers=[0],
                no_rope_layers=[1] * 6,
                **LOCAL_EXPERTS,
            ),
            [("MixtureOfExperts", 1), ("FeedForward", 5)],
        ),
    ],
)
def test_which_layers_have_experts(config, expected):
    assert feed_forwards(config) == expected


def test_maverick_interleaves_experts_and_windows():
    config = of(
        "llama4_text",
        intermediate_size_mlp=99,
        num_hidden_layers=8,
        interleave_moe_layer_step=2,
        **LOCAL_EXPERTS,
    )
    layers = read_config(config).layers
    found = [
        (type(k.feed_forward).__name__, float(k.attention.window), float(k.count)) for k in layers
    ]
    assert found == [
        ("FeedForward", 8192, 4),
        ("MixtureOfExperts", 8192, 2),
        ("MixtureOfExperts", UNLIMITED, 2),
    ]
    assert float(layers[0].feed_forward.width) == 99
    assert float(layers[1].feed_forward.shared_width) == 256


def test_glm_has_dense_layers_first():
    routed = {
        name: LATENT[name]
        for name in ("moe_intermediate_size", "n_routed_experts", "n_shared_experts")
    }
    config = of("glm4_moe", num_experts_per_tok=4, first_k_dense_replace=2, **routed)
    assert feed_forwards(config) == [("FeedForward", 2), ("MixtureOfExperts", 4)]
    assert float(read_config(config).layers[1].feed_forward.shared_width) == 2 * 32


def test_latent_attention_and_its_indexer():
    plain = read_config(of("kimi_k2", **LATENT)).layers[1]
    assert isinstance(plain.attention, LatentAttention) and isinstance(
        plain.feed_forward, MixtureOfExperts
    )
    assert float(plain.feed_forward.shared_width) == 2 * 32
    assert plain.attention.indexer is None and float(plain.attention.top_k) == UNLIMITED
    sparse = read_config(
        of("deepseek_v32", index_n_heads=4, index_head_dim=16, index_topk=20, **LATENT)
    ).layers[0]
    assert [
        float(x)
        for x in (
            sparse.attention.indexer.heads,
            sparse.attention.indexer.dim,
            sparse.attention.top_k,
        )
    ] == [4, 16, 20]
    assert (
        float(
            read_config(of("deepseek_v2", **{**LATENT, "q_lora_rank": None}))
            .layers[0]
            .attention.query_rank
        )
        == 0
    )


def test_hybrids_mix_linear_and_full_attention():
    layers = read_config(of("qwen3_next", num_hidden_layers=8, **EXPERTS, **LINEAR)).layers
    assert [(type(k.attention), float(k.count)) for k in layers] == [
        (LinearAttention, 6),
        (GroupedAttention, 2),
    ]
    assert layers[0].attention.gated and layers[1].attention.gated
    assert (
        float(layers[0].attention.value_heads) == 4 and float(layers[0].attention.convolution) == 4
    )
    by_number = of("minimax_text_01", attn_type_list=[0, 0, 1] * 2, **LOCAL_EXPERTS)
    by_name = of(
        "minimax",
        layer_types=["linear_attention", "linear_attention", "full_attention"] * 2,
        **LOCAL_EXPERTS,
    )
    for config in (by_number, by_name):
        layers = read_config(config).layers
        assert [(type(k.attention), float(k.count)) for k in layers] == [
            (LinearAttention, 4),
            (GroupedAttention, 2),
        ]
        assert float(layers[0].attention.key_heads) == 8 and not layers[1].attention.gated


def test_older_families():
    gpt = read_config({"model_type": "gpt2", **GPT})
    assert (float(gpt.positions), gpt.tied_embeddings) == (1024, True)
    assert (float(gpt.layers[0].feed_forward.width), gpt.layers[0].feed_forward.gated) == (
        256,
        False,
    )
    assert (
        float(
            read_config({"model_type": "gpt2", **GPT, "n_inner": 100}).layers[0].feed_forward.width
        )
        == 100
    )
    gptj = read_config({"model_type": "gptj", **GPT, "n_positions": 2048})
    assert (float(gptj.positions), gptj.tied_embeddings) == (0, False)
    assert float(read_config(OPT).positions) == 34
    assert float(read_config(FALCON).layers[0].attention.kv_heads) == 1
    assert float(read_config({**FALCON, "multi_query": False}).layers[0].attention.kv_heads) == 8
    grouped = {**FALCON, "new_decoder_architecture": True, "num_kv_heads": 2}
    assert float(read_config(grouped).layers[0].attention.kv_heads) == 2


def test_the_language_model_of_a_multimodal_file():
    inner = {
        "hidden_size": 64,
        "intermediate_size": 256,
        "num_hidden_layers": 12,
        "sliding_window": 16,
    }
    outer = {
        "model_type": "gemma3",
        "text_config": inner,
        "vision_config": {"hidden_size": 5},
        "mm_tokens_per_image": 256,
    }
    model = read_config(outer)
    assert (float(model.vocabulary), model.tied_embeddings, float(model.layers[0].count)) == (
        262_208,
        True,
        10,
    )
    assert not read_config({**outer, "tie_word_embeddings": False}).tied_embeddings


def test_fields_without_cost_pass():
    harmless = {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": 1,
        "hidden_act": "silu",
        "initializer_range": 0.02,
        "max_position_embeddings": 131072,
        "pretraining_tp": 1,
        "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]},
        "rms_norm_eps": 1e-5,
        "rope_scaling": {"factor": 8.0},
        "rope_theta": 500000.0,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "sliding_window": None,
        "some_new_note": "text",
    }
    assert float(read_config({**LLAMA, **harmless}).hidden) == 64
    draft = {
        "num_nextn_predict_layers": 1,
        "n_group": 8,
        "topk_group": 4,
        "ep_size": 1,
        "num_key_value_heads": 8,
    }
    assert float(read_config(of("deepseek_v3", **LATENT, **draft)).hidden) == 64


REFUSALS = [
    (of("lama"), "model_type = 'lama' is none of .* known ones, .*; the nearest is 'llama'"),
    (of("phi5"), "model_type = 'phi5' is none of .* gpt_oss[.]$"),
    (of("phi3_moe_vision"), "model_type = 'phi3_moe_vision' is none of .* gpt_oss[.]$"),
    (
        {**LLAMA, "add_cross_attention": True},
        "add_cross_attention = True changes the model, expected it unset",
    ),
    ({**LLAMA, "pruned_heads": {"0": [1]}}, "pruned_heads = .* changes the model"),
    (
        {**LLAMA, "architectures": ["LlamaForSequenceClassification"]},
        "architectures = .* expected a causal language model",
    ),
    (
        {**LLAMA, "architectures": ["LlamaModel"]},
        "architectures = .* expected a causal language model",
    ),
    (
        {**LLAMA, "num_hidden_layers": 10**9},
        "num_hidden_layers = 1000000000, expected at most 10,000 layers",
    ),
    ({"hidden_size": 1}, "the field model_type is missing"),
    (
        of(["llama"]),
        r"model_type = \['llama'\], expected a text",
    ),  # pyright: ignore[reportArgumentType]
    ({**LLAMA, "hidden_size": -3}, "hidden_size = -3, expected a positive integer"),
    ({**LLAMA, "hidden_size": 0}, "hidden_size = 0, expected a positive integer"),
    ({**LLAMA, "hidden_size": True}, "hidden_size = True, expected an integer"),
    ({**LLAMA, "hidden_size": math.nan}, "hidden_size = nan, expected an integer"),
    ({**LLAMA, "hidden_size": 64.5}, "hidden_size = 64.5, expected an integer"),
    ({**LLAMA, "hidden_size": "64"}, "hidden_size = '64', expected an integer"),
    ({**LLAMA, "hidden_size": None}, "hidden_size = None, expected an integer"),
    (
        {**LLAMA, "num_key_value_heads": 3},
        "num_key_value_heads = 3 does not divide num_attention_heads = 8",
    ),
    (
        {**LLAMA, "num_attention_heads": 6},
        "num_attention_heads = 6 does not divide hidden_size = 64",
    ),
    ({**LLAMA, "tie_word_embeddings": 1}, "tie_word_embeddings = 1, expected true or false"),
    (
        {**LLAMA, "num_experts": 8},
        "num_experts = 8 looks as if it changed cost and is not known for model_type 'llama'",
    ),
    (
        {**LLAMA, "num_attention_head": 8},
        "num_attention_head = 8 .*; the nearest is 'num_attention_heads'",
    ),
    ({**LLAMA, "sliding_window": 4096}, "sliding_window = 4096 looks as if"),
    ({**LLAMA, "qk_rope_head_dim": 64}, "qk_rope_head_dim = 64 looks as if"),
    ({**LLAMA, "num_experts_per_token": 2}, "num_experts_per_token = 2 looks as if"),
    ({**LLAMA, "ffn_dim_multiplier": 1.3}, "ffn_dim_multiplier = 1.3 looks as if"),
    ({**LLAMA, "use_some_memory": True}, "use_some_memory = True looks as if"),
    ({**LLAMA, "layer_types": ["mamba"] * 6}, "layer_types = .* looks as if"),
    (
        of("qwen3", layer_types=["mamba"] * 6),
        r"layer_types\[0\] = 'mamba', expected one of full_attention, sliding_",
    ),
    (of("qwen3", layer_types=["slide_attention"] * 6), "the nearest is 'sliding_attention'"),
    (
        of("qwen3", layer_types=["full_attention"] * 5),
        "layer_types has 5 entries, expected one for each of the 6 layers",
    ),
    (of("qwen3", layer_types="full"), "layer_types = 'full', expected a list"),
    (of("qwen3", layer_types=[1] * 6), r"layer_types\[0\] = 1, expected a text"),
    (of("qwen2", use_sliding_window="yes"), "use_sliding_window = 'yes', expected true or false"),
    (
        of("qwen3_next", use_sliding_window=True, **EXPERTS, **LINEAR),
        "use_sliding_window = True looks as if",
    ),
    (of("qwen2_moe", **EXPERTS), "the field shared_expert_intermediate_size is missing"),
    (
        of("qwen3_moe", **{**EXPERTS, "num_experts_per_tok": 17}),
        "sent to 17 experts, expected at most the 16",
    ),
    (
        of("qwen3_moe", mlp_only_layers=[-1], **EXPERTS),
        r"mlp_only_layers\[0\] = -1, expected an integer that is not neg",
    ),
    (
        of("gpt_oss", experts_per_token=3, **LOCAL_EXPERTS),
        "experts_per_token = 3, expected the same as num_experts_per_",
    ),
    (
        of("minimax_m2", attn_type_list=[1, 0] * 3, **LOCAL_EXPERTS),
        r"attn_type_list\[1\] = 0, expected one of 1",
    ),
    (
        of("minimax", **LOCAL_EXPERTS),
        "the field attn_type_list is missing, expected it or layer_types",
    ),
    ({**OPT, "word_embed_proj_dim": 32}, "word_embed_proj_dim = 32, expected one of 64"),
    (
        {"model_type": "gpt2", **GPT, "n_layers": 3},
        "n_layers = 3, expected the same as n_layer = 2",
    ),
    ({"model_type": "gemma3", "hidden_size": 3}, "text_config = None, expected an object"),
    (
        {"model_type": "gemma3", "text_config": {}, "audio_layers": 3},
        "audio_layers = 3 looks as if",
    ),
    (
        {"model_type": "gemma3", "text_config": {"model_type": "bert"}},
        "text_config.model_type = 'bert', expected one of gemma3_t",
    ),
    ({**LLAMA, "hidden_size": 10**30}, "hidden_size = 10{30}, expected at most 1e12"),
    (
        of("qwen3_moe", num_local_experts=8, **EXPERTS),
        "num_local_experts = 8, expected the same as num_experts = 16",
    ),
    (
        EXAMPLES["minimax_m3"] | {"sparse_attention_config": {"sparse_quantum": 3}},
        "sparse_attention_config.sparse_quantum is not known",
    ),
    (
        EXAMPLES["deepseek_v4"] | {"compress_ratios": [7] * 4},
        r"compress_ratios\[0\] = '7', expected one of",
    ),
    (
        EXAMPLES["deepseek_v4"] | {"num_key_value_heads": 2},
        "num_key_value_heads = 2, expected one of 1",
    ),
    (
        EXAMPLES["nemotron-nas"]
        | {"block_configs": [{"attention": {"replace_with_linear": True}, "ffn": {}}] * 3},
        r"block_configs\[0\].attention.replace_with_linear = True, expected it unset",
    ),
    (
        EXAMPLES["nemotron_h"] | {"hybrid_override_pattern": "M*-EQ"},
        r"hybrid_override_pattern\[4\] = 'Q', expected one of M",
    ),
    (
        EXAMPLES["nemotron_h"] | {"hybrid_override_pattern": "M*"},
        "hybrid_override_pattern has 2 layers, expected one for each of the 5",
    ),
]


@pytest.mark.parametrize(
    ("config", "message"), REFUSALS, ids=[message[:40] for _, message in REFUSALS]
)
def test_refusals_name_the_field(config, message):
    with pytest.raises(ValueError, match=message) as refusal:
        read_config(config)
    sentence = str(refusal.value)
    assert (
        sentence.startswith("the given config: ")
        and sentence.endswith(".")
        and "\n" not in sentence
    )


def test_a_missing_field_names_what_was_perhaps_meant():
    config = {**LLAMA, "num_hidden_layer": 6}
    del config["num_hidden_layers"]
    with pytest.raises(
        ValueError,
        match=r"the field num_hidden_layers is missing, .*; the nearest is 'num_hidden_layer'",
    ):
        read_config(config)


@pytest.mark.parametrize("model_type", sorted(FAMILIES))
def test_every_family_refuses_a_field_it_does_not_know(model_type):
    read_config(EXAMPLES[model_type])
    with pytest.raises(ValueError, match="quantum_experts = 3 looks as if it changed cost"):
        read_config({**EXAMPLES[model_type], "quantum_experts": 3})


def test_files_and_folders(tmp_path: Path):
    folder = tmp_path / "tiny-llama"
    folder.mkdir()
    file = folder / "config.json"
    file.write_text(json.dumps(LLAMA))
    assert read_config(folder).name == read_config(file).name == "tiny-llama"
    assert read_config(str(file), name="mine").name == "mine"
    other = folder / "other.json"
    other.write_text(json.dumps({**LLAMA, "hidden_size": -1}))
    with pytest.raises(
        ValueError, match=r"other\.json: hidden_size = -1, expected a positive integer"
    ):
        read_config(other)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"model_type": ', "not valid JSON"),
        ("[1]", "holds a list, expected a JSON object"),
        (json.dumps({**LLAMA, "hidden_size": math.nan}), "hidden_size = nan, expected an integer"),
        (b"\xff\xfe\x00", "not valid JSON"),
    ],
)
def test_malformed_files(tmp_path: Path, content, message):
    file = tmp_path / "config.json"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=message) as refusal:
        read_config(file)
    assert str(file) in str(refusal.value)


def test_a_missing_file(tmp_path: Path):
    for missing in (tmp_path / "nothing.json", tmp_path):
        with pytest.raises(
            ValueError, match=r"there is no such file, expected a Hugging Face config.json"
        ):
            read_config(missing)


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_every_family_says_what_its_layers_are(name):
    """What ``Family`` leaves to a family would end in a fault of ours on a stranger's file, not in
    a refusal."""
    kind = FAMILIES[name]
    whole = kind.layers is not Family.layers
    assert whole or (
        kind.attention is not Family.attention and kind.feed_forward is not Family.feed_forward
    )
    if issubclass(kind, Windowed) and kind.attention in (Windowed.attention, SharedCache.attention):
        assert kind.is_windowed is not Windowed.is_windowed


def without(model_type: str, *names: str) -> dict:
    return {name: value for name, value in EXAMPLES[model_type].items() if name not in names}


@pytest.mark.parametrize(
    ("model_type", "left_out", "kv_heads", "head_dim"),
    [
        ("glm4", "num_key_value_heads", 2, 128),
        ("seed_oss", "num_key_value_heads", 8, 128),
        ("llama", "num_key_value_heads", 8, 8),
    ],
)
def test_a_field_that_is_left_out_is_the_default_of_its_class(
    model_type, left_out, kv_heads, head_dim
):
    """One key-value head for each of the 8 query heads only where the class has no default; null
    is a value of its own."""
    attention = read_config(without(model_type, left_out)).layers[0].attention
    assert (float(attention.kv_heads), float(attention.head_dim)) == (kv_heads, head_dim)
    null = read_config({**EXAMPLES[model_type], left_out: None}).layers[0].attention
    assert float(null.kv_heads) == 8


@pytest.mark.parametrize(
    ("model_type", "windowed"),
    [("cwm", 4), ("granite_swa", 4), ("ministral", 6), ("vaultgemma", 3)],
)
def test_layers_without_a_list_of_types_follow_the_rule_of_their_class(model_type, windowed):
    """Of 6: all but every fourth from the first one, all of them, every second."""
    fields = {**without(model_type, "layer_types"), "sliding_window": 16}
    kinds = read_config(fields).layers
    assert (
        sum(float(kind.count) for kind in kinds if float(kind.attention.window) < 1e18) == windowed
    )


def test_tables_are_tied_as_their_class_says():
    tied = {
        name: read_config(EXAMPLES[name]).tied_embeddings
        for name in ("minicpm", "ernie4_5", "youtu", "llama", "granite_swa")
    }
    assert tied == {
        "minicpm": True,
        "ernie4_5": True,
        "youtu": True,
        "llama": False,
        "granite_swa": True,
    }


def test_values_of_minicpm3_are_as_wide_as_its_heads():
    found = read_config(without("minicpm3", "v_head_dim")).layers[0].attention
    assert float(found.value_dim) == 64 / 8
