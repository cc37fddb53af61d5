"""A photonic memory pool (arXiv 2507.14000): energies of paths, gains over boards of HBM alone, and
the prices and energies at which it enters the front."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

import codesign
from codesign.numerics.units import BITS_PER_BYTE, MICRO, PICO, TERA
from experiments.reproductions.claims import (
    Claim,
    added,
    bound,
    compare,
    judge,
    not_reproducible,
    tabulate,
)
from experiments.reproductions.photonic.entry import (
    CHIP,
    Entry,
    enter,
    machines,
    world,
)
from experiments.reproductions.photonic.systems import (
    LENGTHS,
    Compared,
    big_model,
    measured_latency,
)
from experiments.reproductions.photonic.systems import compare as compare_systems
from experiments.reproductions.table import Column, Settings, Table
from hardware_priors.prior import lookup

MODELS = ("llama-3.1-70b", "llama-3.1-405b", "deepseek-v3")
CONTEXTS = (8192, 32768, 131072)
GAIN, LATENCY, BIG_GAIN, BIG_LATENCY = 3.66, 1.40, 7.04, 1.41
EFFICIENCIES = (13.6, 49.7)  # [%] boards, pool at 128 in and 4096 out
LONG = (128, 4096)
TOLERANCE = 0.0757
"""The paper's own error against its measurements."""
ENERGY_1T = {"tensor": (1026.05, 190.46), "offload": (4032.15, 1008.04), "pipeline": (64.13, 11.90)}
"""Published communication energy of training 1T, boards and modules of 2 TB [kJ]."""


def table(settings: Settings) -> Table:
    """The paper's rows, and the map of entry for ``settings.models`` and ``settings.contexts``."""
    models, contexts = settings.models or MODELS, settings.contexts or CONTEXTS
    found, compared = entries(models, contexts), compare_models()
    if settings.figure is not None:
        draw(settings.figure, found)
    return tabulate(
        "Photonic pool (arXiv 2507.14000)",
        [*paths(), *trained(), *gains(compared), *hardware()],
        summary=[entered(found)],
        notes=NOTES,
        more=[by_lengths(compared), entry_map(found)],
    )


def path_energy(kind: str, switches: int) -> float:
    """Energy of a bit through switches with an adapter at either end; within a tray without any
    [pJ/bit]."""
    adapter, switch, tray = (
        lookup("links", f"{kind} path", f"{part}_energy").value
        for part in ("adapter", "switch", "tray")
    )
    return 2.0 * adapter + switches * switch if switches else tray


def paths() -> list[Claim]:
    """Energy of a bit on each path, from the paper's adapters and switches."""
    published = {0: (50, 10), 1: (165, 35), 3: (235, 85)}
    names = {0: "within a tray", 1: "one switch", 3: "three switches"}
    found, saved = [], []
    for switches, (electrical, photonic) in published.items():
        ours = [path_energy(kind, switches) for kind in ("electrical", "photonic")]
        saved.append(100 * (1.0 - ours[1] / ours[0]))
        found.append(
            judge(
                f"{names[switches]}: electrical, photonic [pJ/bit]",
                f"{electrical}, {photonic}",
                f"{ours[0]:.0f}, {ours[1]:.0f}",
                ours == [electrical, photonic],
            )
        )
    told = ", ".join(f"{each:.0f}" for each in saved)
    return [
        *found,
        judge("communication energy saved [%]", "60 to 90", told,
              60 <= min(saved) and max(saved) <= 90),
    ]  # fmt: skip


def trained() -> list[Claim]:
    """Ratios of the training tables, against what the paths alone give at equal traffic."""
    tray, crossing = (
        path_energy("electrical", k) / path_energy("photonic", 0) for k in (0, 1)
    )  # fmt: skip
    tensor = ENERGY_1T["tensor"][0] / ENERGY_1T["tensor"][1]
    moved = (tensor - tray) / (crossing - tray)
    ratio = ENERGY_1T["tensor"][0] / ENERGY_1T["pipeline"][0]
    return [
        compare("training 1T, tensor: electrical over photonic [x]", tensor, tray, 0.02),
        added("traffic moved from a switch into the tray that explains the rest [%]", 100 * moved),
        not_reproducible(
            "training 1T, offload: electrical over photonic [x]",
            ENERGY_1T["offload"][0] / ENERGY_1T["offload"][1],
            "its mix of paths and switches is not known to us",
        ),
        not_reproducible(
            "training 1T, boards: tensor over pipeline [x]", ratio, "its plans are not known to us"
        ),
        not_reproducible("training tables, 2T to 96T", "kJ", "plans and traffic not known to us"),
    ]


