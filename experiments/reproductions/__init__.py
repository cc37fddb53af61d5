"""Published results beside ours: one module each, found by name."""

import importlib
from types import MappingProxyType

from experiments.reproductions.table import Settings, Table

REPRODUCTIONS = MappingProxyType(
    {
        "devices": (
            "area, power and bill of materials of real accelerators, each vendor left out of the"
            " fit that predicts it"
        ),
        "energy": "energy per token against measurements of ML.ENERGY",
        "prices": "dollars per GPU-hour on both price bases against published ones",
        "flips": "where the findings of the limit study flip, with 90 % bands over the priors",
        "backcast": "what would have been designed in 2022 and 2024, beside H100 and B200",
    }
)
"""What ``codesign reproduce`` offers; the module ``experiments.reproductions.<name>`` has a
function ``table(settings)``."""


def reproduce(name: str, settings: Settings) -> Table:
    """Run one reproduction.

    Raises:
        Refused: data that it needs is not there.
    """
    return importlib.import_module(f"experiments.reproductions.{name}").table(settings)
