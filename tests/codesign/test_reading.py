"""The precision that files state, by every way in which tools state it, and models stated in
TOML."""

import dataclasses
import json
from pathlib import Path

import jax.numpy as jnp
import pytest

from codesign.workload.catalogue import model_names, reading
from codesign.workload.operators import operator_table
from codesign.workload.parameters import parameter_count
from codesign.workload.precision import PARTS
from codesign.workload.reading import Reading, override, read, weight_bytes, weights_by_part
from codesign.workload.transformer import layer_count
from tests.codesign.model_examples import EXAMPLES

MIXED = EXAMPLES["glm4_moe"]  # attention, dense layers, experts, a shared one
GROUP = {
    "weights": {"num_bits": 4, "type": "int", "group_size": 32},
    "targets": ["Linear"],
    "input_activations": None,
}
FP4 = {
    "weights": {"num_bits": 4, "type": "float", "group_size": 16},
    "input_activations": {"num_bits": 4},
    "targets": ["Linear"],
}


def bits(found: Reading) -> dict[str, float]:
    """Stored bits of a weight of every part, scales included."""
    return {name: float(8.0 * found.precision.part(name).weight_bytes) for name in PARTS}


def inputs(found: Reading) -> dict[str, float]:
    return {name: float(found.precision.part(name).compute_bits) for name in PARTS}


def quantised(**config) -> Reading:
    return read({**MIXED, "torch_dtype": "bfloat16", "quantization_config": config})


def everywhere(value: float, **others: float) -> dict[str, float]:
    return {**dict.fromkeys(PARTS, value), **others}


def test_a_plain_file_has_its_dtype_everywhere():
    assert bits(read({**MIXED, "torch_dtype": "float16"})) == everywhere(16)
    assert bits(read({**MIXED, "dtype": "float32"})) == everywhere(16)
    assert "served in 16 bit" in read({**MIXED, "dtype": "float32"}).precision_notes[1]
    assert bits(read(MIXED)) == everywhere(16)
    assert "assumed" in read(MIXED).precision_notes[0]
    assert float(read(MIXED).precision.state_bits) == 16


LINEARS = ("attention", "dense", "experts", "shared")


def linears(value: float, **others: float) -> dict[str, float]:
    return {**everywhere(16), **dict.fromkeys(LINEARS, value), **others}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, linears(8 + 32 / 128**2)),
        ({"quant_method": "fp8", "modules_to_not_convert": ["model.layers.0.self_attn"]},
         linears(8, attention=8 + 8 / MIXED["num_hidden_layers"])),
        ({"quant_method": "fp8", "ignored_layers": ["re:.*shared_experts.*"]}, linears(8, shared=16)),
        ({"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn"]}, everywhere(16, experts=4.25)),
        ({"quant_method": "compressed-tensors", "config_groups": {"a": GROUP}, "ignore": ["lm_head"]}, linears(4.5)),
        ({"quant_method": "compressed-tensors", "config_groups": {"a": GROUP},
          "ignore": ["lm_head", "re:.*self_attn.*", "re:.*mlp\\.(gate|up|gate_up|down)_proj.*"]},
         linears(4.5, attention=16, dense=16)),
        ({"quant_method": "compressed-tensors", "config_groups": {"a": FP4}, "ignore": ["model.layers.1.mlp.gate"]},
         linears(4.5, head=4.5)),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": ["lm_head", "*.mlp.gate"]}, linears(4.5)),
        ({"quant_method": "modelopt", "quant_algo": "FP8", "ignore": ["lm_head", "model.layers.9.self_attn*"]}, linears(8)),
        ({"quant_algo": "MIXED_PRECISION", "quant_method": "modelopt"}, everywhere(16)),
        ({"quant_algo": "MIXED_PRECISION", "quant_method": "modelopt", "quantized_layers": {
            **{f"model.layers.{k}.mlp.experts.0.up_proj": {"quant_algo": "NVFP4"} for k in range(6)},
            **{f"model.layers.{k}.self_attn.{m}": {"quant_algo": "FP8"} for k in range(6) for m in ("q_proj", "o_proj")}}},
         everywhere(16, experts=4.5, attention=8)),
        ({"quant_method": "fp8", "modules_to_not_convert": ["model.layers.0.mlp", "model.layers.1.mlp"]},
         linears(8, dense=16)),
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, linears(4 + 20 / 128)),
        ({"quant_method": "gptq", "bits": 8, "group_size": -1}, linears(8)),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, linears(4.5)),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_use_double_quant": True},
         linears(4 + 8 / 64 + 32 / (64 * 256))),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, linears(8)),
        ({"quant_method": "modelopt", "quant_algo": None, "kv_cache_quant_algo": "FP8"}, everywhere(16)),
        ({"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "fp4", "group_size": 32}}}, linears(4.25)),
    ],
)  # fmt: skip
def test_formats_of_weights(config, expected):
    assert bits(quantised(**config)) == expected


