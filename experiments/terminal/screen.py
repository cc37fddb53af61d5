"""Where text goes: results to standard output, messages and progress to standard error.

A terminal is as wide as it is; a file or a pipe has 80 columns; ``COLUMNS`` overrides both. Text of
strangers (names in files, paths, descriptions) is text: its control characters are shown, not
obeyed.
"""

import os
import sys
import unicodedata
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

PIPE = 80  # columns of output that nobody's terminal limits
NARROWEST = 40  # columns: below, no table is readable, and lines are this long

UNSEEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
"""Unicode's classes of characters that a terminal obeys or cannot show: controls, marks that turn
the direction of writing, halves of pairs (bytes of a path that are no text), unassigned."""


def plain(text: str) -> str:
    """Write the control characters of a text out; line ends stay.

    >>> plain("a\\x1b[2Jb"), plain("two\\nlines")
    ('a\\\\x1b[2Jb', 'two\\nlines')
    """
    return "".join(
        repr(c)[1:-1] if c != "\n" and unicodedata.category(c) in UNSEEN else c for c in text
    )


class Screen(Console):
    """A console that takes every string as text, wherever it stands: printed, in a table's cell, in
    a title."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(plain(text), **{**options, "markup": False, "emoji": False})


def results() -> Console:
    """Standard output."""
    return _console(sys.stdout)


def messages() -> Console:
    """Standard error."""
    return _console(sys.stderr)


def _console(stream: TextIO) -> Console:
    return Screen(file=stream, highlight=False, markup=False, emoji=False, width=columns(stream))


def columns(stream: TextIO) -> int | None:
    """Columns of a stream; None lets the terminal tell."""
    asked = os.environ.get("COLUMNS", "")
    if asked.isdecimal() and 0 < len(asked) < 5:
        return max(int(asked), NARROWEST)
    return None if stream.isatty() else PIPE


def say(message: str) -> None:
    """Tell the user one thing, in one line on standard error."""
    print(f"codesign: {plain(message)}", file=sys.stderr)
