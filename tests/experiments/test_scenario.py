"""Scenarios: read, written, and refused in one sentence."""

import re
from importlib import resources

import jax.numpy as jnp
import pytest

import codesign
from codesign.search import CONTINUOUS
from experiments.scenarios.problem import problem
from experiments.scenarios.toml_text import read, scenario, scenario_names, written
from experiments.terminal.refusal import Refused
from tests.experiments.small_scenario import SMALL

TEXT = (resources.files("experiments") / "scenarios" / "llama-405b.toml").read_text(
    encoding="utf-8"
)


@pytest.mark.parametrize("name", scenario_names())
def test_round_trip(name):
    stated = scenario(name)
    text = written(stated)
    again = read(text.replace(f'name = "{name}"\n', ""), name, "again")
    assert again == stated and written(again) == text


def test_a_resolved_scenario_can_be_run_again(tmp_path):
    """The run folder's scenario.toml, which carries its name, is itself a scenario."""
    path = tmp_path / "scenario.toml"
    path.write_text(written(scenario("llama-405b")))
    assert scenario(str(path)) == scenario("llama-405b")


def test_every_line_of_the_built_in_scenario_says_why_or_whence():
    for section in ("choices", "fixed"):
        body = TEXT.split(f"[{section}]")[1].split("\n[")[0]
        for line in filter(None, map(str.strip, body.splitlines()[1:])):
            assert "#" in line, line


def test_quantities_arrive_in_si():
    posed = problem(scenario("llama-405b"))
    (space,), (served,) = posed.spaces, posed.services
    low, high = (
        dict(zip(CONTINUOUS, side.tolist(), strict=True)) for side in (space.low, space.high)
    )
    assert (
        low["memory_bandwidth"] == 5e11
        and high["peak_flops"] == 2e16
        and high["memory_capacity"] == 2e12
    )
    assert space.buildable and space.chips == (1, 512) and served.batch == (1, 4096)
    assert float(served.promise) == pytest.approx(0.02)
    kind = posed.choices[0].kinds[0]
    assert float(kind.scale_up_domain) == 72 and float(kind.sram_capacity) == 60e6
    assert [choice.name for choice in posed.choices] == [
        "one-shot, 2 dies",
        "one-shot, 4 dies",
        "two-shot, 2 dies",
        "two-shot, 4 dies",
    ]


BAD = [
    ("\nweights = ", "\nweigths = ", "unknown key 'search.weigths'; did you mean 'weights'?"),
    ("[fixed]", "[fixd]", "unknown key 'fixd'; did you mean 'fixed'?"),
    ('"20 ms"', '"20 GB"', "wrong kind of unit"),
    ('"20 ms"', '"20 ns/s"', "wrong kind of unit"),
    ('"20 ms"', "20", "workload.promise = 20: expected a text with a unit"),
    ('"20 ms"', '"-20 ms"', "not above zero"),
    (
        '["500 GB/s", "50 TB/s"]',
        '["50 TB/s", "500 GB/s"]',
        "reversed; expected the lower end first",
    ),
    ("chips = [1, 512]", "chips = [512, 1]", "reversed; expected the lower end first"),
    ("batch = [1, 4096]", "batch = [0, 4096]", "space.batch.0 = 0"),
    ("context = 8192", "context = 0", "workload.context = 0"),
    ("context = 8192", "", "workload: the phase 'decode' needs 'context', which is missing"),
    ('"tokens/s/W"', '"tokens/s/Watt"', "unknown objective 'tokens/s/Watt'"),
    ('node = "N3"', 'node = "N33"', "'N33'; did you mean 'N3'?"),
    ('model = "llama-3.1-405b"', 'model = "lama-3.1-405b"', "llama-3.1-405b"),
    ("[search]", "[search", "not a TOML file"),
    ("context = 8192", "context = true", "workload.context = True: expected a number"),
    ("context = 8192", 'context = "8192"', "workload.context = '8192': expected a number"),
    ("weight_bits = 8", "weight_bits = true", "weight_bits = True: expected a number"),
    ("chips = [1, 512]", "chips = [true, 512]", "space.chips.0 = True: expected a number"),
    ("chips = [1, 512]", "chips = [1, 2, 512]", "[1, 2, 512]: expected two ends"),
    ("chips = [1, 512]", "chips = [512]", "space.chips has one end; expected two"),
    ("chips = [1, 512]", "chips = 512", "space.chips = 512: expected two ends"),
    ("weights = 12", 'weights = "12"', "search.weights = '12': expected a number"),
    ("[search]", "[search]\nprove = 1", "search.prove = 1: input should be a valid boolean"),
    ("[search]", '[search]\nprove = "yes"', "prove = 'yes': input should be a valid boolean"),
]