def test_arithmetic_runs_at_the_wider_of_weights_and_inputs():
    assert inputs(quantised(quant_method="fp8"))["experts"] == 8
    assert (
        inputs(
            quantised(
                quant_method="compressed-tensors", config_groups={"a": GROUP}, ignore=["lm_head"]
            )
        )["experts"]
        == 16
    )
    assert (
        inputs(quantised(quant_method="modelopt", quant_algo="NVFP4", ignore=["lm_head"]))[
            "experts"
        ]
        == 4
    )
    precision = quantised(quant_method="fp8").precision
    assert (
        float(precision.core_bits),
        float(precision.activation_bits),
        float(precision.compute_bits),
    ) == (16, 16, 16)


def test_formats_of_the_cache():
    scheme = {
        "quant_method": "compressed-tensors",
        "config_groups": {"a": GROUP},
        "ignore": [],
        "kv_cache_scheme": {"num_bits": 8},
    }
    assert float(quantised(**scheme).precision.state_bits) == 8
    assert (
        float(
            quantised(
                quant_method="modelopt", quant_algo="FP8", kv_cache_quant_algo="FP8"
            ).precision.state_bits
        )
        == 8
    )


def test_what_is_quantised_may_be_told_within_or_beside(tmp_path: Path):
    nested = {
        "model_type": "kimi_k25",
        "text_config": {**EXAMPLES["kimi_k2"], "quantization_config": {"quant_method": "fp8"}},
    }
    assert bits(read(nested))["experts"] == 8
    (tmp_path / "config.json").write_text(json.dumps({**MIXED, "torch_dtype": "bfloat16"}))
    assert bits(read(tmp_path))["experts"] == 16
    beside = {
        "quantization": {
            "quant_algo": "NVFP4",
            "group_size": 16,
            "kv_cache_quant_algo": "FP8",
            "exclude_modules": ["lm_head"],
        }
    }
    (tmp_path / "hf_quant_config.json").write_text(json.dumps(beside))
    found = read(tmp_path / "config.json")
    assert bits(found) == linears(4.5) and float(found.precision.state_bits) == 8


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"quant_method": "secret"},
            "quantization_config.quant_method = 'secret', expected one of fp8, mxfp4",
        ),
        (
            {"quant_method": "modelopt", "quant_algo": "NVFP2"},
            "quant_algo = 'NVFP2', expected one of FP8.*; the nearest is 'NVFP4'",
        ),
        (
            {"quant_method": "awq", "bits": "four"},
            "bits = 'four', expected a whole number from 1 to 8",
        ),
        ({"quant_method": "compressed-tensors"}, "config_groups is missing"),
        (
            {"quant_method": "modelopt", "quant_algo": "FP8", "kv_cache_quant_algo": "FP3"},
            "kv_cache_quant_algo = 'FP3'",
        ),
        ({"quant_method": "modelopt", "quant_algo": "FP8", "kv_cache_quant_algo": "fp8"}, "expected one of FP8.* the nearest is 'FP8'"),
        ({"quant_method": "compressed-tensors", "config_groups": {"a": GROUP}, "sparsity_config": {"format": "sparse-24-bitmask"}},
         "sparsity_config.format = 'sparse-24-bitmask', expected one of dense"),
        ({"quant_method": "gptq", "w_bit": True}, "w_bit = True, expected a whole number from 1 to 8"),
        ({"quant_method": "awq", "bits": 4, "group_size": "128"}, "group_size = '128', expected a whole"),
        ({"quant_method": "awq", "bits": 4, "q_group_size": -7}, "q_group_size = -7, expected a whole"),
        ({"quant_method": "fp8", "weight_block_size": [128, 0]}, r"weight_block_size = \[128, 0\], expected two"),
        ({"quant_method": "fp8", "weight_block_size": 128}, "weight_block_size = 128, expected two"),
        ({"quant_method": "fp8", "modules_to_not_convert": [3]}, r"modules_to_not_convert = \[3\], expected a list of"),
        ({"quant_method": "bitsandbytes"}, "load_in_4bit = false and load_in_8bit = false, expected one"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": "yes"}, "load_in_4bit = 'yes', expected true or false"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_use_double_quant": 1},
         "bnb_4bit_use_double_quant = 1, expected true or false"),
        ({"quant_method": "compressed-tensors", "config_groups": {"a": GROUP, "b": 4}}, "b = 4, expected an object"),
        ({"quant_method": "compressed-tensors", "config_groups": {"a": {"weights": {"num_bits": 40}}}},
         "num_bits = 40, expected a whole number from 1 to 16"),
        ({"quant_method": "compressed-tensors", "config_groups": {"a": {"weights": {"num_bits": 4, "strategy": "group"}}}},
         "weights.group_size = None, expected the size"),
        ({"quant_method": "compressed-tensors", "config_groups": {"a": {"weights": {"num_bits": 4, "type": "flot"}}}},
         "weights.type = 'flot', expected one of float, int; the nearest is 'float'"),
        ({"quant_method": "compressed-tensors", "config_groups": {"a": GROUP}, "kv_cache_scheme": {"num_bits": "8"}},
         "num_bits = '8', expected a whole number"),
        ({"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION", "quantized_layers": {
            "model.layers.0.mlp.experts.0.up_proj": {"quant_algo": "NVFP4"},
            "model.layers.1.mlp.experts.0.up_proj": {"quant_algo": "NVFP5"}}}, "quant_algo = 'NVFP5', expected one of"),
        ({"quant_method": "modelopt", "quant_algo": "FP8", "kv_cache_quant_algo": "NVFP4", "kv_cache_scheme": {"num_bits": 8}},
         "kv_cache_quant_algo = 'NVFP4', expected the 8 bit that kv_cache_scheme has"),
        ({"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "fp4"}, "input_tensors": {"dtype": "fp9"}}},
         "global_quant_config.input_tensors.dtype = 'fp9'"),
    ],
)  # fmt: skip
def test_a_precision_that_is_not_understood_is_refused(config, message):
    with pytest.raises(ValueError, match=message):
        quantised(**config)


