"""The shipped models against their published counts, and the closed forms of parameters and
cache."""

import json
import subprocess
import sys
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

from codesign.workload.catalogue import folder, index, model, model_facts, model_names
from codesign.workload.config_json import read_config
from codesign.workload.parameters import (
    active_parameter_count,
    parameter_count,
    state_bytes_per_token,
)
from codesign.workload.transformer import layer_count

KIBI = 1024.0
CONVENTIONS_DIFFER = 0.5e9
"""Half of the last digit of most published active counts [1]."""


def test_there_are_enough_and_every_one_has_its_source():
    assert len(model_names()) >= 140
    for name in model_names():
        source = model_facts(name)["_source"]
        assert source["repository"] and source["published_source"] and source["note"]
        assert source["date"] is None or len(source["date"]) == 10


def test_every_file_of_facts_is_found_by_its_own_name():
    """Another's other name may not hide it, as GLM-4.6's hid GLM-4.5."""
    files = {
        file.name.removesuffix(".json")
        for file in folder().iterdir()
        if file.name.endswith(".json")
    }
    assert files == set(model_names()) and all(index()[name] == name for name in files)


COUNTED = [
    name
    for name in model_names()
    if model_facts(name)["_source"]["published_parameters"] is not None
]
"""Models of which somebody else has counted the weights."""


def test_nearly_all_have_a_count_to_be_held_to():
    assert len(model_names()) - len(COUNTED) <= 3


@pytest.mark.parametrize("name", COUNTED)
def test_parameter_counts_are_within_half_a_percent_of_the_published(name):
    source = model_facts(name)["_source"]
    published = source["published_parameters"] - source.get("outside_parameters", 0)
    assert float(parameter_count(model(name))) == pytest.approx(published, rel=0.005)


def test_counts_are_closer_than_that():
    """What is left out (norms, biases, scalar gates) is under 0.1 % everywhere."""
    for name in COUNTED:
        source = model_facts(name)["_source"]
        published = source["published_parameters"] - source.get("outside_parameters", 0)
        assert float(parameter_count(model(name))) == pytest.approx(published, rel=0.001), name


@pytest.mark.parametrize(
    "name", [n for n in model_names() if "published_active_parameters" in model_facts(n)["_source"]]
)
def test_active_counts(name):
    """Publishers differ in whether the two embedding tables count, so the published lies between
    both conventions."""
    built, published = model(name), model_facts(name)["_source"]["published_active_parameters"]
    active = float(active_parameter_count(built))
    tables = (1 if built.tied_embeddings else 2) * float(built.vocabulary * built.hidden)
    assert active - tables - CONVENTIONS_DIFFER <= published <= active + CONVENTIONS_DIFFER


def test_the_active_count_of_gpt_oss_is_exact_without_the_input_table():
    """gpt-oss model card, arXiv 2508.10925 table 1: 5.13e9 and 3.61e9, output table counted, input
    table not."""
    for name, published in (("gpt-oss-120b", 5.13e9), ("gpt-oss-20b", 3.61e9)):
        built = model(name)
        assert float(
            active_parameter_count(built) - built.vocabulary * built.hidden
        ) == pytest.approx(published, rel=3e-3)


def test_a_dense_model_is_all_active():
    assert float(active_parameter_count(model("llama-3.1-8b"))) == float(
        parameter_count(model("llama-3.1-8b"))
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gpt3-175b", 4.5 * KIBI**2),  # 2 · 96 · 12288 · 2 B
        ("llama-4-maverick", 192 * KIBI),  # 2 · 8 · 128 · 48 · 2 B
        ("deepseek-r1", 576 * 61 * 2),  # 68.6 KiB
        ("llama-3.1-8b", 128 * KIBI),
        ("deepseek-v3.2", (576 + 128) * 61 * 2),  # with the indexer's keys
        ("qwen3-next-80b-a3b", 12 * 2 * 2 * 256 * 2),  # a quarter of 48 layers keeps a cache
    ],
)
def test_cache_bytes_per_token(name, expected):
    assert float(state_bytes_per_token(model(name), 2.0)) == expected


