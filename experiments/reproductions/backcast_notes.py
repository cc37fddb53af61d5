"""What is told of the backcast."""

import math
from collections.abc import Sequence

from codesign.numerics.units import GIGA, MILLI
from experiments.reproductions.backcast_cases import CASES, OBJECTIVES, Case
from experiments.reproductions.backcast_results import (
    FACTOR,
    JUDGED,
    LEAST_MOVE,
    SHOWN,
    Result,
    cached,
    factors,
    misses,
    published,
)
from hardware_priors.devices import Device


def told(one: Result) -> str:
    """One case in a sentence: absolute numbers, and the range of the factors over the front."""
    theirs = published(one.case.era.device).quantities
    over = [factors(machine, published(one.case.era.device)) for machine in one.front]
    cells = []
    for name in JUDGED:
        unit, scale = SHOWN[name]
        low, high = (end(ratios[name] for ratios in over) for end in (min, max))
        ours = one.machine.quantities[name] / scale
        cells.append(
            f"{name} {ours:.4g} against {theirs[name] / scale:.4g} {unit} ({one.factors[name]:.2f},"
            f" over the front {low:.2f}–{high:.2f})"
        )
    outside = misses(one.factors)
    verdict = f"outside {FACTOR:g}x: {', '.join(outside)}" if outside else f"all within {FACTOR:g}x"
    return f"{one.case.era.device.upper()} for {one.case.name}: {'; '.join(cells)}; {verdict}."


def explained(one: Result, changed: Sequence[Result]) -> list[str]:
    """What moves each judged factor most of what was tried, and what brings a miss within."""
    lines, ratios = [], one.factors
    outside = misses(ratios)
    head = f"{one.case.era.device.upper()} for {one.case.name}"
    for name in JUDGED:
        if not changed or name == JUDGED[1]:  # moves as at 16 bit
            continue
        moves = {other.change: math.log(other.factors[name] / ratios[name]) for other in changed}
        most = max(changed, key=lambda other: abs(moves[other.change]))
        line = f"{head}, {name} ({ratios[name]:.2f}): "
        moved = abs(moves[most.change]) > LEAST_MOVE
        line += (
            f"{most.change} moves it most, to {most.factors[name]:.2f}"
            if moved
            else "nothing that was tried moves it"
        )
        if name in outside:
            cures = [
                f"{o.change} ({o.factors[name]:.2f})"
                for o in changed
                if name not in misses(o.factors)
            ]
            line += (
                f"; outside as stated, brought within by {', '.join(cures)}"
                if cures
                else "; nothing that was tried brings it within"
            )
        lines.append(line + ".")
    return lines


def _named_model(case: Case) -> str:
    return f"{case.name} is {case.model} ({cached(case):.2g} MB cached a token)"


def notes(found: Sequence[Result]) -> list[str]:
    """Method, what is judged, and what the comparison cannot say."""
    reticle = sum("die_area" in one.machine.binding for one in found)
    speeds = []
    for case in (CASES[0], CASES[-1]):
        device, memory = Device(case.era.device), case.technology().memory
        own = device.fact("memory_bandwidth").si.value / device.fact("stacks").value / GIGA
        speeds.append(
            f"{case.era.device.upper()} {own:.0f} of {float(memory.stack_bandwidth) / GIGA:.0f}"
        )
    return [
        (
            f"The rule: of the front over {', '.join(OBJECTIVES)} the design with the cheapest"
            " token, every design in whole stacks of whole layers. Judged: users get a token every"
            f" {CASES[0].promise / MILLI:.0f} ms or sooner; seven or eight prompt tokens to an"
            " output token, prompts and outputs on the same machines; 16 bit in 2022, 8 bit in"
            " 2024; domains of 8 and of 72 chips."
        ),
        (
            "Models:"
            f" {', '.join(map(_named_model, CASES))}."
            " The first stands for its size: its grouped heads are of 2024."
        ),
        (
            f"The area is the reticle's in {reticle} of {len(found)} designs (die_area binds): it"
            " agrees because makers filled the reticle too, which says little about the rest of"
            " the model."
        ),
        f"Stacks run below what their generation allows [GB/s]: {', '.join(speeds)}.",
        (
            "H100 and B200 were built to train as well, which asks for FLOP/s before memory; the"
            " search knows inference alone, in which prompts are the work that is most like"
            " training."
        ),
        (
            "Chips, batch, stacks and layers are found by descent and proved best in no case, so a"
            " change of some per cent may be the search's. Chips need not divide a model's heads."
        ),
        (
            "Prices are those of the catalogue for all years, not those of 2022. Power is"
            " everything at its peak at once, against a rating. B200 is the one of the catalogue;"
            " N4P counts as N4."
        ),
    ]
