"""The collection in ``../shared/cases/faults``, where it is: each file is refused by name
or answered."""

import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CASES = ROOT.parent / "shared/cases/faults"


REFUSED = {
    "layers-1e12.json": "num_hidden_layers", "layers-1e9.json": "num_hidden_layers", "layers-8e7.json": "num_hidden_layers",
    "deep.json": "not valid JSON", "duplicate-keys.json": "given twice", "scenario-deep.toml": "scenario-deep.toml",
    "device-deep.toml": "device-deep.toml", "scenario-unit-power.toml": "workload.promise", "device-unit-power.toml": "memory_capacity",
    "scenario-context-1e400.toml": "context", "scenario-model-home.toml": "no such user",
    "scenario-not-utf8.toml": "scenario-not-utf8.toml", "scenario-chips-1e26.toml": "chips",
    "scenario-two-machines-one-unused.toml": "no service uses machine 1", "scenario-name-dotdot.toml": "name",
    "scenario-name-newline.toml": "name", "scenario-sram-newline.toml": "sram", "device-clock-1e-300.toml": "clock",
    "device-bandwidth-1e-300.toml": "memory_bandwidth", "device-unit-slashes.toml": "memory_bandwidth",
    "scenario-draft-cost-inf.toml": "draft_cost", "energy-short-row": "line 3", "energy-long-row": "line 2",
    "scenario-bound-inf.toml": "least",
}  # fmt: skip
"""What the sentence of a refusal names."""

DONE = (
    "scenario-name-absolute.toml", "scenario-description-markup.toml", "scenario-description-math.toml",
    "scenario-description-dollars.toml", "scenario-context-beyond-model.toml", "device-name-markup.toml", "device-name-escape.toml",
    "scenario-plain.toml",
)  # fmt: skip
"""What is answered. The name of the absolute one is a placeholder, harmless here; real ones are
tested above."""


@pytest.fixture
def collection(tmp_path):
    if not CASES.is_dir():
        pytest.skip(f"{CASES} is not there")
    shutil.copytree(CASES, tmp_path, dirs_exist_ok=True)
    return tmp_path


def _command(name: str) -> tuple[str, ...]:
    if name.startswith("energy"):
        return "reproduce", "energy", "--data", name
    if name.startswith("scenario"):
        return "optimize", name
    model, device = (name, "h100") if name.endswith(".json") else ("llama-3.1-8b", name)
    return "evaluate", "--model", model, "--device", device


@pytest.mark.parametrize("name", REFUSED)
def test_the_collection_is_refused(collection, refused, name):
    assert REFUSED[name] in refused(*_command(name))
    assert sorted(path.name for path in collection.iterdir()) == sorted(
        path.name for path in CASES.iterdir()
    )


@pytest.mark.parametrize("name", DONE)
def test_the_collection_is_answered(collection, run, searched, name):
    answer = run(*_command(name))
    assert answer.code == 0, answer.err
    assert "\x1b" not in answer.out and "\x07" not in answer.out


def test_the_collection_is_known(collection):
    """Every file of it is replayed here; gradients elsewhere."""
    files = {path.name for path in CASES.iterdir()} - {"expected.csv"}
    assert files <= {*REFUSED, *DONE, "gradient_prompt.py", "gradient_batch_1.py"}