ByLengths = dict[str, dict[tuple[int, int], Compared]]
"""By model and (prompt, output) lengths."""


def compare_models() -> ByLengths:
    """Boards against the pool: 405B on one board, 1T on two, each at four pairs of lengths."""
    models = {"405B": (published_model(), 1), "1T (ours)": (big_model(), 2)}
    return {
        name: {pair: compare_systems(model, boards, *pair) for pair in LENGTHS}
        for name, (model, boards) in models.items()
    }


def published_model() -> codesign.Transformer:
    """405B as the paper counts it."""
    return codesign.model("llama-3.1-405b", nominal_parameters=True)


def gains(compared: ByLengths) -> list[Claim]:
    """405B and 1T on boards and on the pool, at the most of four pairs of lengths."""
    ours, big = compared["405B"], compared["1T (ours)"].values()
    best = max(each.throughput for each in ours.values())
    boards, pool = (100 * each for each in ours[LONG].efficiency)
    model = published_model()
    slow = slower_syncs(model)
    again = compare_systems(model, 1, *LONG, latency=slow)
    return [
        compare("405B: throughput gain, most [x]", GAIN, best, TOLERANCE),
        compare("405B: latency gain at batch 1 [x]", LATENCY, ours[LONG].latency, TOLERANCE),
        compare("405B, 128 in, 4096 out: MFU of boards [%]", EFFICIENCIES[0], boards, TOLERANCE),
        compare("405B, 128 in, 4096 out: MFU of the pool [%]", EFFICIENCIES[1], pool, TOLERANCE),
        added("sync on boards at which the latency gain is 1.40 [µs]", slow / MICRO),
        added(
            "with it, 128 in, 4096 out: throughput gain, MFU of boards",
            f"{again.throughput:.2f} x, {100 * again.efficiency[0]:.1f} %",
        ),
        bound("1T (ours): throughput gain [x]", BIG_GAIN, max(each.throughput for each in big)),
        bound("1T (ours): latency gain [x]", BIG_LATENCY, max(each.latency for each in big)),
        not_reproducible(
            "share of overheads in an all-reduce, TP2 / 4 / 8 [%]",
            "37.7 / 40.1 / 50.0",
            "its efficiency curves are not published",
        ),
        not_reproducible("DLRM, 10 TB of embeddings [x]", "22.8, 28.3", "no such model"),
        not_reproducible("error against 180 measured points [%]", 7.57, "points are not published"),
    ]


def slower_syncs(model: codesign.Transformer) -> float:
    """Sync latency at which the gain at batch 1 is the published one; the gain is affine in it
    [s]."""
    first = measured_latency()
    ends = [compare_systems(model, 1, *LONG, latency=each).latency for each in (first, 2.0 * first)]
    return first * (1.0 + (LATENCY - ends[0]) / (ends[1] - ends[0]))


def hardware() -> list[Claim]:
    """What the appliance adds up to."""
    modules = lookup("memory", "photonic-pool", "modules").value
    capacity, port = (
        lookup("memory", "photonic module", name).si.value
        for name in ("ddr_capacity", "port_bandwidth")
    )
    terabits = modules * port * BITS_PER_BYTE / TERA
    return [
        compare("appliance: capacity of 16 modules [TB]", 32.0, modules * capacity / TERA),
        compare("appliance: ports of 16 modules [Tbit/s]", 115.0, terabits, 0.005),
    ]


def by_lengths(compared: ByLengths) -> Table:
    """Gains by lengths of prompt and output, both models."""
    rows = [
        (
            name,
            *pair,
            found.throughput,
            found.latency,
            *(100 * each for each in found.efficiency),
            *(f"{each:.0f}" for each in found.batches),
        )
        for name, of_model in compared.items()
        for pair, found in of_model.items()
    ]
    return Table(
        "Pool over boards of eight H100, static batches, 8 bit, operator by operator (ours)",
        (
            Column("model"),
            Column("in", "1"),
            Column("out", "1"),
            Column("throughput", "x"),
            Column("latency", "x"),
            Column("MFU boards", "%"),
            Column("MFU pool", "%"),
            Column("batch boards"),
            Column("batch pool"),
        ),
        rows,
    )


def entries(models: Sequence[str], contexts: Sequence[int]) -> dict[tuple[str, int], Entry | None]:
    """Where the pool enters, by model and context."""
    technology = world()
    return {
        (model, context): enter(machines(model, context, technology), technology)
        for model in models
        for context in contexts
    }


