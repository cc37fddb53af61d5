"""Interruptions, folders of the same name, terminals and homes that lack something."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_ctrl_c_in_a_garbage_collection():
    """JAX has a callback there: the interruption is delivered again, and no traceback is
    printed."""
    program = (
        "import gc, sys\n"
        "from experiments.cli import interrupt_again\n"
        "sys.unraisablehook = interrupt_again\n"
        "struck = []\n"
        "def callback(phase, info):\n"
        "    if not struck:\n"
        "        struck.append(1)\n"
        "        raise KeyboardInterrupt\n"
        "gc.callbacks.append(callback)\n"
        "try:\n"
        "    gc.collect()\n"
        "    for _ in range(10**7): pass\n"
        "except KeyboardInterrupt:\n"
        "    print('delivered')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("delivered\n", "")


@pytest.mark.parametrize("shadow", ["experiments", "objectives", "codesign"])
def test_the_command_is_not_shadowed(tmp_path, shadow):
    """A user's folder of the same name on PYTHONPATH is not taken for ours."""
    (tmp_path / shadow).mkdir()
    (tmp_path / shadow / "__init__.py").touch()
    program = (
        "import sys; sys.argv = ['codesign', 'list', 'objectives', '--json']; import"
        " codesign_console; codesign_console.main()"
    )
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and json.loads(done.stdout), done.stderr


def test_a_terminal_without_our_characters(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}
    command = [
        sys.executable,
        "-c",
        "from experiments.cli import console; console()",
        "list",
        "objectives",
    ]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and not done.stderr


def test_a_user_without_a_home_or_with_one_that_cannot_be_written(tmp_path):
    """Nothing is kept then, nothing made in the working folder, nothing said."""
    program = (
        "from experiments.cli import prepare_jax; prepare_jax(); import jax;"
        " print(jax.config.jax_compilation_cache_dir)"
    )
    for home in ({"HOME": "not/absolute"}, {"XDG_CACHE_HOME": "/proc/none"}):
        environment = {
            name: value
            for name, value in os.environ.items()
            if name not in ("XDG_CACHE_HOME", "JAX_COMPILATION_CACHE_DIR")
        }
        environment |= {"PYTHONPATH": str(ROOT), **home}
        command = [sys.executable, "-c", program]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert (done.stdout, done.stderr) == ("None\n", "") and not list(tmp_path.iterdir())
