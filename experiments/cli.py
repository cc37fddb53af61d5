"""The command line: reads arguments, sets JAX up, runs one command, and turns every failure into a
sentence."""

import _thread
import contextlib
import dataclasses
import gc
import io
import os
import sys
import threading
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import tyro

from experiments.commands.advise_batch import AdviseBatch
from experiments.commands.calibrate import Calibrate
from experiments.commands.describe import Describe
from experiments.commands.evaluate import Evaluate
from experiments.commands.explain import Explain
from experiments.commands.listing import List
from experiments.commands.optimize import Optimize
from experiments.commands.plan import Plan
from experiments.commands.reproduce import Reproduce
from experiments.commands.sensitivity import Sensitivity
from experiments.commands.show import Show
from experiments.commands.uncertainty import Uncertainty
from experiments.commands.validate import Validate
from experiments.terminal.help_examples import ending
from experiments.terminal.refusal import (
    BAD_INPUT,
    INTERRUPTED,
    Refused,
    nearest,
    sentence,
    shortened,
)

COMMANDS: dict[str, type] = {
    "advise-batch": AdviseBatch,
    "calibrate": Calibrate,
    "describe": Describe,
    "evaluate": Evaluate,
    "explain": Explain,
    "list": List,
    "optimize": Optimize,
    "plan": Plan,
    "reproduce": Reproduce,
    "sensitivity": Sensitivity,
    "show": Show,
    "uncertainty": Uncertainty,
    "validate": Validate,
}
"""Commands by name; each is a dataclass of its arguments with a method ``run`` that returns the
exit code."""

DESCRIPTION = (
    "Differentiable hardware co-design for LLM inference. codesign --version: versions.\n"
    "Exit codes: 0, 2 bad input, 3 infeasible, 130 interrupted, 1 a fault of the program.\n"
    "Output is as wide as the terminal, 80 columns in a pipe; COLUMNS overrides both."
)

COLLECTIONS = (50_000, 50, 100)
"""When Python looks for garbage: tracing makes hundreds of thousands of objects that stay, and
looking through them again and again took a tenth of the main job."""

SOON = 0.02
"""Seconds after which a lost Ctrl-C is delivered again."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit.

    Raises:
        SystemExit: always; code 0, 2 (bad input), 3 (infeasible), 130 (interrupted) or 1 (a fault
            of the program).
    """
    raise SystemExit(exit_code(list(sys.argv[1:] if arguments is None else arguments)))


def console() -> None:
    """``main`` as a process of its own, which is gone when its work is done.

    Taking JAX down takes half a second; and after an interruption, computations under way would
    abort the process when the interpreter goes away under them.
    """
    gc.set_threshold(*COLLECTIONS)
    for stream in (
        sys.stdout,
        sys.stderr,
    ):  # a terminal without our characters, a path that is no text: shown, not a failure
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.unraisablehook = interrupt_again
    try:
        main()
    except SystemExit as end:
        code = int(end.code or 0)
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except OSError as error:  # what was printed last has nowhere to go
            code = code or _say(f"standard output: {error.strerror or error}", BAD_INPUT)
        os._exit(code)


def interrupt_again(lost: "sys.UnraisableHookArgs") -> None:
    """Deliver once more a Ctrl-C that struck where Python cannot raise: in a callback of the
    garbage collector, of which JAX has one.

    Python's own hook prints a traceback, and the interruption is gone.
    """
    if issubclass(lost.exc_type, KeyboardInterrupt):
        again = threading.Timer(
            SOON, _thread.interrupt_main
        )  # now it would strike in this very hook
        again.daemon = True
        again.start()
    else:
        sys.__unraisablehook__(lost)


