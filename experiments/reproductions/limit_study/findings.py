"""The published rows and the study's findings, each checked by a sweep of its model."""

from collections.abc import Mapping, Sequence

import numpy as np

from codesign.numerics.units import GIBI, KIBI, MICRO
from experiments.reproductions.claims import Claim, added, compare, judge, not_reproducible
from experiments.reproductions.limit_study.systems import (
    CONTEXTS,
    DEVICES,
    MODELS,
    SHORT,
    TITLES,
    WAFER,
    Answer,
    System,
    answers,
    holding,
    replaced,
    system,
)

BIG = "llama-3.1-405b"
PUBLISHED = {8: (86, 80), 32: (290, 271), 128: (776, 743)}
"""tokens/s/user of Llama-3.1-405B at batch 1 by chips, at 4K and at 128K positions."""

WAFER_SYNC = 0.2
"""Assumed: what the catalogue says of eight chips [µs]."""

WORTH_LITTLE = 0.25
"""Judged: bandwidth whose elasticity is below a quarter has lost its benefit."""


def published_rows() -> list[Claim]:
    """The seven figures that are known of the study's tables."""
    found = []
    for chips, published in PUBLISHED.items():
        users = answers(BIG, [system("xpu-hbm3", chips, context) for context in CONTEXTS]).user
        for context, printed, ours in zip(CONTEXTS, published, users, strict=True):
            name = f"405B, {chips} HBM3, {context // 1024}K [token/s/user]"
            found.append(compare(name, printed, float(ours)))
    (needed,) = answers(BIG, [system("xpu-hbm3", 32, 64 * KIBI, batch=32)]).needed
    return [*found, compare("405B, 32 users at 64K [GiB]", 881, float(needed) / GIBI)]


def check_findings(chips: Sequence[int], contexts: Sequence[int]) -> list[Claim]:
    """The study's claims in words."""
    return [
        _below_a_thousand(chips, contexts),
        _sync_comes_first(),
        _sync_that_voids_bandwidth(max(chips)),
        _utilisation(contexts),
        *_two_thousand(max(chips)),
        _ten_thousand(max(chips)),
        _returns_diminish(max(chips)),
        not_reproducible(
            "error against real machines [%]", 7.6, "which machines and models is not known to us"
        ),
    ]


def _below_a_thousand(chips: Sequence[int], contexts: Sequence[int]) -> Claim:
    """At the longest context, over all numbers of chips."""
    at = [system("xpu-hbm3", count, max(contexts)) for count in chips]
    best = {name: float(answers(name, at).user.max()) for name in MODELS[1:]}
    told = ", ".join(f"{TITLES[name]} {value:.0f}" for name, value in best.items())
    return judge("HBM3 at long context [token/s/user]", "< 1000", told, max(best.values()) < 1000)


def _sync_comes_first() -> Claim:
    """The multiple of HBM3's bandwidth at which streaming takes as long as the syncs: inverse to
    the chips."""
    synced = answers(BIG, [system("xpu-hbm3", chips, 4096) for chips in (32, 128)]).synced
    middle, large = ((1.0 - share) / share for share in synced)
    return Claim(
        "bandwidth where syncs come first [x HBM3]",
        "about 4",
        f"{middle:.1f} on 32 chips, {large:.1f} on 128",
        f"met on {32 * middle / 4.0:.0f} chips; the study names no number",
    )


def _sync_that_voids_bandwidth(chips: int) -> Claim:
    """Elasticity of tokens/s/user by bandwidth on HBM4: the share of the step not spent in
    syncs."""
    base = system("xpu-hbm4", chips, 4096)
    short, long = 1.0 - answers(BIG, replaced(base, sync=(0.5 * MICRO, 2.5 * MICRO))).synced
    return judge(
        "syncs of 2.5 µs: elasticity by bandwidth [1]",
        "benefit gone",
        f"{long:.2f} (at 0.5 µs {short:.2f})",
        bool(long < WORTH_LITTLE < short),
    )


