"""Chiplets on silicon and on glass (arXiv 2507.18040, its abstract alone): a package's hot spots,
its bow, and where its chiplets should stand."""

from pathlib import Path

import jax.numpy as jnp

import hardware_priors
from codesign.numerics.units import CELSIUS_OFFSET, MILLIMETRE, SQUARE_MILLIMETRE
from codesign.physical.package.chiplets import heat
from codesign.physical.package.judgement import Judgement, judge, power_at_limit
from codesign.physical.package.placement import Placed
from codesign.physical.warpage import warpage
from experiments.reproductions import claims
from experiments.reproductions.claims import (
    Claim,
    added,
    bound,
    not_reproducible,
    tabulate,
)
from experiments.reproductions.table import Column, Settings, Table
from experiments.reproductions.thermal_chiplets.packages import (
    COOLING,
    GLASS,
    SEARCHED,
    SILICON,
    Laid,
    compare_searches,
    lay_out,
)

DEVICE, REFERENCE = "b200", "h100"
MOST_PERFORMANCE, MOST_POWER = 64.7, 40.0
"""What the abstract claims over silicon interposers [%]."""
INTERPOSERS = (SILICON, "CoWoS-L", "organic", GLASS)
FINE = (80, 96)


def table(settings: Settings) -> Table:
    """Bounds of the abstract, and packages with hot spots; ``settings.device`` (a name, or a file
    of a run of ``optimize``) replaces B200, ``settings.seed`` scatters the starts."""
    name = settings.device or DEVICE
    device = lay_out(name)
    found = compare_searches(device, settings.seed)
    if settings.figure is not None:
        draw(settings.figure, device, found["by gradients"])
    return tabulate(
        "Thermal chiplets (arXiv 2507.18040)",
        [*bounds(name), *gains(device, found), *accuracy(device)],
        summary=[f"{told}." for told in verdicts(name)],
        notes=NOTES,
        more=[within_limits(name, found), interposers(name), searches(device, found)],
    )


def judged(laid: Laid, positions=None) -> Judgement:
    """A package with its band, by hand unless positions are given."""
    spread = hardware_priors.assembly_spread(laid.packaging, COOLING)
    at = laid.centres if positions is None else positions
    return judge(laid.package, at, laid.technology, spread)


def bounds(name: str) -> list[Claim]:
    """The abstract's figures, which ours may not exceed."""
    silicon, glass = (lay_out(name, each) for each in (SILICON, GLASS))
    gain = power_at_limit(judged(glass), glass.power) / power_at_limit(
        judged(silicon), silicon.power
    )
    bows = [
        float(warpage(area * SQUARE_MILLIMETRE, glass.technology.packaging))
        for area in (1000.0, 2000.0, 4000.0)
    ]
    return [
        bound(
            f"{silicon.name}, glass over silicon: power within the limits [%]",
            MOST_PERFORMANCE,
            100 * (gain - 1.0),
        ),
        not_reproducible(
            "power of DNN workloads, glass over silicon [%]",
            f"up to -{MOST_POWER:g}",
            "workloads, wiring and chiplets are not known to us",
        ),
        not_reproducible(
            "chiplets embedded in the interposer", "part of it", "its stack is not known to us"
        ),
        claims.judge(
            "bow of glass at 1000, 2000, 4000 mm² [µm]",
            "grows with the package",
            ", ".join(f"{each * 1e6:.0f}" for each in bows),
            bows == sorted(bows),
        ),
    ]


def gains(laid: Laid, found: dict[str, Placed]) -> list[Claim]:
    """What moving the chiplets buys."""
    by_hand, moved = (judged(laid, found[each].positions) for each in ("by hand", "by gradients"))
    powers = [power_at_limit(each, laid.power) for each in (by_hand, moved)]
    return [
        added(
            f"{laid.name}: power within the limits, by hand / placed [W]",
            f"{powers[0]:.0f} / {powers[1]:.0f}",
        )
    ]


