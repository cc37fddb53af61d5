"""``codesign reproduce``: published results beside ours."""

import dataclasses
import json as json_format
from pathlib import Path
from typing import Annotated

import tyro

from experiments.reproductions import REPRODUCTIONS
from experiments.scenarios.sizes import MOST_CHIPS, MOST_POSITIONS, MOST_SEQUENCES
from experiments.terminal.arguments import one_of, whole, wholes, words


@dataclasses.dataclass(frozen=True)
class Reproduce:
    """Set our numbers beside published or measured ones."""

    name: tyro.conf.Positional[Annotated[str, one_of("what to reproduce", tuple(REPRODUCTIONS))]]
    """devices, energy, prices, flips, backcast, or a paper: limit-study, batching, communication,
    latent-attention, dataflow, fsdp, photonic, thermal-chiplets, compound-calls"""
    data: str | None = None
    """folder of measured files, for what compares with measurements"""
    seed: Annotated[int, whole("seed", least=0)] = 0
    """of whatever is drawn"""
    models: Annotated[tuple[str, ...], words("models")] | None = None
    """other models than the paper's, joined by commas (each says which settings it takes)"""
    device: str | None = None
    """another machine than the paper's (codesign list devices)"""
    chips: Annotated[tuple[int, ...], wholes("chips", most=MOST_CHIPS)] | None = None
    """other numbers of chips, joined by commas"""
    contexts: Annotated[tuple[int, ...], wholes("contexts", most=MOST_POSITIONS)] | None = None
    """other contexts or prompts, joined by commas"""
    batches: Annotated[tuple[int, ...], wholes("batches", most=MOST_SEQUENCES)] | None = None
    """other batches, joined by commas"""
    figure: str | None = None
    """file for the picture, where there is one (.png, .svg or .pdf)"""
    json: bool = False
    """only JSON on standard output"""

    def run(self) -> int:
        """Print the table; 0."""
        from experiments.reproductions import reproduce
        from experiments.reproductions.table import Settings, printed

        settings = Settings(
            None if self.data is None else Path(self.data),
            self.seed,
            self.models,
            self.device,
            self.chips,
            self.contexts,
            self.batches,
            None if self.figure is None else Path(self.figure),
        )
        table = reproduce(self.name, settings)
        if self.json:
            print(json_format.dumps(table.record(), indent=1, allow_nan=False))
        else:
            printed(table)
        return 0
