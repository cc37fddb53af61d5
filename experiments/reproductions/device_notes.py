"""What the comparison of devices is worth: how it was made, and why a cell misses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from experiments.reproductions.device_areas import Case
    from experiments.reproductions.devices import Cell

_BLACKWELL_AREA = (
    "B200, GB200 and GB300 are the same two dies. Blackwell computes more per mm² of all its"
    " silicon than what other vendors built in its process class (MI300X, TPU v5e), which is all"
    " that the fit sees; and GB200 and GB300 are rated 11 % faster on the same silicon, which is"
    " clock: the model has none, its area follows the rate"
)
_BLACKWELL_POWER = (
    "within one process class Blackwell takes about half the energy per FLOP of Hopper (0.24"
    " against 0.46 pJ: rating less memory, links and leakage, over peak); one energy per process"
    " cannot hold both, nor see it coming. The rating is a cap besides: the same silicon is sold at"
    " 1000, 1100, 1200 and 1400 W"
)
_GRAPHICS = (
    "the die holds graphics (ray tracing, raster, display, FP32 units at a quarter of the matrix"
    " rate), which the model has not"
)
_TPU_RATING = (
    "Google rates no TPU: the figure is inferred by analysts. Of TPU v4 Google measured at most 192"
    " W where the inferred rating is 340 W, so an error of this size may lie on the published side"
    " alone"
)
_REASONS = {
    ("b200", "area"): _BLACKWELL_AREA,
    ("gb200", "area"): _BLACKWELL_AREA,
    ("gb300", "area"): _BLACKWELL_AREA,
    ("b200", "power"): _BLACKWELL_POWER,
    ("gb200", "power"): _BLACKWELL_POWER,
    ("b300", "power"): _BLACKWELL_POWER,
    ("mi325x", "bill of materials"): (
        "the published 3800 USD is less than its 256 GB of HBM3E at the price per GB that the same"
        " site states (15.1 USD: 3870 USD), and less than its MI300X with three quarters of the"
        " memory (5300 USD)"
    ),
    ("tpu-v4", "area"): (
        "published only as below 600 mm². The density of N7 is that of A100, whose cores carry"
        " vector and FP64 units; matrix units of a systolic array are denser (11 % of the die of"
        " TPU v4i)"
    ),
    ("tpu-v5e", "area"): (
        "size is an analysts' estimate and the process is not published (N5 is judged). If both"
        " hold, this die gives half the 16-bit rate per mm² of H100: much of it is neither matrix"
        " unit nor SRAM nor interface, and the model has no word for it"
    ),
    ("tpu-v5e", "power"): _TPU_RATING,
    ("tpu-v5p", "power"): _TPU_RATING,
    ("trainium3", "power"): (
        "its matrix units are built for 8 bit: their 8-bit rate is 3.75 times the 16-bit rate that"
        " the comparison is made at, where one array gives twice"
    ),
    ("maia-200", "power"): (
        "it publishes no 16-bit rate: half of its 8-bit rate is taken, at the energy of 16-bit"
        " units; units without 16-bit multipliers take less"
    ),
    ("l40s", "area"): _GRAPHICS,
    ("l40s", "power"): _GRAPHICS,
    ("rtx-4090", "area"): _GRAPHICS,
    ("rtx-4090", "power"): _GRAPHICS,
}


def why(cells: Sequence[Cell]) -> list[str]:
    """One line for every reason, naming the cells that miss for it."""
    missed: dict[str, list[str]] = {}
    for cell in cells:
        if not cell.within:
            reason = _stacked() if (cell.device, cell.quantity) == ("mi300x", "area") else None
            reason = reason or _REASONS.get((cell.device, cell.quantity), "no reason found")
            missed.setdefault(reason, []).append(
                f"{cell.device} {cell.quantity} {cell.error:+.0f} %"
            )
    return [f"misses: {', '.join(names)}: {reason}" for reason, names in missed.items()]


def _stacked() -> str:
    from experiments.reproductions.device_areas import machine
    from experiments.reproductions.fit import silicon

    above, below = (1e6 * float(part) for part in silicon(machine("mi300x")))
    return (
        f"nominally {above:.0f} mm² of compute dies against 920 published (8 x 115, two of 40"
        f" compute units dark on each), but {below:.0f} mm² of base dies against 1480 (4 x 370):"
        " the network between the dies, through-silicon vias, PCIe and video that fill them are"
        " not in the model"
    )


def method(case: Case) -> list[str]:
    """What was fitted on what, and what the comparison is worth."""
    from experiments.reproductions.device_areas import (
        FACTS,
        NOT_FITTED,
        NOT_PUBLISHED,
        not_compared,
    )

    missing = {
        quantity: ", ".join(
            name
            for name, figure in zip(case.names, case.published[:, k], strict=True)
            if np.isnan(figure)
        )
        for k, quantity in enumerate(FACTS)
    }
    return [
        *_fit(case),
        *_TERMS,
        *(
            f"no published {quantity}, so no such cell: {names}"
            for quantity, names in missing.items()
            if names
        ),
        *(f"predicted but not fitted on: {name}: {reason}" for name, reason in NOT_FITTED.items()),
        *(
            f"not compared: {', '.join(names)}: {reason}"
            for reason, names in _by_reason(not_compared()).items()
        ),
        *(
            f"not compared: {name} {fact}: {reason}"
            for (name, fact), reason in NOT_PUBLISHED.items()
        ),
        _RATIOS,
    ]


def _by_reason(reasons: dict[str, str]) -> dict[str, list[str]]:
    """Reason → the names it is given for."""
    grouped: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        grouped.setdefault(reason, []).append(name)
    return grouped


def _fit(case: Case) -> list[str]:
    from experiments.reproductions.device_areas import free_coefficients
    from experiments.reproductions.devices import without

    free = free_coefficients()
    ranges = "; ".join(
        f"{one.name} x{one.prior.low / one.prior.value:.2f} to"
        f" x{one.prior.high / one.prior.value:.2f}"
        for one in free
    )
    moves = []
    for left_out in dict.fromkeys(case.vendors):
        deviates = without(case, left_out)
        largest = np.argsort(-np.abs(deviates))[:3]
        moves.append(
            f"without {left_out}: "
            + ", ".join(f"{free[k].name} {deviates[k]:+.1f}" for k in largest)
        )
    return [
        (
            f"free: {len(free)} coefficients, common to all devices, none per device, with the 5-95"
            f" % range of the prior: {ranges}"
        ),
        "fit: maximum a posteriori on the other vendors' figures; a figure spreads about the model"
        " by its tolerance (15 or 25 %) and by its own published range; largest moves, in standard"
        " deviates of the prior: " + "; ".join(moves),
    ]


_TERMS = (
    (
        "published: rows die_area, tdp and bom of hardware_priors/data/devices.csv, each with its"
        " source (Epoch AI's data set of ML hardware, vendors, SemiAnalysis). Bills of materials"
        " are estimates of Silicon Analysts (B200: Epoch AI)"
    ),
    (
        "not independent: the nominal values of the priors were themselves derived from A100, H100,"
        " B200 and MI300X (densities, energies, fixed area, prices), so a vendor's figures reach"
        " its prediction through them too, and 'prior only' is partly a fit to NVIDIA. Priors three"
        " times as wide loosen that, but keep the nominal value where nothing else speaks"
    ),
    "not independent either: B200, GB200 and GB300 share their dies, and so do H100 and H200",
    (
        "power: predicted is matrix units, memory and links all at their peaks; published is a"
        " rating, which is a cap on what a cooled device may draw, not consumption. A chip that"
        " throttles under full load is rated below its peak"
    ),
    (
        "the matrix rate is the dense 16-bit peak at the published clock (half the 8-bit peak where"
        " no 16-bit one is published)"
    ),
    (
        "memory is what is on the package: the number of stacks as built, each at its share of the"
        " bandwidth, whole layers. The stacks of TPUs, GB300, L40S and RTX 4090 are derived from"
        " bandwidth and capacity"
    ),
    (
        "MI300X, MI325X, MI355X: compute dies (N5, N3) stand on N6 base dies with cache, memory"
        " interface and links; both count as logic, 6 nm taken as N7. The published area of MI300X"
        " is 8 x 115 + 4 x 370 mm² (SemiAnalysis); 1017 and 1725 mm² are also in print"
    ),
    (
        "SRAM that software manages (TPU, Trainium, Gaudi, Maia) is priced 3.6 times as dense as"
        " cache, a prior from WSE-3 and macros; it is one of the free coefficients"
    ),
)

_RATIOS = (
    "ratios: H200 and H100 share a die and a rating, so their power tells only what the model gives"
    " for the faster memory; B200 over H100 misses in area and power for the reasons of B200's own"
    " misses, and in the bill because the test and assembly of H100 (920 USD) is published above"
    " that of B200 (480 USD), which one price for all cannot be"
)
