"""``codesign evaluate``: the limit study's numbers, the keys, and what adds up."""

import math

import pytest

from codesign import DESIGN_VARIABLES

LIMIT_STUDY = (
    "--model",
    "llama-3.1-405b",
    "--device",
    "xpu-hbm3",
    "--execution",
    "limit",
    "--nominal-parameters",
    "--json",
)

KEYS = """step_time_s user_tokens_per_second system_tokens_per_second fits fits_memory
limits_broken warnings capacity_needed_bytes capacity_available_bytes
bound breakdown power_w energy_per_token_j capital_cost_usd cost_per_million_tokens_usd
tokens_per_second_per_dollar tokens_per_second_per_watt elasticities limits inputs units""".split()


@pytest.mark.parametrize(
    ("chips", "context", "expected"),
    [
        (8, 4096, 86),
        (8, 131072, 80),
        (32, 4096, 290),
        (32, 131072, 271),
        (128, 4096, 776),
        (128, 131072, 743),
    ],
)
def test_limit_study(run, chips, context, expected):
    """Tokens/s/user of Llama-3.1-405B at batch 1 (arXiv 2507.14397)."""
    answer = run(
        "evaluate", *LIMIT_STUDY, "--chips", chips, "--context", context, "--kv-split", "ideal"
    )
    assert answer.code == 0
    assert round(answer.json["user_tokens_per_second"]) == expected


def test_both_splits_of_the_cache_are_told(run):
    arguments = ("evaluate", *LIMIT_STUDY, "--chips", 128, "--context", 131072)
    heads, ideal = run(*arguments).json, run(*arguments, "--kv-split", "ideal").json
    assert heads["user_tokens_per_second"] == pytest.approx(445, abs=1)
    for report in (heads, ideal):
        assert (
            report["kv_split"]["heads"]["user_tokens_per_second"] == heads["user_tokens_per_second"]
        )
        assert (
            report["kv_split"]["ideal"]["user_tokens_per_second"] == ideal["user_tokens_per_second"]
        )
    assert (heads["kv_split"]["used"], ideal["kv_split"]["used"]) == ("heads", "ideal")
    text = run(*(word for word in arguments if word != "--json")).out
    assert "444.9" in text and "742.7" in text and "Not buildable as priced" in text
    assert "kv_split" not in run("evaluate", *LIMIT_STUDY, "--chips", 8).json


def test_too_small_is_refused_with_the_missing_bytes(run):
    """881 GiB for 32 users at 64K (arXiv 2507.14397); eight chips have 768."""
    answer = run(
        "evaluate",
        *LIMIT_STUDY,
        "--chips",
        8,
        "--batch",
        32,
        "--context",
        65536,
        "--kv-split",
        "ideal",
    )
    assert answer.code == 3
    assert answer.json["fits"] is False
    assert answer.json["capacity_needed_bytes"] / 2**30 == pytest.approx(881, abs=0.5)
    assert "needs 881.2 GiB" in answer.err and "113.2 GiB are missing" in answer.err
    assert "the least number of chips that fits is 10" in answer.err
    assert len(answer.err.splitlines()) == 1


def test_what_never_fits_says_so(refused):
    told = refused(
        "evaluate", *LIMIT_STUDY, "--chips", 8, "--batch", 4096, "--context", 131072, code=3
    )
    assert "no tensor degree up to 65536 chips makes it fit" in told


def test_keys_and_sums(run):
    report = run(
        "evaluate",
        "--model",
        "llama-3.1-8b",
        "--device",
        "h100",
        "--chips",
        2,
        "--batch",
        16,
        "--json",
    ).json
    assert set(KEYS) <= set(report)
    names = ("memory", "compute", "vector", "sync", "transfer", "floor", "host")
    parts = [report["breakdown"][part] for part in names]
    assert sum(parts) == pytest.approx(report["step_time_s"], rel=1e-12)
    by_operator = sum(entry["time"] for entry in report["breakdown"]["by_operator"].values())
    by_collective = sum(
        e["sync"] + e["transfer"] for e in report["breakdown"]["by_collective"].values()
    )
    host = report["breakdown"]["host"]
    assert by_operator + by_collective + host == pytest.approx(report["step_time_s"], rel=1e-12)
    assert report["system_tokens_per_second"] == pytest.approx(
        16 * report["user_tokens_per_second"]
    )
    assert report["energy_per_token_j"] == pytest.approx(
        report["power_w"] / report["system_tokens_per_second"]
    )
    per_dollar = report["system_tokens_per_second"] / report["capital_cost_usd"]
    assert report["tokens_per_second_per_dollar"] == pytest.approx(per_dollar)
    assert set(report["units"]) >= set(KEYS) - {"inputs", "units", "elasticities"}
    assert report["inputs"]["tensor"] == 2 and report["inputs"]["node"] == "N4"


def test_elasticities_are_those_of_the_reported_numbers(run):
    """Longer syncs by 0.1 % change tokens/s/$ as the elasticity says."""
    arguments = (
        "evaluate",
        "--model",
        "llama-3.1-8b",
        "--device",
        "h100",
        "--chips",
        8,
        "--json",
        "--sync-latency-us",
    )
    less, at, more = (run(*arguments, 3.0 * factor).json for factor in (0.999, 1.0, 1.001))
    for goal, slopes in at["elasticities"].items():
        assert tuple(slopes) == DESIGN_VARIABLES
        measured = math.log(more[goal] / less[goal]) / math.log(1.001 / 0.999)
        assert slopes["sync_latency"] == pytest.approx(measured, rel=1e-5)