@pytest.mark.parametrize(
    ("config", "beside", "message"),
    [
        ({"quant_method": "fp8"}, {"quant_algo": "NVFP4"}, "attention weights of 8 bit and hf_quant_config"),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4", "kv_cache_scheme": {"num_bits": 4}},
         {"quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8"}, "a cache of 4 bit and hf_quant_config"),
        ({}, {}, "hf_quant_config.json has quantization = {}, expected an object"),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, {"quant_algo": "NVFP4", "group_size": 16}, None),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": ["re:.*self_attn"]}, {"quant_algo": "NVFP4"}, None),
    ],
)  # fmt: skip
def test_two_files_that_contradict_each_other_are_refused(tmp_path, config, beside, message):
    content = {**MIXED, "torch_dtype": "bfloat16", "quantization_config": config}
    (tmp_path / "config.json").write_text(json.dumps(content))
    (tmp_path / "hf_quant_config.json").write_text(json.dumps({"quantization": beside}))
    if message is None:
        assert bits(read(tmp_path))["experts"] == 4.5
    else:
        with pytest.raises(ValueError, match=message):
            read(tmp_path)


def test_a_users_widths_go_before_the_files():
    found = quantised(quant_method="modelopt", quant_algo="NVFP4", ignore=["lm_head"])
    eight = dataclasses.replace(found, precision=override(found.precision, weight_bits=8))
    assert bits(eight) == everywhere(8)
    experts = dataclasses.replace(
        found,
        precision=override(found.precision, expert_weight_bits=2, kv_bits=4, activation_bits=8),
    )
    assert bits(experts) == linears(4.5, experts=2)
    assert (float(experts.precision.state_bits), inputs(experts)["experts"]) == (4, 8)