def _utilisation(contexts: Sequence[int]) -> Claim:
    """Share of the tensor rate used at batch 1, the most over the models."""
    used = {
        device: 100.0
        * max(
            float(answers(name, [holding(device, name, side(device), min(contexts))]).used[0])
            for name in MODELS
        )
        for device in DEVICES
    }
    chip = max(share for device, share in used.items() if device != WAFER)
    return Claim(
        "tensor rate used at batch 1 [%]",
        "≤ 1",
        f"{chip:.2g} on chips, {used[WAFER]:.2g} on a wafer",
        "met on all but the wafer" if chip <= 1.0 < used[WAFER] else _met(chip <= 1.0),
    )


def _met(holds: bool) -> str:
    return "met" if holds else "not met"


def side(device: str, chips: int = 128) -> int:
    """Chips side by side: the study's largest group; a wafer is one."""
    return 1 if device == WAFER else chips


def sync_needed(found: Answer, at: System, goal: float) -> float:
    """Longest sync latency at which a system serves ``goal`` tokens/s/user; NaN if none [s]."""
    time = 1.0 / float(found.user[0])
    syncs = float(found.synced[0]) * time / float(at.sync)
    spare = 1.0 / goal - (1.0 - float(found.synced[0])) * time
    return spare / syncs if spare > 0 else float("nan")


def _two_thousand(chips: int) -> list[Claim]:
    """Is 2,000 tokens/s/user easy? By model: where it is reached, and the syncs that it takes."""
    found = []
    for name in MODELS:
        fast = {device: _longest_sync(device, name, chips) for device in DEVICES}
        reached = [_reaching(fast, limit) for limit in (1.5, 1.0)]
        dram = [any(device in DRAM for device in where) for where in reached]
        verdict = "met" if dram[0] else "met only with syncs of 1 µs" if dram[1] else "not met"
        told = f"{_listed(reached[0])}; with 1 µs {_listed(reached[1])}"
        found.append(
            Claim(
                f"{TITLES[name]}: 2000 token/s/user is easy on", "2,000+ reachable", told, verdict
            )
        )
        needed = (
            f"{SHORT[device]} " + ("never" if np.isnan(sync) else f"{sync:.2g}")
            for device, sync in fast.items()
            if device != WAFER
        )
        found.append(added(f"{TITLES[name]}: syncs that 2000 takes [µs]", ", ".join(needed)))
    return found


DRAM = ("xpu-hbm3", "xpu-hbm4", "xpu-3d-dram")


def _longest_sync(device: str, name: str, chips: int) -> float:
    at = holding(device, name, side(device, chips), 4096)
    return sync_needed(answers(name, [at]), at, 2000.0) / MICRO


def _reaching(fast: Mapping[str, float], sync: float) -> list[str]:
    """Who reaches it with that sync latency between chips; a wafer's own is 0.2 µs [µs]."""
    return [
        device
        for device, longest in fast.items()
        if longest >= (WAFER_SYNC if device == WAFER else sync)
    ]


def _listed(devices: Sequence[str]) -> str:
    if len(devices) == len(DEVICES):
        return "all"
    return ", ".join(SHORT[device] for device in devices) or "none"


def _ten_thousand(chips: int) -> Claim:
    """405B on the fastest technology."""
    speeds = {
        device: float(answers(BIG, [holding(device, BIG, side(device, chips), 4096)]).user[0])
        for device in DEVICES
    }
    best = max(speeds, key=lambda device: speeds[device])
    return judge(
        "405B: 10 000 token/s/user",
        "out of reach",
        f"{speeds[best]:.0f} on {SHORT[best]}",
        speeds[best] < 10_000,
    )


def _returns_diminish(chips: int) -> Claim:
    """3D DRAM with better collectives: what the step from 5,000 to 10,000 takes."""
    at = system("xpu-3d-dram", chips, 4096)
    answer = answers(BIG, [at])
    slow, fast = (sync_needed(answer, at, goal) / MICRO for goal in (5_000.0, 10_000.0))
    return judge(
        "3D DRAM: syncs for 5 000, for 10 000 [µs]",
        "returns diminish",
        f"{slow:.2f}, then {fast:.3f}",
        slow / fast > 4.0,
    )
