"""Inputs that once ended in a traceback, a hang or nonsense: each refused by name. Replayed from
``../shared/cases/faults`` in ``test_fault_collection``."""

import csv
import dataclasses
import json
import os

import pytest

from tests.experiments.fault_inputs import CONFIG, EVALUATE, deep, device_of
from tests.experiments.small_scenario import SMALL


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("x.json", ("evaluate", "--device", "h100", "--model", "x.json")),
        ("x.toml", ("evaluate", "--model", "gpt2", "--device", "x.toml")),
        ("x.toml", ("optimize", "x.toml")),
    ],
)
@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("pipe", "not a file"),
        ("endless", "not a file"),
        ("latin-1", "is not UTF-8"),
        ("deep", "nested too deeply"),
        ("tables", "nested too deeply"),
        ("huge", "larger than"),
        ("nothing", "x."),
        ("folder", "x."),
    ],
)
def test_what_is_no_file_of_ours(refused, tmp_path, name, arguments, kind, told):
    """Not waited for, not read without end, and named."""
    path = tmp_path / name
    toml = name.endswith("toml")
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "endless":
        path.symlink_to("/dev/zero")
    elif kind == "latin-1":
        path.write_bytes(
            'name = "naïve"'.encode("latin-1") if toml else '{"a": "naïve"}'.encode("latin-1")
        )
    elif kind == "folder":
        path.mkdir()
    elif kind == "huge":
        path.write_text("\n" * (17 * 2**20))
    elif kind in ("deep", "tables"):
        dotted = ".".join(["a"] * 3000) + " = 1"
        path.write_text(
            f"a = {deep(50_000)}" if kind == "deep" and toml else dotted if toml else deep(100_000)
        )
    assert told in (sentence := refused(*arguments)) and name in sentence


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            json.dumps({**CONFIG, "num_hidden_layers": 10**12}),
            "num_hidden_layers = 1000000000000, expected at most 10,000 layers",
        ),
        (
            json.dumps({**CONFIG, "num_hidden_layers": 10_001}),
            "num_hidden_layers = 10001, expected at most 10,000 layers",
        ),
        (json.dumps(CONFIG)[:-1] + ', "vocab_size": 7}', "the key 'vocab_size' is given twice"),
        (
            json.dumps({**CONFIG, "rope_scaling": "x"})[:-1].replace('"x"', '{"f": 1, "f": 2}')
            + "}",
            "the key 'f' is given twice",
        ),
        (json.dumps(CONFIG).replace("64", "1e999"), "hidden_size = inf"),
        (json.dumps(CONFIG).replace("64", "9" * 5000), "not valid JSON"),
        (json.dumps({**CONFIG, "hidden_size": "w" * 10**6}), "hidden_size"),
    ],
)
def test_a_config_json_that_says_too_much(refused, tmp_path, content, told):
    (tmp_path / "config.json").write_text(content)
    sentence = refused("evaluate", "--model", "config.json", "--device", "h100")
    assert told in sentence and len(sentence) < 1000


@pytest.mark.parametrize("path", ["~nosuchuser/x", "~nosuchuser/x.toml"])
def test_the_home_of_nobody(refused, tmp_path, path):
    (tmp_path / "mine.toml").write_text(SMALL.replace("llama-3.1-8b", path))
    for arguments in (
        ("optimize", path),
        ("optimize", "mine.toml"),
        ("evaluate", "--model", path, "--device", "h100"),
        *([("evaluate", "--model", "gpt2", "--device", path)] if path.endswith(".toml") else []),
    ):
        assert "no such user" in refused(*arguments)