def test_a_small_model_by_hand():
    """One dense and one expert layer: 64 wide, 8 query and 2 key-value heads of 8."""
    attention = 64 * 8 * (2 * 8 + 2 * 2)
    experts = 3 * 64 * 32 * 16 + 64 * 16
    config = {
        **{
            "model_type": "qwen3_moe",
            "hidden_size": 64,
            "intermediate_size": 256,
            "num_hidden_layers": 2,
        },
        **{"num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 8, "vocab_size": 1000},
        **{
            "num_experts": 16,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 32,
            "mlp_only_layers": [0],
        },
    }
    built = read_config(config)
    total = 2 * attention + 3 * 64 * 256 + experts + 2 * 1000 * 64
    assert float(parameter_count(built)) == total
    assert float(active_parameter_count(built)) == total - 3 * 64 * 32 * 14
    assert float(parameter_count(eqx.tree_at(lambda m: m.hidden, built, jnp.array(0.0)))) == 0.0
    assert (
        float(parameter_count(read_config({**config, "tie_word_embeddings": True})))
        == total - 64 * 1000
    )


@pytest.mark.parametrize(
    "name",
    [
        "llama-3.1-8b",
        "mixtral-8x7b",
        "deepseek-v3.2",
        "deepseek-v2",
        "qwen3-next-80b-a3b",
        "llama-4-scout",
        "opt-1.3b",
    ],
)
@pytest.mark.parametrize("count", [parameter_count, active_parameter_count])
def test_gradients_agree_with_finite_differences(name, count):
    """Every count is a polynomial of low degree in each dimension, so a central difference is good
    to rounding."""
    built = model(name)
    leaves, tree = jax.tree.flatten(built)
    gradient = jax.tree.leaves(jax.grad(lambda m: count(m))(built))
    assert len(gradient) == len(leaves)
    for i, (leaf, slope) in enumerate(zip(leaves, gradient, strict=True)):
        step = 1e-3 * max(float(leaf), 1e-9)
        if leaf > 1e17 or leaf == 0.0:  # an unlimited window; a part that is switched off
            assert jnp.isfinite(slope)
            continue
        up, down = (
            float(
                count(jax.tree.unflatten(tree, [*leaves[:i], leaf + sign * step, *leaves[i + 1 :]]))
            )
            for sign in (1, -1)
        )
        assert float(slope) == pytest.approx((up - down) / (2 * step), rel=1e-6, abs=1e-3), (
            name,
            i,
        )


def test_names_are_found_however_they_are_written():
    for name in ("Llama 3.1 70B", "meta-llama/Llama-3.1-70B-Instruct", "LLAMA_3.1_70B"):
        assert float(layer_count(model(name))) == 80
    assert model("Qwen/Qwen3-Coder-30B-A3B-Instruct").name == "qwen3-coder-30b-a3b-instruct"
    assert model_facts("Kimi-K2-Instruct") == model_facts("kimi-k2")


def test_no_name_stands_for_two_models():
    names = [
        alias
        for name in model_names()
        for alias in (name, *model_facts(name)["_source"].get("also", ()))
    ]
    assert len({name.lower() for name in names}) == len(names) == len(index())


def test_unknown_names_get_the_nearest():
    with pytest.raises(
        ValueError, match=r"There is no model 'lama-3.1-8b', .*nearest are llama-3.1-8b"
    ):
        model("lama-3.1-8b")
    with pytest.raises(ValueError, match=r"There is no model 'zzz', .*names: codesign list models"):
        model_facts("zzz")


def test_a_path_is_read(tmp_path: Path, monkeypatch):
    folder = tmp_path / "gpt2"
    folder.mkdir()
    facts = {**model_facts("gpt2"), "n_layer": 3}
    (folder / "config.json").write_text(json.dumps(facts))
    assert (
        float(layer_count(model(folder)))
        == float(layer_count(model(str(folder / "config.json"))))
        == 3
    )
    monkeypatch.chdir(tmp_path)
    assert (
        float(layer_count(model("gpt2"))) == 12
    )  # a shipped name goes before a folder of that name
    assert float(layer_count(model("./gpt2/config.json"))) == 3


def test_importing_the_catalogue_is_light():
    script = (
        "import sys, codesign.workload.catalogue as c; assert 'pydantic' not in sys.modules;"
        " c.model('gpt2')"
    )
    subprocess.run(
        [sys.executable, "-c", script + "; assert 'pydantic' in sys.modules"], check=True
    )


def test_nominal_counts():
    assert model("llama-3.1-405b").nominal_parameters is None
    assert model("llama-3.1-405b", nominal_parameters=False).nominal_parameters is None
    assert float(model("llama-3.1-405b", nominal_parameters=True).nominal_parameters) == 405e9  # pyright: ignore
    assert float(model("gpt2", nominal_parameters=1e8).nominal_parameters) == 1e8  # pyright: ignore
    with pytest.raises(ValueError, match="'gpt2' has no nominal parameter count"):
        model("gpt2", nominal_parameters=True)
    for wrong in (-1.0, 0, float("nan"), float("inf")):
        with pytest.raises(
            ValueError, match=r"nominal_parameters = .*, expected a positive number"
        ):
            model("gpt2", nominal_parameters=wrong)