@pytest.mark.parametrize("name", model_names())
def test_shipped_models_are_read_with_their_precision(name):
    """Parts add up to the model."""
    found = reading(name)
    assert sum(weights_by_part(found.model).values()) == pytest.approx(
        float(parameter_count(found.model)), rel=1e-9
    )
    assert set(bits(found).values()) <= {16, 8, 8 + 32 / 128**2, 4.5, 4.25}


@pytest.mark.parametrize(
    "name",
    [
        "gpt-oss-120b",
        "deepseek-v4-pro",
        "gemma-3n-e4b",
        "nemotron-3-nano-30b-a3b",
        "jamba-1.5-mini",
    ],
)
def test_bytes_are_those_of_the_operator_table(name):
    found = reading(name)
    kept = float(jnp.sum(operator_table(found.model, found.precision).operators.stored))
    assert weight_bytes(found.model, found.precision) == pytest.approx(kept, rel=1e-9)


def test_gpt_oss_has_four_bit_experts_and_sixteen_bit_attention():
    found = reading("gpt-oss-120b")
    assert bits(found) == everywhere(16, experts=4.25)
    assert float(weight_bytes(found.model, found.precision)) == pytest.approx(
        60.8 * 2**30, rel=0.002
    )  # model card, section 2


TOML = """
hidden = 64
vocabulary = 1000
context = 4096
[[layers]]
count = 3
attention = {kind = "linear", key_heads = 2, value_heads = 4, key_dim = 16, value_dim = 8}
feed_forward = {kind = "mixture", experts = 8, active = 2, width = 32}
[[layers]]
count = 1
attention = {kind = "grouped", heads = 8, kv_heads = 2, head_dim = 8, indexer = {heads = 2, dim = 4}, top_k = 16}
"""


def test_a_model_of_ones_own(tmp_path: Path):
    file = tmp_path / "mine.toml"
    file.write_text(TOML)
    found = reading(file)
    linear = 64 * (2 * 32 + 2 * 32) + 32 * 64 + 8 * 3 * 64 * 32 + 64 * 8
    grouped = 64 * 64 + 64 * 32 + 64 * 64 + 64 * 8 + 64 * (4 + 2)
    assert float(parameter_count(found.model)) == 3 * linear + grouped + 2 * 64 * 1000
    assert (found.model.name, found.context_limit, bits(found)) == ("mine", 4096, everywhere(16))
    file.write_text(
        TOML + "[precision]\nweight_bits = 8\nexperts = {weight_bits = 4, scale_bits = 0.25}\n"
    )
    assert bits(reading(file)) == everywhere(8, experts=4.25)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "hidden = 64",
            "hiden = 64",
            "the model.hiden is not known, expected one of hidden.*; the nearest is 'hidden'",
        ),
        ("hidden = 64", "", "the model.hidden is missing, expected a number"),
        (
            "hidden = 64",
            "hidden = -1",
            "the model.hidden = -1, expected a number from 0 to 1,000,000,000,000",
        ),
        ("count = 3", "count = true", r"layers\[0\].count = True, expected a number"),
        (
            'kind = "linear"',
            'kind = "lineal"',
            r"layers\[0\].attention.kind = 'lineal', .*; the nearest is 'linear'",
        ),
        ("key_heads = 2", "keyheads = 2", r"layers\[0\].attention.keyheads is not known"),
        (
            "indexer = {heads = 2, dim = 4}",
            "indexer = 3",
            r"layers\[1\].attention.indexer = 3, expected a table",
        ),
        ("context = 4096", "context = 0", "context = 0, expected a positive integer"),
        ("[[layers]]", "[layers]", "not|expected"),
        ("hidden = 64", "hidden = ", "Invalid value"),
    ],
)
def test_a_model_that_is_not_stated_right(tmp_path: Path, old, new, message):
    file = tmp_path / "mine.toml"
    file.write_text(TOML.replace(old, new))
    with pytest.raises(ValueError, match=message) as refusal:
        reading(file)
    assert str(file) in str(refusal.value)