# Numbers.


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("memory_bandwidth", '"1e-200 B/s"', "expected 1000 to 1e+18 [B/s]"),
        ("memory_bandwidth", '"1e400 B/s"', "more than a number can hold"),
        ("memory_capacity", '"90 GB^2000"', "cannot read '^2000'"),
        ("memory_capacity", '"90 EB^9 EB^9 EB^9"', "no number holds it"),
        ("memory_capacity", '"90 EB/(s/s"', "cannot read"),
        ("memory_capacity", '"90 GB)"', "cannot read ')'"),
        ("memory_bandwidth", '"2 TB//s"', "cannot read '//s'"),
        ("memory_bandwidth", '"2 TB/s/"', "cannot read '/'"),
        ("memory_bandwidth", '"2 /s TB"', "expected a unit"),
        ("memory_bandwidth", '"2\\nTB/s"', "is not a quantity"),
        ("memory_bandwidth", '"٢ TB/s"', "is not a quantity"),
        ("peak_flops", '"1 FLOP/s"', "expected 1e+06 to"),
        ("sync_latency", '"1e-100 s"', "sync_latency = '1e-100 s': expected"),
        ("link_bandwidth", '"1e300 B/s"', "link_bandwidth = '1e300 B/s'"),
        ("clock", "1e-200", "clock = 1e-200: expected 0.01 to"),
        ("dies", "1e300", "dies = 1e+300: expected"),
        ("scale_up_domain", "inf", "scale_up_domain = inf; expected a finite number"),
        ("clock", "1" + "0" * 400, "clock is a whole number of 1329 bits"),
        ("white_silicon", '"1e9 m^2"', "expected 1e-10 to 1 [m^2]"),
        ("name", "7", "name = 7: expected a text"),
        ("name", '""', "name = '': expected a text"),
    ],
)
def test_a_device_that_nobody_could_make(refused, tmp_path, key, value, told):
    (tmp_path / "mine.toml").write_text(device_of(**{key: value}))
    for json_too in ((), ("--json",)):
        assert told in refused("evaluate", "--model", "gpt2", "--device", "mine.toml", *json_too)


@pytest.mark.parametrize(
    ("good", "bad", "told"),
    [
        ('"20 ms"', '"20 ms^5000"', "workload.promise = '20 ms^5000'"),
        ('"20 ms"', '"1e-250 s"', "workload.promise = '1e-250 s': expected 1e-12 to"),
        ('"20 ms"', '"20\\tms"', "is not a quantity"),
        ("context = 4096", "context = 1" + "0" * 350, "workload.context is a whole number of 1163 bits"),
        ("context = 4096", "context = 1" + "0" * 6000, "mine.toml: not a TOML file"),
        ("context = 4096", "context = 9000000000", "workload.context = 9000000000"),
        ("context = 4096", "context = 4096\ndraft_length = 1\ndraft_cost = inf", "workload.draft_cost = inf"),
        ("context = 4096", "context = 4096\ndraft_length = 1\ndraft_cost = 1e200", "workload.draft_cost = 1e+200"),
        ("context = 4096", "context = 4096\ndraft_length = 10000000", "workload.draft_length = 10000000"),
        ("weight_bits = 8", "weight_bits = 1e-200", "workload.weight_bits = 1e-200"),
        ("context = 4096", "context = 4096\nshare = nan", "workload.share = nan"),
        ("chips = [1, 16]", "chips = [1, 1000000000000000000]", "space.chips.1 = 1000000000000000000"),
        ("batch = [1, 256]", "batch = [1, 1000000000000000000]", "space.batch.1 = 1000000000000000000"),
        ("weights = 4", "weights = 1000000000", "search.weights = 1000000000"),
        ("weights = 4", "weights = 4\nseed = 99999999999999999999", "search.seed is a whole number of 67 bits"),
        ("weights = 4", '[[bounds]]\noutcome = "user_tokens_per_second"\nleast = inf', "least = inf; expected a finite number"),
        ("pipeline = [1]", "pipeline = [1, 33]", "choices.pipeline for llama-3.1-8b is 33, but llama-3.1-8b has 32 layers"),
        ("pipeline = [1]", f"pipeline = {list(range(1, 5001))}", "offer 5000 combinations; expected at most 4096"),
        ("pipeline = [1]", "pipeline = [32]", "takes at least 32 chips, more than space.chips = [1, 16] has"),
        ("pipeline = [1]", "pipeline = [1, 1]", "1 is given twice"),
        ('["tokens/s/$", "tokens/s/user"]', '["tokens/s/$", "tokens/s/$"]', "'tokens/s/$' is given twice"),
        ("context = 4096", "context = 4096\nshare = 0.5", "share = 0.5 has no effect with one [[workload]]; expected 1, or several"),
        ("weights = 4", '[[bounds]]\noutcome = "step_time"', "neither 'least' nor 'most' is given"),
        ("weights = 4", '[[bounds]]\noutcome = "step_time"\nleast = 2\nmost = 1', "least = 2 is more than most = 1"),
        ("weights = 4", '[[bounds]]\noutcome = "step_time"\nleast = 1e300', "bounds.0.least = 1e+300"),
        ('["500 GB/s", "50 TB/s"]', '["500 GB/s", "1e300 TB/s"]', "memory_bandwidth"),
        ("[search]", "[[machines]]\n[[machines]]\n[search]", "no service uses machine 1"),
        ("[technology]", "prefill_machine = 1\n[technology]", "prefill_machine has no effect in the phase 'decode'"),
        ("[technology]", "decode_machine = 1\n[[machines]]\n[[machines]]\n[technology]", "no service uses machine 0"),
    ],
)  # fmt: skip
def test_a_scenario_that_makes_no_sense(refused, tmp_path, good, bad, told):
    assert good in SMALL
    (tmp_path / "mine.toml").write_text(SMALL.replace(good, bad, 1))
    assert told in refused("optimize", "mine.toml")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.toml"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--chips", 1000000000000000003, "--tensor", 7), "--chips is '1000000000000000003'"),
        (("--chips", 999983, "--tensor", 7), "the nearest that does is 1"),
        (("--chips", "9" * 400), "--chips is"),
        (("--batch", "1e300"), "--batch is '1e300'"),
        (("--context", "1e300"), "--context is '1e300'"),
        (("--phase", "prefill", "--prompt", "1e300"), "--prompt is '1e300'"),
        (("--chips", "1e300", "--json"), "--chips is '1e300'"),
        (("--kv-bits", "1e-200"), "--kv-bits is '1e-200'"),
        (("--activation-bits", "1e-200"), "--activation-bits is '1e-200'"),
        (("--sync-latency-us", "1e300", "--json"), "--sync-latency-us is '1e300'"),
        (
            ("--chips", 8, "--execution", "limit", "--syncs-per-layer", "1e300", "--json"),
            "--syncs-per-layer is '1e300'",
        ),
        (("--nominal-parameters", 8), "llama-3.1-8b has 8.03e+09 by its own count"),
        (("--nominal-parameters", "1e300"), "llama-3.1-8b has 8.03e+09 by its own count"),
        (("--chips", 34, "--pipeline", 34), "--pipeline is 34, but llama-3.1-8b has 32 layers"),
    ],
)
def test_arguments_beyond_all_that_runs(refused, arguments, told):
    assert told in refused(*EVALUATE, *arguments)