@pytest.mark.parametrize(("good", "bad", "told"), BAD)
def test_bad_scenarios(refused, tmp_path, good, bad, told):
    assert good in TEXT
    (tmp_path / "mine.toml").write_text(TEXT.replace(good, bad, 1))
    assert told in refused("optimize", "mine.toml")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.toml"]


def test_limit_mode_leaves_free_all_that_build_mode_does():
    """It frees memory and latency, and takes nothing away (it once held the clock at its nominal
    one, and found machines 11 % worse than build mode did)."""
    stated = read(SMALL, "small", "small")
    (built,) = problem(stated).spaces
    freed = read(SMALL.replace("[space]", '[space]\nmode = "limit"'), "small", "small")
    (limit,) = problem(freed).spaces
    assert built.buildable and not limit.buildable and limit.chips == built.chips
    assert (limit.low <= built.low).all() and (limit.high >= built.high).all()


def test_no_unit_is_left_to_guess():
    """Every physical quantity of the built-in scenario is a text with a unit."""
    searched = [name for name in CONTINUOUS if name not in ("sync_latency", "clock")]
    quantities = ("promise", *searched, "sram", "scale_out_bandwidth", "scale_out_latency")
    for name in quantities:
        assert re.search(rf'^{name} = \[?"[\d.]+ [A-Za-z/]+"', TEXT, re.MULTILINE), name


def refusal(text: str) -> str:
    """What is said of a scenario that cannot be posed."""
    with pytest.raises((Refused, ValueError)) as caught:
        problem(read(text, "mine", "mine.toml"))
    return str(caught.value)


@pytest.mark.parametrize(
    ("phase", "line", "told"),
    [
        (
            "decode",
            "prompt = 512",
            (
                "prompt has no effect in the phase 'decode'; expected it only with phase ="
                ' "prefill" or "serving"'
            ),
        ),
        (
            "decode",
            "output = 512",
            "output has no effect in the phase 'decode'; expected it only with phase = \"serving\"",
        ),
        ("decode", 'first_promise = "1 s"', "first_promise has no effect"),
        ("decode", "cached = 0.5", "cached has no effect"),
        ("decode", "load = 0.5", "load has no effect"),
        ("decode", "prefill_machine = 0", "prefill_machine has no effect"),
        (
            "decode",
            "draft_acceptance = 0.8",
            "draft_acceptance has no effect without drafts; expected draft_length of at least 1",
        ),
        ("decode", "draft_length = 0\ndraft_cost = 0.1", "draft_cost has no effect without drafts"),
        ("decode", "share = 0.5", "share = 0.5 has no effect with one [[workload]]"),
        ("prefill", "prompt = 512\ncontext = 512", "context has no effect in the phase 'prefill'"),
        ("prefill", "prompt = 512\noutput = 512", "output has no effect in the phase 'prefill'"),
        (
            "prefill",
            "prompt = 512\ndraft_length = 1",
            "draft_length has no effect in the phase 'prefill'",
        ),
        (
            "prefill",
            "prompt = 512\ndecode_machine = 0",
            "decode_machine has no effect in the phase 'prefill'",
        ),
        (
            "serving",
            "prompt = 512\noutput = 64\ncontext = 512",
            "context has no effect in the phase 'serving'",
        ),
    ],
)
def test_a_key_without_effect_is_refused_by_name(phase, line, told):
    """They were read and ignored: decode took a prompt, an output and a promise of a first
    token."""
    context = "context = 4096\n" if phase == "decode" else ""
    text = SMALL.replace("context = 4096\n", f'phase = "{phase}"\n{context}{line}\n')
    assert told in refusal(text)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "dies = [1]",
            'dies = [1]\nexperts = ["whole"]',
            "choices.experts = ['whole'] has no effect: llama-3.1-8b has no experts",
        ),
        (
            "[space]",
            '[space]\nsync_latency = ["1 us", "2 us"]',
            'space.sync_latency has no effect in mode = "build"',
        ),
        (
            "activation_bits = 8",
            "activation_bits = 8\nexpert_weight_bits = 4",
            "expert_weight_bits of llama-3.1-8b has no effect",
        ),
        ("[search]", "[search]", None),
    ],
)
def test_choices_without_effect(old, new, told):
    text = SMALL.replace(old, new)
    if told is None:
        problem(read(text, "mine", "mine.toml"))
    else:
        assert told in refusal(text)