def test_bound_names_the_cause_with_most_time(run):
    arguments = ("evaluate", "--model", "llama-3.1-8b", "--device", "h100", "--json")
    arguments = (*arguments, "--execution", "operatorwise")
    assert run(*arguments, "--chips", 2).json["bound"] == "memory"
    assert run(*arguments, "--phase", "prefill", "--prompt", 8192).json["bound"] == "compute"
    assert run(*arguments, "--chips", 8, "--sync-latency-us", 100).json["bound"] == "sync"
    slow_links = (*arguments, "--chips", 8, "--phase", "prefill", "--link-bandwidth", "5 GB/s")
    report = run(*slow_links).json
    assert report["bound"] == "transfer"  # it was called sync, of which there is little
    assert (
        report["breakdown"]["transfer"]
        > 0.5 * report["step_time_s"]
        > 100 * report["breakdown"]["sync"]
    )
    for found in (report, run(*arguments).json):
        parts = {
            part: found["breakdown"][part]
            for part in ("memory", "compute", "vector", "sync", "transfer")
        }
        assert found["bound"] == max(parts, key=lambda part: parts[part])


def test_data_groups_are_what_remains(run):
    arguments = (
        "evaluate",
        "--model",
        "llama-3.1-8b",
        "--device",
        "h100",
        "--chips",
        8,
        "--batch",
        8,
        "--json",
    )
    assert run(*arguments, "--tensor", 2).json["inputs"]["data"] == 4
    assert run(*arguments, "--data", 2, "--pipeline", 2).json["inputs"]["tensor"] == 2


def test_all_algorithms_are_never_slower_than_one(run):
    arguments = (
        "evaluate",
        "--model",
        "llama-3.1-8b",
        "--device",
        "h100",
        "--chips",
        8,
        "--batch",
        64,
        "--execution",
        "operatorwise",
        "--json",
    )
    names = ("ring,tree", "one-shot,two-shot", "auto")
    slow, fast, fastest = (
        run(*arguments, "--collective", name).json["step_time_s"] for name in names
    )
    assert fastest <= fast < slow


def test_a_config_json_and_a_device_of_ones_own(run, tmp_path):
    folder = tmp_path / "llama-3.1-8b"
    folder.mkdir()
    (folder / "config.json").write_text(
        '{"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32,'
        ' "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 14336,'
        ' "vocab_size": 128256}'
    )
    (tmp_path / "chip.toml").write_text(
        'memory_bandwidth = "3.35 TB/s"\nmemory_capacity = "80 GB"\npeak_flops_8bit = "1.979'
        ' PFLOP/s"\nsync_latency = "3.86 us"\nlink_bandwidth = "450 GB/s"\ntechnology = ["N4",'
        ' "HBM3", "NVLink4"]\n'
    )
    # neither file says how the weights are stored, and nobody measured a chip of one's own
    eight = ("--weight-bits", 8, "--kv-bits", 8, "--activation-bits", 8)
    eight = (*eight, "--execution", "operatorwise", "--json")
    own = run("evaluate", "--model", folder, "--device", "chip.toml", *eight).json
    shipped = run("evaluate", "--model", "llama-3.1-8b", "--device", "h100", *eight).json
    assert own["step_time_s"] == pytest.approx(shipped["step_time_s"], rel=1e-3)


def test_people_see_units_prices_and_what_is_unsourced(run):
    text = run("evaluate", "--model", "llama-3.1-8b", "--device", "h100").out
    for word in (
        "ms",
        "tokens/s",
        "GiB",
        "USD",
        "kW",
        "builder",
        "bound by",
        "unsourced",
        "judged",
        "elasticities",
    ):
        assert word in text


def test_a_missed_promise_is_infeasible(run):
    answer = run(
        "evaluate", "--model", "llama-3.1-8b", "--device", "h100", "--promise-ms", 0.1, "--json"
    )
    assert answer.code == 3 and answer.json["limits"]["promise"] > 0
    assert "more than the promised 0.1 ms" in answer.err


@pytest.mark.parametrize("device", ["mi300x", "xpu-cows", "wse-3", "gb200", "tpu-v7"])
def test_every_limit_a_machine_breaks_has_words(run, device):
    """Chips of many dies, of SRAM or of a wafer break limits that ordinary ones keep; the table
    names them."""
    answer = run(
        "evaluate",
        "--model",
        "llama-3.1-8b",
        "--device",
        device,
        "--chips",
        "2",
        "--batch",
        "1",
        "--context",
        "1024",
    )
    assert answer.code == 0, answer.err


def test_units_survive_on_the_screen(run):
    """Square brackets are markup to rich: a unit in them must not vanish."""
    shown = run("evaluate", "--model", "llama-3.1-8b", "--device", "h100").out
    assert all(
        unit in shown for unit in ("time [ms]", "share [%]", "[%/%]", "tokens/s", "USD", "GiB")
    )


@pytest.mark.parametrize(
    ("expert", "extra", "speed"),
    [("1", 0, 2943), ("1", 2, 1946), ("whole", 0, 1057), ("whole", 2, 893)],
)
def test_deepseek_on_128_chips(run, expert, extra, speed):
    """The four placements of tests/codesign/test_published.py, as a user would ask for them."""
    answer = run(
        "evaluate",
        "--model",
        "deepseek-v3",
        "--device",
        "xpu-hbm3",
        "--chips",
        128,
        "--context",
        4096,
        "--execution",
        "limit",
        "--kv-split",
        "ideal",
        "--expert",
        expert,
        "--syncs-per-expert-layer",
        extra,
        "--json",
    )
    assert round(answer.json["user_tokens_per_second"]) == speed
