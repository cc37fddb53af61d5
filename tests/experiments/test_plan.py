"""``codesign plan``: the answer first, the contract of its JSON and file, and every refusal in a
sentence."""

import csv
import io

import pytest

from tests.examples import thorough

CHAT = "--model llama-3.1-8b --prompt 2048 --output 512".split()
ONE = [*CHAT, "--devices", "h200", "--max-chips", "2"]
KEYS = (
    "device chips tensor pipeline expert data context_parallel batch user_tokens_per_second"
    " time_to_first_token_s cost_per_million_tokens_usd interval status"
).split()


def test_the_answer_comes_first_and_fits_a_screen(run):
    answer = run("plan", *ONE, "--promise", "20 ms", "--first-promise", "1 s")
    lines = answer.out.splitlines()
    assert answer.code == 0 and "× h200 as " in lines[0] and "USD per million tokens" in lines[0]
    assert len(lines) <= 30 and max(map(len, lines)) <= 80


def test_json_keeps_its_contract(run):
    found = run("plan", *ONE, "--promise", "20 ms", "--json").json
    assert set(KEYS) <= set(found["best"])
    assert found["best"]["device"] == "h200" and found["best"]["status"] == "PLANNED"
    assert all(set(KEYS) <= set(one) for one in found["devices"])
    low, high = found["best"]["interval"]
    assert low < found["best"]["cost_per_million_tokens_usd"] < high
    assert found["best"]["user_tokens_per_second"] >= 50


def test_layouts_are_ranked_and_say_what_they_lose(run):
    answer = run("plan", *ONE, "--show-layouts", "--why")
    assert "layouts of h200, best first" in answer.out
    assert "0.0 %" in answer.out and "A decode step takes" in answer.out


def test_a_file_has_a_line_a_device(run, tmp_path):
    devices = "h200,t4"
    answer = run(
        "plan", *CHAT, "--devices", devices, "--max-chips", "1", "--csv", "all.csv",
        "--promise", "20 ms",
    )  # fmt: skip
    rows = list(csv.DictReader(io.StringIO((tmp_path / "all.csv").read_text())))
    assert answer.code == 0 and [row["device"] for row in rows] == ["h200", "t4"]
    assert rows[0]["status"] == "PLANNED" and rows[1]["status"] == "DOES NOT FIT"
    assert float(rows[0]["cost_per_million_tokens_usd [USD]"]) > 0


def test_what_cannot_serve_says_by_how_much_and_what_would(run):
    answer = run("plan", *CHAT, "--devices", "t4", "--max-chips", "1", "--json")
    assert answer.code == 3 and answer.json["best"] is None
    (only,) = answer.json["devices"]
    assert only["status"] == "DOES NOT FIT" and "chips would do" in only["reason"]
    assert "no machine serves llama-3.1-8b so: the nearest is t4" in answer.err


def test_own_prices_are_taken(run):
    found = run("plan", *ONE, "--hourly", "h200=2.5", "--json").json["best"]
    hourly = found["output_tokens_per_second"] * 3600
    assert found["cost_per_million_tokens_usd"] == pytest.approx(
        2.5e6 * found["chips"] / hourly, rel=1e-9
    )


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--rate", "fast"), "--rate is 'fast'; expected requests per s, min or h"),
        (("--rate", "200/min", "--users", "3"), "--rate and --users are both given"),
        (("--promise", "33"), "--promise is '33'"),
        (("--promise", "33 GB"), "--promise is '33 GB'"),
        (("--hourly", "h100=2"), "--hourly names 'h100', which is not in --devices"),
        (("--price", "cheap"), "--price has 'cheap'; expected a price above 0"),
        (("--draft", "1"), "--draft is 1 without --acceptance"),
        (("--acceptance", "0.5"), "--acceptance is given without --draft"),
        (("--engine", "vllm", "--execution", "limit"), "expected --execution calibrated"),
        (("--expert-weight-bits", "4"), "has no experts"),
        (("--csv", "nowhere/all.csv"), "whose folder is not there"),
        (("--by", "speed", "--rate", "1/s"), "--by speed is given with --rate"),
        (("--fewest-chips", "--largest-batch"), "one question at a time"),
        (("--gain", "kv=8"), "--gain is 'kv=8'; expected OPTION=VALUE"),
        (("--gain", "kv-bits=many"), "--kv-bits is 'many'"),
        (("--break-even", "h200,t4"), "expected two names of --devices"),
    ],
)
def test_bad_options_are_refused(refused, options, told):
    assert told in refused("plan", *ONE, *options)


def test_an_unknown_device_is_refused_by_its_nearest(refused):
    assert "did you mean 'h200'?" in refused("plan", *CHAT, "--devices", "h2000")


QUESTIONS = [
    (("--largest-batch",), "sequences at a time, on"),
    (("--largest-context",), "the model was made for 131,072"),
    (("--fewest-chips",), "1 chips: 1 × h200 as TP1"),
    (("--gain", "kv-bits=8"), "kv-bits 8: "),
]
if thorough():  # another program to compile
    QUESTIONS.append((("--gain", "draft=1", "--acceptance", "0.7"), "draft 1: "))


@pytest.mark.parametrize(("options", "told"), QUESTIONS, ids=lambda part: part[0].strip("-"))
def test_a_question_has_a_line(run, options, told):
    answer = run("plan", *ONE, "--users", "1", *options)
    assert answer.code == 0 and answer.out.count("\n") == 1 and told in answer.out
    assert run("plan", *ONE, "--users", "1", *options, "--json").json["question"]


def test_the_largest_context_is_exact(run):
    asked = ["plan", *ONE, "--users", "1"]
    most = run(*asked, "--largest-context", "--json").json["prompt"]
    at = asked.index("--prompt") + 1
    codes = [run(*asked[:at], most + more, *asked[at + 1 :]).code for more in (0, 1)]
    assert codes == [0, 3]


def test_devices_break_even_where_they_cost_the_same(run):
    asked = ["plan", *CHAT, "--devices", "h100,h200", "--max-chips", "1", "--json"]
    at = run(*asked, "--break-even", "h100,h200", "--hourly", "h100=2").json["hourly_usd"]
    found = run(*asked, "--hourly", f"h100=2,h200={at}").json["devices"]
    costs = [one["cost_per_million_tokens_usd"] for one in found]
    assert costs[0] == pytest.approx(costs[1], rel=1e-6)


def test_pools_of_their_own_are_offered_where_they_are_better(run):
    asked = ["plan", *ONE, "--promise", "20 ms", "--first-promise", "1 s", "--json"]
    together = run(*asked).json["best"]
    best = run(*asked, "--disaggregate").json["best"]
    assert best["cost_per_million_tokens_usd"] <= together["cost_per_million_tokens_usd"]