def test_choices_that_two_places_state():
    both = SMALL.replace("dies = [1]", "dies = [1]\nweight_bits = [4, 8]")
    assert "weight_bits of llama-3.1-8b has no effect beside choices.weight_bits" in refusal(both)
    experts = both.replace("\nweight_bits = 8", "\nexpert_weight_bits = 8")
    assert "expert_weight_bits of llama-3.1-8b has no effect beside" in refusal(experts)
    problem(read(both.replace("\nweight_bits = 8", ""), "mine", "mine.toml"))
    prefill = SMALL.replace("context = 4096", 'phase = "prefill"\nprompt = 4096').replace(
        '["two-shot"]', '["ring"]'
    )
    assert "choices.collectives = ['ring'] has no effect on prefill" in refusal(prefill)


@pytest.mark.parametrize(
    "work",
    [
        'phase = "prefill"\nprompt = 4096',
        'phase = "serving"\nprompt = 512\noutput = 64',
        "context = 64",
    ],
)
def test_what_is_written_can_be_read(work):
    """Defaults that have no effect in a phase are not written: reading them would be refused."""
    stated = read(SMALL.replace("context = 4096", work), "mine", "mine.toml")
    again = read(written(stated).replace('name = "mine"\n', ""), "mine", "again")
    assert again == stated


def test_a_calibrated_search_names_whose_kernels_it_takes():
    """Near an H100 floors are a few microseconds in the engine, without a rating: energy stays the
    technology's, which the search may choose."""
    text = SMALL.replace(
        "weights = 4", 'weights = 4\nexecution = "calibrated"\nlike = "h100"\nengine = "vllm"'
    )
    near = problem(read(text, "small", "test")).execution
    assert isinstance(near, codesign.Calibrated) and near.rated_power is None
    kernels = near.coefficients
    assert 2e-6 < float(kernels.floor_scale * kernels.product_floor) < 12e-6
    generic = problem(read(text.replace('like = "h100"\n', ""), "small", "test")).execution
    spread = [
        float(jnp.sum(jnp.diag(one.covariance)))
        for one in (near, generic)
        if isinstance(one, codesign.Calibrated)
    ]
    assert spread[0] < spread[1]


@pytest.mark.parametrize("line", ['engine = "vllm"', 'like = "h100"', 'profile = "2026-11"'])
def test_what_only_a_calibrated_search_reads_is_refused_elsewhere(line):
    with pytest.raises(Refused, match='expected execution = "calibrated"'):
        read(SMALL.replace("weights = 4", f"weights = 4\n{line}"), "small", "test")