def test_an_outcome_that_is_no_number_is_refused(refused, monkeypatch):
    """Whatever slips through the ranges: JSON never says null for an outcome."""
    from experiments.points import report as point_report

    def measured(point, plan=None):
        outcome, slopes = point_report_measured(point, plan)
        nothing = float("nan")
        return dataclasses.replace(outcome, user_tokens_per_second=nothing), slopes

    point_report_measured = point_report.measured
    monkeypatch.setattr(point_report, "measured", measured)
    assert "no finite user_tokens_per_second" in refused(*EVALUATE, "--json")


def test_more_positions_than_the_model_has(run, tmp_path, searched):
    """A warning for people and in JSON; a learned table, or what a config.json says."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/config.json").write_text(
        json.dumps({**CONFIG, "max_position_embeddings": 2048})
    )
    (tmp_path / "mine.toml").write_text(SMALL.replace("llama-3.1-8b", "gpt2"))
    for model, context, told in (
        ("gpt2", 1024, None),
        ("gpt2", 1025, "1024 positions"),
        ("mine", 4096, "2048 positions"),
    ):
        answer = run(*EVALUATE[:2], model, *EVALUATE[3:], "--context", context, "--json")
        assert answer.code == 0 and bool(answer.json["warnings"]) == bool(told)
        assert not told or (told in answer.json["warnings"][0] and told in answer.err)
    answer = run("optimize", "mine.toml", "--json")
    assert (
        "gpt2 has 1024 positions; 4096 are beyond" in answer.json["warnings"][0]
        and "warning: gpt2" in answer.err
    )


# Measurements.


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda row: row[:4], "line 2 has 4 fields; expected"),
        (lambda row: [*row, "more"], "line 2 has"),
        (lambda row: [*row[:4], "0", *row[5:]], "tp is '0'; expected a number of at least 1"),
        (lambda row: [*row[:3], "1e300", *row[4:]], "n_chips is '1e300'"),
    ],
)  # fmt: skip
def test_a_row_of_measurements_that_is_broken(refused, tmp_path, change, told):
    names = (
        "source,model,hardware,n_chips,tp,pp,ep,precision_weights,precision_kv,phase,batch_or_concurrency,input_len,output_len,metric,"
        "value,unit,params_note"
    ).split(",")
    row = [
        "here",
        "Qwen/Qwen3-14B",
        "H100",
        "1",
        "1",
        "1",
        "1",
        "bf16",
        "",
        "steady_state_serving",
        "8",
        "",
        "600",
    ]
    metrics = (["gpu_energy_per_output_token", "0.5", "J/tok"], ["gpu_power_avg_total", "500", "W"])
    with (tmp_path / "energy_mlenergy.csv").open("w") as file:
        csv.writer(file).writerows(
            [names, *(change([*row, *metric, "task chat"]) for metric in metrics)]
        )
    assert told in refused("reproduce", "energy", "--data", ".")
