"""Where text goes: results to standard output, messages and progress to standard error."""

import sys
from typing import Any

from rich.console import Console

WIDE = 160  # columns for output that goes to a file or a pipe, where tables must not be cut


def results() -> Console:
    """Standard output, wide where nobody's terminal limits it."""
    return _console(sys.stdout)


def messages() -> Console:
    """Standard error."""
    return _console(sys.stderr)


def _console(stream: Any) -> Console:
    return Console(file=stream, highlight=False, width=None if stream.isatty() else WIDE)