def exit_code(arguments: list[str]) -> int:
    """Run one command; failures go to standard error in one sentence each."""
    try:
        command = parsed(arguments)
        if command is None:
            return 0
        prepare_jax()
        return command.run()
    except Refused as refusal:
        for fault in (sentence(refusal), *refusal.faults):
            _say(fault, refusal.exit_code)
        return refusal.exit_code
    except ValueError as error:
        return _say(sentence(error), BAD_INPUT)
    except BrokenPipeError:  # the reader of our output has gone: nothing left to say to it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _say(f"{error.filename or 'a file'}: {error.strerror or error}", BAD_INPUT)
    except KeyboardInterrupt:
        return _say(
            "interrupted; what was finished is kept, and the same command goes on from it",
            INTERRUPTED,
        )
    except Exception as error:
        if os.environ.get("CODESIGN_TRACEBACK"):
            raise
        fault = (
            f"a fault in codesign, not in your input: {type(error).__name__}:"
            f" {sentence(error)[:300]}"
        )
        return _say(f"{fault} (CODESIGN_TRACEBACK=1 shows where)", 1)


def _say(message: str, code: int) -> int:
    from experiments.terminal.screen import say

    say(shortened(message))
    return code


def parsed(arguments: list[str]) -> Any:
    """The command with its arguments, or None where help or versions were asked for (and printed).

    Raises:
        Refused: anything that cannot be read, in one sentence.
    """
    if arguments == ["--version"]:
        print(f"codesign {version('codesign')}, JAX {version('jax')}")
        return None
    _check_words(arguments)
    commands = [
        Annotated[command, tyro.conf.subcommand(name, prefix_name=False)]
        for name, command in COMMANDS.items()
    ]
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(
                tuple_union(commands),
                prog="codesign",
                description=DESCRIPTION,
                args=arguments,
                config=(tyro.conf.FlagCreatePairsOff, tyro.conf.OmitSubcommandPrefixes),
            )
    except SystemExit as stop:
        if not stop.code:
            print(ending(arguments[0]))
            return None
        raise Refused(_first_sentence(complaint.getvalue())) from None


def tuple_union(types: Sequence[Any]) -> Any:
    """``A | B | …`` of types known only at run time."""
    from typing import Union

    return Union[tuple(types)]  # noqa: UP007


def _check_words(arguments: list[str]) -> None:
    """Refuse an unknown command or option by its nearest name, which the parser would spread over a
    page."""
    if not arguments:
        raise Refused(
            f"no command given; expected one of {', '.join(COMMANDS)} (codesign --help says more)"
        )
    first, *rest = arguments
    if first in ("-h", "--help"):  # the parser's own
        return
    if first not in COMMANDS:
        raise Refused(f"unknown command {first!r}; {nearest(first, list(COMMANDS))}")
    options = [
        "--help",
        *(f"--{field.name.replace('_', '-')}" for field in dataclasses.fields(COMMANDS[first])),
    ]
    for word in rest:
        name = word.partition("=")[0].replace("_", "-")
        if name.startswith("--") and name not in options:
            raise Refused(
                f"unknown option {word.partition('=')[0]!r} of {first}; {nearest(name, options)}"
            )


def _first_sentence(box: str) -> str:
    """What the argument parser complains about, without its frame, advice and colours."""
    lines = [line.strip("│╭╰╮╯─ \t") for line in box.splitlines()]
    body: list[str] = []
    for line in lines[1:]:
        if not line:
            break
        body.append(line)
    return (
        " ".join(" ".join(body).split())
        or "the arguments could not be read; codesign --help says what is expected"
    )


def prepare_jax() -> None:
    """Float64, the CPU unless told otherwise, and compiled programs kept in the user's cache
    folder."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    import jax

    jax.config.update("jax_enable_x64", True)
    cache = (
        Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
        / "codesign"
        / "xla"
    )
    if jax.config.jax_compilation_cache_dir is None and _can_keep(cache):  # pyright: ignore[reportAttributeAccessIssue]
        jax.config.update("jax_compilation_cache_dir", str(cache))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


def _can_keep(cache: Path) -> bool:
    """Whether a folder can be made and written: not without a home, as in a container whose user
    nobody named, nor on a full disk."""
    if not cache.is_absolute():
        return False
    with contextlib.suppress(OSError):
        cache.mkdir(parents=True, exist_ok=True)
    return os.access(cache, os.W_OK)


if __name__ == "__main__":
    console()
