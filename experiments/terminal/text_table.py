"""Tables of plain text: cells are never cut, headers carry units, lines have no frame."""

import textwrap
from dataclasses import dataclass
from itertools import zip_longest

SHORT_STATUS = {"GLOBAL AT ITS INTEGERS": "INTEGERS"}
"""Long status words, for narrow terminals; the sentence below the table has the word in full."""


@dataclass(frozen=True)
class Printed:
    """One column ready to print: header lines, and the parts of each cell (one a kind of machine or
    service)."""

    name: str
    header: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    text: bool = False

    def joined(self) -> "Printed":
        """The same with the parts of a cell side by side: ``72+2``."""
        return self._with(tuple(("+".join(parts),) for parts in self.cells))

    def spanned(self) -> "Printed":
        """The same with the ends of the parts alone: ``32–512``."""
        ends = ((min(parts, key=float), max(parts, key=float)) for parts in self.cells)
        return self._with(tuple((low if low == high else f"{low}–{high}",) for low, high in ends))

    def shortened(self) -> "Printed":
        """The same with short words."""
        return self._with(
            tuple(tuple(SHORT_STATUS.get(part, part) for part in parts) for parts in self.cells)
        )

    def _with(self, cells: tuple[tuple[str, ...], ...]) -> "Printed":
        return Printed(self.name, self.header, cells, self.text)

    @property
    def width(self) -> int:
        """Characters that the widest line takes."""
        return max(map(len, (*self.header, *(part for parts in self.cells for part in parts))))

    def line(self, text: str) -> str:
        """A line of the column at its width."""
        return text.ljust(self.width) if self.text else text.rjust(self.width)


def table_width(columns: list[Printed], between: int = 1) -> int:
    """Characters that a line of the table takes, with so many blanks between columns."""
    return sum(column.width for column in columns) + between * (len(columns) - 1)


def table_lines(columns: list[Printed], width: int) -> list[str]:
    """Write a table, two blanks between columns where there is room: headers at the foot of their
    lines, then the designs."""
    between, lines = " " * (2 if table_width(columns, 2) <= width else 1), []
    height = max(len(column.header) for column in columns)
    for at in range(height):
        words = [(("",) * (height - len(column.header)) + column.header)[at] for column in columns]
        lines.append(
            between.join(
                column.line(word) for column, word in zip(columns, words, strict=True)
            ).rstrip()
        )
    for row in zip(*(column.cells for column in columns), strict=True):
        for parts in zip_longest(*row, fillvalue=""):
            lines.append(
                between.join(
                    column.line(part) for column, part in zip(columns, parts, strict=True)
                ).rstrip()
            )
    return lines


def wrapped(sentences: list[str], width: int) -> list[str]:
    """Break sentences into lines; those that are empty are left out."""
    return [
        line
        for text in sentences
        if text
        for line in textwrap.wrap(text, max(width, 20), subsequent_indent="  ")
    ]


def hanging(columns: list[Printed], width: int) -> list[str]:
    """Write a table whose last column wraps under itself."""
    *first, last = columns
    room = max(width - table_width(first, 2) - 2, 20)
    texts = [textwrap.wrap(cells[0], room) or [""] for cells in last.cells]
    lines = [line.ljust(table_width(first, 2)) for line in table_lines(first, width)]
    height = len(lines) - len(texts)
    found = [*lines[: height - 1], f"{lines[height - 1]}  {last.header[-1]}"]
    for line, wrapped_text in zip(lines[height:], texts, strict=True):
        found += [
            f"{line}  {wrapped_text[0]}",
            *(" " * len(line) + f"  {more}" for more in wrapped_text[1:]),
        ]
    return [line.rstrip() for line in found]
