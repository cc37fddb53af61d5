"""Bad input: one sentence that names the value, what was expected and the nearest choice; exit 2;
nothing written."""

import json
import subprocess
import sys
import time

import pytest

EVALUATE = ("evaluate", "--model", "llama-3.1-8b", "--device", "h100")
CONFIG = {
    "model_type": "llama",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 100,
    "intermediate_size": 256,
}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "no command given; expected one of advise-batch, calibrate, describe, evaluate"),
        (("evalute",), "unknown command 'evalute'; did you mean 'evaluate'?"),
        ((*EVALUATE, "--bach", 2), "unknown option '--bach' of evaluate; did you mean '--batch'?"),
        (("evaluate", "--device", "h100"), "--model"),
        (
            (*EVALUATE, "--batch", 0),
            "--batch is '0'; expected a whole number of at least 1, the nearest is 1",
        ),
        ((*EVALUATE, "--chips", 2.5), "--chips is '2.5'; expected a whole number"),
        ((*EVALUATE, "--chips", "two"), "--chips is 'two'; expected a whole number"),
        ((*EVALUATE, "--context", -5), "--context is '-5'"),
        ((*EVALUATE, "--kv-bits", "nan"), "--kv-bits is 'nan'"),
        ((*EVALUATE, "--promise-ms", -1), "--promise-ms is '-1'; expected a number above 0 [ms]"),
        ((*EVALUATE, "--execution", "limits"), "did you mean 'limit'?"),
        ((*EVALUATE, "--collective", "rings"), "did you mean 'ring'?"),
        ((*EVALUATE, "--expert", "hole"), "--expert is 'hole'"),
        ((*EVALUATE, "--expert", 8), "has no experts"),
        ((*EVALUATE, "--cached", 0.5), "--cached is given with --phase decode"),
        ((*EVALUATE, "--syncs-per-layer", 3), "expected --execution limit"),
        ((*EVALUATE, "--chips", 8, "--tensor", 3), "--tensor is 3, which must divide 8 (--chips 8"),
        ((*EVALUATE, "--chips", 8, "--tensor", 16), "the nearest that does is 8"),
        ((*EVALUATE, "--chips", 8, "--tensor", 2, "--data", 2), "must equal 4"),
        ((*EVALUATE, "--chips", 8, "--pipeline", 3), "the nearest that it does is 9"),
        ((*EVALUATE, "--node", "N33"), "'N33'; did you mean 'N3'?"),
        ((*EVALUATE, "--nominal-parameters", -3), "--nominal-parameters is '-3'"),
        (("evaluate", "--model", "llama-3.1-405", "--device", "h100"), "llama-3.1-405b"),
        (
            ("evaluate", "--model", "llama-3.1-8b", "--device", "h10"),
            "unknown device 'h10'; did you mean 'h100'?",
        ),
        (("evaluate", "--model", "llama-3.1-8b", "--device", "absent.toml"), "absent.toml"),
        (("list", "device"), "did you mean 'devices'?"),
        (("optimize", "llama-405"), "did you mean 'llama-405b'?"),
        (("optimize", "--weights", 0), "--weights is '0'"),
    ],
)
def test_one_sentence(refused, tmp_path, arguments, told):
    assert told in refused(*arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "not valid JSON"),
        (json.dumps({**CONFIG, "model_type": "lama"}), "'llama'"),
        (json.dumps({**CONFIG, "hidden_size": -1}), "hidden_size = -1"),
        (
            json.dumps({key: value for key, value in CONFIG.items() if key != "vocab_size"}),
            "vocab_size",
        ),
        (json.dumps({**CONFIG, "num_secret_layers": 3}), "num_secret_layers"),
    ],
)
def test_a_config_json_that_cannot_be_read(refused, tmp_path, text, told):
    (tmp_path / "config.json").write_text(text)
    assert told in refused("evaluate", "--model", "config.json", "--device", "h100")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            'memory_bandwidth = "-3 TB/s"',
            "memory_bandwidth = '-3 TB/s': expected a finite value above zero",
        ),
        ('memory_bandwidth = "3 GB"', "wrong kind of unit"),
        ("memory_bandwidth = 3e12", "write the unit too"),
        ('memory_bandwith = "3 TB/s"', "did you mean 'memory_bandwidth'?"),
    ],
)
def test_a_device_that_makes_no_sense(refused, tmp_path, line, told):
    rest = (
        'memory_capacity = "80 GB"\npeak_flops_8bit = "1 PFLOP/s"\nsync_latency = "2'
        ' us"\nlink_bandwidth = "450 GB/s"\n'
    )
    (tmp_path / "chip.toml").write_text(f"{line}\n{rest}")
    assert told in refused("evaluate", "--model", "llama-3.1-8b", "--device", "chip.toml")


def test_a_fault_of_ours_is_no_traceback(run, monkeypatch):
    from experiments.commands import listing

    def broken(*_):
        raise RuntimeError("a\nlong story")

    monkeypatch.setattr(listing, "catalogue", broken)
    answer = run("list", "models")
    assert answer.code == 1
    assert (
        answer.err.count("\n") == 1
        and "a fault in codesign" in answer.err
        and "a long story" in answer.err
    )


def test_interruption(run, monkeypatch):
    from experiments.commands import listing

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(listing, "catalogue", interrupted)
    assert run("list", "models").code == 130


def test_help_and_cheap_refusals_are_quick():
    """They import no JAX; the bound leaves room for a busy machine."""
    start = time.perf_counter()
    command = [
        sys.executable,
        "-X",
        "importtime",
        "-m",
        "experiments.cli",
        *EVALUATE,
        "--batch",
        "0",
    ]
    told = subprocess.run(command, capture_output=True, text=True)
    assert told.returncode == 2 and "--batch is '0'" in told.stderr
    imported = {line.rpartition("|")[2].strip() for line in told.stderr.splitlines()}
    assert "tyro" in imported and not imported & {
        "jax",
        "numpy",
        "codesign",
        "hardware_priors",
        "pydantic",
    }
    assert time.perf_counter() - start < 5
