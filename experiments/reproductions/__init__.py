"""Published results beside ours: one module each, found by name."""

import dataclasses
import importlib
from types import MappingProxyType

from experiments.reproductions.table import Settings, Table
from experiments.terminal.refusal import Refused

REPRODUCTIONS = MappingProxyType(
    {
        "devices": (
            "area, power and bill of materials of real accelerators, each vendor left out of the"
            " fit that predicts it"
        ),
        "energy": "energy per token against measurements of ML.ENERGY",
        "prices": "dollars per GPU-hour on both price bases against published ones",
        "flips": "where the findings of the limit study flip, with 90 % bands over the priors",
        "limit-study": (
            "every known row of the limit study, its claims checked by sweeps, and what it predicts"
            " for three models on five technologies"
        ),
        "batching": "batches and replicas of 'Mind the Memory Gap', on its logs and on our model",
        "communication": "messages, times and choice of tensor, pipeline and hybrid plans",
        "latent-attention": (
            "attention and expert intensity with and without reordering, and the chip that each"
            " kind of attention asks for"
        ),
        "dataflow": "traffic and time that fused groups save, and why by so much",
        "fsdp": "the bound of fully sharded training, and machines that train and serve",
        "photonic": (
            "a photonic memory pool against machines of HBM alone, and where it enters the front"
        ),
        "thermal-chiplets": (
            "hot spots and bow of packages on silicon and glass, and where chiplets should stand"
        ),
        "compound-calls": "answers that take several calls and a vote: cost, speed, best number",
        "backcast": "what would have been designed in 2022 and 2024, beside H100 and B200",
    }
)
"""What ``codesign reproduce`` offers; the module ``experiments.reproductions.<name>`` has a
function ``table(settings)``, the name's hyphens being underscores there."""

TAKES = MappingProxyType(
    {
        "devices": (),
        "energy": ("data",),
        "prices": (),
        "flips": ("seed",),
        "limit-study": ("seed", "chips", "contexts", "figure"),
        "batching": ("device",),
        "communication": ("models", "device", "chips", "contexts", "batches"),
        "latent-attention": ("contexts", "batches"),
        "dataflow": ("device", "contexts"),
        "fsdp": ("models", "chips"),
        "photonic": ("models", "contexts", "figure"),
        "thermal-chiplets": ("seed", "device", "figure"),
        "compound-calls": ("models", "device", "chips", "contexts", "batches"),
        "backcast": (),
    }
)
"""The settings that each one takes."""


def reproduce(name: str, settings: Settings) -> Table:
    """Run one reproduction.

    Raises:
        Refused: data that it needs is not there, or a setting that it does not take.
    """
    for field in dataclasses.fields(Settings):
        if getattr(settings, field.name) != field.default and field.name not in TAKES[name]:
            taken = " ".join(f"--{each}" for each in TAKES[name]) or "no setting"
            raise Refused(f"--{field.name} is given; reproduce {name} takes {taken}")
    module = name.replace("-", "_")
    return importlib.import_module(f"experiments.reproductions.{module}").table(settings)
