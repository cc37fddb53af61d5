"""A scenario with several faults is told all of them at once."""

import itertools

import pytest

from tests.experiments.small_scenario import SMALL

FAULTS = {
    ('model = "llama-3.1-8b"', 'model = "llama-3.1-9b"'): "workload.model = 'llama-3.1-9b'",
    ('promise = "20 ms"', 'promise = "20 GB"'): "workload.promise = '20 GB'",
    ("context = 4096", 'phase = "prefill"'): "the phase 'prefill' needs 'prompt', which is missing",
    (
        'node = "N3"',
        'node = "N33"',
    ): "technology.node.0 = 'N33': unknown node 'N33'; did you mean 'N3'?",
    (
        'memory_bandwidth = ["500 GB/s", "50 TB/s"]',
        'memory_bandwidth = ["50 TB/s", "500 GB/s"]',
    ): "is reversed",
    ('peak_flops = ["50 TFLOP/s", "20 PFLOP/s"]', ""): "the key 'space.peak_flops' is missing",
    ("chips = [1, 16]", "chips = [0, 16]"): "space.chips.0 = 0",
    (
        'collectives = ["two-shot"]',
        'collectives = ["three-shot"]',
    ): "choices.collectives.0 = 'three-shot'",
    ("weights = 4", "weight = 4"): "unknown key 'search.weight'; did you mean 'weights'?",
    ('"tokens/s/$"', '"tokens/s/euro"'): "unknown objective 'tokens/s/euro'",
    ("[search]", '[[bounds]]\noutcome = "spead"\nleast = 1.0\n[search]'): "unknown outcome 'spead'",
}


def broken(*changes: tuple[str, str]) -> str:
    text = SMALL
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    return text


@pytest.mark.parametrize("change", FAULTS)
def test_one_fault_is_one_sentence(refused, tmp_path, change):
    (tmp_path / "mine.toml").write_text(broken(change))
    assert FAULTS[change] in refused("optimize", "mine.toml")


def test_all_faults_at_once(run, tmp_path):
    """Also those that are only seen once another is mended: what a phase needs, below a promise in
    the wrong unit."""
    (tmp_path / "mine.toml").write_text(broken(*FAULTS))
    answer = run("optimize", "mine.toml")
    first, *rest = answer.err.splitlines()
    assert answer.code == 2 and not answer.out
    assert first == f"codesign: mine.toml: {len(FAULTS)} faults"
    assert len(rest) == len(FAULTS) and all(
        any(told in line for line in rest) for told in FAULTS.values()
    )
    assert all(line.startswith("codesign: mine.toml: ") for line in rest)


def test_any_two_faults(run, tmp_path):
    for first, second in itertools.pairwise(FAULTS):
        (tmp_path / "mine.toml").write_text(broken(first, second))
        told = run("optimize", "mine.toml").err
        assert "2 faults" in told and FAULTS[first] in told and FAULTS[second] in told
