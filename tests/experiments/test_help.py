"""What the command line says of itself: help with examples, versions, templates, scenarios as
shipped."""

import shlex
import subprocess
import sys
from importlib import resources
from importlib.metadata import version

import pytest

from experiments import cli
from experiments.scenarios.toml_text import scenario, scenario_names
from experiments.terminal.help_examples import EXAMPLES


def test_every_command_has_two_examples():
    assert set(EXAMPLES) == {"", *cli.COMMANDS}
    for command, examples in EXAMPLES.items():
        assert len(set(examples)) == 2 and all(
            example.startswith(f"codesign {command}".strip()) for example in examples
        )


@pytest.mark.parametrize(
    "example", sorted({example for examples in EXAMPLES.values() for example in examples})
)
def test_every_example_can_be_read(example):
    program, *arguments = shlex.split(example)
    assert program == "codesign" and type(cli.parsed(arguments)) is cli.COMMANDS[arguments[0]]


@pytest.mark.parametrize("command", EXAMPLES)
def test_help_ends_with_its_examples(run, command):
    answer = run(*([command] if command else []), "--help")
    assert answer.code == 0
    assert [line.strip() for line in answer.out.rstrip().splitlines()[-2:]] == list(
        EXAMPLES[command]
    )


def test_versions(run):
    assert run("--version").out == f"codesign {version('codesign')}, JAX {version('jax')}\n"


def test_help_and_version_import_nothing_heavy():
    for argument in ("--help", "--version"):
        told = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "experiments.cli", argument],
            capture_output=True,
            text=True,
            check=True,
        )
        imported = {line.rpartition("|")[2].strip() for line in told.stderr.splitlines()}
        assert not imported & {"jax", "numpy", "codesign", "hardware_priors", "pydantic"}


@pytest.mark.parametrize("name", scenario_names())
def test_a_scenario_is_shown_as_shipped(run, name):
    shipped = (resources.files("experiments") / "scenarios" / f"{name}.toml").read_text(
        encoding="utf-8"
    )
    assert run("show", name).out == shipped
    assert run("show", name, "--json").json["name"] == name


def test_a_template_is_written_once(run, refused, tmp_path):
    assert run("optimize", "chat", "--write-template", "mine.toml").code == 0
    text = (tmp_path / "mine.toml").read_text()
    assert text == (resources.files("experiments") / "scenarios/chat.toml").read_text(
        encoding="utf-8"
    )
    assert scenario(str(tmp_path / "mine.toml")).workload == scenario("chat").workload
    (tmp_path / "mine.toml").write_text("# my work")
    assert "is there already" in refused("optimize", "--write-template", "mine.toml")
    assert (tmp_path / "mine.toml").read_text() == "# my work"
    assert "did you mean 'chat'" in refused("optimize", "chatt", "--write-template", "other.toml")
    assert not (tmp_path / "other.toml").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("show", "chatt"), "did you mean 'chat'?"),
        (("show", "chat", "--design", 3), "--design is given, but 'chat' is no run folder"),
        (("show", "chat", "--all"), "--all is given, but 'chat' is no run folder"),
        (("show", "."), "is not a run folder"),
    ],
)
def test_what_cannot_be_shown(refused, arguments, told):
    assert told in refused(*arguments)
