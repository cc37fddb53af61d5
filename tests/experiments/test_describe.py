"""``codesign describe``: how a model was read, for people and for programs."""

import json

import pytest

KEYS = {
    "parameters",
    "active_parameters",
    "weight_bytes",
    "kv_bytes_per_token",
    "kv_bytes_per_token_beyond_windows",
    "state_bytes_per_sequence",
    "layers",
    "ignored",
}


def test_the_contract(run):
    """gpt-oss-120b by hand: 18 layers of 36 have a window of 128; 8 KV heads of 64, keys and
    values, 2 bytes."""
    said = run("describe", "gpt-oss-120b", "--json").json
    assert set(said) >= KEYS
    assert (
        said["kv_bytes_per_token"]
        == 36 * 2 * 8 * 64 * 2
        == 2 * said["kv_bytes_per_token_beyond_windows"]
    )
    assert said["parameters"] == pytest.approx(116.83e9, rel=1e-3)
    assert said["weight_bytes"] == pytest.approx(60.8 * 2**30, rel=2e-3)
    assert [one["count"] for one in said["layers"]] == [18, 18]
    assert said["state_bytes_per_sequence"] == 0


def test_a_users_widths_go_before_the_files(run):
    said = run("describe", "gpt-oss-120b", "--weight-bits", 8, "--kv-bits", 8, "--json").json
    assert said["kv_bytes_per_token"] == 36 * 2 * 8 * 64
    assert said["weight_bytes"] == pytest.approx(said["parameters"], rel=1e-3)
    experts = run("describe", "gpt-oss-120b", "--expert-weight-bits", 2, "--json").json["parts"]
    assert (experts["experts"]["weight_bits"], experts["attention"]["weight_bits"]) == (2, 16)


def test_a_recurrent_state_is_told(run):
    """Qwen3.5-397B: 45 layers keep 64 · 128 · 128 elements of 4 bytes, 15 keep a cache of 2 heads
    of 256."""
    said = run("describe", "qwen3.5-397b-a17b", "--json").json
    assert said["state_bytes_per_sequence"] == 45 * 64 * 128 * 128 * 4
    assert said["kv_bytes_per_token"] == 15 * 2 * 2 * 256 * 2


@pytest.mark.parametrize(
    "model",
    ["qwen3-vl-32b", "deepseek-v4-pro", "gemma-3n-e4b", "llama-nemotron-super-49b", "kimi-k3"],
)
def test_people_see_it_in_80_columns(run, model):
    answer = run("describe", model)
    assert answer.code == 0 and max(map(len, answer.out.splitlines())) <= 80
    for word in ("parameters", "bit", "layers", "precision", "not read", "×"):
        assert word in answer.out


def test_what_is_not_read_is_named_with_its_reason(run, tmp_path):
    inner = {
        "model_type": "qwen3_vl_text",
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "vocab_size": 100,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "rope_theta": 1e4,
        "head_dim": 8,
    }
    tower = {"model_type": "eye\x1b[31m", "depth": 10, "hidden_size": 64, "intermediate_size": 256}
    file = tmp_path / "config.json"
    file.write_text(
        json.dumps({"model_type": "qwen3_vl", "text_config": inner, "vision_config": tower})
    )
    ignored = run("describe", file, "--json").json["ignored"]
    assert (
        "about 0.00e9 parameters" in ignored["vision_config"]
        and ignored["rope_theta"] == "positions have no weights"
    )
    answer = run("describe", file)
    assert "a tower" in answer.out and "\x1b" not in answer.out


def test_a_summary_stands_over_an_evaluation(run):
    text = run(
        "evaluate", "--model", "gpt-oss-20b", "--device", "h100", "--execution", "operatorwise"
    ).out
    assert (
        text.startswith("gpt-oss-20b, read as gpt_oss: 20.91e9 parameters, 4.19e9 active")
        or "read as gpt_oss" in text[:60]
    )
    assert "4.25 to 16 bit" in " ".join(text.split()[:30])


def test_bad_input_is_one_sentence(refused, tmp_path):
    assert "the nearest are" in refused("describe", "gpt-oss-12b")
    file = tmp_path / "config.json"
    file.write_text('{"model_type": "llama", "model_type": "gemma"}')
    assert "the key 'model_type' is given twice" in refused("describe", file)
    file.write_text('{"a":' * 100_000)
    assert "not valid JSON" in refused("describe", file)
