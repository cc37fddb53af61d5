"""What the study's model says where its paper has no figure known to us: models × technologies, and
sweeps."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from codesign.numerics.units import MICRO
from experiments.reproductions.limit_study.findings import BIG, side
from experiments.reproductions.limit_study.systems import (
    DEVICES,
    MODELS,
    SHORT,
    TITLES,
    System,
    answers,
    holding,
    replaced,
    system,
)
from experiments.reproductions.table import Column, Table

SYNCS = (0.2, 0.5, 1.5, 2.5, 5.0)  # [µs]
MULTIPLES = (0.5, 1.0, 2.0, 4.0, 8.0)
BATCHES = (1, 8, 64, 512, 4096)
POSITIONS = (4096, 16384, 65536, 131072)


def by_technology(chips: int, contexts: Sequence[int]) -> Table:
    """tokens/s/user at batch 1, a row a technology; stages that hold the model in brackets."""
    rows = []
    for device in DEVICES:
        cells = []
        for name in MODELS:
            systems = [holding(device, name, side(device, chips), each) for each in contexts]
            speeds = " / ".join(f"{speed:.0f}" for speed in _speeds(name, systems))
            most = max(int(each.pipeline) for each in systems)
            cells.append(speeds + (f" ({most})" if most > 1 else ""))
        rows.append((SHORT[device], *cells))
    at = " / ".join(f"{each // 1024}K" for each in contexts)
    return Table(
        f"Predicted by us: token/s/user at batch 1, {at}, {chips} chips or one wafer a stage",
        (Column("technology"), *(Column(TITLES[name]) for name in MODELS)),
        rows,
        notes=["In brackets: pipeline stages, where one does not hold the model."],
    )


def _speeds(name: str, systems: Sequence[System]) -> np.ndarray:
    return np.array([float(answers(name, [each]).user[0]) for each in systems])


def sweeps(chips: Sequence[int], contexts: Sequence[int]) -> Table:
    """tokens/s/user of 405B along five axes, from 128 HBM4 at batch 1 and 4K."""
    largest = max(chips)
    base = system("xpu-hbm4", largest, min(contexts))
    lines = [
        ("bandwidth [x HBM4]", MULTIPLES, replaced(
            base, bandwidth=[float(base.bandwidth) * each for each in MULTIPLES]
        )),
        ("sync [µs]", SYNCS, replaced(base, sync=[each * MICRO for each in SYNCS])),
        ("context", POSITIONS, replaced(base, context=[float(each) for each in POSITIONS])),
        ("batch", BATCHES, replaced(base, batch=[float(each) for each in BATCHES])),
        ("chips", chips, [system("xpu-hbm4", each, min(contexts)) for each in chips]),
    ]  # fmt: skip
    rows = []
    for axis, values, systems in lines:
        found = answers(BIG, systems)
        rows.append(
            (
                axis,
                " ".join(f"{each:g}" for each in values),
                " ".join(f"{each:.0f}" if fit else "–" for each, fit in zip(
                    found.user, found.fits, strict=True
                )),
                " ".join(f"{100 * each:.0f}" for each in found.synced),
            )
        )  # fmt: skip
    return Table(
        f"Predicted by us: 405B on {largest} HBM4 at batch 1, one quantity at a time",
        tuple(Column(name) for name in ("axis", "values", "token/s/user", "in syncs [%]")),
        rows,
    )


def draw(path: Path, chips: int) -> None:
    """Two panels: speed over bandwidth by sync latency, and throughput over speed by technology."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 4.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    base = system("xpu-hbm3", chips, 4096)
    multiples = np.geomspace(0.5, 32.0, 25)
    for sync in SYNCS:
        systems = replaced(base, bandwidth=[base.bandwidth * each for each in multiples])
        speeds = answers(BIG, [each._replace(sync=sync * MICRO) for each in systems]).user
        left.plot(multiples, speeds, label=f"syncs of {sync:g} µs")
    left.set(
        xscale="log",
        yscale="log",
        xlabel=f"bandwidth [x HBM3], 405B on {chips} chips",
        ylabel="tokens/s/user",
    )
    batches = [2.0**k for k in range(15)]
    for device in DEVICES:
        at = holding(device, BIG, side(device, chips), 4096)
        found = answers(BIG, replaced(at, batch=batches))
        fits = found.fits.astype(bool)
        label = f"{SHORT[device]}, {int(at.tensor * at.pipeline)} chips"
        right.plot(found.user[fits], found.system[fits], marker="o", markersize=3, label=label)
    right.set(xscale="log", yscale="log", xlabel="tokens/s/user", ylabel="tokens/s of the system")
    for axes in (left, right):
        axes.legend(fontsize=8)
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)
