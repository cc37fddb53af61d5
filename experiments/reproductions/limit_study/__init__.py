"""The limit study (arXiv 2507.14397): its known rows, its findings, its predictions, and what it
leaves out."""

import numpy as np

from experiments.reproductions.claims import Claim, added, judge, tabulate
from experiments.reproductions.flips.bands import with_band
from experiments.reproductions.limit_study.findings import check_findings, published_rows
from experiments.reproductions.limit_study.money import SLOW, over_hbm4
from experiments.reproductions.limit_study.path import walk_path
from experiments.reproductions.limit_study.predictions import by_technology, draw, sweeps
from experiments.reproductions.limit_study.systems import CHIPS, CONTEXTS, SHORT
from experiments.reproductions.table import Settings, Table


def table(settings: Settings) -> Table:
    """Rows, findings, money, the path from the limit, and predictions; needs no data.

    ``settings.chips`` and ``settings.contexts`` replace the study's 8, 32, 128 chips and 4K, 128K
    positions in what is swept and predicted; the published rows stay.
    """
    chips, contexts = settings.chips or CHIPS, settings.contexts or CONTEXTS
    if settings.figure is not None:
        draw(settings.figure, max(chips))
    claims = [*published_rows(), *check_findings(chips, contexts), *compare_money(settings.seed)]
    steps = walk_path(max(chips), max(contexts))
    told = " → ".join(f"{speed:.0f} {name}" for name, speed in steps.items())
    return tabulate(
        "The limit study (arXiv 2507.14397)",
        claims,
        summary=[
            f"From the limit to software, 405B on {max(chips)} HBM3 at {max(contexts) // 1024}K"
            f" [token/s/user]: {told}."
        ],
        notes=NOTES,
        more=[by_technology(max(chips), contexts), sweeps(chips, contexts)],
    )


def compare_money(seed: int) -> list[Claim]:
    """Per dollar and per watt, HBM4 over each of the others."""
    found = over_hbm4(seed)
    dollars, watts = found["xpu-sram"]
    claims = [
        judge(
            f"405B ≥ {SLOW:g} token/s/user: HBM4 over SRAM per $ [x]",
            "about 10",
            with_band(dollars),
            (dollars.low or np.inf) <= 10.0 <= (dollars.high or np.inf),
            "10 is outside the band",
        ),
        judge(
            "the same per W [x]", "DRAM wins", with_band(watts), bool(watts.low and watts.low > 1)
        ),
    ]
    for device in ("xpu-hbm3", "xpu-3d-dram", "xpu-cows"):
        per_dollar, per_watt = (with_band(each) for each in found[device])
        name = f"HBM4 over {SHORT[device]} per $, per W [x]"
        claims.append(added(name, f"{per_dollar}, {per_watt}"))
    return claims


NOTES = (
    (
        "Model: 405e9 B of weights, 1 B a cached element, TiB/s, three syncs a layer of 0.2 µs up"
        " to 8 chips and 1.5 µs beyond: what solves the published integers. DeepSeek-V3 has whole"
        " experts and two further syncs a layer, the reading that keeps the study's claim; syncs"
        " of a wafer are taken as 0.2 µs, for none is published."
    ),
    (
        "Per $ and per W: the study's prices and watts are not known to us; ours are bottom-up at"
        " builder's prices with 90 % bands over the priors, each technology at its best of 8, 32 or"
        " 128 chips (one wafer), 1 to 128 stages and batches to 4096, at 8K."
    ),
)
