"""``codesign reproduce``: published results beside ours."""

import dataclasses
import json as json_format
from pathlib import Path
from typing import Annotated

import tyro

from experiments.reproductions import REPRODUCTIONS
from experiments.terminal.arguments import one_of, whole


@dataclasses.dataclass(frozen=True)
class Reproduce:
    """Set our numbers beside published or measured ones."""

    name: tyro.conf.Positional[Annotated[str, one_of("what to reproduce", tuple(REPRODUCTIONS))]]
    """devices, energy, prices, flips or backcast"""
    data: str | None = None
    """folder of measured files, for what compares with measurements"""
    seed: Annotated[int, whole("seed", least=0)] = 0
    """of whatever is drawn"""
    json: bool = False
    """only JSON on standard output"""

    def run(self) -> int:
        """Print the table; 0."""
        from experiments.reproductions import reproduce
        from experiments.reproductions.table import Settings, printed

        table = reproduce(
            self.name, Settings(None if self.data is None else Path(self.data), self.seed)
        )
        if self.json:
            print(json_format.dumps(table.record(), indent=1, allow_nan=False))
        else:
            printed(table)
        return 0