def entry_map(found: dict[tuple[str, int], Entry | None]) -> Table:
    """The map as a table."""
    pool = world().pool
    price = float(pool.layer_price / pool.layer_capacity) * 1e9
    energy = float(pool.access_energy) / BITS_PER_BYTE / PICO
    rows = [
        (f"{model}, {context // 1024}K", *((None,) * 6 if each is None else each))
        for (model, context), each in found.items()
    ]
    return Table(
        f"Where a pool beats HBM alone on {CHIP} logic (ours): today {price:.1f} USD/GB,"
        f" {float(pool.stack_price):.0f} USD a port, {energy:.0f} pJ/bit;"
        " – at none above zero; last two: today",
        (
            Column("model, context", width=20),
            Column("DRAM", "USD/GB"),
            Column("free ports", "USD/GB"),
            Column("port", "USD"),
            Column("energy", "pJ/bit"),
            Column("per $", "x"),
            Column("per W", "x"),
        ),
        rows,
    )


def entered(found: dict[tuple[str, int], Entry | None]) -> str:
    """Whether it enters at today's priors, and what would have to change."""
    able = {
        f"{model} at {context // 1024}K": each
        for (model, context), each in found.items()
        if each is not None
    }
    if not able:
        return "No machine tried serves any of these models."
    dollars = [name for name, each in able.items() if each.gain_per_dollar > 1.0]
    watts = [name for name, each in able.items() if each.gain_per_watt > 1.0]
    ports = [each.port for each in able.values() if each.port is not None]
    least = lookup("memory", "photonic-pool", "access_energy").low
    near = [name for name, each in able.items() if (each.energy or 0.0) >= least]
    needs = f"ports of at most {max(ports):.0f} USD" if ports else "more than cheaper ports"
    return (
        f"At today's priors the pool enters by tokens/s/$ in {', '.join(dollars) or 'none'} and by"
        f" tokens/s/W in {', '.join(watts) or 'none'}; by dollars it needs {needs}, by watts the"
        f" low end of its energy ({least:g} pJ/bit) is enough in {', '.join(near) or 'none'}."
    )


def draw(path: Path, found: dict[tuple[str, int], Entry | None]) -> None:
    """The map: a port's price and a bit's energy at which the pool enters."""
    from matplotlib.figure import Figure

    models = list(dict.fromkeys(model for model, _ in found))
    contexts = list(dict.fromkeys(context for _, context in found))
    figure = Figure(figsize=(9.0, 1.5 + 0.6 * len(models)), layout="constrained")
    titles = {"port": "a port [USD]", "energy": "energy [pJ/bit]"}
    for axes, (name, title) in zip(figure.subplots(1, 2), titles.items(), strict=True):
        values = np.array(
            [
                [getattr(found[model, context], name, None) or np.nan for context in contexts]
                for model in models
            ]
        )
        axes.imshow(values, cmap="viridis", aspect="auto")
        for (k, j), value in np.ndenumerate(values):
            told = "–" if np.isnan(value) else f"{value:.3g}"
            axes.text(j, k, told, ha="center", va="center", color="white")
        axes.set_title(f"enters at {title}")
        axes.set_xticks(range(len(contexts)), [str(each) for each in contexts])
        axes.set_yticks(range(len(models)), models, parse_math=False)
    figure.savefig(path, dpi=120)


NOTES = (
    (
        "Boards: eight H100 of 1979 TFLOP/s and 3350 GB/s at 8 bit, measured sync latency; pool:"
        " one processor of the same sums without a network, 32 TB. The paper's efficiency curves"
        " are not published: ours are attainable fractions of the peaks (0.8 of bandwidth, 0.75 of"
        " arithmetic), which makes boards faster than theirs; its 1T model is not known to us."
    ),
    (
        "Ratios of the training tables: at equal traffic a ratio is that of two paths; what lies"
        " above the tray's 5.0 must come of less traffic or of shorter paths."
    ),
    (
        "Entry: 1 to 16 chips, 1 to 8 stacks of HBM3E, 0 to 8 ports, batches of powers of two to"
        " 4096, thirds of weights and cache in the pool, 50 ms a token, tensor parallel at 8 bit;"
        " capacity, edge, stacks and layers imposed, heat and reticle not; the port of a module"
        " counts as its price and PHY, its DRAM per GB with the module's HBM cache. Chips stay"
        " joined by NVLink: what a pool saves of the network, boards against a pool alone show."
    ),
)