def of(targets: list[str], width: int) -> dict[str, object]:
    return {"targets": targets, "weights": {"num_bits": width, "type": "int"}}


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ([of(["re:.*mlp.*"], 4)], {"dense": 4, "experts": 4, "shared": 4}),
        ([of(["re:.*self_attn.*"], 8)], {"attention": 8}),
        ([of(["re:.*mlp[.]experts.*"], 4)], {"experts": 4}),
        (
            [of(["re:.*mlp.*"], 4), of(["re:.*self_attn.*"], 8)],
            {"attention": 8, "dense": 4, "experts": 4, "shared": 4},
        ),
        ([of(["re:.*(q|k|v)_proj"], 4)], {}),  # the output projection keeps 16 bit
    ],
)
def test_groups_of_compressed_tensors_are_of_the_modules_that_they_name(groups, expected):
    found = quantised(
        quant_method="compressed-tensors",
        config_groups={f"group_{k}": group for k, group in enumerate(groups)},
        ignore=["lm_head"],
    )
    assert bits(found) == everywhere(16, **expected)


def test_a_pattern_that_is_none_is_refused():
    with pytest.raises(ValueError, match="expected a regular expression after re:"):
        quantised(quant_method="compressed-tensors", config_groups={"g": of(["re:(.*mlp"], 4)})


def test_one_layer_left_out_leaves_the_others_quantised():
    layers = MIXED["num_hidden_layers"]
    found = quantised(
        quant_method="modelopt",
        quant_algo="FP8",
        ignore=["lm_head", "model.layers.0.self_attn.o_proj"],
    )
    assert bits(found)["attention"] == pytest.approx(8 + 8 / layers)
    assert bits(found)["experts"] == 8


@pytest.mark.parametrize(
    ("algo", "stored", "computed"), [("NVFP4", 4.5, 4), ("W4A8_NVFP4_FP8", 4.5, 8)]
)
def test_a_part_with_layers_left_out_has_the_mean_of_its_layers(algo, stored, computed):
    layers = MIXED["num_hidden_layers"]
    for left in (0, 1, layers - 1, layers):
        kept = [f"model.layers.{k}.self_attn" for k in range(left)]
        found = quantised(quant_method="modelopt", quant_algo=algo, ignore=["lm_head", *kept])
        share = left / layers
        assert bits(found)["attention"] == pytest.approx((1 - share) * stored + share * 16)
        assert inputs(found)["attention"] == pytest.approx((1 - share) * computed + share * 16)


def test_a_layer_left_out_is_one_of_the_models_where_the_file_counts_layers_otherwise():
    said = {"quant_method": "modelopt", "quant_algo": "FP8", "ignore": ["model.layers.0.attn.qkv"]}
    found = read({**EXAMPLES["gpt2"], "torch_dtype": "bfloat16", "quantization_config": said})
    layers = float(layer_count(found.model))
    assert bits(found)["attention"] == pytest.approx(8 + 8 / layers)


def test_tables_said_to_be_shared_and_apart_are_refused():
    with pytest.raises(ValueError, match="expected the same as tie_word_embeddings"):
        read({**EXAMPLES["cohere2"], "use_embedding_sharing": True, "tie_word_embeddings": False})


@pytest.mark.parametrize("dtype", ["int8", "bogus", 16, {"a": 1}])
def test_a_dtype_that_is_none_is_refused(dtype):
    with pytest.raises(ValueError, match=r"dtype = .*expected one of"):
        read({**MIXED, "torch_dtype": dtype})


@pytest.mark.parametrize("name", ["GPT2LMHeadModel", "QWenLMHeadModel"])
def test_a_model_with_its_head_is_a_language_model(name):
    assert read({**EXAMPLES["gpt2"], "architectures": [name]}).model.layers


