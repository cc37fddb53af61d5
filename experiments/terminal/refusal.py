"""What the command line says when it cannot do what is asked: one sentence and an exit code, never
a traceback."""

from collections.abc import Sequence
from difflib import get_close_matches

BAD_INPUT, INFEASIBLE, INTERRUPTED = 2, 3, 130
"""Exit codes: input that cannot be read or makes no sense; a question whose answer is that nothing
fits; Ctrl-C."""


class Refused(Exception):
    """A request that is turned down. Not a ``ValueError``, so that the argument parser lets it
    through as it is.

    Where several things are wrong, ``sentence`` counts them and ``faults`` tells them, a line each.
    """

    def __init__(self, sentence: str, exit_code: int = BAD_INPUT, faults: Sequence[str] = ()):
        super().__init__(sentence)
        self.exit_code = exit_code
        self.faults = tuple(faults)


def nearest(value: str, choices: Sequence[str]) -> str:
    """The closest of ``choices``, as the end of a sentence; or all of them where nothing is close.

    >>> nearest("evaluat", ["evaluate", "list"])
    "did you mean 'evaluate'?"
    """
    by_folded = {choice.casefold(): choice for choice in choices}
    close = get_close_matches(value.casefold(), by_folded, n=1, cutoff=0.5)
    return (
        f"did you mean {by_folded[close[0]]!r}?"
        if close
        else f"expected one of {', '.join(choices)}"
    )


def expected(value: str, choices: Sequence[str]) -> str:
    """All choices and the closest of them, as the end of a sentence.

    >>> expected("lst", ["evaluate", "list"])
    "expected one of evaluate, list; did you mean 'list'?"
    >>> expected("x", ["evaluate", "list"])
    'expected one of evaluate, list'
    """
    offered, hint = f"expected one of {', '.join(choices)}", nearest(value, choices)
    return offered if hint == offered else f"{offered}; {hint}"


LONGEST = 700
"""Characters of a sentence: room for all names of a list, not for a value of a megabyte."""


def sentence(error: BaseException) -> str:
    """An error's message on one line.

    >>> sentence(ValueError("two\\nlines"))
    'two lines'
    """
    return " ".join(str(error).split()) or type(error).__name__


def shortened(text: str, longest: int = LONGEST) -> str:
    """A text, its middle left out where it is endless.

    >>> shortened("1" + "0" * 400, 16)
    '10000000 … 0000'
    """
    return text if len(text) <= longest else f"{text[: longest // 2]} … {text[-longest // 4 :]}"
