"""Where text goes: results to standard output, messages and progress to standard error.

Text of strangers (names in files, paths, descriptions) is text: nothing in it is markup, and its control characters are shown,
not obeyed.
"""

import sys
import unicodedata
from typing import Any

from rich.console import Console
from rich.text import Text

WIDE = 160  # columns for output that goes to a file or a pipe, where tables must not be cut

UNSEEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
"""Unicode's classes of characters that a terminal obeys or cannot show: controls, marks that turn the direction of writing,
halves of pairs (bytes of a path that are no text), unassigned."""


def plain(text: str) -> str:
    """A text with its control characters written out; line ends stay.

    >>> plain("a\\x1b[2Jb"), plain("two\\nlines")
    ('a\\\\x1b[2Jb', 'two\\nlines')
    """
    return "".join(repr(c)[1:-1] if c != "\n" and unicodedata.category(c) in UNSEEN else c for c in text)


class Screen(Console):
    """A console that takes every string as text, wherever it stands: printed, in a table's cell, in a title."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(plain(text), **{**options, "markup": False, "emoji": False})


def results() -> Console:
    """Standard output, wide where nobody's terminal limits it."""
    return _console(sys.stdout)


def messages() -> Console:
    """Standard error."""
    return _console(sys.stderr)


def _console(stream: Any) -> Console:
    return Screen(file=stream, highlight=False, markup=False, emoji=False, width=None if stream.isatty() else WIDE)


def say(message: str) -> None:
    """Tell the user one thing, in one line on standard error."""
    print(f"codesign: {plain(message)}", file=sys.stderr)