@pytest.mark.parametrize(
    ("family", "field"),
    [
        ("lfm2", {"num_heads": EXAMPLES["lfm2"]["num_attention_heads"]}),
        ("cohere2", {"use_embedding_sharing": True, "use_parallel_block": True}),
        ("llama", {"num_experts": 1, "org_vocab_size": 100, "num_media_embeds": 257}),
    ],
)
def test_fields_that_say_again_what_is_known_are_read(family, field):
    plain, told = read(EXAMPLES[family]), read({**EXAMPLES[family], **field})
    assert parameter_count(told.model) == parameter_count(plain.model)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("count", 0.5, "positive integer"),
        ("count", 10**12, "at most 10,000 layers"),
        ("kv_heads", 7, "a divisor of heads = 32"),
        ("kv_heads", 0, "positive integer"),
        ("heads", 31.5, "positive integer"),
        ("active", 9, "at most experts = 8"),
        ("active", 0, "positive integer"),
        ("vocabulary", 0, "positive integer"),
        ("weight_bits", 0, "1 to 64 bits"),
    ],
)
def test_a_stated_models_dimensions_are_checked(tmp_path, field, value, told):
    fields = {"count": 2, "kv_heads": 8, "heads": 32, "vocabulary": 100, "weight_bits": 16}
    fields |= {"active": 2}
    fields |= {field: value}
    text = """
hidden = 4096
vocabulary = {vocabulary}
[[layers]]
count = {count}
attention = {{kind = "grouped", heads = {heads}, kv_heads = {kv_heads}, head_dim = 128}}
feed_forward = {{kind = "mixture", experts = 8, active = {active}, width = 14336}}
[precision]
weight_bits = {weight_bits}
"""
    (tmp_path / "mine.toml").write_text(text.format(**fields))
    with pytest.raises(ValueError, match=told):
        reading(str(tmp_path / "mine.toml"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_head": 0}, "n_head = 0, expected a positive integer"),
        ({"n_head": 3}, "n_head = 3 does not divide n_embd = 64, expected a divisor of it"),
        ({"n_embd": "x"}, "n_embd = 'x', expected an integer"),
        ({"n_head": None, "n_hed": 4}, "num_attention_heads is missing.* the nearest is 'n_hed'"),
        ({"n_layers_": 3}, "n_layers_ = 3 looks as if .* the nearest is 'n_layers'"),
    ],
)
def test_fields_are_named_as_the_file_writes_them(change, message):
    file = {"model_type": "gpt2", "n_embd": 64, "n_layer": 2, "n_head": 4, "vocab_size": 100}
    with pytest.raises(ValueError, match=message):
        read({name: value for name, value in {**file, **change}.items() if value is not None})


@pytest.mark.parametrize(("model_type", "parameters"), [("phi3_v", 3.82e9), ("phi4mm", 3.82e9)])
def test_adapters_beside_a_language_model_are_no_part_of_it(model_type, parameters):
    """Phi-3-mini has 3.82e9 (arXiv 2404.14219); vision and its adapters are not counted."""
    fields = {"hidden_size": 3072, "intermediate_size": 8192, "num_hidden_layers": 32, "num_attention_heads": 32,
              "num_key_value_heads": 32, "vocab_size": 32064, "vision_lora": {"r": 256}, "embd_layer": {"x": 1},
              "img_processor": {"name": "clip"}}  # fmt: skip
    found = read({"model_type": model_type, **fields})
    assert float(parameter_count(found.model)) == pytest.approx(parameters, rel=1e-3)
    assert found.ignored["img_processor"] == "beside the language model"


def test_a_type_that_is_known_and_not_read_says_why():
    with pytest.raises(ValueError, match="'ernie4_5_moe_vl' is not read: it has experts for text"):
        read({"model_type": "ernie4_5_moe_vl", "hidden_size": 2560})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"torch_dtype": "bf16"}, "torch_dtype = 'bf16', expected one of"),
        ({"dtype": "bf16"}, " dtype = 'bf16', expected one of"),
        ({"torch_dtype": "float16", "dtype": "bfloat16"}, "torch_dtype = 'float16' and dtype = 'bfloat16', expected the same"),
        ({"quantization_config": {"quant_method": "fp8"}, "compression_config": {"quant_method": "awq"}},
         "quantization_config and compression_config say different things"),
    ],
)  # fmt: skip
def test_what_a_file_says_twice_must_agree(fields, message):
    with pytest.raises(ValueError, match=message):
        read({**MIXED, **fields})


def test_every_width_and_window_of_a_stated_model_is_whole(tmp_path):
    stated = 'attention = {kind = "grouped", heads = 8, kv_heads = 2, head_dim = 8, '
    for name in ("window", "query_rank", "value_dim"):
        file = tmp_path / "mine.toml"
        file.write_text(
            f"hidden = 64\nvocabulary = 9\n[[layers]]\ncount = 1\n{stated}{name} = 2.5}}\n"
        )
        with pytest.raises(ValueError, match=f"attention.{name} = 2.5, expected a whole number"):
            read(file)