def accuracy(laid: Laid) -> list[Claim]:
    """How far a grid twice as fine is away."""
    coarse, fine = (
        judge(laid.package, laid.centres, laid.technology, cells=cells)
        for cells in ((FINE[0] // 2, FINE[1] // 2), FINE)
    )
    return [
        added(
            "error of the grid, logic / memory [K]",
            f"{fine.logic - coarse.logic:+.1f} / {fine.memory - coarse.memory:+.1f}",
        )
    ]


def _packages(name: str) -> list[Laid]:
    return [lay_out(REFERENCE, SILICON), lay_out(name), lay_out(SEARCHED)]


def verdicts(name: str) -> list[str]:
    """A sentence on each package: does it stay within its temperatures with hot spots?"""
    told = []
    for laid in _packages(name):
        found = judged(laid)
        even = found.even_logic <= found.allowed.logic and (
            found.even_memory <= found.allowed.memory
        )
        says = "within its temperatures" if found.within else "too hot"
        sure = "" if found.sure else ", nominally: the band holds both answers"
        told.append(
            f"{laid.name} at {laid.power:.0f} W is {says} with hot spots{sure}"
            f" ({'allowed' if even else 'too hot'} without them)"
        )
    return told


def within_limits(name: str, placed: dict[str, Placed]) -> Table:
    """Temperatures of packages, without hot spots and with them."""
    rows = []
    offered = [(laid, "by hand", laid.centres) for laid in _packages(name)]
    offered.insert(2, (lay_out(name), "by gradients", placed["by gradients"].positions))
    for laid, how, positions in offered:
        found = judged(laid, positions)
        coolant = float(laid.technology.cooling.coolant_temperature) - CELSIUS_OFFSET
        logic, memory = (
            f"{coolant + even:.0f} → {coolant + hottest:.0f} ± {band:.0f} (≤ {coolant + most:.0f})"
            for even, hottest, band, most in (
                (found.even_logic, found.logic, found.logic_band, found.allowed.logic),
                (found.even_memory, found.memory, found.memory_band, found.allowed.memory),
            )
        )
        within = "yes" if found.within else "no"
        rows.append((laid.name, how, laid.power, logic, memory, found.bow / MILLIMETRE, within))
    return Table(
        f"Without → with hot spots, {COOLING} (ours; 90 % bands at given power)",
        (
            Column("package", width=14),
            Column("layout"),
            Column("power", "W"),
            Column("logic [°C]", width=22),
            Column("memory [°C]", width=22),
            Column("bow", "mm"),
            Column("within"),
        ),
        rows,
    )


def interposers(name: str) -> Table:
    """The same package on each interposer, and the largest interposer that its bow allows."""
    rows = []
    for packaging in INTERPOSERS:
        laid = lay_out(name, packaging)
        found = judged(laid)
        allowed = laid.technology.packaging
        largest = float(allowed.warpage_most / warpage(jnp.asarray(1.0), allowed))
        rows.append(
            (
                packaging,
                found.logic,
                found.memory,
                power_at_limit(found, laid.power),
                found.bow / MILLIMETRE,
                largest / SQUARE_MILLIMETRE,
                float(allowed.interposer_most) / SQUARE_MILLIMETRE,
            )
        )
    return Table(
        f"{lay_out(name).name} by interposer (ours; rises above the coolant)",
        (
            Column("interposer"),
            Column("logic", "K"),
            Column("memory", "K"),
            Column("power within", "W"),
            Column("bow", "mm"),
            Column("area that its bow allows", "mm^2"),
            Column("largest of the year", "mm^2"),
        ),
        rows,
    )


def searches(laid: Laid, found: dict[str, Placed]) -> Table:
    """What each search minimises, at equal evaluations."""
    rows = [
        (how, each.value, each.wire / MILLIMETRE, each.evaluations, "yes" if each.legal else "no")
        for how, each in found.items()
    ]
    return Table(
        f"{laid.name}: layouts; hottest over allowed + 0.02 a mm of wire, minimised (ours)",
        (
            Column("layout"),
            Column("value", "1"),
            Column("wire", "mm"),
            Column("solves", "1"),
            Column("legal"),
        ),
        rows,
    )


def draw(path: Path, laid: Laid, placed: Placed) -> None:
    """Temperatures of the active side, by hand and placed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 4.0), layout="constrained")
    maps = {
        how: heat(laid.package, at, FINE).rise
        for how, at in (("by hand", laid.centres), ("by gradients", placed.positions))
    }
    hottest = max(float(each.max()) for each in maps.values())
    around = 2.0 * float(laid.package.assembly.lid_margin)
    wide, high = (
        (float(size) + around) / MILLIMETRE / 2.0
        for size in (laid.package.width, laid.package.height)
    )
    image = None
    for axes, (how, rise) in zip(figure.subplots(1, 2), maps.items(), strict=True):
        image = axes.imshow(
            rise, origin="lower", extent=(-wide, wide, -high, high), vmin=0.0, vmax=hottest,
            cmap="inferno",
        )  # fmt: skip
        axes.set_title(f"{laid.name}, {how}", parse_math=False)
        axes.set(xlabel="[mm]", ylabel="[mm]")
    if image is not None:
        figure.colorbar(image, label="above the coolant [K]")
    figure.savefig(path, dpi=120)


NOTES = (
    (
        "Only the paper's abstract is known to us: its two percentages are bounds on ours, no"
        " temperature, material or workload of it was read. Conductivities and thicknesses are"
        " priors with sources (hardware_priors, packaging.csv and cooling.csv); the film to the"
        " coolant makes the mean logic of an H100 at 700 W rise as it does without hot spots."
    ),
    (
        "Matrix units heat a square of their own area in the middle of each die, everything else"
        " evenly; half of a stack's heat is made in its base. Heat leaves through the lid alone."
        " Bow: two layers, interposer on substrate; dies and lid are left out of it."
    ),
    (
        f"{SEARCHED}: most tokens/s/$ for Llama-3.1-8B at 8K, 20 ms a token, N3 with HBM3E, at its"
        " peak power. Any design of a run of codesign optimize: --device RUN/designs/00.toml."
    ),
)
