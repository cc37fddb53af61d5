"""A table that sets our numbers beside published ones."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a reproduction may be told."""

    data: Path | None = None
    """folder of measured files, for those that compare with measurements"""
    seed: int = 0
    """of whatever is drawn"""
    models: tuple[str, ...] | None = None
    """names, instead of the paper's"""
    device: str | None = None
    """a machine of the catalogue, instead of the paper's"""
    chips: tuple[int, ...] | None = None
    """numbers of chips"""
    contexts: tuple[int, ...] | None = None
    """cached positions, or lengths of prompts"""
    batches: tuple[int, ...] | None = None
    """sequences in a step"""
    figure: Path | None = None
    """where the picture goes"""


@dataclasses.dataclass(frozen=True)
class Column:
    """One column: its name, and the unit of its numbers ("" for texts, "1" for plain numbers)."""

    name: str
    unit: str = ""
    width: int | None = None
    """least characters on the terminal"""


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows under columns, what they say together, and what explains them."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]
    summary: Sequence[str] = ()
    """conclusions, one sentence each, with their numbers"""
    notes: Sequence[str] = ()
    """sources, method, and why a cell misses"""
    more: Sequence["Table"] = ()
    """further tables, of predictions that nothing published stands beside"""

    def record(self) -> dict[str, object]:
        """The table as JSON would hold it; rows keyed by ``name [unit]``."""
        names = [
            f"{column.name} [{column.unit}]" if column.unit else column.name
            for column in self.columns
        ]
        rows = [dict(zip(names, row, strict=True)) for row in self.rows]
        found = {
            "title": self.title,
            "rows": rows,
            "summary": list(self.summary),
            "notes": list(self.notes),
        }
        return {**found, "tables": [table.record() for table in self.more]} if self.more else found


def printed(table: Table) -> None:
    """Show a table on the terminal."""
    from rich.table import Table as Drawing

    from experiments.terminal.screen import results

    drawing = Drawing(title=table.title, pad_edge=False)
    for column in table.columns:
        unit = f"\n[{column.unit}]" if column.unit not in ("", "1") else ""
        drawing.add_column(
            column.name + unit, justify="right" if column.unit else "left", min_width=column.width
        )
    for row in table.rows:
        drawing.add_row(*(_cell(value) for value in row))
    console = results()
    console.print(drawing)
    for line in (*table.summary, *table.notes):
        console.print(line, soft_wrap=True)
    for further in table.more:
        printed(further)


def _cell(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)
